/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR of row types with AVX2: products of bytes by vpmaddubsw, which do not saturate (row.h), and vpmaddwd. */
#include "kernels-cpu/avx2/row.h"
#include "kernels-cpu/kernels_decl.h"

Q35I_INLINE __m256i multiply_bytes(__m256i sum, __m256i magnitudes, __m256i a)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(magnitudes, a), _mm256_set1_epi16(1)));
}

#include "kernels-cpu/avx2/linear_row.h"

void q35k_linear_row__avx2(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens, const q35k_weights *w,
                           float *out, int64_t rs_out, int64_t begin, int64_t end, void *scratch)
{
    linear_row(x, act_type, rs_x, n_tokens, w, out, rs_out, begin, end, scratch);
}
