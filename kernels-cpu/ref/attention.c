/* SPDX-License-Identifier: Apache-2.0
 *
 * Reference ATTENTION over a paged cache of f16, f32 or Q8_0. Formula: Vaswani et al., "Attention Is All You Need"
 * (2017), equation 1, causal, one query head at a time; the softmax keeps a running maximum and sum (Milakov and
 * Gimelshein, "Online normalizer calculation for softmax", 2018) in double: within a span of positions, and over
 * the spans in order. */
#include "kernels-cpu/kernels_decl.h"

#include <math.h>

/* Weighted values [head_dim], then the largest score and the sum of the weights relative to it. */
typedef struct state {
    double *acc, *top, *total;
} state;

static state state_at(double *at, int64_t head_dim)
{
    return (state){at, at + head_dim, at + head_dim + 1};
}

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

static void clear(state s, int64_t head_dim)
{
    memset(s.acc, 0, (size_t)head_dim * sizeof(double));
    *s.top = -HUGE_VAL;
    *s.total = 0;
}

/* Scales what s has so that `score` is the largest, if it is. */
static void raise_top(state s, double score, int64_t head_dim)
{
    if (!(score > *s.top))
        return;
    double shrink = exp(*s.top - score);
    *s.total *= shrink;
    for (int64_t d = 0; d < head_dim; d++)
        s.acc[d] *= shrink;
    *s.top = score;
}

/* Query head h of token t over what it sees of a span. */
static void attend_span(const q35k_attention *a, int64_t t, int64_t h, int64_t span, state s)
{
    const q35k_kv *kv = a->kv;
    const int64_t g = h / (a->n_heads / kv->n_kv_heads), seen = (int64_t)a->positions[t] + 1,
                  end = (span + 1) * Q35K_SPAN;
    const float *q = (const float *)(const void *)((const char *)a->q + t * a->rs_q) + h * kv->head_dim;
    const int32_t *pages = a->pages + a->sequence[t] * a->max_pages;
    clear(s, kv->head_dim);
    for (int64_t p = span * Q35K_SPAN; p < end && p < seen; p++) {
        int64_t slot = (int64_t)pages[p / Q35_KV_PAGE] * Q35_KV_PAGE + p % Q35_KV_PAGE;
        int64_t row = q35k_kv_row(kv, slot, g);
        double score = 0;
        for (int64_t d = 0; d < kv->head_dim; d++)
            score += (double)q[d] * kv_load(kv->k, kv, row, d);
        score *= (double)a->scale;
        raise_top(s, score, kv->head_dim);
        double weight = exp(score - *s.top);
        *s.total += weight;
        for (int64_t d = 0; d < kv->head_dim; d++)
            s.acc[d] += weight * kv_load(kv->v, kv, row, d);
    }
}

static void join_span(state s, state span, int64_t head_dim)
{
    raise_top(s, *span.top, head_dim);
    double shrink = exp(*span.top - *s.top);
    *s.total += *span.total * shrink;
    for (int64_t d = 0; d < head_dim; d++)
        s.acc[d] += span.acc[d] * shrink;
}

/* Query head h of an item, its records [spans] at `records` and `apart` doubles apart, or NULL. */
static void attend(const q35k_attention *a, int64_t t, int64_t h, double *records, int64_t apart, double *scratch)
{
    const int64_t dim = a->kv->head_dim;
    float *out = (float *)(void *)((char *)a->out + t * a->rs_out) + h * dim;
    state all = state_at(scratch, dim);
    clear(all, dim);
    for (int64_t span = 0; span < q35k_n_spans(a->positions[t]); span++) {
        state one = state_at(records ? records + span * apart : scratch + dim + 2, dim);
        if (!records)
            attend_span(a, t, h, span, one);
        join_span(all, one, dim);
    }
    for (int64_t d = 0; d < dim; d++)
        out[d] = (float)(all.acc[d] / *all.total);
}

void q35k_attention__ref(const q35k_attention *a, int64_t begin, int64_t end, const q35k_part *part, void *scratch)
{
    const int64_t group = a->n_heads / a->kv->n_kv_heads, record = a->kv->head_dim + 2;
    for (int64_t item = begin; item < end; item++) {
        int64_t t = item / a->kv->n_kv_heads, g = item % a->kv->n_kv_heads;
        for (int64_t i = 0; i < group; i++) {
            double *records = part ? (double *)part->records + i * record : NULL;
            for (int64_t span = part ? part->first : 0; part && span < part->end; span++)
                attend_span(a, t, g * group + i, span, state_at(records + span * group * record, a->kv->head_dim));
            if (!part || part->first == part->end)
                attend(a, t, g * group + i, records, group * record, scratch);
        }
    }
}
