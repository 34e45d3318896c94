/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR of types with one scale per row: type x layout x activation type x shapes x token counts x data. With
 * quantised activations every implementation must have the bits of the formula (docs/numerics.md, "linear of row
 * types"), which the oracle here computes with 64-bit sums; with F32 activations the reference's, for which the
 * bound of linear holds. The reference row reads canonical rows only. PACK_ACT is held to the same: the linear of
 * its instruction set must read the panel that it made in pieces.
 */
#include "kernelcheck.h"

#include <kernels-cpu/row16.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct params {
    uint32_t act_type;
    int64_t rs_x, n_tokens, rs_out;
    q35k_weights canonical, tiled;
    int x, panel, w, tiles, book, out, scratch; /* panel, tiles, book -1: none */
} params;

/* What the codes of the activations are. */
typedef enum codes {
    CODES_ANY,
    CODES_MAX,  /* all 127 */
    CODES_SIGNS /* 127 and -127 */
} codes;

typedef struct plan {
    uint32_t dtype, act_type;
    bool tiled, panel;
    int64_t k, n, n_tokens;
    kc_scales scales;
    kc_dist dist;
    codes codes;
} plan;

/* 3 types x 2 layouts x 5 kinds of activations, the first two of them in panels. */
enum { ACTS = 5, PANELS = 2, LAYOUTS = 6, VARIANTS = 110, VARIANTS_OF_PACK = 40 };

static plan choose(kc_context *x, int64_t index, int64_t n_acts)
{
    static const uint32_t acts[ACTS] = {Q35_DT_A8_ROW, Q35_DT_A8_128, Q35_DT_A8_ROW, Q35_DT_A8_128, Q35_DT_F32};
    static const struct {
        int64_t k, n;
    } shapes[] = {{0, 17},   {1, 1},    {15, 16},  {31, 5},   {33, 33},   {64, 15},   {65, 64},
                  {127, 17}, {128, 16}, {129, 31}, {200, 48}, {257, 19},  {384, 64},  {576, 0},
                  {577, 33}, {1536, 7}, {4095, 3}, {63, 47},  {11008, 2}, {66304, 2}, {96, 32},
                  {192, 65}, {255, 49}, {320, 20}, {513, 17}, {70, 32},   {600, 15},  {300, 7}};
    static const int64_t tokens[] = {1, 2, 7, 33, 3, 4, 8, 16, 0, 1, 272, 48, 15, 5, 17};
    static const struct {
        kc_scales scales;
        kc_dist dist;
        codes codes;
    } data[] = {
        {KC_SCALES_PLAIN, KC_DIST_NORMAL, CODES_ANY},     {KC_SCALES_ALL_MAX, KC_DIST_NORMAL, CODES_MAX},
        {KC_SCALES_UNIT, KC_DIST_INTEGER, CODES_ANY},     {KC_SCALES_PLAIN, KC_DIST_NONFINITE, CODES_ANY},
        {KC_SCALES_ALL_MIN, KC_DIST_UNIFORM, CODES_MAX},  {KC_SCALES_ANY, KC_DIST_EXTREME, CODES_ANY},
        {KC_SCALES_ALL_MIN, KC_DIST_NORMAL, CODES_SIGNS}, {KC_SCALES_ZERO, KC_DIST_NONFINITE, CODES_ANY},
        {KC_SCALES_SUBNORMAL, KC_DIST_NORMAL, CODES_ANY}, {KC_SCALES_NEGATIVE, KC_DIST_UNIFORM, CODES_SIGNS},
        {KC_SCALES_ALL_MAX, KC_DIST_EXTREME, CODES_SIGNS}};
    const int64_t n_shapes = sizeof shapes / sizeof shapes[0], n_data = sizeof data / sizeof data[0];
    const int64_t combinations = n_acts * LAYOUTS, combination = index % combinations, v = index / combinations;
    plan p = {.dtype = kc_row_types[combination / n_acts / 2],
              .act_type = acts[combination % n_acts],
              .tiled = combination / n_acts % 2,
              .panel = combination % n_acts < PANELS};
    int64_t s = (5 * v + 7 * combination + v / n_shapes) % n_shapes, d = v % n_data;
    p.k = shapes[s].k;
    p.n = shapes[s].n;
    p.n_tokens = tokens[(v + combination + kc_below(x, 3)) % (int64_t)(sizeof tokens / sizeof tokens[0])];
    if (p.k * p.n * p.n_tokens > 300000)
        p.n_tokens = 1 + p.n_tokens % 6;
    p.scales = data[d].scales;
    p.dist = data[d].dist;
    p.codes = data[d].codes;
    return p;
}

