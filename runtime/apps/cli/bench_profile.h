/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the time of a test goes: one repetition more, with counting. */
#ifndef Q35_CLI_BENCH_PROFILE_H
#define Q35_CLI_BENCH_PROFILE_H

#include <jansson.h>
#include <q35rt/q35rt.h>

/* Nodes of one kind: all of an op, or of a linear's place in the layers. */
typedef struct bench_op {
    char name[48], first[48]; /* first: the first node's own name */
    uint32_t plans;           /* in which that node was seen */
    uint64_t calls, ns;
    uint64_t weights; /* of all its matrices, in all plans */
    double bytes;     /* read, all calls together; 0: unknown */
    double macs;      /* int8 products, all calls together */
    int of_outputs, is_attention;
} bench_op;

typedef struct bench_profile {
    bench_op *ops; /* [n] by time, most first; malloc'd */
    uint32_t n;
    q35_profile_sum sum;
    double seconds;                /* of the repetition, counting included */
    double steps, tokens, outputs; /* calls of the library, tokens in, rows of logits out */
    double kv_bytes;               /* read by attention */
} bench_profile;

struct bench_limits;

/* Reads what the session counted and completes p, whose numbers from seconds on are set. 0 or an exit code. */
int bench_profile_read(bench_profile *p, const q35_session *session);
void bench_profile_free(bench_profile *p);

/* Time outside kernels and barriers, seconds: starting and stopping the workers, and the rest of the library. */
double bench_profile_dispatch(const bench_profile *p);
double bench_profile_host(const bench_profile *p);

void bench_profile_print(const bench_profile *p, const char *test, const struct bench_limits *limits);
json_t *bench_profile_json(const bench_profile *p, const struct bench_limits *limits);

#endif
