/* SPDX-License-Identifier: Apache-2.0
 *
 * Random models: sizes of the named shapes, weights of every type, the same ones in every layout and for any
 * number of threads, files of several shards, what is refused, and that a failure leaves nothing behind. */
#include "support/alloc_sweep.h"
#include "support/expect.h"
#include "support/suite.h"
#include "support/temp_dir.h"
#include "support/whole_file.h"

#include <math.h>
#include <q35rt/blocks.h>
#include <q35rt/generate.h>
#include <q35rt/model.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const q35_shape tiny = {"mistral3", 256, 1, 4, 2, 32, 256, 300, 4096, 1e6f, 0};

static q35_runtime *open_runtime(uint32_t threads)
{
    const q35_runtime_options options = {.n_threads = threads, .no_default_plugins = 1};
    q35_runtime *runtime;
    EXPECT_OK(q35_runtime_create(&options, &runtime));
    return runtime;
}

static void setup(void)
{
    q35t_temp_dir_create();
}

static void teardown(void)
{
    ck_assert_int_eq(q35t_temp_dir_remove(), 0);
}

/* Makes it as name in the test's directory and gives the path. */
static void make(const q35_shape *shape, const q35_generate_options *o, uint32_t threads, const char *name,
                 char path[Q35T_PATH_BYTES])
{
    q35_runtime *runtime = open_runtime(threads);
    q35t_temp_path(path, name);
    expect_ok(q35_generate_model(runtime, shape, path, o), name);
    q35_runtime_destroy(runtime);
}

static q35_model *make_open(const q35_shape *shape, const q35_generate_options *o, const char *name)
{
    char path[Q35T_PATH_BYTES];
    q35_model_config config;
    q35_model *model;
    make(shape, o, 2, name, path);
    expect_ok(q35_model_open(path, &model), name);
    expect_ok(q35_model_read_config(model, &config), name);
    return model;
}

/* Sizes as of the released checkpoints. */
START_TEST(test_sizes)
{
    static const struct {
        const char *name;
        uint64_t weights, linear;
    } released[] = {{"ministral3-3b", 3429006336, 3026190336},    {"ministral3-8b", 8489553920, 7415529472},
                    {"ministral3-14b", 13506073600, 12163481600}, {"llama3-8b", 8030261248, 6979321856},
                    {"llama3-70b", 70553706496, 68451041280},     {"smollm2-135m", 134515008, 106168320}};
    const uint32_t n = sizeof released / sizeof *released;
    for (uint32_t i = 0; i < n; i++) {
        q35_shape shape;
        uint64_t linear;
        ck_assert_str_eq(q35_shape_at(i, &shape), released[i].name);
        ck_assert_uint_eq(q35_shape_weights(&shape, &linear), released[i].weights);
        ck_assert_uint_eq(linear, released[i].linear);
    }
    ck_assert_ptr_null(q35_shape_at(n, NULL));
}
END_TEST

/* The file's numbers are the shape's. */
START_TEST(test_config)
{
    static const uint32_t layouts[] = {Q35_LAYOUT_GGUF, Q35_LAYOUT_HF, Q35_LAYOUT_MISTRAL};
    for (uint32_t i = 0; i < 3; i++) {
        char name[16];
        q35_model_config c;
        q35_generate_options o = q35_generate_options_default();
        o.layout = layouts[i];
        snprintf(name, sizeof name, "m%u", i);
        q35_model *model = make_open(&tiny, &o, name);
        EXPECT_OK(q35_model_read_config(model, &c));
        ck_assert_str_eq(c.architecture, "mistral3");
        ck_assert(c.hidden == 256 && c.n_layers == 1 && c.n_heads == 4 && c.n_kv_heads == 2 && c.head_dim == 32);
        ck_assert(c.ffn == 256 && c.vocab == 300 && c.context_length == 4096 && !c.tied_head);
        ck_assert(c.rope_base == 1e6f && c.rope_scaling == Q35_ROPE_YARN && c.rope_factor == 16.0f);
        ck_assert(c.rope_original_context == 16384 && c.rope_attention_factor == 1.0f);
        ck_assert(c.rope_beta_fast == 32.0f && c.rope_beta_slow == 1.0f);
        ck_assert(c.temperature_beta == 0.1f && c.temperature_length == 16384 && c.norm_eps == 1e-5f);
        ck_assert_ptr_nonnull(q35_model_meta(model, "tokenizer.ggml.tokens"));
        q35_model_close(model);
    }
}
END_TEST

