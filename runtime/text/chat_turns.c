/* SPDX-License-Identifier: Apache-2.0
 *
 * From messages to turns, with the checks of Mistral's library that matter to what is written. */
#include "runtime/base/error.h"
#include "runtime/text/chat_mistral.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static q35i_mistral_role role_of(const q35_message *message)
{
    return strcmp(message->role, "system") == 0      ? Q35I_MISTRAL_SYSTEM
           : strcmp(message->role, "user") == 0      ? Q35I_MISTRAL_USER
           : strcmp(message->role, "assistant") == 0 ? Q35I_MISTRAL_ASSISTANT
                                                     : Q35I_MISTRAL_TOOL;
}

static bool is_id(const char *id)
{
    size_t n = 0;
    for (; id && id[n]; n++)
        if (!((id[n] >= '0' && id[n] <= '9') || (id[n] >= 'a' && id[n] <= 'z') || (id[n] >= 'A' && id[n] <= 'Z')))
            return false;
    return n == 9;
}

static q35_status check_parts(const q35i_mistral *m, const q35_message *message, uint32_t i)
{
    q35i_mistral_role role = role_of(message);
    bool text = false;
    for (uint32_t k = 0; k < message->n_parts; k++) {
        text = text || message->parts[k].text[0];
        if (message->parts[k].kind == Q35_PART_TEXT)
            continue;
        if (m->version < 13 || (role != Q35I_MISTRAL_SYSTEM && role != Q35I_MISTRAL_ASSISTANT))
            return Q35_FAIL(Q35_E_UNSUPPORTED,
                            "message %" PRIu32 ": reasoning of %s, which mistral-v%" PRIu32 " has no form for", i,
                            message->role, m->version);
        text = true;
    }
    if (role == Q35I_MISTRAL_ASSISTANT && !text && message->n_calls == 0)
        return Q35_FAIL(Q35_E_INVALID, "message %" PRIu32 ": an empty answer, need text or tool calls", i);
    if (m->version < 7 && text && message->n_calls > 0)
        return Q35_FAIL(Q35_E_UNSUPPORTED,
                        "message %" PRIu32 ": text and tool calls, which mistral-v%" PRIu32 " has no form for", i,
                        m->version);
    return Q35_OK;
}

static q35_status check_tools(const q35i_mistral *m, const q35_message *message, uint32_t i)
{
    bool result = role_of(message) == Q35I_MISTRAL_TOOL, ids = m->version >= 3 && m->version < 13;
    if ((result || message->n_calls > 0) && m->version < 2)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "message %" PRIu32 ": tools, which mistral-v1 has no form for", i);
    if (ids && result && !is_id(message->call_id))
        return Q35_FAIL(Q35_E_INVALID, "message %" PRIu32 ": id of a tool call, need 9 letters and digits", i);
    for (uint32_t k = 0; k < message->n_calls; k++)
        if (ids && !is_id(message->calls[k].id))
            return Q35_FAIL(Q35_E_INVALID, "message %" PRIu32 ": id of a tool call, need 9 letters and digits", i);
    return Q35_OK;
}

/* Results follow calls, and nothing of the system what the assistant or a tool said. */
static q35_status check_order(const q35i_mistral *m)
{
    const q35_message *messages = m->conversation->messages;
    int64_t open = 0; /* calls without a result yet */
    for (uint32_t i = 0; i < m->conversation->n_messages; i++) {
        q35i_mistral_role role = role_of(&messages[i]), before = i > 0 ? role_of(&messages[i - 1]) : role;
        bool late = before == Q35I_MISTRAL_ASSISTANT || before == Q35I_MISTRAL_TOOL;
        Q35_TRY(check_parts(m, &messages[i], i));
        Q35_TRY(check_tools(m, &messages[i], i));
        if ((role == Q35I_MISTRAL_SYSTEM && late) || (role == Q35I_MISTRAL_TOOL && !late))
            return Q35_FAIL(Q35_E_INVALID, "message %" PRIu32 ": %s after %s, which is out of order", i,
                            messages[i].role, i > 0 ? messages[i - 1].role : "nothing");
        if (role == Q35I_MISTRAL_TOOL)
            open--;
        if (open < 0 || (role == Q35I_MISTRAL_ASSISTANT && open > 0))
            return Q35_FAIL(Q35_E_INVALID, "message %" PRIu32 ": tool calls and results do not match in number",
                            i);
        if (role == Q35I_MISTRAL_ASSISTANT)
            open += messages[i].n_calls;
    }
    return Q35_OK;
}

