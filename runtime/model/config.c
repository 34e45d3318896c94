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

#define ARCH      "llama"
#define MAX_DIM   (1u << 24) /* widths, heads, vocabulary */
#define MAX_LAYER 1024u
#define MAX_CTX   (1u << 30)

/* Keys that must be absent, 0 or neutral. */
static const struct {
    const char *key;
    double neutral;
} unhandled[] = {
    {ARCH ".expert_count", 0},
    {ARCH ".expert_used_count", 0},
    {ARCH ".expert_shared_count", 0},
    {ARCH ".logit_scale", 1},
    {ARCH ".embedding_scale", 1},
    {ARCH ".residual_scale", 1},
    {ARCH ".attn_logit_softcapping", 0},
    {ARCH ".final_logit_softcapping", 0},
    {ARCH ".attention.clamp_kqv", 0},
    {ARCH ".attention.max_alibi_bias", 0},
    {ARCH ".attention.temperature_scale", 0},
    {ARCH ".rope.scale_linear", 1},
    {ARCH ".rope.scaling.attn_factor", 1},
    {ARCH ".rope.scaling.yarn_log_multiplier", 0},
};

/* Reads an integer in low..high; absent: fallback, or an error when that is 0. */
static q35_status read_u32(const q35_model *model, const char *key, uint32_t fallback, uint32_t low, uint32_t high,
                           uint32_t *out)
{
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

/* Reads a finite number above 0 and at most high; absent: fallback, or an error when that is 0. */
static q35_status read_f32(const q35_model *model, const char *key, double fallback, double high, float *out)
{
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

static q35_status read_architecture(const q35_model *model, q35_model_config *out)
{
    const q35_meta *m = q35_model_meta(model, "general.architecture");
    q35_string name;
    if (!m || !q35_meta_string(m, &name))
        return Q35_FAIL(Q35_E_FORMAT, "metadata general.architecture: %s, need a string",
                        m ? q35i_meta_type_name(m->type) : "absent");
    if (name.len != strlen(ARCH) || memcmp(name.data, ARCH, name.len) != 0)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "architecture: '%s', need a known one: " ARCH, q35i_quote(name).text);
    memcpy(out->architecture, ARCH, sizeof ARCH);
    return Q35_OK;
}

/* Head width: keys and values must agree; each defaults to hidden / heads. */
static q35_status read_heads(const q35_model *model, q35_model_config *c)
{
    uint32_t value_length, derived;
    Q35_TRY(read_u32(model, ARCH ".attention.head_count", 0, 1, MAX_DIM, &c->n_heads));
    Q35_TRY(read_u32(model, ARCH ".attention.head_count_kv", c->n_heads, 1, MAX_DIM, &c->n_kv_heads));
    if (c->n_heads % c->n_kv_heads != 0)
        return Q35_FAIL(Q35_E_FORMAT,
                        "metadata " ARCH ".attention.head_count_kv: %u, need a divisor of head_count %u",
                        c->n_kv_heads, c->n_heads);
    bool both = q35_model_meta(model, ARCH ".attention.key_length") &&
                q35_model_meta(model, ARCH ".attention.value_length");
    if (!both && c->hidden % c->n_heads != 0)
        return Q35_FAIL(Q35_E_FORMAT,
                        "metadata " ARCH ".embedding_length: %u, need a multiple of head_count %u without "
                        "attention.key_length and attention.value_length",
                        c->hidden, c->n_heads);
    derived = c->hidden / c->n_heads;
    Q35_TRY(read_u32(model, ARCH ".attention.key_length", derived, 1, MAX_DIM, &c->head_dim));
    Q35_TRY(read_u32(model, ARCH ".attention.value_length", derived, 1, MAX_DIM, &value_length));
    if (value_length != c->head_dim)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "head width: keys %u and values %u, need equal ones", c->head_dim,
                        value_length);
    if ((uint64_t)c->n_heads * c->head_dim > MAX_DIM)
        return Q35_FAIL(Q35_E_FORMAT, "attention width: %u heads of %u, need at most %u", c->n_heads, c->head_dim,
                        MAX_DIM);
    return Q35_OK;
}

