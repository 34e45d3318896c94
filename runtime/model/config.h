/* SPDX-License-Identifier: Apache-2.0
 *
 * The two halves of q35_model_read_config. */
#ifndef Q35I_CONFIG_H
#define Q35I_CONFIG_H

#include <q35rt/model.h>

/* Fills the hyper-parameters from the metadata; vocab comes from the embedding's rows. */
q35_status q35i_config_read(const q35_model *model, q35_model_config *out);

/* Checks presence, shape and type of every tensor, and that no tensor is there that would be ignored wrongly. */
q35_status q35i_config_check_tensors(const q35_model *model, const q35_model_config *config);

#endif
