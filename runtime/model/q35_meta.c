/* SPDX-License-Identifier: Apache-2.0
 *
 * The 3.5-bit tensors of a file: reads the q35.* keys, checks them against each other and against the byte tensors
 * that hold the codes, and gives those tensors their true type and shape. */
#include "gguf.h"

#include "q35_keys.h"
#include "quote.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"
#include "text.h"

#include <q35rt/blocks.h>

#include <math.h>
#include <stdio.h>

/* The per-tensor arrays, unaligned in the image. */
typedef struct q35_arrays {
    uint64_t n;
    const uint8_t *dims, *max_error, *relative_error, *checksum;
    const uint8_t *rotation_seed, *rotation_width, *activation_block;
} q35_arrays;

static q35_status need_array(const q35_model *model, const char *key, uint32_t elem_type, uint64_t count,
                             const uint8_t **out)
{
    const q35_meta *m = q35_model_meta(model, key);
    if (!m)
        return Q35_FAIL(Q35_E_FORMAT, "metadata %s: absent, need an array of %llu %s", key,
                        (unsigned long long)count, q35i_meta_type_name(elem_type));
    if (m->type != Q35_META_ARRAY || m->elem_type != elem_type)
        return Q35_FAIL(Q35_E_FORMAT, "metadata %s: %s%s, need an array of %s", key,
                        m->type == Q35_META_ARRAY ? "array of " : "",
                        q35i_meta_type_name(m->type == Q35_META_ARRAY ? m->elem_type : m->type),
                        q35i_meta_type_name(elem_type));
    if (m->count != count)
        return Q35_FAIL(Q35_E_FORMAT, "metadata %s: %llu elements, need %llu", key, (unsigned long long)m->count,
                        (unsigned long long)count);
    *out = m->data;
    return Q35_OK;
}

/* *present: the file says that it has 3.5-bit tensors. Any of the keys without a version is a broken file. */
static q35_status read_version(const q35_model *model, bool *present)
{
    static const char *const keys[] = {Q35I_KEY_CODECS, Q35I_KEY_CODEBOOK, Q35I_KEY_TENSORS, Q35I_KEY_DIMS};
    const q35_meta *m = q35_model_meta(model, Q35I_KEY_VERSION);
    uint64_t version;
    *present = m != NULL;
    for (size_t i = 0; !m && i < sizeof keys / sizeof keys[0]; i++)
        if (q35_model_meta(model, keys[i]))
            return Q35_FAIL(Q35_E_FORMAT, "metadata %s: absent beside %s, need %u", Q35I_KEY_VERSION, keys[i],
                            Q35I_FORMAT_VERSION);
    if (!m)
        return Q35_OK;
    if (!q35_meta_u64(m, &version))
        return Q35_FAIL(Q35_E_FORMAT, "metadata %s: type %s, need u32", Q35I_KEY_VERSION,
                        q35i_meta_type_name(m->type));
    if (version != Q35I_FORMAT_VERSION)
        return Q35_FAIL(Q35_E_VERSION, "metadata %s: %llu, need %u", Q35I_KEY_VERSION, (unsigned long long)version,
                        Q35I_FORMAT_VERSION);
    return Q35_OK;
}

static const struct {
    const char *name;
    uint32_t dtype;
} codecs[] = {{"pair", Q35_DT_Q35_PAIR},
              {"split", Q35_DT_Q35_SPLIT},
              {"pair-row", Q35_DT_Q35_ROW},
              {"pair8-row", Q35_DT_Q40_ROW},
              {"int6-row", Q35_DT_Q60_ROW}};

#define N_CODECS (sizeof codecs / sizeof codecs[0])

const char *q35i_codec_name(uint32_t dtype)
{
    for (size_t i = 0; i < N_CODECS; i++)
        if (codecs[i].dtype == dtype)
            return codecs[i].name;
    return NULL;
}

