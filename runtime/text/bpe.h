/* SPDX-License-Identifier: Apache-2.0
 *
 * Byte-level BPE of one piece of text: from bytes to tokens by applying merge rules, lowest rank first, the
 * leftmost on ties. O(n log n) in the bytes of the piece. */
#ifndef Q35I_BPE_H
#define Q35I_BPE_H

#include "runtime/text/merges.h"

/* A run of bytes that is one token; the runs of a piece are a linked list by index of their first byte. */
typedef struct q35i_bpe_symbol {
    uint32_t id;         /* Q35I_NO_TOKEN: a byte without a token */
    uint32_t prev, next; /* UINT32_MAX at the ends */
} q35i_bpe_symbol;

/* Work memory, grown to the longest piece seen. One thread at a time; zero to start with. */
typedef struct q35i_bpe {
    q35i_bpe_symbol *symbols; /* [cap] */
    uint64_t *heap;           /* [2 * cap] rank << 32 | first byte of the left symbol */
    uint32_t cap, n_heap;
} q35i_bpe;

/* Leaves the tokens of piece[0..n), 1 <= n < 2^31, in work->symbols as a list from index 0. */
q35_status q35i_bpe_merge(q35i_bpe *work, const q35i_vocab *vocab, const q35i_merges *merges, const uint8_t *piece,
                          uint32_t n);
void q35i_bpe_free(q35i_bpe *work);

#endif
