/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR: every weight type x layout x activation type x shapes x token counts x distributions. All rows must have
 * the reference's bits, and the reference lie within its bound of a sum in double (docs/numerics.md, "linear").
 * The reference row decodes canonical rows only, so for it, and for the target, the weights are always canonical.
 */
#include "kernelcheck.h"

#include <kernels-cpu/tile16.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct params {
    uint32_t act_type;
    int64_t rs_x, n_tokens, rs_out;
    q35k_weights canonical, tiled; /* tiled.data NULL: layout not tested here */
    bool call_tiled;
    int x, w, tiles, book, out, scratch;
} params;

/* One row of the plan: what a case is made of. */
typedef struct plan {
    uint32_t dtype, act_type;
    bool tiled;
    int64_t k, n, n_tokens;
    kc_scales scales;
    kc_dist dist;
    bool tight; /* no padding between weight rows */
} plan;

enum { VARIANTS = 91 };

/* Combinations of type, layout and activations: 18 types x 2, and tiles of the two 3.5-bit types x 2. */
enum { COMBINATIONS = 40 };

static void choose_combination(int64_t i, plan *p)
{
    p->act_type = i % 2 ? Q35_DT_F32 : Q35_DT_A8_32;
    p->tiled = i / 2 >= kc_n_weight_types;
    p->dtype =
        p->tiled ? (i / 2 == kc_n_weight_types ? Q35_DT_Q35_PAIR : Q35_DT_Q35_SPLIT) : kc_weight_types[i / 2];
}

static plan choose(kc_context *x, int64_t index)
{
    static const struct {
        int64_t k, n;
    } shapes[] = {{0, 17},    {1, 1},     {16, 16},  {31, 5},     {33, 33},  {64, 15}, {97, 17},
                  {128, 16},  {129, 31},  {200, 48}, {257, 19},   {384, 64}, {576, 0}, {576, 33},
                  {1536, 17}, {4096, 18}, {63, 47},  {11008, 16}, {96, 32}};
    static const int64_t tokens[] = {1, 2, 7, 33, 1, 4, 8, 0, 16, 131};
    static const struct {
        kc_scales scales;
        kc_dist dist;
    } data[] = {{KC_SCALES_UNIT, KC_DIST_INTEGER},    {KC_SCALES_PLAIN, KC_DIST_NORMAL},
                {KC_SCALES_UNIT, KC_DIST_INTEGER},    {KC_SCALES_PLAIN, KC_DIST_UNIFORM},
                {KC_SCALES_PLAIN, KC_DIST_CANCEL},    {KC_SCALES_PLAIN, KC_DIST_NONFINITE},
                {KC_SCALES_ALL_MIN, KC_DIST_NORMAL},  {KC_SCALES_ALL_MAX, KC_DIST_UNIFORM},
                {KC_SCALES_ZERO, KC_DIST_NORMAL},     {KC_SCALES_SUBNORMAL, KC_DIST_UNIFORM},
                {KC_SCALES_NEGATIVE, KC_DIST_NORMAL}, {KC_SCALES_ANY, KC_DIST_EXTREME},
                {KC_SCALES_ANY, KC_DIST_NORMAL}};
    const int64_t n_shapes = sizeof shapes / sizeof shapes[0], n_data = sizeof data / sizeof data[0];
    plan p = {.dtype = 0};
    int64_t combination = index % COMBINATIONS, v = index / COMBINATIONS;
    choose_combination(combination, &p);
    int64_t s = (5 * v + 3 * combination + v / n_data) % n_shapes, d = v % n_data;
    p.k = kc_round_k(p.dtype, shapes[s].k);
    p.n = shapes[s].n;
    p.n_tokens = tokens[(v + combination + kc_below(x, 3)) % (int64_t)(sizeof tokens / sizeof tokens[0])];
    if (p.k * p.n * p.n_tokens > 150000)
        p.n_tokens = 1 + p.n_tokens % 4;
    p.scales = data[d].scales;
    p.dist = data[d].dist;
    return p;
}

/* ---- activations ---- */

static double block_scale(kc_context *x, kc_dist dist)
{
    switch (dist) {
    case KC_DIST_INTEGER: return 0x1p-3;
    case KC_DIST_EXTREME: return kc_random(x) & 1 ? 0x1p-140 * (double)kc_below(x, 1 << 12) : 1e12;
    case KC_DIST_NONFINITE: return kc_below(x, 12) ? 0.01 : (double)NAN;
    default: return 0.02 * (kc_uniform(x) + 1.0001);
    }
}

