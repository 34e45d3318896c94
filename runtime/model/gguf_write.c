/* SPDX-License-Identifier: Apache-2.0
 *
 * Writer of GGUF files. Metadata is gathered in memory and goes out with the tensor infos in one piece; tensor
 * data is streamed after it. */
#include "gguf_write.h"

#include "file_checksum.h"
#include "gguf.h"
#include "q35_keys.h"
#include "quote.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/file_out.h"
#include "runtime/base/size.h"

#include <q35rt/blocks.h>

#include <stdlib.h>

typedef struct bytes_buf {
    uint8_t *data;
    uint64_t len, cap;
} bytes_buf;

/* An entry of the metadata; offsets are relative to the first entry. */
typedef struct meta_entry {
    uint64_t key_offset, key_len, value_offset, value_bytes;
    bool is_array; /* of a scalar type: may be patched */
} meta_entry;

typedef struct out_tensor {
    char name[Q35I_NAME_BYTES];
    uint32_t dtype, rank;
    uint64_t dim[4];
    uint64_t bytes;
} out_tensor;

struct q35i_gguf_writer {
    q35i_file_out *file;
    char *path;
    uint64_t alignment;
    bytes_buf meta;
    meta_entry *entries;
    uint64_t n_entries, entries_cap;
    out_tensor *tensors;
    uint64_t n_tensors, tensors_cap;
    bool begun;
    uint64_t i_tensor, tensor_done; /* where the data stands: tensor, bytes of it written */
};

/* ------------------------------------------------------------------ growing memory */

static q35_status grow(void **array, uint64_t *cap, uint64_t need, uint64_t size)
{
    if (need <= *cap)
        return Q35_OK;
    uint64_t wanted = q35i_max(need, q35i_max(64, *cap + *cap / 2));
    void *grown = q35i_realloc(*array, wanted, size);
    if (!grown)
        return Q35_E_NOMEM;
    *array = grown;
    *cap = wanted;
    return Q35_OK;
}

/* data NULL: zeros. */
static q35_status put(bytes_buf *b, const void *data, uint64_t bytes)
{
    uint64_t need;
    void *array = b->data;
    if (!q35i_add(b->len, bytes, &need))
        return Q35_FAIL(Q35_E_NOMEM, "metadata: %llu bytes more than fit", (unsigned long long)bytes);
    q35_status status = grow(&array, &b->cap, need, 1);
    b->data = array;
    Q35_TRY(status);
    if (bytes && data)
        memcpy(b->data + b->len, data, bytes);
    else if (bytes)
        memset(b->data + b->len, 0, bytes);
    b->len = need;
    return Q35_OK;
}

static q35_status put_u32(bytes_buf *b, uint32_t value)
{
    return put(b, &value, sizeof value);
}

static q35_status put_u64(bytes_buf *b, uint64_t value)
{
    return put(b, &value, sizeof value);
}

static q35_status put_string(bytes_buf *b, q35_string s)
{
    Q35_TRY(put_u64(b, s.len));
    return put(b, s.data, s.len);
}

/* ------------------------------------------------------------------ creation and end */

q35_status q35i_gguf_writer_create(const char *path, bool overwrite, q35i_gguf_writer **out)
{
    q35_status status;
    *out = NULL;
    q35i_gguf_writer *w = q35i_calloc(1, sizeof *w);
    if (!w)
        return Q35_E_NOMEM;
    w->alignment = Q35I_GGUF_ALIGNMENT;
    w->path = q35i_strndup(path, strlen(path));
    Q35_CHECK_ALLOC_GOTO(w->path, fail);
    Q35_TRY_GOTO(q35i_file_out_create(path, overwrite, &w->file), fail);
    *out = w;
    return Q35_OK;
fail:
    q35i_gguf_writer_discard(w);
    return status;
}

void q35i_gguf_writer_discard(q35i_gguf_writer *w)
{
    if (!w)
        return;
    q35i_file_out_discard(w->file);
    q35i_free(w->tensors);
    q35i_free(w->entries);
    q35i_free(w->meta.data);
    q35i_free(w->path);
    q35i_free(w);
}

q35_status q35i_gguf_writer_commit(q35i_gguf_writer *w)
{
    q35_status status = Q35_OK;
    if (!w->begun)
        status = Q35_FAIL(Q35_E_INVALID, "%s: nothing was written, need the header first", w->path);
    else if (w->i_tensor < w->n_tensors)
        status = Q35_FAIL(Q35_E_INVALID, "%s: tensor %s has %llu bytes, need %llu", w->path,
                          w->tensors[w->i_tensor].name, (unsigned long long)w->tensor_done,
                          (unsigned long long)w->tensors[w->i_tensor].bytes);
    if (status == Q35_OK) {
        status = q35i_file_out_commit(w->file);
        w->file = NULL;
    }
    q35i_gguf_writer_discard(w);
    return status;
}

