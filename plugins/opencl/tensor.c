/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of single tensors. Kernels count rows and columns in 32 bits, so dims are held below 2^31. */
#include "plugins/opencl/opencl.h"

#include <stdarg.h>
#include <stdio.h>

bool q35i_cl_refuse(const q35i_cl_check *check, const char *fmt, ...)
{
    size_t used = 0;
    va_list args;
    if (check->node) {
        int n =
            snprintf(check->reason, check->cap, "%s (node %u): ", q35i_cl_op_name(check->node->op), check->index);
        used = n > 0 && (size_t)n < check->cap ? (size_t)n : 0;
    }
    va_start(args, fmt);
    vsnprintf(check->reason + used, check->cap - used, fmt, args);
    va_end(args);
    return false;
}

static uint32_t alignment(uint32_t dtype)
{
    switch (dtype) {
    case Q35_DT_F32:
    case Q35_DT_I32:
    case Q35_DT_A8_32:
    case Q35_DT_A8_128:
    case Q35_DT_A8_ROW: return 4;
    case Q35_DT_I8:
    case Q35_DT_Q35_ROW:
    case Q35_DT_Q40_ROW:
    case Q35_DT_Q60_ROW: return 1;
    default: return 2; /* types with f16 scales */
    }
}

uint64_t q35i_cl_tensor_bytes(const q35_tensor_desc *d)
{
    uint64_t bytes = q35_row_bytes(d->dtype, (uint64_t)d->dim[0]);
    if (d->layout == Q35I_CL_LAYOUT_TILE)
        return q35i_cl_tile_bytes(d->dtype, d->dim[0]) *
               (((uint64_t)d->dim[1] + Q35I_CL_TILE_ROWS - 1) / Q35I_CL_TILE_ROWS);
    for (uint32_t i = 1; i < d->rank; i++)
        bytes += (uint64_t)(d->dim[i] - 1) * (uint64_t)d->stride[i];
    return bytes;
}

static bool want_strides(const q35i_cl_check *check, const q35_tensor_desc *d, const char *what)
{
    const q35_dtype_info info = q35_dtype_describe(d->dtype);
    int64_t need = (int64_t)q35_row_bytes(d->dtype, (uint64_t)d->dim[0]);
    if (d->stride[0] != info.block_bytes)
        return q35i_cl_refuse(check, "%s has stride[0] %lld, need %u", what, (long long)d->stride[0],
                              info.block_bytes);
    for (uint32_t i = 1; i < d->rank; i++) {
        if (d->stride[i] < need || d->stride[i] % alignment(d->dtype) != 0)
            return q35i_cl_refuse(check, "%s has stride[%u] %lld, need a multiple of %u from %lld", what, i,
                                  (long long)d->stride[i], alignment(d->dtype), (long long)need);
        if (__builtin_mul_overflow(d->stride[i], d->dim[i], &need))
            return q35i_cl_refuse(check, "%s is larger than memory can be", what);
    }
    return true;
}

bool q35i_cl_want_tensor(const q35i_cl_check *check, uint32_t t, const char *what)
{
    if (t >= check->region->n_tensors)
        return q35i_cl_refuse(check, "%s is tensor %u, need one of %u", what, t, check->region->n_tensors);
    const q35_tensor_desc *d = &check->region->tensors[t];
    if (q35_dtype_describe(d->dtype).block_len == 0)
        return q35i_cl_refuse(check, "%s has dtype %#x, need one of abi 1.0", what, d->dtype);
    if (d->rank < 1 || d->rank > 4)
        return q35i_cl_refuse(check, "%s has rank %u, need 1 to 4", what, d->rank);
    for (uint32_t i = 0; i < 4; i++)
        if (d->dim[i] < 1 || d->dim[i] > (i < d->rank ? (int64_t)INT32_MAX : 1))
            return q35i_cl_refuse(check, "%s has dim[%u] %lld, need 1 to %d", what, i, (long long)d->dim[i],
                                  i < d->rank ? INT32_MAX : 1);
    if ((d->flags & ~(uint32_t)Q35I_CL_ROW_FLAGS) != 0 || (d->flags & (d->flags - 1)) != 0)
        return q35i_cl_refuse(check, "%s has flags %#x, need token rows, out rows, sequences or none", what,
                              d->flags);
    if (d->flags != 0 && check->region->step == Q35_NONE)
        return q35i_cl_refuse(check, "the region has no step tensor, need one");
    if (d->layout == 0)
        return want_strides(check, d, what);
    if (d->layout != Q35I_CL_LAYOUT_TILE || d->rank != 2 || !q35i_cl_codec_of(d->dtype).codec)
        return q35i_cl_refuse(check, "%s (%s) has layout %u, need 0 or one offered for it", what,
                              q35_dtype_describe(d->dtype).name, d->layout);
    return true;
}

static bool want_dtype(const q35i_cl_check *check, uint32_t t, const char *what, uint32_t dtype)
{
    const uint32_t found = check->region->tensors[t].dtype;
    if (found != dtype)
        return q35i_cl_refuse(check, "%s is %s, need %s", what, q35_dtype_describe(found).name,
                              q35_dtype_describe(dtype).name);
    return true;
}

bool q35i_cl_want_matrix(const q35i_cl_check *check, uint32_t t, const char *what, uint32_t dtype, int64_t cols)
{
    const q35_tensor_desc *d = &check->region->tensors[t];
    if (!want_dtype(check, t, what, dtype))
        return false;
    if (d->rank != 2)
        return q35i_cl_refuse(check, "%s has rank %u, need 2", what, d->rank);
    if (cols >= 0 && d->dim[0] != cols)
        return q35i_cl_refuse(check, "%s has rows of %lld, need %lld", what, (long long)d->dim[0],
                              (long long)cols);
    return true;
}

bool q35i_cl_want_vector(const q35i_cl_check *check, uint32_t t, const char *what, uint32_t dtype, int64_t length)
{
    const q35_tensor_desc *d = &check->region->tensors[t];
    if (!want_dtype(check, t, what, dtype))
        return false;
    if (d->dim[0] != length || d->dim[1] != 1 || d->dim[2] != 1 || d->dim[3] != 1 || d->flags != 0)
        return q35i_cl_refuse(check, "%s is [%lld][%lld] with flags %#x, need [%lld] and 0", what,
                              (long long)d->dim[1], (long long)d->dim[0], d->flags, (long long)length);
    return true;
}

bool q35i_cl_want_rows_like(const q35i_cl_check *check, uint32_t t, const char *what, uint32_t like)
{
    const q35_tensor_desc *d = &check->region->tensors[t], *other = &check->region->tensors[like];
    const int64_t rows = d->dim[d->rank - 1], need = other->dim[other->rank - 1];
    if (d->flags != other->flags)
        return q35i_cl_refuse(check, "%s has flags %#x, need %#x as the first input", what, d->flags,
                              other->flags);
    if (rows != need)
        return q35i_cl_refuse(check, "%s has %lld rows, need %lld", what, (long long)rows, (long long)need);
    return true;
}

bool q35i_cl_want_indices(const q35i_cl_check *check, uint32_t t, const char *what, uint32_t like)
{
    if (!want_dtype(check, t, what, Q35_DT_I32))
        return false;
    if (check->region->tensors[t].rank != 1)
        return q35i_cl_refuse(check, "%s has rank %u, need 1", what, check->region->tensors[t].rank);
    return q35i_cl_want_rows_like(check, t, what, like);
}
