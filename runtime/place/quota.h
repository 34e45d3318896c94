/* SPDX-License-Identifier: Apache-2.0
 *
 * CPU time limit of the control group (cgroup v2 cpu.max), in whole CPUs. */
#ifndef Q35I_QUOTA_H
#define Q35I_QUOTA_H

#include <stdint.h>

/* CPUs' worth of time this process may use, rounded up, at least 1; UINT32_MAX without a limit. */
uint32_t q35i_quota_cpus(void);

/* The same below sysfs, usually "/sys", for groups: the text of /proc/self/cgroup, which it changes. */
uint32_t q35i_quota_find(const char *sysfs, char *groups);

/* Text of a cpu.max file: "max 100000" or "150000 100000". UINT32_MAX for "max" and for anything malformed. */
uint32_t q35i_quota_parse(const char *text);

#endif
