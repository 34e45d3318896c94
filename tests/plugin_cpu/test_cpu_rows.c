/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights with one scale per row, rotated and quantised inputs: ROTATE both ways, QUANTIZE_ACT with and without
 * signs, LINEAR with every activation type, packed and not, and GET_ROWS. What is exact by its definition is
 * compared bit by bit, and all results have the same bits for every instruction set and number of workers, whether
 * quantised inputs are rows, because the host may read them, or lie in the order that the kernels like. */
#include "fixture.h"
#include "support/suite.h"

#include <math.h>
#include <stdlib.h>

enum { K = 200, N = 37, CAPACITY = 24, TOKENS = 21, WIDTH = 64, MAX_SEEN = 1 << 18 };
#define TOKEN_ROWS ((uint32_t)Q35_TF_TOKEN_ROWS)

static const uint32_t types[] = {Q35_DT_Q35_ROW, Q35_DT_Q40_ROW, Q35_DT_Q60_ROW};
enum { N_TYPES = sizeof types / sizeof types[0] };

/* Tensors of the region. */
typedef struct rows_region {
    uint32_t x, signs, ids, weight, book, rotated, back, by_row, by_row_fused, by_group, y_row, y_group, y_f32,
        own_by_row, own_by_group, y_own_row, y_own_group, rows; /* own_: of which the host sees nothing */
} rows_region;

static uint32_t token_tensor(fixture *f, uint32_t role, uint32_t dtype, int64_t k)
{
    int64_t dim[2] = {k, CAPACITY};
    return fixture_tensor(f, role, dtype, 2, dim, TOKEN_ROWS);
}

static fixture_params quantize_params(uint32_t dtype, uint32_t width)
{
    return (fixture_params){
        .quantize = {{sizeof(q35_quantize_params), Q35_STRUCT_QUANTIZE_PARAMS, NULL}, dtype, width}};
}

static fixture_params rotate_params(uint32_t inverse)
{
    return (fixture_params){
        .rotate = {{sizeof(q35_rotate_params), Q35_STRUCT_ROTATE_PARAMS, NULL}, WIDTH, inverse}};
}

static void fill_book(fixture *f, int8_t (*book)[2], uint32_t n)
{
    for (uint32_t c = 0; c < n && n > 1; c++) /* 1: the type has none */
        for (int odd = 0; odd < 2; odd++)
            book[c][odd] = c < n / 4 ? (int8_t)(127 * fabsf(fixture_random(f)))
                                     : q35_book_signed((const int8_t(*)[2])book, n, c, odd);
}

/* Any codes, positive scales; codebooks of any magnitudes; signs of both kinds. */
static void fill(fixture *f, const rows_region *r)
{
    int8_t *signs = f->memory[r->signs];
    for (int64_t i = 0; i < K; i++)
        signs[i] = fixture_random(f) < 0 ? -1 : 1;
    fill_book(f, f->memory[r->book], (uint32_t)f->tensors[r->book].dim[1]);
    uint8_t *w = f->memory[r->weight];
    for (uint64_t i = 0; i < f->bindings[r->weight].bytes; i++)
        w[i] = (uint8_t)(int)(128 + 127 * fixture_random(f));
    for (int64_t n = 0; n < N; n++) {
        float scale = 0.01f + 0.001f * (float)n;
        memcpy(w + n * f->tensors[r->weight].stride[1], &scale, sizeof scale);
    }
    for (int32_t t = 0; t < CAPACITY; t++)
        memcpy((char *)f->memory[r->ids] + 4 * t, &(int32_t){(7 * t + 3) % N}, 4);
}

