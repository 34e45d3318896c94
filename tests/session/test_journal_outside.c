/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal of a conversion and the world: kills, full disks, other processes and users, names that are taken.
 */
#define _GNU_SOURCE
#include "journal_sample.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(test_two_openers)
{
    int code;
    q35i_journal *second, *journal = open_journal();
    append(journal, 0, 100, 0);
    EXPECT_FAILURE(q35i_journal_open(output, ours, &second), Q35_E_INVALID, "written by another conversion");
    ck_assert_ptr_null(second);
    pid_t child = fork();
    if (child == 0) /* another fingerprint must not start anew what is in use */
        _exit(q35i_journal_open(output, theirs, &second) == Q35_E_INVALID ? 0 : 1);
    ck_assert_int_eq(waitpid(child, &code, 0), child);
    ck_assert_int_eq(code, 0);
    expect_record(journal, 0, 100, 0);
    journal = reopen(journal);
    ck_assert_uint_eq(q35i_journal_count(journal), 1);
    q35i_journal_close(journal);
}
END_TEST

/* Somebody deletes the file under a run: the next one starts on its own, and the first does not delete that. */
START_TEST(test_deleted_meanwhile)
{
    q35i_journal *first = open_journal();
    append(first, 0, 100, 0);
    ck_assert_int_eq(unlink(path), 0);
    q35i_journal *second = open_journal();
    ck_assert_uint_eq(q35i_journal_count(second), 0);
    append(first, 1, 100, 0);
    expect_record(first, 1, 100, 0);
    q35i_journal_remove(first);
    ck_assert_int_eq(q35t_temp_dir_count(), 1);
    q35i_journal_remove(second);
    ck_assert_int_eq(q35t_temp_dir_count(), 0);
}
END_TEST

/* Opens, works and removes again and again; not 0 when another process was at work at the same time. */
static int work_alone(const char *mark)
{
    for (int done = 0, tries = 0; done < 300 && tries < 1000000; tries++) {
        q35i_journal *journal;
        q35_status status = q35i_journal_open(output, ours, &journal);
        if (status == Q35_E_INVALID)
            continue;
        int fd = status == Q35_OK ? open(mark, O_CREAT | O_EXCL | O_WRONLY, 0600) : -1;
        if (fd < 0)
            return 1;
        close(fd);
        if (q35i_journal_count(journal) != 0 || unlink(mark) != 0)
            return 2;
        q35i_journal_remove(journal);
        done++;
    }
    return 0;
}

/* A lock on a file that its owner has just deleted is none. */
START_TEST(test_removed_while_opened)
{
    char mark[Q35T_PATH_BYTES];
    int failed = 0;
    q35t_temp_path(mark, "mark");
    for (int i = 0; i < 4; i++)
        if (fork() == 0)
            _exit(work_alone(mark));
    for (int i = 0, code; i < 4; i++) {
        ck_assert_int_gt(wait(&code), 0);
        failed += code != 0;
    }
    ck_assert_int_eq(failed, 0);
    ck_assert_int_eq(q35t_temp_dir_count(), 0);
}
END_TEST

START_TEST(test_changed_meanwhile)
{
    q35i_journal *journal = open_journal();
    append(journal, 4, 100, 1);
    const q35i_finished *f = q35i_journal_find(journal, 4, 1);
    int fd = open(path, O_WRONLY);
    ck_assert_int_ge(fd, 0);
    expected[99] ^= 1;
    ck_assert_int_eq(pwrite(fd, expected + 99, 1, FILE_HEAD + RECORD_HEAD + 99), 1);
    EXPECT_FAILURE(q35i_journal_read(journal, f, buffer), Q35_E_FORMAT, "tensor 4, pass 1: checksum");
    ck_assert_int_eq(ftruncate(fd, FILE_HEAD + RECORD_HEAD + 50), 0);
    EXPECT_FAILURE(q35i_journal_read(journal, f, buffer), Q35_E_IO, "cut meanwhile");
    close(fd);
    q35i_journal_close(journal);
}
END_TEST

