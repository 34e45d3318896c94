/* SPDX-License-Identifier: Apache-2.0
 *
 * ATTENTION with AVX-512, for the shared walk (attention_walk.h). Mirrors q35k_attention__ref. Scores of few rows:
 * 16 positions give 16 vectors of lanes, added crosswise to one vector. Of many rows: keys lie as quarters, four
 * lanes of four positions in a vector, so that all but the last four lanes are added without crossing; three rows
 * share what is loaded. Values: 64 dimensions of four rows in 16 registers, positions in order.
 */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/simd/avx512_math.h"

#define INLINE static inline __attribute__((always_inline))

enum {
    GROUP = 4,
    QUARTERS = INT32_MAX, /* a layout of keys, beside the types of the cache */
    QUARTERS_ROWS = 6,    /* from how many rows on it pays */
    SCORE_ROWS = 3,       /* rows that share what is loaded of quarters: 24 sums, as many as there is room for */
    VALUE_REGS = 4        /* vectors of dimensions per pass over the values */
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

/* Lanes 4 t + g: q35k_lanes_sum of a position whose last four lanes are quarter t of v[g]. */
INLINE __m512 sum_quarters(const __m512 v[4])
{
    __m512 x = _mm512_add_ps(_mm512_shuffle_ps(v[0], v[1], 0x88), _mm512_shuffle_ps(v[0], v[1], 0xdd));
    __m512 y = _mm512_add_ps(_mm512_shuffle_ps(v[2], v[3], 0x88), _mm512_shuffle_ps(v[2], v[3], 0xdd));
    return _mm512_add_ps(_mm512_shuffle_ps(x, y, 0x88), _mm512_shuffle_ps(x, y, 0xdd));
}

/* Lane i of the result: q35k_lanes_sum of v[i]. */
INLINE __m512 sum_across(const __m512 v[16])
{
    __m512 quarters[4];
    for (int g = 0; g < 4; g++) {
        __m512 half[2];
        for (int i = 0; i < 2; i++) {
            __m512 a = v[g + 8 * i], b = v[g + 8 * i + 4];
            half[i] = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
        }
        quarters[g] = _mm512_add_ps(_mm512_shuffle_f32x4(half[0], half[1], 0x88),
                                    _mm512_shuffle_f32x4(half[0], half[1], 0xdd));
    }
    return sum_quarters(quarters);
}

/* Scores of 16 positions, of which a row sees the first n, or none (n < 0); the others become -inf. */
INLINE void put_scores(const row *r, __m512 sums, float scale, int64_t n, int64_t at)
{
    __m512 s = _mm512_mul_ps(sums, _mm512_set1_ps(scale));
    _mm512_storeu_ps(r->w + at, _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), q35i_first16(n > 0 ? n : 0), s));
}

