/* SPDX-License-Identifier: Apache-2.0
 *
 * Text form of graphs; golden tests and bug reports compare it, so it changes only with the graph. */
#include "graph/graph.h"

#include <q35rt/blocks.h>
#include <stdarg.h>
#include <stdio.h>

void q35i_print(q35i_write_fn *write, void *user, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n > 0)
        write(user, text, (size_t)n < sizeof text ? (uint64_t)n : sizeof text - 1);
}

const char *q35i_desc_text(const q35_tensor_desc *desc, char *buf, uint32_t cap)
{
    const char *rows = desc->flags & Q35_TF_TOKEN_ROWS  ? "T<="
                       : desc->flags & Q35_TF_OUT_ROWS  ? "O<="
                       : desc->flags & Q35_TF_SEQUENCES ? "S<="
                                                        : "";
    int n = snprintf(buf, cap, "%s ", q35_dtype_describe(desc->dtype).name);
    for (uint32_t i = desc->rank; i-- > 0 && n > 0 && (uint32_t)n < cap;)
        n += snprintf(buf + n, cap - (uint32_t)n, "[%s%lld]", i == desc->rank - 1 ? rows : "",
                      (long long)desc->dim[i]);
    return buf;
}

static const char *role_name(uint32_t role)
{
    switch (role) {
    case Q35_ROLE_INPUT: return "input";
    case Q35_ROLE_OUTPUT: return "output";
    case Q35_ROLE_TEMP: return "temp";
    case Q35_ROLE_WEIGHT: return "weight";
    case Q35_ROLE_STATE: return "state";
    case Q35_ROLE_STEP: return "step";
    default: return "?";
    }
}

void q35i_graph_print(const q35i_graph *graph, q35i_write_fn *write, void *user)
{
    char text[96];
    q35i_print(write, user, "graph: %u nodes\n", graph->n_nodes);
    for (uint32_t t = 0; t < graph->n_tensors; t++) {
        const q35i_tensor *tensor = &graph->tensors[t];
        if (tensor->role != Q35_ROLE_TEMP)
            q35i_print(write, user, "  %-6s %s: %s\n", role_name(tensor->role), tensor->name,
                       q35i_desc_text(&tensor->desc, text, sizeof text));
    }
    for (uint32_t n = 0; n < graph->n_nodes; n++) {
        const q35i_node *node = &graph->nodes[n];
        q35i_print(write, user, "  %4u %s", n, q35i_op_name(node->op));
        for (uint32_t i = 0; i < node->n_in; i++)
            q35i_print(write, user, "%s%s", i ? ", " : "(", graph->tensors[node->in[i]].name);
        q35i_print(write, user, ")");
        for (uint32_t i = 0; i < node->n_out; i++)
            q35i_print(write, user, "%s%s: %s", i ? ", " : " -> ", graph->tensors[node->out[i]].name,
                       q35i_desc_text(&graph->tensors[node->out[i]].desc, text, sizeof text));
        q35i_print(write, user, "\n");
    }
}
