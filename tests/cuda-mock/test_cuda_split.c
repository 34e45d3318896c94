/* SPDX-License-Identifier: Apache-2.0
 *
 * A model whose layers two devices of the CUDA plugin share, on the mock driver: the bits of one device, and what
 * goes between them takes one copy, which does not pass through the host's memory. Through it go the inputs, the
 * logits, and where a path is broken, twice, what would take it. */
#define _GNU_SOURCE
#include "mock.h"
#include "support/cpu_runtime.h"
#include "support/suite.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <q35rt/q35rt.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS = 3, TOKENS = 5, STEPS = 4 };

static q35_runtime *runtime;
static q35_model *model;

static void setup(void)
{
    static const char *const plugins[2] = {Q35T_CPU_PLUGIN, CUDA_PLUGIN};
    char path[Q35T_PATH_BYTES];
    q35t_tiny_options shape = q35t_tiny_options_default();
    q35t_temp_dir_create();
    shape.layers = LAYERS;
    q35t_temp_path(path, "tiny.gguf");
    EXPECT_OK(q35t_tiny_model_write(path, &shape));
    q35_mock_set("devices=3");
    runtime = q35t_runtime_of(plugins, 2, 2);
    EXPECT_OK(q35_model_open(path, &model));
}

static void teardown(void)
{
    q35_model_close(model);
    q35_runtime_destroy(runtime);
    ck_assert_int_eq(q35t_temp_dir_remove(), 0);
}

/* What a prompt and some single tokens leave, and what a step of one of them costs. */
typedef struct result {
    float *logits; /* [STEPS + 1][n_vocab] */
    uint64_t floats;
    q35_mock_counts step;
} result;

static q35_mock_counts counts_now(void)
{
    q35_mock_counts counts;
    q35_mock_get(&counts);
    return counts;
}

static result run(const char *devices, const char *faults)
{
    static const int32_t ids[TOKENS + STEPS] = {40, 41, 42, 43, 44, 60, 50, 51, 70};
    q35_session_options options = q35_session_options_default();
    q35_model_config config;
    q35_session *session;
    const float *logits;
    EXPECT_OK(q35_model_read_config(model, &config));
    const uint64_t n_vocab = config.vocab;
    result r = {.logits = malloc((STEPS + 1) * n_vocab * sizeof(float)), .floats = (STEPS + 1) * n_vocab};
    ck_assert_ptr_nonnull(r.logits);
    q35_mock_set(faults);
    options.devices = devices;
    EXPECT_OK(q35_session_create(runtime, model, &options, &session));
    for (uint32_t i = 0; i <= STEPS; i++) {
        const q35_mock_counts before = counts_now();
        EXPECT_OK(q35_session_eval(session, i ? ids + TOKENS + i - 1 : ids, i ? 1 : TOKENS, &logits));
        const q35_mock_counts after = counts_now();
        memcpy(r.logits + i * n_vocab, logits, n_vocab * sizeof(float));
        r.step.peer_copies = after.peer_copies - before.peer_copies;
        r.step.staged_copies = after.staged_copies - before.staged_copies;
        r.step.transfers = after.transfers - before.transfers;
    }
    q35_session_destroy(session);
    ck_assert_uint_eq(counts_now().bytes_in_use, 0);
    ck_assert_uint_eq(counts_now().objects, 0);
    ck_assert_uint_eq(counts_now().wrong_contexts, 0);
    return r;
}

static void same_logits(const result *a, const result *b)
{
    ck_assert_uint_eq(a->floats, b->floats);
    ck_assert_mem_eq(a->logits, b->logits, a->floats * sizeof(float));
}

START_TEST(two_devices_give_the_bits_of_one)
{
    const result one = run("cuda:0", "devices=3"), two = run("cuda:0,cuda:1", "devices=3"),
                 staged = run("cuda:0,cuda:1", "devices=3,alone=1,copy_us=50"),
                 broken = run("cuda:0,cuda:1", "devices=3,peer_damage=1"),
                 three = run("cuda:2,cuda:0,cuda:1", "devices=3");
    same_logits(&one, &two);
    same_logits(&one, &staged);
    same_logits(&one, &broken);
    same_logits(&one, &three);
    ck_assert_uint_eq(one.step.peer_copies, 0);
    ck_assert_uint_gt(two.step.peer_copies, 0);
    ck_assert_uint_eq(two.step.staged_copies, 0);
    ck_assert_uint_eq(staged.step.staged_copies, two.step.peer_copies);
    ck_assert_uint_eq(staged.step.transfers, two.step.transfers);
    ck_assert_uint_eq(three.step.peer_copies, 2 * two.step.peer_copies);
    ck_assert_uint_eq(broken.step.peer_copies, 0);
    ck_assert_uint_eq(broken.step.transfers, two.step.transfers + 2 * two.step.peer_copies);
    free(one.logits);
    free(two.logits);
    free(staged.logits);
    free(broken.logits);
    free(three.logits);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cuda_split");
    TCase *tc = tcase_create("split");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, two_devices_give_the_bits_of_one);
    suite_add_tcase(s, tc);
    return q35t_run(s);
}
