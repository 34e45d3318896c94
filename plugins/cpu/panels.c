/* SPDX-License-Identifier: Apache-2.0
 *
 * Panels: quantised inputs of many tokens that lie in the order in which the linears of row types read them,
 * packed once by the step that quantises them instead of by every worker of every linear. A temporary tensor may
 * hold one when nothing else reads or writes it. For few tokens, which the kernels take as rows, it holds rows. */
#include "plugins/cpu/cpu.h"

static bool reads_panel(const q35_plan *plan, const q35i_cpu_step *step, uint32_t in)
{
    return step->op == Q35_OP_LINEAR && in == 0 && q35_is_row_type(plan->tensors[step->in[1]].desc.dtype);
}

/* Written by one QUANTIZE_ACT, and read by linears of row types alone, later. */
static bool has_panel_uses(const q35_plan *plan, uint32_t t)
{
    bool made = false;
    for (uint32_t i = 0; i < plan->n_steps; i++) {
        const q35i_cpu_step *step = &plan->steps[i];
        for (uint32_t in = 0; in < step->n_in; in++)
            if (step->in[in] == t && !(made && reads_panel(plan, step, in)))
                return false;
        for (uint32_t out = 0; out < step->n_out; out++) {
            if (step->out[out] == t && (made || step->op != Q35_OP_QUANTIZE_ACT))
                return false;
            made = made || step->out[out] == t;
        }
    }
    return made;
}

void q35i_cpu_find_panels(q35_plan *plan)
{
    for (uint32_t t = 0; t < plan->n_tensors; t++) {
        const q35_tensor_desc *d = &plan->tensors[t].desc;
        plan->tensors[t].packable = plan->tensors[t].role == Q35_ROLE_TEMP && d->rank == 2 &&
                                    (d->dtype == Q35_DT_A8_ROW || d->dtype == Q35_DT_A8_128) &&
                                    d->stride[1] == (int64_t)q35_row_bytes(d->dtype, (uint64_t)d->dim[0]) &&
                                    has_panel_uses(plan, t);
    }
}

bool q35i_cpu_is_panel(const q35i_cpu_tensor *tensor, int64_t rows)
{
    return tensor->packable && rows > Q35I_CPU_FEW_TOKENS;
}

uint64_t q35i_cpu_panel_rows_bytes(uint32_t act_type, int64_t k)
{
    const uint64_t bytes = Q35I_CPU_PANEL_TOKENS * q35_row_bytes(act_type, (uint64_t)k);
    return (bytes + Q35I_CPU_LINE - 1) / Q35I_CPU_LINE * Q35I_CPU_LINE;
}

uint64_t q35i_cpu_quantize_scratch(uint32_t act_type, int64_t k)
{
    return q35i_cpu_panel_rows_bytes(act_type, k) + (uint64_t)k * sizeof(float);
}
