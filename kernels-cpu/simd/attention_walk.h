/* SPDX-License-Identifier: Apache-2.0
 *
 * The walk of ATTENTION that the instruction sets share. The query heads of all tokens that read one kv head are
 * its rows; up to MAX_ROWS of them go through the cache together, a block of positions at a time, so that a block
 * is fetched, and widened to f32, once for all of them. Each row sees the operations that it would see alone, in
 * the same order: blocks are counted from position 0, and a row's last block ends with what its token sees.
 * Static only; the including file brings first
 *   GROUP = 4, the rows that its functions take at a time; then includes this with ATTENTION_WALK_TYPES; then
 *   score_rows, add_values_rows, exp_of, widen   with the signatures used below; and includes this again.
 * Sums are kept in two levels, a span of blocks and all spans before it: over 10^5 positions a single f32 sum
 * would lose several digits.
 */
#ifdef ATTENTION_WALK_TYPES
#undef ATTENTION_WALK_TYPES

enum { BLOCK = 64, SPAN = 16 * BLOCK, MAX_ROWS = 64 };

/* One query head of one token. */
typedef struct row {
    const float *q;           /* [dim] */
    float *out, *acc, *far;   /* [dim]: result; weighted values of the span; of the spans before it */
    float *w;                 /* [BLOCK]: scores of the block, then weights */
    int64_t n_seen;           /* positions */
    float top, total;         /* largest score so far, sum of the span's weights relative to it */
    float far_top, far_total; /* likewise for the spans before */
} row;

/* Positions of one kv head from somewhere on, as the file's functions read them. */
typedef struct positions {
    const uint8_t *at;
    uint32_t dtype;
    int64_t row_bytes, dim;
} positions;

#else

/* n_rows (1..4) and the type as constants. */
#define FOR_ROWS(function, dtype, ...)                                                                            \
    switch (n_rows) {                                                                                             \
    case 1: function(1, dtype, __VA_ARGS__); return;                                                              \
    case 2: function(2, dtype, __VA_ARGS__); return;                                                              \
    case 3: function(3, dtype, __VA_ARGS__); return;                                                              \
    default: function(4, dtype, __VA_ARGS__); return;                                                             \
    }

static void score(int n_rows, row *rows, float scale, const positions *k, int64_t n)
{
    if (k->dtype == Q35_DT_F16)
        FOR_ROWS(score_rows, Q35_DT_F16, rows, scale, k, n)
    if (k->dtype == Q35_DT_Q8_0)
        FOR_ROWS(score_rows, Q35_DT_Q8_0, rows, scale, k, n)
    FOR_ROWS(score_rows, Q35_DT_F32, rows, scale, k, n)
}

static void add_values(int n_rows, const row *rows, const positions *v, int64_t n)
{
    if (v->dtype == Q35_DT_F16)
        FOR_ROWS(add_values_rows, Q35_DT_F16, rows, v, n)
    if (v->dtype == Q35_DT_Q8_0)
        FOR_ROWS(add_values_rows, Q35_DT_Q8_0, rows, v, n)
    FOR_ROWS(add_values_rows, Q35_DT_F32, rows, v, n)
}

/* What stays the same throughout a call. */
typedef struct job {
    const q35k_kv *kv;
    float scale;
    float *tile; /* [BLOCK][dim] */
    row *rows;   /* [MAX_ROWS] */
} job;

/* Of the block that starts at p. */
static int64_t seen_of(const row *r, int64_t p)
{
    int64_t n = r->n_seen - p;
    return n < BLOCK ? n : BLOCK;
}

/* Rows from i on that see equally much of the block at p, at most GROUP. */
static int run_length(const row *rows, int i, int n_rows, int64_t p)
{
    int n = 1;
    while (n < GROUP && i + n < n_rows && seen_of(&rows[i + n], p) == seen_of(&rows[i], p))
        n++;
    return n;
}

/* n positions from p on of cache `base` (K or V), widened where many rows read them. */
static positions block_of(const job *j, const void *base, int64_t g, int64_t p, int64_t n, int n_rows)
{
    const q35k_kv *kv = j->kv;
    positions b = {.dtype = kv->dtype, .dim = kv->head_dim};
    b.row_bytes = (int64_t)q35_row_bytes(b.dtype, (uint64_t)b.dim);
    b.at = (const uint8_t *)base + (g * kv->ctx + p) * b.row_bytes;
    if (n_rows <= GROUP || b.dtype == Q35_DT_F32)
        return b;
    widen(&b, n, j->tile);
    return (positions){(const uint8_t *)j->tile, Q35_DT_F32, 4 * b.dim, b.dim};
}

