/* SPDX-License-Identifier: Apache-2.0
 *
 * Graph of the llama family (Llama, Mistral, Ministral 3, SmolLM2): per layer
 *   h += W_o attention(s rope(W_q n), rope(W_k n), W_v n),  n = rms_norm(h)
 *   h += W_down (silu(W_gate m) * W_up m),                  m = rms_norm(h)
 * then rms_norm and the head. Every number comes from the file. s is the temperature of queries by position, where
 * the file has one (Ministral 3). */
#include "graph/build.h"
#include "graph/rope.h"
#include "runtime/base/error.h"
#include "runtime/model/model.h"

#include <q35rt/blocks.h>
#include <q35rt/session.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct builder {
    q35i_graph *graph;
    const q35_model *model;
    const q35_model_config *config;
    const q35i_build_options *options;
    uint32_t book;     /* codebook tensor, Q35_NONE */
    uint32_t inv_freq; /* rope frequencies */
    uint32_t layer;
} builder;

/* A linear's input in the forms its consumers want; made on first use. */
typedef struct linear_input {
    uint32_t f32, int8; /* tensors; Q35_NONE: not made yet */
    int observed;
} linear_input;

static uint32_t weight(builder *b, const char *name)
{
    const q35_tensor_info *info = q35_model_tensor(b->model, name);
    if (!info) {
        if (b->graph->status == Q35_OK)
            b->graph->status = Q35_FAIL(Q35_E_FORMAT, "tensor %s: not in the file", name);
        return Q35_NONE;
    }
    const void *data = NULL;
    if (b->graph->status == Q35_OK)
        b->graph->status = q35i_model_bytes(b->model, info, &data);
    for (uint32_t t = 0; t < b->graph->n_tensors && data; t++)
        if (b->graph->tensors[t].role == Q35_ROLE_WEIGHT && b->graph->tensors[t].data == data)
            return t;
    return q35i_graph_tensor(b->graph, Q35_ROLE_WEIGHT, q35i_desc(info->dtype, info->rank, info->dim, 0), data,
                             name);
}

static const char *layer_name(builder *b, char *buf, size_t cap, const char *part)
{
    snprintf(buf, cap, "blk.%u.%s", b->layer, part);
    return buf;
}

static uint32_t layer_weight(builder *b, const char *part)
{
    char name[64];
    snprintf(name, sizeof name, "blk.%u.%s.weight", b->layer, part);
    return weight(b, name);
}

static uint32_t node1(builder *b, uint32_t op, const q35i_params *params, uint32_t n_in, const uint32_t *in,
                      const char *name)
{
    uint32_t node = q35i_graph_node(b->graph, op, params, n_in, in, name);
    if (node == Q35_NONE || b->graph->nodes[node].n_out == 0)
        return Q35_NONE;
    return b->graph->nodes[node].out[0];
}

/* Weights that keep 16 or more bits get f32 activations also when int8 is asked for: there is nothing to win. */
static int wants_int8(const builder *b, uint32_t weight_tensor)
{
    if (b->options->act != Q35_ACT_INT8 || weight_tensor == Q35_NONE)
        return 0;
    uint32_t dtype = b->graph->tensors[weight_tensor].desc.dtype;
    return dtype != Q35_DT_F32 && dtype != Q35_DT_F16 && dtype != Q35_DT_BF16;
}

/* Accumulates squares of the input, in a state named after the first weight that consumes it. */
static void observe(builder *b, linear_input *x, const char *weight_name)
{
    char name[80];
    if (!b->options->observe || x->observed)
        return;
    x->observed = 1;
    const int64_t k = b->graph->tensors[x->f32].desc.dim[0];
    snprintf(name, sizeof name, "observed.%.70s", weight_name);
    uint32_t acc = q35i_graph_tensor(b->graph, Q35_ROLE_STATE, q35i_desc(Q35_DT_F32, 1, &k, 0), NULL, name);
    const uint32_t in[2] = {x->f32, acc};
    (void)node1(b, Q35_OP_SUM_SQUARES, NULL, 2, in, name);
}

static uint32_t linear(builder *b, linear_input *x, uint32_t w, const char *name)
{
    char label[64];
    if (b->graph->status != Q35_OK || w == Q35_NONE)
        return Q35_NONE;
    observe(b, x, b->graph->tensors[w].name);
    int int8 = wants_int8(b, w);
    if (int8 && x->int8 == Q35_NONE) {
        snprintf(label, sizeof label, "%.48s.int8", b->graph->tensors[x->f32].name);
        x->int8 = node1(b, Q35_OP_QUANTIZE_ACT, NULL, 1, &x->f32, label);
    }
    uint32_t dtype = b->graph->status == Q35_OK ? b->graph->tensors[w].desc.dtype : 0;
    uint32_t n_in = dtype == Q35_DT_Q35_PAIR || dtype == Q35_DT_Q35_SPLIT ? 3 : 2;
    const uint32_t in[3] = {int8 ? x->int8 : x->f32, w, b->book};
    return node1(b, Q35_OP_LINEAR, NULL, n_in, in, name);
}

