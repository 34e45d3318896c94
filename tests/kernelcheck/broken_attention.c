/* SPDX-License-Identifier: Apache-2.0
 *
 * Self-test: attention and rope, each with a mistake of its own.
 */
#include "broken.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

typedef enum attention_mistake {
    ATTENTION_GOOD,
    ATTENTION_SEES_FUTURE, /* one position too many, with weight 0 */
    ATTENTION_NO_TABLE,    /* page p of the cache for page p of the sequence */
    ATTENTION_JOINS_OTHERWISE,
    ATTENTION_EIGHT_LANES,
    ATTENTION_LIBRARY_EXP,
    ATTENTION_UNFUSED_VALUES,
    ATTENTION_ONE_SPAN
} attention_mistake;

/* What one token sees. */
typedef struct view {
    const q35k_kv *kv;
    const int32_t *pages; /* NULL: the cache's own order */
    int64_t g, n;
    attention_mistake mistake;
} view;

static float load(const void *cache, const view *s, int64_t p, int64_t d)
{
    int64_t page = s->pages ? s->pages[p / 32] : p / 32;
    int64_t at = q35k_kv_row(s->kv, page * 32 + p % 32, s->g) * s->kv->head_dim + d;
    float block[32];
    if (s->kv->dtype == Q35_DT_Q8_0) {
        q35_block_decode(Q35_DT_Q8_0, (const uint8_t *)cache + at / 32 * 34, NULL, block);
        return block[at % 32];
    }
    return s->kv->dtype == Q35_DT_F32 ? ((const float *)cache)[at] : q35_f16_to_f32(((const uint16_t *)cache)[at]);
}

static float score(const float *q, float scale, const view *s, int64_t p)
{
    float lane[Q35K_LANES] = {0};
    const int64_t n_lanes = s->mistake == ATTENTION_EIGHT_LANES ? 8 : Q35K_LANES;
    for (int64_t d = 0; d < s->kv->head_dim; d++)
        lane[d % n_lanes] = fmaf(q[d], load(s->kv->k, s, p, d), lane[d % n_lanes]);
    return q35k_lanes_sum(lane) * scale;
}

static float weight_of(const view *s, float x)
{
    return s->mistake == ATTENTION_LIBRARY_EXP ? expf(x) : q35k_exp(x);
}

/* Two passes over the scores of positions [from, end): acc [head_dim], and the sum of the weights. */
static float attend_span(const float *q, float scale, const view *s, int64_t from, int64_t end, float *acc,
                         float *top)
{
    float lane[Q35K_LANES] = {0};
    int64_t beyond = s->mistake == ATTENTION_SEES_FUTURE && end == s->n && end % 32 != 0;
    *top = -INFINITY;
    for (int64_t p = from; p < end; p++) {
        float x = score(q, scale, s, p);
        *top = x > *top ? x : *top;
    }
    memset(acc, 0, (size_t)s->kv->head_dim * sizeof *acc);
    for (int64_t p = from; p < end + beyond; p++) {
        float weight = p < end ? weight_of(s, score(q, scale, s, p) - *top) : 0;
        lane[p % Q35K_LANES] += weight;
        for (int64_t d = 0; d < s->kv->head_dim; d++) {
            float value = load(s->kv->v, s, p, d);
            acc[d] =
                s->mistake == ATTENTION_UNFUSED_VALUES ? acc[d] + weight * value : fmaf(value, weight, acc[d]);
        }
    }
    return q35k_lanes_sum(lane);
}

static void attend(const float *q, float scale, const view *s, float *out)
{
    enum { MAX_DIM = 256 };
    const int64_t dim = s->kv->head_dim, length = s->mistake == ATTENTION_ONE_SPAN ? s->n : Q35K_SPAN;
    float acc[MAX_DIM], far_top = 0, far_total = 0;
    for (int64_t from = 0; from < s->n; from += length) {
        float top, total = attend_span(q, scale, s, from, from + length < s->n ? from + length : s->n,
                                       from == 0 ? out : acc, &top);
        const float largest = top > far_top ? top : far_top;
        const float before = q35k_exp(far_top - largest), now = q35k_exp(top - largest);
        for (int64_t d = 0; from > 0 && d < dim; d++)
            out[d] = s->mistake == ATTENTION_JOINS_OTHERWISE ? fmaf(acc[d], now, out[d] * before)
                                                             : out[d] * before + acc[d] * now;
        far_total = from == 0 ? total : far_total * before + total * now;
        far_top = from == 0 ? top : largest;
    }
    for (int64_t d = 0; d < dim; d++)
        out[d] /= far_total;
}

