/* SPDX-License-Identifier: Apache-2.0
 *
 * The machine through hwloc, the only file that includes its header. Components that start GPU drivers are off:
 * they cost seconds, and devices are the plugins' business. The topology is not restricted when it is loaded from
 * this machine: hwloc then already leaves out what the cgroup forbids; the affinity mask is applied here. */
#define _GNU_SOURCE
#include "topo.h"

#ifdef Q35RT_HAVE_HWLOC

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"

#include <hwloc.h>
#include <string.h>

static const char *const no_components[] = {"cuda", "opencl", "nvml", "rsmi", "levelzero", "gl"};

static q35_status load(hwloc_topology_t *out)
{
    hwloc_topology_t topo;
    *out = NULL;
    if (hwloc_topology_init(&topo) != 0)
        return Q35_FAIL(Q35_E_NOMEM, "hwloc: cannot create a topology");
    for (size_t i = 0; i < sizeof no_components / sizeof *no_components; i++)
        (void)hwloc_topology_set_components(topo, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, no_components[i]);
    (void)hwloc_topology_set_io_types_filter(topo, HWLOC_TYPE_FILTER_KEEP_NONE);
    if (hwloc_topology_load(topo) != 0) {
        hwloc_topology_destroy(topo);
        return Q35_FAIL(Q35_E_UNAVAILABLE, "hwloc: cannot read this machine's topology");
    }
    *out = topo;
    return Q35_OK;
}

/* CPUs allowed by cgroup and affinity mask; the cgroup's alone when the mask cannot be read. */
static hwloc_cpuset_t usable_set(hwloc_topology_t topo)
{
    hwloc_cpuset_t set = hwloc_bitmap_alloc();
    if (!set)
        return NULL;
    if (hwloc_get_cpubind(topo, set, HWLOC_CPUBIND_THREAD) != 0)
        hwloc_bitmap_copy(set, hwloc_topology_get_allowed_cpuset(topo));
    hwloc_bitmap_and(set, set, hwloc_topology_get_allowed_cpuset(topo));
    return set;
}

static uint64_t cache_bytes(hwloc_topology_t topo, hwloc_obj_type_t type, hwloc_const_cpuset_t usable)
{
    uint64_t sum = 0;
    for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_type(topo, type, o)) != NULL;)
        if (hwloc_bitmap_intersects(o->cpuset, usable))
            sum += o->attr->cache.size;
    return sum;
}

static uint32_t count_numa(hwloc_topology_t topo, hwloc_const_cpuset_t usable)
{
    uint32_t n = 0;
    for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_type(topo, HWLOC_OBJ_NUMANODE, o)) != NULL;)
        if (hwloc_bitmap_intersects(o->cpuset, usable))
            n++;
    return n;
}

/* Appends the first usable hardware thread of each core that lies in `kind` and is not taken yet. Machines that do
 * not describe cores (some virtual ones) are read by hardware thread. */
static void append_cores(hwloc_topology_t topo, hwloc_const_cpuset_t kind, hwloc_bitmap_t usable, q35i_topo *out,
                         uint32_t cap)
{
    hwloc_obj_type_t type = hwloc_get_nbobjs_by_type(topo, HWLOC_OBJ_CORE) > 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
    for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_type(topo, type, o)) != NULL;) {
        if (!hwloc_bitmap_intersects(o->cpuset, kind) || !hwloc_bitmap_intersects(o->cpuset, usable))
            continue;
        for (int cpu = hwloc_bitmap_first(o->cpuset); cpu >= 0; cpu = hwloc_bitmap_next(o->cpuset, cpu)) {
            if (hwloc_bitmap_isset(usable, (unsigned)cpu) && out->n_cores < cap) {
                out->cpus[out->n_cores++] = cpu;
                break;
            }
        }
        hwloc_bitmap_andnot(usable, usable, o->cpuset);
    }
}

/* Consumes `usable`. Kinds of cores are ranked by hwloc from the most efficient to the fastest. */
static q35_status list_cores(hwloc_topology_t topo, hwloc_bitmap_t usable, q35i_topo *out)
{
    int n_usable = hwloc_bitmap_weight(usable), n_kinds = hwloc_cpukinds_get_nr(topo, 0);
    if (n_usable <= 0)
        return Q35_FAIL(Q35_E_UNAVAILABLE, "processor: %d usable CPUs found, need at least 1", n_usable);
    out->cpus = q35i_calloc((uint64_t)n_usable, sizeof *out->cpus);
    hwloc_bitmap_t kind = hwloc_bitmap_alloc();
    if (!out->cpus || !kind) {
        hwloc_bitmap_free(kind);
        return Q35_FAIL(Q35_E_NOMEM, "out of memory: list of %d CPUs", n_usable);
    }
    for (int i = n_kinds - 1; i >= 0; i--)
        if (hwloc_cpukinds_get_info(topo, (unsigned)i, kind, NULL, NULL, NULL, 0) == 0)
            append_cores(topo, kind, usable, out, (uint32_t)n_usable);
    hwloc_bitmap_fill(kind); /* CPUs of no kind */
    append_cores(topo, kind, usable, out, (uint32_t)n_usable);
    hwloc_bitmap_free(kind);
    return Q35_OK;
}

q35_status q35i_topo_read(q35i_topo *out)
{
    hwloc_topology_t topo;
    memset(out, 0, sizeof *out);
    Q35_TRY(load(&topo));
    hwloc_cpuset_t usable = usable_set(topo);
    q35_status status = usable ? Q35_OK : Q35_FAIL(Q35_E_NOMEM, "out of memory: CPU set");
    if (usable) {
        out->n_numa = count_numa(topo, usable);
        out->l2_bytes = cache_bytes(topo, HWLOC_OBJ_L2CACHE, usable);
        out->l3_bytes = cache_bytes(topo, HWLOC_OBJ_L3CACHE, usable);
        status = list_cores(topo, usable, out);
    }
    hwloc_bitmap_free(usable);
    hwloc_topology_destroy(topo);
    if (status != Q35_OK)
        q35i_topo_free(out);
    return status;
}

#else
typedef int q35i_topo_hwloc_unused; /* ISO C wants a declaration in every file */
#endif
