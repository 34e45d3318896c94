/* SPDX-License-Identifier: Apache-2.0
 *
 * A conversion: calibrate, train the codebook, then write the tensors in the order of the source, the linears of
 * the layers as codes and the others as they are. One tensor of output is in memory at a time; pages of the source
 * are let go behind it. The certificates are patched into the header at the end, before the file gets its name. */
#include "runtime/session/convert.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/path_tail.h"
#include "runtime/base/size.h"
#include "runtime/device/device.h"
#include "runtime/model/gguf_write.h"
#include "runtime/model/model.h"
#include "runtime/model/q35_keys.h"
#include "runtime/quant/format.h"
#include "runtime/quant/tensor.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#define SAMPLE_PAIRS 400000

typedef struct conversion {
    const q35_model *in;
    const q35_convert_options *options;
    q35_pool *pool;
    q35i_gguf_writer *writer;
    uint32_t dtype; /* of the linears */
    q35i_linear *linears;
    uint64_t n_linears, n_weights;
    uint64_t i_linear, weights_done; /* where writing stands */
    q35i_book book;
    q35i_row_error error; /* of all linears */
    float *max_error, *relative_error;
    uint64_t *checksum;
    q35_convert_result result;
} conversion;

q35_convert_options q35_convert_options_default(void)
{
    return (q35_convert_options){.codec = Q35_CODEC_PAIR, .seed = 1};
}

bool q35i_is_linear(const q35_tensor_info *info)
{
    return info->rank == 2 && strncmp(info->name, "blk.", 4) == 0;
}

