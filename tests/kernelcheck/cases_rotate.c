/* SPDX-License-Identifier: Apache-2.0
 *
 * ROTATE: specified to the bit (docs/numerics.md, "rotation"). The oracle recurses from the whole block to its
 * halves, the kernels go from neighbours to halves: the same sums in the same order. In place and not, forward and
 * inverse, every width and rest.
 */
#include "kernelcheck.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct params {
    int64_t rs_x, rs_y, k, width;
    int inverse, x, signs, y; /* y == x: in place */
} params;

static void call(const kc_case *c, kc_fn *fn, int64_t begin, int64_t end)
{
    const params *p = c->params;
    const kc_operand *o = c->operands;
    q35k_rotation rotation = {(const int8_t *)o[p->signs].p, p->width};
    ((q35k_rotate_fn *)fn)((const float *)(const void *)o[p->x].p, p->rs_x, p->k, &rotation, p->inverse,
                           (float *)(void *)o[p->y].p, p->rs_y, begin, end);
}

static void hadamard(float *v, int64_t n)
{
    if (n == 1)
        return;
    hadamard(v, n / 2);
    hadamard(v + n / 2, n / 2);
    for (int64_t i = 0; i < n / 2; i++) {
        float a = v[i], b = v[i + n / 2];
        v[i] = a + b;
        v[i + n / 2] = a - b;
    }
}

void kc_rotate(float *v, int64_t k, const int8_t *signs, int64_t width, bool inverse)
{
    while (k > 0) {
        int64_t n = width;
        while (n > k)
            n /= 2;
        for (int64_t i = 0; i < n && !inverse; i++)
            v[i] *= (float)signs[i];
        hadamard(v, n);
        for (int64_t i = 0; i < n; i++)
            v[i] = (n > 1 ? v[i] * (float)(1 / sqrt((double)n)) : v[i]) * (inverse ? (float)signs[i] : 1);
        v += n;
        signs += n;
        k -= n;
    }
}

int8_t *kc_signs(kc_context *x, int64_t k)
{
    int8_t *signs = kc_alloc(x, (size_t)k);
    for (int64_t i = 0; i < k; i++)
        signs[i] = kc_random(x) & 1 ? -1 : 1;
    return signs;
}

static void build_shape(kc_context *x, kc_case *c, params shape, int64_t n, kc_dist dist, bool in_place)
{
    params *p = kc_alloc(x, sizeof *p);
    c->params = p;
    *p = shape;
    int64_t k = p->k;
    p->rs_x = 4 * (k + kc_below(x, 4));
    p->rs_y = in_place ? p->rs_x : 4 * (k + kc_below(x, 4));
    float *rows = kc_f32_rows(x, n, k, (size_t)p->rs_x, dist, 1e38);
    int8_t *signs = kc_signs(x, k);
    float *bits = kc_alloc(x, (size_t)(n * p->rs_y));
    for (int64_t t = 0; t < n; t++) {
        memcpy(bits + t * p->rs_y / 4, rows + t * p->rs_x / 4, (size_t)k * 4);
        kc_rotate(bits + t * p->rs_y / 4, k, signs, p->width, p->inverse);
    }
    kc_map map = kc_rows_map((size_t)k * 4, (size_t)p->rs_y);
    p->x = kc_input(c, "x", rows, (size_t)(n * p->rs_x), 4);
    p->signs = kc_input(c, "signs", signs, (size_t)k, 1);
    p->y = in_place ? p->x : kc_output(c, "y", (size_t)(n * p->rs_y), 4, KC_F32_BITS, map);
    if (in_place) {
        c->operands[p->x].role = KC_INOUT;
        c->operands[p->x].elem = KC_F32_BITS;
        c->operands[p->x].map = map;
    }
    c->operands[p->y].oracle_bits = bits;
    c->n_items = n;
    c->call = call;
    snprintf(c->text, sizeof c->text, "K=%lld T=%lld width=%lld rs_x=%lld rs_y=%lld%s%s dist=%s", (long long)k,
             (long long)n, (long long)p->width, (long long)p->rs_x, (long long)p->rs_y,
             p->inverse ? " inverse" : "", in_place ? " in place" : "", kc_dist_name(dist));
}

static void build(kc_context *x, int64_t index, kc_case *c)
{
    static const int64_t lengths[] = {1,   2,   3,   7,   8,   15,  16,  31,  32,  48,  63,   64,   65,
                                      127, 128, 129, 192, 200, 255, 256, 257, 447, 576, 1000, 1536, 0},
                         widths[] = {128, 2, 64, 256, 16, 4096, 4, 1024, 32, 512, 8, 2048},
                         tokens[] = {1, 2, 7, 0};
    const int64_t n_lengths = sizeof lengths / sizeof lengths[0];
    int64_t v = index / n_lengths;
    params p = {.k = lengths[index % n_lengths], .width = widths[v % 12], .inverse = (int)(index / 2 % 2)};
    if (v % 12 == 5 && index % 3 == 0)
        p.k += 4096;
    build_shape(x, c, p, tokens[index % 4], (kc_dist)((index + v) % KC_DIST_COUNT), index / 3 % 2);
}

static void build_bench(kc_context *x, int64_t index, kc_case *c)
{
    static const int64_t lengths[] = {576, 4096, 4096, 14336}, widths[] = {128, 128, 1024, 128};
    params p = {.k = lengths[index], .width = widths[index]};
    build_shape(x, c, p, 1, KC_DIST_NORMAL, false);
    c->bytes = 9 * (double)p.k;
}

const kc_op kc_op_rotate = {"rotate", 624, build, 4, build_bench};
