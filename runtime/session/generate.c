/* SPDX-License-Identifier: Apache-2.0
 *
 * A model of random weights: which tensors it has, and the file or directory that they go to. */
#include "runtime/session/generate.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/path_tail.h"
#include "runtime/device/device.h"

#include <q35rt/blocks.h>

#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* Widths by their meaning. */
enum { ONE, HIDDEN, QUERY, KEY, FFN, VOCAB };

typedef struct part {
    const char *gguf, *hf, *mistral; /* without the layer's beginning and ".weight" */
    int cols, rows, halves, input;
} part;

static const part layer_parts[] = {
    {"attn_norm", "input_layernorm", "attention_norm", HIDDEN, ONE, 0, 0},
    {"attn_q", "self_attn.q_proj", "attention.wq", HIDDEN, QUERY, 1, 1},
    {"attn_k", "self_attn.k_proj", "attention.wk", HIDDEN, KEY, 1, 1},
    {"attn_v", "self_attn.v_proj", "attention.wv", HIDDEN, KEY, 0, 1},
    {"attn_output", "self_attn.o_proj", "attention.wo", QUERY, HIDDEN, 0, 2},
    {"ffn_norm", "post_attention_layernorm", "ffn_norm", HIDDEN, ONE, 0, 0},
    {"ffn_gate", "mlp.gate_proj", "feed_forward.w1", HIDDEN, FFN, 0, 3},
    {"ffn_up", "mlp.up_proj", "feed_forward.w3", HIDDEN, FFN, 0, 3},
    {"ffn_down", "mlp.down_proj", "feed_forward.w2", FFN, HIDDEN, 0, 4},
};
enum { N_PARTS = sizeof layer_parts / sizeof *layer_parts };

q35_generate_options q35_generate_options_default(void)
{
    return (q35_generate_options){.layout = Q35_LAYOUT_GGUF, .dtype = Q35_DT_BF16, .seed = 1};
}

static uint64_t width(const q35_shape *s, int which)
{
    switch (which) {
    case HIDDEN: return s->hidden;
    case QUERY: return (uint64_t)s->heads * s->head_dim;
    case KEY: return (uint64_t)s->kv_heads * s->head_dim;
    case FFN: return s->ffn;
    case VOCAB: return s->vocab;
    default: return 1;
    }
}

/* Type of a tensor in the layout. vocabulary: embedding or head. */
static uint32_t dtype_of(const q35_generate_options *o, uint64_t cols, int norm, int vocabulary)
{
    int gguf = o->layout == Q35_LAYOUT_GGUF, f8 = o->dtype == Q35_DT_F8_32;
    if (norm)
        return gguf ? (uint32_t)Q35_DT_F32 : f8 ? (uint32_t)Q35_DT_BF16 : o->dtype;
    if (f8 && (vocabulary || cols % 32 != 0))
        return Q35_DT_BF16;
    if (q35_is_row_type(o->dtype) && !vocabulary)
        return o->dtype;
    if (q35_is_row_type(o->dtype))
        return cols % 32 == 0 ? Q35_DT_Q8_0 : Q35_DT_F16;
    return cols % q35_dtype_describe(o->dtype).block_len == 0 ? o->dtype : (uint32_t)Q35_DT_F16;
}

static void add(q35i_generation *g, const part *p, uint32_t layer, const char *gguf, const char *hf,
                const char *mistral)
{
    const q35_shape *s = g->shape;
    q35i_gen_tensor *t = &g->tensors[g->n_tensors];
    t->index = (uint32_t)g->n_tensors++;
    t->cols = width(s, p->cols);
    t->rows = width(s, p->rows);
    t->norm = p->rows == ONE;
    t->input = (uint32_t)p->input;
    t->layer = layer;
    t->dtype = dtype_of(g->options, t->cols, t->norm, p->rows == VOCAB);
    t->halves = p->halves && g->options->layout == Q35_LAYOUT_HF ? s->head_dim : 0;
    g->n_weights += t->cols * t->rows;
    snprintf(t->name, sizeof t->name, "%s.weight", gguf);
    snprintf(t->hf, sizeof t->hf, "%s.weight", hf);
    snprintf(t->mistral, sizeof t->mistral, "%s.weight", mistral);
}

