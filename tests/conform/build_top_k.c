/* SPDX-License-Identifier: Apache-2.0
 *
 * TOP_K: rows that are all alike, with few values and so many ties, with zeros of both signs, NaN and infinities;
 * k from one to the whole row, and rows as long as a vocabulary. */
#include "shapes.h"

#include <math.h>
#include <stdio.h>

/* Values of a small set, which begins with those that are equal or cannot be ordered. */
static void fill_from_set(cf_env *e, float *x, int64_t n, int64_t size)
{
    const float set[] = {0.0f, -0.0f, -1.5f, 2.0f, INFINITY, -INFINITY, NAN, 0x1p-149f, -0x1p127f};
    for (int64_t i = 0; i < n; i++)
        x[i] = set[kc_below(&e->x, size)];
}

static cf_rows choose_rows(cf_env *e, int64_t index)
{
    cf_rows r = cf_choose_rows(e, index);
    if (index == 9 || index == 11) {
        r.k = index == 9 ? 4099 : 49152;
        r.n = r.n > 0 ? r.n : 1;
        r.capacity = r.capacity > r.n ? r.capacity : r.n;
    }
    return r;
}

bool cf_build_top_k(cf_env *e, cf_case *c, int64_t index, uint32_t a, uint32_t b)
{
    static const int64_t counts[] = {1, 33, 40, 7, 2, 64};
    static const char *const kinds[] = {"normal", "ties", "equal", "not finite", "extreme"};
    (void)a, (void)b;
    if (index >= CF_ROW_CASES)
        return false;
    const cf_rows r = choose_rows(e, index);
    const int64_t wanted = counts[index % 6], k = wanted < r.k ? wanted : r.k, kind = index % 5;
    const uint32_t rows = index % 2 ? Q35_TF_OUT_ROWS : Q35_TF_TOKEN_ROWS;
    q35_top_k_params *p = kc_alloc(&e->x, sizeof *p);
    *p = (q35_top_k_params){.h = {sizeof *p, Q35_STRUCT_TOP_K_PARAMS, NULL}, .k = (uint32_t)k};
    cf_begin(e, c, r.n, r.n, 0);
    snprintf(c->text, sizeof c->text, "top_k K=%lld k=%lld T=%lld of %lld pad=%lld, %s", (long long)r.k,
             (long long)k, (long long)r.n, (long long)r.capacity, (long long)r.pad, kinds[kind]);
    const uint32_t in = cf_matrix(e, c, "x", Q35_ROLE_INPUT, Q35_DT_F32, r.k, r.capacity, rows, r.pad);
    const uint32_t out[2] = {cf_matrix(e, c, "values", Q35_ROLE_OUTPUT, Q35_DT_F32, k, r.capacity, rows, 0),
                             cf_matrix(e, c, "columns", Q35_ROLE_OUTPUT, Q35_DT_I32, k, r.capacity, rows, 0)};
    for (int64_t t = 0; t < r.capacity; t++) {
        float *x = cf_row_f32(c->t[in].init, &c->t[in], t);
        if (kind == 0 || kind == 4)
            kc_fill_f32(&e->x, x, r.k, kind ? KC_DIST_EXTREME : KC_DIST_NORMAL, 1e30);
        else
            fill_from_set(e, x, r.k, kind == 1 ? 4 : kind == 2 ? 2 : 9);
    }
    cf_expect(e, &c->t[out[0]], CF_F32, false);
    cf_expect(e, &c->t[out[1]], CF_BYTES, false);
    c->t[out[0]].by_rows = c->t[out[1]].by_rows = true;
    cf_node(c, Q35_OP_TOP_K, &p->h, 1, &in, 2, out);
    cf_expect_node(e, c);
    return true;
}
