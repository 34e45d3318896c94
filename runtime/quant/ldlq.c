/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows are lanes: 16 rows at each of the candidate scales make a panel, whose columns are quantised pair by pair.
 * A block of columns first gets the errors of all columns before it in one matrix product, then passes its own on
 * as it goes. Panels are dealt out to the workers and know nothing of each other. */
#include "runtime/quant/ldlq.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/pool.h"
#include "runtime/base/size.h"
#include "runtime/quant/ldlq_search.h"
#include "runtime/quant/linalg.h"
#include "runtime/quant/row.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#define BLOCK        128u /* columns that share a matrix product */
#define ROWS         Q35I_LANES
#define COARSE       8u /* scales tried first */
#define FINE         4u /* then around the best of them */
#define FIRST_FACTOR 0.80f
#define COARSE_STEP  0.06f
#define FINE_STEP    0.02f
#define LANES        (ROWS * COARSE)

/* Where a panel's weights are quantised; columns in the order of quantisation, lanes side by side. */
typedef struct panel {
    float *w;       /* [k][ROWS] */
    float *error;   /* [k][LANES]: w - w^ */
    float *target;  /* [BLOCK][LANES] */
    uint8_t *codes; /* [k][LANES]: of a pair at its first column */
    uint8_t *best;  /* [ROWS][k]: codes of the best candidate, in the order of the columns */
    uint8_t *row;   /* [k] */
    float scale[LANES], loss[LANES], best_scale[ROWS], best_loss[ROWS];
    q35i_pair_points points;
} panel;

typedef struct job {
    const q35i_ldlq *how;
    const float *w;
    uint64_t n, k, row_bytes;
    uint8_t *out;
    double *losses;      /* [n] */
    panel *panels;       /* one per worker */
    uint64_t first, end; /* panels of this slice */
    atomic_uint_least64_t next;
} job;

/* ---- panels ---- */

static void panel_free(panel *p)
{
    q35i_free(p->w);
    q35i_free(p->error);
    q35i_free(p->target);
    q35i_free(p->codes);
    q35i_free(p->best);
    q35i_free(p->row);
}

static q35_status panel_alloc(panel *p, uint64_t k)
{
    p->w = q35i_alloc_aligned(k * ROWS * sizeof *p->w, 64);
    p->error = q35i_alloc_aligned(k * LANES * sizeof *p->error, 64);
    p->target = q35i_alloc_aligned((uint64_t)BLOCK * LANES * sizeof *p->target, 64);
    p->codes = q35i_alloc_aligned(k * LANES, 64);
    p->best = q35i_calloc(k * ROWS, 1);
    p->row = q35i_calloc(k, 1);
    return p->w && p->error && p->target && p->codes && p->best && p->row ? Q35_OK : Q35_E_NOMEM;
}

/* Rows past the last are zeros. */
static void load(const job *j, panel *p, uint64_t first)
{
    memset(p->best, 0, j->how->feedback->k * ROWS); /* stays where an error overflows */
    for (uint64_t c = 0; c < j->how->feedback->k; c++) {
        uint64_t column = j->how->feedback->order[c];
        for (uint64_t r = 0; r < ROWS; r++)
            p->w[c * ROWS + r] = first + r < j->n && column < j->k ? j->w[(first + r) * j->k + column] : 0;
    }
}

static float deviation(const panel *p, uint64_t k, uint64_t row)
{
    double sum = 0;
    for (uint64_t c = 0; c < k; c++)
        sum += (double)p->w[c * ROWS + row] * (double)p->w[c * ROWS + row];
    return (float)sqrt(sum / (double)k);
}

/* Columns [b, b + m) of the candidates: weights and the errors of all columns before, times U. */
static void begin_block(const q35i_feedback *f, panel *p, uint64_t b, uint64_t m, uint64_t lanes)
{
    for (uint64_t c = 0; c < m; c++)
        for (uint64_t l = 0; l < lanes; l += ROWS)
            memcpy(p->target + c * LANES + l, p->w + (b + c) * ROWS, ROWS * sizeof *p->w);
    if (b)
        q35i_gemm_tn(m, lanes, b, f->u + b, f->k, p->error, LANES, p->target, LANES);
}

/* Quantises every column at `lanes` / ROWS scales. */
static void run_panel(const job *j, panel *p, uint64_t lanes)
{
    const q35i_feedback *f = j->how->feedback;
    memset(p->loss, 0, sizeof p->loss);
    for (uint64_t b = 0; b < f->k; b += BLOCK) {
        uint64_t m = q35i_min(BLOCK, f->k - b);
        begin_block(f, p, b, m, lanes);
        for (uint64_t c = 0; c < m; c += 2) {
            q35i_pair_step step = {.points = &p->points,
                                   .metric = f->metric[(b + c) / 2],
                                   .scale = p->scale,
                                   .w = p->w + (b + c) * ROWS,
                                   .target = p->target + c * LANES,
                                   .error = p->error + (b + c) * LANES,
                                   .codes = p->codes + (b + c) * LANES,
                                   .loss = p->loss,
                                   .lanes = lanes,
                                   .stride = LANES,
                                   .u = f->u + (b + c) * f->k + b + c + 2,
                                   .u_stride = f->k,
                                   .later = m - c - 2};
            q35i_pair_quantise(&step);
        }
    }
}

