/* SPDX-License-Identifier: Apache-2.0
 *
 * The table through which members of a group in one process find one another. Any thread. */
#ifndef Q35I_GROUP_TABLE_H
#define Q35I_GROUP_TABLE_H

#include <q35rt/status.h>

typedef struct q35i_group_table q35i_group_table;

q35i_group_table *q35i_group_table_create(void); /* NULL: out of memory */
void q35i_group_table_destroy(q35i_group_table *table);

/* As q35_comm_options.put and get; user: the table. */
q35_status q35i_group_table_put(void *user, const char *key, const void *value, uint64_t bytes);
q35_status q35i_group_table_get(void *user, const char *key, void *value, uint64_t *inout_bytes,
                                uint64_t timeout_ns);

#endif
