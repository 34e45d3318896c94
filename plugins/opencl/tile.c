/* SPDX-License-Identifier: Apache-2.0
 *
 * Tiles of 16 rows, the layout that kernels-opencl/linear.cl reads: the scales of the parts of a row, f32
 * [parts][16], then their minima, then the weights, 16 or 64 of each row at a time. In such a unit a plane has one
 * byte (or float) of each row, so that 16 rows are one load. Rows and weights past the end are zero. */
#include "plugins/opencl/opencl.h"

#include <string.h>

enum {
    ROWS = Q35I_CL_TILE_ROWS,
    UNIT = 16,
    PAIR7 = 1,
    SPLIT7,
    PAIR8,
    CODE6,
    LEVEL8,
    FLOAT32,
    FLOAT16,
    BFLOAT16,
    ROW7
};

q35i_cl_codec q35i_cl_codec_of(uint32_t dtype)
{
    static const q35i_cl_codec none = {0};
    const q35_levels_info info = q35_levels_describe(dtype);
    switch (dtype) {
    case Q35_DT_Q35_ROW: return (q35i_cl_codec){.codec = ROW7, .per_unit = 448, .signs = true};
    case Q35_DT_Q35_PAIR: return (q35i_cl_codec){.codec = PAIR7, .part = 128, .per_unit = 112};
    case Q35_DT_Q35_SPLIT: return (q35i_cl_codec){.codec = SPLIT7, .part = 128, .has_min = 1, .per_unit = 112};
    case Q35_DT_Q40_ROW: return (q35i_cl_codec){.codec = PAIR8, .per_unit = 128, .signs = true};
    case Q35_DT_Q60_ROW: return (q35i_cl_codec){.codec = CODE6, .per_unit = 192};
    case Q35_DT_F8_32:
    case Q35_DT_F32: return (q35i_cl_codec){.codec = FLOAT32, .per_unit = 1024, .floats = true};
    case Q35_DT_F16: return (q35i_cl_codec){.codec = FLOAT16, .per_unit = 512, .floats = true};
    case Q35_DT_BF16: return (q35i_cl_codec){.codec = BFLOAT16, .per_unit = 512, .floats = true};
    default: break;
    }
    if (info.part == 0)
        return none;
    return (q35i_cl_codec){.codec = LEVEL8, .part = info.part, .has_min = info.has_min, .per_unit = 256};
}

/* Weights of a row in a unit. */
static int64_t unit_of(uint32_t dtype)
{
    return q35i_cl_codec_of(dtype).codec == ROW7 ? 4 * UNIT : UNIT;
}

uint64_t q35i_cl_n_units(uint32_t dtype, int64_t k)
{
    return (uint64_t)((k + unit_of(dtype) - 1) / unit_of(dtype));
}

uint64_t q35i_cl_n_parts(uint32_t dtype, int64_t k)
{
    const q35i_cl_codec c = q35i_cl_codec_of(dtype);
    if (c.floats)
        return 0;
    return c.part ? ((uint64_t)k + (uint64_t)c.part - 1) / (uint64_t)c.part : 1;
}

uint64_t q35i_cl_tile_bytes(uint32_t dtype, int64_t k)
{
    const q35i_cl_codec c = q35i_cl_codec_of(dtype);
    const uint64_t scales = q35i_cl_n_parts(dtype, k) * ROWS * sizeof(float) * (c.has_min ? 2 : 1);
    return c.codec ? scales + q35i_cl_n_units(dtype, k) * c.per_unit : 0;
}

bool q35i_cl_tile_reversible(uint32_t dtype, int64_t k)
{
    if (dtype == Q35_DT_Q35_PAIR || dtype == Q35_DT_Q35_SPLIT) /* codes of the padding are not kept */
        return (k - 1) % Q35_GROUP >= Q35_GROUP - UNIT;
    return q35_is_row_type(dtype) || dtype == Q35_DT_F32 || dtype == Q35_DT_F16 || dtype == Q35_DT_BF16;
}

