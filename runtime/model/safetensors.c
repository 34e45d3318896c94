/* SPDX-License-Identifier: Apache-2.0
 *
 * A safetensors file: u64 length of the header, the header as JSON, then the tensors' bytes one behind the other.
 * Format: the safetensors README and its reference reader. */
#include "safetensors.h"

#include "json_tape.h"
#include "quote.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEADER  UINT64_C(100000000) /* the format's own limit */
#define MAX_TENSORS (UINT64_C(1) << 20)
#define PREFIX      sizeof(uint64_t)

static const struct {
    const char *name;
    uint32_t bits;
} dtypes[] = {
    {"BF16", 16},   {"F16", 16},    {"F32", 32},    {"F8_E4M3", 8}, {"F64", 64},        {"BOOL", 8},
    {"U8", 8},      {"I8", 8},      {"U16", 16},    {"I16", 16},    {"U32", 32},        {"I32", 32},
    {"U64", 64},    {"I64", 64},    {"F8_E5M2", 8}, {"C64", 64},    {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
    {"F8_E8M0", 8}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F4", 4},
};

/* One header on its way into a list. */
typedef struct reader {
    q35i_json json;
    q35i_safetensors *list;
    char *names_end;
    uint64_t data_begin, bytes; /* of the image */
} reader;

uint32_t q35i_safetensors_bits(const char *dtype)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtypes[i].name, dtype) == 0)
            return dtypes[i].bits;
    return 0;
}

void q35i_safetensors_free(q35i_safetensors *list)
{
    q35i_free(list->tensors);
    q35i_free(list->names);
    *list = (q35i_safetensors){0};
}

static const char *quote(const char *name, q35i_quoted *buf)
{
    *buf = q35i_quote((q35_string){name, strlen(name)});
    return buf->text;
}

static q35_status read_dtype(reader *r, uint32_t node, q35i_safetensor *t)
{
    q35i_quoted name;
    if (q35i_json_type_of(&r->json, node) != Q35I_JSON_STRING)
        return Q35_FAIL(Q35_E_FORMAT, "tensor %s: dtype is %s, need a string", quote(t->name, &name),
                        q35i_json_type_name(q35i_json_type_of(&r->json, node)));
    q35_string text = q35i_json_text(&r->json, node);
    if (!q35i_is_name(text) || text.len >= sizeof t->dtype)
        return Q35_FAIL(Q35_E_FORMAT, "tensor %s: dtype '%s', need a name like BF16", quote(t->name, &name),
                        q35i_quote(text).text);
    memcpy(t->dtype, text.data, text.len);
    return Q35_OK;
}

/* Whole numbers of an array, at most `most` of them. */
static q35_status read_numbers(reader *r, uint32_t node, const char *key, const q35i_safetensor *t, uint32_t most,
                               uint64_t *out, uint32_t *out_n)
{
    q35i_quoted name;
    const q35i_json_node *array = &r->json.nodes[node];
    if (array->type != Q35I_JSON_ARRAY || array->len > most)
        return Q35_FAIL(Q35_E_FORMAT, "tensor %s: %s is %s of %" PRIu32 ", need an array of at most %" PRIu32,
                        quote(t->name, &name), key, q35i_json_type_name(array->type), array->len, most);
    *out_n = array->len;
    for (uint32_t i = 0; i < array->len; i++) /* a number is one node */
        if (!q35i_json_int(&r->json, node + 1 + i, UINT64_MAX, &out[i]))
            return Q35_FAIL(
                Q35_E_FORMAT, "tensor %s: %s holds %s at byte %" PRIu32 ", need whole numbers from 0 on",
                quote(t->name, &name), key, q35i_json_type_name(q35i_json_type_of(&r->json, node + 1 + i)),
                r->json.nodes[node + 1 + i].begin);
    return Q35_OK;
}

static q35_status read_offsets(reader *r, uint32_t node, q35i_safetensor *t)
{
    q35i_quoted name;
    uint64_t at[2], room = r->bytes - r->data_begin;
    uint32_t n;
    Q35_TRY(read_numbers(r, node, "data_offsets", t, 2, at, &n));
    if (n != 2 || at[0] > at[1] || at[1] > room)
        return Q35_FAIL(Q35_E_FORMAT,
                        "tensor %s: data_offsets %" PRIu64 " to %" PRIu64 " (%" PRIu32
                        " numbers), need a range within the %" PRIu64 " bytes of data",
                        quote(t->name, &name), n > 0 ? at[0] : 0, n > 1 ? at[1] : 0, n, room);
    t->begin = r->data_begin + at[0];
    t->end = r->data_begin + at[1];
    return Q35_OK;
}

