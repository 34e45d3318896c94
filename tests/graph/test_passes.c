/* SPDX-License-Identifier: Apache-2.0
 *
 * Passes on small hand-made graphs with devices that only answer. */
#include "fake_device.h"
#include "graph/plan.h"
#include "support/expect.h"
#include "support/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BIT(op) (1u << Q35_OP_##op)
#define ALL_OPS 0xffffffffu

static q35i_graph graph;
static uint32_t ids, table, weight, h;

static uint32_t one(uint32_t op, const q35i_params *params, uint32_t n, const uint32_t *in, const char *name)
{
    uint32_t node = q35i_graph_node(&graph, op, params, n, in, name);
    EXPECT_OK(graph.status);
    return graph.nodes[node].n_out ? graph.nodes[node].out[0] : Q35_NONE;
}

static uint32_t norm(uint32_t x, const char *name)
{
    const q35i_params p = {.norm = {.h = {sizeof p.norm, Q35_STRUCT_NORM_PARAMS, NULL}, .eps = 1e-5f}};
    const uint32_t in[2] = {x, weight};
    return one(Q35_OP_RMS_NORM, &p, 2, in, name);
}

static uint32_t two(uint32_t op, uint32_t a, uint32_t b, const char *name)
{
    const uint32_t in[2] = {a, b};
    return one(op, NULL, 2, in, name);
}

/* embedding; n = norm; s = silu(n); m = s * n; r = add(h, m); logits = norm(r) */
static void setup(void)
{
    static const float data[64 * 10];
    const int64_t k = 64, t = 4, n_step = 8;
    q35i_graph_init(&graph);
    graph.step = q35i_graph_tensor(&graph, Q35_ROLE_STEP, q35i_desc(Q35_DT_I32, 1, &n_step, 0), NULL, "step");
    ids = graph.ids =
        q35i_graph_tensor(&graph, Q35_ROLE_INPUT, q35i_desc(Q35_DT_I32, 1, &t, Q35_TF_TOKEN_ROWS), NULL, "ids");
    table = q35i_graph_tensor(&graph, Q35_ROLE_WEIGHT, q35i_desc2(Q35_DT_F32, k, 10, 0), data, "table");
    weight = q35i_graph_tensor(&graph, Q35_ROLE_WEIGHT, q35i_desc(Q35_DT_F32, 1, &k, 0), data, "w");
    h = two(Q35_OP_GET_ROWS, ids, table, "embedding");
    uint32_t n = norm(h, "norm");
    uint32_t s = one(Q35_OP_SILU, NULL, 1, &n, "silu");
    uint32_t m = two(Q35_OP_MUL, s, n, "mul");
    uint32_t r = two(Q35_OP_ADD, h, m, "residual");
    graph.logits = norm(r, "logits");
    graph.tensors[graph.logits].role = Q35_ROLE_OUTPUT;
    EXPECT_OK(q35i_graph_verify(&graph));
}

static void teardown(void)
{
    q35i_graph_free(&graph);
}

static q35i_devices devices_of(fake_device *fakes, q35i_device **list, uint32_t n, int by_preference)
{
    for (uint32_t i = 0; i < n; i++)
        list[i] = &fakes[i].device;
    return (q35i_devices){.device = list, .n = n, .by_preference = by_preference};
}

START_TEST(shape_rules_name_the_node)
{
    const int64_t short_k = 32;
    uint32_t wrong =
        q35i_graph_tensor(&graph, Q35_ROLE_WEIGHT, q35i_desc(Q35_DT_F32, 1, &short_k, 0), "x", "short");
    const q35i_params p = {.norm = {.h = {sizeof p.norm, Q35_STRUCT_NORM_PARAMS, NULL}, .eps = 1e-5f}};
    const uint32_t in[2] = {h, wrong};
    ck_assert_uint_eq(q35i_graph_node(&graph, Q35_OP_RMS_NORM, &p, 2, in, "bad_norm"), Q35_NONE);
    ck_assert_uint_eq(graph.status, Q35_E_INVALID);
    ck_assert_str_eq(q35_error_message(), "node bad_norm (rms_norm): weight length is 32, need 64");
}
END_TEST

