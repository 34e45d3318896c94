/* SPDX-License-Identifier: Apache-2.0
 *
 * Merging with a heap of candidate pairs. A candidate is not removed when one of its symbols is merged away: it is
 * checked when it comes up, by comparing the rule's two tokens with those that now stand at its place. Each merge
 * takes one candidate out and puts at most two in, and there are at most n - 1 merges, so 2 n places are enough.
 */
#include "runtime/text/bpe.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"

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

static void push_pair(q35i_bpe *work, const q35i_merges *merges, uint32_t left)
{
    if (left == END || work->symbols[left].next == END)
        return;
    const q35i_bpe_symbol *s = &work->symbols[left];
    uint32_t rank = q35i_merges_rank(merges, s->id, work->symbols[s->next].id);
    if (rank != Q35I_NO_RANK)
        heap_push(work, (uint64_t)rank << 32 | left);
}

static q35_status reserve(q35i_bpe *work, uint32_t n)
{
    if (n <= work->cap)
        return Q35_OK;
    uint32_t cap = (uint32_t)q35i_max(n, 64);
    q35i_bpe_free(work);
    work->symbols = q35i_calloc(cap, sizeof *work->symbols);
    work->heap = q35i_calloc((uint64_t)cap * 2, sizeof *work->heap);
    if (!work->symbols || !work->heap)
        return Q35_E_NOMEM;
    work->cap = cap;
    return Q35_OK;
}

q35_status q35i_bpe_merge(q35i_bpe *work, const q35i_vocab *vocab, const q35i_merges *merges, const uint8_t *piece,
                          uint32_t n)
{
    Q35_TRY(reserve(work, n));
    q35i_bpe_symbol *symbols = work->symbols;
    for (uint32_t i = 0; i < n; i++)
        symbols[i] = (q35i_bpe_symbol){vocab->byte_id[piece[i]], i > 0 ? i - 1 : END, i + 1 < n ? i + 1 : END};
    work->n_heap = 0;
    for (uint32_t i = 0; i + 1 < n; i++)
        push_pair(work, merges, i);
    while (work->n_heap > 0) {
        uint64_t key = heap_pop(work);
        uint32_t left = (uint32_t)key, right = symbols[left].next;
        const q35i_merge *rule = &merges->list[key >> 32];
        if (right == END || symbols[left].id != rule->left || symbols[right].id != rule->right)
            continue;
        symbols[left].id = rule->result;
        symbols[left].next = symbols[right].next;
        if (symbols[left].next != END)
            symbols[symbols[left].next].prev = left;
        symbols[right] = (q35i_bpe_symbol){Q35I_NO_TOKEN, END, END};
        push_pair(work, merges, symbols[left].prev);
        push_pair(work, merges, left);
    }
    return Q35_OK;
}

void q35i_bpe_free(q35i_bpe *work)
{
    q35i_free(work->symbols);
    q35i_free(work->heap);
    *work = (q35i_bpe){0};
}
