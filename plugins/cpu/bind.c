/* SPDX-License-Identifier: Apache-2.0
 *
 * Binding a plan to memory, and where its barriers go. The host may bind tensors whose lives do not overlap to the
 * same memory, so what a step waits for is decided by addresses: a step needs a barrier when it writes what a step
 * since the last barrier touches, or reads what one of them wrote. Not so when both split the same rows in the
 * same way and meet only in equal rows: then each worker meets only its own work. */
#include "plugins/cpu/cpu.h"

/* One operand of a step in memory: bytes [base, end). */
typedef struct access {
    const q35i_cpu_tensor *tensor;
    uintptr_t base, end;
    bool write;
    bool by_row; /* the step's rows are the tensor's rows; a panel has none */
} access;

enum { MAX_ACCESSES = Q35P_MAX_IN + Q35P_MAX_OUT };

/* Steps whose workers split rows [0, T), as run.c does it. */
static bool splits_rows(uint32_t op)
{
    return op == Q35_OP_GET_ROWS || op == Q35_OP_RMS_NORM || op == Q35_OP_ADD_RMS_NORM ||
           op == Q35_OP_QUANTIZE_ACT || op == Q35_OP_ROTATE || op == Q35_OP_ROPE || op == Q35_OP_KV_APPEND ||
           op == Q35_OP_TOP_K;
}

/* Inputs that an op writes: states. */
static bool writes_input(uint32_t op, uint32_t i)
{
    return (op == Q35_OP_KV_APPEND && (i == 2 || i == 3)) || (op == Q35_OP_SUM_SQUARES && i == 1);
}

static uint32_t list_accesses(const q35_plan *plan, const q35i_cpu_step *step, access list[MAX_ACCESSES])
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < step->n_in + step->n_out; i++) {
        bool output = i >= step->n_in;
        const q35i_cpu_tensor *t = &plan->tensors[output ? step->out[i - step->n_in] : step->in[i]];
        uintptr_t base = (uintptr_t)t->base;
        bool write = output || writes_input(step->op, i);
        bool by_row = splits_rows(step->op) && t->desc.rank == 2 && !t->packable &&
                      q35p_row_kind(&t->desc) == step->row_kind && t->desc.dim[1] == step->row_capacity;
        list[n++] = (access){t, base, base + t->bytes, write, by_row};
    }
    return n;
}

static bool overlap(const access *a, const access *b)
{
    return a->base < b->end && b->base < a->end;
}

static bool same_rows(const access *a, const access *b)
{
    return a->base == b->base && a->tensor->desc.stride[1] == b->tensor->desc.stride[1];
}

/* Does `later` need all workers to have finished `earlier`? */
static bool must_wait(const q35_plan *plan, const q35i_cpu_step *earlier, const q35i_cpu_step *later)
{
    access a[MAX_ACCESSES], b[MAX_ACCESSES];
    uint32_t n_a = list_accesses(plan, earlier, a), n_b = list_accesses(plan, later, b);
    bool equal_split = earlier->row_kind == later->row_kind &&
                       (earlier->row_kind != 0 || earlier->row_capacity == later->row_capacity);
    for (uint32_t i = 0; i < n_a; i++) {
        for (uint32_t j = 0; j < n_b; j++) {
            if ((!a[i].write && !b[j].write) || !overlap(&a[i], &b[j]))
                continue;
            if (!(equal_split && a[i].by_row && b[j].by_row && same_rows(&a[i], &b[j])))
                return true;
        }
    }
    return false;
}

static void place_barriers(q35_plan *plan)
{
    uint32_t since = 0; /* first step after the last barrier */
    for (uint32_t i = 0; i < plan->n_steps; i++) {
        q35i_cpu_step *step = &plan->steps[i];
        step->barrier = false;
        for (uint32_t j = since; j < i && !step->barrier; j++)
            step->barrier = must_wait(plan, &plan->steps[j], step);
        if (step->barrier)
            since = i;
    }
}

/* May output `out` be the very rows of input `in`? As the kernels' contracts say. */
static bool in_place(uint32_t op, uint32_t in, uint32_t out)
{
    switch (op) {
    case Q35_OP_RMS_NORM:
    case Q35_OP_ROTATE:
    case Q35_OP_ROPE: return in == 0;
    case Q35_OP_ADD_RMS_NORM: return in <= out;
    case Q35_OP_SWIGLU:
    case Q35_OP_ADD:
    case Q35_OP_MUL:
    case Q35_OP_SILU: return true;
    default: return false;
    }
}

