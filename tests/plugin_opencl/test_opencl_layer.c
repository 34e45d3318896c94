/* SPDX-License-Identifier: Apache-2.0
 *
 * A layer of a llama with row weights, which kernels for several nodes at once share: the reference's bits, by as
 * few kernels as its number of rows and the device allow. */
#include "rig.h"
#include "support/suite.h"

#include <q35rt/measure.h>
#include <stdio.h>

/* An odd number of heads: who takes the second group for the last misses the third head. */
enum { WIDTH = 96, HIDDEN = 320, DIM = 32, HEADS = 3, KV_HEADS = 1, PAGES = 4 };

/* The layer as it is built; n_rows: tokens. */
typedef struct layer {
    rig r;
    int64_t n_rows;
    uint32_t signs[2]; /* for inputs of WIDTH and HIDDEN */
} layer;

static uint32_t rows(layer *l, uint32_t role, uint32_t dtype, int64_t k)
{
    return rig_tensor(&l->r, role, dtype, Q35_TF_TOKEN_ROWS, k, l->n_rows);
}

static uint32_t vector(layer *l, uint32_t dtype, int64_t k)
{
    return rig_tensor(&l->r, Q35_ROLE_WEIGHT, dtype, 0, k, 0);
}

static uint32_t node(layer *l, uint32_t op, const rig_params *p, uint32_t n_in, const uint32_t *in, int64_t k)
{
    const uint32_t y = rows(l, Q35_ROLE_OUTPUT, Q35_DT_F32, k);
    rig_node(&l->r, op, p, n_in, in, 1, &y);
    return y;
}

static uint32_t rotated_codes(layer *l, uint32_t x)
{
    const int64_t k = l->r.tensors[x].dim[0];
    const rig_params p = {.quantize = {.h = {sizeof(q35_quantize_params), Q35_STRUCT_QUANTIZE_PARAMS, NULL},
                                       .dtype = Q35_DT_A8_ROW,
                                       .width = 128}};
    const uint32_t in[2] = {x, l->signs[k != WIDTH]}, codes = rows(l, Q35_ROLE_OUTPUT, Q35_DT_A8_ROW, k);
    rig_node(&l->r, Q35_OP_QUANTIZE_ACT, &p, 2, in, 1, &codes);
    return codes;
}

static uint32_t linear(layer *l, uint32_t codes, uint32_t book, int64_t n)
{
    const uint32_t w = rig_weights(&l->r, Q35_DT_Q35_ROW, l->r.tensors[codes].dim[0], n);
    return node(l, Q35_OP_LINEAR, NULL, 3, (uint32_t[]){codes, w, book}, n);
}

static uint32_t cache(layer *l)
{
    const uint32_t t =
        rig_tensor(&l->r, Q35_ROLE_STATE, Q35_DT_F16, 0, DIM, (int64_t)PAGES * KV_HEADS * Q35_KV_PAGE);
    q35_tensor_desc *d = &l->r.tensors[t];
    d->rank = 4;
    d->dim[1] = Q35_KV_PAGE;
    d->dim[2] = KV_HEADS;
    d->dim[3] = PAGES;
    d->stride[2] = d->stride[1] * d->dim[1];
    d->stride[3] = d->stride[2] * d->dim[2];
    for (uint64_t i = 0; i < l->r.bytes[t] / 2; i++)
        ((uint16_t *)(void *)l->r.data[t])[i] = (uint16_t)(0x2000u + (rig_random_u32() & 0x9fffu));
    return t;
}

static uint32_t attention(layer *l, uint32_t q, uint32_t k, uint32_t v)
{
    static const int32_t positions[2] = {45, 46}, slots[2] = {77, 78}, sequence[2] = {0, 0};
    const rig_params turn = {
        .rope = {.h = {sizeof(q35_rope_params), Q35_STRUCT_ROPE_PARAMS, NULL}, .head_dim = DIM, .n_rot = DIM}};
    const rig_params kv = {
        .kv = {.h = {sizeof(q35_kv_params), Q35_STRUCT_KV_PARAMS, NULL}, .n_kv_heads = KV_HEADS, .head_dim = DIM}};
    const rig_params attend = {
        .attention = {.h = {sizeof(q35_attention_params), Q35_STRUCT_ATTENTION_PARAMS, NULL},
                      .n_heads = HEADS,
                      .n_kv_heads = KV_HEADS,
                      .head_dim = DIM,
                      .scale = 0.25f}};
    const uint32_t freq = vector(l, Q35_DT_F32, DIM / 2);
    for (int i = 0; i < DIM / 2; i++)
        ((float *)(void *)l->r.data[freq])[i] = 1.0f / (float)(1 + i);
    const uint32_t at = rig_indices(&l->r, Q35_TF_TOKEN_ROWS, positions, l->n_rows);
    const uint32_t slot = rig_indices(&l->r, Q35_TF_TOKEN_ROWS, slots, l->n_rows);
    const uint32_t of = rig_indices(&l->r, Q35_TF_TOKEN_ROWS, sequence, l->n_rows);
    const uint32_t pages = rig_tensor(&l->r, Q35_ROLE_INPUT, Q35_DT_I32, Q35_TF_SEQUENCES, 2, 1);
    memcpy(l->r.data[pages], (int32_t[]){1, 2}, 2 * sizeof(int32_t));
    const uint32_t cache_k = cache(l), cache_v = cache(l);
    q = node(l, Q35_OP_ROPE, &turn, 3, (uint32_t[]){q, freq, at}, HEADS * DIM);
    k = node(l, Q35_OP_ROPE, &turn, 3, (uint32_t[]){k, freq, at}, KV_HEADS * DIM);
    rig_node(&l->r, Q35_OP_KV_APPEND, &kv, 5, (uint32_t[]){k, v, cache_k, cache_v, slot}, 0, NULL);
    return node(l, Q35_OP_ATTENTION, &attend, 6, (uint32_t[]){q, cache_k, cache_v, at, of, pages}, HEADS * DIM);
}