START_TEST(verify_sees_use_before_production)
{
    graph.nodes[1].in[0] = graph.nodes[3].out[0];
    ck_assert_uint_eq(q35i_graph_verify(&graph), Q35_E_INVALID);
    ck_assert_str_eq(q35_error_message(), "node norm: input mul is not produced before it");
}
END_TEST

START_TEST(fuse_joins_both_patterns)
{
    fake_device fake;
    q35i_device *list[1];
    fake_device_init(&fake, "a", ALL_OPS, 10, 1);
    q35i_devices devices = devices_of(&fake, list, 1, 1);
    ck_assert_uint_eq(q35i_pass_fuse(&graph, &devices), Q35_OK);
    ck_assert_uint_eq(graph.n_nodes, 4);
    ck_assert_uint_eq(graph.nodes[2].op, Q35_OP_SWIGLU);
    ck_assert_uint_eq(graph.nodes[3].op, Q35_OP_ADD_RMS_NORM);
    ck_assert_uint_eq(graph.nodes[3].out[1], graph.logits);
}
END_TEST

START_TEST(fuse_keeps_parts_the_preferred_device_can_do)
{
    fake_device fakes[2];
    q35i_device *list[2];
    fake_device_init(&fakes[0], "parts", BIT(ADD) | BIT(RMS_NORM) | BIT(SWIGLU) | BIT(SILU) | BIT(MUL), 10, 1);
    fake_device_init(&fakes[1], "all", ALL_OPS, 10, 1);
    q35i_devices devices = devices_of(fakes, list, 2, 1);
    ck_assert_uint_eq(q35i_pass_fuse(&graph, &devices), Q35_OK);
    ck_assert_uint_eq(graph.n_nodes, 5);
    ck_assert_uint_eq(graph.nodes[2].op, Q35_OP_SWIGLU);
    ck_assert_uint_eq(graph.nodes[3].op, Q35_OP_ADD);
}
END_TEST

START_TEST(place_shares_layers_among_able_devices)
{
    fake_device fakes[2];
    q35i_device *list[2];
    q35i_placement placement;
    fake_device_init(&fakes[0], "a", ALL_OPS, 10, 1);
    fake_device_init(&fakes[1], "b", ALL_OPS, 10, 1);
    q35i_devices devices = devices_of(fakes, list, 2, 1);
    for (uint32_t n = 0; n + 1 < graph.n_nodes; n++)
        snprintf(graph.nodes[n].name, sizeof graph.nodes[n].name, "blk.%u.x", n / 2);
    const uint32_t n_layers = (graph.n_nodes - 2) / 2 + 1;
    ck_assert_uint_eq(q35i_pass_place(&graph, &devices, &placement), Q35_OK);
    for (uint32_t n = 0; n < graph.n_nodes; n++)
        ck_assert_uint_eq(placement.device[n], n + 1 < graph.n_nodes ? n / 2 * 2 / n_layers : 1);
    q35i_placement_free(&placement);
    fakes[1].ops &= ~BIT(MUL);
    ck_assert_uint_eq(q35i_pass_place(&graph, &devices, &placement), Q35_OK);
    for (uint32_t n = 0; n < graph.n_nodes; n++)
        ck_assert_uint_eq(placement.device[n], 0);
    q35i_placement_free(&placement);
}
END_TEST

START_TEST(place_prefers_and_falls_back_with_reason)
{
    fake_device fakes[2];
    q35i_device *list[2];
    q35i_placement p;
    fake_device_init(&fakes[0], "few", BIT(RMS_NORM), 1000000, 1);
    fake_device_init(&fakes[1], "all", ALL_OPS, 10, 1);
    q35i_devices devices = devices_of(fakes, list, 2, 1);
    ck_assert_uint_eq(q35i_pass_place(&graph, &devices, &p), Q35_OK);
    for (uint32_t n = 0; n < graph.n_nodes; n++)
        ck_assert_uint_eq(p.device[n], graph.nodes[n].op == Q35_OP_RMS_NORM ? 0 : 1);
    ck_assert_str_eq(p.answers[0].reason, "op 1 is not in my list");
    q35i_placement_free(&p);
}
END_TEST

