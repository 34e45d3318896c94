/* SPDX-License-Identifier: Apache-2.0
 *
 * config.json and params.json: the metadata that real configurations become, every refusal, truncations,
 * mutations, and memory that runs out. */
#include "support/alloc_sweep.h"
#include "support/expect.h"
#include "support/hf_dir.h"
#include "support/rng.h"
#include "support/suite.h"

#include "runtime/model/hf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUTATIONS 100000

/* What one configuration became. */
typedef struct result {
    q35i_meta_list list;
    q35i_hf_facts facts;
    q35_status status;
} result;

static result read_text(int mistral, const void *text, uint64_t bytes)
{
    result r = {{0}, {0}, Q35_OK};
    const q35i_hf_sizes sizes = {0};
    r.status = mistral ? q35i_hf_read_params("params.json", text, bytes, &sizes, &r.list, &r.facts)
                       : q35i_hf_read_config("config.json", text, bytes, &r.list, &r.facts);
    return r;
}

/* The default configuration with other members. */
static result read_with(int mistral, const char *members)
{
    q35t_hf_options o = q35t_hf_options_default();
    o.mistral = mistral;
    o.config = members;
    q35t_image text = q35t_hf_config(&o);
    result r = read_text(mistral, text.data, text.len);
    free(text.data);
    return r;
}

static void release(result *r)
{
    q35i_meta_list_free(&r->list);
    q35i_free(r->facts.divisors);
}

/* The value of a key as text, "absent" without it. */
static const char *value(const result *r, const char *key)
{
    static char text[64];
    const q35_meta *m = q35i_meta_list_find(&r->list, key);
    q35_string s;
    double number;
    if (!m)
        return "absent";
    if (q35_meta_string(m, &s))
        snprintf(text, sizeof text, "%.*s", (int)s.len, s.data);
    else if (q35_meta_f64(m, &number))
        snprintf(text, sizeof text, "%.7g", number);
    else
        snprintf(text, sizeof text, "type %u", m->type);
    return text;
}

/* pairs: key and value in turn, NULL behind the last. */
static void expect_values(const result *r, const char *const *pairs)
{
    for (; *pairs; pairs += 2)
        ck_assert_msg(strcmp(value(r, pairs[0]), pairs[1]) == 0, "%s: %s, need %s", pairs[0], value(r, pairs[0]),
                      pairs[1]);
}

static const char ministral_3b[] =
    "{\"architectures\":[\"Mistral3ForConditionalGeneration\"],\"dtype\":\"bfloat16\",\"image_token_index\":10,"
    "\"model_type\":\"mistral3\",\"multimodal_projector_bias\":false,\"projector_hidden_act\":\"gelu\","
    "\"spatial_merge_size\":2,\"text_config\":{\"attention_dropout\":0.0,\"head_dim\":128,\"hidden_act\":\"silu\","
    "\"hidden_size\":3072,\"initializer_range\":0.02,\"intermediate_size\":9216,"
    "\"max_position_embeddings\":262144,\"model_type\":\"ministral3\",\"num_attention_heads\":32,"
    "\"num_hidden_layers\":26,\"num_key_value_heads\":8,\"rms_norm_eps\":1e-05,\"rope_parameters\":{"
    "\"beta_fast\":32.0,\"beta_slow\":1.0,\"factor\":16.0,\"llama_4_scaling_beta\":0.1,\"mscale\":1.0,"
    "\"mscale_all_dim\":1.0,\"original_max_position_embeddings\":16384.0,\"rope_theta\":1000000.0,"
    "\"rope_type\":\"yarn\",\"type\":\"yarn\"},\"sliding_window\":null,\"tie_word_embeddings\":true,"
    "\"use_cache\":true,\"vocab_size\":131072},\"transformers_version\":\"5.0.0.dev0\",\"quantization_config\":{"
    "\"activation_scheme\":\"static\",\"dequantize\":false,\"modules_to_not_convert\":[\"model.vision_tower\","
    "\"lm_head\"],\"quant_method\":\"fp8\",\"weight_block_size\":null},\"vision_config\":{\"head_dim\":64,"
    "\"hidden_size\":1024,\"rope_parameters\":{\"rope_theta\":10000.0,\"rope_type\":\"default\"}},"
    "\"vision_feature_layer\":-1}";

