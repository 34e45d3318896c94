/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzz target: text through a SentencePiece tokenizer and back. Input: one byte of options, then the text. Every
 * byte has a token, so the ids give the text back to the byte, but for U+2581, which is a space, and for spaces
 * that the tokenizer is told not to keep. */
#include "text/vocab_file.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define S "\xE2\x96\x81"

enum { CONTROL = 1, NO_PREFIX = 2, SQUEEZE = 4, RULES = 8, OPTIONS = 16 };

static void require(int condition)
{
    if (!condition)
        abort();
}

static q35_tokenizer *make(int options)
{
    static const char *const tokens[] = {S,     "t",     "h",        "e",     "th",
                                         "the", S "the", S S,        S S S S, "a",
                                         "aa",  "aaaa",  "\xC3\xA9", "xy",    "\xE6\x97\xA5\xE6\x9C\xAC",
                                         "ba",  "<s>",   "<tool>",   "ab"};
    static const float scores[] = {-9, -10, -11, -12, -1, -2, -3, -4, -5, -13, -6, -6, -14, -7, -8, -6, 0, 0, -6};
    static const char *const merges[] = {"t h", "th e", S " the", S " " S, S S " " S S, "a a", "aa aa"};
    vocab_spec spec = vocab_spec_pieces();
    q35_tokenizer *t;
    memcpy(spec.extra, tokens, sizeof tokens);
    spec.extra_type[5] = 5;
    spec.extra_type[16] = 3;
    spec.extra_type[17] = 4;
    spec.scores = scores;
    spec.space_prefix = !(options & NO_PREFIX);
    spec.squeeze = (options & SQUEEZE) != 0;
    if (options & RULES) {
        memcpy(spec.merges, merges, sizeof merges);
        spec.no_merges = 0;
    }
    return vocab_tokenizer(&spec, &t) == Q35_OK ? t : NULL;
}

/* Text of the ids, at most cap bytes; returns its length. */
static uint64_t text_of(const q35_tokenizer *t, uint32_t flags, const int32_t *ids, uint64_t n, char *out,
                        uint64_t cap)
{
    q35_detokenizer d;
    const char *text;
    uint64_t len, at = 0;
    q35_detokenizer_init(&d, t);
    d.flags = flags;
    for (uint64_t i = 0; i <= n; i++) {
        require((i < n ? q35_detokenizer_push(&d, ids[i], &text, &len)
                       : q35_detokenizer_finish(&d, &text, &len)) == Q35_OK);
        require(at + len <= cap);
        memcpy(out + at, text, len);
        at += len;
    }
    q35_detokenizer_free(&d);
    return at;
}

/* What comes back of text: U+2581 as a space, without spaces when these do not count. Writes n bytes at most. */
static uint64_t comparable(const char *text, uint64_t n, int without_spaces, char *out)
{
    uint64_t at = 0;
    for (uint64_t i = 0; i < n; i++) {
        int space = n - i >= 3 && memcmp(text + i, S, 3) == 0;
        char c = space ? ' ' : text[i];
        i += space ? 2 : 0;
        if (!(without_spaces && c == ' '))
            out[at++] = c;
    }
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static q35_tokenizer *made[OPTIONS]; /* kept for the process */
    if (size == 0)
        return 0;
    int options = data[0] % OPTIONS, squeeze = (options & SQUEEZE) != 0;
    const char *text = (const char *)data + 1;
    uint64_t len = size - 1, n;
    q35_tokenizer **t = &made[options & ~CONTROL];
    if (!*t)
        *t = make(options);
    require(*t != NULL);
    int32_t *ids;
    require(q35_tokenizer_encode(*t, text, len, options & CONTROL ? Q35_ENCODE_SPECIAL : 0, &ids, &n) == Q35_OK);
    uint64_t cap = 8 * size + 16;
    char *back = malloc(cap), *want = malloc(cap), *found = malloc(cap);
    require(back && want && found);
    uint64_t n_back = text_of(*t, Q35_DETOKENIZE_BYTES | Q35_DETOKENIZE_SPECIAL, ids, n, back, cap);
    uint64_t n_want = comparable(text, len, squeeze, want), n_found = comparable(back, n_back, squeeze, found);
    require(n_want == n_found && memcmp(want, found, n_want) == 0);
    text_of(*t, 0, ids, n, back, cap);
    free(back);
    free(want);
    free(found);
    q35_tokens_free(ids);
    return 0;
}
