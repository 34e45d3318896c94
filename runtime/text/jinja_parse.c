/* SPDX-License-Identifier: Apache-2.0
 *
 * Statements of chat templates. Nesting is bounded, lists of statements and elif chains are not recursive. */
#include "runtime/text/jinja_parse.h"

#include "runtime/base/error.h"
#include "runtime/model/quote.h"

#include <inttypes.h>
#include <string.h>

enum { MAX_TEMPLATE = 1 << 20, HEAP_LIMIT = 256 << 20 };

q35_status q35i_jparse_wrong(const q35i_jparser *p, const char *need)
{
    const q35i_jtoken *token = &p->lexer.token;
    q35i_quoted quoted = q35i_quote(token->text);
    return Q35_FAIL(Q35_E_FORMAT, "chat template, line %" PRIu32 ": '%s' found, need %s", token->line,
                    token->kind == Q35I_JT_END ? "the end" : quoted.text, need);
}

q35_status q35i_jparse_unknown(const q35i_jparser *p, const char *what, q35_string name)
{
    return Q35_FAIL(Q35_E_UNSUPPORTED, "chat template, line %" PRIu32 ": uses %s '%s', which is not known here",
                    p->lexer.token.line, what, q35i_quote(name).text);
}

q35_status q35i_jparse_enter(q35i_jparser *p)
{
    if (++p->depth > Q35I_JINJA_DEPTH)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "chat template, line %" PRIu32 ": more than %d levels, need fewer",
                        p->lexer.token.line, Q35I_JINJA_DEPTH);
    return Q35_OK;
}

static uint32_t depth_of(const q35i_jnode *node)
{
    return node ? node->depth : 0;
}

static q35_status check_depth(const q35i_jparser *p, const q35i_jnode *node)
{
    if (node->depth > Q35I_JINJA_DEPTH)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "chat template, line %" PRIu32 ": more than %d levels, need fewer",
                        p->lexer.token.line, Q35I_JINJA_DEPTH);
    return Q35_OK;
}

q35_status q35i_jparse_node(q35i_jparser *p, q35i_jnode_kind kind, q35i_jnode *a, q35i_jnode *b, q35i_jnode **out)
{
    q35i_jnode *node = q35i_heap_take(&p->jinja->heap, 1, sizeof *node);
    if (!node)
        return p->jinja->heap.status;
    node->kind = kind;
    node->line = p->lexer.token.line;
    node->a = a;
    node->b = b;
    node->depth = 1 + (depth_of(a) > depth_of(b) ? depth_of(a) : depth_of(b));
    *out = node;
    return check_depth(p, node);
}

q35_status q35i_jparse_more(q35i_jparser *p, q35i_jnode *node, q35i_jnode **place, q35i_jnode *child)
{
    *place = child;
    if (depth_of(child) >= node->depth)
        node->depth = depth_of(child) + 1;
    return check_depth(p, node);
}

void q35i_jparse_append(q35i_jnodes *list, q35i_jnode *node)
{
    if (!list->first)
        list->first = node;
    else
        list->last->next = node;
    list->last = node;
    if (node->depth > list->first->depth)
        list->first->depth = node->depth;
}

q35_status q35i_jparse_accept(q35i_jparser *p, q35i_jtoken_kind kind, const char *text, bool *taken)
{
    *taken = q35i_jlex_is(&p->lexer, kind, text);
    return *taken ? q35i_jlex_next(&p->lexer) : Q35_OK;
}

q35_status q35i_jparse_expect(q35i_jparser *p, q35i_jtoken_kind kind, const char *text)
{
    return q35i_jlex_is(&p->lexer, kind, text) ? q35i_jlex_next(&p->lexer) : q35i_jparse_wrong(p, text);
}

static q35_status end_of(q35i_jparser *p, q35i_jtoken_kind kind, const char *need)
{
    return p->lexer.token.kind == kind ? q35i_jlex_next(&p->lexer) : q35i_jparse_wrong(p, need);
}

