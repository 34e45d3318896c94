/* SPDX-License-Identifier: Apache-2.0
 *
 * ADD, MUL, SILU, SWIGLU and TAKE_ROWS. One work-item takes Q35_SPAN neighbours of a row; dimension 1 is the row. */

#define HEAD                                                                                           \
    const int row = (int)get_global_id(1), begin = (int)get_global_id(0) * Q35_SPAN;                              \
    const int end = min(begin + Q35_SPAN, k);                                                                     \
    if (row >= Q35_N_ROWS)                                                                                        \
        return;

#define BINARY(name, expression)                                                                                  \
    kernel void name(Q35_IN(a), ulong rs_a, Q35_IN(b), ulong rs_b, Q35_OUT(y), ulong rs_y, int k, Q35_ROWS)       \
    {                                                                                                             \
        HEAD                                                                                                   \
        global const float *pa = Q35_AT(const float, a, row * rs_a), *pb = Q35_AT(const float, b, row * rs_b);    \
        global float *py = Q35_AT(float, y, row * rs_y);                                                          \
        for (int i = begin; i < end; i++) {                                                                       \
            const float u = pa[i], v = pb[i];                                                                     \
            py[i] = (expression);                                                                                 \
        }                                                                                                         \
    }

BINARY(q35_add, u + v)
BINARY(q35_mul, u * v)
BINARY(q35_swiglu, silu_times(u, v))

kernel void q35_silu(Q35_IN(a), ulong rs_a, Q35_OUT(y), ulong rs_y, int k, Q35_ROWS)
{
    HEAD
    global const float *pa = Q35_AT(const float, a, row * rs_a);
    global float *py = Q35_AT(float, y, row * rs_y);
    for (int i = begin; i < end; i++)
        py[i] = silu_times(pa[i], 1.0f);
}

/* n_in: rows of x that are valid, kind and capacity as in Q35_ROWS */
kernel void q35_take_rows(Q35_IN(x), ulong rs_x, Q35_IN(rows), Q35_OUT(y), ulong rs_y, int k, int in_kind,
                          int in_capacity, Q35_ROWS, Q35_FAULT)
{
    HEAD
    const int from = *Q35_AT(const int, rows, 4 * row), n_in = q35_rows(step_b, step_at, in_kind, in_capacity);
    if (from < 0 || from >= n_in) {
        q35_fault(fault, Q35_BAD_ROW, node, row, from, n_in);
        return;
    }
    global const float *px = Q35_AT(const float, x, from * rs_x);
    global float *py = Q35_AT(float, y, row * rs_y);
    for (int i = begin; i < end; i++)
        py[i] = px[i];
}

/* A step's values against the capacities, and against each other. */
kernel void q35_check_step(Q35_IN(step), int max_tokens, int max_out, int max_sequences, Q35_FAULT)
{
    global const int *step = Q35_AT(const int, step, 0);
    const int limits[3] = {max_tokens, min(max_out, step[0]), min(max_sequences, step[0])};
    if (get_global_id(0) > 0)
        return;
    for (int i = 0; i < 3; i++)
        if (step[i] < 0 || step[i] > limits[i])
            q35_fault(fault, Q35_BAD_STEP, node, i, step[i], limits[i] + 1);
}
