/* SPDX-License-Identifier: Apache-2.0
 *
 * ATTENTION over f16, f32 and Q8_0 caches, with and without shared kv heads, of one to three sequences in pages in
 * disorder, some of which they share. Positions a token must not see hold NaN, so a kernel that lets one through,
 * be it with weight 0, is found. Bound: docs/numerics.md, "attention".
 */
#include "kernelcheck.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct params {
    int64_t rs_q, rs_out, n_heads, n_tokens, n_sequences, max_pages;
    float scale;
    q35k_kv kv;
    const int32_t *at, *of, *table; /* position and sequence of each token; [n_sequences][max_pages] */
    bool parts_first;               /* even tokens alone are computed in parts, else odd ones */
    int q, k, v, positions, sequence, pages, out, records, scratch;
} params;

/* The work of a case on its operands, from one token on. */
static q35k_attention attention_of(const kc_case *c, q35k_kv *kv, int64_t token)
{
    const params *p = c->params;
    const kc_operand *o = c->operands;
    *kv = p->kv;
    kv->k = o[p->k].p;
    kv->v = o[p->v].p;
    return (q35k_attention){.q = (const float *)(const void *)(o[p->q].p + token * p->rs_q),
                            .out = (float *)(void *)(o[p->out].p + token * p->rs_out),
                            .rs_q = p->rs_q,
                            .rs_out = p->rs_out,
                            .n_heads = p->n_heads,
                            .scale = p->scale,
                            .kv = kv,
                            .positions = (const int32_t *)(const void *)o[p->positions].p + token,
                            .sequence = (const int32_t *)(const void *)o[p->sequence].p + token,
                            .pages = (const int32_t *)(const void *)o[p->pages].p,
                            .max_pages = p->max_pages};
}

static void call(const kc_case *c, kc_fn *fn, int64_t begin, int64_t end)
{
    const params *p = c->params;
    q35k_kv kv;
    const q35k_attention a = attention_of(c, &kv, 0);
    ((q35k_attention_fn *)fn)(&a, begin, end, NULL, c->operands[p->scratch].p);
}

/* The last span first, the others at once, then all joined. */
static void call_parts(const kc_case *c, kc_fn *fn, int64_t token, int64_t g)
{
    const params *p = c->params;
    void *scratch = c->operands[p->scratch].p;
    q35k_kv kv;
    const q35k_attention a = attention_of(c, &kv, token);
    q35k_part part = {.records = c->operands[p->records].p};
    int64_t n_spans = q35k_n_spans(p->at[token]);
    part.end = n_spans;
    part.first = n_spans - 1;
    ((q35k_attention_fn *)fn)(&a, g, g + 1, &part, scratch);
    part.end = part.first;
    part.first = 0;
    if (part.end > 0)
        ((q35k_attention_fn *)fn)(&a, g, g + 1, &part, scratch);
    part.end = 0;
    ((q35k_attention_fn *)fn)(&a, g, g + 1, &part, scratch);
}

static void call_alone(const kc_case *c, kc_fn *fn, int64_t token)
{
    const params *p = c->params;
    q35k_kv kv;
    const q35k_attention a = attention_of(c, &kv, token);
    if ((token % 2 == 0) == p->parts_first)
        for (int64_t g = 0; g < c->alone_items; g++)
            call_parts(c, fn, token, g);
    else
        ((q35k_attention_fn *)fn)(&a, 0, c->alone_items, NULL, c->operands[p->scratch].p);
}

/* Slot of position i of the sequence of a token. */
static int64_t slot_of(const params *p, int64_t token, int64_t i)
{
    return (int64_t)p->table[p->of[token] * p->max_pages + i / 32] * 32 + i % 32;
}

/* Element i of kv head g of a position of a token's sequence. */
static double element(const params *p, const void *cache, int64_t token, int64_t g, int64_t position, int64_t i)
{
    const q35k_kv *kv = &p->kv;
    int64_t slot = slot_of(p, token, position);
    int64_t at = ((slot / 32 * kv->n_kv_heads + g) * 32 + slot % 32) * kv->head_dim + i;
    q35_dtype_info d = q35_dtype_describe(kv->dtype);
    float block[32];
    q35_block_decode(kv->dtype, (const uint8_t *)cache + at / d.block_len * d.block_bytes, NULL, block);
    return (double)block[at % d.block_len];
}

/* ---- oracle and bound of one token and head; weight, rho: [positions] ---- */

typedef struct softmax {
    double *weight; /* sums to 1 */
    double *rho;    /* bound on the relative error of each weight before normalisation */
    double mean_rho;
    int64_t token, n;
} softmax;

