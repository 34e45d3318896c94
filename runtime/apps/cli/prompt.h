/* SPDX-License-Identifier: Apache-2.0
 *
 * The prompt as token ids: from -p, -f, --messages or --ids, in the model's chat format or raw. */
#ifndef Q35_CLI_PROMPT_H
#define Q35_CLI_PROMPT_H

#include "engine.h"

/* *out_ids: at least one id, all inside the vocabulary; free with free(). Needs engine->tokenizer. */
int prompt_ids(const cli_options *options, const cli_engine *engine, int32_t **out_ids, uint64_t *out_n);

/* Exactly one of -p, -f, --ids and --messages. */
int prompt_check(const cli_options *options);

#endif
