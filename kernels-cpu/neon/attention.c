/* SPDX-License-Identifier: Apache-2.0
 *
 * ATTENTION with NEON, for the shared walk (attention_walk.h). Mirrors q35k_attention__ref. Scores: the 16 lanes
 * of two rows and two positions, or of one row and four, are 16 registers; of 4 positions the quarters are added
 * crosswise to one vector. Values: 16 dimensions of four rows in 16 registers, positions in order. */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/simd/neon_math.h"

#define INLINE static inline __attribute__((always_inline))

enum {
    GROUP = 4,
    WIDE_KEYS = 3, /* from how many rows on keys are widened */
    LANES = 4,     /* of a vector */
    VALUE_REGS = 4 /* vectors of dimensions per pass over the values */
};

#define ATTENTION_WALK_TYPES
#include "kernels-cpu/simd/attention_walk.h"

/* Elements d .. d + 3 (d a multiple of 4) of a row of Q8_0 blocks. */
INLINE float32x4_t load_q8(const uint8_t *at, int64_t d)
{
    const uint8_t *block = at + d / 32 * 34;
    float16x4_t scale = vreinterpret_f16_u16(vdup_n_u16(q35_load_u16(block)));
    uint32_t codes;
    memcpy(&codes, block + 2 + d % 32, sizeof codes);
    int32x4_t q = vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(codes))));
    return vmulq_f32(vcvt_f32_f16(scale), vcvtq_f32_s32(q));
}

INLINE float32x4_t load_f16(const uint8_t *at, int64_t n)
{
    uint64_t bits = 0;
    if (n >= LANES)
        memcpy(&bits, at, sizeof bits);
    else if (n > 0)
        memcpy(&bits, at, (size_t)n * 2);
    return vcvt_f32_f16(vcreate_f16(bits));
}

/* 4 elements of a cache row from dimension d on; those past dim give 0. */
INLINE float32x4_t load_cache(const uint8_t *at, uint32_t dtype, int64_t d, int64_t dim)
{
    if (dtype == Q35_DT_Q8_0)
        return load_q8(at, d);
    if (dtype == Q35_DT_F16)
        return load_f16(at + 2 * d, dim - d);
    return q35i_load4__neon((const float *)(const void *)(at + 4 * d), dim - d);
}

/* All bits set in the first n lanes; none for n < 0. */
INLINE uint32x4_t first4(int64_t n)
{
    const int32x4_t lane = {0, 1, 2, 3};
    return vcltq_s32(lane, vdupq_n_s32(n < LANES ? (int32_t)n : LANES));
}

/* One run of elements, 4 at a time, as rows have no gaps. */
static void widen(const positions *from, float *to)
{
    const int64_t count = from->n * from->dim;
    int64_t i = 0;
    if (from->dtype == Q35_DT_Q8_0) {
        for (; i < count; i += LANES)
            vst1q_f32(to + i, load_q8(from->at, i));
        return;
    }
    for (; i + LANES <= count; i += LANES)
        vst1q_f32(to + i, load_cache(from->at, Q35_DT_F16, i, i + LANES));
    q35i_store4__neon(to + i, count - i, load_cache(from->at, Q35_DT_F16, i, count));
}

/* What goes together: n_rows times n_positions is TOGETHER. */
enum { TOGETHER = 4 };
typedef float32x4_t lanes[TOGETHER][TOGETHER][4]; /* [row][position][quarter] */

/* 16 dimensions from d on of rows q and positions k. */
INLINE void multiply(int n_rows, int n_positions, uint32_t dtype, const float *const q[], const uint8_t *const k[],
                     int64_t d, lanes sum)
{
    for (int quarter = 0; quarter < 4; quarter++, d += LANES)
        for (int p = 0; p < n_positions; p++) {
            float32x4_t x = load_cache(k[p], dtype, d, d + LANES);
            for (int i = 0; i < n_rows; i++)
                sum[i][p][quarter] = vfmaq_f32(sum[i][p][quarter], vld1q_f32(q[i] + d), x);
        }
}

/* The elements of a row of F16 or F32 from d on, fewer than 16, and zeros after them: to out [16]. */
static void copy_tail(const uint8_t *at, uint32_t dtype, int64_t d, int64_t dim, float *out)
{
    for (int i = 0; i < 16; i += LANES)
        vst1q_f32(out + i, dtype == Q35_DT_F16 ? load_cache(at, Q35_DT_F16, d + i, dim)
                                               : load_cache(at, Q35_DT_F32, d + i, dim));
}

/* The last dimensions, fewer than 16. */
INLINE void multiply_tail(int n_rows, int n_positions, uint32_t dtype, const float *const q[],
                          const uint8_t *const k[], int64_t d, int64_t dim, lanes sum)
{
    float q_copy[TOGETHER][16], k_copy[TOGETHER][16];
    const float *q_at[TOGETHER];
    const uint8_t *k_at[TOGETHER];
    for (int i = 0; i < n_rows; i++) {
        copy_tail((const uint8_t *)q[i], Q35_DT_F32, d, dim, q_copy[i]);
        q_at[i] = q_copy[i];
    }
    for (int p = 0; p < n_positions; p++) {
        copy_tail(k[p], dtype, d, dim, k_copy[p]);
        k_at[p] = (const uint8_t *)k_copy[p];
    }
    multiply(n_rows, n_positions, Q35_DT_F32, q_at, k_at, 0, sum);
}

