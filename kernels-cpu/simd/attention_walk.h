/* SPDX-License-Identifier: Apache-2.0
 *
 * The walk of ATTENTION that the instruction sets share. The query heads of neighbouring tokens that read one kv
 * head of one sequence are its rows; up to MAX_ROWS of them go through the cache together, a page at a time, so
 * that a page is fetched, and widened to f32, once for all of them. Each row sees the operations that it would see
 * alone, in the same order: of a span all scores, then all weights, then all values; then the spans are joined
 * from the first to the last. Sums are so kept in two levels: over 10^5 positions a single f32 sum would lose
 * several digits. Static only; the including file brings first
 *   GROUP = 4         the rows that add_values_rows takes at a time
 * then includes this with ATTENTION_WALK_TYPES, then brings
 *   widen             as declared below
 *   lay_keys          a page of keys as score wants it for so many rows; tile: [PAGE][dim]
 *   score             scores of a page's positions to w[at ..] of all rows, up to the next multiple of 16; -inf
 *                     where a row does not see one
 *   find_top          sets a row's top, the largest of its scores w[0 .. n)
 *   weigh             those scores to weights relative to it; sets the row's total
 *   add_values_rows   adds w[at ..] times values of n <= PAGE positions to the rows' acc
 *   exp_of            q35k_exp
 * and includes this again.
 */
#ifdef ATTENTION_WALK_TYPES
#undef ATTENTION_WALK_TYPES

#include <stdbool.h>

enum { PAGE = Q35_KV_PAGE, SPAN = Q35K_SPAN, MAX_ROWS = 128 };

/* One query head of one token. */
typedef struct row {
    const float *q; /* [dim] */
    float *acc;     /* [dim]: weighted values of the span */
    float *out; /* [dim]: of the spans joined so far (the first one's acc is here too), at the end the result */
    float *w;   /* [SPAN]: scores of the span, then weights */
    int64_t n_seen;           /* positions */
    float top, total;         /* largest score of the span, sum of its weights relative to it */
    float far_top, far_total; /* likewise for the spans joined so far */
} row;

/* Positions of one kv head in a page, as the file's functions read them. */
typedef struct positions {
    const uint8_t *at;
    uint32_t dtype;   /* of the cache, or a layout of the including file */
    int64_t first, n; /* the first one's number in its sequence; how many there are */
    int64_t row_bytes, dim;
} positions;

/* n positions of f16 or Q8_0 to f32 [n][dim]; the file's. */
static void widen(const positions *from, float *to);

/* A page in f32, in `tile` [PAGE][dim] if it was not. */
static positions widened(const positions *page, float *tile)
{
    positions wide = *page;
    if (page->dtype == Q35_DT_F32)
        return wide;
    widen(page, tile);
    wide.at = (const uint8_t *)tile;
    wide.dtype = Q35_DT_F32;
    wide.row_bytes = page->dim * (int64_t)sizeof(float);
    return wide;
}

/* How many of the n positions from p on a row sees; 0 or less: none. */
static int64_t seen_of(const row *r, int64_t p, int64_t n)
{
    int64_t seen = r->n_seen - p;
    return seen < n ? seen : n;
}

#else

/* n_rows (1..4) and the type as constants. */
#define FOR_ROWS(function, dtype, ...)                                                                            \
    switch (n_rows) {                                                                                             \
    case 1: function(1, dtype, __VA_ARGS__); return;                                                              \
    case 2: function(2, dtype, __VA_ARGS__); return;                                                              \
    case 3: function(3, dtype, __VA_ARGS__); return;                                                              \
    default: function(4, dtype, __VA_ARGS__); return;                                                             \
    }

static void add_values(int n_rows, const row *rows, const positions *v, int64_t n, int64_t at)
{
    if (v->dtype == Q35_DT_F16)
        FOR_ROWS(add_values_rows, Q35_DT_F16, rows, v, n, at)
    if (v->dtype == Q35_DT_Q8_0)
        FOR_ROWS(add_values_rows, Q35_DT_Q8_0, rows, v, n, at)
    FOR_ROWS(add_values_rows, Q35_DT_F32, rows, v, n, at)
}

