/* SPDX-License-Identifier: Apache-2.0
 *
 * Extensions of plugins: tables beside the plugin's own, and what the host makes of them. */
#ifndef Q35I_EXTENSION_H
#define Q35I_EXTENSION_H

#include "runtime/device/device.h"

#include <q35rt/capture.h>
#include <q35rt/collectives.h>
#include <q35rt/energy.h>
#include <q35rt/measure.h>
#include <q35rt/peer.h>

/* The plugin's table of a type (Q35_STRUCT_*); NULL: it has none. Its slots may still be absent. */
const void *q35i_extension(const q35_plugin *api, uint32_t type);

/* The table when all its slots are there; NULL otherwise. */
const q35_capture *q35i_device_capture(const q35i_device *device);
const q35_collectives *q35i_device_collectives(const q35i_device *device);

/* Energy used so far. UNSUPPORTED: the plugin does not tell; or the plugin's status. */
q35_status q35i_device_energy(const q35i_device *device, q35_energy_reading *out);

/* How a queue of `to` gets at memory of `from`: Q35_PEER_*, and the plugin's hints. From STAGED on the path was
 * tested with data just now; one that failed counts as NONE, with a warning. */
q35_peer_info q35i_device_peer(const q35i_device *to, const q35i_device *from);

#endif
