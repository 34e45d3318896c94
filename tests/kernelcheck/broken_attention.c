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
    ATTENTION_JOINS_OTHERWISE
} attention_mistake;

/* What one token sees. */
typedef struct view {
    const q35k_kv *kv;
    const int32_t *pages; /* NULL: the cache's own order */
    int64_t g, n;
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
    float sum = 0;
    for (int64_t d = 0; d < s->kv->head_dim; d++)
        sum += q[d] * load(s->kv->k, s, p, d);
    return sum * scale;
}

/* Two passes over the scores; the second from the last position where `backwards`. */
static void attend(const float *q, float scale, const view *s, int64_t beyond, bool backwards, float *out)
{
    float top = -INFINITY, total = 0;
    int64_t n = s->n + beyond;
    for (int64_t p = 0; p < s->n; p++) {
        float x = score(q, scale, s, p);
        top = x > top || isnan(x) ? x : top;
    }
    memset(out, 0, (size_t)s->kv->head_dim * sizeof *out);
    for (int64_t i = 0; i < n; i++) {
        int64_t p = backwards ? n - 1 - i : i;
        float weight = p < s->n ? expf(score(q, scale, s, p) - top) : 0;
        total += weight;
        for (int64_t d = 0; d < s->kv->head_dim; d++)
            out[d] += weight * load(s->kv->v, s, p, d);
    }
    for (int64_t d = 0; d < s->kv->head_dim; d++)
        out[d] /= total;
}

/* Parts leave no records; joining computes everything. */
static void attention(const q35k_attention *a, int64_t begin, int64_t end, const q35k_part *part,
                      attention_mistake m)
{
    const int64_t dim = a->kv->head_dim, group = a->n_heads / a->kv->n_kv_heads;
    for (int64_t i = begin; i < end && !(part && part->first < part->end); i++) {
        int64_t t = i / a->kv->n_kv_heads, g = i % a->kv->n_kv_heads;
        view s = {a->kv, a->pages + a->sequence[t] * a->max_pages, g, (int64_t)a->positions[t] + 1};
        bool room = s.n % 32 != 0;
        if (m == ATTENTION_NO_TABLE)
            s.pages = NULL;
        for (int64_t h = g * group; h < (g + 1) * group; h++)
            attend(a->q + t * a->rs_q / 4 + h * dim, a->scale, &s, m == ATTENTION_SEES_FUTURE && room,
                   part && m == ATTENTION_JOINS_OTHERWISE, a->out + t * a->rs_out / 4 + h * dim);
    }
}

void good_attention(const q35k_attention *a, int64_t begin, int64_t end, const q35k_part *part, void *scratch)
{
    (void)scratch;
    attention(a, begin, end, part, ATTENTION_GOOD);
}

void sees_future(const q35k_attention *a, int64_t begin, int64_t end, const q35k_part *part, void *scratch)
{
    (void)scratch;
    attention(a, begin, end, part, ATTENTION_SEES_FUTURE);
}

void ignores_page_table(const q35k_attention *a, int64_t begin, int64_t end, const q35k_part *part, void *scratch)
{
    (void)scratch;
    attention(a, begin, end, part, ATTENTION_NO_TABLE);
}

void joins_otherwise(const q35k_attention *a, int64_t begin, int64_t end, const q35k_part *part, void *scratch)
{
    (void)scratch;
    attention(a, begin, end, part, ATTENTION_JOINS_OTHERWISE);
}

/* One head, with its pairs `apart` elements apart. exact: the angle is not rounded. */
static void rotate(const float *in, float *out, const q35k_rope *rope, int64_t position, int64_t apart, bool exact)
{
    float factor = q35k_rope_temperature(rope, position);
    for (int64_t i = 0; i < rope->n_rot / 2; i++) {
        volatile float rounded = (float)position * rope->inv_freq[i];
        double angle = exact ? (double)position * (double)rope->inv_freq[i] : (double)rounded;
        int64_t e = apart == 1 ? 2 * i : i;
        float c = (float)cos(angle), s = (float)sin(angle), a = in[e], b = in[e + apart];
        out[e] = (a * c - b * s) * factor;
        out[e + apart] = (a * s + b * c) * factor;
    }
    for (int64_t d = rope->n_rot; d < rope->head_dim; d++)
        out[d] = in[d] * factor;
}

static void rotate_rows(const float *x, float *y, int64_t rs, const q35k_rope *rope, const int32_t *positions,
                        int64_t begin, int64_t end, int64_t apart, bool exact)
{
    for (int64_t t = begin; t < end; t++)
        for (int64_t h = 0; h < rope->n_heads; h++)
            rotate(x + t * rs / 4 + h * rope->head_dim, y + t * rs / 4 + h * rope->head_dim, rope, positions[t],
                   apart, exact);
}

void good_rope(const float *x, float *y, int64_t rs, const q35k_rope *rope, const int32_t *positions,
               int64_t begin, int64_t end)
{
    rotate_rows(x, y, rs, rope, positions, begin, end, 1, false);
}

/* Rotates (i, i + n_rot / 2), the other convention. */
void pair_of_halves(const float *x, float *y, int64_t rs, const q35k_rope *rope, const int32_t *positions,
                    int64_t begin, int64_t end)
{
    rotate_rows(x, y, rs, rope, positions, begin, end, rope->n_rot / 2, false);
}

void exact_angle(const float *x, float *y, int64_t rs, const q35k_rope *rope, const int32_t *positions,
                 int64_t begin, int64_t end)
{
    rotate_rows(x, y, rs, rope, positions, begin, end, 1, true);
}

void no_temperature(const float *x, float *y, int64_t rs, const q35k_rope *rope, const int32_t *positions,
                    int64_t begin, int64_t end)
{
    q35k_rope cold = *rope;
    cold.temperature_length = 0;
    rotate_rows(x, y, rs, &cold, positions, begin, end, 1, false);
}

/* The factor of the first row for all. */
void temperature_of_first(const float *x, float *y, int64_t rs, const q35k_rope *rope, const int32_t *positions,
                          int64_t begin, int64_t end)
{
    q35k_rope cold = *rope;
    cold.temperature_length = 0;
    float factor = begin < end ? q35k_rope_temperature(rope, positions[begin]) : 1;
    rotate_rows(x, y, rs, &cold, positions, begin, end, 1, false);
    for (int64_t t = begin; t < end; t++)
        for (int64_t i = 0; i < rope->n_heads * rope->head_dim; i++)
            y[t * rs / 4 + i] *= factor;
}
