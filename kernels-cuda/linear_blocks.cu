/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR of weights that share a scale in blocks, with A8_32: of each part of a row, 32 or 16 inputs, a sum of
 * int8 products, exact in int32, times the activations' scale, which a chain of fmas over the row then takes in
 * with the part's own scale and minimum. A part's sum comes straight from mma, whose columns are tokens. Where
 * parts are half a step the other half of the weights is zeroed.
 *
 * linear_few: a block has a slice of 16 rows and up to 8 tokens. Seven of its warps multiply, a tile of 128 inputs
 * each; the eighth runs the chains of the tiles before, so that neither waits for the other. linear_many: a warp
 * has a slice and up to 64 tokens, and runs their chains in the registers that mma leaves its sums in. */
#include "kernels-cuda/block_codec.cuh"
#include "kernels-cuda/math.cuh"
#include "kernels-cuda/parts.cuh"

/* mma adds to 1.5 * 2^23, whose bits so become those of a float with the sum in its last bits: sums of 32 products
 * are below 2^22. */
enum { SUM_BITS = 0x4b400000, ONES = 0x01010101 };

/* shift: of the levels that were multiplied. */
template <int Shift> static Q35_METHOD float sum_of_bits(int bits)
{
    constexpr float unit = 1.0f / (float)(1 << Shift);
    return fmaf(float_of_bits((uint32_t)bits), unit, -12582912.0f * unit);
}

/* The registers of part h of a step that has `parts` parts: other inputs are zeroed. t: the lane's four inputs. */
static Q35_METHOD void part_of(uint32_t (&to)[4], const uint32_t (&a)[4], int h, int parts, int t)
{
    Q35_UNROLL
    for (int r = 0; r < 4; r++)
        to[r] = parts == 1 || t / 2 == h ? a[r] : 0;
}

/* c = sums, as the bits of floats, of the products with q of a step or of a half. */
static Q35_METHOD void sum_products(int (&c)[4], const uint32_t (&a)[4], uint2 q)
{
    const int start[4] = {SUM_BITS, SUM_BITS, SUM_BITS, SUM_BITS};
    mma_s8(c, start, a[0], a[1], a[2], a[3], q.x, q.y);
}

/* The same of q alone: of part h. */
static Q35_METHOD void sum_codes(int (&c)[4], int h, int parts, int t, uint2 q)
{
    const uint32_t ones[4] = {ONES, ONES, ONES, ONES};
    uint32_t mine[4];
    part_of(mine, ones, h, parts, t);
    sum_products(c, mine, q);
}

/* ------------------------------------------------------------------ few tokens */

/* A lane's activations of a tile: codes of token g, and scale and sum of its step t. A step past the end of the
 * row has codes 0 and scale -0, which with weights' scales of 0 leaves a chain as it is, whatever its sign. */
struct lane_codes {
    uint2 step[4];
    float scale;
    int sum;

    /* present: of the tile's steps, 0: the token is none. */
    Q35_METHOD void load(const uint8_t *x, int j, int present, uint32_t lane)
    {
        const uint8_t *blocks = x + (int64_t)j * (Q35_CUDA_TILE_K / 32 * sizeof(q35_act_block));
        const int t = (int)lane % 4;
        Q35_UNROLL
        for (int s = 0; s < 4; s++) {
            step[s].x = step[s].y = 0;
            if (s < present)
                step[s] = reinterpret_cast<const uint2 *>(blocks + s * sizeof(q35_act_block) + 8)[t];
        }
        scale = -0.0f;
        sum = 0;
        if (t < present) {
            const uint2 head = *reinterpret_cast<const uint2 *>(blocks + t * sizeof(q35_act_block));
            scale = float_of_bits(head.x);
            sum = (int)head.y;
        }
    }
};

/* What the multiplying warps leave for the joining one: of each tile and four of its parts, sums times the
 * activations' scale [token][row][4], scales and minima of the weights [4][row] each, totals [4][token]. */
