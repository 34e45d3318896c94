/* SPDX-License-Identifier: Apache-2.0
 *
 * What every walk of the LINEAR of row types has: a call and its operands, the part of them in hand, results, and
 * the packing of activations that come as rows. Static only. The including file brings first
 *   - the vectors q35i_ints and q35i_floats: Q35I_ROWS lanes, one per row
 *   - the constants Q35I_ROWS, Q35I_ROW_BLOCK, PANEL_BIAS (what decode adds to a level)
 *   - the operations multiply, sort_codes, load_scales, store_rows, with the signatures used below
 * and behind it struct work and walk().
 */
#ifndef Q35I_SIMD_ROW_JOB_H
#define Q35I_SIMD_ROW_JOB_H

#include "kernels-cpu/simd/row_panel.h"

enum {
    TILES = 2, /* decoded side by side */
    SET_INPUTS = Q35K_ROW16_SET,
    SET_VECTORS = SET_INPUTS / 4 /* of a tile */
};

/* A call's scratch, at most 64 KiB. */
typedef struct work work;

/* What stays the same throughout a call. */
typedef struct job {
    const q35k_weights *w;
    const uint8_t *x; /* a panel; F32: rows */
    uint32_t act_type;
    int64_t rs_x, n_tokens;
    float *out;
    int64_t rs_out;
    work *work;
} job;

/* What stays the same for the tokens that meet some rows, or a chunk of them; a walk fills what it uses. */
typedef struct part {
    int64_t r0, n_rows; /* of all tiles */
    q35i_floats scale[TILES];
    int64_t k0, heads; /* heads: bytes of them per token */
    int sets;          /* in the chunk */
    int first, last;   /* chunk of the rows? */
    int cold;          /* may its weights be in memory only? */
} part;

/* Row t of out, at the tiles' first row. */
static inline float *out_row(const job *j, const part *p, int64_t t)
{
    return (float *)(void *)((uint8_t *)j->out + t * j->rs_out) + p->r0;
}

/* Rows [begin, end) of out for all tokens. */
static void walk(const job *j, int64_t begin, int64_t end);

/* A8_128: the results of n tokens from t on. */
Q35I_INLINE void finish_grouped(int n, int tiles, const job *j, const part *p, int64_t t,
                                q35i_floats (*acc)[TILES])
{
    for (int i = 0; i < n; i++)
        for (int u = 0; u < tiles; u++)
            store_rows(out_row(j, p, t + i) + u * Q35I_ROWS, p->n_rows - u * Q35I_ROWS,
                       multiply(p->scale[u], acc[i][u]));
}

/* Sets of 64 inputs that n inputs are, the last perhaps in part. */
static int sets_of(int64_t n)
{
    return (int)((n + SET_INPUTS - 1) / SET_INPUTS);
}

/* Scales of the rows [r0, r0 + n_rows), of which a packed tile has all. */
static q35i_floats row_scales(const q35k_weights *w, int64_t r0, int64_t n_rows)
{
    const uint8_t *data = w->data;
    if (w->layout == Q35K_LAYOUT_ROW16)
        return load_scales(data + r0 / 16 * w->rs + 4 * (r0 % 16));
    float scale[Q35I_ROWS] = {0};
    for (int64_t r = 0; r < n_rows && r < Q35I_ROWS; r++)
        memcpy(&scale[r], data + (r0 + r) * w->rs, 4);
    return load_scales(scale);
}

/* LINEAR_ROW of many tokens; x: canonical rows, which are packed into `room` (q35k_linear_scratch_bytes less what
 * the walk needs), or a panel. */
static void linear_row_many(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens,
                            const q35k_weights *w, float *out, int64_t rs_out, int64_t begin, int64_t end,
                            work *wk, uint8_t *room)
{
    enum { PACKED = 128 }; /* tokens that the scratch has room for */
    const uint32_t type = act_type & ~Q35K_PANEL;
    job j = {w, x, type, rs_x, n_tokens, out, rs_out, wk};
    if (type == Q35_DT_F32) {
        walk(&j, begin, end);
        return;
    }
    j.rs_x = (int64_t)q35_row_bytes(type, (uint64_t)w->k);
    if (act_type & Q35K_PANEL) {
        walk(&j, begin, end);
        return;
    }
    j.x = room;
    for (int64_t t = 0; t < n_tokens; t += PACKED) {
        j.n_tokens = least(n_tokens - t, PACKED);
        pack_tokens((const uint8_t *)x + t * rs_x, type, rs_x, w->k, j.n_tokens, room, 0, j.n_tokens);
        walk(&j, begin, end);
        j.out = (float *)(void *)((uint8_t *)j.out + PACKED * rs_out);
    }
}

#endif
