/* SPDX-License-Identifier: Apache-2.0
 *
 * rope_parameters, or rope_theta and rope_scaling, of a Hugging Face configuration. The meaning of every key is
 * that of transformers' modeling_rope_utils; formulas: Peng et al., "YaRN" (2023), and Meta's llama-models for
 * llama3. */
#include "hf.h"

#include "quote.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define DEFAULT_THETA 10000.0 /* where a configuration names none, as Llama 1 and 2 do */

static const q35i_hf_key keys[] = {
    {"rope_type", Q35I_HF_ANY},
    {"type", Q35I_HF_ANY},
    {"rope_theta", Q35I_HF_ANY},
    {"factor", Q35I_HF_ANY},
    {"original_max_position_embeddings", Q35I_HF_ANY},
    {"max_position_embeddings", Q35I_HF_ANY},
    {"beta_fast", Q35I_HF_ANY},
    {"beta_slow", Q35I_HF_ANY},
    {"mscale", Q35I_HF_ANY},
    {"mscale_all_dim", Q35I_HF_ANY},
    {"attention_factor", Q35I_HF_ANY},
    {"truncate", Q35I_HF_ANY},
    {"low_freq_factor", Q35I_HF_ANY},
    {"high_freq_factor", Q35I_HF_ANY},
    {"llama_4_scaling_beta", Q35I_HF_ANY},
    {"finetuned", Q35I_HF_ANY},
    {"partial_rotary_factor", Q35I_HF_ONE},
};

typedef struct reader {
    const q35i_json *json;
    uint32_t text; /* the text model's object */
    uint32_t rope; /* its dictionary of rope, Q35I_JSON_NONE: it has none */
    const q35i_hf_out *out;
    double theta;
    uint32_t context, original; /* original 0: not stated */
} reader;

/* rope_parameters, which newer files have, or rope_scaling. */
static q35_status find_rope(reader *r)
{
    uint32_t older;
    Q35_TRY(q35i_json_get_type(r->json, r->text, "rope_parameters", Q35I_JSON_OBJECT, &r->rope));
    Q35_TRY(q35i_json_get_type(r->json, r->text, "rope_scaling", Q35I_JSON_OBJECT, &older));
    if (r->rope != Q35I_JSON_NONE && older != Q35I_JSON_NONE)
        return Q35_FAIL(Q35_E_FORMAT, "%s: both rope_parameters and rope_scaling, need one of them",
                        r->json->name);
    const char *where = older == Q35I_JSON_NONE ? "rope_parameters." : "rope_scaling.";
    if (r->rope == Q35I_JSON_NONE)
        r->rope = older;
    if (r->rope == Q35I_JSON_NONE)
        return Q35_OK;
    return q35i_hf_check_keys(r->json, r->rope, where, keys, sizeof keys / sizeof *keys);
}

/* Number of the dictionary, fallback when it is absent or there is none. */
static q35_status get(const reader *r, const char *key, double fallback, double *out)
{
    *out = fallback;
    return r->rope == Q35I_JSON_NONE ? Q35_OK : q35i_hf_get_f64(r->json, r->rope, key, out);
}

/* The same, which must be there and above 0. */
static q35_status need(const reader *r, const char *key, double *out)
{
    Q35_TRY(get(r, key, 0, out));
    if (!(*out > 0))
        return Q35_FAIL(Q35_E_FORMAT, "%s: rope %s: %g or absent, need a number above 0", r->json->name, key,
                        *out);
    return Q35_OK;
}

/* Theta and lengths, which stand in the dictionary or beside it. */
static q35_status read_common(reader *r)
{
    uint32_t beside = 0;
    r->theta = DEFAULT_THETA;
    Q35_TRY(q35i_hf_get_f64(r->json, r->text, "rope_theta", &r->theta));
    Q35_TRY(q35i_hf_need_u32(r->json, r->text, "max_position_embeddings", &r->context));
    Q35_TRY(q35i_hf_get_u32(r->json, r->text, "original_max_position_embeddings", &beside));
    if (r->rope == Q35I_JSON_NONE) {
        r->original = beside;
        return Q35_OK;
    }
    Q35_TRY(q35i_hf_get_f64(r->json, r->rope, "rope_theta", &r->theta));
    Q35_TRY(q35i_hf_get_u32(r->json, r->rope, "original_max_position_embeddings", &r->original));
    if (r->original && beside && r->original != beside)
        return Q35_FAIL(Q35_E_FORMAT,
                        "%s: original_max_position_embeddings: %" PRIu32 " for rope and %" PRIu32
                        " beside it, need one value",
                        r->json->name, r->original, beside);
    if (!r->original)
        r->original = beside;
    return Q35_OK;
}

