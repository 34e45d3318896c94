/* SPDX-License-Identifier: Apache-2.0
 *
 * Reference LINEAR: every weight dtype in canonical layout, activations A8_32 or F32. Weights are decoded a step
 * of at most 256 at a time and used for up to 32 tokens, so nothing but the stack is needed; each token's sum runs
 * over k in ascending order whatever the number of tokens. */
#include "kernels-cpu/kernels_decl.h"

enum { STEP = 256, TOKENS = 32 }; /* STEP: a multiple of every block length */

/* sum + x[i] * w[i - k0] over i in [k0, k1). */
static double dot_step(double sum, const void *x, uint32_t act_type, const float *w, int64_t k0, int64_t k1)
{
    if (act_type == Q35_DT_F32) {
        const float *v = (const float *)x;
        for (int64_t i = k0; i < k1; i++)
            sum += (double)v[i] * (double)w[i - k0];
        return sum;
    }
    const q35_act_block *blocks = (const q35_act_block *)x;
    for (int64_t i = k0; i < k1; i++) {
        const q35_act_block *b = &blocks[i / Q35_ACT_BLOCK];
        sum += (double)b->scale * (double)b->q[i % Q35_ACT_BLOCK] * (double)w[i - k0];
    }
    return sum;
}

/* One weight row for n <= TOKENS tokens. */
static void row_tokens(const char *x, uint32_t act_type, int64_t rs_x, int n, const q35k_weights *w,
                       const char *row, char *out, int64_t rs_out)
{
    q35_dtype_info d = q35_dtype_describe(w->dtype);
    double sum[TOKENS] = {0};
    float step[STEP];
    for (int64_t k0 = 0; k0 < w->k; k0 += STEP) {
        int64_t k1 = k0 + STEP < w->k ? k0 + STEP : w->k;
        for (int64_t i = k0; i < k1; i += d.block_len)
            q35_block_decode(w->dtype, row + i / d.block_len * d.block_bytes, w->book, step + (i - k0));
        for (int t = 0; t < n; t++)
            sum[t] = dot_step(sum[t], x + t * rs_x, act_type, step, k0, k1);
    }
    for (int t = 0; t < n; t++)
        *(float *)(void *)(out + t * rs_out) = (float)sum[t];
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
