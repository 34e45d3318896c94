/* SPDX-License-Identifier: Apache-2.0
 *
 * Small tokenizer files, right or wrong, made in memory, and what they become. In a Check test. */
#ifndef Q35T_TOK_SAMPLES_H
#define Q35T_TOK_SAMPLES_H

#include "runtime/model/hf_tokenizer.h"

#include <stddef.h>

typedef struct tok_text { /* release text with free */
    char *text;
    size_t len;
} tok_text;

/* tekken.json: the 256 bytes, then "ab", " a" and "\xC3\xA9". */
typedef struct tekken_spec {
    const char *version;  /* NULL: no such member */
    const char *specials; /* JSON list, NULL: no such member */
    const char *pattern;  /* as in JSON, NULL: that of Tekken */
    const char *entry;    /* member of the vocabulary after those, NULL: none */
    int n_special, n_vocab;
} tekken_spec;
tekken_spec tekken_spec_default(void); /* v3, 20 special tokens that the file does not list */
tok_text tekken_file(const tekken_spec *spec);

/* tokenizer.json; members as JSON, NULL: null. */
typedef struct json_spec {
    const char *added, *normalizer, *pre_tokenizer, *post_processor, *decoder;
    const char *model; /* members of the model before vocab and merges, with the comma */
    const char *vocab, *merges;
} json_spec;
json_spec json_spec_byte_level(void); /* gpt-2: a, b, ab, U+0120 */
/* Metaspace: unk, s, /s, 256 bytes, then U+2581, a, b, ab and U+2581 ab as 259 to 263. Not reentrant. */
json_spec json_spec_pieces(void);
tok_text json_file(const json_spec *spec);

/* tokenizer.model of SentencePiece with the pieces of json_spec_pieces. */
typedef struct model_spec {
    unsigned model_type, byte_fallback, dummy_prefix, remove_extra_spaces, escape_whitespaces, suffix;
    const char *table;       /* of the normalizer, NULL: none */
    const char *piece;       /* one more, NULL: none */
    unsigned piece_type;     /* of it */
    const char *score_bytes; /* of it, 4 bytes; NULL: zero */
    const char *bos;         /* bos_piece, NULL: not said */
} model_spec;
model_spec model_spec_default(void);
tok_text model_file(const model_spec *spec);

/* Lines of ranks: the 256 bytes, then pairs of bytes up to n. */
tok_text ranks_file(unsigned n);

/* Formatted text into a file of the temporary directory. */
void write_sample(const char *name, tok_text text);
void write_text(const char *name, const char *text);

typedef q35_status (*tok_reader)(q35i_tok *tok, const char *name, const void *image, uint64_t bytes);

/* Reads and writes; keys are left alone after a failure. */
q35_status tok_translate(tok_reader read, const char *name, tok_text file, uint64_t rows, q35i_meta_list *keys);

/* Values of keys; a key that is missing or of another type fails the test. */
q35_string key_string(const q35i_meta_list *keys, const char *key);
uint64_t key_count(const q35i_meta_list *keys, const char *key);
q35_string key_string_at(const q35i_meta_list *keys, const char *key, uint64_t i);
int64_t key_int_at(const q35i_meta_list *keys, const char *key, uint64_t i); /* scalars: 0 */

/* Assertions. */
void expect_string(const q35i_meta_list *keys, const char *key, const char *value);
void expect_int(const q35i_meta_list *keys, const char *key, int64_t value);
void expect_token(const q35i_meta_list *keys, uint64_t id, const char *spelling, int type);
void expect_absent(const q35i_meta_list *keys, const char *key);

#endif
