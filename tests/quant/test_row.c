/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows with one scale: packing against the format and its decoder, plain quantisation and its edges. */
#include "noise.h"
#include "runtime/quant/certificate.h"
#include "runtime/quant/gaussian.h"
#include "runtime/quant/random.h"
#include "runtime/quant/rotation.h"
#include "runtime/quant/row.h"
#include "support/suite.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#define K         4096
#define ROW_BYTES (4 + K)

static const struct {
    uint32_t dtype, bits, weights, codes_per_block;
    double gaussian_db; /* of long rows: the book's own error, less what fitting the scale gains */
} types[] = {{Q35_DT_Q35_ROW, 7, 2, 8, 18.18}, {Q35_DT_Q40_ROW, 8, 2, 1, 21.11}, {Q35_DT_Q60_ROW, 6, 1, 4, 29.94}};

#define N_TYPES 3

static void decode(uint32_t dtype, const uint8_t *row, uint64_t k, float *out)
{
    uint32_t len = q35_dtype_describe(dtype).block_len;
    for (uint64_t i = 0; i < k; i += len) {
        float block[256]; /* of any type, as far as the compiler sees */
        q35_row_block_decode(dtype, row, i / len, q35i_gaussian_book(dtype), block);
        for (uint64_t j = i; j < k && j < i + len; j++)
            out[j] = block[j - i];
    }
}

static void round_trip(uint32_t dtype, const float *row, uint64_t k, const float *importance, float *out)
{
    uint8_t bytes[ROW_BYTES];
    (void)q35i_quantise_plain_row(dtype, q35i_gaussian_book(dtype), row, k, importance, bytes);
    decode(dtype, bytes, k, out);
}

START_TEST(sizes)
{
    ck_assert_uint_eq(q35_row_bytes(Q35_DT_Q35_ROW, 576), 4 + 36 * 7);
    ck_assert_uint_eq(q35_row_bytes(Q35_DT_Q35_ROW, 577), 4 + 37 * 7);
    ck_assert_uint_eq(q35_row_bytes(Q35_DT_Q40_ROW, 577), 4 + 289);
    ck_assert_uint_eq(q35_row_bytes(Q35_DT_Q60_ROW, 577), 4 + 145 * 3);
    ck_assert_uint_eq(q35i_row_codes(Q35_DT_Q35_ROW, 577), 289);
    ck_assert_uint_eq(q35i_row_codes(Q35_DT_Q60_ROW, 577), 577);
}
END_TEST

/* Code i at bits w i .. w i + w - 1 behind the scale, least significant first, the last block filled up with the
 * code of the level nearest to 0; for every tail. */
START_TEST(packing)
{
    uint32_t dtype = types[_i].dtype, width = types[_i].bits;
    uint64_t state = 1;
    for (uint64_t k = 1; k <= 70; k++) {
        uint8_t codes[96], back[96], row[128], expect[128] = {0};
        uint64_t n = q35i_row_codes(dtype, k), bytes = q35_row_bytes(dtype, k), all = (bytes - 4) * 8 / width;
        float scale = (float)k / 3;
        for (uint64_t i = 0; i < all; i++)
            codes[i] = i < n ? (uint8_t)(q35i_random(&state) & 255)
                             : q35i_row_zero_code(dtype, q35i_gaussian_book(dtype));
        memcpy(expect, &scale, 4);
        for (uint64_t bit = 0; bit < all * width; bit++)
            if (codes[bit / width] >> (bit % width) & 1)
                expect[4 + bit / 8] = (uint8_t)(expect[4 + bit / 8] | 1u << (bit % 8));
        memset(row, 0xa5, sizeof row);
        q35i_row_pack(dtype, scale, codes, k, row);
        ck_assert_mem_eq(row, expect, bytes);
        ck_assert_uint_eq(row[bytes], 0xa5);
        memset(back, 0xa5, sizeof back);
        ck_assert(q35i_row_unpack(dtype, row, k, back) == scale);
        for (uint64_t i = 0; i < n; i++)
            ck_assert_uint_eq(back[i], codes[i] & ((1u << width) - 1));
        ck_assert_uint_eq(back[n], 0xa5);
    }
}
END_TEST

/* The decoder gives scale * level for every code, and padding decodes to little. */
START_TEST(decoding)
{
    uint32_t dtype = types[_i].dtype, weights = types[_i].weights, n = 1u << types[_i].bits;
    const int8_t(*book)[2] = q35i_gaussian_book(dtype);
    float out[600], scale = 0.37f;
    uint8_t codes[256], row[512];
    for (uint32_t i = 0; i < n; i++)
        codes[i] = (uint8_t)i;
    for (uint64_t k = n * weights; k >= n * weights - 20; k--) {
        q35i_row_pack(dtype, scale, codes, k, row);
        uint32_t len = q35_dtype_describe(dtype).block_len;
        decode(dtype, row, (k + len - 1) / len * len, out);
        for (uint64_t i = 0; i < (k + len - 1) / len * len; i++) {
            int8_t level[2];
            uint64_t c = i / weights;
            q35i_row_levels_of(dtype, book, codes[c], level);
            if (c < q35i_row_codes(dtype, k))
                ck_assert(out[i] == scale * (float)level[i % weights]);
            else
                ck_assert(fabsf(out[i]) < 8 * scale);
        }
    }
}
END_TEST

