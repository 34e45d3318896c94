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
#define OWN_MULTIPLY_CHUNK

#include "kernels-cpu/simd/row_walk.h"

enum {
    SET_VECTORS = SET_INPUTS / 4,
    PAIR = 2 * Q35I_TILE_ROWS,                      /* tokens that are multiplied at a time */
    SUM_STRIDE = TILES * (int)sizeof(q35i_ints),    /* from token to token */
    BLOCK_BYTES = Q35I_TILE_ROWS * (int)Q35I_CHUNK, /* of packed codes */
};

/* [sets][16 tokens][64]; the codes of a token as the weights of a row come. */
static void pack_block(uint32_t dtype, int n, const uint8_t *codes, int64_t rs, int bytes, uint8_t *q)
{
    for (int i = 0; i < bytes; i += SET_INPUTS, q += Q35I_TILE_BYTES)
        for (int t = 0; t < n; t++)
            sort_codes(dtype, (const int8_t *)codes + t * rs + i,
                       (int32_t *)(void *)(q + t * Q35I_TILE_ROW_BYTES));
}

/* What the four tiles of sums, 2 i + u of token block i and weight tile u, are of. */
typedef struct shape {
    int blocks, tiles;
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

/* The products of some sets. q: the first block's codes, w: the first tile's weights. */
static inline void add_sets(shape at, const uint8_t *q, const q35i_ints *w, int sets)
{
    for (int s = 0; s < sets; s++, q += Q35I_TILE_BYTES, w += SET_VECTORS) {
        q35i_tile_load(6, w, Q35I_TILE_ROW_BYTES);
        q35i_tile_load(4, q, Q35I_TILE_ROW_BYTES);
        q35i_tile_multiply(0, 4, 6);
        if (at.tiles == 2) {
            q35i_tile_load(7, w + CHUNK_VECTORS, Q35I_TILE_ROW_BYTES);
            q35i_tile_multiply(1, 4, 7);
        }
        if (at.blocks == 2) {
            q35i_tile_load(5, q + BLOCK_BYTES, Q35I_TILE_ROW_BYTES);
            q35i_tile_multiply(2, 5, 6);
        }
        if (at.blocks == 2 && at.tiles == 2)
            q35i_tile_multiply(3, 5, 7);
    }
}

/* One scale per token: the sums go on over the chunks. */
static void add_exact(shape at, const block *b, const q35i_ints *w, q35i_ints (*acc)[TILES])
{
    load_sums(at, acc);
    add_sets(at, b->q, w, b->vectors / SET_VECTORS);
    store_sums(at, acc);
}

/* One scale per token and group; n tokens. */
static void add_grouped(shape at, const block *b, const q35i_ints *w, int n, q35i_floats (*acc)[TILES])
{
    const uint8_t *group = b->x + b->k0 / Q35_ACT_GROUP * (int64_t)sizeof(q35_act_group), *q = b->q;
    for (int j = 0; j < b->vectors; j += GROUP_VECTORS, w += GROUP_VECTORS, group += sizeof(q35_act_group)) {
        q35i_ints sum[PAIR][TILES];
        clear_sums();
        add_sets(at, q, w, (int)least(b->vectors - j, GROUP_VECTORS) / SET_VECTORS);
        store_sums(at, sum);
        q += GROUP_VECTORS * VECTOR_STRIDE(n);
        for (int t = 0; t < n; t++) {
            const q35_act_row head = head_of(group + t * b->rs_x);
            for (int u = 0; u < at.tiles; u++) {
                q35i_floats exact = to_float(add_ints(sum[t][u], splat_int(-ROW_BIAS * head.sum)));
                acc[t][u] = multiply_add(exact, splat_float(head.scale), acc[t][u]);
            }
        }
    }
}

static void multiply_chunk(int tiles, int grouped, block b, work *wk, int64_t n)
{
    for (int64_t t = 0; t < n; t += PAIR, b.q += 2 * BLOCK_BYTES, b.x += PAIR * b.rs_x) {
        const shape at = {n - t > Q35I_TILE_ROWS ? 2 : 1, tiles};
        if (grouped)
            add_grouped(at, &b, wk->w[0], (int)least(n - t, PAIR), wk->acc.grouped + t);
        else
            add_exact(at, &b, wk->w[0], wk->acc.exact + t);
    }
}

void q35k_linear_row__amx(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens, const q35k_weights *w,
                          float *out, int64_t rs_out, int64_t begin, int64_t end, void *scratch)
{
    if (n_tokens < LEAST_TOKENS || act_type == Q35_DT_F32 || begin >= end) {
        q35k_linear_row__avx512(x, act_type, rs_x, n_tokens, w, out, rs_out, begin, end, scratch);
        return;
    }
    work *wk = scratch;
    load_book(w, &wk->book);
    const job j = {w, x, act_type, rs_x, out, rs_out, wk};
    const q35i_tile_config config = q35i_whole_tiles();
    q35i_tile_configure(&config);
    walk(&j, n_tokens, begin, end);
    q35i_tile_release();
}
