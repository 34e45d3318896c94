/* SPDX-License-Identifier: Apache-2.0
 *
 * A model in a directory, as it is released. */
#include "model_file.h"

#include "runtime/base/error.h"

q35_status q35i_hf_open(q35_model *model, const char *path)
{
    (void)model;
    return Q35_FAIL(Q35_E_FORMAT, "%s: is a directory, need a GGUF file", path);
}
