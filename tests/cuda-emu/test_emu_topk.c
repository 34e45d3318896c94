/* SPDX-License-Identifier: Apache-2.0
 *
 * TOP_K on the emulation: both launches, against the reference. */
#include "emu_case.h"
#include "support/rng.h"
#include "support/suite.h"

#include <math.h>
#include <stdio.h>

enum { SPARE = 2, T = 3 };

/* T + SPARE rows of n floats. kind: 0 any values, 1 few values and zeros of both signs, 2 with some that are not
 * finite. */
static float *make_rows(int32_t n, int kind)
{
    static const float few[] = {0.0f, -0.0f, 1.0f, -1.0f}, odd[] = {INFINITY, -INFINITY, NAN};
    const int64_t count = (T + SPARE) * (int64_t)n;
    float *x = emu_memory((size_t)count * sizeof *x, 4);
    q35t_rng rng = q35t_rng_seed((uint64_t)n);
    for (int64_t i = 0; i < count; i++)
        x[i] = kind == 1 ? few[q35t_rng_u64(&rng) % 4] : 4 * q35t_rng_signed(&rng);
    for (int64_t i = 0; kind == 2 && i < 3 * T; i++)
        x[i % T * n + (int64_t)(q35t_rng_u64(&rng) % (uint64_t)n)] = odd[i / T];
    return x;
}

static void check_top_k(int32_t n, int32_t k, int kind)
{
    const int64_t rs = (int64_t)n * 4, rs_out = (int64_t)k * 4;
    const size_t bytes = (size_t)((T + SPARE) * rs_out);
    const float *x = make_rows(n, kind);
    float *values = emu_memory(bytes, 4);
    int32_t *columns = emu_memory(bytes, 4);
    emu_reference()->top_k(x, rs, n, k, values, rs_out, columns, rs_out, 0, T);
    q35_top_k_args args = {.x = emu_address(x),
                           .rows_at = emu_count(T),
                           .rs_x = rs,
                           .rs_values = rs_out,
                           .rs_columns = rs_out,
                           .n_rows = T + SPARE,
                           .n = n,
                           .k = k,
                           .list = q35_cuda_top_list(k)};
    args.records = emu_address(emu_memory(q35_cuda_top_bytes(&args), 8));
    emu_case c = {
        .kernels = {Q35_CUDA_K_top_k_parts, Q35_CUDA_K_top_k_join}, .n_kernels = 2, .args = &args, .n_outputs = 2};
    c.outputs[0] = (emu_output){.field = &args.values, .expected = values, .bytes = bytes, .floats = 1};
    c.outputs[1] = (emu_output){.field = &args.columns, .expected = columns, .bytes = bytes};
    snprintf(c.what, sizeof c.what, "top_k: %d of %d, kind %d", k, n, kind);
    emu_check(&c);
    emu_release();
}

/* The last is of more parts than are joined at a time. */
START_TEST(test_top_k)
{
    static const int32_t shapes[][2] = {{1, 1},     {5, 5},      {64, 64},    {2048, 1},
                                        {2049, 33}, {10000, 40}, {140000, 64}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        check_top_k(shapes[i][0], shapes[i][1], _i);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("emu_topk");
    TCase *tc = tcase_create("topk");
    tcase_add_loop_test(tc, test_top_k, 0, 3);
    tcase_set_timeout(tc, 120);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
