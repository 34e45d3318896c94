/* SPDX-License-Identifier: MIT-0
 *
 * An extension of the device plugin ABI since 1.1: energy that a device used. q35_plugin.extension returns its
 * table, q35_energy. The rules of plugin.h hold; like it this header needs nothing else. */
#ifndef Q35RT_ENERGY_H
#define Q35RT_ENERGY_H

#include <q35rt/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { Q35_STRUCT_ENERGY = 40, Q35_STRUCT_ENERGY_READING = 41 };

typedef struct q35_energy_reading {
    q35_hdr h;
    uint64_t microjoules; /* since a fixed moment; never less than before while the device is open */
    uint32_t source;      /* Q35_ENERGY_* */
    uint32_t reserved;
    char covers[32]; /* what is counted, NUL-terminated: "board", "GPU and memory" */
} q35_energy_reading;

enum { Q35_ENERGY_MEASURED = 0, Q35_ENERGY_MODEL = 1 }; /* a counter or sensor; computed from the work done */

/* Q35_STRUCT_ENERGY */
typedef struct q35_energy {
    q35_hdr h;
    /* Fills what out->h.size covers. Any thread, also while work is queued: what is not done yet may be missing.
     * Q35_E_UNAVAILABLE says why this device cannot tell. */
    q35_status (*read)(q35_device *dev, q35_energy_reading *out);
} q35_energy;

#ifdef __cplusplus
}
#endif
#endif
