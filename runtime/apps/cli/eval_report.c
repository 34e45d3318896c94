/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt eval: the numbers of a comparison, as text and as JSON. */
#include "eval.h"
#include "json_out.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct comparison {
    score_value ppl, ratio, mean, median, p90, p99, same_top, gain, gain_rms;
    double max;
} comparison;

/* Sorts the divergences. */
static comparison compare(eval_scores *s)
{
    comparison c = {.ppl = score_exp(score_mean(&s->base_loss)),
                    .ratio = score_exp(score_mean_difference(&s->loss, &s->base_loss)),
                    .mean = score_mean(&s->divergence),
                    .same_top = score_share(s->same_top, s->divergence.n),
                    .gain = score_mean(&s->gain),
                    .gain_rms = score_rms(&s->gain)};
    score_sort(&s->divergence);
    c.median = score_quantile(&s->divergence, 0.5);
    c.p90 = score_quantile(&s->divergence, 0.9);
    c.p99 = score_quantile(&s->divergence, 0.99);
    c.max = score_quantile(&s->divergence, 1).value;
    return c;
}

/* ---- text ---- */

/* Small divergences in digits that say something. */
static void print_divergence(const char *label, score_value d, const char *end)
{
    if (d.value != 0 && fabs(d.value) < 1e-4)
        printf("%s%.2e +- %.1e%s", label, d.value, d.error, end);
    else
        printf("%s%.6f +- %.6f%s", label, d.value, d.error, end);
}

static void print_maximum(double max, const char *end)
{
    printf(max != 0 && max < 1e-4 ? "at most %.2e%s" : "at most %.6f%s", max, end);
}

/* The least that a comparison can be expected to show. */
static void print_itself(const evaluation *e)
{
    const cli_options *o = e->options;
    if (e->again.session) {
        score_value d = score_mean(&e->itself.divergence);
        print_divergence("base itself     KL ", d, "");
        printf(" on the model's path (%s, KV %s) in the first window\n", cli_act_name(o->act), cli_kv_name(o->kv));
    }
    if (e->stored.ids) {
        const eval_base_head *h = &e->stored.head;
        fputs("stored base     ", stdout);
        cli_print_safe(stdout, h->name, strlen(h->name));
        printf(" (%s, KV %s)%s, stored to within KL %.1e, ", cli_act_name(h->act), cli_kv_name(h->kv),
               h->model_hash == eval_model_hash(e->model.model) ? ", this model" : "", e->stored.mean);
        print_maximum(e->stored.max, "\n");
    }
}

static void print_comparison(const comparison *c)
{
    printf("base perplexity %.4f +- %.4f, ratio %.4f +- %.4f\n", c->ppl.value, c->ppl.error, c->ratio.value,
           c->ratio.error);
    print_divergence("KL to the base  ", c->mean, "\n");
    print_divergence("         median ", c->median, "\n");
    print_divergence("           90 % ", c->p90, "\n");
    print_divergence("           99 % ", c->p99, "\n                ");
    print_maximum(c->max, "\n");
    printf("same top token  %.2f %% +- %.2f %%\n", 100 * c->same_top.value, 100 * c->same_top.error);
    printf("change of p     %.3f %% +- %.3f %%, RMS %.3f %% +- %.3f %% (of the token that follows)\n",
           100 * c->gain.value, 100 * c->gain.error, 100 * c->gain_rms.value, 100 * c->gain_rms.error);
}

static void print_text(const evaluation *e, const comparison *c)
{
    score_value ppl = score_exp(score_mean(&e->scores.loss));
    print_itself(e);
    printf("tokens scored   %" PRIu64 " in %" PRIu64 " windows of %" PRIu32 "\n", e->scores.loss.n, e->n_windows,
           e->window);
    printf("perplexity      %.4f +- %.4f\n", ppl.value, ppl.error);
    if (eval_has_base(e))
        print_comparison(c);
    if (e->options->save_base) {
        printf("base file       ");
        cli_print_safe(stdout, e->options->save_base, strlen(e->options->save_base));
        printf(", %.1f MB, stored to within KL %.1e, ", (double)e->saved_bytes / 1e6,
               e->save.sum / (double)e->save.n_rows);
        print_maximum(e->save.max, "\n");
    }
}

