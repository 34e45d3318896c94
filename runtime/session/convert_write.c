/* SPDX-License-Identifier: Apache-2.0
 *
 * The output of a conversion: header, then the tensors in the order of the source, coded ones from the journal and
 * the others from the source. One tensor is in memory at a time; pages of the source are let go behind it. */
#include "runtime/session/convert.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/path_tail.h"
#include "runtime/base/size.h"
#include "runtime/model/gguf_write.h"
#include "runtime/model/model.h"
#include "runtime/model/q35_keys.h"
#include "runtime/quant/format.h"
#include "runtime/quant/gaussian.h"
#include "runtime/quant/tensor.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct writing {
    q35i_conversion *c;
    q35i_gguf_writer *writer;
    q35i_target **coded; /* [n_coded] */
    uint64_t n_coded;
} writing;

/* ---- header ---- */

static bool starts_with(q35_string s, const char *prefix)
{
    size_t len = strlen(prefix);
    return s.len >= len && memcmp(s.data, prefix, len) == 0;
}

/* All of the source's but its own file type, for which no registered number would be true any more. */
static q35_status copy_metadata(writing *w)
{
    static const char file_type[] = "general.file_type";
    for (uint64_t i = 0; i < q35_model_n_meta(w->c->in); i++) {
        const q35_meta *m = q35_model_meta_at(w->c->in, i);
        if (starts_with(m->key, "q35.") || (m->key.len == strlen(file_type) && starts_with(m->key, file_type)))
            continue;
        Q35_TRY(q35i_gguf_writer_copy(w->writer, m));
    }
    return Q35_OK;
}

/* The certificate is an upper bound, so its rounding is up. */
static float round_up(double x)
{
    float f = (float)x;
    return (double)f < x ? nextafterf(f, HUGE_VALF) : f;
}

/* The per-tensor arrays of the header. */
typedef struct arrays {
    const char **names, **codecs;
    uint64_t *dims, *seed, *checksum;
    uint32_t *width, *block;
    float *max_error, *relative_error;
} arrays;

static void arrays_free(arrays *a)
{
    q35i_free(a->names);
    q35i_free(a->codecs);
    q35i_free(a->dims);
    q35i_free(a->seed);
    q35i_free(a->checksum);
    q35i_free(a->width);
    q35i_free(a->block);
    q35i_free(a->max_error);
    q35i_free(a->relative_error);
}

static q35_status arrays_alloc(arrays *a, uint64_t n)
{
    a->names = q35i_calloc(n, sizeof *a->names);
    a->codecs = q35i_calloc(n, sizeof *a->codecs);
    a->dims = q35i_calloc(n, 2 * sizeof *a->dims);
    a->seed = q35i_calloc(n, sizeof *a->seed);
    a->checksum = q35i_calloc(n, sizeof *a->checksum);
    a->width = q35i_calloc(n, sizeof *a->width);
    a->block = q35i_calloc(n, sizeof *a->block);
    a->max_error = q35i_calloc(n, sizeof *a->max_error);
    a->relative_error = q35i_calloc(n, sizeof *a->relative_error);
    return a->names && a->codecs && a->dims && a->seed && a->checksum && a->width && a->block && a->max_error &&
                   a->relative_error
               ? Q35_OK
               : Q35_E_NOMEM;
}

static uint32_t activation_block(uint32_t activation)
{
    return activation == Q35_DT_A8_32 ? Q35_ACT_BLOCK : activation == Q35_DT_A8_128 ? Q35_ACT_GROUP : 0;
}

static void arrays_fill(const writing *w, arrays *a)
{
    for (uint64_t i = 0; i < w->n_coded; i++) {
        const q35i_target *t = w->coded[i];
        const q35i_row_error error = {t->done.largest, t->done.squares, t->done.weight_squares};
        a->names[i] = t->info->name;
        a->codecs[i] = q35i_codec_name(t->dtype);
        a->dims[2 * i] = (uint64_t)t->info->dim[0];
        a->dims[2 * i + 1] = (uint64_t)t->info->dim[1];
        a->seed[i] = t->rotation_seed;
        a->width[i] = t->rotation_width;
        a->block[i] = activation_block(t->activation);
        a->max_error[i] = round_up(error.largest);
        a->relative_error[i] = (float)q35i_row_error_relative(&error);
        a->checksum[i] = t->done.checksum;
    }
}

