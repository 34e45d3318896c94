/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps of a session: what is to be appended is checked, given pages of the KV cache, and run; a failure gives the
 * pages back. q35_session_eval is the same for one sequence, in as many steps as it takes. */
#include "runtime/session/session.h"

#include "runtime/base/error.h"
#include "runtime/base/size.h"

#include <float.h>
#include <math.h>
#include <string.h>

static q35_status check_entry(const q35_session *s, const q35_session_entry *e)
{
    Q35_TRY(q35i_session_check_sequence(s, e->sequence));
    const uint32_t in_use = s->pages.sequences[e->sequence].n_tokens;
    if (e->n == 0)
        return Q35_FAIL(Q35_E_INVALID, "step: 0 tokens, need at least 1");
    if (e->n > s->options.n_ctx - in_use)
        return Q35_FAIL(Q35_E_NOFIT, "context: %u tokens in use and %u to add, holds %u", in_use, e->n,
                        s->options.n_ctx);
    for (uint32_t i = 0; i < e->n; i++)
        if (e->ids[i] < 0 || (uint32_t)e->ids[i] >= s->config.vocab)
            return Q35_FAIL(Q35_E_RANGE, "token %u: id %d, need 0 to %u", i, e->ids[i], s->config.vocab - 1);
    return Q35_OK;
}

static q35_status check_step(const q35_session *s, const q35_session_entry *entries, uint32_t n_entries)
{
    uint64_t n_tokens = 0;
    if (n_entries == 0 || n_entries > s->options.n_sequences)
        return Q35_FAIL(Q35_E_INVALID, "step: %u entries, need 1 to %u", n_entries, s->options.n_sequences);
    for (uint32_t i = 0; i < n_entries; i++) {
        Q35_TRY(check_entry(s, &entries[i]));
        n_tokens += entries[i].n;
        for (uint32_t j = 0; j < i; j++)
            if (entries[j].sequence == entries[i].sequence)
                return Q35_FAIL(Q35_E_INVALID, "step: entries %u and %u are both of sequence %u, need one of each",
                                j, i, entries[i].sequence);
    }
    if (n_tokens > s->options.max_chunk)
        return Q35_FAIL(Q35_E_INVALID, "step: %llu tokens, at most %u", (unsigned long long)n_tokens,
                        s->options.max_chunk);
    return Q35_OK;
}

/* ------------------------------------------------------------------ pages */

static void take_back(q35_session *s, const q35_session_entry *entries, uint32_t n_entries)
{
    while (n_entries-- > 0)
        q35i_pages_undo(&s->pages, entries[n_entries].sequence, &s->appends[n_entries]);
}

/* With nothing taken yet. */
static q35_status no_room(const q35_session *s, const q35_session_entry *entries, uint32_t n_entries)
{
    uint64_t wanted = 0, fit = (uint64_t)s->pages.n_free * Q35_KV_PAGE;
    for (uint32_t i = 0; i < n_entries; i++) {
        wanted += entries[i].n;
        fit += n_entries > 1 ? q35i_pages_slack(&s->pages, entries[i].sequence) : 0;
    }
    if (n_entries == 1)
        fit = q35i_pages_room(&s->pages, entries[0].sequence);
    return Q35_FAIL(
        Q35_E_NOFIT,
        "KV cache: %llu tokens to add to %u sequence%s, %u of %u pages of %d tokens are free: at most %llu "
        "more tokens fit",
        (unsigned long long)wanted, n_entries, n_entries == 1 ? "" : "s", s->pages.n_free, s->pages.n_pages,
        Q35_KV_PAGE, (unsigned long long)fit);
}

/* Pages for all entries, with copies of those that are shared. s->appends[i] says what was done for entry i. */
static q35_status make_room(q35_session *s, const q35_session_entry *entries, uint32_t n_entries)
{
    for (uint32_t i = 0; i < n_entries; i++)
        if (!q35i_pages_append(&s->pages, entries[i].sequence, entries[i].n, &s->appends[i])) {
            take_back(s, entries, i);
            return no_room(s, entries, n_entries);
        }
    for (uint32_t i = 0; i < n_entries; i++) {
        const q35i_append *a = &s->appends[i];
        q35_status status =
            a->shared < 0 ? Q35_OK : q35i_residence_copy_page(s->res, (uint32_t)a->shared, (uint32_t)a->copy);
        if (status != Q35_OK) {
            take_back(s, entries, n_entries);
            return status;
        }
    }
    return Q35_OK;
}

/* ------------------------------------------------------------------ one run */