static q35_status codec_of(q35_string name, uint32_t *dtype)
{
    char known[96] = "";
    size_t len = 0;
    for (size_t i = 0; i < N_CODECS; i++) {
        if (q35i_string_is(name, codecs[i].name)) {
            *dtype = codecs[i].dtype;
            return Q35_OK;
        }
        len += (size_t)snprintf(known + len, sizeof known - len, "%s%s", i ? ", " : "", codecs[i].name);
    }
    return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: '%s', need one of %s", Q35I_KEY_CODECS, q35i_quote(name).text, known);
}

static q35_status read_book(const q35_model *model, const char *key, uint64_t entries, const int8_t (**out)[2])
{
    const uint8_t *book;
    if (!q35_model_meta(model, key))
        return Q35_OK;
    Q35_TRY(need_array(model, key, Q35_META_I8, 2 * entries, &book));
    *out = (const int8_t(*)[2])(uintptr_t)book; /* no cast qualifies the elements of an array type */
    return Q35_OK;
}

static const char *book_key(uint32_t dtype)
{
    return dtype == Q35_DT_Q40_ROW ? Q35I_KEY_CODEBOOK_8 : Q35I_KEY_CODEBOOK;
}

static q35_status check_signs(const int8_t (*book)[2], uint32_t dtype)
{
    uint32_t n = q35_book_entries(dtype), c = q35_book_unsigned_entry(book, n);
    if (c == n)
        return Q35_OK;
    return Q35_FAIL(Q35_E_FORMAT,
                    "metadata %s: entry %u is (%d, %d), need (%d, %d), magnitudes from 0 on with the signs of the "
                    "code's top two bits",
                    book_key(dtype), c, book[c][0], book[c][1], q35_book_signed(book, n, c, 0),
                    q35_book_signed(book, n, c, 1));
}

/* The tensor's codec has its codebook in the file. */
static q35_status check_book(const q35_model *model, uint32_t dtype)
{
    int8_t split[Q35_BOOK_POINTS][2];
    if (q35_book_entries(dtype) == 0)
        return Q35_OK;
    if (!q35_model_book(model, dtype))
        return Q35_FAIL(Q35_E_FORMAT, "codec %s: metadata %s is absent, need the codebook", q35i_codec_name(dtype),
                        book_key(dtype));
    if (q35_is_row_type(dtype))
        return check_signs(q35_model_book(model, dtype), dtype);
    q35_split_book(split);
    if (dtype == Q35_DT_Q35_SPLIT && memcmp(model->book, split, sizeof split) != 0)
        return Q35_FAIL(Q35_E_FORMAT,
                        "metadata %s: differs from the levels of codec split, need (7i, 15j), i < 16, j < 8",
                        Q35I_KEY_CODEBOOK);
    return Q35_OK;
}

/* A certificate: finite and not negative. */
static q35_status read_certificate(const char *key, const uint8_t *values, uint64_t i, double *out)
{
    float value;
    memcpy(&value, values + i * sizeof value, sizeof value);
    if (!isfinite(value) || value < 0.0f)
        return Q35_FAIL(Q35_E_FORMAT, "%s: %g, need a finite value of at least 0", key, (double)value);
    *out = (double)value;
    return Q35_OK;
}

static q35_status apply_shape(const q35_arrays *a, uint64_t i, uint32_t dtype, q35_tensor_info *info)
{
    uint64_t dim[2];
    memcpy(dim, a->dims + i * sizeof dim, sizeof dim);
    for (int d = 0; d < 2; d++)
        if (dim[d] < 1 || dim[d] > INT32_MAX)
            return Q35_FAIL(Q35_E_FORMAT, "%s: %llu %s, need 1 to %d", Q35I_KEY_DIMS, (unsigned long long)dim[d],
                            d ? "rows" : "inputs", INT32_MAX);
    uint64_t row_bytes = q35_row_bytes(dtype, dim[0]);
    if (info->dtype != Q35_DT_I8)
        return Q35_FAIL(Q35_E_FORMAT, "type %s, need I8 with rows of codes, named once in %s",
                        q35_dtype_describe(info->dtype).name, Q35I_KEY_TENSORS);
    if (info->rank != 2 || info->dim[0] != (int64_t)row_bytes || info->dim[1] != (int64_t)dim[1])
        return Q35_FAIL(
            Q35_E_FORMAT, "I8 [%lld, %lld] of rank %u, need [%llu, %llu] for %llu rows of %llu weights",
            (long long)info->dim[0], (long long)info->dim[1], info->rank, (unsigned long long)row_bytes,
            (unsigned long long)dim[1], (unsigned long long)dim[1], (unsigned long long)dim[0]);
    info->dtype = dtype;
    info->dim[0] = (int64_t)dim[0];
    return Q35_OK;
}