/* ---- JSON ---- */

/* object.name and object.name_error. */
static void put(json_t *object, const char *name, score_value x)
{
    char error[48];
    snprintf(error, sizeof error, "%s_error", name);
    json_object_set_new(object, name, json_number(x.value));
    json_object_set_new(object, error, json_number(x.error));
}

static void put_kl(json_t *object, const char *suffix, score_value x)
{
    char name[24], error[32];
    snprintf(name, sizeof name, "kl_%s", suffix);
    snprintf(error, sizeof error, "kl_%s_error", suffix);
    json_object_set_new(object, name, json_number(x.value));
    json_object_set_new(object, error, json_number(x.error));
}

static json_t *json_identity(const evaluation *e)
{
    const eval_base_head *h = &e->stored.head;
    if (!e->stored.ids)
        return json_pack("{s:o, s:s, s:s, s:b}", "model", json_text(q35_model_path(e->base.model)), "act",
                         cli_act_name(e->base_act), "kv_type", cli_kv_name(e->base_kv), "stored", 0);
    return json_pack("{s:o, s:s, s:s, s:b, s:b, s:o, s:o}", "model", json_text(h->name), "act",
                     cli_act_name(h->act), "kv_type", cli_kv_name(h->kv), "stored", 1, "same_model",
                     h->model_hash == eval_model_hash(e->model.model), "stored_kl_mean",
                     json_number(e->stored.mean), "stored_kl_max", json_number(e->stored.max));
}

static json_t *json_comparison(const evaluation *e, const comparison *c)
{
    json_t *out = json_identity(e);
    put(out, "perplexity", c->ppl);
    put(out, "perplexity_ratio", c->ratio);
    json_object_set_new(out, "kl_mean", json_number(c->mean.value));
    json_object_set_new(out, "kl_error", json_number(c->mean.error));
    put_kl(out, "median", c->median);
    put_kl(out, "p90", c->p90);
    put_kl(out, "p99", c->p99);
    json_object_set_new(out, "kl_max", json_number(c->max));
    put(out, "same_top", c->same_top);
    put(out, "delta_p", c->gain);
    put(out, "delta_p_rms", c->gain_rms);
    if (e->again.session) {
        score_value d = score_mean(&e->itself.divergence);
        json_object_set_new(out, "itself",
                            json_pack("{s:i, s:o, s:o}", "windows", 1, "kl_mean", json_number(d.value), "kl_error",
                                      json_number(d.error)));
    }
    return out;
}

static int print_json(const evaluation *e, const comparison *c)
{
    score_value loss = score_mean(&e->scores.loss);
    json_t *out = json_pack("{s:o, s:s, s:s, s:I, s:I, s:I}", "model", json_text(q35_model_path(e->model.model)),
                            "act", cli_act_name(e->options->act), "kv_type", cli_kv_name(e->options->kv),
                            "tokens_scored", (json_int_t)e->scores.loss.n, "windows", (json_int_t)e->n_windows,
                            "window", (json_int_t)e->window);
    put(out, "perplexity", score_exp(loss));
    put(out, "loss", loss);
    if (eval_has_base(e))
        json_object_set_new(out, "base", json_comparison(e, c));
    if (e->options->save_base)
        json_object_set_new(out, "saved",
                            json_pack("{s:o, s:I, s:o, s:o}", "file", json_text(e->options->save_base), "bytes",
                                      (json_int_t)e->saved_bytes, "stored_kl_mean",
                                      json_number(e->save.sum / (double)e->save.n_rows), "stored_kl_max",
                                      json_number(e->save.max)));
    return json_out(out);
}

int eval_report(evaluation *e)
{
    comparison c = {0};
    if (eval_has_base(e))
        c = compare(&e->scores);
    if (e->options->json)
        return print_json(e, &c);
    print_text(e, &c);
    return 0;
}
