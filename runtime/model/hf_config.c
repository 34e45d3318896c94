/* SPDX-License-Identifier: Apache-2.0
 *
 * config.json of the llama family, translated into GGUF keys. What its keys mean, and what an absent one means, is
 * as in transformers' LlamaConfig, MistralConfig, Ministral3Config and Mistral3Config. */
#include "hf.h"

#include "quote.h"
#include "runtime/base/error.h"

#include <inttypes.h>
#include <string.h>

#define MAX_HEAD_DIM   65536u
#define DEFAULT_WINDOW 4096u /* MistralConfig without sliding_window */

/* Keys of a text model. Those that other families read and that change results may only be neutral. */
static const q35i_hf_key text_keys[] = {
    /* read here or in hf_rope.c */
    {"model_type", Q35I_HF_ANY},
    {"hidden_size", Q35I_HF_ANY},
    {"intermediate_size", Q35I_HF_ANY},
    {"num_hidden_layers", Q35I_HF_ANY},
    {"num_attention_heads", Q35I_HF_ANY},
    {"num_key_value_heads", Q35I_HF_ANY},
    {"head_dim", Q35I_HF_ANY},
    {"vocab_size", Q35I_HF_ANY},
    {"rms_norm_eps", Q35I_HF_ANY},
    {"hidden_act", Q35I_HF_ANY},
    {"max_position_embeddings", Q35I_HF_ANY},
    {"original_max_position_embeddings", Q35I_HF_ANY},
    {"rope_theta", Q35I_HF_ANY},
    {"rope_scaling", Q35I_HF_ANY},
    {"rope_parameters", Q35I_HF_ANY},
    {"llama_4_scaling_beta", Q35I_HF_ANY},
    {"sliding_window", Q35I_HF_ANY},
    {"layer_types", Q35I_HF_ANY},
    {"tie_word_embeddings", Q35I_HF_ANY},
    {"quantization_config", Q35I_HF_ANY},
    {"text_config", Q35I_HF_ANY},
    /* may only be neutral */
    {"partial_rotary_factor", Q35I_HF_ONE},
    {"embedding_multiplier", Q35I_HF_ONE},
    {"residual_multiplier", Q35I_HF_ONE},
    {"logits_scaling", Q35I_HF_ONE},
    {"logit_scale", Q35I_HF_ONE},
    {"final_logit_softcapping", Q35I_HF_ZERO},
    {"attn_logit_softcapping", Q35I_HF_ZERO},
    {"num_experts", Q35I_HF_ZERO},
    {"num_local_experts", Q35I_HF_ZERO},
    {"num_nextn_predict_layers", Q35I_HF_ZERO},
    /* training, bookkeeping, images */
    {"_*", Q35I_HF_ANY},
    {"architectures", Q35I_HF_ANY},
    {"transformers*", Q35I_HF_ANY},
    {"unsloth*", Q35I_HF_ANY},
    {"torch_dtype", Q35I_HF_ANY},
    {"dtype", Q35I_HF_ANY},
    {"name_or_path", Q35I_HF_ANY},
    {"initializer_range", Q35I_HF_ANY},
    {"use_cache", Q35I_HF_ANY},
    {"pretraining_tp", Q35I_HF_ANY},
    {"attention_dropout", Q35I_HF_ANY},
    {"hidden_dropout", Q35I_HF_ANY},
    {"gradient_checkpointing", Q35I_HF_ANY},
    {"is_llama_config", Q35I_HF_ANY},
    {"use_sliding_window", Q35I_HF_ANY},
    {"max_window_layers", Q35I_HF_ANY},
    {"attn_implementation", Q35I_HF_ANY},
    {"model_max_length", Q35I_HF_ANY},
    {"max_sequence_length", Q35I_HF_ANY},
    {"tokenizer_class", Q35I_HF_ANY},
    {"return_dict", Q35I_HF_ANY},
    {"output_attentions", Q35I_HF_ANY},
    {"output_hidden_states", Q35I_HF_ANY},
    {"torchscript", Q35I_HF_ANY},
    {"chunk_size_feed_forward", Q35I_HF_ANY},
    {"id2label", Q35I_HF_ANY},
    {"label2id", Q35I_HF_ANY},
    {"num_labels", Q35I_HF_ANY},
    {"bos_token_id", Q35I_HF_ANY},
    {"eos_token_id", Q35I_HF_ANY},
    {"pad_token_id", Q35I_HF_ANY},
    {"unk_token_id", Q35I_HF_ANY},
    {"vision_config", Q35I_HF_ANY},
    {"image_token_index", Q35I_HF_ANY},
    {"image_token_id", Q35I_HF_ANY},
    {"image_seq_length", Q35I_HF_ANY},
    {"spatial_merge_size", Q35I_HF_ANY},
    {"vision_feature_layer", Q35I_HF_ANY},
    {"vision_feature_select_strategy", Q35I_HF_ANY},
    {"projector_hidden_act", Q35I_HF_ANY},
    {"multimodal_projector_bias", Q35I_HF_ANY},
    /* generation, which older files keep here */
    {"do_sample", Q35I_HF_ANY},
    {"temperature", Q35I_HF_ANY},
    {"top_k", Q35I_HF_ANY},
    {"top_p", Q35I_HF_ANY},
    {"typical_p", Q35I_HF_ANY},
    {"max_length", Q35I_HF_ANY},
    {"min_length", Q35I_HF_ANY},
    {"num_beams", Q35I_HF_ANY},
    {"num_beam_groups", Q35I_HF_ANY},
    {"num_return_sequences", Q35I_HF_ANY},
    {"diversity_penalty", Q35I_HF_ANY},
    {"repetition_penalty", Q35I_HF_ANY},
    {"length_penalty", Q35I_HF_ANY},
    {"no_repeat_ngram_size", Q35I_HF_ANY},
    {"encoder_no_repeat_ngram_size", Q35I_HF_ANY},
};

