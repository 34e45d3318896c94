/* SPDX-License-Identifier: Apache-2.0
 *
 * The acceptance rules of PLUGINS.md, "ABI policy". A slot counts as present when it lies inside the table and is
 * not NULL; nothing here calls the plugin. */
#include "check.h"

#include "isa.h"
#include "runtime/base/error.h"

#include <stdio.h>
#include <string.h>

/* A table larger than this is not a table. */
#define MAX_TABLE_BYTES (1u << 16)

typedef struct slot {
    const char *name;
    int present;
} slot;

#define SLOT(name)                                                                                                \
    {                                                                                                             \
#name, Q35_HAS_SLOT(api, q35_plugin, name)                                                                \
    }

static const char *sanitizer_name(uint32_t sanitizer)
{
    static const char *const names[] = {"no sanitizer", "AddressSanitizer", "ThreadSanitizer", "MemorySanitizer"};
    return sanitizer < sizeof names / sizeof *names ? names[sanitizer] : "an unknown sanitizer";
}

q35i_host_facts q35i_host_facts_here(void)
{
    return (q35i_host_facts){Q35_ABI_MAJOR, Q35_ABI_MINOR, Q35_NOTE_MACHINE, Q35_NOTE_SANITIZER, q35i_isa_host()};
}

q35_status q35i_check_note(const q35_note *note, const q35i_host_facts *host, const char *file)
{
    char expected[64], missing[128];
    if (note->abi_major != host->abi_major)
        return Q35_FAIL(Q35_E_VERSION, "plugin %s is built for ABI %u.%u, need %u.x", note->id, note->abi_major,
                        note->abi_minor_built, host->abi_major);
    if (note->abi_minor_needed > host->abi_minor)
        return Q35_FAIL(Q35_E_VERSION, "plugin %s needs a host with ABI %u.%u, this one has %u.%u", note->id,
                        note->abi_major, note->abi_minor_needed, host->abi_major, host->abi_minor);
    if (note->machine != host->machine)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "plugin %s is for ELF machine %u, need %u", note->id, note->machine,
                        host->machine);
    if (note->sanitizer != host->sanitizer)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "plugin %s is built with %s, this program with %s", note->id,
                        sanitizer_name(note->sanitizer), sanitizer_name(host->sanitizer));
    if (note->isa & ~host->isa)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "plugin %s needs a processor with %s", note->id,
                        q35i_isa_names(note->isa & ~host->isa, missing, sizeof missing));
    snprintf(expected, sizeof expected, "libq35rt-%s.so", note->id);
    if (strcmp(file, expected) != 0)
        return Q35_FAIL(Q35_E_INVALID, "plugin %s: file name %.64s, need %s", note->id, file, expected);
    return Q35_OK;
}

static q35_status check_head(const q35_plugin *api, const q35_note *note, const q35i_host_facts *host)
{
    if (api->h.type != Q35_STRUCT_PLUGIN)
        return Q35_FAIL(Q35_E_VERSION, "plugin %s: table has type %u, need %d", note->id, api->h.type,
                        (int)Q35_STRUCT_PLUGIN);
    if (!Q35_HAS_FIELD(api, q35_plugin, plan_free) || api->h.size > MAX_TABLE_BYTES)
        return Q35_FAIL(Q35_E_VERSION, "plugin %s: table has %u bytes, need %zu to %u", note->id, api->h.size,
                        offsetof(q35_plugin, plan_free) + sizeof api->plan_free, MAX_TABLE_BYTES);
    if (api->abi_major != host->abi_major)
        return Q35_FAIL(Q35_E_VERSION, "plugin %s: table is for ABI %u.%u, need %u.x", note->id, api->abi_major,
                        api->abi_minor, host->abi_major);
    if (!api->id || strcmp(api->id, note->id) != 0)
        return Q35_FAIL(Q35_E_INVALID, "plugin %s: table has the id %.32s, its note %s", note->id,
                        api->id ? api->id : "(none)", note->id);
    if (!api->version)
        return Q35_FAIL(Q35_E_INVALID, "plugin %s: table has no version", note->id);
    return Q35_OK;
}

static q35_status check_required(const q35_plugin *api)
{
    const slot required[] = {SLOT(enumerate),    SLOT(device_info),  SLOT(memory_info),
                             SLOT(device_open),  SLOT(device_close), SLOT(op_support),
                             SLOT(plan_compile), SLOT(plan_bind),    SLOT(plan_free)};
    for (size_t i = 0; i < sizeof required / sizeof *required; i++)
        if (!required[i].present)
            return Q35_FAIL(Q35_E_INVALID, "plugin %s: required slot %s is missing", api->id, required[i].name);
    return Q35_OK;
}

/* The slots of L1 but for memory_refresh, which is optional in itself. */
static q35_status check_l1(const q35_plugin *api)
{
    const slot group[] = {SLOT(buf_alloc),      SLOT(buf_free),        SLOT(buf_map),
                          SLOT(queue_create),   SLOT(queue_destroy),   SLOT(copy),
                          SLOT(plan_submit),    SLOT(timeline_create), SLOT(timeline_destroy),
                          SLOT(timeline_query), SLOT(timeline_wait),   SLOT(timeline_signal)};
    const char *present = NULL, *missing = NULL;
    for (size_t i = 0; i < sizeof group / sizeof *group; i++) {
        if (group[i].present)
            present = group[i].name;
        else
            missing = group[i].name;
    }
    if (present && missing)
        return Q35_FAIL(Q35_E_INVALID, "plugin %s: slot %s without %s, need all slots of L1 or none", api->id,
                        present, missing);
    if (!present && !Q35_HAS_SLOT(api, q35_plugin, plan_run))
        return Q35_FAIL(Q35_E_INVALID, "plugin %s: required slot plan_run is missing, and so is plan_submit",
                        api->id);
    return Q35_OK;
}

q35_status q35i_check_table(const q35_plugin *api, const q35_note *note, const q35i_host_facts *host)
{
    if (!api)
        return Q35_FAIL(Q35_E_INVALID, "plugin %s: query returned no table", note->id);
    Q35_TRY(check_head(api, note, host));
    Q35_TRY(check_required(api));
    Q35_TRY(check_l1(api));
    if (Q35_HAS_SLOT(api, q35_plugin, layout_query) && !Q35_HAS_SLOT(api, q35_plugin, pack))
        return Q35_FAIL(Q35_E_INVALID, "plugin %s: slot layout_query without pack", api->id);
    return Q35_OK;
}

int q35i_table_has_l1(const q35_plugin *api)
{
    return Q35_HAS_SLOT(api, q35_plugin, plan_submit);
}
