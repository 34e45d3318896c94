/* SPDX-License-Identifier: Apache-2.0
 *
 * Regions with their memory: tensors end in guard bytes, outputs start blank, and closing checks that nothing was
 * written where it should not be and that the plugin freed what it allocated. */
#define _GNU_SOURCE
#include "fixture.h"

#include <check.h>
#include <stdlib.h>

enum { GUARD = 64, GUARD_BYTE = 0x5a, BLANK_BYTE = 0xa5, ROW_PAD = 12 };

void fixture_open(fixture *f, const char *isa, uint32_t n_workers)
{
    const char *key = "isa";
    *f = (fixture){.api = fixture_plugin(), .pool = {n_workers}, .random = 12345};
    q35_open_options options = {.h = {sizeof options, Q35_STRUCT_OPEN_OPTIONS, NULL},
                                .pool = n_workers ? &f->pool : NULL,
                                .n_options = isa != NULL,
                                .keys = &key,
                                .values = &isa};
    q35_status status = f->api->device_open(0, &options, &f->dev);
    ck_assert_msg(status == Q35_OK, "device_open: %s", fixture_error());
    f->region = (q35_region){.h = {sizeof f->region, Q35_STRUCT_REGION, NULL},
                             .tensors = f->tensors,
                             .roles = f->roles,
                             .nodes = f->node_list};
    int64_t dim[1] = {sizeof(q35_step) / sizeof(int32_t)};
    f->region.step = fixture_tensor(f, Q35_ROLE_STEP, Q35_DT_I32, 1, dim, 0);
    fixture_set_step(f, 0, 0, 0);
}

static void add_memory(fixture *f, uint32_t t, uint64_t bytes)
{
    ck_assert_int_eq(posix_memalign(&f->memory[t], 64, bytes + GUARD), 0);
    memset(f->memory[t], BLANK_BYTE, bytes);
    memset((char *)f->memory[t] + bytes, GUARD_BYTE, GUARD);
    f->bindings[t] = (q35_binding){.host = f->memory[t], .bytes = bytes};
}

void fixture_close(fixture *f)
{
    f->api->plan_free(f->plan);
    f->api->device_close(f->dev);
    ck_assert_uint_eq(fixture_live_allocs(), 0);
    for (uint32_t t = 0; t < f->region.n_tensors; t++) {
        const unsigned char *guard = (const unsigned char *)f->memory[t] + f->bindings[t].bytes;
        for (int i = 0; i < GUARD && f->bindings[t].host == f->memory[t]; i++)
            ck_assert_msg(guard[i] == GUARD_BYTE, "byte %d past tensor %u was written", i, t);
        free(f->memory[t]);
    }
}

uint32_t fixture_tensor(fixture *f, uint32_t role, uint32_t dtype, uint32_t rank, const int64_t *dim,
                        uint32_t flags)
{
    uint32_t t = f->region.n_tensors++;
    ck_assert_uint_lt(t, MAX_TENSORS);
    q35_tensor_desc d = {.dtype = dtype, .rank = rank, .dim = {1, 1, 1, 1}, .flags = flags};
    for (uint32_t i = 0; i < rank; i++)
        d.dim[i] = dim[i];
    d.stride[0] = q35_dtype_describe(dtype).block_bytes;
    d.stride[1] = (int64_t)q35_row_bytes(dtype, (uint64_t)d.dim[0]);
    d.stride[2] = d.stride[1] * d.dim[1];
    d.stride[3] = d.stride[2] * d.dim[2];
    f->tensors[t] = d;
    f->roles[t] = role;
    add_memory(f, t, (uint64_t)(d.stride[3] * d.dim[3]));
    return t;
}

uint32_t fixture_matrix(fixture *f, uint32_t role, int64_t cols, int64_t rows, uint32_t flags)
{
    int64_t dim[2] = {cols + ROW_PAD / (int64_t)sizeof(float), rows};
    uint32_t t = fixture_tensor(f, role, Q35_DT_F32, 2, dim, flags);
    f->tensors[t].dim[0] = cols;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++)
            *fixture_at(f, t, r, c) = fixture_random(f);
    return t;
}

uint32_t fixture_vector(fixture *f, uint32_t role, int64_t length)
{
    uint32_t t = fixture_tensor(f, role, Q35_DT_F32, 1, &length, 0);
    for (int64_t i = 0; i < length; i++)
        *fixture_at(f, t, 0, i) = fixture_random(f);
    return t;
}

