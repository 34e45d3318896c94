/* SPDX-License-Identifier: Apache-2.0
 *
 * async1: TOP_K. */
#include "async.h"

#include <math.h>

/* What a newer host added to parameters would change the result, unless it is all zero. */
static int are_params(const q35_hdr *p)
{
    if (!p || p->type != Q35_STRUCT_TOP_K_PARAMS || p->size < sizeof(q35_top_k_params))
        return 0;
    for (uint32_t i = sizeof(q35_top_k_params); i < p->size; i++)
        if (((const unsigned char *)p)[i] != 0)
            return 0;
    return 1;
}

static int is_plain(const q35_tensor_desc *t, uint32_t dtype)
{
    return t->dtype == dtype && t->layout == 0 && t->stride[0] == 4 && t->dim[2] == 1 && t->dim[3] == 1;
}

const char *async_top_k_refusal(const q35_tensor_desc *tensors, const q35_node *node)
{
    if (node->n_in != 1 || node->n_out != 2)
        return "other number of inputs or outputs";
    if (!are_params(node->params))
        return "need parameters of top_k without newer, non-zero fields";
    const q35_tensor_desc *x = &tensors[node->in[0]];
    const uint32_t k = ((const q35_top_k_params *)(const void *)node->params)->k;
    if (k < 1 || k > x->dim[0])
        return "need at least one column and at most all";
    for (int i = 0; i < 2; i++) {
        const q35_tensor_desc *y = &tensors[node->out[i]];
        if (!is_plain(y, i ? Q35_DT_I32 : Q35_DT_F32) || y->dim[0] != k || y->dim[1] != x->dim[1] ||
            y->flags != x->flags)
            return "need matching shapes: f32 values and i32 columns";
    }
    return is_plain(x, Q35_DT_F32) ? NULL : "need f32 inputs in the canonical layout";
}

/* Does a come before b, which is left of it? */
static int comes_before(float a, float b)
{
#ifdef MUTANT_later_of_equals /* tests/conform/mutants */
    if (a == b)
        return 1;
#endif
    return isfinite(b) && (!isfinite(a) || a > b);
}

/* Of what is left, the first, k times. */
void async_top_k_row(const float *x, int64_t n, float *values, int32_t *columns, int64_t k)
{
    for (int64_t i = 0; i < k; i++) {
        int64_t best = -1;
        for (int64_t c = 0; c < n; c++) {
            int taken = 0;
            for (int64_t j = 0; j < i; j++)
                taken |= columns[j] == c;
            if (!taken && (best < 0 || comes_before(x[c], x[best])))
                best = c;
        }
        values[i] = x[best];
        columns[i] = (int32_t)best;
    }
}
