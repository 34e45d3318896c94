/* SPDX-License-Identifier: Apache-2.0
 *
 * A small file with two 3.5-bit tensors. */
#include "q35_sample.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/model/gguf_write.h"
#include "runtime/model/model.h"
#include "runtime/model/q35_keys.h"

#include <q35rt/blocks.h>

#include <xxhash.h>

q35t_sample_options q35t_sample_options_default(void)
{
    return (q35t_sample_options){.dtype = {Q35_DT_Q35_PAIR, Q35_DT_Q35_PAIR},
                                 .version = Q35I_FORMAT_VERSION,
                                 .n_arrays = 2,
                                 .n_codecs = 2,
                                 .n_codebook8 = Q35_BOOK_MAX,
                                 .stored_inputs = Q35T_SAMPLE_INPUTS,
                                 .rotation_seed = 5,
                                 .activation_block = UINT32_MAX,
                                 .inputs = Q35T_SAMPLE_INPUTS,
                                 .rows = Q35T_SAMPLE_ROWS,
                                 .max_error = 0.25f,
                                 .relative_error = 0.0625f,
                                 .container = Q35_DT_I8};
}

static int keep(const q35t_sample_options *o, const char *key)
{
    return !o->drop || strcmp(o->drop, key) != 0;
}

static q35_status array(q35i_gguf_writer *w, const q35t_sample_options *o, const char *key, uint32_t type,
                        const void *values, uint64_t n)
{
    return keep(o, key) ? q35i_gguf_writer_array(w, key, type, values, n) : Q35_OK;
}

static int uses(const q35t_sample_options *o, uint32_t dtype)
{
    return o->dtype[0] == dtype || o->dtype[1] == dtype;
}

static uint32_t activation_block(uint32_t dtype)
{
    return q35_is_row_type(dtype) ? 0 : Q35_ACT_BLOCK;
}

/* How inputs are rotated and quantised. */
static q35_status write_inputs(q35i_gguf_writer *w, const q35t_sample_options *o)
{
    uint64_t seed[3] = {o->rotation_seed, 6, 0};
    uint32_t width[3] = {o->rotation_width, 0, 0};
    uint32_t block[3] = {o->activation_block == UINT32_MAX ? activation_block(o->dtype[0]) : o->activation_block,
                         activation_block(o->dtype[1]), 0};
    Q35_TRY(array(w, o, Q35I_KEY_ROTATION_SEED, Q35_META_U64, seed, o->n_arrays));
    Q35_TRY(array(w, o, Q35I_KEY_ROTATION_WIDTH, Q35_META_U32, width, o->n_arrays));
    return array(w, o, Q35I_KEY_ACTIVATION_BLOCK, Q35_META_U32, block, o->n_arrays);
}

static q35_status write_arrays(q35i_gguf_writer *w, const q35t_sample_options *o, const uint64_t checksums[3])
{
    const char *names[3] = {"a.weight", o->second ? o->second : "b.weight", "c.weight"};
    const char *codecs[3] = {o->codec ? o->codec : q35i_codec_name(o->dtype[0]), q35i_codec_name(o->dtype[1]),
                             "pair"};
    uint64_t dims[6] = {o->inputs, o->rows, o->stored_inputs, Q35T_SAMPLE_ROWS, 1, 1};
    float max_error[3] = {o->max_error, 0.5f, 0}, relative_error[3] = {o->relative_error, 0.125f, 0};
    if (keep(o, Q35I_KEY_TENSORS))
        Q35_TRY(q35i_gguf_writer_strings(w, Q35I_KEY_TENSORS, names, 2));
    if (keep(o, Q35I_KEY_CODECS))
        Q35_TRY(q35i_gguf_writer_strings(w, Q35I_KEY_CODECS, codecs, o->n_codecs));
    Q35_TRY(array(w, o, Q35I_KEY_DIMS, Q35_META_U64, dims, 2 * o->n_arrays));
    Q35_TRY(write_inputs(w, o));
    Q35_TRY(array(w, o, Q35I_KEY_MAX_ERROR, Q35_META_F32, max_error, o->n_arrays));
    Q35_TRY(array(w, o, Q35I_KEY_RELATIVE_ERROR, Q35_META_F32, relative_error, o->n_arrays));
    return array(w, o, Q35I_KEY_CHECKSUM, Q35_META_U64, checksums, o->n_arrays);
}

