/* SPDX-License-Identifier: Apache-2.0
 *
 * Packed weights and their disk cache: what is packed, which file is used, and that a foreign, missing or unusable
 * cache only costs time. */
#define _GNU_SOURCE
#include "pack_support.h"
#include "support/alloc_sweep.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>

static int is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

START_TEST(second_time_comes_from_the_cache)
{
    char path[TEST_PATH];
    ck_assert_int_eq(pack_and_check(), 0);
    ck_assert_int_eq(cache_file(path), 1);
    ck_assert_int_eq(pack_and_check(), 1);
    ck_assert_int_eq(pack_and_check(), 1);
}
END_TEST

START_TEST(keys_and_models_do_not_mix)
{
    char path[TEST_PATH];
    ck_assert_int_eq(pack_and_check(), 0);
    model.id[0] ^= 1;
    ck_assert_int_eq(pack_and_check(), 0);
    model.id[0] ^= 1;
    ck_assert_int_eq(pack_and_check(), 1);
    ck_assert_int_eq(cache_file(path), 2);
    device.info.device_class = Q35_CLASS_NPU;
    ck_assert_int_eq(pack_and_check(), 0);
    device.info.device_class = 0;
    ck_assert_int_eq(pack_and_check(), 1);
    ck_assert_int_eq(cache_file(path), 3);
    /* the same keys, but another list of weights: both are kept */
    items[1].name = "renamed.weight";
    ck_assert_int_eq(pack_and_check(), 0);
    ck_assert_int_eq(pack_and_check(), 1);
    items[1].name = "second.weight";
    ck_assert_int_eq(pack_and_check(), 1);
    items[2].weight.dim[1] = 15;
    ck_assert_int_eq(pack_and_check(), 0);
    ck_assert_int_eq(cache_file(path), 5);
}
END_TEST

/* What a new file makes useless goes, unless a process has it open. */
START_TEST(useless_files_are_deleted)
{
    char old[TEST_PATH], path[TEST_PATH];
    fill_cache(old);
    salt = 3; /* other bytes, and a key that says so */
    ck_assert_int_eq(pack_and_check(), 0);
    ck_assert_int_eq(cache_file(path), 1);
    ck_assert(!is_there(old));
    format(old, sizeof old, "%s", path);
    q35i_packed *packed;
    q35i_pack_item before[N_ITEMS];
    EXPECT_OK(q35i_pack_weights(&device, pool, &model, items, N_ITEMS, &packed));
    memcpy(before, items, sizeof items);
    table.version = "2";
    ck_assert_int_eq(pack_and_check(), 0);
    ck_assert(is_there(old)); /* in use */
    ck_assert_int_eq(cache_file(path), 2);
    memcpy(items, before, sizeof items);
    check_packed();
    q35i_packed_free(packed);
    table.version = "3";
    ck_assert_int_eq(pack_and_check(), 0);
    ck_assert_int_eq(cache_file(path), 1);
    table.version = "1";
    salt = 0;
}
END_TEST

START_TEST(replaced_models_files_are_deleted)
{
    char path[TEST_PATH], one[TEST_PATH], two[TEST_PATH];
    format(one, sizeof one, "%s/one.gguf", q35t_temp_dir());
    format(two, sizeof two, "%s/two.gguf", q35t_temp_dir());
    q35t_write_file(one, "1", 1);
    q35t_write_file(two, "2", 1);
    model.path = one;
    ck_assert_int_eq(pack_and_check(), 0);
    model.path = two;
    model.id[0] ^= 1;
    ck_assert_int_eq(pack_and_check(), 0);
    ck_assert_int_eq(cache_file(path), 2);
    model.id[0] ^= 2; /* the second one is written anew */
    ck_assert_int_eq(pack_and_check(), 0);
    ck_assert_int_eq(cache_file(path), 2);
    model.id[0] ^= 3;
    ck_assert_int_eq(pack_and_check(), 1); /* the first one, by another name */
    model.path = NULL;
}
END_TEST

