/* SPDX-License-Identifier: Apache-2.0
 *
 * SentencePiece vocabularies: spaces, bytes, unknown characters, special tokens between, unused tokens, scores and
 * merge rules. */
#include "support/expect.h"
#include "support/suite.h"
#include "text/expect_ids.h"
#include "text/vocab_file.h"

#include <stdlib.h>
#include <string.h>

#define S "\xE2\x96\x81" /* stands for a space in the vocabulary */
#define E "\xC3\xA9"

enum { FIRST = VOCAB_BYTES };

static q35_tokenizer *make(const vocab_spec *spec)
{
    q35_tokenizer *t;
    EXPECT_OK(vocab_tokenizer(spec, &t));
    return t;
}

/* 256 space, 257 a, 258 b, 259 " a", 260 "ab", 261 e acute, 262 " ab", 263 two spaces */
static vocab_spec simple(void)
{
    static const char *const tokens[] = {S, "a", "b", S "a", "ab", E, S "ab", S S};
    static const float scores[] = {-9, -10, -11, -2, -1, -12, -3, -4};
    vocab_spec spec = vocab_spec_pieces();
    memcpy(spec.extra, tokens, sizeof tokens);
    spec.scores = scores;
    return spec;
}

START_TEST(spaces)
{
    vocab_spec spec = simple();
    q35_tokenizer *t = make(&spec);
    EXPECT_IDS(t, "", 0, -1);
    EXPECT_IDS(t, "ab", 0, FIRST + 6);
    EXPECT_IDS(t, "a b", 0, FIRST + 3, FIRST, FIRST + 2);
    EXPECT_IDS(t, " a", 0, FIRST, FIRST + 3);
    EXPECT_IDS(t, "   b ", 0, FIRST + 7, FIRST + 7, FIRST + 2, FIRST);
    EXPECT_IDS(t, S "a", 0, FIRST, FIRST + 3); /* the sign itself is a space */
    q35_tokenizer_destroy(t);
    spec.space_prefix = 0;
    t = make(&spec);
    EXPECT_IDS(t, "ab", 0, FIRST + 4);
    EXPECT_IDS(t, " ab", 0, FIRST + 6);
    q35_tokenizer_destroy(t);
    spec.space_prefix = spec.squeeze = 1;
    t = make(&spec);
    EXPECT_IDS(t, "   ", 0, -1);
    EXPECT_IDS(t, "  a   b  ", 0, FIRST + 3, FIRST, FIRST + 2);
    q35_tokenizer_destroy(t);
}
END_TEST

START_TEST(bytes_and_unknown_characters)
{
    vocab_spec spec = simple();
    spec.space_prefix = 0;
    q35_tokenizer *t = make(&spec);
    EXPECT_IDS(t, E, 0, FIRST + 5);
    EXPECT_IDS(t, "a\xE6\x97\xA5\n", 0, FIRST + 1, 0xE6, 0x97, 0xA5, '\n');
    EXPECT_IDS(t, "a\xFF\xE6\x97", 0, FIRST + 1, 0xFF, 0xE6, 0x97);
    EXPECT_IDS(t, "<0x41>", 0, '<', '0', 'x', '4', '1', '>');
    uint64_t len;
    ck_assert_mem_eq(q35_tokenizer_piece(t, 0xE6, &len), "\xE6", 1);
    ck_assert_uint_eq(len, 1);
    ck_assert_mem_eq(q35_tokenizer_piece(t, FIRST + 6, &len), " ab", 3);
    ck_assert_uint_eq(len, 3);
    q35_tokenizer_destroy(t);
    spec.without = "\xE6";
    t = make(&spec);
    EXPECT_IDS(t,
               "a\xE6\x97\xA5"
               "b",
               0, FIRST + 1, FIRST + 2);
    q35_tokenizer_destroy(t);
    spec.extra[8] = "<unk>";
    spec.extra_type[8] = 2;
    static const float scores[9] = {-9, -10, -11, -2, -1, -12, -3, -4, 0};
    spec.scores = scores;
    spec.unknown = FIRST + 8;
    t = make(&spec);
    EXPECT_IDS(t,
               "a\xE6\x97\xA5\xE6\x97\xA5"
               "b",
               0, FIRST + 1, FIRST + 8, FIRST + 2);
    EXPECT_IDS(t, "\xE7", 0, 0xE7);
    q35_tokenizer_destroy(t);
}
END_TEST

