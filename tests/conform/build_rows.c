/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops that see one row, or one element, at a time: norms, elementwise, TAKE_ROWS, SUM_SQUARES, ROTATE,
 * QUANTIZE_ACT. */
#include "bounds.h"
#include "shapes.h"

#include <stdio.h>
#include <string.h>

static uint32_t out_rows(cf_env *e, cf_case *c, const char *name, const cf_rows *r)
{
    return cf_matrix(e, c, name, Q35_ROLE_OUTPUT, Q35_DT_F32, r->k, r->capacity, Q35_TF_TOKEN_ROWS, 0);
}

static void describe(cf_case *c, const char *op, const cf_rows *r, kc_dist dist)
{
    snprintf(c->text, sizeof c->text, "%s K=%lld T=%lld of %lld pad=%lld dist=%s", op, (long long)r->k,
             (long long)r->n, (long long)r->capacity, (long long)r->pad, kc_dist_name(dist));
}

/* ---- RMS_NORM, ADD_RMS_NORM */

bool cf_build_norm(cf_env *e, cf_case *c, int64_t index, uint32_t op, uint32_t b)
{
    (void)b;
    if (index >= CF_ROW_CASES)
        return false;
    const cf_rows r = cf_choose_rows(e, index);
    const kc_dist dist = cf_choose_dist(index);
    const bool add = op == Q35_OP_ADD_RMS_NORM;
    q35_norm_params *p = kc_alloc(&e->x, sizeof *p);
    *p = (q35_norm_params){.h = {sizeof *p, Q35_STRUCT_NORM_PARAMS, NULL}, .eps = index & 1 ? 1e-5f : 1e-6f};
    cf_begin(e, c, r.n, r.n, 0);
    describe(c, add ? "add_rms_norm" : "rms_norm", &r, dist);
    uint32_t in[3], out[2], n_in = 0, n_out = 0;
    in[n_in++] = cf_act_rows(e, c, "a", &r, dist, 1);
    if (add)
        in[n_in++] = cf_act_rows(e, c, "b", &r, KC_DIST_NORMAL, 1);
    in[n_in] = cf_vector(e, c, "w", Q35_ROLE_WEIGHT, Q35_DT_F32, r.k, 0);
    kc_fill_f32(&e->x, (float *)(void *)c->t[in[n_in]].init, r.k, KC_DIST_NORMAL, 1);
    n_in++;
    if (add)
        out[n_out++] = out_rows(e, c, "sum", &r);
    out[n_out++] = out_rows(e, c, "y", &r);
    cf_tensor *y = &c->t[out[n_out - 1]], *sum = add ? &c->t[out[0]] : NULL;
    cf_expect(e, y, CF_F32, true);
    y->by_rows = true;
    if (sum) {
        cf_expect(e, sum, CF_F32, false);
        sum->by_rows = true;
    }
    cf_node(c, op, &p->h, n_in, in, n_out, out);
    cf_expect_node(e, c);
    for (int64_t t = 0; t < r.n; t++)
        for (int64_t i = 0; i < r.k; i++)
            y->bound[t * y->desc.stride[1] / 4 + i] = cf_bound_norm((double)cf_row_f32(y->want, y, t)[i], r.k);
    return true;
}

/* ---- elementwise */

