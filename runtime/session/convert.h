/* SPDX-License-Identifier: Apache-2.0
 *
 * What the steps of a conversion share: the list of the output's tensors, filled in step by step. Finished tensors
 * lie in the journal until the output is put together. */
#ifndef Q35I_CONVERT_H
#define Q35I_CONVERT_H

#include "runtime/device/device.h"
#include "runtime/quant/book.h"
#include "runtime/quant/certificate.h"
#include "runtime/quant/sample.h"
#include "runtime/session/journal.h"

#include <q35rt/convert.h>

#include <stdbool.h>

/* Tokens per calibration step. Each starts at position 0. */
#define Q35I_WINDOW 512

/* Pass of the journal for measurements; finished tensors have that of their plan. */
enum { Q35I_PASS_MEASURE = 1 };

/* A tensor of the output. */
typedef struct q35i_target {
    const q35_tensor_info *info; /* of the source */
    uint32_t index;              /* in the source */
    uint32_t dtype;              /* it is stored as; coded types are described by q35.* keys */
    uint32_t activation, rotation_width;
    uint64_t rotation_seed;
    float *importance; /* f32 [K] of FAST, NULL: none */
    bool finished;     /* coded: done says how it came out, the journal has the bytes */
    q35i_finished done;
    uint32_t kept;      /* type when it is not coded */
    bool choosable;     /* an allocation may code it */
    double sensitivity; /* KL when it alone is Q35_ROW, NaN: not measured */
    double expected;    /* KL that its type is expected to bring, NaN: not measured */
} q35i_target;

/* How the work fits the bound of memory. */
typedef struct q35i_memory {
    bool hidden_in_file; /* the hidden states of all windows */
} q35i_memory;

typedef struct q35i_conversion {
    q35_runtime *runtime;
    q35_pool *pool;
    const q35_model *in;
    q35_model_config config;
    const q35_convert_options *options;
    const char *path; /* of the output */
    q35i_memory memory;
    q35i_target *targets; /* one per tensor of the source, in its order */
    uint64_t n_targets;
    int32_t *ids; /* calibration tokens, whole windows; NULL: none */
    uint64_t n_windows;
    q35i_book book; /* of Q35_PAIR and Q35_SPLIT */
    q35i_journal *journal;
    uint32_t plan;                    /* pass of the journal: changes with any tensor's type */
    uint64_t n_weights, weights_done; /* of coded tensors */
    q35_convert_result result;
} q35i_conversion;

/* True for the matrices of the layers: in a model whose config was read, all of rank 2 in blk.N. */
bool q35i_is_linear(const q35_tensor_info *info);

/* A tensor of that layer: blk.<layer>.<anything>. */
bool q35i_in_layer(const q35_tensor_info *info, uint32_t layer);

/* Calls the progress function; CANCELLED when it asks for it. */
q35_status q35i_convert_progress(const q35_convert_options *options, uint32_t stage, uint64_t done,
                                 uint64_t total);

/* Tokenises options->calibration_text into whole windows. INVALID when it has not one. */
q35_status q35i_calibration_read(q35i_conversion *c);

/* convert_memory.c: what the work takes at most, how it is cut down to the bound, and telling of it. NOFIT names
 * what is needed and what there is. */
q35_status q35i_convert_memory(q35i_conversion *c);

/* convert_fast.c: importance (with calibration tokens), codebook and codes of every coded tensor. */
q35_status q35i_convert_fast(q35i_conversion *c);

/* convert_layers.c: layer by layer, error feedback. */
q35_status q35i_convert_layers(q35i_conversion *c);

/* A matrix outside the layers, rotated and rounded; sets its rotation and activation type. */
q35_status q35i_encode_alone(const q35i_conversion *c, q35i_target *t, uint8_t *codes, q35i_row_error *error);

/* Notes a coded tensor's bytes: certificate, journal. error: of the bytes against the source. */
q35_status q35i_convert_finish_tensor(q35i_conversion *c, q35i_target *target, const void *bytes,
                                      const q35i_row_error *error);

/* The bytes of a finished tensor, t->done.bytes. */
q35_status q35i_convert_read_tensor(const q35i_conversion *c, const q35i_target *t, void *bytes);

/* convert_write.c: the output from the journal and the source. */
q35_status q35i_convert_write(q35i_conversion *c, const char *path);

#endif
