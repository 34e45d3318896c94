/* SPDX-License-Identifier: Apache-2.0
 *
 * The limit is the smallest along the path from this process' group to the root. Files that are missing set no
 * limit. */
#include "quota.h"

#include "runtime/base/env.h"
#include "runtime/base/file_io.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

uint32_t q35i_quota_parse(const char *text)
{
    uint64_t quota, period;
    if (sscanf(text, "%" SCNu64 " %" SCNu64, &quota, &period) != 2 || quota == 0 || period == 0)
        return UINT32_MAX;
    uint64_t cpus = quota / period + (quota % period != 0);
    return cpus < UINT32_MAX ? (uint32_t)cpus : UINT32_MAX;
}

uint32_t q35i_quota_find(const char *sysfs, char *groups)
{
    char path[4600], text[64];
    uint32_t limit = UINT32_MAX;
    char *group = strncmp(groups, "0::", 3) == 0 ? groups : strstr(groups, "\n0::");
    group = group ? strchr(group, '/') : NULL;
    if (!group)
        return limit;
    group[strcspn(group, "\n")] = '\0';
    for (;;) {
        int n = snprintf(path, sizeof path, "%s/fs/cgroup%s/cpu.max", sysfs, group);
        if (n > 0 && (size_t)n < sizeof path && q35i_read_small(path, text, sizeof text)) {
            uint32_t cpus = q35i_quota_parse(text);
            limit = cpus < limit ? cpus : limit;
        }
        char *slash = strrchr(group, '/');
        if (!slash)
            return limit;
        *slash = '\0';
    }
}

uint32_t q35i_quota_cpus(void)
{
    char groups[4096];
    const char *sysfs = q35i_env("Q35RT_SYSFS");
    if (!q35i_read_small("/proc/self/cgroup", groups, sizeof groups))
        return UINT32_MAX;
    return q35i_quota_find(sysfs ? sysfs : "/sys", groups);
}
