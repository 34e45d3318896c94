/* SPDX-License-Identifier: Apache-2.0
 *
 * ATTENTION: a group per head and token, over a paged cache of type Q35_KV (0 f32, 1 f16, 8 Q8_0). Spans of 256
 * positions, each with all its scores, then its weights, then its weighted values; spans joined in order, as the
 * reference does. */

enum { SPAN = 256, MAX_DIM = 256, PAGE = 32 };

/* Values [16 c, 16 c + 16) of a cached row of dim elements, zeros past its end. */
inline float16 cached(global const uchar *row, int c, int dim)
{
#if Q35_KV == 8
    const float d = load_f16(row + c / 2 * 34);
    return d * convert_float16(vload16(0, (global const char *)row + c / 2 * 34 + 2 + c % 2 * 16));
#else
    if (16 * c + 16 <= dim) {
#if Q35_KV == 0
        return vload16(c, (global const float *)row);
#else
        return vload_half16(c, (global const half *)row);
#endif
    }
    float part[16];
    for (int i = 0; i < 16; i++) {
        const int d = 16 * c + i;
#if Q35_KV == 0
        part[i] = d < dim ? ((global const float *)row)[d] : 0.0f;
#else
        part[i] = d < dim ? vload_half(d, (global const half *)row) : 0.0f;
#endif
    }
    return vload16(0, part);
#endif
}

inline float16 part_of(global const float *x, int c, int dim)
{
    float part[16];
    if (16 * c + 16 <= dim)
        return vload16(c, x);
    for (int i = 0; i < 16; i++)
        part[i] = 16 * c + i < dim ? x[16 * c + i] : 0.0f;
    return vload16(0, part);
}

/* One element of a cached row. */
inline float cached_one(global const uchar *row, int d)
{
#if Q35_KV == 0
    return ((global const float *)row)[d];
#elif Q35_KV == 1
    return vload_half(d, (global const half *)row);
#else
    return load_f16(row + d / 32 * 34) * (float)((global const char *)row)[d / 32 * 34 + 2 + d % 32];
#endif
}

/* Row of position p in a cache, of this kv head. */
#define ROW_OF(cache, p)                                                                                          \
    ((cache) + (((ulong)pages[(p) / PAGE] * n_kv_heads + g) * PAGE + (p) % PAGE) * (ulong)row_bytes)

inline void score_span(global const float *q, global const uchar *k_cache, global const int *pages, int n_kv_heads,
                       int g, int row_bytes, int first, int n, int dim, float scale, local float *w, int lid)
{
    Q35_EACH(p, n) {
        global const uchar *row = ROW_OF(k_cache, first + p);
        float16 lanes = (float16)(0.0f);
        for (int c = 0; c < (dim + 15) / 16; c++)
            lanes = fma(part_of(q, c, dim), cached(row, c, dim), lanes);
        w[p] = sum_lanes(lanes) * scale;
    }
}

/* acc: the span's weighted values [dim] */
inline void value_span(global const uchar *v_cache, global const int *pages, int n_kv_heads, int g, int row_bytes,
                       int first, int n, int dim, local const float *w, local float *acc, int lid)
{
#if Q35_CPU
    Q35_EACH(c, (dim + 15) / 16) {
        float16 sum = (float16)(0.0f);
        for (int p = 0; p < n; p++)
            sum = fma(cached(ROW_OF(v_cache, first + p), c, dim), (float16)(w[p]), sum);
        vstore16(sum, c, acc);
    }
#else
    Q35_EACH(d, dim) {
        float sum = 0;
        for (int p = 0; p < n; p++)
            sum = fma(cached_one(ROW_OF(v_cache, first + p), d), w[p], sum);
        acc[d] = sum;
    }
#endif
}

inline float largest(local const float *w, int n)
{
    float top = -INFINITY;
    for (int p = 0; p < n; p++)
        top = w[p] > top ? w[p] : top;
    return top;
}

/* What a group knows of the spans so far, and the factors of the last one; in local memory, written by one. */
enum { TOP, TOTAL, SPAN_TOP, BEFORE, NOW, N_STATE };

inline void join_totals(local float *state, float span_total, int is_first)
{
    const float top = is_first || state[SPAN_TOP] > state[TOP] ? state[SPAN_TOP] : state[TOP];
    const float before = is_first ? 0.0f : exp_f32(state[TOP] - top), now = exp_f32(state[SPAN_TOP] - top);
    state[BEFORE] = before;
    state[NOW] = now;
    state[TOTAL] = is_first ? span_total : state[TOTAL] * before + span_total * now;
    state[TOP] = top;
}

