/* SPDX-License-Identifier: Apache-2.0
 *
 * 3.5-bit tensors of a file: true shapes and certificates, and the sentence for each way the keys can be wrong. */
#include "support/expect.h"
#include "support/q35_sample.h"
#include "support/temp_dir.h"
#include "support/walk_model.h"

#include "runtime/model/q35_keys.h"
#include "support/suite.h"

#include <q35rt/blocks.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

static q35_status open_sample(const q35t_sample_options *o, q35_model **out)
{
    char path[Q35T_PATH_BYTES];
    q35t_temp_path(path, "sample.gguf");
    expect_ok(q35t_sample_write(path, o), "sample");
    return q35_model_open(path, out);
}

static const struct {
    uint32_t dtype;
    uint64_t row_bytes; /* for 192 inputs */
    uint32_t activation;
} types[] = {{Q35_DT_Q35_PAIR, 2 * 58, Q35_DT_A8_32},
             {Q35_DT_Q35_SPLIT, 2 * 60, Q35_DT_A8_32},
             {Q35_DT_Q35_ROW, 4 + 84, Q35_DT_A8_ROW},
             {Q35_DT_Q40_ROW, 4 + 96, Q35_DT_A8_ROW},
             {Q35_DT_Q60_ROW, 4 + 144, Q35_DT_A8_ROW}};

#define N_TYPES 5
#define N_KEYS  12

/* These two want different codebooks of 128 points. */
static int clash(uint32_t a, uint32_t b)
{
    return a == Q35_DT_Q35_SPLIT && b == Q35_DT_Q35_ROW;
}

/* Any other two codecs may stand in one file. */
START_TEST(test_true_shapes)
{
    for (int other = 0; other < N_TYPES; other++) {
        q35t_sample_options o = q35t_sample_options_default();
        q35_model *model;
        o.dtype[0] = types[_i].dtype;
        o.dtype[1] = types[other].dtype;
        o.rotation_width = 64;
        if (clash(o.dtype[0], o.dtype[1]) || clash(o.dtype[1], o.dtype[0])) {
            expect_failure(open_sample(&o, &model), Q35_E_FORMAT, "q35.codebook: entry", "clash");
            continue;
        }
        expect_ok(open_sample(&o, &model), "open");
        const q35_tensor_info *t = q35_model_tensor(model, "a.weight");
        ck_assert_uint_eq(t->dtype, types[_i].dtype);
        ck_assert_uint_eq(t->rank, 2);
        ck_assert_int_eq(t->dim[0], Q35T_SAMPLE_INPUTS);
        ck_assert_int_eq(t->dim[1], Q35T_SAMPLE_ROWS);
        ck_assert_uint_eq(t->bytes, Q35T_SAMPLE_ROWS * types[_i].row_bytes);
        ck_assert(t->max_error == 0.25 && t->relative_error == 0.0625);
        ck_assert_uint_eq(t->checksum, XXH3_64bits(t->data, t->bytes));
        ck_assert_uint_eq(t->rotation_seed, 5);
        ck_assert_uint_eq(t->rotation_width, 64);
        ck_assert_uint_eq(t->activation, types[_i].activation);
        t = q35_model_tensor(model, "b.weight");
        ck_assert_uint_eq(t->dtype, types[other].dtype);
        ck_assert_uint_eq(t->bytes, Q35T_SAMPLE_ROWS * types[other].row_bytes);
        ck_assert(t->max_error == 0.5 && t->relative_error == 0.125);
        ck_assert_uint_eq(t->rotation_width, 0);
        ck_assert_uint_eq(t->activation, types[other].activation);
        q35t_walk_model(model);
        q35_model_close(model);
    }
}
END_TEST

/* Books of 128 and 256 points, each where a codec needs it. */
START_TEST(test_books)
{
    int8_t levels[Q35_BOOK_POINTS][2];
    q35_split_book(levels);
    for (int i = 0; i < N_TYPES; i++) {
        q35t_sample_options o = q35t_sample_options_default();
        q35_model *model;
        o.dtype[0] = o.dtype[1] = types[i].dtype;
        if (q35_book_entries(types[i].dtype) != Q35_BOOK_POINTS)
            o.drop = Q35I_KEY_CODEBOOK;
        expect_ok(open_sample(&o, &model), "open");
        const int8_t(*book)[2] = q35_model_book(model, types[i].dtype);
        ck_assert((book != NULL) == (q35_book_entries(types[i].dtype) != 0));
        if (q35_book_entries(types[i].dtype) == Q35_BOOK_POINTS)
            ck_assert_int_eq(memcmp(book, levels, sizeof levels) == 0, types[i].dtype == Q35_DT_Q35_SPLIT);
        if (types[i].dtype == Q35_DT_Q40_ROW)
            ck_assert(book[255][0] == -63 && book[255][1] == -64);
        ck_assert((q35_model_book(model, Q35_DT_Q40_ROW) != NULL) == (types[i].dtype == Q35_DT_Q40_ROW));
        ck_assert_ptr_null(q35_model_book(model, Q35_DT_F32));
        q35t_walk_model(model);
        q35_model_close(model);
    }
}
END_TEST

