/* SPDX-License-Identifier: Apache-2.0
 *
 * Broken files at large: every truncation of a small model, and 100,000 random mutations of two. Each must open or
 * end with a sentence; what opens is used to the full. Images lie in memory of exactly their size, so that a
 * sanitizer sees a read past the end; truncations also go through a real file. Memory that runs out anywhere is
 * one more way to fail. */
#define _GNU_SOURCE
#include "support/alloc_sweep.h"
#include "support/expect.h"
#include "support/q35_sample.h"
#include "support/rng.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"
#include "support/walk_model.h"

#include "runtime/model/gguf.h"
#include "support/suite.h"

#include <q35rt/blocks.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MUTATIONS 100000

typedef struct image {
    uint8_t *data;
    uint64_t bytes, head; /* head: header, metadata and tensor infos */
} image;

static image load(const char *path)
{
    q35_model *model;
    expect_ok(q35_model_open(path, &model), path);
    image i = {malloc(model->bytes), model->bytes, model->tensors[0].offset};
    ck_assert_ptr_nonnull(i.data);
    memcpy(i.data, model->data, model->bytes);
    q35t_walk_model(model);
    q35_model_close(model);
    return i;
}

/* A model of one layer with 4-bit weights: under 20 kB. */
static image load_tiny(void)
{
    char path[Q35T_PATH_BYTES];
    q35t_tiny_options o = q35t_tiny_options_default();
    o.layers = 1;
    o.hidden = 32;
    o.heads = 2;
    o.kv_heads = 1;
    o.ffn = 32;
    o.rope_freqs = 1;
    o.dtype = o.embed_dtype = Q35_DT_Q4_0;
    q35t_temp_path(path, "tiny.gguf");
    expect_ok(q35t_tiny_model_write(path, &o), "tiny model");
    return load(path);
}

static image load_sample(void)
{
    char path[Q35T_PATH_BYTES];
    q35t_sample_options o = q35t_sample_options_default();
    o.dtype[0] = Q35_DT_Q35_ROW;
    o.dtype[1] = Q35_DT_Q40_ROW;
    o.rotation_width = 64;
    q35t_temp_path(path, "sample.gguf");
    expect_ok(q35t_sample_write(path, &o), "sample");
    return load(path);
}

/* Takes the result of an open: uses the model or checks the sentence. 1: it opened. */
static int settle(q35_status status, q35_model *model)
{
    if (status == Q35_OK) {
        q35t_walk_model(model);
        q35_model_close(model);
        return 1;
    }
    ck_assert_ptr_null(model);
    ck_assert_msg(q35t_error_is_sentence(), "\"%s\" is not one line of text", q35_error_message());
    return 0;
}

static int try_memory(const void *data, uint64_t bytes)
{
    q35_model *model = NULL;
    q35_status status = q35i_model_open_image("mutation", data, bytes, &model);
    return settle(status, model);
}

/* All lengths below the last tensor's end must fail. */
static void expect_truncations_fail(image i, uint64_t data_end)
{
    for (uint64_t n = 0; n < data_end; n++) {
        uint8_t *exact = malloc(n ? n : 1);
        ck_assert_ptr_nonnull(exact);
        memcpy(exact, i.data, n);
        ck_assert_msg(!try_memory(exact, n), "%llu of %llu bytes open", (unsigned long long)n,
                      (unsigned long long)i.bytes);
        free(exact);
    }
}

static uint64_t data_end(image i)
{
    q35_model *model;
    expect_ok(q35i_model_open_image("whole", i.data, i.bytes, &model), "whole");
    q35i_tensor *t = &model->tensors[model->n_tensors - 1];
    uint64_t end = t->offset + t->info.bytes;
    q35_model_close(model);
    return end;
}

START_TEST(test_truncation)
{
    image i = _i ? load_sample() : load_tiny();
    expect_truncations_fail(i, data_end(i));
    free(i.data);
}
END_TEST

START_TEST(test_truncated_file)
{
    char path[64];
    image i = load_tiny();
    uint64_t end = data_end(i);
    int fd = memfd_create("truncated", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)(write(fd, i.data, i.bytes) == (ssize_t)i.bytes), 1);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    for (uint64_t n = i.bytes; n-- > 0;) {
        q35_model *model = NULL;
        ck_assert_int_eq(ftruncate(fd, (off_t)n), 0);
        q35_status status = q35_model_open(path, &model);
        ck_assert_int_eq(settle(status, model), n >= end);
    }
    close(fd);
    free(i.data);
}
END_TEST

