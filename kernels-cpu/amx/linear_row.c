/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR of row types with AMX-INT8, for many tokens: q35k_linear_row__avx512 with the products of a chunk on
 * tiles. A set of 64 inputs of 16 decoded rows is a tile as it is, the same set of 16 tokens another; two by two
 * of them take four tiles of sums. The sums are exact, so the bits are those of the other kernels. Never run
 * or timed on a processor that has AMX: kernelcheck verifies this source on emulated tiles.
 */
#include "kernels-cpu/avx512/linear_row.h"
#include "kernels-cpu/amx/tile_ops.h"
#include "kernels-cpu/kernels_decl.h"

enum { Q35I_ROW_BLOCK = Q35I_TILE_ROWS, LEAST_TOKENS = 16 };
#define PANEL_OF_ROWS
#define OWN_ADD_VECTORS
#define OWN_MULTIPLY

#include "kernels-cpu/simd/row_walk.h"

enum {
    SET_VECTORS = SET_INPUTS / 4,
    PAIR = 2 * Q35I_TILE_ROWS,                  /* tokens that are multiplied at a time */
    SUM_STRIDE = TILES * (int)sizeof(q35i_ints) /* from token to token */
};

/* What the four tiles of sums, 2 i + u of token block i and weight tile u, are of; tokens: of each block. */
typedef struct shape {
    int blocks, tokens, tiles;
} shape;

static inline void clear_sums(void)
{
    q35i_tile_zero(0);
    q35i_tile_zero(1);
    q35i_tile_zero(2);
    q35i_tile_zero(3);
}

static inline void load_sums(shape at, q35i_ints (*sum)[TILES])
{
    q35i_tile_load(0, sum[0], SUM_STRIDE);
    if (at.tiles == 2)
        q35i_tile_load(1, sum[0] + 1, SUM_STRIDE);
    if (at.blocks == 2)
        q35i_tile_load(2, sum[Q35I_TILE_ROWS], SUM_STRIDE);
    if (at.blocks == 2 && at.tiles == 2)
        q35i_tile_load(3, sum[Q35I_TILE_ROWS] + 1, SUM_STRIDE);
}

static inline void store_sums(shape at, q35i_ints (*sum)[TILES])
{
    q35i_tile_store(0, sum[0], SUM_STRIDE);
    if (at.tiles == 2)
        q35i_tile_store(1, sum[0] + 1, SUM_STRIDE);
    if (at.blocks == 2)
        q35i_tile_store(2, sum[Q35I_TILE_ROWS], SUM_STRIDE);
    if (at.blocks == 2 && at.tiles == 2)
        q35i_tile_store(3, sum[Q35I_TILE_ROWS] + 1, SUM_STRIDE);
}

/* The products of some sets. q: the first block's codes, w: the first tile's weights; stride: from block to block.
 */
static inline void add_sets(shape at, const uint8_t *q, int64_t stride, const q35i_ints *w, int sets)
{
    for (int s = 0; s < sets; s++, q += at.tokens * Q35I_TILE_ROW_BYTES, w += SET_VECTORS) {
        q35i_tile_load(6, w, Q35I_TILE_ROW_BYTES);
        q35i_tile_load(4, q, Q35I_TILE_ROW_BYTES);
        q35i_tile_multiply(0, 4, 6);
        if (at.tiles == 2) {
            q35i_tile_load(7, w + CHUNK_VECTORS, Q35I_TILE_ROW_BYTES);
            q35i_tile_multiply(1, 4, 7);
        }
        if (at.blocks == 2) {
            q35i_tile_load(5, q + stride, Q35I_TILE_ROW_BYTES);
            q35i_tile_multiply(2, 5, 6);
        }
        if (at.blocks == 2 && at.tiles == 2)
            q35i_tile_multiply(3, 5, 7);
    }
}

/* One scale per token: the sums go on over the chunks. */
static void add_exact(shape at, const job *j, const part *p, int64_t t, q35i_ints (*acc)[TILES])
{
    const uint8_t *block = j->x + t * j->rs_x;
    const int64_t stride = at.tokens * j->rs_x;
    for (int i = 0; i < at.blocks && p->first; i++) {
        const int32_t *bias = (const int32_t *)(const void *)(block + i * stride) + at.tokens;
        for (int n = 0; n < at.tokens; n++)
            acc[i * Q35I_TILE_ROWS + n][0] = acc[i * Q35I_TILE_ROWS + n][1] = splat_int(bias[n]);
    }
    load_sums(at, acc);
    add_sets(at, block + at.tokens * (p->heads + p->k0), stride, j->work->w[0], p->vectors / SET_VECTORS);
    store_sums(at, acc);
    for (int i = 0; i < at.blocks && p->last; i++) {
        const float *scale = (const float *)(const void *)(block + i * stride);
        finish_exact(at.tokens, at.tiles, j, p, scale, t + i * Q35I_TILE_ROWS, acc + i * Q35I_TILE_ROWS);
    }
}

