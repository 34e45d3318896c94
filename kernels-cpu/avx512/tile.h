/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the AVX-512 LINEAR share. Everything is done on tiles of 16 weight rows, one row per 32-bit
 * lane, and on chunks of 256 inputs: a decoder turns any weight type into the form q35i_chunk (or floats), and one
 * dot per form multiplies that with any number of tokens. So each (token, row) sees the same operations in the
 * same order whatever the number of tokens, and a new type is one new decoder.
 */
#ifndef Q35I_AVX512_TILE_H
#define Q35I_AVX512_TILE_H

#include "kernels-cpu/kernels.h"

#include <immintrin.h>

/* Without optimisation gcc's intrinsics are macros, whose inner conversions would be reported in our lines. */
#if defined(__GNUC__) && !defined(__OPTIMIZE__)
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wconversion"
#endif

#define Q35I_INLINE static inline __attribute__((always_inline))

enum {
    Q35I_ROWS = 16,          /* rows of a tile */
    Q35I_CHUNK = 256,        /* inputs of a chunk */
    Q35I_CHUNK_BLOCKS = 8,   /* blocks of 32 in it */
    Q35I_TOKENS = 128,       /* tokens whose sums are kept while a tile is decoded once */
    Q35I_STAGE_STRIDE = 1024 /* bytes of one row of a chunk of the widest type, F32 */
};

/* What distinguishes the integer dots. Weight = scale * (w - bias) [+ min]. */
typedef enum q35i_form {
    Q35I_FORM_BIAS,  /* w - bias, one scale per 32 */
    Q35I_FORM_MIN,   /* w, one scale and one minimum per 32 */
    Q35I_FORM_SUB16, /* w - 32, one scale per 16 */
    Q35I_FORM_MIN16, /* w, one scale and one minimum per 16 */
    Q35I_FORM_FLOAT  /* no integers: the decoder gives floats */
} q35i_form;

/* 256 inputs of 16 rows. Byte 4 r + i of w[j] is input 4 j + i of row r; lane r of scale and min belongs to row r.
 */
typedef struct q35i_chunk {
    __m512i w[Q35I_CHUNK / 4];
    __m512 scale[16]; /* per 32 (8 used), FORM_SUB16 and FORM_MIN16: per 16 */
    __m512 min[16];   /* likewise */
} q35i_chunk;

/* The codebook as four lookup registers, each component plus 128. */
typedef struct q35i_book {
    __m512i even[2], odd[2];
} q35i_book;

/* Decodes `blocks` (1..8) blocks of 32 of 16 rows. at: the chunk's first byte in row 0 (canonical), or the span
 * (TILE16); rs: bytes between rows. Reads no byte that is not of these blocks, K types: of the block of 256.
 * ahead: where the decoder prefetches as many bytes as it decodes, spread over its work (a burst would wait for
 * the memory); any address. */
typedef void q35i_decode_fn(const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead, const q35i_book *book,
                            q35i_chunk *out);

/* The same for FORM_FLOAT: out[i] is input i of the 16 rows, i < 32 * blocks. */
typedef void q35i_decode_float_fn(const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead, __m512 *out);

typedef struct q35i_codec {
    q35i_form form;
    int bias; /* FORM_BIAS */
    q35i_decode_fn *decode;
    q35i_decode_float_fn *decode_float; /* FORM_FLOAT */
} q35i_codec;

q35i_decode_fn q35i_decode_q8_0__avx512, q35i_decode_q4_0__avx512, q35i_decode_q4_1__avx512,
    q35i_decode_q5_0__avx512, q35i_decode_q5_1__avx512;
q35i_decode_fn q35i_decode_q2_k__avx512, q35i_decode_q3_k__avx512, q35i_decode_q4_k__avx512,
    q35i_decode_q5_k__avx512, q35i_decode_q6_k__avx512, q35i_decode_iq4_nl__avx512, q35i_decode_iq4_xs__avx512;
q35i_decode_fn q35i_decode_pair_rows__avx512, q35i_decode_split_rows__avx512, q35i_decode_pair_tile__avx512,
    q35i_decode_split_tile__avx512;
q35i_decode_float_fn q35i_decode_f32__avx512, q35i_decode_f16__avx512, q35i_decode_bf16__avx512,
    q35i_decode_f8_32__avx512;

/* Sums of n_tokens tokens over one chunk are added to acc [n_tokens][16]. x: the tokens' first block of the chunk.
 */
void q35i_dot_a8__avx512(const q35i_codec *codec, const q35i_chunk *chunk, int blocks, const uint8_t *x,
                         int64_t rs_x, int64_t n_tokens, float *acc);
/* x: f32; inputs: 1..256. */
void q35i_dot_f32__avx512(const __m512 *w, int inputs, const uint8_t *x, int64_t rs_x, int64_t n_tokens,
                          float *acc);
/* Integer form to floats, 32 * blocks of them. */
void q35i_chunk_to_f32__avx512(const q35i_codec *codec, const q35i_chunk *chunk, int blocks, __m512 *out);

/* One token against TILE16: rows [begin, end) of out, all of K. prep: 48 bytes per block of 32, rounded up to 64
 * inputs. */
