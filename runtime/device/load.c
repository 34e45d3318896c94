/* SPDX-License-Identifier: Apache-2.0
 *
 * Order of the tests: owner and mode of the file and its directories, ELF note, host fit, and only then dlopen of
 * the canonical path, comparison of what was loaded with what was tested, query, table, enumerate. A library that
 * was once opened stays mapped unless its note says that unloading is safe, and always under a sanitizer, whose
 * reports need it. */
#define _GNU_SOURCE
#include "load.h"

#include "host.h"
#include "layer.h"
#include "note.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "suspect.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* How many runtimes of this process use a table: they share one mapping of the file, and only the last one may
 * shut the plugin down. */
typedef struct usage {
    const q35_plugin *api;
    uint32_t n_users;
    struct usage *next;
} usage;

static pthread_mutex_t usage_lock = PTHREAD_MUTEX_INITIALIZER;
static usage *usages;

/* *inout: the plugin's table, then the one to use, which may be a layer's. */
static q35_status begin_use(const q35_plugin **inout)
{
    pthread_mutex_lock(&usage_lock);
    q35_status status = q35i_layer_wrap(*inout, inout);
    usage *u = usages;
    while (u && u->api != *inout)
        u = u->next;
    if (status == Q35_OK && !u) {
        u = q35i_calloc(1, sizeof *u);
        if (u) {
            u->api = *inout;
            u->next = usages;
            usages = u;
        } else {
            status = Q35_E_NOMEM;
        }
    }
    if (status == Q35_OK)
        u->n_users++;
    pthread_mutex_unlock(&usage_lock);
    return status;
}

static void end_use(const q35_plugin *api)
{
    pthread_mutex_lock(&usage_lock);
    usage **link = &usages;
    while ((*link)->api != api)
        link = &(*link)->next;
    if (--(*link)->n_users == 0) {
        usage *last = *link;
        *link = last->next;
        q35i_free(last);
        if (Q35_HAS_SLOT(api, q35_plugin, shutdown))
            api->shutdown();
        q35i_layer_release(api);
    }
    pthread_mutex_unlock(&usage_lock);
}

/* Keeps the error text as the plugin's reason. */
static q35_status reject(q35i_plugin *plugin, q35_status status)
{
    snprintf(plugin->reason, sizeof plugin->reason, "%s", q35_error_message());
    q35i_log(Q35_LOG_INFO, "plugin %s: not loaded: %s", plugin->path, plugin->reason);
    return status;
}

static q35_status read_note(const q35i_vetted *file, q35_note *out)
{
    struct stat st;
    if (fstat(file->fd, &st) != 0)
        return Q35_FAIL(Q35_E_IO, "%s", strerror(errno));
    if (st.st_size == 0)
        return Q35_FAIL(Q35_E_FORMAT, "file is empty, need a shared object");
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, file->fd, 0);
    if (data == MAP_FAILED)
        return Q35_FAIL(Q35_E_IO, "cannot map %lld bytes: %s", (long long)st.st_size, strerror(errno));
    q35_status status = q35i_note_read(data, (uint64_t)st.st_size, out);
    munmap(data, (size_t)st.st_size);
    return status;
}

q35_status q35i_plugin_inspect(q35i_plugin *plugin, const q35i_host_facts *host)
{
    q35i_vetted file;
    q35_status status = q35i_vet_file(plugin->path, &file);
    if (status != Q35_OK)
        return reject(plugin, status);
    char *path = q35i_strndup(file.path, strlen(file.path));
    if (!path) {
        close(file.fd);
        return reject(plugin, Q35_E_NOMEM);
    }
    q35i_free(plugin->path);
    plugin->path = path;
    plugin->dev = file.dev;
    plugin->inode = file.inode;
    status = read_note(&file, &plugin->note);
    close(file.fd);
    if (status == Q35_OK)
        status = q35i_check_note(&plugin->note, host, strrchr(path, '/') + 1);
    if (status != Q35_OK)
        return reject(plugin, status);
    plugin->candidate = true;
    return Q35_OK;
}

/* The loaded object is the file that was vetted. */
static q35_status check_identity(const q35i_plugin *plugin)
{
    struct link_map *map;
    struct stat st;
    if (dlinfo(plugin->handle, RTLD_DI_LINKMAP, &map) != 0 || stat(map->l_name, &st) != 0)
        return Q35_FAIL(Q35_E_INVALID, "cannot tell which file was loaded");
    if (st.st_dev != plugin->dev || st.st_ino != plugin->inode)
        return Q35_FAIL(Q35_E_INVALID, "the file changed while it was being loaded");
    return Q35_OK;
}

