/* SPDX-License-Identifier: Apache-2.0
 *
 * Several sequences in one session, on the tiny model: whatever is made, forked, cut short, freed and run
 * together, the logits of a sequence have the bits that its tokens give alone; what does not fit changes nothing.
 */
#include "support/cpu_runtime.h"
#include "support/expect.h"
#include "support/suite.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <q35rt/session.h>
#include <string.h>
#include <unistd.h>

enum { CTX = 100, SEQUENCES = 5, KV_TOKENS = 8 * 32, CHUNK = 48, STEPS = 120 };

static char model_path[Q35T_PATH_BYTES];
static q35_model *model;
static uint32_t n_vocab, random_state;

static void setup(void)
{
    q35t_tiny_options options = q35t_tiny_options_default();
    q35_model_config config;
    q35t_temp_path(model_path, "model.gguf");
    EXPECT_OK(q35t_tiny_model_write(model_path, &options));
    EXPECT_OK(q35_model_open(model_path, &model));
    EXPECT_OK(q35_model_read_config(model, &config));
    n_vocab = config.vocab;
    random_state = 1;
}

static void teardown(void)
{
    q35_model_close(model);
    unlink(model_path);
}

static uint32_t below(uint32_t n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)random_state * n >> 32);
}

static q35_session *session_with(q35_runtime *runtime, const char *devices, uint32_t n_kv_tokens)
{
    q35_session_options o = q35_session_options_default();
    q35_session *session;
    o.devices = devices;
    o.n_ctx = CTX;
    o.max_chunk = CHUNK;
    o.n_sequences = SEQUENCES;
    o.n_kv_tokens = n_kv_tokens;
    EXPECT_OK(q35_session_create(runtime, model, &o, &session));
    return session;
}

/* ------------------------------------------------------------------ random company */

/* A sequence as it should be. */
typedef struct mirror {
    int32_t ids[CTX];
    uint32_t n;
    int live;
} mirror;

typedef struct world {
    q35_session *session, *alone; /* under test; evaluates one sequence from scratch */
    mirror sequences[SEQUENCES];
} world;

static void expect_lengths(const world *w)
{
    for (uint32_t s = 0; s < SEQUENCES; s++)
        ck_assert_uint_eq(q35_session_length(w->session, s), w->sequences[s].live ? w->sequences[s].n : 0);
}

static void expect_logits(const world *w, const mirror *m, const float *row)
{
    const float *want;
    EXPECT_OK(q35_session_rewind(w->alone, 0));
    EXPECT_OK(q35_session_eval(w->alone, m->ids, m->n, &want));
    ck_assert_mem_eq(row, want, n_vocab * sizeof *row);
}

static void make_or_fork(world *w)
{
    uint32_t made, from = below(SEQUENCES), n_live = 0;
    for (uint32_t s = 0; s < SEQUENCES; s++)
        n_live += w->sequences[s].live ? 1 : 0;
    const int forks = w->sequences[from].live && below(3) > 0;
    q35_status status = forks ? q35_session_fork(w->session, from, &made) : q35_session_new(w->session, &made);
    if (n_live == SEQUENCES) {
        ck_assert_uint_eq(status, Q35_E_NOFIT);
        EXPECT_ERROR("sequences: 5 in use and 1 to add, at most 5");
        return;
    }
    EXPECT_OK(status);
    ck_assert(made < SEQUENCES && !w->sequences[made].live);
    if (forks)
        w->sequences[made] = w->sequences[from];
    else
        w->sequences[made] = (mirror){.live = 1};
}

static void cut_or_free(world *w)
{
    uint32_t s = below(SEQUENCES);
    mirror *m = &w->sequences[s];
    if (!m->live)
        return;
    if (s > 0 && below(2) == 0) {
        EXPECT_OK(q35_session_free(w->session, s));
        m->live = 0;
        return;
    }
    m->n -= below(m->n + 1);
    EXPECT_OK(q35_session_truncate(w->session, s, m->n));
}

