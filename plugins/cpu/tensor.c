/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of single tensors: is the descriptor sane, is it the matrix, vector or state that an op needs. Every
 * later use of dims and strides relies on q35i_cpu_want_tensor having passed. */
#include "plugins/cpu/cpu.h"

#include <stdarg.h>
#include <stdio.h>

bool q35i_cpu_refuse(const q35i_cpu_check *check, const char *fmt, ...)
{
    size_t used = 0;
    if (check->node) {
        int n = snprintf(check->reason, check->reason_cap, "%s (node %u): ", q35i_cpu_op_name(check->node->op),
                         check->index);
        used = n > 0 && (size_t)n < check->reason_cap ? (size_t)n : 0;
    }
    va_list args;
    va_start(args, fmt);
    vsnprintf(check->reason + used, check->reason_cap - used, fmt, args);
    va_end(args);
    return false;
}

uint32_t q35i_cpu_row_kind(const q35_tensor_desc *desc)
{
    return desc->flags & (Q35_TF_TOKEN_ROWS | Q35_TF_OUT_ROWS | Q35_TF_SEQUENCES);
}

uint32_t q35i_cpu_tensor_align(const q35_tensor_desc *desc)
{
    if (desc->layout != Q35K_LAYOUT_CANONICAL)
        return Q35I_CPU_LINE;
    switch (desc->dtype) {
    case Q35_DT_F32:
    case Q35_DT_I32:
    case Q35_DT_A8_32:
    case Q35_DT_A8_128:
    case Q35_DT_A8_ROW: return 4;
    case Q35_DT_F16:
    case Q35_DT_BF16: return 2;
    default: return 1;
    }
}

bool q35i_cpu_tensor_bytes(const q35_tensor_desc *desc, uint64_t *out)
{
    int64_t total;
    if (desc->layout != Q35K_LAYOUT_CANONICAL) {
        uint64_t tile = q35i_cpu_tile_bytes(desc->layout, desc->dtype, desc->dim[0]);
        int64_t tiles = (desc->dim[1] - 1) / Q35I_CPU_TILE_ROWS + 1;
        if (tile == 0 || __builtin_mul_overflow((int64_t)tile, tiles, &total))
            return false;
    } else {
        total = (int64_t)q35_row_bytes(desc->dtype, (uint64_t)desc->dim[0]);
        for (uint32_t i = 1; i < desc->rank; i++) {
            int64_t reach;
            if (__builtin_mul_overflow(desc->dim[i] - 1, desc->stride[i], &reach) ||
                __builtin_add_overflow(total, reach, &total))
                return false;
        }
    }
    *out = (uint64_t)total;
    return true;
}

/* Longer dims would be mistakes, and sums of a few products of this size fit 64 bits. */
#define MAX_DIM (INT64_C(1) << 40)

static bool want_dims(const q35i_cpu_check *check, const q35_tensor_desc *d, const char *what)
{
    if (d->rank < 1 || d->rank > 4)
        return q35i_cpu_refuse(check, "%s has rank %u, need 1 to 4", what, d->rank);
    for (uint32_t i = 0; i < 4; i++) {
        if (d->dim[i] < 1 || d->dim[i] > (i < d->rank ? MAX_DIM : 1))
            return q35i_cpu_refuse(check, "%s has dim[%u] %lld, need 1 to %lld", what, i, (long long)d->dim[i],
                                   i < d->rank ? (long long)MAX_DIM : 1);
    }
    if (d->flags != q35i_cpu_row_kind(d) || (d->flags & (d->flags - 1)) != 0)
        return q35i_cpu_refuse(check, "%s has flags %#x, need token rows, out rows, sequences or none", what,
                               d->flags);
    return true;
}

/* Canonical layout: stride[0] is one block, and each dim's stride spans the dim below it. */
static bool want_strides(const q35i_cpu_check *check, const q35_tensor_desc *d, const char *what)
{
    q35_dtype_info info = q35_dtype_describe(d->dtype);
    if (d->stride[0] != info.block_bytes)
        return q35i_cpu_refuse(check, "%s has stride[0] %lld, need %u", what, (long long)d->stride[0],
                               info.block_bytes);
    int64_t need = (int64_t)q35_row_bytes(d->dtype, (uint64_t)d->dim[0]);
    for (uint32_t i = 1; i < d->rank; i++) {
        if (d->stride[i] < need || d->stride[i] % q35i_cpu_tensor_align(d) != 0)
            return q35i_cpu_refuse(check, "%s has stride[%u] %lld, need a multiple of %u from %lld", what, i,
                                   (long long)d->stride[i], q35i_cpu_tensor_align(d), (long long)need);
        if (__builtin_mul_overflow(d->stride[i], d->dim[i], &need))
            return q35i_cpu_refuse(check, "%s is larger than memory can be", what);
    }
    return true;
}