static q35_status add_tensor_keys(writing *w)
{
    q35_status status;
    arrays a = {0};
    q35i_gguf_writer *out = w->writer;
    uint64_t n = w->n_coded;
    Q35_TRY_GOTO(arrays_alloc(&a, n), out);
    arrays_fill(w, &a);
    Q35_TRY_GOTO(q35i_gguf_writer_strings(out, Q35I_KEY_TENSORS, a.names, n), out);
    Q35_TRY_GOTO(q35i_gguf_writer_strings(out, Q35I_KEY_CODECS, a.codecs, n), out);
    Q35_TRY_GOTO(q35i_gguf_writer_array(out, Q35I_KEY_DIMS, Q35_META_U64, a.dims, 2 * n), out);
    Q35_TRY_GOTO(q35i_gguf_writer_array(out, Q35I_KEY_ROTATION_SEED, Q35_META_U64, a.seed, n), out);
    Q35_TRY_GOTO(q35i_gguf_writer_array(out, Q35I_KEY_ROTATION_WIDTH, Q35_META_U32, a.width, n), out);
    Q35_TRY_GOTO(q35i_gguf_writer_array(out, Q35I_KEY_ACTIVATION_BLOCK, Q35_META_U32, a.block, n), out);
    Q35_TRY_GOTO(q35i_gguf_writer_array(out, Q35I_KEY_MAX_ERROR, Q35_META_F32, a.max_error, n), out);
    Q35_TRY_GOTO(q35i_gguf_writer_array(out, Q35I_KEY_RELATIVE_ERROR, Q35_META_F32, a.relative_error, n), out);
    Q35_TRY_GOTO(q35i_gguf_writer_array(out, Q35I_KEY_CHECKSUM, Q35_META_U64, a.checksum, n), out);
out:
    arrays_free(&a);
    return status;
}

/* Last part of a path without its slashes; a directory may be written with one behind it. */
static q35_string file_name(const char *path)
{
    size_t end = strlen(path), begin;
    while (end > 1 && path[end - 1] == '/')
        end--;
    for (begin = end; begin > 0 && path[begin - 1] != '/'; begin--)
        ;
    return (q35_string){path + begin, end - begin};
}

static q35_status add_source(writing *w)
{
    q35_string name = file_name(q35_model_path(w->c->in));
    char *text = q35i_strndup(name.data, name.len);
    if (!text)
        return Q35_E_NOMEM;
    q35_status status = q35i_gguf_writer_string(w->writer, Q35I_KEY_SOURCE, text);
    q35i_free(text);
    return status;
}

/* The codebooks that the coded tensors' types take. */
static q35_status add_books(writing *w)
{
    bool seven = false, eight = false, fixed = false;
    for (uint64_t i = 0; i < w->n_coded; i++) {
        seven |= q35_book_entries(w->coded[i]->dtype) == Q35_BOOK_POINTS;
        eight |= w->coded[i]->dtype == Q35_DT_Q40_ROW;
        fixed |= w->coded[i]->dtype == Q35_DT_Q35_ROW;
    }
    const void *book = fixed ? (const void *)q35i_gaussian_book(Q35_DT_Q35_ROW) : w->c->book.points;
    if (seven)
        Q35_TRY(q35i_gguf_writer_array(w->writer, Q35I_KEY_CODEBOOK, Q35_META_I8, book, sizeof w->c->book.points));
    return eight ? q35i_gguf_writer_array(w->writer, Q35I_KEY_CODEBOOK_8, Q35_META_I8,
                                          q35i_gaussian_book(Q35_DT_Q40_ROW), (uint64_t)Q35_BOOK_MAX * 2)
                 : Q35_OK;
}

typedef struct plan_arrays {
    const char **names;
    float *alone, *expected;
    uint64_t n;
} plan_arrays;

