/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR of row types with AVX-512 VBMI and VNNI. Mirrors q35k_linear_row__ref: the same bits for quantised
 * activations. Up to four tokens against packed weights go to row_matvec.c. Many tokens: a chunk of two tiles is
 * decoded once into L1 and multiplied with up to 128 tokens, in blocks of 8 (4, 2, 1) tokens by 32 rows: one
 * activation dword is broadcast per token and used for both tiles, and the int32 sums stay in registers over the
 * chunk, or over each of its groups of 128 inputs where these have scales.
 */
#include "kernels-cpu/avx512/row.h"
#include "kernels-cpu/kernels_decl.h"

enum {
    TILES = 2,                      /* decoded side by side */
    CHUNK_VECTORS = Q35I_CHUNK / 4, /* of a tile */
    GROUP_VECTORS = Q35_ACT_GROUP / 4
};

/* A call's scratch. */
typedef struct work {
    __m512i w[TILES][CHUNK_VECTORS];
    union {
        __m512i exact[Q35I_TOKENS][TILES];  /* A8_ROW: sums over k so far */
        __m512 grouped[Q35I_TOKENS][TILES]; /* A8_128 */
        float decoded[Q35I_TOKENS][Q35I_ROWS];
    } acc;
    __m512 floats[Q35I_CHUNK]; /* F32: weights of a chunk */
    q35i_row_book book;
} work;

_Static_assert(sizeof(work) <= 65536, "q35k_linear_scratch_bytes gives 64 KiB beside 32 bytes per input");

/* Tokens of a block against one chunk. */
typedef struct block {
    const uint8_t *x; /* the first token's row */
    int64_t rs_x;
    int64_t k0;
    int vectors; /* of a tile in the chunk */
} block;

static q35_act_row head_of(const uint8_t *p)
{
    q35_act_row head;
    memcpy(&head, p, sizeof head);
    return head;
}

/* sum[t][u] += weights u (`vectors` of them) times the codes q of token t. */
Q35I_INLINE void multiply(int n, int tiles, const __m512i *w, int vectors, const uint8_t *q, int64_t rs,
                          __m512i sum[8][TILES])
{
    for (int j = 0; j < vectors; j++) {
        __m512i weights[TILES];
        for (int u = 0; u < tiles; u++)
            weights[u] = _mm512_load_si512((const void *)(w + u * CHUNK_VECTORS + j));
        for (int t = 0; t < n; t++) {
            int32_t codes;
            memcpy(&codes, q + t * rs + 4 * j, 4);
            __m512i a = _mm512_set1_epi32(codes);
            for (int u = 0; u < tiles; u++)
                sum[t][u] = _mm512_dpbusd_epi32(sum[t][u], weights[u], a);
        }
    }
}

/* One scale per token: the sums go on over the chunks. */
Q35I_INLINE void add_exact(int n, int tiles, const block *b, const __m512i *w, __m512i (*acc)[TILES])
{
    __m512i sum[8][TILES];
    for (int t = 0; t < n; t++)
        for (int u = 0; u < tiles; u++)
            sum[t][u] = acc[t][u];
    multiply(n, tiles, w, b->vectors, b->x + sizeof(q35_act_row) + b->k0, b->rs_x, sum);
    for (int t = 0; t < n; t++)
        for (int u = 0; u < tiles; u++)
            acc[t][u] = sum[t][u];
}

/* One scale per token and group. */
Q35I_INLINE void add_grouped(int n, int tiles, const block *b, const __m512i *w, __m512 (*acc)[TILES])
{
    const uint8_t *group = b->x + b->k0 / Q35_ACT_GROUP * (int64_t)sizeof(q35_act_group);
    for (int j = 0; j < b->vectors; j += GROUP_VECTORS, w += GROUP_VECTORS, group += sizeof(q35_act_group)) {
        int vectors = b->vectors - j < GROUP_VECTORS ? b->vectors - j : GROUP_VECTORS;
        __m512i sum[8][TILES];
        for (int t = 0; t < n; t++)
            sum[t][0] = sum[t][1] = _mm512_set1_epi32(-128 * head_of(group + t * b->rs_x).sum);
        multiply(n, tiles, w, vectors, group + sizeof(q35_act_row), b->rs_x, sum);
        for (int t = 0; t < n; t++) {
            __m512 scale = _mm512_set1_ps(head_of(group + t * b->rs_x).scale);
            for (int u = 0; u < tiles; u++)
                acc[t][u] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[t][u]), scale, acc[t][u]);
        }
    }
}

