/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR of row types with AVX2: what the shared walk (row_walk.h) needs. Mirrors q35k_linear_row__ref: the same
 * bits.
 */
#include "kernels-cpu/avx2/row.h"
#include "kernels-cpu/kernels_decl.h"

enum {
    Q35I_ROW_BLOCK = 4, /* by 16 rows: 8 sums in registers */
    ROW_BIAS = 0
};

typedef __m256i q35i_ints;
typedef __m256 q35i_floats;

#define splat_int    _mm256_set1_epi32
#define splat_float  _mm256_set1_ps
#define to_float     _mm256_cvtepi32_ps
#define multiply_add _mm256_fmadd_ps
#define multiply     _mm256_mul_ps
#define decode       q35i_row_decode__avx2
#define dot_f32      q35i_dot_f32__avx2

/* Four inputs. Vector u of w lies CHUNK_VECTORS after vector u - 1. Nothing saturates: row.h. */
Q35I_INLINE void add_products(int n, int tiles, const __m256i *w, const uint8_t *q, int64_t rs, __m256i (*sum)[2])
{
    const __m256i ones = _mm256_set1_epi16(1);
    for (int t = 0; t < n; t++) {
        int32_t codes;
        memcpy(&codes, q + t * rs, 4);
        __m256i a = _mm256_set1_epi32(codes);
        for (int u = 0; u < tiles; u++) {
            __m256i weights = w[u * (Q35I_CHUNK / 4)], magnitude = _mm256_abs_epi8(weights);
            __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(a, weights));
            sum[t][u] = _mm256_add_epi32(sum[t][u], _mm256_madd_epi16(pairs, ones));
        }
    }
}

/* One rounding per weight. */
static void chunk_to_f32(const __m256i *w, int inputs, __m256 scale, __m256 *out)
{
    for (int i = 0; i < inputs; i++) {
        __m256i level = _mm256_srai_epi32(_mm256_slli_epi32(w[i / 4], 24 - 8 * (i % 4)), 24);
        out[i] = _mm256_mul_ps(scale, _mm256_cvtepi32_ps(level));
    }
}

static inline __m256 load_scales(const void *p)
{
    return _mm256_loadu_ps(p);
}

/* One NaN for all, as the contract says. */
static inline void store_rows(float *out, int64_t n_rows, __m256 y)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256 nan = _mm256_cmp_ps(y, y, _CMP_UNORD_Q);
    y = _mm256_blendv_ps(y, _mm256_castsi256_ps(_mm256_set1_epi32(0x7fc00000)), nan);
    _mm256_maskstore_ps(out, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n_rows), lane), y);
}

#include "kernels-cpu/simd/row_walk.h"

void q35k_linear_row__avx2(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens, const q35k_weights *w,
                           float *out, int64_t rs_out, int64_t begin, int64_t end, void *scratch)
{
    if (n_tokens <= 0 || begin >= end)
        return;
    work *wk = scratch;
    q35i_row_load_book__avx2(w, &wk->book);
    const job j = {w, x, act_type, rs_x, out, rs_out, wk};
    walk(&j, n_tokens, begin, end);
}
