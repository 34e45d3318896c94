/* SPDX-License-Identifier: Apache-2.0
 *
 * Two-byte form of a row of logits for base files. Code c of a logit x stands for its distance from the largest:
 * max - x = span (c / 65535)^2, span = max - min. Likely tokens, on which a divergence hangs, lie close to the
 * maximum and get the fine steps; one far outlier widens them by the root of its distance only. What adding a
 * constant to all logits does not change is not stored. */
#ifndef Q35_CLI_EVAL_CODE_H
#define Q35_CLI_EVAL_CODE_H

#include <stdint.h>

/* Finite logits [n], n > 0, to codes [n] and the span, finite and >= 0. */
void eval_encode(const float *logits, uint32_t n, uint16_t *out_codes, float *out_span);

/* Logits [n] with the maximum at 0. */
void eval_decode(const uint16_t *codes, uint32_t n, float span, float *out_logits);

#endif