/* Weights of a matrix, [rows][columns]; free(). */
static float *load(const q35_model *model, const q35_tensor_info *t)
{
    uint64_t k = (uint64_t)t->dim[0], n = t->rank == 1 ? 1 : (uint64_t)t->dim[1];
    uint64_t row = q35_row_bytes(t->dtype, k);
    q35_dtype_info d = q35_dtype_describe(t->dtype);
    float *out = calloc(k * n, sizeof *out);
    uint8_t *bytes = malloc(row * n);
    ck_assert(out && bytes);
    if (t->rank == 1)
        memcpy(bytes, t->data, row);
    else
        EXPECT_OK(q35_model_read_rows(model, t, 0, n, bytes));
    for (uint64_t b = 0; b < k * n / d.block_len; b++)
        q35_block_decode(t->dtype, bytes + b * d.block_bytes, NULL, out + b * d.block_len);
    free(bytes);
    return out;
}

/* Finite, of mean about 0 and of a spread about 1 / sqrt(columns): norms positive. */
static void check_weights(const q35_model *model, const q35_tensor_info *t)
{
    uint64_t n = (uint64_t)t->dim[0] * (t->rank == 1 ? 1 : (uint64_t)t->dim[1]);
    double sum = 0, squares = 0, expected = 1 / sqrt((double)t->dim[0]);
    float *w = load(model, t);
    for (uint64_t i = 0; i < n; i++) {
        ck_assert_msg(isfinite(w[i]) && (t->rank == 2 || w[i] > 0.0f), "%s: weight %llu is %g", t->name,
                      (unsigned long long)i, (double)w[i]);
        sum += (double)w[i];
        squares += (double)w[i] * (double)w[i];
    }
    double spread = sqrt(squares / (double)n), mean = sum / (double)n;
    if (t->rank == 2)
        ck_assert_msg(spread > 0.75 * expected && spread < 1.35 * expected && fabs(mean) < 0.25 * expected,
                      "%s of type %s: mean %g, spread %g, need 0 and %g", t->name,
                      q35_dtype_describe(t->dtype).name, mean, spread, expected);
    free(w);
}

START_TEST(test_types)
{
    static const uint32_t types[] = {Q35_DT_F32,  Q35_DT_F16,  Q35_DT_BF16, Q35_DT_Q8_0,   Q35_DT_Q4_0,
                                     Q35_DT_Q4_1, Q35_DT_Q5_0, Q35_DT_Q5_1, Q35_DT_Q2_K,   Q35_DT_Q3_K,
                                     Q35_DT_Q4_K, Q35_DT_Q5_K, Q35_DT_Q6_K, Q35_DT_IQ4_NL, Q35_DT_IQ4_XS};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        q35_generate_options o = q35_generate_options_default();
        o.dtype = types[i];
        o.overwrite = 1;
        q35_model *model = make_open(&tiny, &o, "m.gguf");
        ck_assert_uint_eq(q35_model_tensor(model, "blk.0.ffn_down.weight")->dtype, types[i]);
        ck_assert_uint_eq(q35_model_tensor(model, "token_embd.weight")->dtype, types[i]);
        for (uint64_t t = 0; t < q35_model_n_tensors(model); t++)
            check_weights(model, q35_model_tensor_at(model, t));
        q35_model_close(model);
    }
}
END_TEST

