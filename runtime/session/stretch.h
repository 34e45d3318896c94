/* SPDX-License-Identifier: Apache-2.0
 *
 * A stretch of a model, ready to run windows of tokens from position 0: what a conversion looks through while it
 * goes from layer to layer. One thread at a time. */
#ifndef Q35I_STRETCH_H
#define Q35I_STRETCH_H

#include "graph/plan.h"

typedef struct q35i_stretch q35i_stretch;

/* Borrows the device and the model until destroyed. options->n_ctx and n_tokens: the window. */
q35_status q35i_stretch_create(const q35_model *model, const q35_model_config *config,
                               const q35i_build_options *options, q35i_device *device, q35_pool *pool,
                               q35i_stretch **out);
void q35i_stretch_destroy(q35i_stretch *stretch); /* NULL ok */

/* Runs n_tokens at position pos on what the input holds, with all of them asked for at the output. */
q35_status q35i_stretch_run(q35i_stretch *stretch, uint32_t n_tokens, uint32_t pos);

void *q35i_stretch_input(const q35i_stretch *stretch);         /* i32 ids, or f32 [T][hidden] */
const float *q35i_stretch_output(const q35i_stretch *stretch); /* f32 [T][hidden or vocab], until the next run */

/* Calls each for every linear whose input is an output of the graph (linear_inputs): the name of its weight and of
 * that input. Linears with the same input come one after another. */
void q35i_stretch_linears(const q35i_stretch *stretch,
                          void (*each)(void *user, const char *weight, const char *input), void *user);

/* Memory of its steps' results, and of the KV cache of all its layers, bytes. */
uint64_t q35i_stretch_arena_bytes(const q35i_stretch *stretch);
uint64_t q35i_stretch_state_bytes(const q35i_stretch *stretch);

/* Output by name: f32 [T][k], until the next run; NULL: there is none. */
const float *q35i_stretch_find(const q35i_stretch *stretch, const char *name, uint64_t *out_k);

#endif
