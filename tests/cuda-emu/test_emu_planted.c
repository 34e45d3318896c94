/* SPDX-License-Identifier: Apache-2.0
 *
 * The emulation against kernels with planted defects, each of which must be found, by an error that names kernel,
 * block and thread, or by results that differ between orders or from what is expected; what it refuses to launch.
 */
#include "emu_case.h"
#include "planted/planted.h"
#include "support/suite.h"

#include <string.h>

enum { THREADS = 96, MOST_THREADS = 128 };

typedef struct result {
    int rc;
    char error[400];
    uint32_t out[MOST_THREADS];
} result;

static result launch(const char *name, uint32_t order, uint64_t seed)
{
    static _Alignas(16) uint32_t in[THREADS];
    result r = {.rc = 0};
    const q35_planted_args args = {.out = emu_address(r.out), .in = emu_address(in), .n = THREADS};
    for (uint32_t i = 0; i < THREADS; i++)
        in[i] = i + 1;
    r.rc = q35_planted_launch(name, &args, order, seed, r.error, sizeof r.error);
    return r;
}

static const struct {
    const char *name, *found;
} planted[] = {
#define ROW(name, found) {#name, found},
    PLANTED_KERNELS(ROW) PLANTED_WGMMA_KERNELS(ROW)
#undef ROW
};
enum { N_PLANTED = sizeof planted / sizeof *planted };

/* Errors are the same in every order but for who saw it first; results of what races are not. */
START_TEST(test_planted)
{
    const char *name = planted[_i].name, *found = planted[_i].found;
    const result forward = launch(name, Q35_EMU_FORWARD, 0), reverse = launch(name, Q35_EMU_REVERSE, 0);
    const int differ = memcmp(forward.out, reverse.out, sizeof forward.out) != 0;
    if (found && *found) {
        ck_assert_msg(forward.rc == 2 && strstr(forward.error, found), "%s: %d \"%s\"", name, forward.rc,
                      forward.error);
        ck_assert_msg(strstr(forward.error, name) && strstr(forward.error, ": block 0,0,0 thread "), "\"%s\"",
                      forward.error);
        ck_assert_int_eq(reverse.rc, 2);
        ck_assert_int_eq(launch(name, Q35_EMU_RANDOM, 5).rc, 2);
        return;
    }
    ck_assert_msg(forward.rc == 0 && reverse.rc == 0, "%s: \"%s\" \"%s\"", name, forward.error, reverse.error);
    if (strcmp(name, "no_wait") == 0)
        ck_assert_uint_ne(forward.out[0], 1);
    else if (strcmp(name, "unwritten") == 0)
        ck_assert_uint_ne(forward.out[45], 1);
    else if (strcmp(name, "wg_read_early") == 0)
        ck_assert(memcmp(forward.out, launch("wg_sound", Q35_EMU_FORWARD, 0).out, sizeof forward.out) != 0);
    else
        ck_assert_msg(differ == (found == NULL), "%s: the orders' results %s", name, differ ? "differ" : "agree");
}
END_TEST

/* The 32 results of a thread: two of its warp's 16 rows, times 16 of the 64 rows of codes. */
START_TEST(test_product)
{
    const result r = launch("wg_sound", Q35_EMU_RANDOM, 3);
    ck_assert_int_eq(r.rc, 0);
    for (uint32_t i = 0; i < MOST_THREADS; i++) {
        const uint32_t g = i % 32 / 4, t = i % 4;
        int32_t sum = 0;
        for (uint32_t c = 0; c < 16; c++)
            for (uint32_t k = 0; k < 8; k++) {
                /* word k % 4 of unit 2 + k / 4 of row n, as it lies, was copied by a thread's i-th copy */
                const uint32_t n = c / 2 * 8 + 2 * t + c % 2, unit = (2 + k / 4) ^ n % 8,
                               word = 32 * n + 4 * unit + k % 4;
                const uint32_t codes = word < 128 ? 0 : (word % 128 + word / 128) % 96 + 1;
                const uint32_t lane = i / 32 * 32 + 4 * g + k % 4; /* who has the rows' inputs 4 k .. */
                const uint32_t upper = k < 4 ? 1 + lane : 3, lower = k < 4 ? 2 : 4;
                sum += (int32_t)((int8_t)upper + (int8_t)lower) * (int32_t)codes;
            }
        ck_assert_msg(r.out[i] == (uint32_t)sum, "thread %u: %u, need %d", i, r.out[i], sum);
    }
}
END_TEST

/* The same seed gives the same order, another one another. */
START_TEST(test_random_order)
{
    const result a = launch("race", Q35_EMU_RANDOM, 1), b = launch("race", Q35_EMU_RANDOM, 1);
    int others = 0;
    ck_assert_mem_eq(a.out, b.out, sizeof a.out);
    for (uint64_t seed = 2; seed < 8; seed++) {
        const result c = launch("race", Q35_EMU_RANDOM, seed);
        others += memcmp(a.out, c.out, sizeof a.out) != 0;
    }
    ck_assert_int_gt(others, 0);
}
END_TEST

/* After an error the next launch is as good as any. */
START_TEST(test_goes_on)
{
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(launch("lane_ended", Q35_EMU_FORWARD, 0).rc, 2);
        const result r = launch("sound", Q35_EMU_RANDOM, 3);
        ck_assert_msg(r.rc == 0, "%s", r.error);
        for (uint32_t t = 0; t < THREADS; t++)
            ck_assert_uint_eq(r.out[t], (t + 32) % THREADS + ((t ^ 1) + 32) % THREADS);
    }
}
END_TEST

START_TEST(test_refusals)
{
    static const struct {
        uint32_t grid[3], block[3], shared;
        const char *text;
    } cases[] = {
        {{1, 1, 1}, {128, 1, 1}, 0, "number of threads"}, {{1, 1, 1}, {0, 1, 1}, 0, "number of threads"},
        {{0, 1, 1}, {256, 1, 1}, 0, "grid is 0"},         {{1, 65536, 1}, {256, 1, 1}, 0, "too large"},
        {{1, 1, 1}, {256, 1, 1}, 1 << 20, "99 KiB"},
    };
    q35_elementwise_args args = {.n_rows = 0};
    char error[400];
    q35_emu_options options = {.error = error, .error_len = sizeof error};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int rc = q35_emu_launch("q35_add", &args, cases[i].grid, cases[i].block, cases[i].shared, &options);
        ck_assert_msg(rc == 1 && strstr(error, cases[i].text), "%d \"%s\"", rc, error);
    }
    ck_assert_int_eq(q35_emu_launch("q35_nothing", &args, cases[0].grid, cases[0].block, 0, &options), 1);
    ck_assert_str_eq(error, "q35_nothing: there is no such kernel");
    ck_assert_uint_eq(q35_emu_args_bytes("q35_nothing"), 0);
    for (uint32_t k = 0; k < Q35_CUDA_N_KERNELS; k++)
        ck_assert_uint_eq(q35_emu_args_bytes(q35_cuda_kernel_name(k)), q35_cuda_args_bytes(k));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("emu_planted");
    TCase *emulation = tcase_create("emulation");
    tcase_set_timeout(emulation, 120);
    tcase_add_loop_test(emulation, test_planted, 0, N_PLANTED);
    tcase_add_test(emulation, test_product);
    tcase_add_test(emulation, test_random_order);
    tcase_add_test(emulation, test_goes_on);
    tcase_add_test(emulation, test_refusals);
    suite_add_tcase(suite, emulation);
    return q35t_run(suite);
}
