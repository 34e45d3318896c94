/* SPDX-License-Identifier: Apache-2.0
 *
 * params.json, Mistral's own configuration, translated into GGUF keys. Meaning of its keys: mistral-inference's
 * arguments and vLLM's reader of them. */
#include "hf.h"

#include "quote.h"
#include "runtime/base/error.h"

#include <inttypes.h>
#include <string.h>

static const q35i_hf_key keys[] = {
    {"dim", Q35I_HF_ANY},
    {"n_layers", Q35I_HF_ANY},
    {"head_dim", Q35I_HF_ANY},
    {"hidden_dim", Q35I_HF_ANY},
    {"n_heads", Q35I_HF_ANY},
    {"n_kv_heads", Q35I_HF_ANY},
    {"norm_eps", Q35I_HF_ANY},
    {"vocab_size", Q35I_HF_ANY},
    {"rope_theta", Q35I_HF_ANY},
    {"tied_embeddings", Q35I_HF_ANY},
    {"max_position_embeddings", Q35I_HF_ANY},
    {"max_seq_len", Q35I_HF_ANY},
    {"sliding_window", Q35I_HF_ANY},
    {"yarn", Q35I_HF_ANY},
    {"llama_4_scaling", Q35I_HF_ANY},
    {"quantization", Q35I_HF_ANY},
    {"vision_encoder", Q35I_HF_ANY},
    {"multiple_of", Q35I_HF_ANY},        /* only how hidden_dim was found */
    {"ffn_dim_multiplier", Q35I_HF_ANY}, /* the same */
    {"model_type", Q35I_HF_ANY},
    {"dtype", Q35I_HF_ANY},
    {"causal", Q35I_HF_ONE},
    {"max_batch_size", Q35I_HF_ANY},
    {"model_parallel_size", Q35I_HF_ANY},
};
static const q35i_hf_key yarn_keys[] = {
    {"factor", Q35I_HF_ANY},      {"original_max_position_embeddings", Q35I_HF_ANY},
    {"beta", Q35I_HF_ANY},        {"alpha", Q35I_HF_ANY},
    {"apply_scale", Q35I_HF_ANY},
};
static const q35i_hf_key temperature_keys[] = {
    {"beta", Q35I_HF_ANY},
    {"original_max_position_embeddings", Q35I_HF_ANY},
};
#define COUNT(table) (sizeof(table) / sizeof *(table))

typedef struct reader {
    const q35i_json *json;
    q35i_hf_out out;
    uint32_t yarn, temperature; /* their objects, Q35I_JSON_NONE: absent */
} reader;

/* FP8 weights with one scale each. */
static q35_status check_quantization(const q35i_json *json)
{
    uint32_t node, format, scheme;
    Q35_TRY(q35i_json_get_type(json, 0, "quantization", Q35I_JSON_OBJECT, &node));
    if (node == Q35I_JSON_NONE)
        return Q35_OK;
    Q35_TRY(q35i_json_need(json, node, "qformat_weight", Q35I_JSON_STRING, &format));
    Q35_TRY(q35i_json_get_type(json, node, "qscheme_act", Q35I_JSON_STRING, &scheme));
    if (!q35i_json_is(json, format, "fp8_e4m3"))
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: quantization.qformat_weight: '%s', need fp8_e4m3", json->name,
                        q35i_quote(q35i_json_text(json, format)).text);
    if (scheme != Q35I_JSON_NONE && !q35i_json_is(json, scheme, "TENSOR"))
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: quantization.qscheme_act: '%s', need TENSOR", json->name,
                        q35i_quote(q35i_json_text(json, scheme)).text);
    return Q35_OK;
}

