/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR with AMX-INT8 where its tiles fit: several tokens times canonical Q8_0, the output head of most files. A
 * block of 32 codes of 16 rows is a tile as it lies in memory, 32 activations of 16 tokens, four inputs side by
 * side, are another. Their products are the sums of one block, rows by tokens, which are scaled and added up in
 * registers, in the order of q35k_linear__ref. All else goes to q35k_linear__avx512.
 */
#include "kernels-cpu/amx/tile_ops.h"
#include "kernels-cpu/avx512/tile.h"
#include "kernels-cpu/kernels_decl.h"

enum {
    BLOCK_BYTES = 34,
    LEAST_TOKENS = 12,
    GROUP = Q35I_TILE_ROWS, /* tokens of a tile */
    STEP = 4,               /* blocks, each with a tile of its own, whose products wait for one another nowhere */
    MOST_TOKENS = 48,       /* that the scratch has room for at a time */
};

/* A block's activations of up to GROUP tokens. */
typedef struct packed {
    int32_t codes[Q35_ACT_BLOCK / 4][GROUP]; /* of four inputs each */
    float scale[GROUP];
} packed;

/* A call's scratch; behind it [groups][blocks] of packed, then [blocks] of scales. */
typedef struct work {
    int32_t sum[2][STEP][Q35I_ROWS][GROUP];
} work;

_Static_assert((MOST_TOKENS / GROUP * sizeof(packed) + 16 * sizeof(float)) / Q35_ACT_BLOCK <= 136,
               "q35k_linear_scratch_bytes gives 136 bytes per input beside 64 KiB");

/* What stays the same while 16 rows meet a group of tokens. */
typedef struct job {
    const uint8_t *rows; /* of the weights, rs bytes apart */
    int64_t rs, blocks, n_rows;
    const packed *x;
    float (*scale)[Q35I_ROWS]; /* [blocks], of the weights */
    work *work;
} job;

static void pack_group(const uint8_t *x, int64_t rs_x, int64_t blocks, int n, packed *out)
{
    for (int64_t b = 0; b < blocks; b++) {
        memset(&out[b], 0, sizeof out[b]);
        for (int t = 0; t < n; t++) {
            const q35_act_block *act = (const q35_act_block *)(const void *)(x + t * rs_x) + b;
            for (int i = 0; i < Q35_ACT_BLOCK / 4; i++)
                memcpy(&out[b].codes[i][t], act->q + 4 * i, 4);
            out[b].scale[t] = act->scale;
        }
    }
}

/* Tiles 0 to 3: sums [n_rows][GROUP], 4 and 5: codes of the weights [n_rows][32 bytes], 6 and 7: packed codes. */
static void configure(int64_t n_rows)
{
    q35i_tile_config config = q35i_whole_tiles();
    for (int t = 0; t < 6; t++)
        config.rows[t] = (uint8_t)n_rows;
    config.row_bytes[4] = config.row_bytes[5] = Q35_ACT_BLOCK;
    config.rows[6] = config.rows[7] = Q35_ACT_BLOCK / 4;
    q35i_tile_configure(&config);
}

/* As many bytes of the next 16 rows as a block of these has; they lie side by side. */
Q35I_INLINE void prefetch_next(const job *j, int64_t b)
{
    q35i_prefetch((uintptr_t)j->rows + (uintptr_t)(Q35I_ROWS * (j->rs + b * BLOCK_BYTES)),
                  Q35I_ROWS * BLOCK_BYTES);
}

/* The f16 at p of each of the 16 rows. */
Q35I_INLINE __m256i halves_of(const uint8_t *p, const int64_t offset[Q35I_ROWS])
{
    uint16_t half[Q35I_ROWS];
#pragma GCC unroll 16
    for (int r = 0; r < Q35I_ROWS; r++)
        memcpy(&half[r], p + offset[r], 2);
    return _mm256_setr_epi16((short)half[0], (short)half[1], (short)half[2], (short)half[3], (short)half[4],
                             (short)half[5], (short)half[6], (short)half[7], (short)half[8], (short)half[9],
                             (short)half[10], (short)half[11], (short)half[12], (short)half[13], (short)half[14],
                             (short)half[15]);
}

/* Scales of all blocks of the rows; for those that are not there stands the last one. */
static void load_scales(const job *j)
{
    int64_t offset[Q35I_ROWS];
    for (int64_t r = 0; r < Q35I_ROWS; r++)
        offset[r] = j->rs * (r < j->n_rows ? r : j->n_rows - 1);
    for (int64_t b = 0; b < j->blocks; b++)
        _mm512_storeu_ps(j->scale[b], _mm512_cvtph_ps(halves_of(j->rows + b * BLOCK_BYTES, offset)));
}

/* The sums of block b, or of the last one, in tile c; w_, x_: tiles to use. */
#define MULTIPLY(c, w_, x_, b)                                                                                    \
    do {                                                                                                          \
        const int64_t at = (b) < j->blocks ? (b) : j->blocks - 1;                                                 \
        q35i_tile_zero(c);                                                                                        \
        q35i_tile_load(w_, j->rows + at * BLOCK_BYTES + 2, j->rs);                                                \
        q35i_tile_load(x_, j->x[at].codes, Q35I_TILE_ROW_BYTES);                                                  \
        q35i_tile_multiply_signed(c, w_, x_);                                                                     \
    } while (0)