static void plan_fill(const q35i_conversion *c, plan_arrays *a)
{
    for (uint64_t i = 0; i < c->n_targets; i++) {
        const q35i_target *t = &c->targets[i];
        if (isnan(t->sensitivity))
            continue;
        a->names[a->n] = t->info->name;
        a->alone[a->n] = (float)t->sensitivity;
        a->expected[a->n++] = (float)t->expected;
    }
}

/* What was measured and what the choice should cost. */
static q35_status add_plan(writing *w)
{
    q35_status status;
    char target[64];
    const q35i_conversion *c = w->c;
    q35i_gguf_writer *out = w->writer;
    plan_arrays a = {q35i_calloc(c->n_targets, sizeof *a.names), q35i_calloc(c->n_targets, sizeof *a.alone),
                     q35i_calloc(c->n_targets, sizeof *a.expected), 0};
    status = a.names && a.alone && a.expected ? Q35_OK : Q35_E_NOMEM;
    if (status != Q35_OK)
        goto out;
    plan_fill(c, &a);
    snprintf(target, sizeof target, "%g bits per weight of the %s", c->options->target_bpw,
             c->options->target_linears ? "linears" : "file");
    Q35_TRY_GOTO(q35i_gguf_writer_string(out, Q35I_KEY_PLAN, target), out);
    Q35_TRY_GOTO(q35i_gguf_writer_strings(out, Q35I_KEY_PLAN_TENSORS, a.names, a.n), out);
    Q35_TRY_GOTO(q35i_gguf_writer_array(out, Q35I_KEY_PLAN_ALONE, Q35_META_F32, a.alone, a.n), out);
    Q35_TRY_GOTO(q35i_gguf_writer_array(out, Q35I_KEY_PLAN_EXPECTED, Q35_META_F32, a.expected, a.n), out);
out:
    q35i_free(a.names);
    q35i_free(a.alone);
    q35i_free(a.expected);
    return status;
}

static q35_status add_keys(writing *w)
{
    if (w->c->options->target_bpw > 0)
        Q35_TRY(add_plan(w));
    if (w->n_coded == 0)
        return Q35_OK;
    Q35_TRY(q35i_gguf_writer_u32(w->writer, Q35I_KEY_VERSION, Q35I_FORMAT_VERSION));
    Q35_TRY(add_books(w));
    Q35_TRY(q35i_gguf_writer_u32(w->writer, Q35I_KEY_CALIBRATION_TOKENS,
                                 (uint32_t)q35i_min(w->c->result.calibration_tokens, UINT32_MAX)));
    Q35_TRY(add_source(w));
    Q35_TRY(q35i_gguf_writer_array(w->writer, Q35I_KEY_FILE_CHECKSUM, Q35_META_U64, NULL, 1));
    return add_tensor_keys(w);
}

static q35_status declare_tensor(writing *w, const q35i_target *t)
{
    bool coded = q35i_is_coded(t->dtype);
    int64_t dim[4];
    memcpy(dim, t->info->dim, sizeof dim);
    if (coded)
        dim[0] = (int64_t)q35_row_bytes(t->dtype, (uint64_t)dim[0]);
    uint32_t dtype = coded ? (uint32_t)Q35_DT_I8 : t->dtype;
    uint64_t bytes = t->info->bytes;
    if (t->dtype != t->info->dtype && !q35i_mul(q35_row_bytes(dtype, (uint64_t)dim[0]), (uint64_t)dim[1], &bytes))
        return Q35_FAIL(Q35_E_NOMEM, "tensor %s: more than 2^64 bytes", t->info->name);
    return q35i_gguf_writer_tensor(w->writer, t->info->name, dtype, t->info->rank, dim, bytes);
}

static q35_status write_header(writing *w)
{
    Q35_TRY(copy_metadata(w));
    Q35_TRY(add_keys(w));
    for (uint64_t i = 0; i < w->c->n_targets; i++)
        Q35_TRY(declare_tensor(w, &w->c->targets[i]));
    return q35i_gguf_writer_begin(w->writer);
}

