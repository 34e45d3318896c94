/* SPDX-License-Identifier: Apache-2.0
 *
 * The rows of kernels.def and those that only tests have, the cases of each slot, and the check of the dispatch
 * table at every feature level.
 */
#include "kernelcheck.h"

#include <kernels-cpu/kernels_decl.h>

#include <stdio.h>
#include <string.h>

const kc_row kc_rows[] = {
#define KERNEL(slot, type, symbol, features, isa) {#slot, #symbol, isa, features, (kc_fn *)symbol},
#include <kernels-cpu/kernels.def>
#undef KERNEL
#if defined(__x86_64__)
    {"linear", "q35k_linear__amx_emulated", "emulated", Q35K_CPU_AVX512, (kc_fn *)q35k_linear__amx_emulated},
    {"linear_row", "q35k_linear_row__amx_emulated", "emulated", Q35K_CPU_AVX512,
     (kc_fn *)q35k_linear_row__amx_emulated},
    {"pack_act", "q35k_pack_act__amx_emulated", "emulated", Q35K_CPU_AVX512, (kc_fn *)q35k_pack_act__amx_emulated},
#endif
};
const size_t kc_n_rows = sizeof kc_rows / sizeof kc_rows[0];

const size_t kc_n_dispatched = 0
#define KERNEL(slot, type, symbol, features, isa) +1
#include <kernels-cpu/kernels.def>
#undef KERNEL
    ;

const kc_op *kc_find_op(const char *slot)
{
    static const kc_op *const ops[] = {
        &kc_op_linear, &kc_op_linear_row, &kc_op_pack_act,    &kc_op_quantize_act, &kc_op_rotate, &kc_op_norm,
        &kc_op_rope,   &kc_op_kv_append,  &kc_op_attention,   &kc_op_swiglu,       &kc_op_add,    &kc_op_mul,
        &kc_op_silu,   &kc_op_get_rows,   &kc_op_sum_squares, &kc_op_top_k};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (strcmp(ops[i]->slot, slot) == 0)
            return ops[i];
    }
    return NULL;
}

static const kc_row *find_row(const char *slot, const char *isa)
{
    for (size_t i = 0; i < kc_n_rows; i++) {
        if (strcmp(kc_rows[i].slot, slot) == 0 && strcmp(kc_rows[i].isa, isa) == 0)
            return &kc_rows[i];
    }
    return NULL;
}

const kc_row *kc_find_ref(const char *slot)
{
    return find_row(slot, "ref");
}

kc_fn *kc_find_partner(const char *slot, kc_fn *fn)
{
    const kc_row *partner = kc_find_ref(slot);
    for (size_t i = 0; i < kc_n_rows; i++) {
        const kc_row *same = kc_rows[i].fn == fn ? find_row(slot, kc_rows[i].isa) : NULL;
        partner = same ? same : partner;
    }
    return partner ? partner->fn : NULL;
}

/* The last row of kernels.def of the slot whose features all are in `features`. */
static kc_fn *expected_kernel(const char *slot, uint32_t features)
{
    kc_fn *fn = NULL;
    for (size_t i = 0; i < kc_n_dispatched; i++) {
        if (strcmp(kc_rows[i].slot, slot) == 0 && (kc_rows[i].features & ~features) == 0)
            fn = kc_rows[i].fn;
    }
    return fn;
}

bool kc_check_dispatch(char *text, size_t size)
{
    static const uint32_t levels[] = {0,
                                      Q35K_CPU_AVX2,
                                      Q35K_CPU_AVX2 | Q35K_CPU_AVX512,
                                      Q35K_CPU_AVX512,
                                      Q35K_CPU_AMX,
                                      Q35K_CPU_AVX2 | Q35K_CPU_AVX512 | Q35K_CPU_AMX,
                                      Q35K_CPU_NEON,
                                      Q35K_CPU_NEON | Q35K_CPU_NEON_DOT,
                                      Q35K_CPU_NEON | Q35K_CPU_NEON_DOT | Q35K_CPU_NEON_I8MM};
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        q35k_table table;
        q35k_table_init(&table, levels[i]);
#define KERNEL(slot_, type_, symbol_, features_, isa_)                                                            \
    if ((kc_fn *)table.slot_ != expected_kernel(#slot_, levels[i])) {                                             \
        snprintf(text, size, "slot %s at features 0x%x is not the newest row that they allow", #slot_,            \
                 (unsigned)levels[i]);                                                                            \
        return false;                                                                                             \
    }
#include <kernels-cpu/kernels.def>
#undef KERNEL
    }
    return true;
}
