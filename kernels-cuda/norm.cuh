/* SPDX-License-Identifier: Apache-2.0
 *
 * RMS_NORM and ADD_RMS_NORM of a row by the 256 threads of a block, up to the values, which the kernel stores or
 * uses at once. Sixteen sums in double, term i in lane i mod 16, ascending, then the lanes: the order that the op
 * prescribes. The row comes through shared memory in chunks, so that the chains need no loads from far away. */
#ifndef Q35_NORM_CUH
#define Q35_NORM_CUH

#include "kernels-cuda/math.cuh"

/* Elements whose loads a thread starts before it stores the first of them: after a store the compiler may not load
 * ahead, and with one row per block nothing else hides the way to memory and back. */
enum { ROW_BATCH = 8 };

struct norm_row {
    const float *left, *right, *w; /* right, sum, y: nullptr where there is none */
    float *sum, *y;
    shared_span<float> s; /* the last chunk */
    double factor;
};

/* One of n elements that begin at element k0, for each thread. */
Q35_DEVICE void load_norm_chunk(const norm_row &r, int k0, int n)
{
    for (int first = (int)threadIdx.x; first < n; first += 256 * ROW_BATCH) {
        float v[ROW_BATCH];
        Q35_UNROLL
        for (int j = 0; j < ROW_BATCH; j++)
            v[j] = first + 256 * j < n ? r.left[k0 + first + 256 * j] : 0;
        Q35_UNROLL
        for (int j = 0; j < ROW_BATCH; j++)
            if (r.right && first + 256 * j < n)
                v[j] = v[j] + r.right[k0 + first + 256 * j];
        Q35_UNROLL
        for (int j = 0; j < ROW_BATCH; j++) {
            const int i = first + 256 * j;
            if (i >= n)
                continue;
            r.s[(unsigned)i] = v[j];
            if (r.sum)
                r.sum[k0 + i] = v[j];
        }
    }
}

/* s: room for `chunk` elements; lane: for 17. Ends with a barrier. */
Q35_DEVICE norm_row take_norm_row(const q35_norm_args &a, int row, shared_span<double> lane, shared_span<float> s,
                                  int chunk)
{
    const int tid = (int)threadIdx.x;
    norm_row r;
    r.s = s;
    r.left = at_address<const float>(a.a, row * a.rs_a);
    r.right = a.b ? at_address<const float>(a.b, row * a.rs_b) : nullptr;
    r.w = at_address<const float>(a.w);
    r.sum = a.sum ? at_address<float>(a.sum, row * a.rs_sum) : nullptr;
    r.y = a.y ? at_address<float>(a.y, row * a.rs_y) : nullptr;

    double chain = 0;
    for (int k0 = 0; k0 < a.k; k0 += chunk) {
        const int n = a.k - k0 < chunk ? a.k - k0 : chunk;
        load_norm_chunk(r, k0, n);
        barrier();
        if (tid < 16) {
            for (int i = tid; i < n; i += 16)
                chain = fma((double)s[(unsigned)i], (double)s[(unsigned)i], chain); /* the product is exact */
            lane[(unsigned)tid] = chain;
        }
        barrier();
    }
    if (tid == 0) {
        double half[8];
        for (unsigned i = 0; i < 8; i++)
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

/* Of an element of the row (or of the sum) and its weight. */
Q35_DEVICE float norm_value(const norm_row &r, float v, float w)
{
    return (float)((double)v * r.factor * (double)w);
}

#endif
