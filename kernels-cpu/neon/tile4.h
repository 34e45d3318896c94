/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the NEON LINEAR share. A decoder turns any weight type into one form, here for 4 rows, one per
 * 32-bit lane, and 256 inputs, and one dot per form multiplies that with any number of tokens; each (token, row)
 * sees the same operations in the same order whatever the number of tokens. All integer weights are signed bytes:
 * those of the forms with minima are at most 105.
 */
#ifndef Q35I_NEON_TILE4_H
#define Q35I_NEON_TILE4_H

#include "kernels-cpu/kernels.h"

#include <arm_neon.h>

#define Q35I_INLINE static inline __attribute__((always_inline))

enum {
    Q35I_CHUNK = 256,        /* inputs of a chunk */
    Q35I_CHUNK_BLOCKS = 8,   /* blocks of 32 in it */
    Q35I_TOKENS = 128,       /* tokens whose sums are kept while a tile is decoded once */
    Q35I_STAGE_STRIDE = 1024 /* bytes of one row of a chunk of the widest type, F32 */
};

/* Weight = scale * w [+ min]. */
typedef enum q35i_form {
    Q35I_FORM_SIGNED, /* one scale per 32 */
    Q35I_FORM_SUB16,  /* one scale per 16 */
    Q35I_FORM_MIN,    /* one scale and one minimum per 32 */
    Q35I_FORM_MIN16,  /* the same per 16 */
    Q35I_FORM_FLOAT   /* no integers: the decoder gives floats */
} q35i_form;

/* 256 inputs of 4 rows. Byte 4 r + i of w[j] is input 4 j + i of row r; lane r of scale and min belongs to row r.
 */
typedef struct q35i_chunk {
    int8x16_t w[Q35I_CHUNK / 4];
    float32x4_t scale[16]; /* per 32 (8 used), FORM_SUB16 and FORM_MIN16: per 16 */
    float32x4_t min[16];   /* likewise */
} q35i_chunk;

/* A codebook of 128 entries as byte lookups: entries 0..63 and 64..127. */
typedef struct q35i_book {
    int8x16x4_t even[2], odd[2];
} q35i_book;

/* Decodes `blocks` (1..8) blocks of 32 of 4 rows. at: the chunk's first byte in row 0; rs: bytes between rows.
 * TILE16: the span, and 0..3 for rows 4 rs .. 4 rs + 3. Reads no byte that is not of these blocks, K types: of the
 * block of 256. */
typedef void q35i_decode_fn(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out);

/* The same for FORM_FLOAT: out[i] is input i of the 4 rows, i < 32 * blocks. */
typedef void q35i_decode_float_fn(const uint8_t *at, int64_t rs, int blocks, float32x4_t *out);

typedef struct q35i_codec {
    q35i_form form;
    q35i_decode_fn *decode;
    q35i_decode_float_fn *decode_float; /* FORM_FLOAT */
} q35i_codec;

q35i_decode_fn q35i_decode_q8_0__neon, q35i_decode_q4_0__neon, q35i_decode_q4_1__neon, q35i_decode_q5_0__neon,
    q35i_decode_q5_1__neon, q35i_decode_q2_k__neon, q35i_decode_q3_k__neon, q35i_decode_iq4_nl__neon,
    q35i_decode_iq4_xs__neon, q35i_decode_q4_k__neon, q35i_decode_q5_k__neon, q35i_decode_q6_k__neon,
    q35i_decode_pair_rows__neon, q35i_decode_split_rows__neon, q35i_decode_pair_tile__neon,
    q35i_decode_split_tile__neon;
q35i_decode_float_fn q35i_decode_f32__neon, q35i_decode_f16__neon, q35i_decode_bf16__neon, q35i_decode_f8_32__neon;

/* The decoder of a weight type and layout. */
q35i_codec q35i_codec__neon(const q35k_weights *w);

/* points: [128]. */
void q35i_load_book__neon(const int8_t (*points)[2], q35i_book *book);

/* Sums of n_tokens tokens over one chunk are added to acc [n_tokens][4 * parts], parts (1 or 2) vectors of rows.
 * w: [inputs][parts]; x: f32; inputs: 1..256. */
void q35i_dot_f32__neon(const float32x4_t *w, int parts, int inputs, const uint8_t *x, int64_t rs_x,
                        int64_t n_tokens, float *acc);