START_TEST(files_of_older_versions_are_deleted)
{
    char old[TEST_PATH], path[TEST_PATH];
    size_t bytes;
    fill_cache(path);
    char *data = q35t_read_file(path, &bytes);
    data[8] = 1; /* version */
    format(old, sizeof old, "%s/q35rt/packed/0123.q35p", q35t_temp_dir());
    q35t_write_file(old, data, bytes);
    ck_assert_int_eq(chmod(old, 0600), 0);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(pack_and_check(), 0);
    ck_assert(!is_there(old));
    data[8] = 9; /* a newer program's */
    q35t_write_file(old, data, bytes);
    ck_assert_int_eq(chmod(old, 0600), 0);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(pack_and_check(), 0);
    ck_assert(is_there(old));
    free(data);
}
END_TEST

/* ---- caches that cannot be used */

static void expect_not_kept(const char *why)
{
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pack_and_check(), 0);
        ck_assert_msg(strstr(last_log, "not kept on disk") && strstr(last_log, why), "%s", last_log);
    }
}

START_TEST(unusable_cache_costs_only_time)
{
    char path[TEST_PATH];
    format(path, sizeof path, "%s/q35rt", q35t_temp_dir());
    q35t_write_file(path, "in the way", 10); /* a file where the folder should be */
    expect_not_kept("Not a directory");
    setenv("XDG_CACHE_HOME", "/dev/null", 1);
    expect_not_kept("Not a directory");
    setenv("XDG_CACHE_HOME", "/proc/q35rt", 1);
    expect_not_kept("No such file or directory");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    expect_not_kept("need an absolute path");
    setenv("XDG_CACHE_HOME", "relative/path", 1);
    expect_not_kept("XDG_CACHE_HOME is 'relative/path'");
    setenv("HOME", q35t_temp_dir(), 1);
    ck_assert_int_eq(pack_and_check(), 0);
    ck_assert_ptr_nonnull(strstr(last_log, "XDG_CACHE_HOME is 'relative/path', need an absolute path: /"));
    ck_assert_int_eq(pack_and_check(), 1);
}
END_TEST

START_TEST(read_only_cache_is_still_read)
{
    char path[TEST_PATH], folder[TEST_PATH];
    fill_cache(path);
    format(folder, sizeof folder, "%s/q35rt/packed", q35t_temp_dir());
    uid_t user = geteuid();
    ck_assert_int_eq(chmod(folder, 0555), 0);
    if (user == 0) { /* root may write anywhere: as somebody else */
        ck_assert_int_eq(chmod(q35t_temp_dir(), 0755), 0);
        format(folder, sizeof folder, "%s/q35rt", q35t_temp_dir());
        ck_assert_int_eq(chmod(folder, 0755), 0);
        ck_assert_int_eq(chown(path, 65534, (gid_t)-1), 0);
        ck_assert_int_eq(seteuid(65534), 0);
    }
    ck_assert_int_eq(pack_and_check(), 1); /* verified whole, as it cannot be sealed */
    ck_assert_int_eq(pack_and_check(), 1);
    model.id[0] ^= 1;
    expect_not_kept("Permission denied");
    model.id[0] ^= 1;
    ck_assert_int_eq(seteuid(user), 0);
    format(folder, sizeof folder, "%s/q35rt/packed", q35t_temp_dir());
    ck_assert_int_eq(chmod(folder, 0700), 0);
}
END_TEST

START_TEST(full_disk_costs_only_time)
{
    char path[TEST_PATH];
    file_limit = 6000;
    signal(SIGXFSZ, SIG_IGN);
    expect_not_kept("File too large");
    ck_assert_int_eq(cache_file(path), 0);
    file_limit = RLIM_INFINITY;
    EXPECT_FAILURE(q35i_pack_make_room("/tmp/x.q35p", UINT64_MAX), Q35_E_IO, "cache folder /tmp: ");
    ck_assert_int_eq(pack_and_check(), 0);
    ck_assert_int_eq(pack_and_check(), 1);
}
END_TEST