/* What stays the same throughout a call. */
typedef struct job {
    const q35k_attention *a;
    int64_t dim, heads_per_kv, row_bytes; /* of a row of the cache */
    float *tile;                          /* [PAGE][dim], then acc [MAX_ROWS][dim] and w [MAX_ROWS][SPAN] */
    row *rows;                            /* [MAX_ROWS] */
} job;

/* Rows that go through the cache together: those of kv head g of one sequence, in the order of their tokens. */
typedef struct band {
    const int32_t *pages;
    int64_t g;
    int n_rows;
} band;

/* Rows from i on that see equally much of the page at p, at most GROUP. */
static int run_length(const row *rows, int i, int n_rows, int64_t p)
{
    int n = 1;
    while (n < GROUP && i + n < n_rows && seen_of(&rows[i + n], p, PAGE) == seen_of(&rows[i], p, PAGE))
        n++;
    return n;
}

/* n positions from p on of cache `base` (K or V). */
static positions page_of(const job *j, const band *b, const void *base, int64_t p, int64_t n)
{
    const q35k_kv *kv = j->a->kv;
    const int64_t cache_row = q35k_kv_row(kv, (int64_t)b->pages[p / PAGE] * PAGE, b->g);
    return (positions){.at = (const uint8_t *)base + cache_row * j->row_bytes,
                       .dtype = kv->dtype,
                       .first = p,
                       .n = n,
                       .row_bytes = j->row_bytes,
                       .dim = j->dim};
}

/* The page that is read after the one at p, of a span's positions [from, end): keys, then values, then the next
 * span's keys; NULL: none. */
static const uint8_t *page_after(const job *j, const band *b, bool values, int64_t p, int64_t from, int64_t end)
{
    p += PAGE;
    if (p >= end) {
        p = values ? p : from;
        values = !values;
    }
    if (p >= j->rows[b->n_rows - 1].n_seen)
        return NULL;
    return page_of(j, b, values ? j->a->kv->v : j->a->kv->k, p, PAGE).at;
}

/* Asks for n bytes of such a page: by itself the hardware does not look beyond the 4 KiB that are being read. */
static void ask_for(const uint8_t *page, int64_t from, int64_t n)
{
    for (int64_t i = from; page && i < from + n; i += 64)
        __builtin_prefetch(page + i, 0, 2);
}

/* Scores of positions [from, end) of one span. */
static void score_span(const job *j, const band *b, int64_t from, int64_t end)
{
    int first = 0;
    for (int64_t p = from; p < end; p += PAGE) {
        const positions page = page_of(j, b, j->a->kv->k, p, end - p < PAGE ? end - p : PAGE);
        const positions keys = lay_keys(&page, b->n_rows, j->tile);
        ask_for(page_after(j, b, false, p, from, end), 0, PAGE * j->row_bytes);
        while (j->rows[first].n_seen <= p)
            first++;
        score(b->n_rows - first, &j->rows[first], j->a->scale, &keys, p - from);
    }
}

/* Values of a page times the weights w[at ..]. Where there are few rows, memory is slower than they are: they go
 * by 8 positions, and as many of the page after it are asked for each time, so that these come meanwhile. */
static void add_page(const job *j, const band *b, int first, const positions *page, const uint8_t *after,
                     int64_t at)
{
    const int64_t step = b->n_rows > GROUP ? PAGE : 8;
    const positions values = b->n_rows > GROUP ? widened(page, j->tile) : *page;
    for (int i = first, run; i < b->n_rows; i += run) {
        run = run_length(j->rows, i, b->n_rows, page->first);
        const int64_t n = seen_of(&j->rows[i], page->first, PAGE);
        for (int64_t p = 0; p < n; p += step) {
            positions some = values;
            some.at += p * values.row_bytes;
            if (i == first)
                ask_for(after, p * page->row_bytes, step * page->row_bytes);
            add_values(run, &j->rows[i], &some, n - p < step ? n - p : step, at + p);
        }
    }
}

