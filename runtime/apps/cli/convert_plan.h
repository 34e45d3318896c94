/* SPDX-License-Identifier: Apache-2.0
 *
 * The allocation of a conversion as it is told: printed and drawn. */
#ifndef Q35_CLI_CONVERT_PLAN_H
#define Q35_CLI_CONVERT_PLAN_H

#include "plan_tensor.h"
#include "plot.h"

#include <q35rt/convert.h>

typedef struct convert_plan {
    plan_tensor *tensors; /* names belong to the source */
    plot_point *points;
    uint64_t n_tensors, n_points;
    int linears, failed; /* linears: 1: bits are those of the linears; failed: out of memory */
} convert_plan;

void convert_plan_frontier(convert_plan *plan, double bits, double kl);
void convert_plan_choice(convert_plan *plan, const q35_convert_choice *choice);
void convert_plan_free(convert_plan *plan);

/* 0, or an exit code after a message. */
int convert_plan_print(const convert_plan *plan, int detail);
int convert_plan_draw(const convert_plan *plan, const char *path);

#endif
