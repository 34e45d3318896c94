/* SPDX-License-Identifier: Apache-2.0
 *
 * model.safetensors.index.json: which file of a sharded model holds which tensor. */
#include "hf.h"

#include "quote.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SHARDS 4096u

/* A member of weight_map. */
typedef struct pair {
    const char *tensor, *shard;
} pair;

static q35i_quoted quote(const char *text)
{
    return q35i_quote((q35_string){text, strlen(text)});
}

void q35i_hf_index_free(q35i_hf_index *index)
{
    q35i_free(index->places);
    q35i_free(index->shards);
    q35i_free(index->names);
    *index = (q35i_hf_index){0};
}

/* A name of a file in the same directory, and no hidden one. */
static bool is_plain_name(q35_string s)
{
    static const char forbidden[] = {'/', '\\', '\0'};
    if (s.len == 0 || s.len > 255 || s.data[0] == '.')
        return false;
    for (size_t i = 0; i < sizeof forbidden; i++)
        if (memchr(s.data, forbidden[i], s.len))
            return false;
    for (uint64_t i = 1; i < s.len; i++)
        if (s.data[i - 1] == '.' && s.data[i] == '.')
            return false;
    return true;
}

static char *copy(char **end, q35_string s)
{
    char *begin = *end;
    memcpy(begin, s.data, s.len); /* zeroed behind it */
    *end += s.len + 1;
    return begin;
}

static q35_status read_pair(const q35i_json *json, uint32_t node, char **end, pair *out)
{
    q35_string tensor = q35i_json_text(json, node);
    if (tensor.len == 0 || memchr(tensor.data, '\0', tensor.len))
        return Q35_FAIL(Q35_E_FORMAT,
                        "weight_map: tensor name '%s' of %" PRIu64 " bytes, need 1 or more without NUL",
                        q35i_quote(tensor).text, tensor.len);
    out->tensor = copy(end, tensor);
    if (q35i_json_type_of(json, node + 1) != Q35I_JSON_STRING)
        return Q35_FAIL(Q35_E_FORMAT, "weight_map: %s: %s, need the name of a file", quote(out->tensor).text,
                        q35i_json_type_name(q35i_json_type_of(json, node + 1)));
    q35_string shard = q35i_json_text(json, node + 1);
    if (!is_plain_name(shard))
        return Q35_FAIL(Q35_E_FORMAT, "weight_map: %s: file '%s', need a plain name in the same directory",
                        quote(out->tensor).text, q35i_quote(shard).text);
    out->shard = copy(end, shard);
    return Q35_OK;
}

static int by_tensor(const void *a, const void *b)
{
    const q35i_hf_place *x = a, *y = b;
    return strcmp(x->tensor, y->tensor);
}

static int by_shard(const void *a, const void *b)
{
    const pair *x = a, *y = b;
    return strcmp(x->shard, y->shard);
}

/* Numbers the shards and sorts the tensors. */
static q35_status sort(q35i_hf_index *index, pair *pairs)
{
    qsort(pairs, index->n, sizeof *pairs, by_shard);
    for (uint64_t i = 0; i < index->n; i++) {
        if (i == 0 || by_shard(&pairs[i - 1], &pairs[i]) != 0) {
            if (index->n_shards == MAX_SHARDS)
                return Q35_FAIL(Q35_E_FORMAT, "weight_map: more than %u files, need at most that", MAX_SHARDS);
            index->shards[index->n_shards++] = (char *)(uintptr_t)pairs[i].shard;
        }
        index->places[i] = (q35i_hf_place){pairs[i].tensor, index->n_shards - 1};
    }
    qsort(index->places, index->n, sizeof *index->places, by_tensor);
    for (uint64_t i = 1; i < index->n; i++)
        if (by_tensor(&index->places[i - 1], &index->places[i]) == 0)
            return Q35_FAIL(Q35_E_FORMAT, "weight_map: tensor %s occurs twice, need it once",
                            quote(index->places[i].tensor).text);
    return Q35_OK;
}

static q35_status read_map(q35i_hf_index *index, const q35i_json *json, uint64_t bytes)
{
    uint32_t map;
    Q35_TRY(q35i_json_need(json, 0, "weight_map", Q35I_JSON_OBJECT, &map));
    uint64_t n = json->nodes[map].len;
    index->places = q35i_calloc(n, sizeof *index->places);
    index->shards = q35i_calloc(n, sizeof *index->shards);
    index->names = q35i_calloc(bytes + 2 * n, 1); /* an escape is longer than what it stands for */
    pair *pairs = q35i_calloc(n, sizeof *pairs);
    char *end = index->names;
    q35_status status = index->places && index->shards && index->names && pairs ? Q35_OK : Q35_E_NOMEM;
    for (uint32_t i = map + 1; i < json->nodes[map].next && status == Q35_OK; i = json->nodes[i + 1].next)
        status = read_pair(json, i, &end, &pairs[index->n++]);
    if (status == Q35_OK && n == 0)
        status = Q35_FAIL(Q35_E_FORMAT, "weight_map: empty, need the files of the tensors");
    if (status == Q35_OK)
        status = sort(index, pairs);
    q35i_free(pairs);
    return status;
}

q35_status q35i_hf_read_index(q35i_hf_index *index, const char *name, const void *text, uint64_t bytes)
{
    q35i_json json = {0};
    uint32_t metadata = Q35I_JSON_NONE;
    q35_status status;
    index->total_bytes = -1;
    Q35_TRY_GOTO(q35i_json_parse(&json, name, text, bytes), done);
    Q35_TRY_GOTO(q35i_json_get_type(&json, 0, "metadata", Q35I_JSON_OBJECT, &metadata), done);
    if (metadata != Q35I_JSON_NONE)
        Q35_TRY_GOTO(q35i_hf_get_f64(&json, metadata, "total_size", &index->total_bytes), done);
    status = read_map(index, &json, bytes);
done:
    q35i_json_free(&json);
    return status;
}
