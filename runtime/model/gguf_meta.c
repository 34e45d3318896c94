/* SPDX-License-Identifier: Apache-2.0
 *
 * Header and metadata of a GGUF image: every length is compared with what is left before it is used. Entries point
 * into the image; afterwards they may be read without checks. */
#include "gguf.h"

#include "quote.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"

#define MIN_META_BYTES   14u /* key length, one byte of key, type, one byte of value */
#define MIN_TENSOR_BYTES 33u /* name length, one byte of name, rank, one dimension, type, offset */
#define MAX_KEY_BYTES    65535u
#define MAX_STRING_BYTES (UINT64_C(1) << 30)
#define MAX_ARRAY_COUNT  (UINT64_C(1) << 30)

static q35_status cut_short(const q35i_cursor *c, const char *object, uint64_t need)
{
    return Q35_FAIL(Q35_E_FORMAT, "%s: %llu bytes left at offset %llu, need %llu", object,
                    (unsigned long long)q35i_cursor_left(c), (unsigned long long)c->pos, (unsigned long long)need);
}

static q35_status check_version(uint32_t version)
{
    if ((version & 0xffffu) == 0)
        return Q35_FAIL(Q35_E_FORMAT,
                        "version: 0x%08x, a byte-swapped (big-endian) file, need a little-endian one", version);
    if (version != 2 && version != Q35I_GGUF_VERSION)
        return Q35_FAIL(Q35_E_VERSION, "version: GGUF %u, need 2 or %u", version, Q35I_GGUF_VERSION);
    return Q35_OK;
}

/* A count of objects of at least min_bytes each, against the bytes left. */
static q35_status check_count(const char *object, uint64_t count, uint64_t most, uint64_t min_bytes, uint64_t left)
{
    if (count > left / min_bytes)
        return Q35_FAIL(Q35_E_FORMAT, "%s: %llu, need at most %llu in the %llu bytes that follow", object,
                        (unsigned long long)count, (unsigned long long)(left / min_bytes),
                        (unsigned long long)left);
    if (count > most)
        return Q35_FAIL(Q35_E_FORMAT, "%s: %llu, need at most %llu", object, (unsigned long long)count,
                        (unsigned long long)most);
    return Q35_OK;
}

q35_status q35i_gguf_read_header(q35i_gguf *gguf, q35i_cursor *c)
{
    const uint8_t *magic;
    if (!q35i_cursor_take(c, 4, &magic))
        return Q35_FAIL(Q35_E_FORMAT, "file: %llu bytes, need at least %u for a GGUF header",
                        (unsigned long long)c->bytes, Q35I_GGUF_HEADER);
    if (memcmp(magic, Q35I_GGUF_MAGIC, 4) != 0)
        return Q35_FAIL(Q35_E_FORMAT, "magic: bytes %02x %02x %02x %02x, need 47 47 55 46 (\"GGUF\")", magic[0],
                        magic[1], magic[2], magic[3]);
    if (!q35i_cursor_u32(c, &gguf->version))
        return cut_short(c, "header", sizeof gguf->version);
    Q35_TRY(check_version(gguf->version));
    if (!q35i_cursor_u64(c, &gguf->n_tensors) || !q35i_cursor_u64(c, &gguf->n_meta))
        return cut_short(c, "header", Q35I_GGUF_HEADER - c->pos);
    Q35_TRY(check_count("metadata count", gguf->n_meta, Q35I_GGUF_MAX_META, MIN_META_BYTES, q35i_cursor_left(c)));
    return check_count("tensor count", gguf->n_tensors, Q35I_GGUF_MAX_TENSOR, MIN_TENSOR_BYTES,
                       q35i_cursor_left(c));
}

/* A string of 0..most bytes. */
static q35_status read_string(q35i_cursor *c, const char *object, uint64_t most, q35_string *out)
{
    const uint8_t *p;
    if (!q35i_cursor_u64(c, &out->len))
        return cut_short(c, object, sizeof out->len);
    if (out->len > most)
        return Q35_FAIL(Q35_E_FORMAT, "%s: length %llu, need at most %llu", object, (unsigned long long)out->len,
                        (unsigned long long)most);
    if (!q35i_cursor_take(c, out->len, &p))
        return cut_short(c, object, out->len);
    out->data = (const char *)p;
    return Q35_OK;
}

static q35_status check_bools(const uint8_t *p, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (p[i] > 1)
            return Q35_FAIL(Q35_E_FORMAT, "bool %llu: %u, need 0 or 1", (unsigned long long)i, p[i]);
    return Q35_OK;
}

