/* SPDX-License-Identifier: Apache-2.0
 *
 * Special tokens in text: the sorted spellings are walked like a trie. All spellings in [low, high) share the
 * first `depth` bytes with the text, so one more byte of text narrows the range, and a spelling of exactly `depth`
 * bytes is the first of its range. */
#include "runtime/text/vocab.h"

#include <string.h>

/* Byte `depth` of the i-th spelling, -1 past its end. */
static int byte_at(const q35i_vocab *vocab, uint32_t i, uint64_t depth)
{
    uint64_t len;
    const uint8_t *piece = q35i_vocab_piece(vocab, vocab->special[i], &len);
    return depth < len ? piece[depth] : -1;
}

/* First i in [low, high) whose byte `depth` is at least `byte`. */
static uint32_t lower_bound(const q35i_vocab *vocab, uint32_t low, uint32_t high, uint64_t depth, int byte)
{
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (byte_at(vocab, middle, depth) < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t q35i_vocab_special_at(const q35i_vocab *vocab, const uint8_t *text, uint64_t n, bool control)
{
    uint32_t low = 0, high = vocab->n_special, best = Q35I_NO_TOKEN;
    for (uint64_t depth = 0; depth < n; depth++) {
        low = lower_bound(vocab, low, high, depth, text[depth]);
        high = lower_bound(vocab, low, high, depth, text[depth] + 1);
        if (low == high)
            break;
        uint32_t id = vocab->special[low];
        if (byte_at(vocab, low, depth + 1) < 0 && (control || q35i_vocab_kind(vocab, id) == Q35I_TOKEN_USER))
            best = id;
    }
    return best;
}

uint32_t q35i_vocab_special(const q35i_vocab *vocab, const uint8_t *spelling, uint64_t len)
{
    uint64_t found;
    uint32_t id = q35i_vocab_special_at(vocab, spelling, len, true);
    if (id == Q35I_NO_TOKEN)
        return id;
    q35i_vocab_piece(vocab, id, &found);
    return found == len ? id : Q35I_NO_TOKEN;
}
