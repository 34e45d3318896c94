/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of single tensors. Every later use of dims and strides relies on q35i_cuda_want_tensor having passed. */
#include "cuda.h"

#include <stdarg.h>
#include <stdio.h>

/* Kernels count rows, columns and positions in 32 bits. */
#define MAX_DIM (INT64_C(1) << 30)

bool q35i_cuda_refuse(const q35i_cuda_check *c, const char *fmt, ...)
{
    size_t used = 0;
    if (c->node) {
        int n = snprintf(c->reason, c->cap, "%s (node %u): ", q35i_cuda_op_name(c->node->op), c->index);
        used = n > 0 && (size_t)n < c->cap ? (size_t)n : 0;
    }
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->reason + used, c->cap - used, fmt, args);
    va_end(args);
    return false;
}

uint32_t q35i_cuda_tensor_align(const q35_tensor_desc *desc)
{
    if (desc->layout != Q35_CUDA_CANONICAL)
        return 16; /* what a lane loads at a time */
    switch (desc->dtype) {
    case Q35_DT_A8_32:
    case Q35_DT_A8_128:
    case Q35_DT_A8_ROW: return 8;
    case Q35_DT_F32:
    case Q35_DT_I32: return 4;
    case Q35_DT_F16:
    case Q35_DT_BF16:
    case Q35_DT_Q8_0: return 2;
    default: return 1;
    }
}

uint64_t q35i_cuda_packed_bytes(const q35_tensor_desc *weight)
{
    const uint64_t slice = q35_cuda_slice_bytes(weight->dtype, weight->dim[0]);
    return slice * q35_cuda_ceil_div(weight->dim[1], q35_cuda_slice_rows(weight->dtype));
}

bool q35i_cuda_tensor_bytes(const q35_tensor_desc *desc, uint64_t *out)
{
    if (desc->layout != Q35_CUDA_CANONICAL) {
        *out = q35i_cuda_packed_bytes(desc);
        return desc->rank == 2 && desc->layout == q35_cuda_layout_of(desc->dtype);
    }
    int64_t total = (int64_t)q35_row_bytes(desc->dtype, (uint64_t)desc->dim[0]);
    for (uint32_t i = 1; i < desc->rank; i++) {
        int64_t reach;
        if (__builtin_mul_overflow(desc->dim[i] - 1, desc->stride[i], &reach) ||
            __builtin_add_overflow(total, reach, &total))
            return false;
    }
    *out = (uint64_t)total;
    return true;
}

static bool want_dims(const q35i_cuda_check *c, const q35_tensor_desc *d, const char *what)
{
    if (d->rank < 1 || d->rank > 4)
        return q35i_cuda_refuse(c, "%s has rank %u, need 1 to 4", what, d->rank);
    for (uint32_t i = 0; i < 4; i++) {
        const int64_t most = i < d->rank ? MAX_DIM : 1;
        if (d->dim[i] < 1 || d->dim[i] > most)
            return q35i_cuda_refuse(c, "%s has dim[%u] %lld, need 1 to %lld", what, i, (long long)d->dim[i],
                                    (long long)most);
    }
    if (d->flags != q35i_cuda_row_kind(d) || (d->flags & (d->flags - 1)) != 0)
        return q35i_cuda_refuse(c, "%s has flags %#x, need token rows, out rows, sequences or none", what,
                                d->flags);
    if (d->flags != 0 && c->region->step == Q35_NONE)
        return q35i_cuda_refuse(c, "%s has flags %#x, need a step tensor for them", what, d->flags);
    return true;
}

/* Canonical layout: stride[0] is one block, and each dim's stride spans the dim below it. */
static bool want_strides(const q35i_cuda_check *c, const q35_tensor_desc *d, const char *what)
{
    const q35_dtype_info info = q35_dtype_describe(d->dtype);
    if (d->stride[0] != info.block_bytes)
        return q35i_cuda_refuse(c, "%s has stride[0] %lld, need %u", what, (long long)d->stride[0],
                                info.block_bytes);
    int64_t need = (int64_t)q35_row_bytes(d->dtype, (uint64_t)d->dim[0]);
    for (uint32_t i = 1; i < d->rank; i++) {
        if (d->stride[i] < need || d->stride[i] % q35i_cuda_tensor_align(d) != 0)
            return q35i_cuda_refuse(c, "%s has stride[%u] %lld, need a multiple of %u from %lld", what, i,
                                    (long long)d->stride[i], q35i_cuda_tensor_align(d), (long long)need);
        if (__builtin_mul_overflow(d->stride[i], d->dim[i], &need))
            return q35i_cuda_refuse(c, "%s is larger than memory can be", what);
    }
    return true;
}

