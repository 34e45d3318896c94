/* SPDX-License-Identifier: Apache-2.0
 *
 * The hidden states of all calibration tokens on their way through the model, layer by layer, over the source's
 * weights or those that stand for them. One thread at a time. */
#ifndef Q35I_LAYER_WALK_H
#define Q35I_LAYER_WALK_H

#include "runtime/session/layer_inputs.h"
#include "runtime/session/windows.h"

typedef struct q35i_walk {
    q35i_conversion *c;
    q35i_device *device;
    q35_model *overlay;    /* the source with what stands for it */
    q35i_windows *windows; /* hidden states, of each window f32 [Q35I_WINDOW][hidden width] */
    q35_model *source;     /* nothing but the source, with its hidden states; NULL: not walked */
    q35i_windows *source_windows;
    uint64_t n_windows, n_int8; /* the first n_windows of the text; from n_int8 on linears take F32 activations */
    uint8_t **codes;            /* [n_targets] bytes that stand for a tensor, NULL: the source's own */
    uint32_t layer;             /* that the hidden states enter */
    uint32_t stage;             /* Q35_STAGE_* that progress is told of */
    double told;                /* share of the layer that was told last */
} q35i_walk;

/* Nothing stands for anything, no hidden states yet; these are kept where c->memory says. n_int8: of the first
 * n_windows of the text those whose linears take int8 activations, like the file's will; the others take F32. To
 * be closed also after a failure. */
q35_status q35i_walk_open(q35i_conversion *c, uint32_t stage, uint64_t n_windows, uint64_t n_int8, q35i_walk *out);
/* The source's hidden states, too. After q35i_walk_open. */
q35_status q35i_walk_open_source(q35i_walk *walk);
/* The same without windows: for stretches alone. */
q35_status q35i_walk_open_bare(q35i_conversion *c, q35i_walk *out);
void q35i_walk_close(q35i_walk *walk);

/* Share of the present layer, 0 to 1, that is done. */
q35_status q35i_walk_progress(q35i_walk *walk, double part);

uint64_t q35i_window_bytes(const q35i_conversion *c); /* of hidden states */

/* A stretch of windows over the overlay as it is now. act: Q35_ACT_*; logits: of all tokens. */
q35_status q35i_walk_stretch(const q35i_walk *walk, const q35i_part *part, uint32_t act, int linear_inputs,
                             q35i_stretch **out);
q35_status q35i_walk_stretch_of(const q35i_walk *walk, const q35_model *model, const q35i_part *part, uint32_t act,
                                int linear_inputs, q35i_stretch **out); /* over the overlay or the source */
q35_status q35i_walk_run(const q35i_walk *walk, q35i_stretch *stretch, uint64_t i); /* on window i */

q35_status q35i_walk_embed(q35i_walk *walk); /* hidden: what enters layer 0 */
/* hidden: what leaves the layer; from: where in the layer's progress this begins. */
q35_status q35i_walk_advance(q35i_walk *walk, double from);

/* Calls each for every distinct input of the layer's linears, with its moments over the first n windows; what of
 * the input is left afterwards is freed. looked, end: where in the layer's progress the moments are there, and all
 * is over. */
q35_status q35i_walk_inputs(q35i_walk *walk, uint64_t n, double looked, double end,
                            q35_status (*each)(void *user, q35i_layer_input *input), void *user);

/* What the source holds in another form and was put together for a stretch of the layer takes memory no longer. */
void q35i_walk_let_go(q35i_walk *walk);

/* bytes, which are taken, stand for the target with its type, rotation and activation from now on; NULL: the
 * source. */
void q35i_walk_show(q35i_walk *walk, const q35i_target *t, uint8_t *bytes);

/* NULL: no tensor of that name. */
q35i_target *q35i_walk_target(const q35i_walk *walk, const char *name);

#endif
