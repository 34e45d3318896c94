/* SPDX-License-Identifier: Apache-2.0
 *
 * tokenizer.model of SentencePiece: a ModelProto (sentencepiece_model.proto). Only BPE with byte fallback and
 * without a normalising table, as Llama 2 and Mistral's are. The types of its pieces have the numbers of GGUF. */
#include "runtime/model/hf_tokenizer.h"
#include "runtime/model/tok_proto.h"

#include "runtime/base/error.h"
#include "runtime/model/quote.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { PIECES = 1, TRAINER = 2, NORMALIZER = 3, DENORMALIZER = 5 }; /* fields of ModelProto */

/* Numbers, defaults and names of the fields that change tokens. */
typedef struct settings {
    uint64_t model_type, byte_fallback, space_suffix;              /* trainer_spec 3, 35, 24 */
    uint64_t dummy_prefix, remove_extra_spaces, escape_whitespace; /* normalizer_spec 3, 4, 5 */
    uint64_t table_bytes;                                          /* normalizer_spec 2 */
    q35_string normalizer;                                         /* its name */
    q35_string names[Q35I_TOK_ROLES];                              /* trainer_spec 45 to 48 */
} settings;

typedef struct sp {
    const char *name;
    const uint8_t *image;
    settings said;
} sp;

static q35_status broken(const sp *s, const q35i_proto *at, const char *need)
{
    return Q35_FAIL(Q35_E_FORMAT, "%s: byte %" PRIu64 ": not %s, need a SentencePiece model", s->name,
                    (uint64_t)(at->p - s->image), need);
}

static q35_status read_trainer(sp *s, q35i_proto message)
{
    static const int roles[] = {Q35I_TOK_UNK, Q35I_TOK_BOS, Q35I_TOK_EOS, Q35I_TOK_PAD};
    q35i_proto_field f;
    while (q35i_proto_next(&message, &f)) {
        if (f.wire == Q35I_PROTO_BYTES && f.number >= 45 && f.number <= 48)
            s->said.names[roles[f.number - 45]] = q35i_proto_text(&f.bytes);
        if (f.wire != Q35I_PROTO_VARINT)
            continue;
        if (f.number == 3)
            s->said.model_type = f.value;
        else if (f.number == 24)
            s->said.space_suffix = f.value;
        else if (f.number == 35)
            s->said.byte_fallback = f.value;
    }
    return q35i_proto_ended(&message) ? Q35_OK : broken(s, &message, "a field of trainer_spec");
}

static q35_status read_normalizer(sp *s, q35i_proto message, bool back)
{
    q35i_proto_field f;
    while (q35i_proto_next(&message, &f)) {
        if (f.number == 2 && f.wire == Q35I_PROTO_BYTES)
            s->said.table_bytes |= (uint64_t)(f.bytes.end - f.bytes.p);
        if (back)
            continue;
        if (f.number == 1 && f.wire == Q35I_PROTO_BYTES)
            s->said.normalizer = q35i_proto_text(&f.bytes);
        if (f.wire != Q35I_PROTO_VARINT)
            continue;
        if (f.number == 3)
            s->said.dummy_prefix = f.value;
        else if (f.number == 4)
            s->said.remove_extra_spaces = f.value;
        else if (f.number == 5)
            s->said.escape_whitespace = f.value;
    }
    return q35i_proto_ended(&message) ? Q35_OK : broken(s, &message, "a field of normalizer_spec");
}

/* First pass: settings, and how many pieces there are. */
static q35_status read_settings(sp *s, q35i_proto message, uint64_t *n)
{
    q35i_proto_field f;
    *n = 0;
    while (q35i_proto_next(&message, &f)) {
        if (f.number <= DENORMALIZER && f.wire != Q35I_PROTO_BYTES)
            return broken(s, &message, "after a message");
        *n += f.number == PIECES;
        if (f.number == TRAINER)
            Q35_TRY(read_trainer(s, f.bytes));
        if (f.number == NORMALIZER || f.number == DENORMALIZER)
            Q35_TRY(read_normalizer(s, f.bytes, f.number == DENORMALIZER));
    }
    return q35i_proto_ended(&message) ? Q35_OK : broken(s, &message, "a field");
}

static q35_status check_settings(const sp *s)
{
    static const char *const types[] = {"unknown", "unigram", "BPE", "words", "characters"};
    const settings *said = &s->said;
    if (said->model_type != 2)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: model_type %" PRIu64 " (%s), need 2 (BPE)", s->name,
                        said->model_type, types[said->model_type < 5 ? said->model_type : 0]);
    if (said->byte_fallback == 0)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: no byte_fallback, need it", s->name);
    if (said->table_bytes > 0)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: normalizer '%s' with a table, need identity", s->name,
                        q35i_quote(said->normalizer).text);
    if (said->space_suffix != 0)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: treat_whitespace_as_suffix, need it off", s->name);
    if (said->escape_whitespace == 0)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: no escape_whitespaces, need it", s->name);
    return Q35_OK;
}

