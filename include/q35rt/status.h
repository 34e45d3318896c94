/* SPDX-License-Identifier: Apache-2.0
 *
 * Statuses of the library. The codes themselves are in <q35rt/plugin.h>, since plugins share them.
 *
 * Every fallible function returns q35_status. On failure the calling thread's error record holds one sentence:
 * lower case, the object, the value found and the value needed, no newline. */
#ifndef Q35RT_STATUS_H
#define Q35RT_STATUS_H

#include <q35rt/export.h>
#include <q35rt/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "FORMAT", "NOMEM" ...; "?" for an unknown code. Static string. */
Q35_API const char *q35_status_name(q35_status status);

/* Text of the calling thread's last failure, "" if none. Valid until the thread's next failure. */
Q35_API const char *q35_error_message(void);

#ifdef __cplusplus
}
#endif
#endif