/* Pages of positions 0 .. position are in the cache. */
inline int bad_page(global const int *pages, int position, int n_pages)
{
    for (int p = 0; p <= position / PAGE; p++)
        if (pages[p] < 0 || pages[p] >= n_pages)
            return p;
    return -1;
}

/* Position of the row's token if it, its sequence and its pages are what they may be, else -1. */
inline int seen(Q35_IN(positions), Q35_IN(sequence), Q35_IN(pages), ulong rs_pages, int max_pages, int n_pages,
                int sequences, int row, Q35_FAULT)
{
    const int position = Q35_AT(const int, positions, 0)[row], s = Q35_AT(const int, sequence, 0)[row];
    if (position < 0 || position >= max_pages * PAGE) {
        q35_fault(fault, Q35_BAD_POSITION, node, row, position, max_pages * PAGE);
        return -1;
    }
    if (s < 0 || s >= sequences) {
        q35_fault(fault, Q35_BAD_SEQUENCE, node, row, s, sequences);
        return -1;
    }
    global const int *page = Q35_AT(const int, pages, s * rs_pages);
    const int bad = bad_page(page, position, n_pages);
    if (bad >= 0)
        q35_fault(fault, Q35_BAD_PAGE, node, row, page[bad], n_pages);
    return bad >= 0 ? -1 : position;
}

kernel __attribute__((reqd_work_group_size(Q35_LOCAL, 1, 1))) void
q35_attention(Q35_IN(q), ulong rs_q, Q35_IN(k), Q35_IN(v), Q35_IN(positions), Q35_IN(sequence), Q35_IN(pages),
              ulong rs_pages, int max_pages, int n_pages, int sequence_kind, int n_sequences, Q35_OUT(out),
              ulong rs_out, int group, int n_kv_heads, int dim, int row_bytes, float scale, Q35_ROWS,
              Q35_FAULT WITH_TAIL)
{
    TAIL_LOCALS
    local float w[SPAN], acc[MAX_DIM + 16], far[MAX_DIM + 16], lanes[16], state[N_STATE];
    const int h = (int)get_group_id(0), row = (int)get_group_id(1), lid = (int)get_local_id(0), g = h / group;
    /* A row that is not valid sees nothing: no return in front of a barrier, which PoCL does not always stand. */
    int position = -1;
    if (row < Q35_N_ROWS)
        position = seen(positions_b, positions_at, sequence_b, sequence_at, pages_b, pages_at, rs_pages, max_pages,
                        n_pages, q35_rows(step_b, step_at, sequence_kind, n_sequences), row, fault, node);
    const int s = position < 0 ? 0 : Q35_AT(const int, sequence, 0)[row];
    global const int *page = Q35_AT(const int, pages, s * rs_pages);
    global const float *pq = Q35_AT(const float, q, row * rs_q) + h * dim;
    global float *py = Q35_AT(float, out, row * rs_out) + h * dim;
    for (int first = 0; first <= position; first += SPAN) {
        const int n = min(position + 1 - first, (int)SPAN);
        score_span(pq, Q35_AT(const uchar, k, 0), page, n_kv_heads, g, row_bytes, first, n, dim, scale, w, lid);
        barrier(CLK_LOCAL_MEM_FENCE);
        if (lid == 0)
            state[SPAN_TOP] = largest(w, n);
        barrier(CLK_LOCAL_MEM_FENCE);
        Q35_EACH(p, n)
            w[p] = exp_f32(w[p] - state[SPAN_TOP]);
        barrier(CLK_LOCAL_MEM_FENCE);
        Q35_EACH(lane, 16)
        {
            float sum = 0;
            for (int p = lane; p < n; p += 16)
                sum += w[p];
            lanes[lane] = sum;
        }
        value_span(Q35_AT(const uchar, v, 0), page, n_kv_heads, g, row_bytes, first, n, dim, w, acc, lid);
        barrier(CLK_LOCAL_MEM_FENCE);
        if (lid == 0)
            join_totals(state, sum_lanes(vload16(0, lanes)), first == 0);
        barrier(CLK_LOCAL_MEM_FENCE);
        Q35_EACH(d, dim)
            far[d] = first == 0 ? acc[d] : far[d] * state[BEFORE] + acc[d] * state[NOW];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (position >= 0)
        Q35_EACH(d, dim)
            py[d] = divide(far[d], state[TOTAL]);
    DO_TAIL((int)get_num_groups(0))
}
