/* SPDX-License-Identifier: Apache-2.0
 *
 * QUANTIZE_ACT: specified to the bit (docs/numerics.md, "activations" and "rotation"), so the oracle is the
 * specification written out once more. Halves, which decide the rounding rule, are made on purpose; where the
 * input is rotated, they are made so that the rotation gives them.
 */
#include "kernelcheck.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct params {
    int64_t rs_x, k, width, rs_out; /* width 0: not rotated */
    uint32_t act_type;
    int x, signs, out, scratch;
} params;

/* Inputs that share a scale. */
static int64_t unit_of(const params *p)
{
    return p->act_type == Q35_DT_A8_32 ? Q35_ACT_BLOCK : p->act_type == Q35_DT_A8_128 ? Q35_ACT_GROUP : p->k;
}

static void call(const kc_case *c, kc_fn *fn, int64_t begin, int64_t end)
{
    const params *p = c->params;
    const kc_operand *o = c->operands;
    q35k_rotation rotation = {p->width ? (const int8_t *)o[p->signs].p : NULL, p->width};
    ((q35k_quantize_act_fn *)fn)((const float *)(const void *)o[p->x].p, p->rs_x, p->k,
                                 p->width ? &rotation : NULL, p->act_type, o[p->out].p, p->rs_out, begin, end,
                                 p->width ? (float *)(void *)o[p->scratch].p : NULL);
}

/* Round half to even of |v| <= 128, without the rounding mode. */
static int round_even(double v)
{
    double low = floor(v), rest = v - low;
    bool up = rest > 0.5 || (rest == 0.5 && fmod(low, 2) != 0);
    return (int)low + up;
}

/* One unit of n inputs; the codes past n are zero already. */
static void quantize(const float *v, int64_t n, uint8_t *out)
{
    q35_act_row head = {.scale = 0};
    double largest = 0;
    bool finite = true;
    for (int64_t i = 0; i < n; i++) {
        finite = finite && isfinite(v[i]);
        largest = fmax(largest, fabs((double)v[i]));
    }
    float amax = (float)largest, inverse = amax > 0 ? 127.0f / amax : 0;
    if (!finite)
        head.scale = (float)NAN;
    else if (amax > 0 && !isinf(inverse)) { /* smaller than 127 / FLT_MAX counts as 0 */
        head.scale = amax / 127.0f;
        for (int64_t i = 0; i < n; i++) {
            float product = v[i] * inverse;
            int code = round_even((double)product);
            out[sizeof head + (size_t)i] = (uint8_t)(int8_t)code;
            head.sum += code;
        }
    }
    memcpy(out, &head, sizeof head);
}

static void quantize_row(const params *p, const float *v, uint8_t *out)
{
    int64_t unit = unit_of(p);
    if (p->act_type == Q35_DT_A8_ROW) {
        quantize(v, p->k, out);
        return;
    }
    for (int64_t i = 0; i < p->k; i += unit, out += (int64_t)sizeof(q35_act_row) + unit)
        quantize(v + i, p->k - i < unit ? p->k - i : unit, out);
}

/* Values at and beside half codes: a unit's largest is 127 * 2^e, so that the codes are x / 2^e exactly. */
static void make_halves(kc_context *x, float *v, int64_t k, int64_t unit)
{
    for (int64_t i = 0; i < k; i++) {
        float scale = (float)ldexp(1, (int)(i / unit) % 9 - 4);
        float code = (float)(kc_below(x, 127) - 63) + 0.5f;
        v[i] = i % unit == unit / 9 ? 127 * scale : code * scale;
        if (i % 5 == 0 && i % unit != unit / 9)
            v[i] = nextafterf(v[i], kc_random(x) & 1 ? INFINITY : -INFINITY);
    }
}

/* Zeros, subnormals and what counts as zero, in whole units or mixed with the rest. */
static void make_tiny(kc_context *x, float *v, int64_t k, int64_t unit)
{
    for (int64_t i = 0; i < k; i++) {
        if (i % unit == 0 && kc_below(x, 3) != 0)
            i += unit - 1;
        else
            v[i] *= i / unit % 2 ? 0x1p-149f : 0.0f;
    }
}

