/* SPDX-License-Identifier: Apache-2.0
 *
 * Cache files that are damaged, by whom and how it may be: rebuilt, never trusted. */
#define _GNU_SOURCE
#include "pack_support.h"

#include <fcntl.h>
#include <sys/mman.h>

START_TEST(damaged_cache_is_rebuilt)
{
    char path[TEST_PATH];
    size_t bytes, now_bytes;
    fill_cache(path);
    unsigned char *good = q35t_read_file(path, &bytes);
    size_t texts = 112, used = Q35I_PACK_HEADER_BYTES + N_ITEMS * sizeof(q35i_pack_entry);
    for (size_t i = 0; i < bytes; i += i < texts || (i >= Q35I_PACK_HEADER_BYTES && i < used) ? 7 : 211) {
        unsigned char *bad = malloc(bytes);
        ck_assert_ptr_nonnull(bad);
        memcpy(bad, good, bytes);
        bad[i] ^= 0x40;
        q35t_write_file(path, bad, bytes);
        ck_assert_msg(pack_and_check() == 0, "byte %zu", i);
        ck_assert_ptr_nonnull(strstr(last_log, "packing anew"));
        free(bad);
        unsigned char *now = q35t_read_file(path, &now_bytes);
        ck_assert_uint_eq(now_bytes, bytes);
        ck_assert_mem_eq(now, good, bytes); /* rebuilt to the same bytes */
        free(now);
    }
    for (size_t n = 0; n < bytes; n += 607) {
        q35t_write_file(path, good, n);
        ck_assert_int_eq(pack_and_check(), 0);
    }
    ck_assert_int_eq(pack_and_check(), 1);
    free(good);
}
END_TEST

/* ---- the seal */

static void flip(const char *path, off_t at)
{
    char byte;
    int fd = open(path, O_RDWR);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
    ck_assert_int_eq(fsync(fd), 0);
    close(fd);
}

/* As if the file had been verified as it is: what a disk that loses bits does to it. */
static void seal_as_is(const char *path)
{
    q35i_pack_map map;
    EXPECT_OK(q35i_pack_map_open(path, &map, NULL));
    EXPECT_OK(q35i_pack_map_seal(path, &map));
    ck_assert(q35i_pack_map_sealed(path, &map, NULL));
    q35i_pack_map_close(&map);
}

/* Drops the file's pages from memory; 0: the file system keeps them there. */
static int drop_from_memory(const char *path)
{
    unsigned char resident;
    int fd = open(path, O_RDONLY);
    ck_assert_int_eq(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    void *page = mmap(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0);
    ck_assert(page != MAP_FAILED);
    ck_assert_int_eq(mincore(page, 1, &resident), 0);
    munmap(page, 1);
    close(fd);
    return !(resident & 1);
}

START_TEST(any_change_breaks_the_seal)
{
    char path[TEST_PATH];
    struct stat st;
    fill_cache(path);
    for (int i = 0; i < 20; i++) { /* at once, with the old times where a program may set them */
        ck_assert_int_eq(stat(path, &st), 0);
        flip(path, st.st_size - 1 - i);
        const struct timespec times[2] = {st.st_atim, st.st_mtim};
        ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
        ck_assert_int_eq(pack_and_check(), 0);
    }
    ck_assert_int_eq(pack_and_check(), 1);
}
END_TEST

START_TEST(what_comes_from_the_disk_is_verified)
{
    char path[TEST_PATH];
    struct stat st;
    fill_cache(path);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(pack_and_check(), 1);
    flip(path, st.st_size - 100);
    seal_as_is(path);
    if (drop_from_memory(path)) {
        ck_assert_int_eq(pack_and_check(), 0);
        ck_assert_ptr_nonnull(strstr(last_log, "checksum differs"));
    }
    ck_assert_int_eq(drop_from_memory(path) ? pack_and_check() : 1, 1); /* verified and good: sealed again */
    q35i_pack_map map;
    EXPECT_OK(q35i_pack_map_open(path, &map, NULL));
    ck_assert(q35i_pack_map_sealed(path, &map, NULL));
    q35i_pack_map_close(&map);
}
END_TEST

START_TEST(seal_that_makes_no_sense_is_replaced)
{
    char path[TEST_PATH], seal[TEST_PATH + 8];
    size_t bytes;
    q35i_pack_map map;
    int64_t used = 0;
    fill_cache(path);
    snprintf(seal, sizeof seal, "%s" Q35I_PACK_SEAL_SUFFIX, path);
    char *good = q35t_read_file(seal, &bytes);
    for (size_t n = 0; n <= bytes; n++) {
        if (n < bytes)
            good[n] ^= 1;
        q35t_write_file(seal, good, n < bytes ? bytes : 10);
        if (n < bytes)
            good[n] ^= 1;
        ck_assert_int_eq(chmod(seal, 0600), 0);
        EXPECT_OK(q35i_pack_map_open(path, &map, NULL));
        ck_assert(!q35i_pack_map_sealed(path, &map, &used));
        ck_assert_int_gt(used, 0);
        q35i_pack_map_close(&map);
    }
    ck_assert_int_eq(pack_and_check(), 1);
    char *now = q35t_read_file(seal, NULL);
    ck_assert_mem_eq(now, good, bytes);
    ck_assert_int_eq(unlink(seal), 0);
    ck_assert_int_eq(mkdir(seal, 0700), 0); /* it cannot be written: verified each time */
    ck_assert_int_eq(pack_and_check(), 1);
    ck_assert_int_eq(pack_and_check(), 1);
    ck_assert_int_eq(rmdir(seal), 0);
    free(now);
    free(good);
}
END_TEST

START_TEST(files_of_others_are_not_trusted)
{
    char path[TEST_PATH], away[TEST_PATH];
    fill_cache(path);
    ck_assert_int_eq(chmod(path, 0622), 0);
    ck_assert_int_eq(pack_and_check(), 0);
    ck_assert_ptr_nonnull(strstr(last_log, "nobody else to write"));
    ck_assert_int_eq(pack_and_check(), 1);
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(path, 12345, (gid_t)-1), 0);
        ck_assert_int_eq(pack_and_check(), 0);
        ck_assert_ptr_nonnull(strstr(last_log, "belongs to user 12345"));
    }
    format(away, sizeof away, "%s/away", q35t_temp_dir());
    ck_assert_int_eq(rename(path, away), 0);
    ck_assert_int_eq(symlink(away, path), 0);
    ck_assert_int_eq(pack_and_check(), 0);
    ck_assert_int_eq(pack_and_check(), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pack_damage");
    TCase *tc = tcase_create("pack_damage");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, damaged_cache_is_rebuilt);
    tcase_add_test(tc, any_change_breaks_the_seal);
    tcase_add_test(tc, what_comes_from_the_disk_is_verified);
    tcase_add_test(tc, seal_that_makes_no_sense_is_replaced);
    tcase_add_test(tc, files_of_others_are_not_trusted);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
