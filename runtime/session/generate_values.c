/* SPDX-License-Identifier: Apache-2.0
 *
 * Random weights by counting: element i of a row is a hash of (seed, tensor, row, i), so that any piece can be
 * made by any worker. Uniform, of variance 1/K for a matrix of K columns, so that logits are a few units.
 * Quantised blocks get random codes under scales that give them about that size. Hash: Wellons' "lowbias32". */
#include "runtime/session/generate.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/pool.h"
#include "runtime/base/size.h"
#include "runtime/quant/gaussian.h"

#include <q35rt/blocks.h>

#include <math.h>

#define PIECE_BYTES (UINT64_C(8) << 20)
#define F8_RMS      107.2 /* of random e4m3 codes: uniform in sign, exponent and mantissa */

static uint32_t row_key(uint64_t seed, uint32_t tensor, uint64_t row)
{
    uint64_t z = seed * UINT64_C(0x9e3779b97f4a7c15) + tensor * UINT64_C(0xd1342543de82ef95) + row + 1;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)(z ^ (z >> 31));
}

static inline uint32_t hash(uint32_t key, uint32_t i)
{
    uint32_t x = key + i * 0x9e3779b9u;
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    return x ^ (x >> 16);
}

/* Uniform in [-1, 1) */
static inline float signed_unit(uint32_t key, uint32_t i)
{
    return (float)(int32_t)hash(key, i) * 0x1p-31f;
}

/* A norm's weight: a multiple of 1/64 near 1, which every type holds exactly. */
static inline float norm_weight(uint32_t key, uint32_t i)
{
    return 1 + (float)((int32_t)(hash(key, i) >> 27) - 16) / 64;
}

/* Standard deviation of a matrix's weights. */
static double spread(const q35i_gen_tensor *t)
{
    return 1 / sqrt((double)t->cols);
}

static void fill_f32(const q35i_gen_tensor *t, uint32_t key, float *out)
{
    const float reach = (float)(sqrt(3.0) * spread(t));
    for (uint32_t i = 0; i < t->cols; i++)
        out[i] = t->norm ? norm_weight(key, i) : reach * signed_unit(key, i);
}

static void fill_bf16(const q35i_gen_tensor *t, uint32_t key, uint16_t *out)
{
    const float reach = (float)(sqrt(3.0) * spread(t));
    const int norm = t->norm;
    for (uint32_t i = 0; i < t->cols; i++) {
        float w = norm ? norm_weight(key, i) : reach * signed_unit(key, i);
        uint32_t bits;
        memcpy(&bits, &w, sizeof bits);
        out[i] = (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16); /* ties to even */
    }
}

static void fill_f16(const q35i_gen_tensor *t, uint32_t key, uint16_t *out)
{
    const float reach = (float)(sqrt(3.0) * spread(t));
    for (uint32_t i = 0; i < t->cols; i++)
        out[i] = q35_f32_to_f16(t->norm ? norm_weight(key, i) : reach * signed_unit(key, i));
}

static void fill_bytes(uint32_t key, uint8_t *out, uint64_t bytes)
{
    uint64_t i = 0;
    for (; i + 4 <= bytes; i += 4) {
        uint32_t x = hash(key, (uint32_t)(i / 4));
        memcpy(out + i, &x, sizeof x);
    }
    for (; i < bytes; i++)
        out[i] = (uint8_t)hash(key, (uint32_t)i);
}

static void fill_f8(uint32_t key, uint8_t *out, uint64_t n)
{
    fill_bytes(key, out, n);
    for (uint64_t i = 0; i < n; i++)
        out[i] = (uint8_t)((out[i] & 0x7f) == 0x7f ? out[i] - 1 : out[i]); /* 0x7f and 0xff are NaN */
}

/* Where a block type's scales lie, and what they make of its codes. A type's sub-scales are fixed bytes. */
typedef struct recipe {
    uint32_t dtype;
    double rms;          /* of the weights for a scale of 1 */
    int scale, other;    /* offsets of the f16 scale and of the f16 minimum, -1: none */
    double ratio;        /* minimum per scale, with its sign */
    int fixed_at, fixed; /* sub-scales: offset and number of bytes */
    uint8_t bytes[16];
} recipe;

