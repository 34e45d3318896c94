/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR of row types with NEON of ARMv8.0. */
#define Q35I_PRODUCTS Q35I_PLAIN

#include "kernels-cpu/neon/linear_row.h"

void q35k_pack_act__neon(const void *x, uint32_t act_type, int64_t rs_x, int64_t k, int64_t n_tokens, void *panel,
                         int64_t begin, int64_t end)
{
    pack_tokens(x, act_type, rs_x, k, n_tokens, panel, begin, end);
}

void q35k_linear_row__neon(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens, const q35k_weights *w,
                           float *out, int64_t rs_out, int64_t begin, int64_t end, void *scratch)
{
    linear_row(x, act_type, rs_x, n_tokens, w, out, rs_out, begin, end, scratch);
}
