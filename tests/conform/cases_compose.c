/* SPDX-License-Identifier: Apache-2.0
 *
 * A toy model of two layers, shaped like llama: each op on the plugin or on the reference, by a placement.
 * Neighbours on the plugin are one region, if it takes them as one. The result must be the reference's but for
 * rounding. */
#include "conform.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    HEADS = 4,
    KV_HEADS = 2,
    DIM = 32,
    HIDDEN = HEADS * DIM,
    KV = KV_HEADS * DIM,
    FFN = 192,
    TOKENS = 5,
    ROWS = 6,
    LAYERS = 2
};

/* Relative distance, in the 2-norm, of results that differ by roundings of f32 in sums of at most FFN terms. */
#define TOLERANCE 1e-4

typedef struct toy {
    cf_env *e;
    cf_case *c;
    uint32_t positions, slots, sequence, pages, inv_freq;
    const q35_hdr *norm, *rope, *kv, *attention;
    uint32_t result;
} toy;

static uint32_t act(toy *y, const char *name, uint32_t role, int64_t cols)
{
    return cf_matrix(y->e, y->c, name, role, Q35_DT_F32, cols, ROWS, Q35_TF_TOKEN_ROWS, 0);
}

static uint32_t weight(toy *y, const char *name, int64_t cols, int64_t rows)
{
    uint32_t i = rows == 1 ? cf_vector(y->e, y->c, name, Q35_ROLE_WEIGHT, Q35_DT_F32, cols, 0)
                           : cf_matrix(y->e, y->c, name, Q35_ROLE_WEIGHT, Q35_DT_F32, cols, rows, 0, 0);
    float *w = (float *)(void *)y->c->t[i].init;
    kc_fill_f32(&y->e->x, w, cols * rows, KC_DIST_NORMAL, 1);
    for (int64_t j = 0; j < cols * rows; j++)
        w[j] = rows == 1 ? 1 + 0.1f * w[j] : w[j] / sqrtf((float)cols);
    return i;
}

static uint32_t node(toy *y, uint32_t op, const q35_hdr *params, uint32_t n_in, const uint32_t *in,
                     const char *name, int64_t cols)
{
    uint32_t out = act(y, name, Q35_ROLE_TEMP, cols);
    cf_node(y->c, op, params, n_in, in, 1, &out);
    return out;
}

static uint32_t linear(toy *y, uint32_t x, const char *name, int64_t cols, int64_t rows)
{
    const uint32_t in[2] = {x, weight(y, name, cols, rows)};
    return node(y, Q35_OP_LINEAR, NULL, 2, in, name, rows);
}

static uint32_t add_state(toy *y, const char *name)
{
    q35_tensor_desc d = {.dtype = Q35_DT_F32, .rank = 4, .dim = {DIM, Q35_KV_PAGE, KV_HEADS, 2}};
    d.stride[0] = 4;
    d.stride[1] = 4 * DIM;
    d.stride[2] = Q35_KV_PAGE * d.stride[1];
    d.stride[3] = KV_HEADS * d.stride[2];
    uint32_t i = cf_add_tensor(y->e, y->c, name, Q35_ROLE_STATE, &d);
    memset(y->c->t[i].init, 0, y->c->t[i].bytes);
    return i;
}

static uint32_t build_attention(toy *y, uint32_t x)
{
    uint32_t q = linear(y, x, "q", HIDDEN, HIDDEN), k = linear(y, x, "k", HIDDEN, KV),
             v = linear(y, x, "v", HIDDEN, KV);
    const uint32_t rope_q[] = {q, y->inv_freq, y->positions}, rope_k[] = {k, y->inv_freq, y->positions};
    q = node(y, Q35_OP_ROPE, y->rope, 3, rope_q, "rotated q", HIDDEN);
    k = node(y, Q35_OP_ROPE, y->rope, 3, rope_k, "rotated k", KV);
    const uint32_t keys = add_state(y, "keys"), values = add_state(y, "values");
    const uint32_t append[] = {k, v, keys, values, y->slots};
    cf_node(y->c, Q35_OP_KV_APPEND, y->kv, 5, append, 0, NULL);
    const uint32_t attend[] = {q, keys, values, y->positions, y->sequence, y->pages};
    uint32_t out = node(y, Q35_OP_ATTENTION, y->attention, 6, attend, "attention", HIDDEN);
    return linear(y, out, "o", HIDDEN, HIDDEN);
}

