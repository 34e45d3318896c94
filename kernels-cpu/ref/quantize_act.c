/* SPDX-License-Identifier: Apache-2.0
 *
 * Reference QUANTIZE_ACT: f32 rows to blocks of 32 codes. This op is specified to the bit, so the arithmetic is
 * f32 as the contract writes it: one division, one product per input, round half to even. */
#include "kernels-cpu/kernels_decl.h"

#include <math.h>

/* n <= 32 inputs; codes past n are 0. */
static void quantize_block(const float *x, int64_t n, q35_act_block *out)
{
    float amax = 0;
    *out = (q35_act_block){0};
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) {
            out->scale = NAN;
            return;
        }
        amax = fmaxf(amax, fabsf(x[i]));
    }
    if (amax == 0)
        return;
    float inverse = 127.0f / amax;
    if (!isfinite(inverse)) /* amax below 127 / FLT_MAX counts as 0 */
        return;
    out->scale = amax / 127.0f;
    for (int64_t i = 0; i < n; i++) {
        int code = (int)rintf(x[i] * inverse);
        out->q[i] = (int8_t)code;
        out->sum += code;
    }
}

void q35k_quantize_act__ref(const float *x, int64_t rs_x, int64_t k, q35_act_block *out, int64_t rs_out,
                            int64_t begin, int64_t end)
{
    for (int64_t t = begin; t < end; t++) {
        const float *row = (const float *)(const void *)((const char *)x + t * rs_x);
        q35_act_block *blocks = (q35_act_block *)(void *)((char *)out + t * rs_out);
        for (int64_t i = 0; i < k; i += Q35_ACT_BLOCK)
            quantize_block(row + i, k - i < Q35_ACT_BLOCK ? k - i : Q35_ACT_BLOCK, &blocks[i / Q35_ACT_BLOCK]);
    }
}
