/* SPDX-License-Identifier: Apache-2.0
 *
 * Statistics of next-token predictions, in double precision: negative log-likelihood, Kullback-Leibler divergence
 * from a base, agreement of the likeliest token. Pure but for the sample buffers. */
#ifndef Q35_CLI_SCORE_H
#define Q35_CLI_SCORE_H

#include <stdint.h>

typedef struct score_samples {
    double *value; /* one per scored token; owned, free() */
    uint64_t n, cap;
} score_samples;

/* 0, or -1 when memory runs out. */
int score_add(score_samples *samples, double value);

typedef struct score_summary {
    double mean, error; /* error: standard error of the mean, 0 for fewer than two */
    double median, p99;
} score_summary;

/* Sorts the samples. n == 0: zeros. */
score_summary score_summarise(score_samples *samples);

/* log sum exp of logits [n]. */
double score_log_sum_exp(const float *logits, uint32_t n);

/* KL(base || model) in nats over logits [n] with their log sum exps; never below 0. */
double score_divergence(const float *base, double base_norm, const float *model, double model_norm, uint32_t n);

/* Index of the largest, the lowest on ties. */
uint32_t score_top(const float *logits, uint32_t n);

#endif
