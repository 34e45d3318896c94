/* SPDX-License-Identifier: Apache-2.0
 *
 * Verification of files with any codec and rotation: sound ones pass with and without their source, and the
 * sentence names what is wrong with the others. */
#include "noise.h"
#include "runtime/base/error.h"
#include "runtime/base/pool.h"
#include "runtime/model/gguf_write.h"
#include "runtime/model/model.h"
#include "runtime/model/q35_keys.h"
#include "runtime/quant/gaussian.h"
#include "runtime/quant/tensor.h"
#include "support/cpu_runtime.h"
#include "support/expect.h"
#include "support/suite.h"
#include "support/temp_dir.h"

#include <math.h>
#include <q35rt/q35rt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 200, ROWS = 6, MOST_BYTES = ROWS * (4 + COLUMNS) };

/* What the file says, beside the truth. */
typedef struct variant {
    uint32_t dtype, width;
    uint64_t seed_delta;
    float max_error_factor;
    const float *scale; /* replaces that of row 3 */
} variant;

static char source_path[Q35T_PATH_BYTES], path[Q35T_PATH_BYTES], problem[256];
static float weights[ROWS * COLUMNS];
static q35_runtime *runtime;
static q35_model *source;
static q35i_book pair_book, split_book;

static q35_status write_source(void)
{
    q35i_gguf_writer *w;
    const int64_t dim[2] = {COLUMNS, ROWS};
    Q35_TRY(q35i_gguf_writer_create(source_path, true, &w));
    q35_status status = q35i_gguf_writer_tensor(w, "a.weight", Q35_DT_F32, 2, dim, sizeof weights);
    Q35_TRY_GOTO(status, fail);
    Q35_TRY_GOTO(q35i_gguf_writer_begin(w), fail);
    Q35_TRY_GOTO(q35i_gguf_writer_data(w, weights, sizeof weights), fail);
    return q35i_gguf_writer_commit(w);
fail:
    q35i_gguf_writer_discard(w);
    return status;
}

static void setup(void)
{
    int8_t levels[Q35_BOOK_POINTS][2];
    q35t_temp_dir_create();
    q35t_temp_path(source_path, "source.gguf");
    q35t_temp_path(path, "file.gguf");
    q35t_normal(1, weights, ROWS * COLUMNS);
    q35_split_book(levels);
    q35i_book_set(&pair_book, q35i_gaussian_book(Q35_DT_Q35_ROW), q35i_gaussian_unit(Q35_DT_Q35_ROW));
    q35i_book_set(&split_book, (const int8_t(*)[2])levels, 1);
    expect_ok(write_source(), "source");
    EXPECT_OK(q35_model_open(source_path, &source));
    runtime = q35t_cpu_runtime(2);
}

static void teardown(void)
{
    q35_runtime_destroy(runtime);
    q35_model_close(source);
    ck_assert_int_eq(q35t_temp_dir_remove(), 0);
}

static const int8_t *book_of(uint32_t dtype)
{
    return dtype == Q35_DT_Q35_SPLIT ? split_book.points[0] : pair_book.points[0];
}

static q35_status write_keys(q35i_gguf_writer *w, const variant *v, const q35i_row_error *error, uint64_t checksum)
{
    const char *name = "a.weight", *codec = q35i_codec_name(v->dtype);
    const uint64_t dims[2] = {COLUMNS, ROWS}, seed = 9 + v->seed_delta;
    const uint32_t block = q35_is_row_type(v->dtype) ? 0 : Q35_ACT_BLOCK;
    const float relative = (float)q35i_row_error_relative(error),
                largest = (float)error->largest * v->max_error_factor;
    Q35_TRY(q35i_gguf_writer_u32(w, Q35I_KEY_VERSION, Q35I_FORMAT_VERSION));
    Q35_TRY(q35i_gguf_writer_array(w, Q35I_KEY_CODEBOOK, Q35_META_I8, book_of(v->dtype), 2 * Q35_BOOK_POINTS));
    Q35_TRY(q35i_gguf_writer_array(w, Q35I_KEY_CODEBOOK_8, Q35_META_I8, q35i_gaussian_book(Q35_DT_Q40_ROW),
                                   2 * Q35_BOOK_MAX));
    Q35_TRY(q35i_gguf_writer_strings(w, Q35I_KEY_TENSORS, &name, 1));
    Q35_TRY(q35i_gguf_writer_strings(w, Q35I_KEY_CODECS, &codec, 1));
    Q35_TRY(q35i_gguf_writer_array(w, Q35I_KEY_DIMS, Q35_META_U64, dims, 2));
    Q35_TRY(q35i_gguf_writer_array(w, Q35I_KEY_ROTATION_SEED, Q35_META_U64, &seed, 1));
    Q35_TRY(q35i_gguf_writer_array(w, Q35I_KEY_ROTATION_WIDTH, Q35_META_U32, &v->width, 1));
    Q35_TRY(q35i_gguf_writer_array(w, Q35I_KEY_ACTIVATION_BLOCK, Q35_META_U32, &block, 1));
    Q35_TRY(q35i_gguf_writer_array(w, Q35I_KEY_MAX_ERROR, Q35_META_F32, &largest, 1));
    Q35_TRY(q35i_gguf_writer_array(w, Q35I_KEY_RELATIVE_ERROR, Q35_META_F32, &relative, 1));
    Q35_TRY(q35i_gguf_writer_array(w, Q35I_KEY_CHECKSUM, Q35_META_U64, &checksum, 1));
    return q35i_gguf_writer_array(w, Q35I_KEY_FILE_CHECKSUM, Q35_META_U64, NULL, 1);
}

