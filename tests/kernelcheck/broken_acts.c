/* SPDX-License-Identifier: Apache-2.0
 *
 * Self-test kernels that rotate and quantise activations (broken.h).
 */
#include "broken.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* What goes wrong. */
typedef enum mistake {
    NONE,
    HALF_UP,
    PADDING,
    MAGNITUDES,
    SAMPLE,
    UNROTATED,
    NAN_CODES,
    WIDE_FIRST,
    SCALE_FIRST,
    REST,
    SOURCE,
    DIRECTION
} mistake;

static const float *floats(const void *p, int64_t bytes)
{
    return (const float *)(const void *)((const char *)p + bytes);
}

/* ---- rotation ---- */

static void butterflies(float *v, int64_t n, int64_t h)
{
    for (int64_t i = 0; i < n; i++) {
        if (i & h)
            continue;
        float low = v[i], high = v[i + h];
        v[i] = low + high;
        v[i + h] = low - high;
    }
}

static void rotate_block(float *v, int64_t n, const int8_t *signs, bool inverse, mistake m)
{
    float factor = n > 1 ? (float)(1 / sqrt((double)n)) : 1;
    for (int64_t i = 0; i < n; i++)
        v[i] *= (inverse ? 1 : (float)signs[i]) * (m == SCALE_FIRST ? factor : 1);
    for (int64_t h = 1; h < n; h *= 2)
        butterflies(v, n, m == WIDE_FIRST ? n / 2 / h : h);
    for (int64_t i = 0; i < n; i++)
        v[i] *= (m == SCALE_FIRST ? 1 : factor) * (inverse ? (float)signs[i] : 1);
}

/* x and y [k]; y may be x. */
static void rotate_row(const float *x, int64_t k, const q35k_rotation *r, bool inverse, float *y, mistake m)
{
    if (m == SOURCE && k > 0)
        y[k - 1] = 0;
    memmove(y, x, (size_t)k * sizeof *y);
    for (int64_t i = 0, n; i < k; i += n) {
        for (n = r->width; n > k - i;)
            n /= 2;
        if (m != REST || n == r->width)
            rotate_block(y + i, n, r->signs + i, inverse && m != DIRECTION, m);
    }
}

#define ROTATE(name, m)                                                                                           \
    void name(const float *x, int64_t rs_x, int64_t k, const q35k_rotation *rotation, int inverse, float *y,      \
              int64_t rs_y, int64_t begin, int64_t end)                                                           \
    {                                                                                                             \
        for (int64_t t = begin; t < end; t++)                                                                     \
            rotate_row(floats(x, t *rs_x), k, rotation, inverse, y + t * rs_y / 4, m);                            \
    }
ROTATE(good_rotate, NONE)
ROTATE(wide_first, WIDE_FIRST)
ROTATE(scales_first, SCALE_FIRST)
ROTATE(forgets_rest, REST)
ROTATE(clobbers_source, SOURCE)
ROTATE(inverse_as_forward, DIRECTION)

/* ---- quantisation ---- */

/* n inputs of one scale; the codes are followed by zeros up to `padded`. */
static void quantize(const float *v, int64_t n, int64_t padded, char *out, mistake m)
{
    q35_act_row head = {.scale = 0};
    int8_t *q = (int8_t *)out + sizeof head;
    float amax = 0;
    if (m != PADDING)
        memset(q + n, 0, (size_t)(padded - n));
    memset(q, 0, (size_t)n);
    for (int64_t i = 0; i < n; i += m == SAMPLE ? 2 : 1)
        amax = isfinite(v[i]) ? fmaxf(amax, fabsf(v[i])) : (float)INFINITY;
    float inverse = amax > 0 ? 127 / amax : 0;
    head.scale = isinf(amax) ? (float)NAN : isfinite(inverse) && amax > 0 ? amax / 127 : 0;
    for (int64_t i = 0; i < n && (head.scale > 0 || (m == NAN_CODES && isinf(amax))); i++) {
        float code = isfinite(v[i]) ? v[i] * (m == NAN_CODES && isinf(amax) ? 1 : inverse) : 0;
        code = fmaxf(-127, fminf(127, code));
        q[i] = (int8_t)(m == HALF_UP ? floorf(code + 0.5f) : rintf(code));
        head.sum += m == MAGNITUDES ? (int32_t)fabsf((float)q[i]) : q[i];
    }
    memcpy(out, &head, sizeof head);
}

static void quantize_row(const float *v, int64_t k, uint32_t act_type, char *out, mistake m)
{
    int64_t unit = act_type == Q35_DT_A8_32 ? Q35_ACT_BLOCK : Q35_ACT_GROUP;
    if (act_type == Q35_DT_A8_ROW) {
        quantize(v, k, (k + 63) / 64 * 64, out, m);
        return;
    }
    for (int64_t i = 0; i < k; i += unit, out += unit + (int64_t)sizeof(q35_act_row))
        quantize(v + i, k - i < unit ? k - i : unit, unit, out, m);
}

#define QUANTIZE(name, m)                                                                                         \
    void name(const float *x, int64_t rs_x, int64_t k, const q35k_rotation *rotation, uint32_t act_type,          \
              void *out, int64_t rs_out, int64_t begin, int64_t end, float *scratch)                              \
    {                                                                                                             \
        for (int64_t t = begin; t < end; t++) {                                                                   \
            const float *row = floats(x, t * rs_x);                                                               \
            if (rotation && m != UNROTATED) {                                                                     \
                rotate_row(row, k, rotation, false, scratch, NONE);                                               \
                row = scratch;                                                                                    \
            }                                                                                                     \
            quantize_row(row, k, act_type, (char *)out + t * rs_out, m);                                          \
        }                                                                                                         \
    }
QUANTIZE(good_quantize_act, NONE)
QUANTIZE(rounds_half_up, HALF_UP)
QUANTIZE(leaves_padding, PADDING)
QUANTIZE(sums_magnitudes, MAGNITUDES)
QUANTIZE(takes_sample, SAMPLE)
QUANTIZE(skips_rotation, UNROTATED)
QUANTIZE(codes_of_nan, NAN_CODES)
