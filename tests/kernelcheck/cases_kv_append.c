/* SPDX-License-Identifier: Apache-2.0
 *
 * KV_APPEND: exact to the bit for f16 (round to nearest even), f32 and Q8_0; every other slot of the cache keeps
 * its bytes. The slots are any, in any order.
 */
#include "kernelcheck.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct params {
    int64_t rs_k, rs_v;
    q35k_kv kv;
    const int32_t *where; /* slot of each row */
    int k, v, slots, cache_k, cache_v;
} params;

static void call_from(const kc_case *c, kc_fn *fn, int64_t token, int64_t begin, int64_t end)
{
    const params *p = c->params;
    const kc_operand *o = c->operands;
    q35k_kv kv = p->kv;
    kv.k = o[p->cache_k].p;
    kv.v = o[p->cache_v].p;
    ((q35k_kv_append_fn *)fn)((const float *)(const void *)(o[p->k].p + token * p->rs_k), p->rs_k,
                              (const float *)(const void *)(o[p->v].p + token * p->rs_v), p->rs_v, &kv,
                              (const int32_t *)(const void *)o[p->slots].p + token, begin, end);
}

static void call(const kc_case *c, kc_fn *fn, int64_t begin, int64_t end)
{
    call_from(c, fn, 0, begin, end);
}

static void call_alone(const kc_case *c, kc_fn *fn, int64_t token)
{
    call_from(c, fn, token, 0, 1);
}

/* In double: max|x| / 127 to f32 is one rounding of it, as is x / d, which is then rounded half to even. */
static void expected_q8(const float *x, uint8_t *out)
{
    double top = 0;
    bool finite = true;
    memset(out, 0, 34);
    for (int i = 0; i < 32; i++) {
        finite = finite && isfinite(x[i]);
        top = fmax(top, fabs((double)x[i]));
    }
    uint16_t half = finite ? q35_f32_to_f16((float)fmin(top / 127, 65504)) : 0x7e00;
    memcpy(out, &half, sizeof half);
    double d = (double)q35_f16_to_f32(half);
    for (int i = 0; i < 32 && finite && d > 0; i++) {
        volatile float ratio = (float)((double)x[i] / d);
        out[2 + i] = (uint8_t)(int8_t)lrint(fmax(-127, fmin(127, (double)ratio)));
    }
}

/* Element of the cache that holds element i of a row. */
static int64_t element_at(const q35k_kv *kv, int64_t slot, int64_t i)
{
    int64_t page = slot / 32, row = slot % 32, g = i / kv->head_dim;
    return ((page * kv->n_kv_heads + g) * 32 + row) * kv->head_dim + i % kv->head_dim;
}

/* n different slots, in disorder; every third time neighbours. */
static const int32_t *choose_slots(kc_context *x, const q35k_kv *kv, int64_t n)
{
    int64_t n_slots = 32 * kv->n_pages, first = kc_below(x, n_slots - n + 1);
    int32_t *slots = kc_alloc(x, (size_t)n_slots * sizeof *slots);
    bool neighbours = kc_below(x, 3) == 0;
    for (int64_t i = 0; i < n_slots; i++)
        slots[i] = (int32_t)((i + first) % n_slots);
    for (int64_t i = 0; i < n && !neighbours; i++) {
        int64_t j = i + kc_below(x, n_slots - i);
        int32_t slot = slots[i];
        slots[i] = slots[j];
        slots[j] = slot;
    }
    return slots;
}

static uint8_t *expected_cache(kc_context *x, const params *p, int64_t n, const float *rows, int64_t rs,
                               size_t bytes)
{
    uint8_t *cache = kc_alloc(x, bytes);
    const q35k_kv *kv = &p->kv;
    for (int64_t t = 0; t < n; t++) {
        for (int64_t i = 0; i < kv->n_kv_heads * kv->head_dim; i++) {
            float value = rows[t * rs / 4 + i];
            uint16_t half = q35_f32_to_f16(value);
            int64_t at = element_at(kv, p->where[t], i);
            if (kv->dtype == Q35_DT_Q8_0 && at % 32 == 0)
                expected_q8(&rows[t * rs / 4 + i], cache + at / 32 * 34);
            if (kv->dtype == Q35_DT_Q8_0)
                continue;
            if (kv->dtype == Q35_DT_F32)
                memcpy(cache + 4 * at, &value, sizeof value);
            else
                memcpy(cache + 2 * at, &half, sizeof half);
        }
    }
    return cache;
}

