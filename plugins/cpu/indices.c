/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of a run that index memory: token ids, slots and pages of the KV cache, positions, rows. Checked before
 * the run on the calling thread, so that no host's mistake reaches memory outside of what is bound. */
#include "plugins/cpu/cpu.h"

static const int32_t *values(const q35_plan *plan, const q35i_cpu_step *step, uint32_t i)
{
    return (const int32_t *)(const void *)plan->tensors[step->in[i]].base;
}

static int64_t rows_of(const q35_plan *plan, const q35i_cpu_step *step, uint32_t i)
{
    return q35i_cpu_rows(plan, &plan->tensors[step->in[i]].desc);
}

/* Input i: each in 0 .. limit - 1. */
static q35_status check_all(const q35_plan *plan, const q35i_cpu_step *step, uint32_t i, const char *what,
                            int64_t limit)
{
    const int32_t *v = values(plan, step, i);
    for (int64_t t = 0, n = rows_of(plan, step, i); t < n; t++)
        if (v[t] < 0 || v[t] >= limit)
            return q35p_fail(Q35_E_RANGE, "cpu plan: %s %d of row %lld, need 0 to %lld", what, v[t], (long long)t,
                             (long long)limit - 1);
    return Q35_OK;
}

/* Pages of the positions 0 .. position of a sequence. */
static q35_status check_pages(const q35_plan *plan, const q35i_cpu_step *step, int32_t sequence, int32_t position)
{
    const q35_tensor_desc *table = &plan->tensors[step->in[5]].desc;
    const int32_t *pages = values(plan, step, 5) + sequence * (table->stride[1] / (int64_t)sizeof(int32_t));
    for (int64_t p = 0; p <= position / Q35_KV_PAGE; p++)
        if (pages[p] < 0 || pages[p] >= step->kv.n_pages)
            return q35p_fail(Q35_E_RANGE, "cpu plan: page %d at %lld of sequence %d, need 0 to %lld", pages[p],
                             (long long)p, sequence, (long long)step->kv.n_pages - 1);
    return Q35_OK;
}

static q35_status check_attention(const q35_plan *plan, const q35i_cpu_step *step)
{
    const int32_t *positions = values(plan, step, 3), *sequence = values(plan, step, 4);
    const int64_t n = rows_of(plan, step, 0), max_pages = plan->tensors[step->in[5]].desc.dim[0];
    q35_status status = check_all(plan, step, 3, "position", max_pages * Q35_KV_PAGE);
    if (status == Q35_OK)
        status = check_all(plan, step, 4, "sequence", rows_of(plan, step, 5));
    for (int64_t t = 0; t < n && status == Q35_OK; t++) {
        bool goes_on = t + 1 < n && sequence[t + 1] == sequence[t] && positions[t + 1] > positions[t];
        if (!goes_on)
            status = check_pages(plan, step, sequence[t], positions[t]);
    }
    return status;
}

q35_status q35i_cpu_check_indices(const q35_plan *plan, const q35i_cpu_step *step)
{
    switch (step->op) {
    case Q35_OP_GET_ROWS: return check_all(plan, step, 0, "id", step->weights.n);
    case Q35_OP_ROPE: return check_all(plan, step, 2, "position", INT32_MAX);
    case Q35_OP_KV_APPEND: return check_all(plan, step, 4, "slot", step->kv.n_pages * Q35_KV_PAGE);
    case Q35_OP_ATTENTION: return check_attention(plan, step);
    case Q35_OP_TAKE_ROWS: return check_all(plan, step, 1, "row", rows_of(plan, step, 0));
    default: return Q35_OK;
    }
}

bool q35i_cpu_same_indices(const q35_plan *plan, const q35i_cpu_step *a, const q35i_cpu_step *b)
{
    if (a->op != b->op)
        return false;
    switch (a->op) {
    case Q35_OP_ROPE: return a->in[2] == b->in[2];
    case Q35_OP_KV_APPEND:
        return a->in[4] == b->in[4] && plan->tensors[a->in[2]].desc.dim[3] == plan->tensors[b->in[2]].desc.dim[3];
    case Q35_OP_ATTENTION:
        return a->in[3] == b->in[3] && a->in[4] == b->in[4] && a->in[5] == b->in[5] &&
               plan->tensors[a->in[1]].desc.dim[3] == plan->tensors[b->in[1]].desc.dim[3];
    default: return false;
    }
}
