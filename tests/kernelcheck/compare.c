/* SPDX-License-Identifier: Apache-2.0
 *
 * Judges an output element by element. The reference's f32 results must lie within the derived bound of the
 * oracle, and be NaN or infinite where it is. All else is compared bit by bit; any NaN equals any NaN but where
 * the contract names one.
 */
#include "kernelcheck.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void kc_fail(kc_context *x, const char *format, ...)
{
    kc_progress *p = x->progress;
    if (p->n_failures >= KC_MAX_FAILURES)
        return;
    kc_failure *f = &p->failures[p->n_failures];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(f->text, KC_TEXT, format, args);
    va_end(args);
    size_t at = n < 0 ? 0 : n < KC_TEXT ? (size_t)n : KC_TEXT - 1;
    snprintf(f->text + at, sizeof f->text - at, "; %s; %s", p->text, p->stage);
    f->index = p->index;
    p->n_failures++;
}

static float load_f32(const uint8_t *p)
{
    float v;
    memcpy(&v, p, sizeof v);
    return v;
}

static bool is_unwritten(const uint8_t *p)
{
    uint32_t bits;
    memcpy(&bits, p, sizeof bits);
    return bits == KC_UNWRITTEN;
}

/* The one that LINEAR gives. */
static bool is_the_nan(const uint8_t *p)
{
    uint32_t bits;
    memcpy(&bits, p, sizeof bits);
    return bits == UINT32_C(0x7fc00000);
}

static bool same_f32(const uint8_t *got, const uint8_t *want)
{
    return memcmp(got, want, 4) == 0 || (isnan(load_f32(got)) && isnan(load_f32(want)));
}

static bool same_f16(const uint8_t *got, const uint8_t *want)
{
    return memcmp(got, want, 2) == 0 ||
           (isnan(q35_f16_to_f32(q35_load_u16(got))) && isnan(q35_f16_to_f32(q35_load_u16(want))));
}

/* One f32 of the reference. Element e lies at offset 4 e. */
static bool near_enough(kc_context *x, const kc_operand *o, size_t e, const uint8_t *got, double *err)
{
    double v = (double)load_f32(got + 4 * e), target = o->oracle[e], bound = o->bound[e];
    *err = fabs(v - target);
    if (o->elem == KC_F32_ONE_NAN && isnan(v) && !is_the_nan(got + 4 * e))
        return false;
    if (!isfinite(target))
        return !isfinite(v) && !is_unwritten(got + 4 * e);
    if (!isfinite(v))
        return false;
    kc_progress *p = x->progress;
    if (bound > 0 && *err / bound > p->worst) {
        p->worst = *err / bound;
        snprintf(p->worst_at, sizeof p->worst_at, "case %lld: %s", (long long)p->index, p->text);
    }
    return *err <= bound;
}

/* An element of an output, for messages. */
typedef struct place {
    const kc_operand *o;
    int64_t item, repetition;
    size_t element, at; /* at: bytes from the operand's start */
} place;

static void fail_bits(kc_context *x, const place *w, const uint8_t *got, const uint8_t *want)
{
    char g[32], v[32];
    if (w->o->elem == KC_F16_BITS || w->o->elem == KC_Q8_BITS) {
        snprintf(g, sizeof g, "0x%04x", q35_load_u16(got + w->at));
        snprintf(v, sizeof v, "0x%04x", q35_load_u16(want + w->at));
    } else {
        snprintf(g, sizeof g, is_unwritten(got + w->at) ? "not written" : "%.9g", (double)load_f32(got + w->at));
        snprintf(v, sizeof v, "%.9g", (double)load_f32(want + w->at));
    }
    kc_fail(x, "%s[item %lld, repetition %lld, element %zu] is %s, target %s, must be the same bits", w->o->name,
            (long long)w->item, (long long)w->repetition, w->element, g, v);
}

static bool compare_near(kc_context *x, const place *w, const uint8_t *got)
{
    const size_t e = w->at / 4;
    double err;
    if (near_enough(x, w->o, e, got, &err))
        return true;
    char what[128];
    if (is_unwritten(got + w->at))
        snprintf(what, sizeof what, "not written");
    else
        snprintf(what, sizeof what, "%.9g, target %.9g, error %.3g, bound %.3g", (double)load_f32(got + w->at),
                 w->o->oracle[e], err, w->o->bound[e]);
    kc_fail(x, "%s[item %lld, repetition %lld, element %zu] is %s", w->o->name, (long long)w->item,
            (long long)w->repetition, w->element, what);
    return false;
}

static bool compare_element(kc_context *x, const place *w, const uint8_t *got, const uint8_t *ref)
{
    const bool is_ref = x->row == x->ref;
    const uint8_t *want = is_ref ? (const uint8_t *)w->o->oracle_bits : ref;
    kc_elem elem = w->o->elem;
    if (is_ref && (elem == KC_F32 || elem == KC_F32_ONE_NAN))
        return compare_near(x, w, got);
    bool is_f16 = elem == KC_F16_BITS || elem == KC_Q8_BITS;
    bool same = is_f16 ? same_f16(got + w->at, want + w->at) : same_f32(got + w->at, want + w->at);
    if (elem == KC_F32_ONE_NAN)
        same = memcmp(got + w->at, want + w->at, 4) == 0;
    if (elem == KC_Q8_BITS && same)
        same = memcmp(got + w->at + 2, want + w->at + 2, 32) == 0;
    if (elem == KC_ACT_BITS && same)
        same = memcmp(got + w->at + 4, want + w->at + 4, w->o->act_bytes - 4) == 0;
    if (!same)
        fail_bits(x, w, got, want);
    return same;
}

bool kc_compare(kc_context *x, const kc_case *c, const kc_operand *o, const uint8_t *got, const uint8_t *ref)
{
    const size_t sizes[] = {4, 4, 4, 2, o->act_bytes, 34};
    const kc_map *m = &o->map;
    size_t size = sizes[o->elem];
    place w = {.o = o};
    for (w.item = 0; w.item < c->n_items; w.item++) {
        size_t item = kc_item_at(m, w.item);
        for (w.repetition = 0; w.repetition < m->n_rep; w.repetition++) {
            for (w.element = 0; w.element < m->cell / size; w.element++) {
                w.at = item + (size_t)w.repetition * m->rep_stride + w.element * size;
                if (!compare_element(x, &w, got, ref))
                    return false;
            }
        }
    }
    return true;
}
