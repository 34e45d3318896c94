/* SPDX-License-Identifier: Apache-2.0
 *
 * ATTENTION with AVX-512, in f32, for the shared walk (attention_walk.h). Mirrors q35k_attention__ref. Up to four
 * rows go through a page together. Scores: 16 positions give 16 vectors of partial products, added crosswise to
 * one vector. Values: 64 dimensions of four rows in 16 registers, positions in order.
 */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/simd/avx512_math.h"

#define INLINE static inline __attribute__((always_inline))

enum {
    GROUP = 4,
    WIDE_KEYS = 2,
    VALUE_REGS = 4 /* vectors of dimensions per pass over the values */
};

#define ATTENTION_WALK_TYPES
#include "kernels-cpu/simd/attention_walk.h"

/* Elements d .. d + 15 (d a multiple of 16) of a row of Q8_0 blocks. */
INLINE __m512 load_q8(const uint8_t *at, int64_t d)
{
    const uint8_t *block = at + d / 32 * 34;
    __m128i codes = _mm_loadu_si128((const __m128i *)(const void *)(block + 2 + d % 32));
    __m512 scale = _mm512_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(block[0] | block[1] << 8)));
    return _mm512_mul_ps(scale, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes)));
}

/* 16 elements of a cache row from dimension d on; m: those that exist. */
INLINE __m512 load_cache(const uint8_t *at, uint32_t dtype, int64_t d, __mmask16 m)
{
    if (dtype == Q35_DT_Q8_0)
        return load_q8(at, d);
    if (dtype == Q35_DT_F16)
        return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(m, (const void *)(at + 2 * d)));
    return _mm512_maskz_loadu_ps(m, (const void *)(at + 4 * d));
}

/* Lane i of the result: the sum of the lanes of v[i]. */
INLINE __m512 sum_across(const __m512 v[16])
{
    __m512 a[8], b[4];
    for (int i = 0; i < 8; i++)
        a[i] =
            _mm512_add_ps(_mm512_unpacklo_ps(v[2 * i], v[2 * i + 1]), _mm512_unpackhi_ps(v[2 * i], v[2 * i + 1]));
    for (int i = 0; i < 4; i++) {
        __m512d x = _mm512_castps_pd(a[2 * i]), y = _mm512_castps_pd(a[2 * i + 1]);
        b[i] =
            _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)), _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
    }
    /* b[i], quarter q: partial sums of v[4 i .. 4 i + 3]. Quarters are added crosswise. */
    __m512 x = _mm512_add_ps(_mm512_shuffle_f32x4(b[0], b[1], 0x88), _mm512_shuffle_f32x4(b[0], b[1], 0xdd));
    __m512 y = _mm512_add_ps(_mm512_shuffle_f32x4(b[2], b[3], 0x88), _mm512_shuffle_f32x4(b[2], b[3], 0xdd));
    return _mm512_add_ps(_mm512_shuffle_f32x4(x, y, 0x88), _mm512_shuffle_f32x4(x, y, 0xdd));
}

/* 16 dimensions of two positions; m: those that exist. */
INLINE void multiply(int n_rows, uint32_t dtype, const row *rows, const uint8_t *k0, const uint8_t *k1, int64_t d,
                     __mmask16 m, __m512 sum[2][GROUP])
{
    __m512 x = load_cache(k0, dtype, d, m), y = load_cache(k1, dtype, d, m);
    for (int i = 0; i < n_rows; i++) {
        __m512 q = _mm512_maskz_loadu_ps(m, rows[i].q + d);
        sum[0][i] = _mm512_fmadd_ps(q, x, sum[0][i]);
        sum[1][i] = _mm512_fmadd_ps(q, y, sum[1][i]);
    }
}

/* Scores of n <= 16 positions from row k on, to w[at ..]; those past n become -inf. Positions go by twos; where
 * the second is past n, the first serves again. */
INLINE void score16(int n_rows, uint32_t dtype, row *rows, float scale, const uint8_t *k, int64_t row_bytes,
                    int64_t dim, int64_t n, int64_t at)
{
    __m512 v[GROUP][16];
    for (int64_t p = 0; p < 16; p += 2, k += 2 * row_bytes) {
        __m512 sum[2][GROUP];
        const uint8_t *second = p + 1 < n ? k + row_bytes : k;
        for (int i = 0; i < n_rows; i++)
            sum[0][i] = sum[1][i] = _mm512_setzero_ps();
        int64_t d = p < n ? 0 : dim;
        for (; d + 16 <= dim; d += 16)
            multiply(n_rows, dtype, rows, k, second, d, 0xffff, sum);
        if (d < dim)
            multiply(n_rows, dtype, rows, k, second, d, q35i_first16(dim - d), sum);
        for (int i = 0; i < n_rows; i++) {
            v[i][p] = sum[0][i];
            v[i][p + 1] = sum[1][i];
        }
    }
    for (int i = 0; i < n_rows; i++) {
        __m512 s = _mm512_mul_ps(sum_across(v[i]), _mm512_set1_ps(scale));
        s = _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), q35i_first16(n), s);
        _mm512_storeu_ps(rows[i].w + at, s);
    }
}

/* The same for one row over f32 keys of `dim`, a constant multiple of 16: the sums of 16 positions stay in
 * registers. Positions past n are read from the page or the tile, and not used. */
