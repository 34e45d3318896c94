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

/* Mean of at(i) for i < n, and its standard error, in two passes. */
static score_value mean_of(const score_samples *a, const score_samples *b,
                           double (*at)(const score_samples *a, const score_samples *b, uint64_t i))
{
    score_value m = {0};
    uint64_t n = a->n;
    if (n == 0)
        return m;
    double sum = 0, squares = 0;
    for (uint64_t i = 0; i < n; i++)
        sum += at(a, b, i);
    m.value = sum / (double)n;
    for (uint64_t i = 0; i < n; i++) {
        double off = at(a, b, i) - m.value;
        squares += off * off;
    }
    m.error = n > 1 ? sqrt(squares / (double)(n - 1) / (double)n) : 0;
    return m;
}

static double plain(const score_samples *a, const score_samples *b, uint64_t i)
{
    (void)b;
    return a->value[i];
}

static double difference(const score_samples *a, const score_samples *b, uint64_t i)
{
    return a->value[i] - b->value[i];
}

static double square(const score_samples *a, const score_samples *b, uint64_t i)
{
    (void)b;
    return a->value[i] * a->value[i];
}

score_value score_mean(const score_samples *samples)
{
    return mean_of(samples, NULL, plain);
}

score_value score_mean_difference(const score_samples *a, const score_samples *b)
{
    return mean_of(a, b, difference);
}

score_value score_rms(const score_samples *samples)
{
    score_value mean_square = mean_of(samples, NULL, square), rms = {sqrt(mean_square.value), 0};
    if (rms.value > 0)
        rms.error = mean_square.error / (2 * rms.value);
    return rms;
}

score_value score_share(uint64_t hits, uint64_t n)
{
    score_value s = {0};
    if (n == 0)
        return s;
    s.value = (double)hits / (double)n;
    s.error = sqrt(s.value * (1 - s.value) / (double)n);
    return s;
}

score_value score_exp(score_value x)
{
    double e = exp(x.value);
    return (score_value){e, e * x.error};
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void score_sort(score_samples *samples)
{
    if (samples->n)
        qsort(samples->value, (size_t)samples->n, sizeof *samples->value, by_value);
}

/* Order statistic at a real-valued index, clamped to what there is. */
static double at_index(const score_samples *sorted, double index)
{
    double last = (double)(sorted->n - 1);
    index = index < 0 ? 0 : index > last ? last : index;
    uint64_t low = (uint64_t)index, high = low + 1 < sorted->n ? low + 1 : low;
    return sorted->value[low] + (index - (double)low) * (sorted->value[high] - sorted->value[low]);
}

score_value score_quantile(const score_samples *sorted, double q)
{
    score_value s = {0};
    if (sorted->n == 0)
        return s;
    double index = q * (double)(sorted->n - 1), deviation = sqrt((double)sorted->n * q * (1 - q));
    s.value = at_index(sorted, index);
    s.error = (at_index(sorted, index + deviation) - at_index(sorted, index - deviation)) / 2;
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
