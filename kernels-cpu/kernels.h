/* SPDX-License-Identifier: Apache-2.0
 *
 * Contracts of the CPU kernels: one function type per op. kernels-cpu/ref implements each in plain C and is the
 * specification; avx2/, avx512/ and neon/ are the same contracts, faster. kernels.def has one row per
 * implementation.
 *
 * Rules for every kernel: pure (no allocation, no globals but how far to read ahead, no FP environment), tails
 * handled inside (never a read past the end of an operand), rows [begin, end) of the stated dimension only, so
 * that workers may split it freely. A row's bits do not depend on begin, end, the number of tokens, or the other
 * rows. All implementations of a contract give the same bits, on every machine: the order of operations is part of
 * it. Which NaN a NaN is, and nothing else, is left open, but in LINEAR.
 *
 * Shapes are written outermost first. "rs_x" is the distance in bytes between rows of x. T: token rows.
 */
#ifndef Q35K_KERNELS_H
#define Q35K_KERNELS_H

#include "kernels-cpu/series.h"

#include <q35rt/blocks.h>

/* A matrix of weights as a kernel sees it. */
typedef struct q35k_weights {
    const void *data;
    uint32_t dtype;          /* Q35_DT_*, a weight type */
    uint32_t layout;         /* Q35K_LAYOUT_* */
    int64_t n, k;            /* rows, weights per row */
    int64_t rs;              /* bytes per row (canonical), or per tile of 16 rows */
    const int8_t (*book)[2]; /* [q35_book_entries(dtype)], types with a codebook only; of row types: a book of
                              * magnitudes and signs as q35_book_signed says */
} q35k_weights;

enum {
    Q35K_LAYOUT_CANONICAL = 0,
    /* 3.5-bit types, 16 rows interleaved; byte map: kernels-cpu/tile16.h. Rows past n in the last tile are zero
     * scales with code 0. */
    Q35K_LAYOUT_TILE16 = 1,
    /* Types with one scale per row, 16 rows interleaved; byte map: kernels-cpu/row16.h. Missing rows are zero. */
    Q35K_LAYOUT_ROW16 = 2
};

/* LINEAR. out[t][r] = sum_k x[t][k] * w[r][k] for r in [begin, end), begin a multiple of 16.
 *
 * act_type  Q35_DT_A8_32: x is blocks, K padded with zero codes to whole blocks of 32.
 *           Q35_DT_F32: x is f32 [T][K].
 * out       f32 [T][N], rs_out
 * scratch   at least q35k_linear_scratch_bytes(k), private to the caller, 64-byte aligned
 * edge      T == 0 or begin == end: no access. k == 0: zeros.
 *
 * A NaN is 0x7fc00000. acc starts as 0 and is the result.
 *
 *   Types with levels (q35_block_levels), A8_32. Per part of the row (32 weights, or the 16 that share a scale),
 *   ascending, with s its scale, m its minimum, s_x the scale of its activations, and sums exact in int32:
 *     acc = fmaf((float)(sum of level * q) * s_x, s, acc)
 *     acc = fmaf((float)(sum of q) * s_x, m, acc)           types with minima only
 *   The last block of 32 inputs counts as a whole: its codes past k are 0.
 *
 *   All others. w: as q35_block_decode gives it; x: f32, or s_x * q, one f32 rounding. Per chunk of 256 inputs,
 *   ascending, with c[0..3] = 0:
 *     c[i mod 4] = fmaf(w[i], x[i], c[i mod 4])             inputs i of the chunk below k, ascending
 *     acc = acc + ((c[0] + c[1]) + (c[2] + c[3])) */
typedef void q35k_linear_fn(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens,
                            const q35k_weights *w, float *out, int64_t rs_out, int64_t begin, int64_t end,
                            void *scratch);

/* Enough for any kernel: M-independent. */
static inline uint64_t q35k_linear_scratch_bytes(int64_t k)
{
    uint64_t padded = ((uint64_t)k + 255) / 256 * 256;
    return padded * 136 + 65536;
}

/* How a row of K inputs is rotated. K is cut into blocks of `width`, what is left over into blocks of decreasing
 * powers of two. In a block of b: t = x, negated where the sign is below 0; then for h = 1, 2, 4 .. b / 2 the
 * pairs (t[i], t[i + h]) with bit h of i clear become (t[i] + t[i + h], t[i] - t[i + h]), each one f32 rounding;
 * then each is multiplied by (float)(1 / sqrt(b)), one f32 rounding; a block of 1 is only negated. The inverse
 * runs the butterflies and the product first and negates last. */
typedef struct q35k_rotation {
    const int8_t *signs; /* [K], 1 or -1 */
    int64_t width;       /* a power of two, up to 4096 */
} q35k_rotation;

