/* SPDX-License-Identifier: Apache-2.0
 *
 * QUANTIZE_ACT: specified to the bit (docs/numerics.md, "activations"), so the oracle is the specification written
 * out once more. Halves, which decide the rounding rule, are made on purpose.
 */
#include "kernelcheck.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct params {
    int64_t rs_x, k, rs_out;
    int x, out;
} params;

static void call(const kc_case *c, kc_fn *fn, int64_t begin, int64_t end)
{
    const params *p = c->params;
    const kc_operand *o = c->operands;
    ((q35k_quantize_act_fn *)fn)((const float *)(const void *)o[p->x].p, p->rs_x, p->k,
                                 (q35_act_block *)(void *)o[p->out].p, p->rs_out, begin, end);
}

/* Round half to even of |v| <= 128, without the rounding mode. */
static int round_even(double v)
{
    double low = floor(v), rest = v - low;
    bool up = rest > 0.5 || (rest == 0.5 && fmod(low, 2) != 0);
    return (int)low + up;
}

static q35_act_block quantize(const float *v, int64_t n)
{
    q35_act_block b = {.scale = 0};
    double largest = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(v[i])) {
            b.scale = (float)NAN;
            return b;
        }
        largest = fmax(largest, fabs((double)v[i]));
    }
    float amax = (float)largest, inverse = amax > 0 ? 127.0f / amax : 0;
    if (!(amax > 0) || isinf(inverse)) /* smaller than 127 / FLT_MAX counts as 0 */
        return b;
    b.scale = amax / 127.0f;
    for (int64_t i = 0; i < n; i++) {
        float product = v[i] * inverse;
        b.q[i] = (int8_t)round_even((double)product);
        b.sum += b.q[i];
    }
    return b;
}

/* Values at and beside half codes: the block's largest is 127 * 2^e, so that the codes are x / 2^e exactly. */
static void make_halves(kc_context *x, float *v, int64_t k)
{
    for (int64_t i = 0; i < k; i++) {
        float unit = (float)ldexp(1, (int)(i / 32) % 9 - 4);
        float code = (float)(kc_below(x, 127) - 63) + 0.5f;
        v[i] = i % 32 == 3 ? 127 * unit : code * unit;
        if (i % 5 == 0)
            v[i] = nextafterf(v[i], kc_random(x) & 1 ? INFINITY : -INFINITY);
    }
}

static void build_shape(kc_context *x, kc_case *c, int64_t k, int64_t n, kc_dist dist, bool halves)
{
    params *p = kc_alloc(x, sizeof *p);
    c->params = p;
    int64_t blocks = (k + Q35_ACT_BLOCK - 1) / Q35_ACT_BLOCK;
    *p = (params){.k = k, .rs_x = 4 * (k + kc_below(x, 4))};
    p->rs_out = blocks * (int64_t)sizeof(q35_act_block) + 4 * kc_below(x, 4);
    float *rows = kc_f32_rows(x, n, k, (size_t)p->rs_x, dist, 3e38);
    uint8_t *bits = kc_alloc(x, (size_t)(n * p->rs_out));
    for (int64_t t = 0; t < n; t++) {
        float *row = rows + t * p->rs_x / 4;
        if (halves)
            make_halves(x, row, k);
        for (int64_t b = 0; b < blocks; b++) {
            int64_t left = k - b * Q35_ACT_BLOCK;
            if (dist == KC_DIST_EXTREME && kc_below(x, 3) == 0) {
                for (int64_t i = 0; i < Q35_ACT_BLOCK && i < left; i++)
                    row[b * Q35_ACT_BLOCK + i] *= b % 2 ? 0x1p-149f : 0.0f;
            }
            q35_act_block want = quantize(row + b * Q35_ACT_BLOCK, left < Q35_ACT_BLOCK ? left : Q35_ACT_BLOCK);
            memcpy(bits + t * p->rs_out + b * (int64_t)sizeof want, &want, sizeof want);
        }
    }
    p->x = kc_input(c, "x", rows, (size_t)(n * p->rs_x), 4);
    p->out = kc_output(c, "out", (size_t)(n * p->rs_out), 4, KC_ACT_BITS,
                       kc_rows_map((size_t)blocks * sizeof(q35_act_block), (size_t)p->rs_out));
    c->operands[p->out].oracle_bits = bits;
    c->n_items = n;
    c->call = call;
    snprintf(c->text, sizeof c->text, "K=%lld T=%lld rs_x=%lld rs_out=%lld dist=%s", (long long)k, (long long)n,
             (long long)p->rs_x, (long long)p->rs_out, halves ? "halves" : kc_dist_name(dist));
}

static void build(kc_context *x, int64_t index, kc_case *c)
{
    static const int64_t widths[] = {0, 1, 7, 31, 32, 33, 63, 64, 65, 97, 128, 200, 576, 1536},
                         tokens[] = {1, 2, 7, 33, 0};
    int64_t kind = index / 14 % (KC_DIST_COUNT + 1);
    build_shape(x, c, widths[index % 14], tokens[index % 5], (kc_dist)(kind % KC_DIST_COUNT),
                kind == KC_DIST_COUNT);
}

static void build_bench(kc_context *x, int64_t index, kc_case *c)
{
    (void)index;
    build_shape(x, c, 1536, 16, KC_DIST_NORMAL, false);
    c->bytes = 16 * 1536 * 5;
}

const kc_op kc_op_quantize_act = {"quantize_act", 490, build, 1, build_bench};
