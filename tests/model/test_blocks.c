/* SPDX-License-Identifier: Apache-2.0
 *
 * Reference decoders of <q35rt/blocks.h>: blocks whose weights were worked out by hand from the layouts, blocks
 * that another implementation decoded, and all halves. */
#include "support/suite.h"

#include <q35rt/blocks.h>

#include <math.h>
#include <stdlib.h>

#define ONE  0x3c00 /* 1.0 */
#define TWO  0x4000 /* 2.0 */
#define HALF 0x3800 /* 0.5 */

static void put_u16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static void expect_weight(const float *w, int i, double value)
{
    ck_assert_msg((double)w[i] == value, "weight %d: %.9g, need %.9g", i, (double)w[i], value);
}

START_TEST(test_half_round_trip)
{
    for (uint32_t h = 0; h < 65536; h++) {
        float f = q35_f16_to_f32((uint16_t)h);
        uint32_t exponent = h >> 10 & 31, fraction = h & 1023;
        double sign = h & 0x8000 ? -1 : 1;
        if (exponent == 31 && fraction) {
            ck_assert(isnan(f) && isnan(q35_f16_to_f32(q35_f32_to_f16(f))));
            continue;
        }
        double value = exponent == 31  ? sign * HUGE_VAL
                       : exponent == 0 ? sign * ldexp(fraction, -24)
                                       : sign * ldexp(1024 + fraction, (int)exponent - 25);
        ck_assert_msg((double)f == value, "half %04x: %.9g, need %.9g", h, (double)f, value);
        ck_assert_uint_eq(q35_f32_to_f16(f), h);
    }
}
END_TEST

