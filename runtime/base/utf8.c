/* SPDX-License-Identifier: Apache-2.0
 *
 * Well-formed UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF. Those are ruled out by the range of
 * the second byte alone. */
#include "runtime/base/utf8.h"

int q35i_utf8_char(const uint8_t *bytes, uint64_t n)
{
    uint8_t first = bytes[0], low = 0x80, high = 0xBF;
    int length;
    if (first < 0x80)
        return 1;
    if (first < 0xC2 || first > 0xF4)
        return -1;
    if (first < 0xE0) {
        length = 2;
    } else if (first < 0xF0) {
        length = 3;
        low = first == 0xE0 ? 0xA0 : 0x80;
        high = first == 0xED ? 0x9F : 0xBF;
    } else {
        length = 4;
        low = first == 0xF0 ? 0x90 : 0x80;
        high = first == 0xF4 ? 0x8F : 0xBF;
    }
    for (int i = 1; i < length; i++) {
        if ((uint64_t)i >= n)
            return 0;
        if (bytes[i] < low || bytes[i] > high)
            return -i;
        low = 0x80;
        high = 0xBF;
    }
    return length;
}
