/* SPDX-License-Identifier: Apache-2.0
 *
 * Hyper-parameters of a model from its metadata. A key that would change results and is not handled is an error: a
 * model must not run differently from what its file says. Keys: the GGUF specification, llama family. */
#include "config.h"

#include "model_file.h"
#include "quote.h"
#include "runtime/base/error.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_DIM   (1u << 24) /* widths, heads, vocabulary */
#define MAX_LAYER 1024u
#define MAX_CTX   (1u << 30)

/* The families' keys begin with one of these. */
static const char *const architectures[] = {"llama", "mistral3"};
#define ARCHITECTURES_TEXT "llama, mistral3"

/* Keys of an architecture that change nothing here, or that are read somewhere in this file or config_rope.c. A
 * trailing '.' stands for all that begin so. Others are refused: they may change results. */
static const char *const understood[] = {
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "vocab_size",
    "tensor_data_layout",
    "use_parallel_residual",
    "vision.",
    "mm.",
    "spatial_merge_size",
    "image_token_index",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "attention.causal",
    "attention.sliding_window",
    "attention.scale",
    "attention.temperature_scale",
    "attention.temperature_length",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scale_linear",
    "rope.scaling_beta",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.finetuned",
    "rope.scaling.attn_factor",
    "rope.scaling.yarn_ext_factor",
    "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "rope.scaling.yarn_log_multiplier",
    "rope.scaling.beta_fast",
    "rope.scaling.beta_slow",
    "rope.scaling.mscale",
    "rope.scaling.mscale_all_dim",
};

/* Keys that must be absent, 0 or neutral. */
static const struct {
    const char *key;
    double neutral;
} neutral_only[] = {
    {"expert_count", 0},
    {"expert_used_count", 0},
    {"expert_shared_count", 0},
    {"expert_group_count", 0},
    {"expert_group_used_count", 0},
    {"logit_scale", 1},
    {"embedding_scale", 1},
    {"residual_scale", 1},
    {"attn_logit_softcapping", 0},
    {"final_logit_softcapping", 0},
    {"attention.clamp_kqv", 0},
    {"attention.max_alibi_bias", 0},
};

const char *q35i_config_key(const q35_model_config *c, const char *name, q35i_key *buf)
{
    snprintf(buf->text, sizeof buf->text, "%s.%s", c->architecture, name);
    return buf->text;
}

q35_status q35i_config_u32(const q35_model *model, const q35_model_config *c, const char *name, uint32_t fallback,
                           uint32_t low, uint32_t high, uint32_t *out)
{
    q35i_key buf;
    const char *key = q35i_config_key(c, name, &buf);
    const q35_meta *m = q35_model_meta(model, key);
    uint64_t value;
    *out = fallback;
    if (!m && fallback)
        return Q35_OK;
    if (!m)
        return Q35_FAIL(Q35_E_FORMAT, "metadata %s: absent, need a number from %u to %u", key, low, high);
    if (m->type == Q35_META_ARRAY)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "metadata %s: array of %llu, need one number for all layers", key,
                        (unsigned long long)m->count);
    if (!q35_meta_u64(m, &value))
        return Q35_FAIL(Q35_E_FORMAT, "metadata %s: %s that is not a whole number of at least 0, need %u to %u",
                        key, q35i_meta_type_name(m->type), low, high);
    if (value < low || value > high)
        return Q35_FAIL(Q35_E_FORMAT, "metadata %s: %llu, need %u to %u", key, (unsigned long long)value, low,
                        high);
    *out = (uint32_t)value;
    return Q35_OK;
}

q35_status q35i_config_f32(const q35_model *model, const q35_model_config *c, const char *name, double fallback,
                           double high, float *out)
{
    q35i_key buf;
    const char *key = q35i_config_key(c, name, &buf);
    const q35_meta *m = q35_model_meta(model, key);
    double value = fallback;
    if (!m && !(fallback > 0))
        return Q35_FAIL(Q35_E_FORMAT, "metadata %s: absent, need a number above 0", key);
    if (m && !q35_meta_f64(m, &value))
        return Q35_FAIL(Q35_E_FORMAT, "metadata %s: type %s, need f32", key, q35i_meta_type_name(m->type));
    if (!((float)value > 0.0f) || value > high)
        return Q35_FAIL(Q35_E_FORMAT, "metadata %s: %g, need a number above 0 and at most %g", key, value, high);
    *out = (float)value;
    return Q35_OK;
}

