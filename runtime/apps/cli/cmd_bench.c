/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt bench: speed of prefill and decoding, beside the limits of the machine that the same run measures. For
 * every number of threads there is a runtime and a session of their own; the tests of it run on that session. */
#include "bench.h"
#include "bench_plot.h"
#include "commands.h"
#include "shapes.h"
#include "skipped.h"
#include "term.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- what to do ---- */

static int check_options(const cli_options *o)
{
    uint64_t n = 0;
    if (o->synthetic && o->model)
        return cli_fail(CLI_EXIT_USAGE, "--synthetic %s and -m %s found, one of them needed", o->synthetic,
                        o->model);
    const uint32_t batch = bench_most(&o->batch);
    if (o->chunk && o->chunk < batch)
        return cli_fail(CLI_EXIT_USAGE, "option --chunk: %" PRIu32 " found, %" PRIu32 " or more needed (--batch)",
                        o->chunk, batch);
    for (uint32_t i = 0; i < o->n_prompt.n; i++)
        n += o->n_prompt.item[i];
    for (uint32_t i = 0; i < o->n_gen.n; i++)
        n += o->n_gen.item[i];
    if (n == 0)
        return cli_fail(CLI_EXIT_USAGE, "-p and -n: 0 tokens found, 1 needed in one of them");
    return o->plot ? bench_plot_check(o) : 0;
}

static int add_test(bench *b, const bench_test *t)
{
    bench_result *grown = realloc(b->results, (b->n_results + 1) * sizeof *grown);
    if (!grown)
        return cli_fail(CLI_EXIT_FAILED, "bench: memory for %" PRIu32 " tests: out of memory", b->n_results + 1);
    b->results = grown;
    b->results[b->n_results++] = (bench_result){.test = *t, .limits = b->n_limits - 1};
    return 0;
}

/* Runs a test unless it has no tokens; one without any measurement is not kept. */
static int run_test(bench *b, const bench_test *t)
{
    if (t->n_prompt + t->n_gen == 0)
        return 0;
    int rc = add_test(b, t);
    if (rc)
        return rc;
    rc = bench_measure(b, &b->results[b->n_results - 1]);
    if (b->results[b->n_results - 1].seconds.n == 0)
        b->n_results--;
    return rc;
}

/* Tests of one number of threads. */
static int run_tests(bench *b, uint32_t threads)
{
    const cli_options *o = b->options;
    int rc = 0;
    for (uint32_t i = 0; i < o->batch.n; i++)
        for (uint32_t d = 0; d < o->depth.n; d++) {
            bench_test t = {.threads = threads, .batch = o->batch.item[i], .depth = o->depth.item[d]};
            for (uint32_t p = 0; p < o->n_prompt.n && rc == 0; p++) {
                t.n_prompt = o->n_prompt.item[p];
                rc = run_test(b, &t);
            }
            t.n_prompt = 0;
            for (uint32_t n = 0; n < o->n_gen.n && rc == 0; n++) {
                t.n_gen = o->n_gen.item[n];
                rc = run_test(b, &t);
            }
        }
    return rc;
}

/* ---- what to do it with ---- */

static int on_progress(void *user, uint64_t done, uint64_t total)
{
    const cli_options *options = user;
    term_progress(options->quiet, "random weights", done, total);
    return cli_interrupted();
}

static int make_synthetic(bench *b, q35_runtime *runtime)
{
    const cli_options *o = b->options;
    q35_generate_options wanted = q35_generate_options_default();
    wanted.dtype = Q35_DT_Q35_ROW;
    wanted.seed = o->seed;
    wanted.no_tokenizer = 1;
    wanted.progress = on_progress;
    wanted.user = (void *)(uintptr_t)o; /* only read */
    q35_status status = q35_generate_in_memory(runtime, &b->shape, &wanted, &b->engine.model);
    term_progress_clear();
    if (status == Q35_OK)
        status = q35_model_read_config(b->engine.model, &b->engine.config);
    snprintf(b->name, sizeof b->name, "%.32s, random weights", o->synthetic);
    return status == Q35_OK ? 0 : cli_fail_status(status, CLI_WHILE_LOADING);
}

static void name_after(bench *b, const char *path)
{
    size_t end = strlen(path), begin;
    while (end > 1 && path[end - 1] == '/')
        end--;
    for (begin = end; begin > 0 && path[begin - 1] != '/'; begin--)
        ;
    snprintf(b->name, sizeof b->name, "%.*s", (int)(end - begin), path + begin);
}