START_TEST(test_ministral)
{
    result r = read_text(0, ministral_3b, strlen(ministral_3b));
    EXPECT_OK(r.status);
    expect_values(&r, (const char *const[]){"general.architecture",
                                            "mistral3",
                                            "mistral3.block_count",
                                            "26",
                                            "mistral3.embedding_length",
                                            "3072",
                                            "mistral3.feed_forward_length",
                                            "9216",
                                            "mistral3.vocab_size",
                                            "131072",
                                            "mistral3.context_length",
                                            "262144",
                                            "mistral3.attention.head_count",
                                            "32",
                                            "mistral3.attention.head_count_kv",
                                            "8",
                                            "mistral3.attention.key_length",
                                            "128",
                                            "mistral3.attention.value_length",
                                            "128",
                                            "mistral3.rope.dimension_count",
                                            "128",
                                            "mistral3.rope.freq_base",
                                            "1000000",
                                            "mistral3.rope.scaling.type",
                                            "yarn",
                                            "mistral3.rope.scaling.factor",
                                            "16",
                                            "mistral3.rope.scaling.original_context_length",
                                            "16384",
                                            "mistral3.rope.scaling.yarn_beta_fast",
                                            "32",
                                            "mistral3.rope.scaling.yarn_beta_slow",
                                            "1",
                                            "mistral3.rope.scaling.yarn_log_multiplier",
                                            "1",
                                            "mistral3.rope.scaling.attn_factor",
                                            "absent",
                                            "mistral3.attention.temperature_scale",
                                            "0.1",
                                            "mistral3.attention.temperature_length",
                                            "absent",
                                            "mistral3.attention.sliding_window",
                                            "absent",
                                            NULL});
    ck_assert_uint_eq(r.facts.head_dim, 128);
    ck_assert(r.facts.tied_given && r.facts.tied);
    release(&r);
}
END_TEST

static const char smollm2[] =
    "{\"architectures\":[\"LlamaForCausalLM\"],\"attention_bias\":false,\"attention_dropout\":0.0,"
    "\"bos_token_id\":1,\"eos_token_id\":2,\"hidden_act\":\"silu\",\"hidden_size\":576,\"initializer_range\":0.04,"
    "\"intermediate_size\":1536,\"is_llama_config\":true,\"max_position_embeddings\":8192,\"mlp_bias\":false,"
    "\"model_type\":\"llama\",\"num_attention_heads\":9,\"num_hidden_layers\":30,\"num_key_value_heads\":3,"
    "\"pad_token_id\":2,\"pretraining_tp\":1,\"rms_norm_eps\":1e-05,\"rope_interleaved\":false,"
    "\"rope_scaling\":null,\"rope_theta\":100000,\"tie_word_embeddings\":true,\"torch_dtype\":\"bfloat16\","
    "\"transformers_version\":\"4.42.3\",\"transformers.js_config\":{\"kv_cache_dtype\":{\"q4f16\":\"float16\"}},"
    "\"use_cache\":true,\"vocab_size\":49152}";

START_TEST(test_smollm2)
{
    result r = read_text(0, smollm2, strlen(smollm2));
    EXPECT_OK(r.status);
    expect_values(&r, (const char *const[]){"general.architecture", "llama", "llama.attention.key_length", "64",
                                            "llama.attention.head_count_kv", "3", "llama.rope.freq_base", "100000",
                                            "llama.context_length", "8192", "llama.rope.scaling.type", "absent",
                                            NULL});
    ck_assert_uint_eq(r.facts.n_divisors, 0);
    release(&r);
}
END_TEST

/* Llama 3.1: check values of the divisors for theta 5e5, 128 components, factor 8. */
START_TEST(test_llama3)
{
    static const struct {
        uint32_t i;
        double divisor;
    } check[] = {{0, 1}, {28, 1}, {29, 1.207484}, {32, 2.694530}, {34, 5.257327}, {35, 8}, {63, 8}};
    result r = read_with(0, "\"head_dim\":128,\"rope_theta\":500000.0,\"rope_scaling\":{\"factor\":8.0,"
                            "\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
                            "\"original_max_position_embeddings\":8192,\"rope_type\":\"llama3\"}");
    EXPECT_OK(r.status);
    ck_assert_uint_eq(r.facts.n_divisors, 64);
    for (size_t i = 0; i < sizeof check / sizeof *check; i++)
        ck_assert_double_eq_tol((double)r.facts.divisors[check[i].i], check[i].divisor, 1e-6 * check[i].divisor);
    expect_values(
        &r, (const char *const[]){"llama.rope.scaling.type", "absent", "llama.rope.freq_base", "500000", NULL});
    release(&r);
}
END_TEST

