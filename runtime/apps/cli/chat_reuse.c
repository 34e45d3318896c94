/* SPDX-License-Identifier: Apache-2.0
 *
 * Generated tokens in the place of an answer's rendered ones. */
#include "chat_reuse.h"

#include "cli.h"

#include <stdlib.h>
#include <string.h>

static int out_of_memory(void)
{
    return cli_fail(CLI_EXIT_NOFIT, "conversation: out of memory");
}

static int32_t *copy_ids(const int32_t *ids, uint64_t n)
{
    int32_t *copy = malloc((size_t)(n + 1) * sizeof *copy);
    if (copy && n)
        memcpy(copy, ids, (size_t)n * sizeof *copy);
    return copy;
}

/* Text of n tokens with control tokens spelled; free(), NULL: out of memory. */
static char *text_of(const q35_tokenizer *tokenizer, const int32_t *ids, uint64_t n, uint64_t *out_len)
{
    q35_detokenizer detokenizer;
    uint64_t cap = 4 * n + 64, len = 0;
    char *text = malloc((size_t)cap);
    q35_detokenizer_init(&detokenizer, tokenizer);
    detokenizer.flags = Q35_DETOKENIZE_SPECIAL;
    for (uint64_t i = 0; i <= n && text; i++) {
        const char *piece;
        uint64_t piece_len;
        q35_status status = i < n ? q35_detokenizer_push(&detokenizer, ids[i], &piece, &piece_len)
                                  : q35_detokenizer_finish(&detokenizer, &piece, &piece_len);
        char *grown = status == Q35_OK ? text : NULL;
        if (grown && len + piece_len > cap) {
            cap = 2 * (len + piece_len);
            grown = realloc(text, (size_t)cap);
        }
        if (!grown) {
            free(text);
            text = NULL;
            break;
        }
        text = grown;
        memcpy(text + len, piece, (size_t)piece_len);
        len += piece_len;
    }
    q35_detokenizer_free(&detokenizer);
    *out_len = len;
    return text;
}

/* 0: other texts, or out of memory: then the answer is evaluated again. */
static int same_text(const q35_tokenizer *tokenizer, const int32_t *a, uint64_t n_a, const int32_t *b,
                     uint64_t n_b)
{
    uint64_t len_a, len_b;
    char *text_a = text_of(tokenizer, a, n_a, &len_a), *text_b = text_of(tokenizer, b, n_b, &len_b);
    int same = text_a && text_b && len_a == len_b && memcmp(text_a, text_b, (size_t)len_a) == 0;
    free(text_a);
    free(text_b);
    return same;
}

static uint64_t common(const int32_t *a, uint64_t n_a, const int32_t *b, uint64_t n_b)
{
    uint64_t n = 0;
    while (n < n_a && n < n_b && a[n] == b[n])
        n++;
    return n;
}

/* Finds the answer in a rendering: from where the prompt ended to the token that ends the turn. */
static int place_answer(chat_answer_ids *answer, const q35_tokenizer *tokenizer, const int32_t *rendered,
                        uint64_t n)
{
    uint64_t end = answer->at;
    while (end < n && !q35_tokenizer_is_stop(tokenizer, rendered[end]))
        end++;
    answer->n_rendered = end - answer->at;
    return answer->n_rendered && end < n &&
           same_text(tokenizer, answer->ids, answer->n, rendered + answer->at, answer->n_rendered);
}

static void forget_from(chat_reuse *reuse, uint32_t first)
{
    for (uint32_t i = first; i < reuse->n; i++)
        free(reuse->answers[i].ids);
    reuse->n = first;
}

/* Forgets the answers that the new rendering does not have. */
static void keep_known(chat_reuse *reuse, const q35_tokenizer *tokenizer, const int32_t *rendered, uint64_t n)
{
    uint64_t same = common(reuse->rendered, reuse->n_rendered, rendered, n);
    uint32_t kept = 0;
    while (kept < reuse->n) {
        chat_answer_ids *answer = &reuse->answers[kept];
        if (answer->at + answer->n_rendered > same)
            break;
        if (answer->n_rendered == 0 && !place_answer(answer, tokenizer, rendered, n))
            break;
        kept++;
    }
    forget_from(reuse, kept);
}

int chat_reuse_apply(chat_reuse *reuse, const q35_tokenizer *tokenizer, const int32_t *rendered, uint64_t n,
                     int32_t **out_ids, uint64_t *out_n)
{
    keep_known(reuse, tokenizer, rendered, n);
    uint64_t total = n, from = 0;
    for (uint32_t i = 0; i < reuse->n; i++)
        total += reuse->answers[i].n;
    int32_t *ids = malloc((size_t)(total + 1) * sizeof *ids), *kept = copy_ids(rendered, n);
    if (!ids || !kept) {
        free(ids);
        free(kept);
        return out_of_memory();
    }
    uint64_t done = 0;
    for (uint32_t i = 0; i < reuse->n; i++) {
        const chat_answer_ids *answer = &reuse->answers[i];
        memcpy(ids + done, rendered + from, (size_t)(answer->at - from) * sizeof *ids);
        done += answer->at - from;
        memcpy(ids + done, answer->ids, (size_t)answer->n * sizeof *ids);
        done += answer->n;
        from = answer->at + answer->n_rendered;
    }
    memcpy(ids + done, rendered + from, (size_t)(n - from) * sizeof *ids);
    free(reuse->rendered);
    reuse->rendered = kept;
    reuse->n_rendered = n;
    *out_ids = ids;
    *out_n = done + n - from;
    return 0;
}

int chat_reuse_answer(chat_reuse *reuse, const int32_t *ids, uint64_t n)
{
    if (reuse->n == reuse->cap) {
        uint32_t cap = reuse->cap ? 2 * reuse->cap : 16;
        chat_answer_ids *grown = realloc(reuse->answers, cap * sizeof *grown);
        if (!grown)
            return out_of_memory();
        reuse->answers = grown;
        reuse->cap = cap;
    }
    int32_t *copy = copy_ids(ids, n);
    if (!copy)
        return out_of_memory();
    reuse->answers[reuse->n++] = (chat_answer_ids){.at = reuse->n_rendered, .ids = copy, .n = n};
    return 0;
}

void chat_reuse_free(chat_reuse *reuse)
{
    forget_from(reuse, 0);
    free(reuse->answers);
    free(reuse->rendered);
    *reuse = (chat_reuse){0};
}