/* Text that grows, piece by piece, into one chunk. */
typedef struct gathering {
    q35i_mistral *m;
    q35i_mistral_chunk **end;
    bool text; /* some is in scratch, also when empty */
} gathering;

static q35_status add_chunk(gathering *g, const char *bytes, uint64_t n, bool think)
{
    q35i_mistral_chunk *chunk = q35i_heap_take(&g->m->heap, 1, sizeof *chunk);
    char *copy = chunk ? q35i_heap_take(&g->m->heap, n + 1, 1) : NULL;
    if (!copy)
        return g->m->heap.status;
    if (n > 0)
        memcpy(copy, bytes, n);
    *chunk = (q35i_mistral_chunk){.bytes = copy, .n = n, .think = think};
    *g->end = chunk;
    g->end = &chunk->next;
    return Q35_OK;
}

static q35_status flush(gathering *g)
{
    if (g->text)
        Q35_TRY(add_chunk(g, g->m->scratch.bytes, g->m->scratch.n, false));
    g->text = false;
    g->m->scratch.n = 0;
    return Q35_OK;
}

static q35_status gather(gathering *g, const q35_part *part)
{
    if (part->kind == Q35_PART_THINK) {
        Q35_TRY(flush(g));
        return add_chunk(g, part->text, strlen(part->text), true);
    }
    if (!part->text[0])
        return Q35_OK;
    if (g->text)
        Q35_TRY(q35i_jout_add_literal(&g->m->scratch, "\n\n"));
    g->text = true;
    return q35i_jout_add(&g->m->scratch, part->text, strlen(part->text), NULL);
}

static q35_status add_turn(q35i_mistral *m, uint32_t from, uint32_t to, q35i_mistral_turn ***end)
{
    q35i_mistral_turn *turn = q35i_heap_take(&m->heap, 1, sizeof *turn);
    if (!turn)
        return m->heap.status;
    turn->from = from;
    turn->to = to;
    turn->role = from < to ? role_of(&m->conversation->messages[from]) : Q35I_MISTRAL_USER;
    gathering g = {.m = m, .end = &turn->chunks};
    m->scratch.n = 0;
    for (uint32_t i = from; i < to; i++) {
        const q35_message *message = &m->conversation->messages[i];
        for (uint32_t k = 0; k < message->n_parts; k++)
            Q35_TRY(gather(&g, &message->parts[k]));
        turn->n_calls += message->n_calls;
    }
    Q35_TRY(flush(&g));
    if (turn->role == Q35I_MISTRAL_SYSTEM && m->version < 7) {
        for (const q35i_mistral_chunk *chunk = turn->chunks; chunk; chunk = chunk->next) {
            if (m->system.n > 0)
                Q35_TRY(q35i_jout_add_literal(&m->system, "\n\n"));
            Q35_TRY(q35i_jout_add(&m->system, chunk->bytes, chunk->n, NULL));
        }
        return Q35_OK;
    }
    **end = turn;
    *end = &turn->next;
    return Q35_OK;
}

static void mark_users(q35i_mistral *m)
{
    q35i_mistral_turn *first = NULL, *last = NULL;
    for (q35i_mistral_turn *t = m->turns; t; t = t->next)
        if (t->role == Q35I_MISTRAL_USER) {
            first = first ? first : t;
            last = t;
        }
    if (!first)
        return;
    first->first_user = true;
    last->last_user = true;
    for (q35i_mistral_turn *t = m->turns; t != last; t = t->next)
        t->before_last_user = true;
}

typedef struct call_place {
    const char *id;
    uint32_t place;
} call_place;