q35_status q35i_gen_list(q35i_generation *g)
{
    static const part vocabulary = {.cols = HIDDEN, .rows = VOCAB}, norm = {.cols = HIDDEN, .rows = ONE};
    const q35_shape *s = g->shape;
    const char *outer = strcmp(s->architecture, "mistral3") == 0 ? "language_model." : "";
    char gguf[48], hf[80], mistral[48];
    g->tensors = q35i_calloc((uint64_t)s->layers * N_PARTS + 3, sizeof *g->tensors);
    if (!g->tensors)
        return Q35_E_NOMEM;
    snprintf(hf, sizeof hf, "%smodel.embed_tokens", outer);
    add(g, &vocabulary, 0, "token_embd", hf, "tok_embeddings");
    for (uint32_t layer = 0; layer < s->layers; layer++)
        for (int i = 0; i < N_PARTS; i++) {
            const part *p = &layer_parts[i];
            snprintf(gguf, sizeof gguf, "blk.%u.%s", layer, p->gguf);
            snprintf(hf, sizeof hf, "%smodel.layers.%u.%s", outer, layer, p->hf);
            snprintf(mistral, sizeof mistral, "layers.%u.%s", layer, p->mistral);
            add(g, p, layer, gguf, hf, mistral);
        }
    snprintf(hf, sizeof hf, "%smodel.norm", outer);
    add(g, &norm, 0, "output_norm", hf, "norm");
    if (!s->tied) {
        snprintf(hf, sizeof hf, "%slm_head", outer);
        add(g, &vocabulary, 0, "output", hf, "output");
    }
    return Q35_OK;
}

static q35_status check_options(const q35_generate_options *o)
{
    q35_dtype_info d = q35_dtype_describe(o->dtype);
    int full = o->dtype == Q35_DT_F32 || o->dtype == Q35_DT_F16 || o->dtype == Q35_DT_BF16;
    if (o->layout > Q35_LAYOUT_MISTRAL)
        return Q35_FAIL(Q35_E_INVALID, "layout: %u, need a Q35_LAYOUT_ value", o->layout);
    if (o->layout == Q35_LAYOUT_GGUF &&
        (o->dtype > Q35_DT_BF16 || d.block_len == 0 || o->dtype == Q35_DT_I8 || o->dtype == Q35_DT_I32))
        return Q35_FAIL(Q35_E_INVALID, "type: %s, need a GGUF type of weights", d.name);
    if (o->layout != Q35_LAYOUT_GGUF && !full && o->dtype != Q35_DT_F8_32)
        return Q35_FAIL(Q35_E_INVALID, "type: %s, need F32, F16, BF16 or F8_E4M3 in a directory", d.name);
    return Q35_OK;
}

/* Free bytes where the output goes; UINT64_MAX: unknown. */
static uint64_t free_bytes(const char *path)
{
    struct statvfs fs;
    char folder[4096];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    if (len >= sizeof folder)
        return UINT64_MAX;
    memcpy(folder, path, len);
    folder[len] = '\0';
    if (statvfs(len > 0 ? folder : slash ? "/" : ".", &fs) != 0)
        return UINT64_MAX;
    return (uint64_t)fs.f_bavail * fs.f_frsize;
}

static q35_status check_space(const q35i_generation *g, const char *path)
{
    uint64_t need = 0, there = free_bytes(path);
    for (uint64_t i = 0; i < g->n_tensors; i++)
        need += q35i_gen_bytes(&g->tensors[i]);
    if (need > there)
        return Q35_FAIL(Q35_E_NOFIT, "%s: %llu MB of disk space are free, need %llu MB", q35i_path_tail(path),
                        (unsigned long long)(there / 1000000), (unsigned long long)(need / 1000000 + 1));
    return Q35_OK;
}

q35_status q35_generate_model(q35_runtime *runtime, const q35_shape *shape, const char *path,
                              const q35_generate_options *options)
{
    q35_status status;
    const q35_generate_options defaults = q35_generate_options_default();
    q35i_generation g = {
        .shape = shape, .options = options ? options : &defaults, .pool = q35i_runtime_pool(runtime)};
    Q35_TRY_GOTO(q35i_shape_check(shape), done);
    Q35_TRY_GOTO(check_options(g.options), done);
    Q35_TRY_GOTO(q35i_gen_list(&g), done);
    Q35_TRY_GOTO(check_space(&g, path), done);
    status = g.options->layout == Q35_LAYOUT_GGUF ? q35i_gen_gguf(&g, path) : q35i_gen_directory(&g, path);
done:
    q35i_free(g.tensors);
    return status;
}