START_TEST(place_by_cost_counts_transfers)
{
    fake_device fakes[2];
    q35i_device *list[2];
    q35i_placement p;
    fake_device_init(&fakes[0], "far", ALL_OPS, 100, 0); /* a little faster, but every hop costs 10 us */
    fake_device_init(&fakes[1], "near", ALL_OPS, 150, 1);
    fakes[0].ops = BIT(SILU) | BIT(MUL);
    q35i_devices devices = devices_of(fakes, list, 2, 0);
    ck_assert_uint_eq(q35i_pass_place(&graph, &devices, &p), Q35_OK);
    for (uint32_t n = 0; n < graph.n_nodes; n++)
        ck_assert_uint_eq(p.device[n], 1);
    q35i_placement_free(&p);
    fakes[1].ns = 50000;
    ck_assert_uint_eq(q35i_pass_place(&graph, &devices, &p), Q35_OK);
    ck_assert_uint_eq(p.device[2], 0);
    ck_assert_uint_eq(p.device[3], 0);
    q35i_placement_free(&p);
}
END_TEST

START_TEST(place_names_what_nobody_can)
{
    fake_device fake;
    q35i_device *list[1];
    q35i_placement p;
    fake_device_init(&fake, "a", ALL_OPS & ~BIT(MUL), 10, 1);
    q35i_devices devices = devices_of(&fake, list, 1, 1);
    ck_assert_uint_eq(q35i_pass_place(&graph, &devices, &p), Q35_E_UNSUPPORTED);
    ck_assert_str_eq(q35_error_message(), "node mul (mul): no device can run it (a: op 11 is not in my list)");
}
END_TEST

/* Every replica of one memory that is alive together must be apart. */
static void assert_disjoint(const q35i_schedule *s)
{
    for (uint32_t i = 0; i < s->n_replicas; i++)
        for (uint32_t j = 0; j < i; j++) {
            const q35i_replica *a = &s->replicas[i], *b = &s->replicas[j];
            if (a->memory != b->memory || a->first > b->last || b->first > a->last)
                continue;
            ck_assert_msg(a->offset + a->bytes <= b->offset || b->offset + b->bytes <= a->offset,
                          "tensors %u and %u overlap", a->tensor, b->tensor);
        }
}

START_TEST(schedule_copies_between_memories)
{
    fake_device fakes[2];
    q35i_device *list[2];
    q35i_placement p;
    q35i_schedule s;
    uint32_t copies = 0, runs = 0;
    fake_device_init(&fakes[0], "far", BIT(SILU) | BIT(MUL), 10, 0);
    fake_device_init(&fakes[1], "near", ALL_OPS, 10, 1);
    q35i_devices devices = devices_of(fakes, list, 2, 1);
    ck_assert_uint_eq(q35i_pass_place(&graph, &devices, &p), Q35_OK);
    ck_assert_uint_eq(q35i_pass_schedule(&graph, &devices, &p, &s), Q35_OK);
    for (uint32_t i = 0; i < s.n_steps; i++) {
        copies += s.steps[i].kind == Q35I_STEP_COPY;
        runs += s.steps[i].kind == Q35I_STEP_RUN;
    }
    ck_assert_uint_eq(runs, 3);
    ck_assert_uint_eq(copies, 3); /* step and norm there, mul back */
    ck_assert_uint_eq(q35i_pass_liveness(&graph, &devices, &s), Q35_OK);
    ck_assert_uint_eq(q35i_pass_memory(&s), Q35_OK);
    assert_disjoint(&s);
    ck_assert(q35i_schedule_replica(&s, graph.nodes[2].out[0], 1) != NULL);
    ck_assert(q35i_schedule_replica(&s, graph.nodes[2].out[0], 0) == NULL);
    q35i_schedule_free(&s);
    q35i_placement_free(&p);
}
END_TEST

