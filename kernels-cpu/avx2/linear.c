/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR with AVX2: picks the decoder of the weight type and walks tokens, tiles of 8 rows and
 * chunks of 256 inputs (tile8.h). A tile's chunk is decoded once into L1 for up to 128 tokens. Mirrors
 * q35k_linear__ref.
 */
#include "kernels-cpu/avx2/tile8.h"
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/tile16.h"

/* A call's scratch. */
typedef struct work {
    q35i_chunk chunk;
    __m256 floats[Q35I_CHUNK];                    /* weights of a chunk */
    float acts[8][Q35I_CHUNK];                    /* dequantised activations of 8 tokens */
    float acc[Q35I_TOKENS][Q35I_ROWS];            /* sums */
    uint8_t stage[Q35I_ROWS * Q35I_STAGE_STRIDE]; /* rows of a partial tile */
    q35i_book book;
} work;

_Static_assert(sizeof(work) <= 65536, "q35k_linear_scratch_bytes gives 64 KiB beside 32 bytes per input");

/* What stays the same throughout a call. */
typedef struct job {
    const q35k_weights *w;
    const uint8_t *x;
    uint32_t act_type;
    int64_t rs_x;
    q35i_codec codec;
    int64_t chunk_bytes; /* bytes of a chunk in a row, or of a whole span in a tile */
    work *work;
} job;

static q35i_codec codec_of(const q35k_weights *w)
{
    int tile = w->layout == Q35K_LAYOUT_TILE16;
    switch (w->dtype) {
    case Q35_DT_Q8_0: return (q35i_codec){Q35I_FORM_SIGNED, q35i_decode_q8_0__avx2, NULL};
    case Q35_DT_Q4_0: return (q35i_codec){Q35I_FORM_SIGNED, q35i_decode_q4_0__avx2, NULL};
    case Q35_DT_Q5_0: return (q35i_codec){Q35I_FORM_SIGNED, q35i_decode_q5_0__avx2, NULL};
    case Q35_DT_Q4_1: return (q35i_codec){Q35I_FORM_MIN, q35i_decode_q4_1__avx2, NULL};
    case Q35_DT_Q5_1: return (q35i_codec){Q35I_FORM_MIN, q35i_decode_q5_1__avx2, NULL};
    case Q35_DT_Q4_K: return (q35i_codec){Q35I_FORM_MIN, q35i_decode_q4_k__avx2, NULL};
    case Q35_DT_Q5_K: return (q35i_codec){Q35I_FORM_MIN, q35i_decode_q5_k__avx2, NULL};
    case Q35_DT_Q6_K: return (q35i_codec){Q35I_FORM_SUB16, q35i_decode_q6_k__avx2, NULL};
    case Q35_DT_Q35_PAIR:
        return (q35i_codec){Q35I_FORM_SIGNED, tile ? q35i_decode_pair_tile__avx2 : q35i_decode_pair_rows__avx2,
                            NULL};
    case Q35_DT_Q35_SPLIT:
        return (q35i_codec){Q35I_FORM_MIN, tile ? q35i_decode_split_tile__avx2 : q35i_decode_split_rows__avx2,
                            NULL};
    case Q35_DT_F16: return (q35i_codec){Q35I_FORM_FLOAT, NULL, q35i_decode_f16__avx2};
    case Q35_DT_BF16: return (q35i_codec){Q35I_FORM_FLOAT, NULL, q35i_decode_bf16__avx2};
    default: return (q35i_codec){Q35I_FORM_FLOAT, NULL, q35i_decode_f32__avx2};
    }
}

static int64_t chunk_bytes_of(const q35k_weights *w)
{
    if (w->layout == Q35K_LAYOUT_TILE16)
        return q35k_tile16_head_bytes(w->dtype == Q35_DT_Q35_SPLIT) + 4 * Q35K_TILE16_SET_BYTES;
    q35_dtype_info d = q35_dtype_describe(w->dtype);
    return Q35I_CHUNK / d.block_len * d.block_bytes;
}

/* Copies what there is of a chunk that the decoders, which always read 8 rows and whole blocks of 32, must not
 * read in place. Missing rows and inputs are 0. */
static const uint8_t *stage_rows(const job *j, const uint8_t *at, int64_t rows, int64_t inputs)
{
    q35_dtype_info d = q35_dtype_describe(j->w->dtype);
    size_t bytes = (size_t)((inputs + d.block_len - 1) / d.block_len * d.block_bytes);
    uint8_t *stage = j->work->stage;
    memset(stage, 0, sizeof j->work->stage);
    for (int64_t r = 0; r < rows; r++)
        memcpy(stage + r * Q35I_STAGE_STRIDE, at + r * j->w->rs, bytes);
    return stage;
}