/* How the input of the tensor is rotated and quantised. */
static q35_status apply_input(const q35_arrays *a, uint64_t i, q35_tensor_info *info)
{
    uint32_t width, block;
    memcpy(&info->rotation_seed, a->rotation_seed + i * sizeof info->rotation_seed, sizeof info->rotation_seed);
    memcpy(&width, a->rotation_width + i * sizeof width, sizeof width);
    memcpy(&block, a->activation_block + i * sizeof block, sizeof block);
    if (width != 0 && (width < 2 || width > Q35I_MAX_ROTATION_WIDTH || (width & (width - 1)) != 0))
        return Q35_FAIL(Q35_E_FORMAT, "%s: %u, need 0 or a power of two from 2 to %u", Q35I_KEY_ROTATION_WIDTH,
                        width, Q35I_MAX_ROTATION_WIDTH);
    info->rotation_width = width;
    bool rows = q35_is_row_type(info->dtype) != 0;
    if (rows ? block != 0 && block != Q35_ACT_GROUP : block != Q35_ACT_BLOCK)
        return Q35_FAIL(Q35_E_FORMAT, "%s: %u, need %s for codec %s", Q35I_KEY_ACTIVATION_BLOCK, block,
                        rows ? "0 or 128" : "32", q35i_codec_name(info->dtype));
    info->activation = !rows ? Q35_DT_A8_32 : block ? Q35_DT_A8_128 : Q35_DT_A8_ROW;
    if (rows && info->dim[0] > Q35I_MAX_ROW_INPUTS)
        return Q35_FAIL(Q35_E_FORMAT, "codec %s: %lld inputs, need at most %d", q35i_codec_name(info->dtype),
                        (long long)info->dim[0], Q35I_MAX_ROW_INPUTS);
    return Q35_OK;
}

/* Names and codecs come as two lists of strings: the first walk sets the types, the second the rest. */
typedef struct apply_state {
    q35_model *model;
    const q35_arrays *arrays;
    q35_status status;
    uint32_t *dtype; /* [n] */
} apply_state;

static int apply_codec(void *user, uint64_t i, q35_string name)
{
    apply_state *s = user;
    s->status = codec_of(name, &s->dtype[i]);
    if (s->status == Q35_OK)
        s->status = check_book(s->model, s->dtype[i]);
    if (s->status != Q35_OK)
        (void)q35i_fail_context(s->status, "metadata");
    return s->status != Q35_OK;
}

static int apply_one(void *user, uint64_t i, q35_string name)
{
    apply_state *s = user;
    const q35_arrays *a = s->arrays;
    q35i_tensor *t = q35i_model_tensor(s->model, name);
    if (!t) {
        s->status = Q35_FAIL(Q35_E_FORMAT, "metadata %s: names '%s', need a tensor of the file", Q35I_KEY_TENSORS,
                             q35i_quote(name).text);
        return 1;
    }
    s->status = apply_shape(a, i, s->dtype[i], &t->info);
    if (s->status == Q35_OK)
        s->status = apply_input(a, i, &t->info);
    if (s->status == Q35_OK)
        s->status = read_certificate(Q35I_KEY_MAX_ERROR, a->max_error, i, &t->info.max_error);
    if (s->status == Q35_OK)
        s->status = read_certificate(Q35I_KEY_RELATIVE_ERROR, a->relative_error, i, &t->info.relative_error);
    if (s->status != Q35_OK) {
        (void)q35i_fail_context(s->status, "tensor %s", t->name);
        return 1;
    }
    memcpy(&t->info.checksum, a->checksum + i * sizeof t->info.checksum, sizeof t->info.checksum);
    return 0;
}

