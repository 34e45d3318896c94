/* SPDX-License-Identifier: Apache-2.0
 *
 * ATTENTION over a paged cache, in the op's order of f32 operations: positions in spans of 256, each span by
 * itself, then the spans in order. So who takes which span changes no bit: attention_spans gives every span of a
 * token a block of its own and attention_join joins their records, attention_rows walks the spans in one block.
 *
 * A block has up to Queries rows, each a token and a query head, all of one kv head, so that what is read of the
 * cache serves them all. Scores: eight threads have a position, each two of its sixteen chains. Values: a thread
 * has one element of a few rows. */
#include "kernels-cuda/math.cuh"

enum { SPAN = Q35_CUDA_SPAN, SPAN_PAGES = Q35_CUDA_SPAN / Q35_KV_PAGE };

/* Shared memory of a block: rows of queries, weights of a span, state of each row, pages of the span. */
struct attention_memory {
    shared_span<float> q, w, top, total, before, now;
    shared_span<int> pages;
};

static Q35_METHOD attention_memory take_memory(int queries, int head_dim)
{
    unsigned used = 0;
    attention_memory m;
    m.q = shared_take<float>(used, (unsigned)(queries * head_dim));
    m.w = shared_take<float>(used, (unsigned)(queries * SPAN));
    m.top = shared_take<float>(used, (unsigned)queries);
    m.total = shared_take<float>(used, (unsigned)queries);
    m.before = shared_take<float>(used, (unsigned)queries);
    m.now = shared_take<float>(used, (unsigned)queries);
    m.pages = shared_take<int>(used, SPAN_PAGES);
    return m;
}

/* A block's rows: row r is token first + r / heads and query head head0 + r % heads. They belong to one sequence,
 * whose positions grow from token to token. */
struct query_rows {
    int first, n, heads, head0, g, sequence;
};

/* Two neighbouring elements of row `at` (in rows of head_dim elements) of a cache. Half: it is f16, the usual
 * type, for which loops have no branch. */
template <bool Half>
static Q35_METHOD float2 cache_pair(const q35_attention_args &a, uint64_t cache, int64_t at, int d)
{
    float2 v;
    if constexpr (Half) {
        const uint32_t bits = *at_address<const uint32_t>(cache, (at * a.head_dim + d) * 2);
        v.x = float_of_half((uint16_t)bits);
        v.y = float_of_half((uint16_t)(bits >> 16));
    } else if (a.dtype == Q35_DT_F32) {
        const float *f = at_address<const float>(cache, (at * a.head_dim + d) * 4);
        v.x = f[0];
        v.y = f[1];
    } else {
        const uint8_t *block = at_address<const uint8_t>(cache, at * (a.head_dim / 32 * 34) + d / 32 * 34);
        const float scale = float_of_half(*reinterpret_cast<const uint16_t *>(block));
        v.x = scale * (float)(int8_t)block[2 + d % 32];
        v.y = scale * (float)(int8_t)block[3 + d % 32];
    }
    return v;
}

template <bool Half>
static Q35_METHOD float cache_element(const q35_attention_args &a, uint64_t cache, int64_t at, int d)
{
    if constexpr (Half)
        return float_of_half(*at_address<const uint16_t>(cache, (at * a.head_dim + d) * 2));
    const float2 v = cache_pair<Half>(a, cache, at, d & ~1);
    return d & 1 ? v.y : v.x;
}

/* Row of the cache that position p of the span has. */
Q35_DEVICE int64_t cache_row(const q35_attention_args &a, const attention_memory &m, int g, int p)
{
    return ((int64_t)m.pages[(unsigned)(p / Q35_KV_PAGE)] * a.n_kv_heads + g) * Q35_KV_PAGE + p % Q35_KV_PAGE;
}

/* Positions that row r sees of the span that begins at p0; 0 or less: none. */
Q35_DEVICE int seen_by(const q35_attention_args &a, const query_rows &rows, int r, int p0)
{
    const int n = at_address<const int32_t>(a.positions)[rows.first + r / rows.heads] + 1 - p0;
    return n < SPAN ? n : (int)SPAN;
}

static Q35_METHOD void load_queries(const q35_attention_args &a, const query_rows &rows, const attention_memory &m)
{
    for (int i = (int)threadIdx.x; i < rows.n * a.head_dim; i += 256) {
        const int r = i / a.head_dim, d = i % a.head_dim;
        const float *q = at_address<const float>(a.q, (rows.first + r / rows.heads) * a.rs_q);
        m.q[(unsigned)i] = q[(rows.head0 + r % rows.heads) * a.head_dim + d];
    }
}

