/* SPDX-License-Identifier: Apache-2.0
 *
 * The note reader on damaged files: every length, every single-byte change of the parts it reads, and random
 * changes. Buffers have the exact size, so that AddressSanitizer sees a read outside. */
#define _GNU_SOURCE
#include "device_support.h"
#include "support/rng.h"

#include "runtime/device/note.h"

#include <elf.h>

enum { HEAD_BYTES = 4096, N_RANDOM = 100000 };

static unsigned char *image; /* a whole plugin file, then only its head */
static size_t image_bytes;

static void load_image(void)
{
    image = q35t_read_file(TEST_PLUGINS "/plugins-test/good/libq35rt-broken.so", &image_bytes);
    ck_assert_uint_gt(image_bytes, HEAD_BYTES);
}

static void free_image(void)
{
    free(image);
}

/* A failure has a sentence and leaves nothing half-read that looks like a note. */
static void check_outcome(q35_status status, const q35_note *note)
{
    if (status != Q35_OK) {
        ck_assert(status == Q35_E_FORMAT || status == Q35_E_VERSION);
        ck_assert_uint_gt(strlen(q35_error_message()), 10);
        return;
    }
    ck_assert_uint_eq(note->note_version, Q35_NOTE_VERSION);
    ck_assert_uint_gt(strlen(note->id), 0);
    ck_assert_uint_lt(strnlen(note->id, sizeof note->id), sizeof note->id);
    ck_assert_uint_lt(strnlen(note->version, sizeof note->version), sizeof note->version);
}

static q35_status read_copy(const unsigned char *data, size_t bytes, q35_note *out)
{
    unsigned char *copy = malloc(bytes ? bytes : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, data, bytes);
    q35_status status = q35i_note_read(copy, bytes, out);
    free(copy);
    return status;
}

START_TEST(whole_file_is_read)
{
    q35_note note;
    ck_assert_uint_eq(q35i_note_read(image, image_bytes, &note), Q35_OK);
    ck_assert_str_eq(note.id, "broken");
    ck_assert_str_eq(note.version, "0.1");
    ck_assert_uint_eq(note.abi_major, Q35_ABI_MAJOR);
    ck_assert_uint_eq(note.machine, Q35_NOTE_MACHINE);
    ck_assert_uint_eq(note.sanitizer, Q35_NOTE_SANITIZER);
    ck_assert_uint_eq(note.flags, Q35_NF_UNLOADABLE);
}
END_TEST

START_TEST(every_length)
{
    q35_note note;
    for (size_t n = 0; n < image_bytes; n += n < 1024 ? 1 : 61)
        check_outcome(read_copy(image, n, &note), &note);
    ck_assert_uint_eq(read_copy(image, 0, &note), Q35_E_FORMAT);
    ck_assert_uint_eq(read_copy(image, 3, &note), Q35_E_FORMAT);
    EXPECT_FAILURE(read_copy(image, 63, &note), Q35_E_FORMAT, "63 bytes, need 64 for its header");
    ck_assert_uint_eq(read_copy(image, 64, &note), Q35_E_FORMAT);
}
END_TEST

/* File offset of the note's descriptor. */
static size_t find_note(void)
{
    for (size_t i = 0; i + 16 < HEAD_BYTES; i++)
        if (memcmp(image + i, Q35_NOTE_OWNER "\0\0", 8) == 0)
            return i + 8;
    ck_abort_msg("no note in the first %d bytes", (int)HEAD_BYTES);
    return 0;
}

START_TEST(every_byte_changed)
{
    static const unsigned char flips[] = {0x01, 0x80, 0xff};
    Elf64_Ehdr header;
    memcpy(&header, image, sizeof header);
    size_t table_end = (size_t)header.e_phoff + header.e_phnum * sizeof(Elf64_Phdr), note_at = find_note();
    for (size_t i = 0; i < note_at + 80; i++) {
        if (i >= table_end && i + 64 < note_at)
            continue;
        for (size_t f = 0; f < sizeof flips; f++) {
            q35_note note;
            image[i] ^= flips[f];
            check_outcome(q35i_note_read(image, image_bytes, &note), &note);
            image[i] ^= flips[f];
        }
    }
}
END_TEST

START_TEST(random_changes)
{
    q35t_rng rng = q35t_rng_seed(1);
    for (int i = 0; i < N_RANDOM; i++) {
        size_t at[4];
        unsigned char old[4];
        q35_note note;
        for (int k = 0; k < 4; k++) {
            at[k] = (size_t)q35t_rng_below(&rng, k < 3 ? 1024 : HEAD_BYTES);
            old[k] = image[at[k]];
            image[at[k]] = (unsigned char)q35t_rng_u64(&rng);
        }
        check_outcome(q35i_note_read(image, image_bytes, &note), &note);
        for (int k = 3; k >= 0; k--)
            image[at[k]] = old[k];
    }
}
END_TEST

/* Program headers far away, overflowing or huge. */
START_TEST(absurd_headers)
{
    static const uint64_t absurd[] = {0, 1, UINT64_MAX, UINT64_MAX - 55, INT64_MAX, (uint64_t)1 << 32};
    Elf64_Ehdr header;
    q35_note note;
    memcpy(&header, image, sizeof header);
    for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++) {
        Elf64_Ehdr changed = header;
        changed.e_phoff = absurd[i];
        memcpy(image, &changed, sizeof changed);
        ck_assert_uint_ne(q35i_note_read(image, image_bytes, &note), Q35_OK);
        memcpy(image, &header, sizeof header);
        for (uint32_t p = 0; p < header.e_phnum; p++) {
            Elf64_Phdr segment, wrong;
            unsigned char *at = image + header.e_phoff + p * sizeof segment;
            memcpy(&segment, at, sizeof segment);
            wrong = segment;
            wrong.p_offset = absurd[i];
            memcpy(at, &wrong, sizeof wrong);
            check_outcome(q35i_note_read(image, image_bytes, &note), &note);
            wrong = segment;
            wrong.p_filesz = absurd[i];
            wrong.p_type = PT_NOTE;
            memcpy(at, &wrong, sizeof wrong);
            check_outcome(q35i_note_read(image, image_bytes, &note), &note);
            memcpy(at, &segment, sizeof segment);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("note");
    TCase *tc = tcase_create("note");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, load_image, free_image);
    tcase_add_test(tc, whole_file_is_read);
    tcase_add_test(tc, every_length);
    tcase_add_test(tc, every_byte_changed);
    tcase_add_test(tc, random_changes);
    tcase_add_test(tc, absurd_headers);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
