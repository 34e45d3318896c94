/* SPDX-License-Identifier: Apache-2.0
 *
 * The tensors of the llama family: every one must be there with its shape, and none may be there that would be
 * ignored although it changes results. */
#include "config.h"

#include "model_file.h"
#include "runtime/base/error.h"

#include <q35rt/blocks.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROLE_NORM, ROLE_MATRIX };

/* Width of a dimension by its meaning. */
enum { DIM_ONE, DIM_HIDDEN, DIM_Q, DIM_KV, DIM_FFN };

static const struct {
    const char *name; /* of blk.N. */
    int role, cols, rows;
} layer_tensors[] = {
    {"attn_norm.weight", ROLE_NORM, DIM_HIDDEN, DIM_ONE},   {"attn_q.weight", ROLE_MATRIX, DIM_HIDDEN, DIM_Q},
    {"attn_k.weight", ROLE_MATRIX, DIM_HIDDEN, DIM_KV},     {"attn_v.weight", ROLE_MATRIX, DIM_HIDDEN, DIM_KV},
    {"attn_output.weight", ROLE_MATRIX, DIM_Q, DIM_HIDDEN}, {"ffn_norm.weight", ROLE_NORM, DIM_HIDDEN, DIM_ONE},
    {"ffn_gate.weight", ROLE_MATRIX, DIM_HIDDEN, DIM_FFN},  {"ffn_up.weight", ROLE_MATRIX, DIM_HIDDEN, DIM_FFN},
    {"ffn_down.weight", ROLE_MATRIX, DIM_FFN, DIM_HIDDEN},
};
#define N_LAYER_TENSORS (sizeof layer_tensors / sizeof layer_tensors[0])

/* Tensors with these beginnings take part in the model; others are listed and left alone. */
static const char *const owned_prefixes[] = {"blk.", "output", "token_", "position_", "rope_freqs"};
static const char *const root_tensors[] = {"token_embd.weight", "output_norm.weight", "output.weight",
                                           "rope_freqs.weight"};

static int64_t width(const q35_model_config *c, int dim)
{
    switch (dim) {
    case DIM_HIDDEN: return c->hidden;
    case DIM_Q: return (int64_t)c->n_heads * c->head_dim;
    case DIM_KV: return (int64_t)c->n_kv_heads * c->head_dim;
    case DIM_FFN: return c->ffn;
    default: return 1;
    }
}

static q35_status check_finite(const q35_tensor_info *t, bool positive)
{
    for (int64_t i = 0; i < t->dim[0]; i++) {
        float value;
        memcpy(&value, (const uint8_t *)t->data + (uint64_t)i * sizeof value, sizeof value);
        if (!isfinite(value) || (positive && value <= 0.0f))
            return Q35_FAIL(Q35_E_FORMAT, "tensor %s: element %lld is %g, need finite values%s", t->name,
                            (long long)i, (double)value, positive ? " above 0" : "");
    }
    return Q35_OK;
}

/* An F32 vector. */
static q35_status check_vector(const q35_model *model, const char *name, int64_t n, bool positive)
{
    const q35_tensor_info *t = q35_model_tensor(model, name);
    if (!t)
        return Q35_FAIL(Q35_E_FORMAT, "tensor %s: absent, need F32 [%lld]", name, (long long)n);
    if (t->rank != 1 || t->dim[0] != n || t->dtype != Q35_DT_F32)
        return Q35_FAIL(Q35_E_FORMAT, "tensor %s: %s [%lld, %lld] of rank %u, need F32 [%lld]", name,
                        q35_dtype_describe(t->dtype).name, (long long)t->dim[0], (long long)t->dim[1], t->rank,
                        (long long)n);
    return check_finite(t, positive);
}

static q35_status check_matrix(const q35_model *model, const char *name, int64_t cols, int64_t rows)
{
    const q35_tensor_info *t = q35_model_tensor(model, name);
    if (!t)
        return Q35_FAIL(Q35_E_FORMAT, "tensor %s: absent, need [%lld, %lld]", name, (long long)cols,
                        (long long)rows);
    if (t->rank != 2 || t->dim[0] != cols || t->dim[1] != rows)
        return Q35_FAIL(Q35_E_FORMAT, "tensor %s: [%lld, %lld] of rank %u, need [%lld, %lld]", name,
                        (long long)t->dim[0], (long long)t->dim[1], t->rank, (long long)cols, (long long)rows);
    if (t->dtype == Q35_DT_I8 || t->dtype == Q35_DT_I32)
        return Q35_FAIL(Q35_E_FORMAT, "tensor %s: type %s, need a type of weights", name,
                        q35_dtype_describe(t->dtype).name);
    return Q35_OK;
}

static q35_status check_layer(const q35_model *model, const q35_model_config *c, uint32_t layer)
{
    char name[Q35I_NAME_BYTES];
    for (size_t i = 0; i < N_LAYER_TENSORS; i++) {
        int64_t cols = width(c, layer_tensors[i].cols), rows = width(c, layer_tensors[i].rows);
        snprintf(name, sizeof name, "blk.%u.%s", layer, layer_tensors[i].name);
        Q35_TRY(layer_tensors[i].role == ROLE_NORM ? check_vector(model, name, cols, false)
                                                   : check_matrix(model, name, cols, rows));
    }
    return Q35_OK;
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* One of the tensors above, of a layer that exists. */
static bool is_known(const char *name, const q35_model_config *c)
{
    char expected[Q35I_NAME_BYTES];
    unsigned layer = 0;
    const char *p = name + strlen("blk.");
    for (size_t i = 0; i < sizeof root_tensors / sizeof root_tensors[0]; i++)
        if (strcmp(name, root_tensors[i]) == 0)
            return true;
    if (!starts_with(name, "blk."))
        return false;
    for (; *p >= '0' && *p <= '9' && layer <= c->n_layers; p++)
        layer = layer * 10 + (unsigned)(*p - '0');
    for (size_t i = 0; i < N_LAYER_TENSORS && layer < c->n_layers; i++) {
        snprintf(expected, sizeof expected, "blk.%u.%s", layer, layer_tensors[i].name);
        if (strcmp(name, expected) == 0)
            return true;
    }
    return false;
}

static q35_status check_unknown(const q35_model *model, const q35_model_config *c)
{
    for (uint64_t i = 0; i < q35_model_n_tensors(model); i++) {
        const char *name = q35_model_tensor_at(model, i)->name;
        bool owned = false;
        for (size_t p = 0; p < sizeof owned_prefixes / sizeof owned_prefixes[0]; p++)
            owned = owned || starts_with(name, owned_prefixes[p]);
        if (owned && !is_known(name, c))
            return Q35_FAIL(Q35_E_UNSUPPORTED,
                            "tensor %s: not part of a %s model of %u layers as known here, need no such "
                            "tensor",
                            name, c->architecture, c->n_layers);
    }
    return Q35_OK;
}

q35_status q35i_config_check_tensors(const q35_model *model, const q35_model_config *config)
{
    Q35_TRY(check_unknown(model, config));
    Q35_TRY(check_matrix(model, "token_embd.weight", config->hidden, config->vocab));
    Q35_TRY(check_vector(model, "output_norm.weight", config->hidden, false));
    if (!config->tied_head)
        Q35_TRY(check_matrix(model, "output.weight", config->hidden, config->vocab));
    if (q35_model_tensor(model, "rope_freqs.weight"))
        Q35_TRY(check_vector(model, "rope_freqs.weight", config->n_rot / 2, true));
    for (uint32_t layer = 0; layer < config->n_layers; layer++)
        Q35_TRY(check_layer(model, config, layer));
    return Q35_OK;
}
