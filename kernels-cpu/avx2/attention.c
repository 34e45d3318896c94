/* SPDX-License-Identifier: Apache-2.0
 *
 * ATTENTION with AVX2 and F16C: online softmax over blocks of 64 positions, counted from position 0, in f32, one
 * head at a time. Mirrors q35k_attention__ref.
 */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/simd/avx2_math.h"

#include <math.h>

#define INLINE static inline __attribute__((always_inline))

enum {
    BLOCK = 64,    /* positions per softmax step */
    VALUE_REGS = 8 /* vectors of dimensions per pass over the values */
};

/* The head that is worked on. */
typedef struct head {
    const float *q; /* [dim] */
    float *acc;     /* [dim]: weighted values so far */
    float *w;       /* [BLOCK]: scores of the block, then weights */
    float top, total;
} head;

/* 8 elements of a cache row from dimension d on; those past dim give 0. */
INLINE __m256 load_cache(const uint8_t *row, uint32_t dtype, int64_t d, int64_t dim)
{
    if (dtype == Q35_DT_Q8_0)
        return q35i_load_q8__avx2(row, d);
    if (dtype == Q35_DT_F16)
        return q35i_load_half8__avx2(row + 2 * d, dim - d);
    return _mm256_maskload_ps((const float *)(const void *)(row + 4 * d), q35i_first8(dim - d));
}

INLINE float score(uint32_t dtype, const float *q, const uint8_t *k, int64_t dim)
{
    __m256 sum = _mm256_setzero_ps();
    int64_t d = 0;
    for (; d + 8 <= dim; d += 8)
        sum = _mm256_fmadd_ps(_mm256_loadu_ps(q + d), load_cache(k, dtype, d, d + 8), sum);
    if (d < dim)
        sum = _mm256_fmadd_ps(_mm256_maskload_ps(q + d, q35i_first8(dim - d)), load_cache(k, dtype, d, dim), sum);
    return q35i_sum8__avx2(sum);
}

/* Scores to weights, relative to the largest score so far; what was summed before is scaled to it. w holds whole
 * vectors: scores past n are -inf. */
static void weigh(head *h, int64_t n, int64_t dim)
{
    __m256 top = _mm256_set1_ps(-INFINITY), total = _mm256_setzero_ps();
    for (int64_t p = 0; p < n; p += 8)
        top = _mm256_max_ps(top, _mm256_loadu_ps(h->w + p));
    float largest = q35i_max8__avx2(top);
    largest = h->top > largest ? h->top : largest;
    for (int64_t p = 0; p < n; p += 8) {
        __m256 e = q35i_exp__avx2(_mm256_sub_ps(_mm256_loadu_ps(h->w + p), _mm256_set1_ps(largest)));
        e = _mm256_and_ps(e, _mm256_castsi256_ps(q35i_first8(n - p)));
        _mm256_storeu_ps(h->w + p, e);
        total = _mm256_add_ps(total, e);
    }
    __m256 shrink = q35i_exp__avx2(_mm256_set1_ps(h->top - largest));
    h->top = largest;
    h->total = h->total * _mm256_cvtss_f32(shrink) + q35i_sum8__avx2(total);
    for (int64_t d = 0; d < dim; d += 8) {
        __m256i m = q35i_first8(dim - d);
        _mm256_maskstore_ps(h->acc + d, m, _mm256_mul_ps(_mm256_maskload_ps(h->acc + d, m), shrink));
    }
}

/* acc += weights times values, dimensions d .. d + 8 regs - 1, of which the last vector may be partial. */
INLINE void add_values_part(uint32_t dtype, int regs, const head *h, const uint8_t *v, int64_t row_bytes,
                            int64_t dim, int64_t n, int64_t d)
{
    __m256 sum[VALUE_REGS];
    for (int r = 0; r < regs; r++)
        sum[r] = _mm256_maskload_ps(h->acc + d + 8 * r, q35i_first8(dim - d - 8 * r));
    for (int64_t p = 0; p < n; p++, v += row_bytes)
        for (int r = 0; r < regs; r++) {
            int64_t exist = regs > 1 ? d + 8 * r + 8 : dim;
            sum[r] = _mm256_fmadd_ps(load_cache(v, dtype, d + 8 * r, exist), _mm256_set1_ps(h->w[p]), sum[r]);
        }
    for (int r = 0; r < regs; r++)
        _mm256_maskstore_ps(h->acc + d + 8 * r, q35i_first8(dim - d - 8 * r), sum[r]);
}

INLINE void attend(uint32_t dtype, const float *q, float scale, const q35k_kv *kv, int64_t g, int64_t n_seen,
                   float *out, float *scratch)
{
    int64_t dim = kv->head_dim, row_bytes = (int64_t)q35_row_bytes(dtype, (uint64_t)dim),
            first = g * kv->ctx * row_bytes;
    const uint8_t *k = (const uint8_t *)kv->k + first, *v = (const uint8_t *)kv->v + first;
    head h = {.q = q, .w = scratch, .acc = scratch + BLOCK, .top = -INFINITY};
    memset(h.acc, 0, (size_t)dim * sizeof *h.acc);
    for (int64_t p = 0; p < n_seen; p += BLOCK) {
        int64_t n = n_seen - p < BLOCK ? n_seen - p : BLOCK;
        for (int64_t i = 0; i < n; i++)
            h.w[i] = scale * score(dtype, q, k + (p + i) * row_bytes, dim);
        for (int64_t i = n; i < BLOCK; i++)
            h.w[i] = -INFINITY;
        weigh(&h, n, dim);
        int64_t d = 0;
        for (; d + 8 * VALUE_REGS <= dim; d += 8 * VALUE_REGS)
            add_values_part(dtype, VALUE_REGS, &h, v + p * row_bytes, row_bytes, dim, n, d);
        for (; d < dim; d += 8)
            add_values_part(dtype, 1, &h, v + p * row_bytes, row_bytes, dim, n, d);
    }
    for (int64_t d = 0; d < dim; d += 8) {
        __m256i m = q35i_first8(dim - d);
        _mm256_maskstore_ps(out + d, m, _mm256_div_ps(_mm256_maskload_ps(h.acc + d, m), _mm256_set1_ps(h.total)));
    }
}

void q35k_attention__avx2(const float *q, int64_t rs_q, int64_t n_heads, float scale, const q35k_kv *kv,
                          int64_t pos, float *out, int64_t rs_out, int64_t begin, int64_t end, void *scratch)
{
    int64_t heads_per_kv = n_heads / kv->n_kv_heads;
    for (int64_t i = begin; i < end; i++) {
        int64_t t = i / n_heads, h = i % n_heads, at = h * kv->head_dim;
        const float *q_row = (const float *)(const void *)((const char *)q + t * rs_q) + at;
        float *out_row = (float *)(void *)((char *)out + t * rs_out) + at;
        if (kv->dtype == Q35_DT_F16)
            attend(Q35_DT_F16, q_row, scale, kv, h / heads_per_kv, pos + t + 1, out_row, scratch);
        else if (kv->dtype == Q35_DT_Q8_0)
            attend(Q35_DT_Q8_0, q_row, scale, kv, h / heads_per_kv, pos + t + 1, out_row, scratch);
        else
            attend(Q35_DT_F32, q_row, scale, kv, h / heads_per_kv, pos + t + 1, out_row, scratch);
    }
}
