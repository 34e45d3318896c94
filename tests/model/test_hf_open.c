/* SPDX-License-Identifier: Apache-2.0
 *
 * Model directories that are right: both layouts give the same model, whatever prefixes, files and types it is
 * stored with; and memory that runs out on the way. */
#define _GNU_SOURCE
#include "support/alloc_sweep.h"
#include "support/expect.h"
#include "support/hf_dir.h"
#include "support/suite.h"
#include "support/temp_dir.h"
#include "support/walk_model.h"

#include "runtime/model/model_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char dir[Q35T_PATH_BYTES];

static void setup(void)
{
    q35t_temp_dir_create();
    q35t_temp_path(dir, "the-model");
}

static void teardown(void)
{
    ck_assert_int_eq(q35t_temp_dir_remove(), 0);
}

static q35_model *open_options(const q35t_hf_options *o, const char *name)
{
    char path[Q35T_PATH_BYTES];
    q35_model *model;
    q35t_temp_path(path, name);
    q35t_hf_write(path, o);
    expect_ok(q35_model_open(path, &model), name);
    q35t_walk_model(model);
    return model;
}

/* All bytes of a tensor, by rows; free(). */
static uint8_t *bytes_of(const q35_model *model, const q35_tensor_info *t)
{
    uint8_t *out = malloc(t->bytes);
    ck_assert_ptr_nonnull(out);
    EXPECT_OK(q35_model_read_rows(model, t, 0, (uint64_t)t->dim[1], out));
    return out;
}

/* Both hold the same tensors and hyper-parameters, and each reads the same by rows and as a whole. */
static void expect_same(const q35_model *a, const q35_model *b)
{
    q35_model_config ca, cb;
    EXPECT_OK(q35_model_read_config(a, &ca));
    EXPECT_OK(q35_model_read_config(b, &cb));
    ck_assert_mem_eq(&ca, &cb, sizeof ca);
    ck_assert_uint_eq(q35_model_n_tensors(a), q35_model_n_tensors(b));
    for (uint64_t i = 0; i < q35_model_n_tensors(a); i++) {
        const q35_tensor_info *t = q35_model_tensor_at(a, i), *u = q35_model_tensor(b, t->name);
        const void *whole;
        ck_assert_msg(u != NULL, "%s: not in the other model", t->name);
        ck_assert_uint_eq(t->dtype, u->dtype);
        ck_assert_uint_eq(t->rank, u->rank);
        ck_assert_mem_eq(t->dim, u->dim, sizeof t->dim);
        ck_assert_uint_eq(t->bytes, u->bytes);
        uint8_t *x = bytes_of(a, t), *y = bytes_of(b, u);
        ck_assert_msg(memcmp(x, y, t->bytes) == 0, "%s: differs", t->name);
        EXPECT_OK(q35i_model_bytes(a, t, &whole));
        ck_assert_msg(memcmp(x, whole, t->bytes) == 0, "%s: differs as a whole", t->name);
        free(x);
        free(y);
    }
}

START_TEST(test_layouts_agree)
{
    static const char *const dtypes[] = {"BF16", "F32", "F8_E4M3"};
    q35t_hf_options o = q35t_hf_options_default();
    o.dtype = dtypes[_i];
    q35_model *hf = open_options(&o, "hf");
    o.mistral = 1;
    q35_model *mistral = open_options(&o, "mistral");
    ck_assert_str_eq(q35_model_format(hf), "Hugging Face directory");
    ck_assert_str_eq(q35_model_format(mistral), "Mistral directory");
    expect_same(hf, mistral);
    q35_model_close(hf);
    q35_model_close(mistral);
}
END_TEST

/* Against the formula of the format: the rows of a head are split in halves. */
START_TEST(test_row_order)
{
    q35t_hf_options o = q35t_hf_options_default();
    q35_model *model = open_options(&o, "the-model");
    const q35i_tensor *t = q35i_model_tensor(model, (q35_string){"blk.1.attn_k.weight", 19});
    ck_assert_ptr_nonnull(t);
    ck_assert_uint_eq(t->stored, Q35I_STORED_HALVES);
    ck_assert_ptr_null(t->info.data);
    for (uint64_t row = 0; row < 32; row++) {
        uint8_t got[64];
        uint64_t file = row / 16 * 16 + row % 16 / 2 + row % 2 * 8;
        EXPECT_OK(q35_model_read_rows(model, &t->info, row, 1, got));
        ck_assert_mem_eq(got, t->bytes + file * sizeof got, sizeof got);
    }
    q35_model_close(model);
}
END_TEST

