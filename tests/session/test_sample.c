/* SPDX-License-Identifier: Apache-2.0
 *
 * Sampling through a session: the tokens that all logits would give, also where a device with memory of its own
 * has them and hands out its choice. */
#include "support/alloc_sweep.h"
#include "support/cpu_runtime.h"
#include "support/expect.h"
#include "support/suite.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <q35rt/q35rt.h>
#include <string.h>

enum { STEPS = 24, SEQUENCES = 2 };

/* The second list has the logits in memory of its own. */
static const char *const lists[] = {"cpu", "async1,cpu"};

static q35_runtime *runtime;
static q35_model *model;
static q35_model_config config;

static void setup(void)
{
    char path[Q35T_PATH_BYTES];
    const q35t_tiny_options shape = q35t_tiny_options_default();
    q35t_temp_dir_create();
    q35t_temp_path(path, "tiny.gguf");
    EXPECT_OK(q35t_tiny_model_write(path, &shape));
    EXPECT_OK(q35_model_open(path, &model));
    EXPECT_OK(q35_model_read_config(model, &config));
    runtime = q35t_three_devices(2);
}

static void teardown(void)
{
    q35_runtime_destroy(runtime);
    q35_model_close(model);
    ck_assert_int_eq(q35t_temp_dir_remove(), 0);
}

static q35_session *make_session(const char *devices)
{
    q35_session *session;
    q35_session_options o = q35_session_options_default();
    o.devices = devices;
    o.n_sequences = SEQUENCES;
    EXPECT_OK(q35_session_create(runtime, model, &o, &session));
    return session;
}

static q35_sampler *make_sampler(const q35_sampler_options *options, uint32_t vocab)
{
    q35_sampler *sampler;
    EXPECT_OK(q35_sampler_create(options, vocab, &sampler));
    return sampler;
}

static void find_op(void *user, const char *text, uint64_t len)
{
    for (uint64_t i = 0; i + 5 <= len; i++)
        *(int *)user |= memcmp(text + i, "top_k", 5) == 0;
}

/* Does the plan of a single token choose on the device? */
static int chooses(q35_session *session)
{
    int found = 0;
    EXPECT_OK(q35_session_dump(session, Q35_DUMP_PLAN, 1, find_op, &found));
    return found;
}

