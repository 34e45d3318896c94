/* SPDX-License-Identifier: Apache-2.0
 *
 * The limit is the smallest along the path from this process' group to the root. Files that are missing set no
 * limit. */
#define _GNU_SOURCE
#include "quota.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool read_text(const char *path, char *out, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, out, cap - 1);
    close(fd);
    if (n < 0)
        return false;
    out[n] = '\0';
    return true;
}

uint32_t q35i_quota_parse(const char *text)
{
    uint64_t quota, period;
    if (sscanf(text, "%" SCNu64 " %" SCNu64, &quota, &period) != 2 || quota == 0 || period == 0)
        return UINT32_MAX;
    uint64_t cpus = quota / period + (quota % period != 0);
    return cpus < UINT32_MAX ? (uint32_t)cpus : UINT32_MAX;
}

uint32_t q35i_quota_cpus(void)
{
    char groups[4096], path[4600], text[64];
    uint32_t limit = UINT32_MAX;
    if (!read_text("/proc/self/cgroup", groups, sizeof groups))
        return limit;
    char *group = strncmp(groups, "0::", 3) == 0 ? groups : strstr(groups, "\n0::");
    if (!group)
        return limit;
    group = strchr(group, '/');
    if (!group)
        return limit;
    group[strcspn(group, "\n")] = '\0';
    for (;;) {
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
        if (read_text(path, text, sizeof text)) {
            uint32_t cpus = q35i_quota_parse(text);
            limit = cpus < limit ? cpus : limit;
        }
        char *slash = strrchr(group, '/');
        if (!slash)
            return limit;
        *slash = '\0';
    }
}
