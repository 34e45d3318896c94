/* SPDX-License-Identifier: Apache-2.0
 *
 * Two-byte form of a row of logits. */
#include "eval_code.h"

#include <float.h>
#include <math.h>

#define STEPS 65535.0f

void eval_encode(const float *logits, uint32_t n, uint16_t *out_codes, float *out_span)
{
    float most = logits[0], least = logits[0];
    for (uint32_t i = 1; i < n; i++) {
        most = logits[i] > most ? logits[i] : most;
        least = logits[i] < least ? logits[i] : least;
    }
    float span = most - least <= FLT_MAX ? most - least : FLT_MAX;
    for (uint32_t i = 0; i < n; i++) {
        float part = span > 0 ? (most - logits[i]) / span : 0;
        out_codes[i] = (uint16_t)(STEPS * sqrtf(part < 1 ? part : 1) + 0.5f);
    }
    *out_span = span;
}

void eval_decode(const uint16_t *codes, uint32_t n, float span, float *out_logits)
{
    for (uint32_t i = 0; i < n; i++) {
        float root = (float)codes[i] / STEPS;
        out_logits[i] = -span * (root * root);
    }
}