q35_status q35i_convert_progress(const q35_convert_options *options, uint32_t stage, uint64_t done, uint64_t total)
{
    if (options->progress && options->progress(options->user, stage, done, total) != 0)
        return Q35_FAIL(Q35_E_CANCELLED, "conversion: cancelled, no file was written");
    return Q35_OK;
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

/* ---- what to convert ---- */

static q35_status check_source(const conversion *c)
{
    q35_model_config config;
    if (c->options->codec != Q35_CODEC_PAIR && c->options->codec != Q35_CODEC_SPLIT)
        return Q35_FAIL(Q35_E_INVALID, "codec: %u, need pair (%d) or split (%d)", c->options->codec,
                        Q35_CODEC_PAIR, Q35_CODEC_SPLIT);
    if (q35_model_meta(c->in, Q35I_KEY_VERSION))
        return Q35_FAIL(Q35_E_INVALID, "%s: has 3.5-bit tensors already, need the model it was made from",
                        q35i_path_tail(q35_model_path(c->in)));
    return q35_model_read_config(c->in, &config);
}

/* Writing over the source would destroy it, also under another name of the same file. */
static q35_status check_output(const conversion *c, const char *path)
{
    struct stat in, out;
    if (stat(q35_model_path(c->in), &in) == 0 && stat(path, &out) == 0 && in.st_dev == out.st_dev &&
        in.st_ino == out.st_ino)
        return Q35_FAIL(Q35_E_INVALID, "output %s: is the source itself, need another file", q35i_path_tail(path));
    return Q35_OK;
}

static q35_status list_linears(conversion *c)
{
    uint64_t n = q35_model_n_tensors(c->in);
    c->linears = q35i_calloc(n, sizeof *c->linears);
    c->max_error = q35i_calloc(n, sizeof *c->max_error);
    c->relative_error = q35i_calloc(n, sizeof *c->relative_error);
    c->checksum = q35i_calloc(n, sizeof *c->checksum);
    if (!c->linears || !c->max_error || !c->relative_error || !c->checksum)
        return Q35_E_NOMEM;
    for (uint64_t i = 0; i < n; i++) {
        const q35_tensor_info *info = q35_model_tensor_at(c->in, i);
        if (!q35i_is_linear(info))
            continue;
        c->linears[c->n_linears++].info = info;
        c->n_weights += (uint64_t)info->dim[0] * (uint64_t)info->dim[1];
    }
    return Q35_OK;
}

/* FORMAT names the first weight of a matrix that is NaN or infinite. */
static q35_status check_matrix(const conversion *c, const q35_tensor_info *info)
{
    const q35i_encoding encoding = {.dtype = Q35_DT_Q8_0,
                                    .pool = c->pool}; /* nothing to measure but the weights */
    const q35i_linear matrix = {.info = info};
    q35i_row_error none;
    return info->rank == 2 ? q35i_tensor_measure(&encoding, &matrix, NULL, &none) : Q35_OK;
}

static q35_status check_weights(const conversion *c)
{
    for (uint64_t i = 0; i < q35_model_n_tensors(c->in); i++)
        Q35_TRY(check_matrix(c, q35_model_tensor_at(c->in, i)));
    return Q35_OK;
}

/* Activations that are not finite mostly come from such weights, and naming those helps more. */
static q35_status calibrate(conversion *c, q35_runtime *runtime)
{
    if (!c->options->calibration_text)
        return Q35_OK;
    q35_status status =
        q35i_calibrate(runtime, c->in, c->options, c->linears, c->n_linears, &c->result.calibration_tokens);
    if (status == Q35_E_FORMAT)
        Q35_TRY(check_weights(c));
    return status;
}

/* ---- codebook ---- */

static q35_status train_book(conversion *c)
{
    float *pairs = NULL, *weights = NULL;
    uint64_t n = 0;
    if (c->options->codec == Q35_CODEC_SPLIT) {
        int8_t points[Q35_BOOK_POINTS][2];
        q35_split_book(points);
        q35i_book_set(&c->book, (const int8_t(*)[2])points, 1);
        return Q35_OK;
    }
    Q35_TRY(q35i_convert_progress(c->options, Q35_STAGE_CODEBOOK, 0, c->n_weights));
    Q35_TRY(q35i_sample_pairs(c->linears, c->n_linears, SAMPLE_PAIRS, c->pool, &pairs, &weights, &n));
    q35_status status = q35i_book_train(pairs, weights, n, c->options->seed, c->pool, &c->book);
    q35i_free(pairs);
    q35i_free(weights);
    Q35_TRY(status);
    return q35i_convert_progress(c->options, Q35_STAGE_CODEBOOK, c->n_weights, c->n_weights);
}

/* ---- header ---- */

static bool starts_with(q35_string s, const char *prefix)
{
    size_t len = strlen(prefix);
    return s.len >= len && memcmp(s.data, prefix, len) == 0;
}

/* All of the source's but its own file type, for which no registered number would be true any more. */
static q35_status copy_metadata(conversion *c)
{
    static const char file_type[] = "general.file_type";
    for (uint64_t i = 0; i < q35_model_n_meta(c->in); i++) {
        const q35_meta *m = q35_model_meta_at(c->in, i);
        if (starts_with(m->key, "q35.") || (m->key.len == strlen(file_type) && starts_with(m->key, file_type)))
            continue;
        Q35_TRY(q35i_gguf_writer_copy(c->writer, m));
    }
    return Q35_OK;
}

static q35_status add_tensor_keys(conversion *c)
{
    q35_status status = Q35_OK;
    const char **names = q35i_calloc(c->n_linears, sizeof *names);
    uint64_t *dims = q35i_calloc(c->n_linears, 2 * sizeof *dims);
    Q35_CHECK_ALLOC_GOTO(names, out);
    Q35_CHECK_ALLOC_GOTO(dims, out);
    for (uint64_t i = 0; i < c->n_linears; i++) {
        names[i] = c->linears[i].info->name;
        dims[2 * i] = (uint64_t)c->linears[i].info->dim[0];
        dims[2 * i + 1] = (uint64_t)c->linears[i].info->dim[1];
    }
    Q35_TRY_GOTO(q35i_gguf_writer_strings(c->writer, Q35I_KEY_TENSORS, names, c->n_linears), out);
    Q35_TRY_GOTO(q35i_gguf_writer_array(c->writer, Q35I_KEY_DIMS, Q35_META_U64, dims, 2 * c->n_linears), out);
    Q35_TRY_GOTO(q35i_gguf_writer_array(c->writer, Q35I_KEY_MAX_ERROR, Q35_META_F32, NULL, c->n_linears), out);
    Q35_TRY_GOTO(q35i_gguf_writer_array(c->writer, Q35I_KEY_RELATIVE_ERROR, Q35_META_F32, NULL, c->n_linears),
                 out);
    Q35_TRY_GOTO(q35i_gguf_writer_array(c->writer, Q35I_KEY_CHECKSUM, Q35_META_U64, NULL, c->n_linears), out);
out:
    q35i_free(names);
    q35i_free(dims);
    return status;
}

static q35_status add_source(conversion *c)
{
    q35_string name = file_name(q35_model_path(c->in));
    char *text = q35i_strndup(name.data, name.len);
    if (!text)
        return Q35_E_NOMEM;
    q35_status status = q35i_gguf_writer_string(c->writer, Q35I_KEY_SOURCE, text);
    q35i_free(text);
    return status;
}

static q35_status add_keys(conversion *c)
{
    const char *codec = c->options->codec == Q35_CODEC_PAIR ? Q35I_CODEC_PAIR : Q35I_CODEC_SPLIT;
    Q35_TRY(q35i_gguf_writer_u32(c->writer, Q35I_KEY_VERSION, Q35I_FORMAT_VERSION));
    Q35_TRY(q35i_gguf_writer_string(c->writer, Q35I_KEY_CODEC, codec));
    Q35_TRY(
        q35i_gguf_writer_array(c->writer, Q35I_KEY_CODEBOOK, Q35_META_I8, c->book.points, sizeof c->book.points));
    Q35_TRY(q35i_gguf_writer_u32(c->writer, Q35I_KEY_CALIBRATION_TOKENS,
                                 (uint32_t)q35i_min(c->result.calibration_tokens, UINT32_MAX)));
    Q35_TRY(add_source(c));
    Q35_TRY(q35i_gguf_writer_array(c->writer, Q35I_KEY_FILE_CHECKSUM, Q35_META_U64, NULL, 1));
    return add_tensor_keys(c);
}

/* Type a tensor is stored as, beside the linears. */
static uint32_t kept_type(const q35_tensor_info *info)
{
    int full = info->dtype == Q35_DT_F32 || info->dtype == Q35_DT_F16 || info->dtype == Q35_DT_BF16 ||
               info->dtype == Q35_DT_F8_32;
    return full && info->rank == 2 && info->dim[0] % 32 == 0 ? Q35_DT_Q8_0 : info->dtype;
}

static q35_status declare_tensor(conversion *c, const q35_tensor_info *info)
{
    int linear = q35i_is_linear(info);
    uint32_t dtype = linear ? (uint32_t)Q35_DT_I8 : kept_type(info);
    int64_t dim[4];
    memcpy(dim, info->dim, sizeof dim);
    if (linear)
        dim[0] = (int64_t)q35_row_bytes(c->dtype, (uint64_t)info->dim[0]);
    uint64_t bytes = info->bytes;
    if (dtype != info->dtype && !q35i_mul(q35_row_bytes(dtype, (uint64_t)dim[0]), (uint64_t)dim[1], &bytes))
        return Q35_FAIL(Q35_E_NOMEM, "tensor %s: more than 2^64 bytes", info->name);
    return q35i_gguf_writer_tensor(c->writer, info->name, dtype, info->rank, dim, bytes);
}

static q35_status write_header(conversion *c)
{
    Q35_TRY(copy_metadata(c));
    Q35_TRY(add_keys(c));
    for (uint64_t i = 0; i < q35_model_n_tensors(c->in); i++)
        Q35_TRY(declare_tensor(c, q35_model_tensor_at(c->in, i)));
    return q35i_gguf_writer_begin(c->writer);
}

/* ---- tensors ---- */

static q35_status on_rows(void *user, uint64_t rows)
{
    const conversion *c = user;
    uint64_t done = c->weights_done + rows * (uint64_t)c->linears[c->i_linear].info->dim[0];
    return q35i_convert_progress(c->options, Q35_STAGE_QUANTISE, done, c->n_weights);
}

/* The certificate is an upper bound, so its rounding is up. */
static float round_up(double x)
{
    float f = (float)x;
    return (double)f < x ? nextafterf(f, HUGE_VALF) : f;
}

static void note_linear(conversion *c, const void *blocks, uint64_t bytes, const q35i_row_error *error)
{
    uint64_t k = (uint64_t)c->linears[c->i_linear].info->dim[0],
             n = (uint64_t)c->linears[c->i_linear].info->dim[1];
    c->max_error[c->i_linear] = round_up(error->largest);
    c->relative_error[c->i_linear] = (float)q35i_row_error_relative(error);
    c->checksum[c->i_linear] = q35i_checksum(blocks, bytes);
    q35i_row_error_add(&c->error, error);
    c->result.padded_bytes += bytes;
    c->result.weight_bytes += q35i_div_up(n * k * q35_dtype_describe(c->dtype).block_bytes, Q35_GROUP);
    c->weights_done += k * n;
    c->i_linear++;
}

static q35_status write_encoded(conversion *c, const q35_tensor_info *info)
{
    q35_status status;
    q35i_row_error error;
    int linear = q35i_is_linear(info);
    q35i_encoding encoding = {
        .dtype = linear ? c->dtype : (uint32_t)Q35_DT_Q8_0, .book = &c->book, .pool = c->pool};
    q35i_linear plain = {.info = info};
    if (linear) {
        encoding.progress = on_rows;
        encoding.user = c;
    }
    uint64_t bytes = q35_row_bytes(encoding.dtype, (uint64_t)info->dim[0]) * (uint64_t)info->dim[1];
    uint8_t *blocks = q35i_calloc(bytes, 1);
    Q35_CHECK_ALLOC_GOTO(blocks, out);
    Q35_TRY_GOTO(q35i_tensor_encode(&encoding, linear ? &c->linears[c->i_linear] : &plain, blocks, &error), out);
    if (linear)
        note_linear(c, blocks, bytes, &error);
    Q35_TRY_GOTO(q35i_convert_progress(c->options, Q35_STAGE_QUANTISE, c->weights_done, c->n_weights), out);
    Q35_TRY_GOTO(q35i_gguf_writer_data(c->writer, blocks, bytes), out);
out:
    q35i_free(blocks);
    return status;
}

static q35_status write_tensors(conversion *c)
{
    for (uint64_t i = 0; i < q35_model_n_tensors(c->in); i++) {
        const q35_tensor_info *info = q35_model_tensor_at(c->in, i);
        if (q35i_is_linear(info) || kept_type(info) != info->dtype) {
            Q35_TRY(write_encoded(c, info));
        } else {
            Q35_TRY(check_matrix(c, info));
            Q35_TRY(q35i_gguf_writer_data(c->writer, info->data, info->bytes));
        }
        q35i_model_drop_pages(c->in, info);
    }
    return Q35_OK;
}

static q35_status finish(conversion *c)
{
    Q35_TRY(q35i_convert_progress(c->options, Q35_STAGE_WRITE, 0, c->n_weights));
    Q35_TRY(q35i_gguf_writer_patch_array(c->writer, Q35I_KEY_MAX_ERROR, c->max_error));
    Q35_TRY(q35i_gguf_writer_patch_array(c->writer, Q35I_KEY_RELATIVE_ERROR, c->relative_error));
    Q35_TRY(q35i_gguf_writer_patch_array(c->writer, Q35I_KEY_CHECKSUM, c->checksum));
    Q35_TRY(q35i_gguf_writer_file_checksum(c->writer));
    c->result.tensors = c->n_linears;
    c->result.weights = c->n_weights;
    c->result.relative_error = q35i_row_error_relative(&c->error);
    c->result.file_bytes = q35i_gguf_writer_offset(c->writer);
    q35_status status = q35i_gguf_writer_commit(c->writer);
    c->writer = NULL;
    Q35_TRY(status);
    (void)q35i_convert_progress(c->options, Q35_STAGE_WRITE, c->n_weights, c->n_weights); /* too late to cancel */
    return Q35_OK;
}

q35_status q35_convert(q35_runtime *runtime, const q35_model *in, const char *path,
                       const q35_convert_options *options, q35_convert_result *out)
{
    q35_status status;
    const q35_convert_options defaults = q35_convert_options_default();
    conversion c = {.in = in, .options = options ? options : &defaults, .pool = q35i_runtime_pool(runtime)};
    c.dtype = c.options->codec == Q35_CODEC_PAIR ? Q35_DT_Q35_PAIR : Q35_DT_Q35_SPLIT;
    if (out)
        *out = (q35_convert_result){0};
    Q35_TRY_GOTO(check_source(&c), out);
    Q35_TRY_GOTO(check_output(&c, path), out);
    Q35_TRY_GOTO(list_linears(&c), out);
    Q35_TRY_GOTO(q35i_gguf_writer_create(path, c.options->overwrite != 0, &c.writer), out);
    Q35_TRY_GOTO(calibrate(&c, runtime), out);
    Q35_TRY_GOTO(train_book(&c), out);
    Q35_TRY_GOTO(write_header(&c), out);
    Q35_TRY_GOTO(write_tensors(&c), out);
    Q35_TRY_GOTO(finish(&c), out);
    if (out)
        *out = c.result;
out:
    q35i_gguf_writer_discard(c.writer);
    for (uint64_t i = 0; c.linears && i < c.n_linears; i++)
        q35i_free(c.linears[i].importance);
    q35i_free(c.linears);
    q35i_free(c.max_error);
    q35i_free(c.relative_error);
    q35i_free(c.checksum);
    return status;
}
