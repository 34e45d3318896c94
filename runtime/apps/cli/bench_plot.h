/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens per second over what varies: sequences, threads or context. */
#ifndef Q35_CLI_BENCH_PLOT_H
#define Q35_CLI_BENCH_PLOT_H

#include "bench.h"

/* Something varies and the file can be written: to be asked before hours of measuring. */
int bench_plot_check(const cli_options *options);

int bench_plot(const bench *b);

#endif
