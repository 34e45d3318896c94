/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of reading a model directory: configuration (config.json, params.json), files of tensors, names, and
 * what is made of them. */
#ifndef Q35I_HF_H
#define Q35I_HF_H

#include "hf_json.h"
#include "model_file.h"
#include "safetensors.h"

typedef enum q35i_hf_kind { Q35I_HF_HUGGING_FACE, Q35I_HF_MISTRAL } q35i_hf_kind;

/* ---- configuration ---- */

/* What a configuration says beyond metadata. */
typedef struct q35i_hf_facts {
    uint32_t head_dim;
    bool tied_given, tied; /* the output matrix is the embedding */
    float *divisors;       /* [n_divisors] of the rope frequencies (Llama 3); to be freed, NULL: none */
    uint32_t n_divisors;
} q35i_hf_facts; /* zeroed: nothing */

/* Sizes that params.json may leave to the tensors; 0: unknown. */
typedef struct q35i_hf_sizes {
    uint32_t ffn, vocab;
} q35i_hf_sizes;

/* Image of config.json or params.json; name: for messages. FORMAT, UNSUPPORTED: wrong, or not understood. */
q35_status q35i_hf_read_config(const char *name, const void *text, uint64_t bytes, q35i_meta_list *out,
                               q35i_hf_facts *facts);
q35_status q35i_hf_read_params(const char *name, const void *text, uint64_t bytes, const q35i_hf_sizes *sizes,
                               q35i_meta_list *out, q35i_hf_facts *facts);

/* Rotary positions and temperature of config.json's text model, whose head_dim facts has. */
q35_status q35i_hf_read_rope(const q35i_json *json, uint32_t text, const q35i_hf_out *out, q35i_hf_facts *facts);

/* ---- files of tensors ---- */

typedef struct q35i_hf_shard {
    char *name;          /* of the file, without directory */
    const uint8_t *data; /* mapped by the model */
    q35i_safetensors list;
} q35i_hf_shard;

typedef struct q35i_hf_shards {
    q35i_hf_shard *shards; /* [n] */
    uint32_t n;
} q35i_hf_shards; /* zeroed: empty */

/* Which shard holds a tensor, by the index file. */
typedef struct q35i_hf_place {
    const char *tensor; /* NUL-terminated */
    uint32_t shard;
} q35i_hf_place;

typedef struct q35i_hf_index {
    q35i_hf_place *places; /* [n] sorted by tensor */
    uint64_t n;
    char **shards; /* [n_shards] plain file names, sorted */
    uint32_t n_shards;
    double total_bytes; /* as stated, -1: not */
    char *names;        /* memory of all names */
} q35i_hf_index;        /* zeroed: empty */

/* Image of an index file. index: zeroed; to be freed, also after a failure. */
q35_status q35i_hf_read_index(q35i_hf_index *index, const char *name, const void *text, uint64_t bytes);
void q35i_hf_index_free(q35i_hf_index *index);

/* Maps the one file `single`, or those that the file `index` names, and reads their headers. */
q35_status q35i_hf_open_single(q35_model *model, const char *dir, const char *single, q35i_hf_shards *out);
q35_status q35i_hf_open_sharded(q35_model *model, const char *dir, const char *index, q35i_hf_shards *out);
void q35i_hf_shards_free(q35i_hf_shards *shards);

/* ---- tensors ---- */

typedef enum q35i_hf_role {
    Q35I_HF_WEIGHT,
    Q35I_HF_QUERY_KEY, /* a weight whose rows rope pairs */
    Q35I_HF_SCALE,     /* of the FP8 weight of the same GGUF name */
    Q35I_HF_IGNORED,   /* changes nothing here: activation scales, buffers */
    Q35I_HF_VISION,
    Q35I_HF_UNKNOWN
} q35i_hf_role;

/* GGUF name of a tensor, "" without one. */
q35i_hf_role q35i_hf_map_name(q35i_hf_kind kind, const char *name, char out[Q35I_NAME_BYTES]);

/* Builds the model's tensors and their index. */
q35_status q35i_hf_build_tensors(q35_model *model, q35i_hf_kind kind, const q35i_hf_shards *shards,
                                 const q35i_hf_facts *facts);

#endif