/* Options whose candidates decide, and others: penalties, everything drawn, more than are chosen. */
static const q35_sampler_options kinds[] = {
    {.top_p = 1, .repeat_penalty = 1},
    {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1, .seed = 1},
    {.temperature = 2, .top_k = 64, .top_p = 1, .repeat_penalty = 1, .seed = 2},
    {.temperature = 1, .top_p = 1, .min_p = 0.5f, .repeat_penalty = 1, .seed = 3},
    {.temperature = 1, .top_k = 40, .top_p = 1, .repeat_penalty = 1.3f, .repeat_last = 8, .seed = 4},
    {.temperature = 1.5f, .top_p = 1, .repeat_penalty = 1, .seed = 5},
    {.temperature = 1.5f, .top_k = 65, .top_p = 0.7f, .repeat_penalty = 1, .seed = 6},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* One session hands its logits out, another samples itself, with the second of two sequences' rows. */
START_TEST(same_tokens)
{
    const char *devices = lists[_i / KINDS];
    const q35_sampler_options *o = &kinds[_i % KINDS];
    q35_session *open = make_session(devices), *closed = make_session(devices);
    q35_sampler *a = make_sampler(o, config.vocab), *b = make_sampler(o, config.vocab);
    uint32_t second[2];
    int32_t id = 7, chosen = -1;
    ck_assert_int_eq(chooses(open), strcmp(devices, "cpu") != 0);
    EXPECT_OK(q35_session_new(open, &second[0]));
    EXPECT_OK(q35_session_new(closed, &second[1]));
    for (int i = 0; i < STEPS; i++) {
        const float *logits;
        const int32_t other = i;
        q35_session_entry entries[2] = {{.ids = &other, .n = 1, .logits = 1}, {.ids = &id, .n = 1, .logits = 1}};
        entries[1].sequence = second[0];
        EXPECT_OK(q35_session_step(open, entries, 2, &logits));
        entries[1].sequence = second[1];
        EXPECT_OK(q35_session_step(closed, entries, 2, NULL));
        EXPECT_OK(q35_session_sample(closed, 1, a, &chosen));
        id = q35_sampler_sample(b, logits + config.vocab);
        ck_assert_msg(id == chosen, "%s, options %d, token %d: %d, need %d", devices, _i % KINDS, i, chosen, id);
        q35_sampler_accept(a, id);
        q35_sampler_accept(b, id);
    }
    q35_sampler_destroy(a);
    q35_sampler_destroy(b);
    q35_session_destroy(open);
    q35_session_destroy(closed);
}
END_TEST

/* Logits that were not asked for can still be had, as often as wanted. */
START_TEST(logits_on_demand)
{
    q35_session *session = make_session(lists[_i]);
    q35_sampler *all = make_sampler(&kinds[5], config.vocab), *greedy = make_sampler(&kinds[0], config.vocab);
    const q35_session_entry entry = {.ids = (const int32_t[]){3, 5, 9}, .n = 3, .logits = 1};
    const float *logits;
    int32_t best, id;
    EXPECT_OK(q35_session_step(session, &entry, 1, NULL));
    for (int i = 0; i < 3; i++)
        EXPECT_OK(q35_session_sample(session, 0, all, &id));
    EXPECT_OK(q35_session_sample(session, 0, greedy, &best));
    EXPECT_OK(q35_session_rewind(session, 0));
    EXPECT_OK(q35_session_eval(session, entry.ids, 3, &logits));
    ck_assert_int_eq(q35_sampler_sample(greedy, logits), best);
    q35_sampler_destroy(all);
    q35_sampler_destroy(greedy);
    q35_session_destroy(session);
}
END_TEST

/* Whatever decides: the library allocates nothing from the second token on. */
START_TEST(tokens_allocate_nothing)
{
    q35_session *session = make_session(lists[_i / KINDS]);
    q35_sampler *sampler = make_sampler(&kinds[_i % KINDS], config.vocab);
    int32_t id = 7;
    for (int i = 0; i < STEPS; i++) {
        const q35_session_entry entry = {.ids = &id, .n = 1, .logits = 1};
        q35i_alloc_fail_at(i < 2 ? 0 : 1);
        q35_status status = q35_session_step(session, &entry, 1, NULL);
        if (status == Q35_OK)
            status = q35_session_sample(session, 0, sampler, &id);
        q35_sampler_accept(sampler, id);
        q35i_alloc_fail_at(0);
        EXPECT_OK(status);
    }
    q35_sampler_destroy(sampler);
    q35_session_destroy(session);
}
END_TEST

START_TEST(mistakes)
{
    q35_session *session = make_session(lists[_i]);
    q35_sampler *sampler = make_sampler(&kinds[0], config.vocab),
                *other = make_sampler(&kinds[0], config.vocab - 1);
    const int32_t ids[2] = {3, -1};
    const q35_session_entry good = {.ids = ids, .n = 1, .logits = 1}, none = {.ids = ids, .n = 1};
    const q35_session_entry bad = {.ids = ids + 1, .n = 1, .logits = 1};
    int32_t id;
    EXPECT_FAILURE(q35_session_sample(session, 0, sampler, &id), Q35_E_INVALID,
                   "sample: row 0, the last step has 0");
    EXPECT_OK(q35_session_step(session, &good, 1, NULL));
    EXPECT_OK(q35_session_sample(session, 0, sampler, &id));
    EXPECT_FAILURE(q35_session_sample(session, 1, sampler, &id), Q35_E_INVALID,
                   "sample: row 1, the last step has 1");
    EXPECT_FAILURE(q35_session_sample(session, 0, other, &id), Q35_E_INVALID, "need one of the model's");
    EXPECT_OK(q35_session_step(session, &none, 1, NULL));
    EXPECT_FAILURE(q35_session_sample(session, 0, sampler, &id), Q35_E_INVALID, "the last step has 0");
    EXPECT_OK(q35_session_step(session, &good, 1, NULL));
    EXPECT_FAILURE(q35_session_step(session, &bad, 1, NULL), Q35_E_RANGE, "id -1");
    EXPECT_FAILURE(q35_session_sample(session, 0, sampler, &id), Q35_E_INVALID, "the last step has 0");
    q35_sampler_destroy(sampler);
    q35_sampler_destroy(other);
    q35_session_destroy(session);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sample");
    TCase *tc = tcase_create("sample");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, same_tokens, 0, 2 * KINDS);
    tcase_add_loop_test(tc, logits_on_demand, 0, 2);
    tcase_add_loop_test(tc, tokens_allocate_nothing, 0, 2 * KINDS);
    tcase_add_loop_test(tc, mistakes, 0, 2);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
