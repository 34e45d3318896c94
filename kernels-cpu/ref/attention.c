/* SPDX-License-Identifier: Apache-2.0
 *
 * Reference ATTENTION over a paged cache of f16, f32 or Q8_0. Formula: Vaswani et al., "Attention Is All You Need"
 * (2017), equation 1, causal, one query head at a time: a softmax of each span of positions, and the spans joined
 * in order by the largest score so far (Milakov and Gimelshein, "Online normalizer calculation for softmax",
 * 2018). */
#include "kernels-cpu/kernels_decl.h"

/* What a span leaves, or several together: weighted values [head_dim], then the largest score and the sum of the
 * weights relative to it. */
typedef struct state {
    float *acc, *top, *total;
} state;

static state state_at(float *at, int64_t head_dim)
{
    return (state){at, at + head_dim, at + head_dim + 1};
}

/* A query head of a token, and what it reads. */
typedef struct query {
    const q35k_kv *kv;
    const float *q;
    const int32_t *pages;
    float scale;
    int64_t g, n_seen; /* kv head; positions */
} query;

static query query_of(const q35k_attention *a, int64_t t, int64_t h)
{
    const q35k_kv *kv = a->kv;
    return (query){.kv = kv,
                   .q = (const float *)(const void *)((const char *)a->q + t * a->rs_q) + h * kv->head_dim,
                   .pages = a->pages + a->sequence[t] * a->max_pages,
                   .scale = a->scale,
                   .g = h / (a->n_heads / kv->n_kv_heads),
                   .n_seen = (int64_t)a->positions[t] + 1};
}

/* Elements of a position in cache `base` (K or V), exactly. */
static void load_row(const query *x, const void *base, int64_t position, float *out)
{
    const q35k_kv *kv = x->kv;
    const int64_t slot = (int64_t)x->pages[position / Q35_KV_PAGE] * Q35_KV_PAGE + position % Q35_KV_PAGE;
    const uint64_t row_bytes = q35_row_bytes(kv->dtype, (uint64_t)kv->head_dim);
    const uint8_t *at = (const uint8_t *)base + (uint64_t)q35k_kv_row(kv, slot, x->g) * row_bytes;
    for (int64_t d = 0; d < kv->head_dim; d++) {
        if (kv->dtype == Q35_DT_F32)
            memcpy(&out[d], at + 4 * d, sizeof out[d]);
        else if (kv->dtype == Q35_DT_F16)
            out[d] = q35_f16_to_f32(q35_load_u16(at + 2 * d));
        else
            out[d] = q35_f16_to_f32(q35_load_u16(at + d / 32 * 34)) * (float)(int8_t)at[d / 32 * 34 + 2 + d % 32];
    }
}

static float score_of(const query *x, const float *key)
{
    float lane[Q35K_LANES] = {0};
    for (int64_t d = 0; d < x->kv->head_dim; d++)
        lane[d % Q35K_LANES] = fmaf(x->q[d], key[d], lane[d % Q35K_LANES]);
    return q35k_lanes_sum(lane) * x->scale;
}

/* What x sees of a span. scratch [Q35K_SPAN + head_dim] */
static void attend_span(const query *x, int64_t span, state s, float *scratch)
{
    const int64_t first = span * Q35K_SPAN, dim = x->kv->head_dim;
    const int64_t n = x->n_seen - first < Q35K_SPAN ? x->n_seen - first : Q35K_SPAN;
    float *w = scratch, *row = scratch + Q35K_SPAN, lane[Q35K_LANES] = {0};
    *s.top = -INFINITY;
    for (int64_t p = 0; p < n; p++) {
        load_row(x, x->kv->k, first + p, row);
        w[p] = score_of(x, row);
        *s.top = w[p] > *s.top ? w[p] : *s.top;
    }
    memset(s.acc, 0, (size_t)dim * sizeof(float));
    for (int64_t p = 0; p < n; p++) {
        w[p] = q35k_exp(w[p] - *s.top);
        lane[p % Q35K_LANES] += w[p];
        load_row(x, x->kv->v, first + p, row);
        for (int64_t d = 0; d < dim; d++)
            s.acc[d] = fmaf(row[d], w[p], s.acc[d]);
    }
    *s.total = q35k_lanes_sum(lane);
}

static void join_span(state far, state span, int64_t head_dim)
{
    const float largest = *span.top > *far.top ? *span.top : *far.top;
    const float before = q35k_exp(*far.top - largest), now = q35k_exp(*span.top - largest);
    for (int64_t d = 0; d < head_dim; d++)
        far.acc[d] = far.acc[d] * before + span.acc[d] * now;
    *far.total = *far.total * before + *span.total * now;
    *far.top = largest;
}

/* All that x sees, to out [head_dim]; the spans' states are at `records`, `apart` floats apart, or not known
 * (NULL). scratch [2 (head_dim + 2) + Q35K_SPAN + head_dim] */
static void attend(const query *x, float *records, int64_t apart, float *out, float *scratch)
{
    const int64_t dim = x->kv->head_dim, size = dim + 2;
    state far = state_at(scratch, dim);
    for (int64_t span = 0; span < q35k_n_spans(x->n_seen - 1); span++) {
        state one = state_at(records ? records + span * apart : scratch + size, dim);
        if (!records)
            attend_span(x, span, one, scratch + 2 * size);
        if (span == 0)
            memcpy(scratch, one.acc, (size_t)size * sizeof(float));
        else
            join_span(far, one, dim);
    }
    for (int64_t d = 0; d < dim; d++)
        out[d] = far.acc[d] / *far.total;
}

void q35k_attention__ref(const q35k_attention *a, int64_t begin, int64_t end, const q35k_part *part, void *scratch)
{
    const int64_t dim = a->kv->head_dim, group = a->n_heads / a->kv->n_kv_heads;
    const int64_t record = (int64_t)(q35k_record_bytes(dim) / sizeof(float));
    for (int64_t item = begin; item < end; item++) {
        const int64_t t = item / a->kv->n_kv_heads, g = item % a->kv->n_kv_heads;
        for (int64_t i = 0; i < group; i++) {
            const query x = query_of(a, t, g * group + i);
            float *out = (float *)(void *)((char *)a->out + t * a->rs_out) + (g * group + i) * dim;
            float *records = part ? (float *)part->records + i * record : NULL;
            for (int64_t span = part ? part->first : 0; part && span < part->end; span++)
                attend_span(&x, span, state_at(records + span * group * record, dim), scratch);
            if (!part || part->first == part->end)
                attend(&x, records, group * record, out, scratch);
        }
    }
}
