/* SPDX-License-Identifier: Apache-2.0
 *
 * Which tensors the user's expressions choose, and what is wrong with expressions. */
#include "runtime/session/rules.h"
#include "support/alloc_sweep.h"
#include "support/expect.h"
#include "support/suite.h"

#include <stdio.h>
#include <string.h>

static const char *const names[] = {"blk.0.attn_q.weight",  "blk.0.attn_k.weight", "blk.0.attn_v.weight",
                                    "blk.0.ffn_up.weight",  "blk.1.attn_q.weight", "blk.1.attn_k.weight",
                                    "blk.1.attn_v.weight",  "blk.1.ffn_up.weight", "blk.10.attn_q.weight",
                                    "blk.10.attn_v.weight", "blk.10.ffn_up.weight"};
enum { N_NAMES = sizeof names / sizeof *names };

static q35_status create(const char *const *keep, uint32_t n_keep, const char *const *only, uint32_t n_only,
                         q35i_rules **out)
{
    q35i_rule_texts texts = {keep, only, n_keep, n_only};
    return q35i_rules_create(&texts, out);
}

/* want: a '+' for each name that is quantised, else '-'. */
static void choose(const char *const *keep, uint32_t n_keep, const char *const *only, uint32_t n_only,
                   const char *want)
{
    q35i_rules *rules;
    char got[N_NAMES + 1] = "";
    EXPECT_OK(create(keep, n_keep, only, n_only, &rules));
    for (int i = 0; i < N_NAMES; i++)
        got[i] = q35i_rules_quantise(rules, names[i]) ? '+' : '-';
    ck_assert_str_eq(got, want);
    EXPECT_OK(q35i_rules_check(rules));
    q35i_rules_destroy(rules);
}

START_TEST(expressions_choose)
{
    static const char *const kv = "attn_[kv]", *const whole = "^blk\\.1\\.attn_q\\.weight$";
    static const char *const layers = "blk\\.(0|1)\\.", *const two[] = {"blk\\.10\\.", "ffn"};
    choose(NULL, 0, NULL, 0, "+++++++++++");
    choose(&kv, 1, NULL, 0, "+--++--++-+");
    choose(NULL, 0, &layers, 1, "++++++++---");
    choose(&kv, 1, &layers, 1, "+--++--+---");
    choose(NULL, 0, &whole, 1, "----+------");
    choose(two, 2, NULL, 0, "+++-+++----");
    choose(NULL, 0, two, 2, "---+---++++");
}
END_TEST

static void expect_bad(const char *text, const char *says)
{
    q35i_rules *rules = NULL;
    const char *const good[] = {"attn", text};
    EXPECT_FAILURE(create(&text, 1, NULL, 0, &rules), Q35_E_INVALID, says);
    ck_assert_ptr_null(rules);
    EXPECT_FAILURE(create(good, 1, good, 2, &rules), Q35_E_INVALID, says);
    EXPECT_ERROR("only");
}

START_TEST(bad_expressions)
{
    char text[5000], deep[1000];
    expect_bad("attn_[kv", "'attn_[kv': at byte 8: missing terminating ] for character class");
    expect_bad("(blk", "at byte 4: missing closing parenthesis");
    expect_bad("*", "at byte 0: quantifier does not follow a repeatable item");
    expect_bad("", "empty");
    expect_bad("(*UTF)a", "using UTF is disabled");
    expect_bad("((((a{900}){900}){900}){900})", "too large");
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    expect_bad(text, "...'");
    memset(deep, '(', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    expect_bad(deep, "too deeply nested");
    expect_bad("\x1b[31m(\n", "'?[31m(?'");
}
END_TEST

START_TEST(unused_expression)
{
    q35i_rules *rules;
    const char *keep = "attn_v", *only = "attn_z";
    EXPECT_OK(create(&keep, 1, &only, 1, &rules));
    for (int i = 0; i < N_NAMES; i++)
        ck_assert(!q35i_rules_quantise(rules, names[i]));
    EXPECT_FAILURE(q35i_rules_check(rules), Q35_E_INVALID,
                   "only 'attn_z': matches none of 11 linear tensors, need at least one; names are like "
                   "blk.0.attn_q.weight, blk.0.attn_k.weight, blk.0.attn_v.weight");
    q35i_rules_destroy(rules);
    EXPECT_OK(create(NULL, 0, &only, 1, &rules));
    EXPECT_FAILURE(q35i_rules_check(rules), Q35_E_INVALID, "none of 0");
    q35i_rules_destroy(rules);
}
END_TEST

/* Exponential backtracking, recursion without end, memory: each stops at its limit, once. */
START_TEST(endless_expressions)
{
    static const char *const bad[] = {"(a+)+$", "^(\\w+\\s?)*$", "(a|aa)+$", "((?:a|a(?1))*)\\W\\W",
                                      "(?R)?a(?R)?\\W\\W"};
    char name[40000];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 2] = '!';
    name[sizeof name - 1] = '\0';
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        q35i_rules *rules;
        EXPECT_OK(create(&bad[i], 1, NULL, 0, &rules));
        for (int k = 0; k < 1000; k++)
            q35i_rules_quantise(rules, name);
        EXPECT_FAILURE(q35i_rules_check(rules), Q35_E_INVALID, "gave up on tensor aaa");
        q35i_rules_destroy(rules);
    }
}
END_TEST

START_TEST(out_of_memory)
{
    static const char *const texts[] = {"attn_[kv]", "blk\\.(0|1)\\."};
    q35t_alloc_sweep sweep = {.limit = 100};
    while (q35t_alloc_sweep_next(&sweep)) {
        q35i_rules *rules;
        q35_status status = create(texts, 2, texts, 2, &rules);
        q35t_alloc_sweep_end(&sweep, status);
        q35i_rules_destroy(rules);
    }
    ck_assert_uint_gt(sweep.n, 5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rules");
    TCase *tcase = tcase_create("rules");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, expressions_choose);
    tcase_add_test(tcase, bad_expressions);
    tcase_add_test(tcase, unused_expression);
    tcase_add_test(tcase, endless_expressions);
    tcase_add_test(tcase, out_of_memory);
    suite_add_tcase(suite, tcase);
    return q35t_run(suite);
}
