/* SPDX-License-Identifier: MIT-0
 *
 * Byte layouts of all weight types, with reference decoders. Shared by the runtime, the reference kernels and any
 * plugin; stand-alone but for <q35rt/plugin.h>. Little-endian throughout. Layouts of the GGUF types: the GGUF
 * specification (ggml docs/gguf.md) and its published block structures.
 */
#ifndef Q35RT_BLOCKS_H
#define Q35RT_BLOCKS_H

#include <q35rt/plugin.h>

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define Q35_GROUP       128 /* weights per 3.5-bit group */
#define Q35_GROUP_CODES 64  /* codes per group: two weights share one */
#define Q35_CODE_BYTES  56  /* 64 codes of 7 bits */
#define Q35_BOOK_POINTS 128 /* entries of a codebook: int8 pairs (even weight, odd weight) */
#define Q35_ACT_BLOCK   32  /* inputs per activation block of A8_32 */
#define Q35_ACT_GROUP   128 /* of A8_128 */
#define Q35_BOOK_MAX    256 /* most entries of a codebook: that of Q40_ROW */

/* Q35_DT_A8_32: x[i] ~ scale * q[i]; sum = sum of q[0..31]. */
typedef struct q35_act_block {
    float scale;
    int32_t sum;
    int8_t q[Q35_ACT_BLOCK];
} q35_act_block;

/* Q35_DT_A8_128, likewise. */
typedef struct q35_act_group {
    float scale;
    int32_t sum;
    int8_t q[Q35_ACT_GROUP];
} q35_act_group;

/* Head of a row of Q35_DT_A8_ROW; the codes, padded with zeros to a multiple of 64, follow. */
typedef struct q35_act_row {
    float scale;
    int32_t sum;
} q35_act_row;

/* Q35_DT_Q35_PAIR: w[2i] = scale * book[code_i][0], w[2i+1] = scale * book[code_i][1]. */
typedef struct q35_pair_block {
    uint16_t scale; /* f16 */
    uint8_t codes[Q35_CODE_BYTES];
} q35_pair_block;

/* Q35_DT_Q35_SPLIT: as pair, plus offset. Its book is always q35_split_book: the high 4 bits of a code select one
 * of 16 levels for the even weight, the low 3 bits one of 8 levels for the odd one, over the same range of 105
 * units. */
typedef struct q35_split_block {
    uint16_t scale, offset; /* f16 */
    uint8_t codes[Q35_CODE_BYTES];
} q35_split_block;

static inline void q35_split_book(int8_t book[Q35_BOOK_POINTS][2])
{
    for (int c = 0; c < Q35_BOOK_POINTS; c++) {
        book[c][0] = (int8_t)(7 * (c >> 3));
        book[c][1] = (int8_t)(15 * (c & 7));
    }
}

/* Code i (0..63) of a group: bits 7i .. 7i+6 of the little-endian bit stream. */
static inline unsigned q35_code_get(const uint8_t codes[Q35_CODE_BYTES], unsigned i)
{
    unsigned bit = 7 * i, byte = bit >> 3, shift = bit & 7;
    unsigned v = codes[byte];
    if (shift > 1)
        v |= (unsigned)codes[byte + 1] << 8;
    return (v >> shift) & 127u;
}

static inline float q35_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exp = (h >> 10) & 31u, man = h & 1023u, bits;
    float f;
    if (exp == 31)
        bits = sign | 0x7f800000u | (man << 13);
    else if (exp != 0)
        bits = sign | ((exp + 112u) << 23) | (man << 13);
    else if (man == 0)
        bits = sign;
    else {
        int e = 113;
        while (!(man & 1024u)) {
            man <<= 1;
            e--;
        }
        bits = sign | ((uint32_t)e << 23) | ((man & 1023u) << 13);
    }
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Round to nearest even; overflow gives infinity, NaN stays NaN. */
static inline uint16_t q35_f32_to_f16(float f)
{
    uint32_t x;
    memcpy(&x, &f, sizeof x);
    uint32_t sign = (x >> 16) & 0x8000u, abs = x & 0x7fffffffu;
    if (abs >= 0x7f800000u)
        return (uint16_t)(sign | 0x7c00u | (abs > 0x7f800000u ? 0x200u : 0u));
    if (abs >= 0x477ff000u) /* rounds to 65536 or more */
        return (uint16_t)(sign | 0x7c00u);
    if (abs < 0x38800000u) { /* below 2^-14: f16 subnormal, in units of 2^-24 */
        if (abs < 0x33000000u)
            return (uint16_t)sign;
        uint32_t e = abs >> 23, m = (abs & 0x7fffffu) | 0x800000u, shift = 126u - e;
        uint32_t v = m >> shift, rest = m & ((1u << shift) - 1u), half = 1u << (shift - 1u);
        v += rest > half || (rest == half && (v & 1u));
        return (uint16_t)(sign | v);
    }
    uint32_t v = abs - 0x38000000u;
    uint32_t rest = v & 0x1fffu;
    v >>= 13;
    v += rest > 0x1000u || (rest == 0x1000u && (v & 1u));
    return (uint16_t)(sign | v);
}