/* Rms of codes uniform over their range: 16 levels 4.61, 32 levels 9.23, 64 levels 18.5, the IQ4 levels 68.4. */
static const recipe recipes[] = {
    {Q35_DT_Q8_0, 73.9, 0, -1, 0, 0, 0, {0}},
    {Q35_DT_Q4_0, 4.61, 0, -1, 0, 0, 0, {0}},
    {Q35_DT_Q4_1, 4.61, 0, 2, -7.5, 0, 0, {0}},
    {Q35_DT_Q5_0, 9.23, 0, -1, 0, 0, 0, {0}},
    {Q35_DT_Q5_1, 9.23, 0, 2, -15.5, 0, 0, {0}},
    {Q35_DT_IQ4_NL, 68.4, 0, -1, 0, 0, 0, {0}},
    /* scale 8, minimum 12 */
    {Q35_DT_Q2_K,
     8.94,
     80,
     82,
     1,
     0,
     16,
     {0xc8, 0xc8, 0xc8, 0xc8, 0xc8, 0xc8, 0xc8, 0xc8, 0xc8, 0xc8, 0xc8, 0xc8, 0xc8, 0xc8, 0xc8, 0xc8}},
    /* scale 40 - 32 */
    {Q35_DT_Q3_K,
     18.8,
     108,
     -1,
     0,
     96,
     12,
     {0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0xaa, 0xaa, 0xaa, 0xaa}},
    /* scale 32, minimum 32 */
    {Q35_DT_Q4_K, 147.5, 0, 2, 7.5, 4, 12, {0xa0, 0xa0, 0xa0, 0xa0, 0xa0, 0xa0, 0xa0, 0xa0}},
    {Q35_DT_Q5_K, 295.4, 0, 2, 15.5, 4, 12, {0xa0, 0xa0, 0xa0, 0xa0, 0xa0, 0xa0, 0xa0, 0xa0}},
    /* scale 64 */
    {Q35_DT_Q6_K, 1184, 208, -1, 0, 192, 16, {64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64}},
    /* scale 40 - 32 */
    {Q35_DT_IQ4_XS, 547, 0, -1, 0, 2, 6, {0xaa, 0xaa, 0x88, 0x88, 0x88, 0x88}},
};

static void fill_blocks(const q35i_gen_tensor *t, uint32_t key, uint8_t *out, uint64_t bytes)
{
    const recipe *r = recipes;
    while (r->dtype != t->dtype)
        r++;
    uint64_t block_bytes = q35_dtype_describe(t->dtype).block_bytes;
    double scale = spread(t) / r->rms;
    uint16_t d = q35_f32_to_f16((float)scale), m = q35_f32_to_f16((float)(scale * r->ratio));
    fill_bytes(key, out, bytes);
    for (uint8_t *b = out; b < out + bytes; b += block_bytes) {
        memcpy(b + r->fixed_at, r->bytes, (size_t)r->fixed);
        memcpy(b + r->scale, &d, sizeof d);
        if (r->other >= 0)
            memcpy(b + r->other, &m, sizeof m);
    }
}

/* Root mean square of the numbers of the book, each pair as likely as any other. */
static double book_rms(void)
{
    const int8_t(*book)[2] = q35i_gaussian_book(Q35_DT_Q35_ROW);
    int32_t squares = 0;
    for (int i = 0; i < Q35_BOOK_POINTS; i++)
        squares += book[i][0] * book[i][0] + book[i][1] * book[i][1];
    return sqrt(squares / (2.0 * Q35_BOOK_POINTS));
}

/* A scale, then codes eight bytes at a time; what is behind the last weight is 0. */
static void fill_pair_row(const q35i_gen_tensor *t, uint32_t key, uint8_t *out, uint64_t bytes)
{
    const float scale = (float)(spread(t) / book_rms());
    const uint64_t bits = (t->cols + 1) / 2 * 7, whole = bits / 8;
    uint8_t *codes = out + sizeof scale;
    memcpy(out, &scale, sizeof scale);
    memset(codes + whole, 0, bytes - sizeof scale - whole);
    for (uint64_t i = 0; i <= whole / 8; i++) {
        uint64_t x = ((uint64_t)key << 32 | i) * UINT64_C(0x9e3779b97f4a7c15);
        x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
        x ^= x >> 32;
        memcpy(codes + 8 * i, &x, (size_t)q35i_min(8, whole - 8 * i));
    }
    if (bits % 8)
        codes[whole] = (uint8_t)(key & ((1u << bits % 8) - 1));
}

