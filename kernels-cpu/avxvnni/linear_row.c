/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR of row types with AVX2 and AVX-VNNI: vpdpbusd on 256-bit registers. */
#include "kernels-cpu/avx2/row.h"
#include "kernels-cpu/kernels_decl.h"

#define multiply_bytes _mm256_dpbusd_avx_epi32

#include "kernels-cpu/avx2/linear_row.h"

void q35k_linear_row__avxvnni(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens,
                              const q35k_weights *w, float *out, int64_t rs_out, int64_t begin, int64_t end,
                              void *scratch)
{
    linear_row(x, act_type, rs_x, n_tokens, w, out, rs_out, begin, end, scratch);
}
