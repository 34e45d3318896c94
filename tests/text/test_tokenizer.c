/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoding on small vocabularies: merge order, pieces, special tokens, any bytes, long pieces, no memory. */
#include "support/expect.h"
#include "support/rng.h"
#include "support/suite.h"
#include "text/expect_ids.h"
#include "text/vocab_file.h"

#include <stdlib.h>
#include <string.h>

#define G "\xC4\xA0" /* the space byte in the alphabet */

static q35_tokenizer *make(const vocab_spec *spec)
{
    q35_tokenizer *t;
    EXPECT_OK(vocab_tokenizer(spec, &t));
    return t;
}

START_TEST(lowest_rank_first_then_leftmost)
{
    vocab_spec spec = vocab_spec_default();
    static const char *const tokens[] = {"bc", "ab", "abc", "aa", "aaaa"};
    static const char *const merges[] = {"b c", "a b", "a bc", "a a", "aa aa", "a b"};
    memcpy(spec.extra, tokens, sizeof tokens);
    memcpy(spec.merges, merges, sizeof merges);
    q35_tokenizer *t = make(&spec);
    EXPECT_IDS(t, "abc", 0, 258);
    EXPECT_IDS(t, "ab", 0, 257);
    EXPECT_IDS(t, "abab", 0, 257, 257);
    EXPECT_IDS(t, "aaa", 0, 259, 'a');
    EXPECT_IDS(t, "aaaaa", 0, 260, 'a');
    EXPECT_IDS(t, "aaab", 0, 259, 257);
    EXPECT_IDS(t, "", 0, -1);
    ck_assert_uint_eq(q35_tokenizer_n_vocab(t), 261);
    q35_tokenizer_destroy(t);
}
END_TEST

START_TEST(whole_pieces_before_merges_for_llama)
{
    vocab_spec spec = vocab_spec_default();
    static const char *const tokens[] = {"ab", "abc", G "x"};
    spec.merges[0] = "a b";
    memcpy(spec.extra, tokens, sizeof tokens);
    q35_tokenizer *t = make(&spec);
    EXPECT_IDS(t, "abc", 0, 256, 'c');
    q35_tokenizer_destroy(t);
    spec.pre = "llama-bpe";
    t = make(&spec);
    EXPECT_IDS(t, "abc", 0, 257);
    EXPECT_IDS(t, "abcd x", 0, 256, 'c', 'd', 258);
    q35_tokenizer_destroy(t);
}
END_TEST

/* Tokens that would form if the pieces were cut elsewhere show where they are cut. */
START_TEST(pieces)
{
    vocab_spec spec = vocab_spec_default();
    static const char *const tokens[] = {"12",         G G,         G "1", "s'", "'s", "\xC4\x8A\xC4\x8A",
                                         G "\xC4\x8A", "!\xC4\x8A", "'S",  "34"};
    static const char *const merges[] = {"1 2",         G " " G,      G " 1", "s '", "' s", "\xC4\x8A \xC4\x8A",
                                         G " \xC4\x8A", "! \xC4\x8A", "' S",  "3 4"};
    memcpy(spec.extra, tokens, sizeof tokens);
    memcpy(spec.merges, merges, sizeof merges);
    q35_tokenizer *t = make(&spec);
    EXPECT_IDS(t, "1234", 0, 256, 265);
    EXPECT_IDS(t, " 1", 0, 258);
    EXPECT_IDS(t, "  1", 0, ' ', 258);
    EXPECT_IDS(t, "   ", 0, 257, ' ');
    EXPECT_IDS(t, "s's", 0, 's', 260);
    EXPECT_IDS(t, "s'S", 0, 's', '\'', 'S');
    EXPECT_IDS(t, "!\n", 0, '!', '\n');
    q35_tokenizer_destroy(t);
    spec.pre = "smollm";
    t = make(&spec);
    EXPECT_IDS(t, "12", 0, '1', '2');
    EXPECT_IDS(t, " 1", 0, ' ', '1');
    EXPECT_IDS(t, "  1", 0, 257, '1');
    EXPECT_IDS(t, "  a", 0, ' ', ' ', 'a');
    EXPECT_IDS(t, " \n", 0, 262);
    q35_tokenizer_destroy(t);
    spec.pre = "llama3";
    t = make(&spec);
    EXPECT_IDS(t, "1234", 0, 256, '3', '4');
    EXPECT_IDS(t, "s'S", 0, 's', 264);
    EXPECT_IDS(t, "!\n", 0, 263);
    EXPECT_IDS(t, " 1", 0, ' ', '1');
    EXPECT_IDS(t, "  \n\n a", 0, 257, 261, ' ', 'a');
    q35_tokenizer_destroy(t);
}
END_TEST

