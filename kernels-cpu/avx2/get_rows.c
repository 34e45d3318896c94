/* SPDX-License-Identifier: Apache-2.0
 *
 * GET_ROWS with AVX2 for the types embeddings mostly have (Q8_0, Q4_0, Q4_1, row types); the others go to the
 * reference. Mirrors q35k_get_rows__ref: the same products and sums, so the same bits.
 */
#include "kernels-cpu/kernels_decl.h"

#include <immintrin.h>

enum { BLOCK = 32, LEVELS = 16 /* taken together; a multiple of the blocks of row types */ };

/* out[0..7] = d * q[0..7] + m */
static inline void store8(float *out, __m128i q, __m256 d, __m256 m)
{
    __m256 v = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q)));
    _mm256_storeu_ps(out, _mm256_add_ps(v, m));
}

static inline void store32(float *out, __m128i first, __m128i second, float d, float m)
{
    const __m256 scale = _mm256_set1_ps(d), min = _mm256_set1_ps(m);
    store8(out, first, scale, min);
    store8(out + 8, _mm_srli_si128(first, 8), scale, min);
    store8(out + 16, second, scale, min);
    store8(out + 24, _mm_srli_si128(second, 8), scale, min);
}

static inline __m128i load16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* -0 keeps the sign of zero products, as adding nothing does. */
static void decode(uint32_t dtype, const uint8_t *block, float *out)
{
    const __m128i m15 = _mm_set1_epi8(15);
    float d = q35_f16_to_f32(q35_load_u16(block));
    if (dtype == Q35_DT_Q8_0) {
        store32(out, load16(block + 2), load16(block + 18), d, -0.0f);
        return;
    }
    __m128i q = load16(block + (dtype == Q35_DT_Q4_0 ? 2 : 4));
    __m128i low = _mm_and_si128(q, m15), high = _mm_and_si128(_mm_srli_epi16(q, 4), m15);
    if (dtype == Q35_DT_Q4_0) {
        const __m128i eight = _mm_set1_epi8(8);
        store32(out, _mm_sub_epi8(low, eight), _mm_sub_epi8(high, eight), d, -0.0f);
    } else {
        store32(out, low, high, d, q35_f16_to_f32(q35_load_u16(block + 2)));
    }
}

/* n <= LEVELS weights from input i on of a row of a row type; dtype is a constant where this is inlined. */
static inline void decode_levels(uint32_t dtype, const q35k_weights *w, const uint8_t *row, int64_t i, int64_t n,
                                 float *out)
{
    const q35_dtype_info d = q35_dtype_describe(dtype);
    const uint8_t *blocks = row + d.row_head + i / d.block_len * d.block_bytes;
    int8_t level[LEVELS] = {0};
    float scale;
    memcpy(&scale, row, sizeof scale);
    for (int64_t e = 0; e < n && e < LEVELS; e += d.block_len, blocks += d.block_bytes)
        q35_row_levels(dtype, blocks, w->book, level + e);
    const __m256 s = _mm256_set1_ps(scale), none = _mm256_set1_ps(-0.0f);
    __m128i q = load16((const uint8_t *)level);
    store8(out, q, s, none);
    store8(out + 8, _mm_srli_si128(q, 8), s, none);
}

static inline void decode_row(uint32_t dtype, const q35k_weights *w, const uint8_t *row, float *out)
{
    float last[LEVELS];
    int64_t i = 0;
    for (; i + LEVELS <= w->k; i += LEVELS)
        decode_levels(dtype, w, row, i, LEVELS, out + i);
    if (i < w->k) {
        decode_levels(dtype, w, row, i, w->k - i, last);
        memcpy(out + i, last, (size_t)(w->k - i) * sizeof *out);
    }
}

static void decode_row_type(const q35k_weights *w, const uint8_t *row, float *out)
{
    switch (w->dtype) {
    case Q35_DT_Q35_ROW: decode_row(Q35_DT_Q35_ROW, w, row, out); return;
    case Q35_DT_Q40_ROW: decode_row(Q35_DT_Q40_ROW, w, row, out); return;
    default: decode_row(Q35_DT_Q60_ROW, w, row, out); return;
    }
}

void q35k_get_rows__avx2(const int32_t *ids, const q35k_weights *w, float *out, int64_t rs_out, int64_t begin,
                         int64_t end)
{
    if (q35_is_row_type(w->dtype)) {
        for (int64_t t = begin; t < end; t++)
            decode_row_type(w, (const uint8_t *)w->data + ids[t] * w->rs,
                            (float *)(void *)((char *)out + t * rs_out));
        return;
    }
    if (w->dtype != Q35_DT_Q8_0 && w->dtype != Q35_DT_Q4_0 && w->dtype != Q35_DT_Q4_1) {
        q35k_get_rows__ref(ids, w, out, rs_out, begin, end);
        return;
    }
    uint32_t block_bytes = q35_dtype_describe(w->dtype).block_bytes;
    for (int64_t t = begin; t < end; t++) {
        const uint8_t *row = (const uint8_t *)w->data + ids[t] * w->rs;
        float *to = (float *)(void *)((char *)out + t * rs_out);
        for (int64_t i = 0; i < w->k; i += BLOCK, row += block_bytes)
            decode(w->dtype, row, to + i);
    }
}
