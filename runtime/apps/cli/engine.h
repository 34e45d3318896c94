/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening what most commands need: runtime, model, tokenizer, session, from the command line's options. */
#ifndef Q35_CLI_ENGINE_H
#define Q35_CLI_ENGINE_H

#include "cli.h"

/* A model ready to run. Zeroed: nothing open. The runtime is borrowed. */
typedef struct cli_engine {
    q35_model *model;
    q35_model_config config;
    q35_tokenizer *tokenizer; /* NULL unless asked for */
    q35_session *session;
} cli_engine;

int cli_open_runtime(const cli_options *options, q35_runtime **out);

/* Path of the model: -m, else Q35RT_MODEL. */
int cli_model_path(const cli_options *options, const char **out);

/* Opens a file and checks that it is a model that can run. */
int cli_open_model(const char *path, cli_engine *engine);
int cli_open_tokenizer(cli_engine *engine);

typedef struct cli_session_request {
    uint32_t act, kv; /* indices of --act and --kv-type */
    uint32_t n_ctx, chunk;
    int all_logits;
    uint32_t n_sequences; /* of n_ctx tokens each; 0: 1 */
} cli_session_request;

int cli_open_session(q35_runtime *runtime, const cli_options *options, const cli_session_request *request,
                     cli_engine *engine);

void cli_engine_close(cli_engine *engine);

const char *cli_act_name(uint32_t act);
const char *cli_kv_name(uint32_t kv);
/* Bytes of KV cache per token of context. */
uint64_t cli_kv_bytes(const cli_options *options, const q35_model_config *config);

#endif
