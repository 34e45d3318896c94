/* SPDX-License-Identifier: Apache-2.0
 *
 * ROTATE with AVX-512: up to 128 inputs live in 8 registers. Within a register a butterfly of distance h is one
 * permutation, which exchanges lanes h apart, and one fma with a factor of 1 or -1: partner + x where bit h of the
 * lane is clear, partner - x where it is set. The product is exact, so each step rounds as the reference's sum or
 * difference does. Wider blocks go through memory for the last distances. */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/rotation.h"
#include "kernels-cpu/simd/avx512_math.h"

enum { LANES = 16, SPAN = 128 };

#define INLINE static inline __attribute__((always_inline))

/* x, negated where the sign is below 0. */
INLINE __m512 signed_by(__m512 x, const int8_t *signs)
{
    __m512i s = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)signs));
    __m512i top = _mm512_and_si512(s, _mm512_set1_epi32(INT32_MIN));
    return _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(x), top));
}

/* +1 where bit h of the lane is clear, -1 where it is set. */
INLINE __m512 alternating(unsigned clear_lanes)
{
    return _mm512_mask_blend_ps((__mmask16)clear_lanes, _mm512_set1_ps(-1), _mm512_set1_ps(1));
}

/* Distances 1, 2, 4 and 8. */
INLINE __m512 within(__m512 x)
{
    x = _mm512_fmadd_ps(x, alternating(0x5555), _mm512_permute_ps(x, 0xb1));
    x = _mm512_fmadd_ps(x, alternating(0x3333), _mm512_permute_ps(x, 0x4e));
    x = _mm512_fmadd_ps(x, alternating(0x0f0f), _mm512_shuffle_f32x4(x, x, 0xb1));
    return _mm512_fmadd_ps(x, alternating(0x00ff), _mm512_shuffle_f32x4(x, x, 0x4e));
}

/* All distances of n registers, a constant power of two; y = the transform of x, whose signs come first when `in`
 * is not NULL, times factor, whose signs come last when `out` is not NULL. */
INLINE void transform(const float *x, int n, const int8_t *in, float factor, const int8_t *out, float *y)
{
    __m512 v[SPAN / LANES];
    for (int i = 0; i < n; i++) {
        v[i] = _mm512_loadu_ps(x + LANES * i);
        v[i] = within(in ? signed_by(v[i], in + LANES * i) : v[i]);
    }
    for (int h = 1; h < n; h *= 2) {
        for (int i = 0; i < n; i++) {
            if (i & h)
                continue;
            __m512 low = v[i], high = v[i + h];
            v[i] = _mm512_add_ps(low, high);
            v[i + h] = _mm512_sub_ps(low, high);
        }
    }
    for (int i = 0; i < n; i++) {
        v[i] = _mm512_mul_ps(v[i], _mm512_set1_ps(factor));
        _mm512_storeu_ps(y + LANES * i, out ? signed_by(v[i], out + LANES * i) : v[i]);
    }
}

INLINE void short_block(const float *x, const int8_t *signs, int64_t b, int inverse, float *y)
{
    const int8_t *in = inverse ? NULL : signs, *out = inverse ? signs : NULL;
    float factor = q35i_rotation_factor(b);
    switch (b) {
    case 16: transform(x, 1, in, factor, out, y); break;
    case 32: transform(x, 2, in, factor, out, y); break;
    case 64: transform(x, 4, in, factor, out, y); break;
    default: transform(x, 8, in, factor, out, y); break;
    }
}

/* One distance h >= SPAN of a block in memory, then times factor and, where `out` is not NULL, its signs. */
INLINE void pass(float *y, int64_t b, int64_t h, float factor, const int8_t *out)
{
    for (int64_t i = 0; i < b; i += h) {
        for (int64_t end = i + h; i < end; i += LANES) {
            __m512 low = _mm512_loadu_ps(y + i), high = _mm512_loadu_ps(y + i + h);
            __m512 sum = _mm512_mul_ps(_mm512_add_ps(low, high), _mm512_set1_ps(factor));
            __m512 difference = _mm512_mul_ps(_mm512_sub_ps(low, high), _mm512_set1_ps(factor));
            _mm512_storeu_ps(y + i, out ? signed_by(sum, out + i) : sum);
            _mm512_storeu_ps(y + i + h, out ? signed_by(difference, out + i + h) : difference);
        }
    }
}

/* More than SPAN inputs. A factor of 1, before the last pass, changes nothing. */
static void wide_block(const float *x, const int8_t *signs, int64_t b, int inverse, float *y)
{
    for (int64_t i = 0; i < b; i += SPAN)
        transform(x + i, SPAN / LANES, inverse ? NULL : signs + i, 1, NULL, y + i);
    for (int64_t h = SPAN; h < b / 2; h *= 2)
        pass(y, b, h, 1, NULL);
    pass(y, b, b / 2, q35i_rotation_factor(b), inverse ? signs : NULL);
}

void q35k_rotate__avx512(const float *x, int64_t rs_x, int64_t k, const q35k_rotation *rotation, int inverse,
                         float *y, int64_t rs_y, int64_t begin, int64_t end)
{
    for (int64_t t = begin; t < end; t++) {
        const float *from = (const float *)(const void *)((const char *)x + t * rs_x);
        float *to = (float *)(void *)((char *)y + t * rs_y);
        for (int64_t i = 0, b; i < k; i += b) {
            b = q35i_rotation_block(k - i, rotation->width);
            if (b < LANES)
                q35i_rotate_block(from + i, rotation->signs + i, b, inverse, to + i);
            else if (b <= SPAN)
                short_block(from + i, rotation->signs + i, b, inverse, to + i);
            else
                wide_block(from + i, rotation->signs + i, b, inverse, to + i);
        }
    }
}