static rows_region build(fixture *f, uint32_t dtype)
{
    rows_region r;
    uint32_t entries = q35_book_entries(dtype), n_in = entries ? 3 : 2;
    int64_t w_dim[2] = {K, N}, book_dim[2] = {2, entries ? entries : 1}, k_dim[1] = {K}, ids_dim[1] = {CAPACITY};
    r.x = fixture_matrix(f, Q35_ROLE_INPUT, K, CAPACITY, TOKEN_ROWS);
    r.signs = fixture_tensor(f, Q35_ROLE_WEIGHT, Q35_DT_I8, 1, k_dim, 0);
    r.ids = fixture_tensor(f, Q35_ROLE_INPUT, Q35_DT_I32, 1, ids_dim, TOKEN_ROWS);
    r.weight = fixture_tensor(f, Q35_ROLE_WEIGHT, dtype, 2, w_dim, 0);
    r.book = fixture_tensor(f, Q35_ROLE_WEIGHT, Q35_DT_I8, 2, book_dim, 0);
    r.rotated = fixture_matrix(f, Q35_ROLE_TEMP, K, CAPACITY, TOKEN_ROWS);
    r.back = fixture_matrix(f, Q35_ROLE_OUTPUT, K, CAPACITY, TOKEN_ROWS);
    r.by_row = token_tensor(f, Q35_ROLE_OUTPUT, Q35_DT_A8_ROW, K);
    r.by_row_fused = token_tensor(f, Q35_ROLE_OUTPUT, Q35_DT_A8_ROW, K);
    r.by_group = token_tensor(f, Q35_ROLE_OUTPUT, Q35_DT_A8_128, K);
    r.own_by_row = token_tensor(f, Q35_ROLE_TEMP, Q35_DT_A8_ROW, K);
    r.own_by_group = token_tensor(f, Q35_ROLE_TEMP, Q35_DT_A8_128, K);
    r.y_row = fixture_matrix(f, Q35_ROLE_OUTPUT, N, CAPACITY, TOKEN_ROWS);
    r.y_group = fixture_matrix(f, Q35_ROLE_OUTPUT, N, CAPACITY, TOKEN_ROWS);
    r.y_own_row = fixture_matrix(f, Q35_ROLE_OUTPUT, N, CAPACITY, TOKEN_ROWS);
    r.y_own_group = fixture_matrix(f, Q35_ROLE_OUTPUT, N, CAPACITY, TOKEN_ROWS);
    r.y_f32 = fixture_matrix(f, Q35_ROLE_OUTPUT, N, CAPACITY, TOKEN_ROWS);
    r.rows = fixture_matrix(f, Q35_ROLE_OUTPUT, K, CAPACITY, TOKEN_ROWS);
    fill(f, &r);
    fixture_params forward = rotate_params(0), inverse = rotate_params(1);
    fixture_params by_row = quantize_params(Q35_DT_A8_ROW, 0), fused = quantize_params(Q35_DT_A8_ROW, WIDTH);
    fixture_params by_group = quantize_params(Q35_DT_A8_128, WIDTH);
    fixture_node(f, Q35_OP_ROTATE, &forward, 2, (uint32_t[]){r.x, r.signs}, 1, &r.rotated);
    fixture_node(f, Q35_OP_ROTATE, &inverse, 2, (uint32_t[]){r.rotated, r.signs}, 1, &r.back);
    fixture_node(f, Q35_OP_QUANTIZE_ACT, &by_row, 1, &r.rotated, 1, &r.by_row);
    fixture_node(f, Q35_OP_QUANTIZE_ACT, &fused, 2, (uint32_t[]){r.x, r.signs}, 1, &r.by_row_fused);
    fixture_node(f, Q35_OP_QUANTIZE_ACT, &by_group, 2, (uint32_t[]){r.x, r.signs}, 1, &r.by_group);
    fixture_node(f, Q35_OP_LINEAR, NULL, n_in, (uint32_t[]){r.by_row_fused, r.weight, r.book}, 1, &r.y_row);
    fixture_node(f, Q35_OP_LINEAR, NULL, n_in, (uint32_t[]){r.by_group, r.weight, r.book}, 1, &r.y_group);
    fixture_node(f, Q35_OP_LINEAR, NULL, n_in, (uint32_t[]){r.rotated, r.weight, r.book}, 1, &r.y_f32);
    fixture_node(f, Q35_OP_QUANTIZE_ACT, &fused, 2, (uint32_t[]){r.x, r.signs}, 1, &r.own_by_row);
    fixture_node(f, Q35_OP_QUANTIZE_ACT, &by_group, 2, (uint32_t[]){r.x, r.signs}, 1, &r.own_by_group);
    fixture_node(f, Q35_OP_LINEAR, NULL, n_in, (uint32_t[]){r.own_by_row, r.weight, r.book}, 1, &r.y_own_row);
    fixture_node(f, Q35_OP_LINEAR, NULL, n_in, (uint32_t[]){r.own_by_group, r.weight, r.book}, 1, &r.y_own_group);
    fixture_node(f, Q35_OP_GET_ROWS, NULL, n_in, (uint32_t[]){r.ids, r.weight, r.book}, 1, &r.rows);
    return r;
}

