/* SPDX-License-Identifier: Apache-2.0
 *
 * The interface between the host, in C, and the kernels: their list, one parameter struct per family of kernels,
 * and grid, block and shared memory of a launch. Included by the CUDA sources, by plugins/cuda and by
 * tests/cuda-emu.
 *
 * Every kernel is  extern "C" __global__ void q35_<name>(const q35_<family>_args a)  and takes its struct by
 * value. Ops are those of <q35rt/plugin.h>; their numerics are those of docs/numerics.md, to the bit.
 *
 * In the structs u64 fields are device addresses, aligned as the elements are (activations of 8 bits: 8; packed
 * weights: 128; 0: absent), rs_* distances in bytes between rows. rows_at is the address of an i32 with the number
 * of valid rows of this run, n_tokens or n_out of a q35_step, read when the kernel runs; 0: all n_rows are valid.
 * n_rows is the capacity, which the grid covers. Kernels only read and write what their op names. */
#ifndef Q35_CUDA_H
#define Q35_CUDA_H

#include "kernels-cuda/q35_cuda_layout.h"

/* GET_ROWS, any weight type, canonical. An id outside 0 .. n - 1 gives a row of NaN. */
typedef struct q35_get_rows_args {
    uint64_t ids, table, book, y, rows_at;
    int64_t rs_table, rs_y;
    int32_t n_rows, n, k;
    uint32_t dtype;
} q35_get_rows_args;

/* RMS_NORM (b 0) and ADD_RMS_NORM. sum: 0, or where a + b goes, which may be a; y may be a or b. In norm_quantize
 * y may be 0: not written. */
typedef struct q35_norm_args {
    uint64_t a, b, w, sum, y, rows_at;
    int64_t rs_a, rs_b, rs_sum, rs_y;
    int32_t n_rows, k;
    float eps;
    uint32_t reserved;
} q35_norm_args;

/* QUANTIZE_ACT. signs 0: no rotation. chunk: inputs held in shared memory, q35_cuda_quantize_chunk(k). */
typedef struct q35_quantize_args {
    uint64_t x, signs, y, rows_at;
    int64_t rs_x, rs_y;
    int32_t n_rows, k;
    uint32_t dtype, width; /* Q35_DT_A8_*; of the rotation, a power of two */
    int32_t chunk;
    uint32_t reserved;
} q35_quantize_args;

/* A norm, then QUANTIZE_ACT of its result, whose x is not read: k of both up to Q35_CUDA_MAX_CHUNK. What norm
 * reads may not be where the codes go. */
typedef struct q35_norm_quantize_args {
    q35_norm_args norm;
    q35_quantize_args quantize;
} q35_norm_quantize_args;

/* ROTATE. y may be x. */
typedef struct q35_rotate_args {
    uint64_t x, signs, y, rows_at;
    int64_t rs_x, rs_y;
    int32_t n_rows, k;
    uint32_t width, inverse;
} q35_rotate_args;

/* LINEARs of one input and packed weights of one type: row types in T16 with A8_ROW or A8_128, others in B16 with
 * A8_32. book: i8 [128][2], of Q40_ROW [256][2]; 0 for types without one. Each part is a LINEAR of n output rows
 * of k weights, k <= Q35_CUDA_MAX_K for row types; a part of no rows is none. product, in linear_one and
 * linear_few of row types: 0, or where SWIGLU of part 0 (gate) and part 1 (up), of as many rows, goes; then there
 * are no other parts, and their y may be 0: not written. */
enum { Q35_CUDA_PARTS = 3 };

typedef struct q35_linear_part {
    uint64_t w, y;
    int64_t rs_y;
    int32_t n;
    uint32_t reserved;
} q35_linear_part;

typedef struct q35_linear_args {
    q35_linear_part part[Q35_CUDA_PARTS];
    uint64_t x, book, rows_at, product;
    int64_t rs_x, rs_product;
    int32_t n_rows, k;
    uint32_t dtype, reserved; /* of the weights: read by kernels of several types */
} q35_linear_args;

