/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a plugin fits this host: pure tests of its note (before loading) and of its table (after). */
#ifndef Q35I_CHECK_H
#define Q35I_CHECK_H

#include <q35rt/status.h>

/* What the host offers; a parameter, so that tests can be other hosts. */
typedef struct q35i_host_facts {
    uint32_t abi_major, abi_minor, machine, sanitizer, isa;
} q35i_host_facts;

q35i_host_facts q35i_host_facts_here(void);

/* file: last path component, which must be libq35rt-<id>.so. VERSION or UNSUPPORTED. */
q35_status q35i_check_note(const q35_note *note, const q35i_host_facts *host, const char *file);

/* The table q35_plugin_query returned: type, size, versions, id as in the note, required slots, groups whole or
 * absent. */
q35_status q35i_check_table(const q35_plugin *api, const q35_note *note, const q35i_host_facts *host);

int q35i_table_has_l1(const q35_plugin *api); /* of a table that passed q35i_check_table */

#endif
