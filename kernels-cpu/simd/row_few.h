/* SPDX-License-Identifier: Apache-2.0
 *
 * The walk of one to four, or eight, tokens times 16-row tiles of a row type that the instruction sets share: the
 * path of token generation, built to wait only for memory. Codes stay in registers: one lookup per component, then
 * products with four even, or four odd, activations, which are sorted so once per call. The sums are exact, so the
 * bits are those of the path for many tokens. A tile is one stream without scales in it.
 *
 * Static only; the including file brings first what simd/row_walk.h asks for, and
 *   PARTS       vectors that the 16 rows of a tile take
 *   CHAINS      sums per token and vector: one alone waits for itself
 *   Q35I_ROW_FEW  most tokens, 4, or 8 and FEW_UP_TO_8 defined
 *   add_ints    of two vectors
 *   add_set     (dtype, n, set, book, a, sum): the products of one set, its activations at a [n][16]
 */
#ifndef Q35I_SIMD_ROW_FEW_H
#define Q35I_SIMD_ROW_FEW_H

/* The tokens of a call. Group g of a token: 128 inputs, or, with one scale per token, all of them. */
typedef struct prepared {
    int64_t sets, groups;
    const int32_t *q;    /* [sets][tokens][16]: words as a set's weights come */
    const float *scale;  /* [groups][tokens] */
    const int32_t *bias; /* [groups][tokens]: -ROW_BIAS * sum */
} prepared;

static prepared prepare(const uint8_t *x, uint32_t act_type, int64_t rs_x, int n, const q35k_weights *w,
                        void *prep)
{
    int64_t sets = (w->k + Q35K_ROW16_SET - 1) / Q35K_ROW16_SET;
    int64_t groups = act_type == Q35_DT_A8_ROW ? 1 : (sets + 1) / 2;
    int32_t *q = prep, *bias = q + 16 * sets * n;
    float *scale = (float *)(bias + groups * n);
    for (int t = 0; t < n; t++, x += rs_x) {
        for (int64_t s = 0; s < sets; s++)
            sort_codes(w->dtype, codes_of(x, act_type, s), q + 16 * (s * n + t));
        for (int64_t g = 0; g < groups; g++) {
            q35_act_row head;
            memcpy(&head, x + g * (int64_t)sizeof(q35_act_group), sizeof head);
            scale[g * n + t] = head.scale;
            bias[g * n + t] = -ROW_BIAS * head.sum;
        }
    }
    return (prepared){sets, groups, q, scale, bias};
}

Q35I_INLINE q35i_ints total(const q35i_ints sum[CHAINS])
{
    q35i_ints all = sum[0];
    for (int c = 1; c < CHAINS; c++)
        all = add_ints(all, sum[c]);
    return all;
}

Q35I_INLINE void start(int n, const prepared *p, int64_t g, q35i_ints sum[Q35I_ROW_FEW][PARTS][CHAINS])
{
    for (int t = 0; t < n; t++)
        for (int u = 0; u < PARTS; u++) {
            sum[t][u][0] = splat_int(p->bias[g * n + t]);
            for (int c = 1; c < CHAINS; c++)
                sum[t][u][c] = splat_int(0);
        }
}

/* Part u's results of group g: of A8_ROW the end, of A8_128 with those before it. */
Q35I_INLINE void finish(int n, int grouped, const prepared *p, int64_t g, const uint8_t *tile,
                        q35i_ints sum[Q35I_ROW_FEW][PARTS][CHAINS], q35i_floats y[Q35I_ROW_FEW][PARTS])
{
    for (int t = 0; t < n; t++)
        for (int u = 0; u < PARTS; u++) {
            q35i_floats scale = splat_float(p->scale[g * n + t]), isum = to_float(total(sum[t][u]));
            q35i_floats row = load_scales(tile + 4 * Q35I_ROWS * u);
            y[t][u] = grouped ? multiply_add(isum, scale, y[t][u]) : multiply(multiply(row, scale), isum);
        }
}