bool q35i_cpu_want_tensor(const q35i_cpu_check *check, uint32_t t, const char *what)
{
    if (t >= check->region->n_tensors)
        return q35i_cpu_refuse(check, "%s is tensor %u, need one of %u", what, t, check->region->n_tensors);
    const q35_tensor_desc *d = &check->region->tensors[t];
    q35_dtype_info info = q35_dtype_describe(d->dtype);
    uint64_t bytes;
    if (info.block_len == 0)
        return q35i_cpu_refuse(check, "%s has dtype %#x, need one of abi 1.0", what, d->dtype);
    if (!want_dims(check, d, what))
        return false;
    if (d->layout == Q35K_LAYOUT_CANONICAL && !want_strides(check, d, what))
        return false;
    if (!q35i_cpu_tensor_bytes(d, &bytes))
        return q35i_cpu_refuse(check, "%s (%s) has layout %u, need 0 or one offered for it", what, info.name,
                               d->layout);
    return true;
}

bool q35i_cpu_want_dtype(const q35i_cpu_check *check, uint32_t t, const char *what, uint32_t dtype)
{
    uint32_t found = check->region->tensors[t].dtype;
    if (found != dtype)
        return q35i_cpu_refuse(check, "%s is %s, need %s", what, q35_dtype_describe(found).name,
                               q35_dtype_describe(dtype).name);
    return true;
}

bool q35i_cpu_want_matrix(const q35i_cpu_check *check, uint32_t t, const char *what, int64_t cols)
{
    const q35_tensor_desc *d = &check->region->tensors[t];
    if (d->rank != 2)
        return q35i_cpu_refuse(check, "%s has rank %u, need 2", what, d->rank);
    if (d->dim[0] != cols)
        return q35i_cpu_refuse(check, "%s has rows of %lld, need %lld", what, (long long)d->dim[0],
                               (long long)cols);
    return true;
}

bool q35i_cpu_want_vector(const q35i_cpu_check *check, uint32_t t, const char *what, int64_t length)
{
    const q35_tensor_desc *d = &check->region->tensors[t];
    if (d->dim[1] != 1 || d->dim[2] != 1 || d->dim[3] != 1)
        return q35i_cpu_refuse(check, "%s has %lld rows, need one", what, (long long)d->dim[1]);
    if (d->dim[0] != length)
        return q35i_cpu_refuse(check, "%s has length %lld, need %lld", what, (long long)d->dim[0],
                               (long long)length);
    if (q35i_cpu_row_kind(d) != Q35I_CPU_ROWS_FIXED)
        return q35i_cpu_refuse(check, "%s has flags %#x, need 0", what, d->flags);
    return true;
}

bool q35i_cpu_want_state(const q35i_cpu_check *check, uint32_t t, const char *what)
{
    if (check->region->roles[t] != Q35_ROLE_STATE)
        return q35i_cpu_refuse(check, "%s has role %u, need state (%u)", what, check->region->roles[t],
                               (unsigned)Q35_ROLE_STATE);
    return true;
}

bool q35i_cpu_want_indices(const q35i_cpu_check *check, uint32_t t, const char *what, uint32_t like)
{
    if (!q35i_cpu_want_dtype(check, t, what, Q35_DT_I32))
        return false;
    if (check->region->tensors[t].rank != 1)
        return q35i_cpu_refuse(check, "%s has rank %u, need 1", what, check->region->tensors[t].rank);
    return q35i_cpu_want_rows_like(check, t, what, like);
}

bool q35i_cpu_want_rows_like(const q35i_cpu_check *check, uint32_t t, const char *what, uint32_t like)
{
    const q35_tensor_desc *d = &check->region->tensors[t], *other = &check->region->tensors[like];
    if (q35i_cpu_row_kind(d) != q35i_cpu_row_kind(other))
        return q35i_cpu_refuse(check, "%s has flags %#x, need %#x as the first input", what, d->flags,
                               other->flags);
    int64_t rows = d->dim[d->rank - 1], need = other->dim[other->rank - 1];
    if (rows != need)
        return q35i_cpu_refuse(check, "%s has %lld rows, need %lld", what, (long long)rows, (long long)need);
    return true;
}