START_TEST(special_tokens)
{
    vocab_spec spec = vocab_spec_default();
    static const char *const tokens[] = {"<s>", "<s>x", "<tool>", "<|im_end|>", "<pad>"};
    static const int32_t types[] = {3, 3, 4, 1, 2};
    memcpy(spec.extra, tokens, sizeof tokens);
    memcpy(spec.extra_type, types, sizeof types);
    spec.bos = spec.eos = 256;
    q35_tokenizer *t = make(&spec);
    EXPECT_IDS(t, "a<s>b", Q35_ENCODE_SPECIAL, 'a', 256, 'b');
    EXPECT_IDS(t, "<s>xy<s>", Q35_ENCODE_SPECIAL, 257, 'y', 256);
    EXPECT_IDS(t, "<s", Q35_ENCODE_SPECIAL, '<', 's');
    EXPECT_IDS(t, "<s>", 0, '<', 's', '>');
    EXPECT_IDS(t, "<tool><tool", 0, 258, '<', 't', 'o', 'o', 'l');
    EXPECT_IDS(t, "<pad>", 0, '<', 'p', 'a', 'd', '>');
    /* control by its name, whatever the file's type says */
    EXPECT_IDS(t, "<|im_end|>", Q35_ENCODE_SPECIAL, 259);
    EXPECT_IDS(t, "<|im_end|>", 0, '<', '|', 'i', 'm', '_', 'e', 'n', 'd', '|', '>');
    ck_assert(q35_tokenizer_is_control(t, 259) && q35_tokenizer_is_stop(t, 259));
    ck_assert(q35_tokenizer_is_control(t, 256) && q35_tokenizer_is_stop(t, 256));
    ck_assert(!q35_tokenizer_is_control(t, 258) && !q35_tokenizer_is_stop(t, 257));
    ck_assert(!q35_tokenizer_is_stop(t, -1) && !q35_tokenizer_is_control(t, 1000));
    uint64_t len;
    ck_assert_mem_eq(q35_tokenizer_piece(t, 259, &len), "<|im_end|>", 10);
    ck_assert_uint_eq(len, 10);
    ck_assert_mem_eq(q35_tokenizer_piece(t, 0xFF, &len), "\xFF", 1);
    ck_assert_ptr_null(q35_tokenizer_piece(t, 261, &len));
    ck_assert_ptr_null(q35_tokenizer_piece(t, -1, &len));
    q35_tokenizer_destroy(t);
}
END_TEST

/* Without merge rules the lowest id joins first, and whole pieces are taken first whatever the pattern. */
START_TEST(no_rules_lowest_id_first)
{
    vocab_spec spec = vocab_spec_default();
    static const char *const tokens[] = {"bc", "ab", "cd", "abcd", "xyz", "<filler>", "aaa"};
    memcpy(spec.extra, tokens, sizeof tokens);
    spec.no_merges = 1;
    spec.extra_type[6] = 5;
    q35_tokenizer *t = make(&spec);
    EXPECT_IDS(t, "abc", 0, 'a', 256);
    EXPECT_IDS(t, "cdab", 0, 258, 257);
    EXPECT_IDS(t, "abcd", 0, 259); /* not reached by joining */
    EXPECT_IDS(t, "abcde", 0, 'a', 256, 'd', 'e');
    EXPECT_IDS(t, "xyz", 0, 260);
    EXPECT_IDS(t, "xyzz", 0, 'x', 'y', 'z', 'z');
    EXPECT_IDS(t, "aaa", 0, 'a', 'a', 'a'); /* fills the vocabulary up */
    q35_tokenizer_destroy(t);
}
END_TEST

