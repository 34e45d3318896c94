/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR and GET_ROWS of the CPU plugin with weights of the block types that are only read, never written here:
 * against double loops over the reference decoder, with the reference kernels and with the best this machine has.
 */
#include "fixture.h"
#include "support/suite.h"

#include <math.h>

/* Where the f16 scales of a block are; FP8 has an f32 scale at 0. */
static const struct {
    uint32_t dtype, half[2];
} block_types[] = {{Q35_DT_Q2_K, {80, 82}},
                   {Q35_DT_Q3_K, {108, 108}},
                   {Q35_DT_IQ4_NL, {0, 0}},
                   {Q35_DT_IQ4_XS, {0, 0}},
                   {Q35_DT_F8_32, {2, 2}}};
enum { N_TYPES = sizeof block_types / sizeof block_types[0], K = 256, N = 9, TOKENS = 5 };

/* Any bytes, but scales of both signs between 2^-6 and 2^-5 (FP8: about 2^-55), and FP8 codes that are finite. */
static void fill_blocks(fixture *f, uint32_t t, uint32_t type)
{
    uint8_t *b = f->memory[t];
    uint32_t block = q35_dtype_describe(block_types[type].dtype).block_bytes;
    for (uint64_t i = 0; i < f->bindings[t].bytes; i++) {
        uint64_t at = i % block;
        b[i] = (uint8_t)(int)(fixture_random(f) * 127);
        if (at == block_types[type].half[0] + 1 || at == block_types[type].half[1] + 1)
            b[i] = (uint8_t)((b[i] & 0x83) | 0x24);
        else if (block_types[type].dtype == Q35_DT_F8_32 && (b[i] & 0x7f) == 0x7f)
            b[i] ^= 1;
    }
}

/* One region: y = w x, and rows of w. */
static void run(uint32_t type, const char *isa)
{
    fixture f;
    int64_t w_dim[2] = {K, N}, ids_dim[1] = {TOKENS};
    fixture_open(&f, isa, 2);
    uint32_t x = fixture_matrix(&f, Q35_ROLE_INPUT, K, TOKENS, Q35_TF_TOKEN_ROWS);
    uint32_t w = fixture_tensor(&f, Q35_ROLE_WEIGHT, block_types[type].dtype, 2, w_dim, 0);
    uint32_t ids = fixture_tensor(&f, Q35_ROLE_INPUT, Q35_DT_I32, 1, ids_dim, Q35_TF_TOKEN_ROWS);
    uint32_t y = fixture_matrix(&f, Q35_ROLE_OUTPUT, N, TOKENS, Q35_TF_TOKEN_ROWS);
    uint32_t rows = fixture_matrix(&f, Q35_ROLE_OUTPUT, K, TOKENS, Q35_TF_TOKEN_ROWS);
    fill_blocks(&f, w, type);
    for (int32_t t = 0; t < TOKENS; t++)
        memcpy((char *)f.memory[ids] + 4 * t, &t, sizeof t);
    fixture_node(&f, Q35_OP_LINEAR, NULL, 2, (uint32_t[]){x, w}, 1, &y);
    fixture_node(&f, Q35_OP_GET_ROWS, NULL, 2, (uint32_t[]){ids, w}, 1, &rows);
    fixture_set_step(&f, TOKENS, 1, 1);
    fixture_prepare(&f);
    ck_assert_msg(fixture_run(&f) == Q35_OK, "%s", fixture_error());
    q35_dtype_info d = q35_dtype_describe(block_types[type].dtype);
    for (int64_t r = 0; r < N; r++) {
        const char *row = (const char *)f.memory[w] + r * f.tensors[w].stride[1];
        float v[K];
        for (uint32_t b = 0; b * d.block_len < K; b++)
            q35_block_decode(block_types[type].dtype, row + b * d.block_bytes, NULL, v + b * d.block_len);
        for (int64_t t = 0; t < TOKENS; t++) {
            double exact = 0, size = 0;
            for (int64_t c = 0; c < K; c++) {
                exact += (double)*fixture_at(&f, x, t, c) * (double)v[c];
                size += fabs((double)*fixture_at(&f, x, t, c) * (double)v[c]);
            }
            double found = (double)*fixture_at(&f, y, t, r), bound = 4 * K * ldexp(1, -24) * size + 1e-30;
            ck_assert_msg(fabs(found - exact) <= bound, "%s [%lld][%lld] is %.9g, need %.9g", d.name, (long long)t,
                          (long long)r, found, exact);
        }
        for (int64_t c = 0; c < K && r < TOKENS; c++)
            ck_assert(*fixture_at(&f, rows, r, c) == v[c]);
    }
    fixture_close(&f);
}

START_TEST(reference_kernels_agree)
{
    run((uint32_t)_i, "ref");
}
END_TEST

START_TEST(best_kernels_agree)
{
    run((uint32_t)_i, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plugin_cpu_weights");
    TCase *tcase = tcase_create("weights");
    tcase_add_loop_test(tcase, reference_kernels_agree, 0, N_TYPES);
    tcase_add_loop_test(tcase, best_kernels_agree, 0, N_TYPES);
    suite_add_tcase(suite, tcase);
    return q35t_run(suite);
}
