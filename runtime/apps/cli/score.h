/* SPDX-License-Identifier: Apache-2.0
 *
 * Statistics of next-token predictions, in double precision: negative log-likelihood, Kullback-Leibler divergence
 * from a base, agreement of the likeliest token, and standard errors that take tokens as independent. Pure but for
 * the sample buffers. */
#ifndef Q35_CLI_SCORE_H
#define Q35_CLI_SCORE_H

#include <stdint.h>

typedef struct score_samples {
    double *value; /* one per scored token; owned, free() */
    uint64_t n, cap;
} score_samples;

/* 0, or -1 when memory runs out. */
int score_add(score_samples *samples, double value);

/* A number and its standard error, 0 for fewer than two samples. */
typedef struct score_value {
    double value, error;
} score_value;

score_value score_mean(const score_samples *samples);
/* Mean of a[i] - b[i]: the error is that of the pairs, far below that of either mean. Equal counts. */
score_value score_mean_difference(const score_samples *a, const score_samples *b);
/* Root of the mean square, its error by the delta method from that of the mean square. */
score_value score_rms(const score_samples *samples);
/* Share of n trials that `hits` are, with the binomial error. */
score_value score_share(uint64_t hits, uint64_t n);
/* exp(x), its error by the delta method. */
score_value score_exp(score_value x);

/* Orders the samples, as score_quantile needs them. */
void score_sort(score_samples *samples);
/* Between the two nearest order statistics. Its error is half the distance of the order statistics one binomial
 * standard deviation, sqrt(n q (1 - q)), below and above: no assumption about the distribution. n == 0: zeros. */
score_value score_quantile(const score_samples *sorted, double q);

/* log sum exp of logits [n]. */
double score_log_sum_exp(const float *logits, uint32_t n);

/* KL(base || model) in nats over logits [n] with their log sum exps; never below 0. */
double score_divergence(const float *base, double base_norm, const float *model, double model_norm, uint32_t n);

/* Index of the largest, the lowest on ties. */
uint32_t score_top(const float *logits, uint32_t n);

#endif
