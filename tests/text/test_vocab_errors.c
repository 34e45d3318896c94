/* SPDX-License-Identifier: Apache-2.0
 *
 * Broken and unknown vocabularies: the status, and a message that names the object. */
#include "support/expect.h"
#include "support/suite.h"
#include "text/expect_ids.h"
#include "text/vocab_file.h"

#include <math.h>
#include <string.h>

#define CONTROL_TYPE 3

typedef struct broken {
    void (*change)(vocab_spec *spec);
    q35_status status;
    const char *message; /* part of it */
} broken;

static void unknown_model(vocab_spec *s)
{
    s->model = "t5";
}
static void no_scores(vocab_spec *s)
{
    s->model = "llama";
    s->no_merges = 1;
}
static void no_model(vocab_spec *s)
{
    s->model = NULL;
}
static void unknown_pre(vocab_spec *s)
{
    s->pre = "deepseek-llm";
}
static void no_tokens(vocab_spec *s)
{
    s->no_tokens = 1;
}
static void short_types(vocab_spec *s)
{
    s->types_missing = 1;
}
static void short_scores(vocab_spec *s)
{
    s->scores_short = 1;
}
static void bad_type(vocab_spec *s)
{
    s->extra_type[0] = 7;
}
static void bad_bos(vocab_spec *s)
{
    s->bos = 257;
}
static void bad_eos(vocab_spec *s)
{
    s->eos = 4294967295;
}
static void bad_eot(vocab_spec *s)
{
    s->eot = 1000;
}
static void bos_wanted(vocab_spec *s)
{
    s->add_bos = 1;
}
static void twice(vocab_spec *s)
{
    s->extra[1] = "a";
}
static void merge_of_one(vocab_spec *s)
{
    s->merges[0] = "ab";
}
static void merge_empty(vocab_spec *s)
{
    s->merges[0] = "";
}
static void merge_open(vocab_spec *s)
{
    s->merges[0] = "a ";
}
static void merge_part(vocab_spec *s)
{
    s->merges[0] = "a bc";
}
static void merge_join(vocab_spec *s)
{
    s->merges[0] = "b c";
}
static void merge_long(vocab_spec *s)
{
    s->merges[0] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b";
}
static void merge_strange(vocab_spec *s)
{
    s->merges[0] = "\xE2\x82\xAC b";
}

static void special_twice(vocab_spec *s)
{
    s->extra[1] = s->extra[2] = "<s>";
    s->extra_type[1] = s->extra_type[2] = CONTROL_TYPE;
}

static void other_embedding(vocab_spec *s)
{
    s->n_rows = 260;
}

static const float one_score[] = {-1};
static const float no_score[] = {(float)NAN};

static void nan_score(vocab_spec *s)
{
    s->model = "llama";
    s->no_merges = 1;
    s->scores = no_score;
}
static void few_scores(vocab_spec *s)
{
    s->model = "llama";
    s->no_merges = s->scores_short = 1;
    s->scores = one_score;
}
static void byte_without_number(vocab_spec *s)
{
    s->model = "llama";
    s->scores = one_score;
    s->extra_type[0] = 6;
}
static void byte_twice(vocab_spec *s)
{
    s->model = "llama";
    s->scores = one_score;
    s->extra[0] = "<0x41>";
    s->extra_type[0] = 6;
}
static void piece_twice(vocab_spec *s)
{
    static const float scores[] = {-1, -1};
    s->model = "llama";
    s->scores = scores;
    s->extra[0] = s->extra[1] = "\xE2\x96\x81";
}
static void long_special(vocab_spec *s)
{
    static char name[2000];
    memset(name, 'x', sizeof name - 1);
    s->extra[0] = name;
    s->extra_type[0] = CONTROL_TYPE;
}

