/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal of a conversion: what was appended comes back, whatever the file lost or had changed, and never
 * anything else. */
#define _GNU_SOURCE
#include "support/alloc_sweep.h"
#include "support/expect.h"
#include "support/rng.h"
#include "support/suite.h"
#include "support/temp_dir.h"
#include "support/whole_file.h"

#include "runtime/quant/certificate.h"
#include "runtime/session/journal.h"

#include <q35rt/log.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_HEAD   40u /* bytes, as journal.c describes the file */
#define RECORD_HEAD 88u
#define AROUND      (RECORD_HEAD + 8u)
#define RECORDS     3u
#define MOST_BYTES  200000u

static const uint8_t ours[16] = "this conversion", theirs[16] = "other conversio";
static const uint64_t sizes[RECORDS] = {33, 0, 58};
static char output[Q35T_PATH_BYTES], path[Q35T_PATH_BYTES];
static char logged[512]; /* last log line */
static uint8_t buffer[MOST_BYTES], expected[MOST_BYTES];

static void keep_line(void *user, int level, const char *line)
{
    (void)user, (void)level;
    snprintf(logged, sizeof logged, "%s", line);
}

static void setup(void)
{
    q35t_temp_dir_create();
    q35t_temp_path(output, "out.gguf");
    q35t_temp_path(path, "out.gguf.partial");
    logged[0] = '\0';
    q35_log_set(keep_line, NULL, Q35_LOG_INFO);
}

static void teardown(void)
{
    ck_assert_int_eq(q35t_temp_dir_remove(), 0);
}

static q35i_journal *open_journal(void)
{
    q35i_journal *journal;
    expect_ok(q35i_journal_open(output, ours, &journal), "open");
    return journal;
}

/* The i-th record of these tests, and its bytes in expected. */
static q35i_finished record_of(uint32_t i, uint64_t bytes)
{
    q35t_rng rng = q35t_rng_seed(i);
    for (uint64_t b = 0; b < bytes; b++)
        expected[b] = (uint8_t)q35t_rng_u64(&rng);
    return (q35i_finished){.tensor = i,
                           .dtype = 7,
                           .activation = i % 2,
                           .rotation_width = 128,
                           .rotation_seed = UINT64_MAX - i,
                           .largest = 0.5 * i,
                           .squares = 1e-300,
                           .weight_squares = 1e300,
                           .output_error = -1,
                           .activation_error = 0.25,
                           .bytes = bytes};
}

static void append(q35i_journal *journal, uint32_t i, uint64_t bytes, uint32_t pass)
{
    const q35i_finished f = record_of(i, bytes);
    expect_ok(q35i_journal_append(journal, &f, pass, bytes ? expected : NULL), "append");
}

static void expect_record(q35i_journal *journal, uint32_t i, uint64_t bytes, uint32_t pass)
{
    q35i_finished need = record_of(i, bytes);
    const q35i_finished *found = q35i_journal_find(journal, i, pass);
    ck_assert_msg(found != NULL, "record %u of pass %u is gone", i, pass);
    need.checksum = q35i_checksum(expected, bytes);
    ck_assert_mem_eq(found, &need, sizeof need);
    expect_ok(q35i_journal_read(journal, found, buffer), "read");
    if (bytes)
        ck_assert_mem_eq(buffer, expected, bytes);
}

/* A journal of RECORDS records as a file image; free() it. begin[i]: offset of record i, then of the end. */
static uint8_t *make_image(uint64_t begin[RECORDS + 1])
{
    size_t bytes;
    q35i_journal *journal = open_journal();
    begin[0] = FILE_HEAD;
    for (uint32_t i = 0; i < RECORDS; i++) {
        append(journal, i, sizes[i], 0);
        begin[i + 1] = begin[i] + AROUND + sizes[i];
    }
    q35i_journal_close(journal);
    uint8_t *image = q35t_read_file(path, &bytes);
    ck_assert_uint_eq(bytes, begin[RECORDS]);
    return image;
}

/* Opens the file at path: exactly the first n records are there; appending the others gives image. */
static void expect_continues(const uint8_t *image, uint64_t bytes, uint32_t n)
{
    size_t found_bytes;
    q35i_journal *journal = open_journal();
    ck_assert_uint_eq(q35i_journal_count(journal), n);
    for (uint32_t i = 0; i < n; i++)
        expect_record(journal, i, sizes[i], 0);
    for (uint32_t i = n; i < RECORDS; i++) {
        ck_assert_ptr_null(q35i_journal_find(journal, i, 0));
        append(journal, i, sizes[i], 0);
    }
    q35i_journal_close(journal);
    uint8_t *found = q35t_read_file(path, &found_bytes);
    ck_assert_uint_eq(found_bytes, bytes);
    ck_assert_mem_eq(found, image, bytes);
    free(found);
}

