/* SPDX-License-Identifier: Apache-2.0
 *
 * The source's layers one after another: in each the second moments of some windows guide the codes of a tensor,
 * and other windows go on from this layer with that tensor's codes in place of its weights. Those go with F32
 * activations: with int8 ones, that all roundings behind a tensor come out another way would weigh more than what
 * most tensors do. */
#include "runtime/session/sensitivity.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/pool.h"
#include "runtime/base/size.h"
#include "runtime/model/model.h"
#include "runtime/session/layer_walk.h"

#include <q35rt/session.h>

#include <math.h>
#include <string.h>

#define GUIDING  48u /* windows, at most, whose moments guide the codes */
#define HELD_OUT 2u  /* windows that are scored */
#define SKIPPED  64u /* positions of a window that are not: little has been read before them */
#define SCORED   (Q35I_WINDOW - SKIPPED)
#define MAX_KL   1e6

typedef struct measuring {
    q35i_conversion *c;
    q35i_walk walk;
    float *base;           /* [HELD_OUT][SCORED][vocab] logits of the source */
    uint64_t vocab, first; /* first: window that is scored */
} measuring;

static const float *base_row(const measuring *m, uint64_t window, uint64_t row)
{
    return m->base + (window * SCORED + row) * m->vocab;
}

/* ---- divergence ---- */

static double log_sum_exp(const float *x, uint64_t n)
{
    float top = x[0];
    double sum = 0;
    for (uint64_t i = 1; i < n; i++)
        top = x[i] > top ? x[i] : top;
    for (uint64_t i = 0; i < n; i++)
        sum += exp((double)(x[i] - top));
    return (double)top + log(sum);
}

typedef struct rows {
    const measuring *m;
    const float *logits;
    uint64_t window;
    double kl[SCORED];
} rows;

static void score_rows(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    rows *r = arg;
    uint64_t begin, end, n = r->m->vocab;
    (void)team;
    q35i_split(SCORED, 1, worker, n_workers, &begin, &end);
    for (uint64_t i = begin; i < end; i++) {
        const float *p = base_row(r->m, r->window, i), *q = r->logits + (SKIPPED + i) * n;
        double norm_p = log_sum_exp(p, n), norm_q = log_sum_exp(q, n), kl = 0;
        for (uint64_t t = 0; t < n; t++) {
            double log_p = (double)p[t] - norm_p;
            kl += exp(log_p) * (log_p - ((double)q[t] - norm_q));
        }
        r->kl[i] = kl;
    }
}

/* Mean KL of the stretch, which begins where the walk stands (or at the ids) and ends with logits. */
static q35_status divergence(measuring *m, q35i_stretch *s, bool from_ids, double *out)
{
    double sum = 0;
    for (uint64_t i = 0; i < HELD_OUT; i++) {
        Q35_TRY(q35i_walk_progress(&m->walk, m->walk.told)); /* to be cancelled */
        if (from_ids) {
            memcpy(q35i_stretch_input(s), m->c->ids + (m->first + i) * Q35I_WINDOW,
                   Q35I_WINDOW * sizeof *m->c->ids);
            Q35_TRY(q35i_stretch_run(s, Q35I_WINDOW, 0));
        } else {
            Q35_TRY(q35i_walk_run(&m->walk, s, m->first + i));
        }
        rows r = {.m = m, .logits = q35i_stretch_output(s), .window = i};
        if (m->c->pool)
            q35i_pool_parallel(m->c->pool, score_rows, &r);
        else
            score_rows(&r, 0, 1, NULL);
        for (uint64_t k = 0; k < SCORED; k++)
            sum += r.kl[k];
    }
    *out = sum / (HELD_OUT * SCORED);
    if (!(*out < MAX_KL))
        return Q35_FAIL(Q35_E_FORMAT, "sensitivity: divergence %g, need finite predictions", *out);
    *out = fmax(*out, 0);
    return Q35_OK;
}

static q35_status keep_base(measuring *m)
{
    const q35i_part part = {.end = m->c->config.n_layers};
    q35i_stretch *s;
    Q35_TRY(q35i_walk_stretch(&m->walk, &part, Q35_ACT_F32, 0, &s));
    q35_status status = Q35_OK;
    for (uint64_t i = 0; i < HELD_OUT && status == Q35_OK; i++) {
        memcpy(q35i_stretch_input(s), m->c->ids + (m->first + i) * Q35I_WINDOW, Q35I_WINDOW * sizeof *m->c->ids);
        status = q35i_stretch_run(s, Q35I_WINDOW, 0);
        if (status == Q35_OK)
            status = q35i_walk_progress(&m->walk, 0); /* to be cancelled */
        if (status == Q35_OK)
            memcpy(m->base + i * SCORED * m->vocab, q35i_stretch_output(s) + SKIPPED * m->vocab,
                   SCORED * m->vocab * sizeof *m->base);
    }
    q35i_stretch_destroy(s);
    return status;
}

/* ---- tensors ---- */

static bool measured(const q35i_conversion *c, q35i_target *t)
{
    const q35i_finished *f = q35i_journal_find(c->journal, t->index, Q35I_PASS_MEASURE);
    if (f)
        t->sensitivity = f->output_error;
    return f != NULL;
}

