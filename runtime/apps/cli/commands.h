/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands. Each returns the program's exit code. */
#ifndef Q35_CLI_COMMANDS_H
#define Q35_CLI_COMMANDS_H

#include "opts.h"

int cmd_run(const cli_options *options);
int cmd_chat(const cli_options *options);
int cmd_eval(const cli_options *options);
int cmd_compare(const cli_options *options);
int cmd_convert(const cli_options *options);
int cmd_inspect(const cli_options *options);
int cmd_verify(const cli_options *options);
int cmd_plan(const cli_options *options);
int cmd_generate_model(const cli_options *options);
int cmd_cache(const cli_options *options);
int cmd_devices(const cli_options *options);
int cmd_tokenize(const cli_options *options);
int cmd_detokenize(const cli_options *options);
int cmd_bench(const cli_options *options);

#endif
