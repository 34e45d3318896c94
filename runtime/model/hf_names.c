/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensor names of Hugging Face and Mistral files, translated into GGUF's. */
#include "hf.h"

#include <stdio.h>
#include <string.h>

#define MAX_LAYER_DIGITS 5

typedef struct name_row {
    const char *from, *to; /* without the ending; to: "" for none */
    q35i_hf_role role;
} name_row;

/* Of the whole model. */
static const name_row root_hugging_face[] = {
    {"embed_tokens", "token_embd", Q35I_HF_WEIGHT},
    {"norm", "output_norm", Q35I_HF_WEIGHT},
    {"lm_head", "output", Q35I_HF_WEIGHT},
};
static const name_row root_mistral[] = {
    {"tok_embeddings", "token_embd", Q35I_HF_WEIGHT},
    {"norm", "output_norm", Q35I_HF_WEIGHT},
    {"output", "output", Q35I_HF_WEIGHT},
};

/* Of a layer. Mistral's rows of q and k are in GGUF's order already. */
static const name_row layer_hugging_face[] = {
    {"input_layernorm", "attn_norm", Q35I_HF_WEIGHT},    {"self_attn.q_proj", "attn_q", Q35I_HF_QUERY_KEY},
    {"self_attn.k_proj", "attn_k", Q35I_HF_QUERY_KEY},   {"self_attn.v_proj", "attn_v", Q35I_HF_WEIGHT},
    {"self_attn.o_proj", "attn_output", Q35I_HF_WEIGHT}, {"post_attention_layernorm", "ffn_norm", Q35I_HF_WEIGHT},
    {"mlp.gate_proj", "ffn_gate", Q35I_HF_WEIGHT},       {"mlp.up_proj", "ffn_up", Q35I_HF_WEIGHT},
    {"mlp.down_proj", "ffn_down", Q35I_HF_WEIGHT},
};
static const name_row layer_mistral[] = {
    {"attention_norm", "attn_norm", Q35I_HF_WEIGHT}, {"attention.wq", "attn_q", Q35I_HF_WEIGHT},
    {"attention.wk", "attn_k", Q35I_HF_WEIGHT},      {"attention.wv", "attn_v", Q35I_HF_WEIGHT},
    {"attention.wo", "attn_output", Q35I_HF_WEIGHT}, {"ffn_norm", "ffn_norm", Q35I_HF_WEIGHT},
    {"feed_forward.w1", "ffn_gate", Q35I_HF_WEIGHT}, {"feed_forward.w3", "ffn_up", Q35I_HF_WEIGHT},
    {"feed_forward.w2", "ffn_down", Q35I_HF_WEIGHT},
};
enum {
    N_ROOT = sizeof root_mistral / sizeof *root_mistral,
    N_LAYER = sizeof layer_mistral / sizeof *layer_mistral
};

/* What stands behind the module's name. */
static const struct {
    const char *text;
    q35i_hf_role role;
} endings[] = {
    {".weight", Q35I_HF_WEIGHT},       {".weight_scale_inv", Q35I_HF_SCALE},
    {".qscale_weight", Q35I_HF_SCALE}, {".activation_scale", Q35I_HF_IGNORED},
    {".qscale_act", Q35I_HF_IGNORED},
};

static const char *skip(const char *name, const char *prefix)
{
    size_t len = strlen(prefix);
    return strncmp(name, prefix, len) == 0 ? name + len : name;
}

/* Without the names of the models around it, in whatever order they stand. */
static const char *strip(const char *name)
{
    for (const char *before = NULL; before != name;) {
        before = name;
        name = skip(skip(name, "model."), "language_model.");
    }
    return name;
}

/* Buffers of old files that are computed here, and what training leaves behind. */
static bool is_ignored(const char *name)
{
    static const char freq[] = "rotary_emb.inv_freq";
    size_t len = strlen(name);
    return strstr(name, "fake_quantizer") != NULL || strcmp(name, "rope.freqs") == 0 ||
           (len >= sizeof freq - 1 && strcmp(name + len - (sizeof freq - 1), freq) == 0);
}

/* Number in its only spelling and the dot behind it; NULL: something else. */
static const char *read_layer(const char *p, unsigned *layer)
{
    const char *begin = p;
    for (*layer = 0; *p >= '0' && *p <= '9' && p - begin < MAX_LAYER_DIGITS; p++)
        *layer = *layer * 10 + (unsigned)(*p - '0');
    bool number = p > begin && (*begin != '0' || p == begin + 1);
    return number && *p == '.' ? p + 1 : NULL;
}

/* Row whose name begins the text; *end: what follows it. */
static const name_row *find_row(const name_row *rows, size_t n, const char *text, const char **end)
{
    for (size_t i = 0; i < n; i++) {
        *end = skip(text, rows[i].from);
        if (*end != text && **end == '.')
            return &rows[i];
    }
    return NULL;
}

static q35i_hf_role find_ending(const char *text)
{
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (strcmp(text, endings[i].text) == 0)
            return endings[i].role;
    return Q35I_HF_UNKNOWN;
}

q35i_hf_role q35i_hf_map_name(q35i_hf_kind kind, const char *name, char out[Q35I_NAME_BYTES])
{
    const bool mistral = kind == Q35I_HF_MISTRAL;
    const char *rest, *in_layer = NULL;
    const name_row *row;
    unsigned layer = 0;
    out[0] = '\0';
    if (q35i_is_vision_name(name))
        return Q35I_HF_VISION;
    if (is_ignored(name))
        return Q35I_HF_IGNORED;
    if (!mistral)
        name = strip(name);
    if (strncmp(name, "layers.", strlen("layers.")) == 0)
        in_layer = read_layer(name + strlen("layers."), &layer);
    if (in_layer)
        row = find_row(mistral ? layer_mistral : layer_hugging_face, N_LAYER, in_layer, &rest);
    else
        row = find_row(mistral ? root_mistral : root_hugging_face, N_ROOT, name, &rest);
    q35i_hf_role role = row ? find_ending(rest) : Q35I_HF_UNKNOWN;
    if (role != Q35I_HF_WEIGHT && role != Q35I_HF_SCALE)
        return role;
    if (in_layer)
        snprintf(out, Q35I_NAME_BYTES, "blk.%u.%s.weight", layer, row->to);
    else
        snprintf(out, Q35I_NAME_BYTES, "%s.weight", row->to);
    return role == Q35I_HF_WEIGHT ? row->role : role;
}