static const broken cases[] = {
    {other_embedding, Q35_E_FORMAT, "tokenizer.ggml.tokens: 257 tokens, need 260 (rows of token_embd.weight)"},
    {nan_score, Q35_E_FORMAT, "tokenizer.ggml.scores[256]: NaN, need a number"},
    {few_scores, Q35_E_FORMAT, "scores: 256 elements, need 257"},
    {byte_without_number, Q35_E_FORMAT, "tokens[256]: byte token 'ab', need <0x00> to <0xFF>"},
    {byte_twice, Q35_E_FORMAT, "ids 65 and 256 are both '<0x41>'"},
    {piece_twice, Q35_E_FORMAT, "ids 256 and 257 are both"},
    {long_special, Q35_E_FORMAT, "of 1999 bytes, need at most 1024"},
    {unknown_model, Q35_E_UNSUPPORTED, "tokenizer.ggml.model: 't5', need gpt2 (byte-level BPE) or llama"},
    {no_scores, Q35_E_FORMAT, "tokenizer.ggml.scores: missing, need a score per token"},
    {no_model, Q35_E_FORMAT, "tokenizer.ggml.model: missing"},
    {unknown_pre, Q35_E_UNSUPPORTED, "'deepseek-llm', need one of gpt-2, llama-bpe, smollm, tekken"},
    {no_tokens, Q35_E_FORMAT, "tokenizer.ggml.tokens: missing"},
    {short_types, Q35_E_FORMAT, "token_type: 256 elements, need 257"},
    {short_scores, Q35_E_FORMAT, "scores: 256 elements, need 257"},
    {bad_type, Q35_E_FORMAT, "token_type[256]: 7, need 0 to 6"},
    {bad_bos, Q35_E_FORMAT, "bos_token_id: 257, need less than the 257 tokens"},
    {bad_eos, Q35_E_FORMAT, "eos_token_id: 4294967295, need"},
    {bad_eot, Q35_E_FORMAT, "eot_token_id: 1000, need"},
    {bos_wanted, Q35_E_FORMAT, "add_bos_token: true without"},
    {twice, Q35_E_FORMAT, "ids 97 and 257 are both 'a'"},
    {special_twice, Q35_E_FORMAT, "are both '<s>'"},
    {merge_of_one, Q35_E_FORMAT, "merges[0]: 'ab', need two tokens"},
    {merge_empty, Q35_E_FORMAT, "merges[0]: '', need two tokens"},
    {merge_open, Q35_E_FORMAT, "merges[0]: 'a ', need two tokens"},
    {merge_part, Q35_E_FORMAT, "merges[0]: 'a bc', need a rule"},
    {merge_join, Q35_E_FORMAT, "merges[0]: 'b c', need a rule"},
    {merge_long, Q35_E_FORMAT, "merges[0]: 'aaaa"},
    {merge_strange, Q35_E_FORMAT, "merges[0]: "},
};

START_TEST(broken_vocabulary)
{
    vocab_spec spec = vocab_spec_default();
    q35_tokenizer *t = (q35_tokenizer *)&t;
    spec.extra[0] = "ab";
    cases[_i].change(&spec);
    ck_assert_uint_eq(vocab_tokenizer(&spec, &t), cases[_i].status);
    ck_assert_ptr_null(t);
    EXPECT_ERROR(cases[_i].message);
}
END_TEST

START_TEST(optional_keys)
{
    vocab_spec spec = vocab_spec_default();
    q35_tokenizer *t;
    spec.pre = NULL;
    spec.types_missing = VOCAB_MAX + 1;
    spec.extra[0] = "<|im_end|>";
    spec.extra[1] = "";
    spec.extra[2] = "";
    spec.n_rows = 259;
    EXPECT_OK(vocab_tokenizer(&spec, &t));
    ck_assert(q35_tokenizer_is_control(t, 256));
    uint64_t len = 1;
    ck_assert_ptr_nonnull(q35_tokenizer_piece(t, 257, &len));
    ck_assert_uint_eq(len, 0);
    EXPECT_IDS(t, "a b", Q35_ENCODE_SPECIAL, 'a', ' ', 'b');
    q35_tokenizer_destroy(t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vocab_errors");
    TCase *tc = tcase_create("vocab_errors");
    tcase_add_loop_test(tc, broken_vocabulary, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_test(tc, optional_keys);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
