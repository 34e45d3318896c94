/* SPDX-License-Identifier: Apache-2.0
 *
 * Choice of candidates where the logits are: on devices with memory of their own that can, and nowhere else. */
#include "fake_device.h"
#include "graph/plan.h"
#include "support/expect.h"
#include "support/suite.h"

#include <string.h>

enum { VOCABULARY = 100, ROWS = 3 };

#define ALL_OPS 0xffffffffu

static q35i_graph graph;
static fake_device fakes[2];
static q35i_device *list[2];
static q35i_placement placement;
static q35i_schedule schedule;

/* x; logits = silu(x) */
static void setup(void)
{
    const int64_t n_step = 8;
    q35i_graph_init(&graph);
    graph.step = q35i_graph_tensor(&graph, Q35_ROLE_STEP, q35i_desc(Q35_DT_I32, 1, &n_step, 0), NULL, "step");
    const uint32_t x = q35i_graph_tensor(&graph, Q35_ROLE_INPUT,
                                         q35i_desc2(Q35_DT_F32, VOCABULARY, ROWS, Q35_TF_OUT_ROWS), NULL, "x");
    const uint32_t node = q35i_graph_node(&graph, Q35_OP_SILU, NULL, 1, &x, "logits");
    EXPECT_OK(graph.status);
    graph.logits = graph.nodes[node].out[0];
    graph.tensors[graph.logits].role = Q35_ROLE_OUTPUT;
    graph.n_candidates = 10;
    memset(&schedule, 0, sizeof schedule);
}

static void teardown(void)
{
    q35i_schedule_free(&schedule);
    q35i_placement_free(&placement);
    q35i_graph_free(&graph);
}

/* First device: these ops, host: its memory is the host's. Behind it the host's own, which can do all. */
static void place(uint32_t ops, int host)
{
    fake_device_init(&fakes[0], "first", ops, 10, host);
    fake_device_init(&fakes[1], "near", ALL_OPS, 10, 1);
    for (int i = 0; i < 2; i++)
        list[i] = &fakes[i].device;
    const q35i_devices devices = {.device = list, .n = 2, .by_preference = 1};
    EXPECT_OK(q35i_pass_place(&graph, &devices, &placement));
    EXPECT_OK(q35i_pass_select(&graph, &devices, &placement));
    EXPECT_OK(q35i_pass_schedule(&graph, &devices, &placement, &schedule));
    EXPECT_OK(q35i_pass_liveness(&graph, &devices, &schedule));
    EXPECT_OK(q35i_pass_memory(&schedule));
    EXPECT_OK(q35i_graph_verify(&graph));
}

static uint32_t copies_of(uint32_t tensor)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < schedule.n_steps; i++)
        n += schedule.steps[i].kind == Q35I_STEP_COPY && schedule.steps[i].tensor == tensor;
    return n;
}

static void expect_disjoint(const q35i_replica *a)
{
    for (uint32_t i = 0; i < schedule.n_replicas; i++) {
        const q35i_replica *b = &schedule.replicas[i];
        const int apart = a->offset + a->bytes <= b->offset || b->offset + b->bytes <= a->offset;
        if (a != b && a->memory == b->memory && a->last >= b->first && b->last >= a->first)
            ck_assert_msg(apart, "tensors %u and %u overlap", a->tensor, b->tensor);
    }
}

START_TEST(far_devices_choose)
{
    place(ALL_OPS, 0);
    ck_assert_uint_eq(graph.n_nodes, 2);
    ck_assert_uint_eq(graph.nodes[1].op, Q35_OP_TOP_K);
    ck_assert_uint_eq(placement.n_nodes, 2);
    ck_assert_uint_eq(placement.device[1], 0);
    ck_assert_int_eq(placement.answers[2].ok, 1);
    ck_assert_int_eq(graph.tensors[graph.top_values].desc.dim[0], 10);
    ck_assert_uint_eq(graph.tensors[graph.top_ids].desc.dtype, Q35_DT_I32);
    ck_assert_uint_eq(copies_of(graph.logits), 0);
    ck_assert_uint_eq(copies_of(graph.top_values), 1);
    ck_assert_uint_eq(copies_of(graph.top_ids), 1);
    /* Logits stay where they are until the next run, and have a place in host memory of their own. */
    const q35i_replica *far = q35i_schedule_replica(&schedule, graph.logits, 1),
                       *near = q35i_schedule_replica(&schedule, graph.logits, 0);
    ck_assert(far && near);
    ck_assert_uint_eq(far->last, near->last);
    ck_assert_uint_ge(far->last, q35i_schedule_replica(&schedule, graph.top_ids, 0)->last);
    expect_disjoint(far);
    expect_disjoint(near);
}
END_TEST

START_TEST(others_do_not)
{
    static const struct {
        uint32_t ops, n_candidates;
        int host;
    } cases[] = {{ALL_OPS, 10, 1},                         /* logits are in host memory */
                 {ALL_OPS & ~(1u << Q35_OP_TOP_K), 10, 0}, /* the device cannot */
                 {0, 10, 0},                               /* it has no logits */
                 {ALL_OPS, 0, 0}};                         /* nobody samples */
    graph.n_candidates = cases[_i].n_candidates;
    const uint32_t n_tensors = graph.n_tensors;
    place(cases[_i].ops, cases[_i].host);
    ck_assert_uint_eq(graph.n_nodes, 1);
    ck_assert_uint_eq(graph.n_tensors, n_tensors);
    ck_assert_uint_eq(placement.n_nodes, 1);
    ck_assert_uint_eq(graph.top_values, Q35_NONE);
    ck_assert_uint_eq(copies_of(graph.logits), placement.device[0] == 0 && !cases[_i].host ? 1 : 0);
}
END_TEST

/* For a second placement the graph is as it was. */
START_TEST(it_is_taken_back)
{
    const uint32_t n_tensors = graph.n_tensors;
    place(ALL_OPS, 0);
    q35i_unselect(&graph);
    ck_assert_uint_eq(graph.n_nodes, 1);
    ck_assert_uint_eq(graph.n_tensors, n_tensors);
    ck_assert_uint_eq(graph.top_values, Q35_NONE);
    q35i_unselect(&graph);
    ck_assert_uint_eq(graph.n_nodes, 1);
}
END_TEST

START_TEST(counts_are_checked)
{
    static const uint32_t bad[] = {0, VOCABULARY + 1};
    const q35i_params p = {.top_k = {.h = {sizeof p.top_k, Q35_STRUCT_TOP_K_PARAMS, NULL}, .k = bad[_i]}};
    q35i_graph_node(&graph, Q35_OP_TOP_K, &p, 1, &graph.logits, "candidates");
    EXPECT_FAILURE(graph.status, Q35_E_INVALID, "need 1 to 100");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("select");
    TCase *tc = tcase_create("select");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, far_devices_choose);
    tcase_add_loop_test(tc, others_do_not, 0, 4);
    tcase_add_test(tc, it_is_taken_back);
    tcase_add_loop_test(tc, counts_are_checked, 0, 2);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