static void fill_row(kc_context *x, const params *p, float *v, kc_dist dist, const int8_t *signs, bool halves)
{
    int64_t unit = unit_of(p) > 0 ? unit_of(p) : 1;
    if (halves)
        make_halves(x, v, p->k, unit);
    else if (dist == KC_DIST_EXTREME)
        make_tiny(x, v, p->k, unit);
    if (halves && p->width)
        kc_rotate(v, p->k, signs, p->width, true);
}

static void build_shape(kc_context *x, kc_case *c, params shape, int64_t n, kc_dist dist, bool halves)
{
    params *p = kc_alloc(x, sizeof *p);
    c->params = p;
    *p = shape;
    int64_t k = p->k;
    size_t row_bytes = (size_t)q35_row_bytes(p->act_type, (uint64_t)k);
    p->rs_x = 4 * (k + kc_below(x, 4));
    p->rs_out = (int64_t)row_bytes + 4 * kc_below(x, 4);
    float *rows = kc_f32_rows(x, n, k, (size_t)p->rs_x, dist, p->width ? 1e37 : 3e38);
    float *rotated = kc_alloc(x, (size_t)k * 4);
    int8_t *signs = kc_signs(x, k);
    uint8_t *bits = kc_alloc(x, (size_t)(n * p->rs_out));
    for (int64_t t = 0; t < n; t++) {
        float *row = rows + t * p->rs_x / 4;
        fill_row(x, p, row, dist, signs, halves);
        memcpy(rotated, row, (size_t)k * 4);
        if (p->width)
            kc_rotate(rotated, k, signs, p->width, false);
        quantize_row(p, rotated, bits + t * p->rs_out);
    }
    p->x = kc_input(c, "x", rows, (size_t)(n * p->rs_x), 4);
    p->out =
        kc_output(c, "out", (size_t)(n * p->rs_out), 4, KC_ACT_BITS, kc_rows_map(row_bytes, (size_t)p->rs_out));
    c->operands[p->out].oracle_bits = bits;
    c->operands[p->out].act_bytes =
        p->act_type == Q35_DT_A8_ROW ? row_bytes : sizeof(q35_act_row) + (size_t)unit_of(p);
    if (p->width) {
        p->signs = kc_input(c, "signs", signs, (size_t)k, 1);
        p->scratch = kc_scratch(c, (size_t)k * 4);
    }
    c->n_items = n;
    c->call = call;
    snprintf(c->text, sizeof c->text, "%s K=%lld T=%lld width=%lld rs_x=%lld rs_out=%lld dist=%s",
             q35_dtype_describe(p->act_type).name, (long long)k, (long long)n, (long long)p->width,
             (long long)p->rs_x, (long long)p->rs_out, halves ? "halves" : kc_dist_name(dist));
}

static const uint32_t act_types[] = {Q35_DT_A8_32, Q35_DT_A8_ROW, Q35_DT_A8_128};

static void build(kc_context *x, int64_t index, kc_case *c)
{
    static const int64_t lengths[] = {0, 1, 7, 31, 32, 33, 63, 64, 65, 97, 127, 128, 129, 200, 576, 1536},
                         tokens[] = {1, 2, 7, 33, 0}, widths[] = {0, 128, 0, 256, 16};
    int64_t v = index / 16, kind = v / 3 % (KC_DIST_COUNT + 1);
    params p = {.k = lengths[index % 16], .act_type = act_types[v % 3], .width = widths[(index + v) % 5]};
    build_shape(x, c, p, tokens[(index + v / 5) % 5], (kc_dist)(kind % KC_DIST_COUNT), kind == KC_DIST_COUNT);
}

static void build_bench(kc_context *x, int64_t index, kc_case *c)
{
    static const int64_t lengths[] = {576, 4096, 14336};
    params p = {.k = lengths[index / 2 % 3], .act_type = act_types[index / 6], .width = index % 2 ? 128 : 0};
    build_shape(x, c, p, 1, KC_DIST_NORMAL, false);
    c->bytes = (p.width ? 6.0 : 5.0) * (double)p.k;
}

const kc_op kc_op_quantize_act = {"quantize_act", 1008, build, 18, build_bench};