static const q35i_hf_key quantization_keys[] = {
    {"quant_method", Q35I_HF_ANY},
    {"activation_scheme", Q35I_HF_ANY},
    {"modules_to_not_convert", Q35I_HF_ANY},
    {"ignored_layers", Q35I_HF_ANY},
    {"dequantize", Q35I_HF_ANY},
    {"fmt", Q35I_HF_ANY},
    {"weight_block_size", Q35I_HF_ANY},
};

/* Value of a string key, "" when it is absent. */
static q35_status get_text(const q35i_json *json, uint32_t object, const char *key, q35i_quoted *out)
{
    uint32_t node;
    Q35_TRY(q35i_json_get_type(json, object, key, Q35I_JSON_STRING, &node));
    *out = q35i_quote(node == Q35I_JSON_NONE ? (q35_string){"", 0} : q35i_json_text(json, node));
    return Q35_OK;
}

/* The text model's object, its type and the architecture it is. */
static q35_status find_text(const q35i_json *json, uint32_t *text, q35i_quoted *type, const char **architecture)
{
    *text = 0;
    Q35_TRY(get_text(json, 0, "model_type", type));
    if (strcmp(type->text, "mistral3") == 0) {
        Q35_TRY(q35i_json_need(json, 0, "text_config", Q35I_JSON_OBJECT, text));
        Q35_TRY(get_text(json, *text, "model_type", type));
        if (type->text[0] == '\0')
            *type = q35i_quote((q35_string){"mistral", strlen("mistral")});
        if (strcmp(type->text, "llama") == 0)
            type->text[0] = '\0'; /* not inside mistral3 */
    }
    *architecture = strcmp(type->text, "ministral3") == 0 ? "mistral3" : "llama";
    if (strcmp(type->text, "llama") == 0 || strcmp(type->text, "mistral") == 0 ||
        strcmp(type->text, "ministral3") == 0)
        return Q35_OK;
    return Q35_FAIL(Q35_E_UNSUPPORTED,
                    "%s: model_type: '%s', need llama, mistral, ministral3 or mistral3 around one of the last two",
                    json->name, type->text);
}