static q35_status read_rope(const q35_model *model, q35_model_config *c)
{
    const q35_meta *type = q35_model_meta(model, ARCH ".rope.scaling.type");
    const q35_meta *factor = q35_model_meta(model, ARCH ".rope.scaling.factor");
    q35_string name = {"linear", 6};
    double f = 1;
    Q35_TRY(read_u32(model, ARCH ".rope.dimension_count", c->head_dim, 2, c->head_dim, &c->n_rot));
    if (c->n_rot % 2 != 0)
        return Q35_FAIL(Q35_E_FORMAT, "metadata " ARCH ".rope.dimension_count: %u, need an even number", c->n_rot);
    Q35_TRY(read_f32(model, ARCH ".rope.freq_base", 10000, 1e12, &c->rope_base));
    if (type && !q35_meta_string(type, &name))
        return Q35_FAIL(Q35_E_FORMAT, "metadata " ARCH ".rope.scaling.type: type %s, need a string",
                        q35i_meta_type_name(type->type));
    if (factor && !q35_meta_f64(factor, &f))
        return Q35_FAIL(Q35_E_FORMAT, "metadata " ARCH ".rope.scaling.factor: type %s, need f32",
                        q35i_meta_type_name(factor->type));
    if (name.len == 4 && memcmp(name.data, "none", 4) == 0)
        return Q35_OK;
    bool linear = name.len == 6 && memcmp(name.data, "linear", 6) == 0;
    if (linear && (f == 0 || f == 1))
        return Q35_OK;
    return Q35_FAIL(Q35_E_UNSUPPORTED, "rope scaling: '%s' with factor %g, need none (or linear with factor 1)",
                    q35i_quote(name).text, f);
}

/* Absent, 0 or neutral (within rounding to float). */
static q35_status need_neutral(const q35_model *model, const char *key, double neutral)
{
    const q35_meta *m = q35_model_meta(model, key);
    double value = (double)NAN;
    if (!m || (q35_meta_f64(m, &value) && (value == 0 || fabs(value - neutral) <= 1e-6 * neutral)))
        return Q35_OK;
    return Q35_FAIL(Q35_E_UNSUPPORTED, "metadata %s: %g (%s), need %g or no such key", key, value,
                    q35i_meta_type_name(m->type), neutral);
}

static q35_status check_unhandled(const q35_model *model, const q35_model_config *c)
{
    const q35_meta *window = q35_model_meta(model, ARCH ".attention.sliding_window");
    uint64_t tokens = 1;
    for (size_t i = 0; i < sizeof unhandled / sizeof unhandled[0]; i++)
        Q35_TRY(need_neutral(model, unhandled[i].key, unhandled[i].neutral));
    Q35_TRY(need_neutral(model, ARCH ".attention.scale", 1 / sqrt((double)c->head_dim)));
    if (window && (!q35_meta_u64(window, &tokens) || (tokens != 0 && tokens < c->context_length)))
        return Q35_FAIL(Q35_E_UNSUPPORTED,
                        "metadata " ARCH
                        ".attention.sliding_window: %llu (%s), need 0, no such key or at least the "
                        "context length %u",
                        (unsigned long long)tokens, q35i_meta_type_name(window->type), c->context_length);
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
    Q35_TRY(read_u32(model, ARCH ".vocab_size", c->vocab, 1, MAX_DIM, &stated));
    if (stated != c->vocab)
        return Q35_FAIL(Q35_E_FORMAT, "metadata " ARCH ".vocab_size: %u, need %u, the rows of token_embd.weight",
                        stated, c->vocab);
    return Q35_OK;
}

q35_status q35i_config_read(const q35_model *model, q35_model_config *out)
{
    Q35_TRY(read_architecture(model, out));
    Q35_TRY(read_u32(model, ARCH ".block_count", 0, 1, MAX_LAYER, &out->n_layers));
    Q35_TRY(read_u32(model, ARCH ".context_length", 0, 1, MAX_CTX, &out->context_length));
    Q35_TRY(read_u32(model, ARCH ".embedding_length", 0, 1, MAX_DIM, &out->hidden));
    Q35_TRY(read_u32(model, ARCH ".feed_forward_length", 0, 1, MAX_DIM, &out->ffn));
    Q35_TRY(read_heads(model, out));
    Q35_TRY(read_rope(model, out));
    Q35_TRY(read_f32(model, ARCH ".attention.layer_norm_rms_epsilon", 0, 1, &out->norm_eps));
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