static q35_status write_file(const variant *v)
{
    uint8_t blocks[MOST_BYTES];
    q35i_row_error error;
    q35_pool *pool = NULL;
    const q35i_linear linear = {.info = q35_model_tensor_at(source, 0)};
    const uint64_t row_bytes = q35_row_bytes(v->dtype, COLUMNS), bytes = ROWS * row_bytes;
    const int64_t dim[2] = {(int64_t)row_bytes, ROWS};
    q35i_gguf_writer *w;
    q35i_encoding encoding = {.dtype = v->dtype, .rotation_seed = 9, .rotation_width = v->width};
    if (q35_is_row_type(v->dtype))
        encoding.points = q35i_gaussian_book(v->dtype);
    else
        encoding.book = v->dtype == Q35_DT_Q35_SPLIT ? &split_book : &pair_book;
    EXPECT_OK(q35i_pool_create(1, NULL, &pool));
    encoding.pool = pool;
    EXPECT_OK(q35i_tensor_encode(&encoding, &linear, blocks, &error));
    q35i_pool_destroy(pool);
    if (v->scale)
        memcpy(blocks + 3 * row_bytes, v->scale, sizeof *v->scale);
    Q35_TRY(q35i_gguf_writer_create(path, true, &w));
    q35_status status = write_keys(w, v, &error, q35i_checksum(blocks, bytes));
    Q35_TRY_GOTO(status, fail);
    Q35_TRY_GOTO(q35i_gguf_writer_tensor(w, "a.weight", Q35_DT_I8, 2, dim, bytes), fail);
    Q35_TRY_GOTO(q35i_gguf_writer_begin(w), fail);
    Q35_TRY_GOTO(q35i_gguf_writer_data(w, blocks, bytes), fail);
    Q35_TRY_GOTO(q35i_gguf_writer_file_checksum(w), fail);
    return q35i_gguf_writer_commit(w);
fail:
    q35i_gguf_writer_discard(w);
    return status;
}

static void note(void *user, const q35_verify_report *report)
{
    int *n = user;
    ++*n;
    ck_assert_str_eq(report->tensor, "a.weight");
    snprintf(problem, sizeof problem, "%s", report->problem);
}

/* The problem found, "" for none. */
static const char *verify(const variant *v, const q35_model *against)
{
    q35_model *file;
    int n = 0;
    expect_ok(write_file(v), "file");
    EXPECT_OK(q35_model_open(path, &file));
    q35_status status = q35_verify(runtime, file, against, note, &n);
    ck_assert_int_eq(n, 1);
    ck_assert_uint_eq(status, problem[0] ? Q35_E_FORMAT : Q35_OK);
    q35_model_close(file);
    return problem;
}

static const uint32_t types[] = {Q35_DT_Q35_PAIR, Q35_DT_Q35_SPLIT, Q35_DT_Q35_ROW, Q35_DT_Q40_ROW,
                                 Q35_DT_Q60_ROW};

START_TEST(sound)
{
    for (uint32_t width = 0; width <= 256; width += 128) { /* 256: longer than the row */
        const variant v = {.dtype = types[_i], .width = width, .max_error_factor = 1};
        ck_assert_str_eq(verify(&v, NULL), "");
        ck_assert_str_eq(verify(&v, source), "");
    }
}
END_TEST

START_TEST(wrong_promises)
{
    variant v = {.dtype = types[_i], .width = 128, .max_error_factor = 0.99f};
    ck_assert_str_eq(verify(&v, NULL), "");
    ck_assert_ptr_nonnull(strstr(verify(&v, source), "largest error"));
    v.max_error_factor = 1;
    v.seed_delta = 1;
    ck_assert_str_eq(verify(&v, NULL), "");
    ck_assert_ptr_nonnull(strstr(verify(&v, source), "largest error"));
    v.seed_delta = 0;
    ck_assert_str_eq(verify(&v, source), "");
}
END_TEST

START_TEST(row_scales)
{
    static const float bad[] = {-0.5f, NAN, INFINITY, -INFINITY};
    static const float good[] = {0, 1e-40f, 3e38f};
    variant v = {.dtype = types[_i], .max_error_factor = 1};
    for (int i = 0; i < 4; i++) {
        v.scale = &bad[i];
        ck_assert_msg(strstr(verify(&v, NULL), "of row 3, need a finite number of at least 0"), "%s", problem);
    }
    for (int i = 0; i < 3; i++) {
        v.scale = &good[i];
        ck_assert_str_eq(verify(&v, NULL), "");
        ck_assert_ptr_nonnull(strstr(verify(&v, source), "error"));
    }
}
END_TEST

/* A file with row codes is not weights that another could have been made from. */
START_TEST(no_source)
{
    const variant v = {.dtype = types[_i], .max_error_factor = 1};
    q35_model *file;
    ck_assert_str_eq(verify(&v, NULL), "");
    EXPECT_OK(q35_model_open(path, &file));
    int n = 0;
    EXPECT_FAILURE(q35_verify(runtime, file, file, note, &n), Q35_E_FORMAT, "1 of 1");
    ck_assert_ptr_nonnull(strstr(problem, "need the weights it was made from"));
    q35_model_close(file);
    EXPECT_FAILURE(q35_verify(runtime, source, NULL, NULL, NULL), Q35_E_FORMAT, "no 3.5-bit tensors");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("verify");
    TCase *t = tcase_create("verify");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, sound, 0, 5);
    tcase_add_loop_test(t, wrong_promises, 0, 5);
    tcase_add_loop_test(t, row_scales, 2, 5);
    tcase_add_loop_test(t, no_source, 0, 5);
    suite_add_tcase(s, t);
    return q35t_run(s);
}