static int open_model(bench *b, q35_runtime *runtime)
{
    const char *path;
    const q35_model_config *c = &b->engine.config;
    int rc;
    if (b->options->synthetic) {
        rc = make_synthetic(b, runtime);
    } else {
        rc = cli_model_path(b->options, &path);
        if (rc == 0)
            rc = cli_open_model(path, &b->engine);
        if (rc == 0) {
            name_after(b, path);
            cli_note_skipped(b->options, b->engine.model);
        }
    }
    if (rc)
        return rc;
    b->shape = (q35_shape){.hidden = c->hidden,
                           .layers = c->n_layers,
                           .heads = c->n_heads,
                           .kv_heads = c->n_kv_heads,
                           .head_dim = c->head_dim,
                           .ffn = c->ffn,
                           .vocab = c->vocab,
                           .tied = c->tied_head};
    b->weights = q35_shape_weights(&b->shape, &b->linear_weights);
    return 0;
}

static int make_ids(bench *b)
{
    uint64_t x = b->options->seed;
    const uint32_t batch = bench_most(&b->options->batch);
    b->n_ids = bench_context(b->options) + batch;
    b->ids = malloc(b->n_ids * sizeof *b->ids);
    b->sequences = calloc(batch, sizeof *b->sequences);
    b->entries = calloc(batch, sizeof *b->entries);
    if (!b->ids || !b->sequences || !b->entries)
        return cli_fail(CLI_EXIT_FAILED, "bench: %" PRIu32 " tokens: out of memory", b->n_ids);
    for (uint32_t i = 0; i < b->n_ids; i++) {
        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        b->ids[i] = (int32_t)((x >> 33) % b->engine.config.vocab);
    }
    return 0;
}

static int describe_devices(bench *b, q35_runtime *runtime)
{
    uint32_t index[16], n = 16;
    if (b->options->device) {
        q35_status status = q35_runtime_resolve(runtime, b->options->device, index, &n);
        if (status != Q35_OK)
            return cli_fail_status(status, CLI_WHILE_OPENING_DEVICES);
    } else {
        n = q35_runtime_n_devices(runtime) < n ? q35_runtime_n_devices(runtime) : n;
        for (uint32_t i = 0; i < n; i++)
            index[i] = i;
    }
    b->device = n ? index[0] : 0;
    b->devices[0] = '\0';
    for (uint32_t i = 0; i < n; i++) {
        q35_device_report d;
        size_t len = strlen(b->devices);
        q35_runtime_device(runtime, index[i], &d);
        snprintf(b->devices + len, sizeof b->devices - len, "%s%s (%s)", i ? ", " : "", d.name, d.info.name);
    }
    q35_runtime_machine(runtime, b->machine, sizeof b->machine);
    return 0;
}

/* Speed suffers where threads take turns; results do not. */
static void warn_of_threads(const bench *b, const q35_runtime *runtime)
{
    uint32_t threads = q35_runtime_n_threads(runtime), quota, cores = q35_runtime_cores(runtime, &quota);
    if (b->options->quiet)
        return;
    if (cores > 0 && threads > cores)
        fprintf(stderr, "q35rt: warning: %" PRIu32 " threads on %" PRIu32 " cores: they take turns\n", threads,
                cores);
    else if (threads > quota)
        fprintf(stderr,
                "q35rt: warning: %" PRIu32 " threads, but the control group allows the time of %" PRIu32
                " CPU%s: they are stopped again and again\n",
                threads, quota, quota == 1 ? "" : "s");
}

/* With all the sequences that its tests need. */
static int open_session(bench *b, q35_runtime *runtime)
{
    const cli_options *o = b->options;
    const uint32_t n = bench_most(&o->batch);
    cli_session_request request = {o->act, o->kv, bench_context(o), bench_chunk(o), 0, n};
    int rc = cli_open_session(runtime, o, &request, &b->engine);
    for (uint32_t i = 1; i < n && rc == 0; i++) {
        q35_status status = q35_session_new(b->engine.session, &b->sequences[i]);
        rc = status == Q35_OK ? 0 : cli_fail_status(status, CLI_WHILE_LOADING);
    }
    return rc;
}