START_TEST(without_cache_nothing_is_written_or_read)
{
    char path[TEST_PATH];
    device.keep_packed = 0;
    ck_assert_int_eq(pack_and_check(), 0);
    ck_assert_int_eq(cache_file(path), 0);
    device.keep_packed = 1;
    ck_assert_int_eq(pack_and_check(), 0);
    device.keep_packed = 0;
    ck_assert_int_eq(pack_and_check(), 0);
    device.keep_packed = 1;
    ck_assert_int_eq(pack_and_check(), 1);
    ck_assert_str_eq(last_log, "");
}
END_TEST

/* An unfinished output is reported once its process is gone, and only then. */
START_TEST(unfinished_outputs_are_found)
{
    char path[TEST_PATH], name[TEST_PATH];
    found f = {.path = path};
    fill_cache(path);
    format(name, sizeof name, "%s/q35rt/packed/.q35rt-0-1-0.tmp", q35t_temp_dir());
    int fd = open(name, O_RDWR | O_CREAT, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    q35i_pack_each(note_file, &f);
    ck_assert_int_eq(f.n_unfinished, 0);
    close(fd);
    q35i_pack_each(note_file, &f);
    ck_assert_int_eq(f.n_unfinished, 1);
}
END_TEST

START_TEST(plugin_without_key_has_no_cache)
{
    char path[TEST_PATH];
    table.pack_key = NULL;
    ck_assert_int_eq(pack_and_check(), 0);
    ck_assert_int_eq(pack_and_check(), 0);
    ck_assert_int_eq(cache_file(path), 0);
}
END_TEST

START_TEST(failures_name_the_weight)
{
    q35i_packed *packed = (q35i_packed *)&packed;
    refuse_row = 20;
    ck_assert_uint_eq(q35i_pack_weights(&device, pool, &model, items, N_ITEMS, &packed), Q35_E_DEVICE);
    ck_assert_ptr_null(packed);
    EXPECT_ERROR("weight first.weight: device fake cannot pack it");
    refuse_row = -1;
    items[1].layout.align = 128;
    EXPECT_FAILURE(q35i_pack_weights(&device, pool, &model, items, N_ITEMS, &packed), Q35_E_FORMAT,
                   "weight second.weight: layout 9 aligned to 128");
    items[1].layout.align = 64;
    items[2].layout.slice_rows = 0;
    ck_assert_uint_eq(q35i_pack_weights(&device, pool, &model, items, N_ITEMS, &packed), Q35_E_FORMAT);
    items[2].layout.slice_rows = 1;
    items[2].layout.slice_bytes = UINT64_MAX / 2;
    ck_assert_uint_eq(q35i_pack_weights(&device, pool, &model, items, N_ITEMS, &packed), Q35_E_RANGE);
    ck_assert_uint_eq(q35i_pack_weights(&device, pool, &model, items, 0, &packed), Q35_OK);
    q35i_packed_free(packed);
    q35i_packed_free(NULL);
}
END_TEST

START_TEST(no_memory_is_survived)
{
    q35i_packed *packed;
    q35t_alloc_sweep sweep = {.limit = 50};
    while (q35t_alloc_sweep_next(&sweep))
        q35t_alloc_sweep_end(&sweep, q35i_pack_weights(&device, pool, &model, items, N_ITEMS, &packed));
    check_packed();
    q35i_packed_free(packed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pack");
    TCase *tc = tcase_create("pack");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, second_time_comes_from_the_cache);
    tcase_add_test(tc, keys_and_models_do_not_mix);
    tcase_add_test(tc, useless_files_are_deleted);
    tcase_add_test(tc, replaced_models_files_are_deleted);
    tcase_add_test(tc, files_of_older_versions_are_deleted);
    tcase_add_test(tc, unusable_cache_costs_only_time);
    tcase_add_test(tc, read_only_cache_is_still_read);
    tcase_add_test(tc, full_disk_costs_only_time);
    tcase_add_test(tc, without_cache_nothing_is_written_or_read);
    tcase_add_test(tc, unfinished_outputs_are_found);
    tcase_add_test(tc, plugin_without_key_has_no_cache);
    tcase_add_test(tc, failures_name_the_weight);
    tcase_add_test(tc, no_memory_is_survived);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
