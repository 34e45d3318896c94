/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of token ids as text: decimal numbers with commas, blanks or line ends between. */
#ifndef Q35_CLI_IDS_H
#define Q35_CLI_IDS_H

#include "cli.h"

/* what: what the messages call the list, "option --ids". Ids must be below vocab. *out_ids: free(). An empty list
 * is allowed. Returns 0, or an exit code after a message. */
int ids_parse(const char *what, const char *text, uint32_t vocab, int32_t **out_ids, uint64_t *out_n);

/* As ids_parse, from a file ("-": standard input). */
int ids_read(const char *path, uint32_t vocab, int32_t **out_ids, uint64_t *out_n);

/* As ids_parse, from the value of --ids: a list, or @FILE. */
int ids_of_option(const char *value, uint32_t vocab, int32_t **out_ids, uint64_t *out_n);

#endif
