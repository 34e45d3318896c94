/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt run: the model's text on standard output as it comes, timings on standard error at the end. */
#include "commands.h"
#include "generate.h"
#include "json_out.h"
#include "prompt.h"
#include "skipped.h"
#include "term.h"

#include <inttypes.h>
#include <stdlib.h>

#define BANDWIDTH_MS 200

typedef struct run_numbers {
    double load_s, prompt_per_s, decode_per_s, bytes, gbps, read_gbps;
} run_numbers;

static run_numbers count(const generation *g, double load_s, q35_runtime *runtime)
{
    run_numbers n = {.load_s = load_s};
    n.prompt_per_s = g->prompt_s > 0 ? (double)g->n_prompt / g->prompt_s : 0;
    n.decode_per_s = g->steps && g->decode_s > 0 ? (double)g->steps / g->decode_s : 0;
    n.bytes = (double)(g->weight_bytes + g->kv_bytes);
    n.gbps = n.bytes * n.decode_per_s / 1e9;
    n.read_gbps = g->steps ? q35_runtime_read_gbps(runtime, BANDWIDTH_MS) : 0;
    return n;
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static void print_stop(const generation *g)
{
    switch (g->stop) {
    case STOP_LENGTH:
        fprintf(stderr, "stopped: %" PRIu64 " token%s generated (-n)\n", g->n_ids, plural(g->n_ids));
        break;
    case STOP_TOKEN: fprintf(stderr, "stopped: the model ended its answer\n"); break;
    case STOP_CONTEXT:
        fprintf(stderr, "stopped: context of %" PRIu32 " tokens full (-c)\n", q35_session_n_ctx(g->session));
        break;
    case STOP_INTERRUPT: fprintf(stderr, "stopped: interrupted\n"); break;
    }
}

/* Without the numbers of what an interruption or -n kept from happening. */
static void print_timings(const generation *g, uint64_t n_prompt, const run_numbers *n)
{
    fprintf(stderr, "load %.0f ms | prompt ", 1e3 * n->load_s);
    if (g->n_prompt < n_prompt)
        fprintf(stderr, "%" PRIu64 " of ", g->n_prompt);
    fprintf(stderr, "%" PRIu64 " token%s", n_prompt, plural(n_prompt));
    if (g->n_prompt)
        fprintf(stderr, ", %.1f tok/s", n->prompt_per_s);
    if (g->n_ids)
        fprintf(stderr, " | first token after %.0f ms", 1e3 * (n->load_s + g->first_token_s));
    fprintf(stderr, " | generated %" PRIu64 " token%s", g->n_ids, plural(g->n_ids));
    if (g->steps)
        fprintf(stderr, ", %.1f tok/s", n->decode_per_s);
    fputc('\n', stderr);
    if (g->steps && n->read_gbps > 0)
        fprintf(stderr, "%.1f MB read per token, %.2f GB/s: %.0f %% of the %.1f GB/s memory delivers now\n",
                n->bytes / 1e6, n->gbps, 100 * n->gbps / n->read_gbps, n->read_gbps);
    print_stop(g);
}

static int print_json(const generation *g, const cli_engine *engine, uint64_t n_prompt, const run_numbers *n)
{
    json_t *ids = json_array();
    for (uint64_t i = 0; i < g->n_ids; i++)
        json_array_append_new(ids, json_integer(g->ids[i]));
    json_t *timings = json_pack("{s:f, s:f, s:f, s:o, s:f, s:f}", "load_ms", 1e3 * n->load_s, "prompt_ms",
                                1e3 * g->prompt_s, "prompt_tokens_per_s", n->prompt_per_s, "first_token_ms",
                                g->n_ids ? json_number(1e3 * (n->load_s + g->first_token_s)) : json_null(),
                                "generation_ms", 1e3 * g->decode_s, "generation_tokens_per_s", n->decode_per_s);
    json_t *memory = json_pack("{s:I, s:I, s:f, s:f}", "weight_bytes_per_token", (json_int_t)g->weight_bytes,
                               "kv_bytes_per_token", (json_int_t)g->kv_bytes, "gb_per_s", n->gbps, "read_gb_per_s",
                               n->read_gbps);
    return json_out(json_pack(
        "{s:o, s:o, s:o, s:I, s:s, s:s, s:s, s:b, s:o, s:o}", "model", json_text(q35_model_path(engine->model)),
        "text", json_text_n(g->text, g->n_text), "ids", ids, "prompt_tokens", (json_int_t)n_prompt, "stop",
        stop_reason_name(g->stop), "act", cli_act_name(g->options->act), "kv_type", cli_kv_name(g->options->kv),
        "pack_cache_hit", q35_session_pack_cache_hit(g->session), "timings", timings, "memory", memory));
}

static int check_fits(const cli_engine *engine, uint64_t n_prompt)
{
    uint32_t n_ctx = q35_session_n_ctx(engine->session);
    if (n_prompt <= n_ctx)
        return 0;
    if (n_prompt <= engine->config.context_length)
        return cli_fail(CLI_EXIT_NOFIT,
                        "prompt: %" PRIu64 " tokens found, at most %" PRIu32 " fit: try -c %" PRIu64, n_prompt,
                        n_ctx,
                        n_prompt + 512 < engine->config.context_length ? n_prompt + 512
                                                                       : (uint64_t)engine->config.context_length);
    return cli_fail(CLI_EXIT_NOFIT,
                    "prompt: %" PRIu64 " tokens found, at most %" PRIu32 " fit (the model's context is %" PRIu32
                    ")",
                    n_prompt, n_ctx, engine->config.context_length);
}

static int run_prompt(const cli_options *options, q35_runtime *runtime, const cli_engine *engine,
                      const int32_t *prompt, uint64_t n_prompt, double load_s)
{
    generation g = {.options = options,
                    .session = engine->session,
                    .tokenizer = engine->tokenizer,
                    .vocab = engine->config.vocab,
                    .stream = !options->json};
    out_file *dump = NULL;
    int rc = options->dump ? out_file_create("logits file", options->dump, &dump) : 0;
    if (rc == 0)
        rc = generation_run(&g, prompt, n_prompt, dump);
    if (dump && rc == 0 && !(g.stop == STOP_INTERRUPT && g.n_ids == 0))
        rc = out_file_commit(dump);
    else
        out_file_discard(dump);
    if (rc == 0) {
        run_numbers n = options->quiet && !options->json ? (run_numbers){0} : count(&g, load_s, runtime);
        if (options->json)
            rc = print_json(&g, engine, n_prompt, &n);
        else if (!options->quiet)
            print_timings(&g, n_prompt, &n);
    }
    if (rc == 0 && g.stop == STOP_INTERRUPT)
        rc = CLI_EXIT_SIGNAL + cli_interrupted();
    generation_free(&g);
    return rc;
}

/* A model without a tokenizer can still go from ids to ids. */
static int needs_tokenizer(const cli_options *options, const cli_engine *engine)
{
    return !options->ids || q35_model_meta(engine->model, "tokenizer.ggml.model");
}

int cmd_run(const cli_options *options)
{
    double start = term_now();
    q35_runtime *runtime = NULL;
    cli_engine engine = {0};
    int32_t *prompt = NULL;
    uint64_t n_prompt = 0;
    const char *path;
    int rc = cli_model_path(options, &path);
    if (rc == 0)
        rc = prompt_check(options);
    if (rc == 0)
        rc = cli_open_model(path, &engine);
    if (rc == 0)
        cli_note_skipped(options, engine.model);
    if (rc == 0 && needs_tokenizer(options, &engine))
        rc = cli_open_tokenizer(&engine);
    if (rc == 0)
        rc = prompt_ids(options, &engine, &prompt, &n_prompt);
    if (rc == 0)
        rc = cli_open_runtime(options, &runtime);
    if (rc == 0) {
        cli_session_request request = {options->act,   options->kv,           options->ctx,
                                       options->chunk, options->dump != NULL, 1};
        rc = cli_open_session(runtime, options, &request, &engine);
    }
    if (rc == 0)
        rc = check_fits(&engine, n_prompt);
    if (rc == 0)
        rc = run_prompt(options, runtime, &engine, prompt, n_prompt, term_now() - start);
    free(prompt);
    cli_engine_close(&engine);
    q35_runtime_destroy(runtime);
    return rc;
}
