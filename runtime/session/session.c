/* SPDX-License-Identifier: Apache-2.0
 *
 * A session: opened devices, resident weights and KV cache, plans by token capacity, and sequences. */
#include "runtime/session/session.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"

#include <string.h>

#define DEFAULT_CONTEXT 4096
#define DEFAULT_CHUNK   512

q35_session_options q35_session_options_default(void)
{
    return (q35_session_options){.max_chunk = DEFAULT_CHUNK, .act = Q35_ACT_INT8, .kv_dtype = Q35_DT_F16};
}

uint32_t q35_session_default_context(const q35_model_config *config)
{
    return (uint32_t)q35i_min(config->context_length, DEFAULT_CONTEXT);
}

static q35_status check_options(q35_session *s)
{
    q35_session_options *o = &s->options;
    if (o->n_ctx == 0)
        o->n_ctx = q35_session_default_context(&s->config);
    if (o->n_ctx > s->config.context_length)
        return Q35_FAIL(Q35_E_INVALID, "context size: %u tokens asked for, the model has at most %u", o->n_ctx,
                        s->config.context_length);
    if (o->max_chunk == 0)
        o->max_chunk = DEFAULT_CHUNK;
    if (o->n_sequences == 0)
        o->n_sequences = 1;
    if (o->n_kv_tokens == 0)
        o->n_kv_tokens = o->n_ctx;
    if (o->n_kv_tokens > Q35_KV_PAGE * (uint32_t)(INT32_MAX / Q35_KV_PAGE))
        return Q35_FAIL(Q35_E_INVALID, "KV cache: %u tokens asked for, need at most %u", o->n_kv_tokens,
                        Q35_KV_PAGE * (uint32_t)(INT32_MAX / Q35_KV_PAGE));
    o->max_chunk = (uint32_t)q35i_min(o->max_chunk, o->n_kv_tokens);
    if (o->act != Q35_ACT_INT8 && o->act != Q35_ACT_F32)
        return Q35_FAIL(Q35_E_INVALID, "activations: type %u, need int8 or f32", o->act);
    if (o->kv_dtype != Q35_DT_F16 && o->kv_dtype != Q35_DT_F32 && o->kv_dtype != Q35_DT_Q8_0)
        return Q35_FAIL(Q35_E_INVALID, "KV cache: type %u, need f16, f32 or q8", o->kv_dtype);
    if (o->kv_dtype == Q35_DT_Q8_0 && s->config.head_dim % 32 != 0)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "KV cache: type q8 with heads of %u, need a multiple of 32",
                        s->config.head_dim);
    return Q35_OK;
}

/* 1: both are ways of different plugins to the processor, and would share its cores. */
static int is_other_way(const q35_device_report *a, const q35_device_report *b)
{
    size_t id = strcspn(a->name, ":");
    return a->info.device_class == Q35_CLASS_CPU && b->info.device_class == Q35_CLASS_CPU &&
           (id != strcspn(b->name, ":") || strncmp(a->name, b->name, id) != 0);
}

/* Every device once: those that no device before them is another way to. */
static uint32_t choose_devices(const q35_runtime *runtime, uint32_t *index)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < q35_runtime_n_devices(runtime) && n < Q35I_MAX_DEVICES; i++) {
        q35_device_report report, earlier;
        q35_runtime_device(runtime, i, &report);
        int again = report.same_as[0] != '\0';
        for (uint32_t k = 0; k < n && !again; k++) {
            q35_runtime_device(runtime, index[k], &earlier);
            again = is_other_way(&earlier, &report);
        }
        if (!again)
            index[n++] = i;
    }
    return n;
}

static q35_status open_devices(q35_session *s)
{
    uint32_t index[Q35I_MAX_DEVICES], n = Q35I_MAX_DEVICES;
    s->by_preference = s->options.devices != NULL;
    if (s->options.devices) {
        Q35_TRY(q35_runtime_resolve(s->runtime, s->options.devices, index, &n));
    } else {
        n = choose_devices(s->runtime, index);
    }
    if (n == 0)
        return Q35_FAIL(Q35_E_UNAVAILABLE, "devices: none found, need at least one (see q35rt devices --why)");
    for (; s->n_devices < n; s->n_devices++)
        Q35_TRY(q35i_device_open(s->runtime, index[s->n_devices], &s->devices[s->n_devices]));
    return Q35_OK;
}

