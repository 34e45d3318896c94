/* SPDX-License-Identifier: Apache-2.0
 *
 * Well-formed UTF-8, one character at a time. Pure. */
#ifndef Q35I_UTF8_H
#define Q35I_UTF8_H

#include <stdint.h>

/* The first character of bytes[0..n), n >= 1 (Unicode 15, table 3-7):
 *   1..4   its length
 *   0      the bytes end inside a character that is well formed so far
 *   -1..-3 that many bytes are the longest start of a character, and the byte after them rules it out */
int q35i_utf8_char(const uint8_t *bytes, uint64_t n);

#endif