static void begin_row(row *r, int64_t dim)
{
    r->top = r->far_top = -INFINITY;
    r->total = r->far_total = 0;
    memset(r->acc, 0, (size_t)dim * sizeof(float));
    memset(r->far, 0, (size_t)dim * sizeof(float));
}

/* Adds the span to those before it, and starts another. */
static void end_span(row *r, int64_t dim)
{
    const float shrink = exp_of(r->far_top - r->top);
    for (int64_t d = 0; d < dim; d++) {
        r->far[d] = r->far[d] * shrink + r->acc[d];
        r->acc[d] = 0;
    }
    r->far_total = r->far_total * shrink + r->total;
    r->far_top = r->top;
    r->total = 0;
}

static void end_row(row *r, int64_t dim)
{
    end_span(r, dim);
    for (int64_t d = 0; d < dim; d++)
        r->out[d] = r->far[d] / r->far_total;
}

/* Rows of kv head g, in the order of their tokens. */
static void attend(const job *j, int64_t g, int n_rows)
{
    row *rows = j->rows;
    int64_t n_seen = n_rows > 0 ? rows[n_rows - 1].n_seen : 0;
    for (int i = 0; i < n_rows; i++)
        begin_row(&rows[i], j->kv->head_dim);
    for (int64_t p = 0; p < n_seen; p += BLOCK) {
        int64_t n = n_seen - p < BLOCK ? n_seen - p : BLOCK;
        int first = 0;
        while (seen_of(&rows[first], p) <= 0)
            first++;
        positions k = block_of(j, j->kv->k, g, p, n, n_rows);
        for (int i = first, run; i < n_rows; i += run) {
            run = run_length(rows, i, n_rows, p);
            score(run, &rows[i], j->scale, &k, seen_of(&rows[i], p));
        }
        positions v = block_of(j, j->kv->v, g, p, n, n_rows);
        for (int i = first, run; i < n_rows; i += run) {
            run = run_length(rows, i, n_rows, p);
            add_values(run, &rows[i], &v, seen_of(&rows[i], p));
        }
        for (int i = first; i < n_rows && (p + BLOCK) % SPAN == 0; i++)
            if (seen_of(&rows[i], p) == BLOCK)
                end_span(&rows[i], j->kv->head_dim);
    }
    for (int i = 0; i < n_rows; i++)
        end_row(&rows[i], j->kv->head_dim);
}

/* Items [begin, end), kv head by kv head. scratch: q35k_attention_scratch_bytes. */
static void walk(const float *q, int64_t rs_q, int64_t n_heads, float scale, const q35k_kv *kv, int64_t pos,
                 float *out, int64_t rs_out, int64_t begin, int64_t end, float *scratch)
{
    const int64_t dim = kv->head_dim, heads_per_kv = n_heads / kv->n_kv_heads;
    row rows[MAX_ROWS];
    float *weights = scratch + (BLOCK + 2 * MAX_ROWS) * dim;
    job j = {kv, scale, scratch, rows};
    for (int64_t g = 0; g < kv->n_kv_heads && begin < end; g++) {
        int n = 0;
        for (int64_t t = begin / n_heads; t <= (end - 1) / n_heads; t++)
            for (int64_t h = g * heads_per_kv; h < (g + 1) * heads_per_kv; h++) {
                if (t * n_heads + h < begin || t * n_heads + h >= end)
                    continue;
                if (n == MAX_ROWS) {
                    attend(&j, g, n);
                    n = 0;
                }
                rows[n] = (row){.q = (const float *)(const void *)((const char *)q + t * rs_q) + h * dim,
                                .out = (float *)(void *)((char *)out + t * rs_out) + h * dim,
                                .acc = scratch + (BLOCK + n) * dim,
                                .far = scratch + (BLOCK + MAX_ROWS + n) * dim,
                                .w = weights + n * BLOCK,
                                .n_seen = pos + t + 1};
                n++;
            }
        attend(&j, g, n);
    }
}

#endif
