/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensor infos of a GGUF image. Tensors must follow each other in file order without overlap, each padded to the
 * alignment, and the file must hold all of their bytes. */
#include "gguf.h"

#include "quote.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"

#include <q35rt/blocks.h>

#define MAX_RANK 4u

static q35_status cut_short(const q35i_cursor *c, const char *object)
{
    return Q35_FAIL(Q35_E_FORMAT, "%s: the file ends inside it, %llu bytes left at offset %llu", object,
                    (unsigned long long)q35i_cursor_left(c), (unsigned long long)c->pos);
}

static q35_status read_name(q35i_cursor *c, q35i_tensor *t)
{
    q35_string name;
    const uint8_t *p;
    if (!q35i_cursor_u64(c, &name.len))
        return cut_short(c, "name");
    if (name.len == 0 || name.len >= sizeof t->name)
        return Q35_FAIL(Q35_E_FORMAT, "name: %llu bytes, need 1 to %zu", (unsigned long long)name.len,
                        sizeof t->name - 1);
    if (!q35i_cursor_take(c, name.len, &p))
        return cut_short(c, "name");
    name.data = (const char *)p;
    if (!q35i_is_name(name))
        return Q35_FAIL(Q35_E_FORMAT, "name: '%s', need printable ASCII characters", q35i_quote(name).text);
    memcpy(t->name, p, name.len);
    t->info.name = t->name;
    return Q35_OK;
}

static q35_status read_shape(q35i_cursor *c, q35_tensor_info *info)
{
    uint64_t elements = 1;
    if (!q35i_cursor_u32(c, &info->rank))
        return cut_short(c, "rank");
    if (info->rank < 1 || info->rank > MAX_RANK)
        return Q35_FAIL(Q35_E_FORMAT, "%u dimensions, need 1 to %u", info->rank, MAX_RANK);
    for (uint32_t i = 0; i < MAX_RANK; i++) {
        uint64_t dim = 1;
        if (i < info->rank && !q35i_cursor_u64(c, &dim))
            return cut_short(c, "dimensions");
        if (dim < 1 || dim > INT64_MAX)
            return Q35_FAIL(Q35_E_FORMAT, "dimension %u: %lld, need at least 1", i, (long long)dim);
        if (!q35i_mul(elements, dim, &elements) || elements > INT64_MAX)
            return Q35_FAIL(Q35_E_FORMAT, "dimension %u: %llu, need a product of all dimensions below 2^63", i,
                            (unsigned long long)dim);
        info->dim[i] = (int64_t)dim;
    }
    return Q35_OK;
}

static q35_status check_type(uint32_t type)
{
    q35i_gguf_type t = q35i_gguf_type_describe(type);
    if (!t.name)
        return Q35_FAIL(Q35_E_FORMAT, "type: %u, not a known one, need " Q35I_GGUF_TYPES_TEXT, type);
    if (t.removed)
        return Q35_FAIL(Q35_E_FORMAT, "type: %u (%s), removed from the format, need " Q35I_GGUF_TYPES_TEXT, type,
                        t.name);
    if (!t.supported)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "type: %s, cannot be decoded here, need " Q35I_GGUF_TYPES_TEXT, t.name);
    return Q35_OK;
}

static q35_status read_type(q35i_cursor *c, q35_tensor_info *info)
{
    if (!q35i_cursor_u32(c, &info->dtype))
        return cut_short(c, "type");
    Q35_TRY(check_type(info->dtype));
    q35_dtype_info d = q35_dtype_describe(info->dtype);
    if (info->dim[0] % d.block_len != 0)
        return Q35_FAIL(Q35_E_FORMAT, "dimension 0: %lld, need a multiple of %u for type %s",
                        (long long)info->dim[0], d.block_len, d.name);
    info->bytes = q35_row_bytes(info->dtype, (uint64_t)info->dim[0]);
    bool fits = info->bytes / d.block_bytes == (uint64_t)info->dim[0] / d.block_len;
    for (uint32_t i = 1; i < MAX_RANK; i++)
        fits = fits && q35i_mul(info->bytes, (uint64_t)info->dim[i], &info->bytes);
    if (!fits)
        return Q35_FAIL(Q35_E_FORMAT, "size: %lld x %lld x %lld x %lld of type %s, need less than 2^64 bytes",
                        (long long)info->dim[0], (long long)info->dim[1], (long long)info->dim[2],
                        (long long)info->dim[3], d.name);
    return Q35_OK;
}

/* *next: offset that the layout requires, moved past this tensor. Offsets are relative to the data section here.
 */
static q35_status read_offset(q35i_cursor *c, uint64_t alignment, q35i_tensor *t, uint64_t *next)
{
    uint64_t end;
    if (!q35i_cursor_u64(c, &t->offset))
        return cut_short(c, "offset");
    if (t->offset % alignment != 0)
        return Q35_FAIL(Q35_E_FORMAT, "offset: %llu, need a multiple of %llu", (unsigned long long)t->offset,
                        (unsigned long long)alignment);
    if (t->offset != *next)
        return Q35_FAIL(Q35_E_FORMAT, "offset: %llu, %s the tensor before it, need %llu",
                        (unsigned long long)t->offset, t->offset < *next ? "overlaps" : "leaves a hole behind",
                        (unsigned long long)*next);
    if (!q35i_add(t->offset, t->info.bytes, &end) || !q35i_align(end, alignment, next))
        return Q35_FAIL(Q35_E_FORMAT, "end: offset %llu and %llu bytes, need less than 2^64",
                        (unsigned long long)t->offset, (unsigned long long)t->info.bytes);
    return Q35_OK;
}

static q35_status read_info(q35i_cursor *c, uint64_t alignment, uint64_t i, q35i_tensor *t, uint64_t *next)
{
    q35_status status = read_name(c, t);
    if (status != Q35_OK)
        return q35i_fail_context(status, "tensor %llu", (unsigned long long)i);
    status = read_shape(c, &t->info);
    if (status == Q35_OK)
        status = read_type(c, &t->info);
    if (status == Q35_OK)
        status = read_offset(c, alignment, t, next);
    return status == Q35_OK ? Q35_OK : q35i_fail_context(status, "tensor %s", t->name);
}

/* Turns offsets into file offsets and checks that the file holds every tensor. */
static q35_status place_data(q35i_gguf *gguf)
{
    if (!q35i_align(gguf->infos_end, gguf->alignment, &gguf->data_offset))
        return Q35_FAIL(Q35_E_FORMAT, "data section: starts past 2^64");
    for (uint64_t i = 0; i < gguf->n_tensors; i++) {
        q35i_tensor *t = &gguf->tensors[i];
        uint64_t end;
        if (!q35i_add(t->offset, gguf->data_offset, &t->offset) || !q35i_add(t->offset, t->info.bytes, &end) ||
            end > gguf->bytes)
            return Q35_FAIL(Q35_E_FORMAT,
                            "tensor %s: %llu bytes at offset %llu, need to end within the file's %llu bytes",
                            t->name, (unsigned long long)t->info.bytes, (unsigned long long)t->offset,
                            (unsigned long long)gguf->bytes);
        t->info.data = t->bytes = gguf->data + t->offset;
    }
    return Q35_OK;
}

q35_status q35i_gguf_read_tensors(q35i_gguf *gguf, q35i_cursor *c)
{
    uint64_t next = 0;
    for (uint64_t i = 0; i < gguf->n_tensors; i++)
        Q35_TRY(read_info(c, gguf->alignment, i, &gguf->tensors[i], &next));
    gguf->infos_end = c->pos;
    return place_data(gguf);
}