/* Only FP8 weights with one scale for each tensor. */
static q35_status check_quantization(const q35i_json *json, uint32_t object)
{
    uint32_t node, block;
    q35i_quoted method, format;
    Q35_TRY(q35i_json_get_type(json, object, "quantization_config", Q35I_JSON_OBJECT, &node));
    if (node == Q35I_JSON_NONE)
        return Q35_OK;
    Q35_TRY(get_text(json, node, "quant_method", &method));
    if (strcmp(method.text, "fp8") != 0)
        return Q35_FAIL(Q35_E_UNSUPPORTED,
                        "%s: quantization_config.quant_method: '%s', need fp8 or no quantization", json->name,
                        method.text);
    Q35_TRY(get_text(json, node, "fmt", &format));
    if (format.text[0] && strcmp(format.text, "e4m3") != 0)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: quantization_config.fmt: '%s', need e4m3", json->name,
                        format.text);
    Q35_TRY(q35i_json_get(json, node, "weight_block_size", &block));
    if (block != Q35I_JSON_NONE)
        return Q35_FAIL(Q35_E_UNSUPPORTED,
                        "%s: quantization_config.weight_block_size: %s, need null: one scale for each tensor",
                        json->name, q35i_json_type_name(q35i_json_type_of(json, block)));
    return q35i_hf_check_keys(json, node, "quantization_config.", quantization_keys,
                              sizeof quantization_keys / sizeof *quantization_keys);
}

/* Biases and other activations are in no tensor or formula here. */
static q35_status check_structure(const q35i_json *json, uint32_t text)
{
    bool attention = false, mlp = false;
    q35i_quoted activation;
    uint32_t layers;
    Q35_TRY(q35i_json_get_bool(json, text, "attention_bias", &attention));
    Q35_TRY(q35i_json_get_bool(json, text, "mlp_bias", &mlp));
    if (attention || mlp)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: %s: true, need false: biases are not known here", json->name,
                        attention ? "attention_bias" : "mlp_bias");
    Q35_TRY(get_text(json, text, "hidden_act", &activation));
    if (activation.text[0] && strcmp(activation.text, "silu") != 0 && strcmp(activation.text, "swish") != 0)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: hidden_act: '%s', need silu", json->name, activation.text);
    Q35_TRY(q35i_json_get_type(json, text, "layer_types", Q35I_JSON_ARRAY, &layers));
    for (uint32_t i = layers + 1; layers != Q35I_JSON_NONE && i < json->nodes[layers].next;
         i = json->nodes[i].next)
        if (!q35i_json_is(json, i, "full_attention"))
            return Q35_FAIL(
                Q35_E_UNSUPPORTED, "%s: layer_types: '%s', need full_attention in every layer", json->name,
                q35i_json_type_of(json, i) == Q35I_JSON_STRING ? q35i_quote(q35i_json_text(json, i)).text
                                                               : q35i_json_type_name(q35i_json_type_of(json, i)));
    return Q35_OK;
}

static q35_status check_keys(const q35i_json *json, uint32_t text)
{
    const size_t n = sizeof text_keys / sizeof *text_keys;
    Q35_TRY(check_structure(json, text));
    Q35_TRY(check_quantization(json, 0));
    Q35_TRY(q35i_hf_check_keys(json, 0, "", text_keys, n));
    if (text == 0)
        return Q35_OK;
    Q35_TRY(check_quantization(json, text));
    return q35i_hf_check_keys(json, text, "text_config.", text_keys, n);
}

static q35_status put_heads(const q35i_json *json, uint32_t text, const q35i_hf_out *out, uint32_t hidden,
                            q35i_hf_facts *facts)
{
    uint32_t heads, kv;
    Q35_TRY(q35i_hf_need_u32(json, text, "num_attention_heads", &heads));
    kv = heads;
    Q35_TRY(q35i_hf_get_u32(json, text, "num_key_value_heads", &kv));
    facts->head_dim = 0;
    Q35_TRY(q35i_hf_get_u32(json, text, "head_dim", &facts->head_dim));
    if (heads == 0 || (facts->head_dim == 0 && hidden % heads != 0))
        return Q35_FAIL(Q35_E_FORMAT,
                        "%s: num_attention_heads: %" PRIu32 ", need a divisor of hidden_size %" PRIu32
                        " without head_dim",
                        json->name, heads, hidden);
    if (facts->head_dim == 0)
        facts->head_dim = hidden / heads;
    if (facts->head_dim == 0 || facts->head_dim % 2 != 0 || facts->head_dim > MAX_HEAD_DIM)
        return Q35_FAIL(Q35_E_FORMAT, "%s: head_dim: %" PRIu32 ", need an even number from 2 to %u", json->name,
                        facts->head_dim, MAX_HEAD_DIM);
    Q35_TRY(q35i_hf_put_u32(out, "attention.head_count", heads));
    Q35_TRY(q35i_hf_put_u32(out, "attention.head_count_kv", kv));
    Q35_TRY(q35i_hf_put_u32(out, "attention.key_length", facts->head_dim));
    return q35i_hf_put_u32(out, "attention.value_length", facts->head_dim);
}

