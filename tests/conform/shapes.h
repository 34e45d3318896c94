/* SPDX-License-Identifier: Apache-2.0
 *
 * Sizes of the cases: edges of everything that kernels work in (1, primes, one less and one more than vectors,
 * blocks and tiles), and what real models have. */
#ifndef CONFORM_SHAPES_H
#define CONFORM_SHAPES_H

#include "conform.h"

/* hidden and ffn sizes of SmolLM2 135M, Llama 3.2 1B, Ministral 3 3B and 8B. */
#define CF_MODEL_K 576, 1536, 2048, 8192, 3072, 9216, 4096, 14336

/* Token rows of a case: capacity rows, of which n are valid. */
typedef struct cf_rows {
    int64_t k, capacity, n, pad; /* pad: bytes between rows */
} cf_rows;

enum { CF_ROW_CASES = 13, CF_SMALL = 5 /* the small case of any.c: has rows whatever the seed */ };

/* Some row lengths are those of models, with other seeds of others. */
static inline cf_rows cf_choose_rows(cf_env *e, int64_t index)
{
    static const int64_t edges[] = {1, 3, 8, 15, 33, 64, 97, 128, 255}, models[] = {CF_MODEL_K};
    static const int64_t tokens[] = {1, 2, 7, 33, 4, 0, 17};
    const int64_t n_edges = sizeof edges / sizeof *edges, n_models = sizeof models / sizeof *models;
    cf_rows r = {.n = tokens[(index + (int64_t)(e->x.seed % 7)) % 7]};
    r.k = index < n_edges ? edges[index] : models[(index + (int64_t)(e->x.seed % 8)) % n_models];
    if (r.k > 1000)
        r.n = r.n % 4;
    if (index == CF_SMALL && r.n == 0)
        r.n = 3;
    r.capacity = r.n + kc_below(&e->x, 3);
    r.capacity = r.capacity > 0 ? r.capacity : 1;
    r.pad = 4 * (index % 3) * kc_below(&e->x, 5);
    return r;
}

/* Normal, uniform, then with NaN and infinities. */
static inline kc_dist cf_choose_dist(int64_t index)
{
    static const kc_dist dists[] = {KC_DIST_NORMAL, KC_DIST_UNIFORM, KC_DIST_NONFINITE, KC_DIST_NORMAL};
    return dists[index % 4];
}

/* f32 rows of an activation; returns the tensor. */
static inline uint32_t cf_act_rows(cf_env *e, cf_case *c, const char *name, const cf_rows *r, kc_dist dist,
                                   double huge)
{
    uint32_t i = cf_matrix(e, c, name, Q35_ROLE_INPUT, Q35_DT_F32, r->k, r->capacity, Q35_TF_TOKEN_ROWS, r->pad);
    for (int64_t t = 0; t < r->capacity; t++)
        kc_fill_f32(&e->x, cf_row_f32(c->t[i].init, &c->t[i], t), r->k, dist, huge);
    return i;
}

#endif