/* Name of the kind of scaling; "default" without one. */
static q35_status read_type(const reader *r, q35i_quoted *out)
{
    uint32_t node = Q35I_JSON_NONE;
    *out = q35i_quote((q35_string){"default", strlen("default")});
    if (r->rope == Q35I_JSON_NONE)
        return Q35_OK;
    Q35_TRY(q35i_json_get_type(r->json, r->rope, "rope_type", Q35I_JSON_STRING, &node));
    if (node == Q35I_JSON_NONE)
        Q35_TRY(q35i_json_get_type(r->json, r->rope, "type", Q35I_JSON_STRING, &node));
    if (node != Q35I_JSON_NONE)
        *out = q35i_quote(q35i_json_text(r->json, node));
    return Q35_OK;
}

static q35_status put_linear(const reader *r)
{
    double factor;
    Q35_TRY(need(r, "factor", &factor));
    Q35_TRY(q35i_hf_put_text(r->out, "rope.scaling.type", "linear"));
    return q35i_hf_put_f32(r->out, "rope.scaling.factor", factor);
}

/* m(a) = 0.1 a ln(factor) + 1 */
static double magnitude(double factor, double a)
{
    return factor > 1 ? 0.1 * a * log(factor) + 1 : 1;
}

/* What multiplies sine and cosine, as metadata: an mscale_all_dim beside an mscale of 1 has a key of its own,
 * other factors are told relative to m(1), which the reader of the metadata starts from. */
static q35_status put_attention_factor(const reader *r, double factor)
{
    double given, mscale, all_dim;
    Q35_TRY(get(r, "attention_factor", -1, &given));
    Q35_TRY(get(r, "mscale", 0, &mscale));
    Q35_TRY(get(r, "mscale_all_dim", 0, &all_dim));
    if (given != -1 && !(given > 0))
        return Q35_FAIL(Q35_E_FORMAT, "%s: rope attention_factor: %g, need a number above 0", r->json->name,
                        given);
    if (given < 0 && mscale == 1 && all_dim != 0)
        return q35i_hf_put_f32(r->out, "rope.scaling.yarn_log_multiplier", all_dim);
    if (given < 0)
        given = mscale != 0 && all_dim != 0 ? magnitude(factor, mscale) / magnitude(factor, all_dim)
                                            : magnitude(factor, 1);
    double relative = given / magnitude(factor, 1);
    return relative == 1 ? Q35_OK : q35i_hf_put_f32(r->out, "rope.scaling.attn_factor", relative);
}

static q35_status put_yarn(const reader *r)
{
    double factor, fast, slow;
    bool truncate = true;
    Q35_TRY(q35i_json_get_bool(r->json, r->rope, "truncate", &truncate));
    if (!truncate)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: rope truncate: false, need true or no such key", r->json->name);
    uint32_t original = r->original ? r->original : r->context;
    Q35_TRY(get(r, "factor", 0, &factor));
    if (factor == 0 && original > 0)
        factor = (double)r->context / original;
    Q35_TRY(get(r, "beta_fast", 0, &fast));
    Q35_TRY(get(r, "beta_slow", 0, &slow));
    Q35_TRY(q35i_hf_put_text(r->out, "rope.scaling.type", "yarn"));
    Q35_TRY(q35i_hf_put_f32(r->out, "rope.scaling.factor", factor));
    Q35_TRY(q35i_hf_put_u32(r->out, "rope.scaling.original_context_length", original));
    Q35_TRY(q35i_hf_put_f32(r->out, "rope.scaling.yarn_beta_fast", fast != 0 ? fast : 32));
    Q35_TRY(q35i_hf_put_f32(r->out, "rope.scaling.yarn_beta_slow", slow != 0 ? slow : 1));
    return put_attention_factor(r, factor);
}

