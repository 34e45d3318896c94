/* SPDX-License-Identifier: Apache-2.0
 *
 * ATTENTION with AVX-512: online softmax over blocks of 64 positions, counted from position 0, in f32. Up to four
 * neighbouring heads of one token that share a kv head go through the cache together, so that it is read and
 * converted once; each of them sees the operations it would see alone. Mirrors q35k_attention__ref.
 * Scores: 16 positions give 16 vectors of partial products, added crosswise to one vector. Values: 64 dimensions
 * of four heads in 16 registers, positions in order.
 */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/simd/avx512_math.h"

#include <math.h>

#define INLINE static inline __attribute__((always_inline))

enum {
    MAX_HEADS = 4,
    BLOCK = 64,    /* positions per softmax step */
    VALUE_REGS = 4 /* vectors of dimensions per pass over the values */
};

/* Heads that are worked on together. */
typedef struct heads {
    const float *q;    /* [heads][dim] */
    float *acc;        /* [heads][dim]: weighted values so far */
    float (*w)[BLOCK]; /* [heads]: scores of the block, then weights */
    float top[MAX_HEADS], total[MAX_HEADS];
} heads;

/* Elements d .. d + 15 (d a multiple of 16) of a row of Q8_0 blocks. */
INLINE __m512 load_q8(const uint8_t *row, int64_t d)
{
    const uint8_t *block = row + d / 32 * 34;
    __m128i codes = _mm_loadu_si128((const __m128i *)(const void *)(block + 2 + d % 32));
    __m512 scale = _mm512_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(block[0] | block[1] << 8)));
    return _mm512_mul_ps(scale, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes)));
}

/* 16 elements of a cache row from dimension d on; m: those that exist. */
INLINE __m512 load_cache(const uint8_t *row, uint32_t dtype, int64_t d, __mmask16 m)
{
    if (dtype == Q35_DT_Q8_0)
        return load_q8(row, d);
    if (dtype == Q35_DT_F16)
        return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(m, (const void *)(row + 2 * d)));
    return _mm512_maskz_loadu_ps(m, (const void *)(row + 4 * d));
}

/* Lane i of the result: the sum of the lanes of v[i]. */
INLINE __m512 sum_across(const __m512 v[16])
{
    __m512 a[8], b[4];
    for (int i = 0; i < 8; i++)
        a[i] =
            _mm512_add_ps(_mm512_unpacklo_ps(v[2 * i], v[2 * i + 1]), _mm512_unpackhi_ps(v[2 * i], v[2 * i + 1]));
    for (int i = 0; i < 4; i++) {
        __m512d x = _mm512_castps_pd(a[2 * i]), y = _mm512_castps_pd(a[2 * i + 1]);
        b[i] =
            _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)), _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
    }
    /* b[i], quarter q: partial sums of v[4 i .. 4 i + 3]. Quarters are added crosswise. */
    __m512 x = _mm512_add_ps(_mm512_shuffle_f32x4(b[0], b[1], 0x88), _mm512_shuffle_f32x4(b[0], b[1], 0xdd));
    __m512 y = _mm512_add_ps(_mm512_shuffle_f32x4(b[2], b[3], 0x88), _mm512_shuffle_f32x4(b[2], b[3], 0xdd));
    return _mm512_add_ps(_mm512_shuffle_f32x4(x, y, 0x88), _mm512_shuffle_f32x4(x, y, 0xdd));
}

