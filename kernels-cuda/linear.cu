/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR of weights with one scale per row and up to 8 tokens per block: sums of int8 products, exact in int32, so
 * that neither the split of the inputs over warps nor the instruction that multiplies changes a bit.
 *
 * A block has two slices of 16 rows, its warps take tiles of 128 inputs in turn. linear_one multiplies with dp4a,
 * linear_few with mma, whose eight columns are tokens. With one scale per token the warps' sums are added at the
 * end; with one per group of 128 inputs every group's sum goes to shared memory, and for each result one thread
 * joins them in order. The two slices follow each other, or are the same rows of a gate and of what it multiplies,
 * whose product is then made here. */
#include "kernels-cuda/codec.cuh"
#include "kernels-cuda/math.cuh"
#include "kernels-cuda/parts.cuh"

/* A lane's 32 codes of activations. */
struct codes {
    uint2 step[4];
};

/* Of inputs 128 j + 32 quarter of the row x; zeros past its k inputs. */
template <bool Grouped> static Q35_METHOD codes load_codes(const uint8_t *x, int j, int quarter, int k)
{
    codes c;
    const int first = j * Q35_CUDA_TILE_K + 32 * quarter;
    const bool inside = first < (k + 63) / 64 * 64;
    const uint8_t *at = Grouped ? x + (int64_t)j * 136 + 8 + 32 * quarter : x + 8 + first;
    Q35_UNROLL
    for (int s = 0; s < 4; s++) {
        c.step[s].x = 0;
        c.step[s].y = 0;
        if (inside)
            c.step[s] = reinterpret_cast<const uint2 *>(at)[s];
    }
    return c;
}

/* Sums of one slice and a lane's columns: rows g and g + 8 of one token, or the four results of mma. */
template <bool Mma> struct slice_sums {
    int c[4];
};

template <typename Codec, bool Mma>
static Q35_METHOD void multiply(slice_sums<Mma> &sums, Codec &tile, const codes &x, shared_table mine)
{
    tile.prepare();
    Q35_UNROLL
    for (int s = 0; s < 4; s++) {
        uint32_t a[4];
        tile.expand(s, mine, a);
        if (Mma) {
            mma_s8(sums.c, a[0], a[1], a[2], a[3], x.step[s].x, x.step[s].y);
        } else {
            sums.c[0] = dp4a(a[2], x.step[s].y, dp4a(a[0], x.step[s].x, sums.c[0]));
            sums.c[1] = dp4a(a[3], x.step[s].y, dp4a(a[1], x.step[s].x, sums.c[1]));
        }
    }
}

/* Leaves the sums of slice i at to[token * 32 + row]. */
template <bool Mma>
static Q35_METHOD void store_sums(slice_sums<Mma> &sums, int i, shared_span<int> to, unsigned base, int lane)
{
    const unsigned g = (unsigned)lane / 4, t = (unsigned)lane % 4, at = base + 16 * (unsigned)i + g;
    if constexpr (Mma) {
        to[at + 64 * t] = sums.c[0];
        to[at + 64 * t + 32] = sums.c[1];
        to[at + 64 * t + 8] = sums.c[2];
        to[at + 64 * t + 40] = sums.c[3];
    } else {
        Q35_UNROLL
        for (int r = 0; r < 2; r++) {
            sums.c[r] += shuffle_xor(sums.c[r], 1);
            sums.c[r] += shuffle_xor(sums.c[r], 2);
        }
        if (t == 0) {
            to[at] = sums.c[0];
            to[at + 8] = sums.c[1];
        }
    }
}

/* Number of the block's i-th slice. */
Q35_DEVICE int block_slice(const q35_linear_args &a, int i)
{
    if (a.product)
        return (int)blockIdx.x + (i ? (int)q35_cuda_ceil_div(a.part[0].n, Q35_CUDA_SLICE_ROWS) : 0);
    return 2 * (int)blockIdx.x + i;
}

