/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights of every type for the tests of linear and get_rows: random codes under several families of scales, the
 * decoded values, and the magnitudes that the error bounds need. Codes past K in the last block are random, too:
 * no kernel may let them through.
 */
#include "kernelcheck.h"

#include <kernels-cpu/tile16.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

const uint32_t kc_weight_types[] = {Q35_DT_F32,    Q35_DT_F16,      Q35_DT_BF16,     Q35_DT_F8_32, Q35_DT_Q8_0,
                                    Q35_DT_Q4_0,   Q35_DT_Q4_1,     Q35_DT_Q5_0,     Q35_DT_Q5_1,  Q35_DT_IQ4_NL,
                                    Q35_DT_Q2_K,   Q35_DT_Q3_K,     Q35_DT_Q4_K,     Q35_DT_Q5_K,  Q35_DT_Q6_K,
                                    Q35_DT_IQ4_XS, Q35_DT_Q35_PAIR, Q35_DT_Q35_SPLIT};
const int kc_n_weight_types = sizeof kc_weight_types / sizeof kc_weight_types[0];

const char *kc_scales_name(kc_scales scales)
{
    static const char *const names[] = {"plain", "unit",      "all-min",  "all-max",
                                        "zero",  "subnormal", "negative", "any-bits"};
    return names[scales];
}

bool kc_is_float_type(uint32_t dtype)
{
    return dtype == Q35_DT_F32 || dtype == Q35_DT_F16 || dtype == Q35_DT_BF16 || dtype == Q35_DT_F8_32;
}

/* Sub-blocks with a minimum of their own, in units of the block's. */
static bool has_minima(uint32_t dtype)
{
    return dtype == Q35_DT_Q2_K || dtype == Q35_DT_Q4_K || dtype == Q35_DT_Q5_K;
}

static bool is_q35(uint32_t dtype)
{
    return dtype == Q35_DT_Q35_PAIR || dtype == Q35_DT_Q35_SPLIT;
}

/* The GGUF block types come in whole blocks; the 3.5-bit and the row types pad their last one. */
int64_t kc_round_k(uint32_t dtype, int64_t k)
{
    int64_t block = is_q35(dtype) || q35_is_row_type(dtype) ? 1 : (int64_t)q35_dtype_describe(dtype).block_len;
    return (k + block - 1) / block * block;
}

const int8_t (*kc_codebook(kc_context *x, uint32_t dtype))[2]
{
    if (!is_q35(dtype))
        return NULL;
    int8_t(*book)[2] = kc_alloc(x, Q35_BOOK_POINTS * sizeof *book);
    if (dtype == Q35_DT_Q35_SPLIT) {
        q35_split_book(book);
    } else {
        for (int i = 0; i < Q35_BOOK_POINTS; i++) {
            book[i][0] = (int8_t)(kc_below(x, 255) - 127);
            book[i][1] = (int8_t)(kc_below(x, 255) - 127);
        }
    }
    return (const int8_t(*)[2])book;
}

/* Where a block's f16 scale and f16 offset lie; -1: none. */
typedef struct fields {
    int scale, offset;
    double centre; /* offset that centres the codes, in scales */
    double spread; /* largest |code| */
} fields;

static fields block_fields(uint32_t dtype)
{
    switch (dtype) {
    case Q35_DT_Q8_0: return (fields){0, -1, 0, 128};
    case Q35_DT_Q4_0: return (fields){0, -1, 0, 8};
    case Q35_DT_Q4_1: return (fields){0, 2, -8, 15};
    case Q35_DT_Q5_0: return (fields){0, -1, 0, 16};
    case Q35_DT_Q5_1: return (fields){0, 2, -16, 31};
    case Q35_DT_IQ4_NL: return (fields){0, -1, 0, 127};
    case Q35_DT_IQ4_XS: return (fields){0, -1, 0, 32 * 127};
    case Q35_DT_Q2_K: return (fields){80, 82, 2, 45};
    case Q35_DT_Q3_K: return (fields){108, -1, 0, 128};
    case Q35_DT_Q4_K: return (fields){0, 2, 8, 945};
    case Q35_DT_Q5_K: return (fields){0, 2, 16, 1953};
    case Q35_DT_Q6_K: return (fields){208, -1, 0, 4096};
    case Q35_DT_Q35_PAIR: return (fields){0, -1, 0, 127};
    case Q35_DT_Q35_SPLIT: return (fields){0, 2, -52, 105};
    default: return (fields){-1, -1, 0, 15};
    }
}