/* Scores of n <= 16 positions from row k on, to w[.][at ..]; those past n become -inf. */
INLINE void score16(int n_heads, uint32_t dtype, const heads *h, float scale, const uint8_t *k, int64_t row_bytes,
                    int64_t dim, int64_t n, int64_t at)
{
    __m512 v[MAX_HEADS][16];
    for (int64_t p = 0; p < 16; p++, k += row_bytes) {
        __m512 sum[MAX_HEADS];
        for (int i = 0; i < n_heads; i++)
            sum[i] = _mm512_setzero_ps();
        for (int64_t d = 0; d < dim && p < n; d += 16) {
            __mmask16 m = q35i_first16(dim - d);
            __m512 x = load_cache(k, dtype, d, m);
            for (int i = 0; i < n_heads; i++)
                sum[i] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(m, h->q + i * dim + d), x, sum[i]);
        }
        for (int i = 0; i < n_heads; i++)
            v[i][p] = sum[i];
    }
    for (int i = 0; i < n_heads; i++) {
        __m512 s = _mm512_mul_ps(sum_across(v[i]), _mm512_set1_ps(scale));
        s = _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), q35i_first16(n), s);
        _mm512_storeu_ps(h->w[i] + at, s);
    }
}

/* Scores of head i to weights, relative to the largest score so far; what was summed before is scaled to it. */
INLINE void weigh(heads *h, int i, int64_t n, int64_t dim)
{
    float *w = h->w[i];
    __m512 top = _mm512_set1_ps(-INFINITY), total = _mm512_setzero_ps();
    for (int64_t p = 0; p < n; p += 16)
        top = _mm512_max_ps(top, _mm512_loadu_ps(w + p));
    float largest = q35i_max16__avx512(top);
    largest = h->top[i] > largest ? h->top[i] : largest;
    for (int64_t p = 0; p < n; p += 16) {
        __m512 e = q35i_exp__avx512(_mm512_sub_ps(_mm512_loadu_ps(w + p), _mm512_set1_ps(largest)));
        e = _mm512_maskz_mov_ps(q35i_first16(n - p), e);
        _mm512_storeu_ps(w + p, e);
        total = _mm512_add_ps(total, e);
    }
    __m512 shrink = q35i_exp__avx512(_mm512_set1_ps(h->top[i] - largest));
    h->top[i] = largest;
    h->total[i] = h->total[i] * _mm512_cvtss_f32(shrink) + q35i_sum16__avx512(total);
    for (int64_t d = 0; d < dim; d += 16) {
        __mmask16 m = q35i_first16(dim - d);
        float *acc = h->acc + i * dim + d;
        _mm512_mask_storeu_ps(acc, m, _mm512_mul_ps(_mm512_maskz_loadu_ps(m, acc), shrink));
    }
}

/* acc += weights times values, n positions from row v on. Vectors d .. d + 16 regs - 1; the last one may be
 * partial. */
INLINE void add_values_part(int n_heads, uint32_t dtype, int regs, const heads *h, const uint8_t *v,
                            int64_t row_bytes, int64_t dim, int64_t n, int64_t d)
{
    __mmask16 m[VALUE_REGS];
    __m512 sum[MAX_HEADS][VALUE_REGS];
    for (int r = 0; r < regs; r++) {
        m[r] = q35i_first16(dim - d - 16 * r);
        for (int i = 0; i < n_heads; i++)
            sum[i][r] = _mm512_maskz_loadu_ps(m[r], h->acc + i * dim + d + 16 * r);
    }
    for (int64_t p = 0; p < n; p++, v += row_bytes)
        for (int r = 0; r < regs; r++) {
            __m512 x = load_cache(v, dtype, d + 16 * r, m[r]);
            for (int i = 0; i < n_heads; i++)
                sum[i][r] = _mm512_fmadd_ps(x, _mm512_set1_ps(h->w[i][p]), sum[i][r]);
        }
    for (int r = 0; r < regs; r++)
        for (int i = 0; i < n_heads; i++)
            _mm512_mask_storeu_ps(h->acc + i * dim + d + 16 * r, m[r], sum[i][r]);
}

INLINE void add_values(int n_heads, uint32_t dtype, const heads *h, const uint8_t *v, int64_t row_bytes,
                       int64_t dim, int64_t n)
{
    int64_t d = 0;
    for (; d + 16 * VALUE_REGS <= dim; d += 16 * VALUE_REGS)
        add_values_part(n_heads, dtype, VALUE_REGS, h, v, row_bytes, dim, n, d);
    for (; d < dim; d += 16)
        add_values_part(n_heads, dtype, 1, h, v, row_bytes, dim, n, d);
}

