/* SPDX-License-Identifier: Apache-2.0
 *
 * Statistics of next-token predictions. */
#include "score.h"

#include <math.h>
#include <stdlib.h>

int score_add(score_samples *samples, double value)
{
    if (samples->n == samples->cap) {
        uint64_t cap = samples->cap ? 2 * samples->cap : 1024;
        double *grown = realloc(samples->value, (size_t)cap * sizeof *grown);
        if (!grown)
            return -1;
        samples->value = grown;
        samples->cap = cap;
    }
    samples->value[samples->n++] = value;
    return 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Linear interpolation between the two nearest order statistics. */
static double quantile(const double *sorted, uint64_t n, double q)
{
    double at = q * (double)(n - 1);
    uint64_t low = (uint64_t)at, high = low + 1 < n ? low + 1 : low;
    return sorted[low] + (at - (double)low) * (sorted[high] - sorted[low]);
}

score_summary score_summarise(score_samples *samples)
{
    score_summary s = {0};
    uint64_t n = samples->n;
    if (n == 0)
        return s;
    double sum = 0, squares = 0;
    for (uint64_t i = 0; i < n; i++)
        sum += samples->value[i];
    s.mean = sum / (double)n;
    for (uint64_t i = 0; i < n; i++)
        squares += (samples->value[i] - s.mean) * (samples->value[i] - s.mean);
    s.error = n > 1 ? sqrt(squares / (double)(n - 1) / (double)n) : 0;
    qsort(samples->value, (size_t)n, sizeof *samples->value, by_value);
    s.median = quantile(samples->value, n, 0.5);
    s.p99 = quantile(samples->value, n, 0.99);
    return s;
}

uint32_t score_top(const float *logits, uint32_t n)
{
    uint32_t top = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > logits[top])
            top = i;
    return top;
}

double score_log_sum_exp(const float *logits, uint32_t n)
{
    double most = (double)logits[score_top(logits, n)], sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - most);
    return most + log(sum);
}

double score_divergence(const float *base, double base_norm, const float *model, double model_norm, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        double log_base = (double)base[i] - base_norm, log_model = (double)model[i] - model_norm;
        sum += exp(log_base) * (log_base - log_model);
    }
    return sum > 0 ? sum : 0; /* below 0 only by rounding */
}
