/* SPDX-License-Identifier: Apache-2.0
 *
 * Metadata made in memory, in the same form as a GGUF file's: what other formats say is translated into GGUF keys,
 * so that everything after opening knows one vocabulary. One thread at a time. */
#ifndef Q35I_META_LIST_H
#define Q35I_META_LIST_H

#include <q35rt/model.h>

#include <stdbool.h>

typedef struct q35i_meta_list {
    q35_meta *entries; /* [n] each value in a block of its own */
    uint64_t n, cap;
} q35i_meta_list; /* zeroed: empty */

void q35i_meta_list_free(q35i_meta_list *list);

/* Entry by key, NULL: absent. Valid until the next addition. */
const q35_meta *q35i_meta_list_find(const q35i_meta_list *list, const char *key);

/* Each copies key and value. INVALID for a key that is there already. */
q35_status q35i_meta_add_u32(q35i_meta_list *list, const char *key, uint32_t value);
q35_status q35i_meta_add_f32(q35i_meta_list *list, const char *key, float value);
q35_status q35i_meta_add_bool(q35i_meta_list *list, const char *key, bool value);
q35_status q35i_meta_add_string(q35i_meta_list *list, const char *key, q35_string value);
/* Array of a scalar type (Q35_META_*): elements as they stand in memory (little-endian). */
q35_status q35i_meta_add_array(q35i_meta_list *list, const char *key, uint32_t elem_type, const void *values,
                               uint64_t n);

/* An array of strings, filled one by one: in GGUF's own form (u64 length, bytes), so that adding it copies nothing
 * but once. */
typedef struct q35i_string_array {
    uint8_t *bytes;
    uint64_t used, cap, n;
} q35i_string_array; /* zeroed: empty */

q35_status q35i_string_array_add(q35i_string_array *array, q35_string s);
void q35i_string_array_free(q35i_string_array *array);
q35_status q35i_meta_add_strings(q35i_meta_list *list, const char *key, const q35i_string_array *array);

#endif