/* ---- tensors ---- */

static q35_status write_coded(writing *w, const q35i_target *t)
{
    uint8_t *bytes = q35i_calloc(t->done.bytes, 1);
    if (!bytes)
        return Q35_E_NOMEM;
    q35_status status = q35i_convert_read_tensor(w->c, t, bytes);
    if (status == Q35_OK)
        status = q35i_gguf_writer_data(w->writer, bytes, t->done.bytes);
    q35i_free(bytes);
    return status;
}

static q35_status write_q8_0(writing *w, const q35i_target *t)
{
    q35i_row_error none;
    const q35i_linear plain = {.info = t->info};
    const q35i_encoding encoding = {.dtype = Q35_DT_Q8_0, .pool = w->c->pool};
    uint64_t bytes = q35_row_bytes(Q35_DT_Q8_0, (uint64_t)t->info->dim[0]) * (uint64_t)t->info->dim[1];
    uint8_t *blocks = q35i_calloc(bytes, 1);
    if (!blocks)
        return Q35_E_NOMEM;
    q35_status status = q35i_tensor_encode(&encoding, &plain, blocks, &none);
    if (status == Q35_OK)
        status = q35i_gguf_writer_data(w->writer, blocks, bytes);
    q35i_free(blocks);
    return status;
}

/* As it is in the source, or as GGUF would have it. */
static q35_status write_kept(writing *w, const q35i_target *t)
{
    const void *data;
    q35i_row_error none;
    const q35i_linear plain = {.info = t->info};
    const q35i_encoding weights = {.dtype = Q35_DT_Q8_0, .pool = w->c->pool}; /* names one that is not finite */
    if (t->info->rank == 2)
        Q35_TRY(q35i_tensor_measure(&weights, &plain, NULL, &none));
    Q35_TRY(q35i_model_bytes(w->c->in, t->info, &data));
    return q35i_gguf_writer_data(w->writer, data, t->info->bytes);
}

static q35_status write_tensors(writing *w)
{
    uint64_t done = 0, total = 0;
    for (uint64_t i = 0; i < w->c->n_targets; i++)
        total += w->c->targets[i].info->bytes;
    for (uint64_t i = 0; i < w->c->n_targets; i++) {
        const q35i_target *t = &w->c->targets[i];
        Q35_TRY(q35i_convert_progress(w->c->options, Q35_STAGE_WRITE, done, total));
        Q35_TRY(q35i_is_coded(t->dtype)      ? write_coded(w, t)
                : t->dtype != t->info->dtype ? write_q8_0(w, t)
                                             : write_kept(w, t));
        q35i_model_drop_pages(w->c->in, t->info);
        done += t->info->bytes;
    }
    return q35i_convert_progress(w->c->options, Q35_STAGE_WRITE, total, total);
}

static q35_status list_coded(writing *w)
{
    w->coded = q35i_calloc(w->c->n_targets, sizeof(q35i_target *));
    if (!w->coded)
        return Q35_E_NOMEM;
    for (uint64_t i = 0; i < w->c->n_targets; i++)
        if (q35i_is_coded(w->c->targets[i].dtype))
            w->coded[w->n_coded++] = &w->c->targets[i];
    return Q35_OK;
}

q35_status q35i_convert_write(q35i_conversion *c, const char *path)
{
    q35_status status;
    writing w = {.c = c};
    Q35_TRY_GOTO(list_coded(&w), out);
    Q35_TRY_GOTO(q35i_gguf_writer_create(path, c->options->overwrite != 0, &w.writer), out);
    Q35_TRY_GOTO(write_header(&w), out);
    Q35_TRY_GOTO(write_tensors(&w), out);
    if (w.n_coded)
        Q35_TRY_GOTO(q35i_gguf_writer_file_checksum(w.writer), out);
    c->result.file_bytes = q35i_gguf_writer_offset(w.writer);
    status = q35i_gguf_writer_commit(w.writer);
    w.writer = NULL;
out:
    q35i_gguf_writer_discard(w.writer);
    q35i_free(w.coded);
    return status;
}
