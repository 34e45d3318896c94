/* SPDX-License-Identifier: Apache-2.0
 *
 * Accumulation in tiles that a pool shares out, and the factorisation: a Cholesky factorisation of the matrix in
 * reverse order is the one with an upper factor. */
#include "runtime/quant/hessian.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/pool.h"
#include "runtime/base/size.h"
#include "runtime/quant/linalg.h"
#include "runtime/quant/products.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DAMPING 1e6

q35_status q35i_hessian_create(uint64_t k, q35i_hessian *out)
{
    uint64_t n;
    *out = (q35i_hessian){.k = k};
    if (!q35i_mul(k, k, &n) || !q35i_mul(n, sizeof *out->sum, &n) || !(out->sum = q35i_alloc_pages(n)))
        return q35i_fail_context(Q35_E_NOMEM, "second moments of %llu inputs", (unsigned long long)k);
    return Q35_OK;
}

void q35i_hessian_free(q35i_hessian *h)
{
    q35i_free_pages(h->sum, h->k * h->k * sizeof *h->sum);
    *h = (q35i_hessian){0};
}

void q35i_hessian_add(q35i_hessian *h, const float *x, uint64_t n, q35_pool *pool)
{
    const q35i_products p = {.a = x, .b = x, .m = h->k, .n = h->k, .sum = h->sum, .lower = true};
    h->tokens += n;
    q35i_products_add(&p, n, pool);
}

/* ---- order ---- */

typedef struct pair_weight {
    float diagonal; /* of both columns */
    uint32_t pair;
} pair_weight;

static int by_diagonal(const void *a, const void *b)
{
    const pair_weight *x = a, *y = b;
    if (x->diagonal != y->diagonal)
        return x->diagonal > y->diagonal ? -1 : 1;
    return x->pair < y->pair ? -1 : x->pair > y->pair;
}

/* Pairs whose inputs are largest go first, so that most others can make up for their errors. */
static q35_status find_order(const q35i_hessian *h, uint32_t *order)
{
    uint64_t n = h->k / 2;
    pair_weight *pairs = q35i_calloc(n, sizeof *pairs);
    if (!pairs)
        return Q35_E_NOMEM;
    for (uint64_t i = 0; i < n; i++)
        pairs[i] = (pair_weight){h->sum[2 * i * (h->k + 1)] + h->sum[(2 * i + 1) * (h->k + 1)], (uint32_t)i};
    qsort(pairs, n, sizeof *pairs, by_diagonal);
    for (uint64_t i = 0; i < n; i++) {
        order[2 * i] = 2 * pairs[i].pair;
        order[2 * i + 1] = 2 * pairs[i].pair + 1;
    }
    q35i_free(pairs);
    return Q35_OK;
}

/* ---- factor ---- */

static double mean_diagonal(const q35i_hessian *h)
{
    double sum = 0;
    for (uint64_t i = 0; i < h->k; i++)
        sum += (double)h->sum[i * (h->k + 1)];
    return sum / (double)h->k;
}

static double element(const q35i_hessian *h, uint64_t i, uint64_t j)
{
    return (double)(i >= j ? h->sum[i * h->k + j] : h->sum[j * h->k + i]);
}

/* Lower triangle of H + damping in reverse order. */
static void fill(const q35i_hessian *h, const uint32_t *order, double damping, double *a)
{
    uint64_t k = h->k;
    double mean = mean_diagonal(h), add = mean > 0 ? damping * mean : 1;
    for (uint64_t i = 0; i < k; i++) {
        for (uint64_t j = 0; j <= i; j++)
            a[i * k + j] = element(h, order[k - 1 - i], order[k - 1 - j]);
        a[i * (k + 1)] += add;
    }
}

/* C[i][j], j >= i, of H = C C^T with C upper, from the factor of the reversed matrix. */
static double upper(const double *a, uint64_t k, uint64_t i, uint64_t j)
{
    return a[(k - 1 - i) * k + (k - 1 - j)];
}

/* Column blocks of C by their diagonal block's inverse: U; diagonal blocks times their transpose: D. Of u all that
 * is read later is set. */
static void split(const double *a, q35i_feedback *f)
{
    uint64_t k = f->k;
    for (uint64_t p = 0; p < k; p += 2) {
        double c00 = upper(a, k, p, p), c01 = upper(a, k, p, p + 1), c11 = upper(a, k, p + 1, p + 1);
        f->metric[p / 2][0] = (float)(c00 * c00 + c01 * c01);
        f->metric[p / 2][1] = (float)(c01 * c11);
        f->metric[p / 2][2] = (float)(c11 * c11);
        for (uint64_t j = 0; j < p; j++) {
            double x = upper(a, k, j, p) / c00;
            f->u[j * k + p] = (float)x;
            f->u[j * k + p + 1] = (float)((upper(a, k, j, p + 1) - x * c01) / c11);
        }
    }
}

/* a: the factor, [k][k]. */
static q35_status factor(const q35i_hessian *h, q35i_feedback *f, double *a)
{
    for (fill(h, f->order, f->damping, a); q35i_cholesky(h->k, a) != 0; fill(h, f->order, f->damping, a)) {
        f->damping *= 10;
        if (!(f->damping < MAX_DAMPING))
            return Q35_FAIL(Q35_E_INTERNAL, "second moments of %llu inputs: no factorisation",
                            (unsigned long long)h->k);
    }
    return Q35_OK;
}

q35_status q35i_hessian_factor(const q35i_hessian *h, double damping, double *out)
{
    double mean = mean_diagonal(h), add = mean > 0 ? damping * mean : 1;
    for (uint64_t i = 0; i < h->k; i++) {
        for (uint64_t j = 0; j <= i; j++)
            out[i * h->k + j] = element(h, i, j);
        out[i * (h->k + 1)] += add;
    }
    return q35i_cholesky(h->k, out) == 0
               ? Q35_OK
               : Q35_FAIL(Q35_E_INTERNAL,
                          "second moments of %llu inputs: no factorisation with %g of their mean added",
                          (unsigned long long)h->k, damping);
}

q35_status q35i_feedback_create(q35i_hessian *h, double damping, q35i_feedback *out)
{
    q35_status status = Q35_OK;
    uint64_t k = h->k;
    double *a = q35i_alloc_pages(k * k * sizeof *a);
    *out = (q35i_feedback){.k = k, .damping = damping};
    out->order = q35i_calloc(k, sizeof *out->order);
    out->metric = q35i_calloc(k / 2, sizeof *out->metric);
    Q35_CHECK_ALLOC_GOTO(a, out);
    Q35_CHECK_ALLOC_GOTO(out->order, out);
    Q35_CHECK_ALLOC_GOTO(out->metric, out);
    Q35_TRY_GOTO(find_order(h, out->order), out);
    Q35_TRY_GOTO(factor(h, out, a), out);
    out->u = h->sum; /* the moments are not needed any more */
    *h = (q35i_hessian){0};
    split(a, out);
out:
    q35i_free_pages(a, k * k * sizeof *a);
    if (status != Q35_OK)
        q35i_feedback_free(out);
    return status;
}

void q35i_feedback_free(q35i_feedback *f)
{
    q35i_free(f->order);
    q35i_free_pages(f->u, f->k * f->k * sizeof *f->u);
    q35i_free(f->metric);
    *f = (q35i_feedback){0};
}
