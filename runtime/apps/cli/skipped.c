/* SPDX-License-Identifier: Apache-2.0
 *
 * Says that only the text of a model is used. */
#include "skipped.h"

#include <inttypes.h>
#include <stdio.h>

void cli_note_skipped(const cli_options *options, const q35_model *model)
{
    uint64_t bytes, n = q35_model_n_skipped(model, &bytes);
    if (n > 0 && !options->quiet)
        fprintf(stderr, "note: %" PRIu64 " vision tensors (%.1f MB) skipped\n", n, (double)bytes / 1e6);
}
