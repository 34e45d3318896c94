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
#ifdef ANY_BLOCK
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

/* Scales and biases of token i of a block of n, whose row is x. */
static void pack_heads(const uint8_t *x, int64_t groups, int n, int i, uint8_t *block)
{
    float *scale = (float *)(void *)block;
    int32_t *bias = (int32_t *)(void *)block + n;
    for (int64_t g = 0; g < groups; g++) {
        q35_act_row head;
        memcpy(&head, x + g * (int64_t)sizeof(q35_act_group), sizeof head);
        scale[2 * n * g + i] = head.scale;
        bias[2 * n * g + i] = -PANEL_BIAS * head.sum;
    }
}

/* Codes of a token of a set, to its place in the set of its block of n tokens. */
static void pack_codes(const int8_t *codes, int n, int i, int32_t *set)
{
#ifdef PANEL_OF_ROWS
    (void)n;
    sort_codes(Q35_DT_Q35_ROW, codes, set + 16 * i);
#else
    int32_t word[16];
    sort_codes(Q35_DT_Q35_ROW, codes, word);
    for (int v = 0; v < 16; v++)
        set[v * n + i] = word[v];
#endif
}

#ifndef OWN_PACK_SET

/* A set of a whole block, from the rows' codes, rs bytes apart. A file that has something faster defines
 * OWN_PACK_SET and this function. */
static void pack_set(const int8_t *codes, int64_t rs, int32_t *set)
{
    for (int i = 0; i < Q35I_ROW_BLOCK; i++)
        pack_codes(codes + i * rs, Q35I_ROW_BLOCK, i, set);
}

#endif

/* Tokens [first, last) of a block of n; x: the row of the first. */
static void pack_some(const uint8_t *x, uint32_t act_type, int64_t rs_x, int64_t k, int n, int first, int last,
                      uint8_t *block)
{
    const int64_t groups = groups_of(act_type, k), sets = (k + Q35K_ROW16_SET - 1) / Q35K_ROW16_SET;
    int32_t *set = (int32_t *)(void *)block + 2 * n * groups;
    for (int i = first; i < last; i++)
        pack_heads(x + (i - first) * rs_x, groups, n, i, block);
    for (int64_t s = 0; s < sets; s++, set += 16 * n) {
        const int8_t *codes = codes_of(x, act_type, s);
        if (last - first == Q35I_ROW_BLOCK)
            pack_set(codes, rs_x, set);
        else
            for (int i = first; i < last; i++)
                pack_codes(codes + (i - first) * rs_x, n, i, set);
    }
}

/* PACK_ACT. */
static inline void pack_tokens(const uint8_t *x, uint32_t act_type, int64_t rs_x, int64_t k, int64_t n_tokens,
                               uint8_t *panel, int64_t begin, int64_t end)
{
    const int64_t rs = (int64_t)q35_row_bytes(act_type, (uint64_t)k);
    for (int64_t t = begin / Q35I_ROW_BLOCK * Q35I_ROW_BLOCK, n; t < end; t += n) {
        n = tokens_of_block(n_tokens - t);
        const int64_t first = t < begin ? begin : t, last = least(t + n, end);
        if (first < last)
            pack_some(x + (first - begin) * rs_x, act_type, rs_x, k, (int)n, (int)(first - t), (int)(last - t),
                      panel + t * rs);
    }
}

#endif
