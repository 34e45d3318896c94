/* SPDX-License-Identifier: Apache-2.0
 *
 * The plugin in a case's process: loaded, its device opened, and both given up again. Note and table are checked
 * by the code with which q35rt itself accepts a plugin. */
#define _GNU_SOURCE
#include "conform.h"

#include "runtime/base/pool.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void cf_read_note(cf_env *e)
{
    struct stat st;
    const char *file = strrchr(e->path, '/') + 1;
    const q35i_host_facts here = q35i_host_facts_here();
    int fd = open(e->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0)
        cf_fail("%s: %s", e->path, fd < 0 ? strerror(errno) : "empty, need a shared object");
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (data == MAP_FAILED)
        cf_fail("%s: cannot map it: %s", e->path, strerror(errno));
    q35_status status = q35i_note_read(data, (uint64_t)st.st_size, &e->note);
    munmap(data, (size_t)st.st_size);
    if (status == Q35_OK)
        status = q35i_check_note(&e->note, &here, file);
    if (status != Q35_OK)
        cf_fail("%s", q35_error_message());
}

void cf_load(cf_env *e)
{
    q35_plugin_query_fn query;
    const q35i_host_facts here = q35i_host_facts_here();
    cf_read_note(e);
    cf_stage("dlopen");
    e->handle = dlopen(e->path, RTLD_NOW | RTLD_LOCAL);
    if (!e->handle) {
        const char *why = dlerror();
        cf_fail("cannot load: %s", why ? why : "unknown reason");
    }
    void *symbol = dlsym(e->handle, Q35_PLUGIN_SYMBOL);
    if (!symbol)
        cf_fail("no symbol %s", Q35_PLUGIN_SYMBOL);
    memcpy(&query, &symbol, sizeof query); /* ISO C has no cast from object to function pointer */
    cf_stage("q35_plugin_query");
    cf_ok(query(cf_host(), &e->api), "q35_plugin_query");
    if (q35i_check_table(e->api, &e->note, &here) != Q35_OK)
        cf_fail("%s", q35_error_message());
}

void cf_unload(cf_env *e)
{
    uint64_t bytes;
    if (Q35_HAS_SLOT(e->api, q35_plugin, shutdown)) {
        cf_stage("shutdown");
        e->api->shutdown();
    }
    e->api = NULL;
    uint64_t n = cf_host_live(&bytes);
    if (n > 0)
        cf_leak("%llu allocations of host->alloc, %llu bytes, are left after shutdown", (unsigned long long)n,
                (unsigned long long)bytes);
    if (e->note.flags & Q35_NF_UNLOADABLE && Q35_NOTE_SANITIZER == Q35_SANITIZER_NONE) {
        cf_stage("dlclose");
        dlclose(e->handle);
    }
    e->handle = NULL;
}

q35_pool *cf_pool(uint32_t n_threads)
{
    q35_pool *pool = NULL;
    if (q35i_pool_create(n_threads, NULL, &pool) != Q35_OK)
        cf_skip("no pool of %u threads: %s", n_threads, q35_error_message());
    return pool;
}

q35_open_options cf_open_options(const cf_env *e, q35_pool *pool)
{
    return (q35_open_options){.h = {sizeof(q35_open_options), Q35_STRUCT_OPEN_OPTIONS, NULL},
                              .pool = pool,
                              .n_options = e->options->n_options,
                              .keys = e->options->keys,
                              .values = e->options->values};
}

void cf_describe(cf_env *e)
{
    e->info = (q35_device_info){.h = {sizeof e->info, Q35_STRUCT_DEVICE_INFO, NULL}};
    e->memory = (q35_memory_info){.h = {sizeof e->memory, Q35_STRUCT_MEMORY_INFO, NULL}};
    cf_stage("device_info of device %u", e->options->device);
    cf_ok(e->api->device_info(e->options->device, &e->info), "device_info");
    if (e->info.n_memories == 0)
        cf_fail("device %u has no memory, need at least one", e->options->device);
    cf_stage("memory_info of device %u", e->options->device);
    cf_ok(e->api->memory_info(e->options->device, 0, &e->memory), "memory_info");
    e->l1 = Q35_HAS_SLOT(e->api, q35_plugin, plan_submit) && e->info.n_queues > 0;
}

void cf_open(cf_env *e, uint32_t n_threads)
{
    cf_describe(e);
    e->pool = cf_pool(n_threads);
    q35_open_options options = cf_open_options(e, e->pool);
    cf_stage("device_open");
    cf_ok(e->api->device_open(e->options->device, &options, &e->dev), "device_open");
    if (!e->dev)
        cf_fail("device_open succeeded without a device");
    if (e->l1)
        cf_open_queue(e);
}

void cf_close(cf_env *e)
{
    if (e->queue)
        cf_close_queue(e);
    cf_stage("device_close");
    e->api->device_close(e->dev);
    e->dev = NULL;
    q35i_pool_destroy(e->pool);
    e->pool = NULL;
}

void cf_open_queue(cf_env *e)
{
    cf_stage("queue_create");
    cf_ok(e->api->queue_create(e->dev, Q35_QUEUE_COMPUTE, &e->queue), "queue_create");
    cf_ok(e->api->timeline_create(e->dev, 0, &e->timeline), "timeline_create");
    if (!e->queue || !e->timeline)
        cf_fail("queue_create or timeline_create succeeded without a result");
    e->reached = 0;
}

void cf_close_queue(cf_env *e)
{
    cf_stage("queue_destroy");
    e->api->queue_destroy(e->queue);
    e->api->timeline_destroy(e->timeline);
    e->queue = NULL;
    e->timeline = NULL;
}
