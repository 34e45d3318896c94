/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR with AVX2: the decoder of each weight type (tile8.h) for the shared walk (linear_walk.h). Mirrors
 * q35k_linear__ref. One token against packed SPLIT weights goes to tile_matvec.c, against Q8_0 to
 * q8_matvec.c.
 */
#include "kernels-cpu/avx2/tile8.h"
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/tile16.h"

typedef __m256 q35i_vector;

/* No software prefetch here: `ahead` is not used. */
static inline void decode(const q35i_codec *codec, const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead,
                          const q35i_book *book, q35i_chunk *out)
{
    (void)ahead;
    codec->decode(at, rs, blocks, book, out);
}

static inline void decode_float(const q35i_codec *codec, const uint8_t *at, int64_t rs, int blocks,
                                uintptr_t ahead, __m256 *out)
{
    (void)ahead;
    codec->decode_float(at, rs, blocks, out);
}

#define dot_a8       q35i_dot_a8__avx2
#define dot_f32      q35i_dot_f32__avx2
#define chunk_to_f32 q35i_chunk_to_f32__avx2

static inline void store_rows(float *out, int64_t rows, const float *sums)
{
    q35i_store_rows(out, rows, _mm256_load_ps(sums));
}

#include "kernels-cpu/simd/linear_walk.h"

static q35i_codec codec_of(const q35k_weights *w)
{
    int tile = w->layout == Q35K_LAYOUT_TILE16;
    switch (w->dtype) {
    case Q35_DT_Q8_0: return (q35i_codec){Q35I_FORM_SIGNED, q35i_decode_q8_0__avx2, NULL};
    case Q35_DT_Q4_0: return (q35i_codec){Q35I_FORM_SIGNED, q35i_decode_q4_0__avx2, NULL};
    case Q35_DT_Q5_0: return (q35i_codec){Q35I_FORM_SIGNED, q35i_decode_q5_0__avx2, NULL};
    case Q35_DT_Q4_1: return (q35i_codec){Q35I_FORM_MIN, q35i_decode_q4_1__avx2, NULL};
    case Q35_DT_Q5_1: return (q35i_codec){Q35I_FORM_MIN, q35i_decode_q5_1__avx2, NULL};
    case Q35_DT_Q2_K: return (q35i_codec){Q35I_FORM_MIN16, q35i_decode_q2_k__avx2, NULL};
    case Q35_DT_Q3_K: return (q35i_codec){Q35I_FORM_SUB16, q35i_decode_q3_k__avx2, NULL};
    case Q35_DT_Q4_K: return (q35i_codec){Q35I_FORM_MIN, q35i_decode_q4_k__avx2, NULL};
    case Q35_DT_Q5_K: return (q35i_codec){Q35I_FORM_MIN, q35i_decode_q5_k__avx2, NULL};
    case Q35_DT_Q6_K: return (q35i_codec){Q35I_FORM_SUB16, q35i_decode_q6_k__avx2, NULL};
    case Q35_DT_IQ4_NL: return (q35i_codec){Q35I_FORM_SIGNED, q35i_decode_iq4_nl__avx2, NULL};
    case Q35_DT_IQ4_XS: return (q35i_codec){Q35I_FORM_SIGNED, q35i_decode_iq4_xs__avx2, NULL};
    case Q35_DT_Q35_PAIR:
        return (q35i_codec){Q35I_FORM_SIGNED, tile ? q35i_decode_pair_tile__avx2 : q35i_decode_pair_rows__avx2,
                            NULL};
    case Q35_DT_Q35_SPLIT:
        return (q35i_codec){Q35I_FORM_MIN, tile ? q35i_decode_split_tile__avx2 : q35i_decode_split_rows__avx2,
                            NULL};
    case Q35_DT_F16: return (q35i_codec){Q35I_FORM_FLOAT, NULL, q35i_decode_f16__avx2};
    case Q35_DT_F8_32: return (q35i_codec){Q35I_FORM_FLOAT, NULL, q35i_decode_f8_32__avx2};
    case Q35_DT_BF16: return (q35i_codec){Q35I_FORM_FLOAT, NULL, q35i_decode_bf16__avx2};
    default: return (q35i_codec){Q35I_FORM_FLOAT, NULL, q35i_decode_f32__avx2};
    }
}

void q35k_linear__avx2(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens, const q35k_weights *w,
                       float *out, int64_t rs_out, int64_t begin, int64_t end, void *scratch)
{
    if (n_tokens <= 0 || begin >= end)
        return;
    work *wk = scratch;
    if (w->dtype == Q35_DT_Q35_PAIR)
        q35i_load_book__avx2(w->book, &wk->book);
    if (n_tokens == 1 && act_type == Q35_DT_A8_32 && w->dtype == Q35_DT_Q35_SPLIT &&
        w->layout == Q35K_LAYOUT_TILE16) {
        q35i_split_matvec__avx2(x, w, out, begin, end, wk + 1);
        return;
    }
    if (n_tokens == 1 && act_type == Q35_DT_A8_32 && w->dtype == Q35_DT_Q8_0) {
        q35i_q8_matvec__avx2(x, w, out, begin, end);
        return;
    }
    job j = {w, x, act_type, rs_x, codec_of(w), chunk_bytes_of(w), wk};
    walk(&j, n_tokens, out, rs_out, begin, end);
}