/* The first n of `left` tokens; n, tiles and grouped are constants where this is inlined. */
Q35I_INLINE void tokens(int n, int tiles, int grouped, block *b, work *wk, int64_t *t)
{
    if (grouped)
        add_grouped(n, tiles, b, wk->w[0], wk->acc.grouped + *t);
    else
        add_exact(n, tiles, b, wk->w[0], wk->acc.exact + *t);
    *t += n;
    b->x += n * b->rs_x;
}

Q35I_INLINE void all_tokens(int tiles, int grouped, block b, work *wk, int64_t n)
{
    int64_t t = 0;
    while (n - t >= 8)
        tokens(8, tiles, grouped, &b, wk, &t);
    if (n - t >= 4)
        tokens(4, tiles, grouped, &b, wk, &t);
    if (n - t >= 2)
        tokens(2, tiles, grouped, &b, wk, &t);
    if (n - t >= 1)
        tokens(1, tiles, grouped, &b, wk, &t);
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

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Sets of 64 inputs in the chunk at k0. */
static int sets_of_chunk(const q35k_weights *w, int64_t k0)
{
    return (int)((least(w->k - k0, Q35I_CHUNK) + Q35K_ROW16_SET - 1) / Q35K_ROW16_SET);
}

static __m512 row_scales(const q35k_weights *w, int64_t r0, int64_t n_rows)
{
    const uint8_t *data = w->data;
    if (w->layout == Q35K_LAYOUT_ROW16)
        return _mm512_loadu_ps((const void *)(data + r0 / Q35I_ROWS * w->rs));
    float scale[Q35I_ROWS] = {0};
    for (int64_t r = 0; r < n_rows; r++)
        memcpy(&scale[r], data + (r0 + r) * w->rs, 4);
    return _mm512_loadu_ps(scale);
}

static __mmask16 first_rows(int64_t n)
{
    return (__mmask16)((1u << least(n, Q35I_ROWS)) - 1u);
}

static void store(const job *j, int64_t t, int64_t r0, int64_t n_rows, __m512 y)
{
    q35i_store_rows((float *)(void *)((uint8_t *)j->out + t * j->rs_out) + r0, first_rows(n_rows), y);
}

/* The tiles of rows [r0, r0 + n_rows), at most 32, for tokens [t0, t0 + n); quantised activations. */
static void tiles_a8(const job *j, int64_t r0, int64_t n_rows, int64_t t0, int64_t n)
{
    work *wk = j->work;
    const int grouped = j->act_type == Q35_DT_A8_128, tiles = n_rows > Q35I_ROWS ? 2 : 1;
    block b = {.x = j->x + t0 * j->rs_x, .rs_x = j->rs_x};
    for (int64_t t = 0; t < n; t++) /* 0 is the same bits in both kinds of sums */
        wk->acc.exact[t][0] = wk->acc.exact[t][1] =
            _mm512_set1_epi32(grouped ? 0 : -128 * head_of(b.x + t * b.rs_x).sum);
    for (; b.k0 < j->w->k; b.k0 += Q35I_CHUNK) {
        int sets = sets_of_chunk(j->w, b.k0);
        b.vectors = sets * Q35K_ROW16_SET / 4;
        for (int u = 0; u < tiles; u++)
            q35i_row_decode__avx512(j->w, r0 + u * Q35I_ROWS, least(n_rows - u * Q35I_ROWS, Q35I_ROWS), b.k0, sets,
                                    &wk->book, wk->w[u]);
        multiply_chunk(tiles, grouped, b, wk, n);
    }
    for (int u = 0; u < tiles; u++) {
        int64_t r = r0 + u * Q35I_ROWS, rows = n_rows - u * Q35I_ROWS;
        __m512 row = row_scales(j->w, r, least(rows, Q35I_ROWS));
        for (int64_t t = 0; t < n; t++) {
            __m512 y = _mm512_mul_ps(row, wk->acc.grouped[t][u]);
            if (!grouped)
                y = _mm512_mul_ps(_mm512_mul_ps(row, _mm512_set1_ps(head_of(b.x + t * b.rs_x).scale)),
                                  _mm512_cvtepi32_ps(wk->acc.exact[t][u]));
            store(j, t0 + t, r, rows, y);
        }
    }
}

/* Weights of `inputs` inputs as floats: one rounding each. */
static void chunk_to_f32(const __m512i *w, int inputs, __m512 scale, __m512 *out)
{
    for (int i = 0; i < inputs; i++) {
        __m512i level = _mm512_srli_epi32(w[i / 4], (unsigned)(8 * (i % 4)));
        level = _mm512_sub_epi32(_mm512_and_si512(level, _mm512_set1_epi32(255)), _mm512_set1_epi32(128));
        out[i] = _mm512_mul_ps(scale, _mm512_cvtepi32_ps(level));
    }
}

/* One tile, F32 activations. */
static void tile_f32(const job *j, int64_t r0, int64_t n_rows, int64_t t0, int64_t n)
{
    work *wk = j->work;
    __m512 scale = row_scales(j->w, r0, n_rows);
    memset(wk->acc.decoded, 0, (size_t)n * sizeof wk->acc.decoded[0]);
    for (int64_t k0 = 0; k0 < j->w->k; k0 += Q35I_CHUNK) {
        int inputs = (int)least(j->w->k - k0, Q35I_CHUNK);
        q35i_row_decode__avx512(j->w, r0, n_rows, k0, sets_of_chunk(j->w, k0), &wk->book, wk->w[0]);
        chunk_to_f32(wk->w[0], inputs, scale, wk->floats);
        q35i_dot_f32__avx512(wk->floats, inputs, j->x + t0 * j->rs_x + 4 * k0, j->rs_x, n, wk->acc.decoded[0]);
    }
    for (int64_t t = 0; t < n; t++)
        store(j, t0 + t, r0, n_rows, _mm512_load_ps(wk->acc.decoded[t]));
}

/* Book entries 64 i .. 64 i + 63 of both components, plus 128. */
static void load_book(const q35k_weights *w, q35i_row_book *book)
{
    const __m512i flip = _mm512_set1_epi8((char)0x80);
    for (uint32_t i = 0; 64 * i < q35_book_entries(w->dtype); i++) {
        __m512i a = _mm512_loadu_si512((const void *)(w->book + 64 * i));
        __m512i b = _mm512_loadu_si512((const void *)(w->book + 64 * i + 32));
        __m256i odd_a = _mm512_cvtepi16_epi8(_mm512_srli_epi16(a, 8)),
                odd_b = _mm512_cvtepi16_epi8(_mm512_srli_epi16(b, 8));
        __m512i even = _mm512_castsi256_si512(_mm512_cvtepi16_epi8(a)), odd = _mm512_castsi256_si512(odd_a);
        book->even[i] = _mm512_xor_si512(_mm512_inserti64x4(even, _mm512_cvtepi16_epi8(b), 1), flip);
        book->odd[i] = _mm512_xor_si512(_mm512_inserti64x4(odd, odd_b, 1), flip);
    }
}

void q35k_linear_row__avx512(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens,
                             const q35k_weights *w, float *out, int64_t rs_out, int64_t begin, int64_t end,
                             void *scratch)
{
    if (n_tokens <= 0 || begin >= end)
        return;
    work *wk = scratch;
    const job j = {w, x, act_type, rs_x, out, rs_out, wk};
    const int64_t step = act_type == Q35_DT_F32 ? Q35I_ROWS : TILES * Q35I_ROWS;
    load_book(w, &wk->book);
    if (n_tokens <= Q35I_ROW_FEW && act_type != Q35_DT_F32 && w->layout == Q35K_LAYOUT_ROW16) {
        q35i_row_matvec__avx512(x, act_type, rs_x, (int)n_tokens, w, &wk->book, out, rs_out, begin, end, wk + 1);
        return;
    }
    for (int64_t t0 = 0; t0 < n_tokens; t0 += Q35I_TOKENS) {
        int64_t n = least(n_tokens - t0, Q35I_TOKENS);
        for (int64_t r0 = begin; r0 < end; r0 += step) {
            if (act_type == Q35_DT_F32)
                tile_f32(&j, r0, least(end - r0, step), t0, n);
            else
                tiles_a8(&j, r0, least(end - r0, step), t0, n);
        }
    }
}
