/* SPDX-License-Identifier: Apache-2.0
 *
 * Reference ROTATE: a sign-randomised block Hadamard transform in f32, specified to the bit. */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/rotation.h"

void q35k_rotate__ref(const float *x, int64_t rs_x, int64_t k, const q35k_rotation *rotation, int inverse,
                      float *y, int64_t rs_y, int64_t begin, int64_t end)
{
    for (int64_t t = begin; t < end; t++) {
        const float *from = (const float *)(const void *)((const char *)x + t * rs_x);
        float *to = (float *)(void *)((char *)y + t * rs_y);
        for (int64_t i = 0, b; i < k; i += b) {
            b = q35i_rotation_block(k - i, rotation->width);
            q35i_rotate_block(from + i, rotation->signs + i, b, inverse, to + i);
        }
    }
}
