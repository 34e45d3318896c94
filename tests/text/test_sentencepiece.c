/* SPDX-License-Identifier: Apache-2.0
 *
 * Ids of 10,000 random lines against the SentencePiece library's, by their checksum, and the lines back from the
 * ids. The vocabularies come from Q35RT_TEST_PACKAGES; without it the program counts as skipped. Run with --lines
 * it prints the lines, from which make_spm_golden.py makes tests/golden/sentencepiece_ids.txt. */
#include "support/expect.h"
#include "support/suite.h"
#include "text/package_vocab.h"
#include "text/random_lines.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_SEED = 20240718 };

static const char *const vocabularies[] = {PIECES_V1, PIECES_V3, PIECES_V7};

/* FNV-1a (Fowler, Noll, Vo) over 32-bit words, low byte first. */
static uint64_t hash_word(uint64_t hash, uint32_t word)
{
    for (int i = 0; i < 4; i++)
        hash = (hash ^ (word >> 8 * i & 0xFF)) * UINT64_C(0x100000001B3);
    return hash;
}

static void expect_line_back(const q35_tokenizer *t, const int32_t *ids, uint64_t n, const char *line, size_t len)
{
    q35_detokenizer d;
    const char *text;
    uint64_t bytes, at = 0;
    q35_detokenizer_init(&d, t);
    for (uint64_t i = 0; i <= n; i++) {
        EXPECT_OK(i < n ? q35_detokenizer_push(&d, ids[i], &text, &bytes)
                        : q35_detokenizer_finish(&d, &text, &bytes));
        ck_assert_msg(at + bytes <= len && memcmp(line + at, text, bytes) == 0, "'%s' does not come back", line);
        at += bytes;
    }
    ck_assert_msg(at == len, "'%s' does not come back whole", line);
    q35_detokenizer_free(&d);
}

/* Number of ids and checksum in the row of a vocabulary. */
static void read_golden(const char *vocabulary, uint64_t *out_n, uint64_t *out_hash)
{
    const char *base = strrchr(vocabulary, '/') + 1;
    FILE *f = fopen(Q35RT_GOLDEN "/sentencepiece_ids.txt", "r");
    char row[256], name[128];
    ck_assert_ptr_nonnull(f);
    while (fgets(row, sizeof row, f)) {
        if (sscanf(row, "%127s %" SCNu64 " %" SCNx64, name, out_n, out_hash) == 3 && strcmp(name, base) == 0) {
            fclose(f);
            return;
        }
    }
    ck_abort_msg("%s: no row in sentencepiece_ids.txt", base);
}

START_TEST(as_the_library)
{
    q35_tokenizer *t = package_tokenizer(vocabularies[_i]);
    q35t_rng rng = q35t_rng_seed(LINES_SEED);
    uint64_t hash = UINT64_C(0xCBF29CE484222325), total = 0, want_n = 0, want_hash = 0;
    for (int i = 0; i < RANDOM_LINES; i++) {
        char line[RANDOM_LINE_BYTES];
        size_t len = random_line(&rng, line);
        int32_t *ids;
        uint64_t n;
        EXPECT_OK(q35_tokenizer_encode(t, line, len, 0, &ids, &n));
        for (uint64_t k = 0; k < n; k++)
            hash = hash_word(hash, (uint32_t)ids[k]);
        hash = hash_word(hash, UINT32_MAX);
        total += n;
        expect_line_back(t, ids, n, line, len);
        q35_tokens_free(ids);
    }
    read_golden(vocabularies[_i], &want_n, &want_hash);
    ck_assert_uint_eq(total, want_n);
    ck_assert_uint_eq(hash, want_hash);
    q35_tokenizer_destroy(t);
}
END_TEST

static void print_lines(void)
{
    q35t_rng rng = q35t_rng_seed(LINES_SEED);
    for (int i = 0; i < RANDOM_LINES; i++) {
        char line[RANDOM_LINE_BYTES];
        random_line(&rng, line);
        puts(line);
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--lines") == 0) {
        print_lines();
        return 0;
    }
    if (!getenv("Q35RT_TEST_PACKAGES")) {
        printf("skipped: Q35RT_TEST_PACKAGES is not set (folder with mistral-common and llama-models unpacked)\n");
        return 77;
    }
    Suite *suite = suite_create("sentencepiece");
    TCase *tc = tcase_create("sentencepiece");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, as_the_library, 0, (int)(sizeof vocabularies / sizeof *vocabularies));
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
