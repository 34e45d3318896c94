/* SPDX-License-Identifier: Apache-2.0
 *
 * SWIGLU, SILU, ADD and MUL over flat arrays, in place over either operand or not. ADD and MUL are one rounding
 * and so exact to the bit. Bounds: docs/numerics.md, "swiglu".
 */
#include "kernelcheck.h"

#include <math.h>
#include <stdio.h>

typedef enum kind { SWIGLU, SILU, ADD, MUL } kind;

typedef struct params {
    int a, b, y;
} params;

static void call(const kc_case *c, kc_fn *fn, int64_t begin, int64_t end)
{
    const params *p = c->params;
    const kc_operand *o = c->operands;
    const float *b = p->b < 0 ? NULL : (const float *)(const void *)o[p->b].p;
    ((q35k_binary_fn *)fn)((const float *)(const void *)o[p->a].p, b, (float *)(void *)o[p->y].p, begin, end);
}

static void judge_exact(kc_context *x, kc_operand *y, kind k, int64_t n, const float *a, const float *b)
{
    float *bits = kc_alloc(x, y->bytes);
    for (int64_t i = 0; i < n; i++)
        bits[i] = k == ADD ? a[i] + b[i] : a[i] * b[i];
    y->elem = KC_F32_BITS;
    y->oracle_bits = bits;
}

static void judge(kc_context *x, kc_operand *y, kind k, int64_t n, const float *a, const float *b)
{
    if (k == ADD || k == MUL) {
        judge_exact(x, y, k, n, a, b);
        return;
    }
    double *oracle = kc_alloc(x, 2 * y->bytes), *bound = kc_alloc(x, 2 * y->bytes);
    for (int64_t i = 0; i < n; i++) {
        double v = (double)a[i], gate = k == SWIGLU ? (double)b[i] : 1, value = v / (1 + exp(-v)) * gate;
        oracle[i] = value;
        bound[i] = (KC_U + 16 * KC_U64) * fabs(value) + KC_ETA;
    }
    y->elem = KC_F32;
    y->oracle = oracle;
    y->bound = bound;
}

static void build_shape(kc_context *x, kc_case *c, kind k, int64_t n, kc_dist dist, int64_t alias)
{
    params *p = kc_alloc(x, sizeof *p);
    size_t bytes = (size_t)n * 4;
    c->params = p;
    float *a = kc_alloc(x, bytes), *b = k == SILU ? NULL : kc_alloc(x, bytes);
    double stretch = dist == KC_DIST_UNIFORM ? 120 : 1; /* covers the range of exp */
    kc_fill_f32(x, a, n, dist, 1e18);
    for (int64_t i = 0; i < n; i++)
        a[i] *= (float)stretch;
    p->a = kc_input(c, "a", a, bytes, 4);
    p->b = -1;
    if (b) {
        kc_fill_f32(x, b, n, dist, 1e18);
        p->b = kc_input(c, "b", b, bytes, 4);
    }
    kc_map map = {.cell = 4, .div_stride = 4, .mod = 1, .n_rep = 1};
    if (alias == 0 || (alias == 1 && !b)) {
        p->y = kc_output(c, "y", bytes, 4, KC_F32, map);
    } else {
        p->y = alias == 1 ? p->b : p->a;
        c->operands[p->y].role = KC_INOUT;
        c->operands[p->y].map = map;
    }
    c->n_items = n;
    c->call = call;
    snprintf(c->text, sizeof c->text, "n=%lld y=%s dist=%s", (long long)n,
             p->y == p->a   ? "a"
             : p->y == p->b ? "b"
                            : "apart",
             kc_dist_name(dist));
    judge(x, &c->operands[p->y], k, n, a, b);
}

enum { N_SIZES = 20, N_CASES = N_SIZES * KC_DIST_COUNT * 3 };

static void build_kind(kc_context *x, int64_t index, kc_case *c, kind k)
{
    static const int64_t sizes[N_SIZES] = {0,  1,  3,  7,  8,  9,   15,  16,  17,   31,
                                           32, 33, 63, 64, 65, 127, 257, 577, 1536, 4099};
    build_shape(x, c, k, sizes[index % N_SIZES], (kc_dist)(index / N_SIZES % KC_DIST_COUNT),
                index / (N_SIZES * KC_DIST_COUNT));
}

static void build_swiglu(kc_context *x, int64_t index, kc_case *c)
{
    build_kind(x, index, c, SWIGLU);
}

static void build_silu(kc_context *x, int64_t index, kc_case *c)
{
    build_kind(x, index, c, SILU);
}

static void build_add(kc_context *x, int64_t index, kc_case *c)
{
    build_kind(x, index, c, ADD);
}

static void build_mul(kc_context *x, int64_t index, kc_case *c)
{
    build_kind(x, index, c, MUL);
}

static void build_bench(kc_context *x, int64_t index, kc_case *c)
{
    (void)index;
    build_shape(x, c, SWIGLU, 16384, KC_DIST_NORMAL, 0);
    c->bytes = 16384 * 12;
}

const kc_op kc_op_swiglu = {"swiglu", N_CASES, build_swiglu, 1, build_bench};
const kc_op kc_op_silu = {"silu", N_CASES, build_silu, 1, build_bench};
const kc_op kc_op_add = {"add", N_CASES, build_add, 1, build_bench};
const kc_op kc_op_mul = {"mul", N_CASES, build_mul, 1, build_bench};
