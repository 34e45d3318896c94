/* SPDX-License-Identifier: Apache-2.0
 *
 * Text to token ids and back, as the model file defines it. Immutable after creation, usable from any thread. */
#ifndef Q35RT_TOKENIZER_H
#define Q35RT_TOKENIZER_H

#include <q35rt/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct q35_tokenizer q35_tokenizer;

/* Copies what it needs from the model. UNSUPPORTED names an unknown tokenizer model or pre-tokenizer and the known
 * ones; FORMAT for broken vocabularies. */
Q35_API q35_status q35_tokenizer_create(const q35_model *model, q35_tokenizer **out);
Q35_API void q35_tokenizer_destroy(q35_tokenizer *tokenizer);

enum {
    Q35_ENCODE_SPECIAL = 1u << 0, /* control tokens spelled out in the text become their ids; else plain text */
    Q35_ENCODE_BOS = 1u << 1      /* put the beginning-of-sequence id first when the file says so */
};

/* Any bytes are accepted, up to 2^31 - 1 of them; invalid UTF-8 is encoded byte by byte, and a byte for which the
 * vocabulary has no token as U+FFFD or, in SentencePiece vocabularies, the unknown token. *out_ids is returned
 * (free with q35_tokens_free), NULL when *out_n is 0. */
Q35_API q35_status q35_tokenizer_encode(const q35_tokenizer *tokenizer, const char *text, uint64_t len,
                                        uint32_t flags, int32_t **out_ids, uint64_t *out_n);
Q35_API void q35_tokens_free(int32_t *ids);

/* Bytes of one token (special tokens: their spelling; SentencePiece: with spaces for U+2581). NULL for an id
 * outside the vocabulary. Borrowed until destroy. */
Q35_API const char *q35_tokenizer_piece(const q35_tokenizer *tokenizer, int32_t id, uint64_t *out_len);

Q35_API uint32_t q35_tokenizer_n_vocab(const q35_tokenizer *tokenizer);
Q35_API int q35_tokenizer_is_control(const q35_tokenizer *tokenizer, int32_t id);
Q35_API int q35_tokenizer_is_stop(const q35_tokenizer *tokenizer, int32_t id); /* end of sequence or of turn */
Q35_API int32_t q35_tokenizer_bos(const q35_tokenizer *tokenizer);             /* -1: none */

/* What a token means in a stream of generated tokens. */
enum {
    Q35_MARK_NONE = 0,
    Q35_MARK_THINK = 1,     /* reasoning begins */
    Q35_MARK_THINK_END = 2, /* reasoning ends */
    Q35_MARK_TOOL_CALLS = 3 /* a tool call begins */
};
Q35_API uint32_t q35_tokenizer_mark(const q35_tokenizer *tokenizer, int32_t id);

enum {
    Q35_DETOKENIZE_CONTINUE = 1u << 0, /* the text goes on from one before: a space at its start counts */
    Q35_DETOKENIZE_SPECIAL = 1u << 1,  /* control tokens give their spelling */
    Q35_DETOKENIZE_BYTES = 1u << 2     /* bytes as they are, at once, also where they are no text */
};

/* Streaming text: tokens in, whole UTF-8 characters out. One thread at a time. SentencePiece vocabularies put a
 * space in front of a text when encoding; it is left out here. */
typedef struct q35_detokenizer {
    const q35_tokenizer *tokenizer;
    uint32_t flags;  /* Q35_DETOKENIZE_*; set before the first push */
    uint32_t begun;  /* 1: something of the text has come out */
    char pending[8]; /* bytes of an unfinished character */
    uint32_t n_pending;
    char *text; /* result of the last call */
    uint64_t cap;
} q35_detokenizer;

Q35_API void q35_detokenizer_init(q35_detokenizer *d, const q35_tokenizer *tokenizer);
Q35_API void q35_detokenizer_free(q35_detokenizer *d);
/* Appends a token; *out_text (borrowed until the next call) is what can be shown now, control tokens give nothing.
 * A byte that can never become a character is replaced by U+FFFD. */
Q35_API q35_status q35_detokenizer_push(q35_detokenizer *d, int32_t id, const char **out_text, uint64_t *out_len);
/* What is left at the end: "" or U+FFFD for an unfinished character. */
Q35_API q35_status q35_detokenizer_finish(q35_detokenizer *d, const char **out_text, uint64_t *out_len);

/* ---- chat ---- */

/* A piece of a message. A THINK part is a model's reasoning; formats without such blocks refuse it. */
enum { Q35_PART_TEXT = 0, Q35_PART_THINK = 1 };
typedef struct q35_part {
    uint32_t kind;    /* Q35_PART_* */
    const char *text; /* plain text, NUL-terminated; control tokens in it stay plain text */
} q35_part;

/* A call of a tool, made by the assistant. */
typedef struct q35_tool_call {
    const char *id; /* NULL: none */
    const char *name;
    const char *arguments; /* JSON object; "" counts as {} */
} q35_tool_call;

typedef struct q35_message {
    const char *role; /* "system", "user", "assistant", "tool" */
    const q35_part *parts;
    uint32_t n_parts;           /* 0 only for an assistant with tool calls */
    const q35_tool_call *calls; /* assistant */
    uint32_t n_calls;
    const char *call_id; /* tool: the id of the call it answers, NULL: none */
    const char *name;    /* tool: its name, NULL: none */
} q35_message;

typedef struct q35_conversation {
    const q35_message *messages;
    uint32_t n_messages;
    const char
        *tools; /* JSON array of tools in OpenAI's form ({"type": "function", "function": ...}), NULL: none */
} q35_conversation;

/* Name of the chat format, "" for a file without one: "chatml", "llama3", "mistral-v1" ... "mistral-v13",
 * "template" for another template that can be run, "unknown" for one that cannot. Static string. */
Q35_API const char *q35_tokenizer_chat_format(const q35_tokenizer *tokenizer);

/* Renders a conversation in the file's chat format, ending where the assistant's answer begins (no generation
 * prompt when the last message is the assistant's). Text of the format becomes control tokens, contents never do.
 * UNSUPPORTED when the template uses what is not known (names it, the known formats and --raw), or the format has
 * no way to say something (a tool in a format without tools); INVALID names the message that is out of order. */
Q35_API q35_status q35_tokenizer_chat(const q35_tokenizer *tokenizer, const q35_conversation *conversation,
                                      int32_t **out_ids, uint64_t *out_n);

#ifdef __cplusplus
}
#endif
#endif
