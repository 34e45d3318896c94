/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensors of a model that are left alone. */
#ifndef Q35_CLI_SKIPPED_H
#define Q35_CLI_SKIPPED_H

#include "cli.h"

/* One line on stderr about the tensors of a vision tower, when there are any and -q is not given. */
void cli_note_skipped(const cli_options *options, const q35_model *model);

#endif
