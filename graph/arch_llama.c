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
#include "runtime/base/size.h"
#include "runtime/model/model.h"
#include "runtime/quant/rotation.h"

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
    uint32_t book, book8; /* codebooks of 7- and 8-bit codes, Q35_NONE: not used yet */
    uint32_t inv_freq;    /* rope frequencies */
    uint32_t layer;
} builder;

/* One form of a linear's input: rotated or not, quantised or not. */
typedef struct input_form {
    uint64_t seed;
    uint32_t width; /* of the rotation, 0: none */
    uint32_t dtype; /* Q35_DT_F32 or A8_* */
    uint32_t tensor;
} input_form;

/* A linear's input in the forms its consumers want; made on first use. The first is the input itself. */
typedef struct linear_input {
    input_form forms[6]; /* three linears share an input at most */
    uint32_t n_forms;
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

/* Type in which a weight takes its input. Weights that keep 16 or more bits get f32 also when int8 is asked for:
 * there is nothing to win. */
static uint32_t input_type(const builder *b, const q35_tensor_info *w)
{
    if (b->options->act != Q35_ACT_INT8 || w->dtype == Q35_DT_F32 || w->dtype == Q35_DT_F16 ||
        w->dtype == Q35_DT_BF16)
        return Q35_DT_F32;
    return w->activation ? w->activation : Q35_DT_A8_32;
}

/* Signs of a rotation, as a constant of the graph; the same tensor for the same seed. */
static uint32_t signs(builder *b, uint64_t seed, int64_t k)
{
    char name[40];
    q35i_graph *g = b->graph;
    snprintf(name, sizeof name, "signs.%016llx", (unsigned long long)seed);
    for (uint32_t t = 0; t < g->n_tensors; t++)
        if (strcmp(g->tensors[t].name, name) == 0 && g->tensors[t].desc.dim[0] == k)
            return t;
    int8_t *data = q35i_graph_constant(g, (uint64_t)k);
    if (!data)
        return Q35_NONE;
    q35i_rotation_signs(seed, (uint64_t)k, data);
    return q35i_graph_tensor(g, Q35_ROLE_WEIGHT, q35i_desc(Q35_DT_I8, 1, &k, 0), data, name);
}

/* rotate, or its inverse, of the tensor x. */
static uint32_t rotate(builder *b, uint32_t x, const q35_tensor_info *how, uint32_t inverse, const char *name)
{
    const q35i_params p = {.rotate = {.h = {sizeof(q35_rotate_params), Q35_STRUCT_ROTATE_PARAMS, NULL},
                                      .width = how->rotation_width,
                                      .inverse = inverse}};
    if (b->graph->status != Q35_OK)
        return Q35_NONE;
    const uint32_t in[2] = {x, signs(b, how->rotation_seed, b->graph->tensors[x].desc.dim[0])};
    return in[1] == Q35_NONE ? Q35_NONE : node1(b, Q35_OP_ROTATE, &p, 2, in, name);
}

static uint32_t quantise(builder *b, uint32_t x, uint32_t dtype, const char *name)
{
    const q35i_params p = {
        .quantize = {.h = {sizeof(q35_quantize_params), Q35_STRUCT_QUANTIZE_PARAMS, NULL}, .dtype = dtype}};
    return node1(b, Q35_OP_QUANTIZE_ACT, dtype == Q35_DT_A8_32 ? NULL : &p, 1, &x, name);
}

/* Label of a form of the input: "<name>.rotated.int8", with the form's number where there are several. */
static const char *form_name(const builder *b, const linear_input *x, const char *form, char *buf, size_t cap)
{
    const char *base = b->graph->tensors[x->forms[0].tensor].name;
    uint32_t same = 0;
    snprintf(buf, cap, "%.24s.%s", base, form);
    for (uint32_t t = 0; t < b->graph->n_tensors; t++)
        same += strncmp(b->graph->tensors[t].name, buf, strlen(buf)) == 0 ? 1 : 0;
    if (same)
        snprintf(buf, cap, "%.24s.%s%u", base, form, same + 1);
    return buf;
}

/* The input rotated as w asks (0: not) in the given type. */
static uint32_t form_of(builder *b, linear_input *x, const q35_tensor_info *w, uint32_t width, uint32_t dtype)
{
    char name[48];
    uint64_t seed = width ? w->rotation_seed : 0;
    for (uint32_t i = 0; i < x->n_forms; i++) {
        const input_form *f = &x->forms[i];
        if (f->width == width && f->seed == seed && f->dtype == dtype)
            return f->tensor;
    }
    uint32_t made;
    if (dtype != Q35_DT_F32) {
        uint32_t from = form_of(b, x, w, width, Q35_DT_F32);
        made = from == Q35_NONE ? Q35_NONE : quantise(b, from, dtype, form_name(b, x, "int8", name, sizeof name));
    } else {
        made = rotate(b, x->forms[0].tensor, w, 0, form_name(b, x, "rotated", name, sizeof name));
    }
    if (made != Q35_NONE)
        x->forms[x->n_forms++] = (input_form){seed, width, dtype, made};
    return made;
}

/* Accumulates squares of the input, in a state named after the first weight that consumes it. */
static void observe(builder *b, linear_input *x, const char *weight_name)
{
    char name[80];
    if (!b->options->observe || x->observed)
        return;
    x->observed = 1;
    const int64_t k = b->graph->tensors[x->forms[0].tensor].desc.dim[0];
    snprintf(name, sizeof name, "observed.%.70s", weight_name);
    uint32_t acc = q35i_graph_tensor(b->graph, Q35_ROLE_STATE, q35i_desc(Q35_DT_F32, 1, &k, 0), NULL, name);
    const uint32_t in[2] = {x->forms[0].tensor, acc};
    (void)node1(b, Q35_OP_SUM_SQUARES, NULL, 2, in, name);
}

/* The codebook of a weight type as a tensor, Q35_NONE: it has none. */
static uint32_t book_of(builder *b, uint32_t dtype)
{
    uint32_t entries = q35_book_entries(dtype), *book = dtype == Q35_DT_Q40_ROW ? &b->book8 : &b->book;
    if (entries && *book == Q35_NONE)
        *book =
            q35i_graph_tensor(b->graph, Q35_ROLE_WEIGHT, q35i_desc2(Q35_DT_I8, 2, entries, 0),
                              q35_model_book(b->model, dtype), entries == Q35_BOOK_MAX ? "codebook8" : "codebook");
    return entries ? *book : Q35_NONE;
}

static uint32_t linear(builder *b, linear_input *x, uint32_t w, const char *name)
{
    if (b->graph->status != Q35_OK || w == Q35_NONE)
        return Q35_NONE;
    const q35_tensor_info *info = q35_model_tensor(b->model, b->graph->tensors[w].name);
    observe(b, x, info->name);
    uint32_t book = book_of(b, info->dtype);
    const uint32_t in[3] = {form_of(b, x, info, info->rotation_width, input_type(b, info)), w, book};
    if (in[0] == Q35_NONE)
        return Q35_NONE;
    return node1(b, Q35_OP_LINEAR, NULL, book == Q35_NONE ? 2 : 3, in, name);
}

static linear_input plain_input(uint32_t tensor)
{
    linear_input x = {.forms = {{.dtype = Q35_DT_F32, .tensor = tensor}}, .n_forms = 1};
    return x;
}

static void make_output(builder *b, uint32_t tensor)
{
    if (b->graph->status == Q35_OK)
        b->graph->tensors[tensor].role = Q35_ROLE_OUTPUT;
}

/* Of a linear in a layer. */
static linear_input input_of(builder *b, uint32_t tensor)
{
    if (b->options->linear_inputs)
        make_output(b, tensor);
    return plain_input(tensor);
}

/* The part goes no further than the n-th input of a half. */
static int ends_at_input(const builder *b, uint32_t n)
{
    return b->options->part && b->options->part->linear_input == n;
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

/* An input i32 [T], made on first use. */
static uint32_t per_token(builder *b, uint32_t *index, const char *name)
{
    const int64_t n = b->options->n_tokens;
    if (*index == Q35_NONE)
        *index = q35i_graph_tensor(b->graph, Q35_ROLE_INPUT, q35i_desc(Q35_DT_I32, 1, &n, Q35_TF_TOKEN_ROWS), NULL,
                                   name);
    return *index;
}

static uint32_t most_sequences(const builder *b)
{
    return (uint32_t)q35i_min(b->options->n_sequences ? b->options->n_sequences : 1, b->options->n_tokens);
}

static uint64_t pages_for(uint64_t tokens)
{
    return (tokens + Q35_KV_PAGE - 1) / Q35_KV_PAGE;
}

static uint32_t page_table(builder *b)
{
    const int64_t max_pages = (int64_t)pages_for(b->options->n_ctx);
    if (b->graph->pages == Q35_NONE)
        b->graph->pages = q35i_graph_tensor(b->graph, Q35_ROLE_INPUT,
                                            q35i_desc2(Q35_DT_I32, max_pages, most_sequences(b), Q35_TF_SEQUENCES),
                                            NULL, "pages");
    return b->graph->pages;
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
    const uint32_t in[3] = {x, b->inv_freq, per_token(b, &b->graph->positions, "positions")};
    return node1(b, Q35_OP_ROPE, &p, 3, in, name);
}

static uint32_t kv_state(builder *b, const char *which)
{
    char name[64];
    const uint64_t tokens = b->options->n_kv_tokens ? b->options->n_kv_tokens : b->options->n_ctx;
    const int64_t dim[4] = {b->config->head_dim, Q35_KV_PAGE, b->config->n_kv_heads, (int64_t)pages_for(tokens)};
    snprintf(name, sizeof name, "kv.%u.%s", b->layer, which);
    return q35i_graph_tensor(b->graph, Q35_ROLE_STATE, q35i_desc(b->options->kv_dtype, 4, dim, 0), NULL, name);
}

static uint32_t attention(builder *b, uint32_t h)
{
    char name[64];
    const q35_model_config *c = b->config;
    uint32_t norm = rms_norm(b, h, layer_weight(b, "attn_norm"), layer_name(b, name, sizeof name, "attn_norm"));
    linear_input x = input_of(b, norm);
    if (ends_at_input(b, 1))
        return norm;
    uint32_t q = linear(b, &x, layer_weight(b, "attn_q"), layer_name(b, name, sizeof name, "attn_q"));
    uint32_t k = linear(b, &x, layer_weight(b, "attn_k"), layer_name(b, name, sizeof name, "attn_k"));
    uint32_t v = linear(b, &x, layer_weight(b, "attn_v"), layer_name(b, name, sizeof name, "attn_v"));
    q = rope(b, q, 1, layer_name(b, name, sizeof name, "rope_q"));
    k = rope(b, k, 0, layer_name(b, name, sizeof name, "rope_k"));

    uint32_t k_state = kv_state(b, "k"), v_state = kv_state(b, "v");
    const q35i_params kv = {.kv = {.h = {sizeof(q35_kv_params), Q35_STRUCT_KV_PARAMS, NULL},
                                   .n_kv_heads = c->n_kv_heads,
                                   .head_dim = c->head_dim}};
    const uint32_t append_in[5] = {k, v, k_state, v_state, per_token(b, &b->graph->slots, "slots")};
    (void)node1(b, Q35_OP_KV_APPEND, &kv, 5, append_in, layer_name(b, name, sizeof name, "kv_append"));

    /* rope's attention factor is on queries and on keys */
    double factor = (double)c->rope_attention_factor * (double)c->rope_attention_factor;
    const q35i_params att = {.attention = {.h = {sizeof(q35_attention_params), Q35_STRUCT_ATTENTION_PARAMS, NULL},
                                           .n_heads = c->n_heads,
                                           .n_kv_heads = c->n_kv_heads,
                                           .head_dim = c->head_dim,
                                           .scale = (float)(factor / sqrt((double)c->head_dim))}};
    const uint32_t att_in[6] = {
        q, k_state, v_state, b->graph->positions, per_token(b, &b->graph->sequence, "sequence"), page_table(b)};
    uint32_t a = node1(b, Q35_OP_ATTENTION, &att, 6, att_in, layer_name(b, name, sizeof name, "attention"));
    linear_input y = input_of(b, a);
    if (ends_at_input(b, 2))
        return a;
    return linear(b, &y, layer_weight(b, "attn_output"), layer_name(b, name, sizeof name, "attn_output"));
}

static uint32_t feed_forward(builder *b, uint32_t h)
{
    char name[64];
    uint32_t norm = rms_norm(b, h, layer_weight(b, "ffn_norm"), layer_name(b, name, sizeof name, "ffn_norm"));
    linear_input x = input_of(b, norm);
    if (ends_at_input(b, 1))
        return norm;
    uint32_t gate = linear(b, &x, layer_weight(b, "ffn_gate"), layer_name(b, name, sizeof name, "ffn_gate"));
    uint32_t up = linear(b, &x, layer_weight(b, "ffn_up"), layer_name(b, name, sizeof name, "ffn_up"));
    uint32_t act = node1(b, Q35_OP_SILU, NULL, 1, &gate, layer_name(b, name, sizeof name, "ffn_silu"));
    uint32_t product = binary(b, Q35_OP_MUL, act, up, layer_name(b, name, sizeof name, "ffn_act"));
    linear_input y = input_of(b, product);
    if (ends_at_input(b, 2))
        return product;
    return linear(b, &y, layer_weight(b, "ffn_down"), layer_name(b, name, sizeof name, "ffn_down"));
}

/* What a half leaves of the residual stream. */
static uint32_t residual(builder *b, uint32_t h, uint32_t added, const char *part)
{
    char name[64];
    if (b->options->part && b->options->part->linear_input)
        return added;
    return binary(b, Q35_OP_ADD, h, added, layer_name(b, name, sizeof name, part));
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
    const int64_t n_step = sizeof(q35_step) / sizeof(int32_t);
    q35i_graph *g = b->graph;
    g->step = q35i_graph_tensor(g, Q35_ROLE_STEP, q35i_desc(Q35_DT_I32, 1, &n_step, 0), NULL, "step");
    rope_frequencies(b);
}

/* What enters layer 0. */
static uint32_t embed(builder *b)
{
    q35i_graph *g = b->graph;
    (void)per_token(b, &g->ids, "ids");
    uint32_t table = weight(b, "token_embd.weight");
    if (g->status != Q35_OK)
        return Q35_NONE;
    const q35_tensor_info *info = q35_model_tensor(b->model, g->tensors[table].name);
    uint32_t book = book_of(b, info->dtype);
    const uint32_t in[3] = {g->ids, table, book};
    uint32_t h = node1(b, Q35_OP_GET_ROWS, NULL, book == Q35_NONE ? 2 : 3, in, "embedding");
    return info->rotation_width ? rotate(b, h, info, 1, "embedding.unrotated") : h;
}

static void head(builder *b, uint32_t h)
{
    const int64_t n_out = b->options->all_logits ? b->options->n_tokens : most_sequences(b);
    b->graph->out_rows = q35i_graph_tensor(b->graph, Q35_ROLE_INPUT,
                                           q35i_desc(Q35_DT_I32, 1, &n_out, Q35_TF_OUT_ROWS), NULL, "out_rows");
    const uint32_t in[2] = {h, b->graph->out_rows};
    h = node1(b, Q35_OP_TAKE_ROWS, NULL, 2, in, "out");
    linear_input x = plain_input(rms_norm(b, h, weight(b, "output_norm.weight"), "output_norm"));
    x.observed = 1; /* the head is not converted: its input needs no statistics */
    b->graph->logits =
        linear(b, &x, weight(b, b->config->tied_head ? "token_embd.weight" : "output.weight"), "logits");
    make_output(b, b->graph->logits);
    b->graph->n_candidates = (uint32_t)q35i_min(b->options->n_candidates, b->config->vocab);
}

q35_status q35i_build_llama(const q35_model *model, const q35_model_config *config,
                            const q35i_build_options *options, q35i_graph *out)
{
    const q35i_part whole = {.end = config->n_layers}, *part = options->part ? options->part : &whole;
    builder b = {
        .graph = out, .model = model, .config = config, .options = options, .book = Q35_NONE, .book8 = Q35_NONE};
    inputs(&b);
    uint32_t h =
        part->hidden_in
            ? q35i_graph_tensor(out, Q35_ROLE_INPUT,
                                q35i_desc2(Q35_DT_F32, config->hidden, options->n_tokens, Q35_TF_TOKEN_ROWS), NULL,
                                "hidden")
            : embed(&b);
    for (b.layer = part->begin; b.layer < part->end && out->status == Q35_OK; b.layer++) {
        if (part->half != Q35I_HALF_FEED_FORWARD)
            h = residual(&b, h, attention(&b, h), "attn_residual");
        if (part->half != Q35I_HALF_ATTENTION)
            h = residual(&b, h, feed_forward(&b, h), "ffn_residual");
        if (options->layer_outputs)
            make_output(&b, h);
    }
    if (part->hidden_out)
        make_output(&b, h);
    else
        head(&b, h);
    return q35i_graph_verify(out);
}