struct kept_tiles {
    shared_span<float4> sums;
    shared_span<float> scales;
    unsigned tokens;

    Q35_METHOD unsigned sum_at(unsigned unit, unsigned token, unsigned row) const
    {
        return (unit * tokens + token) * Q35_CUDA_KEPT_STRIDE + row;
    }
    Q35_METHOD unsigned scale_at(unsigned unit, unsigned part, unsigned row) const
    {
        return unit * 4 * (32 + tokens) + 16 * part + row;
    }
    Q35_METHOD unsigned min_at(unsigned unit, unsigned part, unsigned row) const
    {
        return scale_at(unit, 4 + part, row);
    }
    Q35_METHOD unsigned total_at(unsigned unit, unsigned part, unsigned token) const
    {
        return scale_at(unit, 8, 0) + part * tokens + token;
    }
};

Q35_DEVICE float element_of(const float4 &v, int i)
{
    return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
}

Q35_DEVICE void set_element(float4 &v, int i, float to)
{
    v.x = i == 0 ? to : v.x;
    v.y = i == 1 ? to : v.y;
    v.z = i == 2 ? to : v.z;
    v.w = i == 3 ? to : v.w;
}

/* Sums of a tile's activations times their scale, of all tokens. */
template <int Parts>
static Q35_METHOD void keep_totals(const lane_codes &x, const kept_tiles &to, unsigned unit, int lane)
{
    const unsigned g = (unsigned)lane / 4, t = (unsigned)lane % 4;
    if (Parts == 1 && g < to.tokens)
        to.scales[to.total_at(unit, t, g)] = (float)x.sum * x.scale;
    Q35_UNROLL
    for (int s = 0; Parts > 1 && s < 4; s++) {
        int sum = dp4a(x.step[s].x, ONES, dp4a(x.step[s].y, ONES, 0));
        sum += shuffle_xor(sum, 1);
        const float total = (float)sum * shuffle(x.scale, 4 * (int)g + s);
        const unsigned part = 2 * (unsigned)s + t / 2;
        if (t % 2 == 0 && g < to.tokens)
            to.scales[to.total_at(unit + part / 4, part % 4, g)] = total;
    }
}

/* Multiplies a tile, of which so many steps are present; unit: the first of its places in `to`. */
template <typename Codec, typename Slice>
static Q35_METHOD void multiply_few(Codec &codes, const Slice &slice, const lane_scales &scales,
                                    const lane_codes &x, shared_table lookup, int present, const kept_tiles &to,
                                    unsigned unit, int lane)
{
    constexpr int Parts = Slice::step_parts;
    const unsigned g = (unsigned)lane / 4, t = (unsigned)lane % 4;
    Q35_UNROLL
    for (int h = 0; h < Parts; h++) {
        const unsigned part = t * Parts + (unsigned)h, at = unit + part / 4;
        Q35_UNROLL
        for (int r = 0; r < 2; r++) {
            const part_scale v = slice.scale(scales, r, h);
            to.scales[to.scale_at(at, part % 4, g + 8 * (unsigned)r)] = (int)t < present ? v.scale : 0;
            if (Slice::has_min)
                to.scales[to.min_at(at, part % 4, g + 8 * (unsigned)r)] = (int)t < present ? v.min : 0;
        }
    }
    if (Slice::has_min)
        keep_totals<Parts>(x, to, unit, lane);
    codes.prepare();
    float4 sums[4] = {};
    Q35_UNROLL
    for (int s = 0; s < 4; s++) {
        uint32_t a[4];
        codes.expand(s, lookup, a);
        float scale[2];
        Q35_UNROLL
        for (int i = 0; i < 2; i++)
            scale[i] = shuffle(x.scale, (2 * (int)t + i) * 4 + s);
        Q35_UNROLL
        for (int h = 0; h < Parts; h++) {
            const int part = s * Parts + h;
            uint32_t mine[4];
            int c[4];
            part_of(mine, a, h, Parts, (int)t);
            sum_products(c, mine, x.step[s]);
            Q35_UNROLL
            for (int i = 0; i < 4; i++)
                set_element(sums[i], part % 4, sum_of_bits<Codec::level_shift>(c[i]) * scale[i % 2]);
            Q35_UNROLL
            for (int i = 0; i < 4; i++)
                if (part % 4 == 3 && 2 * t + (unsigned)i % 2 < to.tokens)
                    to.sums[to.sum_at(unit + (unsigned)part / 4, 2 * t + (unsigned)i % 2,
                                      g + (unsigned)i / 2 * 8)] = sums[i];
        }
    }
}