static const char *row_at(const fixture *f, uint32_t t, int64_t r)
{
    return (const char *)f->memory[t] + r * f->tensors[t].stride[1];
}

/* Scale and levels of canonical row n, from a copy of the weight. */
static float levels_of(const fixture *f, const rows_region *r, const uint8_t *weight, int64_t n,
                       int8_t out[K + 16])
{
    q35_dtype_info d = q35_dtype_describe(f->tensors[r->weight].dtype);
    const uint8_t *row = weight + n * f->tensors[r->weight].stride[1];
    float scale;
    memcpy(&scale, row, sizeof scale);
    for (uint32_t i = 0; i * d.block_len < K; i++)
        q35_row_levels(f->tensors[r->weight].dtype, row + d.row_head + i * d.block_bytes, f->memory[r->book],
                       out + i * d.block_len);
    return scale;
}

/* y[t][n] of codes with one scale per `group` inputs, as the definitions have it: exact sums, then f32. */
static float expected(const fixture *f, const rows_region *r, int64_t t, const int8_t *level, float scale,
                      bool by_row)
{
    const char *codes = row_at(f, by_row ? r->by_row_fused : r->by_group, t);
    float acc = 0;
    for (int64_t at = 0, n; at < K; at += n, codes += sizeof(q35_act_row) + Q35_ACT_GROUP) {
        q35_act_row head;
        int32_t sum = 0;
        n = by_row ? K : K - at < Q35_ACT_GROUP ? K - at : Q35_ACT_GROUP;
        memcpy(&head, codes, sizeof head);
        for (int64_t i = 0; i < n; i++)
            sum += level[at + i] * ((const int8_t *)codes + sizeof head)[i];
        if (by_row)
            return scale * head.scale * (float)sum;
        acc = fmaf((float)sum, head.scale, acc);
    }
    return scale * acc;
}

static void verify_linear(const fixture *f, const rows_region *r, const uint8_t *weight, bool rows)
{
    for (int64_t n = 0; n < N; n++) {
        int8_t level[K + 16];
        float scale = levels_of(f, r, weight, n, level);
        for (int64_t t = 0; t < TOKENS; t++) {
            double exact = 0, size = 0;
            for (int64_t i = 0; i < K; i++) {
                double term = (double)*fixture_at(f, r->rotated, t, i) * (double)scale * level[i];
                exact += term;
                size += fabs(term);
            }
            ck_assert(fabs((double)*fixture_at(f, r->y_f32, t, n) - exact) <= 4 * K * ldexp(1, -24) * size);
            ck_assert(*fixture_at(f, r->y_row, t, n) == expected(f, r, t, level, scale, true));
            ck_assert(*fixture_at(f, r->y_group, t, n) == expected(f, r, t, level, scale, false));
            ck_assert(*fixture_at(f, r->y_own_row, t, n) == expected(f, r, t, level, scale, true));
            ck_assert(*fixture_at(f, r->y_own_group, t, n) == expected(f, r, t, level, scale, false));
        }
        for (int64_t t = 0; t < TOKENS && rows; t++) {
            for (int64_t i = 0; i < K && (7 * t + 3) % N == n; i++)
                ck_assert(*fixture_at(f, r->rows, t, i) == scale * (float)level[i]);
        }
    }
}

