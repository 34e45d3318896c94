/* SPDX-License-Identifier: Apache-2.0
 *
 * Talking to the host: errors, log, memory, answers. */
#ifndef Q35P_HOST_H
#define Q35P_HOST_H

#include <q35rt/plugin.h>

/* Set once by the plugin's q35_plugin_query, before any other slot is called. */
extern const q35_host *q35p_host;

/* host->fail with a text of up to 511 bytes; returns code. */
__attribute__((format(printf, 2, 3))) q35_status q35p_fail(q35_status code, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) void q35p_log(int32_t level, const char *fmt, ...);

/* Zeros from the host, aligned to a cache line, at least one byte; NULL: out of memory. */
void *q35p_alloc(uint64_t count, uint64_t size);
void q35p_free(void *ptr); /* NULL ok */

/* Copies what the caller of a slot knows of a filled answer, leaving its header alone. */
void q35p_answer(q35_hdr *out, const q35_hdr *filled);

#endif