/* ---- activations ---- */

static float act_scale(kc_context *x, kc_dist dist)
{
    switch (dist) {
    case KC_DIST_INTEGER: return 0x1p-3f;
    case KC_DIST_EXTREME: return kc_random(x) & 1 ? 0x1p-140f * (float)kc_below(x, 1 << 12) : 1e12f;
    case KC_DIST_NONFINITE: return kc_below(x, 6) ? 0.01f : (float)NAN;
    default: return (float)(0.02 * (kc_uniform(x) + 1.0001));
    }
}

static int code_of(kc_context *x, codes kind)
{
    switch (kind) {
    case CODES_MAX: return 127;
    case CODES_SIGNS: return kc_random(x) & 1 ? 127 : -127;
    case CODES_ANY: break;
    }
    return (int)kc_below(x, 255) - 127;
}

/* A head and n codes, as QUANTIZE_ACT leaves them: a NaN has codes 0. */
static void fill_unit(kc_context *x, uint8_t *at, int64_t n, const plan *p)
{
    q35_act_row head = {.scale = act_scale(x, p->dist)};
    for (int64_t i = 0; i < n && !isnan(head.scale); i++) {
        int code = code_of(x, p->codes);
        at[sizeof head + (size_t)i] = (uint8_t)(int8_t)code;
        head.sum += code;
    }
    memcpy(at, &head, sizeof head);
}

static uint8_t *make_activations(kc_context *x, const plan *p, params *q)
{
    q->rs_x = (int64_t)q35_row_bytes(p->act_type, (uint64_t)p->k);
    size_t row_bytes = (size_t)q->rs_x;
    q->rs_x += 4 * kc_below(x, 5);
    if (p->act_type == Q35_DT_F32) {
        float *rows = kc_f32_rows(x, p->n_tokens, p->k, (size_t)q->rs_x, p->dist, 1e12);
        for (int64_t i = 0; i < p->n_tokens * q->rs_x / 4 && p->dist == KC_DIST_INTEGER; i++)
            rows[i] *= 0x1p-3f;
        return (uint8_t *)rows;
    }
    uint8_t *rows = kc_alloc(x, (size_t)(p->n_tokens * q->rs_x));
    int64_t unit = p->act_type == Q35_DT_A8_ROW ? p->k + 1 : Q35_ACT_GROUP;
    for (int64_t t = 0; t < p->n_tokens; t++) {
        uint8_t *row = rows + t * q->rs_x;
        memset(row + row_bytes, 0xff, (size_t)q->rs_x - row_bytes);
        if (p->act_type == Q35_DT_A8_ROW)
            fill_unit(x, row, p->k, p);
        else
            for (int64_t i = 0; i < p->k; i += unit, row += sizeof(q35_act_group))
                fill_unit(x, row, p->k - i < unit ? p->k - i : unit, p);
    }
    return rows;
}

/* ---- oracle ---- */

static float exact_sum(const uint8_t *q, const int8_t *level, int64_t n)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (int)(int8_t)q[i] * (int)level[i];
    return (float)sum;
}