/* LINEAR of F32, F16, BF16 or F8_32 weights as stored; act: Q35_DT_F32 or Q35_DT_A8_32. */
typedef struct q35_linear_float_args {
    uint64_t x, w, y, rows_at;
    int64_t rs_x, rs_w, rs_y;
    int32_t n_rows, n, k;
    uint32_t dtype, act, reserved;
} q35_linear_float_args;

/* ROPE. y may be x. */
typedef struct q35_rope_args {
    uint64_t x, y, inv_freq, positions, rows_at;
    int64_t rs_x, rs_y;
    int32_t n_rows, n_heads, head_dim, n_rot;
    float temperature_beta;
    int32_t temperature_length;
} q35_rope_args;

/* KV_APPEND. dtype of the cache: F16, F32, Q8_0 (head_dim a multiple of 32). A slot outside the n_pages is
 * skipped. */
typedef struct q35_kv_append_args {
    uint64_t k, v, cache_k, cache_v, slots, rows_at;
    int64_t rs_k, rs_v;
    int32_t n_rows, n_kv_heads, head_dim, n_pages;
    uint32_t dtype, reserved;
} q35_kv_append_args;

/* ROPE of queries, ROPE of keys, and KV_APPEND of the latter, whose k is not read: heads of k and kv are the same.
 * k.y may be 0: not written. */
typedef struct q35_rope_append_args {
    q35_rope_args q, k;
    q35_kv_append_args kv;
} q35_rope_append_args;

/* ATTENTION, cache types as above, head_dim a multiple of 16 up to 256.
 *   attention_spans  few tokens: one block per span of 256 positions. Where n_spans is 1 it writes `out`,
 * otherwise `records`, which attention_join with the same struct then joins into `out`. attention_rows   many
 * tokens: one block walks all spans of several query rows; neither n_spans nor records. n_spans: q35_cuda_n_spans
 * of the longest context that may occur. Tokens beyond it give NaN. */
typedef struct q35_attention_args {
    uint64_t q, out, cache_k, cache_v, positions, sequence, pages, records, rows_at;
    int64_t rs_q, rs_out;
    int32_t n_rows, n_heads, n_kv_heads, head_dim;
    int32_t max_pages, n_spans;
    uint32_t dtype;
    float scale;
} q35_attention_args;

/* SWIGLU, ADD, MUL, SILU on f32 [n_rows][n]. b: not read by SILU. y may be a or b. */
typedef struct q35_elementwise_args {
    uint64_t a, b, y, rows_at;
    int64_t rs_a, rs_b, rs_y;
    int32_t n_rows, n;
} q35_elementwise_args;

/* TAKE_ROWS. n: rows of x; an index outside them gives a row of NaN. */
typedef struct q35_take_rows_args {
    uint64_t x, rows, y, rows_at;
    int64_t rs_x, rs_y;
    int32_t n_rows, n, k;
    uint32_t reserved;
} q35_take_rows_args;

/* SUM_SQUARES of the n_rows tokens of x. */
typedef struct q35_sum_squares_args {
    uint64_t x, acc, rows_at;
    int64_t rs_x;
    int32_t n_rows, k;
} q35_sum_squares_args;

/* TOP_K, k up to Q35_CUDA_MAX_TOP: top_k_parts leaves the first of each part of Q35_CUDA_TOP_PART columns in
 * records, q35_cuda_top_bytes of them, of which top_k_join with the same struct takes those of the row. list:
 * q35_cuda_top_list(k). */
typedef struct q35_top_k_args {
    uint64_t x, values, columns, records, rows_at;
    int64_t rs_x, rs_values, rs_columns;
    int32_t n_rows, n, k, list;
} q35_top_k_args;

/* Canonical rows of a weight to its layout, which dtype has: every byte of the slices, also of missing rows.
 * packed: 4-byte aligned. */
typedef struct q35_pack_args {
    uint64_t rows, packed;
    int64_t rs_rows;
    int32_t n, k;
    uint32_t dtype, reserved;
} q35_pack_args;

/* y[i] = parts[0][i] + parts[1][i] + .., of f32, n each, in this order. */
typedef struct q35_sum_parts_args {
    uint64_t parts, y;
    int64_t n, n_parts;
} q35_sum_parts_args;

