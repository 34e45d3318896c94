/* SPDX-License-Identifier: Apache-2.0
 *
 * A tensor is worked through in slices of whole rows, one parallel region each, so that a caller hears of progress
 * and can cancel. Each worker has room for one row of floats, and one of doubles where rows are rotated; what a
 * row yields is kept per row and added up afterwards in row order. */
#include "runtime/quant/tensor.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/pool.h"
#include "runtime/base/size.h"
#include "runtime/quant/format.h"
#include "runtime/quant/quantise.h"
#include "runtime/quant/rotation.h"
#include "runtime/quant/row.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>

#define SLICE_WEIGHTS (1u << 20)

typedef struct row_result {
    q35i_row_error error;
    uint64_t bad_column; /* first weight that is not finite, else UINT64_MAX */
} row_result;

typedef struct tensor_job {
    const q35i_encoding *encoding;
    const q35i_linear *linear;
    uint8_t *encode_to;          /* [N][row_bytes], NULL: measure only */
    const uint8_t *measure_from; /* the same blocks for reading */
    uint64_t k, row_bytes, begin, end;
    float *rows;         /* [workers][k] */
    double *rotated;     /* [workers][k]; NULL: rows stay as they are */
    int8_t *signs;       /* [k], likewise */
    row_result *results; /* [N] */
} tensor_job;

static uint64_t first_not_finite(const float *row, uint64_t k)
{
    for (uint64_t i = 0; i < k; i++)
        if (!isfinite(row[i]))
            return i;
    return UINT64_MAX;
}

static const int8_t (*points_of(const q35i_encoding *encoding))[2]
{
    return encoding->book ? (const int8_t(*)[2])encoding->book->points : encoding->points;
}

static void rotate(const tensor_job *job, double *scratch, float *row)
{
    for (uint64_t i = 0; i < job->k; i++)
        scratch[i] = (double)row[i];
    q35i_rotate_row(job->signs, job->encoding->rotation_width, scratch, job->k);
    for (uint64_t i = 0; i < job->k; i++)
        row[i] = (float)fmin(fmax(scratch[i], (double)-FLT_MAX), (double)FLT_MAX);
}

static void encode_row(const tensor_job *job, const float *row, uint8_t *out)
{
    const q35i_encoding *e = job->encoding;
    const float *importance = job->linear->importance;
    if (q35_is_row_type(e->dtype))
        (void)q35i_quantise_plain_row(e->dtype, points_of(e), row, job->k, importance, out);
    else if (q35i_is_3_5_bit(e->dtype))
        q35i_quantise_row(e->dtype, e->book, row, job->k, importance, out);
    else
        for (uint64_t i = 0; i < job->k; i += 32)
            q35i_q8_0_block(row + i, out + i / 32 * 34);
}

static void do_row(const tensor_job *job, uint64_t r, uint32_t worker)
{
    row_result *result = &job->results[r];
    const q35i_encoding *e = job->encoding;
    float *row = job->rows + worker * job->k;
    q35i_read_weights(job->linear->info, r, 0, job->k, row);
    result->bad_column = first_not_finite(row, job->k);
    if (result->bad_column != UINT64_MAX)
        return;
    if (job->rotated)
        rotate(job, job->rotated + worker * job->k, row);
    if (job->encode_to)
        encode_row(job, row, job->encode_to + r * job->row_bytes);
    if (q35i_is_coded(e->dtype))
        result->error =
            q35i_row_error_of(e->dtype, points_of(e), job->measure_from + r * job->row_bytes, row, job->k);
}

static void do_part(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    const tensor_job *job = arg;
    uint64_t begin, end;
    (void)team;
    q35i_split(job->end - job->begin, 1, worker, n_workers, &begin, &end);
    for (uint64_t r = job->begin + begin; r < job->begin + end; r++)
        do_row(job, r, worker);
}

static q35_status add_up(const tensor_job *job, q35i_row_error *out_error)
{
    for (uint64_t r = job->begin; r < job->end; r++) {
        const row_result *result = &job->results[r];
        if (result->bad_column != UINT64_MAX) {
            float w;
            q35i_read_weights(job->linear->info, r, result->bad_column, 1, &w);
            return Q35_FAIL(Q35_E_FORMAT, "tensor %s: weight %g in row %llu, column %llu, need finite weights",
                            job->linear->info->name, (double)w, (unsigned long long)r,
                            (unsigned long long)result->bad_column);
        }
        q35i_row_error_add(out_error, &result->error);
    }
    return Q35_OK;
}

static q35_status allocate(tensor_job *job)
{
    const q35i_encoding *e = job->encoding;
    uint64_t workers = q35i_pool_size(e->pool), bytes;
    if (!q35i_mul(job->k, sizeof *job->rotated, &bytes))
        return Q35_FAIL(Q35_E_NOMEM, "tensor %s: %llu weights per row, more than fit", job->linear->info->name,
                        (unsigned long long)job->k);
    job->rows = q35i_calloc(workers, job->k * sizeof *job->rows);
    job->results = q35i_calloc((uint64_t)job->linear->info->dim[1], sizeof *job->results);
    if (!job->rows || !job->results)
        return Q35_E_NOMEM;
    if (e->rotation_width == 0)
        return Q35_OK;
    job->rotated = q35i_calloc(workers, bytes);
    job->signs = q35i_calloc(job->k, sizeof *job->signs);
    if (!job->rotated || !job->signs)
        return Q35_E_NOMEM;
    q35i_rotation_signs(e->rotation_seed, job->k, job->signs);
    return Q35_OK;
}

static q35_status run(tensor_job *job, q35i_row_error *out_error)
{
    q35_status status = Q35_OK;
    const q35i_encoding *e = job->encoding;
    uint64_t n = (uint64_t)job->linear->info->dim[1];
    uint64_t slice = q35i_max(SLICE_WEIGHTS / job->k, q35i_pool_size(e->pool));
    *out_error = (q35i_row_error){0};
    Q35_TRY_GOTO(allocate(job), out);
    for (job->begin = 0; job->begin < n; job->begin = job->end) {
        job->end = q35i_min(n, job->begin + slice);
        q35i_pool_parallel(e->pool, do_part, job);
        Q35_TRY_GOTO(add_up(job, out_error), out);
        if (e->progress)
            Q35_TRY_GOTO(e->progress(e->user, job->end), out);
    }
out:
    q35i_free(job->rows);
    q35i_free(job->results);
    q35i_free(job->rotated);
    q35i_free(job->signs);
    return status;
}

q35_status q35i_tensor_encode(const q35i_encoding *encoding, const q35i_linear *linear, void *blocks,
                              q35i_row_error *out_error)
{
    tensor_job job = {.encoding = encoding, .linear = linear, .encode_to = blocks, .measure_from = blocks};
    job.k = (uint64_t)linear->info->dim[0];
    job.row_bytes = q35_row_bytes(encoding->dtype, job.k);
    return run(&job, out_error);
}

q35_status q35i_tensor_measure(const q35i_encoding *encoding, const q35i_linear *linear, const void *blocks,
                               q35i_row_error *out_error)
{
    tensor_job job = {.encoding = encoding, .linear = linear, .measure_from = blocks};
    job.k = (uint64_t)linear->info->dim[0];
    job.row_bytes = q35_row_bytes(encoding->dtype, job.k);
    return run(&job, out_error);
}
