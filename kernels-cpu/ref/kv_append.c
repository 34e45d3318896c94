/* SPDX-License-Identifier: Apache-2.0
 *
 * Reference KV_APPEND to a paged cache of f16, f32 or Q8_0. Specified to the bit, so the
 * arithmetic of Q8_0 is f32 as the contract writes it. */
#include "kernels-cpu/kernels_decl.h"

enum { BLOCK = 32, BLOCK_BYTES = 34 };

static void store_q8_block(const float *x, uint8_t *out)
{
    float top = 0;
    memset(out, 0, BLOCK_BYTES);
    for (int i = 0; i < BLOCK; i++) {
        if (!isfinite(x[i])) {
            uint16_t nan = 0x7e00;
            memcpy(out, &nan, sizeof nan);
            return;
        }
        top = fmaxf(top, fabsf(x[i]));
    }
    uint16_t scale = q35_f32_to_f16(top / 127);
    if (scale == 0x7c00)
        scale = 0x7bff;
    memcpy(out, &scale, sizeof scale);
    if (scale == 0)
        return;
    float d = q35_f16_to_f32(scale);
    for (int i = 0; i < BLOCK; i++)
        out[2 + i] = (uint8_t)(int8_t)rintf(fminf(fmaxf(x[i] / d, -127), 127));
}

static void store_row(const float *x, uint32_t dtype, int64_t dim, uint8_t *out)
{
    if (dtype == Q35_DT_F32) {
        memcpy(out, x, (size_t)dim * sizeof *x);
        return;
    }
    for (int64_t d = 0; d < dim && dtype == Q35_DT_Q8_0; d += BLOCK)
        store_q8_block(x + d, out + d / BLOCK * BLOCK_BYTES);
    for (int64_t d = 0; d < dim && dtype == Q35_DT_F16; d++) {
        uint16_t half = q35_f32_to_f16(x[d]);
        memcpy(out + 2 * d, &half, sizeof half);
    }
}

void q35k_kv_append__ref(const float *k, int64_t rs_k, const float *v, int64_t rs_v, const q35k_kv *kv,
                         const int32_t *slots, int64_t begin, int64_t end)
{
    int64_t dim = kv->head_dim, row_bytes = (int64_t)q35_row_bytes(kv->dtype, (uint64_t)dim);
    for (int64_t t = begin; t < end; t++) {
        const float *k_row = (const float *)(const void *)((const char *)k + t * rs_k);
        const float *v_row = (const float *)(const void *)((const char *)v + t * rs_v);
        for (int64_t g = 0; g < kv->n_kv_heads; g++) {
            int64_t at = q35k_kv_row(kv, slots[t], g) * row_bytes;
            store_row(k_row + g * dim, kv->dtype, dim, (uint8_t *)kv->k + at);
            store_row(v_row + g * dim, kv->dtype, dim, (uint8_t *)kv->v + at);
        }
    }
}
