/* SPDX-License-Identifier: Apache-2.0
 *
 * A plugin that is right without definitions and wrong in exactly one way with one of the BREAK_ definitions (see
 * CMakeLists.txt); the loader must refuse each with its own sentence. Its constructor leaves a mark in the
 * environment, so that a test can tell whether code of a refused file ever ran. */
#define _GNU_SOURCE
#include <q35rt/plugin.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifndef NOTE_ID
#define NOTE_ID "broken"
#endif
#ifndef TABLE_ID
#define TABLE_ID "broken"
#endif
#ifndef NOTE_MAJOR
#define NOTE_MAJOR Q35_ABI_MAJOR
#endif
#ifndef NOTE_NEEDED
#define NOTE_NEEDED 0
#endif
#ifndef NOTE_MACHINE
#define NOTE_MACHINE Q35_NOTE_MACHINE
#endif
#ifndef NOTE_SANITIZER
#define NOTE_SANITIZER Q35_NOTE_SANITIZER
#endif
#ifndef NOTE_FORMAT
#define NOTE_FORMAT Q35_NOTE_VERSION
#endif
#ifndef NOTE_ISA
#define NOTE_ISA 0
#endif
#ifndef NOTE_FLAGS
#define NOTE_FLAGS Q35_NF_UNLOADABLE
#endif
#ifndef NOTE_RANK
#define NOTE_RANK 0
#endif
#ifndef TABLE_MAJOR
#define TABLE_MAJOR Q35_ABI_MAJOR
#endif
#ifndef TABLE_MINOR
#define TABLE_MINOR Q35_ABI_MINOR
#endif
#ifndef TABLE_BYTES
#define TABLE_BYTES sizeof table
#endif
#ifndef N_DEVICES
#define N_DEVICES 1
#endif
#ifndef N_MEMORIES
#define N_MEMORIES 1
#endif
#ifndef MEMORY_KIND
#define MEMORY_KIND Q35_MEM_HOST
#endif

#ifndef PCI
#define PCI ""
#endif

#ifndef BREAK_NO_NOTE
__attribute__((section(Q35_NOTE_SECTION), used, aligned(4))) static const q35_note note = {
    sizeof(Q35_NOTE_OWNER),
    (uint32_t)(sizeof(q35_note) - offsetof(q35_note, note_version)),
    Q35_NOTE_TYPE,
    Q35_NOTE_OWNER,
    NOTE_FORMAT,
    NOTE_MAJOR,
    Q35_ABI_MINOR,
    NOTE_NEEDED,
    NOTE_MACHINE,
    NOTE_SANITIZER,
    NOTE_FLAGS,
    NOTE_RANK,
    NOTE_ISA,
    0,
    NOTE_ID,
    "0.1"};
#endif

static const q35_host *host;

__attribute__((constructor)) static void leave_mark(void)
{
    setenv("Q35RT_TEST_BROKEN_RAN", "1", 1);
}

#ifdef BREAK_UNRESOLVED
void q35rt_test_nowhere_defined(void);
#endif

static q35_status enumerate(uint32_t *out_n)
{
#ifdef BREAK_UNRESOLVED
    q35rt_test_nowhere_defined();
#endif
#ifdef BREAK_CRASH
    abort();
#endif
#ifdef BREAK_HANG /* until a test that has seen enough makes this file */
    while (access(getenv("Q35RT_TEST_BROKEN_GO_ON"), F_OK) != 0)
        usleep(10000);
#endif
#ifdef BREAK_ENUMERATE
    return host->fail(Q35_E_DEVICE, "the driver answered 42");
#endif
#ifdef BREAK_NO_DRIVER
    host->log(2, "libnothing.so.1 not found,\nso there is no device");
#endif
    *out_n = N_DEVICES;
    return Q35_OK;
}

static q35_status device_info(uint32_t i, q35_device_info *out)
{
#ifdef BREAK_INFO
    return host->fail(Q35_E_IO, "no description today");
#endif
    snprintf(out->name, sizeof out->name, "broken \x1b[31mdevice %u", i);
#ifdef UUID
    snprintf(out->uuid, sizeof out->uuid, "%s", UUID);
#else
    snprintf(out->uuid, sizeof out->uuid, "5eed-%s", i == 0 ? "0010" : "0001");
#endif
    snprintf(out->pci, sizeof out->pci, "%s", PCI);
    out->n_memories = N_MEMORIES;
    return Q35_OK;
}