static int by_id(const void *a, const void *b)
{
    const call_place *x = a, *y = b;
    int order = strcmp(x->id, y->id);
    return order != 0 ? order : (x->place > y->place) - (x->place < y->place);
}

static int by_order(const void *a, const void *b)
{
    const q35i_mistral_turn *x = *(q35i_mistral_turn *const *)a, *y = *(q35i_mistral_turn *const *)b;
    return x->order != y->order ? (x->order > y->order ? 1 : -1) : (x->from > y->from) - (x->from < y->from);
}

static q35_status places(q35i_mistral *m, const q35i_mistral_turn *calls, call_place **out, uint32_t *n)
{
    *n = 0;
    *out = q35i_heap_take(&m->heap, calls->n_calls, sizeof **out);
    if (!*out)
        return m->heap.status;
    for (uint32_t i = calls->from; i < calls->to; i++)
        for (uint32_t k = 0; k < m->conversation->messages[i].n_calls; k++) {
            const char *id = m->conversation->messages[i].calls[k].id;
            (*out)[*n] = (call_place){id ? id : "", *n};
            ++*n;
        }
    qsort(*out, *n, sizeof **out, by_id);
    return Q35_OK;
}

/* Place of the last call with the id, UINT32_MAX for none. */
static uint32_t place_of(const call_place *calls, uint32_t n, const char *id)
{
    uint32_t low = 0, high = n;
    while (id && low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (strcmp(calls[middle].id, id) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return id && low > 0 && strcmp(calls[low - 1].id, id) == 0 ? calls[low - 1].place : UINT32_MAX;
}

/* The n results from *first on, in the order of the calls before them. */
static q35_status sort_results(q35i_mistral *m, const q35i_mistral_turn *calls, q35i_mistral_turn **first,
                               uint32_t n)
{
    q35i_mistral_turn **list = q35i_heap_take(&m->heap, n, sizeof *list), *t = *first;
    call_place *known;
    uint32_t n_known;
    if (!list)
        return m->heap.status;
    Q35_TRY(places(m, calls, &known, &n_known));
    for (uint32_t i = 0; i < n; i++, t = t->next) {
        list[i] = t;
        t->order = place_of(known, n_known, m->conversation->messages[t->from].call_id);
    }
    qsort(list, n, sizeof *list, by_order);
    for (uint32_t i = 0; i < n; i++) {
        *first = list[i];
        first = &list[i]->next;
    }
    *first = t;
    return Q35_OK;
}

static q35_status sort_all_results(q35i_mistral *m)
{
    for (q35i_mistral_turn *t = m->turns; t; t = t->next) {
        uint32_t n = 0;
        if (t->role != Q35I_MISTRAL_ASSISTANT)
            continue;
        for (const q35i_mistral_turn *r = t->next; r && r->role == Q35I_MISTRAL_TOOL; r = r->next)
            n++;
        if (n > 1)
            Q35_TRY(sort_results(m, t, &t->next, n));
    }
    return Q35_OK;
}

q35_status q35i_mistral_turns(q35i_mistral *m)
{
    const q35_message *messages = m->conversation->messages;
    q35i_mistral_turn **end = &m->turns;
    uint32_t n = m->conversation->n_messages, to;
    q35i_heap_init(&m->heap, UINT64_MAX);
    Q35_TRY(check_order(m));
    for (uint32_t from = 0; from < n; from = to) {
        q35i_mistral_role role = role_of(&messages[from]);
        bool merged = role == Q35I_MISTRAL_USER || role == Q35I_MISTRAL_ASSISTANT;
        for (to = from + 1; merged && to < n && role_of(&messages[to]) == role;)
            to++;
        Q35_TRY(add_turn(m, from, to, &end));
    }
    if (m->version < 7 && (!m->turns || m->turns->role != Q35I_MISTRAL_USER)) {
        q35i_mistral_turn *rest = m->turns, **first = &m->turns;
        Q35_TRY(add_turn(m, 0, 0, &first));
        m->turns->next = rest;
    }
    if (m->version >= 11)
        Q35_TRY(sort_all_results(m));
    mark_users(m);
    return Q35_OK;
}
