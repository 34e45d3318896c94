/* SPDX-License-Identifier: Apache-2.0
 *
 * How a model's chats are rendered: by running the file's own template, or, for Mistral's vocabularies without
 * one, as Mistral's own library does. */
#ifndef Q35I_CHAT_FORMAT_H
#define Q35I_CHAT_FORMAT_H

#include "runtime/text/jinja_ast.h"
#include "runtime/text/vocab.h"

enum { Q35I_CHAT_NONE = 0, Q35I_CHAT_UNKNOWN, Q35I_CHAT_TEMPLATE, Q35I_CHAT_MISTRAL };

#define Q35I_CHAT_KNOWN "chatml, llama3, mistral-v1 to mistral-v13"

typedef struct q35i_chat_format {
    uint32_t kind;    /* Q35I_CHAT_* */
    uint32_t version; /* MISTRAL: 1, 2, 3, 7, 11 or 13 */
    const char *name; /* static */
    q35i_jinja jinja; /* TEMPLATE */
    char *bos, *eos;  /* TEMPLATE: spellings, NULL: none */
    char *reason;     /* UNKNOWN: why the template cannot be used */
} q35i_chat_format;

/* Reads tokenizer.chat_template and tokenizer.mistral.version. A template that cannot be run is no failure here.
 * out: zeroed. */
q35_status q35i_chat_format_init(q35i_chat_format *out, const q35_model *model, const q35i_vocab *vocab);
void q35i_chat_format_free(q35i_chat_format *format); /* zeroed or half-built ok */

#endif
