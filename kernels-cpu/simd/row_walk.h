/* SPDX-License-Identifier: Apache-2.0
 *
 * The walk of the LINEAR of row types that the instruction sets share. A chunk of 256 inputs of two tiles
 * (Q35I_ROWS rows each) is decoded once into L1 and multiplied with up to Q35I_TOKENS tokens, in blocks of
 * Q35I_ROW_BLOCK (or 4, 2, 1) tokens by two tiles: an activation dword serves both, and the int32 sums stay in
 * registers over the chunk, or over each of its groups of 128 inputs where these have scales.
 *
 * Static only. The including file brings first
 *   - the vectors q35i_ints and q35i_floats: Q35I_ROWS lanes, one per row
 *   - the constants Q35I_ROWS, Q35I_CHUNK, Q35I_TOKENS, Q35I_ROW_BLOCK, ROW_BIAS (what decode adds to a level)
 *   - the operations splat_int, splat_float, to_float, multiply_add, multiply, add_products, sort_codes,
 *     chunk_to_f32, dot_f32, decode, load_scales, store_rows, with the signatures used below
 *   - the type q35i_row_book
 */
#ifndef Q35I_SIMD_ROW_WALK_H
#define Q35I_SIMD_ROW_WALK_H

enum {
    TILES = 2,                      /* decoded side by side */
    CHUNK_VECTORS = Q35I_CHUNK / 4, /* of a tile */
    GROUP_VECTORS = Q35_ACT_GROUP / 4,
    SET_INPUTS = Q35K_ROW16_SET
};

/* A call's scratch. What a file needs beside it follows it. */
typedef struct work {
    q35i_ints w[TILES][CHUNK_VECTORS];
    union {
        q35i_ints exact[Q35I_TOKENS][TILES];     /* A8_ROW: sums over k so far */
        q35i_floats grouped[Q35I_TOKENS][TILES]; /* A8_128 */
        q35i_floats decoded[Q35I_TOKENS];        /* F32 */
    } acc;
    q35i_floats floats[Q35I_CHUNK]; /* F32: weights of a chunk */
    q35i_row_book book;
} work;

_Static_assert(Q35I_TOKENS <= 128, "the packed activations of a panel take Q35I_TOKENS bytes per input");
_Static_assert(sizeof(work) <= 65536, "q35k_linear_scratch_bytes gives 64 KiB beside 128 bytes per input");

/* What stays the same throughout a call. */
typedef struct job {
    const q35k_weights *w;
    const uint8_t *x;
    uint32_t act_type;
    int64_t rs_x;
    float *out;
    int64_t rs_out;
    work *work;
} job;

/* Tokens against one chunk. Their codes are packed (pack_panel), so that a chunk of all is one stream: rows a
 * multiple of 4 KiB apart would evict each other from L1. */
typedef struct block {
    const uint8_t *q; /* [tokens][Q35I_CHUNK] packed codes, the next token's first */
    const uint8_t *x; /* the next token's row */
    int64_t rs_x;
    int64_t k0;
    int vectors; /* of a tile in the chunk */
} block;

static inline int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The head of a token's row, or of a group. */
static inline q35_act_row head_of(const uint8_t *p)
{
    q35_act_row head;
    memcpy(&head, p, sizeof head);
    return head;
}

/* ---- packed activations ---- */

#ifndef OWN_MULTIPLY_CHUNK

/* Tokens that the packed codes of n have room for. */
#define TOKEN_ROOM(n) (n)

