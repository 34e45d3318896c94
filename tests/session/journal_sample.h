/* SPDX-License-Identifier: Apache-2.0
 *
 * A journal of known records in a directory of the test's own, for the tests of journals. */
#ifndef Q35T_JOURNAL_SAMPLE_H
#define Q35T_JOURNAL_SAMPLE_H

#include "support/expect.h"
#include "support/rng.h"
#include "support/suite.h"
#include "support/temp_dir.h"
#include "support/whole_file.h"

#include "runtime/quant/certificate.h"
#include "runtime/session/journal.h"

#include <q35rt/log.h>

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

static inline void keep_line(void *user, int level, const char *line)
{
    (void)user, (void)level;
    snprintf(logged, sizeof logged, "%s", line);
}

static inline void setup(void)
{
    q35t_temp_dir_create();
    q35t_temp_path(output, "out.gguf");
    q35t_temp_path(path, "out.gguf.partial");
    logged[0] = '\0';
    q35_log_set(keep_line, NULL, Q35_LOG_INFO);
}

static inline void teardown(void)
{
    ck_assert_int_eq(q35t_temp_dir_remove(), 0);
}

static inline q35i_journal *open_journal(void)
{
    q35i_journal *journal;
    expect_ok(q35i_journal_open(output, ours, &journal), "open");
    return journal;
}

static inline q35i_journal *reopen(q35i_journal *journal)
{
    q35i_journal_close(journal);
    return open_journal();
}

/* The i-th record of these tests, and its bytes in expected. */
static inline q35i_finished record_of(uint32_t i, uint64_t bytes)
{
    q35t_rng rng = q35t_rng_seed(i);
    for (uint64_t b = 0; b < bytes; b++)
        expected[b] = (uint8_t)q35t_rng_u64(&rng);
    return (q35i_finished){i, 7, i % 2, 128, UINT64_MAX - i, 0.5 * i, 1e-300, 1e300, -1, 0.25, bytes, 0};
}

static inline void append(q35i_journal *journal, uint32_t i, uint64_t bytes, uint32_t pass)
{
    const q35i_finished f = record_of(i, bytes);
    expect_ok(q35i_journal_append(journal, &f, pass, bytes ? expected : NULL), "append");
}

static inline void expect_record(q35i_journal *journal, uint32_t i, uint64_t bytes, uint32_t pass)
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
static inline uint8_t *make_image(uint64_t begin[RECORDS + 1])
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

static inline void expect_file(const uint8_t *image, uint64_t bytes)
{
    size_t found_bytes;
    uint8_t *found = q35t_read_file(path, &found_bytes);
    ck_assert_uint_eq(found_bytes, bytes);
    ck_assert_mem_eq(found, image, bytes);
    free(found);
}

/* Records that end at or before the offset. */
static inline uint32_t whole_before(const uint64_t begin[RECORDS + 1], uint64_t offset)
{
    uint32_t n = 0;
    while (n < RECORDS && begin[n + 1] <= offset)
        n++;
    return n;
}

/* Opens the file at path: exactly the first n records are there; appending the others gives image. */
static inline void expect_continues(const uint8_t *image, uint64_t bytes, uint32_t n)
{
    q35i_journal *journal = open_journal();
    ck_assert_uint_eq(q35i_journal_count(journal), n);
    for (uint32_t i = 0; i < n; i++)
        expect_record(journal, i, sizes[i], 0);
    for (uint32_t i = n; i < RECORDS; i++) {
        ck_assert_ptr_null(q35i_journal_find(journal, i, 0));
        append(journal, i, sizes[i], 0);
    }
    q35i_journal_close(journal);
    expect_file(image, bytes);
}

static inline int run_tests(TCase *tc)
{
    Suite *suite = suite_create("journal");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}

#endif