static uint32_t build_layer(toy *y, uint32_t x)
{
    const uint32_t before[] = {x, weight(y, "norm", HIDDEN, 1)};
    uint32_t a = build_attention(y, node(y, Q35_OP_RMS_NORM, y->norm, 2, before, "normed", HIDDEN));
    const uint32_t between[] = {x, a, weight(y, "norm", HIDDEN, 1)};
    const uint32_t out[] = {act(y, "sum", Q35_ROLE_TEMP, HIDDEN), act(y, "normed sum", Q35_ROLE_TEMP, HIDDEN)};
    cf_node(y->c, Q35_OP_ADD_RMS_NORM, y->norm, 3, between, 2, out);
    const uint32_t gated[] = {linear(y, out[1], "gate", HIDDEN, FFN), linear(y, out[1], "up", HIDDEN, FFN)};
    uint32_t f = node(y, Q35_OP_SWIGLU, NULL, 2, gated, "swiglu", FFN);
    const uint32_t sum[] = {out[0], linear(y, f, "down", FFN, HIDDEN)};
    return node(y, Q35_OP_ADD, NULL, 2, sum, "layer", HIDDEN);
}

static uint32_t indices(toy *y, const char *name, int32_t first, int32_t step)
{
    uint32_t i = cf_vector(y->e, y->c, name, Q35_ROLE_INPUT, Q35_DT_I32, ROWS, Q35_TF_TOKEN_ROWS);
    for (int32_t t = 0; t < TOKENS; t++)
        memcpy(y->c->t[i].init + 4 * t, &(int32_t){first + t * step}, 4);
    return i;
}

static void build_toy(toy *y)
{
    static const q35_norm_params norm = {{sizeof norm, Q35_STRUCT_NORM_PARAMS, NULL}, 1e-5f, 0};
    static const q35_rope_params rope = {{sizeof rope, Q35_STRUCT_ROPE_PARAMS, NULL}, DIM, DIM, 0, 0};
    static const q35_kv_params kv = {{sizeof kv, Q35_STRUCT_KV_PARAMS, NULL}, KV_HEADS, DIM};
    static const q35_attention_params attention = {
        {sizeof attention, Q35_STRUCT_ATTENTION_PARAMS, NULL}, HEADS, KV_HEADS, DIM, 0.17677669f};
    y->norm = &norm.h, y->rope = &rope.h, y->kv = &kv.h, y->attention = &attention.h;
    cf_begin(y->e, y->c, TOKENS, TOKENS, 1);
    snprintf(y->c->text, sizeof y->c->text, "two layers of hidden %d", (int)HIDDEN);
    uint32_t x = act(y, "x", Q35_ROLE_INPUT, HIDDEN);
    kc_fill_f32(&y->e->x, (float *)(void *)y->c->t[x].init, (int64_t)ROWS * HIDDEN, KC_DIST_NORMAL, 1);
    y->positions = indices(y, "positions", 0, 1);
    y->slots = indices(y, "slots", Q35_KV_PAGE, 1); /* page 1 */
    y->sequence = indices(y, "sequence", 0, 0);
    y->pages = cf_matrix(y->e, y->c, "pages", Q35_ROLE_INPUT, Q35_DT_I32, 1, 1, Q35_TF_SEQUENCES, 0);
    memcpy(y->c->t[y->pages].init, &(int32_t){1}, 4);
    y->inv_freq = cf_vector(y->e, y->c, "inv_freq", Q35_ROLE_WEIGHT, Q35_DT_F32, DIM / 2, 0);
    for (int i = 0; i < DIM / 2; i++)
        ((float *)(void *)y->c->t[y->inv_freq].init)[i] = (float)pow(1e4, -2.0 * i / DIM);
    for (int layer = 0; layer < LAYERS; layer++)
        x = build_layer(y, x);
    y->result = x;
}

/* Nodes [first, end) of the toy as a case of its own, on the values `at`. map: tensor of the toy for each of c. */
static void cut(const toy *y, uint32_t first, uint32_t end, uint8_t *const *at, cf_case *c, uint32_t *map)
{
    uint32_t to[CF_TENSORS];
    memset(to, 0xff, sizeof to);
    cf_begin(y->e, c, TOKENS, TOKENS, 1);
    map[0] = y->c->step;
    for (uint32_t i = first; i < end; i++) {
        const q35_node *n = &y->c->nodes[i];
        uint32_t in[CF_OPERANDS], out[2];
        for (uint32_t j = 0; j < n->n_in + n->n_out; j++) {
            const uint32_t t = j < n->n_in ? n->in[j] : n->out[j - n->n_in];
            if (to[t] == Q35_NONE) {
                const cf_tensor *from = &y->c->t[t];
                uint32_t role = from->role != Q35_ROLE_TEMP ? from->role
                                : j < n->n_in               ? Q35_ROLE_INPUT
                                                            : Q35_ROLE_OUTPUT;
                to[t] = cf_add_tensor(y->e, c, from->name, role, &from->desc);
                map[to[t]] = t;
                memcpy(c->t[to[t]].init, at[t], from->bytes);
                c->t[to[t]].elem = CF_ANY;
            }
            *(j < n->n_in ? &in[j] : &out[j - n->n_in]) = to[t];
        }
        cf_node(c, n->op, n->params, n->n_in, in, n->n_out, out);
    }
    snprintf(c->text, sizeof c->text, "nodes %u to %u of %.60s", first, end - 1, y->c->text);
}

