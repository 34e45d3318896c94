/* SPDX-License-Identifier: Apache-2.0
 *
 * Results of q35rt bench: a table for people, or one flat object per test as JSON, JSON lines or CSV, with
 * llama-bench's names where it has them. Columns: docs/bench.md. */
#include "bench.h"
#include "json_out.h"

#include <inttypes.h>
#include <string.h>

const char *bench_test_name(const bench_test *t, char *buf, size_t cap)
{
    int n = snprintf(buf, cap, "%s%" PRIu32, t->n_prompt ? "pp" : "tg", t->n_prompt ? t->n_prompt : t->n_gen);
    if (t->batch > 1)
        n += snprintf(buf + n, cap - (size_t)n, " x %" PRIu32, t->batch);
    if (t->depth)
        snprintf(buf + n, cap - (size_t)n, " @ d%" PRIu32, t->depth);
    return buf;
}

static const bench_limits *limits_of(const bench *b, const bench_result *r)
{
    return &b->limits[r->limits];
}

/* ---- flat objects ---- */

static json_t *fraction(double value, double limit)
{
    return value > 0 && limit > 0 ? json_number(value / limit) : json_null();
}

static json_t *known(double value)
{
    return value > 0 ? json_number(value) : json_null();
}

static json_t *samples_json(const bench_result *r, int as_rates)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < r->seconds.n; i++) {
        double s = r->seconds.value[i];
        json_array_append_new(list, json_number(as_rates ? bench_tokens(&r->test) / s : s * 1e9));
    }
    return list;
}

static void add_peaks(const bench *b, const bench_result *r, json_t *row)
{
    const bench_limits *l = limits_of(b, r);
    double gmacs = bench_gmacs(r), best = 0;
    const char *name = "";
    json_t *list = json_array();
    for (uint32_t i = 0; i < l->n_peaks; i++) {
        json_array_append_new(list, json_pack("{s:s, s:o, s:o}", "name", l->peaks[i].name, "gmac_per_s",
                                              json_number(l->peaks[i].gmacs), "fraction",
                                              fraction(gmacs, l->peaks[i].gmacs)));
        if (l->peaks[i].gmacs > best) {
            best = l->peaks[i].gmacs;
            name = l->peaks[i].name;
        }
    }
    json_object_set_new(row, "int8_peak_name", json_text(name));
    json_object_set_new(row, "int8_peak_gmac_per_s", known(best));
    json_object_set_new(row, "int8_fraction", fraction(gmacs, best));
    json_object_set_new(row, "int8_peaks", list);
}

static double joules_per_token(const bench_result *r)
{
    return bench_spread_of(&r->joules).mean / bench_tokens(&r->test);
}

static void add_power(const bench *b, const bench_result *r, json_t *row)
{
    const q35_power_report *p = &limits_of(b, r)->power;
    json_object_set_new(row, "joules_per_token", r->joules.n ? json_number(joules_per_token(r)) : json_null());
    json_object_set_new(row, "power_budget_watts", p->source ? json_number(p->watts) : json_null());
    json_object_set_new(row, "power_watts", p->source ? json_number(p->joules / p->seconds) : json_null());
    json_object_set_new(row, "power_source", p->source ? json_text(p->source) : json_null());
    const char *devices = limits_of(b, r)->energy;
    json_object_set_new(row, "energy_source", *devices ? json_text(devices) : json_null());
}