/* docs/formats.md: a row's first bytes, and a rotation. */
START_TEST(worked_examples)
{
    static const uint8_t row[11] = {0, 0, 0x80, 0x3a, 0x85, 0x3f, 0x00, 0x18, 0x10, 0x0c, 0xc8};
    static const uint8_t expect[8] = {5, 127, 0, 64, 1, 2, 3, 100};
    static const double turned[6] = {0, -5, -2, 1, 7.778, -0.707};
    uint8_t codes[8];
    float out[16];
    int8_t signs[8];
    double x[6] = {3, 1, -2, 4, 5, 6};
    ck_assert(q35i_row_unpack(Q35_DT_Q35_ROW, row, 16, codes) == 0.0009765625f);
    ck_assert_mem_eq(codes, expect, sizeof codes);
    decode(Q35_DT_Q35_ROW, row, 16, out);
    ck_assert(out[0] == 0.01171875f && out[1] == 0.0869140625f);
    ck_assert(out[2] == -0.1181640625f && out[3] == -0.0244140625f);
    q35i_rotation_signs(1, 8, signs);
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(signs[i], i == 0 || i > 5 ? -1 : 1);
    q35i_rotate_row(signs, 4, x, 6);
    for (int i = 0; i < 6; i++)
        ck_assert_double_eq_tol(x[i], turned[i], 5e-4);
}
END_TEST

/* Long Gaussian rows, at any size of the weights. */
START_TEST(gaussian_rows)
{
    enum { ROWS = 64 };
    static float x[ROWS * K], y[ROWS * K];
    for (int e = -60; e <= 60; e += 60) {
        q35t_normal(2, x, ROWS * K);
        for (int i = 0; i < ROWS * K; i++)
            x[i] = ldexpf(x[i], e);
        for (int r = 0; r < ROWS; r++)
            round_trip(types[_i].dtype, x + r * K, K, NULL, y + r * K);
        double db = q35t_sqnr_db(x, y, ROWS * K);
        ck_assert_msg(fabs(db - types[_i].gaussian_db) < 0.06, "%s: %.3f dB, need %.2f",
                      q35_dtype_describe(types[_i].dtype).name, db, types[_i].gaussian_db);
    }
}
END_TEST

/* Importance lowers the error it weighs and costs plain error (pairs: by choice of the code). */
START_TEST(importance_pays)
{
    static float x[K], w[K], plain[K], weighed[K];
    uint64_t state = 3;
    q35t_normal(4, x, K);
    for (int i = 0; i < K; i++)
        w[i] = (float)exp(4 * q35i_random_unit(&state) - 2);
    round_trip(types[_i].dtype, x, K, NULL, plain);
    round_trip(types[_i].dtype, x, K, w, weighed);
    double part = types[_i].weights == 2 ? 0.97 : 1.0001;
    ck_assert_double_lt(q35t_weighted_error(x, weighed, w, K), part * q35t_weighted_error(x, plain, w, K));
    if (types[_i].weights == 2)
        ck_assert_double_gt(q35t_sqnr_db(x, plain, K), q35t_sqnr_db(x, weighed, K));
}
END_TEST

