/* SPDX-License-Identifier: Apache-2.0
 *
 * GET_ROWS from canonical rows of every weight type: exactly the decoded values of <q35rt/blocks.h>.
 */
#include "kernelcheck.h"

#include <stdio.h>

typedef struct params {
    q35k_weights w;
    int64_t rs_out;
    int ids, rows, book, out;
} params;

static void call(const kc_case *c, kc_fn *fn, int64_t begin, int64_t end)
{
    const params *p = c->params;
    const kc_operand *o = c->operands;
    q35k_weights w = p->w;
    w.data = o[p->rows].p;
    if (p->book >= 0)
        w.book = (const int8_t(*)[2])o[p->book].p;
    ((q35k_get_rows_fn *)fn)((const int32_t *)(const void *)o[p->ids].p, &w, (float *)(void *)o[p->out].p,
                             p->rs_out, begin, end);
}

static void build_shape(kc_context *x, kc_case *c, uint32_t dtype, int64_t k, int64_t n, int64_t n_ids,
                        kc_scales scales, kc_dist dist)
{
    params *p = kc_alloc(x, sizeof *p);
    c->params = p;
    size_t align = dtype == Q35_DT_F32 ? 4 : q35_is_row_type(dtype) ? 1 : 2;
    size_t rs = (size_t)q35_row_bytes(dtype, (uint64_t)k) + align * (size_t)kc_below(x, 4);
    uint8_t *rows = kc_alloc(x, (size_t)n * rs);
    const int8_t(*book)[2] = q35_is_row_type(dtype) ? kc_row_codebook(x, dtype) : kc_codebook(x, dtype);
    if (q35_is_row_type(dtype))
        kc_fill_row_weights(x, rows, dtype, n, k, rs, scales, dist);
    else
        kc_fill_weights(x, rows, dtype, n, k, rs, scales, dist);
    p->w = (q35k_weights){.data = rows, .dtype = dtype, .n = n, .k = k, .rs = (int64_t)rs, .book = book};
    p->rs_out = 4 * (k + kc_below(x, 4));
    int32_t *ids = kc_alloc(x, (size_t)n_ids * sizeof *ids);
    float *bits = kc_alloc(x, (size_t)(n_ids * p->rs_out));
    double *w = kc_alloc(x, (size_t)k * sizeof *w);
    for (int64_t t = 0; t < n_ids; t++) {
        ids[t] = (int32_t)(t == 0 ? n - 1 : kc_below(x, n));
        kc_decode_row(dtype, rows + (size_t)ids[t] * rs, k, book, w);
        for (int64_t i = 0; i < k; i++)
            bits[t * p->rs_out / 4 + i] = (float)w[i];
    }
    p->ids = kc_input(c, "ids", ids, (size_t)n_ids * sizeof *ids, 4);
    p->rows = kc_input(c, "rows", rows, (size_t)n * rs, align);
    p->book = book ? kc_input(c, "codebook", book, q35_book_entries(dtype) * sizeof *book, 1) : -1;
    p->out = kc_output(c, "out", (size_t)(n_ids * p->rs_out), 4, KC_F32_BITS,
                       kc_rows_map(4 * (size_t)k, (size_t)p->rs_out));
    c->operands[p->out].oracle_bits = bits;
    c->n_items = n_ids;
    c->call = call;
    snprintf(c->text, sizeof c->text, "%s K=%lld N=%lld T=%lld rs=%zu scales=%s dist=%s",
             q35_dtype_describe(dtype).name, (long long)k, (long long)n, (long long)n_ids, rs,
             kc_scales_name(scales), kc_dist_name(dist));
}

static void build(kc_context *x, int64_t index, kc_case *c)
{
    static const int64_t widths[] = {1, 31, 64, 128, 129, 257, 576, 0}, tokens[] = {1, 2, 7, 33, 0};
    int64_t n_types = kc_n_weight_types + kc_n_row_types, type = index % n_types, v = index / n_types;
    uint32_t dtype = type < kc_n_weight_types ? kc_weight_types[type] : kc_row_types[type - kc_n_weight_types];
    build_shape(x, c, dtype, kc_round_k(dtype, widths[v % 8]), 1 + kc_below(x, 40), tokens[v % 5],
                (kc_scales)(v % KC_SCALES_COUNT), (kc_dist)(v % KC_DIST_COUNT));
}

static void build_bench(kc_context *x, int64_t index, kc_case *c)
{
    static const uint32_t types[] = {Q35_DT_Q8_0, Q35_DT_Q4_1, Q35_DT_Q35_ROW, Q35_DT_Q40_ROW, Q35_DT_Q60_ROW};
    build_shape(x, c, types[index], 4096, 64, 16, KC_SCALES_PLAIN, KC_DIST_NORMAL);
    c->bytes = 16 * 4096 * 4;
}

const kc_op kc_op_get_rows = {"get_rows", 840, build, 5, build_bench};
