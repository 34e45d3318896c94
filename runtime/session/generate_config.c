/* SPDX-License-Identifier: Apache-2.0
 *
 * The files beside the weights of a random model in a directory, with the names and the nesting of released ones.
 */
#include "runtime/session/generate.h"

#include "runtime/base/error.h"
#include "runtime/model/alphabet.h"

#include <q35rt/blocks.h>

#include <jansson.h>
#include <stdio.h>

static int is_mistral3(const q35_shape *s)
{
    return strcmp(s->architecture, "mistral3") == 0;
}

static json_t *text_config(const q35_shape *s)
{
    int m = is_mistral3(s);
    json_t *rope =
        json_pack("{s:s, s:f}", "rope_type", m ? "yarn" : "default", "rope_theta", (double)s->rope_base);
    if (m)
        json_object_update_new(rope,
                               json_pack("{s:f, s:i, s:f, s:f, s:f, s:f, s:f}", "factor", 16.0,
                                         "original_max_position_embeddings", 16384, "beta_fast", 32.0, "beta_slow",
                                         1.0, "mscale", 1.0, "mscale_all_dim", 1.0, "llama_4_scaling_beta", 0.1));
    return json_pack("{s:s, s:[s], s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:s, s:b, s:b, s:n, s:o}",
                     "model_type", m ? "ministral3" : "llama", "architectures",
                     m ? "Ministral3ForCausalLM" : "LlamaForCausalLM", "hidden_size", (int)s->hidden,
                     "intermediate_size", (int)s->ffn, "num_hidden_layers", (int)s->layers, "num_attention_heads",
                     (int)s->heads, "num_key_value_heads", (int)s->kv_heads, "head_dim", (int)s->head_dim,
                     "vocab_size", (int)s->vocab, "max_position_embeddings", (int)s->context, "rms_norm_eps", 1e-5,
                     "hidden_act", "silu", "attention_bias", 0, "tie_word_embeddings", s->tied, "sliding_window",
                     "rope_parameters", rope);
}

static json_t *hf_config(const q35i_generation *g)
{
    json_t *config = text_config(g->shape);
    if (is_mistral3(g->shape))
        config = json_pack("{s:[s], s:s, s:b, s:o}", "architectures", "Mistral3ForConditionalGeneration",
                           "model_type", "mistral3", "tie_word_embeddings", g->shape->tied, "text_config", config);
    const uint32_t dtype = g->options->dtype;
    json_object_set_new(config, "dtype",
                        json_string(dtype == Q35_DT_F32   ? "float32"
                                    : dtype == Q35_DT_F16 ? "float16"
                                                          : "bfloat16")); /* FP8: of what is not FP8 */
    if (dtype == Q35_DT_F8_32)
        json_object_set_new(config, "quantization_config",
                            json_pack("{s:s, s:s, s:n, s:[s, s, s]}", "quant_method", "fp8", "activation_scheme",
                                      "static", "weight_block_size", "modules_to_not_convert", "vision_tower",
                                      "multi_modal_projector", "lm_head"));
    return config;
}

static json_t *params(const q35i_generation *g)
{
    const q35_shape *s = g->shape;
    json_t *p = json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:i, s:f, s:b, s:i}", "dim", (int)s->hidden,
                          "n_layers", (int)s->layers, "head_dim", (int)s->head_dim, "hidden_dim", (int)s->ffn,
                          "n_heads", (int)s->heads, "n_kv_heads", (int)s->kv_heads, "norm_eps", 1e-5, "vocab_size",
                          (int)s->vocab, "rope_theta", (double)s->rope_base, "tied_embeddings", s->tied,
                          "max_position_embeddings", (int)s->context);
    if (is_mistral3(s))
        json_object_update_new(p, json_pack("{s:{s:i, s:f, s:b, s:f, s:f}, s:{s:i, s:f}}", "yarn",
                                            "original_max_position_embeddings", 16384, "factor", 16.0,
                                            "apply_scale", 0, "beta", 32.0, "alpha", 1.0, "llama_4_scaling",
                                            "original_max_position_embeddings", 16384, "beta", 0.1));
    if (g->options->dtype == Q35_DT_F8_32)
        json_object_set_new(p, "quantization",
                            json_pack("{s:s, s:s}", "qformat_weight", "fp8_e4m3", "qscheme_act", "TENSOR"));
    return p;
}

static json_t *added_token(int id, const char *content)
{
    return json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id, "content", content, "single_word", 0,
                     "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1);
}

/* <s>, then the sequences of letters. */
static json_t *template_of(const char *letters)
{
    json_t *list = json_pack("[{s:{s:s, s:i}}]", "SpecialToken", "id", "<s>", "type_id", 0);
    for (; *letters; letters++)
        json_array_append_new(list,
                              json_pack("{s:{s:s%, s:i}}", "Sequence", "id", letters, (size_t)1, "type_id", 0));
    return list;
}

/* The vocabulary of the GGUF file: control tokens, then the bytes. What follows is filled up by the reader. Every
 * field that the tokenizers library asks for is there; it wants the control tokens in both lists, or gives them
 * other ids. */
static json_t *tokenizer(void)
{
    static const char *const control[] = {"<unk>", "<s>", "</s>"};
    json_t *added = json_array(), *vocabulary = json_object();
    q35i_alphabet alphabet;
    q35i_alphabet_init(&alphabet);
    for (int id = 0; id < 3; id++) {
        json_array_append_new(added, added_token(id, control[id]));
        json_object_set_new(vocabulary, control[id], json_integer(id));
    }
    for (int b = 0; b < 256; b++) {
        char text[8] = {0};
        const uint8_t byte = (uint8_t)b;
        (void)q35i_alphabet_encode(&alphabet, &byte, 1, text);
        json_object_set_new(vocabulary, text, json_integer(3 + b));
    }
    json_t *bos = json_pack("{s:s, s:o, s:o, s:{s:{s:s, s:[i], s:[s]}}}", "type", "TemplateProcessing", "single",
                            template_of("A"), "pair", template_of("AB"), "special_tokens", "<s>", "id", "<s>",
                            "ids", 1, "tokens", "<s>");
    json_t *bytes = json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets",
                              1, "use_regex", 1);
    return json_pack("{s:s, s:n, s:n, s:o, s:n, s:O, s:o, s:o, s:{s:s, s:n, s:b, s:b, s:o, s:[]}}", "version",
                     "1.0", "truncation", "padding", "added_tokens", added, "normalizer", "pre_tokenizer", bytes,
                     "post_processor", bos, "decoder", bytes, "model", "type", "BPE", "unk_token", "byte_fallback",
                     0, "ignore_merges", 0, "vocab", vocabulary, "merges");
}

static q35_status write_json(const char *dir, const char *name, json_t *value)
{
    q35_status status = q35i_gen_json_file(dir, name, value);
    json_decref(value);
    return status;
}

q35_status q35i_gen_config_files(const q35i_generation *g, const char *dir)
{
    if (g->options->layout == Q35_LAYOUT_MISTRAL)
        Q35_TRY(write_json(dir, "params.json", params(g)));
    else
        Q35_TRY(write_json(dir, "config.json", hf_config(g)));
    if (g->options->no_tokenizer)
        return Q35_OK;
    Q35_TRY(write_json(dir, "tokenizer.json", tokenizer()));
    return write_json(dir, "tokenizer_config.json",
                      json_pack("{s:b, s:s, s:s}", "add_bos_token", 1, "bos_token", "<s>", "eos_token", "</s>"));
}
