/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR with AVX-512 VBMI and VNNI: the decoder of each weight type (tile.h) for the shared walk (linear_walk.h).
 * Mirrors q35k_linear__ref. One token against packed 3.5-bit weights goes to tile_matvec.c, against
 * Q8_0 to q8_matvec.c.
 */
#include "kernels-cpu/avx512/tile.h"
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/tile16.h"

typedef __m512 q35i_vector;

static inline void decode(const q35i_codec *codec, const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead,
                          const q35i_book *book, q35i_chunk *out)
{
    codec->decode(at, rs, blocks, ahead, book, out);
}

static inline void decode_float(const q35i_codec *codec, const uint8_t *at, int64_t rs, int blocks,
                                uintptr_t ahead, __m512 *out)
{
    codec->decode_float(at, rs, blocks, ahead, out);
}

#define dot_a8       q35i_dot_a8__avx512
#define dot_f32      q35i_dot_f32__avx512
#define chunk_to_f32 q35i_chunk_to_f32__avx512

static inline void store_rows(float *out, int64_t rows, const float *sums)
{
    q35i_store_rows(out, (__mmask16)((1u << rows) - 1u), _mm512_load_ps(sums));
}

#include "kernels-cpu/simd/linear_walk.h"

static q35i_codec codec_of(const q35k_weights *w)
{
    int tile = w->layout == Q35K_LAYOUT_TILE16;
    switch (w->dtype) {
    case Q35_DT_Q8_0: return (q35i_codec){Q35I_FORM_BIAS, 128, q35i_decode_q8_0__avx512, NULL};
    case Q35_DT_Q4_0: return (q35i_codec){Q35I_FORM_BIAS, 8, q35i_decode_q4_0__avx512, NULL};
    case Q35_DT_Q5_0: return (q35i_codec){Q35I_FORM_BIAS, 16, q35i_decode_q5_0__avx512, NULL};
    case Q35_DT_Q4_1: return (q35i_codec){Q35I_FORM_MIN, 0, q35i_decode_q4_1__avx512, NULL};
    case Q35_DT_Q5_1: return (q35i_codec){Q35I_FORM_MIN, 0, q35i_decode_q5_1__avx512, NULL};
    case Q35_DT_Q2_K: return (q35i_codec){Q35I_FORM_MIN16, 0, q35i_decode_q2_k__avx512, NULL};
    case Q35_DT_Q3_K: return (q35i_codec){Q35I_FORM_SUB16, 0, q35i_decode_q3_k__avx512, NULL};
    case Q35_DT_Q4_K: return (q35i_codec){Q35I_FORM_MIN, 0, q35i_decode_q4_k__avx512, NULL};
    case Q35_DT_Q5_K: return (q35i_codec){Q35I_FORM_MIN, 0, q35i_decode_q5_k__avx512, NULL};
    case Q35_DT_Q6_K: return (q35i_codec){Q35I_FORM_SUB16, 0, q35i_decode_q6_k__avx512, NULL};
    case Q35_DT_IQ4_NL: return (q35i_codec){Q35I_FORM_BIAS, 128, q35i_decode_iq4_nl__avx512, NULL};
    case Q35_DT_IQ4_XS: return (q35i_codec){Q35I_FORM_BIAS, 128, q35i_decode_iq4_xs__avx512, NULL};
    case Q35_DT_Q35_PAIR:
        return (q35i_codec){Q35I_FORM_BIAS, 128,
                            tile ? q35i_decode_pair_tile__avx512 : q35i_decode_pair_rows__avx512, NULL};
    case Q35_DT_Q35_SPLIT:
        return (q35i_codec){Q35I_FORM_MIN, 0,
                            tile ? q35i_decode_split_tile__avx512 : q35i_decode_split_rows__avx512, NULL};
    case Q35_DT_F16: return (q35i_codec){Q35I_FORM_FLOAT, 0, NULL, q35i_decode_f16__avx512};
    case Q35_DT_F8_32: return (q35i_codec){Q35I_FORM_FLOAT, 0, NULL, q35i_decode_f8_32__avx512};
    case Q35_DT_BF16: return (q35i_codec){Q35I_FORM_FLOAT, 0, NULL, q35i_decode_bf16__avx512};
    default: return (q35i_codec){Q35I_FORM_FLOAT, 0, NULL, q35i_decode_f32__avx512};
    }
}

/* PAIR weights are looked up plus 128 (bias 128), SPLIT ones as they are. */
static void load_book(const q35k_weights *w, q35i_book *book)
{
    if (!w->book)
        return;
    __m512i flip = _mm512_set1_epi8(w->dtype == Q35_DT_Q35_PAIR ? (char)0x80 : 0);
    for (int h = 0; h < 2; h++) {
        const int8_t(*points)[2] = w->book + 64 * h;
        __m512i a = _mm512_loadu_si512((const void *)points), b = _mm512_loadu_si512((const void *)(points + 32));
        __m512i even =
            _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi16_epi8(a)), _mm512_cvtepi16_epi8(b), 1);
        __m256i odd_a = _mm512_cvtepi16_epi8(_mm512_srli_epi16(a, 8));
        __m256i odd_b = _mm512_cvtepi16_epi8(_mm512_srli_epi16(b, 8));
        book->even[h] = _mm512_xor_si512(even, flip);
        book->odd[h] = _mm512_xor_si512(_mm512_inserti64x4(_mm512_castsi256_si512(odd_a), odd_b, 1), flip);
    }
}

void q35k_linear__avx512(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens, const q35k_weights *w,
                         float *out, int64_t rs_out, int64_t begin, int64_t end, void *scratch)
{
    if (n_tokens <= 0 || begin >= end)
        return;
    work *wk = scratch;
    load_book(w, &wk->book);
    if (n_tokens == 1 && act_type == Q35_DT_A8_32 && w->layout == Q35K_LAYOUT_TILE16) {
        q35i_tile_matvec__avx512(x, w, &wk->book, out, begin, end, wk + 1);
        return;
    }
    if (n_tokens == 1 && act_type == Q35_DT_A8_32 && w->dtype == Q35_DT_Q8_0) {
        q35i_q8_matvec__avx512(x, w, out, begin, end);
        return;
    }
    job j = {w, x, act_type, rs_x, codec_of(w), chunk_bytes_of(w), wk};
    walk(&j, n_tokens, out, rs_out, begin, end);
}
