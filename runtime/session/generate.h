/* SPDX-License-Identifier: Apache-2.0
 *
 * What the writers of random models share. */
#ifndef Q35I_GENERATE_H
#define Q35I_GENERATE_H

#include "runtime/base/file_out.h"
#include "runtime/model/meta_list.h"

#include <jansson.h>
#include <q35rt/generate.h>

/* INVALID names the number that does not fit. */
q35_status q35i_shape_check(const q35_shape *shape);

/* A tensor to write: [rows][cols], rows in the order of the layout. */
typedef struct q35i_gen_tensor {
    char name[64]; /* GGUF */
    char hf[96];   /* Hugging Face; with the family's prefix */
    char mistral[64];
    uint64_t cols, rows; /* rows 1 and norm: a vector */
    uint32_t dtype;      /* Q35_DT_* */
    uint32_t index;      /* of its random stream; the same in all layouts */
    uint32_t halves;     /* head width where HF's rows of a head are in halves, else 0 */
    uint32_t input;      /* matrices of a layer: which of its inputs, from 1 on; else 0 */
    uint32_t layer;
    int norm;
} q35i_gen_tensor;

typedef struct q35i_generation {
    const q35_shape *shape;
    const q35_generate_options *options;
    q35_pool *pool;
    q35i_gen_tensor *tensors;
    uint64_t n_tensors, n_weights, weights_done;
} q35i_generation;

/* Lists the tensors for the layout. Free tensors with q35i_free. */
q35_status q35i_gen_list(q35i_generation *g);

/* Bytes of a tensor's data in its file (FP8: one per weight). */
uint64_t q35i_gen_bytes(const q35i_gen_tensor *t);

/* Scale of an FP8 matrix. */
float q35i_gen_f8_scale(const q35i_gen_tensor *t);

/* Makes rows [begin, end) of the tensor on the pool. CANCELLED when the progress function says so. */
q35_status q35i_gen_fill(q35i_generation *g, const q35i_gen_tensor *t, uint64_t begin, uint64_t end, uint8_t *out);

/* Rows made at a time. */
uint64_t q35i_gen_piece_rows(const q35i_gen_tensor *t);

/* Makes the tensor's bytes piece by piece and hands each to write. */
q35_status q35i_gen_write(q35i_generation *g, const q35i_gen_tensor *t,
                          q35_status (*write)(void *user, const void *data, uint64_t bytes), void *user);

/* GGUF metadata: the shape, and the tokenizer unless the options leave it out. */
q35_status q35i_gen_metadata(const q35i_generation *g, q35i_meta_list *meta);

/* One writer per layout. */
q35_status q35i_gen_gguf(q35i_generation *g, const char *path);
q35_status q35i_gen_directory(q35i_generation *g, const char *path);

/* Writes a JSON value (borrowed; NULL: out of memory) as dir/name. */
q35_status q35i_gen_json_file(const char *dir, const char *name, json_t *value);

/* Files of a directory that describe the model: config.json and tokenizer.json, or params.json. */
q35_status q35i_gen_config_files(const q35i_generation *g, const char *dir);

#endif
