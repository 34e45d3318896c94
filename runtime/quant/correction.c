/* SPDX-License-Identifier: Apache-2.0
 *
 * H + d I = L L^T, and the sums are divided by both factors, some rows at a time. */
#include "runtime/quant/correction.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/pool.h"
#include "runtime/base/size.h"
#include "runtime/quant/linalg.h"
#include "runtime/quant/products.h"

#include <string.h>

#define ROWS 64u /* that are worked on at a time */

#define INPUT_SHARE  0.5 /* a */
#define STREAM_SHARE 0.5 /* b */
#define DAMPING      0.1 /* d, in units of the mean of H's diagonal */

q35_status q35i_correction_create(uint64_t k, uint64_t outputs, q35i_correction *out)
{
    uint64_t bytes;
    *out = (q35i_correction){.k = k, .n = outputs ? outputs : k, .shared = outputs == 0};
    if (q35i_mul(k, out->n, &bytes) && q35i_mul(bytes, sizeof *out->sum, &bytes))
        out->sum = q35i_alloc_pages(bytes);
    return out->sum ? Q35_OK : q35i_fail_context(Q35_E_NOMEM, "correction of %llu inputs", (unsigned long long)k);
}

void q35i_correction_free(q35i_correction *c)
{
    q35i_free_pages(c->sum, c->n * c->k * sizeof *c->sum);
    *c = (q35i_correction){0};
}

/* ---- tokens ---- */

typedef struct difference {
    const q35i_correction *c;
    const float *w, *dx, *dh;
    uint64_t k, tokens;
    float *out;
} difference;

static void differ(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    const difference *d = arg;
    uint64_t begin, end, n = d->c->n;
    (void)team;
    q35i_split(d->tokens, ROWS, worker, n_workers, &begin, &end);
    for (uint64_t t = begin; t < end; t += ROWS) {
        uint64_t m = q35i_min(ROWS, end - t);
        for (uint64_t i = t * n; i < (t + m) * n; i++)
            d->out[i] = (float)(STREAM_SHARE / INPUT_SHARE) * d->dh[i];
        q35i_gemm_nt(m, n, d->k, d->dx + t * d->c->k, d->c->k, d->w, d->k, d->out + t * n, n);
    }
}

void q35i_correction_difference(const q35i_correction *c, const float *w, uint64_t k, const float *dx,
                                const float *dh, uint64_t tokens, float *out, q35_pool *pool)
{
    difference d = {c, w, dx, dh, k, tokens, out};
    q35i_pool_run(pool, differ, &d);
}

void q35i_correction_add(q35i_correction *c, const float *y, const float *d, uint64_t tokens, q35_pool *pool)
{
    const q35i_products p = {.a = d, .b = y, .m = c->n, .n = c->k, .sum = c->sum};
    q35i_products_add(&p, tokens, pool);
}

/* ---- solving ---- */

typedef struct solving {
    const q35i_correction *c;
    const double *factor; /* [k][k] */
    double *rows;         /* [workers][ROWS][k] */
} solving;

static void solve(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    const solving *s = arg;
    uint64_t begin, end, k = s->c->k;
    double *rows = s->rows + (uint64_t)worker * ROWS * k;
    (void)team;
    q35i_split(s->c->n, ROWS, worker, n_workers, &begin, &end);
    for (uint64_t first = begin; first < end; first += ROWS) {
        uint64_t n = q35i_min(ROWS, end - first);
        float *x = s->c->sum + first * k;
        for (uint64_t i = 0; i < n * k; i++)
            rows[i] = INPUT_SHARE * (double)x[i];
        q35i_cholesky_solve(k, s->factor, n, rows);
        for (uint64_t i = 0; i < n * k; i++)
            x[i] = (float)rows[i];
    }
}

q35_status q35i_correction_solve(q35i_correction *c, const q35i_hessian *h, q35_pool *pool)
{
    uint64_t k = c->k;
    double *factor = q35i_alloc_pages(k * k * sizeof *factor);
    solving s = {c, factor, q35i_calloc(pool ? q35i_pool_size(pool) : 1, ROWS * k * sizeof *s.rows)};
    q35_status status = factor && s.rows ? q35i_hessian_factor(h, DAMPING, factor) : Q35_E_NOMEM;
    if (status == Q35_OK)
        q35i_pool_run(pool, solve, &s);
    q35i_free(s.rows);
    q35i_free_pages(factor, k * k * sizeof *factor);
    return status;
}

void q35i_correction_apply(const q35i_correction *c, const float *w, uint64_t first, uint64_t n, uint64_t k,
                           float *out)
{
    memcpy(out, w, n * k * sizeof *out);
    if (c->shared)
        q35i_gemm_nn(n, k, k, w, k, c->sum, c->k, out, k);
    for (uint64_t r = 0; r < n && !c->shared; r++)
        for (uint64_t j = 0; j < k; j++)
            out[r * k + j] += c->sum[(first + r) * c->k + j];
}