/* The beginning of a sequence is put first unless the file says otherwise. */
START_TEST(special_tokens)
{
    static const float scores[11] = {-9, -10, -11, -2, -1, -12, -3, -4, 0, 0, 0};
    vocab_spec spec = simple();
    spec.scores = scores;
    spec.extra[8] = "<s>";
    spec.extra_type[8] = 3;
    spec.extra[9] = "a" S "b"; /* user-defined: the sign is a space of the text */
    spec.extra_type[9] = 4;
    spec.extra[10] = "</s>";
    spec.extra_type[10] = 3;
    spec.bos = FIRST + 8;
    spec.eos = FIRST + 10;
    q35_tokenizer *t = make(&spec);
    EXPECT_IDS(t, "a", Q35_ENCODE_BOS, FIRST + 8, FIRST + 3);
    EXPECT_IDS(t, "a<s>a", Q35_ENCODE_SPECIAL, FIRST + 3, FIRST + 8, FIRST + 3);
    EXPECT_IDS(t, "<s>", Q35_ENCODE_SPECIAL, FIRST + 8);
    EXPECT_IDS(t, "<s>", 0, FIRST, '<', 's', '>');
    EXPECT_IDS(t, "a ba", 0, FIRST, FIRST + 9, FIRST + 1);
    EXPECT_IDS(t, "ba b", 0, FIRST, FIRST + 2, FIRST + 9);
    ck_assert(q35_tokenizer_is_stop(t, FIRST + 10) && !q35_tokenizer_is_stop(t, FIRST + 8));
    q35_tokenizer_destroy(t);
    spec.add_bos = 0;
    t = make(&spec);
    EXPECT_IDS(t, "a", Q35_ENCODE_BOS, FIRST + 3);
    q35_tokenizer_destroy(t);
}
END_TEST

START_TEST(equal_scores_leftmost_first)
{
    static const char *const tokens[] = {"a", "b", "aa", "ab", "ba"};
    static const float scores[] = {-9, -9, -1, -1, -1};
    vocab_spec spec = vocab_spec_pieces();
    memcpy(spec.extra, tokens, sizeof tokens);
    spec.scores = scores;
    spec.space_prefix = 0;
    for (spec.whole_scores = 0; spec.whole_scores < 2; spec.whole_scores++) {
        q35_tokenizer *t = make(&spec);
        EXPECT_IDS(t, "aab", 0, FIRST + 2, FIRST + 1);
        EXPECT_IDS(t, "bab", 0, FIRST + 4, FIRST + 1);
        EXPECT_IDS(t, "aaa", 0, FIRST + 2, FIRST);
        q35_tokenizer_destroy(t);
    }
}
END_TEST

/* An unused token is taken apart again, down to what it was made of. */
START_TEST(unused_tokens)
{
    static const char *const tokens[] = {"a", "b", "ab", "abab", "ababab", "c", "cc"};
    static const float scores[] = {-9, -9, -1, -2, -3, -9, -4};
    vocab_spec spec = vocab_spec_pieces();
    memcpy(spec.extra, tokens, sizeof tokens);
    spec.scores = scores;
    spec.space_prefix = 0;
    spec.extra_type[3] = 5;
    q35_tokenizer *t = make(&spec);
    EXPECT_IDS(t, "ab", 0, FIRST + 2);
    EXPECT_IDS(t, "abab", 0, FIRST + 2, FIRST + 2);
    EXPECT_IDS(t, "ababab", 0, FIRST + 4);
    q35_tokenizer_destroy(t);
    spec.extra_type[2] = spec.extra_type[4] = 5;
    t = make(&spec);
    EXPECT_IDS(t, "abababcc", 0, FIRST, FIRST + 1, FIRST, FIRST + 1, FIRST, FIRST + 1, FIRST + 6);
    q35_tokenizer_destroy(t);
}
END_TEST

/* A pair whose parts are no tokens still joins when the whole is one. */
START_TEST(characters_that_are_no_tokens)
{
    static const char *const tokens[] = {"xy", "xyz"};
    static const float scores[] = {-1, -2};
    vocab_spec spec = vocab_spec_pieces();
    memcpy(spec.extra, tokens, sizeof tokens);
    spec.scores = scores;
    spec.space_prefix = 0;
    q35_tokenizer *t = make(&spec);
    EXPECT_IDS(t, "xyxyzx", 0, FIRST, FIRST + 1, 'x');
    q35_tokenizer_destroy(t);
}
END_TEST

/* Rules of a list go before scores: they say which pairs join, and their order. */
START_TEST(merge_rules)
{
    static const char *const tokens[] = {S, "a", "b", S "a", "ab", S "ab"};
    vocab_spec spec = vocab_spec_pieces();
    memcpy(spec.extra, tokens, sizeof tokens);
    spec.no_merges = 0;
    spec.merges[0] = S " a";
    spec.merges[1] = S "a b";
    spec.merges[2] = "a b";
    q35_tokenizer *t = make(&spec);
    EXPECT_IDS(t, "ab", 0, FIRST + 5);
    EXPECT_IDS(t, "abab", 0, FIRST + 5, FIRST + 4);
    EXPECT_IDS(t, "a \xE6", 0, FIRST + 3, FIRST, 0xE6);
    q35_tokenizer_destroy(t);
    spec.merges[0] = "a b";
    spec.merges[1] = NULL;
    t = make(&spec);
    EXPECT_IDS(t, "ab a", 0, FIRST, FIRST + 4, FIRST, FIRST + 1);
    q35_tokenizer_destroy(t);
}
END_TEST