static q35_status query_table(q35i_plugin *plugin, const q35i_host_facts *host)
{
    q35_plugin_query_fn query;
    const q35_plugin *api = NULL;
    void *symbol = dlsym(plugin->handle, Q35_PLUGIN_SYMBOL);
    if (!symbol)
        return Q35_FAIL(Q35_E_INVALID, "plugin %s: no symbol %s", plugin->note.id, Q35_PLUGIN_SYMBOL);
    memcpy(&query, &symbol, sizeof query); /* ISO C has no cast from object to function pointer */
    (void)Q35_FAIL(Q35_E_INTERNAL, "it gave no reason");
    q35i_suspect(plugin->path, Q35_PLUGIN_SYMBOL);
    q35_status status = query(q35i_host_table(), &api);
    if (status != Q35_OK)
        return q35i_fail_context(status, "plugin %s: query failed with status %u", plugin->note.id, status);
    Q35_TRY(q35i_check_table(api, &plugin->note, host));
    Q35_TRY(begin_use(&api));
    plugin->api = api;
    return Q35_OK;
}

/* UNAVAILABLE is what plugins answer that do not know "0 devices and OK"; it means the same. */
static q35_status count_devices(q35i_plugin *plugin)
{
    char why[Q35I_REASON_CAP - sizeof "no device: "] = ""; /* what it says, cut to what fits in the reason */
    uint32_t n = 0;
    (void)Q35_FAIL(Q35_E_INTERNAL, "it gave no reason");
    q35i_host_capture(why, sizeof why);
    q35i_suspect(plugin->path, "enumerate");
    q35_status status = plugin->api->enumerate(&n);
    q35i_host_capture(NULL, 0);
    if (status == Q35_E_UNAVAILABLE) {
        n = 0;
        snprintf(why, sizeof why, "%s", q35_error_message());
    } else if (status != Q35_OK) {
        return q35i_fail_context(status, "plugin %s: enumerate failed with status %u", plugin->note.id, status);
    }
    if (n > Q35I_MAX_DEVICES)
        return Q35_FAIL(Q35_E_INVALID, "plugin %s: %u devices, need at most %d", plugin->note.id, n,
                        Q35I_MAX_DEVICES);
    plugin->n_devices = n;
    if (n == 0)
        snprintf(plugin->reason, sizeof plugin->reason, "no device: %s",
                 why[0] ? why : "the plugin gave no reason");
    return Q35_OK;
}

q35_status q35i_plugin_load(q35i_plugin *plugin, const q35i_host_facts *host)
{
    q35_status status;
    q35i_suspect(plugin->path, "loading");
    plugin->handle = dlopen(plugin->path, RTLD_NOW | RTLD_LOCAL);
    if (!plugin->handle) {
        const char *why = dlerror();
        return reject(plugin, Q35_FAIL(Q35_E_INVALID, "cannot load: %s", why ? why : "unknown reason"));
    }
    Q35_TRY_GOTO(check_identity(plugin), failed);
    Q35_TRY_GOTO(query_table(plugin, host), failed);
    Q35_TRY_GOTO(count_devices(plugin), failed);
    plugin->loaded = true;
    q35i_log(Q35_LOG_INFO, "plugin %s: loaded, %u devices", plugin->path, plugin->n_devices);
    return Q35_OK;
failed:
    return reject(plugin, status);
}

const char *q35i_plugin_why(const q35i_plugin *plugin, char *buf, size_t cap)
{
    if (strncmp(plugin->reason, plugin->path, strlen(plugin->path)) == 0)
        snprintf(buf, cap, "%s", plugin->reason);
    else
        snprintf(buf, cap, "%.200s: %s", plugin->path, plugin->reason);
    return buf;
}

void q35i_plugin_release(q35i_plugin *plugin)
{
    if (plugin->api)
        end_use(plugin->api);
    if (plugin->handle && (plugin->note.flags & Q35_NF_UNLOADABLE) && Q35_NOTE_SANITIZER == Q35_SANITIZER_NONE)
        dlclose(plugin->handle);
    q35i_free(plugin->path);
    plugin->path = NULL;
    plugin->handle = NULL;
    plugin->api = NULL;
}