INLINE void score16_dense(const row *r, float scale, const float *k, int64_t dim, int64_t n, int64_t at)
{
    __m512 sum[16];
    for (int p = 0; p < 16; p++)
        sum[p] = _mm512_setzero_ps();
    for (int64_t d = 0; d < dim; d += 16) {
        __m512 q = _mm512_loadu_ps(r->q + d);
        for (int p = 0; p < 16; p++)
            sum[p] = _mm512_fmadd_ps(q, _mm512_loadu_ps(k + p * dim + d), sum[p]);
    }
    __m512 s = _mm512_mul_ps(sum_across(sum), _mm512_set1_ps(scale));
    s = _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), q35i_first16(n), s);
    _mm512_storeu_ps(r->w + at, s);
}

INLINE void score_dense(int n_rows, const row *rows, float scale, const positions *k, int64_t dim, int64_t n,
                        int64_t at)
{
    for (int i = 0; i < n_rows; i++)
        for (int64_t s = 0; s < n; s += 16)
            score16_dense(&rows[i], scale, (const float *)(const void *)k->at + s * dim, dim, n - s, at + s);
}

INLINE void score_rows(int n_rows, uint32_t dtype, row *rows, float scale, const positions *k, int64_t n,
                       int64_t at)
{
    if (dtype == Q35_DT_F32 && k->dim == 64) {
        score_dense(n_rows, rows, scale, k, 64, n, at);
        return;
    }
    if (dtype == Q35_DT_F32 && k->dim == 128) {
        score_dense(n_rows, rows, scale, k, 128, n, at);
        return;
    }
    for (int64_t s = 0; s < n; s += 16)
        score16(n_rows, dtype, rows, scale, k->at + s * k->row_bytes, k->row_bytes, k->dim, n - s, at + s);
}

static void weigh(row *r, int64_t n)
{
    float *w = r->w;
    __m512 top = _mm512_set1_ps(-INFINITY), total = _mm512_setzero_ps();
    for (int64_t p = 0; p < n; p += 16)
        top = _mm512_max_ps(top, _mm512_loadu_ps(w + p));
    r->top = q35i_max16__avx512(top);
    for (int64_t p = 0; p < n; p += 16) {
        __m512 e = q35i_exp__avx512(_mm512_sub_ps(_mm512_loadu_ps(w + p), _mm512_set1_ps(r->top)));
        e = _mm512_maskz_mov_ps(q35i_first16(n - p), e);
        _mm512_storeu_ps(w + p, e);
        total = _mm512_add_ps(total, e);
    }
    r->total = q35i_sum16__avx512(total);
}

/* acc += weights times values of n positions. Vectors d .. d + 16 regs - 1; the last one may be partial. */
INLINE void add_values_part(int n_rows, uint32_t dtype, int regs, const row *rows, const positions *v, int64_t n,
                            int64_t at, int64_t d)
{
    const uint8_t *from = v->at;
    __mmask16 m[VALUE_REGS];
    __m512 sum[GROUP][VALUE_REGS];
    for (int r = 0; r < regs; r++) {
        m[r] = regs > 1 ? 0xffff : q35i_first16(v->dim - d);
        for (int i = 0; i < n_rows; i++)
            sum[i][r] = _mm512_maskz_loadu_ps(m[r], rows[i].acc + d + 16 * r);
    }
    for (int64_t p = at; p < at + n; p++, from += v->row_bytes)
        for (int r = 0; r < regs; r++) {
            __m512 x = load_cache(from, dtype, d + 16 * r, m[r]);
            for (int i = 0; i < n_rows; i++)
                sum[i][r] = _mm512_fmadd_ps(x, _mm512_set1_ps(rows[i].w[p]), sum[i][r]);
        }
    for (int r = 0; r < regs; r++)
        for (int i = 0; i < n_rows; i++)
            _mm512_mask_storeu_ps(rows[i].acc + d + 16 * r, m[r], sum[i][r]);
}

INLINE void add_values_rows(int n_rows, uint32_t dtype, const row *rows, const positions *v, int64_t n, int64_t at)
{
    int64_t d = 0;
    for (; d + 16 * VALUE_REGS <= v->dim; d += 16 * VALUE_REGS)
        add_values_part(n_rows, dtype, VALUE_REGS, rows, v, n, at, d);
    for (; d < v->dim; d += 16)
        add_values_part(n_rows, dtype, 1, rows, v, n, at, d);
}

static float exp_of(float x)
{
    return _mm512_cvtss_f32(q35i_exp__avx512(_mm512_set1_ps(x)));
}

/* n positions of f16 or Q8_0 to f32 [n][dim]: one run of elements, 16 at a time, as rows have no gaps. */
static void widen(const positions *from, int64_t n, float *to)
{
    const int64_t count = n * from->dim;
    int64_t i = 0;
    if (from->dtype == Q35_DT_Q8_0) {
        for (; i < count; i += 16)
            _mm512_storeu_ps(to + i, load_q8(from->at, i));
        return;
    }
    for (; i + 16 <= count; i += 16)
        _mm512_storeu_ps(to + i, load_cache(from->at, Q35_DT_F16, i, 0xffff));
    _mm512_mask_storeu_ps(to + i, q35i_first16(count - i),
                          load_cache(from->at, Q35_DT_F16, i, q35i_first16(count - i)));
}

#include "kernels-cpu/simd/attention_walk.h"

void q35k_attention__avx512(const q35k_attention *a, int64_t begin, int64_t end, const q35k_part *part,
                            void *scratch)
{
    walk(a, begin, end, part, scratch);
}
