/* SPDX-License-Identifier: Apache-2.0
 *
 * Every kind of model against logits of the reference implementation (tests/golden/make_family.py), in every form
 * it is released in: Hugging Face directory, Mistral directory, GGUF. All forms give the same bits.
 *   test_family               positions up to 40000
 *   test_family long          one model up to the last of 262144 positions, where the processor is fast enough
 *   test_family long anyway   the same wherever */
#include "support/cpu_runtime.h"
#include "support/expect.h"
#include "support/rewrite.h"
#include "support/suite.h"
#include "support/temp_dir.h"

#include <jansson.h>
#include <math.h>
#include <q35rt/session.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOUND     1e-3
#define MAX_POINT 8

typedef struct golden {
    uint32_t vocab, n;
    uint32_t position[MAX_POINT];
    float *logits; /* [n][vocab] */
} golden;

static const char *const names[] = {"mistral",         "llama-linear",      "llama-llama3",
                                    "ministral3-tied", "ministral3-untied", "ministral3-long"};
enum { N_NAMES = sizeof names / sizeof *names, LONG = N_NAMES - 1 };
static const char *const forms[] = {"hf", "mistral", "model.gguf"};
static int long_run;

static void form_path(char *path, size_t cap, const char *name, const char *form)
{
    ck_assert_int_lt(snprintf(path, cap, "%s/%s/%s", Q35T_FAMILY_DIR, name, form), (int)cap);
}

static golden load_golden(const char *name)
{
    char path[512];
    golden g = {0};
    json_t *value;
    size_t i, k;
    form_path(path, sizeof path, name, "golden.json");
    json_t *root = json_load_file(path, 0, NULL), *row;
    ck_assert_msg(root != NULL, "%s: cannot be read", path);
    g.vocab = (uint32_t)json_integer_value(json_object_get(root, "vocab"));
    json_t *positions = json_object_get(root, "positions"), *logits = json_object_get(root, "logits");
    g.n = (uint32_t)json_array_size(positions);
    ck_assert_uint_ge(g.n, 1);
    ck_assert_uint_le(g.n, MAX_POINT);
    g.logits = calloc((size_t)g.n * g.vocab, sizeof *g.logits);
    ck_assert_ptr_nonnull(g.logits);
    json_array_foreach(positions, i, value) g.position[i] = (uint32_t)json_integer_value(value);
    json_array_foreach(logits, i, row)
    {
        ck_assert_uint_eq(json_array_size(row), g.vocab);
        json_array_foreach(row, k, value) g.logits[i * g.vocab + k] = (float)json_number_value(value);
    }
    json_decref(root);
    return g;
}

/* The token sequence of make_family.py. */
static int32_t *make_ids(uint32_t n, uint32_t vocab)
{
    int32_t *ids = calloc(n, sizeof *ids);
    uint64_t x = 1;
    ck_assert_ptr_nonnull(ids);
    for (uint32_t i = 0; i < n; i++) {
        x = (x * 1103515245 + 12345) % (UINT64_C(1) << 31);
        ids[i] = (int32_t)((x >> 16) % vocab);
    }
    return ids;
}

/* Logits at the first n positions of the golden, [n][vocab]; free(). */
static float *run(const char *path, const golden *g, uint32_t n)
{
    q35_model *model;
    q35_session *session;
    q35_session_options o = q35_session_options_default();
    uint32_t n_ids = g->position[n - 1] + 1, done = 0;
    float *out = calloc((size_t)n * g->vocab, sizeof *out);
    int32_t *ids = make_ids(n_ids, g->vocab);
    q35_runtime *runtime = q35t_cpu_runtime(0);
    expect_ok(q35_model_open(path, &model), path);
    o.act = Q35_ACT_F32;
    o.kv_dtype = Q35_DT_F32;
    o.n_ctx = n_ids;
    expect_ok(q35_session_create(runtime, model, &o, &session), path);
    for (uint32_t i = 0; i < n; i++) {
        const float *logits;
        expect_ok(q35_session_eval(session, ids + done, g->position[i] + 1 - done, &logits), path);
        memcpy(out + (size_t)i * g->vocab, logits, g->vocab * sizeof *out);
        done = g->position[i] + 1;
    }
    q35_session_destroy(session);
    q35_model_close(model);
    q35_runtime_destroy(runtime);
    free(ids);
    return out;
}

