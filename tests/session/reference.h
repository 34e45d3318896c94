/* SPDX-License-Identifier: Apache-2.0
 *
 * Forward pass of a llama-shaped model in double, written for reading and independent of graph, plugins and
 * kernels. */
#ifndef Q35T_REFERENCE_H
#define Q35T_REFERENCE_H

#include <q35rt/model.h>

/* Logits [n][vocab] of ids at positions 0 .. n - 1; free() it. Aborts the test when memory is out. */
double *q35t_reference_logits(const q35_model *model, const int32_t *ids, uint32_t n);

#endif
