/* SPDX-License-Identifier: Apache-2.0
 *
 * Merging against a slow one that looks at every pair before each step and never cuts a text: random small
 * vocabularies with many ties, by score over characters and by id over bytes. */
#include "runtime/base/utf8.h"
#include "support/expect.h"
#include "support/rng.h"
#include "support/suite.h"
#include "text/expect_ids.h"
#include "text/vocab_file.h"

#include <stdio.h>
#include <string.h>

enum { MAX_TOKENS = 48, MAX_BYTES = 160, ROUNDS = 300, TEXTS = 40 };

static const char *const characters[] = {"a", "b", "c", " ", "\xC3\xA9", "\xE6\x97\xA5", "\xF0\x9F\x98\x80"};
enum { N_CHARACTERS = sizeof characters / sizeof *characters };

typedef struct random_vocab {
    int by_score; /* SentencePiece; else by id, over bytes */
    uint32_t n;
    char spelling[MAX_TOKENS][32]; /* as a text has it */
    char in_file[MAX_TOKENS][64];
    float score[MAX_TOKENS];
} random_vocab;

static void append_random(q35t_rng *rng, char *text, size_t cap, uint32_t kinds)
{
    size_t n = strlen(text);
    snprintf(text + n, cap - n, "%s", characters[q35t_rng_below(rng, kinds)]);
}

static int is_known(const random_vocab *v, const char *text)
{
    for (uint32_t i = 0; i < v->n; i++)
        if (strcmp(v->spelling[i], text) == 0)
            return 1;
    return 0;
}

static void spell_for_file(random_vocab *v, uint32_t i)
{
    char *out = v->in_file[i];
    out[0] = '\0';
    for (const char *p = v->spelling[i]; *p; p++) {
        size_t n = strlen(out);
        snprintf(out + n, sizeof v->in_file[i] - n, *p == ' ' ? "\xE2\x96\x81" : "%c", *p);
    }
}

/* Byte-level vocabularies hold letters only: in the byte alphabet these stand for themselves, and a text of them
 * is one piece. */
static void make_vocab(q35t_rng *rng, random_vocab *v)
{
    uint32_t kinds = v->by_score ? N_CHARACTERS : 3, wanted = 4 + (uint32_t)q35t_rng_below(rng, MAX_TOKENS - 4);
    v->n = 0;
    for (int tries = 0; tries < 400 && v->n < wanted; tries++) {
        char text[32] = "";
        uint64_t length = (v->by_score ? 1 : 2) + q35t_rng_below(rng, 4);
        for (uint64_t i = 0; i < length; i++)
            append_random(rng, text, sizeof text, kinds);
        if (is_known(v, text))
            continue;
        memcpy(v->spelling[v->n], text, sizeof text);
        v->score[v->n] = -(float)q35t_rng_below(rng, 12);
        spell_for_file(v, v->n++);
    }
}

static q35_tokenizer *make_tokenizer(const random_vocab *v)
{
    vocab_spec spec = v->by_score ? vocab_spec_pieces() : vocab_spec_default();
    q35_tokenizer *t;
    for (uint32_t i = 0; i < v->n; i++)
        spec.extra[i] = v->in_file[i];
    spec.scores = v->by_score ? v->score : NULL;
    spec.no_merges = 1;
    EXPECT_OK(vocab_tokenizer(&spec, &t));
    return t;
}

/* Token of text[from, to), -1: none. */
static int find(const random_vocab *v, const char *text, uint32_t from, uint32_t to)
{
    for (uint32_t i = 0; i < v->n; i++)
        if (strlen(v->spelling[i]) == to - from && memcmp(v->spelling[i], text + from, to - from) == 0)
            return (int)i;
    return -1;
}

static int goes_before(const random_vocab *v, int a, int b)
{
    return b < 0 || (v->by_score ? v->score[a] > v->score[b] : a < b);
}

/* Boundaries of the symbols of text, begin[0] = 0 ... begin[n] = its length; returns n. */
static uint32_t merge_slowly(const random_vocab *v, const char *text, uint32_t *begin)
{
    uint32_t n = 0, len = (uint32_t)strlen(text);
    for (uint32_t i = 0; i < len;
         i += v->by_score ? (uint32_t)q35i_utf8_char((const uint8_t *)text + i, len - i) : 1)
        begin[n++] = i;
    begin[n] = len;
    for (;;) {
        int best = -1;
        uint32_t where = 0;
        for (uint32_t i = 0; i + 2 <= n; i++) {
            int token = find(v, text, begin[i], begin[i + 2]);
            if (token >= 0 && goes_before(v, token, best)) {
                best = token;
                where = i;
            }
        }
        if (best < 0)
            return n;
        memmove(begin + where + 1, begin + where + 2, (n - where - 1) * sizeof *begin);
        n--;
    }
}

static void expect_same(const random_vocab *v, const q35_tokenizer *t, const char *text)
{
    uint32_t begin[MAX_BYTES + 2];
    int32_t ids[MAX_BYTES + 2];
    char with_prefix[MAX_BYTES + 2];
    uint32_t n_ids = 0;
    snprintf(with_prefix, sizeof with_prefix, "%s%s", v->by_score && *text ? " " : "", text);
    uint32_t n = merge_slowly(v, with_prefix, begin);
    int whole = v->by_score ? -1 : find(v, text, 0, (uint32_t)strlen(text));
    for (uint32_t i = 0; i < n && whole < 0; i++) {
        int token = find(v, with_prefix, begin[i], begin[i + 1]);
        for (uint32_t b = begin[i]; token < 0 && b < begin[i + 1]; b++)
            ids[n_ids++] = (uint8_t)with_prefix[b];
        if (token >= 0)
            ids[n_ids++] = VOCAB_BYTES + token;
    }
    if (whole >= 0)
        ids[n_ids++] = VOCAB_BYTES + whole;
    ids[n_ids] = -1;
    expect_ids(t, text, strlen(text), 0, ids);
}

START_TEST(as_done_slowly)
{
    static random_vocab v;
    q35t_rng rng = q35t_rng_seed((uint64_t)_i);
    v.by_score = _i;
    for (int round = 0; round < ROUNDS; round++) {
        make_vocab(&rng, &v);
        q35_tokenizer *t = make_tokenizer(&v);
        for (int i = 0; i < TEXTS; i++) {
            char text[MAX_BYTES] = "";
            uint64_t length = q35t_rng_below(&rng, 40),
                     kinds = 1 + q35t_rng_below(&rng, v.by_score ? N_CHARACTERS : 3);
            for (uint64_t k = 0; k < length; k++)
                append_random(&rng, text, sizeof text - 4, (uint32_t)kinds);
            expect_same(&v, t, text);
        }
        q35_tokenizer_destroy(t);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("merging");
    TCase *tc = tcase_create("merging");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, as_done_slowly, 0, 2);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
