/* SPDX-License-Identifier: Apache-2.0
 *
 * Mean and spread of a few measurements. */
#ifndef Q35_CLI_BENCH_STATS_H
#define Q35_CLI_BENCH_STATS_H

#include <stdint.h>

typedef struct bench_samples {
    double *value; /* [n] malloc'd */
    uint32_t n, cap;
} bench_samples; /* zeroed: empty */

/* 0, or 1 when memory is out. */
int bench_samples_add(bench_samples *samples, double value);
void bench_samples_free(bench_samples *samples);

/* deviation: that of a sample, with n - 1; 0 for fewer than two. n == 0: zeros. */
typedef struct bench_spread {
    double mean, deviation;
} bench_spread;

bench_spread bench_spread_of(const bench_samples *samples);
/* Of amount / value. */
bench_spread bench_spread_of_rates(const bench_samples *samples, double amount);

#endif
