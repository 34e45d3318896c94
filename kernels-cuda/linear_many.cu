/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR of weights with one scale per row and many tokens: a block has 64 rows and 64 tokens, each of its four
 * warps a slice. Weights go straight to registers and are decoded once for all tokens of the block; activations
 * come through shared memory in three stages. */
#include "kernels-cuda/codec.cuh"
#include "kernels-cuda/math.cuh"
#include "kernels-cuda/parts.cuh"

/* What a block stages of its tokens: codes of 128 inputs, 17 units of 8 bytes apart, and heads of groups. */
struct token_stages {
    shared_span<uint2> codes, heads;
};

enum {
    STAGE_STRIDE = Q35_CUDA_MANY_STRIDE / 8,
    STAGE_UNITS = Q35_CUDA_MANY_TOKENS * STAGE_STRIDE,
    COLUMNS = Q35_CUDA_MANY_TOKENS / 8 /* of mma, each eight tokens */
};

/* Starts the copies of tile j for the tokens from x on. */
template <bool Grouped>
static Q35_METHOD void stage_tokens(const token_stages &to, const q35_linear_args &a, const uint8_t *x,
                                    int n_tokens, int j)
{
    const unsigned stage = (unsigned)j % Q35_CUDA_MANY_STAGES, tid = threadIdx.x;
    const int padded = (a.k + 63) / 64 * 64;
    for (unsigned i = tid; i < Q35_CUDA_MANY_TOKENS * 16; i += 128) {
        const int token = (int)(i / 16), k = j * Q35_CUDA_TILE_K + 8 * (int)(i % 16);
        const unsigned at = stage * STAGE_UNITS + (unsigned)token * STAGE_STRIDE + i % 16;
        if (token < n_tokens && k < padded) {
            const uint8_t *row = x + token * a.rs_x;
            copy_async8(to.codes, at, Grouped ? row + (int64_t)j * 136 + 8 + 8 * (i % 16) : row + 8 + k);
        } else {
            to.codes[at].x = 0;
            to.codes[at].y = 0;
        }
    }
    if (Grouped && (int)tid < n_tokens)
        copy_async8(to.heads, stage * Q35_CUDA_MANY_TOKENS + tid, x + tid * a.rs_x + (int64_t)j * 136);
}

/* Adds the sums of a group of 128 inputs, times the group's scale, to the results, and clears them. */
template <typename Codec>
static Q35_METHOD void join_group(int (&sums)[COLUMNS][4], float (&grouped)[COLUMNS][4], shared_span<uint2> heads,
                                  unsigned first, int tokens, int t)
{
    Q35_UNROLL
    for (int c = 0; c < COLUMNS; c++) {
        Q35_UNROLL
        for (int i = 0; i < 4; i++) {
            const int token = 8 * c + 2 * t + i % 2;
            if (token < tokens) {
                const uint2 head = heads[first + (unsigned)token];
                const int sum = level_sum<Codec>(sums[c][i], (int)head.y);
                grouped[c][i] = fmaf((float)sum, float_of_bits(head.x), grouped[c][i]);
            }
            sums[c][i] = 0;
        }
    }
}

