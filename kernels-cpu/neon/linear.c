/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR with NEON of ARMv8.0. */
#define Q35I_PRODUCTS Q35I_PLAIN

#include "kernels-cpu/neon/linear.h"

void q35k_linear__neon(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens, const q35k_weights *w,
                       float *out, int64_t rs_out, int64_t begin, int64_t end, void *scratch)
{
    linear(x, act_type, rs_x, n_tokens, w, out, rs_out, begin, end, scratch);
}