/* Takes four parts into the chains of a lane: row lane % 16, tokens lane / 16 + 2 i below `tokens`. */
template <typename Slice>
static Q35_METHOD void join_few(float (&acc)[4], const kept_tiles &from, unsigned unit, int tokens, int lane)
{
    const unsigned row = (unsigned)lane % 16;
    float scale[4], min[4];
    Q35_UNROLL
    for (unsigned p = 0; p < 4; p++) {
        scale[p] = from.scales[from.scale_at(unit, p, row)];
        min[p] = Slice::has_min ? from.scales[from.min_at(unit, p, row)] : 0;
    }
    Q35_UNROLL
    for (int i = 0; i < 4; i++) {
        const int token = lane / 16 + 2 * i;
        if (token >= tokens)
            continue;
        const float4 sums = from.sums[from.sum_at(unit, (unsigned)token, row)];
        Q35_UNROLL
        for (int p = 0; p < 4; p++) {
            acc[i] = fmaf(element_of(sums, p), scale[p], acc[i]);
            if (Slice::has_min)
                acc[i] = fmaf(from.scales[from.total_at(unit, (unsigned)p, (unsigned)token)], min[p], acc[i]);
        }
    }
}

template <typename Codec, uint32_t A, uint32_t B>
static Q35_METHOD void linear_blocks_few(const q35_linear_args &a)
{
    typedef packed_blocks<A, B> Slice;
    constexpr int Units = Slice::step_parts;                             /* places of a tile, four parts each */
    constexpr int Warps = Q35_CUDA_FEW_WARPS, Ahead = Units > 1 ? 1 : 2; /* tiles whose activations are loaded */
    unsigned used = 0;
    const shared_span<uint32_t> table = shared_take<uint32_t>(used, Codec::table_words);
    kept_tiles kept;
    kept.tokens = q35_cuda_few_columns(a.n_rows);
    kept.sums = shared_take<float4>(used, 2 * Warps * Units * kept.tokens * Q35_CUDA_KEPT_STRIDE);
    kept.scales = shared_take<float>(used, 2 * Warps * Units * 4 * (32 + kept.tokens));
    const shared_table lookup(table, threadIdx.x % 32);
    const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    const int blocks = (a.k + 31) / 32, tiles = (blocks + 3) / 4;
    const linear_slice out = slice_of<Q35_CUDA_SLICE_ROWS>(a, (int)blockIdx.x, Slice::bytes(a.dtype, a.k));
    const Slice slice(out.w, a.dtype, a.k);

    /* Until the wait, only what no kernel writes. */
    let_next_start();
    Codec codes[2] = {};
    lane_scales scales[2] = {};
    lane_codes x[Ahead];
    Q35_UNROLL
    for (int i = 0; i < 2; i++)
        if (warp < Warps && warp + i * Warps < tiles)
            slice.load(codes[i], scales[i], warp + i * Warps, (uint32_t)lane);
    if (Codec::table_words)
        fill_table(table, a.book, Codec::spare_bits, 256);
    wait_for_previous();
    const int valid = rows_valid(a.rows_at, a.n_rows), token0 = (int)blockIdx.y * Q35_CUDA_FEW_TOKENS;
    if (token0 >= valid)
        return;
    const int tokens = valid - token0 < Q35_CUDA_FEW_TOKENS ? valid - token0 : (int)Q35_CUDA_FEW_TOKENS;
    const int own_blocks = warp < Warps && lane / 4 < tokens ? blocks : 0; /* of the lane's token */
    const uint8_t *inputs = at_address<const uint8_t>(a.x, (token0 + (own_blocks ? lane / 4 : 0)) * a.rs_x);
    Q35_UNROLL
    for (int i = 0; i < Ahead; i++)
        x[i].load(inputs, warp + i * Warps, own_blocks - 4 * (warp + i * Warps), (uint32_t)lane);
    barrier(); /* the table */
    float acc[4] = {};
    for (int from = 0; from < tiles + Warps; from += 2 * Warps) {
        Q35_UNROLL
        for (int side = 0; side < 2; side++) {
            const int first = from + side * Warps, j = first + warp, next = j + 2 * Warps,
                      next_x = j + Ahead * Warps;
            if (warp < Warps && j < tiles) {
                multiply_few(codes[side], slice, scales[side], x[side % Ahead], lookup, blocks - 4 * j, kept,
                             (unsigned)((side * Warps + warp) * Units), lane);
                if (next < tiles)
                    slice.load(codes[side], scales[side], next, (uint32_t)lane);
                x[side % Ahead].load(inputs, next_x, own_blocks - 4 * next_x, (uint32_t)lane);
            }
            if (warp == Warps && first >= Warps) {
                const int n = tiles - (first - Warps) < Warps ? tiles - (first - Warps) : Warps;
                Q35_UNROLL_BY(1)
                for (int u = 0; u < n * Units; u++)
                    join_few<Slice>(acc, kept, (unsigned)((1 - side) * Warps * Units + u), tokens, lane);
            }
            barrier();
        }
    }
    Q35_UNROLL
    for (int i = 0; i < 4; i++) {
        const int token = lane / 16 + 2 * i, row = lane % 16;
        if (warp == Warps && token < tokens && row < out.rows)
            at_address<float>(out.y, (token0 + token) * out.rs_y)[row] = one_nan(acc[i]);
    }
}

