/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotary positions and the temperature of queries, from the metadata. Sources: the GGUF specification's
 * rope.scaling keys; Peng et al., "YaRN" (2023), for the magnitude 1 + 0.1 ln(factor) that a stretched rope is
 * given, and which a file may divide out again. */
#include "config.h"

#include "model_file.h"
#include "quote.h"
#include "runtime/base/error.h"
#include "text.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define MAX_FACTOR  1e6
#define MAX_CONTEXT (1u << 30)

/* First of the two names that is there; the second is how another writer spells it. */
static const char *spelling(const q35_model *model, const q35_model_config *c, const char *name, const char *other)
{
    return !q35i_config_meta(model, c, name) && q35i_config_meta(model, c, other) ? other : name;
}

/* Value of a key, absent: fallback. Finite and at least 0. */
static q35_status read_or(const q35_model *model, const q35_model_config *c, const char *name, double fallback,
                          double *out)
{
    q35i_key key;
    const q35_meta *m = q35i_config_meta(model, c, name);
    *out = fallback;
    if (m && (!q35_meta_f64(m, out) || !(*out >= 0) || *out > MAX_FACTOR))
        return Q35_FAIL(Q35_E_FORMAT, "metadata %s: %g (%s), need a number from 0 to %g",
                        q35i_config_key(c, name, &key), *out, q35i_meta_type_name(m->type), MAX_FACTOR);
    return Q35_OK;
}

/* Factor of a linear stretch, 1: none. 0 counts as none, as files say it. */
static q35_status read_factor(const q35_model *model, const q35_model_config *c, const char *name, double *out)
{
    Q35_TRY(read_or(model, c, name, 1, out));
    if (*out == 0)
        *out = 1;
    return Q35_OK;
}

/* m(a) = 0.1 a ln(factor) + 1 for a factor above 1. */
static double magnitude(double factor, double a)
{
    return factor > 1 ? 0.1 * a * log(factor) + 1 : 1;
}

/* What multiplies sine and cosine: attn_factor m(mscale) / m(mscale_all_dim), where the divisor is 1 when it is
 * not given. yarn_log_multiplier is how GGUF says mscale_all_dim beside an mscale of 1. */
static q35_status read_attention_factor(const q35_model *model, q35_model_config *c)
{
    double given, yarn, mscale, all_dim, factor = (double)c->rope_factor;
    Q35_TRY(read_or(model, c, "rope.scaling.attn_factor", 1, &given));
    Q35_TRY(read_or(model, c, "rope.scaling.yarn_attn_factor", 1, &yarn));
    Q35_TRY(read_or(model, c, "rope.scaling.mscale", 1, &mscale));
    Q35_TRY(read_or(model, c,
                    spelling(model, c, "rope.scaling.yarn_log_multiplier", "rope.scaling.mscale_all_dim"), 0,
                    &all_dim));
    if (mscale == 0 || all_dim == 0)
        mscale = 1;
    c->rope_attention_factor =
        (float)(given * yarn * (magnitude(factor, mscale) / (all_dim == 0 ? 1 : magnitude(factor, all_dim))));
    if (!(c->rope_attention_factor > 0.0f))
        return Q35_FAIL(Q35_E_FORMAT, "metadata %s.rope.scaling: attention factor %g, need a number above 0",
                        c->architecture, (double)c->rope_attention_factor);
    if (c->rope_attention_factor != 1.0f && c->n_rot != c->head_dim)
        return Q35_FAIL(Q35_E_UNSUPPORTED,
                        "rope: attention factor %g with %u of %u components rotated, need 1 or all rotated",
                        (double)c->rope_attention_factor, c->n_rot, c->head_dim);
    return Q35_OK;
}

