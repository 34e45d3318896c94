/* SPDX-License-Identifier: Apache-2.0
 *
 * The walk of the LINEAR of row types that the instruction sets share. A chunk of up to ROW_CHUNK inputs of two
 * tiles (Q35I_ROWS rows each) is decoded once into L1 and multiplied with up to ROW_TOKENS tokens, in blocks of
 * Q35I_ROW_BLOCK (or 4, 2, 1) tokens by two tiles: an activation dword serves both, and the int32 sums stay in
 * registers over the chunk, or over each of its groups of 128 inputs where these have scales. Results of the last
 * chunk are stored from registers.
 *
 * Static only. The including file brings first
 *   - the vectors q35i_ints and q35i_floats: Q35I_ROWS lanes, one per row
 *   - the constants Q35I_ROWS, Q35I_CHUNK, Q35I_ROW_BLOCK, PANEL_BIAS (what decode adds to a level)
 *   - the operations splat_int, splat_float, to_float, multiply_add, multiply, add_products, sort_codes,
 *     chunk_to_f32, dot_f32, decode, load_scales, store_rows, with the signatures used below
 *   - the type q35i_row_book
 */
#ifndef Q35I_SIMD_ROW_WALK_H
#define Q35I_SIMD_ROW_WALK_H

#include "kernels-cpu/simd/row_job.h"

enum {
    ROW_CHUNK = 768, /* inputs of both in half of the smallest L1 */
    ROW_TOKENS = 256,
    CHUNK_VECTORS = ROW_CHUNK / 4, /* of a tile */
    GROUP_VECTORS = Q35_ACT_GROUP / 4
};

/* A call's scratch. What a file needs beside it follows it. */
struct work {
    q35i_ints w[TILES][CHUNK_VECTORS];
    union {
        q35i_ints exact[ROW_TOKENS][TILES];     /* A8_ROW: sums over k so far */
        q35i_floats grouped[ROW_TOKENS][TILES]; /* A8_128 */
        struct {
            q35i_floats sum[ROW_TOKENS], w[Q35I_CHUNK];
        } decoded; /* F32, chunks of Q35I_CHUNK */
    } acc;
    q35i_row_book book;
};

_Static_assert(sizeof(work) <= 65536, "q35k_linear_scratch_bytes gives 64 KiB beside 136 bytes per input");
_Static_assert(ROW_CHUNK % Q35_ACT_GROUP == 0 && ROW_TOKENS % Q35I_ROW_BLOCK == 0, "whole groups and blocks");

/* ---- sums ---- */

#ifndef OWN_ADD_VECTORS

/* sum[t][u] += the weights of tile u, w + stride * u, times the codes q of token t; n and tiles are constants
 * where this is inlined. A file with PANEL_OF_ROWS defines OWN_ADD_VECTORS and this function. */
Q35I_INLINE void add_vectors(int n, int tiles, const q35i_ints *w, int stride, int vectors, const uint8_t *q,
                             q35i_ints (*sum)[TILES], int64_t ahead)
{
    for (int j = 0; j < vectors; j += 2, q += 8 * n) {
        __builtin_prefetch((const void *)((uintptr_t)q + (uintptr_t)ahead), 0, 3);
        add_products(n, tiles, w + j, stride, q, sum);
        add_products(n, tiles, w + j + 1, stride, q + 4 * n, sum);
    }
}

#endif

/* A8_ROW: the results of n tokens from t on. */
Q35I_INLINE void finish_exact(int n, int tiles, const job *j, const part *p, const float *scale, int64_t t,
                              q35i_ints (*sum)[TILES])
{
    const int64_t n_rows = p->n_rows, rs = j->rs_out;
    const q35i_floats row_scale[TILES] = {p->scale[0], p->scale[1]};
    uint8_t *row = (uint8_t *)out_row(j, p, t);
    for (int i = 0; i < n; i++, row += rs)
        for (int u = 0; u < tiles; u++) {
            q35i_floats y = multiply(multiply(row_scale[u], splat_float(scale[i])), to_float(sum[i][u]));
            store_rows((float *)(void *)row + u * Q35I_ROWS, n_rows - u * Q35I_ROWS, y);
        }
}

