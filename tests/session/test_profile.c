/* SPDX-License-Identifier: Apache-2.0
 *
 * Time per node of a session: every node of the plans that ran, counted from zero, the same logits as without. */
#include "support/cpu_runtime.h"
#include "support/expect.h"
#include "support/suite.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <q35rt/q35rt.h>
#include <stdlib.h>
#include <string.h>

static q35_runtime *runtime;
static q35_model *model;
static q35_session *session;

static void setup(void)
{
    char path[Q35T_PATH_BYTES];
    const q35t_tiny_options shape = q35t_tiny_options_default();
    q35t_temp_dir_create();
    q35t_temp_path(path, "tiny.gguf");
    EXPECT_OK(q35t_tiny_model_write(path, &shape));
    EXPECT_OK(q35_model_open(path, &model));
    runtime = q35t_cpu_runtime(2);
    EXPECT_OK(q35_session_create(runtime, model, NULL, &session));
}

static void teardown(void)
{
    q35_session_destroy(session);
    q35_runtime_destroy(runtime);
    q35_model_close(model);
    ck_assert_int_eq(q35t_temp_dir_remove(), 0);
}

typedef struct seen {
    uint64_t n, runs, ns, linears, heads;
} seen;

static void see(void *user, const q35_profile_node *node)
{
    seen *s = user;
    ck_assert(node->name[0] && node->op[0] && strcmp(node->device, "cpu") == 0);
    ck_assert((strcmp(node->op, "linear") == 0) == (node->weights > 0));
    ck_assert((node->weights > 0) == (node->weight_bytes > 0));
    s->n++;
    s->runs += node->runs;
    s->ns += node->ns;
    s->linears += node->weights > 0;
    s->heads += node->weights > 0 && node->of_outputs;
}

static float eval(int32_t id)
{
    const float *logits;
    EXPECT_OK(q35_session_eval(session, &id, 1, &logits));
    float first = logits[0];
    EXPECT_OK(q35_session_rewind(session, 0));
    return first;
}

START_TEST(test_counts)
{
    q35_profile_sum sum;
    seen none = {0}, first = {0}, again = {0};
    float expected = eval(7);
    EXPECT_FAILURE(q35_session_profile_read(session, see, &none, &sum), Q35_E_INVALID, "it is off");
    EXPECT_OK(q35_session_profile(session, 1));
    ck_assert(eval(7) == expected && eval(7) == expected);
    EXPECT_OK(q35_session_profile_read(session, see, &first, &sum));
    ck_assert(first.n > 20 && first.runs > 0 && first.linears > 8 && first.heads > 0);
    ck_assert(sum.node_ns == first.ns && sum.node_ns + sum.barrier_ns <= sum.run_ns);
    ck_assert(sum.barriers > 0 && sum.barrier_ns > 0);
    EXPECT_OK(q35_session_profile(session, 1)); /* from zero */
    ck_assert(eval(7) == expected);
    EXPECT_OK(q35_session_profile_read(session, see, &again, &sum));
    ck_assert(again.n == first.n && again.runs * 2 == first.runs);
    EXPECT_OK(q35_session_profile(session, 0));
    EXPECT_FAILURE(q35_session_profile_read(session, see, &none, &sum), Q35_E_INVALID, "it is off");
    ck_assert_uint_eq(none.n, 0);
    ck_assert(eval(7) == expected);
}
END_TEST

/* The runtime's own measurements. */
START_TEST(test_limits)
{
    q35_limit limit;
    uint32_t n = 0, quota;
    q35_status status;
    while ((status = q35_runtime_limit(runtime, 0, n, 5, &limit)) == Q35_OK) {
        ck_assert(limit.kind == Q35_LIMIT_INT8 && limit.name[0] && limit.per_second > 0);
        ck_assert(++n < 16);
    }
    ck_assert_uint_eq(status, Q35_E_RANGE);
    uint32_t cores = q35_runtime_cores(runtime, &quota);
    ck_assert(cores > 0 && quota > 0);
    ck_assert((q35_runtime_barrier_ns(runtime) > 0) == (cores >= 2 && quota >= 2));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("profile");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 60);
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, test_counts);
    tcase_add_test(all, test_limits);
    suite_add_tcase(suite, all);
    return q35t_run(suite);
}
