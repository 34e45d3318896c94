/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs one case. The reference computes the target in plain memory. The kernel then runs on guarded copies: whole
 * with the operands' ends against inaccessible pages, whole with their starts, a part alone, in random pieces out
 * of order, and (where the op has it) token by token. The first result is judged against the target; every later
 * one, and every byte the call had no business with, must have exactly the expected bits.
 */
#include "kernelcheck.h"

#include <stdio.h>
#include <string.h>
#include <sys/time.h>

/* ---- operands ---- */

static kc_operand *add(kc_case *c, const char *name, kc_role role, size_t bytes, size_t align)
{
    kc_operand *o = &c->operands[c->n_operands++];
    *o = (kc_operand){.name = name, .role = role, .bytes = bytes, .align = align};
    return o;
}

int kc_input(kc_case *c, const char *name, const void *data, size_t bytes, size_t align)
{
    add(c, name, KC_IN, bytes, align)->init = data;
    return c->n_operands - 1;
}

int kc_scratch(kc_case *c, size_t bytes)
{
    add(c, "scratch", KC_SCRATCH, bytes, 64);
    return c->n_operands - 1;
}

int kc_output(kc_case *c, const char *name, size_t bytes, size_t align, kc_elem elem, kc_map map)
{
    kc_operand *o = add(c, name, KC_OUT, bytes, align);
    o->elem = elem;
    o->map = map;
    return c->n_operands - 1;
}

kc_map kc_rows_map(size_t cell, size_t rs)
{
    return (kc_map){.cell = cell, .div_stride = rs, .mod = 1, .n_rep = 1};
}

size_t kc_item_at(const kc_map *map, int64_t item)
{
    int64_t i = map->place ? map->place[item] : item;
    return map->base + (size_t)(i / map->mod) * map->div_stride + (size_t)(i % map->mod) * map->mod_stride;
}

static bool is_written(const kc_operand *o)
{
    return o->role == KC_OUT || o->role == KC_INOUT;
}

void kc_bind_plain(kc_context *x, kc_case *c)
{
    for (int i = 0; i < c->n_operands; i++) {
        kc_operand *o = &c->operands[i];
        o->p = kc_alloc(x, o->bytes);
        if (o->init)
            memcpy(o->p, o->init, o->bytes);
        else
            kc_fill_unwritten(o->p, o->bytes);
    }
}

/* ---- a run ---- */

typedef struct run {
    kc_context *x;
    kc_case *c;
    uint8_t *ref[KC_MAX_OPERANDS];      /* the reference's outputs */
    uint8_t *first[KC_MAX_OPERANDS];    /* the kernel's outputs of the first whole call */
    uint8_t *expected[KC_MAX_OPERANDS]; /* what the outputs must hold now */
} run;

static void set_stage(const run *r, const char *what, bool tail, int64_t begin, int64_t end)
{
    snprintf(r->x->progress->stage, KC_TEXT, "%s end=%d [%lld, %lld)", what, tail, (long long)begin,
             (long long)end);
}

/* Fresh guarded operands; the expected outputs start over. */
static void place_operands(run *r, bool tail)
{
    for (int i = 0; i < r->c->n_operands; i++) {
        kc_operand *o = &r->c->operands[i];
        o->p = kc_guard_place(r->x->guard, i, o->bytes, o->align, tail, o->role == KC_IN, o->init);
        if (o->role == KC_SCRATCH)
            memset(o->p, 0xff, o->bytes);
        if (is_written(o))
            memcpy(r->expected[i], o->p, o->bytes);
    }
}

/* Items [begin, end) and repetitions [rep_begin, rep_end) are now expected as the first call gave them. */
static void expect(run *r, int64_t begin, int64_t end, int64_t rep_begin, int64_t rep_end)
{
    for (int i = 0; i < r->c->n_operands; i++) {
        const kc_operand *o = &r->c->operands[i];
        const kc_map *m = &o->map;
        for (int64_t n = begin; n < end && is_written(o); n++) {
            size_t item = kc_item_at(m, n);
            for (int64_t j = rep_begin; j < rep_end && j < m->n_rep; j++) {
                size_t at = item + (size_t)j * m->rep_stride;
                memcpy(r->expected[i] + at, r->first[i] + at, m->cell);
            }
        }
    }
}

static bool check_slack(run *r)
{
    for (int i = 0; i < r->c->n_operands; i++) {
        const kc_operand *o = &r->c->operands[i];
        if (o->role != KC_IN && !kc_guard_intact(r->x->guard, i)) {
            kc_fail(r->x, "wrote outside of %s", o->name);
            return false;
        }
    }
    return true;
}

static bool check_expected(run *r, const char *complaint)
{
    for (int i = 0; i < r->c->n_operands; i++) {
        const kc_operand *o = &r->c->operands[i];
        if (!is_written(o) || memcmp(o->p, r->expected[i], o->bytes) == 0)
            continue;
        size_t at = 0;
        while (o->p[at] == r->expected[i][at])
            at++;
        kc_fail(r->x, "%s differs at byte %zu: %s", o->name, at, complaint);
        return false;
    }
    return check_slack(r);
}

