/* SPDX-License-Identifier: Apache-2.0
 *
 * Scratch directories and plugin copies for the device tests. Plugins are copied into a private directory, so that
 * the tests do not depend on who may write to the build tree. Header only: each test is one file. */
#ifndef DEVICE_SUPPORT_H
#define DEVICE_SUPPORT_H

#include <q35rt/device.h>

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEST_PATH = 512 };

static char test_dir[TEST_PATH]; /* made by test_setup, removed by test_teardown */

/* snprintf that must fit. */
__attribute__((format(printf, 3, 4))) static inline void format(char *out, size_t cap, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(out, cap, fmt, args);
    va_end(args);
    ck_assert(n >= 0 && (size_t)n < cap);
}

static inline void test_setup(void)
{
    const char *base = getenv("TMPDIR");
    format(test_dir, sizeof test_dir, "%s/q35rt-test-XXXXXX", base && *base == '/' ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(test_dir));
    setenv("XDG_CACHE_HOME", test_dir, 1);
    unsetenv("Q35RT_PLUGIN_PATH");
    unsetenv("Q35RT_TEST_BROKEN_RAN");
    unsetenv("Q35RT_TEST_BROKEN_SHUTDOWN");
}

static inline void test_teardown(void)
{
    char command[TEST_PATH + 16];
    format(command, sizeof command, "rm -rf '%s'", test_dir);
    ck_assert_int_eq(system(command), 0);
}

static inline unsigned char *read_whole(const char *path, size_t *out_bytes)
{
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "cannot read %s", path);
    ck_assert_int_eq(fseek(f, 0, SEEK_END), 0);
    long n = ftell(f);
    ck_assert_int_ge(n, 0);
    rewind(f);
    unsigned char *data = malloc((size_t)n + 1);
    ck_assert_ptr_nonnull(data);
    ck_assert_uint_eq(fread(data, 1, (size_t)n, f), (size_t)n);
    fclose(f);
    *out_bytes = (size_t)n;
    return data;
}

static inline void write_whole(const char *path, const void *data, size_t bytes)
{
    FILE *f = fopen(path, "wb");
    ck_assert_msg(f != NULL, "cannot write %s", path);
    ck_assert_uint_eq(fwrite(data, 1, bytes, f), bytes);
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_int_eq(chmod(path, 0644), 0);
}

/* Copies TEST_PLUGINS/<from> to test_dir/<to>; returns the new path in `out`. Directories of `to` are made. */
static inline const char *place_plugin(const char *from, const char *to, char out[TEST_PATH])
{
    char source[TEST_PATH];
    size_t bytes;
    format(source, sizeof source, "%s/%s", TEST_PLUGINS, from);
    format(out, TEST_PATH, "%s/%s", test_dir, to);
    for (char *slash = strchr(out + strlen(test_dir) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(out, 0755);
        ck_assert_int_eq(chmod(out, 0755), 0);
        *slash = '/';
    }
    unsigned char *data = read_whole(source, &bytes);
    write_whole(out, data, bytes);
    free(data);
    return out;
}

static inline q35_status create_with(const char *path, q35_runtime **out)
{
    q35_runtime_options options = {
        .n_threads = 2, .n_plugin_paths = 1, .plugin_paths = &path, .no_default_plugins = 1};
    return q35_runtime_create(&options, out);
}

static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}

#endif