START_TEST(test_f8)
{
    q35_generate_options o = q35_generate_options_default();
    o.dtype = Q35_DT_F8_32;
    o.layout = Q35_LAYOUT_HF;
    q35_model *model = make_open(&tiny, &o, "m");
    ck_assert_uint_eq(q35_model_tensor(model, "blk.0.attn_q.weight")->dtype, Q35_DT_F8_32);
    ck_assert_uint_eq(q35_model_tensor(model, "output.weight")->dtype, Q35_DT_BF16);
    for (uint64_t t = 0; t < q35_model_n_tensors(model); t++)
        check_weights(model, q35_model_tensor_at(model, t));
    q35_model_close(model);
}
END_TEST

/* Rows that a type's blocks do not divide. */
START_TEST(test_fallback)
{
    q35_shape shape = tiny;
    q35_generate_options o = q35_generate_options_default();
    shape.hidden = 96;
    o.dtype = Q35_DT_Q4_K;
    q35_model *model = make_open(&shape, &o, "m.gguf");
    ck_assert_uint_eq(q35_model_tensor(model, "blk.0.attn_q.weight")->dtype, Q35_DT_F16);
    ck_assert_uint_eq(q35_model_tensor(model, "blk.0.ffn_down.weight")->dtype, Q35_DT_Q4_K);
    q35_model_close(model);
}
END_TEST

static void expect_same(const q35_model *a, const q35_model *b)
{
    ck_assert_uint_eq(q35_model_n_tensors(a), q35_model_n_tensors(b));
    for (uint64_t i = 0; i < q35_model_n_tensors(a); i++) {
        const q35_tensor_info *x = q35_model_tensor_at(a, i), *y = q35_model_tensor(b, x->name);
        ck_assert_msg(y != NULL && x->rank == y->rank && x->dim[0] == y->dim[0] && x->dim[1] == y->dim[1],
                      "%s: absent or of another shape", x->name);
        uint64_t n = (uint64_t)x->dim[0] * (x->rank == 1 ? 1 : (uint64_t)x->dim[1]);
        float *v = load(a, x), *w = load(b, y);
        ck_assert_msg(memcmp(v, w, n * sizeof *v) == 0, "%s: other weights", x->name);
        free(v);
        free(w);
    }
}

START_TEST(test_layouts)
{
    static const uint32_t types[] = {Q35_DT_F32, Q35_DT_F16, Q35_DT_BF16, Q35_DT_F8_32};
    for (uint32_t i = 0; i < sizeof types / sizeof *types; i++) {
        char name[32];
        q35_model *models[3] = {0};
        for (uint32_t layout = types[i] == Q35_DT_F8_32; layout < 3; layout++) {
            q35_generate_options o = q35_generate_options_default();
            o.dtype = types[i];
            o.layout = layout;
            snprintf(name, sizeof name, "m%u-%u", i, layout);
            models[layout] = make_open(&tiny, &o, name);
        }
        expect_same(models[Q35_LAYOUT_HF], models[Q35_LAYOUT_MISTRAL]);
        if (models[Q35_LAYOUT_GGUF])
            expect_same(models[Q35_LAYOUT_HF], models[Q35_LAYOUT_GGUF]);
        for (int layout = 0; layout < 3; layout++)
            q35_model_close(models[layout]);
    }
}
END_TEST

START_TEST(test_shards)
{
    q35_generate_options o = q35_generate_options_default();
    struct stat st;
    char path[Q35T_PATH_BYTES];
    o.layout = Q35_LAYOUT_HF;
    q35_model *whole = make_open(&tiny, &o, "whole");
    o.shard_bytes = 200000; /* a tensor or two */
    q35_model *parts = make_open(&tiny, &o, "parts");
    q35t_temp_path(path, "parts/model.safetensors.index.json");
    ck_assert_int_eq(stat(path, &st), 0);
    q35t_temp_path(path, "parts/model.safetensors");
    ck_assert_int_ne(stat(path, &st), 0);
    q35t_temp_path(path, "parts/model-00002-of-00006.safetensors");
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_le(st.st_size, 200000 + 8192); /* the header */
    expect_same(whole, parts);
    q35_model_close(whole);
    q35_model_close(parts);
}
END_TEST