START_TEST(test_round_trip)
{
    q35i_journal *journal = open_journal();
    ck_assert_uint_eq(q35i_journal_count(journal), 0);
    ck_assert_ptr_null(q35i_journal_find(journal, 0, 0));
    for (uint32_t i = 100; i-- > 0;) /* against the order of the index */
        for (uint32_t pass = 0; pass < 3; pass++)
            append(journal, i, pass == 1 ? 0 : 1 + i * 7, pass);
    for (int again = 0; again < 2; again++) {
        ck_assert_uint_eq(q35i_journal_count(journal), 300);
        for (uint32_t i = 0; i < 100; i++)
            for (uint32_t pass = 0; pass < 3; pass++)
                expect_record(journal, i, pass == 1 ? 0 : 1 + i * 7, pass);
        ck_assert_ptr_null(q35i_journal_find(journal, 100, 0));
        ck_assert_ptr_null(q35i_journal_find(journal, 50, 3));
        ck_assert_ptr_null(q35i_journal_find(journal, UINT32_MAX, UINT32_MAX));
        q35i_journal_close(journal);
        ck_assert_str_eq(logged, "");
        journal = open_journal();
    }
    append(journal, UINT32_MAX, MOST_BYTES, UINT32_MAX);
    expect_record(journal, UINT32_MAX, MOST_BYTES, UINT32_MAX);
    q35i_journal_remove(journal);
    ck_assert_int_eq(q35t_temp_dir_count(), 0);
    q35i_journal_close(NULL);
    q35i_journal_remove(NULL);
}
END_TEST

/* A pointer stays good while records are added, and the newest of a name counts. */
START_TEST(test_newest)
{
    q35i_journal *journal = open_journal();
    append(journal, 5, 10, 2);
    const q35i_finished *old = q35i_journal_find(journal, 5, 2);
    for (uint32_t i = 0; i < 300; i++)
        append(journal, i, 3, 9);
    append(journal, 5, 20, 2);
    record_of(5, 10);
    expect_ok(q35i_journal_read(journal, old, buffer), "read of the older one");
    ck_assert_mem_eq(buffer, expected, 10);
    expect_record(journal, 5, 20, 2);
    q35i_journal_close(journal);
    journal = open_journal();
    ck_assert_uint_eq(q35i_journal_count(journal), 302);
    expect_record(journal, 5, 20, 2);
    q35i_journal_close(journal);
}
END_TEST

START_TEST(test_every_truncation)
{
    uint64_t begin[RECORDS + 1];
    uint8_t *image = make_image(begin);
    const uint64_t bytes = begin[RECORDS];
    for (uint64_t cut = 0; cut < bytes; cut++) {
        uint32_t n = 0;
        while (n < RECORDS && begin[n + 1] <= cut)
            n++;
        logged[0] = '\0';
        q35t_write_file(path, image, cut);
        expect_continues(image, bytes, n);
        ck_assert_msg((logged[0] != '\0') == (cut > 0 && cut != begin[n]), "cut at %llu: log line '%s'",
                      (unsigned long long)cut, logged);
    }
    free(image);
}
END_TEST

START_TEST(test_every_byte)
{
    uint64_t begin[RECORDS + 1];
    uint8_t *image = make_image(begin);
    const uint64_t bytes = begin[RECORDS];
    for (uint64_t at = 8; at < bytes; at++) {
        uint32_t n = 0;
        while (begin[n + 1] <= at)
            n++;
        for (unsigned bit = 0; bit < 8; bit += 7) {
            image[at] ^= (uint8_t)(1u << bit);
            q35t_write_file(path, image, bytes);
            image[at] ^= (uint8_t)(1u << bit);
            expect_continues(image, bytes, at < FILE_HEAD ? 0 : n);
        }
    }
    free(image);
}
END_TEST

/* A tail of zeros is what some file systems show after a power failure. */
START_TEST(test_zero_tail)
{
    uint64_t begin[RECORDS + 1];
    uint8_t *image = make_image(begin);
    for (uint64_t from = FILE_HEAD; from < begin[RECORDS]; from += 11) {
        uint32_t n = 0;
        while (begin[n + 1] <= from)
            n++;
        q35t_write_file(path, image, from);
        ck_assert_int_eq(truncate(path, (off_t)(begin[RECORDS] + 4096)), 0);
        expect_continues(image, begin[RECORDS], n);
    }
    free(image);
}
END_TEST

static uint64_t seal(const uint8_t fingerprint[16], uint64_t offset, const uint8_t *head)
{
    uint8_t sealed[16 + 8 + RECORD_HEAD];
    memcpy(sealed, fingerprint, 16);
    memcpy(sealed + 16, &offset, sizeof offset);
    memcpy(sealed + 24, head, RECORD_HEAD);
    return q35i_checksum(sealed, sizeof sealed);
}

/* Heads whose own checks fit: sizes past the end of the file, data of another tensor, the record of another place.
 */
