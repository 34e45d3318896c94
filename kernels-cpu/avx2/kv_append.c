/* SPDX-License-Identifier: Apache-2.0
 *
 * KV_APPEND with AVX2 and F16C. Mirrors q35k_kv_append__ref, with the same bits. */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/simd/avx2_math.h"

static void store_f16(uint8_t *to, const float *from, int64_t dim)
{
    int64_t d = 0;
    for (; d + 8 <= dim; d += 8) {
        __m128i h = _mm256_cvtps_ph(_mm256_loadu_ps(from + d), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        _mm_storeu_si128((__m128i *)(void *)(to + 2 * d), h);
    }
    for (; d < dim; d++) {
        uint16_t h = q35_f32_to_f16(from[d]);
        memcpy(to + 2 * d, &h, 2);
    }
}

/* x / d rounded and kept within +-127, as bytes in order. */
static __m256i codes_of(const __m256 x[4], float d)
{
    const __m256 scale = _mm256_set1_ps(d), most = _mm256_set1_ps(127), least = _mm256_set1_ps(-127);
    __m256i q[4];
    for (int i = 0; i < 4; i++)
        q[i] = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(_mm256_div_ps(x[i], scale), least), most));
    /* Packing works within 128-bit lanes: groups of four codes come out as 0 2 4 6 1 3 5 7. */
    __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    return _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

static void store_q8_block(uint8_t *to, const float *from)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    const __m256i largest_finite = _mm256_set1_epi32(0x7f7fffff);
    __m256 x[4], top = _mm256_setzero_ps();
    __m256i wrong = _mm256_setzero_si256(), codes = wrong;
    for (int i = 0; i < 4; i++) {
        x[i] = _mm256_loadu_ps(from + 8 * i);
        __m256 magnitude = _mm256_andnot_ps(sign, x[i]);
        wrong = _mm256_or_si256(wrong, _mm256_cmpgt_epi32(_mm256_castps_si256(magnitude), largest_finite));
        top = _mm256_max_ps(top, magnitude);
    }
    uint16_t scale = q35_f32_to_f16(q35i_max8__avx2(top) / 127);
    if (scale == 0x7c00)
        scale = 0x7bff;
    if (!_mm256_testz_si256(wrong, wrong))
        scale = 0x7e00;
    else if (scale != 0)
        codes = codes_of(x, q35_f16_to_f32(scale));
    memcpy(to, &scale, sizeof scale);
    _mm256_storeu_si256((__m256i *)(void *)(to + 2), codes);
}

static void store_row(uint8_t *to, const float *from, uint32_t dtype, int64_t dim)
{
    if (dtype == Q35_DT_F32)
        memcpy(to, from, (size_t)dim * sizeof *from);
    else if (dtype == Q35_DT_F16)
        store_f16(to, from, dim);
    else
        for (int64_t d = 0; d < dim; d += 32, to += 34)
            store_q8_block(to, from + d);
}

void q35k_kv_append__avx2(const float *k, int64_t rs_k, const float *v, int64_t rs_v, const q35k_kv *kv,
                          const int32_t *slots, int64_t begin, int64_t end)
{
    int64_t dim = kv->head_dim, row_bytes = (int64_t)q35_row_bytes(kv->dtype, (uint64_t)dim);
    for (int64_t t = begin; t < end; t++) {
        const float *k_row = (const float *)(const void *)((const char *)k + t * rs_k);
        const float *v_row = (const float *)(const void *)((const char *)v + t * rs_v);
        for (int64_t g = 0; g < kv->n_kv_heads; g++) {
            int64_t at = q35k_kv_row(kv, slots[t], g) * row_bytes;
            store_row((uint8_t *)kv->k + at, k_row + g * dim, kv->dtype, dim);
            store_row((uint8_t *)kv->v + at, v_row + g * dim, kv->dtype, dim);
        }
    }
}