static q35_status intern(q35i_jparser *p, q35_string name, uint32_t *out)
{
    q35i_jinja *jinja = p->jinja;
    for (*out = 0; *out < jinja->n_names; ++*out)
        if (jinja->names[*out].len == name.len && memcmp(jinja->names[*out].data, name.data, name.len) == 0)
            return Q35_OK;
    if (jinja->n_names == Q35I_JINJA_NAMES)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "chat template, line %" PRIu32 ": more than %d variables, need fewer",
                        p->lexer.token.line, Q35I_JINJA_NAMES);
    jinja->names[jinja->n_names++] = name;
    return Q35_OK;
}

q35_status q35i_jparse_name(q35i_jparser *p, q35i_jnode **out)
{
    if (p->lexer.token.kind != Q35I_JT_NAME)
        return q35i_jparse_wrong(p, "a name");
    Q35_TRY(q35i_jparse_node(p, Q35I_JN_NAME, NULL, NULL, out));
    Q35_TRY(intern(p, p->lexer.token.text, &(*out)->name));
    return q35i_jlex_next(&p->lexer);
}

q35_status q35i_jparse_text(q35i_jparser *p, q35i_jnode_kind kind, q35_string text, q35i_jnode **out)
{
    q35i_heap *heap = &p->jinja->heap;
    Q35_TRY(q35i_jparse_node(p, kind, NULL, NULL, out));
    q35i_jstr *s = q35i_heap_take(heap, 1, sizeof *s);
    uint8_t *marks = s ? q35i_heap_take(heap, text.len, 1) : NULL;
    if (!marks)
        return heap->status;
    memset(marks, 1, text.len);
    *s = (q35i_jstr){.n = text.len, .bytes = text.data, .marks = marks};
    (*out)->value = q35i_jv_string(s);
    return Q35_OK;
}

static q35_status body(q35i_jparser *p, const char *const *ends, q35i_jnode **out);

/* Names between commas. */
static q35_status targets(q35i_jparser *p, q35i_jnode **out)
{
    q35i_jnodes list = {0};
    bool more = true, parenthesis;
    Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, "(", &parenthesis));
    while (more) {
        q35i_jnode *name = NULL;
        Q35_TRY(q35i_jparse_name(p, &name));
        q35i_jparse_append(&list, name);
        Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, ",", &more));
    }
    *out = list.first;
    return parenthesis ? q35i_jparse_expect(p, Q35I_JT_SIGN, ")") : Q35_OK;
}

static q35_status if_statement(q35i_jparser *p, q35i_jnode **out)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL}, *const last[] = {"endif", NULL};
    q35i_jnodes chain = {0};
    q35i_jnode *condition = NULL, *then = NULL, *node = NULL;
    uint32_t depth = 0;
    bool again = true, other;
    while (again) {
        Q35_TRY(q35i_jparse_expression(p, false, &condition));
        Q35_TRY(end_of(p, Q35I_JT_END_BLOCK, "%}"));
        Q35_TRY(body(p, ends, &then));
        Q35_TRY(q35i_jparse_node(p, Q35I_JN_IF, condition, then, &node));
        if (!chain.first)
            chain.first = node;
        else
            chain.last->c = node;
        if (chain.last)
            chain.last->op = 1;
        chain.last = node;
        depth = node->depth > depth ? node->depth : depth;
        Q35_TRY(q35i_jparse_accept(p, Q35I_JT_NAME, "elif", &again));
    }
    Q35_TRY(q35i_jparse_accept(p, Q35I_JT_NAME, "else", &other));
    if (other) {
        Q35_TRY(end_of(p, Q35I_JT_END_BLOCK, "%}"));
        Q35_TRY(body(p, last, &then));
        Q35_TRY(q35i_jparse_more(p, chain.last, &chain.last->c, then));
        depth = chain.last->depth > depth ? chain.last->depth : depth;
    }
    chain.first->depth = depth;
    *out = chain.first;
    return q35i_jparse_expect(p, Q35I_JT_NAME, "endif");
}

