/* SPDX-License-Identifier: Apache-2.0
 *
 * A layer half by half, as it is quantised: the hidden states of the source and those of the model quantised so
 * far side by side. A half has two distinct inputs of linears, so a layer has four: those of query, key and value,
 * of attention's output, of gate and up, and of down. The output of every second one is added to the residual
 * stream. One thread at a time. */
#ifndef Q35I_LAYER_HALVES_H
#define Q35I_LAYER_HALVES_H

#include "runtime/session/layer_walk.h"

#define Q35I_HALF_INPUTS  2u
#define Q35I_LAYER_INPUTS 4u

static inline uint32_t q35i_half_of(uint32_t number)
{
    return number / Q35I_HALF_INPUTS + Q35I_HALF_ATTENTION;
}

/* The input's only linear adds its output to the residual stream: it ends a half. */
static inline bool q35i_ends_half(uint32_t number)
{
    return number % Q35I_HALF_INPUTS == Q35I_HALF_INPUTS - 1;
}

/* Where work lies in the layer's progress, 0 to 1. */
typedef struct q35i_span {
    double from, to;
} q35i_span;

q35i_part q35i_half_whole(uint32_t layer, uint32_t half);

/* What a model runs through for a look at an input: its half up to there, but the source all of it where the input
 * ends the half. */
q35i_part q35i_half_part(uint32_t layer, uint32_t number, bool source);

/* Names, lengths and weights of the present layer's inputs. out: zeroed. UNSUPPORTED: a layer of another shape. */
q35_status q35i_halves_list(q35i_walk *walk, q35i_layer_inputs *out);

/* Opens the input with that number and gathers its moments and the correction over all windows. At the one that
 * ends a half the source's hidden states pass it. input: to be freed, also after a failure. */
q35_status q35i_halves_look(q35i_walk *walk, q35i_layer_input *input, uint32_t number, q35i_span progress);

/* Hidden states pass a half: those of the source or the others. */
q35_status q35i_halves_pass(q35i_walk *walk, uint32_t half, bool source, q35i_span progress);

#endif