/* Bytes of the tensor must be what shape and type make. A type nobody knows has no size to check. */
static q35_status check_size(const q35i_safetensor *t)
{
    q35i_quoted name;
    uint64_t bits = q35i_safetensors_bits(t->dtype);
    bool fits = true;
    if (bits == 0)
        return Q35_OK;
    for (uint32_t i = 0; i < t->rank; i++)
        if (t->shape[i] == 0)
            bits = 0;
    for (uint32_t i = 0; i < t->rank && bits > 0; i++)
        fits = fits && q35i_mul(bits, t->shape[i], &bits);
    if (!fits)
        return Q35_FAIL(Q35_E_FORMAT,
                        "tensor %s: shape of 2^64 and more bits, need the size of its %" PRIu64 " bytes",
                        quote(t->name, &name), t->end - t->begin);
    if (bits % 8 != 0 || bits / 8 != t->end - t->begin)
        return Q35_FAIL(Q35_E_FORMAT, "tensor %s: %" PRIu64 " bytes, need %" PRIu64 " bits for its shape of %s",
                        quote(t->name, &name), t->end - t->begin, bits, t->dtype);
    return Q35_OK;
}

/* The members of one tensor's object. */
static q35_status read_tensor(reader *r, uint32_t object, q35i_safetensor *t)
{
    static const char *const keys[] = {"dtype", "shape", "data_offsets"};
    enum { N_KEYS = sizeof keys / sizeof *keys };
    const q35i_json *json = &r->json;
    q35i_quoted name;
    unsigned seen = 0;
    if (q35i_json_type_of(json, object) != Q35I_JSON_OBJECT)
        return Q35_FAIL(Q35_E_FORMAT, "tensor %s: %s, need an object", quote(t->name, &name),
                        q35i_json_type_name(q35i_json_type_of(json, object)));
    for (uint32_t i = object + 1; i < json->nodes[object].next; i = json->nodes[i + 1].next) {
        unsigned k = 0;
        while (k < N_KEYS && !q35i_json_is(json, i, keys[k]))
            k++;
        if (k == N_KEYS || (seen & 1u << k))
            return Q35_FAIL(Q35_E_FORMAT, "tensor %s: key '%s', need dtype, shape and data_offsets once each",
                            quote(t->name, &name), q35i_quote(q35i_json_text(json, i)).text);
        seen |= 1u << k;
        Q35_TRY(k == 0   ? read_dtype(r, i + 1, t)
                : k == 1 ? read_numbers(r, i + 1, "shape", t, Q35I_SAFETENSORS_RANK, t->shape, &t->rank)
                         : read_offsets(r, i + 1, t));
    }
    if (seen != (1u << N_KEYS) - 1)
        return Q35_FAIL(Q35_E_FORMAT, "tensor %s: no %s, need dtype, shape and data_offsets",
                        quote(t->name, &name), keys[seen & 1 ? (seen & 2 ? 2 : 1) : 0]);
    return check_size(t);
}

/* __metadata__ holds strings and means nothing here. */
static q35_status check_metadata(const q35i_json *json, uint32_t object)
{
    if (q35i_json_type_of(json, object) != Q35I_JSON_OBJECT)
        return Q35_FAIL(Q35_E_FORMAT, "__metadata__: %s, need an object",
                        q35i_json_type_name(q35i_json_type_of(json, object)));
    for (uint32_t i = object + 1; i < json->nodes[object].next; i = json->nodes[i + 1].next)
        if (q35i_json_type_of(json, i + 1) != Q35I_JSON_STRING)
            return Q35_FAIL(Q35_E_FORMAT, "__metadata__: %s at byte %" PRIu32 ", need strings only",
                            q35i_json_type_name(q35i_json_type_of(json, i + 1)), json->nodes[i + 1].begin);
    return Q35_OK;
}

static q35_status copy_name(reader *r, uint32_t node, q35i_safetensor *t)
{
    q35_string text = q35i_json_text(&r->json, node);
    if (text.len == 0 || memchr(text.data, '\0', text.len))
        return Q35_FAIL(Q35_E_FORMAT, "tensor '%s': name of %" PRIu64 " bytes, need one of 1 and more without NUL",
                        q35i_quote(text).text, text.len);
    memcpy(r->names_end, text.data, text.len); /* zeroed behind it */
    t->name = r->names_end;
    r->names_end += text.len + 1;
    return Q35_OK;
}

