/* SPDX-License-Identifier: Apache-2.0
 *
 * A plan's life: compile copies a checked region into flat steps and allocates each worker's scratch, run checks
 * the values of this step on the calling thread and then makes one parallel call for all steps. */
#include "plugins/cpu/cpu.h"

static void copy_params(q35i_cpu_step *step, const q35_node *node)
{
    switch (node->op) {
    case Q35_OP_RMS_NORM:
    case Q35_OP_ADD_RMS_NORM: step->eps = Q35P_PARAMS(node, q35_norm_params)->eps; break;
    case Q35_OP_ROPE: {
        const q35_rope_params *p = Q35P_PARAMS(node, q35_rope_params);
        step->head_dim = p->head_dim;
        step->n_rot = p->n_rot;
        if (Q35_HAS_FIELD(p, q35_rope_params, temperature_length)) {
            step->temperature_beta = p->temperature_beta;
            step->temperature_length = p->temperature_length;
        }
        break;
    }
    case Q35_OP_ATTENTION:
        step->n_heads = Q35P_PARAMS(node, q35_attention_params)->n_heads;
        step->head_dim = Q35P_PARAMS(node, q35_attention_params)->head_dim;
        step->scale = Q35P_PARAMS(node, q35_attention_params)->scale;
        break;
    case Q35_OP_QUANTIZE_ACT:
        if (node->n_in == 2)
            step->rotation.width = Q35P_PARAMS(node, q35_quantize_params)->width;
        break;
    case Q35_OP_ROTATE:
        step->rotation.width = Q35P_PARAMS(node, q35_rotate_params)->width;
        step->inverse = Q35P_PARAMS(node, q35_rotate_params)->inverse != 0;
        break;
    default: break;
    }
}

static void copy_step(q35_plan *plan, uint32_t i, const q35_node *node)
{
    q35i_cpu_step *step = &plan->steps[i];
    step->op = node->op;
    step->n_in = node->n_in;
    step->n_out = node->n_out;
    for (uint32_t j = 0; j < node->n_in; j++) {
        step->in[j] = node->in[j];
        plan->tensors[node->in[j]].used = 1;
    }
    for (uint32_t j = 0; j < node->n_out; j++) {
        step->out[j] = node->out[j];
        plan->tensors[node->out[j]].used = 1;
    }
    const q35_tensor_desc *first = &plan->tensors[step->in[0]].desc;
    step->row_kind = q35p_row_kind(first);
    step->row_capacity = first->dim[first->rank - 1];
    if (node->op == Q35_OP_LINEAR)
        step->cursor = plan->n_cursors++;
    copy_params(step, node);
}

static void copy_region(q35_plan *plan, const q35_region *region)
{
    for (uint32_t i = 0; i < region->n_tensors; i++) {
        plan->tensors[i].desc = region->tensors[i];
        plan->tensors[i].role = region->roles[i];
    }
    for (uint32_t i = 0; i < region->n_nodes; i++)
        copy_step(plan, i, region->nodes[i]);
    for (uint32_t i = plan->n_steps, next = i; i-- > 0;) {
        next = plan->steps[i].op == Q35_OP_LINEAR ? i : next;
        plan->steps[i].next_linear = next;
    }
    for (uint32_t i = 0; i < region->n_tensors; i++)
        if (plan->tensors[i].used || i == plan->step_tensor)
            (void)q35p_tensor_bytes(&q35i_cpu_rules, &plan->tensors[i].desc, &plan->tensors[i].bytes);
    if (plan->step_tensor != Q35_NONE)
        plan->tensors[plan->step_tensor].used = 1;
    q35i_cpu_find_panels(plan);
    for (uint32_t i = 0; i < plan->n_steps; i++)
        for (uint32_t j = 0; j < i && !plan->steps[i].indices_known; j++)
            plan->steps[i].indices_known = q35i_cpu_same_indices(plan, &plan->steps[j], &plan->steps[i]);
}

q35_status q35i_cpu_plan_compile(q35_device *dev, const q35_region *region, q35_plan **out)
{
    char reason[128] = "";
    if (!q35p_check_region(&q35i_cpu_rules, dev, region, reason, sizeof reason))
        return q35p_fail(Q35_E_UNSUPPORTED, "cpu plan: %s", reason);
    uint64_t stride = q35i_cpu_worker_scratch(region), record_stride = q35i_cpu_record_bytes(region), scratch,
             records;
    if (__builtin_mul_overflow(stride, dev->n_workers, &scratch) ||
        __builtin_mul_overflow(record_stride, dev->n_workers - 1, &records) ||
        (dev->memory_cap && scratch + records > dev->memory_cap))
        return q35p_fail(
            Q35_E_NOFIT, "cpu plan: scratch of %llu bytes for each of %u workers, need at most %llu in all",
            (unsigned long long)(stride + record_stride), dev->n_workers, (unsigned long long)dev->memory_cap);
    q35_plan *plan = q35p_alloc(1, sizeof *plan);
    if (!plan)
        return q35p_fail(Q35_E_NOMEM, "cpu plan: out of memory for %zu bytes", sizeof *plan);
    plan->dev = dev;
    plan->n_tensors = region->n_tensors;
    plan->n_steps = region->n_nodes;
    plan->step_tensor = region->step;
    plan->scratch_stride = stride;
    plan->record_stride = record_stride;
    plan->tensors = q35p_alloc(plan->n_tensors, sizeof *plan->tensors);
    plan->steps = q35p_alloc(plan->n_steps, sizeof *plan->steps);
    plan->scratch = q35p_alloc(scratch, 1);
    plan->records = q35p_host->alloc(records ? records : 1, Q35I_CPU_LINE, -1); /* written before it is read */
    if (!plan->tensors || !plan->steps || !plan->scratch || !plan->records) {
        q35i_cpu_plan_free(plan);
        return q35p_fail(Q35_E_NOMEM, "cpu plan: out of memory for %u steps and %llu bytes of scratch",
                         region->n_nodes, (unsigned long long)(scratch + records));
    }
    copy_region(plan, region);
    plan->cursors = q35p_alloc((uint64_t)plan->n_cursors * dev->n_workers, sizeof *plan->cursors);
    if (!plan->cursors) {
        q35i_cpu_plan_free(plan);
        return q35p_fail(Q35_E_NOMEM, "cpu plan: out of memory for %u steps", region->n_nodes);
    }
    *out = plan;
    return Q35_OK;
}

