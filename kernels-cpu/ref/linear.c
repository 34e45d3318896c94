/* SPDX-License-Identifier: Apache-2.0
 *
 * Reference LINEAR: every weight type but the row types in canonical layout, activations A8_32 or F32. It is the
 * order of f32 operations that kernels.h writes down, and nothing else: all other kernels have its bits. Weights
 * are decoded a chunk of 256 at a time and used for up to 32 tokens, so nothing but the stack is needed. */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/ref/dot_f32.h"

enum { TOKENS = 32 };

/* A chunk of a weight row: levels with their scales and minima, or floats. */
typedef struct chunk {
    q35_levels_info info;
    int8_t level[Q35K_CHUNK];
    float scale[Q35K_CHUNK / 16], min[Q35K_CHUNK / 16];
    float w[Q35K_CHUNK];
} chunk;

/* Inputs [k0, k0 + n) of a row. as_floats: also of a type with levels. */
static void decode_chunk(const q35k_weights *w, const char *row, int64_t k0, int64_t n, int as_floats, chunk *c)
{
    q35_dtype_info d = q35_dtype_describe(w->dtype);
    c->info = q35_levels_describe(w->dtype);
    if (as_floats)
        c->info.part = 0;
    for (int64_t i = 0; i < n; i += d.block_len) {
        const char *block = row + (k0 + i) / d.block_len * d.block_bytes;
        if (c->info.part == 0)
            q35_block_decode(w->dtype, block, w->book, c->w + i);
        else
            q35_block_levels(w->dtype, block, w->book, c->level + i, c->scale + i / c->info.part,
                             c->min + i / c->info.part);
    }
}

/* acc after the parts of `blocks` whole blocks of activations, ascending: the sums of integers are exact. */
static float add_parts(float acc, const q35_act_block *x, int64_t blocks, const chunk *c)
{
    const int part = c->info.part;
    for (int64_t p = 0; p < blocks * Q35_ACT_BLOCK / part; p++) {
        const q35_act_block *a = &x[p * part / Q35_ACT_BLOCK];
        const int8_t *q = a->q + p * part % Q35_ACT_BLOCK, *level = c->level + p * part;
        int32_t sum = 0, total = 0;
        for (int i = 0; i < part; i++) {
            sum += q[i] * level[i];
            total += q[i];
        }
        acc = fmaf((float)sum * a->scale, c->scale[p], acc);
        if (c->info.has_min)
            acc = fmaf((float)total * a->scale, c->min[p], acc);
    }
    return acc;
}

/* acc after inputs [k0, k0 + n) of one token. */
static float add_inputs(float acc, const void *x, uint32_t act_type, int64_t k0, int64_t n, const chunk *c)
{
    if (act_type == Q35_DT_F32)
        return q35k_add_chunk(acc, (const float *)x + k0, c->w, n);
    const q35_act_block *blocks = (const q35_act_block *)x + k0 / Q35_ACT_BLOCK;
    if (c->info.part)
        return add_parts(acc, blocks, (n + Q35_ACT_BLOCK - 1) / Q35_ACT_BLOCK, c);
    float v[Q35K_CHUNK];
    for (int64_t i = 0; i < n; i++)
        v[i] = blocks[i / Q35_ACT_BLOCK].scale * (float)blocks[i / Q35_ACT_BLOCK].q[i % Q35_ACT_BLOCK];
    return q35k_add_chunk(acc, v, c->w, n);
}

/* One weight row for n <= TOKENS tokens. */
static void row_tokens(const char *x, uint32_t act_type, int64_t rs_x, int n, const q35k_weights *w,
                       const char *row, char *out, int64_t rs_out)
{
    float acc[TOKENS] = {0};
    chunk c;
    for (int64_t k0 = 0; k0 < w->k; k0 += Q35K_CHUNK) {
        int64_t inputs = w->k - k0 < Q35K_CHUNK ? w->k - k0 : Q35K_CHUNK;
        decode_chunk(w, row, k0, inputs, act_type == Q35_DT_F32, &c);
        for (int t = 0; t < n; t++)
            acc[t] = add_inputs(acc[t], x + t * rs_x, act_type, k0, inputs, &c);
    }
    for (int t = 0; t < n; t++)
        *(float *)(void *)(out + t * rs_out) = q35k_one_nan(acc[t]);
}

void q35k_linear__ref(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens, const q35k_weights *w,
                      float *out, int64_t rs_out, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    for (int64_t r = begin; r < end; r++) {
        const char *row = (const char *)w->data + r * w->rs;
        for (int64_t t = 0; t < n_tokens; t += TOKENS) {
            int n = (int)(n_tokens - t < TOKENS ? n_tokens - t : TOKENS);
            row_tokens((const char *)x + t * rs_x, act_type, rs_x, n, w, row, (char *)(out + r) + t * rs_out,
                       rs_out);
        }
    }
}