/* Tokens of the block that begins with `left` tokens to go. */
static inline int tokens_of_block(int64_t left)
{
    return left >= Q35I_ROW_BLOCK ? Q35I_ROW_BLOCK : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

#else

/* All blocks have room for Q35I_ROW_BLOCK tokens; whatever is in the place of one that is not there counts
 * nowhere. */
#define TOKEN_ROOM(n) (((n) + Q35I_ROW_BLOCK - 1) / Q35I_ROW_BLOCK * Q35I_ROW_BLOCK)

static inline int tokens_of_block(int64_t left)
{
    return (int)least(left, Q35I_ROW_BLOCK);
}

#endif

#if defined(OWN_MULTIPLY_CHUNK)

/* A file that takes all tokens of a chunk at once defines OWN_MULTIPLY_CHUNK, and behind this header these two. A
 * block is [vectors][Q35I_ROW_BLOCK] dwords in any order within each vector's. */
#define VECTOR_STRIDE(n) (4 * Q35I_ROW_BLOCK)

static void pack_block(uint32_t dtype, int n, const uint8_t *codes, int64_t rs, int bytes, uint8_t *q);
static void multiply_chunk(int tiles, int grouped, block b, work *wk, int64_t n);

#elif !defined(OWN_ADD_VECTORS)

/* Of a block of n tokens vector j's dwords lie side by side: [vectors][n], in the order of the weights' vectors.
 */
#define VECTOR_STRIDE(n) (4 * (n))

static void pack_block(uint32_t dtype, int n, const uint8_t *codes, int64_t rs, int bytes, uint8_t *q)
{
    int32_t *to = (int32_t *)(void *)q, word[SET_INPUTS / 4];
    for (int i = 0; i < bytes; i += SET_INPUTS, to += SET_INPUTS / 4 * n)
        for (int t = 0; t < n; t++) {
            sort_codes(dtype, (const int8_t *)codes + t * rs + i, word);
            for (int v = 0; v < SET_INPUTS / 4; v++)
                to[v * n + t] = word[v];
        }
}

/* sum[t][u] += the weights of tile u times the codes q of token t; n and tiles are constants where this is
 * inlined. A file that takes more than one vector at a time defines OWN_ADD_VECTORS and this function. */
Q35I_INLINE void add_vectors(int n, int tiles, const q35i_ints *w, int vectors, const uint8_t *q,
                             q35i_ints sum[Q35I_ROW_BLOCK][TILES])
{
    for (int j = 0; j < vectors; j++, q += VECTOR_STRIDE(n))
        add_products(n, tiles, w + j, q, 4, sum);
}

#else

/* Of a block the tokens lie one after another: [n][Q35I_CHUNK]. */
#define VECTOR_STRIDE(n) 4

static void pack_block(uint32_t dtype, int n, const uint8_t *codes, int64_t rs, int bytes, uint8_t *q)
{
    (void)dtype;
    for (int t = 0; t < n; t++)
        memcpy(q + t * Q35I_CHUNK, codes + t * rs, (size_t)bytes);
}

#endif

/* The chunk at k0, `bytes` of it, of a block of n tokens. */
static void pack_chunk(const job *j, int n, const uint8_t *x, int64_t k0, int bytes, uint8_t *q)
{
    if (j->act_type == Q35_DT_A8_ROW) {
        pack_block(j->w->dtype, n, x + sizeof(q35_act_row) + k0, j->rs_x, bytes, q);
        return;
    }
    const uint8_t *group = x + k0 / Q35_ACT_GROUP * (int64_t)sizeof(q35_act_group);
    for (int at = 0; at < bytes; at += Q35_ACT_GROUP, group += sizeof(q35_act_group))
        pack_block(j->w->dtype, n, group + sizeof(q35_act_row), j->rs_x, (int)least(bytes - at, Q35_ACT_GROUP),
                   q + at / 4 * VECTOR_STRIDE(n));
}

/* Codes of n tokens from x on: chunk after chunk, in each block after block. */
static void pack_panel(const job *j, const uint8_t *x, int64_t n, uint8_t *q)
{
    for (int64_t k0 = 0; k0 < j->w->k; k0 += Q35I_CHUNK) {
        int bytes = (int)least((j->w->k - k0 + SET_INPUTS - 1) / SET_INPUTS * SET_INPUTS, Q35I_CHUNK);
        for (int64_t t = 0; t < n;) {
            int some = tokens_of_block(n - t);
            pack_chunk(j, some, x + t * j->rs_x, k0, bytes, q);
            q += TOKEN_ROOM(some) * Q35I_CHUNK;
            t += some;
        }
    }
}

/* ---- sums ---- */

#ifndef OWN_MULTIPLY_CHUNK

/* One scale per token: the sums go on over the chunks. */
Q35I_INLINE void add_exact(int n, int tiles, const block *b, const q35i_ints *w, q35i_ints (*acc)[TILES])
{
    q35i_ints sum[Q35I_ROW_BLOCK][TILES];
    for (int t = 0; t < n; t++)
        for (int u = 0; u < tiles; u++)
            sum[t][u] = acc[t][u];
    add_vectors(n, tiles, w, b->vectors, b->q, sum);
    for (int t = 0; t < n; t++)
        for (int u = 0; u < tiles; u++)
            acc[t][u] = sum[t][u];
}

/* One scale per token and group. */
Q35I_INLINE void add_grouped(int n, int tiles, const block *b, const q35i_ints *w, q35i_floats (*acc)[TILES])
{
    const uint8_t *group = b->x + b->k0 / Q35_ACT_GROUP * (int64_t)sizeof(q35_act_group), *q = b->q;
    for (int j = 0; j < b->vectors; j += GROUP_VECTORS, w += GROUP_VECTORS, group += sizeof(q35_act_group)) {
        int vectors = (int)least(b->vectors - j, GROUP_VECTORS);
        q35i_ints sum[Q35I_ROW_BLOCK][TILES];
        for (int t = 0; t < n; t++)
            sum[t][0] = sum[t][1] = splat_int(-ROW_BIAS * head_of(group + t * b->rs_x).sum);
        add_vectors(n, tiles, w, vectors, q, sum);
        q += GROUP_VECTORS * VECTOR_STRIDE(n);
        for (int t = 0; t < n; t++) {
            q35i_floats scale = splat_float(head_of(group + t * b->rs_x).scale);
            for (int u = 0; u < tiles; u++)
                acc[t][u] = multiply_add(to_float(sum[t][u]), scale, acc[t][u]);
        }
    }
}

/* The next n tokens. */
Q35I_INLINE void some_tokens(int n, int tiles, int grouped, block *b, work *wk, int64_t *t)
{
    if (grouped)
        add_grouped(n, tiles, b, wk->w[0], wk->acc.grouped + *t);
    else
        add_exact(n, tiles, b, wk->w[0], wk->acc.exact + *t);
    *t += n;
    b->x += n * b->rs_x;
    b->q += n * Q35I_CHUNK;
}

Q35I_INLINE void all_tokens(int tiles, int grouped, block b, work *wk, int64_t n)
{
    int64_t t = 0;
    while (n - t >= Q35I_ROW_BLOCK)
        some_tokens(Q35I_ROW_BLOCK, tiles, grouped, &b, wk, &t);
    if (n - t >= 4)
        some_tokens(4, tiles, grouped, &b, wk, &t);
    if (n - t >= 2)
        some_tokens(2, tiles, grouped, &b, wk, &t);
    if (n - t >= 1)
        some_tokens(1, tiles, grouped, &b, wk, &t);
}

static void multiply_chunk(int tiles, int grouped, block b, work *wk, int64_t n)
{
    if (tiles == 2 && grouped)
        all_tokens(2, 1, b, wk, n);
    else if (tiles == 2)
        all_tokens(2, 0, b, wk, n);
    else if (grouped)
        all_tokens(1, 1, b, wk, n);
    else
        all_tokens(1, 0, b, wk, n);
}

#endif

/* Sets of 64 inputs in the chunk at k0. */
static int sets_of_chunk(const q35k_weights *w, int64_t k0)
{
    return (int)((least(w->k - k0, Q35I_CHUNK) + SET_INPUTS - 1) / SET_INPUTS);
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

static void store(const job *j, int64_t t, int64_t r0, int64_t n_rows, q35i_floats y)
{
    store_rows((float *)(void *)((uint8_t *)j->out + t * j->rs_out) + r0, n_rows, y);
}

/* The results of one tile from its sums: the f32 operations of kernels.h. x: the first token. */
static void finish_tile(const job *j, int u, int64_t r0, int64_t n_rows, int64_t t0, int64_t n, const uint8_t *x)
{
    const work *wk = j->work;
    const q35i_floats row = row_scales(j->w, r0, n_rows);
    for (int64_t t = 0; t < n; t++) {
        q35i_floats y = multiply(row, wk->acc.grouped[t][u]);
        if (j->act_type == Q35_DT_A8_ROW)
            y = multiply(multiply(row, splat_float(head_of(x + t * j->rs_x).scale)),
                         to_float(wk->acc.exact[t][u]));
        store(j, t0 + t, r0, n_rows, y);
    }
}

/* The tiles of rows [r0, r0 + n_rows), at most two, for tokens [t0, t0 + n), which are packed behind the work. */
static void tiles_a8(const job *j, int64_t r0, int64_t n_rows, int64_t t0, int64_t n)
{
    work *wk = j->work;
    const int grouped = j->act_type == Q35_DT_A8_128, tiles = n_rows > Q35I_ROWS ? 2 : 1;
    block b = {.q = (const uint8_t *)(wk + 1), .x = j->x + t0 * j->rs_x, .rs_x = j->rs_x};
    for (int64_t t = 0; t < n; t++) /* integer 0 is 0.0f */
        wk->acc.exact[t][0] = wk->acc.exact[t][1] =
            splat_int(grouped ? 0 : -ROW_BIAS * head_of(b.x + t * b.rs_x).sum);
    for (; b.k0 < j->w->k; b.k0 += Q35I_CHUNK, b.q += TOKEN_ROOM(n) * Q35I_CHUNK) {
        int sets = sets_of_chunk(j->w, b.k0);
        b.vectors = sets * SET_INPUTS / 4;
        for (int u = 0; u < tiles; u++)
            decode(j->w, r0 + u * Q35I_ROWS, least(n_rows - u * Q35I_ROWS, Q35I_ROWS), b.k0, sets, &wk->book,
                   wk->w[u]);
        multiply_chunk(tiles, grouped, b, wk, n);
    }
    for (int u = 0; u < tiles; u++)
        finish_tile(j, u, r0 + u * Q35I_ROWS, least(n_rows - u * Q35I_ROWS, Q35I_ROWS), t0, n, b.x);
}

/* One tile, F32 activations. */
static void tile_f32(const job *j, int64_t r0, int64_t n_rows, int64_t t0, int64_t n)
{
    work *wk = j->work;
    const q35i_floats scale = row_scales(j->w, r0, n_rows);
    memset(wk->acc.decoded, 0, (size_t)n * sizeof wk->acc.decoded[0]);
    for (int64_t k0 = 0; k0 < j->w->k; k0 += Q35I_CHUNK) {
        int inputs = (int)least(j->w->k - k0, Q35I_CHUNK);
        decode(j->w, r0, n_rows, k0, sets_of_chunk(j->w, k0), &wk->book, wk->w[0]);
        chunk_to_f32(j->w->dtype, wk->w[0], inputs, scale, wk->floats);
        dot_f32(wk->floats, inputs, j->x + t0 * j->rs_x + 4 * k0, j->rs_x, n, (float *)wk->acc.decoded);
    }
    for (int64_t t = 0; t < n; t++)
        store(j, t0 + t, r0, n_rows, wk->acc.decoded[t]);
}

/* Rows [begin, end) of out for all tokens. */
static void walk(const job *j, int64_t n_tokens, int64_t begin, int64_t end)
{
    const int64_t step = j->act_type == Q35_DT_F32 ? Q35I_ROWS : TILES * Q35I_ROWS;
    for (int64_t t0 = 0; t0 < n_tokens; t0 += Q35I_TOKENS) {
        int64_t n = least(n_tokens - t0, Q35I_TOKENS);
        if (j->act_type != Q35_DT_F32)
            pack_panel(j, j->x + t0 * j->rs_x, n, (uint8_t *)(j->work + 1));
        for (int64_t r0 = begin; r0 < end; r0 += step) {
            if (j->act_type == Q35_DT_F32)
                tile_f32(j, r0, least(end - r0, step), t0, n);
            else
                tiles_a8(j, r0, least(end - r0, step), t0, n);
        }
    }
}

#endif
