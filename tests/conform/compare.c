/* SPDX-License-Identifier: Apache-2.0
 *
 * Every byte of every tensor after a run: results within their bound or bit by bit, all else as it was. */
#include "conform.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static float load_f32(const uint8_t *p)
{
    float v;
    memcpy(&v, p, sizeof v);
    return v;
}

static bool same_f32(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, 4) == 0 || (isnan(load_f32(a)) && isnan(load_f32(b)));
}

static bool same_f16(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, 2) == 0 ||
           (isnan(q35_f16_to_f32(q35_load_u16(a))) && isnan(q35_f16_to_f32(q35_load_u16(b))));
}

static bool is_unwritten(const uint8_t *p)
{
    const uint32_t unwritten = KC_UNWRITTEN;
    return memcmp(p, &unwritten, sizeof unwritten) == 0;
}

static uint64_t unit_of(const cf_tensor *t)
{
    switch (t->elem) {
    case CF_F32:
    case CF_F32_ONE_NAN: return 4;
    case CF_F16: return 2;
    case CF_Q8: return 34;
    case CF_ACT: return t->unit_bytes;
    case CF_BYTES:
    case CF_ANY: break;
    }
    return 1;
}

/* Element at byte `at`, without a bound. */
bool cf_same_element(const cf_tensor *t, uint64_t at, const uint8_t *got, const uint8_t *want)
{
    const uint64_t unit = unit_of(t);
    const uint8_t *g = got + at, *w = want + at;
    switch (t->elem) {
    case CF_F32: return same_f32(g, w) && is_unwritten(g) == is_unwritten(w);
    case CF_F16: return same_f16(g, w);
    case CF_Q8: return same_f16(g, w) && memcmp(g + 2, w + 2, unit - 2) == 0;
    case CF_ACT: return same_f32(g, w) && memcmp(g + 4, w + 4, unit - 4) == 0;
    case CF_F32_ONE_NAN:
    case CF_BYTES:
    case CF_ANY: break;
    }
    return memcmp(g, w, unit) == 0;
}

static bool within(const cf_tensor *t, uint64_t at, const uint8_t *got, const uint8_t *want)
{
    double g = (double)load_f32(got + at), w = (double)load_f32(want + at);
    if (!isfinite(w) || t->bound[at / 4] == 0)
        return cf_same_element(t, at, got, want);
    return isfinite(g) && fabs(g - w) <= t->bound[at / 4];
}

/* Where a byte lies, in words. */
static const char *place(const cf_tensor *t, uint64_t at, char *text, size_t cap)
{
    uint64_t row = at, column;
    const uint64_t stride = (uint64_t)t->desc.stride[1],
                   bytes = q35_row_bytes(t->desc.dtype, (uint64_t)t->desc.dim[0]);
    row = stride ? at / stride : 0;
    column = at - row * stride;
    if (column >= bytes)
        snprintf(text, cap, "%s, row %llu, byte %llu behind its %llu bytes", t->name, (unsigned long long)row,
                 (unsigned long long)(column - bytes), (unsigned long long)bytes);
    else if (t->desc.dtype == Q35_DT_F32)
        snprintf(text, cap, "%s[%llu][%llu]", t->name, (unsigned long long)row, (unsigned long long)column / 4);
    else
        snprintf(text, cap, "%s, row %llu, byte %llu", t->name, (unsigned long long)row,
                 (unsigned long long)column);
    return text;
}

_Noreturn static void complain(const cf_case *c, const cf_tensor *t, uint64_t at, const uint8_t *got,
                               const uint8_t *want, const char *when)
{
    char where[200], value[160];
    place(t, at, where, sizeof where);
    bool written = t->want && memcmp(want + at, t->init + at, unit_of(t)) != 0;
    if (!written && !t->want)
        cf_fail("%s: %s changed, need it as before the run, %s", c->text, where, when);
    if (t->elem == CF_F32 || t->elem == CF_F32_ONE_NAN) {
        if (is_unwritten(want + at))
            cf_fail("%s: %s was written (%.9g), need it left alone, %s", c->text, where,
                    (double)load_f32(got + at), when);
        if (is_unwritten(got + at))
            cf_fail("%s: %s was not written, need %.9g, %s", c->text, where, (double)load_f32(want + at), when);
        if (t->bound && t->bound[at / 4] > 0)
            snprintf(value, sizeof value, "within %.3g of %.9g", t->bound[at / 4], (double)load_f32(want + at));
        else
            snprintf(value, sizeof value, "the bits of %.9g", (double)load_f32(want + at));
        cf_fail("%s: %s is %.9g, need %s, %s", c->text, where, (double)load_f32(got + at), value, when);
    }
    uint64_t first = at;
    while (first < at + unit_of(t) - 1 && got[first] == want[first])
        first++;
    cf_fail("%s: %s is 0x%02x at byte %llu of the element, need 0x%02x, %s", c->text, where, got[first],
            (unsigned long long)(first - at), want[first], when);
}

/* What is in a tensor's rows of elements is compared by element, what is between rows by byte. */
static void compare_tensor(const cf_case *c, const cf_tensor *t, const uint8_t *got, int64_t rows,
                           const char *when)
{
    if (t->elem == CF_ANY)
        return;
    const uint8_t *want = t->want ? t->want : t->init;
    const uint64_t unit = unit_of(t), row_bytes = q35_row_bytes(t->desc.dtype, (uint64_t)t->desc.dim[0]);
    const uint64_t stride = t->desc.dim[1] > 1 || t->desc.rank > 1 ? (uint64_t)t->desc.stride[1] : t->bytes;
    for (uint64_t row = 0, at = 0; at < t->bytes; row++, at = row * stride) {
        const uint64_t end = at + stride < t->bytes ? at + stride : t->bytes;
        const uint8_t *target = t->by_rows && rows >= 0 && (int64_t)row >= rows ? t->init : want;
        if (memcmp(got + at, target + at, end - at) == 0)
            continue;
        for (uint64_t i = at; i < end;) {
            bool in_row = i < at + row_bytes && t->want && i + unit <= end;
            bool good = !in_row                      ? got[i] == target[i]
                        : t->bound && target == want ? within(t, i, got, target)
                                                     : cf_same_element(t, i, got, target);
            if (!good)
                complain(c, t, i, got, target, when);
            i += in_row ? unit : 1;
        }
    }
}

void cf_compare(cf_env *e, const cf_case *c, uint8_t *const *got, int64_t rows, const char *when)
{
    (void)e;
    for (uint32_t i = 0; i < c->n_tensors; i++)
        if (i != c->step || rows < 0)
            compare_tensor(c, &c->t[i], got[i], rows, when);
}
