/* SPDX-License-Identifier: Apache-2.0
 *
 * Which nodes share a launch. Groups are found by what the nodes read and write, whatever their names. A group
 * runs where its first node stands, so the others move there past the nodes between, and what the nodes did one
 * after the other happens at once. Both are allowed only where no access meets a write to the same memory, except
 * the results that the kernel hands on from one node of the group to the next. */
#include "plan.h"

static const q35i_cuda_tensor *tensor_of(const q35_plan *plan, uint32_t node, uint32_t input)
{
    return &plan->tensors[plan->nodes[node].in[input]];
}

static int64_t n_rows(const q35_plan *plan, uint32_t node)
{
    const q35_tensor_desc *x = &tensor_of(plan, node, 0)->desc;
    return x->dim[x->rank - 1];
}

/* ---- groups by dataflow */

/* First node from i on, not launched yet, of the op and with the tensor as that input; n_nodes: none. */
static uint32_t find_reader(const q35_plan *plan, uint32_t i, uint32_t op, uint32_t input, uint32_t tensor)
{
    for (; i < plan->n_nodes; i++)
        if (!plan->launched[i] && plan->nodes[i].op == op && plan->nodes[i].in[input] == tensor)
            break;
    return i;
}

static uint32_t last_output(const q35p_node *n)
{
    return n->out[n->n_out - 1];
}

static bool find_norm_quantize(const q35_plan *plan, uint32_t i, q35i_cuda_group *out)
{
    const q35p_node *n = &plan->nodes[i];
    if (n->op != Q35_OP_RMS_NORM && n->op != Q35_OP_ADD_RMS_NORM)
        return false;
    const uint32_t j = find_reader(plan, i + 1, Q35_OP_QUANTIZE_ACT, 0, last_output(n));
    *out = (q35i_cuda_group){.kind = Q35I_CUDA_NORM_QUANTIZE, .n = 2, .node = {i, j}};
    return j < plan->n_nodes && tensor_of(plan, i, 0)->desc.dim[0] <= Q35_CUDA_MAX_CHUNK;
}

/* Two LINEARs that one launch can do. */
static bool are_alike(const q35_plan *plan, uint32_t i, uint32_t j)
{
    const q35p_node *a = &plan->nodes[i], *b = &plan->nodes[j];
    return a->op == Q35_OP_LINEAR && b->op == Q35_OP_LINEAR && a->in[0] == b->in[0] && a->n_in == b->n_in &&
           (a->n_in < 3 || a->in[2] == b->in[2]) &&
           tensor_of(plan, i, 1)->desc.dtype == tensor_of(plan, j, 1)->desc.dtype &&
           q35i_cuda_linear_first(plan, a) != Q35_CUDA_K_linear_float;
}

static bool find_linears(const q35_plan *plan, uint32_t i, q35i_cuda_group *out)
{
    *out = (q35i_cuda_group){.kind = Q35I_CUDA_LINEARS, .n = 1, .node = {i}};
    for (uint32_t j = i + 1; j < plan->n_nodes && out->n < Q35_CUDA_PARTS; j++)
        if (!plan->launched[j] && are_alike(plan, i, j))
            out->node[out->n++] = j;
    return out->n > 1;
}

/* Node j that makes the tensor, i < j < end; end: none does. */
static uint32_t find_maker(const q35_plan *plan, uint32_t i, uint32_t end, uint32_t tensor)
{
    uint32_t j = i + 1;
    while (j < end && (plan->launched[j] || plan->nodes[j].n_out == 0 || plan->nodes[j].out[0] != tensor))
        j++;
    return j;
}