/* Scores of the span's first n positions to m.w. Chains 2 i and 2 i + 1 of the sixteen are thread i's of eight. */
template <int Queries, bool Half>
static Q35_METHOD void score_span(const q35_attention_args &a, const query_rows &rows, const attention_memory &m,
                                  int n)
{
    const int tid = (int)threadIdx.x, i = tid % 8;
    Q35_UNROLL_BY(1)
    for (int base = 0; base < n; base += 32) {
        const int p = base + tid / 8;
        const int64_t at = cache_row(a, m, rows.g, p < n ? p : n - 1);
        float2 chain[Queries] = {};
        Q35_UNROLL_BY(Half ? 4 : 1)
        for (int d = 2 * i; d < a.head_dim; d += 16) {
            const float2 k = cache_pair<Half>(a, a.cache_k, at, d);
            Q35_UNROLL
            for (int r = 0; r < Queries; r++) {
                if (r >= rows.n)
                    continue;
                chain[r].x = fmaf(m.q[(unsigned)(r * a.head_dim + d)], k.x, chain[r].x);
                chain[r].y = fmaf(m.q[(unsigned)(r * a.head_dim + d + 1)], k.y, chain[r].y);
            }
        }
        Q35_UNROLL
        for (int r = 0; r < Queries; r++) {
            if (r >= rows.n)
                continue;
            float2 sum = chain[r];
            Q35_UNROLL
            for (int h = 4; h > 1; h /= 2) {
                sum.x = sum.x + shuffle_xor(sum.x, h);
                sum.y = sum.y + shuffle_xor(sum.y, h);
            }
            float s = sum.x + sum.y;
            s = s + shuffle_xor(s, 1);
            if (i == 0 && p < n)
                m.w[(unsigned)(r * SPAN + p)] = s * a.scale;
        }
    }
}

/* Scores to weights relative to the largest, which goes to m.top; their sum, in sixteen lanes, to m.total. A warp
 * has a row at a time. Nothing is left of what a row does not see. */
static Q35_METHOD void weigh_span(const q35_attention_args &a, const query_rows &rows, const attention_memory &m,
                                  int p0)
{
    const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    Q35_UNROLL_BY(1)
    for (int r = warp; r < rows.n; r += 8) {
        const int n = seen_by(a, rows, r, p0);
        float top = float_of_bits(0xff800000u);
        for (int p = lane; p < n; p += 32) {
            const float s = m.w[(unsigned)(r * SPAN + p)];
            top = s > top ? s : top;
        }
        Q35_UNROLL
        for (int h = 16; h > 0; h /= 2) {
            const float other = shuffle_xor(top, h);
            top = other > top ? other : top;
        }
        for (int p = lane; p < n; p += 32) {
            const unsigned at = (unsigned)(r * SPAN + p);
            m.w[at] = exp_f32(m.w[at] - top);
        }
        sync_warp();
        float sum = 0;
        if (lane < 16)
            for (int p = lane; p < n; p += 16)
                sum = sum + m.w[(unsigned)(r * SPAN + p)];
        Q35_UNROLL
        for (int h = 8; h > 2; h /= 2)
            sum = sum + shuffle_xor(sum, h);
        sum = sum + shuffle_xor(sum, 1);
        sum = sum + shuffle_xor(sum, 2);
        if (lane == 0) {
            m.top[(unsigned)r] = top;
            m.total[(unsigned)r] = sum;
        }
    }
}

/* A thread's element of head_dim, and rows: row0, row0 + step, .. */
struct value_part {
    int d, row0, step;
};

Q35_DEVICE value_part value_part_of(int head_dim)
{
    value_part v;
    v.step = 256 / head_dim;
    v.row0 = (int)threadIdx.x / head_dim;
    v.d = (int)threadIdx.x % head_dim;
    if (v.row0 >= v.step)
        v.row0 = 1 << 20; /* left over: no rows */
    return v;
}