static linear_input input_of(uint32_t tensor)
{
    linear_input x = {.f32 = tensor, .int8 = Q35_NONE};
    return x;
}

static uint32_t rms_norm(builder *b, uint32_t x, uint32_t w, const char *name)
{
    const q35i_params p = {
        .norm = {.h = {sizeof(q35_norm_params), Q35_STRUCT_NORM_PARAMS, NULL}, .eps = b->config->norm_eps}};
    const uint32_t in[2] = {x, w};
    return node1(b, Q35_OP_RMS_NORM, &p, 2, in, name);
}

static uint32_t binary(builder *b, uint32_t op, uint32_t x, uint32_t y, const char *name)
{
    const uint32_t in[2] = {x, y};
    return node1(b, op, NULL, 2, in, name);
}

/* tempered: 1 for queries */
static uint32_t rope(builder *b, uint32_t x, int tempered, const char *name)
{
    q35i_params p = {.rope = {.h = {sizeof(q35_rope_params), Q35_STRUCT_ROPE_PARAMS, NULL},
                              .head_dim = b->config->head_dim,
                              .n_rot = b->config->n_rot}};
    if (tempered) {
        p.rope.temperature_beta = b->config->temperature_beta;
        p.rope.temperature_length = b->config->temperature_length;
    }
    const uint32_t in[2] = {x, b->inv_freq};
    return node1(b, Q35_OP_ROPE, &p, 2, in, name);
}

static uint32_t kv_state(builder *b, const char *which)
{
    char name[64];
    const int64_t dim[3] = {b->config->head_dim, b->options->n_ctx, b->config->n_kv_heads};
    snprintf(name, sizeof name, "kv.%u.%s", b->layer, which);
    return q35i_graph_tensor(b->graph, Q35_ROLE_STATE, q35i_desc(b->options->kv_dtype, 3, dim, 0), NULL, name);
}

static uint32_t attention(builder *b, uint32_t h)
{
    char name[64];
    const q35_model_config *c = b->config;
    uint32_t norm = rms_norm(b, h, layer_weight(b, "attn_norm"), layer_name(b, name, sizeof name, "attn_norm"));
    linear_input x = input_of(norm);
    uint32_t q = linear(b, &x, layer_weight(b, "attn_q"), layer_name(b, name, sizeof name, "attn_q"));
    uint32_t k = linear(b, &x, layer_weight(b, "attn_k"), layer_name(b, name, sizeof name, "attn_k"));
    uint32_t v = linear(b, &x, layer_weight(b, "attn_v"), layer_name(b, name, sizeof name, "attn_v"));
    q = rope(b, q, 1, layer_name(b, name, sizeof name, "rope_q"));
    k = rope(b, k, 0, layer_name(b, name, sizeof name, "rope_k"));

    uint32_t k_state = kv_state(b, "k"), v_state = kv_state(b, "v");
    const q35i_params kv = {.kv = {.h = {sizeof(q35_kv_params), Q35_STRUCT_KV_PARAMS, NULL},
                                   .n_kv_heads = c->n_kv_heads,
                                   .head_dim = c->head_dim}};
    const uint32_t append_in[4] = {k, v, k_state, v_state};
    (void)node1(b, Q35_OP_KV_APPEND, &kv, 4, append_in, layer_name(b, name, sizeof name, "kv_append"));

    /* rope's attention factor is on queries and on keys */
    double factor = (double)c->rope_attention_factor * (double)c->rope_attention_factor;
    const q35i_params att = {.attention = {.h = {sizeof(q35_attention_params), Q35_STRUCT_ATTENTION_PARAMS, NULL},
                                           .n_heads = c->n_heads,
                                           .n_kv_heads = c->n_kv_heads,
                                           .head_dim = c->head_dim,
                                           .scale = (float)(factor / sqrt((double)c->head_dim))}};
    const uint32_t att_in[3] = {q, k_state, v_state};
    uint32_t a = node1(b, Q35_OP_ATTENTION, &att, 3, att_in, layer_name(b, name, sizeof name, "attention"));
    linear_input y = input_of(a);
    return linear(b, &y, layer_weight(b, "attn_output"), layer_name(b, name, sizeof name, "attn_output"));
}