START_TEST(test_fp8)
{
    q35t_hf_options o = q35t_hf_options_default();
    o.dtype = "F8_E4M3";
    q35_model *model = open_options(&o, "the-model");
    const q35_tensor_info *t = q35_model_tensor(model, "blk.0.ffn_down.weight");
    uint8_t row[72];
    float scale;
    ck_assert_uint_eq(t->dtype, Q35_DT_F8_32);
    ck_assert_int_eq(t->dim[0], 64);
    EXPECT_OK(q35_model_read_rows(model, t, 31, 1, row));
    for (int block = 0; block < 2; block++) {
        memcpy(&scale, row + 36 * block, sizeof scale);
        ck_assert(scale == 0.0078125f);
        ck_assert_mem_eq(row + 36 * block + 4,
                         ((const q35i_tensor *)(const void *)t)->bytes + 31 * 64 + 32 * block, 32);
    }
    ck_assert_uint_eq(q35_model_tensor(model, "token_embd.weight")->dtype, Q35_DT_BF16);
    q35_model_close(model);
}
END_TEST

START_TEST(test_metadata)
{
    q35_string name;
    q35t_hf_options o = q35t_hf_options_default();
    q35_model *model = open_options(&o, "the-model");
    ck_assert(q35_meta_string(q35_model_meta(model, "general.name"), &name));
    ck_assert_uint_eq(name.len, 9);
    ck_assert_mem_eq(name.data, "the-model", 9);
    ck_assert_uint_eq(q35_model_n_tensors(model), 2 * 9 + 3);
    char path[Q35T_PATH_BYTES + 32];
    struct stat st;
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(q35_model_file_bytes(model), (uint64_t)st.st_size);
    q35_model_close(model);
    snprintf(path, sizeof path, "%s//", dir);
    EXPECT_OK(q35_model_open(path, &model));
    ck_assert(q35_meta_string(q35_model_meta(model, "general.name"), &name));
    ck_assert_mem_eq(name.data, "the-model", 9);
    q35_model_close(model);
}
END_TEST

START_TEST(test_prefixes)
{
    static const char *const prefixes[][2] = {{"model.", ""},
                                              {"", ""},
                                              {"language_model.model.", "language_model."},
                                              {"model.language_model.", ""},
                                              {"model.language_model.", "model."}};
    q35t_hf_options o = q35t_hf_options_default();
    o.mistral = 1;
    q35_model *want = open_options(&o, "mistral");
    o.mistral = 0;
    o.prefix = prefixes[_i][0];
    o.head_prefix = prefixes[_i][1];
    q35_model *got = open_options(&o, "hf");
    expect_same(got, want);
    q35_model_close(got);
    q35_model_close(want);
}
END_TEST

START_TEST(test_shards)
{
    q35t_hf_options o = q35t_hf_options_default();
    o.mistral = _i;
    q35_model *one = open_options(&o, "one");
    o.shards = 3;
    o.dtype = "BF16";
    q35_model *three = open_options(&o, "three");
    expect_same(one, three);
    ck_assert_uint_eq(three->n_maps, 3);
    q35_model_close(one);
    q35_model_close(three);
}
END_TEST

START_TEST(test_vision_is_skipped)
{
    uint64_t bytes;
    q35t_hf_options o = q35t_hf_options_default();
    o.mistral = _i;
    q35_model *plain = open_options(&o, "plain");
    ck_assert_uint_eq(q35_model_n_skipped(plain, &bytes), 0);
    o.vision = 1;
    q35_model *vision = open_options(&o, "vision");
    ck_assert_uint_eq(q35_model_n_skipped(vision, &bytes), 2);
    ck_assert_uint_eq(bytes, 104);
    expect_same(plain, vision);
    q35_model_close(plain);
    q35_model_close(vision);
}
END_TEST

START_TEST(test_norms_become_f32)
{
    static const char *const dtypes[] = {"BF16", "F32"};
    q35t_hf_options o = q35t_hf_options_default();
    o.norm_dtype = dtypes[_i];
    q35_model *model = open_options(&o, "the-model");
    o.norm_dtype = dtypes[1 - _i];
    q35_model *other = open_options(&o, "other");
    const q35_tensor_info *t = q35_model_tensor(model, "output_norm.weight");
    ck_assert_uint_eq(t->dtype, Q35_DT_F32);
    ck_assert_uint_eq((uintptr_t)t->data % sizeof(float), 0);
    const float *x = t->data;
    for (int i = 0; i < 32; i++)
        ck_assert(x[i] >= 1 && x[i] <= 1.25f);
    expect_same(model, other);
    q35_model_close(model);
    q35_model_close(other);
}
END_TEST

/* A header of any length may stand before the data. */
START_TEST(test_misaligned_data)
{
    static const char *const dtypes[] = {"BF16", "F32", "F8_E4M3"};
    q35t_hf_options o = q35t_hf_options_default();
    o.dtype = dtypes[_i];
    q35_model *even = open_options(&o, "even");
    o.odd_header = 1;
    q35_model *odd = open_options(&o, "odd");
    ck_assert_uint_eq(q35i_model_tensor(odd, (q35_string){"token_embd.weight", 17})->offset % 2, 1);
    for (uint64_t i = 0; i < q35_model_n_tensors(odd); i++) {
        const q35_tensor_info *t = q35_model_tensor_at(odd, i);
        ck_assert_msg((uintptr_t)t->data % (t->dtype == Q35_DT_F32 ? 4 : 2) == 0, "%s", t->name);
    }
    expect_same(even, odd);
    q35_model_close(even);
    q35_model_close(odd);
}
END_TEST