/* The size a file may have stands in for the room on a disk. */
static void limit_file(uint64_t bytes)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(test_full_disk)
{
    uint64_t begin[RECORDS + 1];
    struct rlimit before;
    q35i_journal *journal;
    ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    uint8_t *image = make_image(begin);
    ck_assert_int_eq(truncate(path, (off_t)begin[2]), 0);
    const q35i_finished f = record_of(2, sizes[2]);
    for (uint64_t room = begin[2]; room < begin[3]; room++) {
        struct stat st;
        journal = open_journal();
        limit_file(room);
        EXPECT_FAILURE(q35i_journal_append(journal, &f, 0, expected), Q35_E_IO,
                       "out.gguf.partial: write of 154 bytes at offset 265: File too large");
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
        ck_assert_uint_eq(q35i_journal_count(journal), 2);
        ck_assert_ptr_null(q35i_journal_find(journal, 2, 0));
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_int_eq(st.st_size, (off_t)begin[2]);
        append(journal, 7, 5, 0); /* goes on in the same run */
        expect_record(journal, 7, 5, 0);
        q35i_journal_close(journal);
        q35t_write_file(path, image, begin[2]);
    }
    expect_continues(image, begin[RECORDS], 2);
    ck_assert_int_eq(unlink(path), 0);
    limit_file(17);
    q35_status status = q35i_journal_open(output, ours, &journal);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_FAILURE(status, Q35_E_IO, "out.gguf.partial: write of 40 bytes at offset 0");
    ck_assert_int_eq(q35t_temp_dir_count(), 0);
    free(image);
}
END_TEST

static uint64_t killed_bytes(uint32_t i)
{
    return (uint64_t)i * 7919 % 3 == 0 ? 0 : (uint64_t)i * 104729 % MOST_BYTES;
}

/* Appends from record n on, telling each once it stands, until it is killed. */
static void append_forever(int tell)
{
    q35i_journal *journal;
    if (q35i_journal_open(output, ours, &journal) != Q35_OK)
        _exit(1);
    for (uint32_t i = (uint32_t)q35i_journal_count(journal);; i++) {
        const q35i_finished f = record_of(i, killed_bytes(i));
        if (q35i_journal_append(journal, &f, 0, expected) != Q35_OK || write(tell, &i, sizeof i) != sizeof i)
            _exit(2);
    }
}

START_TEST(test_killed)
{
    uint32_t next = 0; /* records that must be there */
    q35t_rng rng = q35t_rng_seed(20);
    for (int round = 0; round < 40; round++) {
        uint32_t told;
        int pipe_fd[2], code;
        ck_assert_int_eq(pipe(pipe_fd), 0);
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0)
            append_forever(pipe_fd[1]);
        close(pipe_fd[1]);
        usleep((useconds_t)q35t_rng_below(&rng, 20000));
        ck_assert_int_eq(kill(child, SIGKILL), 0);
        ck_assert_int_eq(waitpid(child, &code, 0), child);
        ck_assert(WIFSIGNALED(code));
        while (read(pipe_fd[0], &told, sizeof told) == sizeof told)
            next = told + 1;
        close(pipe_fd[0]);
        q35i_journal *journal = open_journal();
        const uint32_t found = (uint32_t)q35i_journal_count(journal);
        ck_assert_msg(found == next || found == next + 1, "round %d: %u records, need %u", round, found, next);
        for (uint32_t i = found > 20 ? found - 20 : 0; i < found; i++)
            expect_record(journal, i, killed_bytes(i), 0);
        next = found;
        q35i_journal_close(journal);
    }
    ck_assert_uint_gt(next, 0);
}
END_TEST

