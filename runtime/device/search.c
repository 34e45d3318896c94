/* SPDX-License-Identifier: Apache-2.0
 *
 * In a directory every file named libq35rt-<something>.so counts, in byte order of the names; there is no other
 * registration. A directory others may write to is reported and left alone as a whole. */
#define _GNU_SOURCE
#include "search.h"

#include "runtime/base/alloc.h"
#include "runtime/base/env.h"
#include "runtime/base/error.h"
#include "vet.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_plugin_name(const struct dirent *entry)
{
    static const char prefix[] = "libq35rt-", suffix[] = ".so";
    size_t len = strlen(entry->d_name);
    return len > sizeof prefix - 1 + sizeof suffix - 1 && strncmp(entry->d_name, prefix, sizeof prefix - 1) == 0 &&
           strcmp(entry->d_name + len - (sizeof suffix - 1), suffix) == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* *n_found: plugin files seen. */
static q35_status search_directory(const char *path, q35i_search_fn fn, void *user, uint32_t *n_found)
{
    char real[Q35I_PATH_CAP], file[Q35I_PATH_CAP + 256];
    struct dirent **entries;
    q35_status status = Q35_OK;
    *n_found = 0;
    if (q35i_vet_directory(path, real) != Q35_OK)
        return fn(user, path, 0, q35_error_message());
    int n = scandir(real, &entries, is_plugin_name, by_name);
    if (n < 0) {
        (void)Q35_FAIL(Q35_E_IO, "%.300s: %s", path, strerror(errno));
        return fn(user, path, 0, q35_error_message());
    }
    for (int i = 0; i < n; i++) {
        snprintf(file, sizeof file, "%s/%s", strcmp(real, "/") == 0 ? "" : real, entries[i]->d_name);
        if (status == Q35_OK)
            status = fn(user, file, 0, NULL);
        free(entries[i]);
    }
    free(entries);
    *n_found = (uint32_t)n;
    return status;
}

/* out = directory of `file` + suffix, when that is an existing directory. */
static int beside(const char *file, const char *suffix, char out[Q35I_PATH_CAP])
{
    struct stat st;
    const char *slash = strrchr(file, '/');
    if (file[0] != '/' || !slash)
        return 0;
    int n = snprintf(out, Q35I_PATH_CAP, "%.*s/%s", (int)(slash - file), file, suffix);
    return n > 0 && n < Q35I_PATH_CAP && stat(out, &st) == 0 && S_ISDIR(st.st_mode);
}

static q35_status search_default(q35i_search_fn fn, void *user)
{
    static const char build_tree[] = "../lib/plugins", installed[] = "q35rt/plugins";
    char executable[Q35I_PATH_CAP] = "", library[Q35I_PATH_CAP] = "", path[Q35I_PATH_CAP];
    uint32_t n_found = 0;
    Dl_info info;
    struct stat st;
    ssize_t len = readlink("/proc/self/exe", executable, sizeof executable - 1);
    executable[len > 0 ? len : 0] = '\0';
    if (dladdr(build_tree, &info) != 0 && info.dli_fname)
        snprintf(library, sizeof library, "%s", info.dli_fname);
    if (beside(executable, build_tree, path))
        Q35_TRY(search_directory(path, fn, user, &n_found));
    if (n_found == 0 && beside(library, build_tree, path))
        Q35_TRY(search_directory(path, fn, user, &n_found));
    if (n_found == 0 && beside(library, installed, path))
        Q35_TRY(search_directory(path, fn, user, &n_found));
    if (n_found == 0 && stat(Q35RT_PLUGIN_DIR, &st) == 0)
        Q35_TRY(search_directory(Q35RT_PLUGIN_DIR, fn, user, &n_found));
    return Q35_OK;
}

static q35_status search_entry(const char *entry, q35i_search_fn fn, void *user)
{
    struct stat st;
    uint32_t n_found;
    if (entry[0] != '/')
        return fn(user, entry, 0, "relative entry of Q35RT_PLUGIN_PATH, need an absolute path");
    if (stat(entry, &st) != 0) {
        (void)Q35_FAIL(Q35_E_IO, "entry of Q35RT_PLUGIN_PATH: %s", strerror(errno));
        return fn(user, entry, 0, q35_error_message());
    }
    return S_ISDIR(st.st_mode) ? search_directory(entry, fn, user, &n_found) : fn(user, entry, 0, NULL);
}

static q35_status search_environment(q35i_search_fn fn, void *user)
{
    const char *list = q35i_env("Q35RT_PLUGIN_PATH");
    q35_status status = Q35_OK;
    while (list && *list && status == Q35_OK) {
        size_t len = strcspn(list, ":");
        if (len > 0) {
            char *entry = q35i_strndup(list, len);
            if (!entry)
                return Q35_E_NOMEM;
            status = search_entry(entry, fn, user);
            q35i_free(entry);
        }
        list += len + (list[len] == ':');
    }
    return status;
}

q35_status q35i_search_plugins(const q35_runtime_options *options, q35i_search_fn fn, void *user)
{
    for (uint32_t i = 0; i < options->n_plugin_paths; i++) {
        if (!options->plugin_paths[i] || !options->plugin_paths[i][0])
            return Q35_FAIL(Q35_E_INVALID, "plugin path %u is empty, need a file", i);
        Q35_TRY(fn(user, options->plugin_paths[i], 1, NULL));
    }
    if (options->no_default_plugins)
        return Q35_OK;
    Q35_TRY(search_default(fn, user));
    return search_environment(fn, user);
}