/* Absent is not null here: it means a window of 4096 in a mistral model. */
static q35_status put_window(const q35i_json *json, uint32_t text, const char *type, const q35i_hf_out *out)
{
    bool use = true, there = false;
    uint32_t window = 0;
    Q35_TRY(q35i_json_get_bool(json, text, "use_sliding_window", &use));
    for (uint32_t i = text + 1; i < json->nodes[text].next; i = json->nodes[i + 1].next)
        there = there || q35i_json_is(json, i, "sliding_window");
    if (!there && strcmp(type, "mistral") == 0)
        window = DEFAULT_WINDOW;
    Q35_TRY(q35i_hf_get_u32(json, text, "sliding_window", &window));
    return window && use ? q35i_hf_put_u32(out, "attention.sliding_window", window) : Q35_OK;
}

/* What the text model and the model around it say; when they contradict each other, the tensors decide. */
static q35_status read_tied(const q35i_json *json, uint32_t text, q35i_hf_facts *facts)
{
    uint32_t inner, outer;
    bool tied[2] = {false, false};
    Q35_TRY(q35i_json_get(json, text, "tie_word_embeddings", &inner));
    Q35_TRY(q35i_json_get(json, 0, "tie_word_embeddings", &outer));
    Q35_TRY(q35i_json_get_bool(json, text, "tie_word_embeddings", &tied[0]));
    Q35_TRY(q35i_json_get_bool(json, 0, "tie_word_embeddings", &tied[1]));
    bool both = inner != Q35I_JSON_NONE && outer != Q35I_JSON_NONE;
    facts->tied_given = inner != Q35I_JSON_NONE || outer != Q35I_JSON_NONE;
    facts->tied = tied[inner == Q35I_JSON_NONE];
    if (both && tied[0] != tied[1])
        facts->tied_given = facts->tied = false;
    return Q35_OK;
}

static q35_status put_model(const q35i_json *json, uint32_t text, const char *type, const q35i_hf_out *out,
                            q35i_hf_facts *facts)
{
    uint32_t layers, hidden, ffn, vocab;
    double eps;
    Q35_TRY(q35i_hf_need_u32(json, text, "num_hidden_layers", &layers));
    Q35_TRY(q35i_hf_need_u32(json, text, "hidden_size", &hidden));
    Q35_TRY(q35i_hf_need_u32(json, text, "intermediate_size", &ffn));
    Q35_TRY(q35i_hf_need_u32(json, text, "vocab_size", &vocab));
    Q35_TRY(q35i_hf_need_f64(json, text, "rms_norm_eps", &eps));
    Q35_TRY(q35i_hf_put_u32(out, "block_count", layers));
    Q35_TRY(q35i_hf_put_u32(out, "embedding_length", hidden));
    Q35_TRY(q35i_hf_put_u32(out, "feed_forward_length", ffn));
    Q35_TRY(q35i_hf_put_u32(out, "vocab_size", vocab));
    Q35_TRY(q35i_hf_put_f32(out, "attention.layer_norm_rms_epsilon", eps));
    Q35_TRY(put_heads(json, text, out, hidden, facts));
    Q35_TRY(put_window(json, text, type, out));
    Q35_TRY(read_tied(json, text, facts));
    return q35i_hf_read_rope(json, text, out, facts);
}

static q35_status read_json(const q35i_json *json, q35i_meta_list *list, q35i_hf_facts *facts)
{
    uint32_t text;
    q35i_quoted type;
    const char *architecture;
    Q35_TRY(find_text(json, &text, &type, &architecture));
    Q35_TRY(check_keys(json, text));
    const q35i_hf_out out = {list, architecture};
    Q35_TRY(q35i_meta_add_string(list, "general.architecture", (q35_string){architecture, strlen(architecture)}));
    return put_model(json, text, type.text, &out, facts);
}

q35_status q35i_hf_read_config(const char *name, const void *text, uint64_t bytes, q35i_meta_list *out,
                               q35i_hf_facts *facts)
{
    q35i_json json = {0};
    q35_status status = q35i_json_parse(&json, name, text, bytes);
    if (status == Q35_OK)
        status = read_json(&json, out, facts);
    q35i_json_free(&json);
    return status;
}
