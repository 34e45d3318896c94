/* SPDX-License-Identifier: Apache-2.0
 *
 * --selftest: kernelcheck must find every broken kernel of broken.h, for the reason given, and pass the good ones.
 */
#include "broken.h"
#include "kernelcheck.h"

#include <stdio.h>
#include <string.h>

typedef struct trial {
    kc_row row;
    const char *reason; /* part of the failure's text; NULL: must pass */
    bool as_reference;
} trial;

#define TRIAL(slot, fn, reason)                                                                                   \
    {                                                                                                             \
        {slot, #fn, "selftest", 0, (kc_fn *)fn}, reason, false                                                    \
    }
#define TRIAL_REFERENCE(slot, fn, reason)                                                                         \
    {                                                                                                             \
        {slot, #fn, "selftest", 0, (kc_fn *)fn}, reason, true                                                     \
    }

static const trial trials[] = {
    TRIAL("swiglu", good_swiglu, NULL),
    TRIAL("norm", good_norm, NULL),
    TRIAL("linear", good_linear, NULL),
    TRIAL("attention", good_attention, NULL),
    TRIAL("swiglu", over_read, "SIGSEGV"),
    TRIAL("swiglu", under_read, "SIGSEGV"),
    TRIAL("swiglu", over_write, "SIGSEGV"),
    TRIAL("swiglu", writes_input, "SIGSEGV"),
    TRIAL("swiglu", touches_empty, "SIGSEGV"),
    TRIAL("swiglu", wrong_tail, "must be the same bits"),
    TRIAL("swiglu", illegal_instruction, "SIGILL"),
    TRIAL("swiglu", hangs, "does not end"),
    TRIAL("swiglu", nondeterministic, "a second call gives other bits"),
    TRIAL("norm", fills_padding, ""),
    TRIAL("norm", ignores_stride, ""),
    TRIAL("norm", skips_nan, "nan"),
    TRIAL("norm", leaves_last_row, "not written"),
    TRIAL("norm", coarse_root, "must be the same bits"),
    TRIAL("norm", clobbers_in_place, "must be the same bits"),
    TRIAL_REFERENCE("norm", coarse_root, "error"),
    TRIAL_REFERENCE("swiglu", wrong_tail, "error"),
    TRIAL("linear", short_k, "must be the same bits"),
    TRIAL("linear", split_dependent, "other bits than the whole"),
    TRIAL("linear", token_dependent, "a token alone gives other bits"),
    TRIAL("linear", f16_accumulator, "must be the same bits"),
    TRIAL("linear", stale_scratch, "nan"),
    TRIAL("linear", padding_codes, ""),
    TRIAL("linear", unfused_parts, "must be the same bits"),
    TRIAL("linear", two_chains, "must be the same bits"),
    TRIAL("linear", minimum_first, "must be the same bits"),
    TRIAL("linear", any_nan, "must be the same bits"),
    TRIAL_REFERENCE("linear", good_linear, NULL),
    TRIAL_REFERENCE("linear", short_k, "error"),
    TRIAL_REFERENCE("linear", f16_accumulator, "error"),
    TRIAL_REFERENCE("linear", any_nan, "nan"),
    TRIAL("linear_row", good_linear_row, NULL),
    TRIAL("linear_row", swaps_products, "must be the same bits"),
    TRIAL("linear_row", rounds_once, "must be the same bits"),
    TRIAL("linear_row", saturates_pairs, "must be the same bits"),
    TRIAL("linear_row", drops_odd_tail, "must be the same bits"),
    TRIAL("linear_row", groups_backwards, "must be the same bits"),
    TRIAL("linear_row", unfused_groups, "must be the same bits"),
    TRIAL("linear_row", sums_in_f32, "must be the same bits"),
    TRIAL("pack_act", good_pack_act, NULL),
    TRIAL("pack_act", packs_at_the_start, "must be the same bits"),
#if defined(__x86_64__)
    {{"linear_row", "swaps_signs", "selftest", Q35K_CPU_AVX512, (kc_fn *)swaps_signs},
     "must be the same bits",
     false},
#endif
    TRIAL("kv_append", next_position, ""),
    TRIAL("kv_append", good_kv_append, NULL),
    TRIAL("kv_append", truncates_f16, "must be the same bits"),
    TRIAL("kv_append", truncates_q8, "must be the same bits"),
    TRIAL("get_rows", next_row, "must be the same bits"),
    TRIAL("quantize_act", good_quantize_act, NULL),
    TRIAL("quantize_act", rounds_half_up, "must be the same bits"),
    TRIAL("quantize_act", leaves_padding, "must be the same bits"),
    TRIAL("quantize_act", sums_magnitudes, "must be the same bits"),
    TRIAL("quantize_act", takes_sample, "must be the same bits"),
    TRIAL("quantize_act", skips_rotation, "must be the same bits"),
    TRIAL("quantize_act", codes_of_nan, "must be the same bits"),
    TRIAL("rotate", good_rotate, NULL),
    TRIAL("rotate", wide_first, "must be the same bits"),
    TRIAL("rotate", scales_first, "must be the same bits"),
    TRIAL("rotate", forgets_rest, "must be the same bits"),
    TRIAL("rotate", clobbers_source, "must be the same bits"),
    TRIAL("rotate", inverse_as_forward, "must be the same bits"),
    TRIAL("attention", good_attention, NULL),
    TRIAL("attention", sees_future, "nan"),
    TRIAL("attention", ignores_page_table, ""),
    TRIAL("attention", joins_otherwise, "a token alone gives other bits"),
    TRIAL("attention", eight_lanes, "must be the same bits"),
    TRIAL("attention", library_exp, "must be the same bits"),
    TRIAL("attention", unfused_values, "must be the same bits"),
    TRIAL("attention", one_span, "must be the same bits"),
    TRIAL_REFERENCE("attention", good_attention, NULL),
    TRIAL_REFERENCE("attention", eight_lanes, NULL), /* as near to the exact result */
    TRIAL_REFERENCE("attention", sees_future, "nan"),
    TRIAL("rope", good_rope, NULL),
    TRIAL("rope", pair_of_halves, "must be the same bits"),
    TRIAL("rope", exact_angle, "must be the same bits"),
    TRIAL("rope", unfused_pairs, "must be the same bits"),
    TRIAL("rope", no_temperature, "must be the same bits"),
    TRIAL("rope", temperature_of_first, "must be the same bits"),
    TRIAL_REFERENCE("rope", good_rope, NULL),
    TRIAL_REFERENCE("rope", exact_angle, "error"),
    TRIAL_REFERENCE("rope", no_temperature, "error"),
};

static bool run_trial(const trial *t, uint64_t seed, kc_progress *progress)
{
    bool hangs_on_purpose = t->reason && strcmp(t->reason, "does not end") == 0;
    kc_limits limits = {.seed = seed,
                        .last = t->reason ? -1 : 400,
                        .max_failures = 1,
                        .case_seconds = hangs_on_purpose ? 1 : KC_CASE_SECONDS,
                        .as_reference = t->as_reference};
    bool passed = kc_run_row(&t->row, &limits, progress);
    const char *text = progress->n_failures ? progress->failures[0].text : "passed";
    bool ok = t->reason ? !passed && strstr(text, t->reason) : passed;
    printf("%s %-22s %s\n", ok ? "ok  " : "FAIL", t->row.symbol, text);
    if (!ok && t->reason)
        printf("     must fail with \"%s\"\n", t->reason);
    fflush(stdout);
    return ok;
}

int kc_selftest(uint64_t seed)
{
    const int n = sizeof trials / sizeof trials[0];
    int failed = 0, skipped = 0;
    kc_progress *progress = kc_progress_open();
    if (!progress) {
        fputs("kernelcheck: no shared memory\n", stderr);
        return 1;
    }
    for (int i = 0; i < n; i++) {
        if (trials[i].row.features & ~q35k_cpu_features()) {
            printf("skip %-22s the machine cannot run it\n", trials[i].row.symbol);
            skipped++;
        } else {
            failed += !run_trial(&trials[i], seed, progress);
        }
    }
    kc_progress_close(progress);
    printf("%d passed, %d failed, %d skipped\n", n - failed - skipped, failed, skipped);
    return failed > 0;
}
