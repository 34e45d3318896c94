/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of the known chat formats a model's Jinja template stands for. The template is not run: it is brought into
 * a canonical form and compared with the canonical forms of the templates we know, so one with other logic is
 * refused. */
#ifndef Q35I_CHAT_FORMAT_H
#define Q35I_CHAT_FORMAT_H

#include <q35rt/model.h>

enum { Q35I_CHAT_NONE = 0, Q35I_CHAT_UNKNOWN, Q35I_CHAT_ML };

typedef struct q35i_chat_format {
    uint32_t kind;        /* Q35I_CHAT_*; NONE: no template in the file */
    char *default_system; /* text of the system turn put first when the messages have none; NULL: no such turn */
} q35i_chat_format;

/* Reads tokenizer.chat_template. An unknown template is no failure here. out: zeroed. */
q35_status q35i_chat_format_init(q35i_chat_format *out, const q35_model *model);
void q35i_chat_format_free(q35i_chat_format *format);

#endif