/* Sums of one chunk (inputs k0 .. k0 + inputs - 1) for tokens [t0, t0 + n). */
static void dot_chunk(const job *j, int64_t k0, int inputs, int64_t t0, int64_t n)
{
    work *wk = j->work;
    int blocks = (inputs + Q35_ACT_BLOCK - 1) / Q35_ACT_BLOCK;
    const uint8_t *x = j->x + t0 * j->rs_x;
    if (j->act_type == Q35_DT_F32) {
        q35i_dot_f32__avx2(wk->floats, inputs, x + 4 * k0, j->rs_x, n, wk->acc[0]);
        return;
    }
    x += k0 / Q35_ACT_BLOCK * (int64_t)sizeof(q35_act_block);
    if (j->codec.form != Q35I_FORM_FLOAT) {
        q35i_dot_a8__avx2(j->codec.form, &wk->chunk, blocks, x, j->rs_x, n, wk->acc[0]);
        return;
    }
    for (int64_t t = 0; t < n; t += 8) {
        int64_t m = n - t < 8 ? n - t : 8;
        for (int64_t i = 0; i < m; i++)
            for (int b = 0; b < blocks; b++) {
                const q35_act_block *act = (const q35_act_block *)(const void *)(x + (t + i) * j->rs_x) + b;
                for (int e = 0; e < Q35_ACT_BLOCK; e++)
                    wk->acts[i][Q35_ACT_BLOCK * b + e] = act->scale * (float)act->q[e];
            }
        q35i_dot_f32__avx2(wk->floats, inputs, (const uint8_t *)wk->acts, sizeof wk->acts[0], m, wk->acc[t]);
    }
}

/* Decodes one chunk of a tile. at: its first byte; r0: first row; rows: rows that exist. */
static void decode_chunk(const job *j, const uint8_t *at, int64_t r0, int64_t rows, int inputs)
{
    work *wk = j->work;
    int blocks = (inputs + Q35_ACT_BLOCK - 1) / Q35_ACT_BLOCK, is_float = j->codec.form == Q35I_FORM_FLOAT;
    int64_t rs = j->w->rs;
    if (j->w->layout == Q35K_LAYOUT_TILE16) {
        rs = r0 / Q35I_ROWS & 1;
    } else if (rows < Q35I_ROWS || (is_float && inputs % Q35_ACT_BLOCK)) {
        at = stage_rows(j, at, rows, inputs);
        rs = Q35I_STAGE_STRIDE;
    }
    if (is_float) {
        j->codec.decode_float(at, rs, blocks, wk->floats);
        return;
    }
    j->codec.decode(at, rs, blocks, &wk->book, &wk->chunk);
    if (j->act_type == Q35_DT_F32)
        q35i_chunk_to_f32__avx2(j->codec.form, &wk->chunk, blocks, wk->floats);
}

static void dot_tile(const job *j, int64_t r0, int64_t rows, int64_t t0, int64_t n)
{
    const q35k_weights *w = j->w;
    const uint8_t *at = (const uint8_t *)w->data;
    at += (w->layout == Q35K_LAYOUT_TILE16 ? r0 / 16 : r0) * w->rs;
    memset(j->work->acc, 0, (size_t)n * sizeof j->work->acc[0]);
    for (int64_t k0 = 0; k0 < w->k; k0 += Q35I_CHUNK, at += j->chunk_bytes) {
        int inputs = w->k - k0 < Q35I_CHUNK ? (int)(w->k - k0) : Q35I_CHUNK;
        decode_chunk(j, at, r0, rows, inputs);
        dot_chunk(j, k0, inputs, t0, n);
    }
}

/* One NaN for all: which operand's sign and payload survive is the compiler's choice of instruction, and must not
 * make one token differ from several. */
static void store_rows(float *out, int64_t rows, __m256 sum)
{
    __m256 nan = _mm256_cmp_ps(sum, sum, _CMP_UNORD_Q);
    __m256 v = _mm256_blendv_ps(sum, _mm256_castsi256_ps(_mm256_set1_epi32(0x7fc00000)), nan);
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_maskstore_ps(out, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)rows), lane), v);
}

void q35k_linear__avx2(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens, const q35k_weights *w,
                       float *out, int64_t rs_out, int64_t begin, int64_t end, void *scratch)
{
    if (n_tokens <= 0 || begin >= end)
        return;
    work *wk = scratch;
    if (w->dtype == Q35_DT_Q35_PAIR)
        q35i_load_book__avx2(w->book, &wk->book);
    job j = {w, x, act_type, rs_x, codec_of(w), chunk_bytes_of(w), wk};
    for (int64_t t0 = 0; t0 < n_tokens; t0 += Q35I_TOKENS) {
        int64_t n = n_tokens - t0 < Q35I_TOKENS ? n_tokens - t0 : Q35I_TOKENS;
        for (int64_t r0 = begin; r0 < end; r0 += Q35I_ROWS) {
            int64_t rows = end - r0 < Q35I_ROWS ? end - r0 : Q35I_ROWS;
            dot_tile(&j, r0, rows, t0, n);
            for (int64_t t = 0; t < n; t++) {
                float *to = (float *)(void *)((uint8_t *)out + (t0 + t) * rs_out) + r0;
                store_rows(to, rows, _mm256_load_ps(wk->acc[t]));
            }
        }
    }
}