static double n_spans(const softmax *s)
{
    return (double)q35k_n_spans(s->n - 1);
}

static void weigh(const params *p, const float *q, const void *k, int64_t g, softmax *s)
{
    double top = -HUGE_VAL, low = HUGE_VAL, slip = 0, total = 0, scale = (double)p->scale;
    int64_t dim = p->kv.head_dim;
    for (int64_t i = 0; i < s->n; i++) {
        double dot = 0, size = 0;
        for (int64_t d = 0; d < dim; d++) {
            double term = (double)q[d] * element(p, k, s->token, g, i, d);
            dot += term;
            size += fabs(term);
        }
        s->weight[i] = scale * dot;
        s->rho[i] =
            kc_gamma(ceil((double)dim / 16) + 5) * fabs(scale) * size + (double)dim * (1 + fabs(scale)) * KC_ETA;
        top = s->weight[i] > top || isnan(s->weight[i]) ? s->weight[i] : top;
        low = fmin(low, s->weight[i]);
        slip = fmax(slip, s->rho[i]);
    }
    double range = top - low + 2 * slip;
    s->mean_rho = 0;
    for (int64_t i = 0; i < s->n; i++) {
        s->weight[i] = exp(s->weight[i] - top);
        total += s->weight[i];
        s->rho[i] = expm1(s->rho[i] + KC_U * range + KC_EXP * (1 + n_spans(s)));
    }
    for (int64_t i = 0; i < s->n; i++) {
        s->weight[i] /= total;
        s->mean_rho += s->weight[i] * s->rho[i];
    }
}

static void judge_row(const params *p, const softmax *s, const void *v, int64_t g, double *oracle, double *bound)
{
    const double in_span = fmin((double)s->n, Q35K_SPAN), n = (double)s->n, roundings = in_span + 2 * n_spans(s);
    const double gamma = kc_gamma(roundings);
    for (int64_t d = 0; d < p->kv.head_dim; d++) {
        double sum = 0, size = 0, moved = 0, largest = 0;
        for (int64_t i = 0; i < s->n; i++) {
            double term = s->weight[i] * element(p, v, s->token, g, i, d);
            sum += term;
            size += fabs(term);
            moved += fabs(term) * s->rho[i];
            largest = fmax(largest, fabs(element(p, v, s->token, g, i, d)));
        }
        double spread = moved + size * (s->mean_rho + 2 * gamma + 2 * KC_U), room = 1 - s->mean_rho - gamma;
        double worst = room > 0.5 ? spread / room : 2 * largest;
        oracle[d] = sum;
        bound[d] = worst + n * 0x1p-124 * largest + 2 * (n + 2 * n_spans(s) + 2) * KC_ETA;
    }
}

static void judge(kc_context *x, kc_case *c, const float *q, const void *k, const void *v)
{
    const params *p = c->params;
    kc_operand *out = &c->operands[p->out];
    double *oracle = kc_alloc(x, 2 * out->bytes), *bound = kc_alloc(x, 2 * out->bytes);
    size_t room = (size_t)(32 * p->max_pages) * sizeof(double);
    softmax s = {.weight = kc_alloc(x, room), .rho = kc_alloc(x, room)};
    for (int64_t i = 0; i < p->n_tokens * p->n_heads; i++) {
        int64_t t = i / p->n_heads, h = i % p->n_heads, g = h / (p->n_heads / p->kv.n_kv_heads);
        int64_t at = t * p->rs_out / 4 + h * p->kv.head_dim;
        s.token = t;
        s.n = p->at[t] + 1;
        weigh(p, q + t * p->rs_q / 4 + h * p->kv.head_dim, k, g, &s);
        judge_row(p, &s, v, g, oracle + at, bound + at);
    }
    out->oracle = oracle;
    out->bound = bound;
}

/* ---- cases ---- */

/* Blocks whose scale is the first element's magnitude over 64, NaN and infinity included. */
static uint8_t *q8_cache(kc_context *x, const float *wide, size_t n)
{
    uint8_t *cache = kc_alloc(x, n / 32 * 34);
    for (size_t i = 0; i < n; i++) {
        uint8_t *block = cache + i / 32 * 34;
        uint16_t scale = q35_f32_to_f16(fabsf(wide[i]) / 64);
        if (i % 32 == 0)
            memcpy(block, &scale, sizeof scale);
        block[2 + i % 32] = (uint8_t)kc_below(x, 256);
    }
    return cache;
}

/* For each slot of the cache: does any token see it? */
static bool *seen_slots(kc_context *x, const params *p)
{
    bool *seen = kc_alloc(x, (size_t)(32 * p->kv.n_pages));
    for (int64_t t = 0; t < p->n_tokens; t++)
        for (int64_t i = 0; i <= p->at[t]; i++)
            seen[slot_of(p, t, i)] = true;
    return seen;
}