static int add_limits(bench *b)
{
    bench_limits *grown = realloc(b->limits, (b->n_limits + 1) * sizeof *grown);
    if (!grown)
        return cli_fail(CLI_EXIT_FAILED, "bench: out of memory");
    b->limits = grown;
    b->limits[b->n_limits++] = (bench_limits){0};
    return 0;
}

/* The budget holds while tests run, not for what is measured before and after. */
static int run_governed(bench *b, bench_limits *limits)
{
    if (b->governor) {
        q35_status status = q35_governor_restart(b->governor);
        if (status != Q35_OK)
            return cli_fail_status(status, CLI_WHILE_RUNNING);
    }
    int rc = run_tests(b, limits->threads);
    if (b->governor)
        q35_governor_report(b->governor, &limits->power);
    return rc;
}

static int run_threads(bench *b, uint32_t threads)
{
    q35_runtime *runtime = NULL;
    cli_options with = *b->options;
    with.threads = threads;
    int rc = cli_open_runtime(&with, &runtime);
    if (rc == 0)
        rc = describe_devices(b, runtime);
    if (rc == 0 && !b->engine.model)
        rc = open_model(b, runtime);
    if (rc == 0 && !b->ids)
        rc = make_ids(b);
    if (rc == 0) {
        warn_of_threads(b, runtime);
        rc = open_session(b, runtime);
    }
    if (rc == 0)
        rc = add_limits(b);
    if (rc == 0) {
        bench_limits *limits = &b->limits[b->n_limits - 1];
        bench_measure_limits(b, runtime, limits);
        rc = run_governed(b, limits);
        if (rc == 0)
            bench_measure_limits(b, runtime, limits);
    }
    q35_session_destroy(b->engine.session);
    b->engine.session = NULL;
    q35_runtime_destroy(runtime);
    return rc;
}

/* ---- power ---- */

/* "30W", "30", "12.5 W" */
static int open_governor(bench *b)
{
    const char *text = b->options->power_budget;
    char *end;
    double watts = strtod(text, &end);
    end += strspn(end, " ");
    end += *end == 'W' || *end == 'w';
    if (!(text[0] >= '0' && text[0] <= '9') || *end || !(watts > 0) || watts > 1e6)
        return cli_fail(CLI_EXIT_USAGE, "option --power-budget: '%s' found, watts like 30W needed", text);
    q35_status status = q35_governor_create(watts, &b->governor);
    if (status == Q35_E_UNAVAILABLE)
        return cli_fail(CLI_EXIT_POWER, "%s", q35_error_message());
    return status == Q35_OK ? 0 : cli_fail_status(status, CLI_WHILE_RUNNING);
}

static int check_power(const bench *b)
{
    for (uint32_t i = 0; i < b->n_limits; i++) {
        const q35_power_report *p = &b->limits[i].power;
        if (!p->source || p->held || p->seconds <= 0)
            continue;
        char idle[64] = "";
        if (p->idle_watts > 0)
            snprintf(idle, sizeof idle, ", %.1f W in pauses", p->idle_watts);
        return cli_fail(CLI_EXIT_POWER,
                        "power budget: %.1f W used on average over %.1f s%s, at most %.1f W needed (%s)",
                        p->joules / p->seconds, p->seconds, idle, p->watts, p->source);
    }
    return 0;
}

static void bench_free(bench *b)
{
    for (uint32_t i = 0; i < b->n_results; i++) {
        bench_samples_free(&b->results[i].seconds);
        bench_samples_free(&b->results[i].joules);
        bench_profile_free(&b->results[i].profile);
    }
    free(b->results);
    free(b->limits);
    free(b->ids);
    free(b->sequences);
    free(b->entries);
    q35_governor_destroy(b->governor);
    cli_engine_close(&b->engine);
}

int cmd_bench(const cli_options *options)
{
    bench b = {.options = options};
    cli_signals_init(1);
    int rc = check_options(options);
    if (rc == 0 && options->synthetic)
        rc = cli_find_shape(options->synthetic, NULL, &b.shape);
    if (rc == 0 && options->power_budget)
        rc = open_governor(&b);
    for (uint32_t i = 0; i < options->thread_counts.n && rc == 0; i++)
        rc = run_threads(&b, options->thread_counts.item[i]);
    if (b.n_results > 0) { /* also after an interruption */
        int written = bench_report(&b);
        if (written == 0 && options->plot)
            written = bench_plot(&b);
        rc = rc ? rc : written;
    }
    if (rc == 0)
        rc = check_power(&b);
    bench_free(&b);
    return rc;
}