/* One scale per token: the sums go on over the chunks. */
Q35I_INLINE void exact_block(int n, int tiles, const job *j, const part *p, const uint8_t *block, int64_t t,
                             q35i_ints (*acc)[TILES])
{
    const float *scale = (const float *)(const void *)block;
    const int32_t *bias = (const int32_t *)(const void *)block + n;
    q35i_ints sum[Q35I_ROW_BLOCK][TILES];
    for (int i = 0; i < n && p->first; i++)
        acc[i][0] = acc[i][1] = splat_int(bias[i]);
    for (int i = 0; i < n; i++)
        for (int u = 0; u < tiles; u++)
            sum[i][u] = acc[i][u];
    add_vectors(n, tiles, j->work->w[0], CHUNK_VECTORS, p->sets * SET_VECTORS, block + n * (p->heads + p->k0), sum,
                n * j->rs_x);
    for (int i = 0; i < n; i++)
        for (int u = 0; u < tiles; u++)
            acc[i][u] = sum[i][u];
    if (p->last)
        finish_exact(n, tiles, j, p, scale, t, acc);
}

/* One scale per token and group. */
Q35I_INLINE void grouped_block(int n, int tiles, const job *j, const part *p, const uint8_t *block, int64_t t,
                               q35i_floats (*acc)[TILES])
{
    const uint8_t *q = block + n * (p->heads + p->k0);
    const float *scale = (const float *)(const void *)block + p->k0 / Q35_ACT_GROUP * 2 * n;
    const q35i_ints *w = j->work->w[0];
    for (int i = 0; i < n && p->first; i++)
        acc[i][0] = acc[i][1] = splat_float(0);
    for (int v = 0; v < p->sets * SET_VECTORS; v += GROUP_VECTORS, w += GROUP_VECTORS, scale += 2 * n) {
        const int32_t *bias = (const int32_t *)(const void *)(scale + n);
        q35i_ints sum[Q35I_ROW_BLOCK][TILES];
        for (int i = 0; i < n; i++)
            sum[i][0] = sum[i][1] = splat_int(bias[i]);
        add_vectors(n, tiles, w, CHUNK_VECTORS, (int)least(p->sets * SET_VECTORS - v, GROUP_VECTORS),
                    q + 4 * v * n, sum, n * j->rs_x);
        for (int i = 0; i < n; i++)
            for (int u = 0; u < tiles; u++)
                acc[i][u] = multiply_add(to_float(sum[i][u]), splat_float(scale[i]), acc[i][u]);
    }
    if (p->last)
        finish_grouped(n, tiles, j, p, t, acc);
}

Q35I_INLINE void some_tokens(int n, int tiles, int grouped, const job *j, const part *p, int64_t t, int64_t t0)
{
    const uint8_t *block = j->x + t * j->rs_x;
    if (grouped)
        grouped_block(n, tiles, j, p, block, t, j->work->acc.grouped + (t - t0));
    else
        exact_block(n, tiles, j, p, block, t, j->work->acc.exact + (t - t0));
}

/* Tokens [t0, end). */
Q35I_INLINE void all_tokens(int tiles, int grouped, const job *j, const part *p, int64_t t0, int64_t end)
{
    int64_t t = t0;
    for (; end - t >= Q35I_ROW_BLOCK; t += Q35I_ROW_BLOCK)
        some_tokens(Q35I_ROW_BLOCK, tiles, grouped, j, p, t, t0);
    if (end - t >= 4) {
        some_tokens(4, tiles, grouped, j, p, t, t0);
        t += 4;
    }
    if (end - t >= 2) {
        some_tokens(2, tiles, grouped, j, p, t, t0);
        t += 2;
    }
    if (end - t >= 1)
        some_tokens(1, tiles, grouped, j, p, t, t0);
}

