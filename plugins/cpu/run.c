/* SPDX-License-Identifier: Apache-2.0
 *
 * One worker's share of one step. Work is cut by worker index alone: token rows, elements in multiples of 64, or
 * columns; weight rows of LINEAR in sixteens, of few tokens in chunks that workers take as they come (chunks.c).
 * No kernel's result depends on where the cuts are. */
#include "plugins/cpu/cpu.h"

enum { ELEMENT_GRAIN = 64, COLUMN_GRAIN = 16 };

/* What a step function works with. */
typedef struct share {
    const q35_plan *plan;
    const q35i_cpu_step *step;
    const q35k_table *kernels;
    uint32_t worker, n_workers;
    int64_t rows; /* valid rows of the first input */
} share;

static void split(const share *s, int64_t n, int64_t grain, int64_t *begin, int64_t *end)
{
    q35i_cpu_split(n, grain, s->worker, s->n_workers, begin, end);
}

static const q35i_cpu_tensor *input(const share *s, uint32_t i)
{
    return &s->plan->tensors[s->step->in[i]];
}

static const q35i_cpu_tensor *output(const share *s, uint32_t i)
{
    return &s->plan->tensors[s->step->out[i]];
}

static float *row(const q35i_cpu_tensor *t, int64_t r)
{
    return (float *)(void *)(t->base + r * t->desc.stride[1]);
}

static const int32_t *indices(const share *s, uint32_t i)
{
    return (const int32_t *)(const void *)input(s, i)->base;
}

static void *scratch(const share *s)
{
    return s->plan->scratch + s->worker * s->plan->scratch_stride;
}

static void run_get_rows(const share *s)
{
    int64_t begin, end;
    split(s, s->rows, 1, &begin, &end);
    s->kernels->get_rows(indices(s, 0), &s->step->weights, row(output(s, 0), 0), output(s, 0)->desc.stride[1],
                         begin, end);
}

/* RMS_NORM and ADD_RMS_NORM. The kernel has one row stride for all operands, so it gets a row at a time. */
static void run_norm(const share *s)
{
    bool add = s->step->op == Q35_OP_ADD_RMS_NORM;
    const float *w = row(input(s, add ? 2 : 1), 0);
    int64_t begin, end, k = input(s, 0)->desc.dim[0];
    split(s, s->rows, 1, &begin, &end);
    for (int64_t t = begin; t < end; t++)
        s->kernels->norm(row(input(s, 0), t), add ? row(input(s, 1), t) : NULL, w, s->step->eps,
                         add ? row(output(s, 0), t) : NULL, row(output(s, add), t), 0, k, 0, 1);
}

/* Token rows [begin, end) to rows `out`. */
static void quantize_rows(const share *s, int64_t begin, int64_t end, void *out)
{
    const q35i_cpu_tensor *x = input(s, 0), *y = output(s, 0);
    char *own = (char *)scratch(s) + q35i_cpu_panel_rows_bytes(y->desc.dtype, x->desc.dim[0]);
    s->kernels->quantize_act(row(x, begin), x->desc.stride[1], x->desc.dim[0],
                             s->step->n_in == 2 ? &s->step->rotation : NULL, y->desc.dtype, out, y->desc.stride[1],
                             0, end - begin, (float *)(void *)own);
}

/* To a panel: some rows at a time, which stay in the worker's cache until they are packed. */
static void run_quantize_act(const share *s)
{
    const q35i_cpu_tensor *y = output(s, 0);
    int64_t begin, end;
    split(s, s->rows, 1, &begin, &end);
    if (!q35i_cpu_is_panel(y, s->rows)) {
        quantize_rows(s, begin, end, row(y, begin));
        return;
    }
    for (int64_t t = begin, next; t < end; t = next) {
        next = (t / Q35I_CPU_PANEL_TOKENS + 1) * Q35I_CPU_PANEL_TOKENS;
        next = next < end ? next : end;
        quantize_rows(s, t, next, scratch(s));
        s->kernels->pack_act(scratch(s), y->desc.dtype, y->desc.stride[1], y->desc.dim[0], s->rows, y->base, t,
                             next);
    }
}

static void run_rotate(const share *s)
{
    int64_t begin, end;
    split(s, s->rows, 1, &begin, &end);
    s->kernels->rotate(row(input(s, 0), 0), input(s, 0)->desc.stride[1], input(s, 0)->desc.dim[0],
                       &s->step->rotation, s->step->inverse, row(output(s, 0), 0), output(s, 0)->desc.stride[1],
                       begin, end);
}

static void linear_rows(const share *s, int64_t begin, int64_t end)
{
    const q35k_weights *w = &s->step->weights;
    q35k_linear_fn *linear = q35_is_row_type(w->dtype) ? s->kernels->linear_row : s->kernels->linear;
    uint32_t act_type = input(s, 0)->desc.dtype | (q35i_cpu_is_panel(input(s, 0), s->rows) ? Q35K_PANEL : 0);
    if (begin < end)
        linear(input(s, 0)->base, act_type, input(s, 0)->desc.stride[1], s->rows, w, row(output(s, 0), 0),
               output(s, 0)->desc.stride[1], begin, end, scratch(s));
}

bool q35i_cpu_takes_chunks(const q35_plan *plan, const q35i_cpu_step *step, uint32_t n_workers)
{
    return n_workers > 1 && step->weights.n <= UINT32_MAX &&
           q35i_cpu_rows(plan, &plan->tensors[step->in[0]].desc) <= Q35I_CPU_FEW_TOKENS;
}

