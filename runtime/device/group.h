/* SPDX-License-Identifier: Apache-2.0
 *
 * Collective operations among devices: by their plugin where all are of one that has the collectives extension,
 * else in host memory, with sums in the order of the ranks. One thread at a time. */
#ifndef Q35I_GROUP_H
#define Q35I_GROUP_H

#include "runtime/device/device.h"

enum { Q35I_GROUP_MAX = 16 };

typedef struct q35i_group q35i_group;

/* members[rank], borrowed until destroy. timeout_ns: of each operation of a plugin's, UINT64_MAX: none. */
q35_status q35i_group_create(q35i_device *const *members, uint32_t n, uint64_t timeout_ns, q35i_group **out);
void q35i_group_destroy(q35i_group *group); /* NULL ok */

int q35i_group_is_direct(const q35i_group *group); /* 1: the plugin's */

/* data[rank]: count numbers, F32 or I32, in memory of the member: a host address or a buffer. Nothing is queued on
 * them. When it returns, all hold the sum, with the same bits. Repetitions have the same bits, but the two ways
 * may differ in the order of additions. A failure names the member and ends the group. */
q35_status q35i_group_all_reduce(q35i_group *group, const q35_binding *data, uint64_t count, uint32_t dtype);

/* wholes[rank] = all parts, bytes each, by rank. */
q35_status q35i_group_all_gather(q35i_group *group, const q35_binding *parts, const q35_binding *wholes,
                                 uint64_t bytes);

#endif
