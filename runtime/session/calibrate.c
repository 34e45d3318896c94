/* SPDX-License-Identifier: Apache-2.0
 *
 * The windows of tokens of a calibration. Pieces of the text go in turn into running text, cut into windows, and
 * into conversations in the model's chat format, where it has one: a model that answers spends its life behind
 * control tokens that running text never has. Each window of conversations begins with one. */
#include "runtime/session/convert.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"

#include <q35rt/tokenizer.h>

#include <stdio.h>
#include <string.h>

#define PROSE_BYTES  2500u /* about a window; a piece ends with the paragraph */
#define ANSWER_BYTES 900u
#define LONGEST      4000u /* of a piece, where no paragraph ends */
#define QUOTED_BYTES 60u
#define MAX_TURNS    16u

/* Windows one after another. */
typedef struct row {
    int32_t *ids;
    uint64_t n, cap;
} row;

typedef struct reading {
    q35_tokenizer *tokenizer;
    const char *text; /* what is left */
    uint64_t left;
    row prose, chats;
    bool no_chats;
} reading;

static q35_status append(row *r, const int32_t *ids, uint64_t n)
{
    if (n > r->cap - r->n) {
        uint64_t cap = q35i_max(2 * r->cap, r->n + n);
        int32_t *grown = q35i_realloc(r->ids, cap, sizeof *grown);
        if (!grown)
            return Q35_E_NOMEM;
        r->ids = grown;
        r->cap = cap;
    }
    memcpy(r->ids + r->n, ids, n * sizeof *ids);
    r->n += n;
    return Q35_OK;
}

/* Bytes of the next piece: from least on to the end of a paragraph, or to the end of a word when there is none. */
static uint64_t piece(const reading *r, uint64_t least)
{
    uint64_t most = q35i_min(r->left, LONGEST);
    for (uint64_t i = least; i + 1 < most; i++)
        if (r->text[i] == '\n' && r->text[i + 1] == '\n')
            return i + 2;
    if (most == r->left)
        return most;
    for (uint64_t i = most; i > least; i--)
        if (r->text[i - 1] == ' ' || r->text[i - 1] == '\n')
            return i;
    while (((uint8_t)r->text[most] & 0xc0) == 0x80 && most > least)
        most--; /* not inside a character */
    return most;
}

static q35_status add_prose(reading *r)
{
    int32_t *ids = NULL;
    uint64_t n = 0, bytes = piece(r, PROSE_BYTES);
    q35_status status = q35_tokenizer_encode(r->tokenizer, r->text, bytes, 0, &ids, &n);
    if (status == Q35_OK)
        status = append(&r->prose, ids, n);
    q35_tokens_free(ids);
    r->text += bytes;
    r->left -= bytes;
    return status;
}

/* ---- conversations ---- */

typedef struct talk {
    char *texts[2 * MAX_TURNS]; /* requests and answers, owned */
    q35_part parts[2 * MAX_TURNS];
    q35_message messages[2 * MAX_TURNS];
    uint32_t n;
} talk;

static void say(talk *t, const char *role, char *text)
{
    t->texts[t->n] = text;
    t->parts[t->n] = (q35_part){Q35_PART_TEXT, text};
    t->messages[t->n] = (q35_message){.role = role, .parts = &t->parts[t->n], .n_parts = 1};
    t->n++;
}

/* A request for the text that begins like the answer. */
static char *request(uint32_t number, const char *answer)
{
    static const char *const forms[] = {"Continue: ", "Write a text that begins with: ", "What comes after this? ",
                                        "Tell me more. "};
    char text[QUOTED_BYTES + 64];
    size_t n = strcspn(answer, "\n");
    if (n > QUOTED_BYTES)
        for (n = QUOTED_BYTES; n > 0 && ((uint8_t)answer[n] & 0xc0) == 0x80;)
            n--; /* not inside a character */
    int written = snprintf(text, sizeof text, "%s%.*s", forms[number % 4], (int)n, answer);
    return q35i_strndup(text, (size_t)written);
}

