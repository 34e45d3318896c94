/* SPDX-License-Identifier: Apache-2.0
 *
 * From a model file to the graph of one step. One builder per architecture family, in
 * arch_<family>.c; build.c has a row for each. */
#ifndef Q35I_BUILD_H
#define Q35I_BUILD_H

#include "graph/graph.h"

#include <q35rt/model.h>

/* A layer's halves, each with a norm, linears and what it adds to the residual stream. */
enum { Q35I_HALF_ATTENTION = 1, Q35I_HALF_FEED_FORWARD };

/* A stretch of the model. What enters it is token ids, or f32 [T][hidden] in the input tensor "hidden"; what
 * leaves it is logits, or f32 [T][hidden] in the output tensor of its last node. */
typedef struct q35i_part {
    uint32_t begin, end; /* layers [begin, end) */
    int hidden_in, hidden_out;
    uint32_t half;         /* of each layer, Q35I_HALF_*; 0: both */
    uint32_t linear_input; /* n > 0: the n-th distinct input of a half's linears is the last thing that is
                            * computed, and the output: f32 [T][its length] */
} q35i_part;

typedef struct q35i_build_options {
    uint32_t n_tokens;     /* capacity: most tokens of a step */
    uint32_t n_ctx;        /* most tokens of a sequence */
    uint32_t n_kv_tokens;  /* tokens of the KV cache, all sequences together; 0: n_ctx */
    uint32_t n_sequences;  /* most sequences of a step; 0: 1 */
    uint32_t act;          /* Q35_ACT_* */
    uint32_t kv_dtype;     /* Q35_DT_F16, F32 or Q8_0 */
    int all_logits;        /* 1: logits of any tokens, else of one of each sequence at most */
    uint32_t n_candidates; /* as q35i_graph's, at most; 0: none */
    int observe;           /* 1: accumulate squares of every linear's input in states "observed.<weight>" */
    int linear_inputs; /* 1: inputs of the layers' linears are outputs "blk.N.attn_norm", "attention", "ffn_norm"
                        * and "ffn_act" */
    int layer_outputs; /* 1: the residual stream behind each layer is an output "blk.N.ffn_residual" */
    const q35i_part *part; /* NULL: the whole model */
} q35i_build_options;

/* A family's builder: fills an initialised graph; on failure the caller frees it. */
typedef q35_status q35i_build_fn(const q35_model *model, const q35_model_config *config,
                                 const q35i_build_options *options, q35i_graph *out);
q35i_build_fn q35i_build_llama;

/* out is initialised here; on failure it is freed. Tensor data is borrowed from the model. */
q35_status q35i_build_graph(const q35_model *model, const q35_model_config *config,
                            const q35i_build_options *options, q35i_graph *out);

#endif
