/* SPDX-License-Identifier: Apache-2.0
 *
 * Host services, regions, and the two sides that run them. */
#define _GNU_SOURCE
#include "rig.h"

#include <check.h>
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PAD = 64 };

static _Thread_local char error_text[512];
static uint32_t random_state = 2463534242u;

const char *rig_error(void)
{
    return error_text;
}

static void host_log(int32_t level, const char *msg)
{
    if (level < 2)
        printf("log %d: %s\n", level, msg);
}

static q35_status host_fail(q35_status code, const char *msg)
{
    snprintf(error_text, sizeof error_text, "%s", msg);
    return code;
}

static void *host_alloc(uint64_t bytes, uint64_t align, int32_t numa)
{
    void *p = NULL;
    (void)numa;
    return posix_memalign(&p, align < sizeof(void *) ? sizeof(void *) : align, bytes) ? NULL : p;
}

static void host_free(void *p)
{
    free(p);
}

static uint32_t host_pool_size(const q35_pool *pool)
{
    (void)pool;
    return 1;
}

static void host_parallel(q35_pool *pool, void (*fn)(void *, uint32_t, uint32_t, q35_team *), void *arg)
{
    (void)pool;
    fn(arg, 0, 1, NULL);
}

static void host_barrier(q35_team *team)
{
    (void)team;
}

static uint64_t host_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static const q35_host host = {
    .h = {sizeof host, Q35_STRUCT_HOST, NULL},
    .abi_major = Q35_ABI_MAJOR,
    .abi_minor = Q35_ABI_MINOR,
    .log = host_log,
    .fail = host_fail,
    .alloc = host_alloc,
    .free = host_free,
    .pool_size = host_pool_size,
    .parallel = host_parallel,
    .barrier = host_barrier,
    .now_ns = host_now_ns,
};

/* Also called before any test runs, so without Check. */
static const q35_plugin *load(const char *path)
{
    q35_plugin_query_fn query;
    const q35_plugin *api = NULL;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *symbol = library ? dlsym(library, Q35_PLUGIN_SYMBOL) : NULL;
    if (symbol)
        memcpy(&query, &symbol, sizeof query);
    if (!symbol || query(&host, &api) != Q35_OK) {
        fprintf(stderr, "%s: cannot load: %s\n", path, library ? error_text : dlerror());
        exit(EXIT_FAILURE);
    }
    return api;
}

const q35_plugin *rig_opencl(void)
{
    static const q35_plugin *api;
    return api ? api : (api = load(Q35RT_OPENCL_PLUGIN));
}

const q35_plugin *rig_cpu(void)
{
    static const q35_plugin *api;
    return api ? api : (api = load(Q35RT_CPU_PLUGIN));
}

bool rig_has_device(void)
{
    uint32_t n = 0;
    return rig_opencl()->enumerate(&n) == Q35_OK && n > 0;
}

q35_device *rig_open(const q35_plugin *api, const char *key, const char *value)
{
    q35_device *dev = NULL;
    const q35_open_options options = {.h = {sizeof options, Q35_STRUCT_OPEN_OPTIONS, NULL},
                                      .n_options = key != NULL,
                                      .keys = &key,
                                      .values = &value};
    const q35_status status = api->device_open(0, &options, &dev);
    ck_assert_msg(status == Q35_OK, "device_open: %s", error_text);
    return dev;
}