/* n_heads heads that share kv head g, over positions [0, n_seen). */
INLINE void attend(int n_heads, uint32_t dtype, const float *q, float scale, const q35k_kv *kv, int64_t g,
                   int64_t n_seen, float *out, uint8_t *scratch)
{
    int64_t dim = kv->head_dim, row_bytes = (int64_t)q35_row_bytes(dtype, (uint64_t)dim),
            first = g * kv->ctx * row_bytes;
    const uint8_t *k = (const uint8_t *)kv->k + first, *v = (const uint8_t *)kv->v + first;
    heads h = {.q = q,
               .w = (float(*)[BLOCK])(void *)scratch,
               .acc = (float *)(void *)(scratch + sizeof(float[MAX_HEADS][BLOCK]))};
    for (int i = 0; i < n_heads; i++)
        h.top[i] = -INFINITY;
    memset(h.acc, 0, (size_t)(n_heads * dim) * sizeof(float));
    for (int64_t p = 0; p < n_seen; p += BLOCK) {
        int64_t n = n_seen - p < BLOCK ? n_seen - p : BLOCK;
        for (int64_t s = 0; s < n; s += 16)
            score16(n_heads, dtype, &h, scale, k + (p + s) * row_bytes, row_bytes, dim, n - s, s);
        for (int i = 0; i < n_heads; i++)
            weigh(&h, i, n, dim);
        add_values(n_heads, dtype, &h, v + p * row_bytes, row_bytes, dim, n);
    }
    for (int i = 0; i < n_heads; i++)
        for (int64_t d = 0; d < dim; d += 16) {
            __mmask16 m = q35i_first16(dim - d);
            __m512 sum = _mm512_maskz_loadu_ps(m, h.acc + i * dim + d);
            _mm512_mask_storeu_ps(out + i * dim + d, m, _mm512_div_ps(sum, _mm512_set1_ps(h.total[i])));
        }
}

/* n_heads (1..4) as a constant, and the type of the cache as one. */
INLINE void attend_n(int n_heads, uint32_t dtype, const float *q, float scale, const q35k_kv *kv, int64_t g,
                     int64_t n_seen, float *out, uint8_t *scratch)
{
    switch (n_heads) {
    case 1: attend(1, dtype, q, scale, kv, g, n_seen, out, scratch); return;
    case 2: attend(2, dtype, q, scale, kv, g, n_seen, out, scratch); return;
    case 3: attend(3, dtype, q, scale, kv, g, n_seen, out, scratch); return;
    default: attend(4, dtype, q, scale, kv, g, n_seen, out, scratch); return;
    }
}

void q35k_attention__avx512(const float *q, int64_t rs_q, int64_t n_heads, float scale, const q35k_kv *kv,
                            int64_t pos, float *out, int64_t rs_out, int64_t begin, int64_t end, void *scratch)
{
    int64_t heads_per_kv = n_heads / kv->n_kv_heads;
    for (int64_t i = begin, n; i < end; i += n) {
        int64_t t = i / n_heads, head = i % n_heads, g = head / heads_per_kv;
        n = (g + 1) * heads_per_kv - head;
        n = n < end - i ? n : end - i;
        n = n < MAX_HEADS ? n : MAX_HEADS;
        const float *q_row = (const float *)(const void *)((const char *)q + t * rs_q);
        float *out_row = (float *)(void *)((char *)out + t * rs_out);
        q_row += head * kv->head_dim;
        out_row += head * kv->head_dim;
        if (kv->dtype == Q35_DT_F16)
            attend_n((int)n, Q35_DT_F16, q_row, scale, kv, g, pos + t + 1, out_row, scratch);
        else if (kv->dtype == Q35_DT_Q8_0)
            attend_n((int)n, Q35_DT_Q8_0, q_row, scale, kv, g, pos + t + 1, out_row, scratch);
        else
            attend_n((int)n, Q35_DT_F32, q_row, scale, kv, g, pos + t + 1, out_row, scratch);
    }
}