static q35_status put_heads(const reader *r, uint32_t dim, q35i_hf_facts *facts)
{
    uint32_t heads, kv;
    Q35_TRY(q35i_hf_need_u32(r->json, 0, "n_heads", &heads));
    kv = heads;
    Q35_TRY(q35i_hf_get_u32(r->json, 0, "n_kv_heads", &kv));
    if (heads == 0)
        return Q35_FAIL(Q35_E_FORMAT, "%s: n_heads: 0, need 1 and more", r->json->name);
    facts->head_dim = dim / heads;
    Q35_TRY(q35i_hf_get_u32(r->json, 0, "head_dim", &facts->head_dim));
    Q35_TRY(q35i_hf_put_u32(&r->out, "attention.head_count", heads));
    Q35_TRY(q35i_hf_put_u32(&r->out, "attention.head_count_kv", kv));
    Q35_TRY(q35i_hf_put_u32(&r->out, "attention.key_length", facts->head_dim));
    Q35_TRY(q35i_hf_put_u32(&r->out, "attention.value_length", facts->head_dim));
    return q35i_hf_put_u32(&r->out, "rope.dimension_count", facts->head_dim);
}

static q35_status put_context(const reader *r)
{
    uint32_t context = 0, window = 0;
    Q35_TRY(q35i_hf_get_u32(r->json, 0, "max_seq_len", &context));
    Q35_TRY(q35i_hf_get_u32(r->json, 0, "max_position_embeddings", &context));
    Q35_TRY(q35i_hf_get_u32(r->json, 0, "sliding_window", &window));
    if (context == 0)
        return Q35_FAIL(Q35_E_FORMAT,
                        "%s: max_position_embeddings: 0 or absent, and no max_seq_len, need the model's context "
                        "length; it can be added to the file",
                        r->json->name);
    if (window)
        Q35_TRY(q35i_hf_put_u32(&r->out, "attention.sliding_window", window));
    return q35i_hf_put_u32(&r->out, "context_length", context);
}

/* beta and alpha are what others call beta_fast and beta_slow; without apply_scale sine and cosine stay unscaled,
 * which is m(1) / m(1) in GGUF's words. */
static q35_status put_yarn(const reader *r, uint32_t *original)
{
    double factor, beta = 32, alpha = 1;
    bool scale = true;
    *original = 0;
    if (r->yarn == Q35I_JSON_NONE)
        return Q35_OK;
    Q35_TRY(q35i_hf_check_keys(r->json, r->yarn, "yarn.", yarn_keys, COUNT(yarn_keys)));
    Q35_TRY(q35i_hf_need_f64(r->json, r->yarn, "factor", &factor));
    Q35_TRY(q35i_hf_need_u32(r->json, r->yarn, "original_max_position_embeddings", original));
    Q35_TRY(q35i_hf_get_f64(r->json, r->yarn, "beta", &beta));
    Q35_TRY(q35i_hf_get_f64(r->json, r->yarn, "alpha", &alpha));
    Q35_TRY(q35i_json_get_bool(r->json, r->yarn, "apply_scale", &scale));
    Q35_TRY(q35i_hf_put_text(&r->out, "rope.scaling.type", "yarn"));
    Q35_TRY(q35i_hf_put_f32(&r->out, "rope.scaling.factor", factor));
    Q35_TRY(q35i_hf_put_u32(&r->out, "rope.scaling.original_context_length", *original));
    Q35_TRY(q35i_hf_put_f32(&r->out, "rope.scaling.yarn_beta_fast", beta));
    Q35_TRY(q35i_hf_put_f32(&r->out, "rope.scaling.yarn_beta_slow", alpha));
    return scale ? Q35_OK : q35i_hf_put_f32(&r->out, "rope.scaling.yarn_log_multiplier", 1);
}

static q35_status put_temperature(const reader *r, uint32_t original)
{
    double beta;
    uint32_t length;
    if (r->temperature == Q35I_JSON_NONE)
        return Q35_OK;
    Q35_TRY(q35i_hf_check_keys(r->json, r->temperature, "llama_4_scaling.", temperature_keys,
                               COUNT(temperature_keys)));
    Q35_TRY(q35i_hf_need_f64(r->json, r->temperature, "beta", &beta));
    Q35_TRY(q35i_hf_need_u32(r->json, r->temperature, "original_max_position_embeddings", &length));
    Q35_TRY(q35i_hf_put_f32(&r->out, "attention.temperature_scale", beta));
    return length == original ? Q35_OK : q35i_hf_put_u32(&r->out, "attention.temperature_length", length);
}

