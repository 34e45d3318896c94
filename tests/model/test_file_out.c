/* SPDX-License-Identifier: Apache-2.0
 *
 * Output files: whole or not at all, never over an existing file unasked, and a full disk ends with a sentence. */
#define _GNU_SOURCE
#include "support/child.h"
#include "support/expect.h"
#include "support/temp_dir.h"

#include "runtime/base/file_out.h"
#include "support/suite.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[Q35T_PATH_BYTES];

static q35i_file_out *create(bool overwrite)
{
    q35i_file_out *file;
    expect_ok(q35i_file_out_create(path, overwrite, &file), "create");
    return file;
}

/* Content of path, NULL when there is no such file. */
static const char *content(void)
{
    static char text[256];
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

static void setup(void)
{
    q35t_temp_path(path, "out.bin");
    (void)remove(path);
    ck_assert_int_eq(q35t_temp_dir_count(), 0);
}

START_TEST(test_commit)
{
    struct stat st;
    mode_t mask = umask(027);
    q35i_file_out *file = create(false);
    expect_ok(q35i_file_out_write(file, "hello ", 6), "write");
    expect_ok(q35i_file_out_write(file, "world", 5), "write");
    ck_assert_uint_eq(q35i_file_out_offset(file), 11);
    expect_ok(q35i_file_out_patch(file, 0, "J", 1), "patch");
    expect_ok(q35i_file_out_patch(file, 11, "", 0), "empty patch at the end");
    expect_ok(q35i_file_out_write(file, "!", 1), "write after a patch");
    ck_assert_ptr_null(content());
    expect_ok(q35i_file_out_commit(file), "commit");
    ck_assert_str_eq(content(), "Jello world!");
    ck_assert_int_eq(q35t_temp_dir_count(), 1);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0640);
    umask(mask);
}
END_TEST

START_TEST(test_patch_outside)
{
    q35i_file_out *file = create(false);
    expect_ok(q35i_file_out_write(file, "1234", 4), "write");
    expect_failure(q35i_file_out_patch(file, 3, "ab", 2), Q35_E_RANGE, "patch of 2 bytes at offset 3",
                   "past the end");
    expect_failure(q35i_file_out_patch(file, UINT64_MAX, "ab", 2), Q35_E_RANGE, "need to stay below offset 4",
                   "wrap");
    q35i_file_out_discard(file);
}
END_TEST

START_TEST(test_discard)
{
    q35i_file_out *file = create(false);
    expect_ok(q35i_file_out_write(file, "x", 1), "write");
    q35i_file_out_discard(file);
    q35i_file_out_discard(NULL);
    ck_assert_int_eq(q35t_temp_dir_count(), 0);
}
END_TEST

START_TEST(test_no_overwrite)
{
    q35i_file_out *first = create(false), *second = create(false), *third;
    expect_ok(q35i_file_out_write(first, "first", 5), "write");
    expect_ok(q35i_file_out_write(second, "second", 6), "write");
    expect_ok(q35i_file_out_commit(first), "commit");
    expect_failure(q35i_file_out_commit(second), Q35_E_INVALID, "out.bin: file exists", "appeared meanwhile");
    expect_failure(q35i_file_out_create(path, false, &third), Q35_E_INVALID, "out.bin: file exists", "exists");
    ck_assert_ptr_null(third);
    ck_assert_str_eq(content(), "first");
    ck_assert_int_eq(q35t_temp_dir_count(), 1);
    third = create(true);
    expect_ok(q35i_file_out_write(third, "third", 5), "write");
    ck_assert_str_eq(content(), "first");
    expect_ok(q35i_file_out_commit(third), "commit");
    ck_assert_str_eq(content(), "third");
    ck_assert_int_eq(q35t_temp_dir_count(), 1);
}
END_TEST

