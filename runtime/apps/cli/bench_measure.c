/* SPDX-License-Identifier: Apache-2.0
 *
 * One test of q35rt bench: fill the context to its depth, warm up, then repeat from that depth. Time is that of
 * the library's calls alone. */
#include "bench.h"
#include "term.h"

#include <string.h>

enum { WARM_STEPS = 4, WARM_PROMPT = 512, LIMIT_MS = 300 };

bench_spread bench_rate(const bench_result *r)
{
    return bench_spread_of_rates(&r->seconds, bench_tokens(&r->test));
}

double bench_gbps(const bench_result *r)
{
    const bench_test *t = &r->test;
    double per_step = (double)r->weight_bytes + r->kv_bytes * t->batch;
    return t->n_gen ? bench_rate(r).mean / t->batch * per_step / 1e9 : 0;
}

double bench_gmacs(const bench_result *r)
{
    return bench_rate(r).mean * r->macs / 1e9;
}

uint32_t bench_most(const cli_numbers *list)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < list->n; i++)
        most = list->item[i] > most ? list->item[i] : most;
    return most;
}

uint32_t bench_context(const cli_options *o)
{
    uint32_t p = bench_most(&o->n_prompt), n = bench_most(&o->n_gen);
    return bench_most(&o->depth) + (p > n ? p : n);
}

uint32_t bench_chunk(const cli_options *o)
{
    const uint32_t usual = 512, batch = bench_most(&o->batch);
    return o->chunk ? o->chunk : batch > usual ? batch : usual;
}

static int interrupted(void *user)
{
    (void)user;
    return cli_interrupted();
}

/* Joules and seconds of sleep until now. */
static q35_power_report power_now(const bench *b)
{
    q35_power_report report = {0};
    if (b->governor)
        q35_governor_report(b->governor, &report);
    return report;
}

/* Joules until now: of the machine with a power budget, else of the devices that tell; -1: nobody does. */
static double joules_now(const bench *b, char source[160])
{
    q35_energy_report report;
    if (b->governor)
        return power_now(b).joules;
    if (q35_session_energy(b->engine.session, &report) != Q35_OK)
        return -1;
    snprintf(source, 160, "%s", report.source);
    return report.joules;
}

/* One step of the library, with what a token is mostly sampled from at hand. An interruption ends the test. */
static int step(const bench *b, uint32_t n_entries)
{
    if (cli_interrupted())
        return CLI_EXIT_SIGNAL + cli_interrupted();
    q35_status status = q35_session_step(b->engine.session, b->entries, n_entries, NULL);
    if (status == Q35_OK && b->governor)
        status = q35_governor_step(b->governor, interrupted, NULL);
    return status == Q35_OK ? 0 : cli_fail_status(status, CLI_WHILE_RUNNING);
}

/* Appends n tokens, beginning with the at-th, to each of the test's sequences, in full steps. The last one's
 * logits are wanted. */
static int append(const bench *b, const bench_test *t, uint32_t at, uint32_t n)
{
    const uint32_t chunk = bench_chunk(b->options);
    uint32_t sequence = n > 0 ? 0 : t->batch, done = 0;
    int rc = 0;
    while (sequence < t->batch && rc == 0) {
        uint32_t n_entries = 0;
        for (uint32_t room = chunk, now; sequence < t->batch && room > 0; room -= now) {
            now = n - done < room ? n - done : room;
            b->entries[n_entries++] = (q35_session_entry){.sequence = b->sequences[sequence],
                                                          .ids = b->ids + sequence + at + done,
                                                          .n = now,
                                                          .logits = done + now == n};
            done = done + now == n ? 0 : done + now;
            sequence += done == 0 ? 1 : 0;
        }
        rc = step(b, n_entries);
    }
    return rc;
}

static int decode(const bench *b, const bench_test *t, uint32_t n)
{
    int rc = 0;
    for (uint32_t i = 0; i < n && rc == 0; i++)
        rc = append(b, t, i, 1);
    return rc;
}

static int run(const bench *b, const bench_test *t)
{
    return t->n_prompt ? append(b, t, 0, t->n_prompt) : decode(b, t, t->n_gen);
}

/* All sequences of the test to `depth` tokens, as far as they got there. */
static int go_back(const bench *b, const bench_test *t, uint32_t depth, int rc)
{
    q35_status status = Q35_OK;
    for (uint32_t i = 0; i < t->batch && status == Q35_OK; i++)
        if (q35_session_length(b->engine.session, b->sequences[i]) > depth)
            status = q35_session_truncate(b->engine.session, b->sequences[i], depth);
    return rc || status == Q35_OK ? rc : cli_fail_status(status, CLI_WHILE_RUNNING);
}

