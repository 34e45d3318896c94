/* SPDX-License-Identifier: Apache-2.0
 *
 * The CPUs the kernel lets this process run on. */
#ifndef Q35I_AFFINITY_H
#define Q35I_AFFINITY_H

#include <stdint.h>

/* Fills cpus[0..cap) with OS indices of the calling thread's affinity mask, ascending; cpus may be NULL when cap
 * is 0. Returns how many there are in all, at least 1. */
uint32_t q35i_affinity_cpus(int32_t *cpus, uint32_t cap);

#endif