/* ------------------------------------------------------------------ metadata */

static meta_entry *find_entry(const q35i_gguf_writer *w, q35_string key)
{
    for (uint64_t i = 0; i < w->n_entries; i++) {
        meta_entry *e = &w->entries[i];
        if (e->key_len == key.len && memcmp(w->meta.data + e->key_offset, key.data, key.len) == 0)
            return e;
    }
    return NULL;
}

static q35_status check_key(const q35i_gguf_writer *w, q35_string key)
{
    if (w->begun)
        return Q35_FAIL(Q35_E_INVALID, "metadata %s: declared after the header was written", q35i_quote(key).text);
    if (!q35i_is_name(key))
        return Q35_FAIL(Q35_E_INVALID, "metadata key: '%s', need one or more printable ASCII characters",
                        q35i_quote(key).text);
    if (find_entry(w, key))
        return Q35_FAIL(Q35_E_INVALID, "metadata %s: key occurs twice, need unique keys", q35i_quote(key).text);
    return Q35_OK;
}

/* Appends key and type; the value follows. A failure after this point leaves a half entry, so the caller
 * truncates. */
static q35_status open_entry(q35i_gguf_writer *w, q35_string key, uint32_t type)
{
    void *array = w->entries;
    q35_status status = grow(&array, &w->entries_cap, w->n_entries + 1, sizeof *w->entries);
    w->entries = array;
    Q35_TRY(status);
    w->entries[w->n_entries] = (meta_entry){.key_offset = w->meta.len + sizeof(uint64_t), .key_len = key.len};
    Q35_TRY(put_string(&w->meta, key));
    return put_u32(&w->meta, type);
}

/* A whole entry: value bytes as they stand in the file, values NULL for zeros. */
static q35_status add_entry(q35i_gguf_writer *w, const q35_meta *m, const void *values, uint64_t bytes)
{
    q35_status status;
    uint64_t before = w->meta.len;
    Q35_TRY(check_key(w, m->key));
    Q35_TRY_GOTO(open_entry(w, m->key, m->type), fail);
    if (m->type == Q35_META_ARRAY) {
        Q35_TRY_GOTO(put_u32(&w->meta, m->elem_type), fail);
        Q35_TRY_GOTO(put_u64(&w->meta, m->count), fail);
    }
    meta_entry *e = &w->entries[w->n_entries];
    e->value_offset = w->meta.len;
    e->value_bytes = bytes;
    e->is_array = m->type == Q35_META_ARRAY && m->elem_type != Q35_META_STRING;
    Q35_TRY_GOTO(put(&w->meta, values, bytes), fail);
    w->n_entries++;
    return Q35_OK;
fail:
    w->meta.len = before;
    return status;
}

static q35_string text_of(const char *s)
{
    return (q35_string){s, strlen(s)};
}

/* The alignment key governs the layout of what is written here. */
static q35_status note_alignment(q35i_gguf_writer *w, const q35_meta *m)
{
    uint32_t value;
    q35_string key = text_of("general.alignment");
    if (m->key.len != key.len || memcmp(m->key.data, key.data, key.len) != 0)
        return Q35_OK;
    if (m->type != Q35_META_U32)
        return Q35_FAIL(Q35_E_INVALID, "general.alignment: type %s, need u32", q35i_meta_type_name(m->type));
    memcpy(&value, m->data, sizeof value);
    if (value < 8 || (value & (value - 1)) != 0)
        return Q35_FAIL(Q35_E_INVALID, "general.alignment: %u, need a power of two of at least 8", value);
    w->alignment = value;
    return Q35_OK;
}

q35_status q35i_gguf_writer_copy(q35i_gguf_writer *w, const q35_meta *meta)
{
    Q35_TRY(note_alignment(w, meta));
    return add_entry(w, meta, meta->data, q35i_meta_value_bytes(meta));
}

q35_status q35i_gguf_writer_u32(q35i_gguf_writer *w, const char *key, uint32_t value)
{
    q35_meta m = {text_of(key), Q35_META_U32, 0, 1, &value};
    return q35i_gguf_writer_copy(w, &m);
}

q35_status q35i_gguf_writer_string(q35i_gguf_writer *w, const char *key, const char *value)
{
    bytes_buf b = {0};
    q35_meta m = {text_of(key), Q35_META_STRING, 0, 1, NULL};
    q35_status status = put_string(&b, text_of(value));
    if (status == Q35_OK)
        status = add_entry(w, &m, b.data, b.len);
    q35i_free(b.data);
    return status;
}