/* acc[i]: weighted values of row row0 + i step, over the n positions that any row sees. */
template <int Queries, bool Half>
static Q35_METHOD void add_values(const q35_attention_args &a, const query_rows &rows, const attention_memory &m,
                                  const value_part &v, int p0, int n, float (&acc)[Queries])
{
    int seen[Queries];
    Q35_UNROLL
    for (int i = 0; i < Queries; i++) {
        const int r = v.row0 + i * v.step;
        seen[i] = r < rows.n ? seen_by(a, rows, r, p0) : 0;
        acc[i] = 0;
    }
    if (v.row0 >= rows.n)
        return;
    Q35_UNROLL_BY(Half ? 4 : 1)
    for (int p = 0; p < n; p++) {
        const float value = cache_element<Half>(a, a.cache_v, cache_row(a, m, rows.g, p), v.d);
        Q35_UNROLL
        for (int i = 0; i < Queries; i++)
            if (p < seen[i])
                acc[i] = fmaf(value, m.w[(unsigned)((v.row0 + i * v.step) * SPAN + p)], acc[i]);
    }
}

/* Pages, scores and weights of one span. Between barriers; ends with one. */
template <int Queries, bool Half>
static Q35_METHOD int take_span(const q35_attention_args &a, const query_rows &rows, const attention_memory &m,
                                int p0)
{
    const int last = seen_by(a, rows, rows.n - 1, p0); /* the last token sees most */
    if ((int)threadIdx.x < (last + Q35_KV_PAGE - 1) / Q35_KV_PAGE)
        m.pages[threadIdx.x] = at_address<const int32_t>(
            a.pages)[(int64_t)rows.sequence * a.max_pages + p0 / Q35_KV_PAGE + (int)threadIdx.x];
    barrier();
    score_span<Queries, Half>(a, rows, m, last);
    barrier();
    weigh_span(a, rows, m, p0);
    barrier();
    return last;
}

Q35_DEVICE float *record_of(const q35_attention_args &a, int token, int head, int span)
{
    const int64_t index = ((int64_t)token * a.n_heads + head) * a.n_spans + span;
    return at_address<float>(a.records, index * q35_cuda_record_floats(a.head_dim) * 4);
}

Q35_DEVICE float *out_of(const q35_attention_args &a, int token, int head)
{
    return at_address<float>(a.out, token * a.rs_out) + head * a.head_dim;
}

template <bool Half> static Q35_METHOD void attention_spans(const q35_attention_args &a)
{
    constexpr int Queries = Q35_CUDA_SPAN_QUERIES;
    const int parts = (int)q35_cuda_head_parts(&a, Queries), group = a.n_heads / a.n_kv_heads;
    const int token = (int)blockIdx.y, span = (int)blockIdx.z;
    if (token >= rows_valid(a.rows_at, a.n_rows) || span * SPAN > at_address<const int32_t>(a.positions)[token])
        return;
    query_rows rows;
    const int part = (int)blockIdx.x % parts * Queries;
    rows.first = token;
    rows.g = (int)blockIdx.x / parts;
    rows.heads = group - part < Queries ? group - part : Queries;
    rows.n = rows.heads;
    rows.head0 = rows.g * group + part;
    rows.sequence = at_address<const int32_t>(a.sequence)[token];
    const attention_memory m = take_memory(Queries, a.head_dim);
    load_queries(a, rows, m);
    const int n = take_span<Queries, Half>(a, rows, m, span * SPAN);
    const value_part v = value_part_of(a.head_dim);
    float acc[Queries];
    add_values<Queries, Half>(a, rows, m, v, span * SPAN, n, acc);
    Q35_UNROLL
    for (int i = 0; i < Queries; i++) {
        const int r = v.row0 + i * v.step, head = rows.head0 + r;
        if (r >= rows.n)
            continue;
        if (a.n_spans == 1) {
            const bool all = at_address<const int32_t>(a.positions)[token] < SPAN;
            out_of(a, token, head)[v.d] = all ? acc[i] / m.total[(unsigned)r] : float_of_bits(0x7fc00000u);
            continue;
        }
        float *record = record_of(a, token, head, span);
        record[v.d] = acc[i];
        if (v.d == 0) {
            record[a.head_dim] = m.top[(unsigned)r];
            record[a.head_dim + 1] = m.total[(unsigned)r];
        }
    }
}

