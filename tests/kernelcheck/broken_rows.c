/* SPDX-License-Identifier: Apache-2.0
 *
 * Self-test kernels on flat arrays and rows (broken.h).
 */
#include "broken.h"

#include <math.h>
#include <stdbool.h>

static double silu(double a)
{
    return a / (1 + q35k_exp_f64(-a));
}

void good_swiglu(const float *a, const float *b, float *y, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++)
        y[i] = (float)(silu((double)a[i]) * (double)b[i]);
}

/* As a loop that loads whole vectors of 8 does. */
void over_read(const float *a, const float *b, float *y, int64_t begin, int64_t end)
{
    const volatile float *v = a;
    for (int64_t i = begin; i < end; i += 8)
        (void)v[i + 7];
    good_swiglu(a, b, y, begin, end);
}

void under_read(const float *a, const float *b, float *y, int64_t begin, int64_t end)
{
    const volatile float *v = a;
    if (begin < end)
        (void)v[begin - 1];
    good_swiglu(a, b, y, begin, end);
}

void over_write(const float *a, const float *b, float *y, int64_t begin, int64_t end)
{
    good_swiglu(a, b, y, begin, end);
    if (begin < end)
        y[end] = 0;
}

void writes_input(const float *a, const float *b, float *y, int64_t begin, int64_t end)
{
    float *in = (float *)(uintptr_t)a;
    good_swiglu(a, b, y, begin, end);
    if (begin < end && a != y)
        in[begin] += 0.0f;
}

void wrong_tail(const float *a, const float *b, float *y, int64_t begin, int64_t end)
{
    int64_t whole = begin + (end - begin) / 8 * 8;
    good_swiglu(a, b, y, begin, whole);
    for (int64_t i = whole; i < end; i++)
        y[i] = (float)silu((double)a[i]);
}

void touches_empty(const float *a, const float *b, float *y, int64_t begin, int64_t end)
{
    (void)*(const volatile float *)a;
    good_swiglu(a, b, y, begin, end);
}

void hangs(const float *a, const float *b, float *y, int64_t begin, int64_t end)
{
    volatile bool waiting = end - begin == 31;
    while (waiting)
        ;
    good_swiglu(a, b, y, begin, end);
}

void illegal_instruction(const float *a, const float *b, float *y, int64_t begin, int64_t end)
{
    if (end - begin == 17)
        __builtin_trap();
    good_swiglu(a, b, y, begin, end);
}

/* Other bits where the call before had the same length. */
void nondeterministic(const float *a, const float *b, float *y, int64_t begin, int64_t end)
{
    static int64_t last;
    double noise = end - begin == last ? 0x1p-24 : 0;
    last = end - begin;
    for (int64_t i = begin; i < end; i++)
        y[i] = (float)(silu((double)a[i]) * (double)b[i] * (1 - noise));
}

/* ---- rows ---- */

/* What norm_rows gets wrong. */
typedef enum mistake { NONE, PADDING, STRIDE, NAN_SKIPPED, LAST_ROW, ROOT, IN_PLACE } mistake;

static void norm_row(const float *a, const float *b, const float *w, float eps, float *sum, float *y, int64_t k,
                     mistake m)
{
    double squares[Q35K_LANES] = {0};
    if (m == IN_PLACE)
        y[k - 1] = 0;
    for (int64_t i = 0; i < k; i++) {
        float s = b ? a[i] + b[i] : a[i];
        squares[i % Q35K_LANES] += m == NAN_SKIPPED && isnan(s) ? 0 : (double)s * (double)s;
    }
    double factor = 1 / sqrt(q35k_lanes_sum_f64(squares) / (double)k + (double)eps);
    if (m == ROOT)
        factor *= 1 + 0x1p-20;
    for (int64_t i = 0; i < k; i++) {
        float s = b ? a[i] + b[i] : a[i];
        if (sum)
            sum[i] = s;
        y[i] = m == NAN_SKIPPED && isnan(s) ? 0 : (float)((double)s * factor * (double)w[i]);
    }
    for (int64_t i = k; m == PADDING && i % 8; i++)
        y[i] = 0;
}

static void norm_rows(const float *a, const float *b, const float *w, float eps, float *sum, float *y, int64_t rs,
                      int64_t k, int64_t begin, int64_t end, mistake m)
{
    int64_t step = m == STRIDE ? k : rs / 4, last = m == LAST_ROW && end - begin > 2 ? end - 1 : end;
    for (int64_t t = begin; t < last; t++)
        norm_row(a + t * step, b ? b + t * step : b, w, eps, sum ? sum + t * step : sum, y + t * step, k, m);
}

#define NORM(name, m)                                                                                             \
    void name(const float *a, const float *b, const float *w, float eps, float *sum, float *y, int64_t rs,        \
              int64_t k, int64_t begin, int64_t end)                                                              \
    {                                                                                                             \
        norm_rows(a, b, w, eps, sum, y, rs, k, begin, end, m);                                                    \
    }
NORM(good_norm, NONE)
NORM(fills_padding, PADDING)
NORM(ignores_stride, STRIDE)
NORM(skips_nan, NAN_SKIPPED)
NORM(leaves_last_row, LAST_ROW)
NORM(coarse_root, ROOT)
NORM(clobbers_in_place, IN_PLACE)