START_TEST(test_bad_places)
{
    q35i_file_out *file;
    expect_failure(q35i_file_out_create("", true, &file), Q35_E_INVALID, "name is empty", "empty");
    expect_failure(q35i_file_out_create("/", true, &file), Q35_E_INVALID, "/: is a directory", "directory");
    expect_failure(q35i_file_out_create("/dev/null", true, &file), Q35_E_INVALID, "not a regular file", "device");
    expect_failure(q35i_file_out_create("/nonexistent/x", true, &file), Q35_E_IO, "No such file", "no directory");
    char *name = malloc(5000);
    ck_assert_ptr_nonnull(name);
    memset(name, 'x', 4999);
    name[4999] = '\0';
    expect_failure(q35i_file_out_create(name, true, &file), Q35_E_INVALID, "path of 4999 bytes", "long path");
    name[400] = '\0';
    expect_failure(q35i_file_out_create(name, true, &file), Q35_E_IO, "xxx: File name too long", "long name");
    free(name);
}
END_TEST

/* A limit on file sizes stands for a full disk: the write that crosses it comes back short, the next one fails. */
START_TEST(test_full_disk)
{
    static const char bytes[4096];
    const struct rlimit small = {10000, 10000};
    ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    q35i_file_out *file = create(false);
    expect_ok(q35i_file_out_write(file, bytes, 4096), "first");
    expect_ok(q35i_file_out_write(file, bytes, 4096), "second");
    expect_failure(q35i_file_out_write(file, bytes, 4096), Q35_E_IO,
                   "out.bin: write of 2288 bytes at offset 10000: File too", "third");
    expect_failure(q35i_file_out_commit(file), Q35_E_IO, "an earlier write failed", "commit");
    ck_assert_int_eq(q35t_temp_dir_count(), 0);
}
END_TEST

START_TEST(test_unlink_all)
{
    q35i_file_out *a = create(false), *b = create(true);
    expect_ok(q35i_file_out_write(a, "a", 1), "write");
    ck_assert_int_eq(q35t_temp_dir_count(), 2);
    q35i_file_out_unlink_all();
    ck_assert_int_eq(q35t_temp_dir_count(), 0);
    expect_failure(q35i_file_out_commit(a), Q35_E_IO, "cannot move the finished file there",
                   "commit after unlink");
    q35i_file_out_discard(b);
}
END_TEST

static int open_and_write(void)
{
    q35i_file_out *file;
    return q35i_file_out_create(path, true, &file) != Q35_OK || q35i_file_out_write(file, "half", 4) != Q35_OK;
}

START_TEST(test_leftover)
{
    pid_t alive = q35t_start_child(open_and_write), dead = q35t_start_child(open_and_write);
    ck_assert_int_eq(q35t_temp_dir_count(), 2);
    q35t_kill_child(dead);
    q35i_file_out *file = create(true), *other;
    ck_assert_int_eq(q35t_temp_dir_count(), 2); /* that of the living one and ours */
    q35t_kill_child(alive);
    char beside[Q35T_PATH_BYTES];
    q35t_temp_path(beside, "out.bin2");
    expect_ok(q35i_file_out_create(beside, true, &other), "another output");
    ck_assert_int_eq(q35t_temp_dir_count(), 3); /* a leftover of this one is not its business */
    q35i_file_out_discard(other);
    expect_ok(q35i_file_out_commit(file), "commit");
    q35i_file_out_discard(create(true));
    ck_assert_int_eq(q35t_temp_dir_count(), 1);
}
END_TEST

START_TEST(test_many)
{
    q35i_file_out *files[64];
    int n = 0;
    while (n < 64 && q35i_file_out_create(path, true, &files[n]) == Q35_OK)
        n++;
    ck_assert_int_ge(n, 8);
    ck_assert_int_lt(n, 64);
    expect_failure(q35i_file_out_create(path, true, &files[n]), Q35_E_INVALID, "output files are open already",
                   "full");
    for (int i = 0; i < n; i++)
        q35i_file_out_discard(files[i]);
    q35i_file_out_discard(create(false)); /* the slots are free again */
}
END_TEST

int main(void)
{
    q35t_temp_dir_create();
    Suite *suite = suite_create("file_out");
    TCase *tc = tcase_create("file_out");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, test_commit);
    tcase_add_test(tc, test_patch_outside);
    tcase_add_test(tc, test_discard);
    tcase_add_test(tc, test_no_overwrite);
    tcase_add_test(tc, test_bad_places);
    tcase_add_test(tc, test_full_disk);
    tcase_add_test(tc, test_unlink_all);
    tcase_add_test(tc, test_leftover);
    tcase_add_test(tc, test_many);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
