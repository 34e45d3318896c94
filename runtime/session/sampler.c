/* SPDX-License-Identifier: Apache-2.0
 *
 * Sampling. Candidates live in a heap ordered by logit (lowest id on ties), so the filters take them from the top
 * and stop early instead of sorting the vocabulary. Weights are exp((logit - highest) / temperature) in double,
 * with an exp of our own: the C library's may differ in the last bit between systems, and then so would the draws.
 *
 * A NaN logit is no candidate. Infinite logits: all weight is shared by those equal to the highest. */
#include "runtime/session/sampler.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/session/rng.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { MAX_REPEAT_LAST = 1 << 20 };

typedef struct candidate {
    float logit;
    int32_t id;
} candidate;

struct q35_sampler {
    q35_sampler_options options;
    q35i_rng rng;
    uint32_t n_vocab;
    candidate *candidates; /* [n_vocab] */
    double *weights;       /* [n_vocab] */
    uint32_t *seen;        /* [n_vocab] how often each id is among the last tokens */
    int32_t *last;         /* [repeat_last] ring of the last tokens */
    uint32_t n_last, next_last;
};

q35_sampler_options q35_sampler_options_default(void)
{
    return (q35_sampler_options){.top_p = 1, .repeat_penalty = 1};
}

static q35_status check_range(const char *name, float value, bool ok, const char *range)
{
    return ok ? Q35_OK : Q35_FAIL(Q35_E_INVALID, "%s: %g, need %s", name, (double)value, range);
}

/* Comparisons are written so that NaN fails them. */
static q35_status check_options(const q35_sampler_options *o)
{
    Q35_TRY(check_range("temperature", o->temperature, o->temperature >= 0 && isfinite(o->temperature),
                        "a finite number from 0"));
    Q35_TRY(check_range("top-p", o->top_p, o->top_p > 0 && o->top_p <= 1, "more than 0 and at most 1"));
    Q35_TRY(check_range("min-p", o->min_p, o->min_p >= 0 && o->min_p <= 1, "0 to 1"));
    Q35_TRY(check_range("repeat penalty", o->repeat_penalty, o->repeat_penalty > 0 && isfinite(o->repeat_penalty),
                        "a finite number above 0"));
    if (o->top_k < 0)
        return Q35_FAIL(Q35_E_INVALID, "top-k: %" PRId32 ", need 0 (off) or more", o->top_k);
    if (o->repeat_last < 0 || o->repeat_last > MAX_REPEAT_LAST)
        return Q35_FAIL(Q35_E_INVALID, "repeat last: %" PRId32 ", need 0 to %d", o->repeat_last, MAX_REPEAT_LAST);
    return Q35_OK;
}

q35_status q35_sampler_create(const q35_sampler_options *options, uint32_t n_vocab, q35_sampler **out)
{
    *out = NULL;
    Q35_TRY(check_options(options));
    if (n_vocab < 1 || n_vocab > INT32_MAX)
        return Q35_FAIL(Q35_E_INVALID, "vocabulary: %" PRIu32 " tokens, need 1 to %" PRId32, n_vocab, INT32_MAX);
    q35_sampler *s = q35i_calloc(1, sizeof *s);
    if (!s)
        return Q35_E_NOMEM;
    s->options = *options;
    s->rng = q35i_rng_seed(options->seed);
    s->n_vocab = n_vocab;
    s->candidates = q35i_calloc(n_vocab, sizeof *s->candidates);
    s->weights = q35i_calloc(n_vocab, sizeof *s->weights);
    s->seen = q35i_calloc(n_vocab, sizeof *s->seen);
    s->last = q35i_calloc((uint64_t)options->repeat_last, sizeof *s->last);
    if (!s->candidates || !s->weights || !s->seen || !s->last) {
        q35_sampler_destroy(s);
        return Q35_E_NOMEM;
    }
    *out = s;
    return Q35_OK;
}

void q35_sampler_destroy(q35_sampler *sampler)
{
    if (!sampler)
        return;
    q35i_free(sampler->candidates);
    q35i_free(sampler->weights);
    q35i_free(sampler->seen);
    q35i_free(sampler->last);
    q35i_free(sampler);
}

