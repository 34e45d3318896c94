/* SPDX-License-Identifier: Apache-2.0
 *
 * One to four tokens times 16-row tiles of a row type: the path of token generation, built to wait only for
 * memory. Codes stay in registers: one lookup per component, then vpdpbusd against four even, or four odd,
 * activations, which are sorted so once per call. The sums are exact, so the bits are those of the path for many
 * tokens. A tile is one stream without scales in it.
 */
#include "kernels-cpu/avx512/row.h"

/* The tokens of a call. Group g of a token: 128 inputs, or, with one scale per token, all of them. */
typedef struct prepared {
    int64_t sets, groups;
    const int32_t *q;    /* [sets][tokens][16]: words as a set's weights come */
    const float *scale;  /* [groups][tokens] */
    const int32_t *bias; /* [groups][tokens]: -128 * sum */
} prepared;

/* 64 codes: word 2 j takes inputs 8 j, + 2, + 4, + 6, word 2 j + 1 the odd ones between. */
static void sort_codes(uint32_t dtype, const int8_t *q, int32_t *out)
{
    const __m512i order =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15));
    __m512i v = _mm512_loadu_si512((const void *)q);
    _mm512_storeu_si512((void *)out, dtype == Q35_DT_Q60_ROW ? v : _mm512_shuffle_epi8(v, order));
}

/* 64 codes from input 64 s on, of one token. Both types are padded as far as the last set. */
static const int8_t *codes_of(const uint8_t *x, uint32_t act_type, int64_t s)
{
    if (act_type == Q35_DT_A8_ROW)
        return (const int8_t *)x + sizeof(q35_act_row) + 64 * s;
    return ((const q35_act_group *)(const void *)x)[s / 2].q + 64 * (s % 2);
}

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
            bias[g * n + t] = -128 * head.sum;
        }
    }
    return (prepared){sets, groups, q, scale, bias};
}

enum { CHAINS = 4 }; /* sums per token: one alone waits for itself */

/* One set for n tokens; a: its activations. */
Q35I_INLINE void add_set(uint32_t dtype, int n, const uint8_t *set, const q35i_row_book *book, const int32_t *a,
                         __m512i sum[Q35I_ROW_FEW][CHAINS])
{
    __m512i v[16];
    q35i_row_prefetch(dtype, set);
    q35i_row_load_set(dtype, set, v);
    for (int j = 0; j < 8; j++) {
        __m512i first, second;
        if (dtype == Q35_DT_Q60_ROW) {
            first = q35i_row_weight6(v[2 * j]);
            second = q35i_row_weight6(v[2 * j + 1]);
        } else {
            first = q35i_row_lookup(dtype, book->even, v[j]);
            second = q35i_row_lookup(dtype, book->odd, v[j]);
        }
        const int c = n > 2 ? 0 : 2 * (j & 1);
        for (int t = 0; t < n; t++) {
            const int32_t *p = a + 16 * t + 2 * j;
            sum[t][c] = _mm512_dpbusd_epi32(sum[t][c], first, _mm512_set1_epi32(p[0]));
            sum[t][c + 1] = _mm512_dpbusd_epi32(sum[t][c + 1], second, _mm512_set1_epi32(p[1]));
        }
    }
}

Q35I_INLINE __m512i total(int n, const __m512i sum[CHAINS])
{
    __m512i two = _mm512_add_epi32(sum[0], sum[1]);
    return n > 2 ? two : _mm512_add_epi32(two, _mm512_add_epi32(sum[2], sum[3]));
}

Q35I_INLINE void start(int n, const prepared *p, int64_t g, __m512i sum[Q35I_ROW_FEW][CHAINS])
{
    for (int t = 0; t < n; t++) {
        sum[t][0] = _mm512_set1_epi32(p->bias[g * n + t]);
        sum[t][1] = sum[t][2] = sum[t][3] = _mm512_setzero_si512();
    }
}

