/* SPDX-License-Identifier: Apache-2.0
 *
 * QUANTIZE_ACT with NEON: the two passes over the inputs that share a scale, for the shared walk
 * (quantize_walk.h). The magnitudes are compared as integers, whose order is that of the floats, with infinity and
 * NaN above all finite ones. Every other step is one the reference takes, so the bits are those of
 * q35k_quantize_act__ref. */
#include "kernels-cpu/kernels_decl.h"

#include <arm_neon.h>

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 4, STEP = 4 * LANES };

INLINE int32x4_t magnitude(float32x4_t v)
{
    return vreinterpretq_s32_f32(vabsq_f32(v));
}

/* Bits of the largest magnitude of n inputs. */
INLINE int32_t largest_bits(const float *x, int64_t n)
{
    int32x4_t top[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    int64_t i = 0;
    for (; i + STEP <= n; i += STEP)
        for (int j = 0; j < 4; j++)
            top[j] = vmaxq_s32(top[j], magnitude(vld1q_f32(x + i + LANES * j)));
    for (; i < n; i++)
        top[0] = vmaxq_s32(top[0], magnitude(vld1q_dup_f32(x + i)));
    return vmaxvq_s32(vmaxq_s32(vmaxq_s32(top[0], top[1]), vmaxq_s32(top[2], top[3])));
}

/* 16 codes from x; the sum of their lanes is added to *sum. */
INLINE int8x16_t codes_of_step(const float *x, float inverse, int32x4_t *sum)
{
    int32x4_t code[4];
    for (int j = 0; j < 4; j++) {
        code[j] = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + LANES * j), inverse));
        *sum = vaddq_s32(*sum, code[j]);
    }
    int16x8_t low = vcombine_s16(vmovn_s32(code[0]), vmovn_s32(code[1]));
    int16x8_t high = vcombine_s16(vmovn_s32(code[2]), vmovn_s32(code[3]));
    return vcombine_s8(vmovn_s16(low), vmovn_s16(high));
}

/* Codes of n inputs; the sum of the codes. */
INLINE int32_t codes_of(const float *x, int64_t n, float inverse, int8_t *q)
{
    int32x4_t sum = vdupq_n_s32(0);
    int64_t i = 0;
    for (; i + STEP <= n; i += STEP)
        vst1q_s8(q + i, codes_of_step(x + i, inverse, &sum));
    if (i < n) {
        float rest[STEP] = {0};
        int8_t codes[STEP];
        memcpy(rest, x + i, (size_t)(n - i) * sizeof *x);
        vst1q_s8(codes, codes_of_step(rest, inverse, &sum));
        memcpy(q + i, codes, (size_t)(n - i));
    }
    return vaddvq_s32(sum);
}

#define rotate q35k_rotate__neon

#include "kernels-cpu/simd/quantize_walk.h"

void q35k_quantize_act__neon(const float *x, int64_t rs_x, int64_t k, const q35k_rotation *rotation,
                             uint32_t act_type, void *out, int64_t rs_out, int64_t begin, int64_t end,
                             float *scratch)
{
    quantize_rows(x, rs_x, k, rotation, act_type, out, rs_out, begin, end, scratch);
}
