/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening a device for a session. */
#include "options.h"
#include "runtime.h"
#include "runtime/base/alloc.h"
#include "runtime/base/env.h"
#include "runtime/base/error.h"
#include "suspect.h"

#include <string.h>

q35_status q35i_device_open(q35_runtime *rt, uint32_t i, q35i_device **out)
{
    *out = NULL;
    if (i >= rt->n_devices)
        return Q35_FAIL(Q35_E_RANGE, "device index %u, need less than %u", i, rt->n_devices);
    const q35i_device_slot *slot = &rt->devices[i];
    q35i_device_options given;
    Q35_TRY(
        q35i_device_options_parse(q35i_env("Q35RT_DEVICE_OPTIONS"), rt->plugins[slot->plugin].api->id, &given));
    q35i_device *device = q35i_calloc(1, sizeof *device);
    if (!device)
        return Q35_E_NOMEM;
    device->api = rt->plugins[slot->plugin].api;
    device->file = rt->plugins[slot->plugin].path;
    memcpy(device->name, slot->report.name, sizeof device->name);
    device->info = slot->report.info;
    device->memory = slot->report.memory;
    device->keep_packed = rt->keep_packed;
    device->async = slot->report.level > 0;
    device->host_memory = !device->async || device->memory.kind == Q35_MEM_HOST;

    const q35_open_options options = {.h = {sizeof options, Q35_STRUCT_OPEN_OPTIONS, NULL},
                                      .pool = rt->pool,
                                      .n_options = given.n,
                                      .keys = given.keys,
                                      .values = given.values};
    (void)Q35_FAIL(Q35_E_INTERNAL, "it gave no reason");
    q35i_suspect(device->file, "device_open");
    q35_status status = device->api->device_open(slot->index, &options, &device->dev);
    q35i_suspect(NULL, NULL);
    if (status == Q35_OK && !device->dev)
        status = Q35_FAIL(Q35_E_INTERNAL, "open returned no device");
    if (status != Q35_OK) {
        status = q35i_fail_context(status, "device %s: cannot open", device->name);
        q35i_free(device);
        return status;
    }
    *out = device;
    return Q35_OK;
}

void q35i_device_close(q35i_device *device)
{
    if (!device)
        return;
    device->api->device_close(device->dev);
    q35i_free(device->refusals);
    q35i_free(device);
}
