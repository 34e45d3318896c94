/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of single tensors: is the descriptor sane, is it the matrix, vector or state that an op needs. */
#include "plugins/common/region.h"

bool q35p_tensor_bytes(const q35p_rules *rules, const q35_tensor_desc *desc, uint64_t *out)
{
    if (desc->layout != 0) {
        *out = desc->rank == 2 ? rules->packed_bytes(desc) : 0;
        return *out != 0 && *out <= INT64_MAX;
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

static bool want_dims(const q35p_check *c, const q35_tensor_desc *d, const char *what)
{
    if (d->rank < 1 || d->rank > 4)
        return q35p_refuse(c, "%s has rank %u, need 1 to 4", what, d->rank);
    for (uint32_t i = 0; i < 4; i++) {
        const int64_t most = i < d->rank ? c->rules->max_dim : 1;
        if (d->dim[i] < 1 || d->dim[i] > most)
            return q35p_refuse(c, "%s has dim[%u] %lld, need 1 to %lld", what, i, (long long)d->dim[i],
                               (long long)most);
    }
    if (d->flags != q35p_row_kind(d) || (d->flags & (d->flags - 1)) != 0)
        return q35p_refuse(c, "%s has flags %#x, need token rows, out rows, sequences or none", what, d->flags);
    if (d->flags != 0 && c->region->step == Q35_NONE)
        return q35p_refuse(c, "%s has flags %#x and the region no step tensor, need one", what, d->flags);
    return true;
}

/* Canonical layout: stride[0] is one block, and each dim's stride spans the dim below it. */
static bool want_strides(const q35p_check *c, const q35_tensor_desc *d, const char *what)
{
    const q35_dtype_info info = q35_dtype_describe(d->dtype);
    const uint32_t align = c->rules->align(d);
    if (d->stride[0] != info.block_bytes)
        return q35p_refuse(c, "%s has stride[0] %lld, need %u", what, (long long)d->stride[0], info.block_bytes);
    int64_t need = (int64_t)q35_row_bytes(d->dtype, (uint64_t)d->dim[0]);
    for (uint32_t i = 1; i < d->rank; i++) {
        if (d->stride[i] < need || d->stride[i] % align != 0)
            return q35p_refuse(c, "%s has stride[%u] %lld, need a multiple of %u from %lld", what, i,
                               (long long)d->stride[i], align, (long long)need);
        if (__builtin_mul_overflow(d->stride[i], d->dim[i], &need))
            return q35p_refuse(c, "%s is larger than memory can be", what);
    }
    return true;
}

bool q35p_want_tensor(const q35p_check *c, uint32_t t, const char *what)
{
    if (t >= c->region->n_tensors)
        return q35p_refuse(c, "%s is tensor %u, need one of %u", what, t, c->region->n_tensors);
    const q35_tensor_desc *d = &c->region->tensors[t];
    const q35_dtype_info info = q35_dtype_describe(d->dtype);
    uint64_t bytes;
    if (info.block_len == 0)
        return q35p_refuse(c, "%s has dtype %#x, need one of abi 1.0", what, d->dtype);
    if (!want_dims(c, d, what) || (d->layout == 0 && !want_strides(c, d, what)))
        return false;
    if (!q35p_tensor_bytes(c->rules, d, &bytes))
        return q35p_refuse(c, "%s (%s) has layout %u, need 0 or one offered for it", what, info.name, d->layout);
    return true;
}

static bool want_dtype(const q35p_check *c, uint32_t t, const char *what, uint32_t dtype)
{
    const uint32_t found = c->region->tensors[t].dtype;
    return found == dtype || q35p_refuse(c, "%s is %s, need %s", what, q35_dtype_describe(found).name,
                                         q35_dtype_describe(dtype).name);
}

bool q35p_want_matrix(const q35p_check *c, uint32_t t, const char *what, uint32_t dtype, int64_t cols)
{
    const q35_tensor_desc *d = &c->region->tensors[t];
    if (!want_dtype(c, t, what, dtype))
        return false;
    if (d->rank != 2)
        return q35p_refuse(c, "%s has rank %u, need 2", what, d->rank);
    if (d->dim[0] != cols)
        return q35p_refuse(c, "%s has rows of %lld, need %lld", what, (long long)d->dim[0], (long long)cols);
    return true;
}

bool q35p_want_vector(const q35p_check *c, uint32_t t, const char *what, uint32_t dtype, int64_t length)
{
    const q35_tensor_desc *d = &c->region->tensors[t];
    if (!want_dtype(c, t, what, dtype))
        return false;
    if (d->dim[1] != 1 || d->dim[2] != 1 || d->dim[3] != 1)
        return q35p_refuse(c, "%s has %lld rows, need one", what, (long long)d->dim[1]);
    if (d->dim[0] != length)
        return q35p_refuse(c, "%s has length %lld, need %lld", what, (long long)d->dim[0], (long long)length);
    if (d->flags != 0)
        return q35p_refuse(c, "%s has flags %#x, need 0", what, d->flags);
    return true;
}

bool q35p_want_rows_like(const q35p_check *c, uint32_t t, const char *what, uint32_t like)
{
    const q35_tensor_desc *d = &c->region->tensors[t], *other = &c->region->tensors[like];
    const int64_t rows = d->dim[d->rank - 1], need = other->dim[other->rank - 1];
    if (d->flags != other->flags)
        return q35p_refuse(c, "%s has flags %#x, need %#x as the first input", what, d->flags, other->flags);
    if (rows != need)
        return q35p_refuse(c, "%s has %lld rows, need %lld", what, (long long)rows, (long long)need);
    return true;
}

bool q35p_want_indices(const q35p_check *c, uint32_t t, const char *what, uint32_t like)
{
    if (!want_dtype(c, t, what, Q35_DT_I32))
        return false;
    if (c->region->tensors[t].rank != 1)
        return q35p_refuse(c, "%s has rank %u, need 1", what, c->region->tensors[t].rank);
    return q35p_want_rows_like(c, t, what, like);
}

bool q35p_want_state(const q35p_check *c, uint32_t t, const char *what)
{
    const uint32_t role = c->region->roles[t];
    return role == Q35_ROLE_STATE ||
           q35p_refuse(c, "%s has role %u, need state (%u)", what, role, (unsigned)Q35_ROLE_STATE);
}
