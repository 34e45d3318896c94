/* SPDX-License-Identifier: Apache-2.0
 *
 * Typed access to metadata values. The value bytes lie unaligned in the file's image and were checked when it was
 * opened. */
#include "model_file.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    uint32_t bytes;
} kinds[] = {
    [Q35_META_U8] = {"u8", 1},       [Q35_META_I8] = {"i8", 1},     [Q35_META_U16] = {"u16", 2},
    [Q35_META_I16] = {"i16", 2},     [Q35_META_U32] = {"u32", 4},   [Q35_META_I32] = {"i32", 4},
    [Q35_META_F32] = {"f32", 4},     [Q35_META_BOOL] = {"bool", 1}, [Q35_META_STRING] = {"string", 0},
    [Q35_META_ARRAY] = {"array", 0}, [Q35_META_U64] = {"u64", 8},   [Q35_META_I64] = {"i64", 8},
    [Q35_META_F64] = {"f64", 8},
};

uint32_t q35i_meta_scalar_bytes(uint32_t type)
{
    return type < sizeof kinds / sizeof kinds[0] ? kinds[type].bytes : 0;
}

const char *q35i_meta_type_name(uint32_t type)
{
    return type < sizeof kinds / sizeof kinds[0] ? kinds[type].name : "?";
}

static q35_string string_at(const uint8_t *p)
{
    q35_string s;
    memcpy(&s.len, p, sizeof s.len);
    s.data = (const char *)p + sizeof s.len;
    return s;
}

uint64_t q35i_meta_value_bytes(const q35_meta *meta)
{
    uint32_t type = meta->type == Q35_META_ARRAY ? meta->elem_type : meta->type;
    if (type != Q35_META_STRING)
        return meta->count * q35i_meta_scalar_bytes(type);
    const uint8_t *p = meta->data;
    for (uint64_t i = 0; i < meta->count; i++)
        p += sizeof(uint64_t) + string_at(p).len;
    return (uint64_t)(p - (const uint8_t *)meta->data);
}

/* Value of an integer type, sign and magnitude apart; false for other types. */
static int integer(const q35_meta *meta, bool *negative, uint64_t *magnitude)
{
    int64_t i = 0;
    uint64_t u = 0;
    uint32_t bytes = q35i_meta_scalar_bytes(meta->type);
    switch (meta->type) {
    case Q35_META_U8:
    case Q35_META_U16:
    case Q35_META_U32:
    case Q35_META_U64: memcpy(&u, meta->data, bytes); break;
    case Q35_META_I8: {
        int8_t v;
        memcpy(&v, meta->data, bytes);
        i = v;
        break;
    }
    case Q35_META_I16: {
        int16_t v;
        memcpy(&v, meta->data, bytes);
        i = v;
        break;
    }
    case Q35_META_I32: {
        int32_t v;
        memcpy(&v, meta->data, bytes);
        i = v;
        break;
    }
    case Q35_META_I64: memcpy(&i, meta->data, bytes); break;
    default: return 0;
    }
    *negative = i < 0;
    *magnitude = i < 0 ? 0 - (uint64_t)i : u + (uint64_t)i;
    return 1;
}

static int real(const q35_meta *meta, double *out)
{
    if (meta->type == Q35_META_F32) {
        float f;
        memcpy(&f, meta->data, sizeof f);
        *out = (double)f;
        return 1;
    }
    if (meta->type != Q35_META_F64)
        return 0;
    memcpy(out, meta->data, sizeof *out);
    return 1;
}

/* As integer(), also for floats that hold one of at most 2^63. */
static int whole(const q35_meta *meta, bool *negative, uint64_t *magnitude)
{
    double d;
    if (integer(meta, negative, magnitude))
        return 1;
    if (!real(meta, &d) || !(fabs(d) <= 0x1p63) || d != floor(d))
        return 0;
    *negative = d < 0;
    *magnitude = (uint64_t)fabs(d);
    return 1;
}

int q35_meta_u64(const q35_meta *meta, uint64_t *out)
{
    bool negative;
    uint64_t magnitude;
    if (!whole(meta, &negative, &magnitude) || negative)
        return 0;
    *out = magnitude;
    return 1;
}

int q35_meta_i64(const q35_meta *meta, int64_t *out)
{
    bool negative;
    uint64_t magnitude;
    if (!whole(meta, &negative, &magnitude) || magnitude > (uint64_t)INT64_MAX + negative)
        return 0;
    *out = !negative ? (int64_t)magnitude : magnitude == 0 ? 0 : -(int64_t)(magnitude - 1) - 1;
    return 1;
}

int q35_meta_f64(const q35_meta *meta, double *out)
{
    bool negative;
    uint64_t magnitude;
    if (real(meta, out))
        return 1;
    if (!integer(meta, &negative, &magnitude))
        return 0;
    *out = negative ? -(double)magnitude : (double)magnitude;
    return 1;
}

int q35_meta_bool(const q35_meta *meta, int *out)
{
    if (meta->type != Q35_META_BOOL)
        return 0;
    *out = *(const uint8_t *)meta->data;
    return 1;
}

int q35_meta_string(const q35_meta *meta, q35_string *out)
{
    if (meta->type != Q35_META_STRING)
        return 0;
    *out = string_at(meta->data);
    return 1;
}

int q35_meta_each_string(const q35_meta *meta, int (*fn)(void *user, uint64_t i, q35_string s), void *user)
{
    if (meta->type != Q35_META_ARRAY || meta->elem_type != Q35_META_STRING)
        return 0;
    const uint8_t *p = meta->data;
    for (uint64_t i = 0; i < meta->count; i++) {
        q35_string s = string_at(p);
        int stop = fn(user, i, s);
        if (stop)
            return stop;
        p += sizeof s.len + s.len;
    }
    return 0;
}
