/* SPDX-License-Identifier: Apache-2.0
 *
 * Statistics of two runs over the same tokens, in double precision. */
#include "compare.h"

#include "score.h"

#include <math.h>
#include <string.h>

void compare_values_init(compare_values *out)
{
    *out = (compare_values){.differs_at = COMPARE_NONE, .beyond_at = COMPARE_NONE};
}

void compare_logits_init(compare_logits *out)
{
    *out = (compare_logits){
        .beyond = {.position = COMPARE_NONE}, .other_top = {.position = COMPARE_NONE}, .kl_most_at = COMPARE_NONE};
    compare_values_init(&out->values);
}

/* Floats in their order as integers, both zeros as 0. */
static int64_t ordinal(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    int64_t magnitude = bits & 0x7fffffffu;
    return bits >> 31 ? -magnitude : magnitude;
}

static uint64_t ulps(float a, float b)
{
    int64_t distance = ordinal(a) - ordinal(b);
    return (uint64_t)(distance < 0 ? -distance : distance);
}

void compare_values_row(compare_values *v, const float *a, const float *b, uint32_t n, uint64_t position,
                        double tolerance)
{
    double sum = 0, most = 0;
    int beyond = 0;
    v->n += n;
    for (uint32_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)a[i];
    v->sum_a += sum;
    if (memcmp(a, b, (size_t)n * sizeof *a) == 0)
        return;
    if (v->differs_at == COMPARE_NONE)
        v->differs_at = position;
    double bound = tolerance * sqrt(sum / (double)n);
    for (uint32_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        uint64_t ulp = ulps(a[i], b[i]);
        v->n_differ += memcmp(&a[i], &b[i], sizeof *a) != 0;
        v->ulp = ulp > v->ulp ? ulp : v->ulp;
        v->sum_d += d * d;
        most = d > most ? d : most;
        beyond |= !(d <= bound); /* also where it is not a number */
    }
    v->most = most > v->most ? most : v->most;
    if (beyond && v->beyond_at == COMPARE_NONE)
        v->beyond_at = position;
}

double compare_relative(const compare_values *v)
{
    return v->sum_d > 0 ? sqrt(v->sum_d / v->sum_a) : v->sum_d;
}

/* The likeliest token and its lead over the second; 0 where there is one token. */
static void top_two(const float *row, uint32_t n, uint32_t *out_top, double *out_margin)
{
    uint32_t top = score_top(row, n), second = top == 0 ? 1 : 0;
    for (uint32_t i = second; i < n; i++)
        if (i != top && row[i] > row[second])
            second = i;
    *out_top = top;
    *out_margin = n > 1 ? (double)row[top] - (double)row[second] : 0;
}

void compare_logits_row(compare_logits *l, const float *a, const float *b, uint32_t n, uint64_t position,
                        double tolerance)
{
    compare_point here = {.position = position};
    int was_within = l->values.beyond_at == COMPARE_NONE;
    compare_values_row(&l->values, a, b, n, position, tolerance);
    top_two(a, n, &here.top[0], &here.margin[0]);
    top_two(b, n, &here.top[1], &here.margin[1]);
    if (was_within && l->values.beyond_at == position)
        l->beyond = here;
    if (here.top[0] == here.top[1])
        l->same_top++;
    else if (l->other_top.position == COMPARE_NONE)
        l->other_top = here;
    double kl = score_divergence(a, score_log_sum_exp(a, n), b, score_log_sum_exp(b, n), n);
    l->n_rows++;
    l->kl_sum += kl;
    if (kl > l->kl_most || l->kl_most_at == COMPARE_NONE) {
        l->kl_most = kl;
        l->kl_most_at = position;
    }
}
