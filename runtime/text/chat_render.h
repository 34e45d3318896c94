/* SPDX-License-Identifier: Apache-2.0
 *
 * The two ways to render a conversation. One thread at a time. */
#ifndef Q35I_CHAT_RENDER_H
#define Q35I_CHAT_RENDER_H

#include "runtime/text/chat_format.h"
#include "runtime/text/encode.h"
#include "runtime/text/jinja_out.h"

/* INVALID names the message that lacks something or has an unknown role. */
q35_status q35i_chat_check(const q35_conversation *conversation);

/* What the template writes. now: seconds since the epoch, below 0: the time of the call. */
q35_status q35i_chat_template(const q35i_chat_format *format, const q35_conversation *conversation, int64_t now,
                              q35i_jout *out);

/* Ids of a template's text: control tokens only where it comes from the template. */
q35_status q35i_chat_encode(q35i_encoder *encoder, const q35i_jout *text);

/* The ids that Mistral's own library gives for the version of format. */
q35_status q35i_chat_mistral(q35i_encoder *encoder, uint32_t version, const q35_conversation *conversation);

#endif
