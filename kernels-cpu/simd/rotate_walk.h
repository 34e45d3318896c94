/* SPDX-License-Identifier: Apache-2.0
 *
 * The walk of ROTATE that the instruction sets share: blocks of up to SPAN inputs stay in registers, wider ones go
 * through memory for the last distances, two at a time. Every step is one sum, difference or product of floats, as
 * in the reference. Static only; the including file brings first LANES, SPAN (8 registers of LANES), INLINE,
 * q35i_vector, load, store, all (a value in every lane), and signed_by, within (the distances inside registers)
 * with the signatures used below.
 */
#ifndef Q35I_SIMD_ROTATE_WALK_H
#define Q35I_SIMD_ROTATE_WALK_H

#ifndef OWN_PREFETCH_INPUT

/* Inputs behind x. A file that has it defines OWN_PREFETCH_INPUT and this function. */
INLINE void prefetch_input(const float *x)
{
    (void)x;
}

#endif

/* All distances of n registers, a constant power of two; y = the transform of x, whose signs come first when `in`
 * is not NULL, times factor, whose signs come last when `out` is not NULL. */
INLINE void transform(const float *x, int n, const int8_t *in, float factor, const int8_t *out, float *y)
{
    q35i_vector v[SPAN / LANES];
    for (int i = 0; i < n; i++) {
        prefetch_input(x + LANES * i);
        v[i] = load(x + LANES * i);
        v[i] = in ? signed_by(v[i], in + LANES * i) : v[i];
    }
    within(v, n);
    for (int h = 1; h < n; h *= 2) {
        for (int i = 0; i < n; i++) {
            if (i & h)
                continue;
            q35i_vector low = v[i], high = v[i + h];
            v[i] = low + high;
            v[i + h] = low - high;
        }
    }
    for (int i = 0; i < n; i++) {
        v[i] = v[i] * all(factor);
        store(y + LANES * i, out ? signed_by(v[i], out + LANES * i) : v[i]);
    }
}

INLINE void short_block(const float *x, const int8_t *signs, int64_t b, int inverse, float *y)
{
    const int8_t *in = inverse ? NULL : signs, *out = inverse ? signs : NULL;
    float factor = q35i_rotation_factor(b);
    switch (b / LANES) {
    case 1: transform(x, 1, in, factor, out, y); break;
    case 2: transform(x, 2, in, factor, out, y); break;
    case 4: transform(x, 4, in, factor, out, y); break;
    default: transform(x, 8, in, factor, out, y); break;
    }
}

INLINE void store_scaled(float *y, q35i_vector v, float factor, const int8_t *out)
{
    v = v * all(factor);
    store(y, out ? signed_by(v, out) : v);
}

/* One distance h >= SPAN of a block in memory, then times factor and, where `out` is not NULL, its signs. */
INLINE void pass(float *y, int64_t b, int64_t h, float factor, const int8_t *out)
{
    for (int64_t i = 0; i < b; i += h) {
        for (int64_t end = i + h; i < end; i += LANES) {
            q35i_vector low = load(y + i), high = load(y + i + h);
            store_scaled(y + i, low + high, factor, out ? out + i : NULL);
            store_scaled(y + i + h, low - high, factor, out ? out + i + h : NULL);
        }
    }
}

/* Two distances, h and 2 h. */
INLINE void pass_two(float *y, int64_t b, int64_t h, float factor, const int8_t *out)
{
    for (int64_t i = 0; i < b; i += 3 * h) {
        for (int64_t end = i + h; i < end; i += LANES) {
            q35i_vector v[4], w[4];
            for (int j = 0; j < 4; j++)
                v[j] = load(y + i + j * h);
            for (int j = 0; j < 4; j += 2) {
                w[j] = v[j] + v[j + 1];
                w[j + 1] = v[j] - v[j + 1];
            }
            for (int j = 0; j < 2; j++) {
                store_scaled(y + i + j * h, w[j] + w[j + 2], factor, out ? out + i + j * h : NULL);
                store_scaled(y + i + (j + 2) * h, w[j] - w[j + 2], factor, out ? out + i + (j + 2) * h : NULL);
            }
        }
    }
}

/* More than SPAN inputs. A factor of 1, before the last pass, changes nothing. */
static void wide_block(const float *x, const int8_t *signs, int64_t b, int inverse, float *y)
{
    const float factor = q35i_rotation_factor(b);
    const int8_t *out = inverse ? signs : NULL;
    int64_t h = SPAN;
    for (int64_t i = 0; i < b; i += SPAN)
        transform(x + i, SPAN / LANES, inverse ? NULL : signs + i, 1, NULL, y + i);
    for (; h < b / 4; h *= 4)
        pass_two(y, b, h, 1, NULL);
    if (h == b / 4)
        pass_two(y, b, h, factor, out);
    else
        pass(y, b, h, factor, out);
}

static inline void rotate_rows(const float *x, int64_t rs_x, int64_t k, const q35k_rotation *rotation, int inverse,
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

#endif