/* Within a step, what is written overlaps nothing else but where the op works in place. */
static q35_status check_overlap(const q35_plan *plan, uint32_t index)
{
    const q35i_cpu_step *step = &plan->steps[index];
    access list[MAX_ACCESSES];
    uint32_t n = list_accesses(plan, step, list);
    for (uint32_t w = 0; w < n; w++) {
        for (uint32_t i = 0; i < n; i++) {
            if (i == w || !list[w].write || !overlap(&list[w], &list[i]))
                continue;
            if (i < step->n_in && w >= step->n_in && same_rows(&list[w], &list[i]) &&
                in_place(step->op, i, w - step->n_in))
                continue;
            return q35p_fail(Q35_E_INVALID,
                             "cpu plan: %s (node %u) overwrites its operand %u, need separate memory",
                             q35p_op_name(step->op), index, i);
        }
    }
    return Q35_OK;
}

static q35_status bind_tensor(q35_plan *plan, uint32_t i, const q35_binding *binding)
{
    q35i_cpu_tensor *t = &plan->tensors[i];
    uint32_t align = i == plan->step_tensor ? 4 : q35i_cpu_rules.align(&t->desc);
    if (!binding->host)
        return q35p_fail(Q35_E_INVALID, "cpu plan: tensor %u has no host address, need one", i);
    if (binding->bytes < t->bytes)
        return q35p_fail(Q35_E_INVALID, "cpu plan: tensor %u is bound to %llu bytes, need %llu", i,
                         (unsigned long long)binding->bytes, (unsigned long long)t->bytes);
    if ((uintptr_t)binding->host % align != 0)
        return q35p_fail(Q35_E_INVALID, "cpu plan: tensor %u is bound to an address off by %u, need alignment %u",
                         i, (unsigned)((uintptr_t)binding->host % align), align);
    t->base = (char *)binding->host;
    return Q35_OK;
}

/* Kernel views of operands that only addresses complete. */
static void bind_step(q35_plan *plan, q35i_cpu_step *step)
{
    if (step->op == Q35_OP_LINEAR || step->op == Q35_OP_GET_ROWS) {
        const q35i_cpu_tensor *w = &plan->tensors[step->in[1]];
        int64_t tiles = (w->desc.dim[1] - 1) / Q35I_CPU_TILE_ROWS + 1;
        bool packed = w->desc.layout != Q35K_LAYOUT_CANONICAL;
        step->weights = (q35k_weights){.data = w->base,
                                       .dtype = w->desc.dtype,
                                       .layout = w->desc.layout,
                                       .n = w->desc.dim[1],
                                       .k = w->desc.dim[0],
                                       .rs = packed ? (int64_t)w->bytes / tiles : w->desc.stride[1]};
        if (step->n_in == 3)
            step->weights.book = (void *)plan->tensors[step->in[2]].base;
    }
    if (step->op == Q35_OP_ROTATE || (step->op == Q35_OP_QUANTIZE_ACT && step->n_in == 2))
        step->rotation.signs = (const int8_t *)plan->tensors[step->in[1]].base;
    if (step->op == Q35_OP_KV_APPEND || step->op == Q35_OP_ATTENTION) {
        uint32_t first = step->op == Q35_OP_KV_APPEND ? 2 : 1;
        const q35i_cpu_tensor *k = &plan->tensors[step->in[first]];
        step->kv = (q35k_kv){.k = k->base,
                             .v = plan->tensors[step->in[first + 1]].base,
                             .dtype = k->desc.dtype,
                             .n_pages = k->desc.dim[3],
                             .n_kv_heads = k->desc.dim[2],
                             .head_dim = k->desc.dim[0]};
    }
}

q35_status q35i_cpu_plan_bind(q35_plan *plan, const q35_binding *bindings)
{
    plan->bound = false;
    for (uint32_t i = 0; i < plan->n_tensors; i++) {
        q35_status status = plan->tensors[i].used ? bind_tensor(plan, i, &bindings[i]) : Q35_OK;
        if (status)
            return status;
    }
    for (uint32_t i = 0; i < plan->n_steps; i++) {
        q35_status status = check_overlap(plan, i);
        if (status)
            return status;
        bind_step(plan, &plan->steps[i]);
    }
    place_barriers(plan);
    plan->bound = true;
    return Q35_OK;
}