double kc_largest_code(uint32_t dtype)
{
    fields f = block_fields(dtype);
    return has_minima(dtype) ? f.spread + 63 : f.spread + fabs(f.centre);
}

static uint16_t finite_f16(kc_context *x)
{
    uint16_t h = (uint16_t)kc_random(x);
    return (h & 0x7c00u) == 0x7c00u ? (uint16_t)(h & ~0x4000u) : h;
}

/* Scale and offset of one block. */
static void choose_scale(kc_context *x, const fields *f, bool minima, kc_scales scales, uint16_t *scale,
                         uint16_t *offset)
{
    double s = 0.05 * (1 + 0.5 * kc_uniform(x)) / f->spread * 2, o = s * f->centre * (1 + 0.1 * kc_uniform(x));
    switch (scales) {
    case KC_SCALES_UNIT:
        s = KC_UNIT_SCALE;
        o = KC_UNIT_SCALE * (minima ? 1 : nearbyint(f->centre * (0.5 + 0.5 * kc_uniform(x))));
        break;
    case KC_SCALES_ZERO:
        s = 0;
        o = kc_random(x) & 1 ? 0 : o;
        break;
    case KC_SCALES_NEGATIVE: s = -s; break;
    case KC_SCALES_SUBNORMAL:
        *scale = (uint16_t)kc_below(x, 1024);
        *offset = (uint16_t)(0x8000 | kc_below(x, 1024));
        return;
    case KC_SCALES_ANY:
        *scale = finite_f16(x);
        *offset = finite_f16(x);
        return;
    case KC_SCALES_PLAIN:
    case KC_SCALES_ALL_MIN:
    case KC_SCALES_ALL_MAX:
    case KC_SCALES_COUNT: break;
    }
    *scale = q35_f32_to_f16((float)s);
    *offset = q35_f32_to_f16((float)o);
}

/* Infinite or NaN, now and then. */
static uint16_t spoil(kc_context *x, uint16_t half)
{
    static const uint16_t bad[] = {0x7c00, 0xfc00, 0x7e00, 0xfc01};
    return kc_below(x, 12) ? half : bad[kc_below(x, 4)];
}

static void fill_block(kc_context *x, uint8_t *block, uint32_t dtype, kc_scales scales, kc_dist dist)
{
    fields f = block_fields(dtype);
    size_t n = q35_dtype_describe(dtype).block_bytes;
    for (size_t i = 0; i < n; i++)
        block[i] = (uint8_t)(kc_random(x) >> 20);
    if (scales == KC_SCALES_ALL_MIN)
        memset(block, dtype == Q35_DT_Q8_0 ? 0x80 : 0x00, n);
    if (scales == KC_SCALES_ALL_MAX)
        memset(block, dtype == Q35_DT_Q8_0 ? 0x7f : 0xff, n);
    uint16_t scale, offset;
    choose_scale(x, &f, has_minima(dtype), scales, &scale, &offset);
    if (dist == KC_DIST_NONFINITE) {
        scale = spoil(x, scale);
        offset = spoil(x, offset);
    }
    memcpy(block + f.scale, &scale, sizeof scale);
    if (f.offset >= 0)
        memcpy(block + f.offset, &offset, sizeof offset);
}

