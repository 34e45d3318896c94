/* SPDX-License-Identifier: Apache-2.0
 *
 * Frequencies of rotary positions. Pure. */
#ifndef Q35I_ROPE_H
#define Q35I_ROPE_H

#include <q35rt/model.h>

/* out[n_rot / 2]: radians per position of each pair. divisors: the file's rope_freqs.weight, unaligned, NULL:
 * none. Every step is rounded to f32 as in the PyTorch reference implementations, since an error of one unit in
 * the last place is 0.016 rad at position 262143. */
void q35i_rope_frequencies(const q35_model_config *config, const void *divisors, float *out);

#endif