void q35_sampler_accept(q35_sampler *sampler, int32_t id)
{
    uint32_t window = (uint32_t)sampler->options.repeat_last;
    if (window == 0 || id < 0 || (uint32_t)id >= sampler->n_vocab)
        return;
    if (sampler->n_last == window)
        sampler->seen[sampler->last[sampler->next_last]]--;
    else
        sampler->n_last++;
    sampler->last[sampler->next_last] = id;
    sampler->seen[id]++;
    sampler->next_last = (sampler->next_last + 1) % window;
}

/* Logits after the repetition penalty (Keskar et al. 2019, section 4.1, with the sign fix that is usual since:
 * towards minus infinity on both sides of zero). Returns the number of candidates, in order of id. */
static uint32_t gather(q35_sampler *s, const float *logits)
{
    uint32_t n = 0;
    float penalty = s->options.repeat_penalty;
    for (uint32_t id = 0; id < s->n_vocab; id++) {
        float logit = logits[id];
        if (s->seen[id] > 0)
            logit = logit > 0 ? logit / penalty : logit * penalty;
        if (!isnan(logit))
            s->candidates[n++] = (candidate){logit, (int32_t)id};
    }
    return n;
}

static bool before(candidate a, candidate b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

/* Restores the heap c[0..n) whose entry i may be too small. */
static void sift_down(candidate *c, uint32_t n, uint32_t i)
{
    candidate moved = c[i];
    for (uint64_t child; (child = 2 * (uint64_t)i + 1) < n; i = (uint32_t)child) {
        if (child + 1 < n && before(c[child + 1], c[child]))
            child++;
        if (!before(c[child], moved))
            break;
        c[i] = c[child];
    }
    c[i] = moved;
}

/* Takes the best of the heap c[0..n) and puts it at c[n - 1]. */
static candidate take_best(candidate *c, uint32_t n)
{
    candidate best = c[0];
    c[0] = c[n - 1];
    c[n - 1] = best;
    if (n > 1)
        sift_down(c, n - 1, 0);
    return best;
}

/* e^x for x <= 0 from IEEE 754 operations alone: x = k ln 2 + r with |r| <= ln 2 / 2, Taylor series of e^r to r^13
 * (relative error below 2^-52). ln 2 is split so that k times its upper part is exact. */
static double exp_negative(double x)
{
    static const double inverse_factorial[] = {
        1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
        1.0 / 720,        1.0 / 120,       1.0 / 24,       1.0 / 6,       1.0 / 2,      1.0,         1.0};
    if (!(x > -700))
        return 0;
    double k = floor(x * 1.4426950408889634 + 0.5);
    double r = x - k * 0x1.62e42feep-1 - k * 0x1.a39ef35793c76p-33;
    double sum = 0, power;
    for (size_t i = 0; i < sizeof inverse_factorial / sizeof *inverse_factorial; i++)
        sum = sum * r + inverse_factorial[i];
    uint64_t bits = (uint64_t)((int64_t)k + 1023) << 52; /* 2^k; k is above -1011, so the number is normal */
    memcpy(&power, &bits, sizeof power);
    return sum * power;
}

static double weight(float logit, float highest, double temperature)
{
    return logit == highest ? 1 : exp_negative(((double)logit - (double)highest) / temperature);
}

static int32_t pick_highest(const candidate *c, uint32_t n)
{
    candidate best = c[0];
    for (uint32_t i = 1; i < n; i++)
        if (before(c[i], best))
            best = c[i];
    return best.id;
}

/* Applies top-p and min-p to the best `limit` of c[0..n), whose weights sum up to total; returns how many stay:
 * the last of the array, best last. sorted: those `limit` are there already, else c is a heap. */
static uint32_t keep(const q35_sampler_options *o, candidate *c, uint32_t n, uint32_t limit, bool sorted,
                     float highest, double total)
{
    uint32_t kept = 0;
    double mass = 0;
    while (kept < limit) {
        candidate best = sorted ? c[n - 1 - kept] : take_best(c, n - kept);
        double w = weight(best.logit, highest, 1);
        if (kept > 0 && (w < (double)o->min_p || (o->top_p < 1 && mass >= (double)o->top_p * total)))
            break;
        mass += w;
        kept++;
    }
    return kept;
}

/* Applies top-k, top-p and min-p to c[0..n); returns how many stay, as keep does. */
static uint32_t filter(const q35_sampler_options *o, candidate *c, uint32_t n)
{
    uint32_t limit = o->top_k > 0 && (uint32_t)o->top_k < n ? (uint32_t)o->top_k : n;
    for (uint32_t i = n / 2; i-- > 0;)
        sift_down(c, n, i);
    float highest = c[0].logit;
    double total = 0;
    if (limit < n) {
        for (uint32_t i = 0; i < limit; i++)
            total += weight(take_best(c, n - i).logit, highest, 1);
    } else {
        for (uint32_t i = 0; i < n; i++)
            total += weight(c[i].logit, highest, 1);
    }
    return keep(o, c, n, limit, limit < n, highest, total);
}

static int32_t draw(q35_sampler *s, const candidate *c, uint32_t n, float highest)
{
    double total = 0, mass = 0;
    for (uint32_t i = 0; i < n; i++)
        total += s->weights[i] = weight(c[i].logit, highest, (double)s->options.temperature);
    double point = q35i_rng_unit(&s->rng) * total;
    int32_t id = -1;
    for (uint32_t i = 0; i < n && mass <= point; i++) {
        mass += s->weights[i];
        if (s->weights[i] > 0)
            id = c[i].id;
    }
    return id;
}

int32_t q35_sampler_sample(q35_sampler *sampler, const float *logits)
{
    const q35_sampler_options *o = &sampler->options;
    candidate *c = sampler->candidates;
    uint32_t n = gather(sampler, logits);
    if (n == 0)
        return 0;
    if (!(o->temperature > 0))
        return pick_highest(c, n);
    if ((o->top_k > 0 && (uint32_t)o->top_k < n) || o->top_p < 1 || o->min_p > 0) {
        uint32_t kept = filter(o, c, n);
        return draw(sampler, c + (n - kept), kept, c[n - 1].logit);
    }
    float highest = c[0].logit;
    for (uint32_t i = 1; i < n; i++)
        highest = c[i].logit > highest ? c[i].logit : highest;
    return draw(sampler, c, n, highest);
}

uint32_t q35i_sampler_vocabulary(const q35_sampler *sampler)
{
    return sampler->n_vocab;
}

/* A penalty may lift any token above those that are best without it; without top-k, top-p is a share of what all
 * tokens weigh, and with no filter all of them may be drawn. min-p alone decides if it ends among the n. */
int q35i_sampler_choose(q35_sampler *sampler, const float *logits, const int32_t *ids, uint32_t n, int32_t *out_id)
{
    const q35_sampler_options *o = &sampler->options;
    const bool by_count = o->top_k > 0 && (uint32_t)o->top_k <= n && (uint32_t)o->top_k < sampler->n_vocab;
    const uint32_t limit = by_count ? (uint32_t)o->top_k : n;
    candidate *c = sampler->candidates;
    double total = 0;
    if (n == 0 || n > sampler->n_vocab || (o->repeat_penalty != 1 && sampler->n_last > 0))
        return 0;
    if (!(o->temperature > 0)) {
        *out_id = ids[0];
        return 1;
    }
    if (!by_count && (o->top_p < 1 || !(o->min_p > 0)))
        return 0;
    for (uint32_t i = 0; i < limit; i++) {
        c[limit - 1 - i] = (candidate){logits[i], ids[i]};
        total += weight(logits[i], logits[0], 1);
    }
    const uint32_t kept = keep(o, c, limit, limit, true, logits[0], total);
    if (!by_count && kept == n)
        return 0;
    *out_id = draw(sampler, c + (limit - kept), kept, logits[0]);
    return 1;
}
