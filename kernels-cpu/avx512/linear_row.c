/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR of row types with AVX-512 VBMI and VNNI: what the shared walks (row_walk.h, row_few.h) need. Mirrors
 * q35k_linear_row__ref: the same bits.
 */
#include "kernels-cpu/avx512/row.h"
#include "kernels-cpu/kernels_decl.h"

enum {
    Q35I_ROW_BLOCK = 8, /* by 32 rows: 16 sums in registers */
    Q35I_ROW_FEW = 8,   /* tokens of the walk that keeps codes in registers */
    ROW_BIAS = 128,
    PARTS = 1,
    CHAINS = 4
};
#define FEW_UP_TO_8

typedef __m512i q35i_ints;
typedef __m512 q35i_floats;

#define splat_int    _mm512_set1_epi32
#define splat_float  _mm512_set1_ps
#define to_float     _mm512_cvtepi32_ps
#define multiply_add _mm512_fmadd_ps
#define multiply     _mm512_mul_ps
#define add_ints     _mm512_add_epi32
#define decode       q35i_row_decode__avx512
#define dot_f32      q35i_dot_f32__avx512

/* Four inputs. Vector u of w lies CHUNK_VECTORS after vector u - 1. vpdpbusd does not saturate. */
Q35I_INLINE void add_products(int n, int tiles, const __m512i *w, const uint8_t *q, int64_t rs, __m512i (*sum)[2])
{
    for (int t = 0; t < n; t++) {
        int32_t codes;
        memcpy(&codes, q + t * rs, 4);
        __m512i a = _mm512_set1_epi32(codes);
        for (int u = 0; u < tiles; u++)
            sum[t][u] = _mm512_dpbusd_epi32(sum[t][u], w[u * (Q35I_CHUNK / 4)], a);
    }
}

/* One rounding per weight. */
static void chunk_to_f32(uint32_t dtype, const __m512i *w, int inputs, __m512 scale, __m512 *out)
{
    for (int i = 0; i < inputs; i++) {
        q35i_place at = q35i_sorted_place(dtype, i);
        __m512i level = _mm512_srli_epi32(w[at.vector], (unsigned)(8 * at.byte));
        level = _mm512_sub_epi32(_mm512_and_si512(level, _mm512_set1_epi32(255)), _mm512_set1_epi32(ROW_BIAS));
        out[i] = _mm512_mul_ps(scale, _mm512_cvtepi32_ps(level));
    }
}

static inline __m512 load_scales(const void *p)
{
    return _mm512_loadu_ps(p);
}

static inline void store_rows(float *out, int64_t n_rows, __m512 y)
{
    q35i_store_rows(out, (__mmask16)(n_rows >= Q35I_ROWS ? 0xffffu : (1u << n_rows) - 1u), y);
}

/* 64 codes: word 2 j takes inputs 8 j, + 2, + 4, + 6, word 2 j + 1 the odd ones between. */
Q35I_INLINE void sort_codes(uint32_t dtype, const int8_t *q, int32_t *out)
{
    const __m512i order =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15));
    __m512i v = _mm512_loadu_si512((const void *)q);
    _mm512_storeu_si512((void *)out, dtype == Q35_DT_Q60_ROW ? v : _mm512_shuffle_epi8(v, order));
}

#include "kernels-cpu/simd/row_walk.h"

/* One set for n tokens; a: its activations. */
Q35I_INLINE void add_set(uint32_t dtype, int n, const uint8_t *set, const q35i_row_book *book, const int32_t *a,
                         __m512i sum[Q35I_ROW_FEW][PARTS][CHAINS])
{
    __m512i v[16];
    q35i_row_prefetch(dtype, set);
    q35i_row_load_set(dtype, set, v);
    for (int j = 0; j < 8; j++) {
        __m512i first, second;
        if (dtype == Q35_DT_Q60_ROW) {
            first = q35i_row_weight6(v[2 * j]);
            second = q35i_row_weight6(v[2 * j + 1]);
        } else {
            first = q35i_row_lookup(dtype, book->even, v[j]);
            second = q35i_row_lookup(dtype, book->odd, v[j]);
        }
        const int c = n > 2 ? 0 : 2 * (j & 1), odd = c + 1;
        for (int t = 0; t < n; t++) {
            const int32_t *p = a + 16 * t + 2 * j;
            sum[t][0][c] = _mm512_dpbusd_epi32(sum[t][0][c], first, _mm512_set1_epi32(p[0]));
            sum[t][0][odd] = _mm512_dpbusd_epi32(sum[t][0][odd], second, _mm512_set1_epi32(p[1]));
        }
    }
}

#include "kernels-cpu/simd/row_few.h"

/* Book entries 64 i .. 64 i + 63 of both components, plus 128. */
static void load_book(const q35k_weights *w, q35i_row_book *book)
{
    const __m512i flip = _mm512_set1_epi8((char)0x80);
    for (uint32_t i = 0; 64 * i < q35_book_entries(w->dtype); i++) {
        __m512i a = _mm512_loadu_si512((const void *)(w->book + 64 * i));
        __m512i b = _mm512_loadu_si512((const void *)(w->book + 64 * i + 32));
        __m256i odd_a = _mm512_cvtepi16_epi8(_mm512_srli_epi16(a, 8));
        __m256i odd_b = _mm512_cvtepi16_epi8(_mm512_srli_epi16(b, 8));
        __m512i even = _mm512_castsi256_si512(_mm512_cvtepi16_epi8(a)), odd = _mm512_castsi256_si512(odd_a);
        book->even[i] = _mm512_xor_si512(_mm512_inserti64x4(even, _mm512_cvtepi16_epi8(b), 1), flip);
        book->odd[i] = _mm512_xor_si512(_mm512_inserti64x4(odd, odd_b, 1), flip);
    }
}

void q35k_linear_row__avx512(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens,
                             const q35k_weights *w, float *out, int64_t rs_out, int64_t begin, int64_t end,
                             void *scratch)
{
    if (n_tokens <= 0 || begin >= end)
        return;
    work *wk = scratch;
    load_book(w, &wk->book);
    if (n_tokens <= Q35I_ROW_FEW && act_type != Q35_DT_F32 && w->layout == Q35K_LAYOUT_ROW16) {
        few_tokens(x, act_type, rs_x, (int)n_tokens, w, &wk->book, out, rs_out, begin, end, wk + 1);
        return;
    }
    const job j = {w, x, act_type, rs_x, out, rs_out, wk};
    walk(&j, n_tokens, begin, end);
}
