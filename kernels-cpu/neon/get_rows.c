/* SPDX-License-Identifier: Apache-2.0
 *
 * GET_ROWS with NEON for the types embeddings mostly have (Q8_0, Q4_0, Q4_1, row types); the others go to the
 * reference. Mirrors q35k_get_rows__ref: the same products and sums, so the same bits. */
#include "kernels-cpu/kernels_decl.h"

#include <arm_neon.h>

enum { BLOCK = 32, LEVELS = 16 /* taken together; a multiple of the blocks of row types */ };

/* out[0..15] = d * q[0..15] + m. A minimum of -0 keeps the sign of zero products, as adding nothing does. */
static inline void store16(float *out, int8x16_t q, float d, float m)
{
    const int16x8_t half[2] = {vmovl_s8(vget_low_s8(q)), vmovl_high_s8(q)};
    for (int i = 0; i < 2; i++) {
        float32x4_t low = vcvtq_f32_s32(vmovl_s16(vget_low_s16(half[i])));
        float32x4_t high = vcvtq_f32_s32(vmovl_high_s16(half[i]));
        vst1q_f32(out + 8 * i, vaddq_f32(vmulq_n_f32(low, d), vdupq_n_f32(m)));
        vst1q_f32(out + 8 * i + 4, vaddq_f32(vmulq_n_f32(high, d), vdupq_n_f32(m)));
    }
}

static void decode(uint32_t dtype, const uint8_t *block, float *out)
{
    float d = q35_f16_to_f32(q35_load_u16(block)), m = -0.0f;
    if (dtype == Q35_DT_Q8_0) {
        const int8_t *q = (const int8_t *)block + 2;
        store16(out, vld1q_s8(q), d, m);
        store16(out + 16, vld1q_s8(q + 16), d, m);
        return;
    }
    uint8x16_t q = vld1q_u8(block + (dtype == Q35_DT_Q4_0 ? 2 : 4));
    int8x16_t low = vreinterpretq_s8_u8(vandq_u8(q, vdupq_n_u8(15)));
    int8x16_t high = vreinterpretq_s8_u8(vshrq_n_u8(q, 4));
    if (dtype == Q35_DT_Q4_0) {
        low = vsubq_s8(low, vdupq_n_s8(8));
        high = vsubq_s8(high, vdupq_n_s8(8));
    } else {
        m = q35_f16_to_f32(q35_load_u16(block + 2));
    }
    store16(out, low, d, m);
    store16(out + 16, high, d, m);
}

/* n <= LEVELS weights from input i on of a row of a row type; dtype is a constant where this is inlined. */
static inline void decode_levels(uint32_t dtype, const q35k_weights *w, const uint8_t *row, int64_t i, int64_t n,
                                 float *out)
{
    const q35_dtype_info d = q35_dtype_describe(dtype);
    const uint8_t *blocks = row + d.row_head + i / d.block_len * d.block_bytes;
    int8_t level[LEVELS] = {0};
    float scale;
    memcpy(&scale, row, sizeof scale);
    for (int64_t e = 0; e < n && e < LEVELS; e += d.block_len, blocks += d.block_bytes)
        q35_row_levels(dtype, blocks, w->book, level + e);
    store16(out, vld1q_s8(level), scale, -0.0f);
}

static inline void decode_row(uint32_t dtype, const q35k_weights *w, const uint8_t *row, float *out)
{
    float last[LEVELS];
    int64_t i = 0;
    for (; i + LEVELS <= w->k; i += LEVELS)
        decode_levels(dtype, w, row, i, LEVELS, out + i);
    if (i < w->k) {
        decode_levels(dtype, w, row, i, w->k - i, last);
        memcpy(out + i, last, (size_t)(w->k - i) * sizeof *out);
    }
}

static void decode_row_type(const q35k_weights *w, const uint8_t *row, float *out)
{
    switch (w->dtype) {
    case Q35_DT_Q35_ROW: decode_row(Q35_DT_Q35_ROW, w, row, out); return;
    case Q35_DT_Q40_ROW: decode_row(Q35_DT_Q40_ROW, w, row, out); return;
    default: decode_row(Q35_DT_Q60_ROW, w, row, out); return;
    }
}

void q35k_get_rows__neon(const int32_t *ids, const q35k_weights *w, float *out, int64_t rs_out, int64_t begin,
                         int64_t end)
{
    int is_row = q35_is_row_type(w->dtype);
    if (!is_row && w->dtype != Q35_DT_Q8_0 && w->dtype != Q35_DT_Q4_0 && w->dtype != Q35_DT_Q4_1) {
        q35k_get_rows__ref(ids, w, out, rs_out, begin, end);
        return;
    }
    uint32_t block_bytes = q35_dtype_describe(w->dtype).block_bytes;
    for (int64_t t = begin; t < end; t++) {
        const uint8_t *row = (const uint8_t *)w->data + ids[t] * w->rs;
        float *to = (float *)(void *)((char *)out + t * rs_out);
        if (is_row)
            decode_row_type(w, row, to);
        for (int64_t i = 0; i < w->k && !is_row; i += BLOCK, row += block_bytes)
            decode(w->dtype, row, to + i);
    }
}