/* ------------------------------------------------------------------ many tokens */

enum {
    BLOCK_UNITS = Q35_CUDA_MANY_BLOCKS / 8, /* of 8 bytes: a token's blocks of a tile */
    STEP_UNITS = BLOCK_UNITS / 4,           /* of a step: scale and sum, then codes */
    BLOCKS_UNITS = Q35_CUDA_MANY_TOKENS * BLOCK_UNITS
};

/* Starts the copies of tile j for the tokens from x on. */
static Q35_METHOD void stage_blocks(shared_span<uint2> to, const q35_linear_args &a, const uint8_t *x,
                                    int n_tokens, int j, int blocks)
{
    const unsigned stage = (unsigned)j % Q35_CUDA_MANY_STAGES;
    const int units = (blocks - 4 * j) * STEP_UNITS;
    for (unsigned i = threadIdx.x; i < BLOCKS_UNITS; i += 128) {
        const int token = (int)(i / BLOCK_UNITS), unit = (int)(i % BLOCK_UNITS);
        if (token < n_tokens && unit < units) {
            copy_async8(to, stage * BLOCKS_UNITS + i,
                        x + token * a.rs_x + (int64_t)j * Q35_CUDA_MANY_BLOCKS + 8 * unit);
        } else {
            to[stage * BLOCKS_UNITS + i].x = 0;
            to[stage * BLOCKS_UNITS + i].y = 0;
        }
    }
}