START_TEST(tekken_under_another_name)
{
    vocab_spec spec = vocab_spec_default();
    q35_tokenizer *t;
    spec.pre = "pixtral";
    spec.extra[0] = "12";
    spec.merges[0] = "1 2";
    t = make(&spec);
    EXPECT_IDS(t, "12", 0, 256);
    q35_tokenizer_destroy(t);
    spec.third = "[INST]";
    t = make(&spec);
    EXPECT_IDS(t, "12", 0, '1', '2');
    EXPECT_IDS(t, "[INST]", Q35_ENCODE_SPECIAL, 3);
    q35_tokenizer_destroy(t);
}
END_TEST

START_TEST(marks_and_stops)
{
    vocab_spec spec = vocab_spec_default();
    static const char *const tokens[] = {"[THINK]",  "[/THINK]",   "[TOOL_CALLS]", "<think>",
                                         "</think>", "<|eot_id|>", "<|eom_id|>",   "</s>"};
    static const uint32_t marks[] = {Q35_MARK_THINK,     Q35_MARK_THINK_END, Q35_MARK_TOOL_CALLS, Q35_MARK_THINK,
                                     Q35_MARK_THINK_END, Q35_MARK_NONE,      Q35_MARK_NONE,       Q35_MARK_NONE};
    memcpy(spec.extra, tokens, sizeof tokens);
    for (int i = 0; i < 8; i++)
        spec.extra_type[i] = 3;
    q35_tokenizer *t = make(&spec);
    for (int i = 0; i < 8; i++) {
        ck_assert_uint_eq(q35_tokenizer_mark(t, 256 + i), marks[i]);
        ck_assert_int_eq(q35_tokenizer_is_stop(t, 256 + i), i == 5 || i == 6);
    }
    ck_assert_uint_eq(q35_tokenizer_mark(t, -1), Q35_MARK_NONE);
    ck_assert_uint_eq(q35_tokenizer_mark(t, 1000), Q35_MARK_NONE);
    q35_tokenizer_destroy(t);
}
END_TEST

START_TEST(beginning_of_sequence)
{
    vocab_spec spec = vocab_spec_default();
    spec.extra[0] = "<s>";
    spec.extra_type[0] = 3;
    q35_tokenizer *t = make(&spec);
    ck_assert_int_eq(q35_tokenizer_bos(t), -1);
    EXPECT_IDS(t, "a", Q35_ENCODE_BOS, 'a');
    q35_tokenizer_destroy(t);
    spec.bos = 256;
    t = make(&spec);
    ck_assert_int_eq(q35_tokenizer_bos(t), 256);
    EXPECT_IDS(t, "a", Q35_ENCODE_BOS, 'a'); /* gpt-2 has none unless asked */
    q35_tokenizer_destroy(t);
    spec.add_bos = 1;
    t = make(&spec);
    EXPECT_IDS(t, "a", Q35_ENCODE_BOS, 256, 'a');
    EXPECT_IDS(t, "a", 0, 'a');
    EXPECT_IDS(t, "", Q35_ENCODE_BOS, 256);
    q35_tokenizer_destroy(t);
    spec.add_bos = -1;
    spec.pre = "llama-bpe";
    t = make(&spec);
    EXPECT_IDS(t, "a", Q35_ENCODE_BOS, 256, 'a');
    q35_tokenizer_destroy(t);
    spec.add_bos = 0;
    t = make(&spec);
    EXPECT_IDS(t, "a", Q35_ENCODE_BOS, 'a');
    q35_tokenizer_destroy(t);
}
END_TEST

