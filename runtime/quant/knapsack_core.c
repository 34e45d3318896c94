/* SPDX-License-Identifier: Apache-2.0
 *
 * With the multiplier `rate`, a change of bytes db and of cost dc has the reduced cost r = dc + rate * db >= 0,
 * and any sequence of changes that fits has a total dc >= sum r - rate * slack: a change whose r is more than the
 * solution known can bear is out (Dyer, "An O(n) algorithm for the multiple-choice knapsack linear program", 1984;
 * Pisinger, "A minimal algorithm for the multiple-choice knapsack problem", 1995). What remains, often a few dozen
 * items, goes through dynamic programming over the undominated pairs of bytes and cost. */
#include "runtime/quant/knapsack_core.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_STATES = 4096, MOST_NODES = 1 << 19 };

typedef struct change {
    int64_t bytes;
    double cost, reduced;
    uint32_t choice;
} change;

/* An item that may change. */
typedef struct entry {
    double least; /* reduced cost */
    uint32_t item, n;
    change *changes;                 /* into solver.changes */
    int64_t least_after, most_after; /* bytes that it and later entries can change the sum by */
} entry;

/* A sum of changes, and the last of them. */
typedef struct state {
    int64_t bytes;
    double cost;
    uint32_t node; /* 0: none */
} state;

typedef struct node {
    uint32_t before, entry, choice;
} node;

typedef struct solver {
    const q35i_core *core;
    entry *entries;
    change *changes;
    node *nodes;                 /* [0]: no change */
    state *now, *next, *shifted; /* by rising bytes and falling cost */
    uint64_t n_entries, n_nodes, node_capacity, n_now;
    double best; /* change of cost of the best solution */
    uint32_t best_node;
    int exact;
} solver;

/* A sum of changes with later ones of between least and most bytes can be within the slack and beat the best. */
static int promises(const solver *s, int64_t bytes, double cost, int64_t least, int64_t most)
{
    int64_t slack = s->core->slack, reach = bytes + most < slack ? bytes + most : slack;
    return bytes + least <= slack && cost + s->core->rate * (double)(bytes - reach) < s->best - s->core->margin;
}

static int by_least(const void *left, const void *right)
{
    const entry *a = left, *b = right;
    if (a->least != b->least)
        return a->least < b->least ? -1 : 1;
    return a->item < b->item ? -1 : a->item > b->item;
}

static void find_changes(solver *s)
{
    const q35i_core *core = s->core;
    change *out = s->changes;
    for (uint64_t i = 0; i < core->n; i++) {
        const q35i_item *item = &core->items[i];
        const q35i_choice *base = &item->choices[core->base[i]];
        entry e = {.item = (uint32_t)i, .changes = out};
        for (uint32_t j = 0; j < item->n_choices; j++) {
            change c = {(int64_t)item->choices[j].bytes - (int64_t)base->bytes, item->choices[j].cost - base->cost,
                        0, j};
            c.reduced = c.cost + core->rate * (double)c.bytes;
            if (c.bytes >= 0 && c.cost >= 0)
                continue;
            if (c.reduced - core->rate * (double)core->slack >= s->best - core->margin)
                continue;
            e.least = e.n == 0 || c.reduced < e.least ? c.reduced : e.least;
            out[e.n++] = c;
        }
        if (e.n > 0)
            s->entries[s->n_entries++] = e;
        out += e.n;
    }
    if (s->n_entries > 1)
        qsort(s->entries, (size_t)s->n_entries, sizeof *s->entries, by_least);
}

static void sum_from_behind(solver *s)
{
    int64_t least = 0, most = 0;
    for (uint64_t i = s->n_entries; i-- > 0;) {
        entry *e = &s->entries[i];
        int64_t lo = 0, hi = 0;
        for (uint32_t j = 0; j < e->n; j++) {
            lo = e->changes[j].bytes < lo ? e->changes[j].bytes : lo;
            hi = e->changes[j].bytes > hi ? e->changes[j].bytes : hi;
        }
        least += lo;
        most += hi;
        e->least_after = least;
        e->most_after = most;
    }
}

static q35_status new_node(solver *s, uint32_t before, uint32_t index, uint32_t choice, uint32_t *out)
{
    if (s->n_nodes == s->node_capacity) {
        node *grown = q35i_realloc(s->nodes, 2 * s->node_capacity, sizeof *grown);
        if (!grown)
            return Q35_E_NOMEM;
        s->nodes = grown;
        s->node_capacity *= 2;
    }
    s->nodes[s->n_nodes] = (node){before, index, choice};
    *out = (uint32_t)s->n_nodes++;
    return Q35_OK;
}

/* The states of s->now before this entry, moved by one of its changes, as far as they can still win. */
static uint64_t shift(const solver *s, uint64_t n_now, const change *c, int64_t least, int64_t most)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < n_now; i++) {
        state moved = {s->now[i].bytes + c->bytes, s->now[i].cost + c->cost, s->now[i].node};
        if (promises(s, moved.bytes, moved.cost, least, most))
            s->shifted[n++] = moved;
    }
    return n;
}

static int comes_first(const state *a, const state *b)
{
    return a->bytes < b->bytes || (a->bytes == b->bytes && a->cost <= b->cost);
}

/* Merges from[n_from] with s->shifted[n_shifted] into `to`, without what another state makes useless. New states
 * get nodes, and the best that fits is remembered. */
