/* SPDX-License-Identifier: Apache-2.0
 *
 * The runtime object: shared by runtime.c (making it), report.c (asking it) and open.c. Immutable after creation.
 */
#ifndef Q35I_RUNTIME_H
#define Q35I_RUNTIME_H

#include "runtime/device/device.h"
#include "runtime/device/load.h"

typedef struct q35i_device_slot {
    q35_device_report report;
    uint32_t plugin, index; /* index: of the plugin's own counting */
} q35i_device_slot;

struct q35_runtime {
    q35_pool *pool;
    int32_t *cpus;   /* [n_threads] the workers' CPUs, or NULL: not pinned */
    int keep_packed; /* 1: packed weights are kept on disk */
    uint32_t n_threads, n_plugins, n_devices;
    q35i_plugin *plugins;      /* [n_plugins] in order of preference */
    q35i_device_slot *devices; /* [n_devices] */
};

#endif
