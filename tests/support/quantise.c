/* SPDX-License-Identifier: Apache-2.0
 *
 * Plain quantisers for test models. Block layouts: <q35rt/blocks.h>. */
#include "quantise.h"

#include <q35rt/blocks.h>

#include <math.h>

static void store_f16(uint8_t *out, float value)
{
    uint16_t h = q35_f32_to_f16(value);
    memcpy(out, &h, sizeof h);
}

static float load_f16(const uint8_t *p)
{
    return q35_f16_to_f32(q35_load_u16(p));
}

static int clamp_round(float value, int low, int high)
{
    float r = nearbyintf(value);
    return r < (float)low ? low : r > (float)high ? high : (int)r;
}

/* Q8_0: d, i8[32]; w = d q. */
static void block_q8_0(const float *x, uint8_t *out)
{
    float most = 0;
    for (int i = 0; i < 32; i++)
        most = fmaxf(most, fabsf(x[i]));
    store_f16(out, most / 127);
    float d = load_f16(out);
    for (int i = 0; i < 32; i++)
        out[2 + i] = (uint8_t)(int8_t)(d > 0 ? clamp_round(x[i] / d, -127, 127) : 0);
}

/* Q4_0: d, nibbles; w = d (q - 8). */
static void block_q4_0(const float *x, uint8_t *out)
{
    float most = 0;
    for (int i = 0; i < 32; i++)
        most = fmaxf(most, fabsf(x[i]));
    store_f16(out, most / 7);
    float d = load_f16(out);
    for (int i = 0; i < 16; i++) {
        int low = d > 0 ? clamp_round(x[i] / d + 8, 0, 15) : 8,
            high = d > 0 ? clamp_round(x[i + 16] / d + 8, 0, 15) : 8;
        out[2 + i] = (uint8_t)(low | high << 4);
    }
}

/* Q4_1: d, m, nibbles; w = d q + m. */
static void block_q4_1(const float *x, uint8_t *out)
{
    float low = x[0], high = x[0];
    for (int i = 1; i < 32; i++) {
        low = fminf(low, x[i]);
        high = fmaxf(high, x[i]);
    }
    store_f16(out, (high - low) / 15);
    store_f16(out + 2, low);
    float d = load_f16(out), m = load_f16(out + 2);
    for (int i = 0; i < 16; i++) {
        int a = d > 0 ? clamp_round((x[i] - m) / d, 0, 15) : 0,
            b = d > 0 ? clamp_round((x[i + 16] - m) / d, 0, 15) : 0;
        out[4 + i] = (uint8_t)(a | b << 4);
    }
}

static int quantise_block(uint32_t dtype, const float *x, uint8_t *out)
{
    uint32_t bits;
    switch (dtype) {
    case Q35_DT_F32: memcpy(out, x, sizeof *x); return 1;
    case Q35_DT_F16: store_f16(out, *x); return 1;
    case Q35_DT_BF16: /* round to nearest even; finite input */
        memcpy(&bits, x, sizeof bits);
        bits += 0x7fffu + (bits >> 16 & 1u);
        out[0] = (uint8_t)(bits >> 16);
        out[1] = (uint8_t)(bits >> 24);
        return 1;
    case Q35_DT_Q8_0: block_q8_0(x, out); return 1;
    case Q35_DT_Q4_0: block_q4_0(x, out); return 1;
    case Q35_DT_Q4_1: block_q4_1(x, out); return 1;
    default: return 0;
    }
}

int q35t_quantise_row(uint32_t dtype, const float *x, uint64_t k, uint8_t *out)
{
    q35_dtype_info d = q35_dtype_describe(dtype);
    int ok = d.block_len != 0;
    for (uint64_t i = 0; ok && i < k; i += d.block_len, out += d.block_bytes)
        ok = quantise_block(dtype, x + i, out);
    return ok;
}
