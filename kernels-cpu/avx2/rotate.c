/* SPDX-License-Identifier: Apache-2.0
 *
 * ROTATE with AVX2: up to 64 inputs live in 8 of the 16 registers. Within a register a butterfly of distance h is
 * one permutation, which exchanges lanes h apart, and one fma with a factor of 1 or -1: partner + x where bit h of
 * the lane is clear, partner - x where it is set. The product is exact, so each step rounds as the reference's sum
 * or difference does. Wider blocks go through memory for the last distances. */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/rotation.h"
#include "kernels-cpu/simd/avx2_math.h"

enum { LANES = 8, SPAN = 64 };

#define INLINE static inline __attribute__((always_inline))

/* x, negated where the sign is below 0. */
INLINE __m256 signed_by(__m256 x, const int8_t *signs)
{
    __m256i s = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)signs));
    __m256i top = _mm256_and_si256(s, _mm256_set1_epi32(INT32_MIN));
    return _mm256_castsi256_ps(_mm256_xor_si256(_mm256_castps_si256(x), top));
}

/* Distances 1, 2 and 4. */
INLINE __m256 within(__m256 x)
{
    const __m256 by_1 = _mm256_setr_ps(1, -1, 1, -1, 1, -1, 1, -1);
    const __m256 by_2 = _mm256_setr_ps(1, 1, -1, -1, 1, 1, -1, -1);
    const __m256 by_4 = _mm256_setr_ps(1, 1, 1, 1, -1, -1, -1, -1);
    x = _mm256_fmadd_ps(x, by_1, _mm256_permute_ps(x, 0xb1));
    x = _mm256_fmadd_ps(x, by_2, _mm256_permute_ps(x, 0x4e));
    return _mm256_fmadd_ps(x, by_4, _mm256_permute2f128_ps(x, x, 0x01));
}

/* All distances of n registers, a constant power of two; y = the transform of x, whose signs come first when `in`
 * is not NULL, times factor, whose signs come last when `out` is not NULL. */
INLINE void transform(const float *x, int n, const int8_t *in, float factor, const int8_t *out, float *y)
{
    __m256 v[SPAN / LANES];
    for (int i = 0; i < n; i++) {
        v[i] = _mm256_loadu_ps(x + LANES * i);
        v[i] = within(in ? signed_by(v[i], in + LANES * i) : v[i]);
    }
    for (int h = 1; h < n; h *= 2) {
        for (int i = 0; i < n; i++) {
            if (i & h)
                continue;
            __m256 low = v[i], high = v[i + h];
            v[i] = _mm256_add_ps(low, high);
            v[i + h] = _mm256_sub_ps(low, high);
        }
    }
    for (int i = 0; i < n; i++) {
        v[i] = _mm256_mul_ps(v[i], _mm256_set1_ps(factor));
        _mm256_storeu_ps(y + LANES * i, out ? signed_by(v[i], out + LANES * i) : v[i]);
    }
}

INLINE void short_block(const float *x, const int8_t *signs, int64_t b, int inverse, float *y)
{
    const int8_t *in = inverse ? NULL : signs, *out = inverse ? signs : NULL;
    float factor = q35i_rotation_factor(b);
    switch (b) {
    case 8: transform(x, 1, in, factor, out, y); break;
    case 16: transform(x, 2, in, factor, out, y); break;
    case 32: transform(x, 4, in, factor, out, y); break;
    default: transform(x, 8, in, factor, out, y); break;
    }
}

/* One distance h >= SPAN of a block in memory, then times factor and, where `out` is not NULL, its signs. */
INLINE void pass(float *y, int64_t b, int64_t h, float factor, const int8_t *out)
{
    for (int64_t i = 0; i < b; i += h) {
        for (int64_t end = i + h; i < end; i += LANES) {
            __m256 low = _mm256_loadu_ps(y + i), high = _mm256_loadu_ps(y + i + h);
            __m256 sum = _mm256_mul_ps(_mm256_add_ps(low, high), _mm256_set1_ps(factor));
            __m256 difference = _mm256_mul_ps(_mm256_sub_ps(low, high), _mm256_set1_ps(factor));
            _mm256_storeu_ps(y + i, out ? signed_by(sum, out + i) : sum);
            _mm256_storeu_ps(y + i + h, out ? signed_by(difference, out + i + h) : difference);
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

void q35k_rotate__avx2(const float *x, int64_t rs_x, int64_t k, const q35k_rotation *rotation, int inverse,
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