/* Magnitudes i and 127 - i. */
static void signed_book(int8_t (*book)[2], uint32_t n)
{
    for (uint32_t c = 0; c < n; c++) {
        book[c][0] = c < n / 4 ? (int8_t)c : q35_book_signed((const int8_t(*)[2])book, n, c, 0);
        book[c][1] = c < n / 4 ? (int8_t)(127 - c) : q35_book_signed((const int8_t(*)[2])book, n, c, 1);
    }
}

static q35_status write_meta(q35i_gguf_writer *w, const q35t_sample_options *o, const uint64_t checksums[3])
{
    int8_t book[Q35_BOOK_POINTS][2], book8[Q35_BOOK_MAX][2];
    if (uses(o, Q35_DT_Q35_SPLIT))
        q35_split_book(book);
    else
        signed_book(book, Q35_BOOK_POINTS);
    signed_book(book8, Q35_BOOK_MAX);
    book[5][0] = (int8_t)(book[5][0] + o->book_delta);
    if (keep(o, Q35I_KEY_VERSION))
        Q35_TRY(q35i_gguf_writer_u32(w, Q35I_KEY_VERSION, o->version));
    Q35_TRY(array(w, o, Q35I_KEY_CODEBOOK, Q35_META_I8, book, sizeof book));
    if (uses(o, Q35_DT_Q40_ROW))
        Q35_TRY(array(w, o, Q35I_KEY_CODEBOOK_8, Q35_META_I8, book8, 2 * o->n_codebook8));
    return write_arrays(w, o, checksums);
}

/* Row scales are moderate numbers, all other bytes a pattern. */
static void fill(const q35t_sample_options *o, uint32_t dtype, uint8_t *data, uint64_t row_bytes)
{
    for (uint64_t i = 0; i < row_bytes * Q35T_SAMPLE_ROWS; i++)
        data[i] = (uint8_t)(i * 37 + 11);
    for (uint64_t r = 0; q35_is_row_type(dtype) && o->stored_inputs > 0 && r < Q35T_SAMPLE_ROWS; r++) {
        float scale = 0.25f * (float)(r + 1);
        memcpy(data + r * row_bytes, &scale, sizeof scale);
    }
}

q35_status q35t_sample_write(const char *path, const q35t_sample_options *o)
{
    static const char *const names[2] = {"a.weight", "b.weight"};
    q35_status status = Q35_OK;
    uint8_t *data[2] = {NULL, NULL};
    uint64_t row_bytes[2], checksums[3] = {0};
    q35i_gguf_writer *w = NULL;
    for (int i = 0; i < 2; i++) {
        row_bytes[i] = q35_row_bytes(o->dtype[i], o->stored_inputs);
        data[i] = q35i_calloc(Q35T_SAMPLE_ROWS, row_bytes[i]);
        Q35_CHECK_ALLOC_GOTO(data[i], out);
        fill(o, o->dtype[i], data[i], row_bytes[i]);
        checksums[i] = XXH3_64bits(data[i], row_bytes[i] * Q35T_SAMPLE_ROWS);
    }
    Q35_TRY_GOTO(q35i_gguf_writer_create(path, true, &w), out);
    Q35_TRY_GOTO(write_meta(w, o, checksums), out);
    for (int i = 0; i < 2; i++) {
        int64_t dim[2] = {(int64_t)(o->container == Q35_DT_I8 ? row_bytes[i] : row_bytes[i] / 4),
                          Q35T_SAMPLE_ROWS};
        Q35_TRY_GOTO(q35i_gguf_writer_tensor(w, names[i], o->container, 2, dim, row_bytes[i] * Q35T_SAMPLE_ROWS),
                     out);
    }
    Q35_TRY_GOTO(q35i_gguf_writer_begin(w), out);
    for (int i = 0; i < 2; i++)
        Q35_TRY_GOTO(q35i_gguf_writer_data(w, data[i], row_bytes[i] * Q35T_SAMPLE_ROWS), out);
    status = q35i_gguf_writer_commit(w);
    w = NULL;
out:
    if (w)
        q35i_gguf_writer_discard(w);
    q35i_free(data[0]);
    q35i_free(data[1]);
    return status;
}