static inline float q35_bf16_to_f32(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint16_t q35_load_u16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Name, weights and bytes per block. block_len 0: unknown type. */
typedef struct q35_dtype_info {
    const char *name;
    uint32_t block_len, block_bytes;
    uint32_t row_head; /* bytes in front of the first block of every row: its scale (and for A8_ROW its sum) */
} q35_dtype_info;

static inline q35_dtype_info q35_dtype_describe(uint32_t dtype)
{
    switch (dtype) {
#define Q35_DTYPE_HEAD(id, text, len, bytes, head)                                                                \
    case id: {                                                                                                    \
        q35_dtype_info d = {text, len, bytes, head};                                                              \
        return d;                                                                                                 \
    }
#define Q35_DTYPE_ROW(id, text, len, bytes) Q35_DTYPE_HEAD(id, text, len, bytes, 0)
        Q35_DTYPE_ROW(Q35_DT_F32, "F32", 1, 4)
        Q35_DTYPE_ROW(Q35_DT_F16, "F16", 1, 2)
        Q35_DTYPE_ROW(Q35_DT_BF16, "BF16", 1, 2)
        Q35_DTYPE_ROW(Q35_DT_Q8_0, "Q8_0", 32, 34)
        Q35_DTYPE_ROW(Q35_DT_Q4_0, "Q4_0", 32, 18)
        Q35_DTYPE_ROW(Q35_DT_Q4_1, "Q4_1", 32, 20)
        Q35_DTYPE_ROW(Q35_DT_Q5_0, "Q5_0", 32, 22)
        Q35_DTYPE_ROW(Q35_DT_Q5_1, "Q5_1", 32, 24)
        Q35_DTYPE_ROW(Q35_DT_IQ4_NL, "IQ4_NL", 32, 18)
        Q35_DTYPE_ROW(Q35_DT_Q2_K, "Q2_K", 256, 84)
        Q35_DTYPE_ROW(Q35_DT_Q3_K, "Q3_K", 256, 110)
        Q35_DTYPE_ROW(Q35_DT_Q4_K, "Q4_K", 256, 144)
        Q35_DTYPE_ROW(Q35_DT_Q5_K, "Q5_K", 256, 176)
        Q35_DTYPE_ROW(Q35_DT_Q6_K, "Q6_K", 256, 210)
        Q35_DTYPE_ROW(Q35_DT_IQ4_XS, "IQ4_XS", 256, 136)
        Q35_DTYPE_ROW(Q35_DT_F8_32, "F8_E4M3", 32, 36)
        Q35_DTYPE_ROW(Q35_DT_I8, "I8", 1, 1)
        Q35_DTYPE_ROW(Q35_DT_I32, "I32", 1, 4)
        Q35_DTYPE_ROW(Q35_DT_Q35_PAIR, "Q35_PAIR", Q35_GROUP, sizeof(q35_pair_block))
        Q35_DTYPE_ROW(Q35_DT_Q35_SPLIT, "Q35_SPLIT", Q35_GROUP, sizeof(q35_split_block))
        Q35_DTYPE_HEAD(Q35_DT_Q35_ROW, "Q35_ROW", 16, 7, 4)
        Q35_DTYPE_HEAD(Q35_DT_Q40_ROW, "Q40_ROW", 2, 1, 4)
        Q35_DTYPE_HEAD(Q35_DT_Q60_ROW, "Q60_ROW", 4, 3, 4)
        Q35_DTYPE_ROW(Q35_DT_A8_32, "A8_32", Q35_ACT_BLOCK, sizeof(q35_act_block))
        Q35_DTYPE_ROW(Q35_DT_A8_128, "A8_128", Q35_ACT_GROUP, sizeof(q35_act_group))
        Q35_DTYPE_HEAD(Q35_DT_A8_ROW, "A8_ROW", 64, 64, sizeof(q35_act_row))
#undef Q35_DTYPE_ROW
#undef Q35_DTYPE_HEAD
    default: {
        q35_dtype_info d = {"?", 0, 0, 0};
        return d;
    }
    }
}

/* Bytes of a row of k weights, padded to whole blocks; 0 for an unknown type. */
static inline uint64_t q35_row_bytes(uint32_t dtype, uint64_t k)
{
    q35_dtype_info d = q35_dtype_describe(dtype);
    return d.block_len ? d.row_head + (k / d.block_len + (k % d.block_len != 0)) * d.block_bytes : 0;
}

/* 1 for weights with one scale per row. */
static inline int q35_is_row_type(uint32_t dtype)
{
    return dtype == Q35_DT_Q35_ROW || dtype == Q35_DT_Q40_ROW || dtype == Q35_DT_Q60_ROW;
}

/* Entries of the codebook that a type's linear takes, 0: none. */
static inline uint32_t q35_book_entries(uint32_t dtype)
{
    switch (dtype) {
    case Q35_DT_Q35_PAIR:
    case Q35_DT_Q35_SPLIT:
    case Q35_DT_Q35_ROW: return Q35_BOOK_POINTS;
    case Q35_DT_Q40_ROW: return Q35_BOOK_MAX;
    default: return 0;
    }
}

/* The book of a row type has signs in the top two bits of a code: what entry c of n has for its even (odd 0) or
 * odd (odd 1) weight, from the magnitudes, 0 to 127, in entries 0 .. n / 4 - 1. */
static inline int8_t q35_book_signed(const int8_t (*book)[2], uint32_t n, uint32_t c, int odd)
{
    int8_t magnitude = book[c % (n / 4)][odd];
    return c & (n / 4) << odd ? (int8_t)-magnitude : magnitude;
}

/* First entry of a row type's book that breaks this rule; n: none. */
static inline uint32_t q35_book_unsigned_entry(const int8_t (*book)[2], uint32_t n)
{
    uint32_t c = 0;
    while (c < n && book[c % (n / 4)][0] >= 0 && book[c % (n / 4)][1] >= 0 &&
           book[c][0] == q35_book_signed(book, n, c, 0) && book[c][1] == q35_book_signed(book, n, c, 1))
        c++;
    return c;
}

/* 6-bit scale and minimum k (0..7) of a Q4_K or Q5_K block. */
static inline void q35_k_scale_min(const uint8_t b[12], int k, float *s, float *m)
{
    unsigned sv, mv;
    if (k < 4) {
        sv = b[k] & 63u;
        mv = b[k + 4] & 63u;
    } else {
        sv = (b[k + 4] & 15u) | ((unsigned)(b[k - 4] >> 6) << 4);
        mv = (unsigned)(b[k + 4] >> 4) | ((unsigned)(b[k] >> 6) << 4);
    }
    *s = (float)sv;
    *m = (float)mv;
}

/* The 16 levels of IQ4_NL and IQ4_XS. */
static inline const int8_t *q35_iq4_levels(void)
{
    static const int8_t levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
    return levels;
}

/* FP8 e4m3fn: sign, 4 bits of exponent with bias 7, 3 of fraction; no infinities, 0x7f and 0xff are NaN. Its bits
 * are those of an f16 of 2^-8 times the value. */
static inline float q35_f8_to_f32(uint8_t b)
{
    if ((b & 0x7f) == 0x7f)
        return q35_f16_to_f32(0x7e00);
    return 256 * q35_f16_to_f32((uint16_t)((b & 0x80u) << 8 | (b & 0x7fu) << 7));
}

/* 6-bit scale k (0..15) of a Q3_K block, less 32. */
static inline int q35_q3_k_scale(const uint8_t b[12], int k)
{
    return ((b[k & 7] >> (k < 8 ? 0 : 4) & 15) | (b[8 + (k & 3)] >> (2 * (k >> 2)) & 3) << 4) - 32;
}

/* 6-bit scale k (0..7) of an IQ4_XS block, less 32. */
static inline int q35_iq4_xs_scale(const uint8_t *b, int k)
{
    return ((b[4 + k / 2] >> (k & 1 ? 4 : 0) & 15) | (q35_load_u16(b + 2) >> (2 * k) & 3) << 4) - 32;
}

/* What the levels of a block are: integers of which `part` at a time share a scale (and a minimum). part 0: a type
 * without levels. */
typedef struct q35_levels_info {
    int part, has_min;
} q35_levels_info;

static inline q35_levels_info q35_levels_describe(uint32_t dtype)
{
    q35_levels_info d = {32, 0};
    switch (dtype) {
    case Q35_DT_Q4_1:
    case Q35_DT_Q5_1:
    case Q35_DT_Q4_K:
    case Q35_DT_Q5_K:
    case Q35_DT_Q35_SPLIT: d.has_min = 1; break;
    case Q35_DT_Q2_K:
        d.has_min = 1;
        d.part = 16;
        break;
    case Q35_DT_Q3_K:
    case Q35_DT_Q6_K: d.part = 16; break;
    case Q35_DT_Q8_0:
    case Q35_DT_Q4_0:
    case Q35_DT_Q5_0:
    case Q35_DT_IQ4_NL:
    case Q35_DT_IQ4_XS:
    case Q35_DT_Q35_PAIR: break;
    default: d.part = 0; break;
    }
    return d;
}

/* 32 codes in 16 bytes, low nibbles first. */
static inline void q35_nibbles(const uint8_t *qs, int8_t *level)
{
    for (int i = 0; i < 16; i++) {
        level[i] = (int8_t)(qs[i] & 15);
        level[i + 16] = (int8_t)(qs[i] >> 4);
    }
}

/* 32 nibbles as indices of the levels of IQ4_NL. */
static inline void q35_iq4_nibbles(const uint8_t *qs, int8_t *level)
{
    q35_nibbles(qs, level);
    for (int i = 0; i < 32; i++)
        level[i] = q35_iq4_levels()[level[i]];
}

/* Q2_K and Q3_K: weight 128 h + 32 t + l has bits 2t, 2t + 1 of byte 32 h + l of qs; 16 weights share a scale. */
static inline int q35_crumb(const uint8_t *qs, int e)
{
    return qs[32 * (e >> 7) + (e & 31)] >> (2 * (e >> 5 & 3)) & 3;
}

static inline void q35_q2_k_levels(const uint8_t *b, int8_t *level, float *scale, float *min)
{
    float d = q35_f16_to_f32(q35_load_u16(b + 80)), dmin = q35_f16_to_f32(q35_load_u16(b + 82));
    for (int k = 0; k < 16; k++) {
        scale[k] = d * (float)(b[k] & 15);
        min[k] = 0 - dmin * (float)(b[k] >> 4);
    }
    for (int e = 0; e < 256; e++)
        level[e] = (int8_t)q35_crumb(b + 16, e);
}

/* A third bit, which counts 4, is bit 4 h + t of hmask[l]; the level is that less 4. */
static inline void q35_q3_k_levels(const uint8_t *b, int8_t *level, float *scale)
{
    float d = q35_f16_to_f32(q35_load_u16(b + 108));
    for (int k = 0; k < 16; k++)
        scale[k] = d * (float)q35_q3_k_scale(b + 96, k);
    for (int e = 0; e < 256; e++)
        level[e] = (int8_t)(q35_crumb(b + 32, e) + 4 * (b[e & 31] >> (e >> 5) & 1) - 4);
}

/* Byte 32 (k / 2) + l of qs has weight l of sub-block k in its low (k even) or high nibble; Q5_K: bit k of qh[l]
 * is the fifth bit. qh: NULL for Q4_K. */
static inline void q35_q45_k_levels(const uint8_t *b, const uint8_t *qh, const uint8_t *qs, int8_t *level,
                                    float *scale, float *min)
{
    float d = q35_f16_to_f32(q35_load_u16(b)), dmin = q35_f16_to_f32(q35_load_u16(b + 2)), s, m;
    for (int k = 0; k < 8; k++) {
        q35_k_scale_min(b + 4, k, &s, &m);
        scale[k] = d * s;
        min[k] = 0 - dmin * m;
        for (int l = 0; l < 32; l++) {
            int q = qs[32 * (k / 2) + l] >> (k & 1 ? 4 : 0) & 15;
            level[32 * k + l] = (int8_t)(qh ? q | (qh[l] >> k & 1) << 4 : q);
        }
    }
}

static inline void q35_q6_k_levels(const uint8_t *b, int8_t *level, float *scale)
{
    float d = q35_f16_to_f32(q35_load_u16(b + 208));
    for (int k = 0; k < 16; k++)
        scale[k] = d * (float)(int8_t)b[192 + k];
    for (int e = 0; e < 256; e++) {
        int half = e >> 7, g = e >> 5 & 3, l = e & 31;
        const uint8_t *ql = b + 64 * half, *qh = b + 128 + 32 * half;
        int lo = g & 1 ? ql[l + 32] : ql[l];
        level[e] = (int8_t)(((g & 2 ? lo >> 4 : lo & 15) | (qh[l] >> (2 * g) & 3) << 4) - 32);
    }
}

/* The 3.5-bit types: the scale (and offset) of 128 weights is that of each 32. */
static inline void q35_group_levels(const uint8_t *codes, const int8_t (*book)[2], int8_t *level)
{
    for (unsigned i = 0; i < Q35_GROUP_CODES; i++) {
        unsigned c = q35_code_get(codes, i);
        level[2 * i] = book[c][0];
        level[2 * i + 1] = book[c][1];
    }
}

/* Levels of one block of a type that has them (q35_levels_describe), block_len of them, and the scales and minima
 * of its parts: w[i] = scale[i / part] * level[i] + min[i / part]. A scale is exact in f32, and so is a minimum;
 * types without minima leave min alone. book: codebook of Q35_PAIR. */
static inline void q35_block_levels(uint32_t dtype, const void *block, const int8_t (*book)[2], int8_t *level,
                                    float *scale, float *min)
{
    const uint8_t *b = (const uint8_t *)block;
    float d = q35_f16_to_f32(q35_load_u16(b));
    int8_t split[Q35_BOOK_POINTS][2];
    switch (dtype) {
    case Q35_DT_Q8_0:
        scale[0] = d;
        memcpy(level, b + 2, 32);
        return;
    case Q35_DT_Q4_0:
        scale[0] = d;
        q35_nibbles(b + 2, level);
        for (int i = 0; i < 32; i++)
            level[i] = (int8_t)(level[i] - 8);
        return;
    case Q35_DT_Q4_1:
        scale[0] = d;
        min[0] = q35_f16_to_f32(q35_load_u16(b + 2));
        q35_nibbles(b + 4, level);
        return;
    case Q35_DT_Q5_0:
    case Q35_DT_Q5_1: {
        int one = dtype == Q35_DT_Q5_1;
        const uint8_t *p = b + (one ? 4 : 2);
        uint32_t high;
        scale[0] = d;
        if (one)
            min[0] = q35_f16_to_f32(q35_load_u16(b + 2));
        memcpy(&high, p, 4);
        q35_nibbles(p + 4, level);
        for (int i = 0; i < 32; i++)
            level[i] = (int8_t)((level[i] | (int)(high >> i & 1) << 4) - (one ? 0 : 16));
        return;
    }
    case Q35_DT_Q2_K: q35_q2_k_levels(b, level, scale, min); return;
    case Q35_DT_Q3_K: q35_q3_k_levels(b, level, scale); return;
    case Q35_DT_Q4_K: q35_q45_k_levels(b, NULL, b + 16, level, scale, min); return;
    case Q35_DT_Q5_K: q35_q45_k_levels(b, b + 16, b + 48, level, scale, min); return;
    case Q35_DT_Q6_K: q35_q6_k_levels(b, level, scale); return;
    case Q35_DT_IQ4_NL:
        scale[0] = d;
        q35_iq4_nibbles(b + 2, level);
        return;
    case Q35_DT_IQ4_XS:
        for (int k = 0; k < 8; k++) {
            scale[k] = d * (float)q35_iq4_xs_scale(b, k);
            q35_iq4_nibbles(b + 8 + 16 * k, level + 32 * k);
        }
        return;
    case Q35_DT_Q35_PAIR:
        for (int k = 0; k < 4; k++)
            scale[k] = d;
        q35_group_levels(b + 2, book, level);
        return;
    case Q35_DT_Q35_SPLIT:
        for (int k = 0; k < 4; k++) {
            scale[k] = d;
            min[k] = q35_f16_to_f32(q35_load_u16(b + 2));
        }
        q35_split_book(split);
        q35_group_levels(b + 4, (const int8_t(*)[2])split, level);
        return;
    default: return;
    }
}

static inline void q35_f8_32_decode(const uint8_t *b, float *out)
{
    float scale;
    memcpy(&scale, b, 4);
    for (int i = 0; i < 32; i++)
        out[i] = scale * q35_f8_to_f32(b[4 + i]);
}

/* Levels of one block of a row type: integers, w = scale of the row * level. b: the block's bytes. */
static inline void q35_row_levels(uint32_t dtype, const uint8_t *b, const int8_t (*book)[2], int8_t *out)
{
    uint64_t bits = 0;
    switch (dtype) {
    case Q35_DT_Q35_ROW:
        for (int i = 6; i >= 0; i--)
            bits = bits << 8 | b[i];
        for (int i = 0; i < 8; i++, bits >>= 7) {
            out[2 * i] = book[bits & 127][0];
            out[2 * i + 1] = book[bits & 127][1];
        }
        return;
    case Q35_DT_Q40_ROW:
        out[0] = book[b[0]][0];
        out[1] = book[b[0]][1];
        return;
    case Q35_DT_Q60_ROW:
        bits = (uint64_t)b[0] | (uint64_t)b[1] << 8 | (uint64_t)b[2] << 16;
        for (int i = 0; i < 4; i++, bits >>= 6)
            out[i] = (int8_t)(2 * (int)(bits & 63) - 63);
        return;
    default: return;
    }
}

/* Decodes one block of any weight type but the row types to block_len floats. book: codebook of Q35_PAIR. One f32
 * rounding of scale * level, and one of that plus the minimum. */
static inline void q35_block_decode(uint32_t dtype, const void *block, const int8_t (*book)[2], float *out)
{
    const uint8_t *b = (const uint8_t *)block;
    int8_t level[256];
    float scale[16], min[16];
    int n = (int)q35_dtype_describe(dtype).block_len;
    q35_levels_info d = q35_levels_describe(dtype);
    switch (dtype) {
    case Q35_DT_F32: memcpy(out, b, 4); return;
    case Q35_DT_F16: *out = q35_f16_to_f32(q35_load_u16(b)); return;
    case Q35_DT_BF16: *out = q35_bf16_to_f32(q35_load_u16(b)); return;
    case Q35_DT_F8_32: q35_f8_32_decode(b, out); return;
    default: break;
    }
    if (d.part == 0)
        return;
    q35_block_levels(dtype, block, book, level, scale, min);
    for (int p = 0; p * d.part < n; p++, out += d.part)
        for (int i = 0; i < d.part; i++) {
            float w = scale[p] * (float)level[p * d.part + i];
            out[i] = d.has_min ? w + min[p] : w;
        }
}

/* Decodes block i of a row of any weight type to block_len floats. row: the row's first byte. */
static inline void q35_row_block_decode(uint32_t dtype, const void *row, uint64_t i, const int8_t (*book)[2],
                                        float *out)
{
    q35_dtype_info d = q35_dtype_describe(dtype);
    const uint8_t *block = (const uint8_t *)row + d.row_head + i * d.block_bytes;
    int8_t level[16];
    float scale;
    if (!q35_is_row_type(dtype)) {
        q35_block_decode(dtype, block, book, out);
        return;
    }
    memcpy(&scale, row, sizeof scale);
    q35_row_levels(dtype, block, book, level);
    for (uint32_t e = 0; e < d.block_len; e++)
        out[e] = scale * (float)level[e];
}

#ifdef __cplusplus
}
#endif
#endif