/* NaN where no token sees it. Infinite scores are outside of the contract, so only values may be infinite. */
static void *make_cache(kc_context *x, const params *p, const bool *seen, kc_dist dist, bool infinities)
{
    const q35k_kv *kv = &p->kv;
    size_t n = (size_t)(kv->n_pages * kv->n_kv_heads * 32 * kv->head_dim);
    float *wide = kc_alloc(x, 4 * n);
    uint16_t *half = kc_alloc(x, 2 * n);
    kc_fill_f32(x, wide, (int64_t)n, dist, 100);
    for (size_t i = 0; i < n; i++) {
        int64_t row = (int64_t)i / kv->head_dim, slot = row / 32 / kv->n_kv_heads * 32 + row % 32;
        if (!seen[slot])
            wide[i] = (float)NAN;
        else if (isinf(wide[i]) && !infinities)
            wide[i] = 1.0f;
        half[i] = q35_f32_to_f16(wide[i]);
    }
    if (kv->dtype == Q35_DT_Q8_0)
        return q8_cache(x, wide, n);
    return kv->dtype == Q35_DT_F32 ? (void *)wide : (void *)half;
}

/* Sequence s has tokens from its share of n_tokens, after `pos` others; the first page, if full, is that of
 * sequence 0 where it may be. The other pages come in disorder. */
static void place_tokens(kc_context *x, params *p, int64_t pos)
{
    int64_t n_pages = p->n_sequences * p->max_pages;
    int32_t *at = kc_alloc(x, (size_t)p->n_tokens * 4), *of = kc_alloc(x, (size_t)p->n_tokens * 4),
            *table = kc_alloc(x, (size_t)n_pages * 4);
    for (int64_t i = 0; i < n_pages; i++)
        table[i] = (int32_t)i;
    for (int64_t i = n_pages; i-- > 1;) {
        int64_t j = kc_below(x, i + 1);
        int32_t page = table[i];
        table[i] = table[j];
        table[j] = page;
    }
    for (int64_t s = 0; s < p->n_sequences; s++) {
        int64_t first = p->n_tokens * s / p->n_sequences, end = p->n_tokens * (s + 1) / p->n_sequences;
        int64_t start = s == 0 ? pos : kc_below(x, pos + 1);
        for (int64_t t = first; t < end; t++) {
            at[t] = (int32_t)(start + t - first);
            of[t] = (int32_t)s;
        }
        if (s > 0 && start >= 32 && pos >= 32)
            table[s * p->max_pages] = table[0];
    }
    p->at = at;
    p->of = of;
    p->table = table;
    p->kv.n_pages = n_pages;
}

static void add_operands(kc_context *x, kc_case *c, params *p, const float *q, const void *k, const void *v)
{
    const q35k_kv *kv = &p->kv;
    size_t row = (size_t)q35_row_bytes(kv->dtype, (uint64_t)kv->head_dim), size = kv->dtype == Q35_DT_F32 ? 4 : 2;
    size_t bytes = (size_t)(kv->n_pages * kv->n_kv_heads * 32) * row, longest = 0;
    int64_t group = p->n_heads / kv->n_kv_heads;
    for (int64_t t = 0; t < p->n_tokens; t++)
        longest = longest > (size_t)p->at[t] ? longest : (size_t)p->at[t];
    kc_map map = {.cell = 4 * (size_t)(group * kv->head_dim), .mod = kv->n_kv_heads, .n_rep = 1};
    map.div_stride = (size_t)p->rs_out;
    map.mod_stride = map.cell;
    (void)x;
    p->q = kc_input(c, "q", q, (size_t)(p->n_tokens * p->rs_q), 4);
    p->k = kc_input(c, "cache k", k, bytes, size);
    p->v = kc_input(c, "cache v", v, bytes, size);
    p->positions = kc_input(c, "positions", p->at, (size_t)p->n_tokens * 4, 4);
    p->sequence = kc_input(c, "sequence", p->of, (size_t)p->n_tokens * 4, 4);
    p->pages = kc_input(c, "pages", p->table, (size_t)(p->n_sequences * p->max_pages) * 4, 4);
    p->scratch = kc_scratch(c, (size_t)q35k_attention_scratch_bytes(kv->head_dim));
    p->records = kc_scratch(c, (size_t)q35k_n_spans((int64_t)longest) * (size_t)group *
                                   (size_t)q35k_record_bytes(kv->head_dim));
    p->out = kc_output(c, "out", (size_t)(p->n_tokens * p->rs_out), 4, KC_F32, map);
}

