/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the library's log lines go. Internally synchronised. */
#ifndef Q35RT_LOG_H
#define Q35RT_LOG_H

#include <q35rt/export.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { Q35_LOG_ERROR = 0, Q35_LOG_WARN = 1, Q35_LOG_INFO = 2, Q35_LOG_DEBUG = 3 };

/* line: no newline, borrowed during the call. May be called from any thread, one call at a time. */
typedef void (*q35_log_sink)(void *user, int level, const char *line);

/* Replaces the sink (NULL: silence, the default) and the highest level passed to it. */
Q35_API void q35_log_set(q35_log_sink sink, void *user, int max_level);

#ifdef __cplusplus
}
#endif
#endif
