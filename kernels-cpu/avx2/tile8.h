/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the AVX2 LINEAR share. As with AVX-512 a decoder turns any weight type into one form, here for
 * 8 rows, one per 32-bit lane, and 256 inputs, and one dot per form multiplies that with any number of tokens;
 * each (token, row) sees the same operations in the same order whatever the number of tokens.
 *
 * Products of bytes: vpmaddubsw adds two u8 * s8 products with saturation at 32767, so only these are used:
 *   signed weights   |w| * (a with the sign of w): 2 * 128 * 127 = 32512, given activation codes in +-127, which
 *                    quantize_act guarantees
 *   unsigned ones    at most 105 (SPLIT): 2 * 105 * 128 = 26880
 */
#ifndef Q35I_AVX2_TILE8_H
#define Q35I_AVX2_TILE8_H

#include "kernels-cpu/kernels.h"

#include <immintrin.h>

#define Q35I_INLINE static inline __attribute__((always_inline))

enum {
    Q35I_ROWS = 8,
    Q35I_CHUNK = 256,        /* inputs of a chunk */
    Q35I_CHUNK_BLOCKS = 8,   /* blocks of 32 in it */
    Q35I_TOKENS = 128,       /* tokens whose sums are kept while a tile is decoded once */
    Q35I_STAGE_STRIDE = 1024 /* bytes of one row of a chunk of the widest type, F32 */
};

/* Weight = scale * w [+ min]. */
typedef enum q35i_form {
    Q35I_FORM_SIGNED, /* w int8, one scale per 32 */
    Q35I_FORM_SUB16,  /* w int8, one scale per 16 */
    Q35I_FORM_MIN,    /* w uint8 <= 105, one scale and one minimum per 32 */
    Q35I_FORM_MIN16,  /* the same per 16 */
    Q35I_FORM_FLOAT   /* no integers: the decoder gives floats */
} q35i_form;

/* 256 inputs of 8 rows. Byte 4 r + i of w[j] is input 4 j + i of row r; lane r of scale and min belongs to row r.
 */
typedef struct q35i_chunk {
    __m256i w[Q35I_CHUNK / 4];
    __m256 scale[16]; /* per 32 (8 used), FORM_SUB16 and FORM_MIN16: per 16 */
    __m256 min[16];   /* likewise */
} q35i_chunk;

/* The codebook as byte lookups (decode_q35.c), alike in both 128-bit lanes. */
typedef struct q35i_book {
    __m256i even[8], odd[8];
} q35i_book;

/* Decodes `blocks` (1..8) blocks of 32 of 8 rows. at: the chunk's first byte in row 0; rs: bytes between rows.
 * TILE16: the span, and 0 or 1 for rows 0..7 or 8..15. Reads no byte that is not of these blocks, K types: of the
 * block of 256. */
typedef void q35i_decode_fn(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out);

/* The same for FORM_FLOAT: out[i] is input i of the 8 rows, i < 32 * blocks. */
typedef void q35i_decode_float_fn(const uint8_t *at, int64_t rs, int blocks, __m256 *out);

typedef struct q35i_codec {
    q35i_form form;
    q35i_decode_fn *decode;
    q35i_decode_float_fn *decode_float; /* FORM_FLOAT */
} q35i_codec;

q35i_decode_fn q35i_decode_q8_0__avx2, q35i_decode_q4_0__avx2, q35i_decode_q4_1__avx2, q35i_decode_q5_0__avx2,
    q35i_decode_q5_1__avx2, q35i_decode_q2_k__avx2, q35i_decode_q3_k__avx2, q35i_decode_iq4_nl__avx2,
    q35i_decode_iq4_xs__avx2, q35i_decode_q4_k__avx2, q35i_decode_q5_k__avx2, q35i_decode_q6_k__avx2,
    q35i_decode_pair_rows__avx2, q35i_decode_split_rows__avx2, q35i_decode_pair_tile__avx2,
    q35i_decode_split_tile__avx2;
q35i_decode_float_fn q35i_decode_f32__avx2, q35i_decode_f16__avx2, q35i_decode_bf16__avx2, q35i_decode_f8_32__avx2;

