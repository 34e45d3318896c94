/* SPDX-License-Identifier: Apache-2.0
 *
 * One plugin file on its way from a path to a checked table. */
#ifndef Q35I_LOAD_H
#define Q35I_LOAD_H

#include "runtime/device/check.h"
#include "runtime/device/vet.h"

#include <stdbool.h>

enum { Q35I_REASON_CAP = 512, Q35I_MAX_DEVICES = 64 };

typedef struct q35i_plugin {
    char *path;     /* canonical once vetted */
    bool named;     /* by the user, so that failing is an error */
    bool candidate; /* vetted, note fits: may be loaded */
    bool loaded;
    q35_note note; /* zeroed when it could not be read */
    char reason[Q35I_REASON_CAP];
    dev_t dev;
    ino_t inode;
    void *handle; /* of dlopen */
    const q35_plugin *api;
    uint32_t n_devices;
} q35i_plugin;

/* Vets plugin->path and reads its note; no code of the file runs. Sets candidate, or reason (also the error text).
 */
q35_status q35i_plugin_inspect(q35i_plugin *plugin, const q35i_host_facts *host);

/* Loads a candidate, checks its table and counts its devices. Sets loaded, or reason (also the error text). With
 * no devices, reason says why. */
q35_status q35i_plugin_load(q35i_plugin *plugin, const q35i_host_facts *host);

/* "path: reason", the path once. Returns buf. */
const char *q35i_plugin_why(const q35i_plugin *plugin, char *buf, size_t cap);

/* Shuts the plugin down and unloads it if it allows that; its devices are closed by then. Frees path. */
void q35i_plugin_release(q35i_plugin *plugin);

#endif
