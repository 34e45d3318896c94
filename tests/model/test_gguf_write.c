/* SPDX-License-Identifier: Apache-2.0
 *
 * The GGUF writer: what it writes is read back the same, and wrong calls are refused. */
#include "support/expect.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include "runtime/model/gguf.h"
#include "runtime/model/gguf_write.h"
#include "support/suite.h"

#include <q35rt/blocks.h>

#include <stdio.h>
#include <stdlib.h>

static q35i_gguf_writer *new_writer(char path[Q35T_PATH_BYTES], const char *name)
{
    q35i_gguf_writer *w;
    q35t_temp_path(path, name);
    expect_ok(q35i_gguf_writer_create(path, true, &w), "create");
    return w;
}

static q35_model *open_file(const char *path)
{
    q35_model *model;
    expect_ok(q35_model_open(path, &model), "open");
    return model;
}

START_TEST(test_round_trip)
{
    char path[Q35T_PATH_BYTES];
    q35i_gguf_writer *w = new_writer(path, "round.gguf");
    const char *words[3] = {"one", "", "three"};
    const int16_t numbers[3] = {-1, 2, 3};
    const int64_t dim[2] = {32, 3}, five[1] = {5};
    uint8_t q8[102];
    const float f[5] = {1, 2, 3, 4, 5};
    uint64_t u;
    q35_string s;
    for (size_t i = 0; i < sizeof q8; i++)
        q8[i] = (uint8_t)i;
    expect_ok(q35i_gguf_writer_u32(w, "number", 7), "u32");
    expect_ok(q35i_gguf_writer_string(w, "text", "some text"), "string");
    expect_ok(q35i_gguf_writer_strings(w, "words", words, 3), "strings");
    expect_ok(q35i_gguf_writer_array(w, "numbers", Q35_META_I16, numbers, 3), "array");
    expect_ok(q35i_gguf_writer_array(w, "none", Q35_META_F32, NULL, 0), "empty array");
    expect_ok(q35i_gguf_writer_tensor(w, "q8", Q35_DT_Q8_0, 2, dim, 102), "tensor");
    expect_ok(q35i_gguf_writer_tensor(w, "f", Q35_DT_F32, 1, five, 20), "tensor");
    expect_ok(q35i_gguf_writer_begin(w), "begin");
    uint64_t start = q35i_gguf_writer_offset(w);
    ck_assert_uint_eq(start % 32, 0);
    expect_ok(q35i_gguf_writer_data(w, q8, 60), "first piece");
    expect_ok(q35i_gguf_writer_data(w, q8 + 60, 42), "second piece");
    ck_assert_uint_eq(q35i_gguf_writer_offset(w), start + 128);
    expect_ok(q35i_gguf_writer_data(w, f, 20), "second tensor");
    expect_ok(q35i_gguf_writer_commit(w), "commit");

    q35_model *model = open_file(path);
    ck_assert_uint_eq(q35_model_n_meta(model), 5);
    ck_assert_uint_eq(q35_model_n_tensors(model), 2);
    ck_assert(q35_meta_u64(q35_model_meta(model, "number"), &u) && u == 7);
    ck_assert(q35_meta_string(q35_model_meta(model, "text"), &s) && s.len == 9 &&
              memcmp(s.data, "some text", 9) == 0);
    const q35_meta *array = q35_model_meta(model, "numbers");
    ck_assert_uint_eq(array->elem_type, Q35_META_I16);
    ck_assert_uint_eq(array->count, 3);
    ck_assert_mem_eq(array->data, numbers, sizeof numbers);
    ck_assert_uint_eq(q35_model_meta(model, "none")->count, 0);
    const q35_tensor_info *t = q35_model_tensor(model, "q8");
    ck_assert_uint_eq(t->bytes, sizeof q8);
    ck_assert_mem_eq(t->data, q8, sizeof q8);
    t = q35_model_tensor(model, "f");
    ck_assert_uint_eq(t->dtype, Q35_DT_F32);
    ck_assert_mem_eq(t->data, f, sizeof f);
    ck_assert_uint_eq(q35_model_file_bytes(model), start + 128 + 32);
    q35_model_close(model);
}
END_TEST

