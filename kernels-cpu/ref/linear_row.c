/* SPDX-License-Identifier: Apache-2.0
 *
 * Reference LINEAR of weights with one scale per row, canonical layout, specified to the bit: exact int32 sums,
 * then the few f32 operations that kernels.h writes down; F32 activations: as LINEAR of float weights. Levels are
 * decoded a chunk of 256 inputs at a time for up to 32 tokens. */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/ref/dot_f32.h"

enum { TOKENS = 32 };

/* Sums of one row for TOKENS tokens, by activation type. */
typedef struct sums {
    int32_t exact[TOKENS]; /* A8_ROW */
    float grouped[TOKENS]; /* A8_128 */
    float decoded[TOKENS]; /* F32 */
} sums;

static int32_t dot_levels(const int8_t *q, const int8_t *level, int64_t n)
{
    int32_t sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (int32_t)q[i] * (int32_t)level[i];
    return sum;
}

/* Adds the chunk of n inputs from k0 on, of token t. */
static void add_inputs(sums *s, int t, const void *x, uint32_t act_type, float scale, const int8_t *level,
                       int64_t k0, int64_t n)
{
    if (act_type == Q35_DT_A8_ROW) {
        s->exact[t] += dot_levels((const int8_t *)x + sizeof(q35_act_row) + k0, level, n);
    } else if (act_type == Q35_DT_A8_128) {
        const q35_act_group *g = (const q35_act_group *)x + k0 / Q35_ACT_GROUP;
        for (int64_t i = 0; i < n; i += Q35_ACT_GROUP, g++) {
            int32_t sum = dot_levels(g->q, level + i, n - i < Q35_ACT_GROUP ? n - i : Q35_ACT_GROUP);
            s->grouped[t] = fmaf((float)sum, g->scale, s->grouped[t]);
        }
    } else {
        float w[Q35K_CHUNK];
        for (int64_t i = 0; i < n; i++)
            w[i] = scale * (float)level[i];
        s->decoded[t] = q35k_add_chunk(s->decoded[t], (const float *)x + k0, w, n);
    }
}

static float result(const sums *s, int t, const void *x, uint32_t act_type, float scale)
{
    float y = s->decoded[t];
    if (act_type == Q35_DT_A8_ROW)
        y = (scale * ((const q35_act_row *)x)->scale) * (float)s->exact[t];
    else if (act_type == Q35_DT_A8_128)
        y = scale * s->grouped[t];
    return q35k_one_nan(y);
}

/* One weight row for n <= TOKENS tokens. */
static void row_tokens(const char *x, uint32_t act_type, int64_t rs_x, int n, const q35k_weights *w,
                       const uint8_t *row, char *out, int64_t rs_out)
{
    q35_dtype_info d = q35_dtype_describe(w->dtype);
    sums s = {0};
    int8_t level[Q35K_CHUNK];
    float scale;
    memcpy(&scale, row, sizeof scale);
    for (int64_t k0 = 0; k0 < w->k; k0 += Q35K_CHUNK) {
        int64_t inputs = w->k - k0 < Q35K_CHUNK ? w->k - k0 : Q35K_CHUNK;
        for (int64_t i = 0; i < inputs; i += d.block_len)
            q35_row_levels(w->dtype, row + d.row_head + (k0 + i) / d.block_len * d.block_bytes, w->book,
                           level + i);
        for (int t = 0; t < n; t++)
            add_inputs(&s, t, x + t * rs_x, act_type, scale, level, k0, inputs);
    }
    for (int t = 0; t < n; t++)
        *(float *)(void *)(out + t * rs_out) = result(&s, t, x + t * rs_x, act_type, scale);
}

/* The rows without gaps. */
void q35k_pack_act__ref(const void *x, uint32_t act_type, int64_t rs_x, int64_t k, int64_t n_tokens, void *panel,
                        int64_t begin, int64_t end)
{
    const int64_t row_bytes = (int64_t)q35_row_bytes(act_type, (uint64_t)k);
    (void)n_tokens;
    for (int64_t t = begin; t < end; t++)
        memcpy((char *)panel + t * row_bytes, (const char *)x + (t - begin) * rs_x, (size_t)row_bytes);
}

void q35k_linear_row__ref(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens, const q35k_weights *w,
                          float *out, int64_t rs_out, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    if (act_type & Q35K_PANEL) {
        act_type &= ~Q35K_PANEL;
        rs_x = (int64_t)q35_row_bytes(act_type, (uint64_t)w->k);
    }
    for (int64_t r = begin; r < end; r++) {
        const uint8_t *row = (const uint8_t *)w->data + r * w->rs;
        for (int64_t t = 0; t < n_tokens; t += TOKENS) {
            int n = (int)(n_tokens - t < TOKENS ? n_tokens - t : TOKENS);
            row_tokens((const char *)x + t * rs_x, act_type, rs_x, n, w, row, (char *)(out + r) + t * rs_out,
                       rs_out);
        }
    }
}
