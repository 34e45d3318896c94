/* SPDX-License-Identifier: Apache-2.0
 *
 * ROTATE with NEON: up to 32 inputs live in 8 registers. Within a register a butterfly of distance h is one
 * permutation, which exchanges lanes h apart, and one fma with a factor of 1 or -1: partner + x where bit h of the
 * lane is clear, partner - x where it is set. The product is exact, so each step rounds as the reference's sum or
 * difference does. Wider blocks go through memory for the last distances. */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/rotation.h"

#include <arm_neon.h>

enum { LANES = 4, SPAN = 32 };

#define INLINE static inline __attribute__((always_inline))

/* x, negated where the sign is below 0. */
INLINE float32x4_t signed_by(float32x4_t x, const int8_t *signs)
{
    int8_t four[8] = {0};
    memcpy(four, signs, 4);
    uint32x4_t s = vreinterpretq_u32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vld1_s8(four)))));
    uint32x4_t top = vandq_u32(s, vdupq_n_u32(0x80000000));
    return vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(x), top));
}

/* Distances 1 and 2, of n registers side by side: each waits for the one before. */
INLINE void within(float32x4_t *v, int n)
{
    const float32x4_t by_1 = {1, -1, 1, -1}, by_2 = {1, 1, -1, -1};
    for (int i = 0; i < n; i++)
        v[i] = vfmaq_f32(vrev64q_f32(v[i]), v[i], by_1);
    for (int i = 0; i < n; i++)
        v[i] = vfmaq_f32(vextq_f32(v[i], v[i], 2), v[i], by_2);
}

typedef float32x4_t q35i_vector;

#define load  vld1q_f32
#define store vst1q_f32
#define all   vdupq_n_f32

#include "kernels-cpu/simd/rotate_walk.h"

void q35k_rotate__neon(const float *x, int64_t rs_x, int64_t k, const q35k_rotation *rotation, int inverse,
                       float *y, int64_t rs_y, int64_t begin, int64_t end)
{
    rotate_rows(x, rs_x, k, rotation, inverse, y, rs_y, begin, end);
}