/* Blocks of one token; codes past k are 0. largest: bound on |code|. */
static void fill_blocks(kc_context *x, q35_act_block *blocks, int64_t k, kc_dist dist, int64_t largest)
{
    int64_t n_blocks = (k + Q35_ACT_BLOCK - 1) / Q35_ACT_BLOCK, half = n_blocks / 2;
    for (int64_t b = 0; b < n_blocks; b++) {
        q35_act_block *a = &blocks[b];
        *a = (q35_act_block){.scale = (float)block_scale(x, dist)};
        bool mirrored = dist == KC_DIST_CANCEL && b >= half && b < 2 * half;
        if (mirrored)
            a->scale = -blocks[b - half].scale;
        for (int i = 0; i < Q35_ACT_BLOCK && b * Q35_ACT_BLOCK + i < k && !isnan(a->scale); i++) {
            a->q[i] = mirrored ? blocks[b - half].q[i] : (int8_t)(kc_below(x, 2 * largest + 1) - largest);
            a->sum += a->q[i];
        }
    }
}

static void *make_activations(kc_context *x, const plan *p, params *q)
{
    int64_t pad = 4 * kc_below(x, 5);
    if (p->act_type == Q35_DT_F32) {
        q->rs_x = 4 * p->k + pad;
        kc_dist dist = p->dist == KC_DIST_CANCEL ? KC_DIST_NORMAL : p->dist;
        float *rows = kc_f32_rows(x, p->n_tokens, p->k, (size_t)q->rs_x, dist, 1e12);
        for (int64_t t = 0; t < p->n_tokens; t++) {
            float *row = rows + t * q->rs_x / 4;
            for (int64_t i = 0; i < p->k && p->dist == KC_DIST_INTEGER; i++)
                row[i] *= 0x1p-3f;
            for (int64_t i = 0; i < p->k / 2 && p->dist == KC_DIST_CANCEL; i++)
                row[p->k / 2 + i] = -row[i];
        }
        return rows;
    }
    int64_t blocks = (p->k + Q35_ACT_BLOCK - 1) / Q35_ACT_BLOCK;
    double room = 0x1p24 / (kc_largest_code(p->dtype) * (double)(p->k ? p->k : 1));
    int64_t largest = p->dist != KC_DIST_INTEGER || room > 127 ? 127 : room < 1 ? 1 : (int64_t)room;
    q->rs_x = blocks * (int64_t)sizeof(q35_act_block) + pad;
    uint8_t *rows = kc_alloc(x, (size_t)(p->n_tokens * q->rs_x));
    memset(rows, 0xff, (size_t)(p->n_tokens * q->rs_x));
    for (int64_t t = 0; t < p->n_tokens; t++)
        fill_blocks(x, (q35_act_block *)(void *)(rows + t * q->rs_x), p->k, p->dist, largest);
    return rows;
}

static void activation_values(const plan *p, const uint8_t *row, double *v)
{
    for (int64_t i = 0; i < p->k; i++) {
        const q35_act_block *b = (const q35_act_block *)(const void *)row + i / Q35_ACT_BLOCK;
        v[i] = p->act_type == Q35_DT_F32 ? (double)((const float *)(const void *)row)[i]
                                         : (double)b->scale * (double)b->q[i % Q35_ACT_BLOCK];
    }
}

/* ---- oracle and bound ---- */

/* Are blocks of integers summed exactly? */
static bool is_exact(const plan *p)
{
    return p->act_type == Q35_DT_A8_32 && !kc_is_float_type(p->dtype);
}

/* Bound for a sum whose terms have total magnitude s and whose weights w. */
static double linear_bound(const plan *p, double s, double w)
{
    const q35_levels_info info = q35_levels_describe(p->dtype);
    double unit = KC_UNIT_SCALE * 0x1p-3, k = (double)p->k;
    if (p->dist == KC_DIST_INTEGER && s <= 0x1p24 * unit)
        return 0;
    if (is_exact(p)) {
        double sums = ceil(k / Q35_ACT_BLOCK) * (Q35_ACT_BLOCK / info.part) * (info.has_min ? 2 : 1);
        return kc_gamma(sums + 1) * s + sums * 0x1p24 * KC_ETA;
    }
    if (p->act_type == Q35_DT_F32)
        return kc_gamma(kc_chain_roundings(p->k)) * s + k * KC_ETA;
    return kc_gamma(kc_chain_roundings(p->k) + 1) * s + (k + w) * KC_ETA;
}

