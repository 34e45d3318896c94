/* SPDX-License-Identifier: Apache-2.0
 *
 * Usable cores and the description of the machine for people. */
#include "place.h"

#include "quota.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "topo.h"

#include <stdio.h>
#include <string.h>

void q35i_topo_free(q35i_topo *topo)
{
    q35i_free(topo->cpus);
    memset(topo, 0, sizeof *topo);
}

q35_status q35i_place_usable_cores(int32_t *cpus, uint32_t *n_inout)
{
    q35i_topo topo;
    uint32_t cap = *n_inout, quota = q35i_quota_cpus();
    *n_inout = 0;
    if (cap == 0)
        return Q35_FAIL(Q35_E_INVALID, "list of cores: room for 0, need at least 1");
    Q35_TRY(q35i_topo_read(&topo));
    uint32_t n = topo.n_cores < quota ? topo.n_cores : quota;
    *n_inout = n < cap ? n : cap;
    memcpy(cpus, topo.cpus, *n_inout * sizeof *cpus);
    q35i_topo_free(&topo);
    return Q35_OK;
}

uint32_t q35i_place_cores(uint32_t *out_quota)
{
    q35i_topo topo;
    *out_quota = q35i_quota_cpus();
    if (q35i_topo_read(&topo) != Q35_OK)
        return 0;
    uint32_t n = topo.n_cores;
    q35i_topo_free(&topo);
    return n;
}

/* Appends ", <name> <size> MiB" when known. */
static void append_cache(char *buf, uint32_t cap, const char *name, uint64_t bytes)
{
    size_t len = strlen(buf);
    if (bytes >= UINT64_C(1) << 20)
        snprintf(buf + len, cap - len, ", %s %llu MiB", name, (unsigned long long)(bytes >> 20));
    else if (bytes > 0)
        snprintf(buf + len, cap - len, ", %s %llu KiB", name, (unsigned long long)(bytes >> 10));
}

const char *q35i_place_summary(char *buf, uint32_t cap)
{
    q35i_topo topo;
    if (cap == 0)
        return "";
    if (q35i_topo_read(&topo) != Q35_OK) {
        snprintf(buf, cap, "unknown machine");
        return buf;
    }
    uint32_t quota = q35i_quota_cpus();
    snprintf(buf, cap, "%u core%s", topo.n_cores, topo.n_cores == 1 ? "" : "s");
    if (quota < topo.n_cores) {
        size_t len = strlen(buf);
        snprintf(buf + len, cap - len, " (time for %u)", quota);
    }
    if (topo.n_numa > 0) {
        size_t len = strlen(buf);
        snprintf(buf + len, cap - len, ", %u NUMA node%s", topo.n_numa, topo.n_numa == 1 ? "" : "s");
    }
    append_cache(buf, cap, "L2", topo.l2_bytes);
    append_cache(buf, cap, "L3", topo.l3_bytes);
    q35i_topo_free(&topo);
    return buf;
}

const char *q35i_place_cpu_name(char *buf, uint32_t cap)
{
    char line[256];
    if (cap == 0)
        return "";
    snprintf(buf, cap, "unknown processor");
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (!f)
        return buf;
    while (fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (!colon || (strncmp(line, "model name", 10) != 0 && strncmp(line, "Model", 5) != 0))
            continue;
        colon += 1 + strspn(colon + 1, " \t");
        snprintf(buf, cap, "%.*s", (int)strcspn(colon, "\n"), colon);
        break;
    }
    fclose(f);
    return buf;
}