uint32_t fixture_node(fixture *f, uint32_t op, const fixture_params *params, uint32_t n_in, const uint32_t *in,
                      uint32_t n_out, const uint32_t *out)
{
    uint32_t n = f->region.n_nodes++;
    ck_assert_uint_lt(n, MAX_NODES);
    memcpy(f->in[n], in, n_in * sizeof *in);
    if (n_out)
        memcpy(f->out[n], out, n_out * sizeof *out);
    if (params)
        f->params[n] = *params;
    f->nodes[n] = (q35_node){.h = {sizeof f->nodes[n], Q35_STRUCT_NODE, NULL},
                             .op = op,
                             .n_in = n_in,
                             .n_out = n_out,
                             .in = f->in[n],
                             .out = f->out[n],
                             .params = params ? &f->params[n].h : NULL};
    f->node_list[n] = &f->nodes[n];
    return n;
}

uint32_t fixture_indices(fixture *f, int64_t n, uint32_t flags, const int32_t *values)
{
    uint32_t t = fixture_tensor(f, Q35_ROLE_INPUT, Q35_DT_I32, 1, &n, flags);
    memcpy(f->memory[t], values, (size_t)n * sizeof *values);
    return t;
}

fixture_sequence fixture_one_sequence(fixture *f, int64_t capacity, int64_t n_pages)
{
    const int64_t table[2] = {n_pages, 1};
    fixture_sequence s = {
        .positions = fixture_tensor(f, Q35_ROLE_INPUT, Q35_DT_I32, 1, &capacity, Q35_TF_TOKEN_ROWS),
        .slots = fixture_tensor(f, Q35_ROLE_INPUT, Q35_DT_I32, 1, &capacity, Q35_TF_TOKEN_ROWS),
        .sequence = fixture_tensor(f, Q35_ROLE_INPUT, Q35_DT_I32, 1, &capacity, Q35_TF_TOKEN_ROWS),
        .pages = fixture_tensor(f, Q35_ROLE_INPUT, Q35_DT_I32, 2, table, Q35_TF_SEQUENCES)};
    for (int64_t p = 0; p < n_pages; p++)
        ((int32_t *)f->memory[s.pages])[p] = (int32_t)(n_pages - 1 - p);
    fixture_place(f, &s, 0);
    return s;
}

void fixture_place(const fixture *f, const fixture_sequence *s, int32_t pos)
{
    const int32_t *pages = f->memory[s->pages];
    for (int64_t t = 0; t < f->tensors[s->positions].dim[0]; t++) {
        int32_t p = pos + (int32_t)t;
        bool there = p / Q35_KV_PAGE < f->tensors[s->pages].dim[0]; /* else not a valid row, one hopes */
        ((int32_t *)f->memory[s->positions])[t] = p;
        ((int32_t *)f->memory[s->slots])[t] = there ? pages[p / Q35_KV_PAGE] * Q35_KV_PAGE + p % Q35_KV_PAGE : -1;
        ((int32_t *)f->memory[s->sequence])[t] = 0;
    }
}

void fixture_set_step(fixture *f, int32_t n_tokens, int32_t n_out, int32_t n_sequences)
{
    q35_step step = {.n_tokens = n_tokens, .n_out = n_out, .n_sequences = n_sequences};
    memcpy(f->memory[f->region.step], &step, sizeof step);
}

float fixture_random(fixture *f)
{
    f->random = f->random * 1664525u + 1013904223u;
    return (float)(f->random >> 8) / 8388608.0f - 1.0f;
}

float *fixture_at(const fixture *f, uint32_t t, int64_t r, int64_t c)
{
    return (float *)(void *)((char *)f->bindings[t].host + r * f->tensors[t].stride[1]) + c;
}

void fixture_prepare(fixture *f)
{
    q35_support support = {.h = {sizeof support, Q35_STRUCT_SUPPORT, NULL}};
    ck_assert_uint_eq(f->api->op_support(f->dev, &f->region, &support), Q35_OK);
    ck_assert_msg(support.ok == 1, "%s", support.reason);
    ck_assert_uint_eq(support.determinism, Q35_DET_BITWISE);
    q35_status status = f->api->plan_compile(f->dev, &f->region, &f->plan);
    ck_assert_msg(status == Q35_OK, "compile: %s", fixture_error());
    status = f->api->plan_bind(f->plan, f->bindings);
    ck_assert_msg(status == Q35_OK, "bind: %s", fixture_error());
}

q35_status fixture_run(fixture *f)
{
    uint64_t before = fixture_allocs();
    q35_status status = f->api->plan_run(f->plan);
    ck_assert_uint_eq(fixture_allocs(), before);
    return status;
}

void fixture_blank(fixture *f, uint32_t t)
{
    memset(f->bindings[t].host, BLANK_BYTE, f->bindings[t].bytes);
}

bool fixture_row_blank(const fixture *f, uint32_t t, int64_t r)
{
    const unsigned char *row = (const unsigned char *)f->bindings[t].host + r * f->tensors[t].stride[1];
    for (int64_t i = 0; i < f->tensors[t].stride[1]; i++)
        if (row[i] != BLANK_BYTE)
            return false;
    return true;
}
