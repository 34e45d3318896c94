/* SPDX-License-Identifier: Apache-2.0
 *
 * The merge rules of a BPE vocabulary: which pairs of tokens join, in what order of preference.
 * Immutable after init, usable from any thread. */
#ifndef Q35I_MERGES_H
#define Q35I_MERGES_H

#include "runtime/text/vocab.h"

#define Q35I_NO_RANK UINT32_MAX

typedef struct q35i_merge {
    uint32_t left, right, result; /* token ids; Q35I_NO_TOKEN in a rule that is left out */
} q35i_merge;

typedef struct q35i_merges {
    uint32_t n;
    q35i_merge *list; /* [n] by rank, lowest first to be applied; NULL: the file has no rules */
    uint32_t *slots;  /* [mask + 1] open addressing over (left, right): rank + 1, 0 for an empty slot */
    uint32_t mask;
} q35i_merges;

/* Reads tokenizer.ggml.merges; nothing when the key is absent. FORMAT for a rule over tokens that the vocabulary
 * lacks. Rules that touch a special token are left out: those never come from merging. merges: zeroed. */
q35_status q35i_merges_init(q35i_merges *merges, const q35i_vocab *vocab, const q35_model *model);
void q35i_merges_free(q35i_merges *merges); /* zeroed or half-built ok */

/* Rank of the rule that joins the two tokens, or Q35I_NO_RANK. */
uint32_t q35i_merges_rank(const q35i_merges *merges, uint32_t left, uint32_t right);

#endif
