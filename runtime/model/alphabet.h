/* SPDX-License-Identifier: Apache-2.0
 *
 * The alphabet in which byte-level vocabularies are written: one printable character per byte. Bytes 33-126,
 * 161-172 and 174-255 stand for themselves, the other 68 for U+0100 onwards in increasing order. Pure. */
#ifndef Q35I_ALPHABET_H
#define Q35I_ALPHABET_H

#include <q35rt/model.h>

#include <stdbool.h>

enum { Q35I_ALPHABET_CHARS = 0x100 + 68 };

typedef struct q35i_alphabet {
    int16_t byte_of[Q35I_ALPHABET_CHARS]; /* by code point; -1: not in the alphabet */
    uint16_t char_of[256];                /* code point by byte */
} q35i_alphabet;

void q35i_alphabet_init(q35i_alphabet *alphabet);

/* Writes n bytes in the alphabet: at most 2 n bytes of UTF-8. Returns how many. */
uint64_t q35i_alphabet_encode(const q35i_alphabet *alphabet, const uint8_t *bytes, uint64_t n, char *out);

/* Bytes that text spells, at most cap of them. False when a character is outside the alphabet or they do not fit.
 */
bool q35i_alphabet_decode(const q35i_alphabet *alphabet, q35_string text, uint8_t *out, uint64_t cap,
                          uint64_t *out_len);

#endif