static q35_status check_optional(const q35_model *model)
{
    const q35_meta *tokens = q35_model_meta(model, Q35I_KEY_CALIBRATION_TOKENS);
    const q35_meta *source = q35_model_meta(model, Q35I_KEY_SOURCE);
    uint64_t n;
    q35_string text;
    if (tokens && !q35_meta_u64(tokens, &n))
        return Q35_FAIL(Q35_E_FORMAT, "metadata %s: type %s, need u32", Q35I_KEY_CALIBRATION_TOKENS,
                        q35i_meta_type_name(tokens->type));
    if (source && !q35_meta_string(source, &text))
        return Q35_FAIL(Q35_E_FORMAT, "metadata %s: type %s, need a string", Q35I_KEY_SOURCE,
                        q35i_meta_type_name(source->type));
    return Q35_OK;
}

/* *out: an array of at least one string. */
static q35_status need_strings(const q35_model *model, const char *key, const q35_meta **out)
{
    const q35_meta *m = *out = q35_model_meta(model, key);
    if (!m || m->type != Q35_META_ARRAY || m->elem_type != Q35_META_STRING || m->count == 0)
        return Q35_FAIL(Q35_E_FORMAT, "metadata %s: %s, need an array of at least 1 string", key,
                        !m                          ? "absent"
                        : m->type != Q35_META_ARRAY ? q35i_meta_type_name(m->type)
                        : m->count == 0             ? "empty"
                                                    : "array of another type");
    return Q35_OK;
}

static q35_status read_arrays(const q35_model *model, q35_arrays *a)
{
    Q35_TRY(need_array(model, Q35I_KEY_DIMS, Q35_META_U64, 2 * a->n, &a->dims));
    Q35_TRY(need_array(model, Q35I_KEY_ROTATION_SEED, Q35_META_U64, a->n, &a->rotation_seed));
    Q35_TRY(need_array(model, Q35I_KEY_ROTATION_WIDTH, Q35_META_U32, a->n, &a->rotation_width));
    Q35_TRY(need_array(model, Q35I_KEY_ACTIVATION_BLOCK, Q35_META_U32, a->n, &a->activation_block));
    Q35_TRY(need_array(model, Q35I_KEY_MAX_ERROR, Q35_META_F32, a->n, &a->max_error));
    Q35_TRY(need_array(model, Q35I_KEY_RELATIVE_ERROR, Q35_META_F32, a->n, &a->relative_error));
    return need_array(model, Q35I_KEY_CHECKSUM, Q35_META_U64, a->n, &a->checksum);
}

q35_status q35i_q35_read(q35_model *model)
{
    bool present;
    const q35_meta *names, *codec_names;
    q35_arrays a = {0};
    Q35_TRY(read_version(model, &present));
    if (!present)
        return Q35_OK;
    Q35_TRY(read_book(model, Q35I_KEY_CODEBOOK, Q35_BOOK_POINTS, &model->book));
    Q35_TRY(read_book(model, Q35I_KEY_CODEBOOK_8, Q35_BOOK_MAX, &model->book8));
    Q35_TRY(need_strings(model, Q35I_KEY_TENSORS, &names));
    Q35_TRY(need_strings(model, Q35I_KEY_CODECS, &codec_names));
    if (codec_names->count != names->count)
        return Q35_FAIL(Q35_E_FORMAT, "metadata %s: %llu elements, need %llu", Q35I_KEY_CODECS,
                        (unsigned long long)codec_names->count, (unsigned long long)names->count);
    a.n = names->count; /* at most 2^30, so 2 n does not overflow */
    Q35_TRY(read_arrays(model, &a));
    Q35_TRY(check_optional(model));
    apply_state state = {model, &a, Q35_OK, q35i_calloc(a.n, sizeof *state.dtype)};
    if (!state.dtype)
        return Q35_E_NOMEM;
    (void)q35_meta_each_string(codec_names, apply_codec, &state);
    if (state.status == Q35_OK)
        (void)q35_meta_each_string(names, apply_one, &state);
    q35i_free(state.dtype);
    return state.status;
}