q35_status q35i_gguf_writer_strings(q35i_gguf_writer *w, const char *key, const char *const *values, uint64_t n)
{
    bytes_buf b = {0};
    q35_meta m = {text_of(key), Q35_META_ARRAY, Q35_META_STRING, n, NULL};
    q35_status status = Q35_OK;
    for (uint64_t i = 0; i < n && status == Q35_OK; i++)
        status = put_string(&b, text_of(values[i]));
    if (status == Q35_OK)
        status = add_entry(w, &m, b.data, b.len);
    q35i_free(b.data);
    return status;
}

q35_status q35i_gguf_writer_array(q35i_gguf_writer *w, const char *key, uint32_t elem_type, const void *values,
                                  uint64_t n)
{
    uint64_t bytes;
    q35_meta m = {text_of(key), Q35_META_ARRAY, elem_type, n, values};
    if (q35i_meta_scalar_bytes(elem_type) == 0)
        return Q35_FAIL(Q35_E_INVALID, "metadata %s: element type %u, need a scalar type", key, elem_type);
    if (!q35i_mul(n, q35i_meta_scalar_bytes(elem_type), &bytes))
        return Q35_FAIL(Q35_E_INVALID, "metadata %s: %llu elements, need less than 2^64 bytes", key,
                        (unsigned long long)n);
    return add_entry(w, &m, values, bytes);
}

q35_status q35i_gguf_writer_patch_array(q35i_gguf_writer *w, const char *key, const void *values)
{
    meta_entry *e = find_entry(w, text_of(key));
    if (!e || !e->is_array)
        return Q35_FAIL(Q35_E_INVALID, "metadata %s: %s, need an array of a scalar type written before", key,
                        e ? "of another type" : "absent");
    if (w->begun)
        return q35i_file_out_patch(w->file, Q35I_GGUF_HEADER + e->value_offset, values, e->value_bytes);
    if (e->value_bytes)
        memcpy(w->meta.data + e->value_offset, values, e->value_bytes);
    return Q35_OK;
}

q35_status q35i_gguf_writer_file_checksum(q35i_gguf_writer *w)
{
    uint64_t checksum;
    meta_entry *e = find_entry(w, text_of(Q35I_KEY_FILE_CHECKSUM));
    if (!e || !e->is_array || e->value_bytes != sizeof checksum || !w->begun)
        return Q35_FAIL(Q35_E_INVALID, "metadata %s: %s, need an array of one u64 written before",
                        Q35I_KEY_FILE_CHECKSUM, e ? "of another type or not written" : "absent");
    Q35_TRY(q35i_file_checksum_written(w->file, Q35I_GGUF_HEADER + e->value_offset, &checksum));
    return q35i_gguf_writer_patch_array(w, Q35I_KEY_FILE_CHECKSUM, &checksum);
}

/* ------------------------------------------------------------------ tensors */

q35_status q35i_gguf_writer_tensor(q35i_gguf_writer *w, const char *name, uint32_t dtype, uint32_t rank,
                                   const int64_t *dim, uint64_t bytes)
{
    void *array = w->tensors;
    out_tensor t = {.dtype = dtype, .rank = rank, .bytes = bytes};
    if (w->begun)
        return Q35_FAIL(Q35_E_INVALID, "tensor %s: declared after the header was written", name);
    if (!q35i_is_name(text_of(name)) || strlen(name) >= sizeof t.name)
        return Q35_FAIL(Q35_E_INVALID, "tensor name: '%s', need 1 to %zu printable ASCII characters",
                        q35i_quote(text_of(name)).text, sizeof t.name - 1);
    if (!q35i_gguf_type_describe(dtype).supported)
        return Q35_FAIL(Q35_E_INVALID, "tensor %s: type %u, need " Q35I_GGUF_TYPES_TEXT, name, dtype);
    if (rank < 1 || rank > 4)
        return Q35_FAIL(Q35_E_INVALID, "tensor %s: %u dimensions, need 1 to 4", name, rank);
    uint64_t need = 1;
    bool fits = true;
    for (uint32_t i = 0; i < rank; i++) {
        t.dim[i] = (uint64_t)dim[i];
        fits = fits && dim[i] > 0 && q35i_mul(need, i ? t.dim[i] : q35_row_bytes(dtype, t.dim[0]), &need);
    }
    if (!fits || t.dim[0] % q35_dtype_describe(dtype).block_len != 0 || need != bytes)
        return Q35_FAIL(Q35_E_INVALID,
                        "tensor %s: %llu bytes for row length %lld of type %s, need whole blocks and %llu", name,
                        (unsigned long long)bytes, (long long)dim[0], q35_dtype_describe(dtype).name,
                        (unsigned long long)need);
    q35_status status = grow(&array, &w->tensors_cap, w->n_tensors + 1, sizeof *w->tensors);
    w->tensors = array;
    Q35_TRY(status);
    memcpy(t.name, name, strlen(name));
    w->tensors[w->n_tensors++] = t;
    return Q35_OK;
}