/* A merge never reaches over an invalid byte, and never makes a control token. */
START_TEST(invalid_bytes_and_control_merges)
{
    vocab_spec spec = vocab_spec_default();
    static const char *const tokens[] = {"\xC3\xBF\xC3\xBF", "<|", "<|>"};
    static const char *const merges[] = {"\xC3\xBF \xC3\xBF", "< |", "<| >"};
    memcpy(spec.extra, tokens, sizeof tokens);
    memcpy(spec.merges, merges, sizeof merges);
    spec.extra_type[2] = 3;
    spec.pre = "llama-bpe";
    q35_tokenizer *t = make(&spec);
    EXPECT_IDS(t, "\xFF\xFF", 0, 255, 255);
    EXPECT_IDS(t, "a\xE2\x82", 0, 'a', 0xE2, 0x82);
    EXPECT_IDS(t, "<|>", 0, 257, '>');
    EXPECT_IDS(t, "<|>", Q35_ENCODE_SPECIAL, 258);
    q35_tokenizer_destroy(t);
}
END_TEST

START_TEST(bytes_without_tokens_become_replacement_characters)
{
    vocab_spec spec = vocab_spec_default();
    spec.without = "\x04\xFF";
    spec.extra[0] = "\xC3\xAF\xC2\xBF"; /* bytes EF BF */
    spec.merges[0] = "\xC3\xAF \xC2\xBF";
    q35_tokenizer *t = make(&spec);
    EXPECT_IDS(t,
               "a\x04"
               "b",
               0, 'a', 256, 0xBD, 'b');
    EXPECT_IDS(t, "\xFF", 0, 256, 0xBD);
    q35_tokenizer_destroy(t);
    spec.without = "\x04\xBD";
    t = make(&spec);
    EXPECT_IDS(t,
               "a\x04"
               "b",
               0, 'a', 'b');
    q35_tokenizer_destroy(t);
}
END_TEST

static void expect_round_trip(const q35_tokenizer *t, const char *text, uint64_t len)
{
    int32_t *ids;
    uint64_t n, at = 0, piece_len;
    ck_assert_uint_eq(q35_tokenizer_encode(t, text, len, 0, &ids, &n), Q35_OK);
    for (uint64_t i = 0; i < n; i++) {
        const char *piece = q35_tokenizer_piece(t, ids[i], &piece_len);
        ck_assert_ptr_nonnull(piece);
        ck_assert_uint_le(at + piece_len, len);
        ck_assert_mem_eq(text + at, piece, piece_len);
        at += piece_len;
    }
    ck_assert_uint_eq(at, len);
    q35_tokens_free(ids);
}

START_TEST(any_bytes_round_trip)
{
    static const char *const names[] = {"gpt-2", "llama-bpe", "smollm", "tekken"};
    static const char alphabet[] = "aab  \n\r\t'sS19.<|>\xC3\xA9\xE2\x80\x83\xF0\x9F\x98\x80\xFF\xC0";
    vocab_spec spec = vocab_spec_default();
    spec.pre = names[_i];
    static const char *const tokens[] = {"ab", "aab", G "a", "\xC3\x83\xC2\xA9"};
    static const char *const merges[] = {"a b", "a ab", G " a", "\xC3\x83 \xC2\xA9"};
    memcpy(spec.extra, tokens, sizeof tokens);
    memcpy(spec.merges, merges, sizeof merges);
    q35_tokenizer *t = make(&spec);
    q35t_rng rng = q35t_rng_seed((uint64_t)_i);
    for (int round = 0; round < 3000; round++) {
        char text[96];
        uint64_t len = q35t_rng_below(&rng, sizeof text + 1);
        for (uint64_t i = 0; i < len; i++)
            text[i] = round % 2 ? (char)q35t_rng_u64(&rng) : alphabet[q35t_rng_below(&rng, sizeof alphabet)];
        expect_round_trip(t, text, len);
    }
    q35_tokenizer_destroy(t);
}
END_TEST