/* Takes part h of a step of 8 tokens, whose first one has the step at `first`, into their chains. */
template <typename Codec, typename Slice>
static Q35_METHOD void column_many(float (&acc)[4], const uint32_t (&w)[4], const part_scale (&scale)[2],
                                   shared_span<uint2> stages, unsigned first, int h, int lane)
{
    const unsigned g = (unsigned)lane / 4, t = (unsigned)lane % 4;
    const uint2 q = stages[first + g * BLOCK_UNITS + 1 + t];
    float scale_x[2], total[2];
    int sums[4];
    Q35_UNROLL
    for (unsigned i = 0; i < 2; i++) {
        const uint2 head = stages[first + (2 * t + i) * BLOCK_UNITS];
        scale_x[i] = float_of_bits(head.x);
        total[i] = (float)(int)head.y;
    }
    if constexpr (Slice::has_min && Slice::step_parts > 1) {
        sum_codes(sums, h, Slice::step_parts, (int)t, q);
        total[0] = sum_of_bits<0>(sums[0]);
        total[1] = sum_of_bits<0>(sums[1]);
    }
    sum_products(sums, w, q);
    Q35_UNROLL
    for (int i = 0; i < 4; i++) {
        acc[i] = fmaf(sum_of_bits<Codec::level_shift>(sums[i]) * scale_x[i % 2], scale[i / 2].scale, acc[i]);
        if (Slice::has_min)
            acc[i] = fmaf(total[i % 2] * scale_x[i % 2], scale[i / 2].min, acc[i]);
    }
}

template <typename Codec, uint32_t A, uint32_t B>
static Q35_METHOD void linear_blocks_many(const q35_linear_args &a)
{
    typedef packed_blocks<A, B> Slice;
    constexpr int Parts = Slice::step_parts, Columns = Q35_CUDA_MANY_TOKENS / 8;
    begin();
    unsigned used = 0;
    const shared_span<uint32_t> table = shared_take<uint32_t>(used, Codec::table_words);
    const shared_span<uint2> stages = shared_take<uint2>(used, Q35_CUDA_MANY_STAGES * BLOCKS_UNITS);
    const shared_table lookup(table, threadIdx.x % 32);
    const int lane = (int)threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const int valid = rows_valid(a.rows_at, a.n_rows), token0 = (int)blockIdx.y * Q35_CUDA_MANY_TOKENS;
    if (token0 >= valid)
        return;
    const int tokens = valid - token0 < Q35_CUDA_MANY_TOKENS ? valid - token0 : (int)Q35_CUDA_MANY_TOKENS;
    const int blocks = (a.k + 31) / 32, tiles = (blocks + 3) / 4;
    const linear_slice out =
        slice_of<Q35_CUDA_SLICE_ROWS>(a, (int)(blockIdx.x * 4 + threadIdx.x / 32), Slice::bytes(a.dtype, a.k));
    const Slice slice(out.w, a.dtype, a.k);
    const bool busy = out.rows > 0;
    const uint8_t *x = at_address<const uint8_t>(a.x, token0 * a.rs_x);

    float acc[Columns][4] = {};
    Codec next = {};
    lane_scales next_scales = {};
    if (busy && tiles > 0)
        slice.load(next, next_scales, 0, (uint32_t)lane);
    for (int j = 0; j < Q35_CUDA_MANY_STAGES - 1; j++) {
        if (j < tiles)
            stage_blocks(stages, a, x, tokens, j, blocks);
        copy_async_commit();
    }
    if (Codec::table_words)
        fill_table(table, a.book, Codec::spare_bits, 128);
    for (int j = 0; j < tiles; j++) {
        copy_async_wait<Q35_CUDA_MANY_STAGES - 2>();
        barrier();
        if (j + Q35_CUDA_MANY_STAGES - 1 < tiles)
            stage_blocks(stages, a, x, tokens, j + Q35_CUDA_MANY_STAGES - 1, blocks);
        copy_async_commit();
        Codec now = next;
        part_scale own[2][Parts];
        Q35_UNROLL
        for (int i = 0; i < 2 * Parts; i++)
            own[i / Parts][i % Parts] = slice.scale(next_scales, i / Parts, i % Parts);
        if (busy && j + 1 < tiles)
            slice.load(next, next_scales, j + 1, (uint32_t)lane);
        now.prepare();
        const unsigned stage = (unsigned)j % Q35_CUDA_MANY_STAGES * BLOCKS_UNITS;
        Q35_UNROLL
        for (int s = 0; s < 4; s++) {
            if (4 * j + s >= blocks)
                continue;
            uint32_t w[4];
            now.expand(s, lookup, w);
            Q35_UNROLL
            for (int h = 0; h < Parts; h++) {
                uint32_t mine[4];
                part_scale of_row[2];
                part_of(mine, w, h, Parts, t);
                Q35_UNROLL
                for (int r = 0; r < 2; r++) {
                    of_row[r].scale = shuffle(own[r][h].scale, 4 * g + s);
                    of_row[r].min = Slice::has_min ? shuffle(own[r][h].min, 4 * g + s) : 0;
                }
                Q35_UNROLL
                for (int pair = 0; pair < Columns; pair += 2) {
                    if (8 * pair >= tokens)
                        continue;
                    Q35_UNROLL
                    for (int c = pair; c < pair + 2; c++)
                        column_many<Codec, Slice>(acc[c], mine, of_row, stages,
                                                  stage + (unsigned)(8 * c * BLOCK_UNITS + s * STEP_UNITS), h,
                                                  lane);
                }
            }
        }
    }
    Q35_UNROLL
    for (int c = 0; c < Columns; c++) {
        Q35_UNROLL
        for (int i = 0; i < 4; i++) {
            const int token = 8 * c + 2 * t + i % 2, row = g + i / 2 * 8;
            if (token < tokens && row < out.rows)
                at_address<float>(out.y, (token0 + token) * out.rs_y)[row] = one_nan(acc[c][i]);
        }
    }
}

