/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests that link parts of the command line alone: its error function, which keeps the message. */
#ifndef Q35T_FAIL_RECORDER_H
#define Q35T_FAIL_RECORDER_H

#include "runtime/apps/cli/cli.h"

#include <stdarg.h>
#include <stdio.h>

static char message[512]; /* of the last failure */

int cli_fail(int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    return code;
}

void cli_signals_temporary(const char *path)
{
    (void)path;
}

#endif