/* count values of one type, at the cursor. */
static q35_status read_values(q35i_cursor *c, uint32_t type, uint64_t count)
{
    const uint8_t *p;
    uint64_t width = type == Q35_META_STRING ? sizeof(uint64_t) : q35i_meta_scalar_bytes(type), bytes;
    if (!q35i_mul(count, width, &bytes) || bytes > q35i_cursor_left(c))
        return Q35_FAIL(Q35_E_FORMAT,
                        "%llu values of type %s, need at most %llu in the %llu bytes left at offset %llu",
                        (unsigned long long)count, q35i_meta_type_name(type),
                        (unsigned long long)(q35i_cursor_left(c) / width), (unsigned long long)q35i_cursor_left(c),
                        (unsigned long long)c->pos);
    if (type == Q35_META_STRING) {
        q35_string s;
        for (uint64_t i = 0; i < count; i++)
            Q35_TRY(read_string(c, "string", MAX_STRING_BYTES, &s));
        return Q35_OK;
    }
    (void)q35i_cursor_take(c, bytes, &p); /* compared above */
    return type == Q35_META_BOOL ? check_bools(p, count) : Q35_OK;
}

static q35_status read_array_head(q35i_cursor *c, q35_meta *m)
{
    if (!q35i_cursor_u32(c, &m->elem_type))
        return cut_short(c, "array element type", sizeof m->elem_type);
    if (!q35i_cursor_u64(c, &m->count))
        return cut_short(c, "array count", sizeof m->count);
    if (m->elem_type == Q35_META_ARRAY)
        return Q35_FAIL(Q35_E_FORMAT, "array of arrays, need elements of a scalar type or strings");
    if (m->elem_type > Q35_META_F64)
        return Q35_FAIL(Q35_E_FORMAT, "array element type: %u, need 0 to %d", m->elem_type, Q35_META_F64);
    if (m->count > MAX_ARRAY_COUNT)
        return Q35_FAIL(Q35_E_FORMAT, "array count: %llu, need at most %llu", (unsigned long long)m->count,
                        (unsigned long long)MAX_ARRAY_COUNT);
    return Q35_OK;
}

static q35_status read_value(q35i_cursor *c, q35_meta *m)
{
    if (!q35i_cursor_u32(c, &m->type))
        return cut_short(c, "value type", sizeof m->type);
    if (m->type > Q35_META_F64)
        return Q35_FAIL(Q35_E_FORMAT, "value type: %u, need 0 to %d", m->type, Q35_META_F64);
    m->count = 1;
    if (m->type == Q35_META_ARRAY)
        Q35_TRY(read_array_head(c, m));
    m->data = c->data + c->pos;
    return read_values(c, m->type == Q35_META_ARRAY ? m->elem_type : m->type, m->count);
}

static q35_status read_entry(q35i_cursor *c, uint64_t i, q35_meta *m)
{
    q35_status status = read_string(c, "key", MAX_KEY_BYTES, &m->key);
    if (status == Q35_OK && !q35i_is_name(m->key))
        status = Q35_FAIL(Q35_E_FORMAT, "key: '%s' of %llu bytes, need one or more printable ASCII characters",
                          q35i_quote(m->key).text, (unsigned long long)m->key.len);
    if (status != Q35_OK)
        return q35i_fail_context(status, "metadata entry %llu", (unsigned long long)i);
    status = read_value(c, m);
    return status == Q35_OK ? Q35_OK : q35i_fail_context(status, "metadata %s", q35i_quote(m->key).text);
}

static const q35_meta *find_key(const q35i_gguf *gguf, const char *key)
{
    for (uint64_t i = 0; i < gguf->n_meta; i++)
        if (gguf->meta[i].key.len == strlen(key) && memcmp(gguf->meta[i].key.data, key, strlen(key)) == 0)
            return &gguf->meta[i];
    return NULL;
}

static q35_status read_alignment(q35i_gguf *gguf)
{
    const q35_meta *m = find_key(gguf, "general.alignment");
    uint32_t value;
    gguf->alignment = Q35I_GGUF_ALIGNMENT;
    if (!m)
        return Q35_OK;
    if (m->type != Q35_META_U32)
        return Q35_FAIL(Q35_E_FORMAT, "general.alignment: type %s, need u32", q35i_meta_type_name(m->type));
    memcpy(&value, m->data, sizeof value);
    if (value < 8 || (value & (value - 1)) != 0)
        return Q35_FAIL(Q35_E_FORMAT, "general.alignment: %u, need a power of two of at least 8", value);
    gguf->alignment = value;
    return Q35_OK;
}

q35_status q35i_gguf_read_meta(q35i_gguf *gguf, q35i_cursor *c)
{
    gguf->meta = q35i_calloc(gguf->n_meta, sizeof *gguf->meta);
    if (!gguf->meta)
        return Q35_E_NOMEM;
    for (uint64_t i = 0; i < gguf->n_meta; i++)
        Q35_TRY(read_entry(c, i, &gguf->meta[i]));
    return read_alignment(gguf);
}
