/* SPDX-License-Identifier: Apache-2.0
 *
 * Merging with a heap of candidate pairs. A candidate is not removed when one of its symbols is merged away: it is
 * checked when it comes up, by comparing its rank with that of the pair that now stands at its place. Each merge
 * takes one candidate out and puts at most two in, and there are at most n - 1 merges, so 2 n places are enough.
 */
#include "runtime/text/bpe.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"
#include "runtime/base/utf8.h"

#define END UINT32_MAX

static void heap_push(q35i_bpe *work, uint64_t key)
{
    uint32_t i = work->n_heap++;
    while (i > 0 && work->heap[(i - 1) / 2] > key) {
        work->heap[i] = work->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    work->heap[i] = key;
}

static uint64_t heap_pop(q35i_bpe *work)
{
    uint64_t *heap = work->heap, top = heap[0], key = heap[--work->n_heap];
    uint64_t i = 0, child;
    while ((child = 2 * i + 1) < work->n_heap) {
        if (child + 1 < work->n_heap && heap[child + 1] < heap[child])
            child++;
        if (heap[child] >= key)
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = key;
    return top;
}

/* Token of symbol `left` and the next one together, by their bytes. */
static uint32_t joined_token(const q35i_bpe *work, const q35i_vocab *vocab, const uint8_t *piece, uint32_t n,
                             uint32_t left)
{
    uint32_t right = work->symbols[left].next, end = work->symbols[right].next;
    uint32_t id = q35i_vocab_find(vocab, piece + left, (end == END ? n : end) - left);
    /* rank files have no unused tokens: these fill a vocabulary up */
    bool filler = !vocab->pieces && id != Q35I_NO_TOKEN && q35i_vocab_kind(vocab, id) == Q35I_TOKEN_UNUSED;
    return filler ? Q35I_NO_TOKEN : id;
}

/* Works out how symbol `left` joins the next one. */
static void push_pair(q35i_bpe *work, const q35i_bpe_rules *rules, const uint8_t *piece, uint32_t n, uint32_t left)
{
    if (left == END)
        return;
    q35i_bpe_symbol *s = &work->symbols[left];
    s->rank = Q35I_NO_RANK;
    if (s->next == END)
        return;
    if (rules->merges) {
        s->rank = q35i_merges_rank(rules->merges, s->id, work->symbols[s->next].id);
        if (s->rank != Q35I_NO_RANK)
            s->joined = rules->merges->list[s->rank].result;
    } else {
        s->joined = joined_token(work, rules->vocab, piece, n, left);
        if (s->joined != Q35I_NO_TOKEN) {
            s->rank = rules->order ? rules->order[s->joined] : s->joined;
            if (work->split && q35i_vocab_kind(rules->vocab, s->joined) == Q35I_TOKEN_UNUSED)
                work->split[s->joined] = s->next - left;
        }
    }
    if (s->rank != Q35I_NO_RANK)
        heap_push(work, (uint64_t)s->rank << 32 | left);
}

static q35_status reserve(q35i_bpe *work, const q35i_vocab *vocab, uint32_t n)
{
    if (vocab->pieces && vocab->n_unused > 0 && !work->split) {
        work->split = q35i_calloc(vocab->n, sizeof *work->split);
        if (!work->split)
            return Q35_E_NOMEM;
    }
    if (n <= work->cap)
        return Q35_OK;
    uint32_t cap = (uint32_t)q35i_max(n, q35i_min(q35i_max(64, (uint64_t)work->cap * 2), Q35I_PIECE_BYTES));
    q35i_free(work->symbols);
    q35i_free(work->heap);
    work->cap = 0;
    work->symbols = q35i_calloc(cap, sizeof *work->symbols);
    work->heap = q35i_calloc((uint64_t)cap * 2, sizeof *work->heap);
    if (!work->symbols || !work->heap)
        return Q35_E_NOMEM;
    work->cap = cap;
    return Q35_OK;
}

/* The smallest symbols of the piece. */
static void cut(q35i_bpe *work, const q35i_vocab *vocab, const uint8_t *piece, uint32_t n)
{
    uint32_t prev = END;
    for (uint32_t i = 0, length; i < n; prev = i, i += length) {
        int bytes = vocab->pieces ? q35i_utf8_char(piece + i, n - i) : 1;
        length = bytes > 0 ? (uint32_t)bytes : 1;
        work->symbols[i] = (q35i_bpe_symbol){.id = vocab->pieces ? q35i_vocab_find(vocab, piece + i, length)
                                                                 : vocab->byte_id[piece[i]],
                                             .prev = prev,
                                             .next = i + length < n ? i + length : END,
                                             .rank = Q35I_NO_RANK};
    }
}

/* Takes unused tokens apart into the two they were made of, and so on down. */
static void split_unused(q35i_bpe *work, const q35i_vocab *vocab, const uint8_t *piece, uint32_t n)
{
    q35i_bpe_symbol *symbols = work->symbols;
    for (uint32_t i = 0; i != END;) {
        q35i_bpe_symbol *s = &symbols[i];
        uint32_t left = 0, end = s->next == END ? n : s->next;
        if (s->id != Q35I_NO_TOKEN && q35i_vocab_kind(vocab, s->id) == Q35I_TOKEN_UNUSED)
            left = work->split[s->id];
        if (left == 0 || left >= end - i) {
            i = s->next;
            continue;
        }
        symbols[i + left] = (q35i_bpe_symbol){
            .id = q35i_vocab_find(vocab, piece + i + left, end - i - left), .prev = i, .next = s->next};
        s->id = q35i_vocab_find(vocab, piece + i, left);
        s->next = i + left;
    }
}

q35_status q35i_bpe_merge(q35i_bpe *work, const q35i_bpe_rules *rules, const uint8_t *piece, uint32_t n)
{
    Q35_TRY(reserve(work, rules->vocab, n));
    q35i_bpe_symbol *symbols = work->symbols;
    cut(work, rules->vocab, piece, n);
    work->n_heap = 0;
    for (uint32_t i = 0; i != END; i = symbols[i].next)
        push_pair(work, rules, piece, n, i);
    while (work->n_heap > 0) {
        uint64_t key = heap_pop(work);
        uint32_t left = (uint32_t)key, right;
        if (symbols[left].rank != key >> 32)
            continue;
        right = symbols[left].next;
        symbols[left].id = symbols[left].joined;
        symbols[left].next = symbols[right].next;
        symbols[right].rank = Q35I_NO_RANK;
        if (symbols[left].next != END)
            symbols[symbols[left].next].prev = left;
        push_pair(work, rules, piece, n, symbols[left].prev);
        push_pair(work, rules, piece, n, left);
    }
    if (work->split)
        split_unused(work, rules->vocab, piece, n);
    return Q35_OK;
}

void q35i_bpe_free(q35i_bpe *work)
{
    q35i_free(work->symbols);
    q35i_free(work->heap);
    q35i_free(work->split);
    *work = (q35i_bpe){0};
}
