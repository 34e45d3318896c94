/* SPDX-License-Identifier: Apache-2.0
 *
 * Real vocabularies out of unpacked Python packages (Q35RT_TEST_PACKAGES: mistral-common and llama-models), which
 * are not ours to ship. In a Check test. */
#ifndef Q35T_PACKAGE_VOCAB_H
#define Q35T_PACKAGE_VOCAB_H

#include <q35rt/tokenizer.h>

#define TEKKEN       "mistral_common/data/tekken_240718.json"
#define LLAMA3_RANKS "llama_models/llama3/tokenizer.model"
#define PIECES_V1    "mistral_common/data/tokenizer.model.v1"
#define PIECES_V3    "mistral_common/data/mistral_instruct_tokenizer_240323.model.v3"
#define PIECES_V7    "mistral_common/data/mistral_instruct_tokenizer_241114.model.v7"

/* Model file without tensors, made from a tokenizer file of the packages; fails the test when that does not work.
 */
q35_model *package_model(const char *name);
q35_tokenizer *package_tokenizer(const char *name);

#endif