/* All of K for one tile: out of A8_ROW, or of A8_128 where grouped, in y. */
Q35I_INLINE void tile_sums(uint32_t dtype, int n, int grouped, const prepared *p, const uint8_t *tile,
                           const q35i_row_book *book, __m512 y[Q35I_ROW_FEW])
{
    const uint8_t *set = tile + Q35K_ROW16_HEAD_BYTES;
    const int32_t *a = p->q;
    const int64_t sets_per_group = grouped ? 2 : p->sets;
    __m512i sum[Q35I_ROW_FEW][CHAINS];
    __m512 row = _mm512_loadu_ps((const void *)tile);
    for (int t = 0; t < n; t++)
        y[t] = _mm512_setzero_ps();
    int64_t s = 0;
    for (int64_t g = 0; g < p->groups; g++) {
        start(n, p, g, sum);
        for (int64_t i = 0; i < sets_per_group && s < p->sets;
             i++, s++, set += q35k_row16_set_bytes(dtype), a += 16 * n)
            add_set(dtype, n, set, book, a, sum);
        for (int t = 0; t < n; t++) {
            __m512 scale = _mm512_set1_ps(p->scale[g * n + t]), isum = _mm512_cvtepi32_ps(total(n, sum[t]));
            y[t] = grouped ? _mm512_fmadd_ps(isum, scale, y[t]) : _mm512_mul_ps(_mm512_mul_ps(row, scale), isum);
        }
    }
    for (int t = 0; t < n && grouped; t++)
        y[t] = _mm512_mul_ps(row, y[t]);
}

/* Rows [begin, end) of a call: dtype, n and grouped are constants where this is inlined. */
Q35I_INLINE void tiles(uint32_t dtype, int n, int grouped, const prepared *p, const q35k_weights *w,
                       const q35i_row_book *points, float *out, int64_t rs_out, int64_t begin, int64_t end)
{
    const uint8_t *tile = (const uint8_t *)w->data + begin / Q35I_ROWS * w->rs;
    const q35i_row_book book = *points;
    for (int64_t r = begin; r < end; r += Q35I_ROWS, tile += w->rs) {
        __mmask16 rows = (__mmask16)(end - r >= Q35I_ROWS ? 0xffffu : (1u << (end - r)) - 1u);
        __m512 y[Q35I_ROW_FEW];
        tile_sums(dtype, n, grouped, p, tile, &book, y);
        for (int t = 0; t < n; t++)
            q35i_store_rows((float *)(void *)((uint8_t *)out + t * rs_out) + r, rows, y[t]);
    }
}

Q35I_INLINE void by_tokens(uint32_t dtype, int n, int grouped, const prepared *p, const q35k_weights *w,
                           const q35i_row_book *book, float *out, int64_t rs_out, int64_t begin, int64_t end)
{
    switch (n) {
    case 1: tiles(dtype, 1, grouped, p, w, book, out, rs_out, begin, end); return;
    case 2: tiles(dtype, 2, grouped, p, w, book, out, rs_out, begin, end); return;
    case 3: tiles(dtype, 3, grouped, p, w, book, out, rs_out, begin, end); return;
    default: tiles(dtype, 4, grouped, p, w, book, out, rs_out, begin, end); return;
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

void q35i_row_matvec__avx512(const uint8_t *x, uint32_t act_type, int64_t rs_x, int n_tokens,
                             const q35k_weights *w, const q35i_row_book *book, float *out, int64_t rs_out,
                             int64_t begin, int64_t end, void *prep)
{
    prepared p = prepare(x, act_type, rs_x, n_tokens, w, prep);
    switch (w->dtype) {
    case Q35_DT_Q35_ROW:
        by_scales(Q35_DT_Q35_ROW, n_tokens, &p, act_type, w, book, out, rs_out, begin, end);
        return;
    case Q35_DT_Q40_ROW:
        by_scales(Q35_DT_Q40_ROW, n_tokens, &p, act_type, w, book, out, rs_out, begin, end);
        return;
    default: by_scales(Q35_DT_Q60_ROW, n_tokens, &p, act_type, w, book, out, rs_out, begin, end); return;
    }
}