static q35_status put_infos(const q35i_gguf_writer *w, bytes_buf *b)
{
    uint64_t offset = 0;
    for (uint64_t i = 0; i < w->n_tensors; i++) {
        const out_tensor *t = &w->tensors[i];
        Q35_TRY(put_string(b, text_of(t->name)));
        Q35_TRY(put_u32(b, t->rank));
        for (uint32_t d = 0; d < t->rank; d++)
            Q35_TRY(put_u64(b, t->dim[d]));
        Q35_TRY(put_u32(b, t->dtype));
        Q35_TRY(put_u64(b, offset));
        if (!q35i_add(offset, t->bytes, &offset) || !q35i_align(offset, w->alignment, &offset))
            return Q35_FAIL(Q35_E_INVALID, "tensor %s: ends past 2^64 bytes", t->name);
    }
    return Q35_OK;
}

/* Zeros up to the alignment. */
static q35_status pad(q35i_gguf_writer *w)
{
    static const uint8_t zeros[256];
    uint64_t left = (w->alignment - q35i_file_out_offset(w->file) % w->alignment) % w->alignment;
    for (uint64_t n; left > 0; left -= n) {
        n = q35i_min(left, sizeof zeros);
        Q35_TRY(q35i_file_out_write(w->file, zeros, n));
    }
    return Q35_OK;
}

static int by_name(const void *a, const void *b)
{
    const out_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static q35_status check_unique(const q35i_gguf_writer *w)
{
    q35_status status = Q35_OK;
    const out_tensor **sorted = q35i_calloc(w->n_tensors, sizeof *sorted);
    if (!sorted)
        return Q35_E_NOMEM;
    for (uint64_t i = 0; i < w->n_tensors; i++)
        sorted[i] = &w->tensors[i];
    qsort(sorted, w->n_tensors, sizeof *sorted, by_name);
    for (uint64_t i = 1; i < w->n_tensors && status == Q35_OK; i++)
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            status = Q35_FAIL(Q35_E_INVALID, "tensor %s: name occurs twice, need unique names", sorted[i]->name);
    q35i_free(sorted);
    return status;
}

q35_status q35i_gguf_writer_begin(q35i_gguf_writer *w)
{
    q35_status status;
    bytes_buf head = {0}, infos = {0};
    if (w->begun)
        return Q35_FAIL(Q35_E_INVALID, "%s: the header is written already", w->path);
    Q35_TRY(check_unique(w));
    Q35_TRY_GOTO(put(&head, Q35I_GGUF_MAGIC, 4), out);
    Q35_TRY_GOTO(put_u32(&head, Q35I_GGUF_VERSION), out);
    Q35_TRY_GOTO(put_u64(&head, w->n_tensors), out);
    Q35_TRY_GOTO(put_u64(&head, w->n_entries), out);
    Q35_TRY_GOTO(put_infos(w, &infos), out);
    Q35_TRY_GOTO(q35i_file_out_write(w->file, head.data, head.len), out);
    Q35_TRY_GOTO(q35i_file_out_write(w->file, w->meta.data, w->meta.len), out);
    Q35_TRY_GOTO(q35i_file_out_write(w->file, infos.data, infos.len), out);
    Q35_TRY_GOTO(pad(w), out);
    w->begun = true;
out:
    q35i_free(head.data);
    q35i_free(infos.data);
    return status;
}

q35_status q35i_gguf_writer_data(q35i_gguf_writer *w, const void *data, uint64_t bytes)
{
    const uint8_t *p = data;
    if (!w->begun)
        return Q35_FAIL(Q35_E_INVALID, "%s: data before the header", w->path);
    if (bytes > 0 && w->i_tensor == w->n_tensors)
        return Q35_FAIL(Q35_E_INVALID, "%s: %llu bytes of data after the last tensor", w->path,
                        (unsigned long long)bytes);
    if (bytes == 0)
        return Q35_OK;
    const out_tensor *t = &w->tensors[w->i_tensor];
    if (bytes > t->bytes - w->tensor_done)
        return Q35_FAIL(Q35_E_INVALID, "tensor %s: %llu bytes of data, need at most %llu more", t->name,
                        (unsigned long long)bytes, (unsigned long long)(t->bytes - w->tensor_done));
    Q35_TRY(q35i_file_out_write(w->file, p, bytes));
    w->tensor_done += bytes;
    if (w->tensor_done < t->bytes)
        return Q35_OK;
    w->i_tensor++;
    w->tensor_done = 0;
    return pad(w);
}

uint64_t q35i_gguf_writer_offset(const q35i_gguf_writer *w)
{
    return q35i_file_out_offset(w->file);
}
