/* SPDX-License-Identifier: Apache-2.0
 *
 * The walk of LINEAR that the instruction sets share: tokens in groups, tiles of Q35I_ROWS weight rows, chunks of
 * 256 inputs. A tile's chunk is decoded once into L1 for up to Q35I_TOKENS tokens, so each (token, row) sees the
 * same operations in the same order whatever the number of tokens. Static only; the including file brings first
 *   q35i_vector, q35i_chunk, q35i_book, q35i_codec (with .form) and the constants of its tile header, and
 *   decode, decode_float, dot_a8, dot_f32, chunk_to_f32, store_rows   with the signatures used below.
 */
#ifndef Q35I_SIMD_LINEAR_WALK_H
#define Q35I_SIMD_LINEAR_WALK_H

/* A call's scratch. What a file needs beside it follows it. */
typedef struct work {
    q35i_chunk chunk;
    q35i_vector floats[Q35I_CHUNK];               /* weights of a chunk */
    float acts[8][Q35I_CHUNK];                    /* dequantised activations of 8 tokens */
    float acc[Q35I_TOKENS][Q35I_ROWS];            /* sums */
    uint8_t stage[Q35I_ROWS * Q35I_STAGE_STRIDE]; /* rows of a partial tile */
    q35i_book book;
} work;

_Static_assert(sizeof(work) <= 65536, "q35k_linear_scratch_bytes gives 64 KiB beside 128 bytes per input");

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

static int64_t chunk_bytes_of(const q35k_weights *w)
{
    if (w->layout == Q35K_LAYOUT_TILE16)
        return q35k_tile16_head_bytes(w->dtype == Q35_DT_Q35_SPLIT) + 4 * Q35K_TILE16_SET_BYTES;
    q35_dtype_info d = q35_dtype_describe(w->dtype);
    return Q35I_CHUNK / d.block_len * d.block_bytes;
}

/* Copies what there is of a chunk that the decoders, which always read whole tiles and whole blocks of 32, must
 * not read in place. Missing rows and inputs are 0. */
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

/* Float weights with quantised activations: these become floats, 8 tokens at a time. */
static void dot_float_weights(const job *j, int inputs, int blocks, const uint8_t *x, int64_t n)
{
    work *wk = j->work;
    for (int64_t t = 0; t < n; t += 8) {
        int64_t m = n - t < 8 ? n - t : 8;
        for (int64_t i = 0; i < m; i++)
            for (int b = 0; b < blocks; b++) {
                const q35_act_block *act = (const q35_act_block *)(const void *)(x + (t + i) * j->rs_x) + b;
                for (int e = 0; e < Q35_ACT_BLOCK; e++)
                    wk->acts[i][Q35_ACT_BLOCK * b + e] = act->scale * (float)act->q[e];
            }
        dot_f32(wk->floats, inputs, (const uint8_t *)wk->acts, sizeof wk->acts[0], m, wk->acc[t]);
    }
}

/* Sums of one chunk (inputs k0 .. k0 + inputs - 1) for tokens [t0, t0 + n). */
static void dot_chunk(const job *j, int64_t k0, int inputs, int64_t t0, int64_t n)
{
    work *wk = j->work;
    int blocks = (inputs + Q35_ACT_BLOCK - 1) / Q35_ACT_BLOCK;
    const uint8_t *x = j->x + t0 * j->rs_x;
    if (j->act_type == Q35_DT_F32) {
        dot_f32(wk->floats, inputs, x + 4 * k0, j->rs_x, n, wk->acc[0]);
        return;
    }
    x += k0 / Q35_ACT_BLOCK * (int64_t)sizeof(q35_act_block);
    if (j->codec.form == Q35I_FORM_FLOAT)
        dot_float_weights(j, inputs, blocks, x, n);
    else
        dot_a8(&j->codec, &wk->chunk, blocks, x, j->rs_x, n, wk->acc[0]);
}

/* Decodes one chunk of a tile. at: its first byte; r0: first row; rows: rows that exist; ahead: next_tile. */
static void decode_chunk(const job *j, const uint8_t *at, int64_t r0, int64_t rows, int inputs, uintptr_t ahead)
{
    work *wk = j->work;
    int blocks = (inputs + Q35_ACT_BLOCK - 1) / Q35_ACT_BLOCK, is_float = j->codec.form == Q35I_FORM_FLOAT;
    int64_t rs = j->w->rs;
    if (j->w->layout == Q35K_LAYOUT_TILE16) {
        rs = r0 % 16 / Q35I_ROWS; /* which part of the 16 rows */
    } else if (rows < Q35I_ROWS || (is_float && inputs % Q35_ACT_BLOCK)) {
        at = stage_rows(j, at, rows, inputs);
        rs = Q35I_STAGE_STRIDE;
    }
    if (is_float) {
        decode_float(&j->codec, at, rs, blocks, ahead, wk->floats);
        return;
    }
    decode(&j->codec, at, rs, blocks, ahead, &wk->book, &wk->chunk);
    if (j->act_type == Q35_DT_F32)
        chunk_to_f32(&j->codec, &wk->chunk, blocks, wk->floats);
}

/* Where the next tile has the bytes to fetch while chunk c of this one is decoded: the part of it that has the
 * size and place of Q35I_ROWS times this chunk. Its rows lie side by side, so this asks for them in the order of
 * memory. */
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
    at += (w->layout == Q35K_LAYOUT_TILE16 ? r0 / 16 : r0) * w->rs;
    memset(j->work->acc, 0, (size_t)n * sizeof j->work->acc[0]);
    for (int64_t k0 = 0; k0 < w->k; k0 += Q35I_CHUNK, at += j->chunk_bytes) {
        int inputs = w->k - k0 < Q35I_CHUNK ? (int)(w->k - k0) : Q35I_CHUNK;
        decode_chunk(j, at, r0, rows, inputs, next_tile(j, r0, k0 / Q35I_CHUNK));
        dot_chunk(j, k0, inputs, t0, n);
    }
}

/* Rows [begin, end) of out for all tokens. A packed tile always has 16 rows; of a matrix, those from `end` on
 * belong to another worker. */
static void walk(const job *j, int64_t n_tokens, float *out, int64_t rs_out, int64_t begin, int64_t end)
{
    for (int64_t t0 = 0; t0 < n_tokens; t0 += Q35I_TOKENS) {
        int64_t n = n_tokens - t0 < Q35I_TOKENS ? n_tokens - t0 : Q35I_TOKENS;
        for (int64_t r0 = begin; r0 < end; r0 += Q35I_ROWS) {
            int64_t rows = end - r0 < Q35I_ROWS ? end - r0 : Q35I_ROWS;
            dot_tile(j, r0, rows, t0, n);
            for (int64_t t = 0; t < n; t++)
                store_rows((float *)(void *)((uint8_t *)out + (t0 + t) * rs_out) + r0, rows, j->work->acc[t]);
        }
    }
}

#endif