/* KERNEL(name, family, threads of a block, variant): the only list of kernels. Of linear kernels the variant is
 * Q35_CUDA_ONE, _FEW, _MANY or _WIDE tokens per block (the last in code for sm_90a only), of B16 _FEW or _MANY
 * with Q35_CUDA_BLOCKS, and with Q35_CUDA_HALVES where parts are of 16; and Q35_CUDA_BOOK where codes go through a
 * table; elsewhere as the geometry says. */
enum {
    Q35_CUDA_ONE = 0,
    Q35_CUDA_FEW = 1,
    Q35_CUDA_MANY = 2,
    Q35_CUDA_WIDE = 3,
    Q35_CUDA_BLOCKS = 4,
    Q35_CUDA_HALVES = 8,
    Q35_CUDA_BOOK = 16
};

/* 32 copies of 256 pairs. */
enum { Q35_CUDA_TABLE_WORDS = 256 * 32 };

#define Q35_CUDA_LINEAR_(KERNEL, type, act, book)                                                                 \
    KERNEL(linear_one_##type##_##act, linear, 256, Q35_CUDA_ONE + Q35_CUDA_BOOK * book)                           \
    KERNEL(linear_few_##type##_##act, linear, 256, Q35_CUDA_FEW + Q35_CUDA_BOOK * book)                           \
    KERNEL(linear_many_##type##_##act, linear, 128, Q35_CUDA_MANY + Q35_CUDA_BOOK * book)                         \
    KERNEL(linear_wide_##type##_##act, linear, 256, Q35_CUDA_WIDE + Q35_CUDA_BOOK * book)

#define Q35_CUDA_BLOCKS_(KERNEL, type, book, halves)                                                              \
    KERNEL(linear_few_##type, linear, 256,                                                                        \
           Q35_CUDA_BLOCKS + Q35_CUDA_FEW + Q35_CUDA_BOOK * book + Q35_CUDA_HALVES * halves)                      \
    KERNEL(linear_many_##type, linear, 128,                                                                       \
           Q35_CUDA_BLOCKS + Q35_CUDA_MANY + Q35_CUDA_BOOK * book + Q35_CUDA_HALVES * halves)

#define Q35_CUDA_KERNELS(KERNEL)                                                                                  \
    KERNEL(get_rows, get_rows, 128, 0)                                                                            \
    KERNEL(norm, norm, 256, 0)                                                                                    \
    KERNEL(quantize, quantize, 256, 0)                                                                            \
    KERNEL(norm_quantize, norm_quantize, 256, 0)                                                                  \
    KERNEL(rotate, rotate, 256, 0)                                                                                \
    Q35_CUDA_LINEAR_(KERNEL, q35, row, 1)                                                                         \
    Q35_CUDA_LINEAR_(KERNEL, q35, g128, 1)                                                                        \
    Q35_CUDA_LINEAR_(KERNEL, q40, row, 1)                                                                         \
    Q35_CUDA_LINEAR_(KERNEL, q40, g128, 1)                                                                        \
    Q35_CUDA_LINEAR_(KERNEL, q60, row, 0)                                                                         \
    Q35_CUDA_LINEAR_(KERNEL, q60, g128, 0)                                                                        \
    Q35_CUDA_BLOCKS_(KERNEL, pair, 1, 0)                                                                          \
    Q35_CUDA_BLOCKS_(KERNEL, split, 0, 0)                                                                         \
    Q35_CUDA_BLOCKS_(KERNEL, s4, 0, 0)                                                                            \
    Q35_CUDA_BLOCKS_(KERNEL, u4, 0, 0)                                                                            \
    Q35_CUDA_BLOCKS_(KERNEL, iq4, 0, 0)                                                                           \
    Q35_CUDA_BLOCKS_(KERNEL, s5, 0, 0)                                                                            \
    Q35_CUDA_BLOCKS_(KERNEL, u5, 0, 0)                                                                            \
    Q35_CUDA_BLOCKS_(KERNEL, s6, 0, 1)                                                                            \
    Q35_CUDA_BLOCKS_(KERNEL, s3, 0, 1)                                                                            \
    Q35_CUDA_BLOCKS_(KERNEL, u2, 0, 1)                                                                            \
    Q35_CUDA_BLOCKS_(KERNEL, s8, 0, 0)                                                                            \
    KERNEL(linear_float, linear_float, 128, 0)                                                                    \
    KERNEL(rope, rope, 128, 0)                                                                                    \
    KERNEL(kv_append, kv_append, 128, 0)                                                                          \
    KERNEL(rope_append, rope_append, 128, 0)                                                                      \
    KERNEL(attention_spans, attention, 256, 0)                                                                    \
    KERNEL(attention_join, attention, 128, 1)                                                                     \
    KERNEL(attention_rows, attention, 256, 2)                                                                     \
    KERNEL(swiglu, elementwise, 256, 0)                                                                           \
    KERNEL(add, elementwise, 256, 0)                                                                              \
    KERNEL(mul, elementwise, 256, 0)                                                                              \
    KERNEL(silu, elementwise, 256, 0)                                                                             \
    KERNEL(take_rows, take_rows, 128, 0)                                                                          \
    KERNEL(sum_squares, sum_squares, 128, 0)                                                                      \
    KERNEL(top_k_parts, top_k, Q35_CUDA_TOP_THREADS, 0)                                                           \
    KERNEL(top_k_join, top_k, Q35_CUDA_TOP_THREADS, 1)                                                            \
    KERNEL(pack, pack, 256, 0)                                                                                    \
    KERNEL(sum_parts, sum_parts, 256, 0)

enum {
#define Q35_CUDA_ID(name, family, threads, variant) Q35_CUDA_K_##name,
    Q35_CUDA_KERNELS(Q35_CUDA_ID)
#undef Q35_CUDA_ID
        Q35_CUDA_N_KERNELS
};

/* ------------------------------------------------------------------ geometry */

enum {
    Q35_CUDA_BLOCK_ROWS = 32, /* output rows per block of linear_one and linear_few: two slices of 16 */
    Q35_CUDA_FEW_TOKENS = 8,  /* tokens per block of linear_few and linear_float */
    Q35_CUDA_MANY_ROWS = 64,  /* output rows and tokens per block of linear_many */
    Q35_CUDA_MANY_TOKENS = 64,
    Q35_CUDA_MANY_STRIDE = 136, /* bytes between tokens' codes of a stage in shared memory: no bank conflicts */
    Q35_CUDA_MANY_STAGES = 3,
    Q35_CUDA_WIDE_ROWS = 128, /* output rows and tokens per block of linear_wide */
    Q35_CUDA_WIDE_TOKENS = 128,
    Q35_CUDA_WIDE_STAGES = 3,
    Q35_CUDA_WIDE_LEAST = 32,   /* tokens from which on it is used */
    Q35_CUDA_MANY_BLOCKS = 160, /* the same of B16: four blocks of A8_32 as they are, no bank conflicts either */
    Q35_CUDA_FEW_WARPS = 7,     /* of B16, few tokens: warps that multiply, beside the one that joins */
    Q35_CUDA_KEPT_STRIDE = 17,  /* and rows between the tokens of what they leave for it */
    Q35_CUDA_SLAB = 32,         /* groups of 128 inputs whose sums are kept before they are joined */
    Q35_CUDA_SPAN = 256,        /* positions that attention takes together */
    Q35_CUDA_SPAN_QUERIES = 8,  /* query rows per block of attention_spans */
    Q35_CUDA_ROWS_QUERIES = 8,  /* of attention_rows */
    Q35_CUDA_MAX_HEAD_DIM = 256,
    Q35_CUDA_ROPE_HEADS = 8,        /* per block of rope */
    Q35_CUDA_CHUNK = 4096,          /* inputs that norm and rotate take together */
    Q35_CUDA_MAX_CHUNK = 24 * 1024, /* of quantize: 96 KiB of shared memory */
    Q35_CUDA_NORM_LANES = 17 * 8,   /* bytes of norm's sums */
    Q35_CUDA_MAX_TOP = 64,          /* k of top_k */
    Q35_CUDA_TOP_PART = 2048,       /* columns of a block of top_k_parts */
    Q35_CUDA_TOP_JOIN = 4096,       /* keys that top_k_join holds at a time: those of 131072 columns */
    Q35_CUDA_TOP_THREADS = 256
};

typedef struct q35_cuda_launch {
    uint32_t grid[3];
    uint32_t threads; /* of a block, in x */
    uint32_t shared;  /* bytes of dynamic shared memory; above 48 KiB the host raises the kernel's limit */
} q35_cuda_launch;

Q35_CUDA_FN uint32_t q35_cuda_ceil_div(int64_t a, int64_t b)
{
    return (uint32_t)((a + b - 1) / b);
}

Q35_CUDA_FN q35_cuda_launch q35_cuda_launch_make(uint32_t x, uint32_t y, uint32_t z, uint32_t shared)
{
    q35_cuda_launch l;
    l.grid[0] = x;
    l.grid[1] = y;
    l.grid[2] = z;
    l.threads = 0;
    l.shared = shared;
    return l;
}

Q35_CUDA_FN int32_t q35_cuda_n_spans(int64_t n_positions)
{
    return (int32_t)((n_positions + Q35_CUDA_SPAN - 1) / Q35_CUDA_SPAN);
}

/* Floats of a record: values [head_dim], largest score, sum of weights. */
Q35_CUDA_FN uint32_t q35_cuda_record_floats(int32_t head_dim)
{
    return ((uint32_t)head_dim + 2 + 15) / 16 * 16;
}

/* Bytes of attention_spans' records; 0: none needed. */
Q35_CUDA_FN uint64_t q35_cuda_records_bytes(const q35_attention_args *a)
{
    return a->n_spans > 1 ? (uint64_t)a->n_rows * (uint64_t)a->n_heads * (uint64_t)a->n_spans *
                                q35_cuda_record_floats(a->head_dim) * 4
                          : 0;
}

/* Whether n_tokens of a plan, in up to n_sequences, are few for attention. */
Q35_CUDA_FN int q35_cuda_attention_few(int64_t n_tokens, int64_t n_sequences)
{
    return n_tokens <= 8 || n_tokens <= 2 * n_sequences;
}

/* Keys of a part, a power of two from k on. */
Q35_CUDA_FN int32_t q35_cuda_top_list(int64_t k)
{
    int32_t list = 1;
    while (list < k)
        list *= 2;
    return list;
}

Q35_CUDA_FN int32_t q35_cuda_top_parts(int64_t n)
{
    return (int32_t)q35_cuda_ceil_div(n, Q35_CUDA_TOP_PART);
}

/* Bytes of top_k's records: keys u64 [n_rows][parts][list]. */
Q35_CUDA_FN uint64_t q35_cuda_top_bytes(const q35_top_k_args *a)
{
    return (uint64_t)a->n_rows * (uint64_t)q35_cuda_top_parts(a->n) * (uint64_t)a->list * 8;
}

Q35_CUDA_FN int32_t q35_cuda_quantize_chunk(int64_t k)
{
    int64_t padded = (k + 127) / 128 * 128;
    return (int32_t)(padded < Q35_CUDA_MAX_CHUNK ? padded : (int64_t)Q35_CUDA_MAX_CHUNK);
}

#include "kernels-cuda/q35_cuda_linear.h"

/* q35_cuda_geometry_<family>: grid and shared memory of one launch. */
Q35_CUDA_FN q35_cuda_launch q35_cuda_geometry_get_rows(const q35_get_rows_args *a, uint32_t variant)
{
    (void)variant;
    return q35_cuda_launch_make(q35_cuda_ceil_div(a->k, 512), (uint32_t)a->n_rows, 1, 0);
}

Q35_CUDA_FN q35_cuda_launch q35_cuda_geometry_norm(const q35_norm_args *a, uint32_t variant)
{
    (void)variant;
    return q35_cuda_launch_make((uint32_t)a->n_rows, 1, 1, Q35_CUDA_CHUNK * 4 + Q35_CUDA_NORM_LANES);
}

Q35_CUDA_FN q35_cuda_launch q35_cuda_geometry_quantize(const q35_quantize_args *a, uint32_t variant)
{
    (void)variant;
    return q35_cuda_launch_make((uint32_t)a->n_rows, 1, 1, (uint32_t)a->chunk * 4 + 64);
}

Q35_CUDA_FN q35_cuda_launch q35_cuda_geometry_norm_quantize(const q35_norm_quantize_args *a, uint32_t variant)
{
    (void)variant;
    return q35_cuda_launch_make((uint32_t)a->norm.n_rows, 1, 1,
                                Q35_CUDA_NORM_LANES + (uint32_t)a->quantize.chunk * 4 + 64);
}

Q35_CUDA_FN q35_cuda_launch q35_cuda_geometry_rotate(const q35_rotate_args *a, uint32_t variant)
{
    (void)variant;
    return q35_cuda_launch_make(q35_cuda_ceil_div(a->k, Q35_CUDA_CHUNK), (uint32_t)a->n_rows, 1,
                                Q35_CUDA_CHUNK * 4);
}

Q35_CUDA_FN q35_cuda_launch q35_cuda_geometry_rope(const q35_rope_args *a, uint32_t variant)
{
    (void)variant;
    return q35_cuda_launch_make(q35_cuda_ceil_div(a->n_heads, Q35_CUDA_ROPE_HEADS), (uint32_t)a->n_rows, 1, 0);
}

Q35_CUDA_FN q35_cuda_launch q35_cuda_geometry_kv_append(const q35_kv_append_args *a, uint32_t variant)
{
    (void)variant;
    return q35_cuda_launch_make(2 * (uint32_t)a->n_kv_heads, (uint32_t)a->n_rows, 1, 0);
}

/* Blocks of query heads, then one per head of keys and of values. */
Q35_CUDA_FN q35_cuda_launch q35_cuda_geometry_rope_append(const q35_rope_append_args *a, uint32_t variant)
{
    (void)variant;
    return q35_cuda_launch_make(q35_cuda_ceil_div(a->q.n_heads, Q35_CUDA_ROPE_HEADS) +
                                    2 * (uint32_t)a->kv.n_kv_heads,
                                (uint32_t)a->q.n_rows, 1, (uint32_t)a->kv.head_dim * 4);
}

/* Blocks of a kv head's group of query heads, and tokens of a block, where a block has `queries` rows. */
Q35_CUDA_FN uint32_t q35_cuda_head_parts(const q35_attention_args *a, uint32_t queries)
{
    return q35_cuda_ceil_div(a->n_heads / a->n_kv_heads, queries);
}

Q35_CUDA_FN uint32_t q35_cuda_block_tokens(const q35_attention_args *a, uint32_t queries)
{
    uint32_t group = (uint32_t)(a->n_heads / a->n_kv_heads);
    return group < queries ? queries / group : 1;
}

Q35_CUDA_FN uint32_t q35_cuda_attention_shared(const q35_attention_args *a, uint32_t queries)
{
    return queries * (uint32_t)a->head_dim * 4 + queries * Q35_CUDA_SPAN * 4 + queries * 16 +
           Q35_CUDA_SPAN / Q35_KV_PAGE * 4;
}

Q35_CUDA_FN q35_cuda_launch q35_cuda_geometry_attention(const q35_attention_args *a, uint32_t variant)
{
    const uint32_t queries = variant == 0 ? Q35_CUDA_SPAN_QUERIES : Q35_CUDA_ROWS_QUERIES;
    if (variant == 1)
        return q35_cuda_launch_make((uint32_t)a->n_heads, (uint32_t)a->n_rows, 1, 0);
    const uint32_t heads = (uint32_t)a->n_kv_heads * q35_cuda_head_parts(a, queries);
    if (variant == 0) /* a token's rows share a block, tokens never do */
        return q35_cuda_launch_make(heads, (uint32_t)a->n_rows, (uint32_t)a->n_spans,
                                    q35_cuda_attention_shared(a, queries));
    return q35_cuda_launch_make(heads, q35_cuda_ceil_div(a->n_rows, q35_cuda_block_tokens(a, queries)), 1,
                                q35_cuda_attention_shared(a, queries));
}

Q35_CUDA_FN q35_cuda_launch q35_cuda_geometry_elementwise(const q35_elementwise_args *a, uint32_t variant)
{
    (void)variant;
    return q35_cuda_launch_make(q35_cuda_ceil_div(a->n, 1024), (uint32_t)a->n_rows, 1, 0);
}

Q35_CUDA_FN q35_cuda_launch q35_cuda_geometry_take_rows(const q35_take_rows_args *a, uint32_t variant)
{
    (void)variant;
    return q35_cuda_launch_make(q35_cuda_ceil_div(a->k, 512), (uint32_t)a->n_rows, 1, 0);
}

Q35_CUDA_FN q35_cuda_launch q35_cuda_geometry_sum_squares(const q35_sum_squares_args *a, uint32_t variant)
{
    (void)variant;
    return q35_cuda_launch_make(q35_cuda_ceil_div(a->k, 128), 1, 1, 0);
}

Q35_CUDA_FN q35_cuda_launch q35_cuda_geometry_top_k(const q35_top_k_args *a, uint32_t variant)
{
    if (variant == 0)
        return q35_cuda_launch_make((uint32_t)q35_cuda_top_parts(a->n), (uint32_t)a->n_rows, 1,
                                    Q35_CUDA_TOP_PART * 8);
    return q35_cuda_launch_make((uint32_t)a->n_rows, 1, 1, Q35_CUDA_TOP_JOIN * 8);
}

Q35_CUDA_FN uint64_t q35_cuda_slice_words(const q35_pack_args *a)
{
    return q35_cuda_slice_bytes(a->dtype, a->k) / 4;
}

/* Blocks of a slice. */
Q35_CUDA_FN uint32_t q35_cuda_pack_blocks(const q35_pack_args *a)
{
    uint32_t blocks = q35_cuda_ceil_div((int64_t)q35_cuda_slice_words(a), 256);
    return blocks < 64 ? blocks : 64;
}

Q35_CUDA_FN q35_cuda_launch q35_cuda_geometry_pack(const q35_pack_args *a, uint32_t variant)
{
    (void)variant;
    return q35_cuda_launch_make(q35_cuda_ceil_div(a->n, Q35_CUDA_SLICE_ROWS), q35_cuda_pack_blocks(a), 1, 0);
}

Q35_CUDA_FN q35_cuda_launch q35_cuda_geometry_sum_parts(const q35_sum_parts_args *a, uint32_t variant)
{
    (void)variant;
    return q35_cuda_launch_make(q35_cuda_ceil_div(a->n, 1024), 1, 1, 0);
}

/* ------------------------------------------------------------------ by number */

/* Launch of kernel `id` with its struct at args. A grid dimension may be 0: nothing to launch. */
static inline q35_cuda_launch q35_cuda_launch_of(uint32_t id, const void *args)
{
    q35_cuda_launch l = q35_cuda_launch_make(0, 0, 0, 0);
    switch (id) {
#define Q35_CUDA_CASE(name, family, n_threads, variant)                                                           \
    case Q35_CUDA_K_##name:                                                                                       \
        l = q35_cuda_geometry_##family((const q35_##family##_args *)args, variant);                               \
        l.threads = n_threads;                                                                                    \
        break;
        Q35_CUDA_KERNELS(Q35_CUDA_CASE)
#undef Q35_CUDA_CASE
    default: break;
    }
    return l;
}

/* Symbol of the kernel in the module; NULL past the last. */
static inline const char *q35_cuda_kernel_name(uint32_t id)
{
    switch (id) {
#define Q35_CUDA_CASE(name, family, threads, variant)                                                             \
    case Q35_CUDA_K_##name: return "q35_" #name;
        Q35_CUDA_KERNELS(Q35_CUDA_CASE)
#undef Q35_CUDA_CASE
    default: return NULL;
    }
}

/* Is it one of linear_wide, which may not be in the module? */
static inline int q35_cuda_is_wide(uint32_t id)
{
    switch (id) {
#define Q35_CUDA_CASE(name, family, threads, variant)                                                             \
    case Q35_CUDA_K_##name: return (variant) % Q35_CUDA_BOOK == Q35_CUDA_WIDE;
        Q35_CUDA_KERNELS(Q35_CUDA_CASE)
#undef Q35_CUDA_CASE
    default: return 0;
    }
}

static inline uint32_t q35_cuda_args_bytes(uint32_t id)
{
    switch (id) {
#define Q35_CUDA_CASE(name, family, threads, variant)                                                             \
    case Q35_CUDA_K_##name: return (uint32_t)sizeof(q35_##family##_args);
        Q35_CUDA_KERNELS(Q35_CUDA_CASE)
#undef Q35_CUDA_CASE
    default: return 0;
    }
}

#if defined(__cplusplus)
#define Q35_CUDA_ASSERT(cond) static_assert(cond, #cond)
#else
#define Q35_CUDA_ASSERT(cond) _Static_assert(cond, #cond)
#endif
/* The structs are the same for every compiler: sizes, and the offset of the last field. */
#define Q35_CUDA_LAYOUT_IS(family, bytes, field, at)                                                              \
    Q35_CUDA_ASSERT(sizeof(q35_##family##_args) == (bytes));                                                      \
    Q35_CUDA_ASSERT(offsetof(q35_##family##_args, field) == (at))
/* What a block may have on every target: 99 KiB. */
Q35_CUDA_ASSERT(Q35_CUDA_NORM_LANES + Q35_CUDA_MAX_CHUNK * 4 + 64 <= 99 * 1024);
Q35_CUDA_ASSERT(2 * 16384 + Q35_CUDA_SLAB * Q35_CUDA_BLOCK_ROWS * Q35_CUDA_FEW_TOKENS * 4 <= 99 * 1024);
Q35_CUDA_ASSERT(2 * 16384 + Q35_CUDA_MANY_STAGES * Q35_CUDA_MANY_TOKENS * (Q35_CUDA_MANY_STRIDE + 8) <= 99 * 1024);
Q35_CUDA_ASSERT(2 * 16384 + Q35_CUDA_WIDE_STAGES * Q35_CUDA_WIDE_TOKENS * (Q35_CUDA_TILE_K + 8) <= 99 * 1024);
Q35_CUDA_ASSERT(2 * 16384 + 2 * Q35_CUDA_FEW_WARPS * (8 * Q35_CUDA_KEPT_STRIDE + 40) * 16 <= 99 * 1024);
Q35_CUDA_ASSERT(2 * Q35_CUDA_FEW_WARPS * 2 * (8 * Q35_CUDA_KEPT_STRIDE + 40) * 16 <= 99 * 1024);
Q35_CUDA_LAYOUT_IS(get_rows, 72, dtype, 68);
Q35_CUDA_LAYOUT_IS(norm, 96, eps, 88);
Q35_CUDA_LAYOUT_IS(quantize, 72, chunk, 64);
Q35_CUDA_LAYOUT_IS(norm_quantize, 168, quantize, 96);
Q35_CUDA_LAYOUT_IS(rotate, 64, inverse, 60);
Q35_CUDA_LAYOUT_IS(linear, 160, dtype, 152);
Q35_CUDA_LAYOUT_IS(linear_float, 80, act, 72);
Q35_CUDA_LAYOUT_IS(rope, 80, temperature_length, 76);
Q35_CUDA_LAYOUT_IS(kv_append, 88, dtype, 80);
Q35_CUDA_LAYOUT_IS(rope_append, 248, kv, 160);
Q35_CUDA_LAYOUT_IS(attention, 120, scale, 116);
Q35_CUDA_LAYOUT_IS(elementwise, 64, n, 60);
Q35_CUDA_LAYOUT_IS(take_rows, 64, k, 56);
Q35_CUDA_LAYOUT_IS(sum_squares, 40, k, 36);
Q35_CUDA_LAYOUT_IS(top_k, 80, list, 76);
Q35_CUDA_LAYOUT_IS(pack, 40, dtype, 32);
Q35_CUDA_LAYOUT_IS(sum_parts, 32, n_parts, 24);

#endif