static void choose_buckets(q35_session *s)
{
    static const uint32_t sizes[Q35I_MAX_BUCKETS] = {1, 8, 64, UINT32_MAX};
    for (uint32_t i = 0; i < Q35I_MAX_BUCKETS; i++) {
        uint32_t size = (uint32_t)q35i_min(sizes[i], s->options.max_chunk);
        if (s->n_buckets == 0 || s->bucket[s->n_buckets - 1] < size)
            s->bucket[s->n_buckets++] = size;
    }
}

q35_status q35i_session_plan(q35_session *s, uint32_t n_tokens, q35i_plan **out)
{
    uint32_t b = 0;
    while (s->bucket[b] < n_tokens)
        b++;
    if (!s->plans[b]) {
        const q35i_build_options options = {.n_tokens = s->bucket[b],
                                            .n_ctx = s->options.n_ctx,
                                            .n_kv_tokens = s->options.n_kv_tokens,
                                            .n_sequences = s->options.n_sequences,
                                            .act = s->options.act,
                                            .kv_dtype = s->options.kv_dtype,
                                            .all_logits = s->options.all_logits,
                                            .n_candidates = s->options.all_logits ? 0 : Q35I_CANDIDATES,
                                            .observe = s->options.observe,
                                            .layer_outputs = s->options.layer_outputs};
        q35i_graph graph;
        Q35_TRY(q35i_build_graph(s->model, &s->config, &options, &graph));
        Q35_TRY(q35i_plan_create(s->res, &graph, &s->plans[b]));
    }
    *out = s->plans[b];
    return Q35_OK;
}

static q35_status create_sequences(q35_session *s)
{
    const q35_session_options *o = &s->options;
    uint32_t zero;
    Q35_TRY(q35i_pages_create(&s->pages, o->n_kv_tokens, o->n_ctx, o->n_sequences));
    s->appends = q35i_calloc(o->n_sequences, sizeof *s->appends);
    return s->appends ? q35i_pages_open(&s->pages, &zero) : Q35_E_NOMEM;
}

static q35_status build(q35_session *s)
{
    q35i_plan *plan;
    Q35_TRY(q35_model_read_config(s->model, &s->config));
    Q35_TRY(check_options(s));
    Q35_TRY(open_devices(s));
    const q35i_devices devices = {.device = s->devices, .n = s->n_devices, .by_preference = s->by_preference};
    Q35_TRY(q35i_residence_create(s->model, &devices, q35i_runtime_pool(s->runtime), &s->res));
    choose_buckets(s);
    Q35_TRY(create_sequences(s));
    /* the decode plan and the largest one now, so that what does not fit or is not supported shows at once */
    Q35_TRY(q35i_session_plan(s, 1, &plan));
    return q35i_session_plan(s, s->options.max_chunk, &plan);
}

q35_status q35_session_create(q35_runtime *runtime, const q35_model *model, const q35_session_options *options,
                              q35_session **out)
{
    q35_session *s = *out = q35i_calloc(1, sizeof *s);
    if (!s)
        return Q35_E_NOMEM;
    s->runtime = runtime;
    s->model = model;
    s->options = options ? *options : q35_session_options_default();
    q35_status status = build(s);
    s->options.devices = NULL; /* borrowed only during the call */
    if (status != Q35_OK) {
        q35_session_destroy(s);
        *out = NULL;
    }
    return status;
}

void q35_session_destroy(q35_session *s)
{
    if (!s)
        return;
    q35i_residence_stop(s->res); /* queued work may refer to a plan's arena, also after a failure */
    for (uint32_t b = 0; b < Q35I_MAX_BUCKETS; b++)
        q35i_plan_destroy(s->plans[b]);
    q35i_residence_destroy(s->res);
    for (uint32_t d = 0; d < s->n_devices; d++)
        q35i_device_close(s->devices[d]);
    q35i_pages_destroy(&s->pages);
    q35i_free(s->appends);
    q35i_free(s->observed_sums);
    q35i_free(s->observed);
    q35i_free(s);
}

uint32_t q35_session_n_ctx(const q35_session *s)
{
    return s->options.n_ctx;
}