/* Divisor of frequency f: the wavelength decides whether it stays, is stretched, or something between. */
static double llama3_divisor(double f, double original, double low, double high, double factor)
{
    double wavelength = 2 * 3.14159265358979323846 / f;
    double t = (original / wavelength - low) / (high - low);
    if (wavelength < original / high)
        return 1;
    if (wavelength > original / low)
        return factor;
    return 1 / ((1 - t) / factor + t);
}

static q35_status make_llama3(const reader *r, q35i_hf_facts *facts)
{
    double factor, low, high, original = r->original ? r->original : r->context;
    Q35_TRY(need(r, "factor", &factor));
    Q35_TRY(need(r, "low_freq_factor", &low));
    Q35_TRY(need(r, "high_freq_factor", &high));
    if (!(high > low) || !(factor >= 1))
        return Q35_FAIL(Q35_E_FORMAT,
                        "%s: rope factor %g, low_freq_factor %g, high_freq_factor %g, need a factor from 1 on and "
                        "the second below the third",
                        r->json->name, factor, low, high);
    facts->n_divisors = facts->head_dim / 2;
    facts->divisors = q35i_calloc(facts->n_divisors, sizeof *facts->divisors);
    if (!facts->divisors)
        return Q35_E_NOMEM;
    for (uint32_t i = 0; i < facts->n_divisors;
         i++) { /* frequencies in single precision, as where it was trained */
        float exponent = (float)(2 * i) / (float)facts->head_dim;
        float f = 1.0f / (float)pow((double)(float)r->theta, (double)exponent);
        facts->divisors[i] = (float)llama3_divisor((double)f, original, low, high, factor);
    }
    return Q35_OK;
}

static q35_status put_scaling(const reader *r, q35i_hf_facts *facts)
{
    q35i_quoted type;
    Q35_TRY(read_type(r, &type));
    if (strcmp(type.text, "default") == 0)
        return Q35_OK;
    if (strcmp(type.text, "linear") == 0)
        return put_linear(r);
    if (strcmp(type.text, "yarn") == 0)
        return put_yarn(r);
    if (strcmp(type.text, "llama3") == 0)
        return make_llama3(r, facts);
    return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: rope type: '%s', need default, linear, yarn or llama3", r->json->name,
                    type.text);
}

/* Scaling of queries: 1 + beta ln(1 + floor(position / original length)). */
static q35_status put_temperature(const reader *r)
{
    double beta = 0;
    const char *yarn = "rope.scaling.original_context_length";
    char key[96];
    Q35_TRY(q35i_hf_get_f64(r->json, r->text, "llama_4_scaling_beta", &beta));
    Q35_TRY(get(r, "llama_4_scaling_beta", beta, &beta));
    if (beta == 0)
        return Q35_OK;
    if (!r->original)
        return Q35_FAIL(Q35_E_FORMAT,
                        "%s: original_max_position_embeddings: absent, need it for llama_4_scaling_beta %g",
                        r->json->name, beta);
    Q35_TRY(q35i_hf_put_f32(r->out, "attention.temperature_scale", beta));
    if (q35i_meta_list_find(r->out->list, q35i_hf_full_key(r->out, yarn, key)))
        return Q35_OK; /* the reader of the metadata takes that */
    return q35i_hf_put_u32(r->out, "attention.temperature_length", r->original);
}

q35_status q35i_hf_read_rope(const q35i_json *json, uint32_t text, const q35i_hf_out *out, q35i_hf_facts *facts)
{
    reader r = {.json = json, .text = text, .out = out};
    Q35_TRY(find_rope(&r));
    Q35_TRY(read_common(&r));
    Q35_TRY(q35i_hf_put_u32(out, "context_length", r.context));
    Q35_TRY(q35i_hf_put_u32(out, "rope.dimension_count", facts->head_dim));
    Q35_TRY(q35i_hf_put_f32(out, "rope.freq_base", r.theta));
    Q35_TRY(put_scaling(&r, facts));
    return put_temperature(&r);
}
