/* SPDX-License-Identifier: Apache-2.0
 *
 * Reference ATTENTION over a cache [n_kv_heads][ctx][head_dim] of f16, f32 or Q8_0. Formula: Vaswani et
 * al., "Attention Is All You Need" (2017), equation 1, causal, one row at a time; the softmax keeps a running
 * maximum and sum (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018) in double. */
#include "kernels-cpu/kernels_decl.h"

#include <math.h>

/* Element d of a cache row, exactly. */
static double kv_load(const void *base, const q35k_kv *kv, int64_t row, int64_t d)
{
    const uint8_t *at = (const uint8_t *)base + row * (int64_t)q35_row_bytes(kv->dtype, (uint64_t)kv->head_dim);
    if (kv->dtype == Q35_DT_F32)
        return (double)((const float *)(const void *)at)[d];
    if (kv->dtype == Q35_DT_F16)
        return (double)q35_f16_to_f32(((const uint16_t *)(const void *)at)[d]);
    at += d / 32 * 34;
    return (double)q35_f16_to_f32(q35_load_u16(at)) * (int8_t)at[2 + d % 32];
}

/* One query head over positions [0, n_seen) of kv head g. acc: head_dim doubles. */
static void attend(const float *q, float scale, const q35k_kv *kv, int64_t g, int64_t n_seen, float *out,
                   double *acc)
{
    double top = -HUGE_VAL, total = 0;
    for (int64_t d = 0; d < kv->head_dim; d++)
        acc[d] = 0;
    for (int64_t p = 0; p < n_seen; p++) {
        int64_t row = g * kv->ctx + p;
        double score = 0;
        for (int64_t d = 0; d < kv->head_dim; d++)
            score += (double)q[d] * kv_load(kv->k, kv, row, d);
        score *= (double)scale;
        if (score > top) {
            double shrink = exp(top - score);
            total *= shrink;
            for (int64_t d = 0; d < kv->head_dim; d++)
                acc[d] *= shrink;
            top = score;
        }
        double weight = exp(score - top);
        total += weight;
        for (int64_t d = 0; d < kv->head_dim; d++)
            acc[d] += weight * kv_load(kv->v, kv, row, d);
    }
    for (int64_t d = 0; d < kv->head_dim; d++)
        out[d] = (float)(acc[d] / total);
}

void q35k_attention__ref(const float *q, int64_t rs_q, int64_t n_heads, float scale, const q35k_kv *kv,
                         int64_t pos, float *out, int64_t rs_out, int64_t begin, int64_t end, void *scratch)
{
    int64_t heads_per_kv = n_heads / kv->n_kv_heads;
    for (int64_t i = begin; i < end; i++) {
        int64_t t = i / n_heads, h = i % n_heads;
        const float *q_row = (const float *)(const void *)((const char *)q + t * rs_q);
        float *out_row = (float *)(void *)((char *)out + t * rs_out);
        attend(q_row + h * kv->head_dim, scale, kv, h / heads_per_kv, pos + t + 1, out_row + h * kv->head_dim,
               (double *)scratch);
    }
}
