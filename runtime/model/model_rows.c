/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensors that the file holds in another form than the one they have here: rows in the half-split order of Hugging
 * Face, and FP8 with one scale. Rows only move, so a row is found, not copied; FP8 is put into blocks with the
 * scale.
 */
#include "model_file.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"

#include <q35rt/blocks.h>

#include <string.h>

enum { F8_BLOCK = 32, F8_BLOCK_BYTES = 36 };

/* info is the first member of every tensor of a model. */
static const q35i_tensor *tensor_of(const q35_tensor_info *info)
{
    return (const q35i_tensor *)(const void *)info;
}

/* Row of the file that holds row `row` of the tensor. */
static uint64_t stored_row(const q35i_tensor *t, uint64_t row)
{
    if (!(t->stored & Q35I_STORED_HALVES))
        return row;
    uint64_t head = row / t->head_dim, in_head = row % t->head_dim;
    return head * t->head_dim + in_head / 2 + (in_head & 1) * (t->head_dim / 2);
}

static void compose_f8(const q35i_tensor *t, const uint8_t *codes, uint64_t n, uint8_t *out)
{
    for (uint64_t i = 0; i < n; i++, codes += F8_BLOCK, out += F8_BLOCK_BYTES) {
        memcpy(out, &t->scale, sizeof t->scale);
        memcpy(out + sizeof t->scale, codes, F8_BLOCK);
    }
}

const void *q35i_model_blocks(const q35_tensor_info *info, uint64_t row, uint64_t block, uint64_t n, void *scratch)
{
    const q35i_tensor *t = tensor_of(info);
    q35_dtype_info type = q35_dtype_describe(info->dtype);
    uint64_t row_bytes = q35_row_bytes(info->dtype, (uint64_t)info->dim[0]);
    if (info->data)
        return (const uint8_t *)info->data + row * row_bytes + block * type.block_bytes;
    if (!(t->stored & Q35I_STORED_F8))
        return t->bytes + stored_row(t, row) * row_bytes + block * type.block_bytes;
    compose_f8(t, t->bytes + stored_row(t, row) * (uint64_t)info->dim[0] + block * F8_BLOCK, n, scratch);
    return scratch;
}

static void copy_rows(const q35_tensor_info *info, uint64_t row, uint64_t n, void *out)
{
    uint64_t row_bytes = q35_row_bytes(info->dtype, (uint64_t)info->dim[0]);
    uint64_t blocks = row_bytes / q35_dtype_describe(info->dtype).block_bytes;
    for (uint64_t i = 0; i < n; i++) {
        uint8_t *to = (uint8_t *)out + i * row_bytes;
        const void *from = q35i_model_blocks(info, row + i, 0, blocks, to);
        if (from != to)
            memcpy(to, from, row_bytes);
    }
}

q35_status q35_model_read_rows(const q35_model *model, const q35_tensor_info *tensor, uint64_t row, uint64_t n,
                               void *out)
{
    uint64_t rows = (uint64_t)tensor->dim[1] * (uint64_t)tensor->dim[2] * (uint64_t)tensor->dim[3];
    (void)model;
    if (row > rows || n > rows - row)
        return Q35_FAIL(Q35_E_RANGE, "tensor %s: rows %llu to %llu, has %llu", tensor->name,
                        (unsigned long long)row, (unsigned long long)(row + n), (unsigned long long)rows);
    copy_rows(tensor, row, n, out);
    return Q35_OK;
}

q35_status q35i_model_bytes(const q35_model *model, const q35_tensor_info *info, const void **out)
{
    q35i_tensor *t = (q35i_tensor *)(uintptr_t)tensor_of(info);
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&model->lock;
    *out = info->data;
    if (info->data)
        return Q35_OK;
    pthread_mutex_lock(lock);
    if (!t->owned && (t->owned = q35i_alloc_aligned(info->bytes, 64)) != NULL)
        copy_rows(info, 0, (uint64_t)info->dim[1], t->owned);
    *out = t->owned;
    pthread_mutex_unlock(lock);
    return *out ? Q35_OK : q35i_fail_context(Q35_E_NOMEM, "tensor %s", info->name);
}