/* Values of positions [from, end) of one span, times their weights. */
static void add_span(const job *j, const band *b, int64_t from, int64_t end)
{
    int first = 0;
    for (int64_t p = from; p < end; p += PAGE) {
        const positions page = page_of(j, b, j->a->kv->v, p, end - p < PAGE ? end - p : PAGE);
        while (j->rows[first].n_seen <= p)
            first++;
        add_page(j, b, first, &page, page_after(j, b, true, p, from, end), p - from);
    }
}

/* acc, top and total of the rows that see any of a span. The rows' largest scores come first, for all of them: of
 * one row they are a chain of steps that wait for each other, and that row's weights wait for its end. */
static void attend_span(const job *j, const band *b, int64_t span)
{
    const int64_t from = span * SPAN, end = from + seen_of(&j->rows[b->n_rows - 1], from, SPAN);
    score_span(j, b, from, end);
    int first = 0;
    while (j->rows[first].n_seen <= from)
        first++;
    for (int i = first; i < b->n_rows; i++)
        find_top(&j->rows[i], seen_of(&j->rows[i], from, SPAN));
    for (int i = first; i < b->n_rows; i++) {
        row *r = &j->rows[i];
        weigh(r, seen_of(r, from, SPAN));
        memset(r->acc, 0, (size_t)j->dim * sizeof(float));
    }
    add_span(j, b, from, end);
}

/* Adds a span's result to those before it. The first one may be in its place already. */
static void join_span(row *r, int64_t span, const float *acc, float top, float total, int64_t dim)
{
    if (span == 0) {
        if (acc != r->out)
            memcpy(r->out, acc, (size_t)dim * sizeof(float));
        r->far_top = top;
        r->far_total = total;
        return;
    }
    const float largest = top > r->far_top ? top : r->far_top;
    const float before = exp_of(r->far_top - largest), now = exp_of(top - largest);
    for (int64_t d = 0; d < dim; d++)
        r->out[d] = r->out[d] * before + acc[d] * now;
    r->far_total = r->far_total * before + total * now;
    r->far_top = largest;
}

static void end_row(row *r, int64_t dim)
{
    for (int64_t d = 0; d < dim; d++)
        r->out[d] /= r->far_total;
}

static void attend(const job *j, const band *b)
{
    row *rows = j->rows;
    int64_t n_spans = b->n_rows > 0 ? q35k_n_spans(rows[b->n_rows - 1].n_seen - 1) : 0;
    for (int64_t span = 0; span < n_spans; span++) {
        for (int i = 0; i < b->n_rows; i++)
            rows[i].acc = span == 0 ? rows[i].out : j->tile + (PAGE + i) * j->dim;
        attend_span(j, b, span);
        for (int i = 0; i < b->n_rows; i++)
            if (rows[i].n_seen > span * SPAN)
                join_span(&rows[i], span, rows[i].acc, rows[i].top, rows[i].total, j->dim);
    }
    for (int i = 0; i < b->n_rows; i++)
        end_row(&rows[i], j->dim);
}

/* Row `index` of the band: query head h of token t. */
static void begin_row(const job *j, int index, int64_t t, int64_t h)
{
    const q35k_attention *a = j->a;
    float *w = j->tile + (PAGE + MAX_ROWS) * j->dim;
    j->rows[index] = (row){.q = (const float *)(const void *)((const char *)a->q + t * a->rs_q) + h * j->dim,
                           .out = (float *)(void *)((char *)a->out + t * a->rs_out) + h * j->dim,
                           .w = w + index * SPAN,
                           .n_seen = (int64_t)a->positions[t] + 1};
}

static const int32_t *pages_of(const q35k_attention *a, int64_t t)
{
    return a->pages + a->sequence[t] * a->max_pages;
}