/* One run of elements, 16 at a time, as rows have no gaps. */
static void widen(const positions *from, float *to)
{
    const int64_t count = from->n * from->dim;
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

/* ---- few rows: one at a time, keys as they lie in the cache, or widened. Positions that the row does not see are
 * read too, from the page, and not used ---- */

/* Scores of positions s .. s + 15 of a page; dim and row_bytes: of k, constants where that makes it faster. */
INLINE void score16(const row *r, uint32_t dtype, int64_t dim, int64_t row_bytes, float scale, const positions *k,
                    int64_t s, int64_t at)
{
    const uint8_t *from = k->at + s * row_bytes;
    __m512 sum[16];
    for (int p = 0; p < 16; p++)
        sum[p] = _mm512_setzero_ps();
    int64_t d = 0;
    for (; d + 16 <= dim; d += 16) {
        __m512 q = _mm512_loadu_ps(r->q + d);
        for (int p = 0; p < 16; p++)
            sum[p] = _mm512_fmadd_ps(q, load_cache(from + p * row_bytes, dtype, d, 0xffff), sum[p]);
    }
    if (d < dim) {
        const __mmask16 m = q35i_first16(dim - d);
        __m512 q = _mm512_maskz_loadu_ps(m, r->q + d);
        for (int p = 0; p < 16; p++)
            sum[p] = _mm512_fmadd_ps(q, load_cache(from + p * row_bytes, dtype, d, m), sum[p]);
    }
    put_scores(r, sum_across(sum), scale, seen_of(r, k->first + s, 16), at + s);
}

INLINE void score_row(const row *r, uint32_t dtype, int64_t dim, int64_t row_bytes, float scale,
                      const positions *k, int64_t at)
{
    const int64_t n = seen_of(r, k->first, k->n);
    for (int64_t s = 0; s < n; s += 16)
        score16(r, dtype, dim, row_bytes, scale, k, s, at);
}

static void score_rows(int n_rows, const row *rows, float scale, const positions *k, int64_t at)
{
    for (int i = 0; i < n_rows; i++) {
        if (k->dtype == Q35_DT_F16)
            score_row(&rows[i], Q35_DT_F16, k->dim, k->row_bytes, scale, k, at);
        else if (k->dtype == Q35_DT_Q8_0)
            score_row(&rows[i], Q35_DT_Q8_0, k->dim, k->row_bytes, scale, k, at);
        else if (k->dim == 64)
            score_row(&rows[i], Q35_DT_F32, 64, 256, scale, k, at);
        else if (k->dim == 128)
            score_row(&rows[i], Q35_DT_F32, 128, 512, scale, k, at);
        else
            score_row(&rows[i], Q35_DT_F32, k->dim, k->row_bytes, scale, k, at);
    }
}

/* ---- many rows: keys as quarters, [PAGE / 16][4 m][4 g][dim / 16][16]: dimensions 4 m .. 4 m + 3 of a block of
 * 16 of positions g, g + 4, g + 8 and g + 12 ---- */

INLINE void lay_quarters(uint32_t dtype, const positions *page, float *tile)
{
    const int64_t dim = page->dim;
    for (int64_t s = 0; s < PAGE; s += 16, tile += 16 * dim)
        for (int64_t g = 0; g < 4; g++)
            for (int64_t d = 0; d < dim; d += 16) {
                const uint8_t *at = page->at + (s + g) * page->row_bytes;
                float *to = tile + g * dim + d;
                __m512 v[4];
                for (int i = 0; i < 4; i++)
                    v[i] = load_cache(at + 4 * i * page->row_bytes, dtype, d, 0xffff);
                __m512 a = _mm512_shuffle_f32x4(v[0], v[1], 0x44), b = _mm512_shuffle_f32x4(v[2], v[3], 0x44);
                _mm512_storeu_ps(to, _mm512_shuffle_f32x4(a, b, 0x88));
                _mm512_storeu_ps(to + 4 * dim, _mm512_shuffle_f32x4(a, b, 0xdd));
                a = _mm512_shuffle_f32x4(v[0], v[1], 0xee);
                b = _mm512_shuffle_f32x4(v[2], v[3], 0xee);
                _mm512_storeu_ps(to + 8 * dim, _mm512_shuffle_f32x4(a, b, 0x88));
                _mm512_storeu_ps(to + 12 * dim, _mm512_shuffle_f32x4(a, b, 0xdd));
            }
}

/* Sums of 16 positions for each of several rows: four lanes of each. */
typedef __m512 quarters[SCORE_ROWS][4];

/* Lanes i + i + 8 of the sums of 16 positions, for the four lanes i from 4 m on. tile: quarters m. */
INLINE void multiply_quarters(int n_rows, const row *rows, const float *tile, int64_t dim, int m, quarters sum)
{
    quarters high;
    for (int i = 0; i < n_rows; i++)
        for (int g = 0; g < 4; g++)
            sum[i][g] = high[i][g] = _mm512_setzero_ps();
    for (int64_t d = 0; d < dim; d += 16)
        for (int h = 0; h < 2; h++) {
            __m512 k[4];
            for (int g = 0; g < 4; g++) {
                k[g] = _mm512_loadu_ps(tile + (8 * h + g) * dim + d);
                /* In a register: gcc would load it again for each row. */
                __asm__("" : "+v"(k[g]));
            }
            for (int i = 0; i < n_rows; i++) {
                __m512 q = _mm512_broadcast_f32x4(_mm_loadu_ps(rows[i].q + 4 * m + 8 * h + d));
                for (int g = 0; g < 4; g++) {
                    __m512 *to = h ? &high[i][g] : &sum[i][g];
                    *to = _mm512_fmadd_ps(q, k[g], *to);
                }
            }
        }
    for (int i = 0; i < n_rows; i++)
        for (int g = 0; g < 4; g++)
            sum[i][g] = _mm512_add_ps(sum[i][g], high[i][g]);
}

/* Up to SCORE_ROWS rows. */
INLINE void score_quarters(int n_rows, const row *rows, float scale, const positions *k, int64_t at)
{
    const float *tile = (const float *)(const void *)k->at;
    const int64_t n = seen_of(&rows[n_rows - 1], k->first, k->n), step = 4 * k->dim;
    for (int64_t s = 0; s < n; s += 16, tile += 4 * step) {
        quarters even, odd;
        multiply_quarters(n_rows, rows, tile, k->dim, 0, even);
        multiply_quarters(n_rows, rows, tile + step, k->dim, 1, odd);
        for (int i = 0; i < n_rows; i++) {
            for (int g = 0; g < 4; g++)
                odd[i][g] = _mm512_add_ps(even[i][g], odd[i][g]);
            put_scores(&rows[i], sum_quarters(odd[i]), scale, seen_of(&rows[i], k->first + s, 16), at + s);
        }
    }
}

static positions lay_keys(const positions *page, int n_rows, float *tile)
{
    positions keys = *page;
    if (n_rows < 2)
        return keys;
    if (n_rows < QUARTERS_ROWS || page->dim % 16 != 0)
        return widened(page, tile);
    if (page->dtype == Q35_DT_F16)
        lay_quarters(Q35_DT_F16, page, tile);
    else if (page->dtype == Q35_DT_Q8_0)
        lay_quarters(Q35_DT_Q8_0, page, tile);
    else
        lay_quarters(Q35_DT_F32, page, tile);
    keys.at = (const uint8_t *)tile;
    keys.dtype = QUARTERS;
    return keys;
}

/* The next rows' queries: all of them, beside the keys, are more than L1 holds. */
INLINE void ask_for_queries(const row *rows, int n_rows, int64_t dim)
{
    for (int i = 0; i < n_rows && i < SCORE_ROWS; i++)
        for (int64_t d = 0; d < dim; d += 16)
            __builtin_prefetch(rows[i].q + d);
}

static void score(int n_rows, const row *rows, float scale, const positions *k, int64_t at)
{
    if (k->dtype != QUARTERS) {
        score_rows(n_rows, rows, scale, k, at);
        return;
    }
    int i = 0;
    for (; i + SCORE_ROWS <= n_rows; i += SCORE_ROWS) {
        ask_for_queries(&rows[i + SCORE_ROWS], n_rows - i - SCORE_ROWS, k->dim);
        score_quarters(SCORE_ROWS, &rows[i], scale, k, at);
    }
    if (n_rows - i == 2)
        score_quarters(2, &rows[i], scale, k, at);
    else if (n_rows - i == 1)
        score_quarters(1, &rows[i], scale, k, at);
}

/* ---- weights and values ---- */

static void find_top(row *r, int64_t n)
{
    __m512 top = _mm512_set1_ps(-INFINITY);
    for (int64_t p = 0; p < n; p += 16)
        top = _mm512_max_ps(top, _mm512_loadu_ps(r->w + p));
    r->top = q35i_max16__avx512(top);
}

static void weigh(row *r, int64_t n)
{
    const __m512 top = _mm512_set1_ps(r->top);
    __m512 total = _mm512_setzero_ps();
    for (int64_t p = 0; p < n; p += 16) {
        __m512 e = q35i_exp__avx512(_mm512_sub_ps(_mm512_loadu_ps(r->w + p), top));
        _mm512_storeu_ps(r->w + p, e);
        total = _mm512_add_ps(total, e);
    }
    r->total = q35i_lanes_sum__avx512(total);
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

#include "kernels-cpu/simd/attention_walk.h"

void q35k_attention__avx512(const q35k_attention *a, int64_t begin, int64_t end, const q35k_part *part,
                            void *scratch)
{
    walk(a, begin, end, part, scratch);
}
