/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt compare: what is compared with what. A side is a model, or logits that `run --dump-logits` wrote: f32
 * [tokens][vocabulary] without a head, so that a file that is no model is taken for one if its size fits. */
#define _GNU_SOURCE
#include "compare.h"

#include "eval.h"
#include "prompt.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEFAULT_CHUNK 128u /* rows of logits held at once, per side */

/* A regular file without GGUF's magic. */
static int is_no_model(const char *path)
{
    struct stat info;
    char magic[4] = "";
    int regular = stat(path, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0;
    FILE *f = regular ? fopen(path, "rb") : NULL;
    if (!f)
        return 0;
    size_t n = fread(magic, 1, sizeof magic, f);
    fclose(f);
    return n != sizeof magic || memcmp(magic, "GGUF", sizeof magic) != 0;
}

/* One model on two devices: the list is one device for each. */
static int split_devices(comparison *c, char *pair)
{
    char *comma = pair ? strchr(pair, ',') : NULL;
    if (!comma || comma == pair || !comma[1] || strchr(comma + 1, ','))
        return cli_fail(CLI_EXIT_USAGE,
                        "compare: one file and %s%s found, two files, or --device A,B of two devices needed",
                        pair ? "--device " : "no --device", pair ? pair : "");
    *comma = '\0';
    c->side[0].devices = pair;
    c->side[1].devices = comma + 1;
    return 0;
}

static int choose_sides(comparison *c)
{
    const cli_options *o = c->options;
    c->side[0].path = o->args[0];
    c->side[1].path = o->args[o->n_args - 1];
    if (o->device_b) {
        c->side[0].devices = o->device;
        c->side[1].devices = o->device_b;
    } else if (o->n_args == 1) {
        c->pair = o->device ? strdup(o->device) : NULL;
        if (o->device && !c->pair)
            return cli_fail(CLI_EXIT_NOFIT, "compare: out of memory");
        return split_devices(c, c->pair);
    } else {
        c->side[0].devices = c->side[1].devices = o->device;
    }
    return 0;
}

/* Opens models; leaves a side without one where its file is none, but never both. */
static int open_models(comparison *c)
{
    int rc = 0, other[2] = {is_no_model(c->side[0].path), is_no_model(c->side[1].path)};
    for (int s = 0; s < 2 && rc == 0; s++)
        if (!other[s] || other[0] == other[1])
            rc = cli_open_model(c->side[s].path, &c->side[s].engine);
    return rc;
}

/* The side whose tokenizer, vocabulary and layers count. */
static compare_side *first_model(comparison *c)
{
    return &c->side[c->side[0].engine.model ? 0 : 1];
}

static int check_vocabularies(const comparison *c)
{
    const compare_side *a = &c->side[0], *b = &c->side[1];
    if (!a->engine.model || !b->engine.model)
        return 0;
    if (a->engine.config.vocab != b->engine.config.vocab)
        return cli_fail(CLI_EXIT_MODEL, "%s: vocabulary of %" PRIu32 " found, %" PRIu32 " as that of %s needed",
                        b->path, b->engine.config.vocab, a->engine.config.vocab, a->path);
    if (a->engine.tokenizer && b->engine.tokenizer &&
        eval_vocab_hash(a->engine.tokenizer) != eval_vocab_hash(b->engine.tokenizer))
        return cli_fail(CLI_EXIT_MODEL, "%s: another vocabulary found, that of %s needed", b->path, a->path);
    return 0;
}

/* Two runs over ids need no tokenizer. */
static int open_tokenizers(comparison *c)
{
    int rc = 0;
    for (int s = 0; s < 2 && rc == 0; s++) {
        cli_engine *engine = &c->side[s].engine;
        if (engine->model && (!c->options->ids || q35_model_meta(engine->model, "tokenizer.ggml.model")))
            rc = cli_open_tokenizer(engine);
    }
    return rc;
}

static int check_layers(comparison *c)
{
    const compare_side *a = &c->side[0], *b = &c->side[1];
    const q35_model_config *x = &a->engine.config, *y = &b->engine.config;
    if (!a->engine.model || !b->engine.model)
        return cli_fail(CLI_EXIT_USAGE, "--layers found with logits file %s, two models needed",
                        a->engine.model ? b->path : a->path);
    if (x->n_layers != y->n_layers || x->hidden != y->hidden)
        return cli_fail(CLI_EXIT_MODEL,
                        "%s: %" PRIu32 " layers of %" PRIu32 " found, %" PRIu32 " layers of %" PRIu32 " as of %s "
                        "needed",
                        b->path, y->n_layers, y->hidden, x->n_layers, x->hidden, a->path);
    c->hidden = x->hidden;
    c->n_layers = x->n_layers;
    c->layers = calloc(c->n_layers, sizeof *c->layers);
    if (!c->layers)
        return cli_fail(CLI_EXIT_NOFIT, "compare: out of memory");
    for (uint32_t l = 0; l < c->n_layers; l++)
        compare_values_init(&c->layers[l]);
    return 0;
}

static int check_fits(const comparison *c)
{
    for (int s = 0; s < 2; s++) {
        const cli_engine *engine = &c->side[s].engine;
        if (engine->model && c->n_ids > engine->config.context_length)
            return cli_fail(CLI_EXIT_NOFIT,
                            "prompt: %" PRIu64 " tokens found, at most %" PRIu32 " fit (the context of %s)",
                            c->n_ids, engine->config.context_length, c->side[s].path);
    }
    return 0;
}

static int open_dump(const comparison *c, compare_side *side)
{
    struct stat info;
    uint64_t need = c->n_ids * c->vocab * sizeof(float); /* ids and vocabulary fit 32 bits */
    side->dump = fopen(side->path, "rb");
    if (!side->dump || fstat(fileno(side->dump), &info) != 0)
        return cli_fail(CLI_EXIT_MODEL, "logits file %s: cannot open", side->path);
    if ((uint64_t)info.st_size != need)
        return cli_fail(CLI_EXIT_MODEL,
                        "%s: neither a model nor logits of this prompt: %" PRIu64 " bytes found, %" PRIu64
                        " (%" PRIu64 " tokens x %" PRIu32 " x 4) needed",
                        side->path, (uint64_t)info.st_size, need, c->n_ids, c->vocab);
    side->rows = malloc((size_t)c->chunk * c->vocab * sizeof *side->rows);
    return side->rows ? 0 : cli_fail(CLI_EXIT_NOFIT, "logits file %s: out of memory", side->path);
}

static int open_side(comparison *c, compare_side *side, q35_runtime *runtime)
{
    if (!side->engine.model)
        return open_dump(c, side);
    cli_options options = *c->options;
    options.device = side->devices;
    const cli_session_request request = {options.act, options.kv, (uint32_t)c->n_ids, c->chunk, 1, 1};
    return cli_open_session(runtime, &options, &request, &side->engine);
}

int compare_open(comparison *c, q35_runtime *runtime)
{
    const cli_options *o = c->options;
    compare_logits_init(&c->logits);
    int rc = choose_sides(c);
    if (rc == 0)
        rc = open_models(c);
    if (rc == 0)
        rc = open_tokenizers(c);
    if (rc == 0)
        rc = check_vocabularies(c);
    if (rc == 0 && o->layer_outputs)
        rc = check_layers(c);
    if (rc == 0)
        rc = prompt_ids(o, &first_model(c)->engine, &c->ids, &c->n_ids);
    if (rc == 0)
        rc = check_fits(c);
    if (rc)
        return rc;
    c->vocab = first_model(c)->engine.config.vocab;
    c->chunk = o->chunk ? o->chunk : DEFAULT_CHUNK;
    c->chunk = c->chunk > c->n_ids ? (uint32_t)c->n_ids : c->chunk;
    for (int s = 0; s < 2 && rc == 0; s++)
        rc = open_side(c, &c->side[s], runtime);
    return rc;
}

void compare_close(comparison *c)
{
    for (int s = 0; s < 2; s++) {
        cli_engine_close(&c->side[s].engine);
        if (c->side[s].dump)
            fclose(c->side[s].dump);
        free(c->side[s].rows);
    }
    free(c->ids);
    free(c->layers);
    free(c->pair);
}