START_TEST(test_wrong_names)
{
    q35i_journal *journal;
    char other[Q35T_PATH_BYTES];
    EXPECT_FAILURE(q35i_journal_open("", ours, &journal), Q35_E_INVALID, "names no file");
    q35t_temp_path(other, "");
    EXPECT_FAILURE(q35i_journal_open(other, ours, &journal), Q35_E_INVALID, "names no file");
    q35t_temp_path(other, "none/out.gguf");
    EXPECT_FAILURE(q35i_journal_open(other, ours, &journal), Q35_E_IO, "cannot create it: No such file");
    ck_assert_int_eq(mkdir(path, 0700), 0);
    EXPECT_FAILURE(q35i_journal_open(output, ours, &journal), Q35_E_INVALID, "is a directory");
    ck_assert_int_eq(rmdir(path), 0);
    q35t_temp_path(other, "precious");
    q35t_write_file(other, "text", 4);
    ck_assert_int_eq(symlink(other, path), 0);
    EXPECT_FAILURE(q35i_journal_open(output, ours, &journal), Q35_E_INVALID, "is a symbolic link");
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    EXPECT_FAILURE(q35i_journal_open(output, ours, &journal), Q35_E_INVALID, "is not a regular file");
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rename(other, path), 0);
    EXPECT_FAILURE(q35i_journal_open(output, ours, &journal), Q35_E_INVALID, "is not the journal");
    char *text = q35t_read_file(path, NULL);
    ck_assert_str_eq(text, "text");
    free(text);
}
END_TEST

/* A first word that is not ours makes it somebody else's file, which stays as it is. */
START_TEST(test_wrong_magic)
{
    uint64_t begin[RECORDS + 1];
    q35i_journal *journal;
    uint8_t *image = make_image(begin);
    for (size_t at = 0; at < 8; at++) {
        image[at] ^= 1;
        q35t_write_file(path, image, begin[RECORDS]);
        EXPECT_FAILURE(q35i_journal_open(output, ours, &journal), Q35_E_INVALID, "is not the journal");
        expect_file(image, begin[RECORDS]);
        image[at] ^= 1;
    }
    free(image);
}
END_TEST

/* Needs a second user: only root can play two. */
START_TEST(test_other_user)
{
    enum { NOBODY = 65534 };
    q35i_journal *journal;
    if (geteuid() != 0) {
        puts("test_journal: files of another user are skipped, needs root");
        return;
    }
    journal = open_journal();
    append(journal, 0, 10, 0);
    q35i_journal_close(journal);
    ck_assert_int_eq(chown(path, NOBODY, NOBODY), 0);
    EXPECT_FAILURE(q35i_journal_open(output, ours, &journal), Q35_E_INVALID, "of user 65534, need one of user 0");
    ck_assert_int_eq(chown(path, 0, 0), 0);
    ck_assert_int_eq(chmod(path, 0600), 0);
    ck_assert_int_eq(chmod(q35t_temp_dir(), 0755), 0);
    ck_assert_int_eq(seteuid(NOBODY), 0);
    q35_status status = q35i_journal_open(output, ours, &journal);
    EXPECT_FAILURE(status, Q35_E_IO, "of user 0, cannot open it as user 65534: Permission denied");
    q35t_temp_path(output, "new.gguf");
    status = q35i_journal_open(output, ours, &journal);
    ck_assert_int_eq(seteuid(0), 0);
    EXPECT_FAILURE(status, Q35_E_IO, "new.gguf.partial: cannot create it: Permission denied");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("journal");
    tcase_add_test(tc, test_two_openers);
    tcase_add_test(tc, test_deleted_meanwhile);
    tcase_add_test(tc, test_removed_while_opened);
    tcase_add_test(tc, test_changed_meanwhile);
    tcase_add_test(tc, test_full_disk);
    tcase_add_test(tc, test_killed);
    tcase_add_test(tc, test_wrong_names);
    tcase_add_test(tc, test_wrong_magic);
    tcase_add_test(tc, test_other_user);
    return run_tests(tc);
}
