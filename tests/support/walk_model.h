/* SPDX-License-Identifier: Apache-2.0
 *
 * Uses everything that an open model offers, so that sanitizers see every access. */
#ifndef Q35T_WALK_MODEL_H
#define Q35T_WALK_MODEL_H

#include <q35rt/model.h>

/* Reads every metadata value, every tensor's bounds, the codebook and the hyper-parameters. Returns a checksum. */
uint64_t q35t_walk_model(const q35_model *model);

#endif