/* The predictions with `codes`, which are taken, for the target. */
static q35_status measure(measuring *m, q35i_target *t, uint8_t *codes, const q35i_part *part)
{
    q35i_stretch *s;
    q35i_walk_show(&m->walk, t, codes);
    q35_status status = q35i_walk_stretch(&m->walk, part, Q35_ACT_F32, 0, &s);
    if (status == Q35_OK)
        status = divergence(m, s, !part->hidden_in, &t->sensitivity);
    q35i_stretch_destroy(s);
    q35i_walk_show(&m->walk, t, NULL);
    const q35i_finished f = {.tensor = t->index, .dtype = t->dtype, .output_error = t->sensitivity};
    return status == Q35_OK ? q35i_journal_append(m->c->journal, &f, Q35I_PASS_MEASURE, NULL) : status;
}

static q35_status measure_linear(measuring *m, const q35i_layer_input *input, q35i_target *t)
{
    const q35i_part rest = {.begin = m->walk.layer, .end = m->c->config.n_layers, .hidden_in = 1};
    q35i_row_error error;
    uint8_t *codes =
        q35i_calloc(q35_row_bytes(t->dtype, (uint64_t)t->info->dim[0]) * (uint64_t)t->info->dim[1], 1);
    if (!codes)
        return Q35_E_NOMEM;
    q35i_layer_input_describe(input, t);
    q35_status status = q35i_layer_encode(input, t, m->c->pool, codes, &error);
    if (status == Q35_OK)
        return measure(m, t, codes, &rest);
    q35i_free(codes);
    return status;
}

static q35_status measure_input(void *user, q35i_layer_input *input)
{
    measuring *m = user;
    Q35_TRY(q35i_layer_input_factor(input, m->c->pool));
    for (uint32_t i = 0; i < input->n_weights; i++) {
        q35i_target *t = q35i_walk_target(&m->walk, input->weights[i]);
        if (t && t->choosable && !measured(m->c, t))
            Q35_TRY(measure_linear(m, input, t));
        Q35_TRY(q35i_walk_progress(&m->walk, m->walk.told)); /* lets it be cancelled here */
    }
    return Q35_OK;
}

static q35_status measure_layer(measuring *m)
{
    Q35_TRY(q35i_walk_inputs(&m->walk, m->first, 0.3, 0.9, measure_input, m));
    return q35i_walk_advance(&m->walk, 0.9);
}

static q35_status measure_outside(measuring *m)
{
    const q35i_part whole = {.end = m->c->config.n_layers};
    for (uint64_t i = 0; i < m->c->n_targets; i++) {
        q35i_target *t = &m->c->targets[i];
        q35i_row_error error;
        if (!t->choosable || q35i_is_linear(t->info) || measured(m->c, t))
            continue;
        uint8_t *codes =
            q35i_calloc(q35_row_bytes(t->dtype, (uint64_t)t->info->dim[0]) * (uint64_t)t->info->dim[1], 1);
        q35_status status = codes ? q35i_encode_alone(m->c, t, codes, &error) : Q35_E_NOMEM;
        if (status != Q35_OK) {
            q35i_free(codes);
            return status;
        }
        Q35_TRY(measure(m, t, codes, &whole));
    }
    return Q35_OK;
}

static bool all_measured(q35i_conversion *c)
{
    bool all = true;
    for (uint64_t i = 0; i < c->n_targets; i++)
        if (c->targets[i].choosable)
            all &= measured(c, &c->targets[i]);
    return all;
}

uint64_t q35i_measure_windows(const q35i_conversion *c)
{
    return q35i_min(c->n_windows, GUIDING + HELD_OUT);
}

uint64_t q35i_measure_base_bytes(const q35i_conversion *c)
{
    return (uint64_t)HELD_OUT * SCORED * c->config.vocab * sizeof(float);
}

q35_status q35i_measure_sensitivity(q35i_conversion *c)
{
    measuring m = {.c = c, .vocab = c->config.vocab};
    if (all_measured(c))
        return Q35_OK;
    if (c->n_windows < HELD_OUT + 2)
        return Q35_FAIL(Q35_E_INVALID, "calibration text: %llu windows of %u tokens, need %u to measure tensors",
                        (unsigned long long)c->n_windows, Q35I_WINDOW, HELD_OUT + 2);
    m.first = q35i_measure_windows(c) - HELD_OUT;
    q35_status status = q35i_walk_open(c, Q35_STAGE_MEASURE, m.first + HELD_OUT, m.first, &m.walk);
    m.base = q35i_alloc_pages(q35i_measure_base_bytes(c));
    if (status == Q35_OK && !m.base)
        status = Q35_E_NOMEM;
    if (status == Q35_OK)
        status = keep_base(&m);
    if (status == Q35_OK)
        status = measure_outside(&m);
    if (status == Q35_OK)
        status = q35i_walk_embed(&m.walk);
    for (; m.walk.layer < c->config.n_layers && status == Q35_OK; m.walk.layer++)
        status = measure_layer(&m);
    q35i_free_pages(m.base, q35i_measure_base_bytes(c));
    q35i_walk_close(&m.walk);
    return status;
}