/* Some of the sequences go on. 0: they do not fit. */
static int go_on(world *w)
{
    q35_session_entry entries[SEQUENCES];
    mirror after[SEQUENCES];
    uint32_t n = 0, row = 0;
    const float *logits;
    for (uint32_t s = 0; s < SEQUENCES; s++) {
        mirror m = w->sequences[s];
        uint32_t more = below(3) == 0 ? 1 + below(9) : 1;
        if (!m.live || m.n + more > CTX || below(4) == 0)
            continue;
        for (uint32_t i = 0; i < more; i++)
            m.ids[m.n + i] = (int32_t)below(n_vocab);
        after[n] = m;
        entries[n] = (q35_session_entry){.sequence = s, .n = more, .logits = below(3) > 0};
        n++;
    }
    for (uint32_t i = 0; i < n; i++)
        entries[i].ids = after[i].ids + after[i].n;
    if (n == 0)
        return 1;
    q35_status status = q35_session_step(w->session, entries, n, &logits);
    if (status == Q35_E_NOFIT) {
        EXPECT_ERROR("of 8 pages of 32 tokens are free");
        return 0;
    }
    EXPECT_OK(status);
    for (uint32_t i = 0; i < n; i++) {
        after[i].n += entries[i].n;
        w->sequences[entries[i].sequence] = after[i];
        if (entries[i].logits)
            expect_logits(w, &after[i], logits + (size_t)row++ * n_vocab);
    }
    return 1;
}

static const struct {
    const char *devices;
    uint32_t threads;
} places[] = {{"cpu", 1}, {"cpu", 3}, {"async1,template,cpu", 2}};

START_TEST(company_changes_no_bit)
{
    q35_runtime *runtime = q35t_three_devices(places[_i].threads);
    world w = {.session = session_with(runtime, places[_i].devices, KV_TOKENS),
               .alone = session_with(runtime, places[_i].devices, 0),
               .sequences[0].live = 1};
    int fits = 1, refused = 0;
    for (int step = 0; step < STEPS; step++) {
        uint32_t what = below(8);
        if (what < 2)
            make_or_fork(&w);
        else if (what == 2 || !fits)
            cut_or_free(&w);
        fits = go_on(&w);
        refused += !fits;
        expect_lengths(&w);
    }
    ck_assert_int_gt(refused, 0);
    q35_session_destroy(w.session);
    q35_session_destroy(w.alone);
    q35_runtime_destroy(runtime);
}
END_TEST

/* ------------------------------------------------------------------ pages */

static void append(q35_session *session, uint32_t sequence, uint32_t n)
{
    int32_t ids[CHUNK];
    for (uint32_t i = 0; i < n; i++)
        ids[i] = (int32_t)below(n_vocab);
    const q35_session_entry e = {.sequence = sequence, .ids = ids, .n = n};
    EXPECT_OK(q35_session_step(session, &e, 1, NULL));
}

static void expect_no_room(q35_session *session, uint32_t sequence, uint32_t n, const char *text)
{
    const int32_t ids[CHUNK] = {0};
    const q35_session_entry e = {.sequence = sequence, .ids = ids, .n = n};
    EXPECT_FAILURE(q35_session_step(session, &e, 1, NULL), Q35_E_NOFIT, text);
}

/* Three pages. */
START_TEST(forks_share_pages)
{
    q35_runtime *runtime = q35t_three_devices(1);
    q35_session *session = session_with(runtime, "cpu", 80);
    uint32_t a, b;
    append(session, 0, 40);
    append(session, 0, 30);
    EXPECT_OK(q35_session_fork(session, 0, &a)); /* no page is free, and none is needed */
    EXPECT_OK(q35_session_fork(session, a, &b));
    ck_assert_uint_eq(q35_session_length(session, b), 70);
    expect_no_room(session, a, 1,
                   "KV cache: 1 tokens to add to 1 sequence, 0 of 3 pages of 32 tokens are free: at most 0 more");
    EXPECT_OK(q35_session_truncate(session, b, 64)); /* the last page is of 0 and a still */
    expect_no_room(session, a, 1, "at most 0 more tokens fit");
    EXPECT_OK(q35_session_truncate(session, 0, 10)); /* of a alone */
    append(session, a, 26);
    expect_no_room(session, b, 1, "0 of 3 pages");
    EXPECT_OK(q35_session_free(session, a));
    expect_no_room(session, 0, 33,
                   "KV cache: 33 tokens to add to 1 sequence, 1 of 3 pages of 32 tokens are free: at "
                   "most 22 more tokens fit"); /* 32 of a copy, less the 10 in use */
    append(session, 0, 22);
    expect_no_room(session, b, 1, "0 of 3 pages");
    EXPECT_OK(q35_session_rewind(session, 0));
    append(session, b, 32);
    q35_session_destroy(session);
    q35_runtime_destroy(runtime);
}
END_TEST

