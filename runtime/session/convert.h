/* SPDX-License-Identifier: Apache-2.0
 *
 * What the steps of a conversion share. */
#ifndef Q35I_CONVERT_H
#define Q35I_CONVERT_H

#include "runtime/quant/sample.h"

#include <q35rt/convert.h>

#include <stdbool.h>

/* Tokens per calibration step. Each starts at position 0. */
#define Q35I_WINDOW 512

/* True for the matrices of the layers, which become 3.5-bit: in a model whose config was read, all of rank 2 in
 * blk.N. */
bool q35i_is_linear(const q35_tensor_info *info);

/* Calls the progress function; CANCELLED when it asks for it. */
q35_status q35i_convert_progress(const q35_convert_options *options, uint32_t stage, uint64_t done,
                                 uint64_t total);

/* Runs the model over options->calibration_text and sets the importance of every linear (allocated, freed by the
 * caller with q35i_free). Tokens left over after the last whole window are not used. */
q35_status q35i_calibrate(q35_runtime *runtime, const q35_model *model, const q35_convert_options *options,
                          q35i_linear *linears, uint64_t n_linears, uint64_t *out_tokens);

#endif
