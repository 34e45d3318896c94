/* SPDX-License-Identifier: Apache-2.0
 *
 * Expressions are the user's own, but may still be such that backtracking has no end: steps, depth and memory of a
 * match are limited, and an expression that hits a limit is not tried again. Names and patterns are bytes. */
#include "runtime/session/rules.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/model/quote.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <inttypes.h>
#include <pcre2.h>
#include <string.h>

enum { EXAMPLES = 3, LONGEST_PATTERN = 4096 };

typedef struct rule {
    const char *kind; /* "keep" or "only" */
    q35i_quoted text;
    pcre2_code *code;
    uint64_t matches;
    int error; /* of PCRE2, in matching; 0: none */
    q35i_quoted failed_on;
} rule;

struct q35i_rules {
    pcre2_general_context *general;
    pcre2_compile_context *compiling;
    pcre2_match_context *limits;
    pcre2_match_data *match;
    rule *rules; /* keep, then only */
    uint32_t n, n_keep;
    uint32_t n_examples;
    uint64_t n_names;
    q35i_quoted examples[EXAMPLES];
};

static q35i_quoted quote(const char *text)
{
    return q35i_quote((q35_string){text, strlen(text)});
}

static q35_status compile(const q35i_rules *rules, const char *text, rule *out)
{
    PCRE2_UCHAR reason[128];
    PCRE2_SIZE at;
    int error;
    out->text = quote(text);
    if (!*text)
        return Q35_FAIL(Q35_E_INVALID, "%s: empty regular expression found, one with a pattern needed", out->kind);
    out->code =
        pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
                      PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &at, rules->compiling);
    if (out->code)
        return Q35_OK;
    if (error == PCRE2_ERROR_HEAP_FAILED)
        return Q35_E_NOMEM;
    if (pcre2_get_error_message(error, reason, sizeof reason) < 0 && !*reason)
        memcpy(reason, "unknown error", sizeof "unknown error");
    return Q35_FAIL(Q35_E_INVALID, "%s '%s': at byte %zu: %s; a regular expression needed", out->kind,
                    out->text.text, (size_t)at, (const char *)reason);
}

static q35_status create_contexts(q35i_rules *rules)
{
    enum { MATCH_LIMIT = 100000, DEPTH_LIMIT = 10000, HEAP_LIMIT_KIB = 8 << 10 };
    rules->general = pcre2_general_context_create(q35i_alloc_hook, q35i_free_hook, NULL);
    if (!rules->general)
        return Q35_E_NOMEM;
    rules->compiling = pcre2_compile_context_create(rules->general);
    rules->limits = pcre2_match_context_create(rules->general);
    rules->match = pcre2_match_data_create(1, rules->general);
    if (!rules->compiling || !rules->limits || !rules->match)
        return Q35_E_NOMEM;
    pcre2_set_max_pattern_length(rules->compiling, LONGEST_PATTERN);
    pcre2_set_match_limit(rules->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(rules->limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(rules->limits, HEAP_LIMIT_KIB);
    return Q35_OK;
}

q35_status q35i_rules_create(const q35i_rule_texts *texts, q35i_rules **out)
{
    q35_status status = Q35_OK;
    *out = NULL;
    q35i_rules *rules = q35i_calloc(1, sizeof *rules);
    if (!rules)
        return Q35_E_NOMEM;
    rules->rules = q35i_calloc((uint64_t)texts->n_keep + texts->n_only, sizeof *rules->rules);
    Q35_CHECK_ALLOC_GOTO(rules->rules, fail);
    Q35_TRY_GOTO(create_contexts(rules), fail);
    rules->n_keep = texts->n_keep;
    for (uint32_t i = 0; i < texts->n_keep + texts->n_only; i++) {
        int is_keep = i < texts->n_keep;
        rules->rules[i].kind = is_keep ? "keep" : "only";
        rules->n = i + 1;
        Q35_TRY_GOTO(compile(rules, is_keep ? texts->keep[i] : texts->only[i - texts->n_keep], &rules->rules[i]),
                     fail);
    }
    *out = rules;
    return Q35_OK;
fail:
    q35i_rules_destroy(rules);
    return status;
}

void q35i_rules_destroy(q35i_rules *rules)
{
    if (!rules)
        return;
    for (uint32_t i = 0; i < rules->n; i++)
        pcre2_code_free(rules->rules[i].code);
    pcre2_match_data_free(rules->match);
    pcre2_match_context_free(rules->limits);
    pcre2_compile_context_free(rules->compiling);
    pcre2_general_context_free(rules->general);
    q35i_free(rules->rules);
    q35i_free(rules);
}

static bool matches(const q35i_rules *rules, rule *r, const char *name)
{
    if (r->error)
        return false;
    int rc = pcre2_match(r->code, (PCRE2_SPTR)name, PCRE2_ZERO_TERMINATED, 0, 0, rules->match, rules->limits);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) {
        r->error = rc;
        r->failed_on = quote(name);
    }
    r->matches += rc >= 0;
    return rc >= 0;
}

bool q35i_rules_quantise(q35i_rules *rules, const char *name)
{
    bool is_kept = false, is_chosen = rules->n_keep == rules->n;
    if (rules->n_examples < EXAMPLES)
        rules->examples[rules->n_examples++] = quote(name);
    rules->n_names++;
    for (uint32_t i = 0; i < rules->n; i++) {
        bool found = matches(rules, &rules->rules[i], name);
        is_kept |= found && i < rules->n_keep;
        is_chosen |= found && i >= rules->n_keep;
    }
    return is_chosen && !is_kept;
}

static q35_status fail_unused(const q35i_rules *rules, const rule *r)
{
    const q35i_quoted *e = rules->examples;
    return Q35_FAIL(Q35_E_INVALID,
                    "%s '%s': matches none of %" PRIu64
                    " linear tensors, need at least one; names are like %s%s%s%s%s",
                    r->kind, r->text.text, rules->n_names, e[0].text, rules->n_examples > 1 ? ", " : "", e[1].text,
                    rules->n_examples > 2 ? ", " : "", e[2].text);
}

q35_status q35i_rules_check(const q35i_rules *rules)
{
    for (uint32_t i = 0; i < rules->n; i++) {
        const rule *r = &rules->rules[i];
        if (r->error == PCRE2_ERROR_NOMEMORY)
            return Q35_FAIL(Q35_E_NOMEM, "%s '%s': out of memory on tensor %s", r->kind, r->text.text,
                            r->failed_on.text);
        if (r->error)
            return Q35_FAIL(Q35_E_INVALID,
                            "%s '%s': gave up on tensor %s after too many steps (pcre2 result %d), a regular "
                            "expression with less backtracking needed",
                            r->kind, r->text.text, r->failed_on.text, r->error);
        if (r->matches == 0)
            return fail_unused(rules, r);
    }
    return Q35_OK;
}
