/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR of weights with one scale per row and many tokens, by wgmma: a block has 128 rows and 128 tokens, each of
 * its two warpgroups 64 rows, each warp a slice. Weights are decoded in registers, which are wgmma's first operand
 * as they are mma's; wgmma reads the tokens' codes from shared memory, where each comes once for all rows.
 *
 * A token's row in shared memory has the 32 inputs of step s together, in the order in which a lane t has them:
 * word 8 t + 2 s + h of the tile is word t of unit 2 s + h. A warp copies a row at a time, a word per lane. */
#include "kernels-cuda/codec.cuh"
#include "kernels-cuda/math.cuh"
#include "kernels-cuda/parts.cuh"

#if defined(Q35_HAS_WGMMA)

struct wide_stages {
    shared_rows codes; /* tile j's tokens from row j % stages * tokens on */
    shared_span<uint2> heads;
};

enum { WIDE_WARPS = 8, WIDE_HALF = 64 /* tokens of one wgmma */ };

/* Starts the copies of tile j for the tokens from x on; rows of others become zeros. */
template <bool Grouped, int Halves>
static Q35_METHOD void stage_wide(const wide_stages &to, const q35_linear_args &a, const uint8_t *x, int tokens,
                                  int j)
{
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const unsigned first = (unsigned)j % Q35_CUDA_WIDE_STAGES * Q35_CUDA_WIDE_TOKENS;
    const bool there = j * Q35_CUDA_TILE_K + 4 * (int)lane < (a.k + 63) / 64 * 64;
    /* Rows are warp, warp + 8, ..: the order of units is the same in all of them. */
    const unsigned place = 128 * (first + warp) + 16 * (lane % 8 ^ warp) + 4 * (lane / 8);
    const uint8_t *from = x + (int)warp * a.rs_x + (int64_t)j * (Grouped ? 136 : 128) + 8 + (there ? 4 * lane : 0);
    Q35_UNROLL
    for (unsigned i = 0; i < WIDE_HALF * Halves / WIDE_WARPS; i++)
        copy_async4(to.codes, place + 128 * WIDE_WARPS * i, from + (int)(WIDE_WARPS * i) * a.rs_x,
                    there && (int)(warp + WIDE_WARPS * i) < tokens);
    if (Grouped && (int)threadIdx.x < tokens)
        copy_async8(to.heads, first + threadIdx.x, x + (int)threadIdx.x * a.rs_x + (int64_t)j * 136);
    else if (Grouped && threadIdx.x < WIDE_HALF * Halves)
        to.heads[first + threadIdx.x] = uint2{0, 0};
}

/* (float)v of a sum of 128 products of bytes: below 2^22, and so an addition is exact, and faster than a
 * conversion. */
Q35_DEVICE float float_of_sum(int v)
{
    return float_of_bits(0x4b400000u + (uint32_t)v) - 12582912.0f;
}

/* Adds the sums of a group of 128 inputs, times the group's scale, to the results. */
template <typename Codec, int Halves>
static Q35_METHOD void join_wide(const int (&sums)[Halves][32], float (&grouped)[Halves][32],
                                 shared_span<uint2> heads, unsigned first)
{
    Q35_UNROLL
    for (int i = 0; i < 32 * Halves; i++) {
        const uint2 head = heads[first + (unsigned)(i / 4 * 8 + i % 2)];
        const int sum = level_sum<Codec>(sums[i / 32][i % 32], (int)head.y);
        grouped[i / 32][i % 32] = fmaf(float_of_sum(sum), float_of_bits(head.x), grouped[i / 32][i % 32]);
    }
}