static q35_status for_statement(q35i_jparser *p, q35i_jnode **out)
{
    static const char *const ends[] = {"else", "endfor", NULL}, *const last[] = {"endfor", NULL};
    q35i_jnode *names = NULL, *over = NULL, *more = NULL, *condition = NULL, *inside = NULL, *other = NULL;
    bool taken;
    Q35_TRY(targets(p, &names));
    Q35_TRY(q35i_jparse_expect(p, Q35I_JT_NAME, "in"));
    Q35_TRY(q35i_jparse_expression(p, false, &over));
    Q35_TRY(q35i_jparse_accept(p, Q35I_JT_NAME, "if", &taken));
    if (taken)
        Q35_TRY(q35i_jparse_expression(p, true, &condition));
    if (q35i_jlex_is(&p->lexer, Q35I_JT_NAME, "recursive"))
        return q35i_jparse_unknown(p, "loop", p->lexer.token.text);
    Q35_TRY(end_of(p, Q35I_JT_END_BLOCK, "%}"));
    Q35_TRY(body(p, ends, &inside));
    Q35_TRY(q35i_jparse_accept(p, Q35I_JT_NAME, "else", &taken));
    if (taken) {
        Q35_TRY(end_of(p, Q35I_JT_END_BLOCK, "%}"));
        Q35_TRY(body(p, last, &other));
    }
    Q35_TRY(q35i_jparse_node(p, Q35I_JN_FOR_MORE, condition, other, &more));
    Q35_TRY(q35i_jparse_node(p, Q35I_JN_FOR, names, over, out));
    Q35_TRY(q35i_jparse_more(p, *out, &(*out)->c, inside));
    Q35_TRY(q35i_jparse_more(p, *out, &(*out)->d, more));
    return q35i_jparse_expect(p, Q35I_JT_NAME, "endfor");
}

/* One name, name.member, or several names. */
static q35_status set_target(q35i_jparser *p, q35i_jnode **out)
{
    q35i_jnode *member = NULL;
    bool dot;
    Q35_TRY(targets(p, out));
    Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, ".", &dot));
    if (!dot)
        return Q35_OK;
    if (p->lexer.token.kind != Q35I_JT_NAME || (*out)->next)
        return q35i_jparse_wrong(p, "a member's name");
    Q35_TRY(q35i_jparse_text(p, Q35I_JN_ATTR, p->lexer.token.text, &member));
    Q35_TRY(q35i_jparse_more(p, member, &member->a, *out));
    *out = member;
    return q35i_jlex_next(&p->lexer);
}

/* Expressions between commas make a list. */
static q35_status values(q35i_jparser *p, q35i_jnode **out)
{
    q35i_jnodes list = {0};
    q35i_jnode *value = NULL;
    bool more;
    Q35_TRY(q35i_jparse_expression(p, true, out));
    if (!q35i_jlex_is(&p->lexer, Q35I_JT_SIGN, ","))
        return Q35_OK;
    q35i_jparse_append(&list, *out);
    for (;;) {
        Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, ",", &more));
        if (!more)
            return q35i_jparse_node(p, Q35I_JN_LIST, list.first, NULL, out);
        Q35_TRY(q35i_jparse_expression(p, true, &value));
        q35i_jparse_append(&list, value);
    }
}

static q35_status set_statement(q35i_jparser *p, q35i_jnode **out)
{
    static const char *const ends[] = {"endset", NULL};
    q35i_jnode *target = NULL, *value = NULL;
    bool assigned;
    Q35_TRY(set_target(p, &target));
    Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, "=", &assigned));
    if (assigned) {
        Q35_TRY(values(p, &value));
        return q35i_jparse_node(p, Q35I_JN_SET, target, value, out);
    }
    if (target->next || p->lexer.token.kind != Q35I_JT_END_BLOCK)
        return q35i_jparse_wrong(p, "=");
    Q35_TRY(q35i_jlex_next(&p->lexer));
    Q35_TRY(body(p, ends, &value));
    Q35_TRY(q35i_jparse_node(p, Q35I_JN_SET_BLOCK, target, value, out));
    return q35i_jparse_expect(p, Q35I_JT_NAME, "endset");
}