/* Float types take their values from dist; integers come in units of KC_UNIT_SCALE. */
static void fill_float(kc_context *x, uint8_t *out, uint32_t dtype, int64_t k, kc_dist dist)
{
    double huge = dtype == Q35_DT_F16 ? 60000 : 1e12;
    float *v = kc_alloc(x, (size_t)k * sizeof *v);
    kc_fill_f32(x, v, k, dist, huge);
    for (int64_t i = 0; i < k; i++) {
        float value = dist == KC_DIST_INTEGER ? v[i] * (float)KC_UNIT_SCALE : v[i];
        uint16_t half = q35_f32_to_f16(value);
        if (dtype == Q35_DT_BF16) {
            uint32_t bits;
            memcpy(&bits, &value, sizeof bits);
            half = (uint16_t)(bits >> 16);
        }
        if (dtype == Q35_DT_F32)
            memcpy(out + 4 * i, &value, sizeof value);
        else
            memcpy(out + 2 * i, &half, sizeof half);
    }
}

/* A block of FP8: small integers in units of KC_UNIT_SCALE, any finite codes, or any codes. */
static void fill_f8(kc_context *x, uint8_t *block, kc_scales scales, kc_dist dist)
{
    float scale = (float)KC_UNIT_SCALE;
    if (dist != KC_DIST_INTEGER)
        scale = (float)(1e-3 * (1 + 0.5 * kc_uniform(x)));
    if (scales == KC_SCALES_ZERO)
        scale = 0;
    if (scales == KC_SCALES_NEGATIVE)
        scale = -scale;
    if (scales == KC_SCALES_SUBNORMAL)
        scale = 0x1p-149f * (float)kc_below(x, 1 << 22);
    if (scales == KC_SCALES_ANY)
        scale = (float)ldexp(kc_uniform(x), (int)kc_below(x, 60) - 30);
    if (dist == KC_DIST_NONFINITE && kc_below(x, 12) == 0)
        scale = kc_random(x) & 1 ? (float)NAN : (float)INFINITY;
    memcpy(block, &scale, sizeof scale);
    for (int i = 0; i < 32; i++) {
        uint8_t code = (uint8_t)(kc_random(x) >> 20);
        if (dist == KC_DIST_INTEGER) /* 2, 3, 4, 6, 8, 12, or 0 */
            code = (uint8_t)((code & 0x80) | (kc_below(x, 8) ? 0x40 + 4 * kc_below(x, 6) : 0));
        else if ((code & 0x7f) == 0x7f && dist != KC_DIST_NONFINITE)
            code ^= 0x02;
        if (scales == KC_SCALES_ALL_MIN)
            code = 0xfe;
        if (scales == KC_SCALES_ALL_MAX)
            code = 0x7e;
        block[4 + i] = code;
    }
}

void kc_fill_weights(kc_context *x, uint8_t *rows, uint32_t dtype, int64_t n, int64_t k, size_t rs,
                     kc_scales scales, kc_dist dist)
{
    q35_dtype_info d = q35_dtype_describe(dtype);
    memset(rows, 0xff, (size_t)n * rs);
    for (int64_t r = 0; r < n; r++) {
        uint8_t *row = rows + (size_t)r * rs;
        int64_t n_blocks = (k + d.block_len - 1) / d.block_len;
        bool blocks = d.block_len > 1;
        if (!blocks)
            fill_float(x, row, dtype, k, dist == KC_DIST_CANCEL ? KC_DIST_NORMAL : dist);
        for (int64_t b = 0; b < n_blocks && blocks; b++) {
            if (dtype == Q35_DT_F8_32)
                fill_f8(x, row + b * d.block_bytes, scales, dist);
            else
                fill_block(x, row + b * d.block_bytes, dtype, scales, dist);
        }
        /* Second half equal to the first: with the activations of KC_DIST_CANCEL the sum almost vanishes. */
        if (dist == KC_DIST_CANCEL)
            memcpy(row + n_blocks / 2 * d.block_bytes, row, (size_t)(n_blocks / 2 * d.block_bytes));
    }
}

