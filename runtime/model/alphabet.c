/* SPDX-License-Identifier: Apache-2.0
 *
 * The byte alphabet. All its characters take one or two bytes of UTF-8, so longer forms end the decoding. */
#include "runtime/model/alphabet.h"

#include "runtime/base/utf8.h"

static bool stands_for_itself(uint32_t byte)
{
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

void q35i_alphabet_init(q35i_alphabet *alphabet)
{
    uint32_t next = 0x100;
    for (uint32_t c = 0; c < Q35I_ALPHABET_CHARS; c++)
        alphabet->byte_of[c] = -1;
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t c = stands_for_itself(byte) ? byte : next++;
        alphabet->byte_of[c] = (int16_t)byte;
        alphabet->char_of[byte] = (uint16_t)c;
    }
}

uint64_t q35i_alphabet_encode(const q35i_alphabet *alphabet, const uint8_t *bytes, uint64_t n, char *out)
{
    char *p = out;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t c = alphabet->char_of[bytes[i]];
        if (c >= 0x80)
            *p++ = (char)(0xC0 | c >> 6);
        *p++ = (char)(c >= 0x80 ? 0x80 | (c & 0x3F) : c);
    }
    return (uint64_t)(p - out);
}

bool q35i_alphabet_decode(const q35i_alphabet *alphabet, q35_string text, uint8_t *out, uint64_t cap,
                          uint64_t *out_len)
{
    const uint8_t *in = (const uint8_t *)text.data;
    uint64_t n = 0;
    for (uint64_t i = 0; i < text.len;) {
        int length = q35i_utf8_char(in + i, text.len - i);
        if (length < 1 || length > 2 || n == cap)
            return false;
        uint32_t c = length == 1 ? in[i] : (in[i] & 0x1Fu) << 6 | (in[i + 1] & 0x3Fu);
        if (c >= Q35I_ALPHABET_CHARS || alphabet->byte_of[c] < 0)
            return false;
        out[n++] = (uint8_t)alphabet->byte_of[c];
        i += (uint64_t)length;
    }
    *out_len = n;
    return true;
}