static void multiply_part(int tiles, int grouped, const job *j, const part *p, int64_t t0, int64_t end)
{
    if (tiles == 2 && grouped)
        all_tokens(2, 1, j, p, t0, end);
    else if (tiles == 2)
        all_tokens(2, 0, j, p, t0, end);
    else if (grouped)
        all_tokens(1, 1, j, p, t0, end);
    else
        all_tokens(1, 0, j, p, t0, end);
}

/* ---- tiles ---- */

/* Inputs of each chunk but the last: whole groups, shared out evenly. */
static int64_t chunk_of(int64_t k)
{
    int64_t chunks = (k + ROW_CHUNK - 1) / ROW_CHUNK, groups = (k + Q35_ACT_GROUP - 1) / Q35_ACT_GROUP;
    return chunks ? (groups + chunks - 1) / chunks * Q35_ACT_GROUP : 0;
}

/* The tiles of rows [r0, r0 + n_rows), at most two, for tokens [t0, end), at most ROW_TOKENS. */
static void tiles_a8(const job *j, int64_t r0, int64_t n_rows, int64_t t0, int64_t end)
{
    work *wk = j->work;
    const int64_t chunk = chunk_of(j->w->k), k = j->w->k;
    const int tiles = n_rows > Q35I_ROWS ? 2 : 1;
    part p = {.r0 = r0, .n_rows = n_rows, .heads = 8 * groups_of(j->act_type, k), .first = 1};
    for (int u = 0; u < tiles; u++)
        p.scale[u] = row_scales(j->w, r0 + u * Q35I_ROWS, n_rows - u * Q35I_ROWS);
    do {
        p.sets = sets_of(least(k - p.k0, chunk));
        for (int u = 0; u < tiles; u++)
            decode(j->w, r0 + u * Q35I_ROWS, least(n_rows - u * Q35I_ROWS, Q35I_ROWS), p.k0, p.sets, &wk->book,
                   wk->w[u]);
        p.last = k - p.k0 <= chunk;
        multiply_part(tiles, j->act_type == Q35_DT_A8_128, j, &p, t0, end);
        p.k0 += chunk;
        p.first = 0;
    } while (!p.last);
}

/* One tile, F32 activations. */
static void tile_f32(const job *j, int64_t r0, int64_t n_rows, int64_t t0, int64_t end)
{
    work *wk = j->work;
    const part p = {.r0 = r0, .n_rows = n_rows, .scale = {row_scales(j->w, r0, n_rows)}};
    q35i_floats *sum = wk->acc.decoded.sum;
    memset(sum, 0, (size_t)(end - t0) * sizeof *sum);
    for (int64_t k0 = 0; k0 < j->w->k; k0 += Q35I_CHUNK) {
        int inputs = (int)least(j->w->k - k0, Q35I_CHUNK);
        decode(j->w, r0, n_rows, k0, sets_of(inputs), &wk->book, wk->w[0]);
        chunk_to_f32(j->w->dtype, wk->w[0], inputs, p.scale[0], wk->acc.decoded.w);
        dot_f32(wk->acc.decoded.w, inputs, j->x + t0 * j->rs_x + 4 * k0, j->rs_x, end - t0, (float *)sum);
    }
    for (int64_t t = t0; t < end; t++)
        store_rows(out_row(j, &p, t), n_rows, sum[t - t0]);
}

/* Rows [begin, end) of out for all tokens. */
static void walk(const job *j, int64_t begin, int64_t end)
{
    const int64_t step = j->act_type == Q35_DT_F32 ? Q35I_ROWS : TILES * Q35I_ROWS;
    for (int64_t t0 = 0; t0 < j->n_tokens; t0 += ROW_TOKENS) {
        const int64_t t1 = least(j->n_tokens, t0 + ROW_TOKENS);
        for (int64_t r0 = begin; r0 < end; r0 += step) {
            if (j->act_type == Q35_DT_F32)
                tile_f32(j, r0, least(end - r0, step), t0, t1);
            else
                tiles_a8(j, r0, least(end - r0, step), t0, t1);
        }
    }
}

#endif
