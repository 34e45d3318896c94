/* SPDX-License-Identifier: Apache-2.0
 *
 * Pages of the KV cache by sequence: a stack of free pages, and a count of references for each. */
#include "runtime/session/pages.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"

#include <string.h>

static uint32_t pages_for(uint32_t tokens)
{
    return (uint32_t)q35i_div_up(tokens, Q35_KV_PAGE);
}

q35_status q35i_pages_create(q35i_pages *p, uint32_t n_kv_tokens, uint32_t n_ctx, uint32_t n_sequences)
{
    const uint64_t max_pages = pages_for(n_ctx);
    memset(p, 0, sizeof *p);
    p->n_pages = pages_for(n_kv_tokens);
    p->n_sequences = n_sequences;
    p->sequences = q35i_calloc(n_sequences, sizeof *p->sequences);
    p->references = q35i_calloc(p->n_pages, sizeof *p->references);
    p->free_list = q35i_calloc(p->n_pages, sizeof *p->free_list);
    p->tables = q35i_calloc(n_sequences * max_pages, sizeof *p->tables);
    if (!p->sequences || !p->references || !p->free_list || !p->tables) {
        q35i_pages_destroy(p);
        return Q35_E_NOMEM;
    }
    for (uint32_t s = 0; s < n_sequences; s++)
        p->sequences[s].pages = p->tables + s * max_pages;
    for (p->n_free = 0; p->n_free < p->n_pages; p->n_free++) /* the first page on top */
        p->free_list[p->n_free] = (int32_t)(p->n_pages - 1 - p->n_free);
    return Q35_OK;
}

void q35i_pages_destroy(q35i_pages *p)
{
    q35i_free(p->sequences);
    q35i_free(p->references);
    q35i_free(p->free_list);
    q35i_free(p->tables);
    memset(p, 0, sizeof *p);
}

static int32_t take(q35i_pages *p)
{
    int32_t page = p->free_list[--p->n_free];
    p->references[page] = 1;
    return page;
}

static void release(q35i_pages *p, int32_t page)
{
    if (--p->references[page] == 0)
        p->free_list[p->n_free++] = page;
}

q35_status q35i_pages_open(q35i_pages *p, uint32_t *out)
{
    for (uint32_t s = 0; s < p->n_sequences; s++)
        if (!p->sequences[s].live) {
            p->sequences[s].live = 1;
            *out = s;
            return Q35_OK;
        }
    return Q35_FAIL(Q35_E_NOFIT, "sequences: %u in use and 1 to add, at most %u", p->n_sequences, p->n_sequences);
}

q35_status q35i_pages_fork(q35i_pages *p, uint32_t from, uint32_t *out)
{
    Q35_TRY(q35i_pages_open(p, out));
    const q35i_sequence *source = &p->sequences[from];
    q35i_sequence *s = &p->sequences[*out];
    s->n_tokens = source->n_tokens;
    s->n_pages = source->n_pages;
    for (uint32_t i = 0; i < s->n_pages; i++) {
        s->pages[i] = source->pages[i];
        p->references[s->pages[i]]++;
    }
    return Q35_OK;
}

static void shrink(q35i_pages *p, q35i_sequence *s, uint32_t n_pages)
{
    while (s->n_pages > n_pages)
        release(p, s->pages[--s->n_pages]);
}

void q35i_pages_close(q35i_pages *p, uint32_t sequence)
{
    q35i_pages_truncate(p, sequence, 0);
    p->sequences[sequence].live = 0;
}

void q35i_pages_truncate(q35i_pages *p, uint32_t sequence, uint32_t n_tokens)
{
    q35i_sequence *s = &p->sequences[sequence];
    s->n_tokens = n_tokens;
    shrink(p, s, pages_for(n_tokens));
}

/* The last page has room, and others see it. */
static int must_copy(const q35i_pages *p, const q35i_sequence *s)
{
    return s->n_tokens % Q35_KV_PAGE != 0 && p->references[s->pages[s->n_pages - 1]] > 1;
}

int q35i_pages_append(q35i_pages *p, uint32_t sequence, uint32_t n, q35i_append *out)
{
    q35i_sequence *s = &p->sequences[sequence];
    const uint32_t n_pages = pages_for(s->n_tokens + n);
    const int copies = must_copy(p, s);
    if (n_pages - s->n_pages + (uint32_t)copies > p->n_free)
        return 0;
    *out = (q35i_append){.n_tokens = s->n_tokens, .n_pages = s->n_pages, .shared = -1, .copy = -1};
    if (copies) {
        int32_t *last = &s->pages[s->n_pages - 1];
        out->shared = *last;
        out->copy = take(p);
        release(p, out->shared);
        *last = out->copy;
    }
    while (s->n_pages < n_pages)
        s->pages[s->n_pages++] = take(p);
    s->n_tokens += n;
    return 1;
}

void q35i_pages_undo(q35i_pages *p, uint32_t sequence, const q35i_append *append)
{
    q35i_sequence *s = &p->sequences[sequence];
    shrink(p, s, append->n_pages);
    s->n_tokens = append->n_tokens;
    if (append->shared < 0)
        return;
    release(p, append->copy);
    s->pages[s->n_pages - 1] = append->shared;
    p->references[append->shared]++;
}

uint32_t q35i_pages_slack(const q35i_pages *p, uint32_t sequence)
{
    const q35i_sequence *s = &p->sequences[sequence];
    return must_copy(p, s) ? 0 : s->n_pages * Q35_KV_PAGE - s->n_tokens;
}

uint32_t q35i_pages_room(const q35i_pages *p, uint32_t sequence)
{
    const q35i_sequence *s = &p->sequences[sequence];
    const uint32_t fresh = p->n_free * Q35_KV_PAGE;
    if (!must_copy(p, s))
        return fresh + q35i_pages_slack(p, sequence);
    return fresh > 0 ? fresh - s->n_tokens % Q35_KV_PAGE : 0;
}
