/* SPDX-License-Identifier: Apache-2.0
 *
 * Generated tokens in the place of rendered ones. The tokenizer is replaced: tokens up to 'z' are letters, token
 * 256 + x stands for the letter x twice, '.' ends a turn. */
#include "runtime/apps/cli/chat_reuse.h"
#include "runtime/apps/cli/cli.h"
#include "support/suite.h"

#include <stdlib.h>
#include <string.h>

enum { TWICE = 256 };

int cli_fail(int code, const char *fmt, ...)
{
    (void)fmt;
    return code;
}

int q35_tokenizer_is_stop(const q35_tokenizer *tokenizer, int32_t id)
{
    (void)tokenizer;
    return id == '.';
}

void q35_detokenizer_init(q35_detokenizer *d, const q35_tokenizer *tokenizer)
{
    (void)tokenizer;
    *d = (q35_detokenizer){0};
}

void q35_detokenizer_free(q35_detokenizer *d)
{
    (void)d;
}

q35_status q35_detokenizer_push(q35_detokenizer *d, int32_t id, const char **out_text, uint64_t *out_len)
{
    d->pending[0] = d->pending[1] = (char)(id % TWICE);
    *out_text = d->pending;
    *out_len = id >= TWICE ? 2 : 1;
    return Q35_OK;
}

q35_status q35_detokenizer_finish(q35_detokenizer *d, const char **out_text, uint64_t *out_len)
{
    (void)d;
    *out_text = "";
    *out_len = 0;
    return Q35_OK;
}

/* Tokens of a text: letters, a capital for the small letter twice. */
static uint64_t tokens(const char *text, int32_t *ids)
{
    uint64_t n = 0;
    for (; text[n]; n++)
        ids[n] = text[n] >= 'A' && text[n] <= 'Z' ? TWICE + text[n] - 'A' + 'a' : text[n];
    return n;
}

static void expect(chat_reuse *reuse, const char *rendered, const char *wanted)
{
    int32_t in[64], want[64], *ids = NULL;
    uint64_t n_in = tokens(rendered, in), n_want = tokens(wanted, want), n = 0;
    ck_assert_int_eq(chat_reuse_apply(reuse, NULL, in, n_in, &ids, &n), 0);
    ck_assert_uint_eq(n, n_want);
    ck_assert_mem_eq(ids, want, n * sizeof *ids);
    free(ids);
}

static void answer(chat_reuse *reuse, const char *generated)
{
    int32_t ids[64];
    uint64_t n = tokens(generated, ids);
    ck_assert_int_eq(chat_reuse_answer(reuse, ids, n), 0);
}

START_TEST(answers_stand_as_generated)
{
    chat_reuse reuse = {0};
    expect(&reuse, "hi>", "hi>");
    answer(&reuse, "xAb");
    expect(&reuse, "hi>xaab.yo>", "hi>xAb.yo>");
    answer(&reuse, "CCd");
    expect(&reuse, "hi>xaab.yo>ccccd.so>", "hi>xAb.yo>CCd.so>");
    answer(&reuse, "e"); /* the tokens that the rendering has, too */
    expect(&reuse, "hi>xaab.yo>ccccd.so>e.", "hi>xAb.yo>CCd.so>e.");
    chat_reuse_free(&reuse);
}
END_TEST

START_TEST(other_texts_are_rendered)
{
    chat_reuse reuse = {0};
    expect(&reuse, "hi>", "hi>");
    answer(&reuse, "xA");
    expect(&reuse, "hi>xa.yo>", "hi>xa.yo>"); /* the format trims it */
    answer(&reuse, "B");
    expect(&reuse, "hi>xa.yo>bb.so>", "hi>xa.yo>B.so>");
    answer(&reuse, "C");
    expect(&reuse, "hi>xa.yo>bb.so>cc", "hi>xa.yo>B.so>cc"); /* no end of its turn */
    answer(&reuse, "");
    expect(&reuse, "hi>xa.yo>bb.so>cc.", "hi>xa.yo>B.so>cc.");
    chat_reuse_free(&reuse);
}
END_TEST

START_TEST(what_changed_before_is_rendered)
{
    chat_reuse reuse = {0};
    expect(&reuse, "hi>", "hi>");
    answer(&reuse, "A");
    expect(&reuse, "hi>aa.yo>", "hi>A.yo>");
    answer(&reuse, "B");
    expect(&reuse, "hi>aa.no>bb.so>", "hi>A.no>bb.so>"); /* another message between */
    answer(&reuse, "C");
    expect(&reuse, "no>bb.so>cc.", "no>bb.so>cc."); /* the first turn is gone */
    ck_assert_uint_eq(reuse.n, 0);
    expect(&reuse, "", "");
    chat_reuse_free(&reuse);
}
END_TEST

START_TEST(a_message_taken_back)
{
    chat_reuse reuse = {0};
    expect(&reuse, "hi>", "hi>");
    answer(&reuse, "A");
    expect(&reuse, "hi>aa.yo>", "hi>A.yo>"); /* no answer came */
    expect(&reuse, "hi>aa.or>", "hi>A.or>");
    expect(&reuse, "hi>a", "hi>a"); /* within the answer */
    expect(&reuse, "hi>aa.or>", "hi>aa.or>");
    chat_reuse_free(&reuse);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chat_reuse");
    TCase *all = tcase_create("all");
    tcase_add_test(all, answers_stand_as_generated);
    tcase_add_test(all, other_texts_are_rendered);
    tcase_add_test(all, what_changed_before_is_rendered);
    tcase_add_test(all, a_message_taken_back);
    suite_add_tcase(suite, all);
    return q35t_run(suite);
}
