/* SPDX-License-Identifier: Apache-2.0
 *
 * The distinct inputs of a layer's linears: how each is rotated and quantised, its second moments behind the
 * rotation, and encoding with them. One thread at a time but for the pool given. */
#ifndef Q35I_LAYER_INPUTS_H
#define Q35I_LAYER_INPUTS_H

#include "runtime/quant/hessian.h"
#include "runtime/session/convert.h"
#include "runtime/session/stretch.h"

#define Q35I_MAX_LAYER_INPUTS 8u
#define Q35I_ALL_INPUTS       UINT32_MAX
#define Q35I_ROTATION_WIDTH   512u /* docs/decisions/0003 */

typedef struct q35i_layer_input {
    char name[80];       /* output of the stretch */
    char weights[4][80]; /* linears that take it */
    uint32_t n_weights;
    uint64_t k;
    uint64_t seed;
    uint32_t width, activation;
    int8_t *signs;
    q35i_hessian moments;
    q35i_feedback feedback;
    double error_sum, error_worst, error_mean; /* of int8 with one scale per token, over tokens */
} q35i_layer_input;

typedef struct q35i_layer_inputs {
    q35i_layer_input input[Q35I_MAX_LAYER_INPUTS];
    uint32_t n;
    float *rotated; /* [window][k of the longest] */
} q35i_layer_inputs;

/* The inputs that the stretch gives out; moments are gathered of input `only`, or of all of them
 * (Q35I_ALL_INPUTS). out: zeroed; to be freed also after a failure. */
q35_status q35i_layer_inputs_create(const q35i_stretch *stretch, uint64_t seed, uint32_t layer, uint32_t only,
                                    q35i_layer_inputs *out);
/* Names, lengths and weights of the inputs alone. out: zeroed. */
q35_status q35i_layer_inputs_list(const q35i_stretch *stretch, q35i_layer_inputs *out);
void q35i_layer_inputs_free(q35i_layer_inputs *inputs); /* zeroed: nothing */
void q35i_layer_input_free(q35i_layer_input *input);    /* its matrices; zeroed: nothing */

/* Adds what the stretch's last run gave out. FORMAT names an input that is not finite. */
q35_status q35i_layer_inputs_add(q35i_layer_inputs *inputs, const q35i_stretch *stretch, uint32_t n_tokens,
                                 q35_pool *pool);

/* After the last token: chooses the activation type, and factors the moments. */
q35_status q35i_layer_input_factor(q35i_layer_input *input);

/* The target takes this input: rotation and activation type. */
void q35i_layer_input_describe(const q35i_layer_input *input, q35i_target *t);

/* Codes of one tensor, q35_row_bytes(t->dtype, k) * rows; *error against the source; t->done gets what was
 * measured. */
q35_status q35i_layer_encode(const q35i_layer_input *input, q35i_target *t, q35_pool *pool, uint8_t *codes,
                             q35i_row_error *error);

#endif
