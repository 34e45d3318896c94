/* SPDX-License-Identifier: Apache-2.0
 *
 * A conversion: which tensor becomes what, then the coded ones one after another into the journal, then the output
 * out of the journal and the source. Killed at any point and run again it goes on with the tensor it was at. */
#define XXH_STATIC_LINKING_ONLY /* for a hash state on the stack */
#include "runtime/session/convert.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/path_tail.h"
#include "runtime/model/model_file.h"
#include "runtime/model/q35_keys.h"
#include "runtime/quant/format.h"
#include "runtime/quant/linalg.h"
#include "runtime/quant/tensor.h"
#include "runtime/session/allocate.h"
#include "runtime/session/rules.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#define PROGRAM_VERSION 4u /* changes when the same options give other bytes */

q35_convert_options q35_convert_options_default(void)
{
    return (q35_convert_options){.method = Q35_METHOD_FEEDBACK, .codec = Q35_CODEC_PAIR, .seed = 1};
}

bool q35i_is_linear(const q35_tensor_info *info)
{
    return info->rank == 2 && strncmp(info->name, "blk.", 4) == 0;
}

bool q35i_in_layer(const q35_tensor_info *info, uint32_t layer)
{
    char *end;
    return strncmp(info->name, "blk.", 4) == 0 && info->name[4] >= '0' && info->name[4] <= '9' &&
           strtoul(info->name + 4, &end, 10) == layer && *end == '.';
}

q35_status q35i_convert_progress(const q35_convert_options *options, uint32_t stage, uint64_t done, uint64_t total)
{
    if (options->progress && options->progress(options->user, stage, done, total) != 0)
        return options->method == Q35_METHOD_FEEDBACK
                   ? Q35_FAIL(Q35_E_CANCELLED, "conversion: cancelled, run it again to go on from here")
                   : Q35_FAIL(Q35_E_CANCELLED, "conversion: cancelled, no file was written");
    return Q35_OK;
}

/* ---- what to convert ---- */

static q35_status check_source(q35i_conversion *c)
{
    const q35_convert_options *o = c->options;
    if (o->method > Q35_METHOD_PLAIN)
        return Q35_FAIL(Q35_E_INVALID, "method: %u, need feedback (%d), fast (%d) or plain (%d)", o->method,
                        Q35_METHOD_FEEDBACK, Q35_METHOD_FAST, Q35_METHOD_PLAIN);
    if (o->codec != Q35_CODEC_PAIR && o->codec != Q35_CODEC_SPLIT)
        return Q35_FAIL(Q35_E_INVALID, "codec: %u, need pair (%d) or split (%d)", o->codec, Q35_CODEC_PAIR,
                        Q35_CODEC_SPLIT);
    if (o->target_bpw > 0 && o->method != Q35_METHOD_FEEDBACK)
        return Q35_FAIL(Q35_E_INVALID, "target: %g bits per weight without error feedback, need both or none",
                        o->target_bpw);
    if (o->method != Q35_METHOD_PLAIN && !o->calibration_text)
        return Q35_FAIL(Q35_E_INVALID, "calibration text: none, need one for any method but plain");
    if (q35_model_meta(c->in, Q35I_KEY_VERSION))
        return Q35_FAIL(Q35_E_INVALID, "%s: has 3.5-bit tensors already, need the model it was made from",
                        q35i_path_tail(q35_model_path(c->in)));
    if (o->method == Q35_METHOD_FEEDBACK)
        Q35_TRY(q35i_linalg_open());
    return q35_model_read_config(c->in, &c->config);
}

/* Writing over the source would destroy it, also under another name of the same file. */
static q35_status check_output(const q35i_conversion *c, const char *path)
{
    struct stat in, out;
    int there = stat(path, &out) == 0;
    if (stat(q35_model_path(c->in), &in) == 0 && there && in.st_dev == out.st_dev && in.st_ino == out.st_ino)
        return Q35_FAIL(Q35_E_INVALID, "output %s: is the source itself, need another file", q35i_path_tail(path));
    if (there && !c->options->overwrite)
        return Q35_FAIL(Q35_E_INVALID, "output %s: exists, need another name or to overwrite it",
                        q35i_path_tail(path));
    return Q35_OK;
}

