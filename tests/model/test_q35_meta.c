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
#include <stdlib.h>
#include <xxhash.h>

static q35_status open_sample(const q35t_sample_options *o, q35_model **out)
{
    char path[Q35T_PATH_BYTES];
    q35t_temp_path(path, "sample.gguf");
    expect_ok(q35t_sample_write(path, o), "sample");
    return q35_model_open(path, out);
}

START_TEST(test_true_shapes)
{
    for (int split = 0; split < 2; split++) {
        q35t_sample_options o = q35t_sample_options_default();
        q35_model *model;
        int8_t levels[Q35_BOOK_POINTS][2];
        o.split = split;
        expect_ok(open_sample(&o, &model), "open");
        const q35_tensor_info *t = q35_model_tensor(model, "a.weight");
        ck_assert_uint_eq(t->dtype, split ? Q35_DT_Q35_SPLIT : Q35_DT_Q35_PAIR);
        ck_assert_uint_eq(t->rank, 2);
        ck_assert_int_eq(t->dim[0], Q35T_SAMPLE_INPUTS);
        ck_assert_int_eq(t->dim[1], Q35T_SAMPLE_ROWS);
        ck_assert_uint_eq(t->bytes, 3u * 2u * (split ? 60 : 58));
        ck_assert(t->max_error == 0.25 && t->relative_error == 0.0625);
        ck_assert_uint_eq(t->checksum, XXH3_64bits(t->data, t->bytes));
        t = q35_model_tensor(model, "b.weight");
        ck_assert(t->max_error == 0.5 && t->relative_error == 0.125);
        q35_split_book(levels);
        ck_assert_ptr_nonnull(q35_model_book(model));
        ck_assert_int_eq(memcmp(q35_model_book(model), levels, sizeof levels) == 0, split);
        q35t_walk_model(model);
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
    static const char *const keys[] = {Q35I_KEY_VERSION,        Q35I_KEY_CODEC,   Q35I_KEY_CODEBOOK,
                                       Q35I_KEY_TENSORS,        Q35I_KEY_DIMS,    Q35I_KEY_MAX_ERROR,
                                       Q35I_KEY_RELATIVE_ERROR, Q35I_KEY_CHECKSUM};
    q35t_sample_options o = q35t_sample_options_default();
    o.drop = keys[_i];
    expect_refused(&o, Q35_E_FORMAT, keys[_i]);
    EXPECT_ERROR(": absent");
}
END_TEST

START_TEST(test_wrong_values)
{
    const q35t_sample_options good = q35t_sample_options_default();
    q35t_sample_options o = good;
    o.version = 2;
    expect_refused(&o, Q35_E_VERSION, "q35.version: 2, need 1");
    o = good;
    o.codec = "triple";
    expect_refused(&o, Q35_E_UNSUPPORTED, "q35.codec: 'triple', need 'pair' or 'split'");
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
    o.split = 1;
    o.book_delta = 1;
    expect_refused(&o, Q35_E_FORMAT, "q35.codebook: differs from the levels of codec split");
}
END_TEST

int main(void)
{
    q35t_temp_dir_create();
    Suite *suite = suite_create("q35_meta");
    TCase *tc = tcase_create("q35_meta");
    tcase_add_test(tc, test_true_shapes);
    tcase_add_loop_test(tc, test_missing_keys, 0, 8);
    tcase_add_test(tc, test_wrong_values);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
