/* SPDX-License-Identifier: Apache-2.0
 *
 * The plan for people: devices and memory, every step with its nodes and their price, and every fallback with its
 * reason. */
#include "graph/plan.h"

#include <stdio.h>
#include <string.h>

typedef struct printer {
    const q35i_plan *plan;
    q35i_write_fn *write;
    void *user;
} printer;

static const q35i_answer *answer_of(const q35i_plan *plan, uint32_t n, uint32_t d)
{
    return &plan->placement.answers[(size_t)n * plan->placement.n_devices + d];
}

static const char *device_name(const q35i_plan *plan, uint32_t d)
{
    return plan->devices->device[d]->name;
}

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

static void print_devices(const printer *p)
{
    const q35i_schedule *s = &p->plan->schedule;
    for (uint32_t d = 0; d < p->plan->devices->n; d++)
        q35i_print(p->write, p->user, "device %s: weights %.1f MiB, states %.1f MiB%s\n", device_name(p->plan, d),
                   mib(q35i_residence_weight_bytes(p->plan->res, d)),
                   mib(q35i_residence_state_bytes(p->plan->res, d)),
                   p->plan->devices->device[d]->async ? ", queue" : "");
    for (uint32_t m = 0; m <= p->plan->devices->n; m++)
        if (s->arena_bytes[m])
            q35i_print(p->write, p->user, "arena %s: %llu bytes, %.3f of the least possible\n",
                       m ? device_name(p->plan, m - 1) : "host", (unsigned long long)s->arena_bytes[m],
                       (double)s->arena_bytes[m] / (double)s->bound_bytes[m]);
}

/* " (next: gpu +12 us)": the cheapest other device that could run it. */
static void print_runner_up(const printer *p, uint32_t n)
{
    uint32_t chosen = p->plan->placement.device[n], best = chosen;
    for (uint32_t d = 0; d < p->plan->devices->n; d++)
        if (d != chosen && answer_of(p->plan, n, d)->ok &&
            (best == chosen || answer_of(p->plan, n, d)->ns < answer_of(p->plan, n, best)->ns))
            best = d;
    if (best != chosen)
        q35i_print(p->write, p->user, "  (next: %s %+.1f us)", device_name(p->plan, best),
                   ((double)answer_of(p->plan, n, best)->ns - (double)answer_of(p->plan, n, chosen)->ns) / 1000);
}

static void print_region(const printer *p, uint32_t i, const q35i_step *step)
{
    char text[96];
    uint64_t ns = 0;
    for (uint32_t n = step->first; n < step->first + step->n_nodes; n++)
        ns += answer_of(p->plan, n, step->device)->ns;
    q35i_print(p->write, p->user, "step %u: run %u nodes on %s, about %.1f us\n", i, step->n_nodes,
               device_name(p->plan, step->device), (double)ns / 1000);
    for (uint32_t n = step->first; n < step->first + step->n_nodes; n++) {
        const q35i_node *node = &p->plan->graph.nodes[n];
        const char *shape = "";
        if (node->n_out > 0)
            shape = q35i_desc_text(&p->plan->graph.tensors[node->out[0]].desc, text, sizeof text);
        q35i_print(p->write, p->user, "  %4u %-13s %-24s %-22s %9.1f us", n, q35i_op_name(node->op), node->name,
                   shape, (double)answer_of(p->plan, n, step->device)->ns / 1000);
        print_runner_up(p, n);
        q35i_print(p->write, p->user, "\n");
    }
}

static void print_copy(const printer *p, uint32_t i, const q35i_step *step)
{
    const q35i_tensor *t = &p->plan->graph.tensors[step->tensor];
    q35i_print(p->write, p->user, "step %u: copy %s, %llu bytes, %s to %s\n", i, t->name,
               (unsigned long long)q35i_desc_bytes(&t->desc),
               step->from ? device_name(p->plan, step->from - 1) : "host",
               step->to ? device_name(p->plan, step->to - 1) : "host");
}

/* Nodes that an earlier device of the list refused, counted by (op, device, reason). */
static void print_fallbacks(const printer *p)
{
    const q35i_plan *plan = p->plan;
    uint32_t total = 0;
    for (uint32_t n = 0; n < plan->graph.n_nodes; n++)
        for (uint32_t d = 0; d < plan->placement.device[n]; d++) {
            const q35i_answer *a = answer_of(plan, n, d);
            uint32_t op = plan->graph.nodes[n].op, count = 0, seen = 0;
            uint64_t ns = 0;
            if (a->ok)
                continue;
            total++;
            for (uint32_t m = 0; m < plan->graph.n_nodes; m++) {
                int same = plan->graph.nodes[m].op == op && d < plan->placement.device[m] &&
                           !answer_of(plan, m, d)->ok && strcmp(answer_of(plan, m, d)->reason, a->reason) == 0;
                seen += same && m < n;
                count += same ? 1 : 0;
                ns += same ? answer_of(plan, m, plan->placement.device[m])->ns : 0;
            }
            if (seen == 0)
                q35i_print(p->write, p->user,
                           "fallback: %u x %s not on %s: %s; on %s instead, about %.1f us in all\n", count,
                           q35i_op_name(op), device_name(plan, d), a->reason,
                           device_name(plan, plan->placement.device[n]), (double)ns / 1000);
        }
    q35i_print(p->write, p->user, "fallbacks: %u\n", total);
}

void q35i_plan_print(const q35i_plan *plan, q35i_write_fn *write, void *user)
{
    const printer p = {.plan = plan, .write = write, .user = user};
    q35i_print(write, user, "plan: %u nodes in %u steps, placed by %s\n", plan->graph.n_nodes,
               plan->schedule.n_steps, plan->devices->by_preference ? "preference" : "cost");
    print_devices(&p);
    for (uint32_t i = 0; i < plan->schedule.n_steps; i++) {
        const q35i_step *step = &plan->schedule.steps[i];
        if (step->kind == Q35I_STEP_RUN)
            print_region(&p, i, step);
        else
            print_copy(&p, i, step);
    }
    print_fallbacks(&p);
}
