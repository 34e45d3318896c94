/* SPDX-License-Identifier: Apache-2.0 */
#include "extension.h"

#include "runtime/base/error.h"

const void *q35i_extension(const q35_plugin *api, uint32_t type)
{
    if (!Q35_HAS_SLOT(api, q35_plugin, extension))
        return NULL;
    const q35_hdr *h = api->extension(type);
    return h && h->type == type && h->size >= sizeof *h ? h : NULL;
}

const q35_capture *q35i_device_capture(const q35i_device *device)
{
    const q35_capture *c = q35i_extension(device->api, Q35_STRUCT_CAPTURE);
    return c && Q35_HAS_SLOT(c, q35_capture, begin) && Q35_HAS_SLOT(c, q35_capture, end) &&
                   Q35_HAS_SLOT(c, q35_capture, replay) && Q35_HAS_SLOT(c, q35_capture, free)
               ? c
               : NULL;
}

const q35_collectives *q35i_device_collectives(const q35i_device *device)
{
    const q35_collectives *c = q35i_extension(device->api, Q35_STRUCT_COLLECTIVES);
    return c && Q35_HAS_SLOT(c, q35_collectives, comm_create) && Q35_HAS_SLOT(c, q35_collectives, comm_destroy) &&
                   Q35_HAS_SLOT(c, q35_collectives, all_reduce) && Q35_HAS_SLOT(c, q35_collectives, all_gather) &&
                   Q35_HAS_SLOT(c, q35_collectives, cancel)
               ? c
               : NULL;
}

q35_status q35i_device_energy(const q35i_device *device, q35_energy_reading *out)
{
    const q35_energy *energy = q35i_extension(device->api, Q35_STRUCT_ENERGY);
    *out = (q35_energy_reading){.h = {sizeof *out, Q35_STRUCT_ENERGY_READING, NULL}};
    if (!energy || !Q35_HAS_SLOT(energy, q35_energy, read))
        return Q35_FAIL(Q35_E_UNSUPPORTED, "device %s: its plugin does not tell what energy it uses",
                        device->name);
    (void)Q35_FAIL(Q35_E_INTERNAL, "it gave no reason");
    q35_status status = energy->read(device->dev, out);
    out->covers[sizeof out->covers - 1] = '\0';
    return status == Q35_OK ? Q35_OK : q35i_fail_context(status, "device %s: energy", device->name);
}