START_TEST(test_threads)
{
    static const uint32_t types[] = {Q35_DT_BF16, Q35_DT_Q4_K};
    for (uint32_t i = 0; i < 2; i++) {
        q35_generate_options o = q35_generate_options_default();
        char path[Q35T_PATH_BYTES];
        size_t n, m;
        o.dtype = types[i];
        o.overwrite = 1;
        make(&tiny, &o, 1, "m.gguf", path);
        char *first = q35t_read_file(path, &n);
        for (uint32_t threads = 2; threads <= 3; threads++) {
            make(&tiny, &o, threads, "m.gguf", path);
            char *again = q35t_read_file(path, &m);
            ck_assert_msg(n == m && memcmp(first, again, n) == 0, "other bytes with %u threads", threads);
            free(again);
        }
        o.seed = 2;
        make(&tiny, &o, 1, "m.gguf", path);
        char *other = q35t_read_file(path, &m);
        ck_assert_msg(n == m && memcmp(first, other, n) != 0, "the same bytes with another seed");
        free(other);
        free(first);
    }
}
END_TEST

START_TEST(test_refused)
{
    static const struct {
        q35_shape shape;
        const char *text;
    } wrong[] = {
        {{"gpt9", 64, 1, 4, 2, 16, 64, 300, 512, 1e4f, 0}, "architecture 'gpt9', need llama or mistral3"},
        {{"llama", 0, 1, 4, 2, 16, 64, 300, 512, 1e4f, 0}, "hidden width 0, need 1 to 1048576"},
        {{"llama", 64, 1025, 4, 2, 16, 64, 300, 512, 1e4f, 0}, "layers 1025, need 1 to 1024"},
        {{"llama", 64, 1, 4, 3, 16, 64, 300, 512, 1e4f, 0}, "3 KV heads, need a divisor of the 4 heads"},
        {{"llama", 64, 1, 4, 8, 16, 64, 300, 512, 1e4f, 0}, "KV heads 8, need 1 to 4"},
        {{"llama", 64, 1, 4, 2, 15, 64, 300, 512, 1e4f, 0}, "head width 15, need an even number"},
        {{"llama", 64, 1, 4, 2, 16, 0, 300, 512, 1e4f, 0}, "feed-forward width 0"},
        {{"llama", 64, 1, 4, 2, 16, 64, 258, 512, 1e4f, 0}, "vocabulary 258, need 259"},
        {{"llama", 64, 1, 4, 2, 16, 64, 300, 0, 1e4f, 0}, "context 0"},
        {{"llama", 64, 1, 4, 2, 16, 64, 300, 512, NAN, 0}, "rope base nan"},
        {{"llama", 64, 1, 4, 2, 16, 64, 300, 512, 1, 0}, "rope base 1, need more than 1"},
    };
    char path[Q35T_PATH_BYTES];
    q35_runtime *runtime = open_runtime(1);
    q35_generate_options o = q35_generate_options_default();
    q35t_temp_path(path, "m");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect_failure(q35_generate_model(runtime, &wrong[i].shape, path, NULL), Q35_E_INVALID, wrong[i].text,
                       wrong[i].text);
    o.dtype = Q35_DT_Q35_PAIR;
    EXPECT_FAILURE(q35_generate_model(runtime, &tiny, path, &o), Q35_E_INVALID, "need a GGUF type");
    o.layout = Q35_LAYOUT_HF;
    o.dtype = Q35_DT_Q4_0;
    EXPECT_FAILURE(q35_generate_model(runtime, &tiny, path, &o), Q35_E_INVALID, "Q4_0, need F32");
    o.layout = 3;
    EXPECT_FAILURE(q35_generate_model(runtime, &tiny, path, &o), Q35_E_INVALID, "layout: 3");
    ck_assert_int_eq(q35t_temp_dir_count(), 0);
    q35_runtime_destroy(runtime);
}
END_TEST

