/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops that read weights: GET_ROWS and LINEAR, with every weight type and every type of activations. */
#include "bounds.h"
#include "shapes.h"

#include <kernels-cpu/kernels.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

const uint32_t cf_weight_types[] = {
    Q35_DT_F32,     Q35_DT_F16,     Q35_DT_BF16,   Q35_DT_Q4_0,  Q35_DT_Q4_1,     Q35_DT_Q5_0,
    Q35_DT_Q5_1,    Q35_DT_Q8_0,    Q35_DT_Q2_K,   Q35_DT_Q3_K,  Q35_DT_Q4_K,     Q35_DT_Q5_K,
    Q35_DT_Q6_K,    Q35_DT_IQ4_NL,  Q35_DT_IQ4_XS, Q35_DT_F8_32, Q35_DT_Q35_PAIR, Q35_DT_Q35_SPLIT,
    Q35_DT_Q35_ROW, Q35_DT_Q40_ROW, Q35_DT_Q60_ROW};
const size_t cf_n_weight_types = sizeof cf_weight_types / sizeof cf_weight_types[0];

/* Weights [n][k] and, for types with one, their codebook. Returns the weight's number; *book: the book's, or
 * Q35_NONE. */
static uint32_t add_weights(cf_env *e, cf_case *c, uint32_t dtype, int64_t n, int64_t k, kc_scales scales,
                            kc_dist dist, uint32_t *book)
{
    uint32_t w = cf_matrix(e, c, "w", Q35_ROLE_WEIGHT, dtype, k, n, 0, 0);
    cf_tensor *t = &c->t[w];
    const bool by_row = q35_is_row_type(dtype);
    const int8_t(*points)[2] = by_row ? kc_row_codebook(&e->x, dtype) : kc_codebook(&e->x, dtype);
    if (by_row)
        kc_fill_row_weights(&e->x, t->init, dtype, n, k, (size_t)t->desc.stride[1], scales, dist);
    else
        kc_fill_weights(&e->x, t->init, dtype, n, k, (size_t)t->desc.stride[1], scales, dist);
    *book = Q35_NONE;
    if (q35_book_entries(dtype) > 0) {
        *book = cf_matrix(e, c, "book", Q35_ROLE_WEIGHT, Q35_DT_I8, 2, q35_book_entries(dtype), 0, 0);
        memcpy(c->t[*book].init, points, c->t[*book].bytes);
    }
    return w;
}

static q35k_weights kernel_weights(const cf_case *c, uint32_t w, uint32_t book)
{
    const cf_tensor *t = &c->t[w];
    return (q35k_weights){.data = t->init,
                          .dtype = t->desc.dtype,
                          .layout = Q35K_LAYOUT_CANONICAL,
                          .n = t->desc.dim[1],
                          .k = t->desc.dim[0],
                          .rs = t->desc.stride[1],
                          .book = book == Q35_NONE ? NULL : (const int8_t(*)[2])c->t[book].init};
}

static bool has_levels(uint32_t dtype)
{
    return !q35_is_row_type(dtype) && !kc_is_float_type(dtype);
}

/* Row r as it enters products, and the magnitudes of its terms. */
static void weight_row(const q35k_weights *w, int64_t r, bool levels, double *value, double *magnitude)
{
    const uint8_t *row = (const uint8_t *)w->data + r * w->rs;
    if (levels) {
        kc_exact_row(w->dtype, row, w->k, w->book, value, magnitude);
        return;
    }
    if (q35_is_row_type(w->dtype)) {
        int8_t *level = (int8_t *)magnitude; /* as room */
        float scale;
        memcpy(&scale, row, sizeof scale);
        kc_row_levels(w->dtype, row, w->k, w->book, level);
        for (int64_t i = w->k; i-- > 0;)
            value[i] = (double)(scale * (float)level[i]);
    } else {
        kc_decode_row(w->dtype, row, w->k, w->book, value);
    }
    for (int64_t i = 0; i < w->k; i++)
        magnitude[i] = fabs(value[i]);
}

/* ---- GET_ROWS */

