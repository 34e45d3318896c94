/* SPDX-License-Identifier: Apache-2.0
 *
 * Description: sane, the same every time, from every thread, with a device open and after it was closed. */
#define _GNU_SOURCE
#include "conform.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static bool is_text(const char *text, size_t cap)
{
    for (size_t i = 0; i < cap; i++) {
        if (text[i] == '\0')
            return true;
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false;
    }
    return false;
}

/* "0000:65:00.0" */
static bool is_pci(const char *text)
{
    static const char form[] = "xxxx:xx:xx.x";
    for (size_t i = 0; i < sizeof form - 1; i++)
        if (form[i] == 'x' ? !strchr("0123456789abcdefABCDEF", text[i]) || text[i] == '\0' : text[i] != form[i])
            return false;
    return text[sizeof form - 1] == '\0';
}

static void check_info(const q35_device_info *d, uint32_t i)
{
    if (!is_text(d->name, sizeof d->name) || d->name[0] == '\0')
        cf_fail("device %u: name is empty or no line of text that ends", i);
    if (!is_text(d->uuid, sizeof d->uuid) || d->uuid[0] == '\0')
        cf_fail("device %u: uuid is empty or no line of text that ends", i);
    if (!is_text(d->pci, sizeof d->pci) || (d->pci[0] != '\0' && !is_pci(d->pci)))
        cf_fail("device %u: pci is '%.15s', need \"\" or like 0000:65:00.0", i, d->pci);
    if (d->host_numa < -1 || d->host_numa > 4095)
        cf_fail("device %u: host_numa is %d, need a node or -1", i, d->host_numa);
    if ((d->device_class < Q35_CLASS_CPU || d->device_class > Q35_CLASS_WAFER) &&
        d->device_class != Q35_CLASS_OTHER && d->device_class < 0x10000)
        cf_fail("device %u: device_class is %u, need one of Q35_CLASS_*", i, d->device_class);
    if (d->n_memories < 1 || d->n_memories > 64 || d->n_queues > 1024)
        cf_fail("device %u: %u memories and %u queues, need 1 to 64 and at most 1024", i, d->n_memories,
                d->n_queues);
    if (d->idle_mw > d->peak_mw && d->peak_mw != 0)
        cf_fail("device %u: %u mW when idle, %u mW at most", i, d->idle_mw, d->peak_mw);
}

static void check_memory(const q35_device_info *d, const q35_memory_info *m, uint32_t i, uint32_t n, bool l1)
{
    if ((m->kind < Q35_MEM_HOST || m->kind > Q35_MEM_SRAM_TILED) && m->kind < 0x10000)
        cf_fail("device %u, memory %u: kind is %u, need one of Q35_MEM_*", i, n, m->kind);
    if (m->host_coherent > 1)
        cf_fail("device %u, memory %u: host_coherent is %u, need 0 or 1", i, n, m->host_coherent);
    if (m->available > m->capacity)
        cf_fail("device %u, memory %u: %llu bytes available of %llu", i, n, (unsigned long long)m->available,
                (unsigned long long)m->capacity);
    if (m->capacity != 0 && m->max_alloc > m->capacity)
        cf_fail("device %u, memory %u: allocations of %llu bytes in %llu", i, n, (unsigned long long)m->max_alloc,
                (unsigned long long)m->capacity);
    if ((m->align & (m->align - 1)) != 0)
        cf_fail("device %u, memory %u: align is %llu, need a power of two", i, n, (unsigned long long)m->align);
    if (n == 0 && !(l1 && d->n_queues > 0) && m->kind != Q35_MEM_HOST && m->kind != Q35_MEM_UNIFIED)
        cf_fail("device %u, memory 0: kind is %u, a device without queues needs host memory", i, m->kind);
}

static q35_device_info info_of(cf_env *e, uint32_t i)
{
    q35_device_info d;
    memset(&d, 0, sizeof d); /* padding, too: compared byte by byte */
    d.h = (q35_hdr){sizeof d, Q35_STRUCT_DEVICE_INFO, NULL};
    cf_ok(e->api->device_info(i, &d), "device_info");
    if (d.h.size != sizeof d || d.h.type != Q35_STRUCT_DEVICE_INFO || d.h.next)
        cf_fail("device_info changed the header of the struct");
    return d;
}

static q35_memory_info memory_of(cf_env *e, uint32_t i, uint32_t m)
{
    q35_memory_info d;
    memset(&d, 0, sizeof d);
    d.h = (q35_hdr){sizeof d, Q35_STRUCT_MEMORY_INFO, NULL};
    cf_ok(e->api->memory_info(i, m, &d), "memory_info");
    if (d.h.size != sizeof d || d.h.type != Q35_STRUCT_MEMORY_INFO || d.h.next)
        cf_fail("memory_info changed the header of the struct");
    return d;
}

