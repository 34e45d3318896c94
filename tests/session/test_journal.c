/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal of a conversion: what was appended comes back, whatever the file lost or had changed, and never
 * anything else. */
#define _GNU_SOURCE
#include "journal_sample.h"
#include "support/alloc_sweep.h"

#include <unistd.h>

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
        journal = reopen(journal);
        ck_assert_str_eq(logged, "");
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
    journal = reopen(journal);
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
        const uint32_t n = whole_before(begin, cut);
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
        const uint32_t n = whole_before(begin, at);
        for (unsigned bit = 0; bit < 8; bit += 7) {
            image[at] ^= (uint8_t)(1u << bit);
            q35t_write_file(path, image, bytes);
            image[at] ^= (uint8_t)(1u << bit);
            expect_continues(image, bytes, n);
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
        const uint32_t n = whole_before(begin, from);
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
    journal = reopen(journal); /* the old records are gone for good */
    ck_assert_uint_eq(q35i_journal_count(journal), 0);
    q35i_journal_close(journal);
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
    TCase *tc = tcase_create("journal");
    tcase_add_test(tc, test_round_trip);
    tcase_add_test(tc, test_newest);
    tcase_add_test(tc, test_every_truncation);
    tcase_add_test(tc, test_every_byte);
    tcase_add_test(tc, test_zero_tail);
    tcase_add_test(tc, test_forged);
    tcase_add_test(tc, test_other_conversion);
    tcase_add_test(tc, test_too_large);
    tcase_add_test(tc, test_no_memory);
    return run_tests(tc);
}
