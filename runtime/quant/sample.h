/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights of a model as the quantiser sees them: reading pieces of rows, and the sample a codebook is trained on.
 */
#ifndef Q35I_SAMPLE_H
#define Q35I_SAMPLE_H

#include <q35rt/model.h>

/* One weight matrix [N][K] to quantise. */
typedef struct q35i_linear {
    const q35_tensor_info *info; /* rank 2, dtype with a decoder, K and N > 0 */
    float *importance;           /* f32 [K], mean 1: cost of a squared error per input channel; NULL: all alike */
} q35i_linear;

/* Weights [column, column + n) of a row of the matrix as floats. Reads the mapped file only. */
void q35i_read_weights(const q35_tensor_info *info, uint64_t row, uint64_t column, uint64_t n, float *out);

/* At most `limit` pairs at a fixed stride over all linears: pairs f32 [n][2], in units of their group's root mean
 * square and pulled in to 5 of them, and weights f32 [n][2], their importance. Pairs of zeros and pairs of groups
 * with a weight that is not finite are left out. Both arrays are returned (q35i_free). pool NULL: the calling
 * thread alone. */
q35_status q35i_sample_pairs(const q35i_linear *linears, uint64_t n_linears, uint64_t limit, q35_pool *pool,
                             float **out_pairs, float **out_weights, uint64_t *out_n);

#endif