/* What stands there stays, and a directory is never replaced. */
START_TEST(test_existing)
{
    char path[Q35T_PATH_BYTES], dir[Q35T_PATH_BYTES];
    q35_runtime *runtime = open_runtime(1);
    q35_generate_options o = q35_generate_options_default();
    q35t_temp_path(path, "file");
    q35t_temp_path(dir, "dir");
    q35t_write_file(path, "mine", 4);
    ck_assert_int_eq(mkdir(dir, 0777), 0);
    EXPECT_FAILURE(q35_generate_model(runtime, &tiny, path, &o), Q35_E_INVALID, "exists");
    o.overwrite = 1;
    EXPECT_FAILURE(q35_generate_model(runtime, &tiny, dir, &o), Q35_E_INVALID, "a directory");
    o.layout = Q35_LAYOUT_HF;
    EXPECT_FAILURE(q35_generate_model(runtime, &tiny, dir, &o), Q35_E_INVALID, "exists");
    EXPECT_FAILURE(q35_generate_model(runtime, &tiny, path, &o), Q35_E_INVALID, "exists");
    ck_assert_int_eq(q35t_temp_dir_count(), 2);
    q35_runtime_destroy(runtime);
}
END_TEST

/* Weights of a matrix of a type with one scale per row: finite, of the spread of all others. */
static void check_coded(const q35_model *model, const q35_tensor_info *t)
{
    uint64_t k = (uint64_t)t->dim[0], row = q35_row_bytes(t->dtype, k);
    q35_dtype_info d = q35_dtype_describe(t->dtype);
    double squares = 0, expected = 1 / sqrt((double)k);
    float w[128];
    ck_assert(t->rotation_width == 512 && t->activation == Q35_DT_A8_ROW && d.block_len <= 128);
    for (int64_t r = 0; r < t->dim[1]; r++)
        for (uint64_t i = 0; i * d.block_len < k; i++) {
            q35_row_block_decode(t->dtype, (const uint8_t *)t->data + (uint64_t)r * row, i,
                                 q35_model_book(model, t->dtype), w);
            for (uint64_t j = 0; j < d.block_len && i * d.block_len + j < k; j++)
                squares += (double)w[j] * (double)w[j];
        }
    double spread = sqrt(squares / (double)k / (double)t->dim[1]);
    ck_assert_msg(spread > 0.9 * expected && spread < 1.1 * expected, "%s: spread %g, need %g", t->name, spread,
                  expected);
}

/* An open model without a file, of the types that a conversion gives, the same with any number of threads. */
START_TEST(test_in_memory)
{
    q35_shape shape = tiny;
    q35_model *models[2];
    shape.ffn = 200; /* rows that end within a block */
    for (uint32_t i = 0; i < 2; i++) {
        q35_runtime *runtime = open_runtime(1 + 2 * i);
        q35_model_config config;
        EXPECT_OK(q35_generate_in_memory(runtime, &shape, NULL, &models[i]));
        EXPECT_OK(q35_model_read_config(models[i], &config));
        ck_assert_uint_eq(config.ffn, 200);
        q35_runtime_destroy(runtime);
    }
    for (uint64_t i = 0; i < q35_model_n_tensors(models[0]); i++) {
        const q35_tensor_info *a = q35_model_tensor_at(models[0], i), *b = q35_model_tensor_at(models[1], i);
        ck_assert_msg(a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0, "%s: other bytes", a->name);
        if (a->dtype == Q35_DT_Q35_ROW)
            check_coded(models[0], a);
        else
            check_weights(models[0], a);
    }
    ck_assert_uint_eq(q35_model_tensor(models[0], "token_embd.weight")->dtype, Q35_DT_Q8_0);
    ck_assert_uint_eq(q35_model_tensor(models[0], "blk.0.ffn_down.weight")->dtype, Q35_DT_Q35_ROW);
    ck_assert(q35_model_tensor(models[0], "blk.0.attn_q.weight")->rotation_seed ==
              q35_model_tensor(models[0], "blk.0.attn_v.weight")->rotation_seed);
    ck_assert(q35_model_tensor(models[0], "blk.0.attn_q.weight")->rotation_seed !=
              q35_model_tensor(models[0], "blk.0.attn_output.weight")->rotation_seed);
    q35_model_close(models[0]);
    q35_model_close(models[1]);
}
END_TEST