/* Keeps a row's candidate that is better than its best so far. */
static void take_best(panel *p, uint64_t k, uint64_t lanes)
{
    for (uint64_t l = 0; l < lanes; l++) {
        uint64_t r = l % ROWS;
        if (!(p->loss[l] < p->best_loss[r]))
            continue;
        p->best_loss[r] = p->loss[l];
        p->best_scale[r] = p->scale[l];
        for (uint64_t c = 0; c < k; c++)
            p->best[r * k + c] = p->codes[c * LANES + l];
    }
}

static void search_scales(const job *j, panel *p)
{
    uint64_t k = j->how->feedback->k;
    float start[ROWS], centre[ROWS];
    for (uint64_t r = 0; r < ROWS; r++) {
        start[r] = j->how->unit * deviation(p, k, r);
        p->best_loss[r] = HUGE_VALF;
        p->best_scale[r] = 0;
    }
    for (uint64_t l = 0; l < LANES; l++)
        p->scale[l] = start[l % ROWS] * (FIRST_FACTOR + COARSE_STEP * (float)(l / ROWS));
    run_panel(j, p, LANES);
    take_best(p, k, LANES);
    for (uint64_t r = 0; r < ROWS; r++)
        centre[r] = p->best_scale[r];
    for (uint64_t l = 0; l < (uint64_t)ROWS * FINE; l++) {
        static const float offset[FINE] = {-2, -1, 1, 2};
        p->scale[l] = centre[l % ROWS] + start[l % ROWS] * FINE_STEP * offset[l / ROWS];
    }
    run_panel(j, p, (uint64_t)ROWS * FINE);
    take_best(p, k, (uint64_t)ROWS * FINE);
}

/* Codes back to the order of the columns: one per pair, or one per weight. */
static void store(const job *j, panel *p, uint64_t first)
{
    const q35i_feedback *f = j->how->feedback;
    for (uint64_t r = 0; r < ROWS && first + r < j->n; r++) {
        int pairs = q35_book_entries(j->how->dtype) != 0;
        for (uint64_t c = 0; c < f->k; c++)
            if (!pairs || c % 2 == 0)
                p->row[pairs ? f->order[c] / 2 : f->order[c]] = p->best[r * f->k + c];
        q35i_row_pack(j->how->dtype, p->best_scale[r], p->row, j->k, j->out + (first + r) * j->row_bytes);
        j->losses[first + r] = (double)p->best_loss[r];
    }
}

static void work(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    job *j = arg;
    panel *p = &j->panels[worker];
    (void)n_workers;
    (void)team;
    for (uint64_t i; (i = atomic_fetch_add(&j->next, 1)) < j->end;) {
        load(j, p, i * ROWS);
        search_scales(j, p);
        store(j, p, i * ROWS);
    }
}

/* ---- the matrix ---- */

static q35_status run(job *j)
{
    uint64_t n_panels = q35i_div_up(j->n, ROWS), slice = 4u * (j->how->pool ? q35i_pool_size(j->how->pool) : 1);
    for (j->first = 0; j->first < n_panels; j->first = j->end) {
        j->end = q35i_min(j->first + slice, n_panels);
        atomic_store(&j->next, j->first);
        if (j->how->pool)
            q35i_pool_parallel(j->how->pool, work, j);
        else
            work(j, 0, 1, NULL);
        if (j->how->progress)
            Q35_TRY(j->how->progress(j->how->user, q35i_min(j->end * ROWS, j->n)));
    }
    return Q35_OK;
}

q35_status q35i_ldlq_encode(const q35i_ldlq *how, const float *w, uint64_t n, uint64_t k, uint8_t *out,
                            double *loss)
{
    q35_status status = Q35_OK;
    uint32_t n_workers = how->pool ? q35i_pool_size(how->pool) : 1;
    job j = {.how = how, .w = w, .n = n, .k = k, .row_bytes = q35_row_bytes(how->dtype, k), .out = out};
    j.losses = q35i_calloc(n, sizeof *j.losses);
    j.panels = q35i_alloc_aligned(n_workers * sizeof *j.panels, 64);
    Q35_CHECK_ALLOC_GOTO(j.losses, out);
    Q35_CHECK_ALLOC_GOTO(j.panels, out);
    memset(j.panels, 0, n_workers * sizeof *j.panels);
    for (uint32_t i = 0; i < n_workers; i++) {
        q35i_pair_points_set(&j.panels[i].points, how->dtype, how->book);
        Q35_TRY_GOTO(panel_alloc(&j.panels[i], how->feedback->k), out);
    }
    Q35_TRY_GOTO(run(&j), out);
    *loss = 0;
    for (uint64_t r = 0; r < n; r++)
        *loss += j.losses[r];
out:
    for (uint32_t i = 0; j.panels && i < n_workers; i++)
        panel_free(&j.panels[i]);
    q35i_free(j.panels);
    q35i_free(j.losses);
    return status;
}
