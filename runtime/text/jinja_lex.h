/* SPDX-License-Identifier: Apache-2.0
 *
 * Words of a chat template, in Jinja's syntax: text outside of tags, after the white-space rules that chat
 * templates are rendered with (trim_blocks, lstrip_blocks, one line end at the end dropped), and what stands in
 * tags. One thread at a time. */
#ifndef Q35I_JINJA_LEX_H
#define Q35I_JINJA_LEX_H

#include "runtime/text/jinja_value.h"

typedef enum q35i_jtoken_kind {
    Q35I_JT_END,
    Q35I_JT_TEXT,        /* outside of tags */
    Q35I_JT_BEGIN_VALUE, /* {{ */
    Q35I_JT_END_VALUE,
    Q35I_JT_BEGIN_BLOCK, /* {% */
    Q35I_JT_END_BLOCK,
    Q35I_JT_NAME,
    Q35I_JT_STRING, /* text: escapes resolved */
    Q35I_JT_NUMBER,
    Q35I_JT_SIGN /* operators and punctuation */
} q35i_jtoken_kind;

typedef struct q35i_jtoken {
    q35i_jtoken_kind kind;
    uint32_t line;
    q35_string text; /* in the template, or in the heap */
} q35i_jtoken;

typedef struct q35i_jlexer {
    q35i_heap *heap;
    const char *s; /* [n] borrowed; line ends are \n */
    uint64_t n, at;
    uint32_t line;
    uint32_t nesting;  /* open brackets in the tag */
    char tag;          /* '{', '%': inside of one */
    q35i_jtoken token; /* the current one */
} q35i_jlexer;

/* Reads the first token. */
q35_status q35i_jlex_init(q35i_jlexer *lexer, q35i_heap *heap, const char *text, uint64_t n);

/* Goes on to the next token. FORMAT for what is no token. */
q35_status q35i_jlex_next(q35i_jlexer *lexer);

static inline bool q35i_jlex_is(const q35i_jlexer *lexer, q35i_jtoken_kind kind, const char *text)
{
    const q35i_jstr s = {.n = lexer->token.text.len, .bytes = lexer->token.text.data};
    return lexer->token.kind == kind && q35i_jstr_is(&s, text);
}

#endif
