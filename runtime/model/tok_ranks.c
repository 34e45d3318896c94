/* SPDX-License-Identifier: Apache-2.0
 *
 * tokenizer.model of Llama 3: a line per token, its bytes in base64 and its rank of merging. The file holds
 * neither pattern nor special tokens; both are those of Llama 3, known by the number of lines. */
#include "runtime/model/hf_tokenizer.h"
#include "runtime/model/tok_base64.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"
#include "runtime/model/quote.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LLAMA3_TOKENS = 128000, LLAMA3_SPECIALS = 256 };

typedef struct ranks {
    const char *name;
    const char *p, *end;
    uint64_t line;
    uint8_t *bytes; /* [longest line] */
} ranks;

/* The next line without its end; false at the end of the file. */
static bool next_line(ranks *r, q35_string *out)
{
    if (r->p == r->end)
        return false;
    const char *stop = memchr(r->p, '\n', (size_t)(r->end - r->p));
    const char *after = stop ? stop + 1 : r->end;
    *out = (q35_string){r->p, (uint64_t)((stop ? stop : r->end) - r->p)};
    if (out->len > 0 && out->data[out->len - 1] == '\r')
        out->len--;
    r->p = after;
    r->line++;
    return true;
}

static q35_status add_line(ranks *r, q35i_tok *tok, q35_string line)
{
    const char *space = memchr(line.data, ' ', line.len);
    uint64_t n = 0, rank = 0, text_len = space ? (uint64_t)(space - line.data) : line.len;
    bool good = space && text_len + 1 < line.len &&
                q35i_base64_decode((q35_string){line.data, text_len}, r->bytes, &n) && n > 0;
    for (uint64_t i = text_len + 1; good && i < line.len; i++) {
        good = line.data[i] >= '0' && line.data[i] <= '9' && rank <= UINT32_MAX;
        rank = rank * 10 + (uint64_t)(line.data[i] - '0');
    }
    if (!good)
        return Q35_FAIL(Q35_E_FORMAT, "%s: line %" PRIu64 ": '%s', need base64, a space and a rank", r->name,
                        r->line, q35i_quote(line).text);
    if (rank != r->line - 1)
        return Q35_FAIL(Q35_E_FORMAT, "%s: line %" PRIu64 ": rank %" PRIu64 ", need %" PRIu64, r->name, r->line,
                        rank, r->line - 1);
    return q35i_tok_add_bytes(tok, r->bytes, n);
}

static q35_status add_special(q35i_tok *tok, const char *name, int role)
{
    if (role >= 0)
        tok->ids[role] = tok->n;
    return q35i_tok_add(tok, q35i_string_of(name), Q35I_TOK_CONTROL, 0);
}

/* Names of Llama 3.1 and later; those of 3.0 have the same ids where they exist. */
static q35_status add_specials(q35i_tok *tok)
{
    static const struct {
        const char *name;
        int role;
    } named[] = {{"<|begin_of_text|>", Q35I_TOK_BOS},
                 {"<|end_of_text|>", Q35I_TOK_EOS},
                 {"<|reserved_special_token_0|>", -1},
                 {"<|reserved_special_token_1|>", -1},
                 {"<|finetune_right_pad_id|>", Q35I_TOK_PAD},
                 {"<|step_id|>", -1},
                 {"<|start_header_id|>", -1},
                 {"<|end_header_id|>", -1},
                 {"<|eom_id|>", Q35I_TOK_EOM},
                 {"<|eot_id|>", Q35I_TOK_EOT},
                 {"<|python_tag|>", -1},
                 {"<|image|>", -1}};
    enum { N_NAMED = sizeof named / sizeof *named };
    for (int i = 0; i < N_NAMED; i++)
        Q35_TRY(add_special(tok, named[i].name, named[i].role));
    for (int i = N_NAMED; i < LLAMA3_SPECIALS; i++) {
        char name[40];
        snprintf(name, sizeof name, "<|reserved_special_token_%d|>", i - N_NAMED + 2);
        Q35_TRY(add_special(tok, name, -1));
    }
    return Q35_OK;
}

q35_status q35i_tok_read_ranks(q35i_tok *tok, const char *name, const void *image, uint64_t bytes)
{
    ranks r = {.name = name, .p = image, .end = (const char *)image + bytes}, ahead = r;
    q35_status status = Q35_OK;
    q35_string line;
    uint64_t longest = 0;
    while (next_line(&ahead, &line))
        longest = q35i_max(longest, line.len);
    Q35_TRY(q35i_tok_init(tok, name, ahead.line + LLAMA3_SPECIALS, false));
    r.bytes = q35i_calloc(longest + 3, 1);
    if (!r.bytes)
        return Q35_E_NOMEM;
    while (next_line(&r, &line))
        Q35_TRY_GOTO(add_line(&r, tok, line), done);
    if (r.line != LLAMA3_TOKENS) {
        status = Q35_FAIL(Q35_E_UNSUPPORTED, "%s: %" PRIu64 " lines of ranks, need the %d of Llama 3", name,
                          r.line, LLAMA3_TOKENS);
        goto done;
    }
    tok->model = "gpt2";
    tok->pre = "llama-bpe";
    tok->add_bos = Q35I_TOK_YES;
    status = add_specials(tok);
done:
    q35i_free(r.bytes);
    return status;
}

q35_status q35i_tok_read_model(q35i_tok *tok, const char *name, const void *image, uint64_t bytes)
{
    if (bytes == 0)
        return Q35_FAIL(Q35_E_FORMAT, "%s: empty, need a tokenizer", name);
    if (q35i_base64_is_digit(*(const uint8_t *)image))
        return q35i_tok_read_ranks(tok, name, image, bytes);
    return q35i_tok_read_sentencepiece(tok, name, image, bytes);
}
