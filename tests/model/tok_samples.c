/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* open_memstream */
#include "model/tok_samples.h"

#include "support/expect.h"
#include "support/temp_dir.h"
#include "support/whole_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *begin(tok_text *out)
{
    FILE *f = open_memstream(&out->text, &out->len);
    ck_assert_ptr_nonnull(f);
    return f;
}

static tok_text end(FILE *f, tok_text *out)
{
    ck_assert_int_eq(fclose(f), 0);
    return *out;
}

static void put_base64(FILE *f, const char *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (i + k < n ? (uint8_t)bytes[i + k] : 0u);
        for (size_t k = 0; k < 4; k++)
            fputc(i + k > n ? '=' : digits[bits >> (18 - 6 * k) & 63], f);
    }
}

tekken_spec tekken_spec_default(void)
{
    return (tekken_spec){.version = "v3", .n_special = 20, .n_vocab = 259};
}

tok_text tekken_file(const tekken_spec *spec)
{
    static const char pattern[] =
        "[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?[\\\\p{Lu}\\\\p{Lt}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]*[\\\\p{Ll}\\\\p{Lm}\\\\p{Lo}"
        "\\\\p{M}]+|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?[\\\\p{Lu}\\\\p{Lt}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]+[\\\\p{Ll}\\\\p{"
        "Lm}"
        "\\\\p{Lo}\\\\p{M}]*|\\\\p{N}| "
        "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n/]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|"
        "\\\\s+";
    static const char *const more[] = {"ab", " a", "\xC3\xA9"};
    tok_text out;
    FILE *f = begin(&out);
    fputs("{\"config\": {", f);
    if (spec->version)
        fprintf(f, "\"version\": \"%s\", ", spec->version);
    fprintf(f, "\"pattern\": \"%s\", \"default_vocab_size\": %d, \"default_num_special_tokens\": %d}",
            spec->pattern ? spec->pattern : pattern, spec->n_vocab + spec->n_special, spec->n_special);
    if (spec->specials)
        fprintf(f, ", \"special_tokens\": %s", spec->specials);
    fputs(", \"vocab\": [", f);
    for (int rank = 0; rank < 259; rank++) {
        char byte = (char)rank;
        fprintf(f, "%s{\"rank\": %d, \"token_bytes\": \"", rank > 0 ? ", " : "", rank);
        put_base64(f, rank < 256 ? &byte : more[rank - 256], rank < 256 ? 1 : 2);
        fputs("\", \"token_str\": null}", f);
    }
    if (spec->entry)
        fprintf(f, ", %s", spec->entry);
    fputs("]}", f);
    return end(f, &out);
}

json_spec json_spec_byte_level(void)
{
    return (json_spec){.pre_tokenizer = "{\"type\": \"ByteLevel\", \"add_prefix_space\": false}",
                       .decoder = "{\"type\": \"ByteLevel\"}",
                       .model = "\"type\": \"BPE\", ",
                       .vocab = "{\"a\": 0, \"b\": 1, \"ab\": 2, \"\\u0120\": 3}",
                       .merges = "[\"a b\"]"};
}

json_spec json_spec_pieces(void)
{
    static char vocab[256 * 16 + 256];
    size_t n = (size_t)snprintf(vocab, sizeof vocab, "{\"<unk>\": 0, \"<s>\": 1, \"</s>\": 2");
    for (int byte = 0; byte < 256; byte++)
        n += (size_t)snprintf(vocab + n, sizeof vocab - n, ", \"<0x%02X>\": %d", (unsigned)byte, byte + 3);
    snprintf(vocab + n, sizeof vocab - n,
             ", \"\\u2581\": 259, \"a\": 260, \"b\": 261, \"ab\": 262, \"\\u2581ab\": 263}");
    return (json_spec){.pre_tokenizer = "{\"type\": \"Metaspace\", \"replacement\": \"\\u2581\", "
                                        "\"prepend_scheme\": \"first\", \"split\": false}",
                       .added = "[{\"id\": 1, \"content\": \"<s>\", \"special\": true}, "
                                "{\"id\": 2, \"content\": \"</s>\", \"special\": true}]",
                       .model = "\"type\": \"BPE\", \"byte_fallback\": true, \"unk_token\": \"<unk>\", ",
                       .vocab = vocab,
                       .merges = "[[\"a\", \"b\"], [\"\\u2581\", \"ab\"]]"};
}

