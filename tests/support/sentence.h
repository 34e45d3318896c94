/* SPDX-License-Identifier: Apache-2.0
 *
 * What every error message must be. */
#ifndef Q35T_SENTENCE_H
#define Q35T_SENTENCE_H

#include <q35rt/status.h>

#include <string.h>

/* 1 when the thread's error record is one line of text. */
static inline int q35t_error_is_sentence(void)
{
    const char *text = q35_error_message();
    for (const char *p = text; *p; p++)
        if (*p < 0x20 || *p > 0x7e)
            return 0;
    return strlen(text) > 10;
}

#endif
