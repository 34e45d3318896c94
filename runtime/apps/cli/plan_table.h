/* SPDX-License-Identifier: Apache-2.0
 *
 * The allocation plan as text. */
#ifndef Q35_CLI_PLAN_TABLE_H
#define Q35_CLI_PLAN_TABLE_H

#include "plan_tensor.h"

#include <stdio.h>

/* One line per kind and chosen type with its part of the weights and of the expected KL, then totals; with detail
 * also one line per tensor. 0, or an exit code after a message; the caller checks `out` for write errors. */
int plan_table_print(FILE *out, const plan_tensor *tensors, uint64_t n, int detail);

#endif