static void build_shape(kc_context *x, kc_case *c, const params *shape, int64_t pos, kc_dist dist, bool judged)
{
    params *p = kc_alloc(x, sizeof *p);
    *p = *shape;
    c->params = p;
    const q35k_kv *kv = &p->kv;
    int64_t width = p->n_heads * kv->head_dim;
    p->max_pages = (pos + p->n_tokens) / 32 + 1 + kc_below(x, 2);
    p->rs_q = 4 * (width + kc_below(x, 4));
    p->rs_out = 4 * (width + kc_below(x, 4));
    place_tokens(x, p, pos);
    kc_dist q_dist = dist == KC_DIST_NONFINITE ? KC_DIST_NORMAL : dist;
    float *q = kc_f32_rows(x, p->n_tokens, width, (size_t)p->rs_q, q_dist, 100);
    if (dist == KC_DIST_NONFINITE && p->n_tokens > 1)
        q[kc_below(x, width)] = (float)NAN;
    const bool *seen = seen_slots(x, p);
    void *k = make_cache(x, p, seen, q_dist, false);
    void *v = make_cache(x, p, seen, dist, true);
    add_operands(x, c, p, q, k, v);
    c->n_items = p->n_tokens * kv->n_kv_heads;
    c->call = call;
    c->call_alone = call_alone;
    c->n_alone = p->n_tokens;
    c->alone_items = kv->n_kv_heads;
    snprintf(c->text, sizeof c->text,
             "%s heads=%lld/%lld head_dim=%lld pos=%lld T=%lld sequences=%lld scale=%g dist=%s",
             q35_dtype_describe(kv->dtype).name, (long long)p->n_heads, (long long)kv->n_kv_heads,
             (long long)kv->head_dim, (long long)pos, (long long)p->n_tokens, (long long)p->n_sequences,
             (double)p->scale, kc_dist_name(dist));
    if (judged)
        judge(x, c, q, k, v);
}

static void build(kc_context *x, int64_t index, kc_case *c)
{
    static const int64_t heads[][2] = {{1, 1}, {4, 2}, {9, 3}, {8, 1}, {3, 3}, {16, 1}, {10, 2}};
    static const int64_t dims[] = {64, 128, 1, 16, 33, 80, 96, 8},
                         starts[] = {0, 1, 15, 16, 63, 100, 31, 257, 0, 515};
    static const int64_t tokens[] = {1, 2, 7, 1, 17, 0};
    int64_t h = index % 7;
    params p = {.n_heads = heads[h][0],
                .n_tokens = tokens[index / 2 % 6],
                .n_sequences = 1 + index / 2 % 3,
                .parts_first = index % 4 < 2};
    int64_t pos = starts[index / 3 % 10];
    static const uint32_t dtypes[] = {Q35_DT_F16, Q35_DT_F32, Q35_DT_Q8_0, Q35_DT_F16, Q35_DT_F32};
    uint32_t dtype = dtypes[index % 5];
    p.kv =
        (q35k_kv){.dtype = dtype, .n_kv_heads = heads[h][1], .head_dim = kc_round_k(dtype, dims[index / 4 % 8])};
    if (pos > 63 && p.n_tokens > 3)
        p.n_tokens = 3;
    if (index % 210 == 3) { /* more rows than the walk takes through the cache together, and more than one span */
        p.n_heads = 8;
        p.kv.n_kv_heads = 1;
        p.n_tokens = 40;
        pos = 300;
    }
    /* The usual scale; one that makes the softmax nearly one-hot; 0, the plain mean. */
    double usual = 1 / sqrt((double)p.kv.head_dim), scales[] = {usual, usual, 3, 0};
    p.scale = (float)scales[index / 9 % 4];
    build_shape(x, c, &p, pos, (kc_dist)(index / 5 % KC_DIST_COUNT), true);
}

static void build_bench(kc_context *x, int64_t index, kc_case *c)
{
    params p = {.n_heads = 9, .n_tokens = index % 2 ? 32 : 1, .n_sequences = 1, .scale = 0.125f};
    static const uint32_t dtypes[] = {Q35_DT_F16, Q35_DT_F32, Q35_DT_Q8_0};
    p.kv = (q35k_kv){.dtype = dtypes[index / 2], .n_kv_heads = 3, .head_dim = 64};
    build_shape(x, c, &p, 1000, KC_DIST_NORMAL, false);
    c->macs = (double)p.n_tokens * 9 * 1000 * 64 * 2;
    c->bytes = 3.0 * 1000 * 2 * (double)q35_row_bytes(p.kv.dtype, 64);
}

const kc_op kc_op_attention = {"attention", 1050, build, 6, build_bench};