bool cf_build_elementwise(cf_env *e, cf_case *c, int64_t index, uint32_t op, uint32_t b)
{
    (void)b;
    if (index >= CF_ROW_CASES)
        return false;
    const char *name = op == Q35_OP_ADD      ? "add"
                       : op == Q35_OP_MUL    ? "mul"
                       : op == Q35_OP_SWIGLU ? "swiglu"
                                             : "silu";
    const bool exact = op == Q35_OP_ADD || op == Q35_OP_MUL, two = op != Q35_OP_SILU;
    const cf_rows r = cf_choose_rows(e, index);
    const kc_dist dist = cf_choose_dist(index);
    cf_begin(e, c, r.n, r.n, 0);
    describe(c, name, &r, dist);
    uint32_t in[2], out = 0;
    in[0] = cf_act_rows(e, c, "a", &r, dist, 1);
    if (two)
        in[1] = cf_act_rows(e, c, "b", &r, dist, 1);
    out = out_rows(e, c, "y", &r);
    cf_tensor *x = &c->t[in[0]], *y = &c->t[out];
    cf_expect(e, y, CF_F32, !exact);
    y->by_rows = true;
    for (int64_t t = 0; t < r.n && !exact; t++) {
        float *a = cf_row_f32(x->init, x, t);
        for (int64_t i = 0; i < r.k; i++) {
            a[i] *= index % 5 == 3 ? 30.0f : 1.0f; /* exp near its ends */
            if (a[i] < 0 && isinf(a[i]))
                a[i] = -a[i]; /* what -inf gives is not specified */
        }
    }
    cf_node(c, op, NULL, two ? 2 : 1, in, 1, &out);
    cf_expect_node(e, c);
    for (int64_t t = 0; t < r.n && !exact; t++) {
        const float *to = cf_row_f32(y->want, y, t),
                    *b_row = two ? cf_row_f32(c->t[in[1]].init, &c->t[in[1]], t) : NULL;
        for (int64_t i = 0; i < r.k; i++)
            y->bound[t * y->desc.stride[1] / 4 + i] = cf_bound_silu((double)to[i], b_row ? (double)b_row[i] : 1);
    }
    return true;
}

/* ---- TAKE_ROWS, SUM_SQUARES */

bool cf_build_take_rows(cf_env *e, cf_case *c, int64_t index, uint32_t a, uint32_t b)
{
    (void)a, (void)b;
    if (index >= CF_ROW_CASES)
        return false;
    const cf_rows r = cf_choose_rows(e, index);
    const int64_t n_out = r.n > 0 ? 1 + kc_below(&e->x, r.n) : 0, capacity = n_out + 1;
    cf_begin(e, c, r.n, n_out, 0);
    describe(c, "take_rows", &r, KC_DIST_NORMAL);
    uint32_t in[2], out;
    in[0] = cf_act_rows(e, c, "x", &r, KC_DIST_NORMAL, 1);
    in[1] = cf_vector(e, c, "rows", Q35_ROLE_INPUT, Q35_DT_I32, capacity, Q35_TF_OUT_ROWS);
    out = cf_matrix(e, c, "y", Q35_ROLE_OUTPUT, Q35_DT_F32, r.k, capacity, Q35_TF_OUT_ROWS, 0);
    cf_tensor *y = &c->t[out];
    cf_expect(e, y, CF_F32, false);
    for (int64_t i = 0; i < n_out; i++) {
        int32_t row = (int32_t)kc_below(&e->x, r.n);
        memcpy(c->t[in[1]].init + 4 * i, &row, sizeof row);
    }
    cf_node(c, Q35_OP_TAKE_ROWS, NULL, 2, in, 1, &out);
    cf_expect_node(e, c);
    return true;
}

bool cf_build_sum_squares(cf_env *e, cf_case *c, int64_t index, uint32_t a, uint32_t b)
{
    (void)a, (void)b;
    if (index >= CF_ROW_CASES)
        return false;
    const cf_rows r = cf_choose_rows(e, index);
    cf_begin(e, c, r.n, r.n, 0);
    describe(c, "sum_squares", &r, KC_DIST_NORMAL);
    uint32_t in[2];
    in[0] = cf_act_rows(e, c, "x", &r, KC_DIST_NORMAL, 1);
    in[1] = cf_vector(e, c, "acc", Q35_ROLE_STATE, Q35_DT_F32, r.k, 0);
    cf_tensor *acc = &c->t[in[1]];
    for (int64_t i = 0; i < r.k; i++)
        ((float *)(void *)acc->init)[i] = (float)(1 + kc_uniform(&e->x));
    float *want = (float *)(void *)cf_expect(e, acc, CF_F32, true);
    cf_node(c, Q35_OP_SUM_SQUARES, NULL, 2, in, 0, NULL);
    cf_expect_node(e, c);
    for (int64_t i = 0; i < r.k; i++)
        acc->bound[i] = cf_bound_sum_squares((double)want[i], r.n);
    return true;
}