static json_t *row_json(const bench *b, const bench_result *r)
{
    const bench_test *t = &r->test;
    const bench_spread rate = bench_rate(r), s = bench_spread_of(&r->seconds);
    const double gbps = bench_gbps(r), read = limits_of(b, r)->read_gbps;
    json_t *row = json_pack(
        "{s:s, s:o, s:o, s:o, s:I, s:I, s:i, s:i, s:s, s:s, s:i, s:i, s:i, s:i}", "version", q35_version(),
        "machine", json_text(b->machine), "devices", json_text(b->devices), "model", json_text(b->name),
        "model_size", (json_int_t)q35_model_file_bytes(b->engine.model), "model_n_params", (json_int_t)b->weights,
        "n_threads", (int)t->threads, "n_sequences", (int)t->batch, "type_act", cli_act_name(b->options->act),
        "type_kv", cli_kv_name(b->options->kv), "n_prompt", (int)t->n_prompt, "n_gen", (int)t->n_gen, "n_depth",
        (int)t->depth, "n_samples", (int)r->seconds.n);
    json_object_set_new(row, "avg_ns", json_number(s.mean * 1e9));
    json_object_set_new(row, "stddev_ns", json_number(s.deviation * 1e9));
    json_object_set_new(row, "avg_ts", json_number(rate.mean));
    json_object_set_new(row, "stddev_ts", json_number(rate.deviation));
    json_object_set_new(row, "samples_ns", samples_json(r, 0));
    json_object_set_new(row, "samples_ts", samples_json(r, 1));
    json_object_set_new(row, "weight_bytes_per_step", json_integer((json_int_t)(t->n_gen ? r->weight_bytes : 0)));
    json_object_set_new(row, "kv_bytes_per_step", json_number(t->n_gen ? r->kv_bytes * t->batch : 0));
    json_object_set_new(row, "gb_per_s", known(gbps));
    json_object_set_new(row, "read_gb_per_s", known(read));
    json_object_set_new(row, "read_fraction", fraction(gbps, read));
    json_object_set_new(row, "gmac_per_s", json_number(bench_gmacs(r)));
    add_peaks(b, r, row);
    add_power(b, r, row);
    if (r->profile.n)
        json_object_set_new(row, "profile", bench_profile_json(&r->profile, limits_of(b, r)));
    return row;
}

static void print_csv_text(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"')
            putchar('"');
        putchar(*text);
    }
    putchar('"');
}

/* Lists and what is nested are left out. */
static void print_csv(json_t *row, int names)
{
    const char *name, *between = "";
    json_t *value;
    json_object_foreach(row, name, value)
    {
        if (json_is_array(value) || json_is_object(value))
            continue;
        fputs(between, stdout);
        between = ",";
        if (names)
            fputs(name, stdout);
        else if (json_is_string(value))
            print_csv_text(json_string_value(value));
        else if (json_is_integer(value))
            printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
        else if (json_is_real(value))
            printf("%.6g", json_real_value(value));
    }
    putchar('\n');
}

static int print_rows(const bench *b)
{
    int rc = 0;
    json_t *list = json_array();
    for (uint32_t i = 0; i < b->n_results; i++)
        json_array_append_new(list, row_json(b, &b->results[i]));
    for (size_t i = 0; i < json_array_size(list) && rc == 0; i++) {
        json_t *row = json_array_get(list, i);
        if (b->options->output == BENCH_CSV && i == 0)
            print_csv(row, 1);
        if (b->options->output == BENCH_CSV)
            print_csv(row, 0);
        else if (b->options->output == BENCH_JSONL)
            rc = json_out(json_incref(row));
    }
    if (b->options->output == BENCH_JSON)
        return json_out(list);
    json_decref(list);
    return rc;
}

/* ---- the table ---- */

/* Names of all peaks, each once: a column for each. */
static uint32_t peak_names(const bench *b, const char *names[BENCH_MAX_PEAKS])
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n_limits; i++)
        for (uint32_t p = 0; p < b->limits[i].n_peaks; p++) {
            uint32_t k = 0;
            while (k < n && strcmp(names[k], b->limits[i].peaks[p].name) != 0)
                k++;
            if (k == n && n < BENCH_MAX_PEAKS)
                names[n++] = b->limits[i].peaks[p].name;
        }
    return n;
}

static void print_share(double value, double limit)
{
    if (value > 0 && limit > 0)
        printf(" %6.1f %% |", 100 * value / limit);
    else
        printf("        - |");
}