/* Codec and types as Q35_CUDA_KERNELS names them. */
#define Q35_LINEAR_BLOCKS(name, codec, a_type, b_type)                                                            \
    Q35_KERNEL_BLOCKS(256, 2) q35_linear_few_##name(const q35_linear_args a)                                      \
    {                                                                                                             \
        linear_blocks_few<codec, a_type, b_type>(a);                                                              \
    }                                                                                                             \
    Q35_KERNEL(128) q35_linear_many_##name(const q35_linear_args a)                                               \
    {                                                                                                             \
        linear_blocks_many<codec, a_type, b_type>(a);                                                             \
    }

typedef codec_plane<4, true> codec_s4;
typedef codec_plane<4, false> codec_u4;
typedef codec_planes<4, 1, true> codec_s5;
typedef codec_planes<4, 1, false> codec_u5;
typedef codec_planes<4, 2, true> codec_s6;
typedef codec_planes<2, 1, true> codec_s3;
typedef codec_plane<2, false> codec_u2;
typedef codec_plane<8, true> codec_s8;

Q35_LINEAR_BLOCKS(pair, codec_pair, Q35_DT_Q35_PAIR, Q35_DT_Q35_PAIR)
Q35_LINEAR_BLOCKS(split, codec_split, Q35_DT_Q35_SPLIT, Q35_DT_Q35_SPLIT)
Q35_LINEAR_BLOCKS(s4, codec_s4, Q35_DT_Q4_0, Q35_DT_Q4_0)
Q35_LINEAR_BLOCKS(u4, codec_u4, Q35_DT_Q4_1, Q35_DT_Q4_K)
Q35_LINEAR_BLOCKS(iq4, codec_iq4, Q35_DT_IQ4_NL, Q35_DT_IQ4_XS)
Q35_LINEAR_BLOCKS(s5, codec_s5, Q35_DT_Q5_0, Q35_DT_Q5_0)
Q35_LINEAR_BLOCKS(u5, codec_u5, Q35_DT_Q5_1, Q35_DT_Q5_K)
Q35_LINEAR_BLOCKS(s6, codec_s6, Q35_DT_Q6_K, Q35_DT_Q6_K)
Q35_LINEAR_BLOCKS(s3, codec_s3, Q35_DT_Q3_K, Q35_DT_Q3_K)
Q35_LINEAR_BLOCKS(u2, codec_u2, Q35_DT_Q2_K, Q35_DT_Q2_K)
Q35_LINEAR_BLOCKS(s8, codec_s8, Q35_DT_Q8_0, Q35_DT_Q8_0)
