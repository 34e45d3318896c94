/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR of row types with AVX2: products of bytes by vpmaddubsw, which do not saturate (row.h), and vpmaddwd. */
#include "kernels-cpu/avx2/row.h"
#include "kernels-cpu/kernels_decl.h"

Q35I_INLINE __m256i multiply_bytes(__m256i sum, __m256i magnitudes, __m256i a)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(magnitudes, a), _mm256_set1_epi16(1)));
}

/* Four inputs of n tokens, whose codes lie side by side. Vector u of w lies `stride` after vector u - 1. The sign
 * of a weight goes to the code. */
Q35I_INLINE void add_products(int n, int tiles, const __m256i *w, int stride, const uint8_t *q, __m256i (*sum)[2])
{
    for (int t = 0; t < n; t++) {
        __m256i a = _mm256_set1_epi32(q35i_load_i32(q + 4 * t));
        for (int u = 0; u < tiles; u++) {
            __m256i weights = w[u * stride];
            sum[t][u] = multiply_bytes(sum[t][u], _mm256_abs_epi8(weights), _mm256_sign_epi8(a, weights));
        }
    }
}

enum { PANEL_BIAS = 0 };
#define decode q35i_row_decode__avx2

#include "kernels-cpu/avx2/linear_row.h"

void q35k_pack_act__avx2(const void *x, uint32_t act_type, int64_t rs_x, int64_t k, int64_t n_tokens, void *panel,
                         int64_t begin, int64_t end)
{
    pack_tokens(x, act_type, rs_x, k, n_tokens, panel, begin, end);
}

void q35k_linear_row__avx2(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens, const q35k_weights *w,
                           float *out, int64_t rs_out, int64_t begin, int64_t end, void *scratch)
{
    linear_row(x, act_type, rs_x, n_tokens, w, out, rs_out, begin, end, scratch);
}