static bool has_output(const q35t_hf_options *o)
{
    q35_model_config config;
    q35_model *model = open_options(o, "the-model");
    EXPECT_OK(q35_model_read_config(model, &config));
    bool there = q35_model_tensor(model, "output.weight") != NULL;
    ck_assert_int_eq(config.tied_head, !there);
    q35_model_close(model);
    return there;
}

START_TEST(test_tied)
{
    q35t_hf_options o = q35t_hf_options_default();
    o.mistral = _i;
    ck_assert(has_output(&o));
    o.config = _i ? "\"tied_embeddings\":null" : "\"tie_word_embeddings\":null";
    ck_assert(has_output(&o));
    o.config = _i ? "\"tied_embeddings\":true" : "\"tie_word_embeddings\":true";
    ck_assert(has_output(&o)); /* it differs from the embedding: used */
    o.repeat_head = 1;
    ck_assert(!has_output(&o));
    o.config = NULL;
    ck_assert(has_output(&o));
    o.tied = 1;
    ck_assert(!has_output(&o));
    o.repeat_head = 0;
    ck_assert(!has_output(&o));
    o.config = _i ? "\"tied_embeddings\":null" : "\"tie_word_embeddings\":null";
    ck_assert(!has_output(&o));
}
END_TEST

START_TEST(test_llama3_divisors)
{
    q35t_hf_options o = q35t_hf_options_default();
    o.config = "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
               "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":64}";
    q35_model *model = open_options(&o, "the-model");
    const q35_tensor_info *t = q35_model_tensor(model, "rope_freqs.weight");
    ck_assert_ptr_nonnull(t);
    ck_assert_int_eq(t->dim[0], 8);
    const float *x = t->data;
    ck_assert(x[0] == 1);
    ck_assert(x[7] == 8);
    q35_model_config config;
    EXPECT_OK(q35_model_read_config(model, &config));
    q35_model_close(model);
}
END_TEST

START_TEST(test_ignored_tensors)
{
    static const char *const names[][2] = {{"model.layers.0.self_attn.rotary_emb.inv_freq", ""},
                                           {"model.layers.0.mlp.up_proj.activation_scale", ""},
                                           {"", "layers.0.attention.wq.fake_quantizer.weight"},
                                           {"", "rope.freqs"}};
    q35t_hf_options o = q35t_hf_options_default();
    o.mistral = names[_i][0][0] == '\0';
    o.add = names[_i][o.mistral];
    o.add_dtype = "F32";
    o.add_rank = 1;
    o.add_shape[0] = 3;
    q35_model *model = open_options(&o, "the-model");
    ck_assert_uint_eq(q35_model_n_tensors(model), 2 * 9 + 3);
    q35_model_close(model);
}
END_TEST

/* Mistral's releases hold the model twice: one of them is taken. */
START_TEST(test_both_layouts)
{
    q35_model *model;
    q35t_hf_options o = q35t_hf_options_default();
    o.mistral = 1;
    q35t_hf_write(dir, &o);
    o.mistral = 0;
    q35t_hf_write(dir, &o);
    EXPECT_OK(q35_model_open(dir, &model));
    ck_assert_str_eq(q35_model_format(model), "Hugging Face directory");
    ck_assert_uint_eq(model->n_maps, 1);
    q35_model_close(model);
}
END_TEST

START_TEST(test_out_of_memory)
{
    q35t_hf_options o = q35t_hf_options_default();
    o.layers = 1;
    o.mistral = _i == 1;
    o.shards = _i == 2 ? 3 : 1;
    o.odd_header = _i == 2;
    if (_i == 0)
        o.config = "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
                   "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":64}";
    q35t_hf_write(dir, &o);
    q35t_alloc_sweep sweep = {.limit = 5000};
    while (q35t_alloc_sweep_next(&sweep)) {
        q35_model *model;
        q35t_alloc_sweep_end(&sweep, q35_model_open(dir, &model));
        q35_model_close(model);
    }
}
END_TEST

#define LOOP(tc, test, n) tcase_add_loop_test(tc, test, 0, (int)(n))

int main(void)
{
    Suite *suite = suite_create("hf_open");
    TCase *tc = tcase_create("directories");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    LOOP(tc, test_layouts_agree, 3);
    tcase_add_test(tc, test_row_order);
    tcase_add_test(tc, test_fp8);
    tcase_add_test(tc, test_metadata);
    LOOP(tc, test_prefixes, 5);
    LOOP(tc, test_shards, 2);
    LOOP(tc, test_vision_is_skipped, 2);
    LOOP(tc, test_norms_become_f32, 2);
    LOOP(tc, test_misaligned_data, 3);
    LOOP(tc, test_tied, 2);
    tcase_add_test(tc, test_llama3_divisors);
    LOOP(tc, test_ignored_tensors, 4);
    tcase_add_test(tc, test_both_layouts);
    LOOP(tc, test_out_of_memory, 3);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
