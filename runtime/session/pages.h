/* SPDX-License-Identifier: Apache-2.0
 *
 * Which pages of the KV cache hold which sequence. A page may belong to several sequences that begin alike; it is
 * counted by reference, and whoever appends to a shared page that is partly filled gets a copy. Knows no device:
 * it says what is to be copied. One thread at a time; allocates in create only. */
#ifndef Q35I_PAGES_H
#define Q35I_PAGES_H

#include <q35rt/status.h>

typedef struct q35i_sequence {
    int32_t *pages; /* [max_pages], the first n_pages valid */
    uint32_t n_tokens, n_pages;
    int live;
} q35i_sequence;

typedef struct q35i_pages {
    q35i_sequence *sequences; /* [n_sequences] */
    uint32_t *references;     /* [n_pages] */
    int32_t *free_list;       /* [n_pages], the first n_free valid */
    int32_t *tables;
    uint32_t n_sequences, n_pages, n_free;
} q35i_pages;

/* What an append did, to be undone while nothing else was done to the sequence. */
typedef struct q35i_append {
    uint32_t n_tokens, n_pages; /* of the sequence before */
    int32_t shared, copy;       /* page to be copied and where to, -1: none */
} q35i_append;

/* n_kv_tokens in all, in whole pages; at most n_ctx of each of n_sequences. */
q35_status q35i_pages_create(q35i_pages *pages, uint32_t n_kv_tokens, uint32_t n_ctx, uint32_t n_sequences);
void q35i_pages_destroy(q35i_pages *pages); /* zeroed: nothing */

/* An empty sequence, or one with the tokens of `from`. NOFIT: all are in use. */
q35_status q35i_pages_open(q35i_pages *pages, uint32_t *out);
q35_status q35i_pages_fork(q35i_pages *pages, uint32_t from, uint32_t *out);
void q35i_pages_close(q35i_pages *pages, uint32_t sequence);

/* Keeps the first n_tokens, at most as many as there are. */
void q35i_pages_truncate(q35i_pages *pages, uint32_t sequence, uint32_t n_tokens);

/* Room for n more tokens, n_ctx permitting; 0: there are too few free pages, and nothing was changed. */
int q35i_pages_append(q35i_pages *pages, uint32_t sequence, uint32_t n, q35i_append *out);
void q35i_pages_undo(q35i_pages *pages, uint32_t sequence, const q35i_append *append);

/* Tokens that its last page has room for, without another page. */
uint32_t q35i_pages_slack(const q35i_pages *pages, uint32_t sequence);
/* Tokens that could be appended to a sequence alone, were n_ctx larger. */
uint32_t q35i_pages_room(const q35i_pages *pages, uint32_t sequence);

#endif