/* Type of a tensor that is not coded. */
static uint32_t kept_type(const q35_tensor_info *info)
{
    int full = info->dtype == Q35_DT_F32 || info->dtype == Q35_DT_F16 || info->dtype == Q35_DT_BF16 ||
               info->dtype == Q35_DT_F8_32;
    return full && info->rank == 2 && info->dim[0] % 32 == 0 ? Q35_DT_Q8_0 : info->dtype;
}

static uint32_t coded_type(const q35_convert_options *o)
{
    if (o->method == Q35_METHOD_FEEDBACK)
        return Q35_DT_Q35_ROW;
    return o->codec == Q35_CODEC_PAIR ? Q35_DT_Q35_PAIR : Q35_DT_Q35_SPLIT;
}

static bool fits_row_types(const q35_tensor_info *info)
{
    return info->rank == 2 && info->dim[0] <= Q35I_MAX_ROW_INPUTS;
}

static void list_target(q35i_conversion *c, uint64_t i, q35i_rules *rules)
{
    const q35_convert_options *o = c->options;
    q35i_target *t = &c->targets[i];
    *t = (q35i_target){.info = q35_model_tensor_at(c->in, i),
                       .index = (uint32_t)i,
                       .sensitivity = (double)NAN,
                       .expected = (double)NAN};
    bool linear = q35i_is_linear(t->info), quantise = linear && q35i_rules_quantise(rules, t->info->name);
    uint32_t coded = coded_type(o);
    t->kept = kept_type(t->info);
    t->dtype = quantise && (!q35_is_row_type(coded) || fits_row_types(t->info)) ? coded : t->kept;
    t->choosable = o->target_bpw > 0 && fits_row_types(t->info) && (quantise || (!linear && !o->target_linears));
    if (t->choosable)
        t->dtype = Q35_DT_Q35_ROW; /* until the allocation says otherwise */
}

static q35_status list_targets(q35i_conversion *c)
{
    const q35_convert_options *o = c->options;
    const q35i_rule_texts texts = {o->keep, o->only, o->n_keep, o->n_only};
    q35i_rules *rules;
    c->n_targets = q35_model_n_tensors(c->in);
    c->targets = q35i_calloc(c->n_targets, sizeof *c->targets);
    if (!c->targets)
        return Q35_E_NOMEM;
    Q35_TRY(q35i_rules_create(&texts, &rules));
    for (uint64_t i = 0; i < c->n_targets; i++)
        list_target(c, i, rules);
    q35_status status = q35i_rules_check(rules);
    q35i_rules_destroy(rules);
    return status;
}

/* After the types are settled. */
static void count_coded(q35i_conversion *c)
{
    for (uint64_t i = 0; i < c->n_targets; i++) {
        q35i_target *t = &c->targets[i];
        if (!q35i_is_coded(t->dtype))
            continue;
        if (!t->finished)
            t->activation = q35_is_row_type(t->dtype) ? Q35_DT_A8_ROW : Q35_DT_A8_32;
        c->n_weights += (uint64_t)t->info->dim[0] * (uint64_t)t->info->dim[1];
    }
}

static const char *type_name(uint32_t dtype)
{
    return q35i_codec_name(dtype) ? q35i_codec_name(dtype) : q35_dtype_describe(dtype).name;
}

static void tell_choices(const q35i_conversion *c)
{
    for (uint64_t i = 0; i < c->n_targets && c->options->choice; i++) {
        const q35i_target *t = &c->targets[i];
        if (t->info->rank != 2)
            continue;
        uint64_t k = (uint64_t)t->info->dim[0], n = (uint64_t)t->info->dim[1];
        const q35_convert_choice choice = {.tensor = t->info->name,
                                           .type = type_name(t->dtype),
                                           .weights = k * n,
                                           .bytes = t->dtype == t->info->dtype ? t->info->bytes
                                                                               : n * q35_row_bytes(t->dtype, k),
                                           .linear = q35i_is_linear(t->info),
                                           .sensitivity = t->sensitivity,
                                           .expected = t->expected};
        c->options->choice(c->options->user, &choice);
    }
}