/* Entry e, the n-th of the step, from position `start` of its sequence on. */
static void write_entry(const q35_session *s, const q35i_step_inputs *in, const q35_session_entry *e,
                        uint32_t start, uint32_t n, q35_step *step)
{
    const int32_t *pages = s->pages.sequences[e->sequence].pages;
    const uint32_t row = (uint32_t)step->n_tokens, end = start + e->n;
    for (uint32_t i = 0; i < e->n; i++) {
        const uint32_t position = start + i;
        in->positions[row + i] = (int32_t)position;
        in->slots[row + i] = pages[position / Q35_KV_PAGE] * Q35_KV_PAGE + (int32_t)(position % Q35_KV_PAGE);
        in->sequence[row + i] = (int32_t)n;
    }
    memcpy(in->ids + row, e->ids, e->n * sizeof *e->ids);
    memcpy(in->pages + (size_t)n * in->max_pages, pages, q35i_div_up(end, Q35_KV_PAGE) * sizeof *pages);
    for (uint32_t i = s->options.all_logits ? 0 : e->n - 1; i < e->n && e->logits; i++)
        in->out_rows[step->n_out++] = (int32_t)(row + i);
    step->n_tokens += (int32_t)e->n;
    step->n_sequences++;
}

/* NaN or infinite weights and scales, wherever they are, end up here. Candidates begin with what is not finite. */
static q35_status check_finite(const q35_session *s, const q35i_plan *plan, uint32_t rows)
{
    const q35i_graph *g = q35i_plan_graph(plan);
    const int chosen = g->top_values != Q35_NONE;
    const uint32_t width = chosen ? g->n_candidates : s->config.vocab;
    const float *values = q35i_plan_host(plan, chosen ? g->top_values : g->logits);
    for (uint32_t r = 0; r < rows; r++) {
        const float *row = values + (size_t)r * width;
        int finite = 1;
        for (uint32_t i = 0; i < width; i++)
            finite &= fabsf(row[i]) <= FLT_MAX;
        if (!finite)
            return Q35_FAIL(Q35_E_FORMAT, "%.200s: a logit is not finite, need finite weights and scales",
                            q35_model_path(s->model));
    }
    return Q35_OK;
}

/* Tokens that have their pages; entry i starts at position starts[i].n_tokens. */
static q35_status run(q35_session *s, const q35_session_entry *entries, const q35i_append *starts,
                      uint32_t n_entries)
{
    uint32_t n_tokens = 0;
    q35_step step = {0};
    q35i_plan *plan;
    s->last = NULL;
    for (uint32_t i = 0; i < n_entries; i++)
        n_tokens += entries[i].n;
    Q35_TRY(q35i_session_plan(s, n_tokens, &plan));
    const q35i_step_inputs in = q35i_plan_inputs(plan);
    for (uint32_t i = 0; i < n_entries; i++)
        write_entry(s, &in, &entries[i], starts[i].n_tokens, i, &step);
    Q35_TRY(q35i_plan_run(plan, &step));
    Q35_TRY(check_finite(s, plan, (uint32_t)step.n_out));
    s->last = plan;
    s->last_step = step;
    s->fetched = 0;
    return Q35_OK;
}

q35_status q35i_session_logits(q35_session *s, const float **out)
{
    const uint32_t logits = q35i_plan_graph(s->last)->logits;
    if (!s->fetched)
        Q35_TRY(q35i_plan_fetch(s->last, logits, &s->last_step));
    s->fetched = 1;
    *out = q35i_plan_host(s->last, logits);
    return Q35_OK;
}

/* After a step, or in the middle of one that failed. out_logits: where they go if they are wanted, or NULL. */
static q35_status finish(q35_session *s, const q35_session_entry *entries, uint32_t n_entries, q35_status status,
                         const float **out_logits)
{
    if (status == Q35_OK && out_logits)
        status = q35i_session_logits(s, out_logits);
    if (status != Q35_OK) {
        s->last = NULL;
        take_back(s, entries, n_entries);
        return status;
    }
    for (uint32_t i = 0; i < n_entries; i++)
        s->n_observed += entries[i].n;
    return Q35_OK;
}

/* ------------------------------------------------------------------ what callers see */

q35_status q35_session_step(q35_session *s, const q35_session_entry *entries, uint32_t n_entries,
                            const float **out_logits)
{
    s->last = NULL;
    Q35_TRY(check_step(s, entries, n_entries));
    Q35_TRY(make_room(s, entries, n_entries));
    return finish(s, entries, n_entries, run(s, entries, s->appends, n_entries), out_logits);
}

q35_status q35_session_eval(q35_session *s, const int32_t *ids, uint32_t n, const float **out_logits)
{
    const q35_session_entry all = {.ids = ids, .n = n};
    q35_status status = Q35_OK;
    s->last = NULL;
    Q35_TRY(check_entry(s, &all));
    if (s->options.all_logits && n > s->options.max_chunk)
        return Q35_FAIL(Q35_E_INVALID, "step: %u tokens with all logits, at most %u", n, s->options.max_chunk);
    Q35_TRY(make_room(s, &all, 1));
    for (uint32_t done = 0; done < n && status == Q35_OK;) {
        const uint32_t chunk = (uint32_t)q35i_min(n - done, s->options.max_chunk);
        const q35i_append start = {.n_tokens = s->appends[0].n_tokens + done};
        const int last = done + chunk == n;
        const q35_session_entry e = {
            .ids = ids + done, .n = chunk, .logits = s->options.all_logits || (last && out_logits)};
        status = run(s, &e, &start, 1);
        done += chunk;
    }
    return finish(s, &all, 1, status, out_logits);
}