static int repeat(const bench *b, bench_result *r)
{
    const bench_test *t = &r->test;
    uint64_t weights, first, last;
    q35_session_bytes_per_token(b->engine.session, &weights, &first);
    const double before = joules_now(b, b->limits[r->limits].energy);
    double start = term_now();
    int rc = run(b, t);
    double seconds = term_now() - start;
    const double after = joules_now(b, b->limits[r->limits].energy);
    q35_session_bytes_per_token(b->engine.session, &r->weight_bytes, &last);
    r->kv_bytes = ((double)first + (double)last) / 2;
    if (t->n_gen) /* a token sees itself, too */
        r->kv_bytes += ((double)last - (double)first) / t->n_gen / 2;
    if (rc == 0 && (bench_samples_add(&r->seconds, seconds) ||
                    (before >= 0 && after >= before && bench_samples_add(&r->joules, after - before))))
        rc = cli_fail(CLI_EXIT_FAILED, "bench: memory for the measurements: out of memory");
    return go_back(b, t, t->depth, rc);
}

/* Once more, with counting. */
static int profile(const bench *b, bench_result *r)
{
    const bench_test *t = &r->test;
    const uint32_t chunk = bench_chunk(b->options);
    bench_profile *p = &r->profile;
    q35_status status = q35_session_profile(b->engine.session, 1);
    if (status != Q35_OK)
        return cli_fail_status(status, CLI_WHILE_RUNNING);
    const double slept = power_now(b).slept_seconds;
    double start = term_now();
    int rc = run(b, t);
    *p = (bench_profile){.seconds = term_now() - start - (power_now(b).slept_seconds - slept),
                         .steps = t->n_prompt ? (t->n_prompt * t->batch + chunk - 1) / chunk : t->n_gen,
                         .tokens = bench_tokens(t),
                         .outputs = (double)t->batch * (t->n_prompt ? 1 : t->n_gen),
                         .kv_bytes = r->kv_bytes * t->n_gen * t->batch};
    if (rc == 0)
        rc = bench_profile_read(p, b->engine.session);
    if (rc)
        bench_profile_free(p);
    (void)q35_session_profile(b->engine.session, 0);
    return go_back(b, t, t->depth, rc);
}

static int warm_up(const bench *b, const bench_test *t)
{
    int rc = t->n_prompt ? append(b, t, 0, t->n_prompt < WARM_PROMPT ? t->n_prompt : WARM_PROMPT)
                         : decode(b, t, t->n_gen < WARM_STEPS ? t->n_gen : WARM_STEPS);
    return go_back(b, t, t->depth, rc);
}

/* int8 multiplications of the linears per token: the head works on the last token of a prompt alone. */
static double macs_per_token(const bench *b, const bench_test *t)
{
    double head = (double)b->shape.hidden * b->shape.vocab;
    return (double)b->linear_weights + (t->n_prompt ? head / t->n_prompt : head);
}

int bench_measure(const bench *b, bench_result *r)
{
    char name[64];
    const cli_options *o = b->options;
    const bench_test *t = &r->test;
    r->macs = macs_per_token(b, t);
    bench_test_name(t, name, sizeof name);
    int rc = append(b, t, 0, t->depth);
    if (rc == 0)
        rc = warm_up(b, t);
    for (uint32_t i = 0; i < o->repetitions && rc == 0; i++) {
        if (i > 0)
            term_progress(o->quiet, name, i, o->repetitions);
        rc = repeat(b, r);
    }
    if (rc == 0 && o->profile)
        rc = profile(b, r);
    term_progress_clear();
    return go_back(b, t, 0, rc);
}

static void add_peak(bench_limits *l, const q35_limit *limit)
{
    uint32_t p = 0;
    double gmacs = (double)limit->per_second / 1e9;
    while (p < l->n_peaks && strcmp(l->peaks[p].name, limit->name) != 0)
        p++;
    if (p == BENCH_MAX_PEAKS)
        return;
    if (p == l->n_peaks) {
        snprintf(l->peaks[p].name, sizeof l->peaks[p].name, "%s", limit->name);
        l->peaks[l->n_peaks++].gmacs = gmacs;
    }
    l->peaks[p].gmacs = gmacs > l->peaks[p].gmacs ? gmacs : l->peaks[p].gmacs;
}

void bench_measure_limits(const bench *b, q35_runtime *runtime, bench_limits *l)
{
    q35_device_report device;
    q35_limit limit;
    double gbps = 0;
    l->threads = q35_runtime_n_threads(runtime);
    l->barrier_ns = q35_runtime_barrier_ns(runtime);
    q35_runtime_device(runtime, b->device, &device);
    if (device.memory.kind == Q35_MEM_HOST)
        gbps = q35_runtime_read_gbps(runtime, LIMIT_MS);
    for (uint32_t i = 0; q35_runtime_limit(runtime, b->device, i, LIMIT_MS, &limit) == Q35_OK; i++) {
        if (limit.kind == Q35_LIMIT_INT8)
            add_peak(l, &limit);
        else if (limit.kind == Q35_LIMIT_READ)
            gbps = (double)limit.per_second / 1e9;
    }
    l->read_gbps = gbps > l->read_gbps ? gbps : l->read_gbps;
}