/* Values that sit at the edges of the reader's arithmetic. */
static const uint64_t edges[] = {0,
                                 1,
                                 2,
                                 7,
                                 31,
                                 33,
                                 255,
                                 256,
                                 65535,
                                 65536,
                                 0x7fffffff,
                                 0x80000000,
                                 0xffffffff,
                                 UINT64_C(1) << 30,
                                 (UINT64_C(1) << 30) + 1,
                                 UINT64_C(1) << 62,
                                 UINT64_C(1) << 63,
                                 (UINT64_C(1) << 63) - 1,
                                 UINT64_MAX - 31,
                                 UINT64_MAX - 1,
                                 UINT64_MAX};

/* Changes 1 to 8 bytes, or to one edge value, mostly in the head. */
static void mutate_once(image i, q35t_rng *r)
{
    uint64_t span = q35t_rng_below(r, 8) ? i.head : i.bytes, at = q35t_rng_below(r, span), n;
    uint64_t value = q35t_rng_u64(r);
    switch (q35t_rng_below(r, 4)) {
    case 0: i.data[at] = (uint8_t)(i.data[at] ^ 1u << (value & 7)); return;
    case 1: i.data[at] = (uint8_t)value; return;
    case 2: value = edges[value % (sizeof edges / sizeof edges[0])]; break;
    default: break;
    }
    n = 1 + q35t_rng_below(r, sizeof value);
    memcpy(i.data + at, &value, n < i.bytes - at ? n : i.bytes - at);
}

START_TEST(test_mutations)
{
    image i = _i ? load_sample() : load_tiny();
    uint8_t *original = malloc(i.bytes);
    q35t_rng r = q35t_rng_seed(2026 + (uint64_t)_i);
    uint64_t opened = 0;
    ck_assert_ptr_nonnull(original);
    memcpy(original, i.data, i.bytes);
    for (int m = 0; m < MUTATIONS / 2; m++) {
        for (uint64_t changes = 1 + q35t_rng_below(&r, 3); changes > 0; changes--)
            mutate_once(i, &r);
        opened += (uint64_t)try_memory(i.data, i.bytes);
        memcpy(i.data, original, i.bytes);
    }
    /* Neither everything nor nothing opens: the mutations reach the checks and what lies behind them. */
    ck_assert_uint_gt(opened, MUTATIONS / 100);
    ck_assert_uint_lt(opened, MUTATIONS / 2 - MUTATIONS / 100);
    free(original);
    free(i.data);
}
END_TEST

/* Fails the n-th allocation and all later ones, n = 1 .. until it works: NOMEM each time, and nothing leaks. */
START_TEST(test_no_memory)
{
    char path[Q35T_PATH_BYTES];
    q35t_tiny_options o = q35t_tiny_options_default();
    image i = load_tiny();
    q35t_alloc_sweep opening = {.limit = 1000}, writing = {.limit = 1000};
    while (q35t_alloc_sweep_next(&opening)) {
        q35_model *model = NULL;
        q35t_alloc_sweep_end(&opening, q35i_model_open_image("image", i.data, i.bytes, &model));
        settle(opening.status, model);
    }
    ck_assert_uint_gt(opening.n, 3);
    q35t_temp_path(path, "no_memory.gguf");
    while (q35t_alloc_sweep_next(&writing)) {
        q35t_alloc_sweep_end(&writing, q35t_tiny_model_write(path, &o));
        ck_assert_int_eq(access(path, F_OK) == 0, writing.status == Q35_OK);
    }
    ck_assert_uint_gt(writing.n, 9);
    free(i.data);
}
END_TEST

int main(void)
{
    q35t_temp_dir_create();
    Suite *suite = suite_create("gguf_robust");
    TCase *tc = tcase_create("robust");
    tcase_set_timeout(tc, 250);
    tcase_add_loop_test(tc, test_truncation, 0, 2);
    tcase_add_test(tc, test_truncated_file);
    tcase_add_loop_test(tc, test_mutations, 0, 2);
    tcase_add_test(tc, test_no_memory);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
