/* SPDX-License-Identifier: Apache-2.0
 *
 * What the rest of the runtime sees of plugins: opened devices with their table. Loading, checking and reporting
 * are behind q35_runtime (include/q35rt/device.h). */
#ifndef Q35I_DEVICE_H
#define Q35I_DEVICE_H

#include <q35rt/device.h>

enum { Q35I_SIGNATURE = 9 };

/* Nodes that a device promised to run and did not compile: op and types, as graph/ask.c writes them. */
typedef struct q35i_refusal {
    uint32_t signature[Q35I_SIGNATURE];
    char reason[128];
} q35i_refusal;

/* An open device. Immutable but for its refusals; the plugin's own rules say which slots may run concurrently. */
typedef struct q35i_device {
    const q35_plugin *api;
    q35_device *dev;
    const char *file; /* of the plugin, borrowed from the runtime */
    char name[32];    /* as in q35_device_report */
    q35_device_info info;
    q35_memory_info memory;
    int async;       /* 1: L1: runs through queues and timelines, memory of its own when !host_memory */
    int host_memory; /* 1: plans bind host addresses */
    int keep_packed; /* 1: packed weights are kept on disk */
    q35i_refusal *refusals;
    uint32_t n_refusals;
} q35i_device;

/* Opens device i (index as in q35_runtime_device) for one session, with the runtime's pool. UNAVAILABLE or the
 * plugin's status, naming the device. */
q35_status q35i_device_open(q35_runtime *runtime, uint32_t i, q35i_device **out);
void q35i_device_close(q35i_device *device); /* NULL ok */

q35_pool *q35i_runtime_pool(const q35_runtime *runtime); /* borrowed until q35_runtime_destroy */

#endif