/* Activations per 128 inputs are the row types' other choice; widths up to the limit, whatever K is. */
START_TEST(test_inputs)
{
    static const uint32_t widths[] = {2, 128, 4096};
    for (int i = 0; i < 3; i++) {
        q35t_sample_options o = q35t_sample_options_default();
        q35_model *model;
        o.dtype[0] = Q35_DT_Q35_ROW;
        o.activation_block = 128;
        o.rotation_width = widths[i];
        o.rotation_seed = UINT64_MAX;
        expect_ok(open_sample(&o, &model), "open");
        const q35_tensor_info *t = q35_model_tensor(model, "a.weight");
        ck_assert_uint_eq(t->activation, Q35_DT_A8_128);
        ck_assert_uint_eq(t->rotation_width, widths[i]);
        ck_assert_uint_eq(t->rotation_seed, UINT64_MAX);
        q35_model_close(model);
    }
}
END_TEST

static void expect_refused(const q35t_sample_options *o, q35_status code, const char *text)
{
    q35_model *model;
    expect_failure(open_sample(o, &model), code, text, text);
}

START_TEST(test_missing_keys)
{
    static const char *const keys[N_KEYS] = {
        Q35I_KEY_VERSION,          Q35I_KEY_CODECS,    Q35I_KEY_CODEBOOK,       Q35I_KEY_CODEBOOK_8,
        Q35I_KEY_TENSORS,          Q35I_KEY_DIMS,      Q35I_KEY_ROTATION_SEED,  Q35I_KEY_ROTATION_WIDTH,
        Q35I_KEY_ACTIVATION_BLOCK, Q35I_KEY_MAX_ERROR, Q35I_KEY_RELATIVE_ERROR, Q35I_KEY_CHECKSUM};
    q35t_sample_options o = q35t_sample_options_default();
    o.dtype[1] = Q35_DT_Q40_ROW;
    o.drop = keys[_i];
    expect_refused(&o, Q35_E_FORMAT, keys[_i]);
    EXPECT_ERROR("absent");
}
END_TEST

START_TEST(test_wrong_inputs)
{
    q35t_sample_options good = q35t_sample_options_default(), o;
    static const uint32_t widths[] = {1, 3, 96, 8192, UINT32_MAX};
    for (int i = 0; i < 5; i++) {
        char text[96];
        o = good;
        o.rotation_width = widths[i];
        snprintf(text, sizeof text,
                 "tensor a.weight: q35.rotation_width: %u, need 0 or a power of two from 2 to 4096", widths[i]);
        expect_refused(&o, Q35_E_FORMAT, text);
    }
    o = good;
    o.activation_block = 128;
    expect_refused(&o, Q35_E_FORMAT, "tensor a.weight: q35.activation_block: 128, need 32 for codec pair");
    o.activation_block = 0;
    expect_refused(&o, Q35_E_FORMAT, "q35.activation_block: 0, need 32");
    for (int i = 2; i < N_TYPES; i++) {
        o = good;
        o.dtype[0] = types[i].dtype;
        o.activation_block = 32;
        expect_refused(&o, Q35_E_FORMAT, "tensor a.weight: q35.activation_block: 32, need 0 or 128 for codec");
        o.activation_block = 0;
        o.stored_inputs = o.inputs = 66305; /* one more than int32 sums allow */
        expect_refused(&o, Q35_E_FORMAT, "66305 inputs, need at most 66304");
        o.stored_inputs = o.inputs = 66304;
        q35_model *model;
        expect_ok(open_sample(&o, &model), "the most inputs");
        q35_model_close(model);
    }
    o = good;
    o.stored_inputs = o.inputs = 66305;
    q35_model *model;
    expect_ok(open_sample(&o, &model), "groups have no limit");
    q35_model_close(model);
}
END_TEST

