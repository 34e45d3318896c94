/* SPDX-License-Identifier: Apache-2.0
 *
 * Every op, with every type it takes, against the reference: ops/ within bounds, exact/ bit by bit. */
#include "conform.h"

#include <stdio.h>
#include <string.h>

typedef bool build_fn(cf_env *e, cf_case *c, int64_t index, uint32_t a, uint32_t b);

/* A few cases of all sizes come first: where a device refuses those, it has no use for the others. */
static void run_all(cf_env *e, build_fn *build, uint32_t a, uint32_t b, const char *name)
{
    static const int64_t first[] = {11, 4, 8, 2};
    enum { N_FIRST = sizeof first / sizeof first[0] };
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    const size_t used = e->x.arena_used;
    uint64_t done = 0;
    for (int64_t i = 0; i < 64; i++) {
        const int64_t index = i < N_FIRST ? first[i] : i - N_FIRST;
        if (i == N_FIRST && e->n_run == 0)
            break;
        if (done >> index & 1)
            continue;
        done |= UINT64_C(1) << index;
        kc_reseed(&e->x, name, index + 64 * (int64_t)(a + 8192 * b));
        if (build(e, c, index, a, b))
            cf_check_case(e, c);
        e->x.arena_used = used;
    }
    cf_sum_up(e, name);
}

#define RUN(name)                                                                                                 \
    static void run_##name(cf_env *e, uint32_t a, uint32_t b)                                                     \
    {                                                                                                             \
        run_all(e, cf_build_##name, a, b, #name);                                                                 \
    }
RUN(norm)
RUN(elementwise)
RUN(take_rows)
RUN(sum_squares)
RUN(top_k)
RUN(rope)
RUN(kv_append)
RUN(attention)
RUN(rotate)
RUN(quantize)
RUN(get_rows)
RUN(linear)

static void list_linear(cf_list *list, bool exact)
{
    static const uint32_t by_block[] = {Q35_DT_A8_32, Q35_DT_F32},
                          by_row[] = {Q35_DT_A8_ROW, Q35_DT_A8_128, Q35_DT_F32};
    for (size_t i = 0; i < cf_n_weight_types; i++) {
        const uint32_t dtype = cf_weight_types[i];
        const bool row_type = q35_is_row_type(dtype);
        for (size_t j = 0; j < (row_type ? 3 : 2); j++) {
            const uint32_t act = row_type ? by_row[j] : by_block[j];
            if ((row_type && act != Q35_DT_F32) == exact)
                cf_add_test(list, CF_DEVICE, run_linear, dtype, act, "%s/linear/%s/%s", exact ? "exact" : "ops",
                            q35_dtype_describe(dtype).name, q35_dtype_describe(act).name);
        }
    }
}

void cf_list_ops(cf_list *list)
{
    static const uint32_t states[] = {Q35_DT_F16, Q35_DT_F32, Q35_DT_Q8_0},
                          acts[] = {Q35_DT_A8_32, Q35_DT_A8_128, Q35_DT_A8_ROW};
    cf_add_test(list, CF_DEVICE, run_norm, Q35_OP_RMS_NORM, 0, "ops/rms_norm");
    cf_add_test(list, CF_DEVICE, run_norm, Q35_OP_ADD_RMS_NORM, 0, "ops/add_rms_norm");
    cf_add_test(list, CF_DEVICE, run_elementwise, Q35_OP_SWIGLU, 0, "ops/swiglu");
    cf_add_test(list, CF_DEVICE, run_elementwise, Q35_OP_SILU, 0, "ops/silu");
    cf_add_test(list, CF_DEVICE, run_elementwise, Q35_OP_ADD, 0, "ops/add");
    cf_add_test(list, CF_DEVICE, run_elementwise, Q35_OP_MUL, 0, "ops/mul");
    cf_add_test(list, CF_DEVICE, run_take_rows, 0, 0, "ops/take_rows");
    cf_add_test(list, CF_DEVICE, run_sum_squares, 0, 0, "ops/sum_squares");
    cf_add_test(list, CF_DEVICE, run_rope, 0, 0, "ops/rope");
    for (int i = 0; i < 3; i++)
        cf_add_test(list, CF_DEVICE, run_kv_append, states[i], 0, "ops/kv_append/%s",
                    q35_dtype_describe(states[i]).name);
    for (int i = 0; i < 3; i++)
        cf_add_test(list, CF_DEVICE, run_attention, states[i], 0, "ops/attention/%s",
                    q35_dtype_describe(states[i]).name);
    for (size_t i = 0; i < cf_n_weight_types; i++)
        cf_add_test(list, CF_DEVICE, run_get_rows, cf_weight_types[i], 0, "ops/get_rows/%s",
                    q35_dtype_describe(cf_weight_types[i]).name);
    list_linear(list, false);
    for (uint32_t inverse = 0; inverse < 2; inverse++)
        cf_add_test(list, CF_DEVICE, run_rotate, inverse, 0, "exact/rotate%s", inverse ? "/inverse" : "");
    for (int i = 0; i < 3; i++)
        for (uint32_t with_signs = 0; with_signs < 2; with_signs++)
            cf_add_test(list, CF_DEVICE, run_quantize, acts[i], with_signs, "exact/quantize_act/%s%s",
                        q35_dtype_describe(acts[i]).name, with_signs ? "/rotated" : "");
    cf_add_test(list, CF_DEVICE, run_top_k, 0, 0, "exact/top_k");
    list_linear(list, true);
}