#define YARN(more)                                                                                                \
    "\"rope_scaling\":{\"type\":\"yarn\",\"factor\":16,\"original_max_position_embeddings\":64" more "}"

/* Members, and one key that comes of them. */
static const struct {
    int mistral;
    const char *members, *key, *value;
} translated[] = {
    {0, "\"num_key_value_heads\":null", "llama.attention.head_count_kv", "4"},
    {0, "\"head_dim\":null", "llama.attention.key_length", "8"},
    {0, "\"hidden_size\":64.0", "llama.embedding_length", "64"},
    {0, "\"hidden_act\":\"swish\"", "llama.block_count", "2"},
    {0, "\"rope_theta\":null", "llama.rope.freq_base", "10000"},
    {0, "\"rope_theta\":1.5e6", "llama.rope.freq_base", "1500000"},
    {0, "\"rope_parameters\":{\"rope_theta\":7e4}", "llama.rope.freq_base", "70000"},
    {0, "\"rope_parameters\":{\"rope_theta\":7e4,\"rope_type\":\"default\"}", "llama.rope.scaling.type", "absent"},
    {0, "\"rope_scaling\":{\"type\":\"linear\",\"factor\":4.0}", "llama.rope.scaling.type", "linear"},
    {0, "\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":4}", "llama.rope.scaling.factor", "4"},
    {0, YARN(""), "llama.rope.scaling.original_context_length", "64"},
    {0, YARN(""), "llama.rope.scaling.attn_factor", "absent"},
    {0, YARN(""), "llama.rope.scaling.yarn_log_multiplier", "absent"},
    {0, YARN(""), "llama.rope.scaling.yarn_beta_fast", "32"},
    {0, YARN(",\"beta_fast\":16,\"beta_slow\":null"), "llama.rope.scaling.yarn_beta_fast", "16"},
    {0, YARN(",\"mscale\":1,\"mscale_all_dim\":1"), "llama.rope.scaling.yarn_log_multiplier", "1"},
    {0, YARN(",\"mscale\":0.707,\"mscale_all_dim\":0.707"), "llama.rope.scaling.attn_factor", "0.7829266"},
    {0, YARN(",\"mscale\":2,\"mscale_all_dim\":1"), "llama.rope.scaling.attn_factor", "0.9528791"},
    {0, YARN(",\"mscale\":2"), "llama.rope.scaling.attn_factor", "absent"},
    {0, YARN(",\"attention_factor\":1.0"), "llama.rope.scaling.attn_factor", "0.7829266"},
    {0, YARN(",\"attention_factor\":1.0,\"mscale\":1,\"mscale_all_dim\":1"),
     "llama.rope.scaling.yarn_log_multiplier", "absent"},
    {0, YARN(",\"truncate\":true"), "llama.rope.scaling.factor", "16"},
    {0, YARN(",\"llama_4_scaling_beta\":0.25"), "llama.attention.temperature_scale", "0.25"},
    {0, "\"rope_scaling\":{\"type\":\"yarn\",\"factor\":null,\"original_max_position_embeddings\":256}",
     "llama.rope.scaling.factor", "4"},
    {0, "\"original_max_position_embeddings\":256,\"rope_scaling\":{\"type\":\"yarn\",\"factor\":2}",
     "llama.rope.scaling.original_context_length", "256"},
    {0, "\"llama_4_scaling_beta\":0.5,\"original_max_position_embeddings\":256",
     "llama.attention.temperature_length", "256"},
    {0, "\"model_type\":\"mistral\"", "llama.attention.sliding_window", "4096"},
    {0, "\"model_type\":\"mistral\",\"sliding_window\":null", "llama.attention.sliding_window", "absent"},
    {0, "\"model_type\":\"mistral\",\"sliding_window\":512", "llama.attention.sliding_window", "512"},
    {0, "\"use_sliding_window\":false,\"sliding_window\":512", "llama.attention.sliding_window", "absent"},
    {0, "\"layer_types\":[\"full_attention\",\"full_attention\"]", "llama.block_count", "2"},
    {0, "\"partial_rotary_factor\":1.0,\"num_local_experts\":0", "llama.block_count", "2"},
    {0, "\"unsloth_fixed\":true,\"_name_or_path\":\"x\",\"use_qk_norm\":false", "llama.block_count", "2"},
    {0, "\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":null}", "llama.block_count", "2"},
    {1, "\"causal\":1", "general.architecture", "llama"},
    {1, "\"n_kv_heads\":null", "llama.attention.head_count_kv", "4"},
    {1, "\"head_dim\":null", "llama.attention.key_length", "8"},
    {1, "\"max_position_embeddings\":null,\"max_seq_len\":77", "llama.context_length", "77"},
    {1, "\"yarn\":{\"factor\":16,\"original_max_position_embeddings\":64,\"apply_scale\":false,\"beta\":30}",
     "mistral3.rope.scaling.yarn_beta_fast", "30"},
    {1, "\"yarn\":{\"factor\":16,\"original_max_position_embeddings\":64,\"apply_scale\":false,\"alpha\":2}",
     "mistral3.rope.scaling.yarn_beta_slow", "2"},
    {1, "\"yarn\":{\"factor\":16,\"original_max_position_embeddings\":64,\"apply_scale\":false}",
     "mistral3.rope.scaling.yarn_log_multiplier", "1"},
    {1, "\"yarn\":{\"factor\":16,\"original_max_position_embeddings\":64,\"apply_scale\":true}",
     "mistral3.rope.scaling.yarn_log_multiplier", "absent"},
    {1, "\"llama_4_scaling\":{\"beta\":0.1,\"original_max_position_embeddings\":64}",
     "mistral3.attention.temperature_length", "64"},
    {1, "\"quantization\":{\"qformat_weight\":\"fp8_e4m3\",\"qscheme_act\":\"TENSOR\"},\"vision_encoder\":{}",
     "general.architecture", "llama"},
};

