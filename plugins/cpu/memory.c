/* SPDX-License-Identifier: Apache-2.0
 *
 * How much host memory is to be had. In a container the limit is the control group's (version 2), not the
 * machine's.
 */
#define _GNU_SOURCE
#include "cpu.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Value of the first line "name number" of a file; false: there is none. name "": the line is the number. */
static bool read_number(const char *path, const char *name, uint64_t *out)
{
    char line[256];
    bool found = false;
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    while (!found && fgets(line, sizeof line, file))
        found = strncmp(line, name, strlen(name)) == 0 && sscanf(line + strlen(name), "%" SCNu64, out) == 1;
    fclose(file);
    return found;
}

/* Folder of a process's group, from the line "0::/path" of its cgroup file. */
static bool group_folder(const char *cgroup, const char *root, char *out, size_t cap)
{
    char line[512];
    bool found = false;
    FILE *file = fopen(cgroup, "re");
    if (!file)
        return false;
    while (!found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        found = strncmp(line, "0::/", 4) == 0 && (size_t)snprintf(out, cap, "%s%s", root, line + 3) < cap;
    }
    fclose(file);
    return found;
}

uint64_t q35i_cpu_group_memory(const char *cgroup, const char *root)
{
    char folder[600], path[640];
    uint64_t limit, used, cache = 0;
    if (!group_folder(cgroup, root, folder, sizeof folder))
        return UINT64_MAX;
    snprintf(path, sizeof path, "%s/memory.max", folder);
    if (!read_number(path, "", &limit))
        return UINT64_MAX;
    snprintf(path, sizeof path, "%s/memory.current", folder);
    if (!read_number(path, "", &used))
        return UINT64_MAX;
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    (void)read_number(path, "inactive_file ", &cache);
    used -= cache < used ? cache : used;
    return limit > used ? limit - used : 1;
}

uint64_t q35i_cpu_available_memory(void)
{
    uint64_t kib, left = q35i_cpu_group_memory("/proc/self/cgroup", "/sys/fs/cgroup");
    if (!read_number("/proc/meminfo", "MemAvailable:", &kib))
        return left == UINT64_MAX ? 0 : left;
    return kib * 1024 < left ? kib * 1024 : left;
}
