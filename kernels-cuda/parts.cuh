/* SPDX-License-Identifier: Apache-2.0
 *
 * Which output rows a warp or a block of a linear has: the slices of all parts stand in one line, part after part.
 */
#ifndef Q35_PARTS_CUH
#define Q35_PARTS_CUH

#include "kernels-cuda/prim.cuh"

/* Up to Rows output rows that are neighbours in the packed weights. */
struct linear_slice {
    const uint8_t *w;
    uint64_t y; /* of the first row and token 0, 0: not written */
    int64_t rs_y;
    int rows; /* 0: there is no such slice */
    int first;
};

/* Slice i, of `bytes` bytes. */
template <int Rows> static Q35_METHOD linear_slice slice_of(const q35_linear_args &a, int i, int64_t bytes)
{
    linear_slice s = {nullptr, 0, 0, 0, 0};
    Q35_UNROLL
    for (int p = 0; p < Q35_CUDA_PARTS; p++) {
        const q35_linear_part &part = a.part[p];
        const int slices = (part.n + Rows - 1) / Rows;
        if (i >= 0 && i < slices) {
            s.w = at_constant<uint8_t>(part.w, bytes * i);
            s.first = i * Rows;
            s.y = part.y ? part.y + 4 * (uint64_t)s.first : 0;
            s.rs_y = part.rs_y;
            s.rows = part.n - s.first < Rows ? part.n - s.first : Rows;
        }
        i -= slices;
    }
    return s;
}

#endif
