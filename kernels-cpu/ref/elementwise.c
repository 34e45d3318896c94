/* SPDX-License-Identifier: Apache-2.0
 *
 * Reference SWIGLU, ADD, MUL and SILU on flat f32 arrays. silu: Elfwing et al., "Sigmoid-weighted linear units"
 * (2017); swiglu: Shazeer, "GLU variants improve transformer" (2020), without its two matrices. */
#include "kernels-cpu/kernels_decl.h"

static double silu(double a)
{
    return a / (1 + q35k_exp_f64(-a));
}

void q35k_swiglu__ref(const float *a, const float *b, float *y, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++)
        y[i] = (float)(silu((double)a[i]) * (double)b[i]);
}

void q35k_add__ref(const float *a, const float *b, float *y, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++)
        y[i] = a[i] + b[i];
}

void q35k_mul__ref(const float *a, const float *b, float *y, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++)
        y[i] = a[i] * b[i];
}

void q35k_silu__ref(const float *a, const float *b, float *y, int64_t begin, int64_t end)
{
    (void)b;
    for (int64_t i = begin; i < end; i++)
        y[i] = (float)silu((double)a[i]);
}
