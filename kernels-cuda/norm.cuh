/* SPDX-License-Identifier: Apache-2.0
 *
 * RMS_NORM and ADD_RMS_NORM of a row by the 256 threads of a block, up to the values, which the kernel stores or
 * uses at once. Sixteen sums in double, term i in lane i mod 16, ascending, then the lanes: the order that the op
 * prescribes. The row comes through shared memory in chunks, so that the chains need no loads from far away. */
#ifndef Q35_NORM_CUH
#define Q35_NORM_CUH

#include "kernels-cuda/math.cuh"

struct norm_row {
    const float *left, *right, *w; /* right, sum, y: nullptr where there is none */
    float *sum, *y;
    shared_span<float> s; /* a row of one chunk stays here */
    double factor;
    int k;
};

/* used: bytes of shared memory taken so far, of which this takes Q35_CUDA_NORM_SHARED. Ends with a barrier. */
Q35_DEVICE norm_row take_norm_row(const q35_norm_args &a, int row, unsigned &used)
{
    const shared_span<double> lane = shared_take<double>(used, 17);
    const int tid = (int)threadIdx.x;
    norm_row r;
    r.s = shared_take<float>(used, Q35_CUDA_CHUNK);
    r.left = at_address<const float>(a.a, row * a.rs_a);
    r.right = a.b ? at_address<const float>(a.b, row * a.rs_b) : nullptr;
    r.w = at_address<const float>(a.w);
    r.sum = a.sum ? at_address<float>(a.sum, row * a.rs_sum) : nullptr;
    r.y = a.y ? at_address<float>(a.y, row * a.rs_y) : nullptr;
    r.k = a.k;

    double chain = 0;
    for (int k0 = 0; k0 < a.k; k0 += Q35_CUDA_CHUNK) {
        const int n = a.k - k0 < Q35_CUDA_CHUNK ? a.k - k0 : (int)Q35_CUDA_CHUNK;
        for (int i = tid; i < n; i += 256) {
            const float v = r.right ? r.left[k0 + i] + r.right[k0 + i] : r.left[k0 + i];
            r.s[i] = v;
            if (r.sum)
                r.sum[k0 + i] = v;
        }
        barrier();
        if (tid < 16) {
            for (int i = tid; i < n; i += 16)
                chain = fma((double)r.s[i], (double)r.s[i], chain); /* the product is exact */
            lane[tid] = chain;
        }
        barrier();
    }
    if (tid == 0) {
        double half[8];
        for (int i = 0; i < 8; i++)
            half[i] = lane[i] + lane[i + 8];
        for (int i = 0; i < 4; i++)
            half[i] = half[i] + half[i + 4];
        const double squares = (half[0] + half[1]) + (half[2] + half[3]);
        lane[16] = 1 / sqrt(squares / (double)a.k + (double)a.eps);
    }
    barrier();
    r.factor = lane[16];
    return r;
}

/* Value i of the result, by thread i mod 256, which has also stored it where the row has a y. Since y may be a or
 * b, once for each i. */
Q35_DEVICE float norm_value(const norm_row &r, int i)
{
    /* sum may have replaced a */
    const float v = r.k <= Q35_CUDA_CHUNK ? r.s[i]
                    : r.sum               ? r.sum[i]
                    : r.right             ? r.left[i] + r.right[i]
                                          : r.left[i];
    const float y = (float)((double)v * r.factor * (double)r.w[i]);
    if (r.y)
        r.y[i] = y;
    return y;
}

#endif