static void call(run *r, int64_t begin, int64_t end)
{
    r->x->progress->n_calls++;
    r->c->call(r->c, r->x->row->fn, begin, end);
}

static void run_reference(run *r)
{
    kc_bind_plain(r->x, r->c);
    set_stage(r, "reference", false, 0, r->c->n_items);
    r->c->call(r->c, r->x->ref->fn, 0, r->c->n_items);
    for (int i = 0; i < r->c->n_operands; i++) {
        const kc_operand *o = &r->c->operands[i];
        r->ref[i] = o->p;
        r->first[i] = kc_alloc(r->x, o->bytes);
        r->expected[i] = kc_alloc(r->x, o->bytes);
    }
}

/* The whole range once; judges the values and keeps them. */
static bool run_first(run *r)
{
    int64_t n = r->c->n_items;
    place_operands(r, true);
    set_stage(r, "whole", true, 0, n);
    call(r, 0, n);
    for (int i = 0; i < r->c->n_operands; i++) {
        const kc_operand *o = &r->c->operands[i];
        if (!is_written(o))
            continue;
        if (!kc_compare(r->x, r->c, o, o->p, r->ref[i]))
            return false;
        memcpy(r->first[i], o->p, o->bytes);
    }
    expect(r, 0, n, 0, INT64_MAX);
    return check_expected(r, "bytes between the rows changed");
}

static bool run_again(run *r)
{
    int64_t n = r->c->n_items;
    place_operands(r, false);
    set_stage(r, "again", false, 0, n);
    call(r, 0, n);
    expect(r, 0, n, 0, INT64_MAX);
    return check_expected(r, "a second call gives other bits");
}

static bool run_part(run *r, bool tail)
{
    int64_t n = r->c->n_items, unit = r->c->unit;
    int64_t begin = kc_below(r->x, n / unit + 1) * unit, end = begin + kc_below(r->x, n - begin + 1);
    place_operands(r, tail);
    set_stage(r, "part", tail, begin, end);
    call(r, begin, end);
    expect(r, begin, end, 0, INT64_MAX);
    return check_expected(r, "a part gives other bits than the whole, or more than its range");
}

static bool run_pieces(run *r, bool tail)
{
    enum { CUTS = 4 };
    int64_t n = r->c->n_items, unit = r->c->unit, cuts[CUTS + 1];
    cuts[0] = 0;
    cuts[CUTS] = n;
    for (int i = 1; i < CUTS; i++) {
        cuts[i] = kc_below(r->x, n / unit + 1) * unit;
        for (int j = i; j > 1 && cuts[j] < cuts[j - 1]; j--) {
            int64_t swap = cuts[j];
            cuts[j] = cuts[j - 1];
            cuts[j - 1] = swap;
        }
    }
    place_operands(r, tail);
    int start = (int)kc_below(r->x, CUTS);
    for (int i = 0; i < CUTS; i++) {
        int piece = (start + 3 * i) % CUTS;
        set_stage(r, "piece", tail, cuts[piece], cuts[piece + 1]);
        call(r, cuts[piece], cuts[piece + 1]);
        expect(r, cuts[piece], cuts[piece + 1], 0, INT64_MAX);
        if (!check_expected(r, "pieces give other bits than the whole, or more than their range"))
            return false;
    }
    return true;
}

static bool run_alone(run *r, bool tail)
{
    const kc_case *c = r->c;
    if (c->n_alone == 0)
        return true;
    place_operands(r, tail);
    for (int64_t j = 0; j < c->n_alone; j++) {
        set_stage(r, "token alone", tail, j, j + 1);
        r->x->progress->n_calls++;
        c->call_alone(c, r->x->row->fn, j);
        if (c->alone_items)
            expect(r, j * c->alone_items, (j + 1) * c->alone_items, 0, INT64_MAX);
        else
            expect(r, 0, c->n_items, j, j + 1);
        if (!check_expected(r, "a token alone gives other bits than among others, or more than its row"))
            return false;
    }
    return true;
}

bool kc_run_case(kc_context *x, const kc_op *op, int64_t index)
{
    kc_progress *p = x->progress;
    kc_case c = {.unit = 1};
    run r = {.x = x, .c = &c};
    x->arena_used = 0;
    p->index = index;
    snprintf(p->text, KC_TEXT, "(building the case)");
    p->stage[0] = '\0';
    kc_reseed(x, op->slot, index);
    /* Of CPU time: a machine that is busy with other things, or stopped this, makes no hang. */
    setitimer(ITIMER_PROF, &(struct itimerval){.it_value.tv_sec = x->case_seconds}, NULL);
    op->build(x, index, &c);
    memcpy(p->text, c.text, KC_TEXT);
    p->n_cases++;
    run_reference(&r);
    bool tail = index & 1;
    return run_first(&r) && run_again(&r) && run_part(&r, !tail) && run_pieces(&r, tail) && run_alone(&r, tail);
}
