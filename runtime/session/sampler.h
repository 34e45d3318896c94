/* SPDX-License-Identifier: Apache-2.0
 *
 * Sampling from less than all logits. */
#ifndef Q35I_SAMPLER_H
#define Q35I_SAMPLER_H

#include <q35rt/sampler.h>

/* n_vocab of q35_sampler_create. */
uint32_t q35i_sampler_vocabulary(const q35_sampler *sampler);

/* Samples from the n highest logits of a row and their ids, best first (TOP_K's order), all of them finite. 0:
 * they do not decide what q35_sampler_sample would give of the whole row; nothing has changed then. */
int q35i_sampler_choose(q35_sampler *sampler, const float *logits, const int32_t *ids, uint32_t n,
                        int32_t *out_id);

#endif
