/* SPDX-License-Identifier: Apache-2.0
 *
 * Reference TOP_K: each element is moved up past those that it precedes. */
#include "kernels-cpu/kernels_decl.h"

#include <math.h>
#include <stdbool.h>

/* Of elements in the order of their columns: does x come before `other`, which is left of it? */
static bool overtakes(float x, float other)
{
    return isfinite(other) && (!isfinite(x) || x > other);
}

static void take(float x, int32_t column, float *values, int32_t *columns, int64_t n, int64_t k)
{
    int64_t i = n;
    while (i > 0 && overtakes(x, values[i - 1]))
        i--;
    if (i == k)
        return;
    for (int64_t j = n < k ? n : k - 1; j > i; j--) {
        values[j] = values[j - 1];
        columns[j] = columns[j - 1];
    }
    values[i] = x;
    columns[i] = column;
}

void q35k_top_k__ref(const float *x, int64_t rs_x, int64_t n, int64_t k, float *values, int64_t rs_values,
                     int32_t *columns, int64_t rs_columns, int64_t begin, int64_t end)
{
    for (int64_t t = begin; t < end; t++) {
        const float *from = (const float *)(const void *)((const char *)x + t * rs_x);
        float *to = (float *)(void *)((char *)values + t * rs_values);
        int32_t *at = (int32_t *)(void *)((char *)columns + t * rs_columns);
        for (int64_t i = 0; i < n; i++)
            take(from[i], (int32_t)i, to, at, i < k ? i : k, k);
    }
}
