/* SPDX-License-Identifier: Apache-2.0
 *
 * A model in several GGUF files: read as one, and every way in which the parts do not belong together refused.
 * Also the tensors of a vision tower that some files carry. */
#include "support/expect.h"
#include "support/rewrite.h"
#include "support/suite.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"
#include "support/walk_model.h"

#include "runtime/model/gguf_write.h"

#include <q35rt/blocks.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What is wrong with the parts written; zeroed: nothing. */
typedef struct fault {
    int part;          /* of which the next two are */
    uint32_t no_shift; /* added to split.no */
    uint32_t count_shift;
    uint32_t total_shift; /* added to split.tensors.count of the first */
    int repeat;           /* 1: every part holds the first tensor */
} fault;

static q35_model *whole;

static void part_path(char path[Q35T_PATH_BYTES], uint32_t no, uint32_t count)
{
    char name[64];
    snprintf(name, sizeof name, "tiny-%05u-of-%05u.gguf", no + 1, count);
    q35t_temp_path(path, name);
}

static int belongs(uint64_t tensor, uint32_t no, uint32_t count, const fault *f)
{
    return tensor * count / q35_model_n_tensors(whole) == no || (f->repeat && tensor == 0);
}

static void write_part(uint32_t no, uint32_t count, const fault *f)
{
    char path[Q35T_PATH_BYTES];
    q35i_gguf_writer *w;
    int faulty = f->part == (int)no;
    part_path(path, no, count);
    EXPECT_OK(q35i_gguf_writer_create(path, true, &w));
    for (uint64_t i = 0; no == 0 && i < q35_model_n_meta(whole); i++)
        EXPECT_OK(q35i_gguf_writer_copy(w, q35_model_meta_at(whole, i)));
    EXPECT_OK(q35i_gguf_writer_u32(w, "split.no", no + (faulty ? f->no_shift : 0)));
    EXPECT_OK(q35i_gguf_writer_u32(w, "split.count", count + (faulty ? f->count_shift : 0)));
    EXPECT_OK(
        q35i_gguf_writer_u32(w, "split.tensors.count", (uint32_t)q35_model_n_tensors(whole) + f->total_shift));
    for (uint64_t i = 0; i < q35_model_n_tensors(whole); i++) {
        const q35_tensor_info *t = q35_model_tensor_at(whole, i);
        if (belongs(i, no, count, f))
            EXPECT_OK(q35i_gguf_writer_tensor(w, t->name, t->dtype, t->rank, t->dim, t->bytes));
    }
    EXPECT_OK(q35i_gguf_writer_begin(w));
    for (uint64_t i = 0; i < q35_model_n_tensors(whole); i++) {
        const q35_tensor_info *t = q35_model_tensor_at(whole, i);
        if (belongs(i, no, count, f))
            EXPECT_OK(q35i_gguf_writer_data(w, t->data, t->bytes));
    }
    EXPECT_OK(q35i_gguf_writer_commit(w));
}

static void write_parts(uint32_t count, const fault *f)
{
    for (uint32_t no = 0; no < count; no++)
        write_part(no, count, f);
}

static void setup(void)
{
    char path[Q35T_PATH_BYTES];
    q35t_tiny_options o = q35t_tiny_options_default();
    q35t_temp_dir_create();
    q35t_temp_path(path, "whole.gguf");
    EXPECT_OK(q35t_tiny_model_write(path, &o));
    EXPECT_OK(q35_model_open(path, &whole));
}

static void teardown(void)
{
    q35_model_close(whole);
    ck_assert_int_eq(q35t_temp_dir_remove(), 0);
}

