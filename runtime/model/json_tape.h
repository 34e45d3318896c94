/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON of tokenizer files, which are megabytes of short strings: checked once, strictly (RFC 8259: well-formed
 * UTF-8, no lone surrogates, nothing behind the value), into an array of 16-byte nodes that point into the text.
 * Nothing is copied; an object's members keep the order of the file. Immutable after parsing but for the scratch
 * memory of q35i_json_text: one thread at a time. */
#ifndef Q35I_JSON_TAPE_H
#define Q35I_JSON_TAPE_H

#include <q35rt/model.h>

#include <stdbool.h>

typedef enum q35i_json_type {
    Q35I_JSON_NULL,
    Q35I_JSON_FALSE,
    Q35I_JSON_TRUE,
    Q35I_JSON_NUMBER,
    Q35I_JSON_STRING,
    Q35I_JSON_ARRAY,
    Q35I_JSON_OBJECT
} q35i_json_type;

/* The members of an object follow its node as key, value, key, value ...; the elements of an array one by one. */
typedef struct q35i_json_node {
    uint32_t begin; /* offset of the value in the text; strings: behind the quote */
    uint32_t len;   /* numbers, strings: bytes; arrays: elements; objects: members */
    uint32_t next;  /* index of the node after this value and everything in it */
    uint8_t type;   /* q35i_json_type */
    bool escaped;   /* strings: with a backslash in it */
} q35i_json_node;

typedef struct q35i_json {
    const char *name; /* of the file, for messages; borrowed */
    const char *text; /* borrowed */
    q35i_json_node *nodes;
    uint32_t n, cap;
    uint32_t longest_escaped;
    char *scratch; /* [longest_escaped] */
} q35i_json;

#define Q35I_JSON_NONE UINT32_MAX

/* FORMAT with the byte at which it goes wrong. json: zeroed. Node 0 is the value. */
q35_status q35i_json_parse(q35i_json *json, const char *name, const void *text, uint64_t bytes);
void q35i_json_free(q35i_json *json); /* zeroed or half-built ok */

static inline uint8_t q35i_json_type_of(const q35i_json *json, uint32_t node)
{
    return json->nodes[node].type;
}

/* "a string", "an object" ... */
const char *q35i_json_type_name(uint8_t type);

/* Characters of a string node, escapes resolved: in the text itself, or in the scratch memory until the next call.
 */
q35_string q35i_json_text(const q35i_json *json, uint32_t node);
bool q35i_json_is(const q35i_json *json, uint32_t node, const char *text); /* false for other types */

/* Value of a member. *out is Q35I_JSON_NONE when there is none or it is null. FORMAT when the node is no object,
 * or the key is there twice. O(members). */
q35_status q35i_json_get(const q35i_json *json, uint32_t object, const char *key, uint32_t *out);

/* The same with a type: FORMAT for another one. */
q35_status q35i_json_get_type(const q35i_json *json, uint32_t object, const char *key, q35i_json_type type,
                              uint32_t *out);
/* A member that must be there. */
q35_status q35i_json_need(const q35i_json *json, uint32_t object, const char *key, q35i_json_type type,
                          uint32_t *out);
/* *out is left alone when the member is absent or null. */
q35_status q35i_json_get_bool(const q35i_json *json, uint32_t object, const char *key, bool *out);
/* A member that must be there, an integer of 0 to max; it may be written as 16384.0 or 1e3. */
q35_status q35i_json_need_int(const q35i_json *json, uint32_t object, const char *key, uint64_t max,
                              uint64_t *out);
/* Number node as such an integer; false when it is none. */
bool q35i_json_int(const q35i_json *json, uint32_t node, uint64_t max, uint64_t *out);

#endif