/* What a thread of a block with up to 64 tokens, or twice as many, does. */
template <typename Codec, bool Grouped, int Halves>
static Q35_METHOD void run_wide(const q35_linear_args &a, const linear_slice &slice, const wide_stages &stages,
                                shared_table lookup, int token0, int tokens)
{
    const int lane = (int)threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const int tiles = (a.k + Q35_CUDA_TILE_K - 1) / Q35_CUDA_TILE_K;
    const bool busy = slice.rows > 0;
    const uint8_t *x = at_address<const uint8_t>(a.x, token0 * a.rs_x);
    int sums[Halves][32] = {};
    float grouped[Halves][32] = {};
    uint32_t w[4][4]; /* of a step */
    Codec next;
    next.clear();
    if (busy)
        next.load(tile_at<Codec>(slice.w, 0), (uint32_t)lane);
    stage_wide<Grouped, Halves>(stages, a, x, tokens, 0);
    copy_async_commit();
    for (int j = 0; j < tiles; j++) {
        copy_async_wait<0>();
        fence_for_wgmma();
        barrier(); /* after which no product of tile j - 2 is under way, whose stage is the next */
        if (j + 1 < tiles)
            stage_wide<Grouped, Halves>(stages, a, x, tokens, j + 1);
        copy_async_commit();
        Codec tile = next;
        if (busy && j + 1 < tiles)
            next.load(tile_at<Codec>(slice.w, j + 1), (uint32_t)lane);
        tile.prepare();
        const unsigned first = (unsigned)j % Q35_CUDA_WIDE_STAGES * Q35_CUDA_WIDE_TOKENS;
        Q35_UNROLL
        for (int s = 0; s < 4; s++) {
            wgmma_wait<3>(); /* for the last ones of this step */
            tile.expand(s, lookup, w[s]);
            wgmma_fence();
            Q35_UNROLL
            for (int h = 0; h < Halves; h++) {
                const shared_operand b =
                    wgmma_operand(stages.codes, first + (unsigned)(WIDE_HALF * h), 32u * (unsigned)s);
                if (Grouped && s == 0)
                    wgmma_s8<false>(sums[h], w[s][0], w[s][1], w[s][2], w[s][3], b);
                else
                    wgmma_s8<true>(sums[h], w[s][0], w[s][1], w[s][2], w[s][3], b);
            }
            wgmma_commit();
        }
        if constexpr (Grouped) {
            wgmma_finish<Halves>(sums);
            join_wide<Codec, Halves>(sums, grouped, stages.heads, first + 2 * (unsigned)t);
        }
    }
    wgmma_finish<Halves>(sums);
    Q35_UNROLL
    for (int i = 0; i < 32 * Halves; i++) {
        const int token = i / 4 * 8 + 2 * t + i % 2, row = g + i % 4 / 2 * 8;
        if (token >= tokens || row >= slice.rows)
            continue;
        const float scale = reinterpret_cast<const float *>(slice.w)[row];
        const q35_act_row *act = reinterpret_cast<const q35_act_row *>(x + token * a.rs_x);
        const float y = Grouped ? scale * grouped[i / 32][i % 32]
                                : (scale * act->scale) * (float)level_sum<Codec>(sums[i / 32][i % 32], act->sum);
        at_address<float>(slice.y, (token0 + token) * slice.rs_y)[row] = one_nan(y);
    }
}

template <typename Codec, bool Grouped> static Q35_METHOD void linear_wide(const q35_linear_args &a)
{
    begin();
    unsigned used = 0;
    const shared_span<uint32_t> table = shared_take<uint32_t>(used, Codec::table_words);
    wide_stages stages;
    stages.codes = shared_take_rows(used, Q35_CUDA_WIDE_STAGES * Q35_CUDA_WIDE_TOKENS);
    stages.heads = shared_take<uint2>(used, Q35_CUDA_WIDE_STAGES * Q35_CUDA_WIDE_TOKENS);
    const int valid = rows_valid(a.rows_at, a.n_rows), token0 = (int)blockIdx.y * Q35_CUDA_WIDE_TOKENS;
    if (token0 >= valid)
        return;
    const int tokens = valid - token0 < Q35_CUDA_WIDE_TOKENS ? valid - token0 : (int)Q35_CUDA_WIDE_TOKENS;
    const int number = (int)blockIdx.x * WIDE_WARPS + (int)threadIdx.x / 32;
    const int tiles = (a.k + Q35_CUDA_TILE_K - 1) / Q35_CUDA_TILE_K;
    const int64_t slice_bytes = Q35_CUDA_T16_HEAD + (int64_t)tiles * Codec::tile_bytes;
    const linear_slice slice = slice_of<Q35_CUDA_SLICE_ROWS>(a, number, slice_bytes);
    const shared_table lookup(table, threadIdx.x % 32);
    if (Codec::table_words)
        fill_table(table, a.book, Codec::spare_bits, 32 * WIDE_WARPS);
    if (tokens > WIDE_HALF)
        run_wide<Codec, Grouped, 2>(a, slice, stages, lookup, token0, tokens);
    else
        run_wide<Codec, Grouped, 1>(a, slice, stages, lookup, token0, tokens);
}

#define Q35_LINEAR_WIDE(type)                                                                                     \
    Q35_KERNEL_BLOCKS(256, 2) q35_linear_wide_##type##_row(const q35_linear_args a)                               \
    {                                                                                                             \
        linear_wide<codec_##type, false>(a);                                                                      \
    }                                                                                                             \
    Q35_KERNEL(256) q35_linear_wide_##type##_g128(const q35_linear_args a)                                        \
    {                                                                                                             \
        linear_wide<codec_##type, true>(a);                                                                       \
    }

Q35_LINEAR_WIDE(q35)
Q35_LINEAR_WIDE(q40)
Q35_LINEAR_WIDE(q60)

#endif