/* Row r of the weights as they enter the products, and their magnitudes. */
static void weight_values(const plan *p, const params *q, int64_t r, double *w, double *mag)
{
    const uint8_t *row = (const uint8_t *)q->canonical.data + r * q->canonical.rs;
    if (is_exact(p)) {
        kc_exact_row(p->dtype, row, p->k, q->canonical.book, w, mag);
        return;
    }
    kc_decode_row(p->dtype, row, p->k, q->canonical.book, w);
    for (int64_t i = 0; i < p->k; i++)
        mag[i] = fabs(w[i]);
}

/* rows: the activations. */
static void make_oracle(kc_context *x, const plan *p, const params *q, const uint8_t *rows, kc_operand *out)
{
    size_t n_out = out->bytes / 4;
    double *oracle = kc_alloc(x, n_out * sizeof *oracle), *bound = kc_alloc(x, n_out * sizeof *bound);
    double *a = kc_alloc(x, (size_t)(p->n_tokens * p->k) * sizeof *a);
    double *w = kc_alloc(x, (size_t)p->k * sizeof *w), *mag = kc_alloc(x, (size_t)p->k * sizeof *mag);
    for (int64_t t = 0; t < p->n_tokens; t++)
        activation_values(p, rows + t * q->rs_x, a + t * p->k);
    for (int64_t r = 0; r < p->n; r++) {
        weight_values(p, q, r, w, mag);
        for (int64_t t = 0; t < p->n_tokens; t++) {
            double sum = 0, s = 0, weights = 0;
            for (int64_t i = 0; i < p->k; i++) {
                sum += a[t * p->k + i] * w[i];
                s += fabs(a[t * p->k + i]) * mag[i];
                weights += mag[i];
            }
            int64_t at = t * q->rs_out / 4 + r;
            oracle[at] = sum;
            bound[at] = linear_bound(p, s, weights) + 2 * (double)(p->k + 2) * KC_U64 * s;
        }
    }
    out->oracle = oracle;
    out->bound = bound;
}

/* ---- calls ---- */

static void call_tokens(const kc_case *c, kc_fn *fn, int64_t token, int64_t n_tokens, int64_t begin, int64_t end)
{
    const params *p = c->params;
    q35k_weights w = p->canonical;
    const kc_operand *o = c->operands;
    bool tiled = p->tiles >= 0 && fn != kc_find_ref("linear")->fn;
    if (tiled)
        w = p->tiled;
    w.data = o[tiled ? p->tiles : p->w].p;
    if (p->book >= 0)
        w.book = (const int8_t(*)[2])o[p->book].p;
    ((q35k_linear_fn *)fn)(o[p->x].p + token * p->rs_x, p->act_type, p->rs_x, n_tokens, &w,
                           (float *)(void *)(o[p->out].p + token * p->rs_out), p->rs_out, begin, end,
                           o[p->scratch].p);
}

static void call(const kc_case *c, kc_fn *fn, int64_t begin, int64_t end)
{
    call_tokens(c, fn, 0, ((const params *)c->params)->n_tokens, begin, end);
}

static void call_alone(const kc_case *c, kc_fn *fn, int64_t token)
{
    call_tokens(c, fn, token, 1, 0, c->n_items);
}

static void make_weights(kc_context *x, const plan *p, params *q, kc_case *c)
{
    q35_dtype_info d = q35_dtype_describe(p->dtype);
    size_t align = p->dtype == Q35_DT_F32 ? 4 : 2;
    size_t rs = (size_t)q35_row_bytes(p->dtype, (uint64_t)p->k), tile_bytes = 0;
    if (!p->tight)
        rs += align * (size_t)kc_below(x, 4);
    uint8_t *rows = kc_alloc(x, (size_t)p->n * rs);
    const int8_t(*book)[2] = kc_codebook(x, p->dtype);
    kc_fill_weights(x, rows, p->dtype, p->n, p->k, rs, p->scales, p->dist);
    q->canonical = (q35k_weights){.data = rows,
                                  .dtype = p->dtype,
                                  .layout = Q35K_LAYOUT_CANONICAL,
                                  .n = p->n,
                                  .k = p->k,
                                  .rs = (int64_t)rs,
                                  .book = book};
    q->w = kc_input(c, d.name, rows, (size_t)p->n * rs, align);
    q->book = book ? kc_input(c, "codebook", book, Q35_BOOK_POINTS * sizeof *book, 1) : -1;
    q->tiles = -1;
    uint8_t *tiles = p->tiled ? kc_tiles(x, p->dtype, p->n, p->k, rows, rs, &tile_bytes) : NULL;
    if (!tiles)
        return;
    q->tiled = q->canonical;
    q->tiled.layout = Q35K_LAYOUT_TILE16;
    q->tiled.rs = (int64_t)q35k_tile16_bytes(p->dtype, p->k);
    q->tiles = kc_input(c, "tiles", tiles, tile_bytes, 64);
}

