/* SPDX-License-Identifier: Apache-2.0
 *
 * A block of columns gets the gradient of its rows from all columns in two matrix products and keeps it up to date
 * as its pairs change. H = U D U^T gives the error of a row as a sum of squares, t D t^T with t = e U, without the
 * cancellation that e H e^T would have; so does the scale's least squares, where w - e is the scale times levels.
 */
#include "runtime/quant/ldlq_descent.h"

#include "runtime/base/size.h"
#include "runtime/quant/linalg.h"

#include <string.h>

#define BLOCK Q35I_DESCENT_BLOCK

/* ---- errors ---- */

static float level(const q35i_descent *d, uint64_t column, uint64_t lane)
{
    const uint8_t *codes = d->codes + lane;
    return d->points->n > 0 ? d->points->level[column % 2][codes[(column - column % 2) * d->stride]]
                            : 2 * (float)codes[column * d->stride] - 63;
}

static void set_errors(const q35i_descent *d)
{
    for (uint64_t c = 0; c < d->feedback->k; c++)
        for (uint64_t l = 0; l < d->lanes; l++)
            d->error[c * d->stride + l] = d->w[c * d->stride + l] - d->scale[l] * level(d, c, l);
}

/* Columns [b, b + m) of x U: out [m][stride]. */
static void spread(const q35i_descent *d, const float *x, uint64_t b, uint64_t m, float *out)
{
    const q35i_feedback *f = d->feedback;
    float *own = d->block + (uint64_t)BLOCK * d->stride; /* [m][m]: U within the block */
    for (uint64_t i = 0; i < m; i++)
        for (uint64_t j = 0; j < m; j++)
            own[i * m + j] = i == j ? 1 : i / 2 < j / 2 ? f->u[(b + i) * f->k + b + j] : 0;
    memset(out, 0, m * d->stride * sizeof *out);
    q35i_gemm_tn(m, d->lanes, b, f->u + b, f->k, x, d->stride, out, d->stride);
    q35i_gemm_tn(m, d->lanes, m, own, m, x + b * d->stride, d->stride, out, d->stride);
}

/* ---- codes ---- */

/* Columns [b, b + m) of e H: out [m][stride]. own: out, H within the block, [m][m]. */
static void gradient(const q35i_descent *d, uint64_t b, uint64_t m, float *own, float *out)
{
    const q35i_feedback *f = d->feedback;
    const uint64_t after = b + m;
    for (uint64_t i = 0; i < m; i++)
        for (uint64_t j = 0; j <= (i | 1); j++)
            own[i * m + j] = own[j * m + i] = f->u[(b + i) * f->k + b + j];
    memset(out, 0, m * d->stride * sizeof *out);
    q35i_gemm_nn(m, d->lanes, b, f->u + b * f->k, f->k, d->error, d->stride, out, d->stride);
    q35i_gemm_nn(m, d->lanes, m, own, m, d->error + b * d->stride, d->stride, out, d->stride);
    if (after < f->k)
        q35i_gemm_tn(m, d->lanes, f->k - after, f->u + after * f->k + b, f->k, d->error + after * d->stride,
                     d->stride, out, d->stride);
}

static void sweep(const q35i_descent *d)
{
    float *g = d->block, *own = d->block + (uint64_t)BLOCK * d->stride;
    for (uint64_t b = 0; b < d->feedback->k; b += BLOCK) {
        uint64_t m = q35i_min(BLOCK, d->feedback->k - b);
        gradient(d, b, m, own, g);
        for (uint64_t c = 0; c < m; c += 2) {
            const float *h = own + c * m + c;
            const float metric[3] = {h[0], h[1], h[m + 1]};
            const uint64_t at = (b + c) * d->stride;
            q35i_pair_improve(&(q35i_pair_change){.points = d->points,
                                                  .metric = metric,
                                                  .scale = d->scale,
                                                  .w = d->w + at,
                                                  .gradient = g + c * d->stride,
                                                  .error = d->error + at,
                                                  .codes = d->codes + at,
                                                  .lanes = d->lanes,
                                                  .stride = d->stride,
                                                  .h = h + 2,
                                                  .h_stride = m,
                                                  .later = m - c - 2});
        }
    }
}

/* ---- scale ---- */

/* Of levels q: e H e^T, e H q^T, q H q^T. */
typedef struct fit {
    double error[Q35I_MOST_LANES], along[Q35I_MOST_LANES], norm[Q35I_MOST_LANES];
} fit;

/* A pair of columns: te of e U, tw of w U. */
static void add_pair(const q35i_descent *d, const float *metric, const float *te, const float *tw, fit *sum)
{
    const double a = (double)metric[0], b = (double)metric[1], c = (double)metric[2];
    for (uint64_t l = 0; l < d->lanes; l++) {
        double inverse = d->scale[l] > 0 ? 1 / (double)d->scale[l] : 0;
        double e0 = (double)te[l], e1 = (double)te[d->stride + l];
        double q0 = ((double)tw[l] - e0) * inverse, q1 = ((double)tw[d->stride + l] - e1) * inverse;
        sum->error[l] += e0 * (a * e0 + b * e1) + e1 * (b * e0 + c * e1);
        sum->along[l] += q0 * (a * e0 + b * e1) + q1 * (b * e0 + c * e1);
        sum->norm[l] += q0 * (a * q0 + b * q1) + q1 * (b * q0 + c * q1);
    }
}

/* Least squares, where that lowers the error: loss is that of the scales it leaves. */
static void fit_scales(const q35i_descent *d, double *loss)
{
    const uint64_t k = d->feedback->k;
    fit sum = {0};
    for (uint64_t b = 0; b < k; b += BLOCK) {
        uint64_t m = q35i_min(BLOCK, k - b);
        spread(d, d->error, b, m, d->block);
        for (uint64_t c = 0; c < m; c += 2)
            add_pair(d, d->feedback->metric[(b + c) / 2], d->block + c * d->stride,
                     d->spread + (b + c) * d->stride, &sum);
    }
    for (uint64_t l = 0; l < d->lanes; l++) {
        float scale = sum.norm[l] > 0 ? (float)((double)d->scale[l] + sum.along[l] / sum.norm[l]) : 0;
        double step = (double)scale - (double)d->scale[l], change = step * (step * sum.norm[l] - 2 * sum.along[l]);
        int better = scale > 0 && change < 0; /* not: NaN */
        d->scale[l] = better ? scale : d->scale[l];
        loss[l] = sum.error[l] + (better ? change : 0);
    }
    set_errors(d);
}

void q35i_descend(const q35i_descent *d, uint32_t sweeps, double *loss)
{
    const uint64_t k = d->feedback->k;
    for (uint64_t b = 0; b < k; b += BLOCK)
        spread(d, d->w, b, q35i_min(BLOCK, k - b), d->spread + b * d->stride);
    set_errors(d);
    for (uint32_t i = 0; i < sweeps; i++) {
        sweep(d);
        fit_scales(d, loss);
    }
}
