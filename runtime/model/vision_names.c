/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of the tensors of a vision tower and its projector in Hugging Face, Mistral and GGUF files. */
#include "model_file.h"

#include <string.h>

bool q35i_is_vision_name(const char *name)
{
    static const char *const prefixes[] = {"vision_tower.",
                                           "multi_modal_projector.",
                                           "vision_encoder.",
                                           "vision_language_adapter.",
                                           "patch_merger.",
                                           "pre_mm_projector_norm.",
                                           "v.",
                                           "mm."};
    static const char outer[] = "model.";
    if (strncmp(name, outer, sizeof outer - 1) == 0)
        name += sizeof outer - 1;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}