START_TEST(test_translates)
{
    result r = read_with(translated[_i].mistral, translated[_i].members);
    expect_ok(r.status, translated[_i].members);
    ck_assert_msg(strcmp(value(&r, translated[_i].key), translated[_i].value) == 0, "%s: %s is %s, need %s",
                  translated[_i].members, translated[_i].key, value(&r, translated[_i].key), translated[_i].value);
    release(&r);
}
END_TEST

static const struct {
    int mistral;
    const char *members;
    q35_status status;
    const char *text;
} refused[] = {
    {0, "\"model_type\":\"qwen2\"", Q35_E_UNSUPPORTED, "model_type: 'qwen2', need llama"},
    {0, "\"model_type\":null", Q35_E_UNSUPPORTED, "model_type: ''"},
    {0, "\"model_type\":3", Q35_E_FORMAT, "model_type: a number, need a string"},
    {0, "\"model_type\":\"mistral3\"", Q35_E_FORMAT, "text_config: missing"},
    {0, "\"model_type\":\"mistral3\",\"text_config\":{\"model_type\":\"llama\"}", Q35_E_UNSUPPORTED, "model_type"},
    {0, "\"model_type\":\"mistral3\",\"text_config\":{}", Q35_E_FORMAT, "num_hidden_layers: absent"},
    {0, "\"hidden_act\":\"gelu\"", Q35_E_UNSUPPORTED, "hidden_act: 'gelu', need silu"},
    {0, "\"attention_bias\":true", Q35_E_UNSUPPORTED, "attention_bias: true, need false"},
    {0, "\"mlp_bias\":true", Q35_E_UNSUPPORTED, "mlp_bias: true"},
    {0, "\"mlp_bias\":1", Q35_E_FORMAT, "mlp_bias: a number, need true or false"},
    {0, "\"hidden_size\":null", Q35_E_FORMAT, "hidden_size: absent, need a number"},
    {0, "\"hidden_size\":-4", Q35_E_FORMAT, "hidden_size: -4, need a whole number"},
    {0, "\"hidden_size\":4.5", Q35_E_FORMAT, "hidden_size: 4.5, need a whole number"},
    {0, "\"hidden_size\":\"32\"", Q35_E_FORMAT, "hidden_size: 32, need a whole number"},
    {0, "\"hidden_size\":4294967296", Q35_E_FORMAT, "hidden_size: 4294967296"},
    {0, "\"num_hidden_layers\":null", Q35_E_FORMAT, "num_hidden_layers"},
    {0, "\"intermediate_size\":null", Q35_E_FORMAT, "intermediate_size"},
    {0, "\"vocab_size\":null", Q35_E_FORMAT, "vocab_size"},
    {0, "\"rms_norm_eps\":null", Q35_E_FORMAT, "rms_norm_eps"},
    {0, "\"rms_norm_eps\":1e999", Q35_E_FORMAT, "rms_norm_eps: 1e999, need a number"},
    {0, "\"max_position_embeddings\":null", Q35_E_FORMAT, "max_position_embeddings"},
    {0, "\"num_attention_heads\":0", Q35_E_FORMAT, "num_attention_heads: 0"},
    {0, "\"head_dim\":null,\"num_attention_heads\":5", Q35_E_FORMAT, "num_attention_heads: 5, need a divisor"},
    {0, "\"head_dim\":7", Q35_E_FORMAT, "head_dim: 7, need an even number"},
    {0, "\"head_dim\":1000000", Q35_E_FORMAT, "head_dim: 1000000"},
    {0, "\"layer_types\":[\"full_attention\",\"sliding_attention\"]", Q35_E_UNSUPPORTED,
     "layer_types: 'sliding_attention'"},
    {0, "\"layer_types\":[1]", Q35_E_UNSUPPORTED, "layer_types: 'a number'"},
    {0, "\"sliding_window\":\"x\"", Q35_E_FORMAT, "sliding_window: x"},
    {0, "\"partial_rotary_factor\":0.5", Q35_E_UNSUPPORTED, "partial_rotary_factor: 0.5, need 1"},
    {0, "\"residual_multiplier\":0.22", Q35_E_UNSUPPORTED, "residual_multiplier"},
    {0, "\"attention_multiplier\":0.22", Q35_E_UNSUPPORTED, "attention_multiplier: 0.22; not known here"},
    {0, "\"final_logit_softcapping\":30.0", Q35_E_UNSUPPORTED, "final_logit_softcapping: 30.0, need 0"},
    {0, "\"num_local_experts\":8", Q35_E_UNSUPPORTED, "num_local_experts: 8, need 0"},
    {0, "\"use_qk_norm\":true", Q35_E_UNSUPPORTED, "use_qk_norm: true; not known here"},
    {0, "\"auto_map\":{\"AutoConfig\":\"x.Y\"}", Q35_E_UNSUPPORTED, "auto_map: an object; not known here"},
    {0, "\"tie_word_embeddings\":1", Q35_E_FORMAT, "tie_word_embeddings: a number"},
    {0, "\"hidden_size\":32,\"hidden_size\":32", Q35_E_FORMAT, "hidden_size: again"},
    {0, "\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4}", Q35_E_UNSUPPORTED,
     "quant_method: 'gptq'"},
    {0, "\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[128,128]}", Q35_E_UNSUPPORTED,
     "weight_block_size: an array, need null"},
    {0, "\"quantization_config\":{\"quant_method\":\"fp8\",\"fmt\":\"e5m2\"}", Q35_E_UNSUPPORTED, "fmt: 'e5m2'"},
    {0, "\"quantization_config\":{\"quant_method\":\"fp8\",\"shift\":1}", Q35_E_UNSUPPORTED,
     "quantization_config.shift: 1"},
    {0, "\"quantization_config\":[]", Q35_E_FORMAT, "quantization_config: an array"},
    {0, "\"rope_parameters\":{},\"rope_scaling\":{}", Q35_E_FORMAT, "both rope_parameters and rope_scaling"},
    {0, "\"rope_scaling\":\"linear\"", Q35_E_FORMAT, "rope_scaling: a string, need an object"},
    {0, "\"rope_scaling\":{\"type\":\"longrope\",\"factor\":2}", Q35_E_UNSUPPORTED, "rope type: 'longrope'"},
    {0, "\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2}", Q35_E_UNSUPPORTED, "rope type: 'dynamic'"},
    {0, "\"rope_scaling\":{\"type\":7}", Q35_E_FORMAT, "type: a number"},
    {0, "\"rope_scaling\":{\"type\":\"linear\"}", Q35_E_FORMAT, "rope factor: 0 or absent"},
    {0, "\"rope_scaling\":{\"type\":\"linear\",\"factor\":-2}", Q35_E_FORMAT, "rope factor: -2"},
    {0, "\"rope_scaling\":{\"type\":\"linear\",\"factor\":\"4\"}", Q35_E_FORMAT, "factor: 4, need a number"},
    {0, "\"rope_scaling\":{\"short_factor\":[1]}", Q35_E_UNSUPPORTED, "rope_scaling.short_factor: an array"},
    {0, "\"rope_parameters\":{\"full_attention\":{}}", Q35_E_UNSUPPORTED, "rope_parameters.full_attention"},
    {0, "\"rope_scaling\":{\"partial_rotary_factor\":0.5}", Q35_E_UNSUPPORTED, "partial_rotary_factor: 0.5"},
    {0, YARN(",\"truncate\":false"), Q35_E_UNSUPPORTED, "truncate: false"},
    {0, YARN(",\"attention_factor\":-3"), Q35_E_FORMAT, "attention_factor: -3"},
    {0, YARN("") ",\"original_max_position_embeddings\":65", Q35_E_FORMAT, "64 for rope and 65"},
    {0, "\"rope_scaling\":{\"type\":\"llama3\",\"factor\":8}", Q35_E_FORMAT, "rope low_freq_factor: 0 or absent"},
    {0, "\"rope_scaling\":{\"type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,\"high_freq_factor\":4}",
     Q35_E_FORMAT, "the second below the third"},
    {0, "\"llama_4_scaling_beta\":0.1", Q35_E_FORMAT, "original_max_position_embeddings: absent"},
    {1, "\"dim\":null", Q35_E_FORMAT, "dim: absent"},
    {1, "\"rope_theta\":null", Q35_E_FORMAT, "rope_theta: absent"},
    {1, "\"hidden_dim\":null", Q35_E_FORMAT, "hidden_dim: absent"},
    {1, "\"vocab_size\":-1", Q35_E_FORMAT, "vocab_size: -1"},
    {1, "\"n_heads\":0", Q35_E_FORMAT, "n_heads: 0"},
    {1, "\"max_position_embeddings\":null", Q35_E_FORMAT, "max_position_embeddings: 0 or absent"},
    {1, "\"sliding_window\":[1,2]", Q35_E_FORMAT, "sliding_window: an array"},
    {1, "\"moe\":{\"num_experts\":8}", Q35_E_UNSUPPORTED, "moe: an object; not known here"},
    {1, "\"use_scaled_rope\":true", Q35_E_UNSUPPORTED, "use_scaled_rope: true; not known here"},
    {1, "\"yarn\":{}", Q35_E_FORMAT, "factor: absent"},
    {1, "\"yarn\":[]", Q35_E_FORMAT, "yarn: an array"},
    {1, "\"yarn\":{\"factor\":2,\"original_max_position_embeddings\":64,\"mscale\":1}", Q35_E_UNSUPPORTED,
     "yarn.mscale: 1"},
    {1, "\"llama_4_scaling\":{\"beta\":0.1}", Q35_E_FORMAT, "original_max_position_embeddings: absent"},
    {1, "\"quantization\":{\"qformat_weight\":\"int4\"}", Q35_E_UNSUPPORTED, "qformat_weight: 'int4'"},
    {1, "\"quantization\":{\"qformat_weight\":\"fp8_e4m3\",\"qscheme_act\":\"TOKEN\"}", Q35_E_UNSUPPORTED,
     "qscheme_act: 'TOKEN'"},
};