/* Largest difference at position i of the golden. */
static double worst(const golden *g, const float *logits, uint32_t i)
{
    double most = 0;
    for (uint32_t k = i * g->vocab; k < (i + 1) * g->vocab; k++) {
        double off = fabs((double)logits[k] - (double)g->logits[k]);
        if (!(off <= most))
            most = off;
    }
    return most;
}

/* Cheaper for all but the first form: without the far positions. */
static uint32_t near_points(const golden *g)
{
    uint32_t n = 1;
    while (n < g->n && g->position[n] <= 16384)
        n++;
    return n;
}

START_TEST(reference_logits_and_same_bits)
{
    const char *name = names[_i];
    golden g = load_golden(name);
    float *first = NULL;
    uint32_t n_forms = 0;
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        char path[512];
        struct stat st;
        form_path(path, sizeof path, name, forms[f]);
        if (stat(path, &st) != 0)
            continue;
        uint32_t n = first || (_i == LONG && !long_run) ? near_points(&g) : g.n;
        float *logits = run(path, &g, n);
        for (uint32_t i = 0; i < n; i++) {
            double off = worst(&g, logits, i);
            if (!first)
                printf("%s, position %u: worst difference %.2g\n", name, g.position[i], off);
            ck_assert_msg(off <= BOUND, "%s, position %u: worst difference %g, need at most %g", path,
                          g.position[i], off, BOUND);
        }
        if (first)
            ck_assert_msg(memcmp(first, logits, (size_t)n * g.vocab * sizeof *logits) == 0,
                          "%s: other bits than the first form", path);
        if (first)
            free(logits);
        else
            first = logits;
        n_forms++;
    }
    ck_assert_uint_ge(n_forms, 2);
    free(first);
    free(g.logits);
}
END_TEST

/* The comparison sees a query temperature that is left out: it acts from position 16384 on. */
START_TEST(dropped_temperature_is_seen)
{
    char from[512], to[Q35T_PATH_BYTES];
    q35_model *model;
    golden g = load_golden("ministral3-tied");
    const q35t_change change = {.drop_key = "mistral3.attention.temperature_scale"};
    form_path(from, sizeof from, "ministral3-tied", "model.gguf");
    q35t_temp_path(to, "dropped.gguf");
    expect_ok(q35_model_open(from, &model), from);
    EXPECT_OK(q35t_rewrite(model, to, &change));
    q35_model_close(model);
    uint32_t n = near_points(&g);
    ck_assert_uint_eq(g.position[n - 1], 16384);
    ck_assert_uint_eq(g.position[n - 2], 16383);
    float *logits = run(to, &g, n);
    ck_assert(worst(&g, logits, n - 2) <= BOUND);
    ck_assert(worst(&g, logits, n - 1) > BOUND);
    free(logits);
    free(g.logits);
    unlink(to);
}
END_TEST

/* 1e11 products of queries and keys are minutes where attention runs with AVX-512, and a quarter of an hour or
 * more elsewhere. */
static int is_too_slow(void)
{
#if defined(__x86_64__)
    return !__builtin_cpu_supports("avx512vnni") || !__builtin_cpu_supports("avx512vbmi");
#else
    return 1;
#endif
}

int main(int argc, char **argv)
{
    Suite *suite = suite_create("family");
    TCase *tc = tcase_create("family");
    q35t_temp_dir_create();
    long_run = argc > 1 && strcmp(argv[1], "long") == 0;
    if (long_run && argc < 3 && is_too_slow()) {
        printf("skipped: no AVX-512 (test_family long anyway runs it)\n");
        return 77;
    }
    tcase_set_timeout(tc, 0);
    tcase_add_loop_test(tc, reference_logits_and_same_bits, long_run ? LONG : 0, N_NAMES);
    if (!long_run)
        tcase_add_test(tc, dropped_temperature_is_seen);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