/* A size that the file may leave out, or give as -1, when the tensors say it. */
static q35_status read_size(const reader *r, const char *key, uint32_t from_tensors, uint32_t *out)
{
    uint32_t node;
    double value = -1;
    Q35_TRY(q35i_json_get(r->json, 0, key, &node));
    if (node != Q35I_JSON_NONE)
        Q35_TRY(q35i_hf_get_f64(r->json, 0, key, &value));
    *out = from_tensors;
    return value == -1 && from_tensors ? Q35_OK : q35i_hf_need_u32(r->json, 0, key, out);
}

static q35_status put_model(const reader *r, const q35i_hf_sizes *sizes, q35i_hf_facts *facts)
{
    uint32_t dim, layers, ffn, vocab, original;
    double eps, theta;
    Q35_TRY(q35i_hf_need_u32(r->json, 0, "dim", &dim));
    Q35_TRY(q35i_hf_need_u32(r->json, 0, "n_layers", &layers));
    Q35_TRY(q35i_hf_need_f64(r->json, 0, "norm_eps", &eps));
    Q35_TRY(q35i_hf_need_f64(r->json, 0, "rope_theta", &theta));
    Q35_TRY(read_size(r, "hidden_dim", sizes->ffn, &ffn));
    Q35_TRY(read_size(r, "vocab_size", sizes->vocab, &vocab));
    Q35_TRY(q35i_hf_put_u32(&r->out, "block_count", layers));
    Q35_TRY(q35i_hf_put_u32(&r->out, "embedding_length", dim));
    Q35_TRY(q35i_hf_put_u32(&r->out, "feed_forward_length", ffn));
    Q35_TRY(q35i_hf_put_u32(&r->out, "vocab_size", vocab));
    Q35_TRY(q35i_hf_put_f32(&r->out, "attention.layer_norm_rms_epsilon", eps));
    Q35_TRY(q35i_hf_put_f32(&r->out, "rope.freq_base", theta));
    Q35_TRY(put_heads(r, dim, facts));
    Q35_TRY(put_context(r));
    Q35_TRY(put_yarn(r, &original));
    return put_temperature(r, original);
}

static q35_status read_json(const q35i_json *json, const q35i_hf_sizes *sizes, q35i_meta_list *list,
                            q35i_hf_facts *facts)
{
    reader r = {.json = json};
    uint32_t tied;
    Q35_TRY(q35i_hf_check_keys(json, 0, "", keys, COUNT(keys)));
    Q35_TRY(check_quantization(json));
    Q35_TRY(q35i_json_get_type(json, 0, "yarn", Q35I_JSON_OBJECT, &r.yarn));
    Q35_TRY(q35i_json_get_type(json, 0, "llama_4_scaling", Q35I_JSON_OBJECT, &r.temperature));
    Q35_TRY(q35i_json_get(json, 0, "tied_embeddings", &tied));
    facts->tied_given = tied != Q35I_JSON_NONE;
    Q35_TRY(q35i_json_get_bool(json, 0, "tied_embeddings", &facts->tied));
    bool plain = r.yarn == Q35I_JSON_NONE && r.temperature == Q35I_JSON_NONE;
    r.out = (q35i_hf_out){list, plain ? "llama" : "mistral3"};
    Q35_TRY(q35i_meta_add_string(list, "general.architecture",
                                 (q35_string){r.out.architecture, strlen(r.out.architecture)}));
    return put_model(&r, sizes, facts);
}

q35_status q35i_hf_read_params(const char *name, const void *text, uint64_t bytes, const q35i_hf_sizes *sizes,
                               q35i_meta_list *out, q35i_hf_facts *facts)
{
    q35i_json json = {0};
    q35_status status = q35i_json_parse(&json, name, text, bytes);
    if (status == Q35_OK)
        status = read_json(&json, sizes, out, facts);
    q35i_json_free(&json);
    return status;
}
