/* SPDX-License-Identifier: Apache-2.0
 *
 * sched_getaffinity for any number of CPUs: the kernel refuses a mask smaller than its own, so the mask grows
 * until it is taken. */
#define _GNU_SOURCE
#include "affinity.h"

#include <errno.h>
#include <sched.h>

#define MAX_CPUS (1 << 16)

static uint32_t list_set(const cpu_set_t *set, size_t n_bits, int32_t *cpus, uint32_t cap)
{
    uint32_t n = 0;
    size_t bytes = CPU_ALLOC_SIZE(n_bits);
    for (size_t i = 0; i < n_bits; i++) {
        if (!CPU_ISSET_S(i, bytes, set))
            continue;
        if (n < cap)
            cpus[n] = (int32_t)i;
        n++;
    }
    return n;
}

uint32_t q35i_affinity_cpus(int32_t *cpus, uint32_t cap)
{
    for (size_t n_bits = CPU_SETSIZE; n_bits <= MAX_CPUS; n_bits *= 2) {
        cpu_set_t *set = CPU_ALLOC(n_bits);
        if (!set)
            break;
        int rc = sched_getaffinity(0, CPU_ALLOC_SIZE(n_bits), set);
        uint32_t n = rc == 0 ? list_set(set, n_bits, cpus, cap) : 0;
        CPU_FREE(set);
        if (n > 0)
            return n;
        if (rc == 0 || errno != EINVAL)
            break;
    }
    if (cap > 0)
        cpus[0] = 0;
    return 1;
}