static void build(layer *l, int64_t n_rows)
{
    const rig_params norm = {.norm = {.h = {sizeof(q35_norm_params), Q35_STRUCT_NORM_PARAMS, NULL}, .eps = 1e-5f}};
    static const int64_t lengths[2] = {WIDTH, HIDDEN};
    rig_init(&l->r, (int32_t)n_rows, 1, 1);
    l->n_rows = n_rows;
    for (int s = 0; s < 2; s++) {
        l->signs[s] = vector(l, Q35_DT_I8, lengths[s]);
        for (int64_t i = 0; i < lengths[s]; i++)
            l->r.data[l->signs[s]][i] = l->r.data[l->signs[s]][i] & 1 ? 1 : 0xff;
    }
    const uint32_t book = rig_book(&l->r, Q35_DT_Q35_ROW), x = rows(l, Q35_ROLE_INPUT, Q35_DT_F32, WIDTH);
    const uint32_t weights[2] = {vector(l, Q35_DT_F32, WIDTH), vector(l, Q35_DT_F32, WIDTH)};
    uint32_t y = node(l, Q35_OP_RMS_NORM, &norm, 2, (uint32_t[]){x, weights[0]}, WIDTH);
    uint32_t codes = rotated_codes(l, y);
    const uint32_t q = linear(l, codes, book, HEADS * DIM), k = linear(l, codes, book, KV_HEADS * DIM);
    const uint32_t v = linear(l, codes, book, KV_HEADS * DIM);
    codes = rotated_codes(l, attention(l, q, k, v));
    y = linear(l, codes, book, WIDTH);
    const uint32_t sum[2] = {rows(l, Q35_ROLE_OUTPUT, Q35_DT_F32, WIDTH),
                             rows(l, Q35_ROLE_OUTPUT, Q35_DT_F32, WIDTH)};
    rig_node(&l->r, Q35_OP_ADD_RMS_NORM, &norm, 3, (uint32_t[]){x, y, weights[1]}, 2, sum);
    codes = rotated_codes(l, sum[1]);
    const uint32_t gate = linear(l, codes, book, HIDDEN), up = linear(l, codes, book, HIDDEN);
    codes = rotated_codes(l, node(l, Q35_OP_SWIGLU, NULL, 2, (uint32_t[]){gate, up}, HIDDEN));
    (void)linear(l, codes, book, WIDTH);
}

/* Nodes that kernels begin with, which are those that a profile gives a time to. */
static uint32_t count_kernels(layer *l, q35_device *dev)
{
    const q35_measure *measure = (const q35_measure *)(const void *)rig_opencl()->extension(Q35_STRUCT_MEASURE);
    uint64_t ns[RIG_NODES];
    q35_profile p = {.h = {sizeof p, Q35_STRUCT_PROFILE, NULL}, .n_nodes = l->r.region.n_nodes, .node_ns = ns};
    rig_session s;
    uint32_t n = 0;
    ck_assert_uint_eq(rig_prepare(&s, &l->r, dev), Q35_OK);
    ck_assert_uint_eq(measure->profile(s.plan, 1), Q35_OK);
    for (int run = 0; run < 2; run++) /* what a run leaves behind must not change the next */
        ck_assert_uint_eq(rig_submit(&s), Q35_OK);
    ck_assert_uint_eq(measure->profile_read(s.plan, &p), Q35_OK);
    for (uint32_t i = 0; i < p.n_nodes; i++)
        n += ns[i] > 0;
    rig_finish(&s);
    return n;
}

/* 10 for one row. On processors with products of bytes, which PoCL's name for the device tells, linears and
 * attention do what is behind them, too. */
static uint32_t expected_kernels(int64_t n_rows, bool cpu)
{
    q35_device_info info = {.h = {sizeof info, Q35_STRUCT_DEVICE_INFO, NULL}};
    ck_assert_uint_eq(rig_opencl()->device_info(0, &info), Q35_OK);
    return n_rows > 1 ? 15 : cpu && strstr(info.name, "avx512") ? 6 : 10;
}

START_TEST(a_layer)
{
    static const char *const families[2] = {"cpu", "gpu"};
    q35_device *dev = rig_open(rig_opencl(), "family", families[_i]);
    for (int64_t n_rows = 1; n_rows <= 2; n_rows++) {
        layer l;
        char what[64];
        build(&l, n_rows);
        snprintf(what, sizeof what, "a layer of %d rows, family %s", (int)n_rows, families[_i]);
        rig_compare(&l.r, dev, what);
        const uint32_t n = count_kernels(&l, dev), expected = expected_kernels(n_rows, _i == 0);
        ck_assert_msg(n == expected, "%s: kernels begin with %u nodes, need %u", what, n, expected);
        rig_free(&l.r);
    }
    rig_opencl()->device_close(dev);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("opencl_layer");
    TCase *c = tcase_create("layer");
    if (!rig_has_device()) {
        printf("skipped: no OpenCL device (install pocl-opencl-icd)\n");
        return 77;
    }
    tcase_set_timeout(c, 600);
    tcase_add_loop_test(c, a_layer, 0, 2);
    suite_add_tcase(suite, c);
    return q35t_run(suite);
}