static q35_status macro_statement(q35i_jparser *p, q35i_jnode **out)
{
    static const char *const ends[] = {"endmacro", NULL};
    q35i_jnode *name = NULL, *inside = NULL;
    q35i_jnodes parameters = {0};
    bool closed, given, comma = true;
    Q35_TRY(q35i_jparse_name(p, &name));
    Q35_TRY(q35i_jparse_expect(p, Q35I_JT_SIGN, "("));
    for (;;) {
        q35i_jnode *parameter = NULL, *standard = NULL;
        Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, ")", &closed));
        if (closed)
            break;
        if (!comma)
            return q35i_jparse_wrong(p, "a comma");
        Q35_TRY(q35i_jparse_name(p, &parameter));
        Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, "=", &given));
        if (given) {
            Q35_TRY(q35i_jparse_expression(p, true, &standard));
            Q35_TRY(q35i_jparse_more(p, parameter, &parameter->a, standard));
        }
        q35i_jparse_append(&parameters, parameter);
        Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, ",", &comma));
    }
    Q35_TRY(end_of(p, Q35I_JT_END_BLOCK, "%}"));
    Q35_TRY(body(p, ends, &inside));
    Q35_TRY(q35i_jparse_node(p, Q35I_JN_MACRO, parameters.first, inside, out));
    (*out)->name = name->name;
    p->macros[name->name] = true;
    return q35i_jparse_expect(p, Q35I_JT_NAME, "endmacro");
}

/* Marks what the assistant said, for training; the text is what stands inside. */
static q35_status generation(q35i_jparser *p, q35i_jnode **out)
{
    static const char *const ends[] = {"endgeneration", NULL};
    q35i_jnode *inside = NULL;
    Q35_TRY(end_of(p, Q35I_JT_END_BLOCK, "%}"));
    Q35_TRY(body(p, ends, &inside));
    Q35_TRY(q35i_jparse_text(p, Q35I_JN_CONST, (q35_string){"x", 1}, out));
    Q35_TRY(q35i_jparse_node(p, Q35I_JN_IF, *out, inside, out));
    return q35i_jparse_expect(p, Q35I_JT_NAME, "endgeneration");
}

/* From the word after {% to behind %}. */
static q35_status statement(q35i_jparser *p, q35i_jnode **out)
{
    static const struct {
        const char *word;
        q35_status (*parse)(q35i_jparser *p, q35i_jnode **out);
        q35i_jnode_kind kind; /* with parse NULL */
    } statements[] = {{"if", if_statement, 0},
                      {"for", for_statement, 0},
                      {"set", set_statement, 0},
                      {"macro", macro_statement, 0},
                      {"generation", generation, 0},
                      {"break", NULL, Q35I_JN_BREAK},
                      {"continue", NULL, Q35I_JN_CONTINUE}};
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        if (!q35i_jlex_is(&p->lexer, Q35I_JT_NAME, statements[i].word))
            continue;
        Q35_TRY(q35i_jlex_next(&p->lexer));
        Q35_TRY(q35i_jparse_enter(p));
        Q35_TRY(statements[i].parse ? statements[i].parse(p, out)
                                    : q35i_jparse_node(p, statements[i].kind, NULL, NULL, out));
        p->depth--;
        return end_of(p, Q35I_JT_END_BLOCK, "%}");
    }
    return p->lexer.token.kind == Q35I_JT_NAME ? q35i_jparse_unknown(p, "statement", p->lexer.token.text)
                                               : q35i_jparse_wrong(p, "a statement");
}

static q35_status output(q35i_jparser *p, q35i_jnode **out)
{
    q35i_jnode *value = NULL;
    Q35_TRY(q35i_jlex_next(&p->lexer));
    Q35_TRY(q35i_jparse_expression(p, true, &value));
    Q35_TRY(q35i_jparse_node(p, Q35I_JN_OUTPUT, value, NULL, out));
    return end_of(p, Q35I_JT_END_VALUE, "}}");
}

