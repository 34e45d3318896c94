/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking a runtime: what was found, why something is missing, and which device a name means. */
#include "runtime.h"
#include "runtime/base/error.h"
#include "runtime/place/place.h"

#include <stdio.h>
#include <string.h>

uint32_t q35_runtime_n_threads(const q35_runtime *rt)
{
    return rt->n_threads;
}

uint32_t q35_runtime_n_plugins(const q35_runtime *rt)
{
    return rt->n_plugins;
}

void q35_runtime_plugin(const q35_runtime *rt, uint32_t i, q35_plugin_report *out)
{
    static const q35_plugin_report none = {"", "", "", 0, 0, "no such plugin"};
    *out = none;
    if (i >= rt->n_plugins)
        return;
    const q35i_plugin *p = &rt->plugins[i];
    *out = (q35_plugin_report){p->path, p->note.id, p->note.version, p->loaded, p->n_devices, p->reason};
}

uint32_t q35_runtime_n_devices(const q35_runtime *rt)
{
    return rt->n_devices;
}

void q35_runtime_device(const q35_runtime *rt, uint32_t i, q35_device_report *out)
{
    memset(out, 0, sizeof *out);
    if (i < rt->n_devices)
        *out = rt->devices[i].report;
}

q35_pool *q35i_runtime_pool(const q35_runtime *rt)
{
    return rt->pool;
}

const char *q35_runtime_machine(const q35_runtime *rt, char *buf, uint32_t cap)
{
    (void)rt;
    return q35i_place_summary(buf, cap);
}

uint32_t q35_runtime_cores(const q35_runtime *rt, uint32_t *out_quota)
{
    (void)rt;
    return q35i_place_cores(out_quota);
}

static const char *list_devices(const q35_runtime *rt, char *buf, size_t cap)
{
    snprintf(buf, cap, "%s", rt->n_devices == 0 ? "there is no device" : "there is ");
    for (uint32_t i = 0; i < rt->n_devices; i++) {
        size_t len = strlen(buf);
        snprintf(buf + len, cap - len, "%s%s", i > 0 ? ", " : "", rt->devices[i].report.name);
    }
    return buf;
}

/* No plugin has this id. It may be in a place that was not looked into, so the first such place is named. */
static q35_status explain_unknown(const q35_runtime *rt, const char *name, const char *there)
{
    char why[240] = "";
    for (uint32_t i = 0; i < rt->n_plugins && why[0] == '\0'; i++)
        if (rt->plugins[i].note.id[0] == '\0')
            q35i_plugin_why(&rt->plugins[i], why, sizeof why);
    return Q35_FAIL(Q35_E_UNAVAILABLE, "device %s: no plugin of this name; %s%s%s", name, there,
                    why[0] ? "; " : "", why);
}

/* The reason why `name` (an id, id:index or id:uuid) is not a device. */
static q35_status explain(const q35_runtime *rt, const char *name)
{
    char there[160];
    size_t id_len = strcspn(name, ":");
    list_devices(rt, there, sizeof there);
    for (uint32_t i = 0; i < rt->n_plugins; i++) {
        const q35i_plugin *p = &rt->plugins[i];
        if (strlen(p->note.id) != id_len || strncmp(p->note.id, name, id_len) != 0)
            continue;
        if (p->loaded && p->n_devices > 1 && name[id_len] == '\0')
            return Q35_FAIL(Q35_E_UNAVAILABLE, "device %s: plugin %s has %u devices, need %s:0 to %s:%u", name,
                            p->note.id, p->n_devices, p->note.id, p->note.id, p->n_devices - 1);
        if (p->loaded && p->n_devices > 0)
            return Q35_FAIL(Q35_E_UNAVAILABLE, "device %s: plugin %s has %u devices; %s", name, p->note.id,
                            p->n_devices, there);
        return Q35_FAIL(Q35_E_UNAVAILABLE, "device %s: %.200s; %s", name, p->reason, there);
    }
    return explain_unknown(rt, name, there);
}

/* Is the name of the device's plugin followed by the device's uuid? A word and a dash may stand before that, as
 * some vendors' tools print it: GPU-... */
static int has_uuid(const q35_runtime *rt, uint32_t i, const char *name)
{
    const q35i_device_slot *slot = &rt->devices[i];
    const char *id = rt->plugins[slot->plugin].note.id, *uuid = slot->report.info.uuid;
    const size_t id_len = strlen(id), len = strlen(uuid), name_len = strlen(name);
    if (len == 0 || strncmp(name, id, id_len) != 0 || name[id_len] != ':' || name_len < id_len + 1 + len)
        return 0;
    const char *tail = name + name_len - len;
    return strcmp(tail, uuid) == 0 && (tail == name + id_len + 1 || tail[-1] == '-');
}

static q35_status find_device(const q35_runtime *rt, const char *name, uint32_t *out)
{
    for (uint32_t i = 0; i < rt->n_devices; i++) {
        const char *own = rt->devices[i].report.name;
        size_t len = strlen(own);
        int sole = !strchr(own, ':') && strncmp(name, own, len) == 0 && strcmp(name + len, ":0") == 0;
        if (strcmp(name, own) == 0 || sole || has_uuid(rt, i, name)) {
            *out = i;
            return Q35_OK;
        }
    }
    return explain(rt, name);
}

/* Named twice, by one name or by two plugins that reach the same device. */
static q35_status check_once(const q35_runtime *rt, const char *list, const uint32_t *indices, uint32_t n,
                             uint32_t index, const char *name)
{
    const q35_device_report *b = &rt->devices[index].report;
    for (uint32_t i = 0; i < n; i++) {
        const q35_device_report *a = &rt->devices[indices[i]].report;
        if (a == b)
            return Q35_FAIL(Q35_E_INVALID, "device list '%.100s': %s named twice", list, name);
        if (strcmp(a->same_as, b->name) == 0 || strcmp(b->same_as, a->name) == 0 ||
            (a->same_as[0] != '\0' && strcmp(a->same_as, b->same_as) == 0))
            return Q35_FAIL(Q35_E_INVALID,
                            "device list '%.100s': %s and %s are the same physical device, need one", list,
                            a->name, b->name);
    }
    return Q35_OK;
}

q35_status q35_runtime_resolve(const q35_runtime *rt, const char *list, uint32_t *out_indices, uint32_t *n_inout)
{
    uint32_t cap = *n_inout, n = 0;
    const char *rest = list;
    *n_inout = 0;
    do {
        char name[64];
        uint32_t index = 0;
        size_t len = strcspn(rest, ",");
        if (len == 0 || len >= sizeof name)
            return Q35_FAIL(Q35_E_INVALID, "device list '%.100s': name of %zu characters, need 1 to %zu", list,
                            len, sizeof name - 1);
        memcpy(name, rest, len);
        name[len] = '\0';
        Q35_TRY(find_device(rt, name, &index));
        Q35_TRY(check_once(rt, list, out_indices, n, index, name));
        if (n == cap)
            return Q35_FAIL(Q35_E_RANGE, "device list '%.100s': more than %u devices", list, cap);
        out_indices[n++] = index;
        rest += len;
    } while (*rest++ == ',');
    *n_inout = n;
    return Q35_OK;
}