uint32_t rig_random_u32(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

float rig_random(void)
{
    return (float)(rig_random_u32() >> 8) / 8388608.0f - 1.0f;
}

/* ---- building */

static uint32_t add(rig *r, uint32_t role, const q35_tensor_desc *d)
{
    const uint32_t t = r->region.n_tensors++;
    ck_assert_uint_lt(t, RIG_TENSORS);
    r->tensors[t] = *d;
    r->roles[t] = role;
    r->bytes[t] = (uint64_t)d->stride[d->rank - 1] * (uint64_t)d->dim[d->rank - 1];
    r->data[t] = malloc(r->bytes[t] + PAD);
    r->result[t] = malloc(r->bytes[t] + PAD);
    for (uint64_t i = 0; i < r->bytes[t]; i++)
        r->data[t][i] = (uint8_t)rig_random_u32();
    for (uint64_t i = 0; i + 4 <= r->bytes[t] && d->dtype == Q35_DT_F32; i += 4) {
        const float v = rig_random();
        memcpy(r->data[t] + i, &v, sizeof v);
    }
    return t;
}

uint32_t rig_tensor(rig *r, uint32_t role, uint32_t dtype, uint32_t flags, int64_t d0, int64_t d1)
{
    q35_tensor_desc d = {.dtype = dtype, .rank = d1 ? 2 : 1, .dim = {d0, d1 ? d1 : 1, 1, 1}, .flags = flags};
    d.stride[0] = q35_dtype_describe(dtype).block_bytes;
    d.stride[1] = (int64_t)q35_row_bytes(dtype, (uint64_t)d0);
    d.stride[2] = d.stride[1] * d.dim[1];
    d.stride[3] = d.stride[2];
    return add(r, role, &d);
}

uint32_t rig_indices(rig *r, uint32_t flags, const int32_t *values, int64_t n)
{
    const uint32_t t = rig_tensor(r, Q35_ROLE_INPUT, Q35_DT_I32, flags, n, 0);
    memcpy(r->data[t], values, (size_t)n * sizeof *values);
    return t;
}

/* Random f16 between 2^-8 and 2^-4, of either sign */
static uint16_t small_half(void)
{
    const uint32_t v = rig_random_u32();
    return (uint16_t)((v & 0x8000u) | (7u + (v >> 4 & 3u)) << 10 | (v >> 16 & 1023u));
}

static void put_half(uint8_t *at)
{
    const uint16_t h = small_half();
    memcpy(at, &h, sizeof h);
}

/* Scales where random bytes would make infinities. */
static void set_scales(uint32_t dtype, uint8_t *block)
{
    float scale = rig_random() / 64;
    switch (dtype) {
    case Q35_DT_Q4_1:
    case Q35_DT_Q5_1:
    case Q35_DT_Q4_K:
    case Q35_DT_Q5_K:
    case Q35_DT_Q35_SPLIT:
        put_half(block);
        put_half(block + 2);
        break;
    case Q35_DT_Q2_K:
        put_half(block + 80);
        put_half(block + 82);
        break;
    case Q35_DT_Q3_K: put_half(block + 108); break;
    case Q35_DT_Q6_K: put_half(block + 208); break;
    case Q35_DT_F8_32:
        memcpy(block, &scale, sizeof scale);
        for (int i = 0; i < 32; i++)
            block[4 + i] &= 0xbf;
        break;
    case Q35_DT_F16: put_half(block); break;
    case Q35_DT_BF16: {
        uint32_t bits;
        memcpy(&bits, &scale, sizeof bits);
        block[0] = (uint8_t)(bits >> 16);
        block[1] = (uint8_t)(bits >> 24);
        break;
    }
    case Q35_DT_F32: break;
    default: put_half(block); break;
    }
}

uint32_t rig_weights(rig *r, uint32_t dtype, int64_t k, int64_t n)
{
    const q35_dtype_info info = q35_dtype_describe(dtype);
    const uint32_t t = rig_tensor(r, Q35_ROLE_WEIGHT, dtype, 0, k, n);
    for (int64_t row = 0; row < n; row++) {
        uint8_t *at = r->data[t] + row * r->tensors[t].stride[1];
        const float scale = rig_random() / 64;
        if (info.row_head)
            memcpy(at, &scale, sizeof scale);
        for (int64_t i = 0; i < k && !info.row_head; i += info.block_len)
            set_scales(dtype, at + i / info.block_len * info.block_bytes);
    }
    return t;
}

uint32_t rig_book(rig *r, uint32_t dtype)
{
    const uint32_t n = q35_book_entries(dtype), t = rig_tensor(r, Q35_ROLE_WEIGHT, Q35_DT_I8, 0, 2, n);
    int8_t(*book)[2] = (void *)r->data[t];
    if (dtype == Q35_DT_Q35_SPLIT)
        q35_split_book(book);
    for (uint32_t c = 0; c < n && q35_is_row_type(dtype); c++)
        for (int odd = 0; odd < 2; odd++)
            book[c][odd] = c < n / 4 ? (int8_t)(rig_random_u32() & 127u)
                                     : q35_book_signed((const int8_t(*)[2])book, n, c, odd);
    return t;
}

uint32_t rig_node(rig *r, uint32_t op, const rig_params *params, uint32_t n_in, const uint32_t *in, uint32_t n_out,
                  const uint32_t *out)
{
    const uint32_t n = r->region.n_nodes++;
    ck_assert_uint_lt(n, RIG_NODES);
    memcpy(r->in[n], in, n_in * sizeof *in);
    if (n_out)
        memcpy(r->out[n], out, n_out * sizeof *out);
    if (params)
        r->params[n] = *params;
    r->nodes[n] = (q35_node){.h = {sizeof r->nodes[n], Q35_STRUCT_NODE, NULL},
                             .op = op,
                             .n_in = n_in,
                             .n_out = n_out,
                             .in = r->in[n],
                             .out = r->out[n],
                             .params = params ? &r->params[n].h : NULL};
    r->list[n] = &r->nodes[n];
    return n;
}

void rig_init(rig *r, int32_t n_tokens, int32_t n_out, int32_t n_sequences)
{
    const q35_step step = {.n_tokens = n_tokens, .n_out = n_out, .n_sequences = n_sequences};
    memset(r, 0, sizeof *r);
    r->packs = true;
    r->region = (q35_region){.h = {sizeof r->region, Q35_STRUCT_REGION, NULL},
                             .tensors = r->tensors,
                             .roles = r->roles,
                             .nodes = r->list};
    r->region.step = rig_tensor(r, Q35_ROLE_STEP, Q35_DT_I32, 0, 8, 0);
    memcpy(r->data[0], &step, sizeof step);
}

void rig_free(rig *r)
{
    for (uint32_t t = 0; t < r->region.n_tensors; t++) {
        free(r->data[t]);
        free(r->result[t]);
    }
}

/* ---- running */

void rig_run_cpu(rig *r)
{
    const q35_plugin *api = rig_cpu();
    q35_device *dev = rig_open(api, "isa", "ref");
    q35_binding bindings[RIG_TENSORS];
    q35_plan *plan = NULL;
    for (uint32_t t = 0; t < r->region.n_tensors; t++) {
        memcpy(r->result[t], r->data[t], r->bytes[t]);
        bindings[t] = (q35_binding){.host = r->result[t], .bytes = r->bytes[t]};
    }
    q35_status status = api->plan_compile(dev, &r->region, &plan);
    ck_assert_msg(status == Q35_OK, "cpu: %s", error_text);
    status = api->plan_bind(plan, bindings);
    ck_assert_msg(status == Q35_OK, "cpu: %s", error_text);
    status = api->plan_run(plan);
    ck_assert_msg(status == Q35_OK, "cpu: %s", error_text);
    api->plan_free(plan);
    api->device_close(dev);
}

/* The packed weight, its descriptor changed to say so; NULL: as it is. */
static uint8_t *pack(const rig *r, q35_device *dev, uint32_t t, q35_tensor_desc *d, uint64_t *bytes)
{
    const q35_plugin *api = rig_opencl();
    q35_layout layout = {.h = {sizeof layout, Q35_STRUCT_LAYOUT, NULL}};
    if (!r->packs || api->layout_query(dev, Q35_OP_LINEAR, d, 0, &layout) != Q35_OK)
        return NULL;
    const uint64_t rows = (uint64_t)d->dim[1], slices = (rows + layout.slice_rows - 1) / layout.slice_rows;
    uint8_t *packed = calloc(slices, layout.slice_bytes);
    for (uint64_t s = 0; s < slices; s++) {
        const uint64_t row = s * layout.slice_rows, left = rows - row;
        ck_assert_uint_eq(api->pack(dev, layout.layout, d, row,
                                    left < layout.slice_rows ? left : layout.slice_rows,
                                    r->data[t] + row * (uint64_t)d->stride[1], packed + s * layout.slice_bytes),
                          Q35_OK);
    }
    d->layout = layout.layout;
    d->stride[1] = (int64_t)layout.slice_bytes;
    *bytes = slices * layout.slice_bytes;
    return packed;
}

static q35_status move(rig_session *s, const q35_binding *src, const q35_binding *dst, uint64_t bytes)
{
    const q35_point signal = {s->timeline, ++s->point};
    const q35_status status = rig_opencl()->copy(s->queue, src, dst, bytes, NULL, 0, &signal, 1);
    return status != Q35_OK ? status : rig_opencl()->timeline_wait(s->timeline, s->point, UINT64_MAX);
}

static void upload(rig_session *s, uint32_t t)
{
    const q35_plugin *api = rig_opencl();
    const rig *r = s->r;
    uint64_t bytes = r->bytes[t];
    bool of_linear = false;
    for (uint32_t n = 0; n < r->region.n_nodes; n++)
        of_linear |= r->nodes[n].op == Q35_OP_LINEAR && r->in[n][1] == t;
    uint8_t *packed = of_linear ? pack(r, s->dev, t, &s->tensors[t], &bytes) : NULL;
    const q35_binding from = {.host = packed ? packed : r->data[t], .bytes = bytes};
    ck_assert_uint_eq(api->buf_alloc(s->dev, 0, bytes + PAD, 64, Q35_USE_ACT, &s->bindings[t].buf), Q35_OK);
    s->bindings[t].offset = PAD;
    s->bindings[t].bytes = bytes;
    const q35_status moved = move(s, &from, &s->bindings[t], bytes);
    ck_assert_msg(moved == Q35_OK, "copy: %s", error_text);
    free(packed);
}

q35_status rig_prepare(rig_session *s, rig *r, q35_device *dev)
{
    const q35_plugin *api = rig_opencl();
    q35_region region = r->region;
    q35_support support = {.h = {sizeof support, Q35_STRUCT_SUPPORT, NULL}};
    *s = (rig_session){.r = r, .dev = dev};
    memcpy(s->tensors, r->tensors, sizeof s->tensors);
    region.tensors = s->tensors;
    ck_assert_uint_eq(api->op_support(dev, &r->region, &support), Q35_OK);
    ck_assert_msg(support.ok == 1, "%s", support.reason);
    ck_assert_uint_eq(api->queue_create(dev, Q35_QUEUE_COMPUTE, &s->queue), Q35_OK);
    ck_assert_uint_eq(api->timeline_create(dev, 0, &s->timeline), Q35_OK);
    for (uint32_t t = 0; t < region.n_tensors; t++)
        upload(s, t);
    const q35_status status = api->plan_compile(dev, &region, &s->plan);
    return status != Q35_OK ? status : api->plan_bind(s->plan, s->bindings);
}

q35_status rig_submit(rig_session *s)
{
    const q35_point signal = {s->timeline, ++s->point};
    const q35_status status = rig_opencl()->plan_submit(s->queue, s->plan, NULL, 0, &signal, 1);
    return status != Q35_OK ? status : rig_opencl()->timeline_wait(s->timeline, s->point, UINT64_MAX);
}

void rig_fetch(rig_session *s)
{
    for (uint32_t t = 0; t < s->r->region.n_tensors; t++) {
        const q35_binding to = {.host = s->r->result[t], .bytes = s->r->bytes[t]};
        if (s->tensors[t].layout == 0)
            ck_assert_uint_eq(move(s, &s->bindings[t], &to, s->r->bytes[t]), Q35_OK);
    }
}

void rig_finish(rig_session *s)
{
    const q35_plugin *api = rig_opencl();
    api->queue_destroy(s->queue);
    api->plan_free(s->plan);
    api->timeline_destroy(s->timeline);
    for (uint32_t t = 0; t < s->r->region.n_tensors; t++)
        api->buf_free(s->bindings[t].buf);
}

q35_status rig_run_opencl(rig *r, q35_device *dev)
{
    rig_session s;
    q35_status status = rig_prepare(&s, r, dev);
    if (status == Q35_OK)
        status = rig_submit(&s);
    if (status == Q35_OK)
        rig_fetch(&s);
    rig_finish(&s);
    return status;
}

/* ---- comparing */

static bool is_result(const rig *r, uint32_t t)
{
    return r->roles[t] == Q35_ROLE_OUTPUT || r->roles[t] == Q35_ROLE_STATE;
}

static bool row_is_near(const rig *r, uint32_t t, const uint8_t *expected, int64_t row, double bound)
{
    const int64_t n = r->tensors[t].dim[0];
    const float *a = (const float *)(const void *)(expected + row * r->tensors[t].stride[1]);
    const float *b = (const float *)(const void *)(r->result[t] + row * r->tensors[t].stride[1]);
    double top = 0, most = 0;
    for (int64_t i = 0; i < n; i++) {
        top = fmax(top, fabs((double)a[i]));
        most = isnan(a[i]) == isnan(b[i]) ? fmax(most, fabs((double)a[i] - (double)b[i])) : HUGE_VAL;
    }
    return most <= bound * top;
}

static void compare(rig *r, q35_device *dev, const char *what, double bound)
{
    uint8_t *expected[RIG_TENSORS];
    rig_run_cpu(r);
    for (uint32_t t = 0; t < r->region.n_tensors; t++) {
        expected[t] = malloc(r->bytes[t] + PAD);
        memcpy(expected[t], r->result[t], r->bytes[t]);
    }
    const q35_status status = rig_run_opencl(r, dev);
    ck_assert_msg(status == Q35_OK, "%s: %s", what, error_text);
    for (uint32_t t = 0; t < r->region.n_tensors; t++) {
        if (is_result(r, t) && bound > 0 && r->tensors[t].dtype == Q35_DT_F32)
            for (int64_t row = 0; row < r->tensors[t].dim[1]; row++)
                ck_assert_msg(row_is_near(r, t, expected[t], row, bound), "%s: tensor %u, row %lld is beyond %g",
                              what, t, (long long)row, bound);
        else if (is_result(r, t))
            for (uint64_t i = 0; i < r->bytes[t]; i++)
                ck_assert_msg(expected[t][i] == r->result[t][i], "%s: tensor %u (%s), byte %llu: %u, need %u",
                              what, t, q35_dtype_describe(r->tensors[t].dtype).name, (unsigned long long)i,
                              r->result[t][i], expected[t][i]);
        free(expected[t]);
    }
}

void rig_compare(rig *r, q35_device *dev, const char *what)
{
    compare(r, dev, what, 0);
}

void rig_compare_near(rig *r, q35_device *dev, const char *what, double bound)
{
    compare(r, dev, what, bound);
}