START_TEST(test_refuses)
{
    result r = read_with(refused[_i].mistral, refused[_i].members);
    expect_failure(r.status, refused[_i].status, refused[_i].text, refused[_i].members);
    release(&r);
}
END_TEST

START_TEST(test_not_an_object)
{
    static const char *const texts[] = {"", "[]", "3", "\"config\"", "null", "{", "{}x"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (int mistral = 0; mistral < 2; mistral++) {
            result r = read_text(mistral, texts[i], strlen(texts[i]));
            expect_failure(r.status, Q35_E_FORMAT, mistral ? "params.json: " : "config.json: ", texts[i]);
            release(&r);
        }
}
END_TEST

/* Sizes that Meta's params.json leaves to the tensors. */
START_TEST(test_sizes_from_tensors)
{
    static const char text[] = "{\"dim\":64,\"n_layers\":1,\"n_heads\":2,\"norm_eps\":1e-5,\"vocab_size\":-1,"
                               "\"rope_theta\":500000.0,\"multiple_of\":256,\"ffn_dim_multiplier\":1.3,"
                               "\"max_seq_len\":512}";
    const q35i_hf_sizes sizes = {.ffn = 96, .vocab = 300};
    result r = {{0}, {0}, Q35_OK};
    EXPECT_OK(q35i_hf_read_params("params.json", text, strlen(text), &sizes, &r.list, &r.facts));
    expect_values(&r, (const char *const[]){"llama.feed_forward_length", "96", "llama.vocab_size", "300", NULL});
    release(&r);
}
END_TEST

static void expect_number(const char *text, double want)
{
    q35i_json json = {0};
    double got = 0;
    EXPECT_OK(q35i_json_parse(&json, "number", text, strlen(text)));
    ck_assert(q35i_hf_number(&json, 0, &got));
    ck_assert_msg(fabs(got - want) <= 2.3e-16 * fabs(want), "%s: %.17g, need %.17g", text, got, want);
    q35i_json_free(&json);
}

START_TEST(test_numbers)
{
    static const char *const texts[] = {"0",       "-0.0",
                                        "1e-05",   "1.2772588722239782",
                                        "16384.0", "1e9",
                                        "-2.5E+3", "1e308",
                                        "0.1",     "123456789012345678901234567890",
                                        "1e-400",  "4.9e-324",
                                        "1E22",    "0.000000000000000000000000000000012345"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        expect_number(texts[i], strtod(texts[i], NULL));
}
END_TEST

START_TEST(test_truncation)
{
    for (uint64_t n = 0; n < strlen(ministral_3b); n++) {
        char *exact = malloc(n ? n : 1);
        ck_assert_ptr_nonnull(exact);
        memcpy(exact, ministral_3b, n);
        result r = read_text(0, exact, n);
        expect_failure(r.status, Q35_E_FORMAT, "config.json", "truncated");
        release(&r);
        free(exact);
    }
}
END_TEST

START_TEST(test_mutations)
{
    static const char alphabet[] = "{}[]\",:0123456789-.eE\\ untrfalsd_";
    q35t_rng rng = q35t_rng_seed(11);
    char copy[sizeof ministral_3b];
    for (uint32_t i = 0; i < MUTATIONS; i++) {
        memcpy(copy, ministral_3b, sizeof copy);
        for (uint64_t n = 1 + q35t_rng_below(&rng, 3); n > 0; n--)
            copy[q35t_rng_below(&rng, sizeof copy - 1)] = alphabet[q35t_rng_below(&rng, sizeof alphabet - 1)];
        result r = read_text(0, copy, sizeof copy - 1);
        ck_assert_msg(r.status == Q35_OK || q35t_error_is_sentence(), "\"%s\"", q35_error_message());
        release(&r);
    }
}
END_TEST

START_TEST(test_out_of_memory)
{
    q35t_alloc_sweep sweep = {.limit = 1000};
    while (q35t_alloc_sweep_next(&sweep)) {
        result r = read_text(0, ministral_3b, strlen(ministral_3b));
        q35t_alloc_sweep_end(&sweep, r.status);
        release(&r);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hf_config");
    TCase *tc = tcase_create("config");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_ministral);
    tcase_add_test(tc, test_smollm2);
    tcase_add_test(tc, test_llama3);
    tcase_add_loop_test(tc, test_translates, 0, (int)(sizeof translated / sizeof *translated));
    tcase_add_loop_test(tc, test_refuses, 0, (int)(sizeof refused / sizeof *refused));
    tcase_add_test(tc, test_not_an_object);
    tcase_add_test(tc, test_sizes_from_tensors);
    tcase_add_test(tc, test_numbers);
    tcase_add_test(tc, test_truncation);
    tcase_add_test(tc, test_mutations);
    tcase_add_test(tc, test_out_of_memory);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
