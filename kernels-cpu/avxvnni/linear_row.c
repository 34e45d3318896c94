/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR of row types with AVX2 and AVX-VNNI: vpdpbusd on 256-bit registers, which does not saturate, so that for
 * many tokens weights are levels plus 128 and need no signs. */
#include "kernels-cpu/avx2/row.h"
#include "kernels-cpu/kernels_decl.h"

#define multiply_bytes _mm256_dpbusd_avx_epi32

enum { PANEL_BIAS = 128 };

static void decode(const q35k_weights *m, int64_t r0, int64_t n_rows, int64_t k0, int sets,
                   const q35i_row_book *book, __m256i *w)
{
    q35i_row_decode__avx2(m, r0, n_rows, k0, sets, book, w);
    for (int i = 0; i < 16 * sets; i++)
        w[i] = _mm256_xor_si256(w[i], _mm256_set1_epi8((char)PANEL_BIAS));
}

/* Four inputs of n tokens, whose codes lie side by side. Vector u of w lies `stride` after vector u - 1. */
Q35I_INLINE void add_products(int n, int tiles, const __m256i *w, int stride, const uint8_t *q, __m256i (*sum)[2])
{
    for (int t = 0; t < n; t++) {
        __m256i a = _mm256_set1_epi32(q35i_load_i32(q + 4 * t));
        for (int u = 0; u < tiles; u++)
            sum[t][u] = multiply_bytes(sum[t][u], w[u * stride], a);
    }
}

#include "kernels-cpu/avx2/linear_row.h"

void q35k_pack_act__avxvnni(const void *x, uint32_t act_type, int64_t rs_x, int64_t k, int64_t n_tokens,
                            void *panel, int64_t begin, int64_t end)
{
    pack_tokens(x, act_type, rs_x, k, n_tokens, panel, begin, end);
}

void q35k_linear_row__avxvnni(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens,
                              const q35k_weights *w, float *out, int64_t rs_out, int64_t begin, int64_t end,
                              void *scratch)
{
    linear_row(x, act_type, rs_x, n_tokens, w, out, rs_out, begin, end, scratch);
}