void q35i_load_book__avx2(const int8_t (*points)[2], q35i_book *book);

/* Sums of n_tokens tokens over one chunk are added to acc [n_tokens][8]. x: the tokens' first block of the chunk.
 */
void q35i_dot_a8__avx2(const q35i_codec *codec, const q35i_chunk *chunk, int blocks, const uint8_t *x,
                       int64_t rs_x, int64_t n_tokens, float *acc);
/* x: f32; inputs: 1..256. */
void q35i_dot_f32__avx2(const __m256 *w, int inputs, const uint8_t *x, int64_t rs_x, int64_t n_tokens, float *acc);
/* Integer form to floats, 32 * blocks of them. */
void q35i_chunk_to_f32__avx2(const q35i_codec *codec, const q35i_chunk *chunk, int blocks, __m256 *out);

/* One token against SPLIT in TILE16: rows [begin, end) of out, all of K. prep: 40 bytes per block of 32, rounded
 * up to 64 inputs. */
void q35i_split_matvec__avx2(const q35_act_block *x, const q35k_weights *w, float *out, int64_t begin, int64_t end,
                             void *prep);

/* One token against canonical Q8_0: rows [begin, end) of out, all of K. */
void q35i_q8_matvec__avx2(const q35_act_block *x, const q35k_weights *w, float *out, int64_t begin, int64_t end);

/* The first `rows` of 8. One NaN for all: which operand's sign and payload survive is the compiler's choice of
 * instruction, and must not make one token differ from several. */
Q35I_INLINE void q35i_store_rows(float *out, int64_t rows, __m256 y)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256 nan = _mm256_cmp_ps(y, y, _CMP_UNORD_Q);
    y = _mm256_blendv_ps(y, _mm256_castsi256_ps(_mm256_set1_epi32(0x7fc00000)), nan);
    _mm256_maskstore_ps(out, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)rows), lane), y);
}

Q35I_INLINE __m256i q35i_two_rows(const uint8_t *a, const uint8_t *b)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)a);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(x), _mm_loadu_si128((const __m128i *)(const void *)b),
                                   1);
}

/* 16 bytes of each of 8 rows: lane r of v[j] is bytes 4 j .. 4 j + 3 of row r. */
Q35I_INLINE void q35i_load_t8(const uint8_t *p, int64_t rs, __m256i v[4])
{
    __m256i z[4];
    for (int i = 0; i < 4; i++)
        z[i] = q35i_two_rows(p + i * rs, p + (i + 4) * rs);
    __m256i a = _mm256_unpacklo_epi32(z[0], z[1]), b = _mm256_unpackhi_epi32(z[0], z[1]);
    __m256i c = _mm256_unpacklo_epi32(z[2], z[3]), d = _mm256_unpackhi_epi32(z[2], z[3]);
    v[0] = _mm256_unpacklo_epi64(a, c);
    v[1] = _mm256_unpackhi_epi64(a, c);
    v[2] = _mm256_unpacklo_epi64(b, d);
    v[3] = _mm256_unpackhi_epi64(b, d);
}

Q35I_INLINE int32_t q35i_load_i32(const uint8_t *p)
{
    int32_t v;
    memcpy(&v, p, 4);
    return v;
}

/* The dword at p of each of 8 rows. */
Q35I_INLINE __m256i q35i_gather_rows(const uint8_t *p, int64_t rs)
{
    return _mm256_setr_epi32(q35i_load_i32(p), q35i_load_i32(p + rs), q35i_load_i32(p + 2 * rs),
                             q35i_load_i32(p + 3 * rs), q35i_load_i32(p + 4 * rs), q35i_load_i32(p + 5 * rs),
                             q35i_load_i32(p + 6 * rs), q35i_load_i32(p + 7 * rs));
}

/* The f16 in the low, or high, half of each lane. */
Q35I_INLINE __m256 q35i_half_low(__m256i v)
{
    __m256i x = _mm256_and_si256(v, _mm256_set1_epi32(0xffff));
    return _mm256_cvtph_ps(_mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1)));
}

Q35I_INLINE __m256 q35i_half_high(__m256i v)
{
    return q35i_half_low(_mm256_srli_epi32(v, 16));
}

#endif