static q35_status add_piece(sp *s, q35i_tok *tok, q35i_proto message)
{
    q35_string spelling = {"", 0};
    uint64_t type = Q35I_TOK_NORMAL;
    float score = 0;
    q35i_proto_field f;
    while (q35i_proto_next(&message, &f)) {
        if (f.number == 1 && f.wire == Q35I_PROTO_BYTES) {
            spelling = q35i_proto_text(&f.bytes);
        } else if (f.number == 2 && f.wire == Q35I_PROTO_4) {
            uint32_t bits = (uint32_t)f.value;
            memcpy(&score, &bits, sizeof score);
        } else if (f.number == 3 && f.wire == Q35I_PROTO_VARINT) {
            type = f.value;
        }
    }
    if (!q35i_proto_ended(&message))
        return broken(s, &message, "a field of a piece");
    if (type < Q35I_TOK_NORMAL || type > Q35I_TOK_BYTE)
        return Q35_FAIL(Q35_E_FORMAT, "%s: piece %" PRIu32 ": type %" PRIu64 ", need 1 to 6", s->name, tok->n,
                        type);
    if (!isfinite(score))
        return Q35_FAIL(Q35_E_FORMAT, "%s: piece %" PRIu32 ": score %g, need a finite one", s->name, tok->n,
                        (double)score);
    return q35i_tok_add(tok, spelling, (int32_t)type, score);
}

static void set_roles(const sp *s, q35i_tok *tok)
{
    static const struct {
        int role;
        int32_t type;
        const char *name;
    } defaults[] = {{Q35I_TOK_BOS, Q35I_TOK_CONTROL, "<s>"},
                    {Q35I_TOK_EOS, Q35I_TOK_CONTROL, "</s>"},
                    {Q35I_TOK_UNK, Q35I_TOK_UNKNOWN, "<unk>"},
                    {Q35I_TOK_PAD, Q35I_TOK_CONTROL, "<pad>"}};
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
        q35_string name = s->said.names[defaults[i].role];
        uint32_t id = q35i_tok_find(tok, name.len > 0 ? name : q35i_string_of(defaults[i].name), true);
        if (id != Q35I_TOK_NONE && tok->types[id] == defaults[i].type)
            tok->ids[defaults[i].role] = id;
    }
}

/* ".v3", ".v7m1" at the end of the name: the version of Mistral's tokenizer, of images' apart. */
static void set_version(q35i_tok *tok)
{
    const char *dot = strrchr(tok->name, '.');
    size_t digits = 0;
    if (!dot || dot[1] != 'v')
        return;
    while (dot[2 + digits] >= '0' && dot[2 + digits] <= '9')
        digits++;
    if (digits < 1 || digits > 3 || (dot[2 + digits] != '\0' && dot[2 + digits] != 'm'))
        return;
    memcpy(tok->version, dot + 1, digits + 1);
    tok->version[digits + 1] = '\0';
}

q35_status q35i_tok_read_sentencepiece(q35i_tok *tok, const char *name, const void *image, uint64_t bytes)
{
    sp s = {.name = name,
            .image = image,
            .said = {.model_type = 1, .dummy_prefix = 1, .remove_extra_spaces = 1, .escape_whitespace = 1}};
    q35i_proto message = {image, (const uint8_t *)image + bytes};
    q35i_proto_field f;
    uint64_t n;
    Q35_TRY(read_settings(&s, message, &n));
    if (n == 0)
        return Q35_FAIL(Q35_E_FORMAT, "%s: no pieces, need a SentencePiece model", name);
    Q35_TRY(check_settings(&s));
    Q35_TRY(q35i_tok_init(tok, name, n, true));
    while (q35i_proto_next(&message, &f))
        if (f.number == PIECES)
            Q35_TRY(add_piece(&s, tok, f.bytes));
    tok->model = "llama";
    set_roles(&s, tok);
    set_version(tok);
    tok->add_bos = tok->ids[Q35I_TOK_BOS] != Q35I_TOK_NONE ? Q35I_TOK_YES : Q35I_TOK_NO;
    tok->add_space_prefix = s.said.dummy_prefix != 0 ? Q35I_TOK_YES : Q35I_TOK_NO;
    tok->squeeze_spaces = s.said.remove_extra_spaces != 0 ? Q35I_TOK_YES : Q35I_TOK_NO;
    return Q35_OK;
}
