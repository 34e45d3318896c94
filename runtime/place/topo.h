/* SPDX-License-Identifier: Apache-2.0
 *
 * The machine as the placement code needs it. topo_hwloc.c or topo_plain.c fills it; nothing else knows which. */
#ifndef Q35I_TOPO_H
#define Q35I_TOPO_H

#include <q35rt/status.h>

typedef struct q35i_topo {
    uint32_t
        n_cores; /* usable physical cores, fast kinds first, then in the order that keeps shared caches together */
    uint32_t n_numa;             /* NUMA nodes with usable cores; 0 unknown */
    uint64_t l2_bytes, l3_bytes; /* all instances together; 0 unknown */
    int32_t *cpus;               /* [n_cores] OS index of each core's first usable hardware thread */
} q35i_topo;

/* Reads the machine. Release with q35i_topo_free. */
q35_status q35i_topo_read(q35i_topo *out);
void q35i_topo_free(q35i_topo *topo); /* zeroed ok */

#endif
