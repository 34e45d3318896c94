/* SPDX-License-Identifier: Apache-2.0
 *
 * Conversations as token ids. Contents are encoded without control tokens, so that a message cannot end its own
 * turn or start another's. */
#include "runtime/base/error.h"
#include "runtime/model/quote.h"
#include "runtime/text/chat_render.h"

#include <inttypes.h>
#include <string.h>

const char *q35_tokenizer_chat_format(const q35_tokenizer *tokenizer)
{
    return tokenizer->chat.name ? tokenizer->chat.name : "";
}

static q35_status check_message(const q35_message *message, uint32_t i)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    bool known = false, assistant, complete;
    if (!message->role)
        return Q35_FAIL(Q35_E_INVALID, "message %" PRIu32 ": no role, need role and content", i);
    for (size_t r = 0; r < sizeof roles / sizeof *roles; r++)
        known = known || strcmp(message->role, roles[r]) == 0;
    if (!known) {
        q35_string role = {message->role, strlen(message->role)};
        return Q35_FAIL(Q35_E_INVALID, "message %" PRIu32 ": role '%s', need system, user, assistant or tool", i,
                        q35i_quote(role).text);
    }
    assistant = strcmp(message->role, "assistant") == 0;
    complete = message->n_parts > 0 || (assistant && message->n_calls > 0);
    for (uint32_t k = 0; k < message->n_parts; k++)
        complete = complete && message->parts[k].text;
    if (!complete)
        return Q35_FAIL(Q35_E_INVALID, "message %" PRIu32 ": no content, need role and content", i);
    if (message->n_calls > 0 && !assistant)
        return Q35_FAIL(Q35_E_INVALID, "message %" PRIu32 ": tool calls of %s, need the assistant's", i,
                        message->role);
    for (uint32_t k = 0; k < message->n_calls; k++)
        if (!message->calls[k].name)
            return Q35_FAIL(Q35_E_INVALID, "message %" PRIu32 ": a tool call without a name, need one", i);
    return Q35_OK;
}

q35_status q35i_chat_check(const q35_conversation *conversation)
{
    if (!conversation->messages || conversation->n_messages == 0)
        return Q35_FAIL(Q35_E_INVALID, "chat: 0 messages, need at least 1");
    for (uint32_t i = 0; i < conversation->n_messages; i++)
        Q35_TRY(check_message(&conversation->messages[i], i));
    return Q35_OK;
}

/* A template that leaves the beginning of the sequence to the tokenizer gets it. */
static q35_status render_template(q35i_encoder *encoder, const q35_conversation *conversation)
{
    const q35_tokenizer *t = encoder->tokenizer;
    const char *bos = t->chat.bos;
    q35i_jout text = {0};
    q35_status status;
    Q35_TRY_GOTO(q35i_chat_template(&t->chat, conversation, -1, &text), done);
    if (t->add_bos &&
        !(bos && text.n >= strlen(bos) && text.marks[0] && memcmp(text.bytes, bos, strlen(bos)) == 0))
        Q35_TRY_GOTO(q35i_encoder_id(encoder, t->bos), done);
    Q35_TRY_GOTO(q35i_chat_encode(encoder, &text), done);
done:
    q35i_jout_free(&text);
    return status;
}

q35_status q35_tokenizer_chat(const q35_tokenizer *tokenizer, const q35_conversation *conversation,
                              int32_t **out_ids, uint64_t *out_n)
{
    const q35i_chat_format *chat = &tokenizer->chat;
    q35i_encoder encoder = {0};
    q35_status status = Q35_OK;
    *out_ids = NULL;
    *out_n = 0;
    if (chat->kind == Q35I_CHAT_NONE)
        return Q35_FAIL(Q35_E_UNSUPPORTED,
                        "tokenizer.chat_template: missing, need one for a chat; known are " Q35I_CHAT_KNOWN
                        "; --raw goes without");
    if (chat->kind == Q35I_CHAT_UNKNOWN)
        return Q35_FAIL(Q35_E_UNSUPPORTED,
                        "%s; known are " Q35I_CHAT_KNOWN " and what can be run; --raw goes without", chat->reason);
    Q35_TRY(q35i_chat_check(conversation));
    Q35_TRY_GOTO(q35i_encoder_init(&encoder, tokenizer), done);
    Q35_TRY_GOTO(chat->kind == Q35I_CHAT_MISTRAL ? q35i_chat_mistral(&encoder, chat->version, conversation)
                                                 : render_template(&encoder, conversation),
                 done);
    q35i_encoder_take(&encoder, out_ids, out_n);
done:
    q35i_encoder_free(&encoder);
    return status;
}