/* Between devices whose memories reach each other one copy does, without a place in host memory. */
START_TEST(schedule_copies_directly_between_peers)
{
    fake_device fakes[3];
    q35i_device *list[3];
    q35i_placement p;
    q35i_schedule s;
    uint32_t direct = 0, staged = 0;
    fake_device_init(&fakes[0], "silu", BIT(SILU), 10, 0);
    fake_device_init(&fakes[1], "mul", BIT(MUL), 10, 0);
    fake_device_init(&fakes[2], "near", ALL_OPS, 10, 1);
    q35i_devices devices = devices_of(fakes, list, 3, 1);
    const uint64_t through_host = q35i_transfer_ns(&devices, 0, 1, 1000);
    devices.peers[1] = _i == 0 ? 0 : 1u << 0; /* mul reads silu's memory; the other way is never needed */
    ck_assert(_i == 0 || q35i_transfer_ns(&devices, 0, 1, 1000) * 2 == through_host);
    ck_assert_uint_eq(q35i_transfer_ns(&devices, 1, 0, 1000), through_host);
    ck_assert_uint_eq(q35i_pass_place(&graph, &devices, &p), Q35_OK);
    ck_assert_uint_eq(q35i_pass_schedule(&graph, &devices, &p, &s), Q35_OK);
    const uint32_t silu = graph.nodes[2].out[0];
    for (uint32_t i = 0; i < s.n_steps; i++) {
        const q35i_step *step = &s.steps[i];
        if (step->kind != Q35I_STEP_COPY || step->tensor != silu)
            continue;
        direct += step->from == 1 && step->to == 2 && step->device == 1;
        staged += step->from == 0 || step->to == 0;
    }
    ck_assert_uint_eq(direct, _i == 0 ? 0 : 1);
    ck_assert_uint_eq(staged, _i == 0 ? 2 : 0);
    ck_assert_uint_eq(q35i_pass_liveness(&graph, &devices, &s), Q35_OK);
    ck_assert_uint_eq(q35i_pass_memory(&s), Q35_OK);
    assert_disjoint(&s);
    ck_assert_int_eq(q35i_schedule_replica(&s, silu, 0) == NULL, _i);
    q35i_schedule_free(&s);
    q35i_placement_free(&p);
}
END_TEST

/* A long chain of different sizes: disjoint, and close to the least possible. */
START_TEST(memory_reuses_dead_tensors)
{
    fake_device fake;
    q35i_device *list[1];
    q35i_placement p;
    q35i_schedule s;
    uint32_t x = h;
    for (int i = 0; i < 40; i++) {
        uint32_t a = one(Q35_OP_SILU, NULL, 1, &x, "a"), b = two(Q35_OP_ADD, a, x, "b");
        x = i % 3 ? b : two(Q35_OP_MUL, b, h, "c");
    }
    fake_device_init(&fake, "a", ALL_OPS, 10, 1);
    q35i_devices devices = devices_of(&fake, list, 1, 1);
    ck_assert_uint_eq(q35i_pass_place(&graph, &devices, &p), Q35_OK);
    ck_assert_uint_eq(q35i_pass_schedule(&graph, &devices, &p, &s), Q35_OK);
    ck_assert_uint_eq(s.n_steps, 1);
    ck_assert_uint_eq(q35i_pass_liveness(&graph, &devices, &s), Q35_OK);
    ck_assert_uint_eq(q35i_pass_memory(&s), Q35_OK);
    assert_disjoint(&s);
    ck_assert_uint_le(s.arena_bytes[0], s.bound_bytes[0] + s.bound_bytes[0] / 20);
    q35i_schedule_free(&s);
    q35i_placement_free(&p);
}
END_TEST

/* ------------------------------------------------------------------ rotated and quantised inputs */

static uint32_t signs_of(int64_t k)
{
    static const int8_t data[256];
    return q35i_graph_tensor(&graph, Q35_ROLE_WEIGHT, q35i_desc(Q35_DT_I8, 1, &k, 0), data, "signs");
}

static q35i_params rotate_params(uint32_t width)
{
    return (q35i_params){
        .rotate = {.h = {sizeof(q35_rotate_params), Q35_STRUCT_ROTATE_PARAMS, NULL}, .width = width}};
}