/* ROTATE, token rows [begin, end): x f32 [T][K] -> y f32 [T][K], which may be x. */
typedef void q35k_rotate_fn(const float *x, int64_t rs_x, int64_t k, const q35k_rotation *rotation, int inverse,
                            float *y, int64_t rs_y, int64_t begin, int64_t end);

/* LINEAR of weights with one scale per row (Q35_ROW, Q40_ROW, Q60_ROW; canonical or ROW16): the function type,
 * shapes and edges of LINEAR, other numerics. q: activation codes, all within +-127 (as QUANTIZE_ACT makes them);
 * k <= 66304.
 *
 *   A8_ROW  S = sum over k of level * q, exact in int32; out = (s_row * s_token) * (float)S, three f32 roundings
 *           in this order.
 *   A8_128  acc = 0; per group of 128 inputs, ascending: acc = fmaf((float)S_group, s_group, acc), S_group exact
 *           in int32; out = s_row * acc.
 *   F32     weights are s_row * level, one f32 rounding each; then as LINEAR of float weights.
 *
 * A NaN is 0x7fc00000.
 *
 * act_type A8_ROW or A8_128 with Q35K_PANEL added: x is a panel, which PACK_ACT of the same instruction set has
 * filled for as many tokens; rs_x is unused. */
#define Q35K_PANEL 0x80000000u

/* PACK_ACT, token rows [begin, end) of T: canonical rows of A8_ROW or A8_128, K inputs each, to a panel: the order
 * in which LINEAR of row types reads the rows of many tokens, made once for all workers and all linears of an
 * input.
 *
 * x      the row of token begin; rs_x
 * panel  T * q35_row_bytes(act_type, K) bytes, 4-byte aligned, best 64. Sixteen tokens from a multiple of 16 on
 * take the bytes that their rows would take without gaps; so tokens [16 i, 16 j), or [16 i, T), are a panel, too.
 *        How codes and heads lie in there is known to one instruction set alone. */
typedef void q35k_pack_act_fn(const void *x, uint32_t act_type, int64_t rs_x, int64_t k, int64_t n_tokens,
                              void *panel, int64_t begin, int64_t end);

/* QUANTIZE_ACT, token rows [begin, end). x f32 [T][K], rotated first where rotation is not NULL; out [T]:
 *   Q35_DT_A8_32   q35_act_block [ceil(K/32)]
 *   Q35_DT_A8_128  q35_act_group [ceil(K/128)]
 *   Q35_DT_A8_ROW  q35_act_row, then codes padded with 0 to a multiple of 64; K at most 2^24
 * Per block, group or row: amax = max|x|; scale = amax / 127 (f32); q = round-half-even(x * (127 / amax)), where
 * 127 / amax is one f32 division; amax == 0, or so small that 127 / amax overflows: scale 0, codes 0. sum = sum of
 * q. Non-finite x: scale is NaN, codes 0, sum 0. Codes past K are 0.
 * scratch: f32 [K], private to the caller, 64-byte aligned; unused without a rotation. */
typedef void q35k_quantize_act_fn(const float *x, int64_t rs_x, int64_t k, const q35k_rotation *rotation,
                                  uint32_t act_type, void *out, int64_t rs_out, int64_t begin, int64_t end,
                                  float *scratch);

/* RMS_NORM and ADD_RMS_NORM, token rows [begin, end). s = a + b (b == NULL: s = a), one f32 rounding; then in
 * double, with c[0..15] = 0: c[i mod 16] = c[i mod 16] + s[i] * s[i]               ascending; the product is exact
 *   factor = 1 / sqrt(lanes_sum(c) / k + eps)             lanes_sum: q35k_lanes_sum_f64
 *   y[i] = (float)(s[i] * factor * w[i])
 * sum: where s is stored, or NULL; may equal a. y may equal a or b. */
typedef void q35k_norm_fn(const float *a, const float *b, const float *w, float eps, float *sum, float *y,
                          int64_t rs, int64_t k, int64_t begin, int64_t end);

/* How a row of heads is rotated. */
typedef struct q35k_rope {
    int64_t n_heads, head_dim, n_rot;
    const float *inv_freq; /* [n_rot / 2] */
    float temperature_beta;
    int64_t temperature_length; /* 0: no factor */
} q35k_rope;

/* The factor of a position: 1 + beta ln(1 + floor(position / length)), in double, rounded to f32. */
static inline float q35k_rope_temperature(const q35k_rope *rope, int64_t position)
{
    if (rope->temperature_length <= 0)
        return 1;
    int64_t steps = position / rope->temperature_length;
    return (float)(1 + (double)rope->temperature_beta * q35k_log((double)(1 + steps)));
}