/* What a tile is made of. */
typedef struct tile {
    q35i_cl_codec c;
    uint32_t dtype;
    int64_t k, n_units;
    uint64_t n_parts;
    uint8_t *at, *planes;
} tile;

static tile tile_of(uint32_t dtype, int64_t k, void *at)
{
    tile t = {.c = q35i_cl_codec_of(dtype), .dtype = dtype, .k = k, .n_units = (int64_t)q35i_cl_n_units(dtype, k)};
    t.n_parts = q35i_cl_n_parts(dtype, k);
    t.at = at;
    t.planes = t.at + t.n_parts * ROWS * sizeof(float) * (t.c.has_min ? 2 : 1);
    return t;
}

static void put_scale(const tile *t, uint64_t part, int row, float value)
{
    memcpy(t->at + (part * ROWS + (uint64_t)row) * sizeof value, &value, sizeof value);
}

static uint8_t *unit_at(const tile *t, int64_t unit)
{
    return t->planes + unit * t->c.per_unit;
}

/* ---- pairs of 7 bits: seven of eight codes in planes, the last ones of a unit in the planes' top bits */

static unsigned code_of(const uint8_t *codes, int64_t i, int64_t n)
{
    const int64_t bit = 7 * i, byte = bit >> 3, shift = bit & 7;
    unsigned v = codes[byte];
    if (shift > 1 && byte + 1 < n)
        v |= (unsigned)codes[byte + 1] << 8;
    return v >> shift & 127u;
}

/* codes: of the inputs from k0 on, n_codes of them in n bytes. Bit b of the i-th code without a plane of its own
 * is on top of plane b * last + i, `last` being how many there are in a unit. */
static void put_pairs(const tile *t, int64_t k0, int row, const uint8_t *codes, int64_t n_codes, int64_t n)
{
    const int64_t last = unit_of(t->dtype) / UNIT, planes = 7 * last;
    for (int64_t i = 0; i < n_codes; i++) {
        const int64_t all = k0 / 2 + i, unit = all / (8 * last), place = all % (8 * last);
        const unsigned code = code_of(codes, i, n);
        if (unit >= t->n_units)
            return;
        uint8_t *plane = unit_at(t, unit) + row;
        if (place < planes)
            plane[ROWS * place] = (uint8_t)(plane[ROWS * place] | code);
        for (int64_t p = place - planes; p >= 0 && p < planes; p += last)
            plane[ROWS * p] = (uint8_t)(plane[ROWS * p] | (code >> p / last & 1u) << 7);
    }
}

static void take_pairs(const tile *t, int64_t k0, int row, uint8_t *codes, int64_t n_codes)
{
    const int64_t last = unit_of(t->dtype) / UNIT, planes = 7 * last;
    for (int64_t i = 0; i < n_codes; i++) {
        const int64_t all = k0 / 2 + i, unit = all / (8 * last), place = all % (8 * last), bit = 7 * i;
        unsigned code = 0;
        if (unit >= t->n_units)
            return;
        const uint8_t *plane = unit_at(t, unit) + row;
        if (place < planes)
            code = plane[ROWS * place] & 127u;
        for (int64_t p = place - planes; p >= 0 && p < planes; p += last)
            code |= (unsigned)(plane[ROWS * p] >> 7) << p / last;
        code <<= bit & 7;
        codes[bit >> 3] = (uint8_t)(codes[bit >> 3] | (code & 255u));
        if (code >> 8)
            codes[(bit >> 3) + 1] = (uint8_t)(codes[(bit >> 3) + 1] | code >> 8);
    }
}

static uint32_t group_bytes(const tile *t)
{
    return q35_dtype_describe(t->dtype).block_bytes;
}