static q35i_params quantize_params(uint32_t dtype, uint32_t width)
{
    return (q35i_params){
        .quantize = {{sizeof(q35_quantize_params), Q35_STRUCT_QUANTIZE_PARAMS, NULL}, dtype, width}};
}

static uint32_t rotate(uint32_t x, uint32_t signs, const char *name)
{
    const q35i_params p = rotate_params(32);
    const uint32_t in[2] = {x, signs};
    return one(Q35_OP_ROTATE, &p, 2, in, name);
}

/* A linear of a row type over codes. */
static uint32_t row_linear(uint32_t codes, const char *name)
{
    static const float data[1024];
    const int64_t book[2] = {2, 128};
    const uint32_t in[3] = {
        codes,
        q35i_graph_tensor(&graph, Q35_ROLE_WEIGHT, q35i_desc2(Q35_DT_Q35_ROW, 64, 10, 0), data, "row weight"),
        q35i_graph_tensor(&graph, Q35_ROLE_WEIGHT, q35i_desc(Q35_DT_I8, 2, book, 0), data, "book")};
    return one(Q35_OP_LINEAR, NULL, 3, in, name);
}

START_TEST(rotation_and_codes_have_shapes)
{
    const q35i_params p = quantize_params(Q35_DT_A8_ROW, 0);
    uint32_t r = rotate(h, signs_of(64), "r");
    uint32_t q = one(Q35_OP_QUANTIZE_ACT, &p, 1, &r, "q");
    uint32_t old = one(Q35_OP_QUANTIZE_ACT, NULL, 1, &h, "old");
    uint32_t y = row_linear(q, "y");
    ck_assert_uint_eq(graph.tensors[r].desc.dtype, Q35_DT_F32);
    ck_assert_uint_eq(graph.tensors[q].desc.dtype, Q35_DT_A8_ROW);
    ck_assert_int_eq(graph.tensors[q].desc.dim[0], 64);
    ck_assert_int_eq(graph.tensors[q].desc.stride[1], 8 + 64);
    ck_assert_uint_eq(graph.tensors[old].desc.dtype, Q35_DT_A8_32);
    ck_assert_uint_eq(graph.tensors[y].desc.dtype, Q35_DT_F32);
    ck_assert_int_eq(graph.tensors[y].desc.dim[0], 10);
    EXPECT_OK(q35i_graph_verify(&graph));
}
END_TEST

/* One node that must be refused with this sentence. */
static void refuse(uint32_t op, const q35i_params *params, uint32_t n, const uint32_t *in, const char *sentence)
{
    ck_assert_uint_eq(q35i_graph_node(&graph, op, params, n, in, "bad"), Q35_NONE);
    ck_assert_uint_eq(graph.status, Q35_E_INVALID);
    ck_assert_str_eq(q35_error_message(), sentence);
    graph.status = Q35_OK;
}

START_TEST(wrong_rotations_are_refused)
{
    const uint32_t in[2] = {h, signs_of(64)}, short_in[2] = {h, signs_of(63)}, not_signs[2] = {h, weight};
    const q35i_params narrow = rotate_params(1), odd = rotate_params(48), wide = rotate_params(8192);
    const q35i_params good = rotate_params(64), no_width = quantize_params(Q35_DT_A8_ROW, 0);
    const q35i_params wrong_type = quantize_params(Q35_DT_I8, 0);
    refuse(Q35_OP_ROTATE, &narrow, 2, in, "node bad (rotate): width is 1, need a power of two from 2 to 4096");
    refuse(Q35_OP_ROTATE, &odd, 2, in, "node bad (rotate): width is 48, need a power of two from 2 to 4096");
    refuse(Q35_OP_ROTATE, &wide, 2, in, "node bad (rotate): width is 8192, need a power of two from 2 to 4096");
    refuse(Q35_OP_ROTATE, &good, 2, short_in, "node bad (rotate): number of signs is 63, need 64");
    refuse(Q35_OP_QUANTIZE_ACT, &no_width, 2, in,
           "node bad (quantize_act): width is 0, need a power of two from 2 to 4096");
    refuse(Q35_OP_QUANTIZE_ACT, &wrong_type, 1, in,
           "node bad (quantize_act): output type is I8, need A8_32, A8_128 or A8_ROW");
    ck_assert_uint_eq(q35i_graph_node(&graph, Q35_OP_ROTATE, &good, 2, not_signs, "bad"), Q35_NONE);
    ck_assert_ptr_nonnull(strstr(q35_error_message(), "type of signs"));
    graph.status = Q35_OK;
}
END_TEST

