/* SPDX-License-Identifier: Apache-2.0
 *
 * Scores become small integers once, so that merging compares integers. */
#define _GNU_SOURCE /* qsort_r */
#include "runtime/text/order.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KEY_SCORES "tokenizer.ggml.scores"

/* scores: double [n] by id. Highest first, NaN has been ruled out. */
static int by_score(const void *a, const void *b, void *user)
{
    const double *scores = user;
    double x = scores[*(const uint32_t *)a], y = scores[*(const uint32_t *)b];
    return (x < y) - (x > y);
}

static q35_status read_scores(const q35_meta *meta, double *out)
{
    const uint8_t *bytes = meta->data;
    for (uint64_t i = 0; i < meta->count; i++) {
        float f;
        int32_t whole;
        memcpy(&f, bytes + i * sizeof f, sizeof f);
        memcpy(&whole, bytes + i * sizeof whole, sizeof whole);
        out[i] = meta->elem_type == Q35_META_F32 ? (double)f : (double)whole;
        if (isnan(out[i]))
            return Q35_FAIL(Q35_E_FORMAT, "%s[%" PRIu64 "]: NaN, need a number", KEY_SCORES, i);
    }
    return Q35_OK;
}

q35_status q35i_order_by_score(const q35i_vocab *vocab, const q35_model *model, uint32_t **out)
{
    const q35_meta *meta = q35_model_meta(model, KEY_SCORES);
    q35_status status = Q35_OK;
    uint32_t *ids = NULL, *order = NULL;
    double *scores = NULL;
    *out = NULL;
    if (!meta)
        return Q35_FAIL(Q35_E_FORMAT, "%s: missing, need a score per token (or tokenizer.ggml.merges)",
                        KEY_SCORES);
    if (meta->type != Q35_META_ARRAY || (meta->elem_type != Q35_META_F32 && meta->elem_type != Q35_META_I32))
        return Q35_FAIL(Q35_E_FORMAT, "%s: elements of type %" PRIu32 ", need f32 (6) or i32 (5)", KEY_SCORES,
                        meta->elem_type);
    if (meta->count != vocab->n)
        return Q35_FAIL(Q35_E_FORMAT, "%s: %" PRIu64 " elements, need %" PRIu32 " (one per token)", KEY_SCORES,
                        meta->count, vocab->n);
    ids = q35i_calloc(vocab->n, sizeof *ids);
    order = q35i_calloc(vocab->n, sizeof *order);
    scores = q35i_calloc(vocab->n, sizeof *scores);
    Q35_CHECK_ALLOC_GOTO(ids && order && scores, done);
    Q35_TRY_GOTO(read_scores(meta, scores), done);
    for (uint32_t id = 0; id < vocab->n; id++)
        ids[id] = id;
    if (vocab->n > 1)
        qsort_r(ids, vocab->n, sizeof *ids, by_score, scores);
    for (uint32_t i = 1; i < vocab->n; i++)
        order[ids[i]] = order[ids[i - 1]] + (by_score(&ids[i - 1], &ids[i], scores) != 0);
    *out = order;
    order = NULL;
done:
    q35i_free(ids);
    q35i_free(order);
    q35i_free(scores);
    return status;
}
