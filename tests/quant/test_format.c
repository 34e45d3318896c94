/* SPDX-License-Identifier: Apache-2.0
 *
 * Packing of 7-bit codes, f16 and Q8_0 writing: against the readers of include/q35rt/blocks.h. */
#include "runtime/quant/format.h"
#include "runtime/quant/random.h"
#include "support/suite.h"

#include <math.h>
#include <stdlib.h>

START_TEST(group_sizes)
{
    ck_assert_uint_eq(Q35_CODE_BYTES, 56);
    ck_assert_uint_eq(Q35_GROUP_CODES * 7, Q35_CODE_BYTES * 8);
    ck_assert_uint_eq(sizeof(q35_pair_block), 58);
    ck_assert_uint_eq(sizeof(q35_split_block), 60);
    ck_assert_uint_eq(q35_row_bytes(Q35_DT_Q35_PAIR, 128), 58);
    ck_assert_uint_eq(q35_row_bytes(Q35_DT_Q35_PAIR, 576), 5 * 58);
    ck_assert_uint_eq(q35_row_bytes(Q35_DT_Q35_SPLIT, 129), 2 * 60);
}
END_TEST

/* Every code at every position, with all other bits clear and with all set. */
START_TEST(each_code_at_each_position)
{
    for (unsigned fill = 0; fill < 256; fill += 127)
        for (unsigned at = 0; at < Q35_GROUP_CODES; at++)
            for (unsigned code = 0; code < 128; code++) {
                uint8_t codes[Q35_GROUP_CODES], packed[Q35_CODE_BYTES + 1], back[Q35_GROUP_CODES];
                memset(codes, (int)(fill & 127), sizeof codes);
                codes[at] = (uint8_t)code;
                packed[Q35_CODE_BYTES] = 0xa5;
                q35i_codes_pack(codes, packed);
                q35i_codes_unpack(packed, back);
                ck_assert_mem_eq(codes, back, sizeof codes);
                ck_assert_uint_eq(q35_code_get(packed, at), code);
                ck_assert_uint_eq(packed[Q35_CODE_BYTES], 0xa5);
            }
}
END_TEST

/* The bit stream as the format states it: code i at bits 7i .. 7i+6, least significant first. */
START_TEST(bits_are_where_the_format_says)
{
    uint64_t state = 1;
    for (int round = 0; round < 200; round++) {
        uint8_t codes[Q35_GROUP_CODES], packed[Q35_CODE_BYTES], expect[Q35_CODE_BYTES] = {0};
        for (unsigned i = 0; i < Q35_GROUP_CODES; i++)
            codes[i] = (uint8_t)(q35i_random(&state) & 255); /* bit 7 is ignored */
        for (unsigned bit = 0; bit < 448; bit++)
            if (codes[bit / 7] >> (bit % 7) & 1)
                expect[bit / 8] = (uint8_t)(expect[bit / 8] | 1u << (bit % 8));
        q35i_codes_pack(codes, packed);
        ck_assert_mem_eq(packed, expect, sizeof packed);
        for (unsigned i = 0; i < Q35_GROUP_CODES; i++)
            ck_assert_uint_eq(q35_code_get(packed, i), codes[i] & 127u);
    }
}
END_TEST

START_TEST(f16_stays_finite)
{
    ck_assert_uint_eq(q35i_f16_finite(1e30f), 0x7bff);
    ck_assert_uint_eq(q35i_f16_finite(-1e30f), 0xfbff);
    ck_assert_uint_eq(q35i_f16_finite(65519.0f), 0x7bff);
    ck_assert_uint_eq(q35i_f16_finite(1.0f), 0x3c00);
    ck_assert_uint_eq(q35i_f16_finite(1e-20f), 0);
}
END_TEST

static void check_q8_0(const float w[32])
{
    uint8_t block[34];
    float back[32], top = 0;
    q35i_q8_0_block(w, block);
    q35_block_decode(Q35_DT_Q8_0, block, NULL, back);
    for (int i = 0; i < 32; i++)
        top = fmaxf(top, fabsf(w[i]));
    for (int i = 0; i < 32; i++) /* half a step, plus the rounding of the step to f16 over 127 steps */
        ck_assert(fabsf(w[i] - back[i]) <= top / 127 * 0.5f + top * 0x1p-10f + 127 * 0x1p-24f);
}

START_TEST(q8_0_is_close)
{
    uint64_t state = 2;
    for (int round = 0; round < 500; round++) {
        float w[32], scale = ldexpf(1, (int)q35i_random_below(&state, 40) - 26);
        for (int i = 0; i < 32; i++)
            w[i] = scale * (float)(2 * q35i_random_unit(&state) - 1);
        check_q8_0(w);
    }
    float zeros[32] = {0};
    check_q8_0(zeros);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("format");
    TCase *t = tcase_create("format");
    tcase_add_test(t, group_sizes);
    tcase_add_test(t, each_code_at_each_position);
    tcase_add_test(t, bits_are_where_the_format_says);
    tcase_add_test(t, f16_stays_finite);
    tcase_add_test(t, q8_0_is_close);
    suite_add_tcase(s, t);
    return q35t_run(s);
}
