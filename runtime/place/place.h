/* SPDX-License-Identifier: Apache-2.0
 *
 * Which cores this process may use, in the order a pool should take them. topo_hwloc.c is the only file that
 * includes hwloc.h; without hwloc the affinity mask is used. */
#ifndef Q35I_PLACE_H
#define Q35I_PLACE_H

#include <q35rt/status.h>

/* Fills cpus[0..*n_inout) with OS indices, one per physical core (first hardware thread), allowed cores only
 * (cgroup and affinity mask), nearest first; *n_inout: in capacity, out count (>= 1). */
q35_status q35i_place_usable_cores(int32_t *cpus, uint32_t *n_inout);

/* Cores that this process may use, 0: unknown; *out_quota: CPUs' worth of time that its control group allows,
 * UINT32_MAX without a limit. */
uint32_t q35i_place_cores(uint32_t *out_quota);

/* One line for people: "2 cores, 1 NUMA node, L2 2 MiB, L3 260 MiB". Returns buf. */
const char *q35i_place_summary(char *buf, uint32_t cap);

/* "Intel(R) Xeon(R) ..." or "unknown processor". Returns buf. */
const char *q35i_place_cpu_name(char *buf, uint32_t cap);

/* Read bandwidth of the memory, GB/s (1e9), by reading a buffer far larger than the private caches with the pool's
 * workers for about ms milliseconds; 0 when there is no memory for it. */
double q35i_place_read_gbps(q35_pool *pool, uint32_t ms);

#endif
