/* SPDX-License-Identifier: Apache-2.0
 *
 * ATTENTION with AVX2 and F16C, for the shared walk (attention_walk.h). Mirrors q35k_attention__ref. Scores: the
 * 16 lanes of two rows and two positions, or of one row and four, are 8 registers; of 8 positions the halves are
 * added crosswise to one vector. Values: 16 dimensions of four rows in 8 registers, positions in order.
 */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/simd/avx2_math.h"

#define INLINE static inline __attribute__((always_inline))

enum {
    GROUP = 4,
    WIDE_KEYS = 3, /* from how many rows on keys are widened */
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

/* One run of elements, 8 at a time, as rows have no gaps. */
static void widen(const positions *from, float *to)
{
    const int64_t count = from->n * from->dim;
    int64_t i = 0;
    if (from->dtype == Q35_DT_Q8_0) {
        for (; i < count; i += 8)
            _mm256_storeu_ps(to + i, load_q8(from->at, i));
        return;
    }
    for (; i + 8 <= count; i += 8)
        _mm256_storeu_ps(to + i, load_cache(from->at, Q35_DT_F16, i, i + 8));
    _mm256_maskstore_ps(to + i, q35i_first8(count - i), load_cache(from->at, Q35_DT_F16, i, count));
}

/* Lane i of the result: q35k_lanes_sum of lanes whose halves, added, are v[i]. */
INLINE __m256 sum_across(const __m256 v[8])
{
    __m256 quarters[4]; /* of v[g] and v[g + 4] */
    for (int g = 0; g < 4; g++)
        quarters[g] = _mm256_add_ps(_mm256_permute2f128_ps(v[g], v[g + 4], 0x20),
                                    _mm256_permute2f128_ps(v[g], v[g + 4], 0x31));
    __m256 x = _mm256_add_ps(_mm256_shuffle_ps(quarters[0], quarters[1], 0x88),
                             _mm256_shuffle_ps(quarters[0], quarters[1], 0xdd));
    __m256 y = _mm256_add_ps(_mm256_shuffle_ps(quarters[2], quarters[3], 0x88),
                             _mm256_shuffle_ps(quarters[2], quarters[3], 0xdd));
    return _mm256_add_ps(_mm256_shuffle_ps(x, y, 0x88), _mm256_shuffle_ps(x, y, 0xdd));
}

/* What the rows and positions that go together multiply: sum[row][position][half]. */
enum { TOGETHER = 4 };
typedef __m256 lanes[TOGETHER][TOGETHER][2];

/* 16 dimensions of n_positions; `dim` ends those that exist. */
INLINE void multiply(int n_rows, int n_positions, uint32_t dtype, const row *rows, const uint8_t *const k[8],
                     int64_t d, int64_t dim, lanes sum)
{
    for (int half = 0; half < 2; half++, d += 8) {
        __m256 q[TOGETHER];
        for (int i = 0; i < n_rows; i++)
            q[i] = load_f32(rows[i].q, d, dim);
        for (int i = 0; i < n_rows; i++)
            __asm__("" : "+x"(q[i])); /* in a register: gcc would load it again for each position */
        for (int p = 0; p < n_positions; p++) {
            __m256 x = load_cache(k[p], dtype, d, dim);
            __asm__("" : "+x"(x));
            for (int i = 0; i < n_rows; i++)
                sum[i][p][half] = _mm256_fmadd_ps(q[i], x, sum[i][p][half]);
        }
    }
}

/* Scores of positions s .. s + 7 of a page, of which n exist, the others being read as the first of them. */
INLINE void score8(int n_rows, uint32_t dtype, const row *rows, float scale, const positions *k, int64_t s,
                   int64_t n, int64_t at)
{
    const int n_positions = TOGETHER / n_rows;
    const uint8_t *from[8];
    __m256 v[2][8];
    for (int p = 0; p < 8; p++)
        from[p] = k->at + (p < n ? s + p : s) * k->row_bytes;
    for (int p = 0; p < 8; p += n_positions) {
        lanes sum;
        for (int i = 0; i < n_rows; i++)
            for (int j = 0; j < n_positions; j++)
                sum[i][j][0] = sum[i][j][1] = _mm256_setzero_ps();
        int64_t d = 0;
        for (; d + 16 <= k->dim; d += 16)
            multiply(n_rows, n_positions, dtype, rows, from + p, d, d + 16, sum);
        if (d < k->dim)
            multiply(n_rows, n_positions, dtype, rows, from + p, d, k->dim, sum);
        for (int i = 0; i < n_rows; i++)
            for (int j = 0; j < n_positions; j++)
                v[i][p + j] = _mm256_add_ps(sum[i][j][0], sum[i][j][1]);
    }
    for (int i = 0; i < n_rows; i++) {
        __m256 exist = _mm256_castsi256_ps(q35i_first8(seen_of(&rows[i], k->first + s, 8)));
        __m256 scores = _mm256_mul_ps(sum_across(v[i]), _mm256_set1_ps(scale));
        _mm256_storeu_ps(rows[i].w + at + s, _mm256_blendv_ps(_mm256_set1_ps(-INFINITY), scores, exist));
    }
}

/* One or two rows. */
INLINE void score_rows(int n_rows, uint32_t dtype, const row *rows, float scale, const positions *k, int64_t at)
{
    const int64_t n = seen_of(&rows[n_rows - 1], k->first, k->n);
    for (int64_t s = 0; s < n; s += 8)
        score8(n_rows, dtype, rows, scale, k, s, n - s, at);
    if ((n + 7) / 8 % 2)
        for (int i = 0; i < n_rows; i++)
            _mm256_storeu_ps(rows[i].w + at + (n + 7) / 8 * 8, _mm256_set1_ps(-INFINITY));
}

INLINE void score_pairs(int n_rows, uint32_t dtype, const row *rows, float scale, const positions *k, int64_t at)
{
    int i = 0;
    for (; i + 2 <= n_rows; i += 2)
        score_rows(2, dtype, &rows[i], scale, k, at);
    if (i < n_rows)
        score_rows(1, dtype, &rows[i], scale, k, at);
}

static void score(int n_rows, const row *rows, float scale, const positions *k, int64_t at)
{
    if (k->dtype == Q35_DT_F16)
        score_pairs(n_rows, Q35_DT_F16, rows, scale, k, at);
    else if (k->dtype == Q35_DT_Q8_0)
        score_pairs(n_rows, Q35_DT_Q8_0, rows, scale, k, at);
    else
        score_pairs(n_rows, Q35_DT_F32, rows, scale, k, at);
}

static void find_top(row *r, int64_t n)
{
    __m256 top = _mm256_set1_ps(-INFINITY);
    for (int64_t p = 0; p < n; p += 8)
        top = _mm256_max_ps(top, _mm256_loadu_ps(r->w + p));
    r->top = q35i_max8__avx2(top);
}

static void weigh(row *r, int64_t n)
{
    const __m256 top = _mm256_set1_ps(r->top);
    __m256 lane[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    for (int64_t p = 0; p < n; p += 16)
        for (int half = 0; half < 2; half++) {
            float *at = r->w + p + 8 * half;
            __m256 e = q35i_exp__avx2(_mm256_sub_ps(_mm256_loadu_ps(at), top));
            _mm256_storeu_ps(at, e);
            lane[half] = _mm256_add_ps(lane[half], e);
        }
    r->total = q35i_lanes_sum__avx2(lane[0], lane[1]);
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

static positions lay_keys(const positions *page, int n_rows, float *tile)
{
    return n_rows < WIDE_KEYS ? *page : widened(page, tile);
}

#include "kernels-cpu/simd/attention_walk.h"

void q35k_attention__avx2(const q35k_attention *a, int64_t begin, int64_t end, const q35k_part *part,
                          void *scratch)
{
    walk(a, begin, end, part, scratch);
}
