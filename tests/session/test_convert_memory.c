/* SPDX-License-Identifier: Apache-2.0
 *
 * A conversion's bound of memory: it decides where hidden states lie, never the output; and what can be done by no
 * means is refused before anything is written. */
#include "support/cpu_runtime.h"
#include "support/expect.h"
#include "support/suite.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"
#include "support/whole_file.h"

#include <q35rt/q35rt.h>
#include <stdio.h>
#include <string.h>

enum { MIB = 1 << 20 };

static char text[3000], source[Q35T_PATH_BYTES];
static q35_runtime *runtime;
static q35_model *model;
static q35_convert_needs told;
static int n_told;

static void setup(void)
{
    q35t_tiny_options shape = q35t_tiny_options_default();
    q35t_temp_dir_create();
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + (i * i + i / 13) % 26);
    shape.hidden = shape.ffn = 384;
    shape.head_dim = 96;
    shape.layers = 1;
    q35t_temp_path(source, "source.gguf");
    EXPECT_OK(q35t_tiny_model_write(source, &shape));
    runtime = q35t_cpu_runtime(2);
    EXPECT_OK(q35_model_open(source, &model));
    n_told = 0;
}

static void teardown(void)
{
    q35_model_close(model);
    q35_runtime_destroy(runtime);
    ck_assert_int_eq(q35t_temp_dir_remove(), 0);
}

static void on_needs(void *user, const q35_convert_needs *needs)
{
    (void)user;
    told = *needs;
    n_told++;
}

static q35_status run(const char *name, uint64_t memory, double target,
                      int (*progress)(void *user, uint32_t stage, uint64_t done, uint64_t total))
{
    char path[Q35T_PATH_BYTES];
    q35_convert_options options = q35_convert_options_default();
    options.calibration_text = text;
    options.calibration_len = sizeof text;
    options.memory = memory;
    options.needs = on_needs;
    options.progress = progress;
    options.target_bpw = target;
    options.target_linears = target > 0;
    q35t_temp_path(path, name);
    return q35_convert(runtime, model, path, &options, NULL);
}

static q35_status convert(const char *name, uint64_t memory, double target)
{
    return run(name, memory, target, NULL);
}

static int cancel(void *user, uint32_t stage, uint64_t done, uint64_t total)
{
    (void)user;
    (void)stage;
    (void)done;
    (void)total;
    return 1;
}

/* What a conversion takes with that bound, which is all of it that happens. */
static uint64_t ask(uint64_t memory, double target)
{
    EXPECT_FAILURE(run("asked.gguf", memory, target, cancel), Q35_E_CANCELLED, "cancelled");
    return told.memory;
}

static void expect_same(const char *a, const char *b)
{
    char path[2][Q35T_PATH_BYTES];
    size_t n[2];
    q35t_temp_path(path[0], a);
    q35t_temp_path(path[1], b);
    char *x = q35t_read_file(path[0], &n[0]), *y = q35t_read_file(path[1], &n[1]);
    ck_assert_msg(n[0] == n[1] && memcmp(x, y, n[0]) == 0, "%s and %s differ", a, b);
    free(x);
    free(y);
}

/* A bound somewhat below what the quickest way takes. The process' own memory counts and grows from one conversion
 * to the next, so that is asked anew. */
static void expect_file(const char *name, double target)
{
    uint64_t bound = ask(0, target) - MIB;
    EXPECT_OK(convert(name, bound, target));
    ck_assert_msg(told.memory <= bound && told.bound == bound, "%s: %llu bytes told for a bound of %llu", name,
                  (unsigned long long)told.memory, (unsigned long long)bound);
    ck_assert_int_eq(told.hidden_in_file, 1);
    expect_same("free.gguf", name);
}

START_TEST(test_same_bytes_for_any_bound)
{
    static const double targets[] = {0, 4.25};
    EXPECT_OK(convert("free.gguf", 0, targets[_i]));
    ck_assert_int_eq(n_told, 1);
    ck_assert_uint_ge(told.windows, 4);
    ck_assert_uint_eq(told.hidden, 2 * told.windows * 512 * 384 * sizeof(float)); /* the source's, too */
    ck_assert_int_eq(told.hidden_in_file, 0);
    expect_file("file.gguf", targets[_i]);
    ck_assert_int_eq(q35t_temp_dir_count(), 3); /* the source, two outputs, and nothing else */
}
END_TEST

START_TEST(test_least)
{
    char needed[64];
    EXPECT_FAILURE(convert("out.gguf", MIB, 0), Q35_E_NOFIT, "1 MiB of memory allowed");
    ck_assert_int_eq(n_told, 0);
    ck_assert_int_eq(q35t_temp_dir_count(), 1);
    const char *least = strstr(q35_error_message(), "need at least ");
    unsigned long mib = least ? strtoul(least + strlen("need at least "), NULL, 10) : 0;
    ck_assert_uint_gt(mib, 1);
    EXPECT_OK(convert("out.gguf", (uint64_t)(mib + 1) * MIB, 0)); /* what it asks for is enough */
    snprintf(needed, sizeof needed, "%lu MiB of memory allowed", mib / 2);
    EXPECT_FAILURE(convert("less.gguf", (uint64_t)mib / 2 * MIB, 0), Q35_E_NOFIT, needed);
}
END_TEST

/* More layers and tokens than before take more; a method without hidden states says none. */
START_TEST(test_methods)
{
    q35_convert_options options = q35_convert_options_default();
    char path[Q35T_PATH_BYTES];
    q35t_temp_path(path, "out.gguf");
    options.needs = on_needs;
    options.overwrite = 1;
    options.method = Q35_METHOD_PLAIN;
    EXPECT_OK(q35_convert(runtime, model, path, &options, NULL));
    ck_assert(told.windows == 0 && told.hidden == 0 && told.memory > 0);
    options.memory = 1;
    EXPECT_FAILURE(q35_convert(runtime, model, path, &options, NULL), Q35_E_NOFIT, "0 MiB of memory allowed");
    options.memory = 0;
    options.method = Q35_METHOD_FAST;
    options.calibration_text = text;
    options.calibration_len = sizeof text;
    EXPECT_OK(q35_convert(runtime, model, path, &options, NULL));
    ck_assert(told.windows >= 4 && told.hidden == 0 && told.memory > 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("convert_memory");
    TCase *t = tcase_create("convert_memory");
    tcase_set_timeout(t, 900);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, test_same_bytes_for_any_bound, 0, 2);
    tcase_add_test(t, test_least);
    tcase_add_test(t, test_methods);
    suite_add_tcase(s, t);
    return q35t_run(s);
}