/* Blocks b .. b + STEP - 1 into half h of the work. */
Q35I_INLINE void multiply_step(const job *j, int64_t b, int h)
{
    MULTIPLY(0, 4, 6, b);
    MULTIPLY(1, 5, 7, b + 1);
    MULTIPLY(2, 4, 6, b + 2);
    MULTIPLY(3, 5, 7, b + 3);
    q35i_tile_store(0, j->work->sum[h][0], Q35I_TILE_ROW_BYTES);
    q35i_tile_store(1, j->work->sum[h][1], Q35I_TILE_ROW_BYTES);
    q35i_tile_store(2, j->work->sum[h][2], Q35I_TILE_ROW_BYTES);
    q35i_tile_store(3, j->work->sum[h][3], Q35I_TILE_ROW_BYTES);
}

/* acc[r] += float(sum) * activation scale * weight scale, the last product and the sum fused; lanes are tokens. */
Q35I_INLINE void add_block(const job *j, int64_t b, int32_t (*sum)[GROUP], __m512 acc[Q35I_ROWS])
{
    const __m512 scale = _mm512_loadu_ps(j->x[b].scale);
#pragma GCC unroll 16
    for (int r = 0; r < Q35I_ROWS; r++) {
        __m512 exact = _mm512_cvtepi32_ps(_mm512_loadu_si512((const void *)sum[r]));
        acc[r] = _mm512_fmadd_ps(_mm512_mul_ps(exact, scale), _mm512_set1_ps(j->scale[b][r]), acc[r]);
    }
}

/* out[t][r] = result[r][t] for n tokens. */
static void store_group(float (*result)[GROUP], int64_t n_rows, int n, float *out, int64_t rs_out)
{
    const __mmask16 rows = (__mmask16)((1u << n_rows) - 1u);
    const __m512i row = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i at = _mm512_mullo_epi32(row, _mm512_set1_epi32(GROUP));
    for (int t = 0; t < n; t++)
        q35i_store_rows((float *)(void *)((uint8_t *)out + t * rs_out), rows,
                        _mm512_i32gather_ps(at, &result[0][t], 4));
}

/* 16 rows for n tokens of a group. first: the first one of the call. */
static void multiply_rows(const job *j, int n, int first, float *out, int64_t rs_out)
{
    __m512 acc[Q35I_ROWS];
#pragma GCC unroll 16
    for (int r = 0; r < Q35I_ROWS; r++)
        acc[r] = _mm512_setzero_ps();
    if (j->blocks > 0)
        multiply_step(j, 0, 0);
    for (int64_t b = 0, h = 0; b < j->blocks; b += STEP, h = !h) {
        if (b + STEP < j->blocks)
            multiply_step(j, b + STEP, !h);
        for (int64_t i = 0; i < STEP && b + i < j->blocks; i++) {
            if (first)
                prefetch_next(j, b + i);
            add_block(j, b + i, j->work->sum[h][i], acc);
        }
    }
    float result[Q35I_ROWS][GROUP];
#pragma GCC unroll 16
    for (int r = 0; r < Q35I_ROWS; r++)
        _mm512_storeu_ps(result[r], acc[r]);
    store_group(result, j->n_rows, n, out, rs_out);
}

/* Up to MOST_TOKENS tokens. */
static void multiply_tokens(const uint8_t *x, int64_t rs_x, int64_t n_tokens, const q35k_weights *w, float *out,
                            int64_t rs_out, int64_t begin, int64_t end, work *wk)
{
    const int64_t blocks = w->k / Q35_ACT_BLOCK, groups = (n_tokens + GROUP - 1) / GROUP;
    packed *acts = (packed *)(wk + 1);
    job j = {.rs = w->rs, .blocks = blocks, .scale = (float(*)[Q35I_ROWS])(acts + groups * blocks), .work = wk};
    for (int64_t g = 0; g < groups; g++) {
        const int64_t left = n_tokens - g * GROUP;
        pack_group(x + g * GROUP * rs_x, rs_x, blocks, left < GROUP ? (int)left : GROUP, acts + g * blocks);
    }
    for (int64_t r = begin; r < end; r += Q35I_ROWS) {
        const int64_t rows = end - r < Q35I_ROWS ? end - r : Q35I_ROWS;
        if (rows != j.n_rows)
            configure(rows);
        j.n_rows = rows;
        j.rows = (const uint8_t *)w->data + r * w->rs;
        load_scales(&j);
        for (int64_t g = 0; g < groups; g++) {
            const int64_t left = n_tokens - g * GROUP;
            j.x = acts + g * blocks;
            multiply_rows(&j, left < GROUP ? (int)left : GROUP, g == 0,
                          (float *)(void *)((uint8_t *)out + g * GROUP * rs_out) + r, rs_out);
        }
    }
}

void q35k_linear__amx(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens, const q35k_weights *w,
                      float *out, int64_t rs_out, int64_t begin, int64_t end, void *scratch)
{
    if (n_tokens < LEAST_TOKENS || act_type != Q35_DT_A8_32 || w->dtype != Q35_DT_Q8_0) {
        q35k_linear__avx512(x, act_type, rs_x, n_tokens, w, out, rs_out, begin, end, scratch);
        return;
    }
    for (int64_t t = 0; t < n_tokens && begin < end; t += MOST_TOKENS)
        multiply_tokens((const uint8_t *)x + t * rs_x, rs_x,
                        n_tokens - t < MOST_TOKENS ? n_tokens - t : MOST_TOKENS, w,
                        (float *)(void *)((uint8_t *)out + t * rs_out), rs_out, begin, end, scratch);
    q35i_tile_release();
}
