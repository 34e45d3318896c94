/* SPDX-License-Identifier: Apache-2.0
 *
 * How failures are made and passed on: one record per thread, three macros. The record is a fixed buffer, so
 * failing works when memory is gone. */
#ifndef Q35I_ERROR_H
#define Q35I_ERROR_H

#include <q35rt/status.h>

/* Writes the thread's error record and returns code. */
Q35_PRINTF(2, 3) q35_status q35i_fail(q35_status code, const char *fmt, ...);

/* Prefixes the thread's error record with "fmt: " and returns code unchanged. */
Q35_PRINTF(2, 3) q35_status q35i_fail_context(q35_status code, const char *fmt, ...);

#define Q35_FAIL(code, ...) q35i_fail((code), __VA_ARGS__)

/* Returns from the function when expr fails. */
#define Q35_TRY(expr)                                                                                             \
    do {                                                                                                          \
        q35_status q35_try_ = (expr);                                                                             \
        if (q35_try_ != Q35_OK)                                                                                   \
            return q35_try_;                                                                                      \
    } while (0)

/* Stores the status in the local `status` and jumps to label when expr fails. */
#define Q35_TRY_GOTO(expr, label)                                                                                 \
    do {                                                                                                          \
        status = (expr);                                                                                          \
        if (status != Q35_OK)                                                                                     \
            goto label;                                                                                           \
    } while (0)

#endif
