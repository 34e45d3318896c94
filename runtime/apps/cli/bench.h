/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of q35rt bench share: tests, their results, and the limits of the machine that were measured in
 * the same run. One thread. Functions that return int return 0 or an exit code, after printing what went wrong. */
#ifndef Q35_CLI_BENCH_H
#define Q35_CLI_BENCH_H

#include "bench_profile.h"
#include "bench_stats.h"
#include "engine.h"

#define BENCH_MAX_PEAKS 4

enum { BENCH_MD, BENCH_CSV, BENCH_JSON, BENCH_JSONL }; /* words of --output */

/* Prefill of n_prompt tokens or decoding of n_gen (the other is 0), in `batch` sequences side by side that hold
 * `depth` tokens each. */
typedef struct bench_test {
    uint32_t threads, batch, depth, n_prompt, n_gen;
} bench_test;

/* Limits of the first device with so many threads; 0: unknown. */
typedef struct bench_limits {
    uint32_t threads;
    double read_gbps, barrier_ns;
    struct {
        char name[24];
        double gmacs;
    } peaks[BENCH_MAX_PEAKS];
    uint32_t n_peaks;
    q35_power_report power; /* of the tests; source NULL: no budget */
    char energy[160];       /* devices that joules are counted of; "": none */
} bench_limits;

typedef struct bench_result {
    bench_test test;
    uint32_t limits;       /* index */
    bench_samples seconds; /* of every repetition */
    bench_samples joules;  /* the same, with a power budget or of devices that tell; n 0: unknown */
    uint64_t weight_bytes; /* read per step of decoding */
    double kv_bytes;       /* read per step of decoding and sequence, on average over the test */
    double macs;           /* int8 multiplications of the linears per token */
    bench_profile profile; /* n 0: none */
} bench_result;

typedef struct bench {
    const cli_options *options;
    cli_engine engine;
    q35_shape shape;
    uint64_t weights, linear_weights; /* of the model, of the layers' linears */
    char name[64];                    /* of the model */
    char machine[128];
    char devices[160];      /* names and descriptions of what it runs on */
    uint32_t device;        /* the first of them, in the runtime */
    q35_governor *governor; /* NULL: no power budget */
    int32_t *ids;           /* [n_ids] random tokens: those of sequence i begin at the i-th */
    uint32_t n_ids;
    uint32_t *sequences;        /* [largest batch] of the session */
    q35_session_entry *entries; /* [largest batch] of the step under way */
    bench_limits *limits;       /* one per number of threads */
    uint32_t n_limits;
    bench_result *results;
    uint32_t n_results;
} bench;

/* Tokens of one repetition, all sequences together. */
static inline double bench_tokens(const bench_test *t)
{
    return (double)(t->n_prompt ? t->n_prompt : t->n_gen) * t->batch;
}

/* Tokens per second, one value per repetition. */
bench_spread bench_rate(const bench_result *r);

/* Of decoding: bytes of weights and KV cache read per second; 0 for prefill. */
double bench_gbps(const bench_result *r);
double bench_gmacs(const bench_result *r);

/* Context that a sequence of the tests needs, and most tokens of a step. */
uint32_t bench_context(const cli_options *options);
uint32_t bench_chunk(const cli_options *options);
uint32_t bench_most(const cli_numbers *list);

/* Runs one test on the engine's session, whose sequences are empty before and after. What was measured before an
 * interruption stays. */
int bench_measure(const bench *b, bench_result *r);

/* Measures the limits with the runtime's threads; the better of this and what is there counts. */
void bench_measure_limits(const bench *b, q35_runtime *runtime, bench_limits *out);

/* Results on standard output in the form that was asked for. */
int bench_report(const bench *b);

/* "pp512", "tg64 @ d1024", "tg64 x 8". Returns buf. */
const char *bench_test_name(const bench_test *t, char *buf, size_t cap);

#endif
