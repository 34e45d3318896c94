/* SPDX-License-Identifier: Apache-2.0
 *
 * One worker's share of ATTENTION. The items (token, kv head) are laid end to end by the positions they see and
 * cut into equal lengths. Where a few long items make up the work, they are cut between two spans of positions:
 * each worker then leaves records of its spans, and after a barrier the one that has the item's beginning joins
 * them. A cut changes no bit (kernels.h). */
#include "plugins/cpu/cpu.h"

/* A place in the work: before span `span` of item `item`. */
typedef struct cut {
    int64_t item, span;
} cut;

typedef struct work {
    q35k_attention a;
    int64_t n_tokens, total; /* positions that all items see */
    uint32_t n_workers;
    bool inside; /* may a cut be inside of an item? */
} work;

static int64_t seen(const work *w, int64_t token)
{
    return (int64_t)w->a.positions[token] + 1;
}

static work work_of(const q35_plan *plan, const q35i_cpu_step *step, uint32_t n_workers)
{
    const q35i_cpu_tensor *q = &plan->tensors[step->in[0]], *out = &plan->tensors[step->out[0]];
    const q35i_cpu_tensor *pages = &plan->tensors[step->in[5]];
    work w = {.a = {.q = (const float *)(const void *)q->base,
                    .out = (float *)(void *)out->base,
                    .rs_q = q->desc.stride[1],
                    .rs_out = out->desc.stride[1],
                    .n_heads = step->n_heads,
                    .scale = step->scale,
                    .kv = &step->kv,
                    .positions = (const int32_t *)(const void *)plan->tensors[step->in[3]].base,
                    .sequence = (const int32_t *)(const void *)plan->tensors[step->in[4]].base,
                    .pages = (const int32_t *)(const void *)pages->base,
                    .max_pages = pages->desc.stride[1] / (int64_t)sizeof(int32_t)},
              .n_tokens = q35i_cpu_rows(plan, &q->desc),
              .n_workers = n_workers};
    int64_t longest = 0;
    for (int64_t t = 0; t < w.n_tokens; t++) {
        w.total += seen(&w, t) * step->kv.n_kv_heads;
        longest = seen(&w, t) > longest ? seen(&w, t) : longest;
    }
    /* The longest item is more than an eighth of a worker's share. */
    w.inside = n_workers > 1 && longest > Q35K_SPAN && 8 * longest * n_workers > w.total;
    return w;
}

/* Where worker `index` begins: the place nearest to its part of the whole. */
static cut cut_at(const work *w, uint32_t index)
{
    const int64_t n_kv_heads = w->a.kv->n_kv_heads;
    int64_t goal = w->total * index / w->n_workers, t = 0;
    while (t < w->n_tokens && goal >= seen(w, t) * n_kv_heads) {
        goal -= seen(w, t) * n_kv_heads;
        t++;
    }
    if (t == w->n_tokens)
        return (cut){t * n_kv_heads, 0};
    const int64_t unit = w->inside ? Q35K_SPAN : seen(w, t), item = t * n_kv_heads + goal / seen(w, t);
    const int64_t span = (goal % seen(w, t) + unit / 2) / unit, n = w->inside ? q35k_n_spans(seen(w, t) - 1) : 1;
    return span < n ? (cut){item, span} : (cut){item + 1, 0};
}

/* Records of the item in which worker `index` begins. They belong to the first worker that begins inside of it. */
static void *records_at(const q35_plan *plan, const work *w, uint32_t index)
{
    const int64_t item = cut_at(w, index).item;
    while (index > 1 && cut_at(w, index - 1).item == item && cut_at(w, index - 1).span > 0)
        index--;
    return plan->records + (index - 1) * plan->record_stride;
}

void q35i_cpu_run_attention(const q35_plan *plan, const q35i_cpu_step *step, uint32_t worker, uint32_t n_workers,
                            q35_team *team)
{
    const work w = work_of(plan, step, n_workers);
    const cut begin = cut_at(&w, worker), end = cut_at(&w, worker + 1);
    q35k_attention_fn *kernel = plan->dev->kernels.attention;
    void *scratch = plan->scratch + worker * plan->scratch_stride;
    int64_t item = begin.item;
    if (begin.span > 0) {
        int64_t n = q35k_n_spans(w.a.positions[item / w.a.kv->n_kv_heads]);
        const q35k_part rest = {records_at(plan, &w, worker), begin.span, end.item == item ? end.span : n};
        if (rest.first < rest.end)
            kernel(&w.a, item, item + 1, &rest, scratch);
        item++;
    }
    if (item < end.item)
        kernel(&w.a, item, end.item, NULL, scratch);
    const bool shares = end.span > 0 && item <= end.item;
    q35k_part part = {shares ? records_at(plan, &w, worker + 1) : NULL, 0, end.span};
    if (shares)
        kernel(&w.a, end.item, end.item + 1, &part, scratch);
    if (!w.inside)
        return;
    q35p_host->barrier(team);
    part.end = 0;
    if (shares)
        kernel(&w.a, end.item, end.item + 1, &part, scratch);
}
