/* SPDX-License-Identifier: Apache-2.0
 *
 * Base64 (RFC 4648, section 4), in which tokenizer files write the bytes of tokens. Pure. */
#ifndef Q35I_TOK_BASE64_H
#define Q35I_TOK_BASE64_H

#include <q35rt/model.h>

#include <stdbool.h>

/* Writes at most text.len / 4 * 3 bytes. False unless text is canonical: whole groups, padding where it must be,
 * unused bits zero. */
bool q35i_base64_decode(q35_string text, uint8_t *out, uint64_t *out_len);

/* True for a character of the alphabet, padding apart. */
bool q35i_base64_is_digit(uint8_t c);

#endif