static bool find_linears_swiglu(const q35_plan *plan, uint32_t i, q35i_cuda_group *out)
{
    const q35p_node *n = &plan->nodes[i];
    if (n->op != Q35_OP_LINEAR || n_rows(plan, i) > Q35_CUDA_FEW_TOKENS ||
        !q35_cuda_linear_makes_product(q35i_cuda_linear_first(plan, n)))
        return false;
    for (uint32_t input = 0; input < 2; input++) {
        const uint32_t s = find_reader(plan, i + 1, Q35_OP_SWIGLU, input, n->out[0]);
        const uint32_t j = s < plan->n_nodes ? find_maker(plan, i, s, plan->nodes[s].in[1 - input]) : s;
        if (j == s || !are_alike(plan, i, j))
            continue;
        *out = (q35i_cuda_group){.kind = Q35I_CUDA_LINEARS_SWIGLU, .n = 3, .node = {i, j, s}};
        return true;
    }
    return false;
}

static bool find_rope_append(const q35_plan *plan, uint32_t i, q35i_cuda_group *out)
{
    if (plan->nodes[i].op != Q35_OP_ROPE)
        return false;
    for (uint32_t j = i + 1; j < plan->n_nodes; j++) {
        const q35p_node *k = &plan->nodes[j];
        if (plan->launched[j] || k->op != Q35_OP_ROPE)
            continue;
        const uint32_t a = find_reader(plan, j + 1, Q35_OP_KV_APPEND, 0, k->out[0]);
        if (a == plan->n_nodes || plan->nodes[a].in[1] == k->out[0] || n_rows(plan, i) != n_rows(plan, j) ||
            q35p_row_kind(&tensor_of(plan, i, 0)->desc) != q35p_row_kind(&tensor_of(plan, j, 0)->desc) ||
            k->params.rope.head_dim != plan->nodes[a].params.kv.head_dim)
            return false;
        *out = (q35i_cuda_group){.kind = Q35I_CUDA_ROPE_APPEND, .n = 3, .node = {i, j, a}};
        return true;
    }
    return false;
}

static bool (*const finders[])(const q35_plan *plan, uint32_t i, q35i_cuda_group *out) = {
    find_norm_quantize, find_linears_swiglu, find_linears, find_rope_append};
enum { N_FINDERS = sizeof finders / sizeof *finders };

/* ---- what is handed on */

static bool is_member(const q35i_cuda_group *g, uint32_t node)
{
    for (uint32_t m = 0; m < g->n; m++)
        if (g->node[m] == node)
            return true;
    return false;
}

/* Does the kernel of the group hand the tensor on to this input of its last node? */
static bool is_handed_on(const q35_plan *plan, const q35i_cuda_group *g, uint32_t node, uint32_t tensor)
{
    const q35p_node *last = &plan->nodes[g->node[g->n - 1]];
    if (g->kind == Q35I_CUDA_SINGLE || g->kind == Q35I_CUDA_LINEARS || node != g->node[g->n - 1])
        return false;
    return last->in[0] == tensor || (g->kind == Q35I_CUDA_LINEARS_SWIGLU && last->in[1] == tensor);
}

bool q35i_cuda_is_hidden(const q35_plan *plan, const q35i_cuda_group *group, uint32_t tensor)
{
    const uint32_t last = group->node[group->n - 1];
    if (plan->tensors[tensor].role != Q35_ROLE_TEMP || !is_handed_on(plan, group, last, tensor))
        return false;
    for (uint32_t i = 0; i < plan->n_nodes; i++)
        for (uint32_t j = 0; j < plan->nodes[i].n_in; j++)
            if (plan->nodes[i].in[j] == tensor && !is_member(group, i))
                return false;
    return true;
}

/* ---- what meets in memory */

typedef struct access {
    uint32_t tensor;
    bool writes;
} access;

enum { MAX_ACCESSES = Q35P_MAX_IN + Q35P_MAX_OUT };

/* Returns how many. */
static uint32_t accesses_of(const q35p_node *n, access out[MAX_ACCESSES])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < n->n_in; i++) {
        const bool state =
            (n->op == Q35_OP_KV_APPEND && (i == 2 || i == 3)) || (n->op == Q35_OP_SUM_SQUARES && i == 1);
        out[count++] = (access){n->in[i], state};
    }
    for (uint32_t i = 0; i < n->n_out; i++)
        out[count++] = (access){n->out[i], true};
    return count;
}

