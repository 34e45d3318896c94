/* SPDX-License-Identifier: Apache-2.0
 *
 * Each entry's key and value share one block: the key first, then the value bytes. */
#include "meta_list.h"

#include "model_file.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"

#include <string.h>

void q35i_meta_list_free(q35i_meta_list *list)
{
    for (uint64_t i = 0; i < list->n; i++)
        q35i_free((void *)(uintptr_t)list->entries[i].key.data);
    q35i_free(list->entries);
    *list = (q35i_meta_list){0};
}

const q35_meta *q35i_meta_list_find(const q35i_meta_list *list, const char *key)
{
    size_t len = strlen(key);
    for (uint64_t i = 0; i < list->n; i++)
        if (list->entries[i].key.len == len && memcmp(list->entries[i].key.data, key, len) == 0)
            return &list->entries[i];
    return NULL;
}

static q35_status reserve(q35i_meta_list *list)
{
    if (list->n < list->cap)
        return Q35_OK;
    uint64_t cap = list->cap ? 2 * list->cap : 32;
    q35_meta *bigger = q35i_realloc(list->entries, cap, sizeof *bigger);
    if (!bigger)
        return Q35_E_NOMEM;
    list->entries = bigger;
    list->cap = cap;
    return Q35_OK;
}

/* New entry whose value of `bytes` bytes is left for the caller to fill. */
static q35_status add(q35i_meta_list *list, const char *key, uint32_t type, uint64_t bytes, uint8_t **out_value)
{
    size_t len = strlen(key);
    uint64_t block;
    if (q35i_meta_list_find(list, key))
        return Q35_FAIL(Q35_E_INVALID, "metadata %s: is there already, need unique keys", key);
    if (!q35i_add(bytes, len, &block))
        return Q35_FAIL(Q35_E_NOMEM, "metadata %s: %llu bytes", key, (unsigned long long)bytes);
    Q35_TRY(reserve(list));
    char *copy = q35i_calloc(block, 1);
    if (!copy)
        return Q35_E_NOMEM;
    memcpy(copy, key, len);
    *out_value = (uint8_t *)copy + len;
    list->entries[list->n++] = (q35_meta){.key = {copy, len}, .type = type, .count = 1, .data = *out_value};
    return Q35_OK;
}

static q35_status add_value(q35i_meta_list *list, const char *key, uint32_t type, const void *value,
                            uint64_t bytes)
{
    uint8_t *p;
    Q35_TRY(add(list, key, type, bytes, &p));
    memcpy(p, value, bytes);
    return Q35_OK;
}

q35_status q35i_meta_add_u32(q35i_meta_list *list, const char *key, uint32_t value)
{
    return add_value(list, key, Q35_META_U32, &value, sizeof value);
}

q35_status q35i_meta_add_f32(q35i_meta_list *list, const char *key, float value)
{
    return add_value(list, key, Q35_META_F32, &value, sizeof value);
}

q35_status q35i_meta_add_bool(q35i_meta_list *list, const char *key, bool value)
{
    const uint8_t byte = value;
    return add_value(list, key, Q35_META_BOOL, &byte, sizeof byte);
}

q35_status q35i_meta_add_string(q35i_meta_list *list, const char *key, q35_string value)
{
    uint64_t bytes;
    uint8_t *p;
    if (!q35i_add(value.len, sizeof value.len, &bytes))
        return Q35_FAIL(Q35_E_NOMEM, "metadata %s: %llu bytes", key, (unsigned long long)value.len);
    Q35_TRY(add(list, key, Q35_META_STRING, bytes, &p));
    memcpy(p, &value.len, sizeof value.len);
    if (value.len > 0)
        memcpy(p + sizeof value.len, value.data, value.len);
    return Q35_OK;
}

static q35_status add_elements(q35i_meta_list *list, const char *key, uint32_t elem_type, const void *values,
                               uint64_t bytes, uint64_t n)
{
    uint8_t *p;
    Q35_TRY(add(list, key, Q35_META_ARRAY, bytes, &p));
    if (bytes > 0)
        memcpy(p, values, bytes);
    list->entries[list->n - 1].elem_type = elem_type;
    list->entries[list->n - 1].count = n;
    return Q35_OK;
}

q35_status q35i_meta_add_array(q35i_meta_list *list, const char *key, uint32_t elem_type, const void *values,
                               uint64_t n)
{
    uint64_t bytes;
    if (!q35i_mul(n, q35i_meta_scalar_bytes(elem_type), &bytes))
        return Q35_FAIL(Q35_E_NOMEM, "metadata %s: %llu elements", key, (unsigned long long)n);
    return add_elements(list, key, elem_type, values, bytes, n);
}

q35_status q35i_string_array_add(q35i_string_array *array, q35_string s)
{
    uint64_t need;
    if (!q35i_add(array->used, sizeof s.len, &need) || !q35i_add(need, s.len, &need))
        return Q35_FAIL(Q35_E_NOMEM, "strings: more than 2^64 bytes");
    if (need > array->cap) {
        uint64_t cap = q35i_max(need, array->cap > UINT64_MAX / 2 ? UINT64_MAX : 2 * array->cap);
        uint8_t *bigger = q35i_realloc(array->bytes, q35i_max(cap, 4096), 1);
        if (!bigger)
            return Q35_E_NOMEM;
        array->bytes = bigger;
        array->cap = q35i_max(cap, 4096);
    }
    memcpy(array->bytes + array->used, &s.len, sizeof s.len);
    if (s.len > 0)
        memcpy(array->bytes + array->used + sizeof s.len, s.data, s.len);
    array->used = need;
    array->n++;
    return Q35_OK;
}

void q35i_string_array_free(q35i_string_array *array)
{
    q35i_free(array->bytes);
    *array = (q35i_string_array){0};
}

q35_status q35i_meta_add_strings(q35i_meta_list *list, const char *key, const q35i_string_array *array)
{
    return add_elements(list, key, Q35_META_STRING, array->bytes, array->used, array->n);
}