/* Each block of the rotation against the sum that defines it; and there and back again. */
static void verify_rotation(const fixture *f, const rows_region *r)
{
    const int8_t *signs = f->memory[r->signs];
    for (int64_t t = 0; t < TOKENS; t++) {
        for (int64_t i = 0, b; i < K; i += b) {
            for (b = WIDTH; b > K - i;)
                b /= 2;
            for (int64_t o = 0; o < b; o++) {
                double need = 0;
                for (int64_t j = 0; j < b; j++)
                    need += (__builtin_popcountll((uint64_t)(o & j)) % 2 ? -1 : 1) * (double)signs[i + j] *
                            (double)*fixture_at(f, r->x, t, i + j) / sqrt((double)b);
                ck_assert(fabs((double)*fixture_at(f, r->rotated, t, i + o) - need) <= 1e-5);
            }
        }
        for (int64_t i = 0; i < K; i++)
            ck_assert(fabsf(*fixture_at(f, r->back, t, i) - *fixture_at(f, r->x, t, i)) <= 1e-5f);
        ck_assert_mem_eq(row_at(f, r->by_row, t), row_at(f, r->by_row_fused, t),
                         (size_t)f->tensors[r->by_row].stride[1]);
    }
}

/* Puts the weight into the layout that the device offers, where it offers one; slices from the last to the first.
 */
static void pack(fixture *f, uint32_t w)
{
    q35_tensor_desc desc = f->tensors[w];
    q35_layout layout = {.h = {sizeof layout, Q35_STRUCT_LAYOUT, NULL}};
    if (f->api->layout_query(f->dev, Q35_OP_LINEAR, &desc, 0, &layout) != Q35_OK)
        return;
    ck_assert_uint_eq(layout.reversible, 1);
    uint64_t slices = (N + layout.slice_rows - 1) / layout.slice_rows, bytes = slices * layout.slice_bytes;
    char *packed = aligned_alloc(layout.align, (bytes + 64 + layout.align - 1) / layout.align * layout.align);
    ck_assert_ptr_nonnull(packed);
    memset(packed + bytes, 0x5a, 64);
    for (uint64_t s = slices; s-- > 0;) {
        uint64_t row = s * layout.slice_rows, n = N - row < layout.slice_rows ? N - row : layout.slice_rows;
        const char *src = row_at(f, w, (int64_t)row);
        char back[16 * 256];
        ck_assert_uint_eq(f->api->pack(f->dev, layout.layout, &desc, row, n, src, packed + s * layout.slice_bytes),
                          Q35_OK);
        ck_assert_uint_eq(
            f->api->unpack(f->dev, layout.layout, &desc, row, n, packed + s * layout.slice_bytes, back), Q35_OK);
        ck_assert_mem_eq(back, src, n * (uint64_t)desc.stride[1]);
    }
    free(f->memory[w]);
    f->memory[w] = packed;
    f->bindings[w] = (q35_binding){.host = packed, .bytes = bytes};
    f->tensors[w].layout = layout.layout;
}

/* One run; results go to or are compared with `seen`. f32 activations are summed in an order of each instruction
 * set's own, so y_f32 is left out. */
static void run(uint32_t dtype, const char *isa, uint32_t n_workers, bool packed, char *seen, bool first)
{
    fixture f;
    uint64_t at = 0;
    fixture_open(&f, isa, n_workers);
    rows_region r = build(&f, dtype);
    uint8_t *weight = malloc(f.bindings[r.weight].bytes);
    ck_assert_ptr_nonnull(weight);
    memcpy(weight, f.memory[r.weight], f.bindings[r.weight].bytes);
    if (packed) {
        f.region.n_nodes--; /* get_rows reads canonical rows */
        pack(&f, r.weight);
    }
    const uint32_t results[] = {r.rotated, r.back,    r.by_row,    r.by_row_fused, r.by_group,
                                r.y_row,   r.y_group, r.y_own_row, r.y_own_group};
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++)
        fixture_blank(&f, results[i]);
    fixture_set_step(&f, TOKENS, 1, 1);
    fixture_prepare(&f);
    ck_assert_msg(fixture_run(&f) == Q35_OK, "%s", fixture_error());
    verify_rotation(&f, &r);
    verify_linear(&f, &r, weight, !packed);
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        uint64_t bytes = f.bindings[results[i]].bytes;
        ck_assert(fixture_row_blank(&f, results[i], TOKENS));
        ck_assert_uint_le(at + bytes, MAX_SEEN);
        if (first)
            memcpy(seen + at, f.memory[results[i]], bytes);
        ck_assert_msg(memcmp(seen + at, f.memory[results[i]], bytes) == 0,
                      "result %zu: isa %s, %u workers, packed %d", i, isa ? isa : "auto", n_workers, packed);
        at += bytes;
    }
    free(weight);
    fixture_close(&f);
}