START_TEST(codes_must_fit_the_weight)
{
    static const float data[1024];
    const q35i_params by_row = quantize_params(Q35_DT_A8_ROW, 0), by_block = quantize_params(Q35_DT_A8_32, 0);
    const int64_t book[2] = {2, 128};
    uint32_t row = q35i_graph_tensor(&graph, Q35_ROLE_WEIGHT, q35i_desc2(Q35_DT_Q40_ROW, 64, 10, 0), data, "row");
    uint32_t q8 = q35i_graph_tensor(&graph, Q35_ROLE_WEIGHT, q35i_desc2(Q35_DT_Q8_0, 64, 10, 0), data, "q8");
    uint32_t small = q35i_graph_tensor(&graph, Q35_ROLE_WEIGHT, q35i_desc(Q35_DT_I8, 2, book, 0), data, "book");
    const uint32_t over_row[2] = {one(Q35_OP_QUANTIZE_ACT, &by_row, 1, &h, "a"), q8};
    const uint32_t over_block[3] = {one(Q35_OP_QUANTIZE_ACT, &by_block, 1, &h, "b"), row, small};
    refuse(Q35_OP_LINEAR, NULL, 3, over_block, "node bad (linear): codebook entries is 128, need 256");
    refuse(Q35_OP_LINEAR, NULL, 2, over_block, "node bad (linear): number of inputs is 2, need 3");
    ck_assert_uint_eq(q35i_graph_node(&graph, Q35_OP_LINEAR, NULL, 2, over_row, "bad"), Q35_NONE);
    ck_assert_uint_eq(graph.status, Q35_E_INVALID);
    graph.status = Q35_OK;
    const uint32_t sixty[2] = {
        over_block[0],
        q35i_graph_tensor(&graph, Q35_ROLE_WEIGHT, q35i_desc2(Q35_DT_Q60_ROW, 64, 10, 0), data, "six")};
    ck_assert_uint_eq(q35i_graph_node(&graph, Q35_OP_LINEAR, NULL, 2, sixty, "bad"), Q35_NONE);
    graph.status = Q35_OK;
}
END_TEST

/* Behind setup's graph: rotate, quantize_act, linear. */
static void rotated_codes(uint32_t signs, uint32_t *rotated)
{
    const q35i_params p = quantize_params(Q35_DT_A8_ROW, 0);
    *rotated = rotate(h, signs, "r");
    uint32_t q = one(Q35_OP_QUANTIZE_ACT, &p, 1, rotated, "q");
    row_linear(q, "y");
}

START_TEST(fuse_joins_rotation_and_codes)
{
    fake_device fake;
    q35i_device *list[1];
    uint32_t rotated, signs = signs_of(64), n_before;
    fake_device_init(&fake, "a", ALL_OPS, 10, 1);
    q35i_devices devices = devices_of(&fake, list, 1, 1);
    rotated_codes(signs, &rotated);
    n_before = graph.n_nodes;
    EXPECT_OK(q35i_pass_fuse(&graph, &devices));
    ck_assert_uint_eq(graph.n_nodes, n_before - 3); /* with the two of the first graph */
    const q35i_node *codes = &graph.nodes[graph.n_nodes - 2];
    ck_assert_uint_eq(codes->op, Q35_OP_QUANTIZE_ACT);
    ck_assert_uint_eq(codes->n_in, 2);
    ck_assert_uint_eq(codes->in[0], h);
    ck_assert_uint_eq(codes->in[1], signs);
    ck_assert_uint_eq(codes->params.quantize.width, 32);
    ck_assert_uint_eq(codes->params.quantize.dtype, Q35_DT_A8_ROW);
}
END_TEST

