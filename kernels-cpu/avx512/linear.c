/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR with AVX-512 VBMI and VNNI: picks the decoder of the weight type and walks tokens, tiles of 16 rows and
 * chunks of 256 inputs (tile.h). A tile's chunk is decoded once into L1 for up to 128 tokens. Mirrors
 * q35k_linear__ref. One token against packed 3.5-bit weights goes to tile_matvec.c.
 */
#include "kernels-cpu/avx512/tile.h"
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/tile16.h"

/* All of a call's scratch but for tile_matvec's activations, which follow it. */
typedef struct work {
    q35i_chunk chunk;
    __m512 floats[Q35I_CHUNK];                    /* weights of a chunk */
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
    case Q35_DT_Q8_0: return (q35i_codec){Q35I_FORM_BIAS, 128, q35i_decode_q8_0__avx512, NULL};
    case Q35_DT_Q4_0: return (q35i_codec){Q35I_FORM_BIAS, 8, q35i_decode_q4_0__avx512, NULL};
    case Q35_DT_Q5_0: return (q35i_codec){Q35I_FORM_BIAS, 16, q35i_decode_q5_0__avx512, NULL};
    case Q35_DT_Q4_1: return (q35i_codec){Q35I_FORM_MIN, 0, q35i_decode_q4_1__avx512, NULL};
    case Q35_DT_Q5_1: return (q35i_codec){Q35I_FORM_MIN, 0, q35i_decode_q5_1__avx512, NULL};
    case Q35_DT_Q4_K: return (q35i_codec){Q35I_FORM_MIN, 0, q35i_decode_q4_k__avx512, NULL};
    case Q35_DT_Q5_K: return (q35i_codec){Q35I_FORM_MIN, 0, q35i_decode_q5_k__avx512, NULL};
    case Q35_DT_Q6_K: return (q35i_codec){Q35I_FORM_SUB16, 0, q35i_decode_q6_k__avx512, NULL};
    case Q35_DT_Q35_PAIR:
        return (q35i_codec){Q35I_FORM_BIAS, 128,
                            tile ? q35i_decode_pair_tile__avx512 : q35i_decode_pair_rows__avx512, NULL};
    case Q35_DT_Q35_SPLIT:
        return (q35i_codec){Q35I_FORM_MIN, 0,
                            tile ? q35i_decode_split_tile__avx512 : q35i_decode_split_rows__avx512, NULL};
    case Q35_DT_F16: return (q35i_codec){Q35I_FORM_FLOAT, 0, NULL, q35i_decode_f16__avx512};
    case Q35_DT_BF16: return (q35i_codec){Q35I_FORM_FLOAT, 0, NULL, q35i_decode_bf16__avx512};
    default: return (q35i_codec){Q35I_FORM_FLOAT, 0, NULL, q35i_decode_f32__avx512};
    }
}

static int64_t chunk_bytes_of(const q35k_weights *w)
{
    if (w->layout == Q35K_LAYOUT_TILE16)
        return q35k_tile16_head_bytes(w->dtype == Q35_DT_Q35_SPLIT) + 4 * Q35K_TILE16_SET_BYTES;
    q35_dtype_info d = q35_dtype_describe(w->dtype);
    return Q35I_CHUNK / d.block_len * d.block_bytes;
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

/* Copies what there is of a chunk that the decoders, which always read 16 rows and whole blocks of 32, must not
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
        q35i_dot_f32__avx512(wk->floats, inputs, x + 4 * k0, j->rs_x, n, wk->acc[0]);
        return;
    }
    x += k0 / Q35_ACT_BLOCK * (int64_t)sizeof(q35_act_block);
    if (j->codec.form != Q35I_FORM_FLOAT) {
        q35i_dot_a8__avx512(&j->codec, &wk->chunk, blocks, x, j->rs_x, n, wk->acc[0]);
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
        q35i_dot_f32__avx512(wk->floats, inputs, (const uint8_t *)wk->acts, sizeof wk->acts[0], m, wk->acc[t]);
    }
}

/* Decodes one chunk of a tile. at: its first byte; rows: rows that exist; ahead: next_tile. */
static void decode_chunk(const job *j, const uint8_t *at, int64_t rows, int inputs, uintptr_t ahead)
{
    work *wk = j->work;
    int blocks = (inputs + Q35_ACT_BLOCK - 1) / Q35_ACT_BLOCK, is_float = j->codec.form == Q35I_FORM_FLOAT;
    int64_t rs = j->w->rs;
    if (j->w->layout == Q35K_LAYOUT_CANONICAL && (rows < Q35I_ROWS || (is_float && inputs % Q35_ACT_BLOCK))) {
        at = stage_rows(j, at, rows, inputs);
        rs = Q35I_STAGE_STRIDE;
    }
    if (is_float) {
        j->codec.decode_float(at, rs, blocks, ahead, wk->floats);
        return;
    }
    j->codec.decode(at, rs, blocks, ahead, &wk->book, &wk->chunk);
    if (j->act_type == Q35_DT_F32)
        q35i_chunk_to_f32__avx512(&j->codec, &wk->chunk, blocks, wk->floats);
}

/* Where the next tile has the bytes to fetch while chunk c of this one is decoded: the part of it that has the
 * size and place of 16 times this chunk. 16 rows lie side by side, so this asks for them in the order of memory.
 */
static uintptr_t next_tile(const job *j, int64_t r0, int64_t c)
{
    const q35k_weights *w = j->w;
    if (r0 + 2 * Q35I_ROWS > w->n)
        return 0;
    return (uintptr_t)w->data + (uintptr_t)((r0 + Q35I_ROWS) * w->rs + c * Q35I_ROWS * j->chunk_bytes);
}

static void dot_tile(const job *j, int64_t r0, int64_t rows, int64_t t0, int64_t n)
{
    const q35k_weights *w = j->w;
    const uint8_t *at = (const uint8_t *)w->data;
    at += (w->layout == Q35K_LAYOUT_TILE16 ? r0 / Q35I_ROWS : r0) * w->rs;
    memset(j->work->acc, 0, (size_t)n * sizeof j->work->acc[0]);
    for (int64_t k0 = 0; k0 < w->k; k0 += Q35I_CHUNK, at += j->chunk_bytes) {
        int inputs = w->k - k0 < Q35I_CHUNK ? (int)(w->k - k0) : Q35I_CHUNK;
        decode_chunk(j, at, rows, inputs, next_tile(j, r0, k0 / Q35I_CHUNK));
        dot_chunk(j, k0, inputs, t0, n);
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
    job j = {w, x, act_type, rs_x, codec_of(w), chunk_bytes_of(w), wk};
    for (int64_t t0 = 0; t0 < n_tokens; t0 += Q35I_TOKENS) {
        int64_t n = n_tokens - t0 < Q35I_TOKENS ? n_tokens - t0 : Q35I_TOKENS;
        for (int64_t r0 = begin; r0 < end; r0 += Q35I_ROWS) {
            /* A packed tile always has 16 rows; of a matrix, those from `end` on belong to another worker. */
            int64_t rows = end - r0 < Q35I_ROWS ? end - r0 : Q35I_ROWS;
            dot_tile(&j, r0, rows, t0, n);
            __mmask16 keep = (__mmask16)((1u << rows) - 1u);
            for (int64_t t = 0; t < n; t++) {
                float *to = (float *)(void *)((uint8_t *)out + (t0 + t) * rs_out) + r0;
                q35i_store_rows(to, keep, _mm512_load_ps(wk->acc[t]));
            }
        }
    }
}
