/* SPDX-License-Identifier: Apache-2.0
 *
 * ATTENTION with AVX2 and F16C, in f32, for the shared walk (attention_walk.h). Mirrors q35k_attention__ref. Up to
 * four rows go through a page together. Scores: 8 positions give 8 vectors of partial products, added crosswise to
 * one vector. Values: 16 dimensions of four rows in 8 registers, positions in order.
 */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/simd/avx2_math.h"

#define INLINE static inline __attribute__((always_inline))

enum {
    GROUP = 4,
    WIDE_KEYS = GROUP + 1,
    VALUE_REGS = 2 /* vectors of dimensions per pass over the values */
};

#define ATTENTION_WALK_TYPES
#include "kernels-cpu/simd/attention_walk.h"

/* Elements d .. d + 7 (d a multiple of 8) of a row of Q8_0 blocks. */
INLINE __m256 load_q8(const uint8_t *at, int64_t d)
{
    const uint8_t *block = at + d / 32 * 34;
    __m128i codes = _mm_loadl_epi64((const __m128i *)(const void *)(block + 2 + d % 32));
    __m256 scale = _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(block[0] | block[1] << 8)));
    return _mm256_mul_ps(scale, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)));
}

/* 8 elements of a cache row from dimension d on; those past dim give 0. */
INLINE __m256 load_cache(const uint8_t *at, uint32_t dtype, int64_t d, int64_t dim)
{
    if (dtype == Q35_DT_Q8_0)
        return load_q8(at, d);
    if (dtype == Q35_DT_F16)
        return q35i_load_half8__avx2(at + 2 * d, dim - d);
    const float *f = (const float *)(const void *)(at + 4 * d);
    return dim - d >= 8 ? _mm256_loadu_ps(f) : _mm256_maskload_ps(f, q35i_first8(dim - d));
}

INLINE __m256 load_f32(const float *at, int64_t d, int64_t dim)
{
    return load_cache((const uint8_t *)at, Q35_DT_F32, d, dim);
}

/* Lane i of the result: the sum of the lanes of v[i], added as q35i_sum8__avx2 adds them. */
INLINE __m256 sum_across(const __m256 v[8])
{
    __m256d a[4];
    for (int i = 0; i < 4; i++)
        a[i] = _mm256_castps_pd(_mm256_add_ps(_mm256_permute2f128_ps(v[i], v[i + 4], 0x20),
                                              _mm256_permute2f128_ps(v[i], v[i + 4], 0x31)));
    __m256 x = _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(a[0], a[1])),
                             _mm256_castpd_ps(_mm256_unpackhi_pd(a[0], a[1])));
    __m256 y = _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(a[2], a[3])),
                             _mm256_castpd_ps(_mm256_unpackhi_pd(a[2], a[3])));
    return _mm256_add_ps(_mm256_shuffle_ps(x, y, 0x88), _mm256_shuffle_ps(x, y, 0xdd));
}

/* 8 dimensions of two positions. */
INLINE void multiply(int n_rows, uint32_t dtype, const row *rows, const uint8_t *k0, const uint8_t *k1, int64_t d,
                     int64_t dim, __m256 sum[2][GROUP])
{
    __m256 x = load_cache(k0, dtype, d, dim), y = load_cache(k1, dtype, d, dim);
    for (int i = 0; i < n_rows; i++) {
        __m256 q = load_f32(rows[i].q, d, dim);
        sum[0][i] = _mm256_fmadd_ps(q, x, sum[0][i]);
        sum[1][i] = _mm256_fmadd_ps(q, y, sum[1][i]);
    }
}

/* Scores of n <= 8 positions from row k on, to w[at ..]; those past n become -inf. Positions go by twos; where the
 * second is past n, the first serves again. */
INLINE void score8(int n_rows, uint32_t dtype, row *rows, float scale, const uint8_t *k, int64_t row_bytes,
                   int64_t dim, int64_t n, int64_t at)
{
    __m256 v[GROUP][8];
    for (int64_t p = 0; p < 8; p += 2, k += 2 * row_bytes) {
        __m256 sum[2][GROUP];
        const uint8_t *second = p + 1 < n ? k + row_bytes : k;
        for (int i = 0; i < n_rows; i++)
            sum[0][i] = sum[1][i] = _mm256_setzero_ps();
        int64_t d = p < n ? 0 : dim;
        for (; d + 8 <= dim; d += 8)
            multiply(n_rows, dtype, rows, k, second, d, d + 8, sum);
        if (d < dim)
            multiply(n_rows, dtype, rows, k, second, d, dim, sum);
        for (int i = 0; i < n_rows; i++) {
            v[i][p] = sum[0][i];
            v[i][p + 1] = sum[1][i];
        }
    }
    __m256 exist = _mm256_castsi256_ps(q35i_first8(n));
    for (int i = 0; i < n_rows; i++) {
        __m256 s = _mm256_mul_ps(_mm256_set1_ps(scale), sum_across(v[i]));
        _mm256_storeu_ps(rows[i].w + at, _mm256_blendv_ps(_mm256_set1_ps(-INFINITY), s, exist));
    }
}

