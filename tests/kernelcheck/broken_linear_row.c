/* SPDX-License-Identifier: Apache-2.0
 *
 * Self-test kernels of linear_row (broken.h): the formula written out for any layout, with one thing wrong each
 * that an exact kernel in the making would get wrong.
 */
#include "broken.h"

#include <kernels-cpu/row16.h>

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { MAX_K = 66304, MAX_ROW_BYTES = MAX_K };

typedef enum mistake {
    NONE,
    SWAPPED,   /* s_row * (s_token * S) */
    ONCE,      /* the products in double, rounded once */
    SATURATED, /* pairs of biased products in int16, as vpmaddubsw */
    TAIL,      /* the last of an odd number of inputs is left out */
    BACKWARDS, /* groups in descending order */
    UNFUSED,   /* a rounding between product and sum of a group */
    FLOAT_SUM  /* sums in f32 */
} mistake;

/* Levels of row r of any layout, and its scale. */
static float decode(const q35k_weights *w, int64_t r, int8_t *level)
{
    static uint8_t rows[16 * MAX_ROW_BYTES];
    q35_dtype_info d = q35_dtype_describe(w->dtype);
    int64_t row_bytes = (int64_t)q35_row_bytes(w->dtype, (uint64_t)w->k);
    const uint8_t *row = (const uint8_t *)w->data + r * w->rs;
    float scale;
    if (w->layout == Q35K_LAYOUT_ROW16) {
        q35k_row16_unpack(w->dtype, w->k, 16, (const uint8_t *)w->data + r / 16 * w->rs, rows, row_bytes);
        row = rows + r % 16 * row_bytes;
    }
    for (int64_t i = 0; i < w->k; i += d.block_len)
        q35_row_levels(w->dtype, row + d.row_head + i / d.block_len * d.block_bytes, w->book, level + i);
    memcpy(&scale, row, sizeof scale);
    return scale;
}

static int32_t saturate16(int32_t v)
{
    return v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v;
}

static float sum_of(const int8_t *q, const int8_t *level, int64_t n, mistake m)
{
    int32_t sum = 0, codes = 0;
    float rounded = 0;
    for (int64_t i = 0; i < (m == TAIL ? n / 2 * 2 : n); i++) {
        sum += level[i] * q[i];
        rounded += (float)(level[i] * q[i]);
    }
    if (m == FLOAT_SUM)
        return rounded;
    if (m != SATURATED)
        return (float)sum;
    sum = 0;
    for (int64_t i = 0; i < n; i += 2) {
        int32_t second = i + 1 < n ? (level[i + 1] + 128) * q[i + 1] : 0;
        sum += saturate16((level[i] + 128) * q[i] + second);
        codes += q[i] + (i + 1 < n ? q[i + 1] : 0);
    }
    return (float)(sum - 128 * codes);
}

static float groups(const q35_act_group *x, const int8_t *level, int64_t k, mistake m)
{
    int64_t n_groups = (k + Q35_ACT_GROUP - 1) / Q35_ACT_GROUP;
    volatile float acc = 0, product;
    for (int64_t i = 0; i < n_groups; i++) {
        int64_t g = m == BACKWARDS ? n_groups - 1 - i : i, at = g * Q35_ACT_GROUP;
        float sum = sum_of(x[g].q, level + at, k - at < Q35_ACT_GROUP ? k - at : Q35_ACT_GROUP, m);
        product = sum * x[g].scale;
        acc = m == UNFUSED ? acc + product : fmaf(sum, x[g].scale, acc);
    }
    return acc;
}

static float floats(const float *x, const int8_t *level, float row, int64_t k)
{
    float acc = 0;
    for (int64_t k0 = 0; k0 < k; k0 += 256) {
        float chain[4] = {0};
        for (int64_t i = k0; i < k && i < k0 + 256; i++)
            chain[i % 4] = fmaf(x[i], row * (float)level[i], chain[i % 4]);
        acc += (chain[0] + chain[1]) + (chain[2] + chain[3]);
    }
    return acc;
}

static float output(const uint8_t *x, uint32_t act_type, const int8_t *level, float row, int64_t k, mistake m)
{
    if (act_type == Q35_DT_F32)
        return floats((const float *)(const void *)x, level, row, k);
    if (act_type == Q35_DT_A8_128)
        return row * groups((const q35_act_group *)(const void *)x, level, k, m);
    float token = ((const q35_act_row *)(const void *)x)->scale;
    float sum = sum_of((const int8_t *)x + sizeof(q35_act_row), level, k, m);
    volatile float scales = m == SWAPPED ? token * sum : row * token;
    if (m == ONCE)
        return (float)((double)row * (double)token * (double)sum);
    return m == SWAPPED ? row * scales : scales * sum;
}

static void linear(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens, const q35k_weights *w,
                   float *out, int64_t rs_out, int64_t begin, int64_t end, mistake m)
{
    static int8_t level[MAX_K + 16];
    if (act_type & Q35K_PANEL) { /* of the reference: canonical rows */
        act_type &= ~Q35K_PANEL;
        rs_x = (int64_t)q35_row_bytes(act_type, (uint64_t)w->k);
    }
    for (int64_t r = begin; r < end; r++) {
        float row = decode(w, r, level);
        for (int64_t t = 0; t < n_tokens; t++) {
            float y = output((const uint8_t *)x + t * rs_x, act_type, level, row, w->k, m);
            *(float *)(void *)((char *)(out + r) + t * rs_out) = isnan(y) ? (float)NAN : y;
        }
    }
}

#define LINEAR_ROW(name, m)                                                                                       \
    void name(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens, const q35k_weights *w,            \
              float *out, int64_t rs_out, int64_t begin, int64_t end, void *scratch)                              \
    {                                                                                                             \
        (void)scratch;                                                                                            \
        linear(x, act_type, rs_x, n_tokens, w, out, rs_out, begin, end, m);                                       \
    }
LINEAR_ROW(good_linear_row, NONE)
LINEAR_ROW(swaps_products, SWAPPED)
LINEAR_ROW(rounds_once, ONCE)
LINEAR_ROW(saturates_pairs, SATURATED)
LINEAR_ROW(drops_odd_tail, TAIL)
LINEAR_ROW(groups_backwards, BACKWARDS)
LINEAR_ROW(unfused_groups, UNFUSED)
LINEAR_ROW(sums_in_f32, FLOAT_SUM)

/* Panels of the reference are rows without gaps. */
static void pack_rows(const uint8_t *x, uint32_t act_type, int64_t rs_x, int64_t k, uint8_t *panel, int64_t n)
{
    const size_t row_bytes = (size_t)q35_row_bytes(act_type, (uint64_t)k);
    for (int64_t t = 0; t < n; t++)
        memcpy(panel + (size_t)t * row_bytes, x + t * rs_x, row_bytes);
}

void good_pack_act(const void *x, uint32_t act_type, int64_t rs_x, int64_t k, int64_t n_tokens, void *panel,
                   int64_t begin, int64_t end)
{
    (void)n_tokens;
    pack_rows(x, act_type, rs_x, k, (uint8_t *)panel + begin * (int64_t)q35_row_bytes(act_type, (uint64_t)k),
              end - begin);
}

/* Each piece over the first. */
void packs_at_the_start(const void *x, uint32_t act_type, int64_t rs_x, int64_t k, int64_t n_tokens, void *panel,
                        int64_t begin, int64_t end)
{
    (void)n_tokens;
    pack_rows(x, act_type, rs_x, k, panel, end - begin);
}
