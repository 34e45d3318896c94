/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON on standard output: one object, one line. */
#ifndef Q35_CLI_JSON_OUT_H
#define Q35_CLI_JSON_OUT_H

#include <jansson.h>
#include <stdint.h>

/* String of any bytes: invalid UTF-8 is replaced by U+FFFD. */
json_t *json_text_n(const char *text, uint64_t len);
json_t *json_text(const char *text);

/* Finite numbers as they are, else null. */
json_t *json_number(double value);

/* Prints and releases; NULL (building ran out of memory) is an error. Returns 0 or an exit code. */
int json_out(json_t *value);

#endif