/* Items [begin, end): neighbouring tokens of one sequence. */
static void attend_tokens(const job *j, int64_t begin, int64_t end)
{
    const int64_t n_kv_heads = j->a->kv->n_kv_heads;
    for (int64_t g = 0; g < n_kv_heads; g++) {
        band b = {.pages = pages_of(j->a, begin / n_kv_heads), .g = g};
        for (int64_t t = begin / n_kv_heads; t <= (end - 1) / n_kv_heads; t++) {
            bool mine = t * n_kv_heads + g >= begin && t * n_kv_heads + g < end;
            for (int64_t h = g * j->heads_per_kv; mine && h < (g + 1) * j->heads_per_kv; h++) {
                if (b.n_rows == MAX_ROWS) {
                    attend(j, &b);
                    b.n_rows = 0;
                }
                begin_row(j, b.n_rows++, t, h);
            }
        }
        attend(j, &b);
    }
}

/* Spans of one item to their records, by MAX_ROWS of its heads at most. */
static void attend_part(const job *j, int64_t item, const q35k_part *part)
{
    const int64_t t = item / j->a->kv->n_kv_heads, g = item % j->a->kv->n_kv_heads;
    const uint64_t record = q35k_record_bytes(j->dim) / sizeof(float);
    for (int64_t first = 0; first < j->heads_per_kv; first += MAX_ROWS) {
        band b = {.pages = pages_of(j->a, t), .g = g};
        while (b.n_rows < MAX_ROWS && first + b.n_rows < j->heads_per_kv) {
            begin_row(j, b.n_rows, t, g * j->heads_per_kv + first + b.n_rows);
            b.n_rows++;
        }
        for (int64_t span = part->first; span < part->end; span++) {
            float *at = (float *)part->records + (uint64_t)(span * j->heads_per_kv + first) * record;
            for (int i = 0; i < b.n_rows; i++)
                j->rows[i].acc = at + (uint64_t)i * record;
            attend_span(j, &b, span);
            for (int i = 0; i < b.n_rows; i++) {
                j->rows[i].acc[j->dim] = j->rows[i].top;
                j->rows[i].acc[j->dim + 1] = j->rows[i].total;
            }
        }
    }
}

static void join_part(const job *j, int64_t item, const q35k_part *part)
{
    const int64_t t = item / j->a->kv->n_kv_heads, g = item % j->a->kv->n_kv_heads;
    const uint64_t record = q35k_record_bytes(j->dim) / sizeof(float);
    for (int64_t i = 0; i < j->heads_per_kv; i++) {
        begin_row(j, 0, t, g * j->heads_per_kv + i);
        for (int64_t span = 0; span < q35k_n_spans(j->a->positions[t]); span++) {
            const float *at = (const float *)part->records + (uint64_t)(span * j->heads_per_kv + i) * record;
            join_span(&j->rows[0], span, at, at[j->dim], at[j->dim + 1], j->dim);
        }
        end_row(&j->rows[0], j->dim);
    }
}

/* The contract of q35k_attention_fn. */
static void walk(const q35k_attention *a, int64_t begin, int64_t end, const q35k_part *part, float *scratch)
{
    row rows[MAX_ROWS];
    const int64_t n_kv_heads = a->kv->n_kv_heads;
    const int64_t row_bytes = (int64_t)q35_row_bytes(a->kv->dtype, (uint64_t)a->kv->head_dim);
    const job j = {a, a->kv->head_dim, a->n_heads / n_kv_heads, row_bytes, scratch, rows};
    if (part && part->first < part->end) {
        attend_part(&j, begin, part);
        return;
    }
    if (part) {
        join_part(&j, begin, part);
        return;
    }
    while (begin < end) {
        int64_t t = begin / n_kv_heads + 1;
        while (t * n_kv_heads < end && a->sequence[t] == a->sequence[t - 1] &&
               a->positions[t] == a->positions[t - 1] + 1)
            t++;
        int64_t stop = t * n_kv_heads < end ? t * n_kv_heads : end;
        attend_tokens(&j, begin, stop);
        begin = stop;
    }
}

#endif