float q35i_gen_f8_scale(const q35i_gen_tensor *t)
{
    float scale = (float)(spread(t) / F8_RMS);
    uint32_t bits;
    memcpy(&bits, &scale, sizeof bits);
    return q35_bf16_to_f32((uint16_t)(bits >> 16)); /* as the file holds it */
}

static uint64_t row_bytes(const q35i_gen_tensor *t)
{
    return t->dtype == Q35_DT_F8_32 ? t->cols : q35_row_bytes(t->dtype, t->cols);
}

uint64_t q35i_gen_bytes(const q35i_gen_tensor *t)
{
    return row_bytes(t) * t->rows;
}

typedef struct piece {
    const q35i_generation *g;
    const q35i_gen_tensor *t;
    uint64_t begin, end; /* rows */
    uint8_t *out;
} piece;

/* Row of the model that row `row` of the file holds. */
static uint64_t model_row(const q35i_gen_tensor *t, uint64_t row)
{
    uint64_t d = t->halves;
    return d == 0 ? row : row - row % d + row % d % (d / 2) * 2 + row % d / (d / 2);
}

static void fill_row(const piece *p, uint64_t row)
{
    const q35i_gen_tensor *t = p->t;
    uint64_t bytes = row_bytes(t);
    uint8_t *out = p->out + (row - p->begin) * bytes;
    uint32_t key = row_key(p->g->options->seed, t->index, model_row(t, row));
    switch (t->dtype) {
    case Q35_DT_F32: fill_f32(t, key, (float *)(void *)out); return;
    case Q35_DT_BF16: fill_bf16(t, key, (uint16_t *)(void *)out); return;
    case Q35_DT_F16: fill_f16(t, key, (uint16_t *)(void *)out); return;
    case Q35_DT_F8_32: fill_f8(key, out, bytes); return;
    case Q35_DT_Q35_ROW: fill_pair_row(t, key, out, bytes); return;
    default: fill_blocks(t, key, out, bytes); return;
    }
}

static void fill_part(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    const piece *p = arg;
    uint64_t begin, end;
    (void)team;
    q35i_split(p->end - p->begin, 1, worker, n_workers, &begin, &end);
    for (uint64_t row = p->begin + begin; row < p->begin + end; row++)
        fill_row(p, row);
}

uint64_t q35i_gen_piece_rows(const q35i_gen_tensor *t)
{
    return q35i_min(q35i_max(PIECE_BYTES / row_bytes(t), 1), t->rows);
}

q35_status q35i_gen_fill(q35i_generation *g, const q35i_gen_tensor *t, uint64_t begin, uint64_t end, uint8_t *out)
{
    const q35_generate_options *o = g->options;
    piece p = {.g = g, .t = t, .begin = begin, .end = end, .out = out};
    q35i_pool_parallel(g->pool, fill_part, &p);
    g->weights_done += (end - begin) * t->cols;
    if (o->progress && o->progress(o->user, g->weights_done, g->n_weights) != 0)
        return Q35_FAIL(Q35_E_CANCELLED, "random model: cancelled, nothing was written");
    return Q35_OK;
}

q35_status q35i_gen_write(q35i_generation *g, const q35i_gen_tensor *t,
                          q35_status (*write)(void *user, const void *data, uint64_t bytes), void *user)
{
    uint64_t bytes = row_bytes(t), step = q35i_gen_piece_rows(t), end;
    uint8_t *out = q35i_alloc_aligned(step * bytes, 64);
    q35_status status = out ? Q35_OK : Q35_E_NOMEM;
    for (uint64_t begin = 0; begin < t->rows && status == Q35_OK; begin = end) {
        end = q35i_min(begin + step, t->rows);
        status = q35i_gen_fill(g, t, begin, end, out);
        if (status == Q35_OK)
            status = write(user, out, (end - begin) * bytes);
    }
    q35i_free(out);
    return status;
}
