/* SPDX-License-Identifier: Apache-2.0
 *
 * The sum of what several devices have, in the order of their ranks: the same bits everywhere and each time, which
 * an addition on the way between devices does not promise. */
#include "kernels-cuda/prim.cuh"

Q35_KERNEL(256) q35_sum_parts(const q35_sum_parts_args a)
{
    begin();
    const float *parts = at_address<const float>(a.parts);
    float *y = at_address<float>(a.y);
    const int64_t first = (int64_t)blockIdx.x * 1024 + threadIdx.x;
    for (int64_t i = first; i < a.n && i < first + 1024; i += 256) {
        float sum = parts[i];
        for (int64_t r = 1; r < a.n_parts; r++)
            sum += parts[r * a.n + i];
        y[i] = sum;
    }
}
