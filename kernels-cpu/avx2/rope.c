/* SPDX-License-Identifier: Apache-2.0
 *
 * ROPE with AVX2: the sines and cosines of four pairs at a time (q35k_sincos), used for every head of the token.
 * Mirrors q35k_rope__ref.
 */
#include "kernels-cpu/kernels_decl.h"

#include <immintrin.h>

typedef struct sincos {
    __m256d sin, cos;
} sincos;

/* c[0] + c[1] z + ... + c[n-1] z^(n-1) */
static inline __m256d polynomial(__m256d z, const double *c, int n)
{
    __m256d p = _mm256_set1_pd(c[n - 1]);
    for (int i = n - 2; i >= 0; i--)
        p = _mm256_fmadd_pd(p, z, _mm256_set1_pd(c[i]));
    return p;
}

/* q35k_sincos */
static inline sincos sincos4(__m256d a)
{
    __m256d n = _mm256_round_pd(_mm256_mul_pd(a, _mm256_set1_pd(Q35K_TWO_OVER_PI)),
                                _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256d r = _mm256_fnmadd_pd(n, _mm256_set1_pd(Q35K_HALF_PI), a);
    r = _mm256_fnmadd_pd(n, _mm256_set1_pd(Q35K_HALF_PI_REST), r);
    __m256d z = _mm256_mul_pd(r, r);
    __m256d s = _mm256_mul_pd(r, polynomial(z, q35k_sine_series, 8)), c = polynomial(z, q35k_cosine_series, 9);

    /* quadrant n mod 4: odd ones swap the two; sine is negative in 2 and 3, cosine in 1 and 2 */
    __m256i quadrant = _mm256_cvtepi32_epi64(_mm256_cvtpd_epi32(n));
    __m256d swap = _mm256_castsi256_pd(_mm256_slli_epi64(quadrant, 63));
    __m256i minus_sin = _mm256_slli_epi64(_mm256_srli_epi64(quadrant, 1), 63);
    __m256i minus_cos = _mm256_xor_si256(_mm256_slli_epi64(quadrant, 63), minus_sin);
    return (sincos){_mm256_xor_pd(_mm256_blendv_pd(s, c, swap), _mm256_castsi256_pd(minus_sin)),
                    _mm256_xor_pd(_mm256_blendv_pd(c, s, swap), _mm256_castsi256_pd(minus_cos))};
}

/* f32 of four doubles, each twice: v0 v0 v1 v1 v2 v2 v3 v3 */
static inline __m256 twice(__m256d v)
{
    __m128 f = _mm256_cvtpd_ps(v);
    return _mm256_set_m128(_mm_unpackhi_ps(f, f), _mm_unpacklo_ps(f, f));
}

static void rope_row(const float *x, float *y, const q35k_rope *rope, int64_t position)
{
    const int64_t n_pairs = rope->n_rot / 2, head_dim = rope->head_dim;
    const float factor = q35k_rope_temperature(rope, position);
    for (int64_t i = 0; i < n_pairs; i += 4) {
        int left = n_pairs - i < 4 ? (int)(n_pairs - i) : 4;
        __m128i pairs = _mm_cmpgt_epi32(_mm_set1_epi32(left), _mm_setr_epi32(0, 1, 2, 3));
        __m256i elements =
            _mm256_cmpgt_epi32(_mm256_set1_epi32(2 * left), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        __m128 angle = _mm_mul_ps(_mm_set1_ps((float)position), _mm_maskload_ps(rope->inv_freq + i, pairs));
        sincos sc = sincos4(_mm256_cvtps_pd(angle));
        __m256 c = twice(sc.cos), s = twice(sc.sin);
        for (int64_t h = 0; h < rope->n_heads; h++) {
            __m256 v = _mm256_maskload_ps(x + h * head_dim + 2 * i, elements);
            __m256 swapped = _mm256_permute_ps(v, 0xb1);
            v = _mm256_fmaddsub_ps(v, c, _mm256_mul_ps(swapped, s));
            _mm256_maskstore_ps(y + h * head_dim + 2 * i, elements, _mm256_mul_ps(v, _mm256_set1_ps(factor)));
        }
    }
    for (int64_t h = 0; h < rope->n_heads; h++)
        for (int64_t d = rope->n_rot; d < head_dim; d++)
            y[h * head_dim + d] = x[h * head_dim + d] * factor;
}

void q35k_rope__avx2(const float *x, float *y, int64_t rs, const q35k_rope *rope, const int32_t *positions,
                     int64_t begin, int64_t end)
{
    int64_t step = rs / (int64_t)sizeof(float);
    for (int64_t t = begin; t < end; t++)
        rope_row(x + t * step, y + t * step, rope, positions[t]);
}
