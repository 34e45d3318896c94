/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR of row types with AMX-INT8, for many tokens. A set of 64 inputs of 16 decoded rows is a tile as it is,
 * the same set of 16 tokens another; two by two of them take four tiles of sums, over all of K: a strip of 32 rows
 * meets 32 tokens at a time. Its weights are decoded anew each time, a few sets before they are multiplied,
 * between the products of the others: decoding leaves the tiles busy and the weights never leave L1, where they
 * would share the way to L2 with the activations. Those lie in L2, as many tokens as fit. The sums are exact, so
 * the bits are those of the other kernels.
 */
#include "kernels-cpu/avx512/linear_row.h"
#include "kernels-cpu/amx/tile_ops.h"
#include "kernels-cpu/kernels_decl.h"

enum { Q35I_ROW_BLOCK = Q35I_TILE_ROWS, LEAST_TOKENS = 4 };
#define PANEL_OF_ROWS
#define ANY_BLOCK

#include "kernels-cpu/simd/row_job.h"

enum {
    PAIR = 2 * Q35I_TILE_ROWS,          /* tokens that are multiplied at a time */
    ACTIVATION_BYTES = 1 << 20,         /* of the tokens that all strips meet in turn */
    STEP = 2,                           /* sets that are decoded while the STEP before them are multiplied */
    GROUP_ROWS = 8 * TILES * Q35I_ROWS, /* that meet the same tokens in turn (place) */
    STREAM_TOKENS = 256,                /* store_result */
    CANONICAL = 0,                      /* in place of a type: rows as the file has them */
    GROUP_SETS = Q35_ACT_GROUP / SET_INPUTS,
    SUM_STRIDE = TILES * (int)sizeof(q35i_ints) /* from token to token */
};

/* A step's weights. */
typedef q35i_ints step_weights[TILES][STEP][SET_VECTORS];

struct work {
    step_weights w[2]; /* in turn */
    int turn, tokens;  /* that the tiles are configured for */
    q35i_ints sum[PAIR][TILES];
    q35i_floats grouped[PAIR][TILES];
    q35i_row_book book;
};

_Static_assert(sizeof(work) <= 65536, "q35k_linear_scratch_bytes gives 64 KiB beside 136 bytes per input");