/* Not when something else reads the rotated input, when it is an output, or when it is rotated back. */
START_TEST(fuse_keeps_rotations_in_use)
{
    fake_device fake;
    q35i_device *list[1];
    uint32_t rotated, n_before;
    fake_device_init(&fake, "a", ALL_OPS, 10, 1);
    q35i_devices devices = devices_of(&fake, list, 1, 1);
    rotated_codes(signs_of(64), &rotated);
    if (_i == 0)
        one(Q35_OP_SILU, NULL, 1, &rotated, "other");
    else if (_i == 1)
        graph.tensors[rotated].role = Q35_ROLE_OUTPUT;
    else
        graph.nodes[graph.tensors[rotated].producer].params.rotate.inverse = 1;
    n_before = graph.n_nodes;
    EXPECT_OK(q35i_pass_fuse(&graph, &devices));
    ck_assert_uint_eq(graph.n_nodes, n_before - 2);
}
END_TEST

START_TEST(fuse_needs_a_device_for_the_whole)
{
    fake_device fake;
    q35i_device *list[1];
    uint32_t rotated, n_before;
    fake_device_init(&fake, "a", ALL_OPS & ~BIT(QUANTIZE_ACT), 10, 1);
    q35i_devices devices = devices_of(&fake, list, 1, 1);
    rotated_codes(signs_of(64), &rotated);
    n_before = graph.n_nodes;
    EXPECT_OK(q35i_pass_fuse(&graph, &devices));
    ck_assert_uint_eq(graph.n_nodes, n_before - 2);
}
END_TEST

static void append_text(void *user, const char *text, uint64_t len)
{
    strncat(user, text, len);
}

START_TEST(print_is_stable)
{
    char text[4096] = "";
    q35i_graph_print(&graph, append_text, text);
    ck_assert_str_eq(text, "graph: 6 nodes\n"
                           "  step   step: I32 [8]\n"
                           "  input  ids: I32 [T<=4]\n"
                           "  weight table: F32 [10][64]\n"
                           "  weight w: F32 [64]\n"
                           "  output logits: F32 [T<=4][64]\n"
                           "     0 get_rows(ids, table) -> embedding: F32 [T<=4][64]\n"
                           "     1 rms_norm(embedding, w) -> norm: F32 [T<=4][64]\n"
                           "     2 silu(norm) -> silu: F32 [T<=4][64]\n"
                           "     3 mul(silu, norm) -> mul: F32 [T<=4][64]\n"
                           "     4 add(embedding, mul) -> residual: F32 [T<=4][64]\n"
                           "     5 rms_norm(residual, w) -> logits: F32 [T<=4][64]\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("passes");
    TCase *tc = tcase_create("passes");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, shape_rules_name_the_node);
    tcase_add_test(tc, verify_sees_use_before_production);
    tcase_add_test(tc, fuse_joins_both_patterns);
    tcase_add_test(tc, fuse_keeps_parts_the_preferred_device_can_do);
    tcase_add_test(tc, place_shares_layers_among_able_devices);
    tcase_add_test(tc, place_prefers_and_falls_back_with_reason);
    tcase_add_test(tc, place_by_cost_counts_transfers);
    tcase_add_test(tc, place_names_what_nobody_can);
    tcase_add_test(tc, schedule_copies_between_memories);
    tcase_add_loop_test(tc, schedule_copies_directly_between_peers, 0, 2);
    tcase_add_test(tc, memory_reuses_dead_tensors);
    tcase_add_test(tc, rotation_and_codes_have_shapes);
    tcase_add_test(tc, wrong_rotations_are_refused);
    tcase_add_test(tc, codes_must_fit_the_weight);
    tcase_add_test(tc, fuse_joins_rotation_and_codes);
    tcase_add_loop_test(tc, fuse_keeps_rotations_in_use, 0, 3);
    tcase_add_test(tc, fuse_needs_a_device_for_the_whole);
    tcase_add_test(tc, print_is_stable);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