INLINE void score_rows(int n_rows, uint32_t dtype, row *rows, float scale, const positions *k, int64_t n,
                       int64_t at)
{
    for (int64_t s = 0; s < n; s += 8)
        score8(n_rows, dtype, rows, scale, k->at + s * k->row_bytes, k->row_bytes, k->dim, n - s, at + s);
}

static void weigh(row *r, int64_t n)
{
    float *w = r->w;
    __m256 top = _mm256_set1_ps(-INFINITY), total = _mm256_setzero_ps();
    for (int64_t p = 0; p < n; p += 8)
        top = _mm256_max_ps(top, _mm256_loadu_ps(w + p));
    r->top = q35i_max8__avx2(top);
    for (int64_t p = 0; p < n; p += 8) {
        __m256 e = q35i_exp__avx2(_mm256_sub_ps(_mm256_loadu_ps(w + p), _mm256_set1_ps(r->top)));
        e = _mm256_and_ps(e, _mm256_castsi256_ps(q35i_first8(n - p)));
        _mm256_storeu_ps(w + p, e);
        total = _mm256_add_ps(total, e);
    }
    r->total = q35i_sum8__avx2(total);
}

/* acc += weights times values of n positions, dimensions d .. d + 8 regs - 1, of which the last vector may be
 * partial where it is alone. */
INLINE void add_values_part(int n_rows, uint32_t dtype, int regs, const row *rows, const positions *v, int64_t n,
                            int64_t at, int64_t d)
{
    const uint8_t *from = v->at;
    const int64_t dim = regs > 1 ? d + 8 * regs : v->dim;
    __m256 sum[GROUP][VALUE_REGS];
    for (int i = 0; i < n_rows; i++)
        for (int r = 0; r < regs; r++)
            sum[i][r] = load_f32(rows[i].acc, d + 8 * r, dim);
    for (int64_t p = at; p < at + n; p++, from += v->row_bytes) {
        __m256 x[VALUE_REGS];
        for (int r = 0; r < regs; r++)
            x[r] = load_cache(from, dtype, d + 8 * r, dim);
        for (int i = 0; i < n_rows; i++)
            for (int r = 0; r < regs; r++)
                sum[i][r] = _mm256_fmadd_ps(x[r], _mm256_set1_ps(rows[i].w[p]), sum[i][r]);
    }
    for (int i = 0; i < n_rows; i++)
        for (int r = 0; r < regs; r++)
            _mm256_maskstore_ps(rows[i].acc + d + 8 * r, q35i_first8(dim - d - 8 * r), sum[i][r]);
}

INLINE void add_values_rows(int n_rows, uint32_t dtype, const row *rows, const positions *v, int64_t n, int64_t at)
{
    int64_t d = 0;
    for (; d + 8 * VALUE_REGS <= v->dim; d += 8 * VALUE_REGS)
        add_values_part(n_rows, dtype, VALUE_REGS, rows, v, n, at, d);
    for (; d < v->dim; d += 8)
        add_values_part(n_rows, dtype, 1, rows, v, n, at, d);
}

static float exp_of(float x)
{
    return _mm256_cvtss_f32(q35i_exp__avx2(_mm256_set1_ps(x)));
}

/* n positions of f16 or Q8_0 to f32 [n][dim]. */
static void widen(const positions *from, int64_t n, float *to)
{
    for (int64_t p = 0; p < n; p++, to += from->dim)
        for (int64_t d = 0; d < from->dim; d += 8) {
            const uint8_t *at = from->at + p * from->row_bytes;
            __m256 x = from->dtype == Q35_DT_F16 ? load_cache(at, Q35_DT_F16, d, from->dim)
                                                 : load_cache(at, Q35_DT_Q8_0, d, from->dim);
            _mm256_maskstore_ps(to + d, q35i_first8(from->dim - d), x);
        }
}

#include "kernels-cpu/simd/attention_walk.h"

void q35k_attention__avx2(const q35k_attention *a, int64_t begin, int64_t end, const q35k_part *part,
                          void *scratch)
{
    walk(a, begin, end, part, scratch);
}
