/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/model/tok_base64.h"

static int digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool q35i_base64_is_digit(uint8_t c)
{
    return digit(c) >= 0;
}

/* Bytes of the group at p, -1: not a valid one. */
static int group(const uint8_t *p, bool last, uint8_t *out)
{
    int pads = last ? (p[3] == '=') + (p[3] == '=' && p[2] == '=') : 0;
    uint32_t bits = 0;
    for (int i = 0; i < 4; i++) {
        int d = i < 4 - pads ? digit(p[i]) : 0;
        if (d < 0)
            return -1;
        bits = bits << 6 | (uint32_t)d;
    }
    if (bits & ((1u << 8 * pads) - 1))
        return -1;
    out[0] = (uint8_t)(bits >> 16);
    out[1] = (uint8_t)(bits >> 8);
    out[2] = (uint8_t)bits;
    return 3 - pads;
}

bool q35i_base64_decode(q35_string text, uint8_t *out, uint64_t *out_len)
{
    const uint8_t *p = (const uint8_t *)text.data;
    uint64_t n = 0;
    if (text.len % 4 != 0)
        return false;
    for (uint64_t i = 0; i < text.len; i += 4) {
        int bytes = group(p + i, i + 4 == text.len, out + n);
        if (bytes < 0)
            return false;
        n += (uint64_t)bytes;
    }
    *out_len = n;
    return true;
}
