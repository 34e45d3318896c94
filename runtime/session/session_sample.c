/* SPDX-License-Identifier: Apache-2.0
 *
 * The next token of a row of the last step: from what the device chose of the row where that decides, else from
 * all its logits. */
#include "runtime/session/sampler.h"
#include "runtime/session/session.h"

#include "runtime/base/error.h"

q35_status q35_session_sample(q35_session *s, uint32_t row, q35_sampler *sampler, int32_t *out_id)
{
    const uint32_t rows = s->last ? (uint32_t)s->last_step.n_out : 0, vocab = s->config.vocab;
    if (row >= rows)
        return Q35_FAIL(Q35_E_INVALID, "sample: row %u, the last step has %u", row, rows);
    if (q35i_sampler_vocabulary(sampler) != vocab)
        return Q35_FAIL(Q35_E_INVALID, "sample: a sampler of %u tokens, need one of the model's %u",
                        q35i_sampler_vocabulary(sampler), vocab);
    const q35i_graph *g = q35i_plan_graph(s->last);
    if (g->top_values != Q35_NONE) {
        const size_t first = (size_t)row * g->n_candidates;
        const float *values = q35i_plan_host(s->last, g->top_values);
        const int32_t *ids = q35i_plan_host(s->last, g->top_ids);
        if (q35i_sampler_choose(sampler, values + first, ids + first, g->n_candidates, out_id))
            return *out_id >= 0 && (uint32_t)*out_id < vocab
                       ? Q35_OK
                       : Q35_FAIL(Q35_E_INTERNAL, "sample: the device chose token %d, need 0 to %u", *out_id,
                                  vocab - 1);
    }
    const float *logits;
    Q35_TRY(q35i_session_logits(s, &logits));
    *out_id = q35_sampler_sample(sampler, logits + (size_t)row * vocab);
    return Q35_OK;
}
