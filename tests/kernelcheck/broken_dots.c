/* SPDX-License-Identifier: Apache-2.0
 *
 * Self-test kernels with weights, caches and dot products (broken.h).
 */
#include "broken.h"

#include <kernels-cpu/tile16.h>

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { MAX_K = 11008, MAX_ROW_BYTES = 4 * MAX_K };

/* ---- rows of any layout ---- */

/* Row r, canonical. */
static const uint8_t *row_of(const q35k_weights *w, int64_t r)
{
    static uint8_t rows[16 * MAX_ROW_BYTES];
    int64_t row_bytes = (int64_t)q35_row_bytes(w->dtype, (uint64_t)w->k);
    if (w->layout != Q35K_LAYOUT_TILE16)
        return (const uint8_t *)w->data + r * w->rs;
    q35k_tile16_unpack(w->dtype, w->k, 16, (const uint8_t *)w->data + r / 16 * w->rs, rows, row_bytes);
    return rows + r % 16 * row_bytes;
}

static void decode(const q35k_weights *w, int64_t r, float *out)
{
    q35_dtype_info d = q35_dtype_describe(w->dtype);
    const uint8_t *row = row_of(w, r);
    for (int64_t i = 0; i < w->k; i += d.block_len, row += d.block_bytes)
        q35_block_decode(w->dtype, row, w->book, out + i);
}

/* ---- linear ---- */

typedef enum mistake {
    NONE,
    SHORT,
    SPLIT,
    TOKEN,
    HALF,
    SCRATCH,
    PADDING,
    UNFUSED,
    TWO_CHAINS,
    MINIMUM_FIRST,
    ANY_NAN
} mistake;

/* A row of weights, in levels and in floats. */
typedef struct weight_row {
    q35_levels_info info;
    int8_t level[MAX_K + 256];
    float scale[MAX_K / 16 + 16], min[MAX_K / 16 + 16], w[MAX_K + 256];
} weight_row;

static void decode_levels(const q35k_weights *w, int64_t r, weight_row *out)
{
    q35_dtype_info d = q35_dtype_describe(w->dtype);
    const uint8_t *row = row_of(w, r);
    out->info = q35_levels_describe(w->dtype);
    for (int64_t i = 0; i < w->k && out->info.part; i += d.block_len, row += d.block_bytes)
        q35_block_levels(w->dtype, row, w->book, out->level + i, out->scale + i / out->info.part,
                         out->min + i / out->info.part);
}

/* acc + a * b. */
static float add(float acc, float a, float b, mistake m)
{
    volatile float product = a * b;
    acc = m == UNFUSED ? acc + product : fmaf(a, b, acc);
    return m == HALF ? q35_f16_to_f32(q35_f32_to_f16(acc)) : acc;
}

/* acc after part p of the row. */
static float add_part(float acc, const q35_act_block *x, const weight_row *w, int64_t p, mistake m)
{
    const int part = w->info.part;
    const q35_act_block *a = &x[p * part / Q35_ACT_BLOCK];
    int sum = 0, total = 0;
    for (int64_t i = p * part; i < (p + 1) * part; i++) {
        sum += a->q[i % Q35_ACT_BLOCK] * w->level[i];
        total += a->q[i % Q35_ACT_BLOCK];
    }
    if (w->info.has_min && m == MINIMUM_FIRST)
        acc = add(acc, (float)total * a->scale, w->min[p], m);
    acc = add(acc, (float)sum * a->scale, w->scale[p], m);
    if (w->info.has_min && m != MINIMUM_FIRST)
        acc = add(acc, (float)total * a->scale, w->min[p], m);
    return acc;
}

/* acc after the inputs [k0, k1) of a chunk. */
static float add_floats(float acc, const void *x, uint32_t act_type, const float *w, int64_t k0, int64_t k1,
                        mistake m)
{
    float chain[4] = {0};
    for (int64_t i = k0; i < k1; i++) {
        const q35_act_block *b = (const q35_act_block *)x + i / Q35_ACT_BLOCK;
        float v = act_type == Q35_DT_F32 ? ((const float *)x)[i] : b->scale * (float)b->q[i % Q35_ACT_BLOCK];
        float *to = &chain[m == TWO_CHAINS ? i % 2 : i % 4];
        *to = add(*to, v, w[i], m);
    }
    return acc + ((chain[0] + chain[1]) + (chain[2] + chain[3]));
}

/* The order of kernels.h, or the last part (chunk) first. */
static float dot(const void *x, uint32_t act_type, const weight_row *w, int64_t k, bool reversed, mistake m)
{
    bool levels = w->info.part && act_type != Q35_DT_F32;
    int64_t n = levels ? (k + 31) / 32 * 32 / w->info.part : (k + 255) / 256;
    float acc = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t at = reversed ? n - 1 - i : i, end = 256 * at + 256 < k ? 256 * at + 256 : k;
        acc = levels ? add_part(acc, x, w, at, m) : add_floats(acc, x, act_type, w->w, 256 * at, end, m);
    }
    return acc;
}

/* Have n > 1 tokens been seen with weights like these? */
static bool was_many(const q35k_weights *w, int64_t n)
{
    static q35k_weights last;
    static bool many;
    if (last.dtype != w->dtype || last.layout != w->layout || last.n != w->n || last.k != w->k)
        many = false;
    last = *w;
    many = many || n > 1;
    return many;
}