/* Statements up to a block that begins with one of the words, which becomes the current token; ends NULL: up to
 * the end. */
static q35_status body(q35i_jparser *p, const char *const *ends, q35i_jnode **out)
{
    q35i_jnodes list = {0};
    for (;;) {
        q35i_jnode *node = NULL;
        q35i_jtoken_kind kind = p->lexer.token.kind;
        if (kind == Q35I_JT_END && ends)
            return q35i_jparse_wrong(p, ends[0]);
        if (kind == Q35I_JT_END)
            break;
        if (kind == Q35I_JT_TEXT) {
            Q35_TRY(q35i_jparse_text(p, Q35I_JN_TEXT, p->lexer.token.text, &node));
            Q35_TRY(q35i_jlex_next(&p->lexer));
        } else if (kind == Q35I_JT_BEGIN_VALUE) {
            Q35_TRY(output(p, &node));
        } else {
            Q35_TRY(q35i_jlex_next(&p->lexer));
            for (size_t i = 0; ends && ends[i]; i++)
                if (q35i_jlex_is(&p->lexer, Q35I_JT_NAME, ends[i])) {
                    *out = list.first;
                    return Q35_OK;
                }
            Q35_TRY(statement(p, &node));
        }
        q35i_jparse_append(&list, node);
    }
    *out = list.first;
    return Q35_OK;
}

/* Calls are of macros that the template defines somewhere. */
static q35_status check_calls(const q35i_jparser *p)
{
    for (const q35i_jnode *call = p->calls; call; call = call->d)
        if (!p->macros[call->name])
            return Q35_FAIL(Q35_E_UNSUPPORTED,
                            "chat template, line %" PRIu32 ": uses function '%s', which is not known here",
                            call->line, q35i_quote(p->jinja->names[call->name]).text);
    return Q35_OK;
}

/* A copy with \n for every line end. */
static q35_status copy_source(q35i_jinja *jinja, q35_string source)
{
    char *text = q35i_heap_take(&jinja->heap, source.len, 1);
    uint64_t n = 0;
    if (!text)
        return jinja->heap.status;
    for (uint64_t i = 0; i < source.len; i++) {
        bool carriage = source.data[i] == '\r';
        text[n++] = carriage ? '\n' : source.data[i];
        if (carriage && i + 1 < source.len && source.data[i + 1] == '\n')
            i++;
    }
    jinja->source = (q35_string){text, n};
    return Q35_OK;
}

q35_status q35i_jinja_parse(q35i_jinja *jinja, q35_string source)
{
    q35i_jparser p = {.jinja = jinja};
    if (source.len > MAX_TEMPLATE)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "chat template: %" PRIu64 " bytes, need at most %d", source.len,
                        MAX_TEMPLATE);
    q35i_heap_init(&jinja->heap, HEAP_LIMIT);
    Q35_TRY(copy_source(jinja, source));
    Q35_TRY(q35i_jlex_init(&p.lexer, &jinja->heap, jinja->source.data, jinja->source.len));
    Q35_TRY(body(&p, NULL, &jinja->body));
    return check_calls(&p);
}

void q35i_jinja_free(q35i_jinja *jinja)
{
    q35i_heap_free(&jinja->heap);
    *jinja = (q35i_jinja){0};
}

bool q35i_jinja_mentions(const q35i_jinja *jinja, const char *text)
{
    size_t n = strlen(text);
    for (uint64_t i = 0; i + n <= jinja->source.len; i++)
        if (memcmp(jinja->source.data + i, text, n) == 0)
            return true;
    return false;
}

uint32_t q35i_jinja_name(const q35i_jinja *jinja, const char *name)
{
    uint32_t i = 0;
    while (i < jinja->n_names &&
           !(jinja->names[i].len == strlen(name) && memcmp(jinja->names[i].data, name, strlen(name)) == 0))
        i++;
    return i < jinja->n_names ? i : Q35I_JINJA_NAMES;
}