START_TEST(wrong_steps_are_refused)
{
    const int32_t ids[CTX + 1] = {0}, wrong = -1;
    q35_runtime *runtime = q35t_three_devices(1);
    q35_session *session = session_with(runtime, "cpu", KV_TOKENS);
    uint32_t a;
    EXPECT_OK(q35_session_new(session, &a));
    ck_assert_uint_eq(a, 1);
    q35_session_entry e[SEQUENCES + 1] = {{.sequence = 0, .ids = ids, .n = 3},
                                          {.sequence = 1, .ids = ids, .n = 3}};
    EXPECT_FAILURE(q35_session_step(session, e, 0, NULL), Q35_E_INVALID, "step: 0 entries, need 1 to 5");
    EXPECT_FAILURE(q35_session_step(session, e, SEQUENCES + 1, NULL), Q35_E_INVALID, "step: 6 entries");
    e[1].sequence = 0;
    EXPECT_FAILURE(q35_session_step(session, e, 2, NULL), Q35_E_INVALID, "entries 0 and 1 are both of sequence 0");
    e[1].sequence = 2;
    EXPECT_FAILURE(q35_session_step(session, e, 2, NULL), Q35_E_INVALID, "sequence 2: not there");
    e[1].sequence = UINT32_MAX;
    EXPECT_FAILURE(q35_session_step(session, e, 2, NULL), Q35_E_INVALID, "not there");
    e[1] = (q35_session_entry){.sequence = 1, .ids = ids, .n = CHUNK - 2};
    EXPECT_FAILURE(q35_session_step(session, e, 2, NULL), Q35_E_INVALID, "step: 49 tokens, at most 48");
    e[1].n = CTX + 1;
    EXPECT_FAILURE(q35_session_step(session, e, 2, NULL), Q35_E_NOFIT,
                   "context: 0 tokens in use and 101 to add, holds 100");
    e[1] = (q35_session_entry){.sequence = 1, .ids = &wrong, .n = 1};
    EXPECT_FAILURE(q35_session_step(session, e, 2, NULL), Q35_E_RANGE, "token 0: id -1");
    ck_assert_uint_eq(q35_session_length(session, 0), 0);
    EXPECT_FAILURE(q35_session_free(session, 0), Q35_E_INVALID, "sequence 0: cannot be freed");
    EXPECT_FAILURE(q35_session_free(session, 3), Q35_E_INVALID, "sequence 3: not there");
    EXPECT_FAILURE(q35_session_fork(session, 3, &a), Q35_E_INVALID, "sequence 3: not there");
    EXPECT_FAILURE(q35_session_truncate(session, 1, 1), Q35_E_RANGE, "rewind: to position 1, at 0");
    ck_assert_uint_eq(q35_session_length(session, 77), 0);
    q35_session_destroy(session);
    q35_runtime_destroy(runtime);
}
END_TEST

/* More tokens of one sequence than a step takes, and than are left. */
START_TEST(eval_shares_the_pages)
{
    int32_t ids[CTX];
    const float *logits;
    q35_runtime *runtime = q35t_three_devices(2);
    q35_session *session = session_with(runtime, "cpu", 5 * 32);
    uint32_t a;
    for (uint32_t i = 0; i < CTX; i++)
        ids[i] = (int32_t)below(n_vocab);
    EXPECT_OK(q35_session_new(session, &a));
    append(session, a, 33);
    EXPECT_FAILURE(
        q35_session_eval(session, ids, 97, &logits), Q35_E_NOFIT,
        "KV cache: 97 tokens to add to 1 sequence, 3 of 5 pages of 32 tokens are free: at most 96 more");
    ck_assert_uint_eq(q35_session_pos(session), 0);
    EXPECT_OK(q35_session_eval(session, ids, 96, &logits));
    EXPECT_OK(q35_session_free(session, a));
    EXPECT_OK(q35_session_eval(session, ids + 96, 1, NULL));
    ck_assert_uint_eq(q35_session_pos(session), 97);
    q35_session_destroy(session);
    q35_runtime_destroy(runtime);
}
END_TEST

int main(void)
{
    q35t_temp_dir_create();
    Suite *suite = suite_create("sequences");
    TCase *tc = tcase_create("sequences");
    tcase_set_timeout(tc, 240);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, company_changes_no_bit, 0, sizeof places / sizeof places[0]);
    tcase_add_test(tc, forks_share_pages);
    tcase_add_test(tc, wrong_steps_are_refused);
    tcase_add_test(tc, eval_shares_the_pages);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