/* ROPE, token rows [begin, end) of x f32 [T][n_heads * head_dim], y likewise (may equal x); positions [T].
 * Angle of token t, pair i: (float)positions[t] * inv_freq[i], the product rounded to f32 as in the models' own
 * code (at position 262143 it is 0.008 off the exact one); s and c: sine and cosine of it (q35k_sincos), rounded
 * to f32; f: the temperature. y[2i]     = fmaf(x[2i], c, -(x[2i+1] * s)) * f y[2i+1]   = fmaf(x[2i+1], c, x[2i] *
 * s) * f past n_rot: y = x * f */
typedef void q35k_rope_fn(const float *x, float *y, int64_t rs, const q35k_rope *rope, const int32_t *positions,
                          int64_t begin, int64_t end);

/* A KV cache of one layer: [n_pages][n_kv_heads][Q35_KV_PAGE][head_dim], dense. */
typedef struct q35k_kv {
    void *k, *v;
    uint32_t dtype; /* Q35_DT_F16, Q35_DT_F32, or Q35_DT_Q8_0 (head_dim a multiple of 32) */
    int64_t n_pages, n_kv_heads, head_dim;
} q35k_kv;

/* Row of the cache, in units of head_dim elements, that kv head g of a slot has. Slot s is row s % Q35_KV_PAGE of
 * page s / Q35_KV_PAGE. */
static inline int64_t q35k_kv_row(const q35k_kv *kv, int64_t slot, int64_t g)
{
    return (slot / Q35_KV_PAGE * kv->n_kv_heads + g) * Q35_KV_PAGE + slot % Q35_KV_PAGE;
}

/* KV_APPEND, token rows [begin, end): row t goes to slots[t]. f16: round to nearest even. Q8_0, per 32 elements:
 * d = f16(max|x| / 127), at most 65504; q = round-half-even(x / d), within +-127, 0 where d is 0; NaN or infinity
 * among them: d is NaN, q 0. */
typedef void q35k_kv_append_fn(const float *k, int64_t rs_k, const float *v, int64_t rs_v, const q35k_kv *kv,
                               const int32_t *slots, int64_t begin, int64_t end);

/* What ATTENTION works on. Token t is at positions[t] of its sequence and sees the positions 0 .. positions[t] of
 * it, whose position p lies in row p % Q35_KV_PAGE of page pages[sequence[t] * max_pages + p / Q35_KV_PAGE]. */
typedef struct q35k_attention {
    const float *q; /* f32 [T][n_heads * head_dim], rs_q */
    float *out;     /* likewise, rs_out; not q */
    int64_t rs_q, rs_out, n_heads;
    float scale;
    const q35k_kv *kv;
    const int32_t *positions, *sequence; /* [T] */
    const int32_t *pages;                /* [sequences][max_pages] */
    int64_t max_pages;
} q35k_attention;

/* Positions are taken in spans, counted from position 0: first every span by itself, then the spans in order. So
 * several workers may share one item, and who did what changes no bit. */
#define Q35K_SPAN 256

static inline int64_t q35k_n_spans(int64_t position)
{
    return position / Q35K_SPAN + 1;
}

/* Spans [first, end) of one item. records [its spans][n_heads / n_kv_heads][q35k_record_bytes]: what a span leaves
 * for each query head, known to the kernel alone; 64-byte aligned. */
typedef struct q35k_part {
    void *records;
    int64_t first, end;
} q35k_part;

static inline uint64_t q35k_record_bytes(int64_t head_dim)
{
    return ((uint64_t)head_dim + 2 + 15) / 16 * 16 * sizeof(float);
}

/* ATTENTION, items [begin, end) of T * n_kv_heads; item i is token i / n_kv_heads, kv head g = i % n_kv_heads, and
 * all query heads h with h / (n_heads / n_kv_heads) = g. out[t][h] = sum_p softmax_p(scale * q[t][h] . K[p][g])
 * V[p][g], p = 0 .. positions[t]. Memory does not grow with the context. Neighbouring tokens of one sequence at
 * consecutive positions read the cache together, so calls with many are faster. part NULL: all of the items.
 * Otherwise end = begin + 1, and the item's spans [part->first, part->end) go to their records; when these are
 * none (first == end), the records of all its spans are joined and the item's out is written: the same bits as
 * without parts. scratch: q35k_attention_scratch_bytes(head_dim), private, 64-byte aligned.
 *
 * f32 throughout, for each query head. k and v: elements of the cache, which are exact in f32. Of a span, with
 * c[0..15], t[0..15] and acc[] = 0:
 *   c[d mod 16] = fmaf(q[d], k[p][d], c[d mod 16])        per position p, d ascending
 *   s[p] = lanes_sum(c) * scale                           lanes_sum: q35k_lanes_sum
 *   top = the largest s[p]
 *   w[p] = exp(s[p] - top)                                q35k_exp
 *   t[p mod 16] = t[p mod 16] + w[p]                      p ascending
 *   total = lanes_sum(t)
 *   acc[d] = fmaf(v[p][d], w[p], acc[d])                  p ascending
 * The first span is the result so far: far, far_top, far_total. The others are joined to it in order:
 *   largest = the larger of far_top and top; before = exp(far_top - largest); now = exp(top - largest)
 *   far[d] = far[d] * before + acc[d] * now               two products and a sum; far_total and total likewise
 *   far_top = largest
 * and at the end out[d] = far[d] / far_total. */