void kc_decode_row(uint32_t dtype, const uint8_t *row, int64_t k, const int8_t (*book)[2], double *w)
{
    int64_t block_len = (int64_t)q35_dtype_describe(dtype).block_len;
    float weights[256];
    for (int64_t i = 0; i < k; i += block_len) {
        q35_row_block_decode(dtype, row, (uint64_t)(i / block_len), book, weights);
        for (int64_t j = 0; j < block_len && i + j < k; j++)
            w[i + j] = (double)weights[j];
    }
}

void kc_exact_row(uint32_t dtype, const uint8_t *row, int64_t k, const int8_t (*book)[2], double *w, double *mag)
{
    q35_dtype_info d = q35_dtype_describe(dtype);
    q35_levels_info info = q35_levels_describe(dtype);
    int8_t level[256];
    float scale[16], min[16] = {0};
    for (int64_t i = 0; i < k; i += d.block_len, row += d.block_bytes) {
        q35_block_levels(dtype, row, book, level, scale, min);
        for (int j = 0; j < (int)d.block_len && i + j < k; j++) {
            double product = (double)scale[j / info.part] * level[j], offset = (double)min[j / info.part];
            w[i + j] = product + offset;
            mag[i + j] = fabs(product) + fabs(offset);
        }
    }
}

double kc_chain_roundings(int64_t k)
{
    return fmin(64, ceil((double)k / 4)) + 2 + ceil((double)k / 256);
}

uint8_t *kc_tiles(kc_context *x, uint32_t dtype, int64_t n, int64_t k, const uint8_t *rows, size_t rs,
                  size_t *bytes)
{
    size_t tile = (size_t)q35k_tile16_bytes(dtype, k);
    if (tile == 0)
        return NULL;
    *bytes = (size_t)((n + 15) / 16) * tile;
    uint8_t *tiles = kc_alloc(x, *bytes);
    for (int64_t r = 0; r < n; r += 16) {
        int64_t n_rows = n - r < 16 ? n - r : 16;
        q35k_tile16_pack(dtype, k, n_rows, rows + (size_t)r * rs, (int64_t)rs, tiles + (size_t)(r / 16) * tile);
    }
    return tiles;
}

/* Codes of 64-input sets that k does not reach are not stored; they come back as 0. */
static void clear_unstored(uint8_t *row, uint32_t dtype, int64_t k)
{
    int64_t sets = (k + Q35K_TILE16_SET - 1) / Q35K_TILE16_SET, block = (int64_t)q35_row_bytes(dtype, 1);
    if (sets % 2)
        memset(row + (sets / 2 + 1) * block - Q35_CODE_BYTES / 2, 0, Q35_CODE_BYTES / 2);
}

static bool tile_returns(kc_context *x, uint32_t dtype, int64_t n, int64_t k)
{
    size_t rs = (size_t)q35_row_bytes(dtype, (uint64_t)k), bytes = 0;
    uint8_t *rows = kc_alloc(x, 16 * rs), *back = kc_alloc(x, 16 * rs);
    kc_fill_weights(x, rows, dtype, n, k, rs, KC_SCALES_ANY, KC_DIST_NORMAL);
    const uint8_t *tile = kc_tiles(x, dtype, n, k, rows, rs, &bytes);
    if (!tile)
        return false;
    q35k_tile16_unpack(dtype, k, 16, tile, back, (int64_t)rs);
    for (int64_t r = 0; r < n; r++)
        clear_unstored(rows + (size_t)r * rs, dtype, k);
    return memcmp(rows, back, 16 * rs) == 0;
}

bool kc_check_tiles(kc_context *x, char *text, size_t size)
{
    static const uint32_t types[] = {Q35_DT_Q35_PAIR, Q35_DT_Q35_SPLIT};
    for (int i = 0; i < 2; i++) {
        for (int64_t k = 1; k < 700; k += 1 + k / 7) {
            int64_t n = 1 + kc_below(x, 16);
            x->arena_used = 0;
            if (!tile_returns(x, types[i], n, k)) {
                snprintf(text, size, "%s K=%lld N=%lld does not return from its tile",
                         q35_dtype_describe(types[i]).name, (long long)k, (long long)n);
                return false;
            }
        }
    }
    return true;
}