template <typename Codec, bool Grouped> static Q35_METHOD void linear_many(const q35_linear_args &a)
{
    begin();
    unsigned used = 0;
    const shared_span<uint32_t> table = shared_take<uint32_t>(used, Codec::table_words);
    const shared_table lookup(table, threadIdx.x % 32);
    token_stages stages;
    stages.codes = shared_take<uint2>(used, Q35_CUDA_MANY_STAGES * STAGE_UNITS);
    stages.heads = shared_take<uint2>(used, Q35_CUDA_MANY_STAGES * Q35_CUDA_MANY_TOKENS);
    const int lane = (int)threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const int valid = rows_valid(a.rows_at, a.n_rows), token0 = (int)blockIdx.y * Q35_CUDA_MANY_TOKENS;
    if (token0 >= valid)
        return;
    const int tokens = valid - token0 < Q35_CUDA_MANY_TOKENS ? valid - token0 : (int)Q35_CUDA_MANY_TOKENS;
    const int number = (int)blockIdx.x * (Q35_CUDA_MANY_ROWS / Q35_CUDA_SLICE_ROWS) + (int)threadIdx.x / 32;
    const int tiles = (a.k + Q35_CUDA_TILE_K - 1) / Q35_CUDA_TILE_K;
    const int64_t slice_bytes = Q35_CUDA_T16_HEAD + (int64_t)tiles * Codec::tile_bytes;
    const linear_slice slice = slice_of<Q35_CUDA_SLICE_ROWS>(a, number, slice_bytes);
    const bool busy = slice.rows > 0;
    const uint8_t *x = at_address<const uint8_t>(a.x, token0 * a.rs_x);

    int sums[COLUMNS][4] = {};
    float grouped[COLUMNS][4] = {};
    Codec next;
    next.clear();
    if (busy && tiles > 0)
        next.load(tile_at<Codec>(slice.w, 0), (uint32_t)lane);
    for (int j = 0; j < Q35_CUDA_MANY_STAGES - 1; j++) {
        if (j < tiles)
            stage_tokens<Grouped>(stages, a, x, tokens, j);
        copy_async_commit();
    }
    if (Codec::table_words)
        fill_table(table, a.book, Codec::spare_bits, 128);
    for (int j = 0; j < tiles; j++) {
        copy_async_wait<Q35_CUDA_MANY_STAGES - 2>();
        barrier();
        if (j + Q35_CUDA_MANY_STAGES - 1 < tiles)
            stage_tokens<Grouped>(stages, a, x, tokens, j + Q35_CUDA_MANY_STAGES - 1);
        copy_async_commit();
        Codec tile = next;
        if (busy && j + 1 < tiles)
            next.load(tile_at<Codec>(slice.w, j + 1), (uint32_t)lane);
        tile.prepare();
        const unsigned stage = (unsigned)j % Q35_CUDA_MANY_STAGES;
        Q35_UNROLL
        for (int s = 0; s < 4; s++) {
            uint32_t w[4];
            tile.expand(s, lookup, w);
            Q35_UNROLL
            for (int c = 0; c < COLUMNS; c++) {
                if (8 * c >= tokens)
                    continue;
                const uint2 b =
                    stages.codes[stage * STAGE_UNITS + (unsigned)((8 * c + g) * STAGE_STRIDE + 4 * t + s)];
                mma_s8(sums[c], w[0], w[1], w[2], w[3], b.x, b.y);
            }
        }
        if constexpr (Grouped)
            join_group<Codec>(sums, grouped, stages.heads, stage * Q35_CUDA_MANY_TOKENS, tokens, t);
    }
    Q35_UNROLL
    for (int c = 0; c < COLUMNS; c++) {
        Q35_UNROLL
        for (int i = 0; i < 4; i++) {
            const int token = 8 * c + 2 * t + i % 2, row = g + i / 2 * 8;
            if (token >= tokens || row >= slice.rows)
                continue;
            const float scale = reinterpret_cast<const float *>(slice.w)[row];
            const q35_act_row *act = reinterpret_cast<const q35_act_row *>(x + token * a.rs_x);
            const float y = Grouped ? scale * grouped[c][i]
                                    : (scale * act->scale) * (float)level_sum<Codec>(sums[c][i], act->sum);
            at_address<float>(slice.y, (token0 + token) * slice.rs_y)[row] = one_nan(y);
        }
    }
}

#define Q35_LINEAR_MANY(type)                                                                                     \
    Q35_KERNEL(128) q35_linear_many_##type##_row(const q35_linear_args a)                                         \
    {                                                                                                             \
        linear_many<codec_##type, false>(a);                                                                      \
    }                                                                                                             \
    Q35_KERNEL(128) q35_linear_many_##type##_g128(const q35_linear_args a)                                        \
    {                                                                                                             \
        linear_many<codec_##type, true>(a);                                                                       \
    }

Q35_LINEAR_MANY(q35)
Q35_LINEAR_MANY(q40)
Q35_LINEAR_MANY(q60)