typedef void q35k_attention_fn(const q35k_attention *a, int64_t begin, int64_t end, const q35k_part *part,
                               void *scratch);

static inline uint64_t q35k_attention_scratch_bytes(int64_t head_dim)
{
    return (uint64_t)head_dim * 640 + 131072;
}

/* SWIGLU / ADD / MUL / SILU, elements [begin, end) of flat f32 arrays. b unused by SILU. y may equal a or b.
 * silu(a) = a / (1 + exp(-a)), in double, exp being q35k_exp_f64; SWIGLU silu(a) * b in double; rounded to f32
 * once. */
typedef void q35k_binary_fn(const float *a, const float *b, float *y, int64_t begin, int64_t end);

/* GET_ROWS, token rows [begin, end): out[t] = dequantised row ids[t] of w. The caller has checked 0 <= ids[t] < n.
 */
typedef void q35k_get_rows_fn(const int32_t *ids, const q35k_weights *w, float *out, int64_t rs_out, int64_t begin,
                              int64_t end);

/* SUM_SQUARES, columns [begin, end): acc[k] += sum over t of x[t][k]^2, the sum in double. */
typedef void q35k_sum_squares_fn(const float *x, int64_t rs_x, int64_t n_tokens, float *acc, int64_t begin,
                                 int64_t end);

/* TOP_K, token rows [begin, end) of n columns: values[t][0..k) and columns[t][0..k), the first k of row t as
 * Q35_OP_TOP_K of plugin.h orders them. 1 <= k <= n. Outputs may not overlap x. */
typedef void q35k_top_k_fn(const float *x, int64_t rs_x, int64_t n, int64_t k, float *values, int64_t rs_values,
                           int32_t *columns, int64_t rs_columns, int64_t begin, int64_t end);

/* CPU features a kernel row may need. */
enum {
    Q35K_CPU_AVX2 = 1u << 0,      /* AVX2, FMA, F16C */
    Q35K_CPU_AVX512 = 1u << 1,    /* F, BW, VL, DQ, VBMI, VNNI */
    Q35K_CPU_AVXVNNI = 1u << 3,   /* AVX2 and AVX-VNNI */
    Q35K_CPU_AMX = 1u << 4,       /* AMX-TILE and AMX-INT8, which this process has permission to use */
    Q35K_CPU_NEON = 1u << 8,      /* Advanced SIMD of ARMv8.0 */
    Q35K_CPU_NEON_DOT = 1u << 9,  /* dotprod */
    Q35K_CPU_NEON_I8MM = 1u << 10 /* dotprod and i8mm */
};

/* What the machine (CPUID and OS state, or HWCAP) offers. Any thread. */
uint32_t q35k_cpu_features(void);

/* Is it one of AMD's? */
int q35k_cpu_is_amd(void);

/* Asks the system for permission to use AMX, for the whole process and for good: signal frames of threads that use
 * it grow by 8 KiB, alternate signal stacks must have room for that. Only then does q35k_cpu_features say
 * Q35K_CPU_AMX. Returns 0 where it is granted, or where the processor or the system has no AMX; otherwise the
 * errno of the refusal. Any thread; asking again changes nothing. */
int q35k_cpu_request_amx(void);

/* One slot per contract. Const after init. */
typedef struct q35k_table {
    uint32_t features; /* levels actually used */
    q35k_linear_fn *linear, *linear_row;
    q35k_pack_act_fn *pack_act;
    q35k_quantize_act_fn *quantize_act;
    q35k_rotate_fn *rotate;
    q35k_norm_fn *norm;
    q35k_rope_fn *rope;
    q35k_kv_append_fn *kv_append;
    q35k_attention_fn *attention;
    q35k_binary_fn *swiglu, *add, *mul, *silu;
    q35k_get_rows_fn *get_rows;
    q35k_sum_squares_fn *sum_squares;
    q35k_top_k_fn *top_k;
} q35k_table;

/* Fills every slot with the reference, then lets each row of kernels.def whose features are in `features`
 * override, oldest instruction set first. */
void q35k_table_init(q35k_table *table, uint32_t features);

#endif
