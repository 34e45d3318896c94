/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of q35rt compare share: the statistics of two runs over the same tokens, what each run is, and
 * the report. Functions that return int return 0 or an exit code after a message, but for those that say
 * otherwise. */
#ifndef Q35_CLI_COMPARE_H
#define Q35_CLI_COMPARE_H

#include "engine.h"

#include <stdio.h>

#define COMPARE_NONE UINT64_MAX

/* ---- statistics; pure ---- */

/* Differences of values, over all rows so far. A row of A is the measure of the same row of B. */
typedef struct compare_values {
    uint64_t n, n_differ; /* values; those with other bits */
    double most;          /* largest |a - b| */
    double sum_a, sum_d;  /* sums of a^2 and (a - b)^2 */
    uint64_t ulp;         /* largest distance in floats: 0 between the zeros */
    uint64_t differs_at;  /* first position with other bits, COMPARE_NONE: none */
    uint64_t beyond_at;   /* first position where |a - b| exceeds tolerance * RMS of A's row; COMPARE_NONE: none */
} compare_values;

/* A position, and the likeliest token there in A and in B with its lead over the second. */
typedef struct compare_point {
    uint64_t position; /* COMPARE_NONE: none */
    uint32_t top[2];
    double margin[2];
} compare_point;

typedef struct compare_logits {
    compare_values values;
    compare_point beyond, other_top; /* first beyond the tolerance; first with another likeliest token */
    uint64_t n_rows, same_top;
    double kl_sum, kl_most; /* KL(A || B), nats */
    uint64_t kl_most_at;
} compare_logits;

void compare_values_init(compare_values *out);
void compare_logits_init(compare_logits *out);
/* Rows a and b [n] at a position, in increasing order. */
void compare_values_row(compare_values *v, const float *a, const float *b, uint32_t n, uint64_t position,
                        double tolerance);
void compare_logits_row(compare_logits *l, const float *a, const float *b, uint32_t n, uint64_t position,
                        double tolerance);
/* Root of sum (a - b)^2 / sum a^2; infinite where A is zero and B is not. */
double compare_relative(const compare_values *v);

/* ---- the two runs ---- */

/* A model on devices, or logits of a file. */
typedef struct compare_side {
    const char *path;
    const char *devices; /* NULL: all, by cost */
    cli_engine engine;   /* model NULL: a logits file */
    FILE *dump;
    float *rows; /* of the logits file, of one step; owned */
} compare_side;

typedef struct comparison {
    const cli_options *options;
    compare_side side[2]; /* A, B */
    char *pair;           /* --device of one model, cut at its comma; owned */
    int32_t *ids;         /* the prompt; owned */
    uint64_t n_ids;
    uint32_t vocab, hidden, n_layers; /* n_layers 0: layers are not compared */
    uint32_t chunk;
    compare_values *layers; /* [n_layers], owned */
    compare_logits logits;
} comparison;

/* Models, prompt, sessions: everything before the first step. */
int compare_open(comparison *c, q35_runtime *runtime);
/* The prompt through both, into layers and logits. */
int compare_run(comparison *c);
/* 1: some layer or the logits differ by more than the tolerance. */
int compare_differs(const comparison *c);
int compare_report(const comparison *c);
void compare_close(comparison *c);

#endif