START_TEST(test_in_memory_refused)
{
    q35_shape wrong = tiny;
    q35_model *model;
    q35_runtime *runtime = open_runtime(1);
    q35_generate_options o = q35_generate_options_default();
    EXPECT_FAILURE(q35_generate_in_memory(runtime, &tiny, &o, &model), Q35_E_INVALID, "type BF16, need GGUF");
    ck_assert_ptr_null(model);
    wrong.heads = 0;
    EXPECT_FAILURE(q35_generate_in_memory(runtime, &wrong, NULL, &model), Q35_E_INVALID, "heads 0");
    q35t_alloc_sweep sweep = {.limit = 5000};
    while (q35t_alloc_sweep_next(&sweep)) {
        q35t_alloc_sweep_end(&sweep, q35_generate_in_memory(runtime, &tiny, NULL, &model));
        q35_model_close(model);
    }
    q35_runtime_destroy(runtime);
}
END_TEST

typedef struct stopper {
    int calls, stop_at;
    uint64_t last;
} stopper;

static int on_progress(void *user, uint64_t done, uint64_t total)
{
    stopper *s = user;
    ck_assert(done > s->last && done <= total);
    s->last = done;
    return ++s->calls == s->stop_at;
}

START_TEST(test_cancelled)
{
    static const int stops[] = {1, 5};
    char path[Q35T_PATH_BYTES];
    q35_runtime *runtime = open_runtime(2);
    q35t_temp_path(path, "m");
    for (uint32_t layout = 0; layout < 3; layout++)
        for (int i = 0; i < 2; i++) {
            stopper s = {.stop_at = stops[i]};
            q35_generate_options o = q35_generate_options_default();
            o.layout = layout;
            o.shard_bytes = 100000;
            o.progress = on_progress;
            o.user = &s;
            EXPECT_FAILURE(q35_generate_model(runtime, &tiny, path, &o), Q35_E_CANCELLED, "cancelled");
            ck_assert_int_eq(s.calls, stops[i]);
            ck_assert_int_eq(q35t_temp_dir_count(), 0);
        }
    q35_runtime_destroy(runtime);
}
END_TEST

START_TEST(test_memory)
{
    static const q35_shape smallest = {"mistral3", 32, 1, 2, 1, 16, 32, 259, 64, 1e4f, 1};
    char path[Q35T_PATH_BYTES];
    q35_runtime *runtime = open_runtime(1);
    for (uint32_t layout = 0; layout < 3; layout++) {
        q35_generate_options o = q35_generate_options_default();
        q35t_alloc_sweep sweep = {.limit = 5000};
        char name[8];
        o.layout = layout;
        snprintf(name, sizeof name, "m%u", layout);
        q35t_temp_path(path, name);
        while (q35t_alloc_sweep_next(&sweep)) {
            q35t_alloc_sweep_end(&sweep, q35_generate_model(runtime, &smallest, path, &o));
            ck_assert_int_eq(q35t_temp_dir_count(), (int)layout + (sweep.status == Q35_OK));
        }
    }
    q35_runtime_destroy(runtime);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("generate");
    TCase *plain = tcase_create("random models");
    tcase_set_timeout(plain, 120);
    tcase_add_checked_fixture(plain, setup, teardown);
    tcase_add_test(plain, test_sizes);
    tcase_add_test(plain, test_config);
    tcase_add_test(plain, test_types);
    tcase_add_test(plain, test_f8);
    tcase_add_test(plain, test_fallback);
    tcase_add_test(plain, test_layouts);
    tcase_add_test(plain, test_shards);
    tcase_add_test(plain, test_threads);
    tcase_add_test(plain, test_refused);
    tcase_add_test(plain, test_in_memory);
    tcase_add_test(plain, test_in_memory_refused);
    tcase_add_test(plain, test_existing);
    tcase_add_test(plain, test_cancelled);
    tcase_add_test(plain, test_memory);
    suite_add_tcase(suite, plain);
    return q35t_run(suite);
}