static bool overlap(const q35i_cuda_tensor *a, const q35i_cuda_tensor *b)
{
    return a->address < b->address + b->bytes && b->address < a->address + a->bytes;
}

/* Do accesses of a node and of member b of the group, which comes later, meet in memory? inside: the node is a
 * member, too. */
static bool collide(const q35_plan *plan, const q35i_cuda_group *g, access x, access y, uint32_t b, bool inside)
{
    if (!(x.writes || y.writes) || !overlap(&plan->tensors[x.tensor], &plan->tensors[y.tensor]))
        return false;
    if (q35i_cuda_is_hidden(plan, g, x.tensor) || q35i_cuda_is_hidden(plan, g, y.tensor))
        return false; /* it is not in memory */
    return !(inside && x.tensor == y.tensor && x.writes && !y.writes && is_handed_on(plan, g, b, x.tensor));
}

/* May member b of the group, which comes later, run before or beside node a? */
static bool may_meet(const q35_plan *plan, const q35i_cuda_group *g, uint32_t a, uint32_t b)
{
    access of_a[MAX_ACCESSES], of_b[MAX_ACCESSES];
    const uint32_t n_a = accesses_of(&plan->nodes[a], of_a), n_b = accesses_of(&plan->nodes[b], of_b);
    for (uint32_t i = 0; i < n_a; i++)
        for (uint32_t j = 0; j < n_b; j++)
            if (collide(plan, g, of_a[i], of_b[j], b, is_member(g, a)))
                return false;
    return true;
}

static bool is_allowed(const q35_plan *plan, const q35i_cuda_group *g)
{
    for (uint32_t m = 1; m < g->n; m++)
        for (uint32_t i = g->node[0]; i < g->node[m]; i++)
            if ((is_member(g, i) || !plan->launched[i]) && !may_meet(plan, g, i, g->node[m]))
                return false;
    return true;
}

q35i_cuda_group q35i_cuda_take_group(q35_plan *plan, uint32_t i)
{
    q35i_cuda_group g = {.n = 0};
    uint32_t f = 0;
    while (f < N_FINDERS && !(finders[f](plan, i, &g) && is_allowed(plan, &g)))
        f++;
    if (f == N_FINDERS)
        g = (q35i_cuda_group){.kind = Q35I_CUDA_SINGLE, .n = 1, .node = {i}};
    for (uint32_t m = 0; m < g.n; m++)
        plan->launched[g.node[m]] = true;
    return g;
}

/* ---- slots */

static uint32_t last_reader(const q35_plan *plan, uint32_t tensor)
{
    uint32_t last = 0;
    for (uint32_t i = 0; i < plan->n_nodes; i++)
        for (uint32_t j = 0; j < plan->nodes[i].n_in; j++)
            last = plan->nodes[i].in[j] == tensor ? i : last;
    return last;
}

void q35i_cuda_assign_slots(q35_plan *plan)
{
    uint32_t free_from[Q35I_CUDA_SLOTS] = {0}; /* node after the last that reads what is in the slot */
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        q35i_cuda_group g;
        uint32_t slot = Q35I_CUDA_SLOTS;
        if (find_norm_quantize(plan, i, &g))
            slot = Q35I_CUDA_SLOT_CODES;
        else if (find_linears_swiglu(plan, i, &g))
            slot = Q35I_CUDA_SLOT_PRODUCT;
        if (slot == Q35I_CUDA_SLOTS)
            continue;
        const uint32_t result = plan->nodes[g.node[g.n - 1]].out[0];
        q35i_cuda_tensor *t = &plan->tensors[result];
        if (t->role != Q35_ROLE_TEMP || t->slot || free_from[slot] > i)
            continue;
        t->slot = 1 + slot;
        free_from[slot] = last_reader(plan, result) + 1;
        if (t->bytes > plan->slot_bytes[slot])
            plan->slot_bytes[slot] = t->bytes;
    }
}