/* Copying every entry and tensor of a model gives the same bytes. */
START_TEST(test_copy_is_identical)
{
    char from[Q35T_PATH_BYTES], to[Q35T_PATH_BYTES];
    q35t_tiny_options o = q35t_tiny_options_default();
    o.dtype = Q35_DT_Q4_1;
    q35t_temp_path(from, "from.gguf");
    expect_ok(q35t_tiny_model_write(from, &o), "tiny model");
    q35_model *a = open_file(from);
    q35i_gguf_writer *w = new_writer(to, "to.gguf");
    for (uint64_t i = 0; i < q35_model_n_meta(a); i++)
        expect_ok(q35i_gguf_writer_copy(w, q35_model_meta_at(a, i)), "copy");
    for (uint64_t i = 0; i < q35_model_n_tensors(a); i++) {
        const q35_tensor_info *t = q35_model_tensor_at(a, i);
        expect_ok(q35i_gguf_writer_tensor(w, t->name, t->dtype, t->rank, t->dim, t->bytes), t->name);
    }
    expect_ok(q35i_gguf_writer_begin(w), "begin");
    for (uint64_t i = 0; i < q35_model_n_tensors(a); i++)
        expect_ok(q35i_gguf_writer_data(w, q35_model_tensor_at(a, i)->data, q35_model_tensor_at(a, i)->bytes),
                  "data");
    expect_ok(q35i_gguf_writer_commit(w), "commit");
    q35_model *b = open_file(to);
    ck_assert_uint_eq(a->bytes, b->bytes);
    ck_assert_mem_eq(a->data, b->data, a->bytes);
    q35_model_close(a);
    q35_model_close(b);
}
END_TEST

START_TEST(test_patch)
{
    char path[Q35T_PATH_BYTES];
    const float before[2] = {1, 2}, after[2] = {3, 4};
    const int64_t one[1] = {1};
    q35i_gguf_writer *w = new_writer(path, "patch.gguf");
    expect_ok(q35i_gguf_writer_array(w, "early", Q35_META_F32, before, 2), "array");
    expect_ok(q35i_gguf_writer_string(w, "between", "x"), "string");
    expect_ok(q35i_gguf_writer_array(w, "late", Q35_META_F32, NULL, 2), "zeros");
    expect_ok(q35i_gguf_writer_tensor(w, "t", Q35_DT_F32, 1, one, 4), "tensor");
    expect_ok(q35i_gguf_writer_patch_array(w, "early", after), "patch in memory");
    expect_ok(q35i_gguf_writer_begin(w), "begin");
    expect_ok(q35i_gguf_writer_data(w, before, 4), "data");
    expect_ok(q35i_gguf_writer_patch_array(w, "late", after), "patch in the file");
    expect_failure(q35i_gguf_writer_patch_array(w, "between", after), Q35_E_INVALID,
                   "metadata between: of another type", "patch a string");
    expect_failure(q35i_gguf_writer_patch_array(w, "no", after), Q35_E_INVALID, "metadata no: absent",
                   "patch nothing");
    expect_ok(q35i_gguf_writer_commit(w), "commit");
    q35_model *model = open_file(path);
    ck_assert_mem_eq(q35_model_meta(model, "early")->data, after, sizeof after);
    ck_assert_mem_eq(q35_model_meta(model, "late")->data, after, sizeof after);
    ck_assert_mem_eq(q35_model_tensor(model, "t")->data, before, 4);
    q35_model_close(model);
}
END_TEST