/* FORMAT names the first weight of a matrix that is NaN or infinite. */
static q35_status check_weights(const q35i_conversion *c)
{
    const q35i_encoding encoding = {.dtype = Q35_DT_Q8_0, .pool = c->pool}; /* the weights themselves */
    for (uint64_t i = 0; i < c->n_targets; i++) {
        const q35i_linear matrix = {.info = c->targets[i].info};
        q35i_row_error none;
        if (matrix.info->rank == 2)
            Q35_TRY(q35i_tensor_measure(&encoding, &matrix, NULL, &none));
    }
    return Q35_OK;
}

/* ---- the journal ---- */

/* Everything that decides the bytes. */
static void fingerprint(const q35i_conversion *c, uint8_t out[16])
{
    const q35_convert_options *o = c->options;
    const uint64_t about[] = {PROGRAM_VERSION, o->method, o->codec, o->seed, o->calibration_len};
    uint8_t model[16];
    XXH128_canonical_t digest;
    XXH3_state_t state;
    (void)q35i_model_fingerprint(c->in, model);
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, model, sizeof model);
    XXH3_128bits_update(&state, about, sizeof about);
    for (uint32_t i = 0; i < o->n_keep + o->n_only; i++) {
        const char *rule = i < o->n_keep ? o->keep[i] : o->only[i - o->n_keep];
        XXH3_128bits_update(&state, rule, strlen(rule) + 1);
    }
    XXH3_128bits_update(&state, o->calibration_text ? o->calibration_text : "", (size_t)o->calibration_len);
    XXH128_canonicalFromHash(&digest, XXH3_128bits_digest(&state));
    memcpy(out, digest.digest, sizeof digest.digest);
}

/* A tensor's codes depend on the types of those before it, so another plan begins anew. */
static void number_plan(q35i_conversion *c)
{
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    for (uint64_t i = 0; i < c->n_targets; i++)
        XXH3_64bits_update(&state, &c->targets[i].dtype, sizeof c->targets[i].dtype);
    c->plan = (uint32_t)XXH3_64bits_digest(&state) | 2; /* not Q35I_PASS_MEASURE */
}

/* What an earlier run finished, with the types of this one. */
static void resume(q35i_conversion *c)
{
    for (uint64_t i = 0; i < c->n_targets; i++) {
        q35i_target *t = &c->targets[i];
        const q35i_finished *done =
            q35i_is_coded(t->dtype) ? q35i_journal_find(c->journal, t->index, c->plan) : NULL;
        if (!done || done->dtype != t->dtype)
            continue;
        t->done = *done;
        t->activation = done->activation;
        t->rotation_width = done->rotation_width;
        t->rotation_seed = done->rotation_seed;
        t->finished = true;
        c->result.resumed++;
    }
}

q35_status q35i_convert_finish_tensor(q35i_conversion *c, q35i_target *t, const void *bytes,
                                      const q35i_row_error *error)
{
    t->done.tensor = t->index;
    t->done.dtype = t->dtype;
    t->done.activation = t->activation;
    t->done.rotation_width = t->rotation_width;
    t->done.rotation_seed = t->rotation_seed;
    t->done.largest = error->largest;
    t->done.squares = error->squares;
    t->done.weight_squares = error->weight_squares;
    t->done.bytes = q35_row_bytes(t->dtype, (uint64_t)t->info->dim[0]) * (uint64_t)t->info->dim[1];
    Q35_TRY(q35i_journal_append(c->journal, &t->done, c->plan, bytes));
    t->done = *q35i_journal_find(c->journal, t->index, c->plan);
    t->finished = true;
    return Q35_OK;
}

