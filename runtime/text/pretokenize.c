/* SPDX-License-Identifier: Apache-2.0
 *
 * Pre-tokenizers as PCRE2 patterns (UTF, Unicode properties). Each is one alternation that matches something at
 * every position, so a text is cut by matching again and again, anchored where the last piece ended. They differ
 * from the published forms only so that no long run is scanned twice:
 * - \s+(?!\S)|\s+ is written with an explicit class of the Unicode White_Space characters;
 * - \s*[\r\n]+ takes a run of white space up to its last line end: ([blank]*+[\r\n]++)++;
 * - smollm cuts out single digits first and then applies gpt-2 to what lies between; in one pattern, digits count
 * as an end of text for white space. */
#include "runtime/text/pretokenize.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/utf8.h"
#include "runtime/model/quote.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <inttypes.h>
#include <pcre2.h>
#include <string.h>

#define BLANK                                                                                                     \
    "\\t\\x0B\\x0C\\x20\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
#define SPACE "\\r\\n" BLANK
#define SHORT "'s|'t|'re|'ve|'m|'ll|'d"
#define OTHER "[^" SPACE "\\p{L}\\p{N}]+"
#define LINES "(?:[" BLANK "]*+[\\r\\n]++)++"
#define FRONT "[^\\r\\n\\p{L}\\p{N}]?"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"

typedef struct pre_rule {
    const char *name;
    const char *aliases[8];
    const char *pattern;
    bool whole_pieces, adds_bos;
} pre_rule;

static const pre_rule rules[] = {
    {"gpt-2",
     {"gpt2"},
     SHORT "| ?\\p{L}+| ?\\p{N}+| ?" OTHER "|[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+",
     false,
     false},
    {"llama-bpe",
     {"llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"},
     "(?i:" SHORT ")|" FRONT "\\p{L}+|\\p{N}{1,3}| ?" OTHER "[\\r\\n]*|" LINES "|[" SPACE "]+(?![^" SPACE
     "])|[" SPACE "]+",
     true,
     true},
    {"smollm",
     {NULL},
     SHORT "| ?\\p{L}+|\\p{N}| ?" OTHER "|[" SPACE "]+(?![^" SPACE "\\p{N}])|[" SPACE "]+",
     false,
     false},
    {"tekken",
     {NULL},
     FRONT UPPER "*" LOWER "+|" FRONT UPPER "+" LOWER "*|\\p{N}| ?" OTHER "[\\r\\n/]*|" LINES "|[" SPACE
                 "]+(?![^" SPACE "])|[" SPACE "]+",
     true,
     true},
};

struct q35i_splitter {
    const pre_rule *rule;
    pcre2_general_context *general;
    pcre2_code *code;
    pcre2_match_context *limits;
};

struct q35i_split_work {
    const q35i_splitter *splitter;
    pcre2_match_data *match;
};

static bool is_named(const char *candidate, q35_string name)
{
    return candidate && strlen(candidate) == name.len && memcmp(candidate, name.data, name.len) == 0;
}

static const pre_rule *find_rule(q35_string name)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (is_named(rules[i].name, name))
            return &rules[i];
        for (size_t j = 0; j < sizeof rules->aliases / sizeof *rules->aliases; j++)
            if (is_named(rules[i].aliases[j], name))
                return &rules[i];
    }
    return NULL;
}

static q35_status compile(q35i_splitter *s)
{
    int error;
    PCRE2_SIZE at;
    pcre2_compile_context *context = pcre2_compile_context_create(s->general);
    if (!context)
        return Q35_E_NOMEM;
    s->code = pcre2_compile((PCRE2_SPTR)s->rule->pattern, PCRE2_ZERO_TERMINATED,
                            PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &error, &at, context);
    pcre2_compile_context_free(context);
    if (!s->code) {
        if (error == PCRE2_ERROR_HEAP_FAILED)
            return Q35_E_NOMEM;
        return Q35_FAIL(Q35_E_INTERNAL,
                        "pre-tokenizer %s: pcre2 error %d at %zu of its pattern, need Unicode support",
                        s->rule->name, error, (size_t)at);
    }
    /* Without executable memory the interpreter does the same, slower. */
    if (pcre2_jit_compile(s->code, PCRE2_JIT_COMPLETE) != 0)
        q35i_log(Q35_LOG_DEBUG, "pre-tokenizer %s: not compiled to machine code", s->rule->name);
    return Q35_OK;
}