/* Quadratic merging or backtracking would run into the test's time limit. */
START_TEST(long_pieces)
{
    static const char *const patterns[] = {"a", " ", "\n", " \n", "<", "'", "1", "\xC3\xA9", "\xFF", "  a"};
    static const char *const names[] = {"gpt-2", "llama-bpe", "smollm", "tekken"};
    enum { N = 1 << 20 };
    char *text = malloc(N);
    vocab_spec spec = vocab_spec_default();
    static const char *const tokens[] = {"aa", "aaaa", G G, "<|", "<s>"};
    static const char *const merges[] = {"a a", "aa aa", G " " G, "< |"};
    memcpy(spec.extra, tokens, sizeof tokens);
    memcpy(spec.merges, merges, sizeof merges);
    spec.extra_type[4] = 3;
    ck_assert_ptr_nonnull(text);
    spec.pre = names[_i];
    q35_tokenizer *t = make(&spec);
    for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++) {
        int32_t *ids;
        uint64_t n, period = strlen(patterns[p]);
        for (uint64_t i = 0; i < N; i++)
            text[i] = patterns[p][i % period];
        ck_assert_uint_eq(q35_tokenizer_encode(t, text, N, Q35_ENCODE_SPECIAL, &ids, &n), Q35_OK);
        ck_assert_uint_ge(n, N / 4);
        if (p == 0)
            ck_assert_uint_eq(n, N / 4);
        q35_tokens_free(ids);
    }
    free(text);
    q35_tokenizer_destroy(t);
}
END_TEST

START_TEST(bad_arguments)
{
    vocab_spec spec = vocab_spec_default();
    q35_tokenizer *t = make(&spec);
    int32_t *ids = (int32_t *)&ids;
    uint64_t n = 1;
    ck_assert_uint_eq(q35_tokenizer_encode(t, NULL, 1, 0, &ids, &n), Q35_E_INVALID);
    ck_assert_ptr_null(ids);
    ck_assert_uint_eq(n, 0);
    ck_assert_uint_eq(q35_tokenizer_encode(t, "a", 1, 4, &ids, &n), Q35_E_INVALID);
    ck_assert_uint_eq(q35_tokenizer_encode(t, "a", UINT64_C(1) << 31, 0, &ids, &n), Q35_E_INVALID);
    ck_assert_uint_eq(q35_tokenizer_encode(t, NULL, 0, 0, &ids, &n), Q35_OK);
    ck_assert_ptr_null(ids);
    q35_tokenizer_destroy(t);
    q35_tokenizer_destroy(NULL);
    q35_tokens_free(NULL);
}
END_TEST

/* Every allocation fails once: NOMEM, nothing kept (the sanitizer build watches), and at last it works. */
START_TEST(no_memory)
{
    vocab_spec spec = vocab_spec_default();
    spec.extra[0] = "ab";
    spec.extra[1] = "<s>";
    spec.extra_type[1] = 3;
    spec.merges[0] = "a b";
    spec.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}";
    q35_model *model = vocab_open(&spec);
    expect_survives_no_memory(model, "abab <s>\xFF", 9, Q35_ENCODE_SPECIAL);
    q35_model_close(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tokenizer");
    TCase *tc = tcase_create("tokenizer");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, lowest_rank_first_then_leftmost);
    tcase_add_test(tc, whole_pieces_before_merges_for_llama);
    tcase_add_test(tc, pieces);
    tcase_add_test(tc, special_tokens);
    tcase_add_test(tc, no_rules_lowest_id_first);
    tcase_add_test(tc, tekken_under_another_name);
    tcase_add_test(tc, marks_and_stops);
    tcase_add_test(tc, beginning_of_sequence);
    tcase_add_test(tc, invalid_bytes_and_control_merges);
    tcase_add_test(tc, bytes_without_tokens_become_replacement_characters);
    tcase_add_loop_test(tc, any_bytes_round_trip, 0, 4);
    tcase_add_loop_test(tc, long_pieces, 0, 4);
    tcase_add_test(tc, bad_arguments);
    tcase_add_test(tc, no_memory);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