bool cf_build_get_rows(cf_env *e, cf_case *c, int64_t index, uint32_t dtype, uint32_t b)
{
    (void)b;
    if (index >= CF_ROW_CASES)
        return false;
    const cf_rows r = cf_choose_rows(e, index);
    const int64_t k = kc_round_k(dtype, r.k), n = 3 + 8 * (index % 4);
    uint32_t in[3], out;
    cf_begin(e, c, r.n, r.n, 0);
    in[0] = cf_vector(e, c, "ids", Q35_ROLE_INPUT, Q35_DT_I32, r.capacity, Q35_TF_TOKEN_ROWS);
    in[1] = add_weights(e, c, dtype, n, k, index % 3 == 2 ? KC_SCALES_NEGATIVE : KC_SCALES_PLAIN, KC_DIST_NORMAL,
                        &in[2]);
    out = cf_matrix(e, c, "y", Q35_ROLE_OUTPUT, Q35_DT_F32, k, r.capacity, Q35_TF_TOKEN_ROWS, r.pad);
    int32_t *ids = (int32_t *)(void *)c->t[in[0]].init;
    for (int64_t t = 0; t < r.n; t++)
        ids[t] = (int32_t)(t == 0 ? n - 1 : kc_below(&e->x, n));
    cf_tensor *y = &c->t[out];
    cf_expect(e, y, CF_F32, true);
    y->by_rows = true;
    const q35k_weights w = kernel_weights(c, in[1], in[2]);
    double *value = kc_alloc(&e->x, (size_t)k * sizeof *value),
           *magnitude = kc_alloc(&e->x, (size_t)k * sizeof *value);
    for (int64_t t = 0; t < r.n && has_levels(dtype); t++) {
        weight_row(&w, ids[t], true, value, magnitude);
        for (int64_t i = 0; i < k; i++)
            y->bound[t * y->desc.stride[1] / 4 + i] = 4 * KC_U * magnitude[i];
    }
    snprintf(c->text, sizeof c->text, "get_rows %s K=%lld N=%lld T=%lld of %lld", q35_dtype_describe(dtype).name,
             (long long)k, (long long)n, (long long)r.n, (long long)r.capacity);
    cf_node(c, Q35_OP_GET_ROWS, NULL, in[2] == Q35_NONE ? 2 : 3, in, 1, &out);
    cf_expect_node(e, c);
    return true;
}

/* ---- LINEAR */

typedef struct plan {
    int64_t k, n, n_tokens, capacity, pad;
    kc_scales scales;
    kc_dist dist;
    bool extreme; /* codes of activations at the ends of their range */
    bool largest; /* and all of one sign, as the weights: the largest sums there are */
} plan;

enum { LINEAR_CASES = 14 };

static plan choose_linear(cf_env *e, int64_t index, uint32_t dtype)
{
    static const int64_t edges[] = {1, 31, 33, 64, 97, 129, 200, 257, 384, 577}, models[] = {CF_MODEL_K};
    static const int64_t rows[] = {1, 17, 5, 16, 33, 15, 40, 31, 2, 48}, tokens[] = {1, 3, 2, 9, 1, 17, 5, 0, 33};
    static const struct {
        kc_scales scales;
        kc_dist dist;
    } data[] = {{KC_SCALES_PLAIN, KC_DIST_NORMAL},   {KC_SCALES_NEGATIVE, KC_DIST_UNIFORM},
                {KC_SCALES_ALL_MAX, KC_DIST_NORMAL}, {KC_SCALES_PLAIN, KC_DIST_UNIFORM},
                {KC_SCALES_ALL_MIN, KC_DIST_NORMAL}, {KC_SCALES_PLAIN, KC_DIST_NONFINITE},
                {KC_SCALES_ZERO, KC_DIST_NORMAL}};
    const int64_t seed = (int64_t)(e->x.seed % 1000);
    plan p = {.n = rows[index % 10], .n_tokens = tokens[(index + seed) % 9]};
    p.k = kc_round_k(dtype, index < 10 ? edges[index] : models[(index + 3 * seed + dtype) % 8]);
    if (q35_is_row_type(dtype) && index == LINEAR_CASES - 1)
        p.k = 66304;
    p.n = p.k > 20000 ? 2 : p.k > 1000 ? 16 + p.n % 9 : p.n;
    p.n_tokens = p.k > 1000 && p.n_tokens > 4 ? 2 + p.n_tokens % 3 : p.n_tokens;
    p.n_tokens = index == CF_SMALL && p.n_tokens == 0 ? 3 : p.n_tokens;
    p.capacity = p.n_tokens + kc_below(&e->x, 2);
    p.capacity = p.capacity > 0 ? p.capacity : 1;
    p.pad = 4 * (index % 2) * kc_below(&e->x, 4);
    p.scales = data[(index + seed) % 7].scales;
    p.dist = data[(index + seed) % 7].dist;
    p.largest = q35_is_row_type(dtype) && index > 10 && index % 2;
    p.extreme = index % 3 == 1 || p.largest;
    if (p.largest) {
        p.scales = KC_SCALES_ALL_MIN;
        p.dist = KC_DIST_NORMAL;
        p.n_tokens = p.n_tokens > 0 ? p.n_tokens : 1;
        p.capacity = p.n_tokens + kc_below(&e->x, 2);
    }
    return p;
}

/* As QUANTIZE_ACT leaves them. */
static void fill_codes(cf_env *e, const plan *p, uint32_t act, uint8_t *row)
{
    const int64_t unit = act == Q35_DT_A8_32 ? 32 : act == Q35_DT_A8_128 ? 128 : p->k;
    for (int64_t i = 0; i < p->k; i += unit) {
        q35_act_row head = {.scale = (float)(0.02 * (kc_uniform(&e->x) + 1.001))};
        int8_t *codes = (int8_t *)row + sizeof head;
        for (int64_t j = 0; j < unit && i + j < p->k; j++) {
            const int64_t code = p->extreme ? 127 - kc_below(&e->x, 3) : kc_below(&e->x, 255) - 127;
            codes[j] = (int8_t)(p->extreme && !p->largest && kc_random(&e->x) & 1 ? -code : code);
            head.sum += codes[j];
        }
        memcpy(row, &head, sizeof head);
        row += sizeof head + (uint64_t)unit;
    }
}