/* Integer form to floats, 32 * blocks of them. */
void q35i_chunk_to_f32__neon(const q35i_codec *codec, const q35i_chunk *chunk, int blocks, float32x4_t *out);

/* Far into L2 and near into L1, 64 bytes each. */
Q35I_INLINE void q35i_prefetch_stream(const uint8_t *at)
{
    enum { FAR_BYTES = 8192, NEAR_BYTES = 1024 };
    __builtin_prefetch((const void *)((uintptr_t)at + FAR_BYTES), 0, 2);
    __builtin_prefetch((const void *)((uintptr_t)at + NEAR_BYTES), 0, 3);
}

/* Four dwords of each of four rows, rows and dwords exchanged. */
Q35I_INLINE void q35i_transpose4(const uint8x16_t in[4], uint8x16_t out[4])
{
    uint32x4_t a = vreinterpretq_u32_u8(in[0]), b = vreinterpretq_u32_u8(in[1]);
    uint32x4_t c = vreinterpretq_u32_u8(in[2]), d = vreinterpretq_u32_u8(in[3]);
    uint64x2_t ab0 = vreinterpretq_u64_u32(vtrn1q_u32(a, b)), ab1 = vreinterpretq_u64_u32(vtrn2q_u32(a, b));
    uint64x2_t cd0 = vreinterpretq_u64_u32(vtrn1q_u32(c, d)), cd1 = vreinterpretq_u64_u32(vtrn2q_u32(c, d));
    out[0] = vreinterpretq_u8_u64(vtrn1q_u64(ab0, cd0));
    out[1] = vreinterpretq_u8_u64(vtrn1q_u64(ab1, cd1));
    out[2] = vreinterpretq_u8_u64(vtrn2q_u64(ab0, cd0));
    out[3] = vreinterpretq_u8_u64(vtrn2q_u64(ab1, cd1));
}

/* 16 bytes of each of 4 rows: lane r of v[j] is bytes 4 j .. 4 j + 3 of row r. */
Q35I_INLINE void q35i_load_t4(const uint8_t *p, int64_t rs, uint8x16_t v[4])
{
    const uint8x16_t rows[4] = {vld1q_u8(p), vld1q_u8(p + rs), vld1q_u8(p + 2 * rs), vld1q_u8(p + 3 * rs)};
    q35i_transpose4(rows, v);
}

/* The dword at p of each of 4 rows. */
Q35I_INLINE uint32x4_t q35i_gather_rows(const uint8_t *p, int64_t rs)
{
    uint32_t v[4];
    for (int r = 0; r < 4; r++)
        memcpy(&v[r], p + r * rs, 4);
    return vld1q_u32(v);
}

/* The f16 in the low, or high, half of each lane. */
Q35I_INLINE float32x4_t q35i_half_low(uint32x4_t v)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vmovn_u32(v)));
}

Q35I_INLINE float32x4_t q35i_half_high(uint32x4_t v)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vshrn_n_u32(v, 16)));
}

/* Bits kept of each dword, as floats times d. */
Q35I_INLINE float32x4_t q35i_scaled(float32x4_t d, int32x4_t v)
{
    return vmulq_f32(d, vcvtq_f32_s32(v));
}

/* Byte i of each lane, sign-extended. */
Q35I_INLINE int32x4_t q35i_byte(int8x16_t v, int i)
{
    int32x4_t left = vshlq_s32(vreinterpretq_s32_s8(v), vdupq_n_s32(24 - 8 * i));
    return vshrq_n_s32(left, 24);
}

/* One lookup in a book of 128; codes are below 128. */
Q35I_INLINE int8x16_t q35i_lookup128(const int8x16x4_t table[2], uint8x16_t code)
{
    int8x16_t low = vqtbl4q_s8(table[0], code);
    return vqtbx4q_s8(low, table[1], vsubq_u8(code, vdupq_n_u8(64)));
}

/* One NaN for all. */
Q35I_INLINE float32x4_t q35i_one_nan(float32x4_t y)
{
    return vbslq_f32(vceqq_f32(y, y), y, vreinterpretq_f32_u32(vdupq_n_u32(0x7fc00000)));
}

/* The first n of 4 lanes. */
Q35I_INLINE void q35i_store_lanes(float *out, int64_t n, float32x4_t y)
{
    float lanes[4];
    if (n >= 4) {
        vst1q_f32(out, y);
    } else if (n > 0) {
        vst1q_f32(lanes, y);
        memcpy(out, lanes, (size_t)n * sizeof *out);
    }
}

#endif
