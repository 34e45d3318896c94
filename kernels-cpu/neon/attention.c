/* SPDX-License-Identifier: Apache-2.0
 *
 * ATTENTION with NEON, in f32, for the shared walk (attention_walk.h). Mirrors q35k_attention__ref. Up to four
 * rows go through a page together. Scores: 4 positions of four rows are 16 vectors of partial products, each row's
 * four added crosswise to one vector. Values: 16 dimensions of four rows in 16 registers, positions in order. */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/simd/neon_math.h"

#define INLINE static inline __attribute__((always_inline))

enum {
    GROUP = 4,
    WIDE_KEYS = GROUP + 1,
    LANES = 4,
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

/* 4 dimensions of four positions: sum[i][p] of row i and position p. */
INLINE void multiply(int n_rows, uint32_t dtype, const row *rows, const uint8_t *const k[LANES], int64_t d,
                     int64_t dim, float32x4_t sum[GROUP][LANES])
{
    float32x4_t x[LANES];
    for (int p = 0; p < LANES; p++)
        x[p] = load_cache(k[p], dtype, d, dim);
    for (int i = 0; i < n_rows; i++) {
        float32x4_t q = q35i_load4__neon(rows[i].q + d, dim - d);
        for (int p = 0; p < LANES; p++)
            sum[i][p] = vfmaq_f32(sum[i][p], q, x[p]);
    }
}

/* All bits set in the first n lanes. */
INLINE uint32x4_t first4(int64_t n)
{
    const int32x4_t lane = {0, 1, 2, 3};
    return vcltq_s32(lane, vdupq_n_s32(n < LANES ? (int32_t)n : LANES));
}

/* Scores of n (1 or more, 4 at most) positions from row k on, to w[at ..]; those past n become -inf, and read the
 * first one's row. */
INLINE void score4(int n_rows, uint32_t dtype, row *rows, float scale, const uint8_t *k, int64_t row_bytes,
                   int64_t dim, int64_t n, int64_t at)
{
    const uint8_t *const positions_of[LANES] = {k, n > 1 ? k + row_bytes : k, n > 2 ? k + 2 * row_bytes : k,
                                                n > 3 ? k + 3 * row_bytes : k};
    float32x4_t sum[GROUP][LANES];
    for (int i = 0; i < n_rows; i++)
        for (int p = 0; p < LANES; p++)
            sum[i][p] = vdupq_n_f32(0);
    int64_t d = 0;
    for (; d + LANES <= dim; d += LANES)
        multiply(n_rows, dtype, rows, positions_of, d, d + LANES, sum);
    if (d < dim)
        multiply(n_rows, dtype, rows, positions_of, d, dim, sum);
    for (int i = 0; i < n_rows; i++) {
        float32x4_t low = vpaddq_f32(sum[i][0], sum[i][1]), high = vpaddq_f32(sum[i][2], sum[i][3]);
        float32x4_t s = vmulq_n_f32(vpaddq_f32(low, high), scale);
        vst1q_f32(rows[i].w + at, vbslq_f32(first4(n), s, vdupq_n_f32(-INFINITY)));
    }
}

INLINE void score_rows(int n_rows, uint32_t dtype, row *rows, float scale, const positions *k, int64_t n,
                       int64_t at)
{
    for (int64_t s = 0; s < n; s += LANES)
        score4(n_rows, dtype, rows, scale, k->at + s * k->row_bytes, k->row_bytes, k->dim, n - s, at + s);
}

static void weigh(row *r, int64_t n)
{
    float *w = r->w;
    float32x4_t top = vdupq_n_f32(-INFINITY), total = vdupq_n_f32(0);
    for (int64_t p = 0; p < n; p += LANES)
        top = vmaxq_f32(top, vld1q_f32(w + p));
    r->top = vmaxvq_f32(top);
    for (int64_t p = 0; p < n; p += LANES) {
        float32x4_t e = q35i_exp__neon(vsubq_f32(vld1q_f32(w + p), vdupq_n_f32(r->top)));
        e = vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(e), first4(n - p)));
        vst1q_f32(w + p, e);
        total = vaddq_f32(total, e);
    }
    r->total = q35i_sum4__neon(total);
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

/* n positions of f16 or Q8_0 to f32 [n][dim]. */
static void widen(const positions *from, int64_t n, float *to)
{
    for (int64_t p = 0; p < n; p++, to += from->dim)
        for (int64_t d = 0; d < from->dim; d += LANES) {
            const uint8_t *at = from->at + p * from->row_bytes;
            float32x4_t x = from->dtype == Q35_DT_F16 ? load_cache(at, Q35_DT_F16, d, from->dim)
                                                      : load_cache(at, Q35_DT_Q8_0, d, from->dim);
            q35i_store4__neon(to + d, from->dim - d, x);
        }
}

#include "kernels-cpu/simd/attention_walk.h"

void q35k_attention__neon(const q35k_attention *a, int64_t begin, int64_t end, const q35k_part *part,
                          void *scratch)
{
    walk(a, begin, end, part, scratch);
}
