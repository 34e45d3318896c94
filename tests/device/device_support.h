/* SPDX-License-Identifier: Apache-2.0
 *
 * Plugin copies for the device tests. Plugins are copied into a private directory, so that
 * the tests do not depend on who may write to the build tree. Header only: each test is one file. */
#ifndef DEVICE_SUPPORT_H
#define DEVICE_SUPPORT_H

#include "support/expect.h"
#include "support/suite.h"
#include "support/temp_dir.h"
#include "support/whole_file.h"

#include <q35rt/device.h>

#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEST_PATH = 512 };

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
    q35t_temp_dir_create();
    setenv("XDG_CACHE_HOME", q35t_temp_dir(), 1);
    unsetenv("Q35RT_PLUGIN_PATH");
    unsetenv("Q35RT_TEST_BROKEN_RAN");
    unsetenv("Q35RT_TEST_BROKEN_SHUTDOWN");
}

static inline void test_teardown(void)
{
    ck_assert_int_eq(q35t_temp_dir_remove(), 0);
}

/* Copies TEST_PLUGINS/<from> to <to> in the temporary directory; returns the new path in `out`. Directories of
 * `to` are made. */
static inline const char *place_plugin(const char *from, const char *to, char out[TEST_PATH])
{
    char source[TEST_PATH];
    size_t bytes;
    format(source, sizeof source, "%s/%s", TEST_PLUGINS, from);
    format(out, TEST_PATH, "%s/%s", q35t_temp_dir(), to);
    for (char *slash = strchr(out + strlen(q35t_temp_dir()) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(out, 0755);
        ck_assert_int_eq(chmod(out, 0755), 0);
        *slash = '/';
    }
    void *data = q35t_read_file(source, &bytes);
    q35t_write_file(out, data, bytes);
    ck_assert_int_eq(chmod(out, 0644), 0);
    free(data);
    return out;
}

static inline q35_status create_with(const char *path, q35_runtime **out)
{
    q35_runtime_options options = {
        .n_threads = 2, .n_plugin_paths = 1, .plugin_paths = &path, .no_default_plugins = 1};
    return q35_runtime_create(&options, out);
}

#endif