void q35i_cpu_plan_free(q35_plan *plan)
{
    if (!plan)
        return;
    q35i_cpu_profile_free(plan);
    void *parts[] = {plan->tensors, plan->steps, plan->scratch, plan->records, plan->cursors, plan};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        q35p_free(parts[i]);
}

int64_t q35i_cpu_rows(const q35_plan *plan, const q35_tensor_desc *desc)
{
    switch (q35p_row_kind(desc)) {
    case Q35_TF_TOKEN_ROWS: return plan->now.n_tokens;
    case Q35_TF_OUT_ROWS: return plan->now.n_out;
    case Q35_TF_SEQUENCES: return plan->now.n_sequences;
    default: return desc->dim[desc->rank - 1];
    }
}

static const char *row_kind_name(uint32_t kind)
{
    return kind == Q35_TF_TOKEN_ROWS ? "n_tokens" : kind == Q35_TF_OUT_ROWS ? "n_out" : "n_sequences";
}

/* Step values against every capacity. */
static q35_status check_step_values(const q35_plan *plan)
{
    const q35_step *s = &plan->now;
    if (s->n_tokens < 0 || s->n_out < 0 || s->n_sequences < 0)
        return q35p_fail(Q35_E_RANGE,
                         "cpu plan: step has n_tokens %d, n_out %d, n_sequences %d, need none below 0",
                         s->n_tokens, s->n_out, s->n_sequences);
    if (s->n_out > s->n_tokens || s->n_sequences > s->n_tokens)
        return q35p_fail(Q35_E_RANGE, "cpu plan: step has n_out %d, n_sequences %d, need at most n_tokens %d",
                         s->n_out, s->n_sequences, s->n_tokens);
    for (uint32_t i = 0; i < plan->n_tensors; i++) {
        const q35_tensor_desc *d = &plan->tensors[i].desc;
        if (!plan->tensors[i].used)
            continue;
        int64_t capacity = d->dim[d->rank - 1], rows = q35i_cpu_rows(plan, d);
        if (rows > capacity)
            return q35p_fail(Q35_E_RANGE,
                             "cpu plan: step has %s %lld, need at most %lld, the capacity of tensor %u",
                             row_kind_name(q35p_row_kind(d)), (long long)rows, (long long)capacity, i);
    }
    return Q35_OK;
}

static void run_worker(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    const q35_plan *plan = (const q35_plan *)arg;
    q35i_cpu_ahead ahead = {0};
    for (uint32_t i = 0; i < plan->n_steps; i++) {
        if (plan->steps[i].barrier && n_workers > 1) {
            q35i_cpu_read_ahead(plan, i, worker, n_workers, &ahead);
            q35p_host->barrier(team);
        }
        q35i_cpu_run_step(plan, &plan->steps[i], worker, n_workers, team);
    }
}

q35_status q35i_cpu_plan_run(q35_plan *plan)
{
    if (!plan->bound)
        return q35p_fail(Q35_E_INVALID, "cpu plan: not bound, need plan_bind first");
    const uint64_t begin = plan->profile ? q35p_host->now_ns() : 0;
    plan->now = (q35_step){0};
    if (plan->step_tensor != Q35_NONE)
        memcpy(&plan->now, plan->tensors[plan->step_tensor].base, sizeof plan->now);
    q35_status status = check_step_values(plan);
    for (uint32_t i = 0; i < plan->n_steps && status == Q35_OK; i++)
        status = plan->steps[i].indices_known ? Q35_OK : q35i_cpu_check_indices(plan, &plan->steps[i]);
    if (status)
        return status;
    plan->run++;
    void (*work)(void *, uint32_t, uint32_t, q35_team *) = plan->profile ? q35i_cpu_profiled_worker : run_worker;
    if (plan->dev->pool)
        q35p_host->parallel(plan->dev->pool, work, plan);
    else
        work(plan, 0, 1, NULL);
    if (plan->profile)
        q35i_cpu_profile_run(plan, begin);
    return Q35_OK;
}