static void describe_sane(cf_env *e, uint32_t a, uint32_t b)
{
    uint32_t n = 0;
    (void)a, (void)b;
    const bool l1 = Q35_HAS_SLOT(e->api, q35_plugin, plan_submit);
    cf_host_clear();
    q35_status status = e->api->enumerate(&n);
    if (status != Q35_E_UNAVAILABLE)
        cf_ok(status, "enumerate");
    if (n == 0 && status == Q35_OK && cf_host_log()[0] == '\0')
        cf_fail("0 devices and no line in the log that says why");
    for (uint32_t i = 0; i < n; i++) {
        q35_device_info d = info_of(e, i);
        check_info(&d, i);
        for (uint32_t m = 0; m < d.n_memories; m++) {
            q35_memory_info memory = memory_of(e, i, m);
            check_memory(&d, &memory, i, m, l1);
        }
        for (uint32_t j = 0; j < i; j++) {
            q35_device_info other = info_of(e, j);
            if (strcmp(d.uuid, other.uuid) == 0)
                cf_fail("devices %u and %u have the uuid '%.39s'", j, i, d.uuid);
        }
    }
    cf_note(e, "%u devices", n);
}

static void describe_range(cf_env *e, uint32_t a, uint32_t b)
{
    uint32_t n = 0;
    q35_device_info d = {.h = {sizeof d, Q35_STRUCT_DEVICE_INFO, NULL}};
    q35_memory_info m = {.h = {sizeof m, Q35_STRUCT_MEMORY_INFO, NULL}};
    (void)a, (void)b;
    if (e->api->enumerate(&n) != Q35_OK)
        n = 0;
    static const uint32_t past[] = {0, 1, 1000, UINT32_MAX};
    for (int i = 0; i < 4; i++) {
        uint32_t index = i < 3 ? n + past[i] : UINT32_MAX;
        cf_stage("device_info and memory_info of device %u of %u", index, n);
        cf_host_clear();
        cf_refused(e->api->device_info(index, &d), "device_info past the last device");
        cf_host_clear();
        cf_refused(e->api->memory_info(index, 0, &m), "memory_info past the last device");
        if (n == 0)
            continue;
        d = info_of(e, 0);
        cf_host_clear();
        cf_refused(e->api->memory_info(0, i < 3 ? d.n_memories + past[i] : UINT32_MAX, &m),
                   "memory_info past the last memory");
    }
    q35_device *dev = NULL;
    q35_open_options options = {.h = {sizeof options, Q35_STRUCT_OPEN_OPTIONS, NULL}, .pool = cf_pool(1)};
    cf_stage("device_open of device %u of %u", n, n);
    cf_host_clear();
    cf_refused(e->api->device_open(n, &options, &dev), "device_open past the last device");
}

typedef struct asker {
    cf_env *e;
    q35_device_info info;
    pthread_t thread;
} asker;

static void *ask(void *arg)
{
    asker *a = arg;
    for (int i = 0; i < 200; i++) {
        uint32_t n;
        q35_device_info d = info_of(a->e, a->e->options->device);
        if (memcmp(&d, &a->info, sizeof d) != 0)
            cf_fail("device_info gives another answer on another thread");
        memory_of(a->e, a->e->options->device, 0);
        cf_ok(a->e->api->enumerate(&n), "enumerate");
    }
    return NULL;
}

/* available may change while others use the memory. */
static void same_memory(q35_memory_info x, q35_memory_info y, const char *when)
{
    x.available = y.available = 0;
    if (memcmp(&x, &y, sizeof x) != 0)
        cf_fail("memory_info gives another answer %s", when);
}

static void describe_stable(cf_env *e, uint32_t a, uint32_t b)
{
    const uint32_t i = e->options->device;
    (void)a, (void)b;
    q35_device_info first = info_of(e, i), again = info_of(e, i);
    if (memcmp(&first, &again, sizeof first) != 0)
        cf_fail("device_info gives another answer the second time");
    q35_memory_info memory = memory_of(e, i, 0);
    same_memory(memory, memory_of(e, i, 0), "the second time");
    for (int round = 0; round < 2; round++) {
        cf_open(e, CF_THREADS);
        again = info_of(e, i);
        if (memcmp(&first, &again, sizeof first) != 0)
            cf_fail("device_info gives another answer while the device is open");
        same_memory(memory, memory_of(e, i, 0), "while the device is open");
        cf_close(e);
    }
    again = info_of(e, i);
    if (memcmp(&first, &again, sizeof first) != 0)
        cf_fail("device_info gives another answer after the device was closed");
}

static void describe_threads(cf_env *e, uint32_t a, uint32_t b)
{
    enum { N = 4 };
    asker askers[N];
    (void)a, (void)b;
    cf_stage("description from %d threads at once", (int)N);
    for (int i = 0; i < N; i++) {
        askers[i] = (asker){.e = e, .info = info_of(e, e->options->device)};
        if (pthread_create(&askers[i].thread, NULL, ask, &askers[i]) != 0)
            cf_skip("no threads");
    }
    for (int i = 0; i < N; i++)
        pthread_join(askers[i].thread, NULL);
}

void cf_list_describe(cf_list *list)
{
    cf_add_test(list, 0, describe_sane, 0, 0, "describe/sane");
    cf_add_test(list, 0, describe_range, 0, 0, "describe/range");
    cf_add_test(list, CF_CLOSED, describe_stable, 0, 0, "describe/stable");
    cf_add_test(list, CF_CLOSED, describe_threads, 0, 0, "describe/threads");
}
