/* SPDX-License-Identifier: Apache-2.0
 *
 * One chunk of float weights times tokens, 4, 2 or 1 at a time; for each token the operations are the same: 256
 * fused products in CHAINS interleaved sums from 0, which are then added. */
#include "kernels-cpu/neon/tile4.h"

enum { CHAINS = 4 };

/* Input i of n tokens, into sum c; every parts-th vector. */
Q35I_INLINE void add_input(int n, int parts, const float32x4_t *w, int i, const uint8_t *x, int64_t rs, int c,
                           float32x4_t sum[4][CHAINS])
{
    float32x4_t v = w[i * parts];
    for (int t = 0; t < n; t++) {
        float a;
        memcpy(&a, x + t * rs + 4 * (int64_t)i, 4);
        sum[t][c] = vfmaq_n_f32(sum[t][c], v, a);
    }
}

/* One vector of rows; n and parts are constants where this is inlined. */
Q35I_INLINE void tokens_f32(int n, int parts, const float32x4_t *w, int inputs, const uint8_t *x, int64_t rs,
                            float *acc)
{
    float32x4_t sum[4][CHAINS];
    for (int t = 0; t < n; t++)
        for (int c = 0; c < CHAINS; c++)
            sum[t][c] = vdupq_n_f32(0);
    int i = 0;
    for (; i + CHAINS <= inputs; i += CHAINS)
        for (int c = 0; c < CHAINS; c++)
            add_input(n, parts, w, i + c, x, rs, c, sum);
    for (int c = 0; i + c < inputs && c < CHAINS; c++)
        add_input(n, parts, w, i + c, x, rs, c, sum);
    for (int t = 0; t < n; t++) {
        float *to = acc + 4 * parts * t;
        float32x4_t all = vaddq_f32(vaddq_f32(sum[t][0], sum[t][1]), vaddq_f32(sum[t][2], sum[t][3]));
        vst1q_f32(to, vaddq_f32(vld1q_f32(to), all));
    }
}

Q35I_INLINE void all_tokens(int parts, const float32x4_t *w, int inputs, const uint8_t *x, int64_t rs, int64_t n,
                            float *acc)
{
    for (; n >= 4; n -= 4, x += 4 * rs, acc += 16 * parts)
        tokens_f32(4, parts, w, inputs, x, rs, acc);
    if (n & 2) {
        tokens_f32(2, parts, w, inputs, x, rs, acc);
        x += 2 * rs;
        acc += 8 * parts;
    }
    if (n & 1)
        tokens_f32(1, parts, w, inputs, x, rs, acc);
}

void q35i_dot_f32__neon(const float32x4_t *w, int parts, int inputs, const uint8_t *x, int64_t rs_x,
                        int64_t n_tokens, float *acc)
{
    if (parts == 1) {
        all_tokens(1, w, inputs, x, rs_x, n_tokens, acc);
        return;
    }
    all_tokens(2, w, inputs, x, rs_x, n_tokens, acc);
    all_tokens(2, w + 1, inputs, x, rs_x, n_tokens, acc + 4);
}