static void build_plan(kc_context *x, const plan *p, kc_case *c, bool judge)
{
    params *q = kc_alloc(x, sizeof *q);
    c->params = q;
    q->act_type = p->act_type;
    q->n_tokens = p->n_tokens;
    void *rows = make_activations(x, p, q);
    make_weights(x, p, q, c);
    q->x = kc_input(c, "x", rows, (size_t)(p->n_tokens * q->rs_x), 4);
    q->scratch = kc_scratch(c, (size_t)q35k_linear_scratch_bytes(p->k));
    q->rs_out = 4 * (p->n + kc_below(x, 4));
    kc_map map = {.cell = 4, .div_stride = 4, .mod = 1, .n_rep = p->n_tokens, .rep_stride = (size_t)q->rs_out};
    q->out = kc_output(c, "out", (size_t)(p->n_tokens * q->rs_out), 4, KC_F32_ONE_NAN, map);
    c->n_items = p->n;
    c->unit = 16;
    c->call = call;
    c->call_alone = call_alone;
    c->n_alone = p->n_tokens > 1 ? p->n_tokens : 0;
    snprintf(c->text, sizeof c->text, "%s%s act=%s K=%lld N=%lld T=%lld rs=%lld scales=%s dist=%s",
             q35_dtype_describe(p->dtype).name, q->tiles >= 0 ? "/tile16" : "",
             q35_dtype_describe(p->act_type).name, (long long)p->k, (long long)p->n, (long long)p->n_tokens,
             (long long)q->canonical.rs, kc_scales_name(p->scales), kc_dist_name(p->dist));
    if (judge)
        make_oracle(x, p, q, rows, &c->operands[q->out]);
}

static void build(kc_context *x, int64_t index, kc_case *c)
{
    plan p = choose(x, index);
    build_plan(x, &p, c, true);
}

enum { BENCH_KINDS = 15 };

/* Decode and prefill over a matrix that exceeds the caches of a core. */
static void build_bench(kc_context *x, int64_t index, kc_case *c)
{
    static const struct {
        uint32_t dtype;
        bool tiled, floats;
    } kinds[BENCH_KINDS] = {
        {Q35_DT_Q35_PAIR, true, false}, {Q35_DT_Q35_SPLIT, true, false}, {Q35_DT_Q35_PAIR, false, false},
        {Q35_DT_Q8_0, false, false},    {Q35_DT_Q4_1, false, false},     {Q35_DT_Q4_K, false, false},
        {Q35_DT_Q6_K, false, false},    {Q35_DT_F16, false, false},      {Q35_DT_F8_32, false, false},
        {Q35_DT_IQ4_NL, false, false},  {Q35_DT_IQ4_XS, false, false},   {Q35_DT_Q2_K, false, false},
        {Q35_DT_Q3_K, false, false},    {Q35_DT_F16, false, true},       {Q35_DT_Q4_1, false, true}};
    plan p = {.dtype = kinds[index / 2].dtype,
              .act_type = kinds[index / 2].floats ? Q35_DT_F32 : Q35_DT_A8_32,
              .tiled = kinds[index / 2].tiled,
              .k = 1536,
              .n = 1536,
              .n_tokens = index % 2 ? 16 : 1,
              .scales = KC_SCALES_PLAIN,
              .dist = KC_DIST_NORMAL,
              .tight = true};
    build_plan(x, &p, c, false);
    const params *q = c->params;
    c->bytes = (double)c->operands[q->tiles >= 0 ? q->tiles : q->w].bytes;
    c->macs = (double)p.k * (double)p.n * (double)p.n_tokens;
}

const kc_op kc_op_linear = {"linear", (int64_t)COMBINATIONS *VARIANTS, build, 2 * BENCH_KINDS, build_bench};
