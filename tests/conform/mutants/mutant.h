/* SPDX-License-Identifier: Apache-2.0
 *
 * Plugins with one planted defect each, chosen by -DMUTANT=<name>; `right` has none. They are the sources of right
 * plugins, included with another id, and a table in which slots are replaced. What each must be caught with stands
 * in mutants.list. */
#ifndef MUTANT_H
#define MUTANT_H

#include <q35rt/plugin.h>

enum {
    right,
    /* l0.c: the template */
    no_device,
    silent_without_device,
    no_note,
    lying_note,
    extra_symbol,
    undefined_symbol,
    exec_stack,
    fixed_path,
    null_slot,
    wrong_stride,
    off_by_one,
    rounds_to_bf16,
    nan_is_zero,
    past_n_tokens,
    past_the_end,
    modifies_input,
    depends_on_threads,
    depends_on_rows,
    allocates_in_run,
    keeps_region,
    keeps_bindings,
    lying_yes,
    no_reason,
    unstable_answer,
    ignores_params,
    leaks_memory,
    leaks_heap,
    leaks_file,
    leaks_thread,
    aborts,
    exits,
    crashes,
    hangs,
    prints,
    changes_fpu_mode,
    changes_fpu_mode_of_worker,
    changes_signals,
    changes_environment,
    changes_directory,
    impure_info,
    more_available_than_there_is,
    past_hdr_size,
    wrong_range,
    takes_any_option,
    ignores_alloc_failure,
    wrong_status,
    cost_falls,
    cost_too_sure,
    endless_limits,
    forgets_runs,
    /* rows.c: exact linears and a layout */
    sums_in_float,
    other_nan,
    sixteen_bit_sums,
    pack_depends_on_order,
    pack_past_slice,
    unpack_forgets,
    unstable_key,
    /* l1.c: async1 */
    missed_wait,
    signals_early,
    goes_back,
    ignores_timeout,
    gives_up_early,
    drops_failure,
    exhausted_for_good,
    stale_free_bytes,
    unaligned_map,
    copies_too_much,
    drops_offset,
    leaks_queue,
    energy_falls,
    endless_text,
    replays_nothing,
    runs_while_recording,
    shares_staging,
    peer_missed_wait,
    peer_signals_early,
    peer_stale_source,
    peer_drops_offset,
    peer_refuses,
    peer_claims_address,
    later_of_equals
};

#ifndef MUTANT
#define MUTANT right
#endif
#define IS(name) (MUTANT == (name))

/* Memory that nobody will free, which no compiler may notice. */
static inline void lose(void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

/* Q35_PLUGIN_EXPORT is for what is included. */
#define Q35_PLUGIN_QUERY_EXPORT __attribute__((visibility("default")))

/* The note of what is included is not ours. */
#undef Q35_PLUGIN_NOTE
#define Q35_PLUGIN_NOTE(...) struct q35_unused_
#define NOTE(VERSION, FLAGS)                                                                                      \
    __attribute__((section(Q35_NOTE_SECTION), used, aligned(4))) static const q35_note mutant_note = {            \
        sizeof(Q35_NOTE_OWNER),                                                                                   \
        (uint32_t)(sizeof(q35_note) - offsetof(q35_note, note_version)),                                          \
        Q35_NOTE_TYPE,                                                                                            \
        Q35_NOTE_OWNER,                                                                                           \
        Q35_NOTE_VERSION,                                                                                         \
        Q35_ABI_MAJOR,                                                                                            \
        Q35_ABI_MINOR,                                                                                            \
        0,                                                                                                        \
        Q35_NOTE_MACHINE,                                                                                         \
        Q35_NOTE_SANITIZER,                                                                                       \
        (FLAGS),                                                                                                  \
        0,                                                                                                        \
        0,                                                                                                        \
        0,                                                                                                        \
        "mutant",                                                                                                 \
        VERSION}

#endif