START_TEST(test_half_rounding)
{
    static const struct {
        double value;
        uint16_t half;
    } cases[] = {
        {1 + 0x1p-11, 0x3c00},           /* tie to even: down */
        {1 + 3 * 0x1p-11, 0x3c02},       /* tie to even: up */
        {1 + 0x1p-11 + 0x1p-20, 0x3c01}, /* above the tie */
        {65504, 0x7bff},                 /* largest */
        {65519, 0x7bff},
        {65520, 0x7c00}, /* tie goes to infinity */
        {1e30, 0x7c00},
        {-1e30, 0xfc00},
        {0x1p-24, 0x0001},   /* smallest */
        {0x1p-25, 0x0000},   /* tie to even zero */
        {0x1.8p-25, 0x0001}, /* above the tie */
        {0x1.8p-24, 0x0002}, /* tie to even: up */
        {-0x1p-30, 0x8000},
        {0x1.ff8p-15, 0x03ff}, /* largest subnormal */
        {0x1.ffcp-15, 0x0400}, /* tie between it and the smallest normal */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_uint_eq(q35_f32_to_f16((float)cases[i].value), cases[i].half);
}
END_TEST

START_TEST(test_single)
{
    float w;
    const float f = -2.75f;
    uint8_t b[4];
    q35_block_decode(Q35_DT_F32, &f, NULL, &w);
    expect_weight(&w, 0, -2.75);
    put_u16(b, 0xc180); /* -(1 + 0x180/1024) * 2 */
    q35_block_decode(Q35_DT_F16, b, NULL, &w);
    expect_weight(&w, 0, -2.75);
    put_u16(b, 0xc030); /* upper half of 0xc0300000 */
    q35_block_decode(Q35_DT_BF16, b, NULL, &w);
    expect_weight(&w, 0, -2.75);
}
END_TEST

START_TEST(test_q8_0)
{
    uint8_t b[34] = {0};
    float w[32];
    put_u16(b, HALF);
    b[2] = 0x80;  /* -128 */
    b[33] = 0x7f; /* 127 */
    q35_block_decode(Q35_DT_Q8_0, b, NULL, w);
    expect_weight(w, 0, -64);
    expect_weight(w, 1, 0);
    expect_weight(w, 31, 63.5);
}
END_TEST

START_TEST(test_q4)
{
    uint8_t b[20] = {0};
    float w[32];
    put_u16(b, TWO);
    b[2 + 3] = 0xf1; /* elements 3 and 19 */
    q35_block_decode(Q35_DT_Q4_0, b, NULL, w);
    expect_weight(w, 0, -16);
    expect_weight(w, 3, -14);
    expect_weight(w, 19, 14);
    memset(b, 0, sizeof b);
    put_u16(b, TWO);
    put_u16(b + 2, HALF);
    b[4 + 15] = 0xf1; /* elements 15 and 31 */
    q35_block_decode(Q35_DT_Q4_1, b, NULL, w);
    expect_weight(w, 0, 0.5);
    expect_weight(w, 15, 2.5);
    expect_weight(w, 31, 30.5);
}
END_TEST

START_TEST(test_q5)
{
    uint8_t b[24] = {0};
    float w[32];
    put_u16(b, ONE);
    b[2] = 0x02;      /* fifth bit of element 1 */
    b[5] = 0x80;      /* of element 31 */
    b[6 + 1] = 0x07;  /* element 1 */
    b[6 + 15] = 0xf0; /* element 31 */
    q35_block_decode(Q35_DT_Q5_0, b, NULL, w);
    expect_weight(w, 0, -16);
    expect_weight(w, 1, 7);
    expect_weight(w, 17, -16);
    expect_weight(w, 31, 15);
    memset(b, 0, sizeof b);
    put_u16(b, TWO);
    put_u16(b + 2, ONE);
    b[6] = 0x01;     /* fifth bit of element 16 */
    b[8 + 0] = 0x35; /* elements 0 and 16 */
    q35_block_decode(Q35_DT_Q5_1, b, NULL, w);
    expect_weight(w, 0, 2 * 5 + 1);
    expect_weight(w, 16, 2 * (16 + 3) + 1);
    expect_weight(w, 1, 1);
}
END_TEST

/* Scales 0..7 are 1, 2, 3, 0, 33, 0, 0, 63; minima 4, 0, 0, 0, 18, 0, 0, 63. */
static void put_k_scales(uint8_t s[12])
{
    memset(s, 0, 12);
    s[0] = 1 | 2 << 6;    /* s0 = 1; top of s4: 2 */
    s[1] = 2;             /* s1 */
    s[2] = 3;             /* s2 */
    s[3] = 3 << 6;        /* top of s7: 3 */
    s[4] = 4 | 1 << 6;    /* m0 = 4; top of m4: 1 */
    s[7] = 3 << 6;        /* top of m7: 3 */
    s[8] = 1 | 2 << 4;    /* s4 = 32 + 1, m4 = 16 + 2 */
    s[11] = 15 | 15 << 4; /* s7 = 48 + 15, m7 = 48 + 15 */
}

START_TEST(test_q4_k)
{
    uint8_t b[144] = {0};
    float w[256];
    put_u16(b, TWO);
    put_u16(b + 2, ONE);
    put_k_scales(b + 4);
    b[16 + 0] = 0x3f;       /* sub-block 0 element 0: 15; sub-block 1 element 0: 3 */
    b[16 + 64 + 31] = 0x02; /* sub-block 4 element 31: 2 */
    b[16 + 96 + 5] = 0x10;  /* sub-block 7 element 5: 1 */
    q35_block_decode(Q35_DT_Q4_K, b, NULL, w);
    expect_weight(w, 0, 2 * 1 * 15 - 4);
    expect_weight(w, 1, -4);
    expect_weight(w, 32, 2 * 2 * 3);
    expect_weight(w, 4 * 32 + 31, 2 * 33 * 2 - 18);
    expect_weight(w, 7 * 32 + 5, 2 * 63 * 1 - 63);
    expect_weight(w, 7 * 32 + 6, -63);
}
END_TEST

START_TEST(test_q5_k)
{
    uint8_t b[176] = {0};
    float w[256];
    put_u16(b, ONE);
    put_u16(b + 2, TWO);
    put_k_scales(b + 4);
    b[16 + 0] = 0x01;      /* fifth bit: sub-block 0, element 0 */
    b[16 + 5] = 0x80;      /* fifth bit: sub-block 7, element 5 */
    b[48 + 0] = 0x02;      /* sub-block 0 element 0: 2 */
    b[48 + 96 + 5] = 0xf0; /* sub-block 7 element 5: 15 */
    q35_block_decode(Q35_DT_Q5_K, b, NULL, w);
    expect_weight(w, 0, 1 * (16 + 2) - 2 * 4);
    expect_weight(w, 1, -8);
    expect_weight(w, 7 * 32 + 5, 63 * 31 - 2 * 63);
}
END_TEST

START_TEST(test_q6_k)
{
    uint8_t b[210] = {0};
    float w[256];
    put_u16(b + 208, HALF);
    b[192 + 0] = 2;          /* half 0, group 0, l < 16 */
    b[192 + 8 + 7] = 0xff;   /* half 1, group 3, l >= 16: -1 */
    b[0] = 0x0f;             /* element 0: low bits 15 */
    b[128] = 0x03;           /* element 0: high bits 3 */
    b[64 + 32 + 20] = 0x50;  /* half 1, group 3, l = 20: low bits 5 */
    b[128 + 32 + 20] = 0x80; /* its high bits: 2 */
    q35_block_decode(Q35_DT_Q6_K, b, NULL, w);
    expect_weight(w, 0, 0.5 * 2 * (63 - 32));
    expect_weight(w, 1, 0.5 * 2 * (0 - 32));
    expect_weight(w, 16, 0);
    expect_weight(w, 128 + 96 + 20, 0.5 * -1 * (32 + 5 - 32));
    expect_weight(w, 128 + 96 + 21, 0.5 * -1 * -32);
}
END_TEST

/* Blocks of bytes from a linear congruential generator (Numerical Recipes), its upper 8 bits; scales made finite.
 * Sums and samples: package gguf 0.19.0, gguf.quants.dequantize, added in double (exact). */
START_TEST(test_against_gguf_package)
{
    static const struct {
        uint32_t dtype, half[2]; /* offsets of scales */
        double sum, ramp;        /* sum of w[i], of (i + 1) w[i] */
        double first, last;
    } cases[] = {
        {Q35_DT_Q2_K, {80, 82}, 0x1.0e2020p+4, 0x1.227fc44p+10, -0x1.764p-4, -0x1.37ep-2},
        {Q35_DT_Q3_K, {108, 108}, 0x1.596db0p+4, 0x1.b15b1p+6, -0x1.0bf8p-1, 0x1.91f4p-1},
        {Q35_DT_IQ4_NL, {0, 0}, -0x1.f4ef8p+3, -0x1.02c218p+6, -0x1.030dp+1, 0x1.381cp-1},
        {Q35_DT_IQ4_XS, {0, 0}, 0x1.5b982p+4, 0x1.123e36fp+15, 0x1.48c5p+2, 0x1.2b9acp+4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        q35_dtype_info info = q35_dtype_describe(cases[i].dtype);
        uint32_t x = cases[i].dtype + 1;
        uint8_t b[256];
        float w[256];
        double sum = 0, ramp = 0;
        for (uint32_t j = 0; j < info.block_bytes; j++) {
            x = x * 1664525u + 1013904223u;
            b[j] = (uint8_t)(x >> 24);
        }
        for (int h = 0; h < 2; h++) {
            uint8_t *high = b + cases[i].half[h] + 1;
            *high = (uint8_t)((*high & 0x83) | 0x24);
        }
        q35_block_decode(cases[i].dtype, b, NULL, w);
        for (uint32_t j = 0; j < info.block_len; j++) {
            sum += (double)w[j];
            ramp += (double)w[j] * (j + 1);
        }
        ck_assert_msg(sum == cases[i].sum && ramp == cases[i].ramp, "%s: sums %a and %a, need %a and %a",
                      info.name, sum, ramp, cases[i].sum, cases[i].ramp);
        expect_weight(w, 0, cases[i].first);
        expect_weight(w, (int)info.block_len - 1, cases[i].last);
    }
}
END_TEST

START_TEST(test_q2_k)
{
    uint8_t b[84] = {0};
    float w[256];
    put_u16(b + 80, TWO);
    put_u16(b + 82, HALF);
    b[0] = 0x43;            /* sub-block 0: scale 3, minimum 4 */
    b[15] = 0x0f;           /* sub-block 15: scale 15 */
    b[16 + 5] = 0x02;       /* element 5: 2 */
    b[16 + 32 + 31] = 0xc0; /* half 1, pass 3, element 31: 3 */
    q35_block_decode(Q35_DT_Q2_K, b, NULL, w);
    expect_weight(w, 5, 2 * 3 * 2 - 0.5 * 4);
    expect_weight(w, 6, -0.5 * 4);
    expect_weight(w, 16, 0);
    expect_weight(w, 255, 2 * 15 * 3);
}
END_TEST

START_TEST(test_q3_k)
{
    uint8_t b[110] = {0};
    float w[256];
    put_u16(b + 108, HALF);
    b[96 + 0] = 0x1f;      /* scales 0 and 8: low bits 15 and 1 */
    b[96 + 8] = 0x23;      /* scale 0: high bits 3; scale 8: 2 */
    b[0] = 0x01;           /* element 0: not less 4 */
    b[32 + 0] = 0x03;      /* element 0: 3 */
    b[32 + 32 + 7] = 0x01; /* element 128 + 7: 1, less 4 */
    q35_block_decode(Q35_DT_Q3_K, b, NULL, w);
    expect_weight(w, 0, 0.5 * (63 - 32) * 3);
    expect_weight(w, 1, 0.5 * (63 - 32) * -4);
    expect_weight(w, 16, 0.5 * -32 * -4);
    expect_weight(w, 128 + 7, 0.5 * (33 - 32) * (1 - 4));
}
END_TEST

START_TEST(test_iq4)
{
    uint8_t b[136] = {0};
    float w[256];
    put_u16(b, TWO);
    b[2 + 3] = 0xf8; /* elements 3 and 19: levels 8 and 15 */
    q35_block_decode(Q35_DT_IQ4_NL, b, NULL, w);
    expect_weight(w, 0, 2 * -127);
    expect_weight(w, 3, 2 * 1);
    expect_weight(w, 19, 2 * 113);
    memset(b, 0, sizeof b);
    put_u16(b, TWO);
    put_u16(b + 2, 3 << 6 | 2 << 14); /* high bits of scales 3 and 7 */
    b[4 + 1] = 0x50;                  /* scale 3: 48 + 5 */
    b[4 + 3] = 0x10;                  /* scale 7: 32 + 1 */
    b[8 + 48 + 2] = 0x09;             /* sub-block 3, element 2: level 9 */
    b[8 + 112 + 15] = 0xe0;           /* sub-block 7, element 31: level 14 */
    q35_block_decode(Q35_DT_IQ4_XS, b, NULL, w);
    expect_weight(w, 0, 2 * -32 * -127);
    expect_weight(w, 96 + 2, 2 * (53 - 32) * 13);
    expect_weight(w, 224 + 31, 2 * (33 - 32) * 89);
}
END_TEST

/* All 256 codes, by the definition of e4m3fn (Micikevicius et al., "FP8 formats for deep learning", 2022). */
START_TEST(test_f8)
{
    for (int code = 0; code < 256; code++) {
        uint8_t b[36] = {0};
        float w[32], scale = 0.375f;
        memcpy(b, &scale, sizeof scale);
        b[4 + code % 32] = (uint8_t)code;
        q35_block_decode(Q35_DT_F8_32, b, NULL, w);
        int e = code >> 3 & 15, m = code & 7;
        double value = (code & 128 ? -1 : 1) * (e ? ldexp(8 + m, e - 10) : ldexp(m, -9));
        if ((code & 127) == 127)
            ck_assert(isnan(w[code % 32]));
        else
            expect_weight(w, code % 32, 0.375 * value);
        ck_assert_msg((double)w[(code + 1) % 32] == 0, "code %d spills", code);
    }
}
END_TEST

START_TEST(test_codes)
{
    uint8_t bytes[Q35_CODE_BYTES] = {0};
    for (unsigned i = 0; i < Q35_GROUP_CODES; i++)
        for (unsigned bit = 0; bit < 7; bit++)
            if ((37 * i + 5) % 128 >> bit & 1)
                bytes[(7 * i + bit) / 8] = (uint8_t)(bytes[(7 * i + bit) / 8] | 1u << (7 * i + bit) % 8);
    for (unsigned i = 0; i < Q35_GROUP_CODES; i++)
        ck_assert_uint_eq(q35_code_get(bytes, i), (37 * i + 5) % 128);
}
END_TEST

START_TEST(test_pair_and_split)
{
    q35_pair_block pair = {.scale = HALF};
    q35_split_block split = {.scale = TWO, .offset = ONE};
    int8_t book[Q35_BOOK_POINTS][2] = {{4, -6}};
    float w[Q35_GROUP];
    ck_assert_uint_eq(sizeof pair, 58);
    ck_assert_uint_eq(sizeof split, 60);
    book[127][0] = -128;
    book[127][1] = 127;
    pair.codes[55] = 0xfe; /* code 63: 127 */
    q35_block_decode(Q35_DT_Q35_PAIR, &pair, (const int8_t(*)[2])book, w);
    expect_weight(w, 0, 2);
    expect_weight(w, 1, -3);
    expect_weight(w, 126, -64);
    expect_weight(w, 127, 63.5);
    split.codes[0] = 0x0b; /* code 0: level 1 of 16, level 3 of 8 */
    q35_split_book(book);
    q35_block_decode(Q35_DT_Q35_SPLIT, &split, (const int8_t(*)[2])book, w);
    expect_weight(w, 0, 2 * 7 * 1 + 1);
    expect_weight(w, 1, 2 * 15 * 3 + 1);
    expect_weight(w, 127, 1);
    ck_assert_int_eq(book[127][0], 105);
    ck_assert_int_eq(book[127][1], 105);
}
END_TEST

/* Block i of a row lies behind the scale; codes fill their blocks to the last bit. */
START_TEST(test_rows)
{
    int8_t book[Q35_BOOK_MAX][2] = {{4, -6}};
    uint8_t row[4 + 2 * 7] = {0};
    float scale = 0.5f, w[16];
    memcpy(row, &scale, sizeof scale);
    book[100][0] = 3;
    book[127][0] = -128;
    book[127][1] = 127;
    book[255][1] = 9;
    row[4] = 100;
    row[4 + 13] = 0xfe; /* code 15: 127 */
    q35_row_block_decode(Q35_DT_Q35_ROW, row, 0, (const int8_t(*)[2])book, w);
    expect_weight(w, 0, 1.5);
    expect_weight(w, 1, 0);
    expect_weight(w, 2, 2);
    expect_weight(w, 15, -3);
    q35_row_block_decode(Q35_DT_Q35_ROW, row, 1, (const int8_t(*)[2])book, w);
    expect_weight(w, 0, 2);
    expect_weight(w, 14, -64);
    expect_weight(w, 15, 63.5);
    row[4 + 3] = 255;
    q35_row_block_decode(Q35_DT_Q40_ROW, row, 3, (const int8_t(*)[2])book, w);
    expect_weight(w, 0, 0);
    expect_weight(w, 1, 4.5);
    row[7] = 0xc0; /* 24 bits of codes 0, 63, 0, 33 */
    row[8] = 0x0f;
    row[9] = 0x84;
    q35_row_block_decode(Q35_DT_Q60_ROW, row, 1, NULL, w);
    expect_weight(w, 0, -31.5);
    expect_weight(w, 1, 31.5);
    expect_weight(w, 2, -31.5);
    expect_weight(w, 3, 1.5);
}
END_TEST

START_TEST(test_row_bytes)
{
    ck_assert_uint_eq(q35_row_bytes(Q35_DT_F32, 5), 20);
    ck_assert_uint_eq(q35_row_bytes(Q35_DT_Q4_1, 576), 576 / 32 * 20);
    ck_assert_uint_eq(q35_row_bytes(Q35_DT_Q6_K, 512), 420);
    ck_assert_uint_eq(q35_row_bytes(Q35_DT_Q35_PAIR, 576), 5 * 58); /* 4.5 groups */
    ck_assert_uint_eq(q35_row_bytes(Q35_DT_Q35_SPLIT, 128), 60);
    ck_assert_uint_eq(q35_row_bytes(Q35_DT_F8_32, 64), 72);
    ck_assert_uint_eq(q35_row_bytes(Q35_DT_Q35_ROW, 576), 4 + 252);
    ck_assert_uint_eq(q35_row_bytes(Q35_DT_Q35_ROW, 577), 4 + 259);
    ck_assert_uint_eq(q35_row_bytes(Q35_DT_Q40_ROW, 577), 4 + 289);
    ck_assert_uint_eq(q35_row_bytes(Q35_DT_Q60_ROW, 577), 4 + 435);
    ck_assert_uint_eq(q35_row_bytes(Q35_DT_A8_ROW, 65), 8 + 128);
    ck_assert_uint_eq(q35_row_bytes(Q35_DT_A8_128, 129), 2 * 136);
    ck_assert_uint_eq(q35_row_bytes(9, 256), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("blocks");
    TCase *tc = tcase_create("decode");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_half_round_trip);
    tcase_add_test(tc, test_half_rounding);
    tcase_add_test(tc, test_single);
    tcase_add_test(tc, test_q8_0);
    tcase_add_test(tc, test_q4);
    tcase_add_test(tc, test_q5);
    tcase_add_test(tc, test_q4_k);
    tcase_add_test(tc, test_q5_k);
    tcase_add_test(tc, test_q6_k);
    tcase_add_test(tc, test_against_gguf_package);
    tcase_add_test(tc, test_q2_k);
    tcase_add_test(tc, test_q3_k);
    tcase_add_test(tc, test_iq4);
    tcase_add_test(tc, test_f8);
    tcase_add_test(tc, test_codes);
    tcase_add_test(tc, test_pair_and_split);
    tcase_add_test(tc, test_rows);
    tcase_add_test(tc, test_row_bytes);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