tok_text json_file(const json_spec *spec)
{
    tok_text out;
    FILE *f = begin(&out);
    fprintf(f,
            "{\"added_tokens\": %s, \"normalizer\": %s, \"pre_tokenizer\": %s, \"post_processor\": %s, "
            "\"decoder\": %s, \"model\": {%s\"vocab\": %s, \"merges\": %s}}",
            spec->added ? spec->added : "null", spec->normalizer ? spec->normalizer : "null",
            spec->pre_tokenizer ? spec->pre_tokenizer : "null",
            spec->post_processor ? spec->post_processor : "null", spec->decoder ? spec->decoder : "null",
            spec->model, spec->vocab, spec->merges);
    return end(f, &out);
}

static void put_varint(FILE *f, uint64_t value)
{
    for (; value > 127; value >>= 7)
        fputc((int)(value & 127) | 128, f);
    fputc((int)value, f);
}

static void put_int(FILE *f, unsigned field, uint64_t value)
{
    put_varint(f, field << 3);
    put_varint(f, value);
}

static void put_bytes(FILE *f, unsigned field, const char *bytes, size_t n)
{
    put_varint(f, field << 3 | 2);
    put_varint(f, n);
    fwrite(bytes, 1, n, f);
}

static void put_piece(FILE *f, const char *text, const char *score, unsigned type)
{
    tok_text piece;
    FILE *p = begin(&piece);
    put_bytes(p, 1, text, strlen(text));
    fputc(2 << 3 | 5, p);
    fwrite(score, 1, 4, p);
    put_int(p, 3, type);
    end(p, &piece);
    put_bytes(f, 1, piece.text, piece.len);
    free(piece.text);
}

model_spec model_spec_default(void)
{
    return (model_spec){.model_type = 2, .byte_fallback = 1, .dummy_prefix = 1, .escape_whitespaces = 1};
}

static void put_message(FILE *f, unsigned field, FILE *message, tok_text *text)
{
    end(message, text);
    put_bytes(f, field, text->text, text->len);
    free(text->text);
}

tok_text model_file(const model_spec *spec)
{
    static const char *const more[] = {"\xE2\x96\x81", "a", "b", "ab",
                                       "\xE2\x96\x81"
                                       "ab"};
    static const char zero[4] = "";
    tok_text out, text;
    FILE *f = begin(&out);
    put_piece(f, "<unk>", zero, 2);
    put_piece(f, "<s>", zero, 3);
    put_piece(f, "</s>", zero, 3);
    for (unsigned byte = 0; byte < 256; byte++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", byte);
        put_piece(f, name, zero, 6);
    }
    for (int i = 0; i < 5; i++) {
        float score = (float)-i;
        char bytes[4];
        memcpy(bytes, &score, 4);
        put_piece(f, more[i], bytes, 1);
    }
    if (spec->piece)
        put_piece(f, spec->piece, spec->score_bytes ? spec->score_bytes : zero, spec->piece_type);
    FILE *trainer = begin(&text);
    put_int(trainer, 3, spec->model_type);
    put_int(trainer, 24, spec->suffix);
    put_int(trainer, 35, spec->byte_fallback);
    put_int(trainer, 43, UINT64_MAX); /* pad_id -1 */
    if (spec->bos)
        put_bytes(trainer, 46, spec->bos, strlen(spec->bos));
    put_message(f, 2, trainer, &text);
    FILE *normalizer = begin(&text);
    put_bytes(normalizer, 1, "nmt_nfkc", 8);
    if (spec->table)
        put_bytes(normalizer, 2, spec->table, strlen(spec->table));
    put_int(normalizer, 3, spec->dummy_prefix);
    put_int(normalizer, 4, spec->remove_extra_spaces);
    put_int(normalizer, 5, spec->escape_whitespaces);
    put_message(f, 3, normalizer, &text);
    return end(f, &out);
}

tok_text ranks_file(unsigned n)
{
    tok_text out;
    FILE *f = begin(&out);
    for (unsigned rank = 0; rank < n; rank++) {
        unsigned pair = rank - 256;
        char bytes[3] = {(char)rank};
        size_t len = 1;
        if (rank >= 256) {
            len = rank < 256 + 65536 ? 2 : 3;
            bytes[0] = (char)(pair >> 8);
            bytes[1] = (char)pair;
            bytes[2] = 'x';
        }
        put_base64(f, bytes, len);
        fprintf(f, " %u\n", rank);
    }
    return end(f, &out);
}