/* 1: a column for joules per token. */
static int has_joules(const bench *b)
{
    int any = 0;
    for (uint32_t i = 0; i < b->n_results; i++)
        any |= b->results[i].joules.n > 0;
    return any || b->governor;
}

static void print_row(const bench *b, const bench_result *r, const char *const *peaks, uint32_t n_peaks)
{
    char name[64];
    const bench_limits *l = limits_of(b, r);
    const bench_spread rate = bench_rate(r);
    double gbps = bench_gbps(r), gmacs = bench_gmacs(r);
    printf("| %7" PRIu32 " | %-16s | %9.2f ± %-6.2f |", r->test.threads,
           bench_test_name(&r->test, name, sizeof name), rate.mean, rate.deviation);
    if (gbps > 0)
        printf(" %6.2f |", gbps);
    else
        printf("      - |");
    print_share(gbps, l->read_gbps);
    printf(" %8.1f |", gmacs);
    for (uint32_t k = 0; k < n_peaks; k++) {
        double peak = 0;
        for (uint32_t p = 0; p < l->n_peaks; p++)
            if (strcmp(l->peaks[p].name, peaks[k]) == 0)
                peak = l->peaks[p].gmacs;
        print_share(gmacs, peak);
    }
    if (r->joules.n)
        printf(" %9.3g |", joules_per_token(r));
    else if (has_joules(b))
        printf("         - |");
    putchar('\n');
}

static void print_limits(const bench_limits *l)
{
    printf("%" PRIu32 " thread%s: ", l->threads, l->threads == 1 ? "" : "s");
    if (l->read_gbps > 0)
        printf("reads %.1f GB/s", l->read_gbps);
    else
        printf("read bandwidth unknown");
    for (uint32_t p = 0; p < l->n_peaks; p++)
        printf(", %s %.0f GMAC/s", l->peaks[p].name, l->peaks[p].gmacs);
    printf("%s\n", l->n_peaks ? "" : ", int8 peak unknown");
    if (l->power.source && l->power.seconds > 0)
        printf("  power: %.1f W on average over %.1f s, budget %.1f W, %.0f %% of the time in pauses (%s)\n",
               l->power.joules / l->power.seconds, l->power.seconds, l->power.watts,
               100 * l->power.slept_seconds / l->power.seconds, l->power.source);
    if (*l->energy)
        printf("  energy: of %s\n", l->energy);
}

static void print_table(const bench *b)
{
    const char *peaks[BENCH_MAX_PEAKS];
    uint32_t n_peaks = peak_names(b, peaks);
    printf("%s: %.2f GB, %.2f G weights\n%s; %s\n\n", b->name, (double)q35_model_file_bytes(b->engine.model) / 1e9,
           (double)b->weights / 1e9, b->machine, b->devices);
    printf("| threads | test             |              tok/s |   GB/s |  of read |   GMAC/s |");
    for (uint32_t k = 0; k < n_peaks; k++)
        printf(" %8s |", peaks[k]);
    if (has_joules(b))
        printf("   J/token |");
    printf("\n| ------: | :--------------- | -----------------: | -----: | -------: | -------: |");
    for (uint32_t k = 0; k < n_peaks; k++)
        printf(" -------: |");
    if (has_joules(b))
        printf(" --------: |");
    putchar('\n');
    for (uint32_t i = 0; i < b->n_results; i++)
        print_row(b, &b->results[i], peaks, n_peaks);
    putchar('\n');
    for (uint32_t i = 0; i < b->n_limits; i++)
        print_limits(&b->limits[i]);
    for (uint32_t i = 0; i < b->n_results; i++) {
        char name[64];
        const bench_result *r = &b->results[i];
        if (r->profile.n)
            bench_profile_print(&r->profile, bench_test_name(&r->test, name, sizeof name), limits_of(b, r));
    }
}

int bench_report(const bench *b)
{
    if (b->options->output != BENCH_MD)
        return print_rows(b);
    print_table(b);
    return 0;
}