static uint32_t feed_forward(builder *b, uint32_t h)
{
    char name[64];
    uint32_t norm = rms_norm(b, h, layer_weight(b, "ffn_norm"), layer_name(b, name, sizeof name, "ffn_norm"));
    linear_input x = input_of(norm);
    uint32_t gate = linear(b, &x, layer_weight(b, "ffn_gate"), layer_name(b, name, sizeof name, "ffn_gate"));
    uint32_t up = linear(b, &x, layer_weight(b, "ffn_up"), layer_name(b, name, sizeof name, "ffn_up"));
    uint32_t act = node1(b, Q35_OP_SILU, NULL, 1, &gate, layer_name(b, name, sizeof name, "ffn_silu"));
    linear_input y = input_of(binary(b, Q35_OP_MUL, act, up, layer_name(b, name, sizeof name, "ffn_act")));
    return linear(b, &y, layer_weight(b, "ffn_down"), layer_name(b, name, sizeof name, "ffn_down"));
}

static void rope_frequencies(builder *b)
{
    const int64_t n = b->config->n_rot / 2;
    const q35_tensor_info *divisors = q35_model_tensor(b->model, "rope_freqs.weight");
    float *inv = q35i_graph_constant(b->graph, (uint64_t)n * sizeof *inv);
    if (!inv)
        return;
    q35i_rope_frequencies(b->config, divisors ? divisors->data : NULL, inv);
    b->inv_freq =
        q35i_graph_tensor(b->graph, Q35_ROLE_WEIGHT, q35i_desc(Q35_DT_F32, 1, &n, 0), inv, "rope.inv_freq");
}

static void inputs(builder *b)
{
    const int64_t n_step = sizeof(q35_step) / sizeof(int32_t), n_tokens = b->options->n_tokens;
    q35i_graph *g = b->graph;
    g->step = q35i_graph_tensor(g, Q35_ROLE_STEP, q35i_desc(Q35_DT_I32, 1, &n_step, 0), NULL, "step");
    g->ids =
        q35i_graph_tensor(g, Q35_ROLE_INPUT, q35i_desc(Q35_DT_I32, 1, &n_tokens, Q35_TF_TOKEN_ROWS), NULL, "ids");
    b->book = Q35_NONE;
    if (q35_model_book(b->model))
        b->book = q35i_graph_tensor(g, Q35_ROLE_WEIGHT, q35i_desc2(Q35_DT_I8, 2, Q35_BOOK_POINTS, 0),
                                    q35_model_book(b->model), "codebook");
    rope_frequencies(b);
}

static void head(builder *b, uint32_t h, uint32_t embedding)
{
    if (!b->options->all_logits) {
        uint32_t tail = q35i_graph_tail(b->graph, h, 1, "tail");
        h = tail == Q35_NONE ? Q35_NONE : b->graph->nodes[tail].out[0];
    }
    linear_input x = input_of(rms_norm(b, h, weight(b, "output_norm.weight"), "output_norm"));
    uint32_t w = b->config->tied_head ? embedding : weight(b, "output.weight");
    x.observed = 1; /* the head is not converted: its input needs no statistics */
    b->graph->logits = linear(b, &x, w, "logits");
    if (b->graph->status == Q35_OK)
        b->graph->tensors[b->graph->logits].role = Q35_ROLE_OUTPUT;
}

q35_status q35i_build_llama(const q35_model *model, const q35_model_config *config,
                            const q35i_build_options *options, q35i_graph *out)
{
    char name[64];
    builder b = {.graph = out, .model = model, .config = config, .options = options};
    inputs(&b);
    uint32_t embedding = weight(&b, "token_embd.weight");
    uint32_t dtype = out->status == Q35_OK ? out->tensors[embedding].desc.dtype : 0;
    const uint32_t in[3] = {out->ids, embedding, b.book};
    uint32_t h = node1(&b, Q35_OP_GET_ROWS, NULL, dtype == Q35_DT_Q35_PAIR || dtype == Q35_DT_Q35_SPLIT ? 3 : 2,
                       in, "embedding");
    for (b.layer = 0; b.layer < config->n_layers && out->status == Q35_OK; b.layer++) {
        h = binary(&b, Q35_OP_ADD, h, attention(&b, h), layer_name(&b, name, sizeof name, "attn_residual"));
        h = binary(&b, Q35_OP_ADD, h, feed_forward(&b, h), layer_name(&b, name, sizeof name, "ffn_residual"));
    }
    if (out->status == Q35_OK)
        head(&b, h, embedding);
    return q35i_graph_verify(out);
}
