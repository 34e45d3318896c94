/* SPDX-License-Identifier: Apache-2.0
 *
 * Windows of hidden states in memory and in a file: the same content, no name that could stay behind, and what a
 * disk without room says. */
#define _GNU_SOURCE
#include "runtime/session/windows.h"
#include "support/child.h"
#include "support/expect.h"
#include "support/suite.h"
#include "support/temp_dir.h"

#include <signal.h>
#include <sys/resource.h>

enum { N = 5, BYTES = 70000 };

static char beside[Q35T_PATH_BYTES];

static void setup(void)
{
    q35t_temp_dir_create();
    q35t_temp_path(beside, "out.gguf");
}

static void teardown(void)
{
    ck_assert_int_eq(q35t_temp_dir_remove(), 0);
}

static void fill(uint8_t *window, uint64_t i)
{
    for (uint64_t b = 0; b < BYTES; b++)
        window[b] = (uint8_t)(b * 7 + b / 256 + i * 31);
}

static void expect_window(const q35i_windows *w, uint64_t i, uint64_t as)
{
    static uint8_t found[BYTES], needed[BYTES];
    fill(needed, as);
    EXPECT_OK(q35i_windows_read(w, i, found));
    ck_assert_msg(memcmp(found, needed, BYTES) == 0, "window %llu does not come back", (unsigned long long)i);
}

START_TEST(test_windows_come_back)
{
    static uint8_t window[BYTES];
    q35i_windows *w;
    EXPECT_OK(q35i_windows_open(N, BYTES, _i ? beside : NULL, &w));
    for (uint64_t i = N; i-- > 0;) {
        fill(window, i);
        EXPECT_OK(q35i_windows_write(w, i, window));
    }
    fill(window, 100);
    EXPECT_OK(q35i_windows_write(w, 2, window));
    for (uint64_t i = 0; i < N; i++)
        expect_window(w, i, i == 2 ? 100 : i);
    ck_assert_int_eq(q35t_temp_dir_count(), 0);
    q35i_windows_close(w);
    ck_assert_int_eq(q35t_temp_dir_count(), 0);
}
END_TEST

/* A limit on the size of files stands for a full disk. */
START_TEST(test_no_room)
{
    q35i_windows *w;
    const struct rlimit small = {100000, 100000};
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    EXPECT_FAILURE(q35i_windows_open(N, BYTES, beside, &w), Q35_E_IO, "out.gguf");
    EXPECT_ERROR("350000 bytes");
    ck_assert_ptr_null(w);
    ck_assert_int_eq(q35t_temp_dir_count(), 0);
    EXPECT_OK(q35i_windows_open(1, BYTES, beside, &w)); /* it fits */
    q35i_windows_close(w);
}
END_TEST

START_TEST(test_wrong)
{
    char nowhere[Q35T_PATH_BYTES];
    q35i_windows *w;
    q35t_temp_path(nowhere, "missing/out.gguf");
    EXPECT_FAILURE(q35i_windows_open(N, BYTES, nowhere, &w), Q35_E_IO, "missing/out.gguf");
    EXPECT_FAILURE(q35i_windows_open(UINT64_MAX / 2, 4, NULL, &w), Q35_E_NOMEM, "more than fit");
    EXPECT_FAILURE(q35i_windows_open(UINT64_MAX / 8, 4, beside, &w), Q35_E_IO, "out.gguf");
    q35i_windows_close(NULL);
}
END_TEST

static int open_and_write(void)
{
    static uint8_t window[BYTES];
    q35i_windows *w;
    return q35i_windows_open(N, BYTES, beside, &w) != Q35_OK || q35i_windows_write(w, 0, window) != Q35_OK;
}

/* Killed while the file is in use: nothing is left. */
START_TEST(test_killed)
{
    q35t_kill_child(q35t_start_child(open_and_write));
    ck_assert_int_eq(q35t_temp_dir_count(), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("windows");
    TCase *t = tcase_create("windows");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, test_windows_come_back, 0, 2);
    tcase_add_test(t, test_no_room);
    tcase_add_test(t, test_wrong);
    tcase_add_test(t, test_killed);
    suite_add_tcase(s, t);
    return q35t_run(s);
}