void q35i_tile_matvec__avx512(const q35_act_block *x, const q35k_weights *w, const q35i_book *book, float *out,
                              int64_t begin, int64_t end, void *prep);

/* One token against canonical Q8_0: rows [begin, end) of out, all of K. */
void q35i_q8_matvec__avx512(const q35_act_block *x, const q35k_weights *w, float *out, int64_t begin, int64_t end);

/* In each 128-bit lane dword i of v[j] is dword j of z[i]. */
Q35I_INLINE void q35i_transpose4(const __m512i z[4], __m512i v[4])
{
    __m512i a = _mm512_unpacklo_epi32(z[0], z[1]), b = _mm512_unpackhi_epi32(z[0], z[1]);
    __m512i c = _mm512_unpacklo_epi32(z[2], z[3]), d = _mm512_unpackhi_epi32(z[2], z[3]);
    v[0] = _mm512_unpacklo_epi64(a, c);
    v[1] = _mm512_unpackhi_epi64(a, c);
    v[2] = _mm512_unpacklo_epi64(b, d);
    v[3] = _mm512_unpackhi_epi64(b, d);
}

/* 16 bytes of each of 16 rows: lane r of v[j] is bytes 4 j .. 4 j + 3 of row r. */
Q35I_INLINE void q35i_load_t16(const uint8_t *p, int64_t rs, __m512i v[4])
{
    __m512i z[4];
    for (int i = 0; i < 4; i++) {
        const uint8_t *q = p + i * rs;
        z[i] = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(const void *)q));
        z[i] = _mm512_inserti32x4(z[i], _mm_loadu_si128((const __m128i *)(const void *)(q + 4 * rs)), 1);
        z[i] = _mm512_inserti32x4(z[i], _mm_loadu_si128((const __m128i *)(const void *)(q + 8 * rs)), 2);
        z[i] = _mm512_inserti32x4(z[i], _mm_loadu_si128((const __m128i *)(const void *)(q + 12 * rs)), 3);
    }
    q35i_transpose4(z, v);
}

/* The dword at p of each of 16 rows. */
Q35I_INLINE __m512i q35i_gather_rows(const uint8_t *p, int64_t rs)
{
    __m512i lane = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    __m512i at = _mm512_mullo_epi64(lane, _mm512_set1_epi64(rs));
    __m256i lo = _mm512_i64gather_epi32(at, (const void *)p, 1);
    __m256i hi = _mm512_i64gather_epi32(at, (const void *)(p + 8 * rs), 1);
    return _mm512_inserti64x4(_mm512_castsi256_si512(lo), hi, 1);
}

/* To L2. n bytes from `at` on, line by line. */
Q35I_INLINE void q35i_prefetch(uintptr_t at, int n)
{
    for (int i = 0; i < n; i += 64)
        _mm_prefetch((const char *)(at + (uintptr_t)i), _MM_HINT_T1);
}

/* The f16 in the low, or high, half of each lane. */
Q35I_INLINE __m512 q35i_half_low(__m512i v)
{
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v));
}

Q35I_INLINE __m512 q35i_half_high(__m512i v)
{
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(v, 16)));
}

/* The eight code vectors of one TILE16 set (kernels-cpu/tile16.h). Bit 7 of each byte is noise. */
Q35I_INLINE void q35i_load_set(const uint8_t *set, __m512i v[8])
{
    const __m512i top = _mm512_set1_epi8((char)0x80);
    for (int i = 0; i < 7; i++)
        v[i] = _mm512_loadu_si512((const void *)(set + 64 * i));
    __m512i acc = v[0];
    for (int i = 1; i < 7; i++) /* 0xca: top ? v : acc >> 1 */
        acc = _mm512_ternarylogic_epi32(top, v[i], _mm512_srli_epi16(acc, 1), 0xca);
    v[7] = _mm512_srli_epi16(acc, 1);
}

Q35I_INLINE __m512i q35i_lookup(const __m512i table[2], __m512i code)
{
    return _mm512_permutex2var_epi8(table[0], code, table[1]);
}

/* One NaN for all: which operand's sign and payload survive is the compiler's choice of instruction, and must not
 * make one token differ from several. */
Q35I_INLINE void q35i_store_rows(float *out, __mmask16 rows, __m512 sum)
{
    __mmask16 nan = _mm512_cmp_ps_mask(sum, sum, _CMP_UNORD_Q);
    __m512i v = _mm512_mask_mov_epi32(_mm512_castps_si512(sum), nan, _mm512_set1_epi32(0x7fc00000));
    _mm512_mask_storeu_epi32(out, rows, v);
}

/* Two K-interleaved halves of a code's weights: inputs 8 j .. 8 j + 3 and 8 j + 4 .. 8 j + 7 of each row, from its
 * even inputs and its odd ones. */
Q35I_INLINE void q35i_interleave(__m512i even, __m512i odd, __m512i *first, __m512i *second)
{
    __m512 lo = _mm512_castsi512_ps(_mm512_unpacklo_epi8(even, odd));
    __m512 hi = _mm512_castsi512_ps(_mm512_unpackhi_epi8(even, odd));
    *first = _mm512_castps_si512(_mm512_shuffle_ps(lo, hi, 0x88));
    *second = _mm512_castps_si512(_mm512_shuffle_ps(lo, hi, 0xdd));
}

#endif
