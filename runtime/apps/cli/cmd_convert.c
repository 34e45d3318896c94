/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt convert: a model to a 3.5-bit file, calibrated on a text. A signal cancels between two steps of the
 * work; the output appears whole or not at all. */
#define _GNU_SOURCE
#include "commands.h"
#include "convert_plan.h"
#include "engine.h"
#include "json_out.h"
#include "skipped.h"
#include "term.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The work in progress. */
typedef struct conversion {
    const cli_options *options;
    uint64_t expected; /* most memory, as told before it began, bytes */
    uint64_t peak;     /* most memory seen beside mapped files, bytes; 0: unknown */
    convert_plan plan;
} conversion;

/* Memory of the process that is not pages of files; 0: unknown. */
static uint64_t private_bytes(void)
{
    unsigned long long size, resident, shared;
    FILE *file = fopen("/proc/self/statm", "re");
    int n = file ? fscanf(file, "%llu %llu %llu", &size, &resident, &shared) : 0;
    if (file)
        fclose(file);
    return n == 3 && resident > shared ? (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static int on_progress(void *user, uint32_t stage, uint64_t done, uint64_t total)
{
    static const char *const names[] = {"calibrate", "codebook", "measure", "quantise", "write"};
    conversion *c = user;
    const cli_options *options = c->options;
    uint64_t now = private_bytes();
    c->peak = now > c->peak ? now : c->peak;
    if (stage < sizeof names / sizeof *names)
        term_progress(options->quiet, names[stage], done, total);
    return cli_interrupted();
}

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

/* What it will take, before it begins. */
static void on_needs(void *user, const q35_convert_needs *needs)
{
    conversion *c = user;
    c->expected = needs->memory;
    if (c->options->quiet)
        return;
    fputs("convert: ", stderr);
    if (needs->windows)
        fprintf(stderr, "%" PRIu64 " windows of 512 tokens, ", needs->windows);
    fprintf(stderr, "at most %.0f MiB of memory", mib(needs->memory));
    if (needs->hidden)
        fprintf(stderr, " (hidden states: %.0f MiB%s)", mib(needs->hidden),
                needs->hidden_in_file ? " in a file" : "");
    fputs("\n", stderr);
}

static void on_frontier(void *user, double bits, double kl)
{
    convert_plan_frontier(&((conversion *)user)->plan, bits, kl);
}

static void on_choice(void *user, const q35_convert_choice *choice)
{
    convert_plan_choice(&((conversion *)user)->plan, choice);
}

/* What goes together and what does not. */
static int check_options(const cli_options *o)
{
    int feedback = !o->fast && !o->no_calibration && o->codec == 0;
    if (o->target_bpw > 0 && !feedback)
        return cli_fail(CLI_EXIT_USAGE,
                        "--target-bpw found with --fast, --codec or --no-calibration, need one of them");
    if (o->linears && !(o->target_bpw > 0))
        return cli_fail(CLI_EXIT_USAGE, "--linears found without a target, --target-bpw B needed");
    if (o->plot && !(o->target_bpw > 0))
        return cli_fail(CLI_EXIT_USAGE, "--plot found without a target, --target-bpw B needed");
    return 0;
}

static int append(const char *path, char **text, uint64_t *len)
{
    char *more;
    uint64_t n;
    int rc = cli_read_file(path, "calibration text", &more, &n);
    if (rc)
        return rc;
    char *grown = realloc(*text, (size_t)(*len + n + 1));
    if (grown) {
        memcpy(grown + *len, more, (size_t)n + 1);
        *text = grown;
        *len += n;
    }
    free(more);
    return grown ? 0 : cli_fail(CLI_EXIT_NOFIT, "calibration text %s: out of memory", path);
}

static int default_text(char **text, uint64_t *len)
{
    char *path = cli_share_path("calibration.txt");
    int rc;
    if (!path || access(path, R_OK) != 0)
        rc = cli_fail(CLI_EXIT_USAGE, "calibration text %s: %s: --calibration FILE or --no-calibration needed",
                      path ? path : "calibration.txt", strerror(errno));
    else
        rc = append(path, text, len);
    free(path);
    return rc;
}

/* *text NULL: no calibration. */
static int read_calibration(const cli_options *options, char **text, uint64_t *len)
{
    if (options->no_calibration && options->calibration.n)
        return cli_fail(CLI_EXIT_USAGE, "--calibration and --no-calibration found, at most one of them allowed");
    if (options->no_calibration)
        return 0;
    int rc = options->calibration.n ? 0 : default_text(text, len);
    for (uint32_t i = 0; i < options->calibration.n && rc == 0; i++)
        rc = append(options->calibration.item[i], text, len);
    if (rc == 0 && *len == 0)
        rc = cli_fail(CLI_EXIT_USAGE, "calibration text: 0 bytes found, text of at least one window needed");
    return rc;
}

static double per_weight(uint64_t bytes, uint64_t weights)
{
    return weights ? 8 * (double)bytes / (double)weights : 0;
}

static int report(const conversion *c, const q35_model *in, const q35_convert_result *r, double seconds)
{
    const cli_options *options = c->options;
    uint64_t in_bytes = q35_model_file_bytes(in);
    double bits = per_weight(r->weight_bytes, r->weights), padded = per_weight(r->padded_bytes, r->weights);
    if (options->json)
        return json_out(json_pack(
            "{s:o, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:I, s:o, s:I, s:I}", "output",
            json_text(options->args[1]), "tensors", (json_int_t)r->tensors, "weights", (json_int_t)r->weights,
            "source_bytes", (json_int_t)in_bytes, "file_bytes", (json_int_t)r->file_bytes, "padded_bytes",
            (json_int_t)r->padded_bytes, "bits_per_weight", json_number(bits), "bits_per_weight_padded",
            json_number(padded), "relative_error", json_number(r->relative_error), "calibration_tokens",
            (json_int_t)r->calibration_tokens, "seconds", json_number(seconds), "peak_bytes", (json_int_t)c->peak,
            "expected_peak_bytes", (json_int_t)c->expected));
    if (options->quiet)
        return 0;
    fprintf(stderr, "%s: %.1f MB, was %.1f MB\n", options->args[1], (double)r->file_bytes / 1e6,
            (double)in_bytes / 1e6);
    fprintf(stderr, "%" PRIu64 " tensors of %.1f M weights in %.3f bits per weight (%.3f with row padding)\n",
            r->tensors, (double)r->weights / 1e6, bits, padded);
    fprintf(stderr, "relative error %.5f, %" PRIu64 " calibration tokens, %.1f s", r->relative_error,
            r->calibration_tokens, seconds);
    if (c->peak > 0)
        fprintf(stderr, ", %.0f MiB of memory beside mapped files", mib(c->peak));
    fputc('\n', stderr);
    return 0;
}

static int convert(const cli_options *options, q35_runtime *runtime, const q35_model *in, const char *text,
                   uint64_t len)
{
    q35_convert_options wanted = q35_convert_options_default();
    conversion c = {.options = options};
    wanted.method = options->no_calibration           ? Q35_METHOD_PLAIN
                    : options->fast || options->codec ? Q35_METHOD_FAST
                                                      : Q35_METHOD_FEEDBACK;
    wanted.codec = options->codec == 2 ? Q35_CODEC_SPLIT : Q35_CODEC_PAIR;
    wanted.overwrite = options->force;
    wanted.seed = options->seed;
    wanted.calibration_text = text;
    wanted.calibration_len = len;
    wanted.memory = options->memory;
    wanted.needs = on_needs;
    wanted.progress = on_progress;
    wanted.user = &c;
    wanted.target_bpw = (double)options->target_bpw;
    wanted.target_linears = options->linears;
    wanted.keep = options->keep.item;
    wanted.n_keep = options->keep.n;
    wanted.only = options->only.item;
    wanted.n_only = options->only.n;
    if (options->target_bpw > 0) {
        wanted.frontier = on_frontier;
        wanted.choice = on_choice;
        c.plan.linears = options->linears;
    }
    q35_convert_result result = {0};
    double start = term_now();
    q35_status status = q35_convert(runtime, in, options->args[1], &wanted, &result);
    term_progress_clear();
    int rc = status == Q35_OK ? report(&c, in, &result, term_now() - start)
                              : cli_fail_status(status, CLI_WHILE_WRITING);
    if (rc == 0 && wanted.choice && !options->quiet && !options->json)
        rc = convert_plan_print(&c.plan, options->verbose > 0);
    if (rc == 0 && options->plot)
        rc = convert_plan_draw(&c.plan, options->plot);
    convert_plan_free(&c.plan);
    return rc;
}

int cmd_convert(const cli_options *options)
{
    cli_signals_init(0);
    q35_runtime *runtime = NULL;
    q35_model *in = NULL;
    char *text = NULL;
    uint64_t len = 0;
    int rc = check_options(options);
    if (rc == 0 && !options->force && access(options->args[1], F_OK) == 0)
        rc = cli_fail(CLI_EXIT_USAGE, "output %s: exists, --force needed to replace it", options->args[1]);
    q35_status status = rc ? Q35_OK : q35_model_open(options->args[0], &in);
    if (status != Q35_OK)
        rc = cli_fail_status(status, CLI_WHILE_OPENING_MODEL);
    if (rc == 0)
        cli_note_skipped(options, in);
    if (rc == 0)
        rc = read_calibration(options, &text, &len);
    if (rc == 0)
        rc = cli_open_runtime(options, &runtime);
    if (rc == 0)
        rc = convert(options, runtime, in, text, len);
    free(text);
    q35_runtime_destroy(runtime);
    q35_model_close(in);
    return rc;
}