static q35_status read_members(reader *r)
{
    const q35i_json *json = &r->json;
    bool metadata = false;
    for (uint32_t i = 1; i < json->nodes[0].next; i = json->nodes[i + 1].next) {
        if (q35i_json_is(json, i, "__metadata__")) {
            if (metadata)
                return Q35_FAIL(Q35_E_FORMAT, "__metadata__: occurs twice, need it once");
            metadata = true;
            Q35_TRY(check_metadata(json, i + 1));
            continue;
        }
        q35i_safetensor *t = &r->list->tensors[r->list->n];
        Q35_TRY(copy_name(r, i, t));
        Q35_TRY(read_tensor(r, i + 1, t));
        r->list->n++;
    }
    return Q35_OK;
}

static int by_name(const void *a, const void *b)
{
    const q35i_safetensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int by_place(const void *a, const void *b)
{
    const q35i_safetensor *x = a, *y = b;
    int order = (x->begin > y->begin) - (x->begin < y->begin);
    return order ? order : (x->end > y->end) - (x->end < y->end);
}

/* Names are unique, and the tensors cover the data without a hole. */
static q35_status check_list(const reader *r)
{
    q35i_safetensors *list = r->list;
    q35i_quoted name;
    uint64_t at = r->data_begin;
    qsort(list->tensors, list->n, sizeof *list->tensors, by_name);
    for (uint64_t i = 1; i < list->n; i++)
        if (by_name(&list->tensors[i - 1], &list->tensors[i]) == 0)
            return Q35_FAIL(Q35_E_FORMAT, "tensor %s: occurs twice, need unique names",
                            quote(list->tensors[i].name, &name));
    qsort(list->tensors, list->n, sizeof *list->tensors, by_place);
    for (uint64_t i = 0; i < list->n; i++) {
        const q35i_safetensor *t = &list->tensors[i];
        if (t->begin != at)
            return Q35_FAIL(Q35_E_FORMAT, "tensor %s: data begins at %" PRIu64 ", need %" PRIu64 ", where %s ends",
                            quote(t->name, &name), t->begin - r->data_begin, at - r->data_begin,
                            i ? "the one before it" : "the header");
        at = t->end;
    }
    if (at != r->bytes)
        return Q35_FAIL(Q35_E_FORMAT, "data: %" PRIu64 " bytes, need %" PRIu64 ", where the last tensor ends",
                        r->bytes - r->data_begin, at - r->data_begin);
    return Q35_OK;
}

static q35_status read_header(reader *r, const uint8_t *text, uint64_t bytes)
{
    if (text[0] != '{')
        return Q35_FAIL(Q35_E_FORMAT, "header: begins with 0x%02x, need '{'", text[0]);
    Q35_TRY(q35i_json_parse(&r->json, "header", text, bytes));
    uint32_t members = r->json.nodes[0].len;
    if (members > MAX_TENSORS)
        return Q35_FAIL(Q35_E_FORMAT, "header: %" PRIu32 " tensors, need at most %" PRIu64, members, MAX_TENSORS);
    r->list->tensors = q35i_calloc(members, sizeof *r->list->tensors);
    r->list->names = q35i_calloc(bytes + members, 1); /* an escape is longer than what it stands for */
    if (!r->list->tensors || !r->list->names)
        return Q35_E_NOMEM;
    r->names_end = r->list->names;
    Q35_TRY(read_members(r));
    return check_list(r);
}

q35_status q35i_safetensors_read(q35i_safetensors *list, const void *image, uint64_t bytes)
{
    const uint8_t *data = image;
    uint64_t header;
    if (bytes < PREFIX)
        return Q35_FAIL(Q35_E_FORMAT, "file: %" PRIu64 " bytes, need 8 for the length of the header", bytes);
    memcpy(&header, data, sizeof header);
    if (header < 2 || header > MAX_HEADER || header > bytes - PREFIX)
        return Q35_FAIL(Q35_E_FORMAT,
                        "header: %" PRIu64 " bytes, need 2 to %" PRIu64 " within the %" PRIu64
                        " behind its length",
                        header, MAX_HEADER, bytes - PREFIX);
    reader r = {.list = list, .data_begin = PREFIX + header, .bytes = bytes};
    q35_status status = read_header(&r, data + PREFIX, header);
    q35i_json_free(&r.json);
    return status;
}