static void build_shape(kc_context *x, kc_case *c, q35k_kv kv, int64_t n, kc_dist dist)
{
    params *p = kc_alloc(x, sizeof *p);
    int64_t width = kv.n_kv_heads * kv.head_dim;
    c->params = p;
    *p = (params){.kv = kv, .where = choose_slots(x, &kv, n)};
    p->rs_k = 4 * (width + kc_below(x, 4));
    p->rs_v = 4 * (width + kc_below(x, 4));
    /* Q8_0: scales that are subnormal or saturate. */
    bool q8 = kv.dtype == Q35_DT_Q8_0;
    float *k = kc_f32_rows(x, n, width, (size_t)p->rs_k, dist, q8 ? 3e-6 : 65519.99);
    float *v = kc_f32_rows(x, n, width, (size_t)p->rs_v, dist, q8 ? 1e9 : 65520);
    size_t size = kv.dtype == Q35_DT_F32 ? 4 : 2, row = (size_t)q35_row_bytes(kv.dtype, (uint64_t)kv.head_dim);
    size_t bytes = row * (size_t)(kv.n_pages * kv.n_kv_heads * 32);
    kc_elem elem = q8 ? KC_Q8_BITS : kv.dtype == Q35_DT_F32 ? KC_F32_BITS : KC_F16_BITS;
    kc_map map = {.cell = row, .mod = 32, .n_rep = kv.n_kv_heads, .place = p->where};
    map.mod_stride = row;
    map.rep_stride = 32 * row;
    map.div_stride = (size_t)kv.n_kv_heads * map.rep_stride;
    p->k = kc_input(c, "k", k, (size_t)(n * p->rs_k), 4);
    p->v = kc_input(c, "v", v, (size_t)(n * p->rs_v), 4);
    p->slots = kc_input(c, "slots", p->where, (size_t)n * sizeof *p->where, 4);
    p->cache_k = kc_output(c, "cache k", bytes, size, elem, map);
    p->cache_v = kc_output(c, "cache v", bytes, size, elem, map);
    c->operands[p->cache_k].oracle_bits = expected_cache(x, p, n, k, p->rs_k, bytes);
    c->operands[p->cache_v].oracle_bits = expected_cache(x, p, n, v, p->rs_v, bytes);
    c->n_items = n;
    c->call = call;
    c->call_alone = call_alone;
    c->n_alone = n;
    c->alone_items = 1;
    snprintf(c->text, sizeof c->text, "%s kv_heads=%lld head_dim=%lld pages=%lld T=%lld dist=%s",
             q35_dtype_describe(kv.dtype).name, (long long)kv.n_kv_heads, (long long)kv.head_dim,
             (long long)kv.n_pages, (long long)n, kc_dist_name(dist));
}

static void build(kc_context *x, int64_t index, kc_case *c)
{
    static const int64_t dims[] = {1, 7, 16, 33, 64, 80, 96, 128}, tokens[] = {1, 2, 7, 33, 0};
    static const uint32_t dtypes[] = {Q35_DT_F16, Q35_DT_F32, Q35_DT_Q8_0};
    int64_t n = tokens[index / 2 % 5];
    q35k_kv kv = {.dtype = dtypes[index % 3],
                  .n_kv_heads = 1 + index / 3 % 3,
                  .n_pages = n / 32 + 1 + kc_below(x, 3),
                  .head_dim = kc_round_k(dtypes[index % 3], dims[index / 4 % 8])};
    build_shape(x, c, kv, n, (kc_dist)(index / 8 % KC_DIST_COUNT));
}

static void build_bench(kc_context *x, int64_t index, kc_case *c)
{
    static const uint32_t dtypes[] = {Q35_DT_F16, Q35_DT_F32, Q35_DT_Q8_0};
    q35k_kv kv = {.dtype = dtypes[index], .n_pages = 16, .n_kv_heads = 4, .head_dim = 64};
    build_shape(x, c, kv, 64, KC_DIST_NORMAL);
    c->bytes = 64.0 * 4 * 2 * (4 * 64 + (double)q35_row_bytes(kv.dtype, 64));
}

const kc_op kc_op_kv_append = {"kv_append", 720, build, 3, build_bench};
