/* SPDX-License-Identifier: Apache-2.0
 *
 * KV_APPEND with NEON. Mirrors q35k_kv_append__ref, with the same bits. */
#include "kernels-cpu/kernels_decl.h"

#include <arm_neon.h>

static void store_f16(uint8_t *to, const float *from, int64_t dim)
{
    int64_t d = 0;
    for (; d + 4 <= dim; d += 4)
        vst1_u8(to + 2 * d, vreinterpret_u8_f16(vcvt_f16_f32(vld1q_f32(from + d))));
    for (; d < dim; d++) {
        uint16_t h = q35_f32_to_f16(from[d]);
        memcpy(to + 2 * d, &h, 2);
    }
}

/* Four of x / d rounded and kept within +-127. */
static inline int16x4_t codes4(float32x4_t x, float d)
{
    float32x4_t q = vdivq_f32(x, vdupq_n_f32(d));
    return vmovn_s32(vcvtnq_s32_f32(vminq_f32(vmaxq_f32(q, vdupq_n_f32(-127)), vdupq_n_f32(127))));
}

static void store_q8_block(uint8_t *to, const float *from)
{
    float32x4_t x[8];
    int32x4_t top = vdupq_n_s32(0); /* magnitudes order like their bits, infinity and NaN above all */
    for (int i = 0; i < 8; i++) {
        x[i] = vld1q_f32(from + 4 * i);
        top = vmaxq_s32(top, vreinterpretq_s32_f32(vabsq_f32(x[i])));
    }
    int32_t bits = vmaxvq_s32(top);
    float largest;
    memcpy(&largest, &bits, sizeof largest);
    uint16_t scale = bits > 0x7f7fffff ? 0x7e00 : q35_f32_to_f16(largest / 127);
    if (scale == 0x7c00)
        scale = 0x7bff;
    memcpy(to, &scale, sizeof scale);
    if (scale == 0 || scale == 0x7e00) {
        memset(to + 2, 0, 32);
        return;
    }
    float d = q35_f16_to_f32(scale);
    for (int i = 0; i < 8; i += 2)
        vst1_s8((int8_t *)to + 2 + 4 * i, vmovn_s16(vcombine_s16(codes4(x[i], d), codes4(x[i + 1], d))));
}

static void store_row(uint8_t *to, const float *from, uint32_t dtype, int64_t dim)
{
    if (dtype == Q35_DT_F32)
        memcpy(to, from, (size_t)dim * sizeof *from);
    else if (dtype == Q35_DT_F16)
        store_f16(to, from, dim);
    else
        for (int64_t d = 0; d < dim; d += 32, to += 34)
            store_q8_block(to, from + d);
}

void q35k_kv_append__neon(const float *k, int64_t rs_k, const float *v, int64_t rs_v, const q35k_kv *kv,
                          const int32_t *slots, int64_t begin, int64_t end)
{
    int64_t dim = kv->head_dim, row_bytes = (int64_t)q35_row_bytes(kv->dtype, (uint64_t)dim);
    for (int64_t t = begin; t < end; t++) {
        const float *k_row = (const float *)(const void *)((const char *)k + t * rs_k);
        const float *v_row = (const float *)(const void *)((const char *)v + t * rs_v);
        for (int64_t g = 0; g < kv->n_kv_heads; g++) {
            int64_t at = q35k_kv_row(kv, slots[t], g) * row_bytes;
            store_row((uint8_t *)kv->k + at, k_row + g * dim, kv->dtype, dim);
            store_row((uint8_t *)kv->v + at, v_row + g * dim, kv->dtype, dim);
        }
    }
}
