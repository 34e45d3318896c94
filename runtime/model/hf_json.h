/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of a configuration file, and their translation into metadata. Numbers are read leniently: an integer may
 * be written 16384.0. A null counts as absent. */
#ifndef Q35I_HF_JSON_H
#define Q35I_HF_JSON_H

#include "json_tape.h"
#include "meta_list.h"

/* Value of a number node, within one unit in the last place; true for numbers that are finite. */
bool q35i_hf_number(const q35i_json *json, uint32_t node, double *out);

/* *out is left alone when the key is absent. FORMAT for other types, not finite, not whole, not in 0..2^32-1. */
q35_status q35i_hf_get_f64(const q35i_json *json, uint32_t object, const char *key, double *out);
q35_status q35i_hf_get_u32(const q35i_json *json, uint32_t object, const char *key, uint32_t *out);

/* FORMAT when the key is absent, too. */
q35_status q35i_hf_need_f64(const q35i_json *json, uint32_t object, const char *key, double *out);
q35_status q35i_hf_need_u32(const q35i_json *json, uint32_t object, const char *key, uint32_t *out);

/* What a key may say without being understood. */
typedef enum q35i_hf_rule {
    Q35I_HF_ANY,  /* read elsewhere, or changes no result */
    Q35I_HF_ZERO, /* a number that must be 0 */
    Q35I_HF_ONE   /* a number that must be 1 */
} q35i_hf_rule;

typedef struct q35i_hf_key {
    const char *name; /* a '*' at the end stands for all that begin so */
    q35i_hf_rule rule;
} q35i_hf_key;

/* Every member must be null, false or follow the rule of its key: UNSUPPORTED for one that is not in the table,
 * since it may change results. where: "" or the key of the object and a dot. */
q35_status q35i_hf_check_keys(const q35i_json *json, uint32_t object, const char *where, const q35i_hf_key *keys,
                              size_t n);

/* Keys of metadata under an architecture. */
typedef struct q35i_hf_out {
    q35i_meta_list *list;
    const char *architecture;
} q35i_hf_out;

/* "llama.block_count" for "block_count"; returns buf. */
const char *q35i_hf_full_key(const q35i_hf_out *out, const char *name, char buf[96]);

q35_status q35i_hf_put_u32(const q35i_hf_out *out, const char *name, uint32_t value);
q35_status q35i_hf_put_f32(const q35i_hf_out *out, const char *name, double value);
q35_status q35i_hf_put_text(const q35i_hf_out *out, const char *name, const char *value);

#endif