static void linear(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens, const q35k_weights *w,
                   float *out, int64_t rs_out, int64_t begin, int64_t end, const float *scratch, mistake m)
{
    static weight_row row;
    const bool alone = was_many(w, n_tokens) && n_tokens == 1;
    for (int64_t r = begin; r < end; r++) {
        decode_levels(w, r, &row);
        decode(w, r, row.w);
        for (int64_t t = 0; t < n_tokens; t++) {
            bool reversed = (m == SPLIT && begin > 0) || (m == TOKEN && alone);
            int64_t k = m == SHORT && w->k > 33 ? w->k / 32 * 32 - 32 : w->k;
            const char *in = (const char *)x + t * rs_x;
            float sum = dot(in, act_type, &row, k, reversed, m);
            if (m == SCRATCH)
                sum += scratch[0] * 0;
            if (m == PADDING && act_type == Q35_DT_F32 && k % 16)
                sum += *(const volatile float *)(const void *)(in + 4 * k) * 0;
            if (isnan(sum))
                sum = m == ANY_NAN ? -(float)NAN : (float)NAN;
            *(float *)(void *)((char *)(out + r) + t * rs_out) = sum;
        }
    }
}

#define LINEAR(name, m)                                                                                           \
    void name(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens, const q35k_weights *w,            \
              float *out, int64_t rs_out, int64_t begin, int64_t end, void *scratch)                              \
    {                                                                                                             \
        linear(x, act_type, rs_x, n_tokens, w, out, rs_out, begin, end, scratch, m);                              \
    }
LINEAR(good_linear, NONE)
LINEAR(short_k, SHORT)
LINEAR(split_dependent, SPLIT)
LINEAR(token_dependent, TOKEN)
LINEAR(f16_accumulator, HALF)
LINEAR(stale_scratch, SCRATCH)
LINEAR(padding_codes, PADDING)
LINEAR(unfused_parts, UNFUSED)
LINEAR(two_chains, TWO_CHAINS)
LINEAR(minimum_first, MINIMUM_FIRST)
LINEAR(any_nan, ANY_NAN)

/* ---- cache ---- */

/* As the contract says, but where `truncate`: codes are cut off. */
static void append_q8(const float *x, uint8_t *out, bool truncate)
{
    float top = 0;
    bool finite = true;
    for (int i = 0; i < 32; i++) {
        finite = finite && isfinite(x[i]);
        top = fmaxf(top, fabsf(x[i]));
    }
    uint16_t half = finite ? q35_f32_to_f16(fminf(top / 127, 65504)) : 0x7e00;
    float d = q35_f16_to_f32(half);
    memcpy(out, &half, sizeof half);
    for (int i = 0; i < 32; i++) {
        float q = finite && d > 0 ? fmaxf(-127, fminf(127, x[i] / d)) : 0;
        out[2 + i] = (uint8_t)(int8_t)(truncate ? truncf(q) : rintf(q));
    }
}

typedef enum append_mistake { APPEND_GOOD, APPEND_NEXT, APPEND_CUTS_F16, APPEND_CUTS_Q8 } append_mistake;

static void append_element(float x, const q35k_kv *kv, void *cache, int64_t at, append_mistake m)
{
    uint16_t half = q35_f32_to_f16(x);
    if (m == APPEND_CUTS_F16 && fabsf(q35_f16_to_f32(half)) > fabsf(x))
        half--;
    if (kv->dtype == Q35_DT_F32)
        ((float *)cache)[at] = x;
    else if (kv->dtype == Q35_DT_F16)
        ((uint16_t *)cache)[at] = half;
}

static void append(const float *k, int64_t rs_k, const float *v, int64_t rs_v, const q35k_kv *kv,
                   const int32_t *slots, int64_t begin, int64_t end, append_mistake m)
{
    const int64_t shift = m == APPEND_NEXT;
    for (int64_t t = begin; t < end; t++) {
        for (int64_t i = 0; i < kv->n_kv_heads * kv->head_dim; i++) {
            int64_t at = q35k_kv_row(kv, slots[t] + shift, i / kv->head_dim) * kv->head_dim + i % kv->head_dim;
            const float *values[2] = {&k[t * rs_k / 4 + i], &v[t * rs_v / 4 + i]};
            void *caches[2] = {kv->k, kv->v};
            for (int c = 0; c < 2; c++) {
                append_element(*values[c], kv, caches[c], at, m);
                if (kv->dtype == Q35_DT_Q8_0 && at % 32 == 0)
                    append_q8(values[c], (uint8_t *)caches[c] + at / 32 * 34, m == APPEND_CUTS_Q8);
            }
        }
    }
}

void good_kv_append(const float *k, int64_t rs_k, const float *v, int64_t rs_v, const q35k_kv *kv,
                    const int32_t *slots, int64_t begin, int64_t end)
{
    append(k, rs_k, v, rs_v, kv, slots, begin, end, APPEND_GOOD);
}

void next_position(const float *k, int64_t rs_k, const float *v, int64_t rs_v, const q35k_kv *kv,
                   const int32_t *slots, int64_t begin, int64_t end)
{
    append(k, rs_k, v, rs_v, kv, slots, begin, end, APPEND_NEXT);
}

void truncates_f16(const float *k, int64_t rs_k, const float *v, int64_t rs_v, const q35k_kv *kv,
                   const int32_t *slots, int64_t begin, int64_t end)
{
    append(k, rs_k, v, rs_v, kv, slots, begin, end, APPEND_CUTS_F16);
}

void truncates_q8(const float *k, int64_t rs_k, const float *v, int64_t rs_v, const q35k_kv *kv,
                  const int32_t *slots, int64_t begin, int64_t end)
{
    append(k, rs_k, v, rs_v, kv, slots, begin, end, APPEND_CUTS_Q8);
}

void next_row(const int32_t *ids, const q35k_weights *w, float *out, int64_t rs_out, int64_t begin, int64_t end)
{
    static float row[MAX_K + 256];
    for (int64_t t = begin; t < end; t++) {
        decode(w, (ids[t] + 1) % w->n, row);
        memcpy((char *)out + t * rs_out, row, (size_t)w->k * 4);
    }
}