/* No other scale with its nearest codes is better by more than a little, rows of every length. */
START_TEST(scale_is_good)
{
    static float x[1000];
    static const uint64_t lengths[] = {2, 7, 64, 255, 256, 257, 576, 1000};
    const int8_t(*book)[2] = q35i_gaussian_book(types[_i].dtype);
    q35t_laplace(5, x, 1000);
    for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
        uint64_t k = lengths[l];
        uint8_t row[ROW_BYTES], codes[1000];
        double least = HUGE_VAL, squares = 0;
        float scale = q35i_quantise_plain_row(types[_i].dtype, book, x, k, NULL, row);
        ck_assert(q35i_row_unpack(types[_i].dtype, row, k, codes) == scale);
        q35i_row_error found = q35i_row_error_of(types[_i].dtype, book, row, x, k);
        for (uint64_t i = 0; i < k; i++)
            squares += (double)x[i] * (double)x[i];
        for (float factor = 0.5f; factor < 3; factor *= 1.01f) {
            float s = (float)sqrt(squares / (double)k) * q35i_gaussian_unit(types[_i].dtype) * factor;
            for (uint64_t c = 0; c < q35i_row_codes(types[_i].dtype, k); c++) {
                double best = HUGE_VAL;
                for (int code = 0; code < 1 << types[_i].bits; code++) {
                    int8_t level[2];
                    double d = 0;
                    q35i_row_levels_of(types[_i].dtype, book, (uint8_t)code, level);
                    for (uint64_t j = 0; j < types[_i].weights && types[_i].weights * c + j < k; j++)
                        d += pow((double)(x[types[_i].weights * c + j] - s * (float)level[j]), 2);
                    if (d < best) {
                        best = d;
                        codes[c] = (uint8_t)code;
                    }
                }
            }
            q35i_row_pack(types[_i].dtype, s, codes, k, row);
            least = fmin(least, q35i_row_error_of(types[_i].dtype, book, row, x, k).squares);
        }
        double limit = (k < 200 ? 1.35 : 1.06) * least + (k < 10 ? 1e-3 * squares : 0);
        ck_assert_msg(found.squares <= limit, "%s, %llu weights: %g, at most %g",
                      q35_dtype_describe(types[_i].dtype).name, (unsigned long long)k, found.squares, limit);
        ck_assert_double_le(fabs(found.weight_squares - squares), 1e-9 * squares);
    }
}
END_TEST

START_TEST(zeros_and_outliers)
{
    static float x[K], y[K];
    uint8_t row[ROW_BYTES + 1];
    static const uint64_t lengths[] = {1, 3, 576, 577, K};
    for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
        uint64_t k = lengths[l];
        memset(x, 0, sizeof x);
        memset(row, 0xa5, sizeof row);
        ck_assert(q35i_quantise_plain_row(types[_i].dtype, q35i_gaussian_book(types[_i].dtype), x, k, NULL, row) ==
                  0);
        ck_assert_uint_eq(row[q35_row_bytes(types[_i].dtype, k)], 0xa5);
        decode(types[_i].dtype, row, k, y);
        for (uint64_t i = 0; i < k; i++)
            ck_assert(y[i] == 0);
        x[k / 2] = -3; /* alone among zeros, which it spoils: with signs in the codes no level is 0 */
        round_trip(types[_i].dtype, x, k, NULL, y);
        ck_assert_double_gt(q35t_sqnr_db(x, y, k), 0.3);
    }
    for (uint64_t i = 0; i < K; i++)
        x[i] = 0.5f;
    round_trip(types[_i].dtype, x, K, NULL, y);
    ck_assert_double_gt(q35t_sqnr_db(x, y, K), 18);
}
END_TEST

/* From denormals to the largest floats nothing overflows to infinity or NaN. */
START_TEST(extremes)
{
    static float x[K], y[K], w[K];
    for (int e = -149; e <= 125; e++) {
        q35t_normal(7, x, K);
        for (int i = 0; i < K; i++)
            x[i] = ldexpf(fmaxf(fminf(x[i], 3.5f), -3.5f), e);
        round_trip(types[_i].dtype, x, 640, NULL, y);
        for (int i = 0; i < 640; i++)
            ck_assert(isfinite(y[i]));
        if (e >= -118 && e <= 119)
            ck_assert_double_gt(q35t_sqnr_db(x, y, 640), 17.5);
    }
    for (int i = 0; i < K; i++) {
        x[i] = i % 2 ? FLT_MAX : -FLT_MAX;
        w[i] = ldexpf(1, i % 250 - 140);
    }
    round_trip(types[_i].dtype, x, K, NULL, y);
    for (int i = 0; i < K; i++)
        ck_assert(isfinite(y[i]) && y[i] * x[i] > 0);
    q35t_normal(8, x, K);
    round_trip(types[_i].dtype, x, K, w, y);
    for (int i = 0; i < K; i++)
        ck_assert(isfinite(y[i]));
    memset(w, 0, sizeof w);
    round_trip(types[_i].dtype, x, K, w, y);
    ck_assert_double_gt(q35t_sqnr_db(x, y, K), 17.5);
    w[5] = 1e30f;
    round_trip(types[_i].dtype, x, K, w, y);
    ck_assert(fabsf(x[5] - y[5]) < 0.05f);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("row");
    TCase *t = tcase_create("row");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, sizes);
    tcase_add_test(t, worked_examples);
    tcase_add_loop_test(t, packing, 0, N_TYPES);
    tcase_add_loop_test(t, decoding, 0, N_TYPES);
    tcase_add_loop_test(t, gaussian_rows, 0, N_TYPES);
    tcase_add_loop_test(t, importance_pays, 0, N_TYPES);
    tcase_add_loop_test(t, scale_is_good, 0, N_TYPES);
    tcase_add_loop_test(t, zeros_and_outliers, 0, N_TYPES);
    tcase_add_loop_test(t, extremes, 0, N_TYPES);
    suite_add_tcase(s, t);
    return q35t_run(s);
}