/* What the four tiles of sums, 2 i + u of token block i and weight tile u, are of. */
typedef struct shape {
    int blocks, tokens, tiles; /* tokens: of each block */
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

/* ---- weights ---- */

/* The first set of tile u of a strip of packed weights; the last tile stands for one that is not there. */
static inline const uint8_t *first_set(const job *j, const part *p, int u)
{
    return (const uint8_t *)j->w->data + (p->r0 / Q35I_ROWS + (p->n_rows > u * Q35I_ROWS ? u : 0)) * j->w->rs +
           Q35K_ROW16_HEAD_BYTES;
}

/* Set h of a step of tile u, or, of canonical rows, both where h is 0. */
Q35I_INLINE void decode_piece(uint32_t dtype, const job *j, const part *p, const q35i_row_book *book, int step,
                              int h, int u, q35i_ints (*out)[SET_VECTORS])
{
    const int s = step * STEP + h;
    const int64_t n_rows = least(p->n_rows - u * Q35I_ROWS, Q35I_ROWS);
    if (dtype == CANONICAL && h == 0 && n_rows > 0)
        decode(j->w, p->r0 + u * Q35I_ROWS, n_rows, s * SET_INPUTS, (int)least(p->sets - s, STEP), book, out[0]);
    if (dtype != CANONICAL && s < p->sets) {
        const uint8_t *set = first_set(j, p, u) + s * (int64_t)q35k_row16_set_bytes(dtype);
        if (p->cold)
            q35i_row_prefetch_set(dtype, (uintptr_t)set + (uintptr_t)(TILES * j->w->rs));
        q35i_row_decode_set(dtype, set, book, out[h]);
    }
}

static void decode_first(const job *j, const part *p)
{
    for (int u = 0; u < TILES; u++)
        if (p->n_rows > u * Q35I_ROWS && p->sets > 0)
            decode(j->w, p->r0 + u * Q35I_ROWS, least(p->n_rows - u * Q35I_ROWS, Q35I_ROWS), 0,
                   (int)least(p->sets, STEP), &j->work->book, j->work->w[j->work->turn][u][0]);
}

/* ---- products ---- */

/* The products of one set h of a step, and a piece of the step `coming` of strip `of` per two of them. q: the
 * first block's codes; stride: from block to block. */
Q35I_INLINE void add_set(uint32_t dtype, shape at, const job *j, const uint8_t *q, int64_t stride, int h,
                         const part *of, int coming, const q35i_row_book *book)
{
    step_weights *now = &j->work->w[j->work->turn], *then = &j->work->w[!j->work->turn];
    q35i_tile_load(6, (*now)[0][h], Q35I_TILE_ROW_BYTES);
    q35i_tile_load(4, q, Q35I_TILE_ROW_BYTES);
    q35i_tile_multiply(0, 4, 6);
    if (at.tiles == 2) {
        q35i_tile_load(7, (*now)[1][h], Q35I_TILE_ROW_BYTES);
        q35i_tile_multiply(1, 4, 7);
    }
    decode_piece(dtype, j, of, book, coming, h, 0, (*then)[0]);
    if (at.blocks == 2) {
        q35i_tile_load(5, q + stride, Q35I_TILE_ROW_BYTES);
        q35i_tile_multiply(2, 5, 6);
    }
    if (at.blocks == 2 && at.tiles == 2)
        q35i_tile_multiply(3, 5, 7);
    decode_piece(dtype, j, of, book, coming, h, 1, (*then)[1]);
}

/* Sets [s, end) of a strip. q: codes of the first. The step after the strip's last is the first of `next`. */
Q35I_INLINE void add_steps(uint32_t dtype, shape at, const job *j, const part *p, const part *next,
                           const uint8_t *q, int s, int end)
{
    const int64_t stride = at.tokens * j->rs_x;
    const q35i_row_book book = j->work->book;
    for (; s < end; s += STEP) {
        const int last = s + STEP >= p->sets, coming = last ? 0 : s / STEP + 1;
        const part *of = last ? next : p;
        for (int h = 0; h < STEP; h++, q += at.tokens * Q35I_TILE_ROW_BYTES)
            if (s + h < end)
                add_set(dtype, at, j, q, stride, h, of, coming, &book);
            else
                for (int u = 0; u < TILES; u++)
                    decode_piece(dtype, j, of, &book, coming, h, u, j->work->w[!j->work->turn][u]);
        j->work->turn = !j->work->turn;
    }
}

Q35I_INLINE void add_steps_of(uint32_t dtype, shape at, const job *j, const part *p, const part *next,
                              const uint8_t *q, int s, int end)
{
    if (at.blocks == 2 && at.tiles == 2)
        add_steps(dtype, (shape){2, Q35I_TILE_ROWS, 2}, j, p, next, q, s, end);
    else
        add_steps(dtype, at, j, p, next, q, s, end);
}

/* Likewise, from the first block's codes of the whole row. */
static void take_sets(shape at, const job *j, const part *p, const part *next, const uint8_t *codes, int s,
                      int end)
{
    const uint8_t *q = codes + s * at.tokens * SET_INPUTS;
    if (j->w->layout != Q35K_LAYOUT_ROW16)
        add_steps(CANONICAL, at, j, p, next, q, s, end);
    else if (j->w->dtype == Q35_DT_Q35_ROW)
        add_steps_of(Q35_DT_Q35_ROW, at, j, p, next, q, s, end);
    else if (j->w->dtype == Q35_DT_Q40_ROW)
        add_steps_of(Q35_DT_Q40_ROW, at, j, p, next, q, s, end);
    else
        add_steps_of(Q35_DT_Q60_ROW, at, j, p, next, q, s, end);
}

/* A result of many tokens is larger than L2: past the caches, where a line is written whole, as it would be read
 * first otherwise. */
static inline void store_result(const job *j, float *out, int64_t n_rows, q35i_floats y)
{
    if (j->n_tokens < STREAM_TOKENS || n_rows < Q35I_ROWS || (uintptr_t)out % sizeof y != 0) {
        store_rows(out, n_rows, y);
        return;
    }
    const __mmask16 nan = _mm512_cmp_ps_mask(y, y, _CMP_UNORD_Q);
    const q35i_ints bits = _mm512_mask_mov_epi32(_mm512_castps_si512(y), nan, _mm512_set1_epi32(0x7fc00000));
    _mm512_stream_si512((void *)out, bits);
}

/* The results of a block of n tokens from t on. */
static void finish_sums(int n, int tiles, const job *j, const part *p, const uint8_t *block, int64_t t,
                        q35i_ints (*sum)[TILES])
{
    const float *scale = (const float *)(const void *)block;
    const int32_t *bias = (const int32_t *)(const void *)block + n;
    for (int i = 0; i < n; i++)
        for (int u = 0; u < tiles; u++)
            store_result(j, out_row(j, p, t + i) + u * Q35I_ROWS, p->n_rows - u * Q35I_ROWS,
                         multiply(multiply(p->scale[u], splat_float(scale[i])),
                                  to_float(add_ints(sum[i][u], splat_int(bias[i])))));
}

/* One scale per token. */
static void add_exact(shape at, const job *j, const part *p, const part *next, int64_t t)
{
    const uint8_t *block = j->x + t * j->rs_x;
    q35i_ints(*sum)[TILES] = j->work->sum;
    clear_sums();
    take_sets(at, j, p, next, block + at.tokens * p->heads, 0, p->sets);
    store_sums(at, sum);
    for (int i = 0; i < at.blocks; i++)
        finish_sums(at.tokens, at.tiles, j, p, block + i * at.tokens * j->rs_x, t + i * Q35I_TILE_ROWS,
                    sum + i * Q35I_TILE_ROWS);
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
static void add_grouped(shape at, const job *j, const part *p, const part *next, int64_t t)
{
    const uint8_t *block = j->x + t * j->rs_x;
    q35i_ints(*sum)[TILES] = j->work->sum;
    q35i_floats(*acc)[TILES] = j->work->grouped;
    memset(acc, 0, sizeof j->work->grouped);
    for (int s = 0; s < p->sets; s += GROUP_SETS) {
        const uint8_t *head = block + s * SET_INPUTS / Q35_ACT_GROUP * 8 * at.tokens;
        clear_sums();
        take_sets(at, j, p, next, block + at.tokens * p->heads, s, (int)least(p->sets, s + GROUP_SETS));
        store_sums(at, sum);
        for (int i = 0; i < at.blocks; i++)
            take_group(at, (const float *)(const void *)(head + i * at.tokens * j->rs_x), sum + i * Q35I_TILE_ROWS,
                       acc + i * Q35I_TILE_ROWS);
    }
    for (int i = 0; i < at.blocks; i++)
        finish_grouped(at.tokens, at.tiles, j, p, t + i * Q35I_TILE_ROWS, acc + i * Q35I_TILE_ROWS);
}

/* Tiles for blocks of so many tokens. */
static void configure(work *wk, int tokens)
{
    if (wk->tokens == tokens)
        return;
    q35i_tile_config config = q35i_whole_tiles();
    for (int t = 0; t < 6; t++) /* sums and codes */
        config.rows[t] = (uint8_t)tokens;
    q35i_tile_configure(&config);
    wk->tokens = tokens;
}

/* A strip for the tokens of `at` from t on. next: what is multiplied after that. */
static void add_blocks(shape at, const job *j, const part *p, const part *next, int64_t t)
{
    if (j->act_type == Q35_DT_A8_128)
        add_grouped(at, j, p, next, t);
    else
        add_exact(at, j, p, next, t);
}

/* Where the walk is: a strip from row r0 on, tokens from t on. All strips of a group meet the same tokens in turn,
 * so that results are written some lines at a time, then the next tokens of the batch, which stays in L2; then
 * come other groups, then other batches. */
typedef struct place {
    int64_t r0, t, group, batch;
} place;

/* A call's limits. */
typedef struct limits {
    int64_t begin, end, tokens; /* rows; tokens of a batch */
} limits;

/* 0: that was the last. */
static int advance(const job *j, const limits *all, place *at)
{
    at->r0 += TILES * Q35I_ROWS;
    if (at->r0 < least(all->end, at->group + GROUP_ROWS))
        return 1;
    at->r0 = at->group;
    at->t += PAIR;
    if (at->t < least(j->n_tokens, at->batch + all->tokens))
        return 1;
    at->t = at->batch;
    at->r0 = at->group += GROUP_ROWS;
    if (at->group < all->end)
        return 1;
    at->r0 = at->group = all->begin;
    at->t = at->batch += all->tokens;
    return at->t < j->n_tokens;
}

/* The first tokens of a batch bring a strip from memory; the others find it in L2. */
static part strip_at(const job *j, const limits *all, const place *at)
{
    const int64_t r0 = at->r0;
    part p = {.r0 = r0,
              .n_rows = least(all->end - r0, TILES * Q35I_ROWS),
              .cold = at->t == at->batch,
              .heads = 8 * groups_of(j->act_type, j->w->k),
              .sets = sets_of(j->w->k)};
    for (int u = 0; u < TILES && p.n_rows > u * Q35I_ROWS; u++)
        p.scale[u] = row_scales(j->w, p.r0 + u * Q35I_ROWS, p.n_rows - u * Q35I_ROWS);
    return p;
}

/* A strip for up to PAIR tokens [t, end). */
static void multiply_strip(const job *j, const part *p, const part *next, int64_t t, int64_t end)
{
    const int tiles = p->n_rows > Q35I_ROWS ? 2 : 1;
    for (int64_t n; t < end; t += n) {
        n = end - t == PAIR ? PAIR : least(end - t, Q35I_TILE_ROWS);
        const shape at = {n == PAIR ? 2 : 1, (int)least(n, Q35I_TILE_ROWS), tiles};
        configure(j->work, at.tokens);
        add_blocks(at, j, p, t + n < end ? p : next, t);
    }
}

static void walk(const job *j, int64_t begin, int64_t end)
{
    const limits all = {begin, end, ACTIVATION_BYTES / (j->rs_x + 1) / PAIR * PAIR + PAIR};
    place at = {begin, 0, begin, 0};
    part p = strip_at(j, &all, &at);
    decode_first(j, &p);
    for (int more = 1; more;) {
        const int64_t t = at.t;
        more = advance(j, &all, &at);
        const part next = more ? strip_at(j, &all, &at) : p;
        multiply_strip(j, &p, &next, t, least(j->n_tokens, t + PAIR));
        p = next;
    }
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
    wk->turn = wk->tokens = 0;
    linear_row_many(x, act_type, rs_x, n_tokens, w, out, rs_out, begin, end, wk, (uint8_t *)(wk + 1));
    q35i_tile_release();
    _mm_sfence(); /* store_result's stores, before the caller says that it is done */
}