q35_status q35i_splitter_create(q35_string name, q35i_splitter **out)
{
    enum { MATCH_LIMIT = 1 << 30, HEAP_LIMIT_KIB = 64 << 10 };
    q35_status status = Q35_OK;
    const pre_rule *rule = find_rule(name);
    *out = NULL;
    if (!rule)
        return Q35_FAIL(Q35_E_UNSUPPORTED,
                        "tokenizer.ggml.pre: '%s', need one of gpt-2, llama-bpe, smollm, tekken",
                        q35i_quote(name).text);
    q35i_splitter *s = q35i_calloc(1, sizeof *s);
    if (!s)
        return Q35_E_NOMEM;
    s->rule = rule;
    s->general = pcre2_general_context_create(q35i_alloc_hook, q35i_free_hook, NULL);
    Q35_CHECK_ALLOC_GOTO(s->general, fail);
    s->limits = pcre2_match_context_create(s->general);
    Q35_CHECK_ALLOC_GOTO(s->limits, fail);
    pcre2_set_match_limit(s->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(s->limits, HEAP_LIMIT_KIB);
    Q35_TRY_GOTO(compile(s), fail);
    *out = s;
    return Q35_OK;
fail:
    q35i_splitter_destroy(s);
    return status;
}

void q35i_splitter_destroy(q35i_splitter *splitter)
{
    if (!splitter)
        return;
    pcre2_code_free(splitter->code);
    pcre2_match_context_free(splitter->limits);
    pcre2_general_context_free(splitter->general);
    q35i_free(splitter);
}

bool q35i_splitter_whole_pieces(const q35i_splitter *splitter)
{
    return splitter->rule->whole_pieces;
}

bool q35i_splitter_adds_bos(const q35i_splitter *splitter)
{
    return splitter->rule->adds_bos;
}

q35_status q35i_split_work_create(const q35i_splitter *splitter, q35i_split_work **out)
{
    *out = NULL;
    q35i_split_work *work = q35i_calloc(1, sizeof *work);
    if (!work)
        return Q35_E_NOMEM;
    work->splitter = splitter;
    work->match = pcre2_match_data_create(1, splitter->general);
    if (!work->match) {
        q35i_free(work);
        return Q35_E_NOMEM;
    }
    *out = work;
    return Q35_OK;
}

void q35i_split_work_destroy(q35i_split_work *work)
{
    if (!work)
        return;
    pcre2_match_data_free(work->match);
    q35i_free(work);
}

/* Bytes of well-formed UTF-8 at the start of text. */
static uint64_t well_formed(const uint8_t *text, uint64_t n)
{
    uint64_t i = 0;
    while (i < n) {
        int length = q35i_utf8_char(text + i, n - i);
        if (length <= 0)
            break;
        i += (uint64_t)length;
    }
    return i;
}

static q35_status split_run(q35i_split_work *work, const uint8_t *run, uint64_t n,
                            q35_status (*fn)(void *user, const uint8_t *piece, uint64_t n), void *user)
{
    const q35i_splitter *s = work->splitter;
    for (PCRE2_SIZE at = 0; at < n;) {
        int rc = pcre2_match(s->code, run, n, at, PCRE2_NO_UTF_CHECK, work->match, s->limits);
        if (rc == PCRE2_ERROR_NOMEMORY)
            return Q35_E_NOMEM;
        PCRE2_SIZE end = rc < 0 ? at : pcre2_get_ovector_pointer(work->match)[1];
        if (end <= at)
            return Q35_FAIL(Q35_E_INTERNAL,
                            "pre-tokenizer %s: pcre2 result %d at byte %zu of %" PRIu64 ", need a piece",
                            s->rule->name, rc, (size_t)at, n);
        Q35_TRY(fn(user, run + at, end - at));
        at = end;
    }
    return Q35_OK;
}

q35_status q35i_split(q35i_split_work *work, const uint8_t *text, uint64_t n,
                      q35_status (*fn)(void *user, const uint8_t *piece, uint64_t n), void *user)
{
    for (uint64_t i = 0; i < n;) {
        uint64_t run = well_formed(text + i, n - i);
        Q35_TRY(split_run(work, text + i, run, fn, user));
        i += run;
        if (i < n)
            Q35_TRY(fn(user, text + i++, 1));
    }
    return Q35_OK;
}
