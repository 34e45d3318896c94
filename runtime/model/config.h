/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of q35_model_read_config, and the reading of numbers under an architecture's keys. */
#ifndef Q35I_CONFIG_H
#define Q35I_CONFIG_H

#include <q35rt/model.h>

typedef struct q35i_key {
    char text[96];
} q35i_key;

/* "llama.block_count" for "block_count"; returns buf's text. */
const char *q35i_config_key(const q35_model_config *config, const char *name, q35i_key *buf);

/* Entry under the architecture's key, NULL: absent. */
const q35_meta *q35i_config_meta(const q35_model *model, const q35_model_config *config, const char *name);

/* Reads an integer in low..high; absent: fallback, or an error when that is 0. */
q35_status q35i_config_u32(const q35_model *model, const q35_model_config *config, const char *name,
                           uint32_t fallback, uint32_t low, uint32_t high, uint32_t *out);

/* Reads a finite number above 0 and at most high; absent: fallback, or an error when that is 0. */
q35_status q35i_config_f32(const q35_model *model, const q35_model_config *config, const char *name,
                           double fallback, double high, float *out);

/* The key must be absent, 0 or neutral (within rounding to float). */
q35_status q35i_config_neutral(const q35_model *model, const q35_model_config *config, const char *name,
                               double neutral);

/* Fills the hyper-parameters from the metadata; vocab comes from the embedding's rows. */
q35_status q35i_config_read(const q35_model *model, q35_model_config *out);

/* Fills everything of rope and of the queries' temperature; head_dim and context_length are known. */
q35_status q35i_config_read_rope(const q35_model *model, q35_model_config *out);

/* Checks presence, shape and type of every tensor, and that no tensor is there that would be ignored wrongly. */
q35_status q35i_config_check_tensors(const q35_model *model, const q35_model_config *config);

#endif