static bool run_cut(cf_env *e, const toy *y, uint32_t first, uint32_t end, uint8_t *const *at)
{
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    uint32_t map[CF_TENSORS];
    q35_support support;
    cf_exec x = {0};
    cut(y, first, end, at, c, map);
    if (!cf_supported(e, cf_region(c), &support))
        return false;
    cf_exec_compile(e, &x, c);
    cf_exec_place(e, &x, true, false);
    cf_exec_run(e, &x);
    for (uint32_t i = 1; i < c->n_tensors; i++)
        if (c->t[i].role == Q35_ROLE_OUTPUT || c->t[i].role == Q35_ROLE_STATE)
            memcpy(at[map[i]], x.got[i], c->t[i].bytes);
    cf_exec_free(e, &x);
    return true;
}

static uint8_t **fresh_values(const toy *y)
{
    uint8_t **at = kc_alloc(&y->e->x, CF_TENSORS * sizeof *at);
    for (uint32_t i = 0; i < y->c->n_tensors; i++) {
        at[i] = kc_alloc(&y->e->x, y->c->t[i].bytes);
        memcpy(at[i], y->c->t[i].init, y->c->t[i].bytes);
    }
    return at;
}

/* Bit i of placement: node i goes to the plugin, if it takes it. Returns how many did. */
static uint32_t run_placed(cf_env *e, const toy *y, uint64_t placement, bool whole, uint8_t *const *at)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < y->c->n_nodes;) {
        uint32_t end = i;
        while (whole && end < y->c->n_nodes && placement >> end & 1)
            end++;
        while (end > i && !run_cut(e, y, i, end, at))
            end--;
        if (end == i && placement >> i & 1 && run_cut(e, y, i, i + 1, at))
            end = i + 1;
        n += end - i;
        if (end == i)
            cf_reference(e, y->c, end++, at);
        i = end;
    }
    return n;
}

static void compare_result(const toy *y, uint8_t *const *want, uint8_t *const *got, uint64_t placement)
{
    double square = 0, error = 0;
    for (uint32_t i = 0; i < TOKENS * HIDDEN; i++) {
        const double w = (double)((const float *)(const void *)want[y->result])[i],
                     g = (double)((const float *)(const void *)got[y->result])[i];
        square += w * w;
        error += (g - w) * (g - w);
    }
    if (!(sqrt(error / square) <= TOLERANCE))
        cf_fail("%s, placement 0x%llx: relative distance %.3g from the reference, need at most %g", y->c->text,
                (unsigned long long)placement, sqrt(error / square), TOLERANCE);
}

static void compose_toy(cf_env *e, uint32_t whole, uint32_t b)
{
    toy y = {.e = e, .c = kc_alloc(&e->x, sizeof *y.c)};
    uint32_t n = 0;
    (void)b;
    build_toy(&y);
    uint8_t **want = fresh_values(&y);
    for (uint32_t i = 0; i < y.c->n_nodes; i++)
        cf_reference(e, y.c, i, want);
    const size_t used = e->x.arena_used;
    for (int round = 0; round < 6; round++) {
        const uint64_t placement = round == 0 ? UINT64_MAX : kc_random(&e->x) | (whole ? kc_random(&e->x) : 0);
        uint8_t **got = fresh_values(&y);
        n += run_placed(e, &y, placement, whole, got);
        compare_result(&y, want, got, placement);
        e->x.arena_used = used;
    }
    if (n == 0)
        cf_skip("the device runs no op of the toy model");
    cf_note(e, "%u nodes in 6 placements", n);
}

void cf_list_compose(cf_list *list)
{
    cf_add_test(list, CF_DEVICE, compose_toy, 0, 0, "compose/nodes");
    cf_add_test(list, CF_DEVICE, compose_toy, 1, 0, "compose/regions");
}