START_TEST(parts_are_one_model)
{
    static const fault none = {.part = -1};
    char path[Q35T_PATH_BYTES];
    uint32_t count = (uint32_t)_i;
    q35_model *model;
    q35_model_config config;
    write_parts(count, &none);
    part_path(path, 0, count);
    EXPECT_OK(q35_model_open(path, &model));
    EXPECT_OK(q35_model_read_config(model, &config));
    ck_assert_uint_eq(q35_model_n_tensors(model), q35_model_n_tensors(whole));
    ck_assert_uint_gt(q35_model_file_bytes(model), q35_model_file_bytes(whole));
    for (uint64_t i = 0; i < q35_model_n_tensors(whole); i++) {
        const q35_tensor_info *want = q35_model_tensor_at(whole, i), *got = q35_model_tensor(model, want->name);
        ck_assert_ptr_nonnull(got);
        ck_assert_uint_eq(got->bytes, want->bytes);
        ck_assert_int_eq(memcmp(got->data, want->data, want->bytes), 0);
    }
    (void)q35t_walk_model(model);
    q35_model_close(model);
}
END_TEST

static void expect_refusal(const fault *f, q35_status code, const char *text)
{
    char path[Q35T_PATH_BYTES];
    q35_model *model;
    write_parts(3, f);
    part_path(path, 0, 3);
    EXPECT_FAILURE(q35_model_open(path, &model), code, text);
    ck_assert_ptr_null(model);
}

START_TEST(parts_that_do_not_belong_together)
{
    expect_refusal(&(fault){.part = 1, .no_shift = 1}, Q35_E_FORMAT,
                   "tiny-00002-of-00003.gguf: split.no: 2, need 1");
    expect_refusal(&(fault){.part = 2, .count_shift = 1}, Q35_E_FORMAT,
                   "tiny-00003-of-00003.gguf: split.count: 4, need 3");
    expect_refusal(&(fault){.part = -1, .total_shift = 1}, Q35_E_FORMAT, "split.tensors.count: ");
    expect_refusal(&(fault){.part = -1, .repeat = 1, .total_shift = 2}, Q35_E_FORMAT, "name occurs twice");
    expect_refusal(&(fault){.part = 0, .count_shift = 1}, Q35_E_FORMAT,
                   "need a name that ends in -00001-of-00004.gguf");
    expect_refusal(&(fault){.part = 0, .count_shift = 5000}, Q35_E_FORMAT, "split.count: 5003");
    expect_refusal(&(fault){.part = 0, .no_shift = 3}, Q35_E_FORMAT, "with split.no 3");
}
END_TEST

START_TEST(not_the_first_part_or_not_all)
{
    static const fault none = {.part = -1};
    char path[Q35T_PATH_BYTES];
    q35_model *model;
    write_parts(3, &none);
    part_path(path, 1, 3);
    EXPECT_FAILURE(q35_model_open(path, &model), Q35_E_INVALID,
                   "part 2 of a model in 3 files, need the first one");
    unlink(path);
    part_path(path, 0, 3);
    EXPECT_FAILURE(q35_model_open(path, &model), Q35_E_IO, "tiny-00002-of-00003.gguf: No such file");
}
END_TEST

START_TEST(vision_tensors_are_left_alone)
{
    char path[Q35T_PATH_BYTES];
    q35_model *model;
    q35_model_config config;
    uint64_t bytes;
    const q35t_change change = {
        .add_tensor = "v.blk.0.attn_q.weight", .dtype = Q35_DT_F16, .rank = 2, .dim = {64, 32}};
    q35t_temp_path(path, "vision.gguf");
    EXPECT_OK(q35t_rewrite(whole, path, &change));
    EXPECT_OK(q35_model_open(path, &model));
    EXPECT_OK(q35_model_read_config(model, &config));
    ck_assert_uint_eq(q35_model_n_tensors(model), q35_model_n_tensors(whole));
    ck_assert_uint_eq(q35_model_n_skipped(model, &bytes), 1);
    ck_assert_uint_eq(bytes, 64 * 32 * 2);
    q35_model_close(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gguf_split");
    TCase *tc = tcase_create("split");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, parts_are_one_model, 2, 5);
    tcase_add_test(tc, parts_that_do_not_belong_together);
    tcase_add_test(tc, not_the_first_part_or_not_all);
    tcase_add_test(tc, vision_tensors_are_left_alone);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
