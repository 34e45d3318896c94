/* SPDX-License-Identifier: Apache-2.0
 *
 * TOP_K in two launches: of each part of a row the first `list` elements, as keys in order, then the first of all
 * parts' keys. A key is the larger the earlier its element comes, and no two are equal: the value's place in its
 * upper half, the column, inverted, in the lower. 0: none. */
#include "kernels-cuda/prim.cuh"

Q35_DEVICE uint64_t top_key(float v, int column)
{
    const uint32_t bits = bits_of_float(v);
    uint32_t order = bits >> 31 ? ~bits : bits | 0x80000000u;
    if (bits << 1 == 0)
        order = 0x80000000u;
    if ((bits & 0x7f800000u) == 0x7f800000u)
        order = 0xffffffffu;
    return (uint64_t)order << 32 | (uint32_t)~column;
}

Q35_DEVICE void order_pair(shared_span<uint64_t> keys, int low, int step, bool falls)
{
    const uint64_t a = keys[(unsigned)low], b = keys[(unsigned)(low + step)];
    if ((a < b) == falls) {
        keys[(unsigned)low] = b;
        keys[(unsigned)(low + step)] = a;
    }
}

/* The lower of the i-th pair that are `step` apart. */
Q35_DEVICE int pair_at(int i, int step)
{
    return 2 * i - (i & (step - 1));
}

/* Puts each run of `list` keys, which all rise and then fall or the other way round, into falling order. */
Q35_DEVICE void merge_runs(shared_span<uint64_t> keys, int n, int list)
{
    for (int step = list / 2; step > 0; step /= 2) {
        barrier();
        for (int i = (int)threadIdx.x; i < n / 2; i += Q35_CUDA_TOP_THREADS)
            order_pair(keys, pair_at(i, step), step, true);
    }
}

/* Puts each run of `list` keys into falling order (Batcher's bitonic sort). */
Q35_DEVICE void sort_runs(shared_span<uint64_t> keys, int n, int list)
{
    for (int size = 2; size < list; size *= 2)
        for (int step = size / 2; step > 0; step /= 2) {
            barrier();
            for (int i = (int)threadIdx.x; i < n / 2; i += Q35_CUDA_TOP_THREADS)
                order_pair(keys, pair_at(i, step), step, (pair_at(i, step) & size) == 0);
        }
    merge_runs(keys, n, list);
}

/* The largest `list` of all keys, whose runs are in falling order, to the front: of two runs, one backwards, the
 * larger of each pair. */
Q35_DEVICE void join_runs(shared_span<uint64_t> keys, int n, int list)
{
    for (int half = n / 2; half >= list; half /= 2) {
        barrier();
        for (int i = (int)threadIdx.x; i < half; i += Q35_CUDA_TOP_THREADS) {
            const uint64_t a = keys[(unsigned)i], b = keys[(unsigned)(half + (i ^ (list - 1)))];
            keys[(unsigned)i] = a > b ? a : b;
        }
        merge_runs(keys, half, list);
    }
    barrier();
}

Q35_KERNEL(Q35_CUDA_TOP_THREADS) q35_top_k_parts(const q35_top_k_args a)
{
    begin();
    unsigned used = 0;
    const int row = (int)blockIdx.y, part = (int)blockIdx.x, first = part * Q35_CUDA_TOP_PART;
    if (row >= rows_valid(a.rows_at, a.n_rows))
        return;
    const shared_span<uint64_t> keys = shared_take<uint64_t>(used, Q35_CUDA_TOP_PART);
    const float *x = at_address<const float>(a.x, row * a.rs_x);
    for (int i = (int)threadIdx.x; i < Q35_CUDA_TOP_PART; i += Q35_CUDA_TOP_THREADS)
        keys[(unsigned)i] = first + i < a.n ? top_key(x[first + i], first + i) : 0;
    sort_runs(keys, Q35_CUDA_TOP_PART, a.list);
    join_runs(keys, Q35_CUDA_TOP_PART, a.list);
    uint64_t *to = at_address<uint64_t>(a.records, 8 * a.list * ((int64_t)row * q35_cuda_top_parts(a.n) + part));
    for (int i = (int)threadIdx.x; i < a.list; i += Q35_CUDA_TOP_THREADS)
        to[i] = keys[(unsigned)i];
}

/* What was found so far stays in front of what comes next. */
Q35_KERNEL(Q35_CUDA_TOP_THREADS) q35_top_k_join(const q35_top_k_args a)
{
    begin();
    unsigned used = 0;
    const int row = (int)blockIdx.x;
    if (row >= rows_valid(a.rows_at, a.n_rows))
        return;
    const shared_span<uint64_t> keys = shared_take<uint64_t>(used, Q35_CUDA_TOP_JOIN);
    const int64_t n = (int64_t)q35_cuda_top_parts(a.n) * a.list;
    const uint64_t *from = at_address<const uint64_t>(a.records, 8 * row * n);
    int found = 0;
    for (int64_t done = 0; done < n; found = a.list) {
        for (int i = found + (int)threadIdx.x; i < Q35_CUDA_TOP_JOIN; i += Q35_CUDA_TOP_THREADS)
            keys[(unsigned)i] = done + i - found < n ? from[done + i - found] : 0;
        done += Q35_CUDA_TOP_JOIN - found;
        join_runs(keys, Q35_CUDA_TOP_JOIN, a.list);
    }
    const float *x = at_address<const float>(a.x, row * a.rs_x);
    float *values = at_address<float>(a.values, row * a.rs_values);
    int32_t *columns = at_address<int32_t>(a.columns, row * a.rs_columns);
    for (int i = (int)threadIdx.x; i < a.k; i += Q35_CUDA_TOP_THREADS) {
        const int column = (int)~(uint32_t)keys[(unsigned)i];
        columns[i] = column;
        values[i] = x[column];
    }
}