/* All of K for one tile: out of A8_ROW, or of A8_128 where grouped, in y. */
Q35I_INLINE void tile_sums(uint32_t dtype, int n, int grouped, const prepared *p, const uint8_t *tile,
                           const q35i_row_book *book, q35i_floats y[Q35I_ROW_FEW][PARTS])
{
    const uint8_t *set = tile + Q35K_ROW16_HEAD_BYTES;
    const int32_t *a = p->q;
    const int64_t sets_per_group = grouped ? 2 : p->sets;
    q35i_ints sum[Q35I_ROW_FEW][PARTS][CHAINS];
    int64_t s = 0;
    for (int64_t g = 0; g < p->groups; g++) {
        start(n, p, g, sum);
        for (int64_t i = 0; i < sets_per_group && s < p->sets;
             i++, s++, set += q35k_row16_set_bytes(dtype), a += 16 * n)
            add_set(dtype, n, set, book, a, sum);
        finish(n, grouped, p, g, tile, sum, y);
    }
    for (int t = 0; t < n && grouped; t++)
        for (int u = 0; u < PARTS; u++)
            y[t][u] = multiply(load_scales(tile + 4 * Q35I_ROWS * u), y[t][u]);
}

/* Rows [begin, end) of a call: dtype, n and grouped are constants where this is inlined. */
Q35I_INLINE void few_tiles(uint32_t dtype, int n, int grouped, const prepared *p, const q35k_weights *w,
                           const q35i_row_book *points, float *out, int64_t rs_out, int64_t begin, int64_t end)
{
    const uint8_t *tile = (const uint8_t *)w->data + begin / 16 * w->rs;
    const q35i_row_book book = *points;
    for (int64_t r = begin; r < end; r += 16, tile += w->rs) {
        q35i_floats y[Q35I_ROW_FEW][PARTS] = {{splat_float(0)}};
        tile_sums(dtype, n, grouped, p, tile, &book, y);
        for (int t = 0; t < n; t++)
            for (int u = 0; u < PARTS && r + Q35I_ROWS * u < end; u++)
                store_rows((float *)(void *)((uint8_t *)out + t * rs_out) + r + Q35I_ROWS * u,
                           end - r - Q35I_ROWS * u, y[t][u]);
    }
}

Q35I_INLINE void by_tokens(uint32_t dtype, int n, int grouped, const prepared *p, const q35k_weights *w,
                           const q35i_row_book *book, float *out, int64_t rs_out, int64_t begin, int64_t end)
{
    switch (n) {
    case 1: few_tiles(dtype, 1, grouped, p, w, book, out, rs_out, begin, end); return;
    case 2: few_tiles(dtype, 2, grouped, p, w, book, out, rs_out, begin, end); return;
    case 3: few_tiles(dtype, 3, grouped, p, w, book, out, rs_out, begin, end); return;
    case 4: few_tiles(dtype, 4, grouped, p, w, book, out, rs_out, begin, end); return;
#ifdef FEW_UP_TO_8
    case 5: few_tiles(dtype, 5, grouped, p, w, book, out, rs_out, begin, end); return;
    case 6: few_tiles(dtype, 6, grouped, p, w, book, out, rs_out, begin, end); return;
    case 7: few_tiles(dtype, 7, grouped, p, w, book, out, rs_out, begin, end); return;
    case 8: few_tiles(dtype, 8, grouped, p, w, book, out, rs_out, begin, end); return;
#endif
    default: return;
    }
}

Q35I_INLINE void by_scales(uint32_t dtype, int n, const prepared *p, uint32_t act_type, const q35k_weights *w,
                           const q35i_row_book *book, float *out, int64_t rs_out, int64_t begin, int64_t end)
{
    if (act_type == Q35_DT_A8_128)
        by_tokens(dtype, n, 1, p, w, book, out, rs_out, begin, end);
    else
        by_tokens(dtype, n, 0, p, w, book, out, rs_out, begin, end);
}

/* n (1..Q35I_ROW_FEW) tokens of act_type A8_ROW or A8_128 against ROW16, rows [begin, end) of out, all of K. prep:
 * q35k_linear_scratch_bytes less 64 KiB. */
static void few_tokens(const uint8_t *x, uint32_t act_type, int64_t rs_x, int n, const q35k_weights *w,
                       const q35i_row_book *book, float *out, int64_t rs_out, int64_t begin, int64_t end,
                       void *prep)
{
    prepared p = prepare(x, act_type, rs_x, n, w, prep);
    switch (w->dtype) {
    case Q35_DT_Q35_ROW: by_scales(Q35_DT_Q35_ROW, n, &p, act_type, w, book, out, rs_out, begin, end); return;
    case Q35_DT_Q40_ROW: by_scales(Q35_DT_Q40_ROW, n, &p, act_type, w, book, out, rs_out, begin, end); return;
    default: by_scales(Q35_DT_Q60_ROW, n, &p, act_type, w, book, out, rs_out, begin, end); return;
    }
}

#endif