static uint32_t add_activations(cf_env *e, cf_case *c, const plan *p, uint32_t act)
{
    uint32_t x = cf_matrix(e, c, "x", Q35_ROLE_INPUT, act, p->k, p->capacity, Q35_TF_TOKEN_ROWS, p->pad);
    cf_tensor *t = &c->t[x];
    const uint64_t row_bytes = q35_row_bytes(act, (uint64_t)p->k);
    for (int64_t i = 0; i < p->n_tokens; i++) {
        uint8_t *row = t->init + i * t->desc.stride[1];
        if (act == Q35_DT_F32) {
            kc_fill_f32(&e->x, (float *)(void *)row, p->k, p->dist == KC_DIST_NONFINITE ? p->dist : KC_DIST_NORMAL,
                        1);
            continue;
        }
        memset(row, 0, row_bytes);
        fill_codes(e, p, act, row);
        const float nan = (float)NAN; /* a row that was not finite: scale NaN, codes and sum 0 */
        if (p->dist == KC_DIST_NONFINITE && i == 0) {
            memset(row, 0, row_bytes);
            memcpy(row, &nan, sizeof nan);
        }
    }
    return x;
}

static void activation_values(const plan *p, uint32_t act, const uint8_t *row, double *v)
{
    for (int64_t i = 0; i < p->k; i++) {
        const q35_act_block *b = (const q35_act_block *)(const void *)row + i / Q35_ACT_BLOCK;
        v[i] = act == Q35_DT_F32 ? (double)((const float *)(const void *)row)[i]
                                 : (double)b->scale * (double)b->q[i % Q35_ACT_BLOCK];
    }
}

static void bound_linear(cf_env *e, const plan *p, uint32_t act, const cf_tensor *x, const q35k_weights *w,
                         cf_tensor *y)
{
    const q35_levels_info info = q35_levels_describe(w->dtype);
    const bool levels = act == Q35_DT_A8_32 && has_levels(w->dtype);
    const double sums =
        levels ? ceil((double)p->k / Q35_ACT_BLOCK) * (Q35_ACT_BLOCK / info.part) * (info.has_min ? 2 : 1) : 0;
    double *a = kc_alloc(&e->x, (size_t)(p->n_tokens * p->k) * sizeof *a),
           *value = kc_alloc(&e->x, (size_t)p->k * sizeof *value),
           *magnitude = kc_alloc(&e->x, (size_t)p->k * sizeof *magnitude);
    for (int64_t t = 0; t < p->n_tokens; t++)
        activation_values(p, act, x->init + t * x->desc.stride[1], a + t * p->k);
    for (int64_t r = 0; r < p->n; r++) {
        weight_row(w, r, levels, value, magnitude);
        for (int64_t t = 0; t < p->n_tokens; t++) {
            double s = 0, total = 0;
            for (int64_t i = 0; i < p->k; i++) {
                s += fabs(a[t * p->k + i]) * magnitude[i];
                total += magnitude[i];
            }
            y->bound[t * y->desc.stride[1] / 4 + r] = isfinite(s) ? cf_bound_linear(p->k, sums, s, total) : 0;
        }
    }
}

bool cf_build_linear(cf_env *e, cf_case *c, int64_t index, uint32_t dtype, uint32_t act)
{
    if (index >= LINEAR_CASES)
        return false;
    const plan p = choose_linear(e, index, dtype);
    const bool exact = q35_is_row_type(dtype) && act != Q35_DT_F32;
    uint32_t in[3], out;
    cf_begin(e, c, p.n_tokens, p.n_tokens, 0);
    in[0] = add_activations(e, c, &p, act);
    in[1] = add_weights(e, c, dtype, p.n, p.k, p.scales, p.dist, &in[2]);
    c->weight = in[1];
    out = cf_matrix(e, c, "y", Q35_ROLE_OUTPUT, Q35_DT_F32, p.n, p.capacity, Q35_TF_TOKEN_ROWS, p.pad);
    cf_tensor *x = &c->t[in[0]], *y = &c->t[out];
    cf_expect(e, y, exact ? CF_F32_ONE_NAN : CF_F32, !exact);
    y->by_rows = true;
    const q35k_weights w = kernel_weights(c, in[1], in[2]);
    if (!exact)
        bound_linear(e, &p, act, x, &w, y);
    snprintf(c->text, sizeof c->text, "linear %s x %s K=%lld N=%lld T=%lld of %lld scales=%s dist=%s%s",
             q35_dtype_describe(dtype).name, q35_dtype_describe(act).name, (long long)p.k, (long long)p.n,
             (long long)p.n_tokens, (long long)p.capacity, kc_scales_name(p.scales), kc_dist_name(p.dist),
             p.largest   ? " largest sums"
             : p.extreme ? " extreme codes"
                         : "");
    cf_node(c, Q35_OP_LINEAR, NULL, in[2] == Q35_NONE ? 2 : 3, in, 1, &out);
    cf_expect_node(e, c);
    return true;
}