void write_sample(const char *name, tok_text text)
{
    char path[Q35T_PATH_BYTES];
    q35t_temp_path(path, name);
    q35t_write_file(path, text.text, text.len);
    free(text.text);
}

void write_text(const char *name, const char *text)
{
    char path[Q35T_PATH_BYTES];
    q35t_temp_path(path, name);
    q35t_write_file(path, text, strlen(text));
}

q35_status tok_translate(tok_reader read, const char *name, tok_text file, uint64_t rows, q35i_meta_list *keys)
{
    q35i_tok tok = {0};
    q35_status status = read(&tok, name, file.text, file.len);
    if (status == Q35_OK)
        status = q35i_tok_write(&tok, rows, keys);
    q35i_tok_free(&tok);
    free(file.text);
    return status;
}

static const q35_meta *find(const q35i_meta_list *keys, const char *key, uint32_t type)
{
    const q35_meta *meta = q35i_meta_list_find(keys, key);
    ck_assert_msg(meta != NULL, "%s: missing", key);
    ck_assert_msg(meta->type == type, "%s: type %u, need %u", key, meta->type, type);
    return meta;
}

q35_string key_string(const q35i_meta_list *keys, const char *key)
{
    q35_string s;
    ck_assert(q35_meta_string(find(keys, key, Q35_META_STRING), &s));
    return s;
}

uint64_t key_count(const q35i_meta_list *keys, const char *key)
{
    return find(keys, key, Q35_META_ARRAY)->count;
}

typedef struct wanted {
    uint64_t i;
    q35_string s;
} wanted;

static int take(void *user, uint64_t i, q35_string s)
{
    wanted *w = user;
    w->s = s;
    return i == w->i;
}

q35_string key_string_at(const q35i_meta_list *keys, const char *key, uint64_t i)
{
    wanted w = {.i = i};
    ck_assert_msg(q35_meta_each_string(find(keys, key, Q35_META_ARRAY), take, &w), "%s: no element %llu", key,
                  (unsigned long long)i);
    return w.s;
}

int64_t key_int_at(const q35i_meta_list *keys, const char *key, uint64_t i)
{
    const q35_meta *meta = q35i_meta_list_find(keys, key);
    ck_assert_msg(meta != NULL, "%s: missing", key);
    uint32_t type = meta->type == Q35_META_ARRAY ? meta->elem_type : meta->type;
    int32_t value = 0;
    ck_assert_uint_lt(i, meta->count);
    if (type == Q35_META_BOOL)
        return ((const uint8_t *)meta->data)[i];
    ck_assert_msg(type == Q35_META_I32 || type == Q35_META_U32, "%s: type %u", key, type);
    memcpy(&value, (const uint8_t *)meta->data + i * sizeof value, sizeof value);
    return value;
}

static void expect_text(q35_string s, const char *value, const char *what)
{
    ck_assert_msg(s.len == strlen(value) && memcmp(s.data, value, s.len) == 0, "%s: '%.*s', need '%s'", what,
                  (int)s.len, s.data, value);
}

void expect_string(const q35i_meta_list *keys, const char *key, const char *value)
{
    expect_text(key_string(keys, key), value, key);
}

void expect_int(const q35i_meta_list *keys, const char *key, int64_t value)
{
    int64_t found = key_int_at(keys, key, 0);
    ck_assert_msg(found == value, "%s: %lld, need %lld", key, (long long)found, (long long)value);
}

void expect_token(const q35i_meta_list *keys, uint64_t id, const char *spelling, int type)
{
    int64_t found = key_int_at(keys, "tokenizer.ggml.token_type", id);
    expect_text(key_string_at(keys, "tokenizer.ggml.tokens", id), spelling, "token");
    ck_assert_msg(found == type, "token %llu: type %lld, need %d", (unsigned long long)id, (long long)found, type);
}

void expect_absent(const q35i_meta_list *keys, const char *key)
{
    ck_assert_msg(q35i_meta_list_find(keys, key) == NULL, "%s: is there, need none", key);
}