q35_status q35i_convert_read_tensor(const q35i_conversion *c, const q35i_target *t, void *bytes)
{
    return q35i_journal_read(c->journal, q35i_journal_find(c->journal, t->index, c->plan), bytes);
}

/* ---- all of it ---- */

/* Bits of codes and scales, without the padding of whole groups. */
static uint64_t weight_bits(const q35i_target *t)
{
    uint64_t k = (uint64_t)t->info->dim[0], n = (uint64_t)t->info->dim[1];
    q35_dtype_info type = q35_dtype_describe(t->dtype);
    return 8 * (type.row_head * n + n * k * type.block_bytes / type.block_len);
}

static void sum_up(q35i_conversion *c)
{
    q35i_row_error sum = {0};
    uint64_t bits = 0;
    for (uint64_t i = 0; i < c->n_targets; i++) {
        const q35i_target *t = &c->targets[i];
        if (!q35i_is_coded(t->dtype))
            continue;
        const q35i_row_error error = {t->done.largest, t->done.squares, t->done.weight_squares};
        q35i_row_error_add(&sum, &error);
        bits += weight_bits(t);
        c->result.padded_bytes += t->done.bytes;
        c->result.tensors++;
    }
    c->result.weights = c->n_weights;
    c->result.weight_bytes = (bits + 7) / 8;
    c->result.relative_error = q35i_row_error_relative(&sum);
}

/* Activations that are not finite mostly come from such weights, and naming those helps more. */
static q35_status quantise(q35i_conversion *c)
{
    q35_status status = c->options->method == Q35_METHOD_FEEDBACK ? q35i_convert_layers(c) : q35i_convert_fast(c);
    if (status == Q35_E_FORMAT && c->options->method != Q35_METHOD_PLAIN)
        Q35_TRY(check_weights(c));
    return status;
}

/* After a failure: what took long is kept for the next run, unless that would fail as well. */
static void leave_journal(q35i_conversion *c, q35_status status)
{
    if (c->options->method == Q35_METHOD_FEEDBACK && status != Q35_E_FORMAT && c->journal &&
        q35i_journal_count(c->journal) > 0)
        q35i_journal_close(c->journal);
    else
        q35i_journal_remove(c->journal);
}

q35_status q35_convert(q35_runtime *runtime, const q35_model *in, const char *path,
                       const q35_convert_options *options, q35_convert_result *out)
{
    q35_status status;
    uint8_t id[16];
    const q35_convert_options defaults = q35_convert_options_default();
    q35i_conversion c = {.runtime = runtime,
                         .pool = q35i_runtime_pool(runtime),
                         .in = in,
                         .path = path,
                         .options = options ? options : &defaults};
    if (out)
        *out = (q35_convert_result){0};
    Q35_TRY_GOTO(check_source(&c), out);
    Q35_TRY_GOTO(check_output(&c, path), out);
    Q35_TRY_GOTO(list_targets(&c), out);
    if (c.options->method != Q35_METHOD_PLAIN)
        Q35_TRY_GOTO(q35i_calibration_read(&c), out);
    Q35_TRY_GOTO(q35i_convert_memory(&c), out);
    fingerprint(&c, id);
    Q35_TRY_GOTO(q35i_journal_open(path, id, &c.journal), out);
    if (c.options->target_bpw > 0)
        Q35_TRY_GOTO(q35i_allocate(&c), out);
    tell_choices(&c);
    number_plan(&c);
    resume(&c);
    count_coded(&c);
    Q35_TRY_GOTO(quantise(&c), out);
    sum_up(&c);
    Q35_TRY_GOTO(q35i_convert_write(&c, path), out);
    q35i_journal_remove(c.journal);
    c.journal = NULL;
    if (out)
        *out = c.result;
out:
    leave_journal(&c, status);
    for (uint64_t i = 0; c.targets && i < c.n_targets; i++)
        q35i_free(c.targets[i].importance);
    q35i_free(c.targets);
    q35i_free(c.ids);
    return status;
}
