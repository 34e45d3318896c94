/* SPDX-License-Identifier: Apache-2.0
 *
 * Mean and standard deviation, in two passes. */
#include "bench_stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int bench_samples_add(bench_samples *s, double value)
{
    if (s->n == s->cap) {
        uint32_t cap = s->cap ? 2 * s->cap : 8;
        double *grown = realloc(s->value, cap * sizeof *grown);
        if (!grown)
            return 1;
        s->value = grown;
        s->cap = cap;
    }
    s->value[s->n++] = value;
    return 0;
}

void bench_samples_free(bench_samples *s)
{
    free(s->value);
    memset(s, 0, sizeof *s);
}

static double same(double value, double amount)
{
    (void)amount;
    return value;
}

static double rate(double value, double amount)
{
    return amount / value;
}

static bench_spread spread(const bench_samples *s, double (*of)(double value, double amount), double amount)
{
    bench_spread out = {0, 0};
    double squares = 0;
    for (uint32_t i = 0; i < s->n; i++)
        out.mean += of(s->value[i], amount) / s->n;
    for (uint32_t i = 0; i < s->n; i++) {
        double d = of(s->value[i], amount) - out.mean;
        squares += d * d;
    }
    out.deviation = s->n > 1 ? sqrt(squares / (s->n - 1)) : 0;
    return out;
}

bench_spread bench_spread_of(const bench_samples *s)
{
    return spread(s, same, 0);
}

bench_spread bench_spread_of_rates(const bench_samples *s, double amount)
{
    return spread(s, rate, amount);
}
