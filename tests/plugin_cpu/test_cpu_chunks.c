/* SPDX-License-Identifier: Apache-2.0
 *
 * Chunks of a linear's rows: every row once whoever asks in whatever order, one's own first, and a worker that
 * comes late or not at all finds its share done. */
#include "plugins/cpu/cpu.h"
#include "support/rng.h"
#include "support/suite.h"

#include <pthread.h>

enum { WORKERS = 4, LINEARS = 3, ROWS = 5000 };

static q35i_cpu_cursor cursors[WORKERS * LINEARS];
static q35i_cpu_step steps[LINEARS];
static q35_plan plan;
static atomic_int seen[ROWS];

static void make(int64_t n)
{
    plan = (q35_plan){.cursors = cursors, .n_cursors = LINEARS, .run = 1};
    for (uint32_t i = 0; i < WORKERS * LINEARS; i++)
        atomic_init(&cursors[i], 0);
    for (uint32_t i = 0; i < LINEARS; i++)
        steps[i] = (q35i_cpu_step){
            .op = Q35_OP_LINEAR, .cursor = i, .weights = {.n = n, .layout = Q35K_LAYOUT_ROW16, .rs = 16 * 1792}};
}

/* One chunk for the worker; 0: none was left. */
static int step_of(uint32_t worker, uint32_t linear)
{
    int64_t begin, end;
    if (!q35i_cpu_next_chunk(&plan, &steps[linear], worker, WORKERS, &begin, &end))
        return 0;
    ck_assert_int_eq(begin % 16, 0);
    ck_assert_int_lt(begin, end);
    for (int64_t r = begin; r < end; r++)
        atomic_fetch_add(&seen[r], 1);
    return 1;
}

static void expect_all(int64_t n, int times)
{
    for (int64_t r = 0; r < ROWS; r++) {
        ck_assert_int_eq(atomic_load(&seen[r]), r < n ? times : 0);
        atomic_store(&seen[r], 0);
    }
}

START_TEST(each_row_once)
{
    static const int64_t sizes[] = {0, 1, 16, 17, 64, 576, 4096, ROWS};
    q35t_rng rng = q35t_rng_seed(3);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        make(sizes[i]);
        for (plan.run = 1; plan.run < 4; plan.run++)
            for (uint32_t l = 0; l < LINEARS; l++) {
                for (int left = WORKERS * 40; left > 0; left--)
                    (void)step_of((uint32_t)q35t_rng_below(&rng, WORKERS), l);
                for (uint32_t w = 0; w < WORKERS; w++)
                    ck_assert_int_eq(step_of(w, l), 0);
                expect_all(sizes[i], 1);
            }
    }
}
END_TEST

START_TEST(own_share_first)
{
    int64_t begin, end, from, to;
    make(4096);
    for (uint32_t w = 0; w < WORKERS; w++) {
        q35i_cpu_split(4096, 16, w, WORKERS, &from, &to);
        ck_assert(q35i_cpu_next_chunk(&plan, &steps[0], w, WORKERS, &begin, &end));
        ck_assert_int_eq(begin, from);
        ck_assert_int_lt(end, to); /* there is something to take over */
    }
}
END_TEST

/* The last chunks of a share are small, so that nobody waits long for the worker that has one. */
START_TEST(chunks_shrink)
{
    int64_t begin, end, from, to, before = INT64_MAX;
    make(4096);
    q35i_cpu_split(4096, 16, 2, WORKERS, &from, &to);
    for (int64_t at = from; at < to; at = end) {
        ck_assert(q35i_cpu_next_chunk(&plan, &steps[0], 2, WORKERS, &begin, &end));
        ck_assert_int_eq(begin, at);
        ck_assert_int_le(end - begin, before);
        before = end - begin;
    }
    ck_assert_int_le(before, (to - from) / 16);
}
END_TEST

/* A worker alone does all of one step while another has not left the one before. */
START_TEST(others_are_not_needed)
{
    make(4096);
    ck_assert_int_eq(step_of(1, 0), 1);
    while (step_of(0, 0)) {
    }
    while (step_of(0, 1)) {
    }
    expect_all(4096, 2);
    ck_assert_int_eq(step_of(1, 0), 0);
    ck_assert_int_eq(step_of(1, 1), 0);
}
END_TEST

static void *race(void *arg)
{
    uint32_t worker = *(const uint32_t *)arg;
    for (uint32_t l = 0; l < LINEARS; l++)
        while (step_of(worker, l)) {
        }
    return NULL;
}

START_TEST(threads)
{
    make(ROWS);
    for (plan.run = 1; plan.run <= 50; plan.run++) {
        pthread_t thread[WORKERS];
        uint32_t number[WORKERS];
        for (uint32_t w = 0; w < WORKERS; w++) {
            number[w] = w;
            ck_assert_int_eq(pthread_create(&thread[w], NULL, race, &number[w]), 0);
        }
        for (uint32_t w = 0; w < WORKERS; w++)
            ck_assert_int_eq(pthread_join(thread[w], NULL), 0);
        expect_all(ROWS, LINEARS);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("plugin_cpu_chunks");
    TCase *t = tcase_create("chunks");
    tcase_add_test(t, each_row_once);
    tcase_add_test(t, own_share_first);
    tcase_add_test(t, chunks_shrink);
    tcase_add_test(t, others_are_not_needed);
    tcase_add_test(t, threads);
    suite_add_tcase(s, t);
    return q35t_run(s);
}