static q35_status read_yarn(const q35_model *model, q35_model_config *c)
{
    c->rope_scaling = Q35_ROPE_YARN;
    Q35_TRY(q35i_config_f32(model, c, "rope.scaling.factor", 0, MAX_FACTOR, &c->rope_factor));
    Q35_TRY(q35i_config_u32(model, c, "rope.scaling.original_context_length", 0, 1, MAX_CONTEXT,
                            &c->rope_original_context));
    Q35_TRY(q35i_config_f32(model, c, spelling(model, c, "rope.scaling.yarn_beta_fast", "rope.scaling.beta_fast"),
                            32, MAX_FACTOR, &c->rope_beta_fast));
    Q35_TRY(q35i_config_f32(model, c, spelling(model, c, "rope.scaling.yarn_beta_slow", "rope.scaling.beta_slow"),
                            1, MAX_FACTOR, &c->rope_beta_slow));
    Q35_TRY(q35i_config_neutral(model, c, "rope.scaling.yarn_ext_factor", 1));
    if (c->rope_base <= 1.0f)
        return Q35_FAIL(Q35_E_FORMAT, "metadata %s.rope.freq_base: %g, need more than 1 for yarn", c->architecture,
                        (double)c->rope_base);
    if (q35_model_tensor(model, "rope_freqs.weight"))
        return Q35_FAIL(Q35_E_UNSUPPORTED,
                        "tensor rope_freqs.weight: there beside yarn, need only one of the two");
    return read_attention_factor(model, c);
}

static q35_status read_linear(const q35_model *model, q35_model_config *c, double factor)
{
    c->rope_scaling = factor == 1 ? Q35_ROPE_PLAIN : Q35_ROPE_LINEAR;
    c->rope_factor = (float)factor;
    Q35_TRY(q35i_config_neutral(model, c, "rope.scaling.attn_factor", 1));
    Q35_TRY(q35i_config_neutral(model, c, "rope.scaling.yarn_log_multiplier", 0));
    if (factor != 1 && q35_model_tensor(model, "rope_freqs.weight"))
        return Q35_FAIL(Q35_E_UNSUPPORTED,
                        "tensor rope_freqs.weight: there beside a rope stretched by %g, need only "
                        "one of the two",
                        factor);
    return Q35_OK;
}

static q35_status read_scaling(const q35_model *model, q35_model_config *c)
{
    const q35_meta *type = q35i_config_meta(model, c, "rope.scaling.type");
    q35_string name = {"linear", 6}; /* what a factor without a type means */
    double factor, old_factor;
    if (type && !q35_meta_string(type, &name))
        return Q35_FAIL(Q35_E_FORMAT, "metadata %s.rope.scaling.type: type %s, need a string", c->architecture,
                        q35i_meta_type_name(type->type));
    Q35_TRY(read_factor(model, c, "rope.scaling.factor", &factor));
    Q35_TRY(read_factor(model, c, "rope.scale_linear", &old_factor));
    if (q35i_string_is(name, "yarn"))
        return read_yarn(model, c);
    if (q35i_string_is(name, "none"))
        return read_linear(model, c, 1);
    if (q35i_string_is(name, "linear"))
        return read_linear(model, c, q35i_config_meta(model, c, "rope.scaling.factor") ? factor : old_factor);
    return Q35_FAIL(Q35_E_UNSUPPORTED, "rope scaling: '%s', need none, linear or yarn", q35i_quote(name).text);
}

/* s(p) = 1 + beta ln(1 + floor(p / length)) on queries, Ministral 3's and Llama 4's. */
static q35_status read_temperature(const q35_model *model, q35_model_config *c)
{
    double beta;
    const char *name = spelling(model, c, "attention.temperature_scale", "rope.scaling_beta");
    Q35_TRY(read_or(model, c, name, 0, &beta));
    c->temperature_beta = (float)beta;
    if (beta == 0)
        return Q35_OK;
    return q35i_config_u32(model, c, "attention.temperature_length", c->rope_original_context, 1, MAX_CONTEXT,
                           &c->temperature_length);
}

q35_status q35i_config_read_rope(const q35_model *model, q35_model_config *c)
{
    c->rope_factor = c->rope_attention_factor = 1;
    Q35_TRY(q35i_config_u32(model, c, "rope.dimension_count", c->head_dim, 2, c->head_dim, &c->n_rot));
    if (c->n_rot % 2 != 0)
        return Q35_FAIL(Q35_E_FORMAT, "metadata %s.rope.dimension_count: %u, need an even number", c->architecture,
                        c->n_rot);
    Q35_TRY(q35i_config_f32(model, c, "rope.freq_base", 10000, 1e12, &c->rope_base));
    Q35_TRY(read_scaling(model, c));
    return read_temperature(model, c);
}