START_TEST(all_results_have_the_same_bits)
{
    static const char *const isas[] = {"ref", "avx2", "avxvnni", "avx512", "amx", "neon", "neon_dot", "neon_i8mm"};
    char *seen = malloc(MAX_SEEN);
    bool first = true;
    ck_assert_ptr_nonnull(seen);
    for (size_t i = 0; i < sizeof isas / sizeof isas[0]; i++) {
        for (uint32_t n_workers = 0; n_workers <= 3 && fixture_offers(isas[i]); n_workers++) {
            for (int packed = 0; packed < 2; packed++) {
                run(types[_i], isas[i], n_workers, packed, seen, first);
                first = false;
            }
        }
    }
    free(seen);
}
END_TEST

/* ------------------------------------------------------------------ refusals and memory */

static void break_width(fixture *f, const rows_region *r)
{
    (void)r;
    f->params[0].rotate.width = 48;
}

static void break_widest(fixture *f, const rows_region *r)
{
    (void)r;
    f->params[4].quantize.width = 8192;
}

static void break_unsigned(fixture *f, const rows_region *r)
{
    (void)r;
    f->params[2].quantize.width = 64;
}

static void break_unrotated(fixture *f, const rows_region *r)
{
    (void)r;
    f->params[3].quantize.width = 0;
}

static void break_params(fixture *f, const rows_region *r)
{
    (void)r;
    f->nodes[0].params = NULL;
}

static void break_inverse(fixture *f, const rows_region *r)
{
    (void)r;
    f->params[1].rotate.inverse = 2;
}

static void break_newer(fixture *f, const rows_region *r)
{
    (void)r;
    f->params[4].h.size = sizeof(q35_quantize_params) + 4;
    ((unsigned char *)&f->params[4])[sizeof(q35_quantize_params) + 1] = 9;
}

static void break_act_type(fixture *f, const rows_region *r)
{
    (void)r;
    f->params[2].quantize.dtype = Q35_DT_F32;
}

static void break_output(fixture *f, const rows_region *r)
{
    (void)r;
    f->params[3].quantize.dtype = Q35_DT_A8_128;
}

static void break_signs(fixture *f, const rows_region *r)
{
    f->tensors[r->signs].dim[0] = K - 1;
}

static void break_signs_type(fixture *f, const rows_region *r)
{
    f->in[0][1] = r->x;
}

static void break_blocks(fixture *f, const rows_region *r)
{
    f->tensors[r->by_row_fused].dtype = Q35_DT_A8_32;
    f->tensors[r->by_row_fused].stride[0] = sizeof(q35_act_block);
    f->tensors[r->by_row_fused].stride[1] = 1024;
    f->params[3].quantize.dtype = Q35_DT_A8_32;
}

static void break_group_weights(fixture *f, const rows_region *r)
{
    f->tensors[r->weight].dtype = Q35_DT_Q35_PAIR;
    f->tensors[r->weight].stride[0] = sizeof(q35_pair_block);
    f->tensors[r->weight].stride[1] = 2 * sizeof(q35_pair_block);
}

static void break_book(fixture *f, const rows_region *r)
{
    f->tensors[r->book].dim[1] = Q35_BOOK_MAX;
}

static void break_book_count(fixture *f, const rows_region *r)
{
    (void)r;
    f->nodes[5].n_in = 2;
}

static void break_layout(fixture *f, const rows_region *r)
{
    f->tensors[r->weight].layout = 1; /* tiles of groups */
}

static void lengthen(fixture *f, uint32_t t, int64_t k)
{
    q35_tensor_desc *d = &f->tensors[t];
    d->dim[0] = k;
    if (d->rank == 2)
        d->stride[1] = (int64_t)(q35_row_bytes(d->dtype, (uint64_t)k) + 3) / 4 * 4;
}

/* One input more than the sums can take; without rotations only the linear and the codes are there to object. */
static void break_exact(fixture *f, const rows_region *r)
{
    const uint32_t longer[] = {r->x, r->signs, r->weight, r->by_row_fused};
    for (size_t i = 0; i < sizeof longer / sizeof longer[0]; i++)
        lengthen(f, longer[i], 66305);
    f->node_list[0] = &f->nodes[5];
}