static q35_status add_turn(reading *r, talk *t)
{
    uint64_t bytes = piece(r, ANSWER_BYTES), end = bytes;
    while (end > 0 && r->text[end - 1] == '\n')
        end--;
    char *answer = q35i_strndup(r->text, end);
    if (!answer)
        return Q35_E_NOMEM;
    char *ask = request(t->n / 2, answer);
    if (!ask) {
        q35i_free(answer);
        return Q35_E_NOMEM;
    }
    say(t, "user", ask);
    say(t, "assistant", answer);
    r->text += bytes;
    r->left -= bytes;
    return Q35_OK;
}

/* One window: a conversation of as many turns as it takes, cut at the window's end. Where there is not enough text
 * for one, or the format refuses it, that text and all behind it stay running text. */
static q35_status add_chat(reading *r)
{
    talk t = {.n = 0};
    int32_t *ids = NULL;
    uint64_t n = 0;
    q35_status status = Q35_OK;
    const char *text = r->text;
    const uint64_t left = r->left;
    while (status == Q35_OK && n < Q35I_WINDOW && r->left > 0 && t.n < 2 * MAX_TURNS) {
        status = add_turn(r, &t);
        q35_tokens_free(ids);
        ids = NULL;
        const q35_conversation conversation = {.messages = t.messages, .n_messages = t.n};
        if (status == Q35_OK)
            status = q35_tokenizer_chat(r->tokenizer, &conversation, &ids, &n);
    }
    if (status == Q35_OK && n >= Q35I_WINDOW) {
        status = append(&r->chats, ids, Q35I_WINDOW);
    } else if (status != Q35_E_NOMEM) {
        r->no_chats = true;
        r->text = text;
        r->left = left;
        status = Q35_OK;
    }
    q35_tokens_free(ids);
    for (uint32_t i = 0; i < t.n; i++)
        q35i_free(t.texts[i]);
    return status;
}

/* ---- windows ---- */

static q35_status read_text(reading *r)
{
    r->no_chats = strcmp(q35_tokenizer_chat_format(r->tokenizer), "") == 0;
    while (r->left > 0) {
        Q35_TRY(add_prose(r));
        if (!r->no_chats && r->left > 0)
            Q35_TRY(add_chat(r));
    }
    return Q35_OK;
}

/* Of both kinds in turn, so that any part of the windows has both. */
static q35_status interleave(const reading *r, q35i_conversion *c)
{
    uint64_t prose = r->prose.n / Q35I_WINDOW, chats = r->chats.n / Q35I_WINDOW, n = prose + chats;
    c->ids = q35i_calloc(n * Q35I_WINDOW, sizeof *c->ids);
    if (!c->ids)
        return Q35_E_NOMEM;
    c->n_windows = n;
    for (uint64_t i = 0, taken = 0; i < n; i++) {
        bool chat = (i + 1) * chats / n > taken; /* evenly spread */
        const int32_t *from = chat ? r->chats.ids + taken * Q35I_WINDOW : r->prose.ids + (i - taken) * Q35I_WINDOW;
        memcpy(c->ids + i * Q35I_WINDOW, from, Q35I_WINDOW * sizeof *c->ids);
        taken += chat;
    }
    return Q35_OK;
}

q35_status q35i_calibration_read(q35i_conversion *c)
{
    q35_status status;
    reading r = {.text = c->options->calibration_text, .left = c->options->calibration_len};
    Q35_TRY(q35_tokenizer_create(c->in, &r.tokenizer));
    Q35_TRY_GOTO(read_text(&r), out);
    if (r.prose.n + r.chats.n < Q35I_WINDOW)
        status = Q35_FAIL(
            Q35_E_INVALID, "calibration text: %llu bytes, %llu tokens, need at least one window of %u tokens",
            (unsigned long long)c->options->calibration_len, (unsigned long long)r.prose.n, Q35I_WINDOW);
    else
        status = interleave(&r, c);
    c->result.calibration_tokens = c->n_windows * Q35I_WINDOW;
out:
    q35i_free(r.prose.ids);
    q35i_free(r.chats.ids);
    q35_tokenizer_destroy(r.tokenizer);
    return status;
}