static q35_status merge(solver *s, const state *from, uint64_t n_from, uint64_t n_shifted, uint32_t index,
                        uint32_t choice, state *to, uint64_t *n_to)
{
    uint64_t n = 0, i = 0, k = 0;
    while (i < n_from || k < n_shifted) {
        int is_new = i == n_from || (k < n_shifted && !comes_first(&from[i], &s->shifted[k]));
        state next = is_new ? s->shifted[k++] : from[i++];
        if (n > 0 && next.cost >= to[n - 1].cost)
            continue;
        if (is_new)
            Q35_TRY(new_node(s, next.node, index, choice, &next.node));
        if (next.bytes <= s->core->slack && next.cost < s->best - s->core->margin) {
            s->best = next.cost;
            s->best_node = next.node;
        }
        to[n++] = next;
    }
    *n_to = n;
    return Q35_OK;
}

/* Too many states: of those in the same stretch of bytes the one with the least reduced cost stays. */
static void thin(solver *s)
{
    int64_t first = s->now[0].bytes, width = (s->now[s->n_now - 1].bytes - first) / MOST_STATES + 1;
    uint64_t n = 0;
    int64_t last = -1;
    for (uint64_t i = 0; i < s->n_now; i++) {
        int64_t stretch = (s->now[i].bytes - first) / width;
        state *kept = stretch == last ? &s->now[n - 1] : &s->now[n++];
        if (stretch == last &&
            s->now[i].cost + s->core->rate * (double)(s->now[i].bytes - kept->bytes) >= kept->cost)
            continue;
        *kept = s->now[i];
        last = stretch;
    }
    s->n_now = n;
    s->exact = 0;
}

static void prune(solver *s, const entry *e)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < s->n_now; i++)
        if (promises(s, s->now[i].bytes, s->now[i].cost, e->least_after, e->most_after))
            s->now[n++] = s->now[i];
    s->n_now = n;
}

/* One entry: its states unchanged and with each of its changes. s->next and a second list take turns as target. */
static q35_status advance(solver *s, uint64_t index, state *other)
{
    const entry *e = &s->entries[index];
    int is_last = index + 1 == s->n_entries;
    int64_t least = is_last ? 0 : e[1].least_after, most = is_last ? 0 : e[1].most_after;
    const state *from = s->now;
    state *to = s->next;
    uint64_t n_from = s->n_now;
    for (uint32_t j = 0; j < e->n; j++) {
        uint64_t n_shifted = shift(s, s->n_now, &e->changes[j], least, most);
        Q35_TRY(merge(s, from, n_from, n_shifted, (uint32_t)index, e->changes[j].choice, to, &n_from));
        from = to;
        to = to == s->next ? other : s->next;
    }
    memcpy(s->now, from, n_from * sizeof *s->now);
    s->n_now = n_from;
    return Q35_OK;
}

static q35_status search(solver *s, state *other)
{
    s->now[0] = (state){0};
    s->n_now = 1;
    for (uint64_t i = 0; i < s->n_entries; i++) {
        prune(s, &s->entries[i]);
        if (s->n_now == 0)
            break;
        if (s->n_now > MOST_STATES)
            thin(s);
        if (s->n_nodes > MOST_NODES) {
            s->exact = 0;
            break;
        }
        Q35_TRY(advance(s, i, other));
    }
    return Q35_OK;
}

static void write_choice(const solver *s, uint32_t *choice)
{
    if (s->best_node == 0)
        return;
    memcpy(choice, s->core->base, s->core->n * sizeof *choice);
    for (uint32_t at = s->best_node; at != 0; at = s->nodes[at].before)
        choice[s->entries[s->nodes[at].entry].item] = s->nodes[at].choice;
}

q35_status q35i_core_solve(const q35i_core *core, uint32_t *choice, int *exact)
{
    enum { STATES = MOST_STATES * (Q35I_KNAPSACK_CHOICES + 1), FIRST_NODES = 1024 };
    solver s = {.core = core, .best = core->found, .exact = 1, .n_nodes = 1, .node_capacity = FIRST_NODES};
    q35_status status = Q35_OK;
    uint64_t n_changes = 0;
    state *other = NULL;
    for (uint64_t i = 0; i < core->n; i++)
        n_changes += core->items[i].n_choices;
    s.entries = q35i_calloc(core->n, sizeof *s.entries);
    Q35_CHECK_ALLOC_GOTO(s.entries, out);
    s.changes = q35i_calloc(n_changes, sizeof *s.changes);
    Q35_CHECK_ALLOC_GOTO(s.changes, out);
    s.nodes = q35i_calloc(s.node_capacity, sizeof *s.nodes);
    Q35_CHECK_ALLOC_GOTO(s.nodes, out);
    s.now = q35i_calloc(STATES, sizeof *s.now);
    Q35_CHECK_ALLOC_GOTO(s.now, out);
    s.next = q35i_calloc(STATES, sizeof *s.next);
    Q35_CHECK_ALLOC_GOTO(s.next, out);
    s.shifted = q35i_calloc(MOST_STATES, sizeof *s.shifted);
    Q35_CHECK_ALLOC_GOTO(s.shifted, out);
    other = q35i_calloc(STATES, sizeof *other);
    Q35_CHECK_ALLOC_GOTO(other, out);
    find_changes(&s);
    sum_from_behind(&s);
    Q35_TRY_GOTO(search(&s, other), out);
    write_choice(&s, choice);
    *exact = s.exact;
out:
    q35i_free(other);
    q35i_free(s.shifted);
    q35i_free(s.next);
    q35i_free(s.now);
    q35i_free(s.nodes);
    q35i_free(s.changes);
    q35i_free(s.entries);
    return status;
}
