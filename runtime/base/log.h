/* SPDX-License-Identifier: Apache-2.0
 *
 * Log lines from inside the library. Never on the token path. */
#ifndef Q35I_LOG_H
#define Q35I_LOG_H

#include <q35rt/log.h>

Q35_PRINTF(2, 3) void q35i_log(int level, const char *fmt, ...);

#endif