const q35_meta *q35i_config_meta(const q35_model *model, const q35_model_config *c, const char *name)
{
    q35i_key buf;
    return q35_model_meta(model, q35i_config_key(c, name, &buf));
}

static q35_status read_architecture(const q35_model *model, q35_model_config *out)
{
    const q35_meta *m = q35_model_meta(model, "general.architecture");
    q35_string name;
    if (!m || !q35_meta_string(m, &name))
        return Q35_FAIL(Q35_E_FORMAT, "metadata general.architecture: %s, need a string",
                        m ? q35i_meta_type_name(m->type) : "absent");
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++) {
        size_t len = strlen(architectures[i]);
        if (name.len == len && memcmp(name.data, architectures[i], len) == 0) {
            memcpy(out->architecture, architectures[i], len + 1);
            return Q35_OK;
        }
    }
    return Q35_FAIL(Q35_E_UNSUPPORTED, "architecture: '%s', need a known one: " ARCHITECTURES_TEXT,
                    q35i_quote(name).text);
}

/* Head width: keys and values must agree; each defaults to hidden / heads. */
static q35_status read_heads(const q35_model *model, q35_model_config *c)
{
    uint32_t value_length, derived;
    Q35_TRY(q35i_config_u32(model, c, "attention.head_count", 0, 1, MAX_DIM, &c->n_heads));
    Q35_TRY(q35i_config_u32(model, c, "attention.head_count_kv", c->n_heads, 1, MAX_DIM, &c->n_kv_heads));
    if (c->n_heads % c->n_kv_heads != 0)
        return Q35_FAIL(Q35_E_FORMAT, "metadata %s.attention.head_count_kv: %u, need a divisor of head_count %u",
                        c->architecture, c->n_kv_heads, c->n_heads);
    bool both =
        q35i_config_meta(model, c, "attention.key_length") && q35i_config_meta(model, c, "attention.value_length");
    if (!both && c->hidden % c->n_heads != 0)
        return Q35_FAIL(Q35_E_FORMAT,
                        "metadata %s.embedding_length: %u, need a multiple of head_count %u without "
                        "attention.key_length and attention.value_length",
                        c->architecture, c->hidden, c->n_heads);
    derived = c->hidden / c->n_heads;
    Q35_TRY(q35i_config_u32(model, c, "attention.key_length", derived, 1, MAX_DIM, &c->head_dim));
    Q35_TRY(q35i_config_u32(model, c, "attention.value_length", derived, 1, MAX_DIM, &value_length));
    if (value_length != c->head_dim)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "head width: keys %u and values %u, need equal ones", c->head_dim,
                        value_length);
    if ((uint64_t)c->n_heads * c->head_dim > MAX_DIM)
        return Q35_FAIL(Q35_E_FORMAT, "attention width: %u heads of %u, need at most %u", c->n_heads, c->head_dim,
                        MAX_DIM);
    return Q35_OK;
}

q35_status q35i_config_neutral(const q35_model *model, const q35_model_config *c, const char *name, double neutral)
{
    q35i_key buf;
    const char *key = q35i_config_key(c, name, &buf);
    const q35_meta *m = q35_model_meta(model, key);
    double value = (double)NAN;
    if (!m || (q35_meta_f64(m, &value) && (value == 0 || fabs(value - neutral) <= 1e-6 * neutral)))
        return Q35_OK;
    return Q35_FAIL(Q35_E_UNSUPPORTED, "metadata %s: %g (%s), need %g or no such key", key, value,
                    q35i_meta_type_name(m->type), neutral);
}

static q35_status check_window(const q35_model *model, const q35_model_config *c)
{
    const q35_meta *window = q35i_config_meta(model, c, "attention.sliding_window");
    uint64_t tokens = 1;
    if (window && (!q35_meta_u64(window, &tokens) || (tokens != 0 && tokens < c->context_length)))
        return Q35_FAIL(Q35_E_UNSUPPORTED,
                        "metadata %s.attention.sliding_window: %llu (%s), need 0, no such key or at least the "
                        "context length %u",
                        c->architecture, (unsigned long long)tokens, q35i_meta_type_name(window->type),
                        c->context_length);
    return Q35_OK;
}

