/* SPDX-License-Identifier: Apache-2.0
 *
 * The machine without hwloc: every CPU of the affinity mask counts as a core. Caches and NUMA nodes stay unknown.
 */
#include "topo.h"

#ifndef Q35RT_HAVE_HWLOC

#include "runtime/base/affinity.h"
#include "runtime/base/alloc.h"

#include <string.h>

q35_status q35i_topo_read(q35i_topo *out)
{
    memset(out, 0, sizeof *out);
    uint32_t n = q35i_affinity_cpus(NULL, 0);
    out->cpus = q35i_calloc(n, sizeof *out->cpus);
    if (!out->cpus)
        return Q35_E_NOMEM;
    uint32_t found = q35i_affinity_cpus(out->cpus, n); /* the mask may have changed in between */
    out->n_cores = found < n ? found : n;
    return Q35_OK;
}

#else
typedef int q35i_topo_plain_unused; /* ISO C wants a declaration in every file */
#endif