/* ---- ROTATE, QUANTIZE_ACT */

static uint32_t add_signs(cf_env *e, cf_case *c, int64_t k)
{
    uint32_t i = cf_vector(e, c, "signs", Q35_ROLE_WEIGHT, Q35_DT_I8, k, 0);
    for (int64_t j = 0; j < k; j++)
        ((int8_t *)c->t[i].init)[j] = kc_random(&e->x) & 1 ? 1 : -1;
    return i;
}

static kc_dist exact_dist(int64_t index)
{
    static const kc_dist dists[] = {KC_DIST_NORMAL, KC_DIST_UNIFORM, KC_DIST_EXTREME, KC_DIST_NONFINITE,
                                    KC_DIST_CANCEL};
    return dists[index % 5];
}

static uint32_t choose_width(int64_t index)
{
    static const uint32_t widths[] = {128, 64, 2, 4096, 16, 256, 128};
    return widths[index % 7];
}

bool cf_build_rotate(cf_env *e, cf_case *c, int64_t index, uint32_t inverse, uint32_t b)
{
    (void)b;
    if (index >= CF_ROW_CASES)
        return false;
    const cf_rows r = cf_choose_rows(e, index);
    q35_rotate_params *p = kc_alloc(&e->x, sizeof *p);
    *p = (q35_rotate_params){.h = {sizeof *p, Q35_STRUCT_ROTATE_PARAMS, NULL}, choose_width(index), inverse};
    cf_begin(e, c, r.n, r.n, 0);
    describe(c, inverse ? "rotate, inverse" : "rotate", &r, exact_dist(index));
    uint32_t in[2], out;
    in[0] = cf_act_rows(e, c, "x", &r, exact_dist(index), 1e15);
    in[1] = add_signs(e, c, r.k);
    out = out_rows(e, c, "y", &r);
    cf_tensor *y = &c->t[out];
    cf_expect(e, y, CF_F32, false);
    y->by_rows = true;
    cf_node(c, Q35_OP_ROTATE, &p->h, 2, in, 1, &out);
    cf_expect_node(e, c);
    return true;
}

bool cf_build_quantize(cf_env *e, cf_case *c, int64_t index, uint32_t dtype, uint32_t with_signs)
{
    if (index >= CF_ROW_CASES)
        return false;
    const cf_rows r = cf_choose_rows(e, index);
    q35_quantize_params *p = kc_alloc(&e->x, sizeof *p);
    *p = (q35_quantize_params){.h = {sizeof *p, Q35_STRUCT_QUANTIZE_PARAMS, NULL}, .dtype = dtype};
    p->width = with_signs ? choose_width(index) : 0;
    cf_begin(e, c, r.n, r.n, 0);
    describe(c, q35_dtype_describe(dtype).name, &r, exact_dist(index));
    uint32_t in[2], out;
    in[0] = cf_act_rows(e, c, "x", &r, exact_dist(index), 1e15);
    if (with_signs)
        in[1] = add_signs(e, c, r.k);
    out = cf_matrix(e, c, "y", Q35_ROLE_OUTPUT, dtype, r.k, r.capacity, Q35_TF_TOKEN_ROWS, 0);
    cf_tensor *y = &c->t[out];
    cf_expect(e, y, CF_ACT, false);
    y->by_rows = true;
    y->unit_bytes = dtype == Q35_DT_A8_32    ? sizeof(q35_act_block)
                    : dtype == Q35_DT_A8_128 ? sizeof(q35_act_group)
                                             : q35_row_bytes(dtype, (uint64_t)r.k);
    /* Without signs A8_32 is what no parameters mean. */
    const bool plain = dtype == Q35_DT_A8_32 && !with_signs && index & 1;
    cf_node(c, Q35_OP_QUANTIZE_ACT, plain ? NULL : &p->h, with_signs ? 2 : 1, in, 1, &out);
    cf_expect_node(e, c);
    return true;
}