Q35_KERNEL(128) q35_attention_join(const q35_attention_args a)
{
    begin();
    const int head = (int)blockIdx.x, token = (int)blockIdx.y;
    if (token >= rows_valid(a.rows_at, a.n_rows))
        return;
    const int spans = at_address<const int32_t>(a.positions)[token] / SPAN + 1;
    float *out = out_of(a, token, head);
    for (int d = (int)threadIdx.x; d < a.head_dim; d += 128) {
        if (spans > a.n_spans) {
            out[d] = float_of_bits(0x7fc00000u);
            continue;
        }
        const float *record = record_of(a, token, head, 0);
        float far = record[d], top = record[a.head_dim], total = record[a.head_dim + 1];
        for (int s = 1; s < spans; s++) {
            record = record_of(a, token, head, s);
            const float top_s = record[a.head_dim], largest = top_s > top ? top_s : top;
            const float before = exp_f32(top - largest), now = exp_f32(top_s - largest);
            far = far * before + record[d] * now;
            total = total * before + record[a.head_dim + 1] * now;
            top = largest;
        }
        out[d] = far / total;
    }
}

/* All spans of the rows, which see at least one position each. Ends with a barrier. */
template <int Queries, bool Half>
static Q35_METHOD void attend(const q35_attention_args &a, const query_rows &rows, const attention_memory &m)
{
    const value_part v = value_part_of(a.head_dim);
    float far[Queries] = {}, far_top[Queries] = {}, far_total[Queries] = {};
    load_queries(a, rows, m);
    const int spans = at_address<const int32_t>(a.positions)[rows.first + (rows.n - 1) / rows.heads] / SPAN + 1;
    for (int span = 0; span < spans; span++) {
        float acc[Queries];
        const int n = take_span<Queries, Half>(a, rows, m, span * SPAN);
        add_values<Queries, Half>(a, rows, m, v, span * SPAN, n, acc);
        Q35_UNROLL
        for (int i = 0; i < Queries; i++) {
            const int r = v.row0 + i * v.step;
            if (r >= rows.n || seen_by(a, rows, r, span * SPAN) <= 0)
                continue;
            const float top = m.top[(unsigned)r], total = m.total[(unsigned)r];
            if (span == 0) {
                far[i] = acc[i];
                far_top[i] = top;
                far_total[i] = total;
                continue;
            }
            const float largest = top > far_top[i] ? top : far_top[i];
            const float before = exp_f32(far_top[i] - largest), now = exp_f32(top - largest);
            far[i] = far[i] * before + acc[i] * now;
            far_total[i] = far_total[i] * before + total * now;
            far_top[i] = largest;
        }
        barrier();
    }
    Q35_UNROLL
    for (int i = 0; i < Queries; i++) {
        const int r = v.row0 + i * v.step;
        if (r < rows.n)
            out_of(a, rows.first + r / rows.heads, rows.head0 + r % rows.heads)[v.d] = far[i] / far_total[i];
    }
}

/* A block's tokens in runs of one sequence at growing positions. */
template <bool Half> static Q35_METHOD void attention_rows(const q35_attention_args &a)
{
    constexpr int Queries = Q35_CUDA_ROWS_QUERIES;
    const int parts = (int)q35_cuda_head_parts(&a, Queries), group = a.n_heads / a.n_kv_heads;
    const int tokens = (int)q35_cuda_block_tokens(&a, Queries), valid = rows_valid(a.rows_at, a.n_rows);
    const int first = (int)blockIdx.y * tokens, end = first + tokens < valid ? first + tokens : valid;
    const int32_t *sequence = at_address<const int32_t>(a.sequence);
    const int32_t *positions = at_address<const int32_t>(a.positions);
    const attention_memory m = take_memory(Queries, a.head_dim);
    query_rows rows;
    const int part = (int)blockIdx.x % parts * Queries;
    rows.g = (int)blockIdx.x / parts;
    rows.heads = group - part < Queries ? group - part : Queries;
    rows.head0 = rows.g * group + part;
    for (int t = first; t < end;) {
        rows.first = t;
        rows.sequence = sequence[t];
        for (t++; t < end && sequence[t] == rows.sequence && positions[t] >= positions[t - 1]; t++)
            ;
        rows.n = (t - rows.first) * rows.heads;
        attend<Queries, Half>(a, rows, m);
    }
}

Q35_KERNEL(256) q35_attention_spans(const q35_attention_args a)
{
    begin();
    if (a.dtype == Q35_DT_F16)
        attention_spans<true>(a);
    else
        attention_spans<false>(a);
}

Q35_KERNEL(256) q35_attention_rows(const q35_attention_args a)
{
    begin();
    if (a.dtype == Q35_DT_F16)
        attention_rows<true>(a);
    else
        attention_rows<false>(a);
}
