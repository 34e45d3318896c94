/* SPDX-License-Identifier: Apache-2.0
 *
 * Streaming text: whole characters at every cut, U+FFFD where bytes are no text, nothing for control tokens. */
#include "runtime/base/alloc.h"
#include "runtime/base/utf8.h"
#include "support/expect.h"
#include "support/rng.h"
#include "support/suite.h"
#include "text/vocab_file.h"

#include <string.h>

#define BAD "\xEF\xBF\xBD"

static q35_tokenizer *tokenizer;

static void setup(void)
{
    vocab_spec spec = vocab_spec_default();
    spec.extra[0] = "<s>";
    spec.extra_type[0] = 3;
    spec.extra[1] = "\xC3\xA2\xC4\xA4"
                    "a\xC3\xA2"; /* bytes E2 82 61 E2 */
    spec.extra[2] = "<tool>";
    spec.extra_type[2] = 4;
    EXPECT_OK(vocab_tokenizer(&spec, &tokenizer));
}

static void teardown(void)
{
    q35_tokenizer_destroy(tokenizer);
}

/* Text is whole characters only. */
static void expect_whole(const char *text, uint64_t len)
{
    for (uint64_t i = 0; i < len;) {
        int length = q35i_utf8_char((const uint8_t *)text + i, len - i);
        ck_assert_int_gt(length, 0);
        i += (uint64_t)length;
    }
}

/* All the text of ids[0..n); returns its length. */
static uint64_t stream(const int32_t *ids, uint64_t n, char *out)
{
    q35_detokenizer d;
    const char *text;
    uint64_t len, at = 0;
    q35_detokenizer_init(&d, tokenizer);
    for (uint64_t i = 0; i <= n; i++) {
        q35_status status =
            i < n ? q35_detokenizer_push(&d, ids[i], &text, &len) : q35_detokenizer_finish(&d, &text, &len);
        ck_assert_uint_eq(status, Q35_OK);
        expect_whole(text, len);
        memcpy(out + at, text, len);
        at += len;
    }
    q35_detokenizer_free(&d);
    return at;
}

START_TEST(text_survives)
{
    static const char text[] = "na\xC3\xAFve \xE2\x82\xAC \xF0\x9F\x98\x80 \xED\x9F\xBF\xF4\x8F\xBF\xBF";
    int32_t ids[sizeof text];
    char out[3 * sizeof text];
    for (size_t i = 0; i < sizeof text; i++)
        ids[i] = (uint8_t)text[i];
    ck_assert_uint_eq(stream(ids, sizeof text, out), sizeof text);
    ck_assert_mem_eq(out, text, sizeof text);
}
END_TEST

typedef struct sample {
    const char *bytes, *text;
} sample;

/* Replacement of the longest start of a character, as in the Unicode standard, section 3.9, table 3-8 and around.
 */
static const sample samples[] = {
    {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", BAD BAD BAD BAD BAD BAD BAD BAD "A"},
    {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", BAD BAD BAD BAD BAD BAD BAD BAD "A"},
    {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", BAD BAD BAD BAD BAD "A" BAD BAD "B"},
    {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", BAD BAD BAD BAD "A"},
    {"\xE2\x82", BAD},
    {"\xF0\x9F\x98", BAD},
    {"a\xC3", "a" BAD},
};

START_TEST(invalid_bytes_are_replaced)
{
    int32_t ids[32];
    char out[128];
    uint64_t n = strlen(samples[_i].bytes), want = strlen(samples[_i].text);
    for (uint64_t i = 0; i < n; i++)
        ids[i] = (uint8_t)samples[_i].bytes[i];
    ck_assert_uint_eq(stream(ids, n, out), want);
    ck_assert_mem_eq(out, samples[_i].text, want);
}
END_TEST

START_TEST(tokens_with_halves)
{
    static const int32_t ids[] = {257, 256, 0x82, 256, 0xAC, 258};
    static const char want[] = BAD "a\xE2\x82\xAC<tool>";
    char out[128];
    ck_assert_uint_eq(stream(ids, 6, out), sizeof want - 1);
    ck_assert_mem_eq(out, want, sizeof want - 1);
}
END_TEST

/* The text does not depend on where the tokens cut it, and valid characters all come through. */
START_TEST(random_bytes)
{
    q35t_rng rng = q35t_rng_seed(7);
    for (int round = 0; round < 2000; round++) {
        static const uint8_t some[] = {0x41, 0x80, 0xBF, 0xC3, 0xE2, 0xF0, 0x9F, 0xED, 0xA0, 0xF4};
        int32_t ids[40];
        char out[3 * 40];
        uint8_t bytes[40];
        uint64_t n = q35t_rng_below(&rng, 41), valid = 0, shown = 0;
        for (uint64_t i = 0; i < n; i++)
            ids[i] = bytes[i] = some[q35t_rng_below(&rng, sizeof some)];
        uint64_t len = stream(ids, n, out);
        for (uint64_t i = 0; i < n;) {
            int length = q35i_utf8_char(bytes + i, n - i);
            valid += length > 0;
            i += length > 0 ? (uint64_t)length : length < 0 ? (uint64_t)-length : n - i;
        }
        for (uint64_t i = 0; i < len; i++) {
            if (len - i >= 3 && memcmp(out + i, BAD, 3) == 0)
                i += 2;
            else
                shown += (out[i] & 0xC0) != 0x80;
        }
        ck_assert_uint_eq(shown, valid);
    }
}
END_TEST

START_TEST(misuse_and_memory)
{
    q35_detokenizer d;
    const char *text = NULL;
    uint64_t len = 1;
    q35_detokenizer_init(&d, tokenizer);
    ck_assert_uint_eq(q35_detokenizer_push(&d, -1, &text, &len), Q35_E_RANGE);
    ck_assert_uint_eq(len, 0);
    EXPECT_FAILURE(q35_detokenizer_push(&d, 259, &text, &len), Q35_E_RANGE, "token id 259");
    q35i_alloc_fail_at(1);
    ck_assert_uint_eq(q35_detokenizer_push(&d, 'a', &text, &len), Q35_E_NOMEM);
    q35i_alloc_fail_at(0);
    ck_assert_uint_eq(q35_detokenizer_push(&d, 'a', &text, &len), Q35_OK);
    /* after the first text no call allocates */
    q35i_alloc_fail_at(1);
    for (int i = 0; i < 259; i++)
        ck_assert_uint_eq(q35_detokenizer_push(&d, i, &text, &len), Q35_OK);
    ck_assert_uint_eq(q35_detokenizer_finish(&d, &text, &len), Q35_OK);
    q35i_alloc_fail_at(0);
    q35_detokenizer_free(&d);
    q35_detokenizer_free(&d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("detokenizer");
    TCase *tc = tcase_create("detokenizer");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, text_survives);
    tcase_add_loop_test(tc, invalid_bytes_are_replaced, 0, (int)(sizeof samples / sizeof *samples));
    tcase_add_test(tc, tokens_with_halves);
    tcase_add_test(tc, random_bytes);
    tcase_add_test(tc, misuse_and_memory);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
