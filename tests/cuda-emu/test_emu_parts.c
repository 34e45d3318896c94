/* SPDX-License-Identifier: Apache-2.0
 *
 * The sum of the parts of several devices: term by term in the order of the ranks. */
#include "emu_case.h"
#include "support/rng.h"
#include "support/suite.h"

#include <stdio.h>

static void check(int64_t n, int64_t n_parts)
{
    q35t_rng rng = q35t_rng_seed((uint64_t)(n * 100 + n_parts));
    float *parts = emu_memory((size_t)(n * n_parts) * sizeof *parts, 4);
    float *sum = emu_memory((size_t)n * sizeof *sum, 4);
    for (int64_t i = 0; i < n * n_parts; i++)
        parts[i] = q35t_rng_signed(&rng) * (i % 7 == 0 ? 1e6F : 1);
    for (int64_t i = 0; i < n; i++) {
        sum[i] = parts[i];
        for (int64_t r = 1; r < n_parts; r++)
            sum[i] += parts[r * n + i];
    }
    q35_sum_parts_args a = {.parts = emu_address(parts), .n = n, .n_parts = n_parts};
    emu_case c = {.kernels = {Q35_CUDA_K_sum_parts}, .n_kernels = 1, .n_outputs = 1, .args = &a};
    c.outputs[0] = (emu_output){.field = &a.y, .expected = sum, .bytes = (size_t)n * sizeof *sum};
    snprintf(c.what, sizeof c.what, "sum_parts: %lld of %lld", (long long)n, (long long)n_parts);
    emu_check(&c);
    emu_release();
}

START_TEST(sums)
{
    static const int64_t counts[] = {1, 255, 1024, 1025, 5000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (int64_t n_parts = 1; n_parts <= 8; n_parts = 2 * n_parts + (n_parts == 2))
            check(counts[i], n_parts);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("emu_parts");
    TCase *tc = tcase_create("parts");
    tcase_add_test(tc, sums);
    tcase_set_timeout(tc, 120);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
