/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt generate-model: a model of random weights in the exact shape of a released one, or of one's own. */
#include "commands.h"
#include "engine.h"
#include "json_out.h"
#include "shapes.h"
#include "term.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint32_t types[] = {Q35_DT_F32,  Q35_DT_F16,    Q35_DT_BF16,   Q35_DT_Q8_0, Q35_DT_Q4_0, Q35_DT_Q4_1,
                                 Q35_DT_Q5_0, Q35_DT_Q5_1,   Q35_DT_Q2_K,   Q35_DT_Q3_K, Q35_DT_Q4_K, Q35_DT_Q5_K,
                                 Q35_DT_Q6_K, Q35_DT_IQ4_NL, Q35_DT_IQ4_XS, Q35_DT_F8_32};
static const uint32_t layouts[] = {Q35_LAYOUT_GGUF, Q35_LAYOUT_HF, Q35_LAYOUT_MISTRAL};
static const char *const architectures[] = {"llama", "mistral3"};

static void override(uint32_t *number, uint32_t option)
{
    if (option != 0)
        *number = option;
}

static int read_shape(const cli_options *o, q35_shape *out)
{
    *out = (q35_shape){.architecture = "llama", .context = 8192, .rope_base = 1e4f, .tied = 1};
    int rc = cli_find_shape(o->args[0], "custom", out);
    if (rc)
        return rc;
    if (o->arch != CLI_UNSET)
        snprintf(out->architecture, sizeof out->architecture, "%s", architectures[o->arch]);
    override(&out->hidden, o->hidden);
    override(&out->layers, o->layers);
    override(&out->heads, o->heads);
    override(&out->kv_heads, o->kv_heads ? o->kv_heads : out->kv_heads ? 0 : out->heads);
    override(&out->head_dim, o->head_dim                    ? o->head_dim
                             : out->head_dim || !out->heads ? 0
                                                            : out->hidden / out->heads);
    override(&out->ffn, o->ffn);
    override(&out->vocab, o->vocab);
    override(&out->context, o->context);
    if (o->rope_base > 0)
        out->rope_base = o->rope_base;
    if (o->tied != CLI_UNSET)
        out->tied = (int)o->tied;
    return 0;
}

static int on_progress(void *user, uint64_t done, uint64_t total)
{
    const cli_options *options = user;
    term_progress(options->quiet, "generate", done, total);
    return cli_interrupted();
}

static int report(const cli_options *options, const q35_shape *shape, double seconds)
{
    uint64_t linear, weights = q35_shape_weights(shape, &linear);
    if (options->json)
        return json_out(json_pack("{s:o, s:I, s:I, s:o}", "output", json_text(options->args[1]), "weights",
                                  (json_int_t)weights, "layer_weights", (json_int_t)linear, "seconds",
                                  json_number(seconds)));
    if (!options->quiet)
        fprintf(stderr, "%s: %.1f M random weights, %.1f M of them in the layers' matrices, %.1f s\n",
                options->args[1], (double)weights / 1e6, (double)linear / 1e6, seconds);
    return 0;
}

static int generate(const cli_options *options, q35_runtime *runtime, const q35_shape *shape)
{
    q35_generate_options wanted = q35_generate_options_default();
    wanted.layout = layouts[options->layout];
    wanted.dtype = types[options->gen_type];
    wanted.overwrite = options->force;
    wanted.no_tokenizer = options->no_tokenizer;
    wanted.seed = options->seed;
    wanted.progress = on_progress;
    wanted.user = (void *)(uintptr_t)options; /* only read */
    double start = term_now();
    q35_status status = q35_generate_model(runtime, shape, options->args[1], &wanted);
    term_progress_clear();
    return status == Q35_OK ? report(options, shape, term_now() - start)
                            : cli_fail_status(status, CLI_WHILE_WRITING);
}

int cmd_generate_model(const cli_options *options)
{
    q35_runtime *runtime = NULL;
    q35_shape shape;
    struct stat st;
    cli_signals_init(0);
    int rc = read_shape(options, &shape);
    if (rc == 0 && stat(options->args[1], &st) == 0 && S_ISDIR(st.st_mode))
        rc = cli_fail(CLI_EXIT_USAGE, "output %s: is a directory, need a new name", options->args[1]);
    if (rc == 0 && !options->force && access(options->args[1], F_OK) == 0)
        rc = cli_fail(CLI_EXIT_USAGE, "output %s: exists, --force needed to replace it", options->args[1]);
    if (rc == 0)
        rc = cli_open_runtime(options, &runtime);
    if (rc == 0)
        rc = generate(options, runtime, &shape);
    q35_runtime_destroy(runtime);
    return rc;
}