START_TEST(test_wrong_declarations)
{
    char path[Q35T_PATH_BYTES];
    q35i_gguf_writer *w = new_writer(path, "wrong.gguf");
    const int64_t dim[2] = {32, 2}, odd[2] = {33, 2}, zero[2] = {32, 0};
    expect_ok(q35i_gguf_writer_u32(w, "key", 1), "u32");
    expect_failure(q35i_gguf_writer_u32(w, "key", 2), Q35_E_INVALID, "metadata key: key occurs twice", "twice");
    expect_failure(q35i_gguf_writer_string(w, "", "x"), Q35_E_INVALID, "metadata key: ''", "empty key");
    expect_failure(q35i_gguf_writer_array(w, "a", Q35_META_STRING, NULL, 1), Q35_E_INVALID, "need a scalar type",
                   "type");
    expect_failure(q35i_gguf_writer_u32(w, "general.alignment", 12), Q35_E_INVALID, "general.alignment: 12",
                   "alignment");
    expect_failure(q35i_gguf_writer_tensor(w, "t", Q35_DT_Q4_0, 2, dim, 35), Q35_E_INVALID, "tensor t: 35 bytes",
                   "bytes");
    expect_failure(q35i_gguf_writer_tensor(w, "t", Q35_DT_Q4_0, 2, odd, 72), Q35_E_INVALID, "need whole blocks",
                   "odd");
    expect_failure(q35i_gguf_writer_tensor(w, "t", Q35_DT_Q4_0, 2, zero, 0), Q35_E_INVALID, "tensor t: 0 bytes",
                   "zero");
    expect_failure(q35i_gguf_writer_tensor(w, "t", Q35_DT_Q35_PAIR, 2, dim, 1), Q35_E_INVALID, "type 4096",
                   "type");
    expect_failure(q35i_gguf_writer_tensor(w, "t", Q35_DT_Q4_0, 5, dim, 1), Q35_E_INVALID, "5 dimensions", "rank");
    expect_ok(q35i_gguf_writer_tensor(w, "t", Q35_DT_Q4_0, 2, dim, 36), "good");
    expect_ok(q35i_gguf_writer_tensor(w, "t", Q35_DT_Q4_0, 2, dim, 36), "twice");
    expect_failure(q35i_gguf_writer_data(w, dim, 1), Q35_E_INVALID, "data before the header", "early data");
    expect_failure(q35i_gguf_writer_begin(w), Q35_E_INVALID, "tensor t: name occurs twice", "duplicate");
    q35i_gguf_writer_discard(w);
    q35i_gguf_writer_discard(NULL);
}
END_TEST

START_TEST(test_wrong_data)
{
    char path[Q35T_PATH_BYTES];
    const uint8_t bytes[64] = {0};
    const int64_t dim[1] = {8};
    q35_model *model;
    q35i_gguf_writer *w = new_writer(path, "data.gguf");
    expect_ok(q35i_gguf_writer_tensor(w, "t", Q35_DT_F32, 1, dim, 32), "tensor");
    expect_ok(q35i_gguf_writer_begin(w), "begin");
    expect_failure(q35i_gguf_writer_u32(w, "late", 1), Q35_E_INVALID, "metadata late: declared after", "late key");
    expect_failure(q35i_gguf_writer_tensor(w, "u", Q35_DT_F32, 1, dim, 32), Q35_E_INVALID, "declared after",
                   "late tensor");
    expect_failure(q35i_gguf_writer_begin(w), Q35_E_INVALID, "written already", "begin twice");
    expect_ok(q35i_gguf_writer_data(w, bytes, 20), "piece");
    expect_failure(q35i_gguf_writer_data(w, bytes, 13), Q35_E_INVALID, "need at most 12 more", "overrun");
    expect_failure(q35i_gguf_writer_commit(w), Q35_E_INVALID, "tensor t has 20 bytes, need 32", "incomplete");
    expect_failure(q35_model_open(path, &model), Q35_E_IO, "No such file", "nothing was left");
    w = new_writer(path, "data.gguf");
    expect_failure(q35i_gguf_writer_commit(w), Q35_E_INVALID, "nothing was written", "no header");
    ck_assert_int_eq(q35t_temp_dir_count(), 0);
}
END_TEST

