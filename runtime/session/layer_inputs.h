/* SPDX-License-Identifier: Apache-2.0
 *
 * The distinct inputs of a layer's linears: how each is rotated and quantised, its second moments behind the
 * rotation, and encoding with them. One thread at a time but for the pool given. */
#ifndef Q35I_LAYER_INPUTS_H
#define Q35I_LAYER_INPUTS_H

#include "runtime/quant/correction.h"
#include "runtime/quant/hessian.h"
#include "runtime/session/convert.h"
#include "runtime/session/stretch.h"

#define Q35I_MAX_LAYER_INPUTS 8u
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
    q35i_correction correction; /* zeroed: none */
    bool corrects;              /* it is solved */
    q35i_feedback feedback;
    double error_sum, error_worst, error_mean; /* of int8 with one scale per token, over tokens */
} q35i_layer_input;

typedef struct q35i_layer_inputs {
    q35i_layer_input input[Q35I_MAX_LAYER_INPUTS];
    uint32_t n;
    float *rotated; /* [window][k of the longest] */
} q35i_layer_inputs;

/* The inputs that the stretch gives out, with room for their moments. out: zeroed; to be freed also after a
 * failure. */
q35_status q35i_layer_inputs_create(const q35i_stretch *stretch, uint64_t seed, uint32_t layer,
                                    q35i_layer_inputs *out);
/* Names, lengths and weights of the inputs alone. out: zeroed. */
q35_status q35i_layer_inputs_list(const q35i_stretch *stretch, q35i_layer_inputs *out);
void q35i_layer_inputs_free(q35i_layer_inputs *inputs); /* zeroed: nothing */
void q35i_layer_input_free(q35i_layer_input *input);    /* its matrices; zeroed: nothing */

/* Adds what the stretch's last run gave out. FORMAT names an input that is not finite. */
q35_status q35i_layer_inputs_add(q35i_layer_inputs *inputs, const q35i_stretch *stretch, uint32_t n_tokens,
                                 q35_pool *pool);

/* One input of a list, by its number in the layer: its moments and its linears' correction are to be gathered.
 * outputs: of its only linear, whose output is added to the residual stream; 0: it has several. To be freed also
 * after a failure. */
q35_status q35i_layer_input_open(q35i_layer_input *input, uint64_t seed, uint32_t layer, uint32_t number,
                                 uint64_t outputs);

/* What tokens show of an opened input. */
typedef struct q35i_layer_tokens {
    const float *y, *x; /* f32 [n][k]: the input in the quantised model and in the source */
    const float *dh;    /* f32 [n][outputs]: what the source's residual stream has more */
    const float *w;     /* f32 [outputs][k]: the only linear, as q35i_layer_read gives it */
    float *scratch;     /* q35i_layer_scratch */
    uint32_t n;
} q35i_layer_tokens;

uint64_t q35i_layer_scratch(uint64_t k, uint64_t outputs); /* bytes for Q35I_WINDOW tokens */

/* FORMAT names an input that is not finite. */
q35_status q35i_layer_input_add(q35i_layer_input *input, const q35i_layer_tokens *tokens, q35_pool *pool);

/* After the last token: chooses the activation type, solves the correction and factors the moments. */
q35_status q35i_layer_input_factor(q35i_layer_input *input, q35_pool *pool);

/* The target takes this input: rotation and activation type. */
void q35i_layer_input_describe(const q35i_layer_input *input, q35i_target *t);

/* The tensor's weights in the basis of the input, corrected where that is solved: out f32 [rows][k]. NOMEM. */
q35_status q35i_layer_read(const q35i_layer_input *input, const q35_tensor_info *info, q35_pool *pool, float *out);

/* Codes of one tensor, q35_row_bytes(t->dtype, k) * rows; *error against the source; t->done gets what was
 * measured. */
q35_status q35i_layer_encode(const q35i_layer_input *input, q35i_target *t, q35_pool *pool, uint8_t *codes,
                             q35i_row_error *error);

#endif
