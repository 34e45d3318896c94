/* SPDX-License-Identifier: Apache-2.0
 *
 * A small file with two 3.5-bit tensors. */
#include "q35_sample.h"

#include "runtime/base/error.h"
#include "runtime/model/gguf_write.h"
#include "runtime/model/q35_keys.h"

#include <q35rt/blocks.h>

#include <xxhash.h>

#define MAX_BYTES 1024 /* of one tensor */

q35t_sample_options q35t_sample_options_default(void)
{
    return (q35t_sample_options){.version = Q35I_FORMAT_VERSION,
                                 .n_arrays = 2,
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

static q35_status write_arrays(q35i_gguf_writer *w, const q35t_sample_options *o, uint64_t checksum)
{
    const char *names[3] = {"a.weight", o->second ? o->second : "b.weight", "c.weight"};
    uint64_t dims[6] = {o->inputs, o->rows, Q35T_SAMPLE_INPUTS, Q35T_SAMPLE_ROWS, 1, 1};
    float max_error[3] = {o->max_error, 0.5f, 0}, relative_error[3] = {o->relative_error, 0.125f, 0};
    uint64_t checksums[3] = {checksum, checksum, 0};
    if (keep(o, Q35I_KEY_TENSORS))
        Q35_TRY(q35i_gguf_writer_strings(w, Q35I_KEY_TENSORS, names, 2));
    Q35_TRY(array(w, o, Q35I_KEY_DIMS, Q35_META_U64, dims, 2 * o->n_arrays));
    Q35_TRY(array(w, o, Q35I_KEY_MAX_ERROR, Q35_META_F32, max_error, o->n_arrays));
    Q35_TRY(array(w, o, Q35I_KEY_RELATIVE_ERROR, Q35_META_F32, relative_error, o->n_arrays));
    return array(w, o, Q35I_KEY_CHECKSUM, Q35_META_U64, checksums, o->n_arrays);
}

static q35_status write_meta(q35i_gguf_writer *w, const q35t_sample_options *o, uint64_t checksum)
{
    int8_t book[Q35_BOOK_POINTS][2];
    q35_split_book(book);
    for (int i = 0; i < Q35_BOOK_POINTS && !o->split; i++)
        book[i][1] = (int8_t)(i - 64);
    book[5][0] = (int8_t)(book[5][0] + o->book_delta);
    if (keep(o, Q35I_KEY_VERSION))
        Q35_TRY(q35i_gguf_writer_u32(w, Q35I_KEY_VERSION, o->version));
    if (keep(o, Q35I_KEY_CODEC))
        Q35_TRY(q35i_gguf_writer_string(w, Q35I_KEY_CODEC,
                                        o->codec   ? o->codec
                                        : o->split ? Q35I_CODEC_SPLIT
                                                   : Q35I_CODEC_PAIR));
    Q35_TRY(array(w, o, Q35I_KEY_CODEBOOK, Q35_META_I8, book, sizeof book));
    return write_arrays(w, o, checksum);
}

q35_status q35t_sample_write(const char *path, const q35t_sample_options *o)
{
    q35_status status;
    uint8_t data[MAX_BYTES];
    q35i_gguf_writer *w;
    uint64_t row_bytes = q35_row_bytes(o->split ? Q35_DT_Q35_SPLIT : Q35_DT_Q35_PAIR, Q35T_SAMPLE_INPUTS);
    uint64_t bytes = row_bytes * Q35T_SAMPLE_ROWS;
    int64_t dim[2] = {(int64_t)(o->container == Q35_DT_I8 ? row_bytes : row_bytes / 4), Q35T_SAMPLE_ROWS};
    for (uint64_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)(i * 37 + 11);
    Q35_TRY(q35i_gguf_writer_create(path, true, &w));
    Q35_TRY_GOTO(write_meta(w, o, XXH3_64bits(data, bytes)), fail);
    Q35_TRY_GOTO(q35i_gguf_writer_tensor(w, "a.weight", o->container, 2, dim, bytes), fail);
    Q35_TRY_GOTO(q35i_gguf_writer_tensor(w, "b.weight", o->container, 2, dim, bytes), fail);
    Q35_TRY_GOTO(q35i_gguf_writer_begin(w), fail);
    Q35_TRY_GOTO(q35i_gguf_writer_data(w, data, bytes), fail);
    Q35_TRY_GOTO(q35i_gguf_writer_data(w, data, bytes), fail);
    return q35i_gguf_writer_commit(w);
fail:
    q35i_gguf_writer_discard(w);
    return status;
}
