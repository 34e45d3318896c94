/* SPDX-License-Identifier: Apache-2.0
 *
 * Collects what the conversion tells, then prints a table and draws a picture. */
#include "convert_plan.h"

#include "cli.h"
#include "plan_table.h"

#include <math.h>
#include <stdlib.h>

static void *grow(void *array, uint64_t n, size_t size)
{
    return n % 64 ? array : realloc(array, (size_t)(n + 64) * size);
}

void convert_plan_frontier(convert_plan *plan, double bits, double kl)
{
    plot_point *points = grow(plan->points, plan->n_points, sizeof *points);
    if (!points) {
        plan->failed = 1;
        return;
    }
    plan->points = points;
    plan->points[plan->n_points++] = (plot_point){bits, kl, NULL};
}

void convert_plan_choice(convert_plan *plan, const q35_convert_choice *choice)
{
    plan_tensor *tensors = grow(plan->tensors, plan->n_tensors, sizeof *tensors);
    if (!tensors) {
        plan->failed = 1;
        return;
    }
    plan->tensors = tensors;
    if (plan->linears && !choice->linear)
        return;
    plan->tensors[plan->n_tensors++] = (plan_tensor){choice->tensor, choice->type,        choice->weights,
                                                     choice->bytes,  choice->sensitivity, choice->expected};
}

void convert_plan_free(convert_plan *plan)
{
    free(plan->tensors);
    free(plan->points);
}

int convert_plan_print(const convert_plan *plan, int detail)
{
    return plan->failed ? cli_fail(CLI_EXIT_NOFIT, "plan: out of memory")
                        : plan_table_print(stderr, plan->tensors, plan->n_tensors, detail);
}

int convert_plan_draw(const convert_plan *plan, const char *path)
{
    uint64_t bytes = 0, weights = 0, len = 0;
    double kl = 0;
    for (uint64_t i = 0; i < plan->n_tensors; i++) {
        bytes += plan->tensors[i].bytes;
        weights += plan->tensors[i].weights;
        kl += isfinite(plan->tensors[i].expected) ? plan->tensors[i].expected : 0;
    }
    const plot_point chosen = {plan_bits(bytes, weights), kl, "this file"};
    const plot_curve curve = {"least expected KL", plan->points, plan->n_points, 1};
    const plot_chart chart = {.title = "Expected KL divergence over bits per weight",
                              .note = plan->linears ? "of the layers' linears" : "of all matrices",
                              .curves = &curve,
                              .n_curves = 1,
                              .chosen = &chosen};
    char *text = plot_frontier(&chart, plan->tensors, plan->n_tensors, &len);
    return plot_write(path, text, len);
}
