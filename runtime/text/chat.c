/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages in the file's chat format. A turn's text is encoded without control tokens, so that a message cannot
 * end its own turn or start another's. ChatML: <|im_start|>role\ncontent<|im_end|>\n per turn, then
 * <|im_start|>assistant\n. */
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/model/quote.h"
#include "runtime/text/encode.h"

#include <inttypes.h>
#include <string.h>

const char *q35_tokenizer_chat_format(const q35_tokenizer *tokenizer)
{
    return tokenizer->chat.kind == Q35I_CHAT_NONE ? "" : tokenizer->chat.kind == Q35I_CHAT_ML ? "chatml" : "unknown";
}

static q35_status control_token(const q35_tokenizer *tokenizer, const char *spelling, uint32_t *out)
{
    *out = q35i_vocab_special(&tokenizer->vocab, (const uint8_t *)spelling, strlen(spelling));
    if (*out == Q35I_NO_TOKEN)
        return Q35_FAIL(Q35_E_FORMAT,
                        "chat template: control token '%s' is not in the vocabulary, need it for chatml",
                        spelling);
    return Q35_OK;
}

static q35_status check_message(const q35_message *message, uint32_t i)
{
    static const char *const roles[] = {"system", "user", "assistant"};
    if (!message->role || message->n_parts != 1 || !message->parts[0].text)
        return Q35_FAIL(Q35_E_INVALID, "message %" PRIu32 ": no %s, need role and content", i,
                        message->role ? "content" : "role");
    for (size_t r = 0; r < sizeof roles / sizeof *roles; r++)
        if (strcmp(message->role, roles[r]) == 0)
            return Q35_OK;
    q35_string role = {message->role, strlen(message->role)};
    return Q35_FAIL(Q35_E_INVALID, "message %" PRIu32 ": role '%s', need system, user or assistant", i,
                    q35i_quote(role).text);
}

/* "role\ncontent" in one text: a line end at the start of the content may join the one after the role. */
static q35_status add_turn(q35i_encoder *encoder, uint32_t start, uint32_t end, const q35_message *message)
{
    size_t role = strlen(message->role), content = strlen(message->parts[0].text);
    q35_status status = Q35_OK;
    char *text = q35i_calloc((uint64_t)role + content + 1, 1);
    if (!text)
        return Q35_E_NOMEM;
    memcpy(text, message->role, role);
    text[role] = '\n';
    memcpy(text + role + 1, message->parts[0].text, content);
    Q35_TRY_GOTO(q35i_encoder_id(encoder, start), done);
    Q35_TRY_GOTO(q35i_encoder_text(encoder, text, role + content + 1, false), done);
    Q35_TRY_GOTO(q35i_encoder_id(encoder, end), done);
    Q35_TRY_GOTO(q35i_encoder_text(encoder, "\n", 1, false), done);
done:
    q35i_free(text);
    return status;
}

static q35_status render_chatml(q35i_encoder *encoder, const q35_message *messages, uint32_t n)
{
    static const char answer[] = "assistant\n";
    const q35_tokenizer *t = encoder->tokenizer;
    uint32_t start, end;
    Q35_TRY(control_token(t, "<|im_start|>", &start));
    Q35_TRY(control_token(t, "<|im_end|>", &end));
    if (t->add_bos)
        Q35_TRY(q35i_encoder_id(encoder, t->bos));
    if (t->chat.default_system && strcmp(messages[0].role, "system") != 0) {
        const q35_part part = {Q35_PART_TEXT, t->chat.default_system};
        const q35_message system = {.role = "system", .parts = &part, .n_parts = 1};
        Q35_TRY(add_turn(encoder, start, end, &system));
    }
    for (uint32_t i = 0; i < n; i++)
        Q35_TRY(add_turn(encoder, start, end, &messages[i]));
    Q35_TRY(q35i_encoder_id(encoder, start));
    return q35i_encoder_text(encoder, answer, strlen(answer), false);
}

q35_status q35_tokenizer_chat(const q35_tokenizer *tokenizer, const q35_conversation *conversation,
                              int32_t **out_ids, uint64_t *out_n)
{
    const q35_message *messages = conversation->messages;
    uint32_t n = conversation->n_messages;
    q35i_encoder encoder = {0};
    q35_status status = Q35_OK;
    *out_ids = NULL;
    *out_n = 0;
    if (tokenizer->chat.kind == Q35I_CHAT_NONE)
        return Q35_FAIL(Q35_E_UNSUPPORTED,
                        "tokenizer.chat_template: missing, need one for a chat; --raw goes without");
    if (tokenizer->chat.kind != Q35I_CHAT_ML)
        return Q35_FAIL(Q35_E_UNSUPPORTED,
                        "tokenizer.chat_template: none of the known formats (chatml); --raw goes without");
    if (!messages || n == 0)
        return Q35_FAIL(Q35_E_INVALID, "chat: 0 messages, need at least 1");
    for (uint32_t i = 0; i < n; i++)
        Q35_TRY(check_message(&messages[i], i));
    Q35_TRY_GOTO(q35i_encoder_init(&encoder, tokenizer), done);
    Q35_TRY_GOTO(render_chatml(&encoder, messages, n), done);
    q35i_encoder_take(&encoder, out_ids, out_n);
done:
    q35i_encoder_free(&encoder);
    return status;
}
