/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzz target: text through byte-level tokenizers and back. Input: one byte of options (lowest bit: control tokens
 * count; the others: which tokenizer), then the text. Every byte has a token in these vocabularies, so the pieces
 * of the ids joined are the text itself; what the streaming detokenizer gives is whole characters. */
#include "runtime/base/utf8.h"
#include "text/vocab_file.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* rules: with merge rules; else the order of the tokens is what joins. */
static q35_tokenizer *make(const char *pre, int rules)
{
    vocab_spec spec = vocab_spec_default();
    static const char *const tokens[] = {
        "<|im_end|>", "<tool>",           "th", "the", "\xC4\xA0the",     "\xC4\xA0\xC4\xA0", "aa",
        "aaaa",       "\xC3\x83\xC2\xA9", "'s", "12",  "\xC4\x8A\xC4\x8A"};
    static const char *const merges[] = {
        "t h", "th e", "\xC4\xA0 the",     "\xC4\xA0 \xC4\xA0", "a a", "aa aa", "\xC3\x83 \xC2\xA9",
        "' s", "1 2",  "\xC4\x8A \xC4\x8A"};
    q35_tokenizer *t;
    spec.pre = pre;
    memcpy(spec.extra, tokens, sizeof tokens);
    if (rules)
        memcpy(spec.merges, merges, sizeof merges);
    spec.no_merges = !rules;
    spec.extra_type[0] = 3;
    spec.extra_type[1] = 4;
    return vocab_tokenizer(&spec, &t) == Q35_OK ? t : NULL;
}

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_stream(const q35_tokenizer *t, const int32_t *ids, uint64_t n)
{
    q35_detokenizer d;
    const char *text;
    uint64_t len;
    q35_detokenizer_init(&d, t);
    for (uint64_t i = 0; i <= n; i++) {
        require((i < n ? q35_detokenizer_push(&d, ids[i], &text, &len)
                       : q35_detokenizer_finish(&d, &text, &len)) == Q35_OK);
        for (uint64_t at = 0; at < len;) {
            int length = q35i_utf8_char((const uint8_t *)text + at, len - at);
            require(length > 0);
            at += (uint64_t)length;
        }
    }
    q35_detokenizer_free(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        const char *pre;
        int rules;
    } kinds[] = {{"gpt-2", 1}, {"llama-bpe", 1}, {"smollm", 1}, {"tekken", 0}, {"llama-bpe", 0}};
    enum { KINDS = sizeof kinds / sizeof *kinds };
    static q35_tokenizer *made[KINDS]; /* kept for the process */
    if (size == 0)
        return 0;
    const char *text = (const char *)data + 1;
    uint64_t len = size - 1, n, at = 0, piece_len;
    uint32_t kind = data[0] / 2 % KINDS;
    q35_tokenizer **t = &made[kind];
    if (!*t)
        *t = make(kinds[kind].pre, kinds[kind].rules);
    require(*t != NULL);
    int32_t *ids;
    require(q35_tokenizer_encode(*t, text, len, data[0] % 2 ? Q35_ENCODE_SPECIAL : 0, &ids, &n) == Q35_OK);
    for (uint64_t i = 0; i < n; i++) {
        const char *piece = q35_tokenizer_piece(*t, ids[i], &piece_len);
        require(piece && at + piece_len <= len && memcmp(piece, text + at, piece_len) == 0);
        at += piece_len;
    }
    require(at == len);
    check_stream(*t, ids, n);
    q35_tokens_free(ids);
    return 0;
}