START_TEST(test_alignment)
{
    char path[Q35T_PATH_BYTES];
    const int64_t one[1] = {1};
    const float f = 1;
    q35i_gguf_writer *w = new_writer(path, "align.gguf");
    expect_ok(q35i_gguf_writer_u32(w, "general.alignment", 4096), "alignment");
    expect_ok(q35i_gguf_writer_tensor(w, "t", Q35_DT_F32, 1, one, 4), "tensor");
    expect_ok(q35i_gguf_writer_tensor(w, "u", Q35_DT_F32, 1, one, 4), "tensor");
    expect_ok(q35i_gguf_writer_begin(w), "begin");
    expect_ok(q35i_gguf_writer_data(w, &f, 4), "data");
    ck_assert_uint_eq(q35i_gguf_writer_offset(w), 8192);
    expect_ok(q35i_gguf_writer_data(w, &f, 4), "data");
    expect_ok(q35i_gguf_writer_commit(w), "commit");
    q35_model *model = open_file(path);
    ck_assert_uint_eq((uintptr_t)q35_model_tensor(model, "u")->data % 4096, 0);
    q35_model_close(model);
    ck_assert_int_eq(remove(path), 0);
}
END_TEST

/* The same options give the same bytes; another seed gives others. */
START_TEST(test_tiny_model_is_seeded)
{
    char path[3][Q35T_PATH_BYTES];
    q35_model *model[3];
    q35t_tiny_options o = q35t_tiny_options_default();
    o.tied = 0;
    o.rope_freqs = 1;
    for (int i = 0; i < 3; i++) {
        q35t_temp_path(path[i], i == 0 ? "0" : i == 1 ? "1" : "2");
        o.seed = i == 2 ? 2 : 1;
        expect_ok(q35t_tiny_model_write(path[i], &o), "tiny model");
        model[i] = open_file(path[i]);
        ck_assert_uint_eq(model[i]->bytes, model[0]->bytes);
    }
    ck_assert_mem_eq(model[0]->data, model[1]->data, model[0]->bytes);
    ck_assert_mem_ne(model[0]->data, model[2]->data, model[0]->bytes);
    for (int i = 0; i < 3; i++)
        q35_model_close(model[i]);
}
END_TEST

/* The fingerprint follows the file's head and time stamp; dropped pages are read again. */
START_TEST(test_fingerprint_and_pages)
{
    char path[Q35T_PATH_BYTES];
    uint8_t print[3][16];
    q35t_tiny_options o = q35t_tiny_options_default();
    q35t_temp_path(path, "print.gguf");
    for (int i = 0; i < 3; i++) {
        if (i != 1) {
            o.context += (uint32_t)i;
            expect_ok(q35t_tiny_model_write(path, &o), "tiny model");
        }
        q35_model *model = open_file(path);
        const q35_tensor_info *t = q35_model_tensor(model, "token_embd.weight");
        uint8_t *before = malloc(t->bytes);
        ck_assert_ptr_nonnull(before);
        memcpy(before, t->data, t->bytes);
        q35i_model_drop_pages(model, t);
        ck_assert_mem_eq(before, t->data, t->bytes);
        ck_assert_str_eq(q35_model_path(model), path);
        ck_assert_uint_eq(q35_model_file_bytes(model), model->bytes);
        q35i_model_fingerprint(model, print[i]);
        q35_model_close(model);
        free(before);
    }
    ck_assert_mem_eq(print[0], print[1], 16);
    ck_assert_mem_ne(print[0], print[2], 16);
}
END_TEST

int main(void)
{
    q35t_temp_dir_create();
    Suite *suite = suite_create("gguf_write");
    TCase *tc = tcase_create("write");
    tcase_add_test(tc, test_wrong_data); /* first: it counts the files of the directory */
    tcase_add_test(tc, test_round_trip);
    tcase_add_test(tc, test_copy_is_identical);
    tcase_add_test(tc, test_patch);
    tcase_add_test(tc, test_wrong_declarations);
    tcase_add_test(tc, test_alignment);
    tcase_add_test(tc, test_tiny_model_is_seeded);
    tcase_add_test(tc, test_fingerprint_and_pages);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