/* A group's sums of a block, with its heads. */
static void take_group(shape at, const float *scale, q35i_ints (*sum)[TILES], q35i_floats (*acc)[TILES])
{
    const int32_t *bias = (const int32_t *)(const void *)(scale + at.tokens);
    for (int n = 0; n < at.tokens; n++)
        for (int u = 0; u < at.tiles; u++) {
            q35i_floats exact = to_float(add_ints(sum[n][u], splat_int(bias[n])));
            acc[n][u] = multiply_add(exact, splat_float(scale[n]), acc[n][u]);
        }
}

/* One scale per token and group. */
static void add_grouped(shape at, const job *j, const part *p, int64_t t, q35i_floats (*acc)[TILES])
{
    const uint8_t *block = j->x + t * j->rs_x;
    const int64_t stride = at.tokens * j->rs_x;
    for (int n = 0; n < PAIR && p->first; n++)
        acc[n][0] = acc[n][1] = splat_float(0);
    for (int v = 0; v < p->vectors; v += GROUP_VECTORS) {
        q35i_ints sum[PAIR][TILES];
        const uint8_t *head = block + (p->k0 + 4 * v) / Q35_ACT_GROUP * 8 * at.tokens;
        clear_sums();
        add_sets(at, block + at.tokens * (p->heads + p->k0 + 4 * v), stride, j->work->w[0] + v,
                 (int)least(p->vectors - v, GROUP_VECTORS) / SET_VECTORS);
        store_sums(at, sum);
        for (int i = 0; i < at.blocks; i++)
            take_group(at, (const float *)(const void *)(head + i * stride), sum + i * Q35I_TILE_ROWS,
                       acc + i * Q35I_TILE_ROWS);
    }
    for (int i = 0; i < at.blocks && p->last; i++)
        finish_grouped(at.tokens, at.tiles, j, p, t + i * Q35I_TILE_ROWS, acc + i * Q35I_TILE_ROWS);
}

static void add_blocks(shape at, int grouped, const job *j, const part *p, int64_t t, int64_t t0)
{
    if (grouped)
        add_grouped(at, j, p, t, j->work->acc.grouped + (t - t0));
    else
        add_exact(at, j, p, t, j->work->acc.exact + (t - t0));
}

/* Tiles for blocks of so many tokens. */
static void configure(int tokens)
{
    q35i_tile_config config = q35i_whole_tiles();
    for (int t = 0; t < 6; t++) /* sums and codes */
        config.rows[t] = (uint8_t)tokens;
    q35i_tile_configure(&config);
}

static void multiply_part(int tiles, int grouped, const job *j, const part *p, int64_t t0, int64_t end)
{
    int64_t t = t0;
    for (; end - t >= PAIR; t += PAIR)
        add_blocks((shape){2, Q35I_TILE_ROWS, tiles}, grouped, j, p, t, t0);
    for (; end - t >= Q35I_TILE_ROWS; t += Q35I_TILE_ROWS)
        add_blocks((shape){1, Q35I_TILE_ROWS, tiles}, grouped, j, p, t, t0);
    if (t == end)
        return;
    configure((int)(end - t));
    add_blocks((shape){1, (int)(end - t), tiles}, grouped, j, p, t, t0);
    configure(Q35I_TILE_ROWS);
}

void q35k_pack_act__amx(const void *x, uint32_t act_type, int64_t rs_x, int64_t k, int64_t n_tokens, void *panel,
                        int64_t begin, int64_t end)
{
    pack_tokens(x, act_type, rs_x, k, n_tokens, panel, begin, end);
}

void q35k_linear_row__amx(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens, const q35k_weights *w,
                          float *out, int64_t rs_out, int64_t begin, int64_t end, void *scratch)
{
    if ((n_tokens < LEAST_TOKENS && !(act_type & Q35K_PANEL)) || act_type == Q35_DT_F32) {
        q35k_linear_row__avx512(x, act_type, rs_x, n_tokens, w, out, rs_out, begin, end, scratch);
        return;
    }
    if (n_tokens <= 0 || begin >= end)
        return;
    work *wk = scratch;
    load_book(w, &wk->book);
    configure(Q35I_TILE_ROWS);
    linear_row_many(x, act_type, rs_x, n_tokens, w, out, rs_out, begin, end, wk);
    q35i_tile_release();
}