template <typename Codec, bool Grouped, bool Mma> static Q35_METHOD void linear(const q35_linear_args &a)
{
    constexpr int Tokens = Mma ? Q35_CUDA_FEW_TOKENS : 1, Pairs = Tokens * Q35_CUDA_BLOCK_ROWS, Warps = 8;
    unsigned used = 0;
    const shared_span<uint32_t> table = shared_take<uint32_t>(used, Codec::table_words);
    const shared_span<int> kept = shared_take<int>(used, Q35_CUDA_SLAB * Pairs);
    const int tid = (int)threadIdx.x, warp = tid / 32, lane = tid % 32;
    const int tiles = (a.k + Q35_CUDA_TILE_K - 1) / Q35_CUDA_TILE_K;
    const int64_t slice_bytes = Q35_CUDA_T16_HEAD + (int64_t)tiles * Codec::tile_bytes;
    const uint8_t *w[2];
    Q35_UNROLL
    for (int i = 0; i < 2; i++)
        w[i] = slice_of<Q35_CUDA_SLICE_ROWS>(a, block_slice(a, i), slice_bytes).w;
    const shared_table lookup(table, (unsigned)lane);

    /* The row that this thread writes a result of, if any. */
    const int row = tid % Q35_CUDA_SLICE_ROWS;
    const linear_slice out =
        slice_of<Q35_CUDA_SLICE_ROWS>(a, block_slice(a, tid / Q35_CUDA_SLICE_ROWS % 2), slice_bytes);
    const bool has_row = tid < Pairs && row < out.rows;

    /* Until the wait, only what no kernel writes. */
    let_next_start();
    const float scale = has_row ? reinterpret_cast<const float *>(out.w)[row] : 0;
    Codec next[2];
    next[1].clear();
    if (warp < tiles) {
        next[0].load(tile_at<Codec>(w[0], warp), (uint32_t)lane);
        if (w[1])
            next[1].load(tile_at<Codec>(w[1], warp), (uint32_t)lane);
    }
    if (Codec::table_words)
        fill_table(table, a.book, Codec::spare_bits, 256);
    wait_for_previous();
    const int valid = rows_valid(a.rows_at, a.n_rows), token0 = (int)blockIdx.y * Tokens;
    if (token0 >= valid)
        return;
    const int column = token0 + (Mma ? lane / 4 : 0), token = token0 + tid / Q35_CUDA_BLOCK_ROWS;
    const uint8_t *x = at_address<const uint8_t>(a.x, (column < valid ? column : token0) * a.rs_x);
    const int k = column < valid ? a.k : 0; /* no token: zeros */
    const bool mine = has_row && token < valid;
    const uint8_t *head = at_address<const uint8_t>(a.x, (mine ? token : token0) * a.rs_x);
    float grouped = 0;
    barrier();
    slice_sums<Mma> sums[2] = {};
    for (int slab = 0; slab < tiles; slab += Grouped ? (int)Q35_CUDA_SLAB : tiles) {
        const int end = Grouped && slab + Q35_CUDA_SLAB < tiles ? slab + (int)Q35_CUDA_SLAB : tiles;
        Q35_UNROLL_BY(1)
        for (int j = slab + warp; j < end; j += Warps) {
            Codec tile[2] = {next[0], next[1]};
            const codes codes_j = load_codes<Grouped>(x, j, lane % 4, k);
            if (j + Warps < tiles) {
                next[0].load(tile_at<Codec>(w[0], j + Warps), (uint32_t)lane);
                if (w[1])
                    next[1].load(tile_at<Codec>(w[1], j + Warps), (uint32_t)lane);
            }
            Q35_UNROLL
            for (int i = 0; i < 2; i++) {
                multiply<Codec, Mma>(sums[i], tile[i], codes_j, lookup);
                if (Grouped) {
                    store_sums<Mma>(sums[i], i, kept, (unsigned)((j - slab) * Pairs), lane);
                    sums[i] = {};
                }
            }
        }
        if (!Grouped)
            break;
        barrier();
        for (int j = slab; j < end && mine; j++) {
            const q35_act_group *group = reinterpret_cast<const q35_act_group *>(head) + j;
            const int sum = level_sum<Codec>(kept[(unsigned)((j - slab) * Pairs + tid)], group->sum);
            grouped = fmaf((float)sum, group->scale, grouped);
        }
        barrier();
    }
    float y = scale * grouped;
    if (!Grouped) {
        store_sums<Mma>(sums[0], 0, kept, (unsigned)(warp * Pairs), lane);
        store_sums<Mma>(sums[1], 1, kept, (unsigned)(warp * Pairs), lane);
        barrier();
        if (mine) {
            const q35_act_row *act = reinterpret_cast<const q35_act_row *>(head);
            int sum = 0;
            for (int i = 0; i < Warps; i++)
                sum += kept[(unsigned)(i * Pairs + tid)];
            y = (scale * act->scale) * (float)level_sum<Codec>(sum, act->sum);
        }
    }
    y = one_nan(y);
    if (mine && out.y)
        at_address<float>(out.y, token * out.rs_y)[row] = y;
    if (a.product) {
        const float up = shuffle_xor(y, Q35_CUDA_SLICE_ROWS);
        if (mine && lane < Q35_CUDA_SLICE_ROWS)
            at_address<float>(a.product, token * a.rs_product)[out.first + row] = swiglu_f32(y, up);
    }
}

#define Q35_LINEAR(type)                                                                                          \
    Q35_KERNEL_BLOCKS(256, 2) q35_linear_one_##type##_row(const q35_linear_args a)                                \
    {                                                                                                             \
        linear<codec_##type, false, false>(a);                                                                    \
    }                                                                                                             \
    Q35_KERNEL_BLOCKS(256, 2) q35_linear_one_##type##_g128(const q35_linear_args a)                               \
    {                                                                                                             \
        linear<codec_##type, true, false>(a);                                                                     \
    }                                                                                                             \
    Q35_KERNEL_BLOCKS(256, 2) q35_linear_few_##type##_row(const q35_linear_args a)                                \
    {                                                                                                             \
        linear<codec_##type, false, true>(a);                                                                     \
    }                                                                                                             \
    Q35_KERNEL_BLOCKS(256, 2) q35_linear_few_##type##_g128(const q35_linear_args a)                               \
    {                                                                                                             \
        linear<codec_##type, true, true>(a);                                                                      \
    }

Q35_LINEAR(q35)
Q35_LINEAR(q40)
Q35_LINEAR(q60)