static void break_exact_codes(fixture *f, const rows_region *r)
{
    break_exact(f, r);
    f->node_list[0] = &f->nodes[3];
}

static const struct {
    void (*apply)(fixture *f, const rows_region *r);
    const char *reason; /* part of it */
} breaks[] = {
    {break_width, "rotate (node 0): width is 48, need a power of two from 2 to 4096"},
    {break_widest, "width is 8192, need a power of two"},
    {break_unsigned, "width is 64 without signs, need 0"},
    {break_unrotated, "width is 0, need a power of two"},
    {break_params, "parameters have type 0 and 0 bytes"},
    {break_inverse, "inverse is 2, need 0 or 1"},
    {break_newer, "parameters have 9 at byte 25, need 0 past the 24 bytes"},
    {break_act_type, "ask for dtype 0, need A8_32, A8_128 or A8_ROW"},
    {break_output, "output is A8_ROW, need A8_128"},
    {break_signs, "signs has length 199, need 200"},
    {break_signs_type, "signs is F32, need I8"},
    {break_blocks, "input is A8_32, need F32 or A8_ROW or A8_128"},
    {break_group_weights, "input is A8_ROW, need F32 or A8_32"},
    {break_book, "book has 256 rows 2 apart, need 128 rows"},
    {break_book_count, "linear (node 5): 2 inputs, need 3 for Q35_ROW"},
    {break_layout, "layout 1, need 0"},
    {break_exact, "weight has rows of 66305, need at most 66304 for exact sums"},
    {break_exact_codes, "input has rows of 66305, need at most 66304 for exact sums"},
};

START_TEST(broken_regions_are_refused)
{
    fixture f;
    fixture_open(&f, NULL, 2);
    rows_region r = build(&f, Q35_DT_Q35_ROW);
    breaks[_i].apply(&f, &r);
    q35_support support = {.h = {sizeof support, Q35_STRUCT_SUPPORT, NULL}};
    ck_assert_uint_eq(f.api->op_support(f.dev, &f.region, &support), Q35_OK);
    ck_assert_uint_eq(support.ok, 0);
    ck_assert_msg(strstr(support.reason, breaks[_i].reason), "'%s' lacks '%s'", support.reason, breaks[_i].reason);
    ck_assert_uint_eq(f.api->plan_compile(f.dev, &f.region, &f.plan), Q35_E_UNSUPPORTED);
    fixture_close(&f);
}
END_TEST

/* A rotation may write over its own input, codes may not. */
START_TEST(only_rotations_work_in_place)
{
    fixture f;
    fixture_open(&f, NULL, 2);
    rows_region r = build(&f, Q35_DT_Q60_ROW);
    f.region.n_nodes = 2;
    f.bindings[r.back] = f.bindings[r.rotated];
    fixture_set_step(&f, TOKENS, 1, 1);
    fixture_prepare(&f);
    ck_assert_uint_eq(fixture_run(&f), Q35_OK);
    for (int64_t i = 0; i < K; i++)
        ck_assert(fabsf(*fixture_at(&f, r.back, TOKENS - 1, i) - *fixture_at(&f, r.x, TOKENS - 1, i)) <= 1e-5f);
    f.api->plan_free(f.plan);
    f.plan = NULL;
    f.node_list[0] = &f.nodes[3];
    f.region.n_nodes = 1;
    f.bindings[r.by_row_fused] = f.bindings[r.x];
    ck_assert_uint_eq(f.api->plan_compile(f.dev, &f.region, &f.plan), Q35_OK);
    ck_assert_uint_eq(f.api->plan_bind(f.plan, f.bindings), Q35_E_INVALID);
    ck_assert_msg(strstr(fixture_error(), "quantize_act (node 0) overwrites its operand 0"), "%s",
                  fixture_error());
    fixture_close(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plugin_cpu_rows");
    TCase *tcase = tcase_create("rows");
    tcase_add_loop_test(tcase, all_results_have_the_same_bits, 0, N_TYPES);
    tcase_add_loop_test(tcase, broken_regions_are_refused, 0, sizeof breaks / sizeof breaks[0]);
    tcase_add_test(tcase, only_rotations_work_in_place);
    suite_add_tcase(suite, tcase);
    return q35t_run(suite);
}
