/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops that know positions: ROPE, KV_APPEND, ATTENTION, with one to three sequences whose pages lie in disorder and
 * may be shared. Rows of the cache that no token sees hold NaN. */
#include "bounds.h"
#include "shapes.h"

#include <kernels-cpu/kernels.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct heads {
    int64_t n_heads, n_kv_heads, head_dim, n_rot;
} heads;

/* Edges, then SmolLM2, Llama 3.2 1B, Ministral 3. */
static const heads shapes[] = {{1, 1, 32, 32}, {4, 2, 64, 48}, {3, 3, 96, 96},    {8, 1, 32, 16},
                               {9, 3, 64, 64}, {8, 2, 64, 64}, {16, 4, 128, 128}, {32, 8, 128, 128}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static int32_t *ints(const cf_case *c, uint32_t tensor)
{
    return (int32_t *)(void *)c->t[tensor].init;
}

/* ---- ROPE */

static void bound_rope(const q35k_rope *rope, const float *x, int32_t position, double *bound)
{
    const double f = (double)q35k_rope_temperature(rope, position);
    for (int64_t h = 0; h < rope->n_heads; h++) {
        for (int64_t i = 0; i < rope->n_rot / 2; i++) {
            volatile float angle = (float)position * rope->inv_freq[i];
            const double c = fabs(cos((double)angle)), s = fabs(sin((double)angle));
            const int64_t at = h * rope->head_dim + 2 * i;
            const double a = fabs((double)x[at]), b = fabs((double)x[at + 1]);
            bound[at] = cf_bound_rope(a * c + b * s, f);
            bound[at + 1] = cf_bound_rope(a * s + b * c, f);
        }
    }
}

bool cf_build_rope(cf_env *e, cf_case *c, int64_t index, uint32_t a, uint32_t b)
{
    static const int32_t starts[] = {0, 1, 1000, 16384, 131071, 262143};
    (void)a, (void)b;
    if (index >= SHAPES + 4)
        return false;
    const heads *s = &shapes[index % SHAPES];
    cf_rows r = cf_choose_rows(e, index);
    r.k = s->n_heads * s->head_dim;
    const kc_dist dist = index % 4 == 2 ? KC_DIST_UNIFORM : KC_DIST_NORMAL;
    q35_rope_params *p = kc_alloc(&e->x, sizeof *p);
    *p = (q35_rope_params){.h = {sizeof *p, Q35_STRUCT_ROPE_PARAMS, NULL},
                           .head_dim = (uint32_t)s->head_dim,
                           .n_rot = (uint32_t)s->n_rot,
                           .temperature_beta = index % 3 ? 0.1f : 0,
                           .temperature_length = index % 3 ? 16384 : 0};
    cf_begin(e, c, r.n, r.n, 0);
    uint32_t in[3], out;
    in[0] = cf_act_rows(e, c, "x", &r, dist, 1);
    in[1] = cf_vector(e, c, "inv_freq", Q35_ROLE_WEIGHT, Q35_DT_F32, s->n_rot / 2, 0);
    in[2] = cf_vector(e, c, "positions", Q35_ROLE_INPUT, Q35_DT_I32, r.capacity, Q35_TF_TOKEN_ROWS);
    out = cf_matrix(e, c, "y", Q35_ROLE_OUTPUT, Q35_DT_F32, r.k, r.capacity, Q35_TF_TOKEN_ROWS, 0);
    cf_tensor *x = &c->t[in[0]], *y = &c->t[out];
    float *inv_freq = (float *)(void *)c->t[in[1]].init;
    for (int64_t i = 0; i < s->n_rot / 2; i++)
        inv_freq[i] = (float)pow(1e6, -2 * (double)i / (double)s->n_rot);
    cf_expect(e, y, CF_F32, true);
    y->by_rows = true;
    const q35k_rope rope = {.n_heads = s->n_heads,
                            .head_dim = s->head_dim,
                            .n_rot = s->n_rot,
                            .inv_freq = inv_freq,
                            .temperature_beta = p->temperature_beta,
                            .temperature_length = p->temperature_length};
    for (int64_t t = 0; t < r.n; t++) {
        int32_t position = starts[kc_below(&e->x, 6)] + (int32_t)t;
        ints(c, in[2])[t] = position;
        bound_rope(&rope, cf_row_f32(x->init, x, t), position, y->bound + t * y->desc.stride[1] / 4);
    }
    snprintf(c->text, sizeof c->text, "rope heads=%lld head_dim=%lld n_rot=%lld T=%lld of %lld beta=%g",
             (long long)s->n_heads, (long long)s->head_dim, (long long)s->n_rot, (long long)r.n,
             (long long)r.capacity, (double)p->temperature_beta);
    cf_node(c, Q35_OP_ROPE, &p->h, 3, in, 1, &out);
    cf_expect_node(e, c);
    return true;
}

/* ---- the cache */

static uint32_t add_state(cf_env *e, cf_case *c, const char *name, const heads *s, uint32_t dtype, int64_t n_pages)
{
    q35_tensor_desc d = {.dtype = dtype, .rank = 4, .dim = {s->head_dim, Q35_KV_PAGE, s->n_kv_heads, n_pages}};
    d.stride[0] = q35_dtype_describe(dtype).block_bytes;
    d.stride[1] = (int64_t)q35_row_bytes(dtype, (uint64_t)s->head_dim);
    d.stride[2] = Q35_KV_PAGE * d.stride[1];
    d.stride[3] = s->n_kv_heads * d.stride[2];
    return cf_add_tensor(e, c, name, Q35_ROLE_STATE, &d);
}

/* One row of the cache, of normal values, or of NaN. */
static void fill_row(cf_env *e, const q35_tensor_desc *d, uint8_t *row, bool seen)
{
    float v[256], *values = v;
    kc_fill_f32(&e->x, values, d->dim[0], KC_DIST_NORMAL, 1);
    for (int64_t i = 0; i < d->dim[0]; i++) {
        const float value = seen ? values[i] : (float)NAN;
        const uint16_t half = q35_f32_to_f16(d->dtype == Q35_DT_Q8_0 ? fabsf(value) / 64 : value);
        if (d->dtype == Q35_DT_F32)
            memcpy(row + 4 * i, &value, sizeof value);
        else if (d->dtype == Q35_DT_F16)
            memcpy(row + 2 * i, &half, sizeof half);
        else if (i % 32 == 0)
            memcpy(row + i / 32 * 34, &half, sizeof half);
        if (d->dtype == Q35_DT_Q8_0)
            row[i / 32 * 34 + 2 + i % 32] = (uint8_t)kc_below(&e->x, 256);
    }
}

static cf_elem state_elem(uint32_t dtype)
{
    return dtype == Q35_DT_F32 ? CF_F32 : dtype == Q35_DT_F16 ? CF_F16 : CF_Q8;
}

bool cf_build_kv_append(cf_env *e, cf_case *c, int64_t index, uint32_t dtype, uint32_t b)
{
    (void)b;
    if (index >= SHAPES + 4)
        return false;
    static const int64_t steps[] = {1, 5, 7, 11}; /* share no factor with 2 or 3 pages: every slot comes once */
    const heads *s = &shapes[index % SHAPES];
    cf_rows r = cf_choose_rows(e, index);
    r.k = s->n_kv_heads * s->head_dim;
    const kc_dist dist = index % 4 == 3 ? KC_DIST_NONFINITE : KC_DIST_NORMAL;
    const int64_t n_pages = 2 + (r.n > 2 * Q35_KV_PAGE), n_slots = n_pages * Q35_KV_PAGE;
    q35_kv_params *p = kc_alloc(&e->x, sizeof *p);
    *p = (q35_kv_params){{sizeof *p, Q35_STRUCT_KV_PARAMS, NULL}, (uint32_t)s->n_kv_heads, (uint32_t)s->head_dim};
    cf_begin(e, c, r.n, r.n, 0);
    uint32_t in[5];
    in[0] = cf_act_rows(e, c, "k", &r, dist, 1);
    in[1] = cf_act_rows(e, c, "v", &r, dist, 1);
    in[2] = add_state(e, c, "state k", s, dtype, n_pages);
    in[3] = add_state(e, c, "state v", s, dtype, n_pages);
    in[4] = cf_vector(e, c, "slots", Q35_ROLE_INPUT, Q35_DT_I32, r.capacity, Q35_TF_TOKEN_ROWS);
    const int64_t first = kc_below(&e->x, n_slots), step = steps[kc_below(&e->x, 4)];
    for (int64_t t = 0; t < r.n; t++)
        ints(c, in[4])[t] = (int32_t)((first + t * step) % n_slots);
    cf_expect(e, &c->t[in[2]], state_elem(dtype), false);
    cf_expect(e, &c->t[in[3]], state_elem(dtype), false);
    snprintf(c->text, sizeof c->text, "kv_append %s kv_heads=%lld head_dim=%lld T=%lld of %lld dist=%s",
             q35_dtype_describe(dtype).name, (long long)s->n_kv_heads, (long long)s->head_dim, (long long)r.n,
             (long long)r.capacity, kc_dist_name(dist));
    cf_node(c, Q35_OP_KV_APPEND, &p->h, 5, in, 0, NULL);
    cf_expect_node(e, c);
    return true;
}

/* ---- ATTENTION */

typedef struct scene {
    const heads *s;
    int64_t n_tokens, n_sequences, max_pages;
    const int32_t *at, *of, *pages;
    const cf_tensor *k, *v;
    float scale;
} scene;

static const uint8_t *cache_row(const scene *n, const cf_tensor *state, int64_t token, int64_t g, int64_t position)
{
    const int64_t page = n->pages[n->of[token] * n->max_pages + position / Q35_KV_PAGE];
    return state->init + page * state->desc.stride[3] + g * state->desc.stride[2] +
           position % Q35_KV_PAGE * state->desc.stride[1];
}

/* What the errors of one query head's scores, weights and sums add up to: docs/numerics.md, "attention", with the
 * device's numbers of roundings (any order of sums, a rescaling per 16 positions) and the reference's. */
static void bound_head(const scene *n, int64_t token, int64_t h, const float *q, double *weight, double *rho,
                       double *bound)
{
    const int64_t dim = n->s->head_dim, g = h / (n->s->n_heads / n->s->n_kv_heads), count = n->at[token] + 1;
    const double scale = (double)n->scale, joins = ceil((double)count / 16) + 1;
    double top = -HUGE_VAL, low = HUGE_VAL, slip = 0, total = 0, mean = 0;
    double row[256];
    for (int64_t i = 0; i < count; i++) {
        double dot = 0, size = 0;
        kc_decode_row(n->k->desc.dtype, cache_row(n, n->k, token, g, i), dim, NULL, row);
        for (int64_t d = 0; d < dim; d++) {
            dot += (double)q[d] * row[d];
            size += fabs((double)q[d] * row[d]);
        }
        weight[i] = scale * dot;
        rho[i] = 2 * (kc_gamma((double)dim + 6) * fabs(scale) * size + (double)dim * (1 + fabs(scale)) * KC_ETA);
        top = fmax(top, weight[i]);
        low = fmin(low, weight[i]);
        slip = fmax(slip, rho[i]);
    }
    for (int64_t i = 0; i < count; i++) {
        weight[i] = exp(weight[i] - top);
        total += weight[i];
        rho[i] = expm1(rho[i] + 5 * KC_U * (top - low + 2 * slip) + 6 * KC_U * (1 + joins));
    }
    for (int64_t i = 0; i < count; i++)
        mean += (weight[i] /= total) * rho[i];
    double size[256] = {0}, moved[256] = {0}, largest[256] = {0};
    for (int64_t i = 0; i < count; i++) {
        kc_decode_row(n->v->desc.dtype, cache_row(n, n->v, token, g, i), dim, NULL, row);
        for (int64_t d = 0; d < dim; d++) {
            size[d] += weight[i] * fabs(row[d]);
            moved[d] += weight[i] * fabs(row[d]) * rho[i];
            largest[d] = fmax(largest[d], fabs(row[d]));
        }
    }
    const double gamma = 2 * kc_gamma((double)count + 2 * joins), room = 1 - mean - gamma;
    for (int64_t d = 0; d < dim; d++) {
        double spread = moved[d] + size[d] * (mean + 2 * gamma + 4 * KC_U);
        bound[d] = (room > 0.5 ? spread / room : 2 * largest[d]) + (double)count * 0x1p-120 * largest[d] +
                   8 * (double)count * KC_ETA;
    }
}

/* Each sequence's tokens are neighbours; the first page, if full, may be that of sequence 0. */
static void place_tokens(cf_env *e, scene *n, int32_t *at, int32_t *of, int32_t *pages, int64_t start)
{
    const int64_t n_pages = n->n_sequences * n->max_pages;
    for (int64_t i = 0; i < n_pages; i++)
        pages[i] = (int32_t)i;
    for (int64_t i = n_pages; i-- > 1;) {
        const int64_t j = kc_below(&e->x, i + 1);
        const int32_t page = pages[i];
        pages[i] = pages[j];
        pages[j] = page;
    }
    for (int64_t s = 0; s < n->n_sequences; s++) {
        const int64_t first = n->n_tokens * s / n->n_sequences, end = n->n_tokens * (s + 1) / n->n_sequences;
        const int64_t from = s == 0 ? start : kc_below(&e->x, start + 1);
        for (int64_t t = first; t < end; t++) {
            at[t] = (int32_t)(from + t - first);
            of[t] = (int32_t)s;
        }
        if (s > 0 && from >= Q35_KV_PAGE && start >= Q35_KV_PAGE)
            pages[s * n->max_pages] = pages[0];
    }
}

static void fill_cache(cf_env *e, const scene *n)
{
    const q35_tensor_desc *d = &n->k->desc;
    const int64_t n_rows = d->dim[1] * d->dim[2] * d->dim[3];
    for (int64_t i = 0; i < n_rows; i++) {
        fill_row(e, d, n->k->init + i * d->stride[1], false);
        fill_row(e, d, n->v->init + i * d->stride[1], false);
    }
    for (int64_t t = 0; t < n->n_tokens; t++) {
        const bool last = t + 1 == n->n_tokens || n->of[t + 1] != n->of[t];
        for (int64_t i = 0; last && i <= n->at[t]; i++) {
            for (int64_t g = 0; g < n->s->n_kv_heads; g++) {
                fill_row(e, d, n->k->init + (cache_row(n, n->k, t, g, i) - n->k->init), true);
                fill_row(e, d, n->v->init + (cache_row(n, n->v, t, g, i) - n->v->init), true);
            }
        }
    }
}

static void bound_attention(cf_env *e, const scene *n, const cf_tensor *q, cf_tensor *y)
{
    const heads *s = n->s;
    double *weight = kc_alloc(&e->x, (size_t)(n->max_pages * Q35_KV_PAGE) * sizeof *weight),
           *rho = kc_alloc(&e->x, (size_t)(n->max_pages * Q35_KV_PAGE) * sizeof *rho);
    for (int64_t t = 0; t < n->n_tokens; t++)
        for (int64_t h = 0; h < s->n_heads; h++)
            bound_head(n, t, h, cf_row_f32(q->init, q, t) + h * s->head_dim, weight, rho,
                       y->bound + t * y->desc.stride[1] / 4 + h * s->head_dim);
}

bool cf_build_attention(cf_env *e, cf_case *c, int64_t index, uint32_t dtype, uint32_t b)
{
    static const int64_t starts[] = {0, 15, 31, 64, 100, 257, 2, 300, 33, 40, 600, 511};
    (void)b;
    if (index >= SHAPES + 4)
        return false;
    scene n = {.s = &shapes[index % SHAPES], .n_sequences = 1 + index % 3};
    cf_rows r = cf_choose_rows(e, index);
    const int64_t start = starts[index];
    r.k = n.s->n_heads * n.s->head_dim;
    r.n = r.n > 9 || start > 200 ? 1 + r.n % 3 : r.n;
    r.capacity = r.capacity > r.n ? r.capacity : r.n;
    n.n_sequences = n.n_sequences < r.n ? n.n_sequences : r.n > 0 ? r.n : 1;
    n.n_tokens = r.n;
    n.max_pages = (start + r.n) / Q35_KV_PAGE + 1 + kc_below(&e->x, 2);
    n.scale = (float)(1 / sqrt((double)n.s->head_dim)) * (index % 5 == 4 ? 6.0f : 1.0f);
    q35_attention_params *p = kc_alloc(&e->x, sizeof *p);
    *p = (q35_attention_params){.h = {sizeof *p, Q35_STRUCT_ATTENTION_PARAMS, NULL},
                                .n_heads = (uint32_t)n.s->n_heads,
                                .n_kv_heads = (uint32_t)n.s->n_kv_heads,
                                .head_dim = (uint32_t)n.s->head_dim,
                                .scale = n.scale};
    cf_begin(e, c, r.n, r.n, n.n_sequences < r.n ? n.n_sequences : r.n);
    uint32_t in[6], out;
    in[0] = cf_act_rows(e, c, "q", &r, KC_DIST_NORMAL, 1);
    in[1] = add_state(e, c, "state k", n.s, dtype, n.n_sequences * n.max_pages);
    in[2] = add_state(e, c, "state v", n.s, dtype, n.n_sequences * n.max_pages);
    in[3] = cf_vector(e, c, "positions", Q35_ROLE_INPUT, Q35_DT_I32, r.capacity, Q35_TF_TOKEN_ROWS);
    in[4] = cf_vector(e, c, "sequence", Q35_ROLE_INPUT, Q35_DT_I32, r.capacity, Q35_TF_TOKEN_ROWS);
    in[5] = cf_matrix(e, c, "pages", Q35_ROLE_INPUT, Q35_DT_I32, n.max_pages, n.n_sequences, Q35_TF_SEQUENCES, 0);
    out = cf_matrix(e, c, "y", Q35_ROLE_OUTPUT, Q35_DT_F32, r.k, r.capacity, Q35_TF_TOKEN_ROWS, 0);
    n.at = ints(c, in[3]);
    n.of = ints(c, in[4]);
    n.pages = ints(c, in[5]);
    n.k = &c->t[in[1]];
    n.v = &c->t[in[2]];
    place_tokens(e, &n, ints(c, in[3]), ints(c, in[4]), ints(c, in[5]), start);
    fill_cache(e, &n);
    cf_expect(e, &c->t[out], CF_F32, true);
    c->t[out].by_rows = true;
    bound_attention(e, &n, &c->t[in[0]], &c->t[out]);
    snprintf(c->text, sizeof c->text,
             "attention %s heads=%lld/%lld head_dim=%lld T=%lld of %lld from %lld, %lld sequences",
             q35_dtype_describe(dtype).name, (long long)n.s->n_heads, (long long)n.s->n_kv_heads,
             (long long)n.s->head_dim, (long long)r.n, (long long)r.capacity, (long long)start,
             (long long)n.n_sequences);
    cf_node(c, Q35_OP_ATTENTION, &p->h, 6, in, 1, &out);
    cf_expect_node(e, c);
    return true;
}
