/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening runtime, model, tokenizer and session. */
#include "engine.h"

#include <inttypes.h>
#include <stdlib.h>

static const uint32_t act_values[] = {Q35_ACT_INT8, Q35_ACT_F32};
static const char *const act_names[] = {"int8", "f32"};
static const uint32_t kv_values[] = {Q35_DT_F16, Q35_DT_F32, Q35_DT_Q8_0};
static const char *const kv_names[] = {"f16", "f32", "q8"};

const char *cli_act_name(uint32_t act)
{
    return act_names[act];
}

const char *cli_kv_name(uint32_t kv)
{
    return kv_names[kv];
}

uint64_t cli_kv_bytes(const cli_options *options, const q35_model_config *config)
{
    return q35_session_kv_bytes(config, kv_values[options->kv]);
}

int cli_open_runtime(const cli_options *options, q35_runtime **out)
{
    q35_runtime_options wanted = {
        .n_threads = options->threads,
        .n_plugin_paths = options->plugins.n,
        .plugin_paths = options->plugins.item,
        .no_cache = options->no_cache,
    };
    q35_status status = q35_runtime_create(&wanted, out);
    return status == Q35_OK ? 0 : cli_fail_status(status, CLI_WHILE_OPENING_DEVICES);
}

int cli_model_path(const cli_options *options, const char **out)
{
    const char *path = options->model ? options->model : getenv("Q35RT_MODEL");
    if (!path || !*path)
        return cli_fail(CLI_EXIT_USAGE, "no model: -m FILE (or Q35RT_MODEL) needed");
    *out = path;
    return 0;
}

int cli_open_model(const char *path, cli_engine *engine)
{
    q35_status status = q35_model_open(path, &engine->model);
    if (status == Q35_OK)
        status = q35_model_read_config(engine->model, &engine->config);
    return status == Q35_OK ? 0 : cli_fail_status(status, CLI_WHILE_OPENING_MODEL);
}

int cli_open_tokenizer(cli_engine *engine)
{
    q35_status status = q35_tokenizer_create(engine->model, &engine->tokenizer);
    return status == Q35_OK ? 0 : cli_fail_status(status, CLI_WHILE_OPENING_MODEL);
}

/* Says what the context will take, where that is much. */
static void tell_memory(const cli_options *options, const q35_model_config *config,
                        const q35_session_options *wanted)
{
    const uint64_t much = UINT64_C(64) << 20;
    uint64_t per_token = q35_session_kv_bytes(config, wanted->kv_dtype);
    uint32_t n_ctx = wanted->n_ctx ? wanted->n_ctx : q35_session_default_context(config);
    uint32_t n_tokens = wanted->n_kv_tokens ? wanted->n_kv_tokens : n_ctx;
    if (!options->quiet && per_token * n_tokens >= much)
        fprintf(stderr, "context of %" PRIu32 " tokens: %.2f GiB (%" PRIu64 " bytes per token, -c)\n", n_tokens,
                (double)(per_token * n_tokens) / (1 << 30), per_token);
}

int cli_open_session(q35_runtime *runtime, const cli_options *options, const cli_session_request *request,
                     cli_engine *engine)
{
    q35_session_options wanted = q35_session_options_default();
    wanted.devices = options->device;
    wanted.n_ctx = request->n_ctx;
    wanted.max_chunk = request->chunk;
    wanted.act = act_values[request->act];
    wanted.kv_dtype = kv_values[request->kv];
    wanted.all_logits = request->all_logits;
    if (request->n_sequences > 1) { /* each in pages of its own */
        uint64_t tokens =
            ((uint64_t)request->n_ctx + Q35_KV_PAGE - 1) / Q35_KV_PAGE * Q35_KV_PAGE * request->n_sequences;
        wanted.n_sequences = request->n_sequences;
        wanted.n_kv_tokens = tokens < UINT32_MAX ? (uint32_t)tokens : UINT32_MAX;
    }
    wanted.layer_outputs = options->layer_outputs;
    tell_memory(options, &engine->config, &wanted);
    q35_status status = q35_session_create(runtime, engine->model, &wanted, &engine->session);
    return status == Q35_OK ? 0 : cli_fail_status(status, CLI_WHILE_LOADING);
}

void cli_engine_close(cli_engine *engine)
{
    q35_session_destroy(engine->session);
    q35_tokenizer_destroy(engine->tokenizer);
    q35_model_close(engine->model);
    *engine = (cli_engine){0};
}
