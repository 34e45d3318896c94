/* SPDX-License-Identifier: Apache-2.0
 *
 * The 3.5-bit tensors of a file: reads the q35.* keys, checks them against each other and against the byte tensors
 * that hold the codes, and gives those tensors their true type and shape. */
#include "gguf.h"

#include "q35_keys.h"
#include "quote.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"
#include "text.h"

#include <q35rt/blocks.h>

#include <math.h>

/* The per-tensor arrays, unaligned in the image. */
typedef struct q35_arrays {
    uint64_t n;
    uint32_t dtype;
    const uint8_t *dims, *max_error, *relative_error, *checksum;
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

static q35_status need_string(const q35_model *model, const char *key, q35_string *out)
{
    const q35_meta *m = q35_model_meta(model, key);
    if (!m || !q35_meta_string(m, out))
        return Q35_FAIL(Q35_E_FORMAT, "metadata %s: %s, need a string", key,
                        m ? q35i_meta_type_name(m->type) : "absent");
    return Q35_OK;
}

/* *present: the file says that it has 3.5-bit tensors. Any of the keys without a version is a broken file. */
static q35_status read_version(const q35_model *model, bool *present)
{
    static const char *const keys[] = {Q35I_KEY_CODEC, Q35I_KEY_CODEBOOK, Q35I_KEY_TENSORS, Q35I_KEY_DIMS};
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

static q35_status read_codec(q35_model *model, uint32_t *dtype)
{
    q35_string codec;
    const uint8_t *book;
    int8_t split[Q35_BOOK_POINTS][2];
    Q35_TRY(need_string(model, Q35I_KEY_CODEC, &codec));
    if (!q35i_string_is(codec, Q35I_CODEC_PAIR) && !q35i_string_is(codec, Q35I_CODEC_SPLIT))
        return Q35_FAIL(Q35_E_UNSUPPORTED, "metadata %s: '%s', need '%s' or '%s'", Q35I_KEY_CODEC,
                        q35i_quote(codec).text, Q35I_CODEC_PAIR, Q35I_CODEC_SPLIT);
    *dtype = q35i_string_is(codec, Q35I_CODEC_PAIR) ? Q35_DT_Q35_PAIR : Q35_DT_Q35_SPLIT;
    Q35_TRY(need_array(model, Q35I_KEY_CODEBOOK, Q35_META_I8, sizeof split, &book));
    q35_split_book(split);
    if (*dtype == Q35_DT_Q35_SPLIT && memcmp(book, split, sizeof split) != 0)
        return Q35_FAIL(Q35_E_FORMAT,
                        "metadata %s: differs from the levels of codec split, need (7i, 15j), i < 16, j < 8",
                        Q35I_KEY_CODEBOOK);
    model->book = (const int8_t(*)[2])(uintptr_t)book; /* no cast qualifies the elements of an array type */
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

static q35_status apply_shape(const q35_arrays *a, uint64_t i, q35_tensor_info *info)
{
    uint64_t dim[2];
    memcpy(dim, a->dims + i * sizeof dim, sizeof dim);
    for (int d = 0; d < 2; d++)
        if (dim[d] < 1 || dim[d] > INT32_MAX)
            return Q35_FAIL(Q35_E_FORMAT, "%s: %llu %s, need 1 to %d", Q35I_KEY_DIMS, (unsigned long long)dim[d],
                            d ? "rows" : "inputs", INT32_MAX);
    uint64_t row_bytes = q35_row_bytes(a->dtype, dim[0]);
    if (info->dtype != Q35_DT_I8)
        return Q35_FAIL(Q35_E_FORMAT, "type %s, need I8 with rows of codes, named once in %s",
                        q35_dtype_describe(info->dtype).name, Q35I_KEY_TENSORS);
    if (info->rank != 2 || info->dim[0] != (int64_t)row_bytes || info->dim[1] != (int64_t)dim[1])
        return Q35_FAIL(
            Q35_E_FORMAT, "I8 [%lld, %lld] of rank %u, need [%llu, %llu] for %llu rows of %llu weights",
            (long long)info->dim[0], (long long)info->dim[1], info->rank, (unsigned long long)row_bytes,
            (unsigned long long)dim[1], (unsigned long long)dim[1], (unsigned long long)dim[0]);
    info->dtype = a->dtype;
    info->dim[0] = (int64_t)dim[0];
    return Q35_OK;
}

typedef struct apply_state {
    q35_model *model;
    const q35_arrays *arrays;
    q35_status status;
} apply_state;

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
    s->status = apply_shape(a, i, &t->info);
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

q35_status q35i_q35_read(q35_model *model)
{
    bool present;
    q35_arrays a = {0};
    Q35_TRY(read_version(model, &present));
    if (!present)
        return Q35_OK;
    Q35_TRY(read_codec(model, &a.dtype));
    const q35_meta *names = q35_model_meta(model, Q35I_KEY_TENSORS);
    if (!names || names->type != Q35_META_ARRAY || names->elem_type != Q35_META_STRING || names->count == 0)
        return Q35_FAIL(Q35_E_FORMAT, "metadata %s: %s, need an array of at least 1 string", Q35I_KEY_TENSORS,
                        !names                          ? "absent"
                        : names->type != Q35_META_ARRAY ? q35i_meta_type_name(names->type)
                        : names->count == 0             ? "empty"
                                                        : "array of another type");
    a.n = names->count; /* at most 2^30, so 2 n does not overflow */
    Q35_TRY(need_array(model, Q35I_KEY_DIMS, Q35_META_U64, 2 * a.n, &a.dims));
    Q35_TRY(need_array(model, Q35I_KEY_MAX_ERROR, Q35_META_F32, a.n, &a.max_error));
    Q35_TRY(need_array(model, Q35I_KEY_RELATIVE_ERROR, Q35_META_F32, a.n, &a.relative_error));
    Q35_TRY(need_array(model, Q35I_KEY_CHECKSUM, Q35_META_U64, a.n, &a.checksum));
    Q35_TRY(check_optional(model));
    apply_state state = {model, &a, Q35_OK};
    (void)q35_meta_each_string(names, apply_one, &state);
    return state.status;
}
