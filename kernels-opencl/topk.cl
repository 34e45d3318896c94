/* SPDX-License-Identifier: Apache-2.0
 *
 * TOP_K in two steps: the first `list` elements of each part of a row, as keys in order, then the first of all
 * parts' keys. list: a power of two from k on, at most Q35_MAX_TOP. A key is the larger the earlier its element
 * comes, and no two are equal: the value's place in its upper half, the column, inverted, in the lower. 0: none.
 */

enum { Q35_MAX_TOP = 64, Q35_TOP_KEYS = 2048 };

inline uint value_order(float v)
{
    const uint bits = as_uint(v);
    if ((bits & 0x7f800000u) == 0x7f800000u)
        return 0xffffffffu;
    if (bits << 1 == 0)
        return 0x80000000u;
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

inline ulong top_key(float v, int column)
{
    return (ulong)value_order(v) << 32 | (uint)~column;
}

inline int key_column(ulong key)
{
    return (int)~(uint)key;
}

#if Q35_CPU

/* A work-item has a part, or a row, for itself: each key goes to its place in the list, which few keys reach. */
inline void insert(ulong *top, int list, ulong key)
{
    int i = list - 1;
    for (; i > 0 && top[i - 1] < key; i--)
        top[i] = top[i - 1];
    top[i] = key;
}

inline void clear(ulong *top, int list)
{
    for (int i = 0; i < list; i++)
        top[i] = 0;
}

#else

inline void order_pair(local ulong *keys, int low, int high, bool falls)
{
    const ulong a = keys[low], b = keys[high];
    if ((a < b) == falls) {
        keys[low] = b;
        keys[high] = a;
    }
}

/* Puts each run of `list` keys, which all rise and then fall or the other way round, into falling order. */
inline void merge_runs(local ulong *keys, int n, int list, int lid)
{
    for (int step = list / 2; step > 0; step /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        Q35_EACH(i, n / 2)
        order_pair(keys, 2 * i - (i & (step - 1)), 2 * i - (i & (step - 1)) + step, true);
    }
}

/* Puts each run of `list` keys into falling order (Batcher's bitonic sort). */
inline void sort_runs(local ulong *keys, int list, int lid)
{
    for (int size = 2; size < list; size *= 2)
        for (int step = size / 2; step > 0; step /= 2) {
            barrier(CLK_LOCAL_MEM_FENCE);
            Q35_EACH(i, Q35_TOP_KEYS / 2)
            {
                const int low = 2 * i - (i & (step - 1));
                order_pair(keys, low, low + step, (low & size) == 0);
            }
        }
    merge_runs(keys, Q35_TOP_KEYS, list, lid);
}

/* The largest `list` of all keys, whose runs are in falling order, to the front: of two runs, one backwards, the
 * larger of each pair. */
inline void join_runs(local ulong *keys, int list, int lid)
{
    for (int n = Q35_TOP_KEYS / 2; n >= list; n /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        Q35_EACH(i, n)
        keys[i] = max(keys[i], keys[n + (i ^ (list - 1))]);
        merge_runs(keys, n, list, lid);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}

#endif

/* A group per part, of `span` columns, and row: keys [row][part][list]. n_keys: of a row. */
kernel __attribute__((reqd_work_group_size(Q35_LOCAL, 1, 1))) void
q35_top_k_parts(Q35_IN(x), ulong rs_x, global ulong *parts, int n, int span, int list, int n_keys, Q35_ROWS)
{
    const int row = (int)get_group_id(1), part = (int)get_group_id(0), lid = (int)get_local_id(0);
    const int begin = part * span, count = min(n - begin, span);
#if !Q35_CPU
    local ulong keys[Q35_TOP_KEYS];
#endif
    if (row >= Q35_N_ROWS)
        return;
    global const float *px = Q35_AT(const float, x, row *rs_x) + begin;
    global ulong *to = parts + (ulong)row * n_keys + part * list;
#if Q35_CPU
    ulong keys[Q35_MAX_TOP];
    clear(keys, list);
    for (int i = 0; i < count; i++)
        if (value_order(px[i]) > (uint)(keys[list - 1] >> 32))
            insert(keys, list, top_key(px[i], begin + i));
#else
    Q35_EACH(i, Q35_TOP_KEYS)
    keys[i] = i < count ? top_key(px[i], begin + i) : 0;
    sort_runs(keys, list, lid);
    join_runs(keys, list, lid);
#endif
    Q35_EACH(i, list)
    to[i] = keys[i];
}

/* A group per row. */
kernel __attribute__((reqd_work_group_size(Q35_LOCAL, 1, 1))) void
q35_top_k_join(Q35_IN(x), ulong rs_x, const global ulong *parts, int list, int n_keys, Q35_OUT(values),
               ulong rs_values, Q35_OUT(columns), ulong rs_columns, int k, Q35_ROWS)
{
    const int row = (int)get_group_id(0), lid = (int)get_local_id(0);
#if !Q35_CPU
    local ulong keys[Q35_TOP_KEYS];
#endif
    if (row >= Q35_N_ROWS)
        return;
    const global ulong *from = parts + (ulong)row * n_keys;
#if Q35_CPU
    ulong keys[Q35_MAX_TOP];
    clear(keys, list);
    for (int i = 0; i < n_keys; i++)
        if (from[i] > keys[list - 1])
            insert(keys, list, from[i]);
#else
    /* What was found so far stays in front of what comes next. */
    for (int done = 0, found = 0; done < n_keys; found = list) {
        Q35_EACH(i, Q35_TOP_KEYS - found)
        keys[found + i] = done + i < n_keys ? from[done + i] : 0;
        done += Q35_TOP_KEYS - found;
        join_runs(keys, list, lid);
    }
#endif
    global const float *px = Q35_AT(const float, x, row *rs_x);
    global float *pv = Q35_AT(float, values, row *rs_values);
    global int *pc = Q35_AT(int, columns, row *rs_columns);
    Q35_EACH(i, k)
    {
        pc[i] = key_column(keys[i]);
        pv[i] = px[pc[i]];
    }
}