START_TEST(test_forged)
{
    static const uint64_t wrong[] = {1, 32, 34, 1000, INT64_MAX, UINT64_MAX, UINT64_MAX - AROUND, UINT64_MAX - 95};
    uint64_t begin[RECORDS + 1], fits;
    uint8_t *image = make_image(begin);
    const uint64_t bytes = begin[RECORDS];
    uint8_t *forged = malloc(2 * bytes);
    ck_assert_ptr_nonnull(forged);
    memcpy(&fits, image + begin[1] - 8, sizeof fits);
    ck_assert_uint_eq(fits, seal(ours, FILE_HEAD, image + FILE_HEAD)); /* the forger knows the layout */
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        memcpy(forged, image, bytes);
        memcpy(forged + FILE_HEAD + 8 + 64, &wrong[i], sizeof wrong[i]);
        uint64_t value = seal(ours, FILE_HEAD, forged + FILE_HEAD);
        uint64_t behind = wrong[i] <= 34 ? FILE_HEAD + RECORD_HEAD + wrong[i] : begin[1] - 8;
        memcpy(forged + behind, &value, sizeof value);
        q35t_write_file(path, forged, bytes);
        expect_continues(image, bytes, 0);
    }
    memcpy(forged, image, bytes);
    memcpy(forged + bytes, image + FILE_HEAD, bytes - FILE_HEAD);
    q35t_write_file(path, forged, 2 * bytes - FILE_HEAD);
    expect_continues(image, bytes, RECORDS);
    free(forged);
    free(image);
}
END_TEST

START_TEST(test_other_conversion)
{
    q35i_journal *journal = open_journal();
    append(journal, 0, 100, 0);
    q35i_journal_close(journal);
    expect_ok(q35i_journal_open(output, theirs, &journal), "open");
    ck_assert_ptr_nonnull(strstr(logged, "out.gguf.partial: 236 bytes of another source"));
    ck_assert_uint_eq(q35i_journal_count(journal), 0);
    q35i_journal_close(journal);
    journal = open_journal();
    ck_assert_uint_eq(q35i_journal_count(journal), 0);
    q35i_journal_close(journal);
}
END_TEST

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
    q35i_journal_close(journal);
    journal = open_journal();
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

START_TEST(test_too_large)
{
    q35i_journal *journal = open_journal();
    const uint64_t wrong[] = {UINT64_MAX, UINT64_MAX - AROUND, INT64_MAX, INT64_MAX - AROUND};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const q35i_finished f = {.bytes = wrong[i]};
        EXPECT_FAILURE(q35i_journal_append(journal, &f, 0, expected), Q35_E_RANGE, "need an end below 2^63");
    }
    ck_assert_uint_eq(q35i_journal_count(journal), 0);
    q35i_journal_close(journal);
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

START_TEST(test_name_of_a_journal_only_begins_like_one)
{
    uint64_t begin[RECORDS + 1];
    q35i_journal *journal;
    uint8_t *image = make_image(begin);
    for (size_t at = 0; at < 8; at++) {
        size_t bytes;
        image[at] ^= 1;
        q35t_write_file(path, image, begin[RECORDS]);
        EXPECT_FAILURE(q35i_journal_open(output, ours, &journal), Q35_E_INVALID, "is not the journal");
        uint8_t *found = q35t_read_file(path, &bytes);
        ck_assert_uint_eq(bytes, begin[RECORDS]);
        ck_assert_mem_eq(found, image, bytes);
        free(found);
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

START_TEST(test_no_memory)
{
    uint64_t begin[RECORDS + 1];
    uint8_t *image = make_image(begin);
    const q35i_finished f = record_of(9, 50);
    q35t_alloc_sweep sweep = {.limit = 100};
    while (q35t_alloc_sweep_next(&sweep)) {
        q35i_journal *journal;
        q35_status status = q35i_journal_open(output, ours, &journal);
        if (status == Q35_OK)
            status = q35i_journal_append(journal, &f, 0, expected);
        q35t_alloc_sweep_end(&sweep, status);
        if (journal && status != Q35_OK)
            ck_assert_uint_eq(q35i_journal_count(journal), RECORDS);
        q35i_journal_close(journal);
    }
    q35i_journal *journal = open_journal();
    ck_assert_uint_eq(q35i_journal_count(journal), RECORDS + 1);
    expect_record(journal, 9, 50, 0);
    q35i_journal_close(journal);
    free(image);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal");
    TCase *tc = tcase_create("journal");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_round_trip);
    tcase_add_test(tc, test_newest);
    tcase_add_test(tc, test_every_truncation);
    tcase_add_test(tc, test_every_byte);
    tcase_add_test(tc, test_zero_tail);
    tcase_add_test(tc, test_forged);
    tcase_add_test(tc, test_other_conversion);
    tcase_add_test(tc, test_two_openers);
    tcase_add_test(tc, test_deleted_meanwhile);
    tcase_add_test(tc, test_removed_while_opened);
    tcase_add_test(tc, test_changed_meanwhile);
    tcase_add_test(tc, test_full_disk);
    tcase_add_test(tc, test_too_large);
    tcase_add_test(tc, test_killed);
    tcase_add_test(tc, test_wrong_names);
    tcase_add_test(tc, test_name_of_a_journal_only_begins_like_one);
    tcase_add_test(tc, test_other_user);
    tcase_add_test(tc, test_no_memory);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