/* Scores of positions s .. s + 3 of a page, of which n exist, the others being read as the first of them. */
INLINE void score4(int n_rows, uint32_t dtype, const row *rows, float scale, const positions *k, int64_t s,
                   int64_t n, int64_t at)
{
    const int n_positions = TOGETHER / n_rows;
    const uint8_t *from[LANES];
    const float *q[TOGETHER];
    float32x4_t v[2][LANES];
    for (int p = 0; p < LANES; p++)
        from[p] = k->at + (p < n ? s + p : s) * k->row_bytes;
    for (int i = 0; i < n_rows; i++)
        q[i] = rows[i].q;
    for (int p = 0; p < LANES; p += n_positions) {
        lanes sum;
        for (int i = 0; i < n_rows; i++)
            for (int j = 0; j < n_positions; j++)
                for (int quarter = 0; quarter < 4; quarter++)
                    sum[i][j][quarter] = vdupq_n_f32(0);
        int64_t d = 0;
        for (; d + 16 <= k->dim; d += 16)
            multiply(n_rows, n_positions, dtype, q, from + p, d, sum);
        if (d < k->dim)
            multiply_tail(n_rows, n_positions, dtype, q, from + p, d, k->dim, sum);
        for (int i = 0; i < n_rows; i++)
            for (int j = 0; j < n_positions; j++)
                v[i][p + j] = q35i_lane_quarters__neon(sum[i][j]);
    }
    for (int i = 0; i < n_rows; i++) {
        float32x4_t sums = vpaddq_f32(vpaddq_f32(v[i][0], v[i][1]), vpaddq_f32(v[i][2], v[i][3]));
        uint32x4_t exist = first4(seen_of(&rows[i], k->first + s, LANES));
        vst1q_f32(rows[i].w + at + s, vbslq_f32(exist, vmulq_n_f32(sums, scale), vdupq_n_f32(-INFINITY)));
    }
}

/* One or two rows. */
INLINE void score_rows(int n_rows, uint32_t dtype, const row *rows, float scale, const positions *k, int64_t at)
{
    const int64_t n = seen_of(&rows[n_rows - 1], k->first, k->n);
    int64_t s = 0;
    for (; s < n; s += LANES)
        score4(n_rows, dtype, rows, scale, k, s, n - s, at);
    for (; s % 16; s += LANES)
        for (int i = 0; i < n_rows; i++)
            vst1q_f32(rows[i].w + at + s, vdupq_n_f32(-INFINITY));
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
    float32x4_t top = vdupq_n_f32(-INFINITY);
    for (int64_t p = 0; p < n; p += LANES)
        top = vmaxq_f32(top, vld1q_f32(r->w + p));
    r->top = vmaxvq_f32(top);
}

static void weigh(row *r, int64_t n)
{
    const float32x4_t top = vdupq_n_f32(r->top);
    float32x4_t lane[4];
    for (int i = 0; i < 4; i++)
        lane[i] = vdupq_n_f32(0);
    for (int64_t p = 0; p < n; p += 16)
        for (int i = 0; i < 4; i++) {
            float *at = r->w + p + LANES * i;
            float32x4_t e = q35i_exp__neon(vsubq_f32(vld1q_f32(at), top));
            vst1q_f32(at, e);
            lane[i] = vaddq_f32(lane[i], e);
        }
    r->total = q35i_lanes_sum__neon(lane);
}

/* acc += weights times values of n positions, dimensions d .. d + 4 regs - 1, of which the last vector may be
 * partial where it is alone. */
INLINE void add_values_part(int n_rows, uint32_t dtype, int regs, const row *rows, const positions *v, int64_t n,
                            int64_t at, int64_t d)
{
    const uint8_t *from = v->at;
    const int64_t dim = regs > 1 ? d + LANES * regs : v->dim;
    float32x4_t sum[GROUP][VALUE_REGS];
    for (int i = 0; i < n_rows; i++)
        for (int r = 0; r < regs; r++)
            sum[i][r] = q35i_load4__neon(rows[i].acc + d + LANES * r, dim - d - LANES * r);
    for (int64_t p = at; p < at + n; p++, from += v->row_bytes) {
        float32x4_t x[VALUE_REGS];
        for (int r = 0; r < regs; r++)
            x[r] = load_cache(from, dtype, d + LANES * r, dim);
        for (int i = 0; i < n_rows; i++)
            for (int r = 0; r < regs; r++)
                sum[i][r] = vfmaq_n_f32(sum[i][r], x[r], rows[i].w[p]);
    }
    for (int i = 0; i < n_rows; i++)
        for (int r = 0; r < regs; r++)
            q35i_store4__neon(rows[i].acc + d + LANES * r, dim - d - LANES * r, sum[i][r]);
}

INLINE void add_values_rows(int n_rows, uint32_t dtype, const row *rows, const positions *v, int64_t n, int64_t at)
{
    int64_t d = 0;
    for (; d + LANES * VALUE_REGS <= v->dim; d += LANES * VALUE_REGS)
        add_values_part(n_rows, dtype, VALUE_REGS, rows, v, n, at, d);
    for (; d < v->dim; d += LANES)
        add_values_part(n_rows, dtype, 1, rows, v, n, at, d);
}

static float exp_of(float x)
{
    return vgetq_lane_f32(q35i_exp__neon(vdupq_n_f32(x)), 0);
}

static positions lay_keys(const positions *page, int n_rows, float *tile)
{
    return n_rows < WIDE_KEYS ? *page : widened(page, tile);
}

#include "kernels-cpu/simd/attention_walk.h"

void q35k_attention__neon(const q35k_attention *a, int64_t begin, int64_t end, const q35k_part *part,
                          void *scratch)
{
    walk(a, begin, end, part, scratch);
}