bool q35i_cuda_want_tensor(const q35i_cuda_check *c, uint32_t t, const char *what)
{
    if (t >= c->region->n_tensors)
        return q35i_cuda_refuse(c, "%s is tensor %u, need one of %u", what, t, c->region->n_tensors);
    const q35_tensor_desc *d = &c->region->tensors[t];
    const q35_dtype_info info = q35_dtype_describe(d->dtype);
    uint64_t bytes;
    if (info.block_len == 0)
        return q35i_cuda_refuse(c, "%s has dtype %#x, need one of abi 1.0", what, d->dtype);
    if (!want_dims(c, d, what) || (d->layout == Q35_CUDA_CANONICAL && !want_strides(c, d, what)))
        return false;
    if (!q35i_cuda_tensor_bytes(d, &bytes))
        return q35i_cuda_refuse(c, "%s (%s) has layout %u, need 0 or one offered for it", what, info.name,
                                d->layout);
    return true;
}

static bool want_dtype(const q35i_cuda_check *c, uint32_t t, const char *what, uint32_t dtype)
{
    const uint32_t found = c->region->tensors[t].dtype;
    return found == dtype || q35i_cuda_refuse(c, "%s is %s, need %s", what, q35_dtype_describe(found).name,
                                              q35_dtype_describe(dtype).name);
}

bool q35i_cuda_want_matrix(const q35i_cuda_check *c, uint32_t t, const char *what, uint32_t dtype, int64_t cols)
{
    const q35_tensor_desc *d = &c->region->tensors[t];
    if (!want_dtype(c, t, what, dtype))
        return false;
    if (d->rank != 2 || d->dim[0] != cols)
        return q35i_cuda_refuse(c, "%s has rank %u and rows of %lld, need 2 and %lld", what, d->rank,
                                (long long)d->dim[0], (long long)cols);
    return true;
}

bool q35i_cuda_want_vector(const q35i_cuda_check *c, uint32_t t, const char *what, uint32_t dtype, int64_t length)
{
    const q35_tensor_desc *d = &c->region->tensors[t];
    if (!want_dtype(c, t, what, dtype))
        return false;
    if (d->dim[0] != length || d->dim[1] != 1 || d->dim[2] != 1 || d->dim[3] != 1)
        return q35i_cuda_refuse(c, "%s has %lld rows of %lld, need one of %lld", what, (long long)d->dim[1],
                                (long long)d->dim[0], (long long)length);
    if (d->flags != 0)
        return q35i_cuda_refuse(c, "%s has flags %#x, need 0", what, d->flags);
    return true;
}

bool q35i_cuda_want_rows_like(const q35i_cuda_check *c, uint32_t t, const char *what, uint32_t like)
{
    const q35_tensor_desc *d = &c->region->tensors[t], *other = &c->region->tensors[like];
    const int64_t rows = d->dim[d->rank - 1], need = other->dim[other->rank - 1];
    if (d->flags != other->flags)
        return q35i_cuda_refuse(c, "%s has flags %#x, need %#x", what, d->flags, other->flags);
    if (rows != need)
        return q35i_cuda_refuse(c, "%s has %lld rows, need %lld", what, (long long)rows, (long long)need);
    return true;
}

bool q35i_cuda_want_indices(const q35i_cuda_check *c, uint32_t t, const char *what, uint32_t like)
{
    if (!want_dtype(c, t, what, Q35_DT_I32))
        return false;
    if (c->region->tensors[t].rank != 1)
        return q35i_cuda_refuse(c, "%s has rank %u, need 1", what, c->region->tensors[t].rank);
    return q35i_cuda_want_rows_like(c, t, what, like);
}

bool q35i_cuda_want_state(const q35i_cuda_check *c, uint32_t t, const char *what)
{
    const uint32_t role = c->region->roles[t];
    return role == Q35_ROLE_STATE ||
           q35i_cuda_refuse(c, "%s has role %u, need state (%u)", what, role, (unsigned)Q35_ROLE_STATE);
}