START_TEST(test_wrong_codecs)
{
    const q35t_sample_options good = q35t_sample_options_default();
    q35t_sample_options o = good;
    o.codec = "triple";
    expect_refused(&o, Q35_E_UNSUPPORTED,
                   "q35.codecs: 'triple', need one of pair, split, pair-row, pair8-row, int6-row");
    o.codec = "";
    expect_refused(&o, Q35_E_UNSUPPORTED, "q35.codecs: '', need one of");
    o = good;
    o.codec = "pair-row"; /* the bytes are those of pair */
    expect_refused(&o, Q35_E_FORMAT, "tensor a.weight: I8 [116, 3] of rank 2, need [88, 3]");
    o = good;
    o.n_codecs = 1;
    expect_refused(&o, Q35_E_FORMAT, "q35.codecs: 1 elements, need 2");
    o.n_codecs = 3;
    expect_refused(&o, Q35_E_FORMAT, "q35.codecs: 3 elements, need 2");
    o.n_codecs = 0;
    expect_refused(&o, Q35_E_FORMAT, "q35.codecs: empty");
    o = good;
    o.dtype[1] = Q35_DT_Q40_ROW;
    o.n_codebook8 = 128;
    expect_refused(&o, Q35_E_FORMAT, "q35.codebook8: 256 elements, need 512");
    o.n_codebook8 = 0;
    expect_refused(&o, Q35_E_FORMAT, "q35.codebook8: 0 elements, need 512");
    o.drop = Q35I_KEY_CODEBOOK_8;
    expect_refused(&o, Q35_E_FORMAT, "codec pair8-row: metadata q35.codebook8 is absent, need the codebook");
    o = good;
    o.dtype[0] = o.dtype[1] = Q35_DT_Q35_ROW;
    o.drop = Q35I_KEY_CODEBOOK;
    expect_refused(&o, Q35_E_FORMAT, "codec pair-row: metadata q35.codebook is absent, need the codebook");
}
END_TEST

START_TEST(test_wrong_values)
{
    const q35t_sample_options good = q35t_sample_options_default();
    q35t_sample_options o = good;
    o.version = 2;
    expect_refused(&o, Q35_E_VERSION, "q35.version: 2, need 3");
    o.version = 4;
    expect_refused(&o, Q35_E_VERSION, "q35.version: 4, need 3");
    o = good;
    o.second = "c.weight";
    expect_refused(&o, Q35_E_FORMAT, "q35.tensors: names 'c.weight', need a tensor of the file");
    o = good;
    o.second = "a.weight";
    expect_refused(&o, Q35_E_FORMAT, "tensor a.weight: type Q35_PAIR, need I8 with rows of codes, named once");
    o = good;
    o.n_arrays = 1;
    expect_refused(&o, Q35_E_FORMAT, "q35.dims: 2 elements, need 4");
    o = good;
    o.inputs = 300;
    expect_refused(&o, Q35_E_FORMAT, "tensor a.weight: I8 [116, 3] of rank 2, need [174, 3]");
    o = good;
    o.inputs = 0;
    expect_refused(&o, Q35_E_FORMAT, "tensor a.weight: q35.dims: 0 inputs");
    o = good;
    o.inputs = UINT64_MAX;
    expect_refused(&o, Q35_E_FORMAT, "q35.dims: 18446744073709551615 inputs");
    o = good;
    o.rows = 4;
    expect_refused(&o, Q35_E_FORMAT, "need [116, 4] for 4 rows of 192 weights");
    o = good;
    o.max_error = NAN;
    expect_refused(&o, Q35_E_FORMAT, "tensor a.weight: q35.max_error: nan, need a finite value");
    o = good;
    o.relative_error = -1;
    expect_refused(&o, Q35_E_FORMAT, "q35.relative_error: -1, need");
    o = good;
    o.container = Q35_DT_I32;
    expect_refused(&o, Q35_E_FORMAT, "tensor a.weight: type I32, need I8");
    o = good;
    o.dtype[1] = Q35_DT_Q35_SPLIT;
    o.book_delta = 1;
    expect_refused(&o, Q35_E_FORMAT, "q35.codebook: differs from the levels of codec split");
    o = good;
    o.dtype[0] = o.dtype[1] = Q35_DT_Q35_ROW;
    o.book_delta = 1;
    expect_refused(&o, Q35_E_FORMAT, "q35.codebook: entry 37 is (-5, 122), need (-6, 122)");
}
END_TEST

int main(void)
{
    q35t_temp_dir_create();
    Suite *suite = suite_create("q35_meta");
    TCase *tc = tcase_create("q35_meta");
    tcase_add_loop_test(tc, test_true_shapes, 0, N_TYPES);
    tcase_add_test(tc, test_books);
    tcase_add_test(tc, test_inputs);
    tcase_add_loop_test(tc, test_missing_keys, 0, N_KEYS);
    tcase_add_test(tc, test_wrong_inputs);
    tcase_add_test(tc, test_wrong_codecs);
    tcase_add_test(tc, test_wrong_values);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
