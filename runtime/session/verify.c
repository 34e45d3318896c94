/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of a 3.5-bit file: that its bytes are those that were written, that every scale is valid, and, beside the
 * source, that the certificates hold. */
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/device/device.h"
#include "runtime/model/file_checksum.h"
#include "runtime/model/model.h"
#include "runtime/quant/format.h"
#include "runtime/quant/tensor.h"

#include <q35rt/convert.h>

#include <math.h>
#include <stdio.h>

/* The recomputation does the same operations in the same order; the rest is rounding to f32 in the file. */
#define TOLERANCE 1e-6

typedef struct verification {
    const q35_model *file, *source;
    q35_pool *pool;
    char problem[256]; /* of the current tensor */
} verification;

static void check_checksum(verification *v, const q35_tensor_info *info)
{
    uint64_t found = q35i_checksum(info->data, info->bytes);
    if (found != info->checksum)
        snprintf(v->problem, sizeof v->problem, "checksum %016llx, need %016llx", (unsigned long long)found,
                 (unsigned long long)info->checksum);
}

/* Finite scales, not negative, and finite offsets. Every code is valid, and a block has no bits to spare. */
static void check_groups(verification *v, const q35_tensor_info *info)
{
    const uint8_t *block = info->data;
    uint64_t block_bytes = q35_dtype_describe(info->dtype).block_bytes, n = info->bytes / block_bytes;
    uint64_t per_row = n / (uint64_t)info->dim[1];
    int n_halves = info->dtype == Q35_DT_Q35_SPLIT ? 2 : 1;
    for (uint64_t i = 0; i < n; i++, block += block_bytes)
        for (int h = 0; h < n_halves; h++) {
            float value = q35_f16_to_f32(q35_load_u16(block + 2 * h));
            if (isfinite(value) && (h == 1 || value >= 0))
                continue;
            snprintf(v->problem, sizeof v->problem, "%s %g in row %llu, group %llu, need a finite number%s",
                     h ? "offset" : "scale", (double)value, (unsigned long long)(i / per_row),
                     (unsigned long long)(i % per_row), h ? "" : " of at least 0");
            return;
        }
}

static void check_rows(verification *v, const q35_tensor_info *info)
{
    const uint8_t *row = info->data;
    uint64_t row_bytes = q35_row_bytes(info->dtype, (uint64_t)info->dim[0]), n = (uint64_t)info->dim[1];
    for (uint64_t i = 0; i < n; i++, row += row_bytes) {
        float scale;
        memcpy(&scale, row, sizeof scale);
        if (isfinite(scale) && scale >= 0)
            continue;
        snprintf(v->problem, sizeof v->problem, "scale %g of row %llu, need a finite number of at least 0",
                 (double)scale, (unsigned long long)i);
        return;
    }
}

static int differs(double found, double promised)
{
    return !(fabs(found - promised) <= TOLERANCE * fabs(promised));
}

static q35_status check_certificate(verification *v, const q35_tensor_info *info, q35_verify_report *report)
{
    const q35_tensor_info *source = q35_model_tensor(v->source, info->name);
    q35i_encoding encoding = {.dtype = info->dtype,
                              .points = q35_model_book(v->file, info->dtype),
                              .rotation_seed = info->rotation_seed,
                              .rotation_width = info->rotation_width,
                              .pool = v->pool};
    q35i_linear linear = {.info = source};
    q35i_row_error error;
    if (!source || source->rank != 2 || source->dim[0] != info->dim[0] || source->dim[1] != info->dim[1]) {
        snprintf(v->problem, sizeof v->problem, "source: %s, need a matrix [%lld, %lld]",
                 source ? "another shape" : "no such tensor", (long long)info->dim[0], (long long)info->dim[1]);
        return Q35_OK;
    }
    if (q35i_is_coded(source->dtype) || source->dtype == Q35_DT_I8 || source->dtype == Q35_DT_I32) {
        snprintf(v->problem, sizeof v->problem, "source: type %s, need the weights it was made from",
                 q35_dtype_describe(source->dtype).name);
        return Q35_OK;
    }
    Q35_TRY(q35i_tensor_measure(&encoding, &linear, info->data, &error));
    q35i_model_drop_pages(v->source, source);
    report->max_error = error.largest;
    report->relative_error = q35i_row_error_relative(&error);
    if (differs(report->max_error, info->max_error))
        snprintf(v->problem, sizeof v->problem, "largest error %.9g, the certificate says %.9g", report->max_error,
                 info->max_error);
    else if (differs(report->relative_error, info->relative_error))
        snprintf(v->problem, sizeof v->problem, "relative error %.9g, the certificate says %.9g",
                 report->relative_error, info->relative_error);
    return Q35_OK;
}

/* |sum_k (w - w^) x_k| <= sum_k |w - w^| |x_k| <= K * max_error for |x_k| <= 1, x as the weights meet it
 * (rotated). */
static double output_bound(const q35_tensor_info *info)
{
    return info->max_error * (double)info->dim[0];
}

static q35_status verify_tensor(verification *v, const q35_tensor_info *info, q35_verify_report *report)
{
    v->problem[0] = '\0';
    *report = (q35_verify_report){.tensor = info->name,
                                  .max_error = info->max_error,
                                  .relative_error = info->relative_error,
                                  .output_bound = output_bound(info)};
    check_checksum(v, info);
    if (!v->problem[0])
        (q35_is_row_type(info->dtype) ? check_rows : check_groups)(v, info);
    if (!v->problem[0] && v->source)
        Q35_TRY(check_certificate(v, info, report));
    report->problem = v->problem;
    report->ok = v->problem[0] == '\0';
    q35i_model_drop_pages(v->file, info);
    return Q35_OK;
}

q35_status q35_verify(q35_runtime *runtime, const q35_model *file, const q35_model *source,
                      void (*each)(void *user, const q35_verify_report *report), void *user)
{
    verification v = {.file = file, .source = source, .pool = q35i_runtime_pool(runtime)};
    uint64_t n = 0, failed = 0;
    for (uint64_t i = 0; i < q35_model_n_tensors(file); i++) {
        q35_verify_report report;
        const q35_tensor_info *info = q35_model_tensor_at(file, i);
        if (!q35i_is_coded(info->dtype))
            continue;
        Q35_TRY(verify_tensor(&v, info, &report));
        n++;
        failed += !report.ok;
        if (each)
            each(user, &report);
    }
    if (n == 0)
        return Q35_FAIL(Q35_E_FORMAT, "%s: no 3.5-bit tensors, need at least one", q35_model_path(file));
    if (failed)
        return Q35_FAIL(Q35_E_FORMAT, "%s: %llu of %llu 3.5-bit tensors fail, need all to pass",
                        q35_model_path(file), (unsigned long long)failed, (unsigned long long)n);
    return q35i_file_checksum_verify(file);
}