static void run_linear(const share *s)
{
    int64_t begin, end;
    if (!q35i_cpu_takes_chunks(s->plan, s->step, s->n_workers)) {
        split(s, s->step->weights.n, Q35I_CPU_TILE_ROWS, &begin, &end);
        linear_rows(s, begin, end);
        return;
    }
    while (q35i_cpu_next_chunk(s->plan, s->step, s->worker, s->n_workers, &begin, &end))
        linear_rows(s, begin, end);
}

/* One row stride for input and output in the kernel: a row at a time, as for norms. */
static void run_rope(const share *s)
{
    int64_t begin, end;
    const q35k_rope rope = {.n_heads = input(s, 0)->desc.dim[0] / s->step->head_dim,
                            .head_dim = s->step->head_dim,
                            .n_rot = s->step->n_rot,
                            .inv_freq = row(input(s, 1), 0),
                            .temperature_beta = s->step->temperature_beta,
                            .temperature_length = s->step->temperature_length};
    split(s, s->rows, 1, &begin, &end);
    for (int64_t t = begin; t < end; t++)
        s->kernels->rope(row(input(s, 0), t), row(output(s, 0), t), 0, &rope, indices(s, 2) + t, 0, 1);
}

static void run_kv_append(const share *s)
{
    int64_t begin, end;
    split(s, s->rows, 1, &begin, &end);
    s->kernels->kv_append(row(input(s, 0), 0), input(s, 0)->desc.stride[1], row(input(s, 1), 0),
                          input(s, 1)->desc.stride[1], &s->step->kv, indices(s, 4), begin, end);
}

static bool dense(const q35i_cpu_tensor *t)
{
    return t->desc.stride[1] == t->desc.dim[0] * (int64_t)sizeof(float);
}

/* Rows without gaps are one flat array; otherwise every row is cut on its own. */
static void run_elementwise(const share *s, q35k_binary_fn *kernel)
{
    const q35i_cpu_tensor *a = input(s, 0), *b = input(s, s->step->n_in - 1), *y = output(s, 0);
    int64_t n = a->desc.dim[0], rows = s->rows, begin, end;
    if (dense(a) && dense(b) && dense(y)) {
        n *= rows;
        rows = rows > 0;
    }
    split(s, n, ELEMENT_GRAIN, &begin, &end);
    for (int64_t r = 0; r < rows; r++)
        kernel(row(a, r), row(b, r), row(y, r), begin, end);
}

static void run_take_rows(const share *s)
{
    const q35i_cpu_tensor *x = input(s, 0), *y = output(s, 0);
    int64_t begin, end;
    split(s, q35i_cpu_rows(s->plan, &y->desc), 1, &begin, &end);
    for (int64_t r = begin; r < end; r++)
        memcpy(row(y, r), row(x, indices(s, 1)[r]), (size_t)x->desc.dim[0] * sizeof(float));
}

static void run_sum_squares(const share *s)
{
    int64_t begin, end;
    split(s, input(s, 0)->desc.dim[0], COLUMN_GRAIN, &begin, &end);
    s->kernels->sum_squares(row(input(s, 0), 0), input(s, 0)->desc.stride[1], s->rows, row(input(s, 1), 0), begin,
                            end);
}

static void run_top_k(const share *s)
{
    const q35i_cpu_tensor *x = input(s, 0), *values = output(s, 0), *columns = output(s, 1);
    int64_t begin, end;
    split(s, s->rows, 1, &begin, &end);
    s->kernels->top_k(row(x, 0), x->desc.stride[1], x->desc.dim[0], values->desc.dim[0], row(values, 0),
                      values->desc.stride[1], (int32_t *)(void *)columns->base, columns->desc.stride[1], begin,
                      end);
}

void q35i_cpu_run_step(const q35_plan *plan, const q35i_cpu_step *step, uint32_t worker, uint32_t n_workers,
                       q35_team *team)
{
    const q35k_table *kernels = &plan->dev->kernels;
    share s = {plan, step, kernels, worker, n_workers, q35i_cpu_rows(plan, &plan->tensors[step->in[0]].desc)};
    switch (step->op) {
    case Q35_OP_GET_ROWS: run_get_rows(&s); break;
    case Q35_OP_RMS_NORM:
    case Q35_OP_ADD_RMS_NORM: run_norm(&s); break;
    case Q35_OP_QUANTIZE_ACT: run_quantize_act(&s); break;
    case Q35_OP_ROTATE: run_rotate(&s); break;
    case Q35_OP_LINEAR: run_linear(&s); break;
    case Q35_OP_ROPE: run_rope(&s); break;
    case Q35_OP_KV_APPEND: run_kv_append(&s); break;
    case Q35_OP_ATTENTION: q35i_cpu_run_attention(plan, step, worker, n_workers, team); break;
    case Q35_OP_SWIGLU: run_elementwise(&s, kernels->swiglu); break;
    case Q35_OP_ADD: run_elementwise(&s, kernels->add); break;
    case Q35_OP_MUL: run_elementwise(&s, kernels->mul); break;
    case Q35_OP_SILU: run_elementwise(&s, kernels->silu); break;
    case Q35_OP_TAKE_ROWS: run_take_rows(&s); break;
    case Q35_OP_SUM_SQUARES: run_sum_squares(&s); break;
    case Q35_OP_TOP_K: run_top_k(&s); break;
    default: break; /* no other op passes the check at compile time */
    }
}