/* Parts leave no records; joining computes everything. */
static void attention(const q35k_attention *a, int64_t begin, int64_t end, const q35k_part *part,
                      attention_mistake m)
{
    const int64_t dim = a->kv->head_dim, group = a->n_heads / a->kv->n_kv_heads;
    for (int64_t i = begin; i < end && !(part && part->first < part->end); i++) {
        int64_t t = i / a->kv->n_kv_heads, g = i % a->kv->n_kv_heads;
        view s = {a->kv, a->pages + a->sequence[t] * a->max_pages, g, (int64_t)a->positions[t] + 1, m};
        if (m == ATTENTION_NO_TABLE)
            s.pages = NULL;
        if (m == ATTENTION_JOINS_OTHERWISE && !part)
            s.mistake = ATTENTION_GOOD;
        for (int64_t h = g * group; h < (g + 1) * group; h++)
            attend(a->q + t * a->rs_q / 4 + h * dim, a->scale, &s, a->out + t * a->rs_out / 4 + h * dim);
    }
}

#define ATTENTION(name, mistake)                                                                                  \
    void name(const q35k_attention *a, int64_t begin, int64_t end, const q35k_part *part, void *scratch)          \
    {                                                                                                             \
        (void)scratch;                                                                                            \
        attention(a, begin, end, part, mistake);                                                                  \
    }
ATTENTION(good_attention, ATTENTION_GOOD)
ATTENTION(sees_future, ATTENTION_SEES_FUTURE)
ATTENTION(ignores_page_table, ATTENTION_NO_TABLE)
ATTENTION(joins_otherwise, ATTENTION_JOINS_OTHERWISE)
ATTENTION(eight_lanes, ATTENTION_EIGHT_LANES)
ATTENTION(library_exp, ATTENTION_LIBRARY_EXP)
ATTENTION(unfused_values, ATTENTION_UNFUSED_VALUES)
ATTENTION(one_span, ATTENTION_ONE_SPAN)

/* What rotate gets wrong, if anything. */
typedef enum rope_mistake { ROPE_GOOD, ROPE_HALVES, ROPE_EXACT_ANGLE, ROPE_UNFUSED } rope_mistake;

/* One head. */
static void rotate(const float *in, float *out, const q35k_rope *rope, int64_t position, rope_mistake m)
{
    float factor = q35k_rope_temperature(rope, position);
    int64_t apart = m == ROPE_HALVES ? rope->n_rot / 2 : 1;
    for (int64_t i = 0; i < rope->n_rot / 2; i++) {
        volatile float rounded = (float)position * rope->inv_freq[i];
        double angle = m == ROPE_EXACT_ANGLE ? (double)position * (double)rope->inv_freq[i] : (double)rounded,
               cosine, sine;
        q35k_sincos(angle, &sine, &cosine);
        int64_t e = apart == 1 ? 2 * i : i;
        float c = (float)cosine, s = (float)sine, a = in[e], b = in[e + apart];
        out[e] = (m == ROPE_UNFUSED ? a * c - b * s : fmaf(a, c, -(b * s))) * factor;
        out[e + apart] = (m == ROPE_UNFUSED ? b * c + a * s : fmaf(b, c, a * s)) * factor;
    }
    for (int64_t d = rope->n_rot; d < rope->head_dim; d++)
        out[d] = in[d] * factor;
}

static void rotate_rows(const float *x, float *y, int64_t rs, const q35k_rope *rope, const int32_t *positions,
                        int64_t begin, int64_t end, rope_mistake m)
{
    for (int64_t t = begin; t < end; t++)
        for (int64_t h = 0; h < rope->n_heads; h++)
            rotate(x + t * rs / 4 + h * rope->head_dim, y + t * rs / 4 + h * rope->head_dim, rope, positions[t],
                   m);
}

#define ROPE(name, mistake)                                                                                       \
    void name(const float *x, float *y, int64_t rs, const q35k_rope *rope, const int32_t *positions,              \
              int64_t begin, int64_t end)                                                                         \
    {                                                                                                             \
        rotate_rows(x, y, rs, rope, positions, begin, end, mistake);                                              \
    }
ROPE(good_rope, ROPE_GOOD)
ROPE(pair_of_halves, ROPE_HALVES) /* rotates (i, i + n_rot / 2), the other convention */
ROPE(exact_angle, ROPE_EXACT_ANGLE)
ROPE(unfused_pairs, ROPE_UNFUSED)

void no_temperature(const float *x, float *y, int64_t rs, const q35k_rope *rope, const int32_t *positions,
                    int64_t begin, int64_t end)
{
    q35k_rope cold = *rope;
    cold.temperature_length = 0;
    rotate_rows(x, y, rs, &cold, positions, begin, end, ROPE_GOOD);
}

/* The factor of the first row for all. */
void temperature_of_first(const float *x, float *y, int64_t rs, const q35k_rope *rope, const int32_t *positions,
                          int64_t begin, int64_t end)
{
    q35k_rope cold = *rope;
    cold.temperature_length = 0;
    float factor = begin < end ? q35k_rope_temperature(rope, positions[begin]) : 1;
    rotate_rows(x, y, rs, &cold, positions, begin, end, ROPE_GOOD);
    for (int64_t t = begin; t < end; t++)
        for (int64_t i = 0; i < rope->n_heads * rope->head_dim; i++)
            y[t * rs / 4 + i] *= factor;
}
