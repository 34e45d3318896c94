/* SPDX-License-Identifier: Apache-2.0
 *
 * A conversation as a file: {"version": 1, "model": PATH, "messages": [{"role", "content"}...]}, messages in
 * OpenAI's form, reasoning as "reasoning_content". */
#ifndef Q35_CLI_CHAT_FILE_H
#define Q35_CLI_CHAT_FILE_H

#include "chat_log.h"

/* The file is complete or not there: it is written under a temporary name and renamed. 0 or an exit code. */
int chat_file_save(const chat_log *log, const char *model, const char *path);

/* Fills an empty log. A mistake is one sentence that names file, line or message, and what is needed. */
int chat_file_load(const char *path, chat_log *log);

#endif
