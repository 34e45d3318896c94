/* SPDX-License-Identifier: Apache-2.0
 *
 * Pieces against the patterns as they are published, run here by PCRE2 with the published look-ahead and, for
 * smollm, in its two stages. */
#include "runtime/base/alloc.h"
#include "runtime/text/pretokenize.h"
#include "support/rng.h"
#include "support/suite.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <string.h>

enum { MAX_TEXT = 512 };

static const char gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
static const char llama[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
                            "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
static const char tekken[] =
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|"
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|"
    "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
static const char digit[] = "\\p{N}|[^\\p{N}]+";

static const struct {
    const char *name, *first, *second; /* first: a stage before, NULL for none */
} published[] = {
    {"gpt-2", NULL, gpt2}, {"llama-bpe", NULL, llama}, {"smollm", digit, gpt2}, {"tekken", NULL, tekken}};

/* White space of one, two and three bytes, letters of every case and none, marks, digits of three scripts, signs,
 * an emoji. */
static const char *const characters[] = {" ",
                                         " ",
                                         " ",
                                         "\n",
                                         "\r",
                                         "\t",
                                         "\v",
                                         "\xC2\x85",
                                         "\xC2\xA0",
                                         "\xE2\x80\x83",
                                         "\xE2\x80\xA8",
                                         "\xE3\x80\x80",
                                         "a",
                                         "S",
                                         "'s",
                                         "'LL",
                                         "'",
                                         "re",
                                         "\xC3\xA9",
                                         "\xC5\xBF",
                                         "\xD0\x96",
                                         "\xE1\x9E\x80",
                                         "\xE1\x9E\xB6",
                                         "\xE6\x88\x91",
                                         "A",
                                         "/",
                                         "\xC7\x85",
                                         "\xCA\xB0",
                                         "\xCC\x81",
                                         "\xD0\xB6",
                                         "1",
                                         "23",
                                         "4567",
                                         "\xD9\xA3",
                                         "\xE2\x85\xA7",
                                         ".",
                                         "!",
                                         "<|",
                                         "_",
                                         "\xE2\x82\xAC",
                                         "\xF0\x9F\x98\x80",
                                         "\xE2\x80\x8D"};

#define N_CHARACTERS (sizeof characters / sizeof *characters)

typedef struct cuts {
    uint64_t end[MAX_TEXT]; /* of each piece */
    uint64_t n, at;
} cuts;

static q35_status add_cut(void *user, const uint8_t *piece, uint64_t n)
{
    cuts *c = user;
    (void)piece;
    ck_assert_uint_gt(n, 0);
    ck_assert_uint_lt(c->n, MAX_TEXT);
    c->at += n;
    c->end[c->n++] = c->at;
    return Q35_OK;
}

static pcre2_code *compile(const char *pattern)
{
    int error;
    PCRE2_SIZE at;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &error, &at, NULL);
    ck_assert_ptr_nonnull(code);
    return code;
}

/* Cuts text[0..n) by stages[0], and each part by stages[1]. */
static void cut(pcre2_code *const stages[2], const uint8_t *text, uint64_t n, cuts *out)
{
    pcre2_code *code = stages[0] ? stages[0] : stages[1];
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    for (PCRE2_SIZE at = 0; at < n;) {
        int rc = pcre2_match(code, text, n, at, 0, match, NULL);
        const PCRE2_SIZE *found = pcre2_get_ovector_pointer(match);
        ck_assert_int_ge(rc, 1);
        ck_assert_uint_eq(found[0], at);
        PCRE2_SIZE end = found[1];
        pcre2_code *const rest[2] = {NULL, stages[1]};
        if (stages[0])
            cut(rest, text + at, end - at, out);
        else
            add_cut(out, text + at, end - at);
        at = end;
    }
    pcre2_match_data_free(match);
}

static void expect_same(const cuts *want, const cuts *found, const char *text)
{
    uint64_t i = 0;
    while (i < want->n && i < found->n && want->end[i] == found->end[i])
        i++;
    ck_assert_msg(i == want->n && i == found->n, "'%s': piece %d ends elsewhere", text, (int)i);
}

START_TEST(as_published)
{
    pcre2_code *stages[2] = {published[_i].first ? compile(published[_i].first) : NULL,
                             compile(published[_i].second)};
    q35_string name = {published[_i].name, strlen(published[_i].name)};
    q35i_splitter *splitter;
    q35i_split_work *work;
    q35t_rng rng = q35t_rng_seed(11);
    ck_assert_uint_eq(q35i_splitter_create(name, &splitter), Q35_OK);
    ck_assert_uint_eq(q35i_split_work_create(splitter, &work), Q35_OK);
    for (int round = 0; round < 20000; round++) {
        char text[MAX_TEXT] = "";
        uint64_t n = 0, count = q35t_rng_below(&rng, 24), span = 1 + q35t_rng_below(&rng, N_CHARACTERS);
        for (uint64_t i = 0; i < count; i++) {
            const char *c = characters[q35t_rng_below(&rng, span)];
            n += (uint64_t)snprintf(text + n, sizeof text - n, "%s", c);
        }
        cuts want = {.n = 0}, found = {.n = 0};
        cut(stages, (const uint8_t *)text, n, &want);
        ck_assert_uint_eq(q35i_split(work, (const uint8_t *)text, n, add_cut, &found), Q35_OK);
        expect_same(&want, &found, text);
    }
    q35i_split_work_destroy(work);
    q35i_splitter_destroy(splitter);
    pcre2_code_free(stages[0]);
    pcre2_code_free(stages[1]);
}
END_TEST

static q35_status stop_at_second(void *user, const uint8_t *piece, uint64_t n)
{
    int *calls = user;
    (void)piece;
    (void)n;
    return ++*calls == 2 ? Q35_E_CANCELLED : Q35_OK;
}

START_TEST(failures)
{
    q35i_splitter *splitter = (q35i_splitter *)&splitter;
    q35i_split_work *work;
    q35_string name = {"gpt", 3}, alias = {"llama-v3", 8};
    int calls = 0;
    ck_assert_uint_eq(q35i_splitter_create(name, &splitter), Q35_E_UNSUPPORTED);
    ck_assert_ptr_null(splitter);
    ck_assert_uint_eq(q35i_splitter_create(alias, &splitter), Q35_OK);
    ck_assert(q35i_splitter_whole_pieces(splitter) && q35i_splitter_adds_bos(splitter));
    ck_assert_uint_eq(q35i_split_work_create(splitter, &work), Q35_OK);
    ck_assert_uint_eq(q35i_split(work, (const uint8_t *)"a b c", 5, stop_at_second, &calls), Q35_E_CANCELLED);
    ck_assert_int_eq(calls, 2);
    q35i_split_work_destroy(work);
    q35i_split_work_destroy(NULL);
    q35i_splitter_destroy(splitter);
    q35i_splitter_destroy(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pretokenize");
    TCase *tc = tcase_create("pretokenize");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, as_published, 0, (int)(sizeof published / sizeof *published));
    tcase_add_test(tc, failures);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