static void pack_group_row(const tile *t, int row, const uint8_t *src)
{
    for (uint64_t g = 0; g < t->n_parts; g++, src += group_bytes(t)) {
        put_scale(t, g, row, q35_f16_to_f32(q35_load_u16(src)));
        if (t->c.has_min)
            put_scale(t, t->n_parts + g, row, q35_f16_to_f32(q35_load_u16(src + 2)));
        put_pairs(t, (int64_t)g * Q35_GROUP, row, src + group_bytes(t) - Q35_CODE_BYTES, Q35_GROUP_CODES,
                  Q35_CODE_BYTES);
    }
}

static float get_scale(const tile *t, uint64_t part, int row)
{
    float value;
    memcpy(&value, t->at + (part * ROWS + (uint64_t)row) * sizeof value, sizeof value);
    return value;
}

/* The f16 that a scale was, with all bits of a NaN. */
static void put_f16(uint8_t *at, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    const uint16_t half =
        nan ? (uint16_t)((bits >> 16 & 0x8000u) | 0x7c00u | (bits >> 13 & 1023u)) : q35_f32_to_f16(value);
    memcpy(at, &half, sizeof half);
}

static void unpack_group_row(const tile *t, int row, uint8_t *dst)
{
    for (uint64_t g = 0; g < t->n_parts; g++, dst += group_bytes(t)) {
        put_f16(dst, get_scale(t, g, row));
        if (t->c.has_min)
            put_f16(dst + 2, get_scale(t, t->n_parts + g, row));
        take_pairs(t, (int64_t)g * Q35_GROUP, row, dst + group_bytes(t) - Q35_CODE_BYTES, Q35_GROUP_CODES);
    }
}

/* ---- rows with one scale */

static void pack_code6(const tile *t, int row, const uint8_t *src, int64_t blocks)
{
    for (int64_t b = 0; b < blocks; b++, src += 3) {
        const uint32_t bits = (uint32_t)src[0] | (uint32_t)src[1] << 8 | (uint32_t)src[2] << 16;
        uint8_t *plane = unit_at(t, b / 4) + ROWS * 3 * (b % 4) + row;
        for (int i = 0; i < 3; i++)
            plane[ROWS * i] = (uint8_t)((bits >> 6 * i & 63u) | (bits >> (18 + 2 * i) & 3u) << 6);
    }
}

static void unpack_code6(const tile *t, int row, uint8_t *dst, int64_t blocks)
{
    for (int64_t b = 0; b < blocks; b++, dst += 3) {
        const uint8_t *plane = unit_at(t, b / 4) + ROWS * 3 * (b % 4) + row;
        uint32_t bits = 0;
        for (int i = 0; i < 3; i++)
            bits |= (plane[ROWS * i] & 63u) << 6 * i | (uint32_t)(plane[ROWS * i] >> 6) << (18 + 2 * i);
        for (int i = 0; i < 3; i++)
            dst[i] = (uint8_t)(bits >> 8 * i);
    }
}

static void pack_row_type(const tile *t, int row, const uint8_t *src)
{
    const int64_t bytes = (int64_t)q35_row_bytes(t->dtype, (uint64_t)t->k) - (int64_t)sizeof(float);
    float scale;
    memcpy(&scale, src, sizeof scale);
    put_scale(t, 0, row, scale);
    src += sizeof scale;
    if (t->c.codec == ROW7)
        put_pairs(t, 0, row, src, bytes / 7 * 8, bytes);
    else if (t->c.codec == CODE6)
        pack_code6(t, row, src, bytes / 3);
    for (int64_t i = 0; i < bytes && t->c.codec == PAIR8; i++)
        unit_at(t, i / 8)[ROWS * (i % 8) + row] = src[i];
}

static void unpack_row_type(const tile *t, int row, uint8_t *dst)
{
    const int64_t bytes = (int64_t)q35_row_bytes(t->dtype, (uint64_t)t->k) - (int64_t)sizeof(float);
    memcpy(dst, t->at + (size_t)row * sizeof(float), sizeof(float)); /* its bits, also those of a NaN */
    dst += sizeof(float);
    if (t->c.codec == ROW7)
        take_pairs(t, 0, row, dst, bytes / 7 * 8);
    else if (t->c.codec == CODE6)
        unpack_code6(t, row, dst, bytes / 3);
    for (int64_t i = 0; i < bytes && t->c.codec == PAIR8; i++)
        dst[i] = unit_at(t, i / 8)[ROWS * (i % 8) + row];
}