/* name: a key without its architecture. */
static bool is_understood(q35_string name)
{
    for (size_t i = 0; i < sizeof understood / sizeof *understood; i++) {
        size_t len = strlen(understood[i]);
        bool family = understood[i][len - 1] == '.';
        if ((family ? name.len > len : name.len == len) && memcmp(name.data, understood[i], len) == 0)
            return true;
    }
    for (size_t i = 0; i < sizeof neutral_only / sizeof *neutral_only; i++)
        if (name.len == strlen(neutral_only[i].key) && memcmp(name.data, neutral_only[i].key, name.len) == 0)
            return true;
    return false;
}

static q35_status check_unhandled(const q35_model *model, const q35_model_config *c)
{
    size_t prefix = strlen(c->architecture);
    for (size_t i = 0; i < sizeof neutral_only / sizeof neutral_only[0]; i++)
        Q35_TRY(q35i_config_neutral(model, c, neutral_only[i].key, neutral_only[i].neutral));
    Q35_TRY(q35i_config_neutral(model, c, "attention.scale", 1 / sqrt((double)c->head_dim)));
    Q35_TRY(check_window(model, c));
    for (uint64_t i = 0; i < q35_model_n_meta(model); i++) {
        q35_string key = q35_model_meta_at(model, i)->key;
        if (key.len <= prefix + 1 || memcmp(key.data, c->architecture, prefix) != 0 || key.data[prefix] != '.')
            continue;
        q35_string name = {key.data + prefix + 1, key.len - prefix - 1};
        if (!is_understood(name))
            return Q35_FAIL(Q35_E_UNSUPPORTED,
                            "metadata %s: not known here and may change results, need no such key",
                            q35i_quote(key).text);
    }
    return Q35_OK;
}

/* The embedding has one row per token. */
static q35_status read_vocab(const q35_model *model, q35_model_config *c)
{
    const q35_tensor_info *t = q35_model_tensor(model, "token_embd.weight");
    uint32_t stated;
    if (!t)
        return Q35_FAIL(Q35_E_FORMAT, "tensor token_embd.weight: absent, need %u x vocabulary weights", c->hidden);
    if (t->rank != 2 || t->dim[0] != (int64_t)c->hidden || t->dim[1] > (int64_t)MAX_DIM)
        return Q35_FAIL(Q35_E_FORMAT,
                        "tensor token_embd.weight: [%lld, %lld] of rank %u, need [%u, vocabulary <= %u]",
                        (long long)t->dim[0], (long long)t->dim[1], t->rank, c->hidden, MAX_DIM);
    c->vocab = (uint32_t)t->dim[1];
    Q35_TRY(q35i_config_u32(model, c, "vocab_size", c->vocab, 1, MAX_DIM, &stated));
    if (stated != c->vocab)
        return Q35_FAIL(Q35_E_FORMAT, "metadata %s.vocab_size: %u, need %u, the rows of token_embd.weight",
                        c->architecture, stated, c->vocab);
    return Q35_OK;
}

q35_status q35i_config_read(const q35_model *model, q35_model_config *out)
{
    Q35_TRY(read_architecture(model, out));
    Q35_TRY(q35i_config_u32(model, out, "block_count", 0, 1, MAX_LAYER, &out->n_layers));
    Q35_TRY(q35i_config_u32(model, out, "context_length", 0, 1, MAX_CTX, &out->context_length));
    Q35_TRY(q35i_config_u32(model, out, "embedding_length", 0, 1, MAX_DIM, &out->hidden));
    Q35_TRY(q35i_config_u32(model, out, "feed_forward_length", 0, 1, MAX_DIM, &out->ffn));
    Q35_TRY(read_heads(model, out));
    Q35_TRY(q35i_config_read_rope(model, out));
    Q35_TRY(q35i_config_f32(model, out, "attention.layer_norm_rms_epsilon", 0, 1, &out->norm_eps));
    Q35_TRY(check_unhandled(model, out));
    Q35_TRY(read_vocab(model, out));
    out->tied_head = q35_model_tensor(model, "output.weight") == NULL;
    return Q35_OK;
}

q35_status q35_model_read_config(const q35_model *model, q35_model_config *out)
{
    memset(out, 0, sizeof *out);
    q35_status status = q35i_config_read(model, out);
    if (status == Q35_OK)
        status = q35i_config_check_tensors(model, out);
    if (status != Q35_OK)
        memset(out, 0, sizeof *out);
    return status;
}
