/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR with NEON, of all but the products of integers (Q35I_PRODUCTS, products.h): what the shared walk
 * (linear_walk.h) needs. Static only. Mirrors q35k_linear__ref. */
#ifndef Q35I_NEON_LINEAR_H
#define Q35I_NEON_LINEAR_H

#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/neon/dot_a8.h"
#include "kernels-cpu/tile16.h"

typedef float32x4_t q35i_vector;

/* Asks for the chunk's share of the next tile of canonical rows; decoders of packed tiles do that themselves. */
static inline void prefetch_tile(uintptr_t ahead, int64_t rs, int bytes)
{
    for (int i = 0; ahead != 0 && rs >= Q35I_ROWS && i < bytes; i += 64)
        __builtin_prefetch((const void *)(ahead + (uintptr_t)i), 0, 3);
}

static inline void decode(const q35i_codec *codec, const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead,
                          const q35i_book *book, q35i_chunk *out)
{
    prefetch_tile(ahead, rs, 128 * blocks);
    codec->decode(at, rs, blocks, book, out);
}

static inline void decode_float(const q35i_codec *codec, const uint8_t *at, int64_t rs, int blocks,
                                uintptr_t ahead, float32x4_t *out)
{
    prefetch_tile(ahead, rs, 256 * blocks);
    codec->decode_float(at, rs, blocks, out);
}

static inline void dot_f32(const float32x4_t *w, int inputs, const uint8_t *x, int64_t rs_x, int64_t n_tokens,
                           float *acc)
{
    q35i_dot_f32__neon(w, 1, inputs, x, rs_x, n_tokens, acc);
}

#define chunk_to_f32 q35i_chunk_to_f32__neon

static inline void store_rows(float *out, int64_t rows, const float *sums)
{
    q35i_store_lanes(out, rows, q35i_one_nan(vld1q_f32(sums)));
}

#include "kernels-cpu/simd/linear_walk.h"

static inline void linear(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens, const q35k_weights *w,
                          float *out, int64_t rs_out, int64_t begin, int64_t end, void *scratch)
{
    if (n_tokens <= 0 || begin >= end)
        return;
    work *wk = scratch;
    if (w->dtype == Q35_DT_Q35_PAIR)
        q35i_load_book__neon(w->book, &wk->book);
    job j = {w, x, act_type, rs_x, q35i_codec__neon(w), chunk_bytes_of(w), wk};
    walk(&j, n_tokens, out, rs_out, begin, end);
}

#endif