static q35_status memory_info(uint32_t i, uint32_t m, q35_memory_info *out)
{
    (void)i, (void)m;
#ifdef BREAK_HEADER
    out->h.size = 8;
#endif
    out->kind = MEMORY_KIND;
    return Q35_OK;
}

struct q35_device {
    int unused;
};

static q35_status device_open(uint32_t i, const q35_open_options *options, q35_device **out)
{
    (void)i, (void)options;
#ifdef BREAK_OPEN
    return host->fail(Q35_E_DEVICE, "the fan does not turn");
#endif
    *out = host->alloc(sizeof **out, 64, -1);
    return *out ? Q35_OK : host->fail(Q35_E_NOMEM, "out of memory");
}

static void device_close(q35_device *dev)
{
    host->free(dev);
}

static q35_status op_support(q35_device *dev, const q35_region *region, q35_support *out)
{
    (void)dev, (void)region, (void)out;
#ifdef BREAK_PROMISE
    out->ok = region->nodes[0]->op == BREAK_PROMISE;
#endif
#ifndef BREAK_NO_REASON
    snprintf(out->reason, sizeof out->reason, "runs nothing");
#endif
    return Q35_OK;
}

#ifndef BREAK_NO_COMPILE
static q35_status plan_compile(q35_device *dev, const q35_region *region, q35_plan **out)
{
    (void)dev, (void)region, (void)out;
    return host->fail(Q35_E_UNSUPPORTED, "runs nothing");
}
#endif

static q35_status plan_bind(q35_plan *plan, const q35_binding *bindings)
{
    (void)plan, (void)bindings;
    return Q35_OK;
}

#ifndef BREAK_NO_RUN
static q35_status plan_run(q35_plan *plan)
{
    (void)plan;
    return Q35_OK;
}
#endif

static void plan_free(q35_plan *plan)
{
    (void)plan;
}

#ifdef BREAK_HALF_L1
static void buf_free(q35_buf *buf)
{
    (void)buf;
}
#endif

#ifdef BREAK_LAYOUT_ONLY
static q35_status layout_query(q35_device *dev, uint32_t op, const q35_tensor_desc *weight, uint32_t i,
                               q35_layout *out)
{
    (void)dev, (void)op, (void)weight, (void)i, (void)out;
    return Q35_E_RANGE;
}
#endif

static void shutdown_plugin(void)
{
    setenv("Q35RT_TEST_BROKEN_SHUTDOWN", "1", 1);
}

static const q35_plugin table = {
    .h = {TABLE_BYTES, Q35_STRUCT_PLUGIN, NULL},
    .abi_major = TABLE_MAJOR,
    .abi_minor = TABLE_MINOR,
    .id = TABLE_ID,
    .version = "0.1",
    .enumerate = enumerate,
    .device_info = device_info,
    .memory_info = memory_info,
    .device_open = device_open,
    .device_close = device_close,
    .op_support = op_support,
#ifndef BREAK_NO_COMPILE
    .plan_compile = plan_compile,
#endif
    .plan_bind = plan_bind,
#ifndef BREAK_NO_RUN
    .plan_run = plan_run,
#endif
    .plan_free = plan_free,
#ifdef BREAK_HALF_L1
    .buf_free = buf_free,
#endif
#ifdef BREAK_LAYOUT_ONLY
    .layout_query = layout_query,
#endif
    .shutdown = shutdown_plugin,
};

#ifdef BREAK_NO_SYMBOL
#define QUERY q35_other_query
#else
#define QUERY q35_plugin_query
#endif

Q35_PLUGIN_EXPORT q35_status QUERY(const q35_host *h, const q35_plugin **out);

q35_status QUERY(const q35_host *h, const q35_plugin **out)
{
    host = h;
    *out = &table;
#if defined(BREAK_QUERY)
    return host->fail(Q35_E_VERSION, "too old a host for me");
#elif defined(BREAK_NO_TABLE)
    *out = NULL;
#endif
    return Q35_OK;
}