static float load_f32(const uint8_t *p)
{
    float v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* volatile: each product is a rounding of its own. */
static float quantised_result(const plan *p, const uint8_t *x, const int8_t *level, float scale)
{
    volatile float acc = 0;
    if (p->act_type == Q35_DT_A8_ROW) {
        acc = scale * load_f32(x);
        return acc * exact_sum(x + sizeof(q35_act_row), level, p->k);
    }
    for (int64_t i = 0; i < p->k; i += Q35_ACT_GROUP, x += sizeof(q35_act_group)) {
        int64_t n = p->k - i < Q35_ACT_GROUP ? p->k - i : Q35_ACT_GROUP;
        acc = fmaf(exact_sum(x + sizeof(q35_act_row), level + i, n), load_f32(x), acc);
    }
    return scale * acc;
}

/* Where out[t][r] lies, and what it is made of. */
typedef struct cell {
    int64_t at; /* floats */
    const uint8_t *x;
    const int8_t *level;
    float scale;
} cell;

static void judge_f32(const plan *p, const cell *c, double *oracle, double *bound)
{
    double sum = 0, s = 0, k = (double)p->k;
    for (int64_t i = 0; i < p->k; i++) {
        volatile float w = c->scale * (float)c->level[i];
        double term = (double)load_f32(c->x + 4 * i) * (double)w;
        sum += term;
        s += fabs(term);
    }
    oracle[c->at] = sum;
    bound[c->at] = kc_gamma(kc_chain_roundings(p->k)) * s + k * KC_ETA;
    if (p->dist == KC_DIST_INTEGER && s <= 0x1p24 * KC_UNIT_SCALE * 0x1p-3)
        bound[c->at] = 0;
    bound[c->at] += 2 * (k + 2) * KC_U64 * s;
}

static void make_oracle(kc_context *x, const plan *p, const params *q, const uint8_t *acts, kc_operand *out)
{
    size_t n_out = out->bytes / 4;
    float *bits = kc_alloc(x, n_out * sizeof *bits);
    double *oracle = kc_alloc(x, n_out * sizeof *oracle), *bound = kc_alloc(x, n_out * sizeof *bound);
    int8_t *level = kc_alloc(x, (size_t)p->k);
    for (int64_t r = 0; r < p->n; r++) {
        const uint8_t *row = (const uint8_t *)q->canonical.data + r * q->canonical.rs;
        kc_row_levels(p->dtype, row, p->k, q->canonical.book, level);
        for (int64_t t = 0; t < p->n_tokens; t++) {
            cell c = {t * q->rs_out / 4 + r, acts + t * q->rs_x, level, load_f32(row)};
            if (p->act_type == Q35_DT_F32)
                judge_f32(p, &c, oracle, bound);
            else
                bits[c.at] = quantised_result(p, c.x, level, c.scale);
        }
    }
    out->oracle_bits = bits;
    out->oracle = oracle;
    out->bound = bound;
}

/* ---- calls ---- */

/* x: canonical rows, or a panel, of n_tokens, whose first is `token`. */
static void run_linear(const kc_case *c, kc_fn *fn, const uint8_t *x, uint32_t act_type, int64_t token,
                       int64_t n_tokens, int64_t begin, int64_t end)
{
    const params *p = c->params;
    const kc_operand *o = c->operands;
    bool tiled = p->tiles >= 0 && fn != kc_find_ref("linear_row")->fn;
    q35k_weights w = tiled ? p->tiled : p->canonical;
    w.data = o[tiled ? p->tiles : p->w].p;
    w.book = p->book >= 0 ? (const int8_t(*)[2])o[p->book].p : NULL;
    ((q35k_linear_fn *)fn)(x, act_type, p->rs_x, n_tokens, &w, (float *)(void *)(o[p->out].p + token * p->rs_out),
                           p->rs_out, begin, end, o[p->scratch].p);
}

/* Tokens [begin, end) of n_tokens, whose first is `token`, to the panel. */
static void run_pack(const kc_case *c, kc_fn *fn, int64_t token, int64_t n_tokens, int64_t begin, int64_t end)
{
    const params *p = c->params;
    ((q35k_pack_act_fn *)fn)(c->operands[p->x].p + (token + begin) * p->rs_x, p->act_type, p->rs_x, p->canonical.k,
                             n_tokens, c->operands[p->panel].p, begin, end);
}

static void call_tokens(const kc_case *c, kc_fn *fn, int64_t token, int64_t n_tokens, int64_t begin, int64_t end)
{
    const params *p = c->params;
    if (p->panel >= 0) {
        run_pack(c, kc_find_partner("pack_act", fn), token, n_tokens, 0, n_tokens);
        run_linear(c, fn, c->operands[p->panel].p, p->act_type | Q35K_PANEL, token, n_tokens, begin, end);
    } else {
        run_linear(c, fn, c->operands[p->x].p + token * p->rs_x, p->act_type, token, n_tokens, begin, end);
    }
}

static void call(const kc_case *c, kc_fn *fn, int64_t begin, int64_t end)
{
    call_tokens(c, fn, 0, ((const params *)c->params)->n_tokens, begin, end);
}

/* fn packs: three pieces, the last one first. The panel is read in two parts. */
static void call_pack(const kc_case *c, kc_fn *fn, int64_t begin, int64_t end)
{
    const params *p = c->params;
    const int64_t n = p->n_tokens, first = n / 3, second = n - n / 4, part = n / 2 / 16 * 16;
    const int64_t row_bytes = (int64_t)q35_row_bytes(p->act_type, (uint64_t)p->canonical.k);
    const uint8_t *panel = c->operands[p->panel].p;
    kc_fn *linear = kc_find_partner("linear_row", fn);
    run_pack(c, fn, 0, n, second, n);
    run_pack(c, fn, 0, n, 0, first);
    run_pack(c, fn, 0, n, first, second);
    run_linear(c, linear, panel, p->act_type | Q35K_PANEL, 0, part, begin, end);
    run_linear(c, linear, panel + part * row_bytes, p->act_type | Q35K_PANEL, part, n - part, begin, end);
}

static void call_alone(const kc_case *c, kc_fn *fn, int64_t token)
{
    call_tokens(c, fn, token, 1, 0, c->n_items);
}

static void make_weights(kc_context *x, const plan *p, params *q, kc_case *c)
{
    size_t rs = (size_t)q35_row_bytes(p->dtype, (uint64_t)p->k) + (size_t)kc_below(x, 4), tile_bytes = 0;
    uint8_t *rows = kc_alloc(x, (size_t)p->n * rs);
    const int8_t(*book)[2] = kc_row_codebook(x, p->dtype);
    memset(rows, 0xff, (size_t)p->n * rs);
    kc_fill_row_weights(x, rows, p->dtype, p->n, p->k, rs, p->scales, p->dist);
    q->canonical = (q35k_weights){.data = rows,
                                  .dtype = p->dtype,
                                  .layout = Q35K_LAYOUT_CANONICAL,
                                  .n = p->n,
                                  .k = p->k,
                                  .rs = (int64_t)rs,
                                  .book = book};
    q->w = kc_input(c, q35_dtype_describe(p->dtype).name, rows, (size_t)p->n * rs, 1);
    q->book = book ? kc_input(c, "codebook", book, q35_book_entries(p->dtype) * sizeof *book, 1) : -1;
    uint8_t *tiles = p->tiled ? kc_row_tiles(x, p->dtype, p->n, p->k, rows, rs, &tile_bytes) : NULL;
    q->tiles = tiles ? kc_input(c, "tiles", tiles, tile_bytes, 64) : -1;
    q->tiled = q->canonical;
    q->tiled.layout = Q35K_LAYOUT_ROW16;
    q->tiled.rs = (int64_t)q35k_row16_bytes(p->dtype, p->k);
}

static void build_plan(kc_context *x, const plan *p, kc_case *c, bool judge)
{
    static const char *const codes_names[] = {"any", "max", "signs"};
    params *q = kc_alloc(x, sizeof *q);
    c->params = q;
    q->act_type = p->act_type;
    q->n_tokens = p->n_tokens;
    uint8_t *acts = make_activations(x, p, q);
    make_weights(x, p, q, c);
    q->x = kc_input(c, "x", acts, (size_t)(p->n_tokens * q->rs_x), 4);
    q->panel = -1;
    if (p->panel) {
        q->panel = kc_scratch(c, (size_t)p->n_tokens * (size_t)q35_row_bytes(p->act_type, (uint64_t)p->k));
        c->operands[q->panel].name = "panel";
        c->operands[q->panel].align = 4;
    }
    q->scratch = kc_scratch(c, (size_t)q35k_linear_scratch_bytes(p->k));
    q->rs_out = 4 * (p->n + kc_below(x, 4));
    kc_map map = {.cell = 4, .div_stride = 4, .mod = 1, .n_rep = p->n_tokens, .rep_stride = (size_t)q->rs_out};
    q->out = kc_output(c, "out", (size_t)(p->n_tokens * q->rs_out), 4,
                       p->act_type == Q35_DT_F32 ? KC_F32_ONE_NAN : KC_F32_BITS, map);
    c->n_items = p->n;
    c->unit = 16;
    c->call = call;
    c->call_alone = call_alone;
    c->n_alone = p->n_tokens > 1 ? p->n_tokens : 0;
    snprintf(c->text, sizeof c->text, "%s%s act=%s%s K=%lld N=%lld T=%lld rs=%lld scales=%s dist=%s codes=%s",
             q35_dtype_describe(p->dtype).name, q->tiles >= 0 ? "/row16" : "",
             q35_dtype_describe(p->act_type).name, p->panel ? "/panel" : "", (long long)p->k, (long long)p->n,
             (long long)p->n_tokens, (long long)q->canonical.rs, kc_scales_name(p->scales), kc_dist_name(p->dist),
             codes_names[p->codes]);
    if (judge)
        make_oracle(x, p, q, acts, &c->operands[q->out]);
}

static void build(kc_context *x, int64_t index, kc_case *c)
{
    plan p = choose(x, index, ACTS);
    build_plan(x, &p, c, true);
}

static void build_pack(kc_context *x, int64_t index, kc_case *c)
{
    plan p = choose(x, index, PANELS);
    build_plan(x, &p, c, true);
    c->call = call_pack;
    c->n_alone = 0;
}

/* The linear alone: its speed does not depend on what is in a panel. */
static void call_bench_panel(const kc_case *c, kc_fn *fn, int64_t begin, int64_t end)
{
    const params *p = c->params;
    run_linear(c, fn, c->operands[p->panel].p, p->act_type | Q35K_PANEL, 0, p->n_tokens, begin, end);
}

static void set_work(kc_case *c, const plan *p)
{
    const params *q = c->params;
    c->bytes = (double)c->operands[q->tiles >= 0 ? q->tiles : q->w].bytes;
    c->macs = (double)p->k * (double)p->n * (double)p->n_tokens;
}

/* Prefill from a panel. */
static void build_bench_panel(kc_context *x, int64_t index, kc_case *c)
{
    static const int64_t tokens[] = {16, 64, 128, 512}, k[] = {576, 1536, 4096};
    plan p = {.dtype = Q35_DT_Q35_ROW,
              .act_type = Q35_DT_A8_ROW,
              .tiled = true,
              .panel = true,
              .k = k[index / 4],
              .n = 576,
              .n_tokens = tokens[index % 4],
              .scales = KC_SCALES_PLAIN,
              .dist = KC_DIST_NORMAL};
    build_plan(x, &p, c, false);
    c->call = call_bench_panel;
    set_work(c, &p);
}

/* Decode and prefill over a matrix that exceeds the caches of a core. */
static void build_bench(kc_context *x, int64_t index, kc_case *c)
{
    static const int64_t tokens[] = {1, 4, 128};
    int64_t kind = index / 3;
    if (kind > 4) {
        build_bench_panel(x, index - 15, c);
        return;
    }
    plan p = {.dtype = kc_row_types[kind % 3],
              .act_type = kind == 4 ? Q35_DT_A8_128 : Q35_DT_A8_ROW,
              .tiled = kind != 3,
              .k = 1536,
              .n = 1536,
              .n_tokens = tokens[index % 3],
              .scales = KC_SCALES_PLAIN,
              .dist = KC_DIST_NORMAL};
    p.dtype = kind == 4 ? Q35_DT_Q35_ROW : p.dtype;
    build_plan(x, &p, c, false);
    set_work(c, &p);
}

const kc_op kc_op_linear_row = {"linear_row", (int64_t)ACTS *LAYOUTS *VARIANTS, build, 27, build_bench};
const kc_op kc_op_pack_act = {"pack_act", (int64_t)PANELS *LAYOUTS *VARIANTS_OF_PACK, build_pack, 0, NULL};