static void expect_text(const q35_tokenizer *t, uint32_t flags, const int32_t *ids, const char *want)
{
    q35_detokenizer d;
    char out[128] = "";
    const char *text;
    uint64_t len;
    q35_detokenizer_init(&d, t);
    d.flags = flags;
    for (uint64_t i = 0; ids[i] >= 0; i++) {
        EXPECT_OK(q35_detokenizer_push(&d, ids[i], &text, &len));
        ck_assert_uint_eq(len, strlen(text));
        strcat(out, text);
    }
    EXPECT_OK(q35_detokenizer_finish(&d, &text, &len));
    strcat(out, text);
    q35_detokenizer_free(&d);
    ck_assert_str_eq(out, want);
}

#define EXPECT_TEXT(t, flags, want, ...) expect_text((t), (flags), (const int32_t[]){__VA_ARGS__, -1}, (want))

START_TEST(text_of_ids)
{
    static const float scores[9] = {-9, -10, -11, -2, -1, -12, -3, -4, 0};
    vocab_spec spec = simple();
    spec.scores = scores;
    spec.extra[8] = "<s>";
    spec.extra_type[8] = 3;
    q35_tokenizer *t = make(&spec);
    EXPECT_TEXT(t, 0, "a ab", FIRST + 3, FIRST + 6);
    EXPECT_TEXT(t, 0, " a", FIRST, FIRST + 3);
    EXPECT_TEXT(t, 0, "  a", ' ', FIRST + 3); /* the byte is no prefix */
    EXPECT_TEXT(t, Q35_DETOKENIZE_CONTINUE, " a", FIRST + 3);
    EXPECT_TEXT(t, 0, "a a", FIRST + 8, FIRST + 3, FIRST + 8, FIRST + 3);
    EXPECT_TEXT(t, Q35_DETOKENIZE_SPECIAL, "<s>a<s>a", FIRST + 8, FIRST + 3, FIRST + 8, FIRST + 3);
    EXPECT_TEXT(t, 0,
                "\xEF\xBF\xBD"
                "a\xEF\xBF\xBD",
                0xFF, FIRST + 1, 0xE6);
    EXPECT_TEXT(t, Q35_DETOKENIZE_BYTES,
                "\xFF"
                "a\xE6",
                0xFF, FIRST + 1, 0xE6);
    q35_tokenizer_destroy(t);
    spec.space_prefix = 0;
    t = make(&spec);
    EXPECT_TEXT(t, 0, " a", FIRST + 3);
    q35_tokenizer_destroy(t);
    spec.squeeze = 1;
    t = make(&spec);
    EXPECT_TEXT(t, 0, "a a", FIRST, FIRST + 3, FIRST + 3);
    q35_tokenizer_destroy(t);
}
END_TEST

/* Quadratic merging would run into the test's time limit. */
START_TEST(long_texts)
{
    static const char *const patterns[] = {"a", " ", "ab", E, "\n", "\xFF", "\xE2\x96", " a"};
    enum { N = 3 << 20 };
    char *text = malloc(N);
    vocab_spec spec = simple();
    ck_assert_ptr_nonnull(text);
    q35_tokenizer *t = make(&spec);
    for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++) {
        int32_t *ids;
        uint64_t n, period = strlen(patterns[p]), len = N / period * period;
        for (uint64_t i = 0; i < len; i++)
            text[i] = patterns[p][i % period];
        EXPECT_OK(q35_tokenizer_encode(t, text, len, 0, &ids, &n));
        ck_assert_uint_ge(n, len / 2);
        q35_tokens_free(ids);
    }
    free(text);
    q35_tokenizer_destroy(t);
}
END_TEST

START_TEST(no_memory)
{
    vocab_spec spec = simple();
    spec.extra_type[6] = 5;
    q35_model *model = vocab_open(&spec);
    expect_survives_no_memory(model, "abab a\xFF", 7, 0);
    q35_model_close(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pieces");
    TCase *tc = tcase_create("pieces");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, spaces);
    tcase_add_test(tc, bytes_and_unknown_characters);
    tcase_add_test(tc, special_tokens);
    tcase_add_test(tc, equal_scores_leftmost_first);
    tcase_add_test(tc, unused_tokens);
    tcase_add_test(tc, characters_that_are_no_tokens);
    tcase_add_test(tc, merge_rules);
    tcase_add_test(tc, text_of_ids);
    tcase_add_test(tc, long_texts);
    tcase_add_test(tc, no_memory);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
