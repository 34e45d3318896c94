/* SPDX-License-Identifier: Apache-2.0
 *
 * Activations in the order in which the walk of LINEAR of row types (row_walk.h) reads them: a panel, as kernels.h
 * has it. The tokens lie in blocks of Q35I_ROW_BLOCK, at the end in smaller ones; a block of n takes the bytes of
 * the canonical rows of its tokens:
 *
 *   per group of 128 inputs, or of A8_ROW once: f32 scale[n], int32 bias[n], which is -PANEL_BIAS * sum
 *   per set of 64 inputs: 64 n bytes of codes, those of an instruction set's choice:
 *     dword by dword    int32 [16][n], words as a set's weights come (sort_codes)
 *     PANEL_OF_ROWS     [n][64], the codes of a token as sort_codes leaves them
 *
 * Static only; the including file brings first what row_walk.h asks for.
 */
#ifndef Q35I_SIMD_ROW_PANEL_H
#define Q35I_SIMD_ROW_PANEL_H

static inline int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Tokens of the block that begins with `left` tokens to go. */
static inline int tokens_of_block(int64_t left)
{
#ifdef OWN_MULTIPLY
    return (int)least(left, Q35I_ROW_BLOCK);
#else
    return left >= Q35I_ROW_BLOCK ? Q35I_ROW_BLOCK : left >= 4 ? 4 : left >= 2 ? 2 : 1;
#endif
}

/* Scales of a token with k inputs. */
static inline int64_t groups_of(uint32_t act_type, int64_t k)
{
    return act_type == Q35_DT_A8_128 ? (k + Q35_ACT_GROUP - 1) / Q35_ACT_GROUP : 1;
}

/* 64 codes from input 64 s on, of one token. Both types are padded as far as the last set. */
static inline const int8_t *codes_of(const uint8_t *x, uint32_t act_type, int64_t s)
{
    if (act_type == Q35_DT_A8_ROW)
        return (const int8_t *)x + sizeof(q35_act_row) + 64 * s;
    return ((const q35_act_group *)(const void *)x)[s / 2].q + 64 * (s % 2);
}

/* The row x of token i of a block of n. */
static void pack_token(const uint8_t *x, uint32_t act_type, int64_t k, int n, int i, uint8_t *block)
{
    const int64_t groups = groups_of(act_type, k), sets = (k + Q35K_ROW16_SET - 1) / Q35K_ROW16_SET;
    float *scale = (float *)(void *)block;
    int32_t *bias = (int32_t *)(void *)block + n;
    for (int64_t g = 0; g < groups; g++) {
        q35_act_row head;
        memcpy(&head, x + g * (int64_t)sizeof(q35_act_group), sizeof head);
        scale[2 * n * g + i] = head.scale;
        bias[2 * n * g + i] = -PANEL_BIAS * head.sum;
    }
    int32_t *to = (int32_t *)(void *)block + 2 * n * groups;
    for (int64_t s = 0; s < sets; s++, to += 16 * n) {
#ifdef PANEL_OF_ROWS
        sort_codes(Q35_DT_Q35_ROW, codes_of(x, act_type, s), to + 16 * i);
#else
        int32_t word[16];
        sort_codes(Q35_DT_Q35_ROW, codes_of(x, act_type, s), word);
        for (int v = 0; v < 16; v++)
            to[v * n + i] = word[v];
#endif
    }
}

/* PACK_ACT. */
static inline void pack_tokens(const uint8_t *x, uint32_t act_type, int64_t rs_x, int64_t k, int64_t n_tokens,
                               uint8_t *panel, int64_t begin, int64_t end)
{
    const int64_t rs = (int64_t)q35_row_bytes(act_type, (uint64_t)k);
    int64_t t = begin / Q35I_ROW_BLOCK * Q35I_ROW_BLOCK;
    while (t < end) {
        const int n = tokens_of_block(n_tokens - t);
        for (int i = 0; i < n; i++)
            if (t + i >= begin && t + i < end)
                pack_token(x + (t + i - begin) * rs_x, act_type, k, n, i, panel + t * rs);
        t += n;
    }
}

#endif
