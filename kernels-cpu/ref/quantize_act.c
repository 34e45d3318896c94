/* SPDX-License-Identifier: Apache-2.0
 *
 * Reference QUANTIZE_ACT: f32 rows, rotated or not, to codes with one scale per 32, 128 or row. This op is
 * specified to the bit, so the arithmetic is f32 as the contract writes it: one division, one product per input,
 * round half to even. */
#include "kernels-cpu/kernels_decl.h"

#include <math.h>

/* n inputs that share a scale; codes n .. padded - 1 are 0. */
static q35_act_row quantize(const float *x, int64_t n, int64_t padded, int8_t *q)
{
    float amax = 0;
    memset(q, 0, (size_t)padded);
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            return (q35_act_row){.scale = NAN};
        amax = fmaxf(amax, fabsf(x[i]));
    }
    if (amax == 0)
        return (q35_act_row){0};
    float inverse = 127.0f / amax;
    if (!isfinite(inverse)) /* amax below 127 / FLT_MAX counts as 0 */
        return (q35_act_row){0};
    q35_act_row head = {.scale = amax / 127.0f};
    for (int64_t i = 0; i < n; i++) {
        int code = (int)rintf(x[i] * inverse);
        q[i] = (int8_t)code;
        head.sum += code;
    }
    return head;
}

static void quantize_row(const float *x, int64_t k, uint32_t act_type, char *out)
{
    if (act_type == Q35_DT_A8_ROW) {
        q35_act_row head = quantize(x, k, (k + 63) / 64 * 64, (int8_t *)out + sizeof head);
        memcpy(out, &head, sizeof head);
        return;
    }
    int64_t unit = act_type == Q35_DT_A8_128 ? Q35_ACT_GROUP : Q35_ACT_BLOCK;
    for (int64_t i = 0; i < k; i += unit) {
        q35_act_row head = quantize(x + i, k - i < unit ? k - i : unit, unit, (int8_t *)out + sizeof head);
        memcpy(out, &head, sizeof head);
        out += (int64_t)sizeof head + unit;
    }
}

void q35k_quantize_act__ref(const float *x, int64_t rs_x, int64_t k, const q35k_rotation *rotation,
                            uint32_t act_type, void *out, int64_t rs_out, int64_t begin, int64_t end,
                            float *scratch)
{
    for (int64_t t = begin; t < end; t++) {
        const float *row = (const float *)(const void *)((const char *)x + t * rs_x);
        if (rotation) {
            q35k_rotate__ref(row, 0, k, rotation, 0, scratch, 0, 0, 1);
            row = scratch;
        }
        quantize_row(row, k, act_type, (char *)out + t * rs_out);
    }
}