/* ---- int8 levels of any type that has them, and floats */

static void pack_levels(const tile *t, int row, const uint8_t *src)
{
    const q35_dtype_info d = q35_dtype_describe(t->dtype);
    const uint64_t per_block = d.block_len / (uint32_t)t->c.part;
    int8_t level[256];
    float scale[16], min[16];
    for (int64_t k = 0; k < t->k; k += d.block_len, src += d.block_bytes) {
        const uint64_t part = (uint64_t)k / (uint64_t)t->c.part;
        q35_block_levels(t->dtype, src, NULL, level, scale, min);
        for (uint64_t p = 0; p < per_block; p++) {
            put_scale(t, part + p, row, scale[p]);
            if (t->c.has_min)
                put_scale(t, t->n_parts + part + p, row, min[p]);
        }
        for (int64_t i = 0; i < (int64_t)d.block_len; i++)
            unit_at(t, (k + i) / UNIT)[ROWS * ((k + i) % UNIT) + row] = (uint8_t)level[i];
    }
}

/* A float of `bytes` bytes each */
static void move_floats(const tile *t, int row, uint8_t *canonical, bool packs)
{
    const size_t bytes = t->c.per_unit / (UNIT * ROWS);
    for (int64_t i = 0; i < t->k; i++) {
        uint8_t *place = unit_at(t, i / UNIT) + ((size_t)(i % UNIT) * ROWS + (size_t)row) * bytes;
        uint8_t *other = canonical + (size_t)i * bytes;
        memcpy(packs ? place : other, packs ? other : place, bytes);
    }
}

static void pack_fp8(const tile *t, int row, const uint8_t *src)
{
    float values[32];
    for (int64_t k = 0; k < t->k; k += 32, src += 36) {
        q35_block_decode(Q35_DT_F8_32, src, NULL, values);
        for (int64_t i = 0; i < 32; i++)
            memcpy(unit_at(t, (k + i) / UNIT) + (size_t)((k + i) % UNIT * ROWS + row) * sizeof(float), &values[i],
                   sizeof(float));
    }
}

void q35i_cl_tile_pack(uint32_t dtype, int64_t k, int64_t n_rows, const void *src, int64_t stride, void *dst)
{
    const tile t = tile_of(dtype, k, dst);
    memset(dst, 0, q35i_cl_tile_bytes(dtype, k));
    for (int row = 0; row < n_rows; row++) {
        const uint8_t *from = (const uint8_t *)src + row * stride;
        if (q35_is_row_type(dtype))
            pack_row_type(&t, row, from);
        else if (t.c.codec == PAIR7 || t.c.codec == SPLIT7)
            pack_group_row(&t, row, from);
        else if (dtype == Q35_DT_F8_32)
            pack_fp8(&t, row, from);
        else if (t.c.floats)
            move_floats(&t, row, (uint8_t *)(uintptr_t)from, true);
        else
            pack_levels(&t, row, from);
    }
}

void q35i_cl_tile_unpack(uint32_t dtype, int64_t k, int64_t n_rows, const void *src, void *dst, int64_t stride)
{
    const tile t = tile_of(dtype, k, (void *)(uintptr_t)src);
    for (int row = 0; row < n_rows; row++) {
        uint8_t *to = (uint8_t *)dst + row * stride;
        memset(to, 0, q35_row_bytes(dtype, (uint64_t)k));
        if (q35_is_row_type(dtype))
            unpack_row_type(&t, row, to);
        else if (t.c.codec == PAIR7 || t.c.codec == SPLIT7)
            unpack_group_row(&t, row, to);
        else
            move_floats(&t, row, to, false);
    }
}
