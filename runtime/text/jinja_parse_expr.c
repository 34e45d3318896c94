/* SPDX-License-Identifier: Apache-2.0
 *
 * Expressions of chat templates, with Jinja's precedence: if-else, or, and, not, comparisons, + -, ~, * / // %,
 * signs, then what follows a value (members, calls, filters, tests). */
#include "runtime/text/jinja_parse.h"

#include "runtime/base/error.h"
#include "runtime/model/quote.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct named {
    const char *name;
    uint32_t id;
    uint32_t argument;
} named;

#define FILTER(id, spelling)     {spelling, Q35I_FILTER_##id, 0},
#define FILTER_TOO(id, spelling) {spelling, Q35I_FILTER_##id, 0},
#define TEST(id, spelling, argument)
#define TEST_TOO(id, spelling, argument)
#define METHOD(id, spelling)
#define FUNCTION(id, spelling)
static const named filters[] = {
#include "runtime/text/jinja_names.def"
    {NULL, 0, 0}};
#undef FILTER
#undef FILTER_TOO
#define FILTER(id, spelling)
#define FILTER_TOO(id, spelling)

#undef TEST
#undef TEST_TOO
#define TEST(id, spelling, argument)     {spelling, Q35I_TEST_##id, argument},
#define TEST_TOO(id, spelling, argument) {spelling, Q35I_TEST_##id, argument},
static const named tests[] = {
#include "runtime/text/jinja_names.def"
    {NULL, 0, 0}};
#undef TEST
#undef TEST_TOO
#define TEST(id, spelling, argument)
#define TEST_TOO(id, spelling, argument)

#undef METHOD
#define METHOD(id, spelling) {spelling, Q35I_METHOD_##id, 0},
static const named methods[] = {
#include "runtime/text/jinja_names.def"
    {NULL, 0, 0}};
#undef METHOD
#define METHOD(id, spelling)

#undef FUNCTION
#define FUNCTION(id, spelling) {spelling, Q35I_FUNCTION_##id, 0},
static const named functions[] = {
#include "runtime/text/jinja_names.def"
    {NULL, 0, 0}};

/* NULL: none of the table. */
static const named *look_up(const named *table, q35_string name)
{
    for (; table->name; table++)
        if (strlen(table->name) == name.len && memcmp(table->name, name.data, name.len) == 0)
            return table;
    return NULL;
}

uint32_t q35i_jinja_test(q35_string name)
{
    const named *test = look_up(tests, name);
    return test ? test->id : 0;
}

uint32_t q35i_jinja_filter(q35_string name)
{
    const named *filter = look_up(filters, name);
    return filter ? filter->id : 0;
}

static q35_status unary(q35i_jparser *p, bool with_filter, q35i_jnode **out);

/* An argument behind the opening parenthesis or a comma. */
static q35_status argument(q35i_jparser *p, q35i_jnode **out)
{
    q35i_jlexer before = p->lexer;
    q35i_jnode *keyword = NULL;
    if (p->lexer.token.kind == Q35I_JT_NAME) {
        bool assigned;
        Q35_TRY(q35i_jlex_next(&p->lexer));
        Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, "=", &assigned));
        if (assigned) {
            Q35_TRY(q35i_jparse_text(p, Q35I_JN_KEYWORD, before.token.text, &keyword));
            Q35_TRY(q35i_jparse_expression(p, true, out));
            Q35_TRY(q35i_jparse_more(p, keyword, &keyword->a, *out));
            *out = keyword;
            return Q35_OK;
        }
        p->lexer = before;
    }
    return q35i_jparse_expression(p, true, out);
}

/* Behind an opening bracket: what stands between the commas up to the closing one. */
static q35_status list(q35i_jparser *p, const char *close, q35_status (*item)(q35i_jparser *, q35i_jnode **),
                       q35i_jnode **out)
{
    q35i_jnodes nodes = {0};
    bool closed, comma = true;
    for (;;) {
        q35i_jnode *node = NULL;
        Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, close, &closed));
        if (closed)
            break;
        if (!comma)
            return q35i_jparse_wrong(p, "a comma or the closing bracket");
        Q35_TRY(item(p, &node));
        q35i_jparse_append(&nodes, node);
        Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, ",", &comma));
    }
    *out = nodes.first;
    return Q35_OK;
}

static q35_status element(q35i_jparser *p, q35i_jnode **out)
{
    return q35i_jparse_expression(p, true, out);
}

static q35_status pair(q35i_jparser *p, q35i_jnode **out)
{
    q35i_jnode *key = NULL, *value = NULL;
    Q35_TRY(q35i_jparse_expression(p, true, &key));
    Q35_TRY(q35i_jparse_expect(p, Q35I_JT_SIGN, ":"));
    Q35_TRY(q35i_jparse_expression(p, true, &value));
    return q35i_jparse_node(p, Q35I_JN_PAIR, key, value, out);
}

static q35_status constant(q35i_jparser *p, q35i_jv value, q35i_jnode **out)
{
    Q35_TRY(q35i_jparse_node(p, Q35I_JN_CONST, NULL, NULL, out));
    (*out)->value = value;
    return q35i_jlex_next(&p->lexer);
}

static q35_status number(q35i_jparser *p, q35i_jnode **out)
{
    char text[64], *end;
    q35_string token = p->lexer.token.text;
    if (token.len >= sizeof text)
        return q35i_jparse_wrong(p, "a shorter number");
    memcpy(text, token.data, token.len);
    text[token.len] = '\0';
    errno = 0;
    bool real = strpbrk(text, ".eE") != NULL;
    q35i_jv v = real ? q35i_jv_float(strtod(text, &end)) : q35i_jv_int(strtoll(text, &end, 10));
    if (*end != '\0' || errno != 0)
        return q35i_jparse_wrong(p, "a number");
    return constant(p, v, out);
}

/* Strings side by side are one. */
static q35_status strings(q35i_jparser *p, q35i_jnode **out)
{
    q35_string text = p->lexer.token.text;
    Q35_TRY(q35i_jlex_next(&p->lexer));
    while (p->lexer.token.kind == Q35I_JT_STRING) {
        q35_string more = p->lexer.token.text;
        char *both = q35i_heap_take(&p->jinja->heap, text.len + more.len, 1);
        if (!both)
            return p->jinja->heap.status;
        memcpy(both, text.data, text.len);
        memcpy(both + text.len, more.data, more.len);
        text = (q35_string){both, text.len + more.len};
        Q35_TRY(q35i_jlex_next(&p->lexer));
    }
    return q35i_jparse_text(p, Q35I_JN_CONST, text, out);
}

/* Behind "(": a value in parentheses, or a list with a comma. */
static q35_status parenthesis(q35i_jparser *p, q35i_jnode **out)
{
    q35i_jnode *first = NULL, *rest = NULL;
    bool comma, closed;
    Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, ")", &closed));
    if (closed)
        return q35i_jparse_node(p, Q35I_JN_LIST, NULL, NULL, out);
    Q35_TRY(q35i_jparse_expression(p, true, &first));
    Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, ",", &comma));
    *out = first;
    if (!comma)
        return q35i_jparse_expect(p, Q35I_JT_SIGN, ")");
    Q35_TRY(list(p, ")", element, &rest));
    first->next = rest;
    if (rest && rest->depth > first->depth)
        first->depth = rest->depth;
    return q35i_jparse_node(p, Q35I_JN_LIST, first, NULL, out);
}

static q35_status name_or_word(q35i_jparser *p, q35i_jnode **out)
{
    static const struct {
        const char *word;
        q35i_jv_kind kind;
        bool truth;
    } words[] = {{"true", Q35I_JV_BOOL, true},   {"True", Q35I_JV_BOOL, true},  {"false", Q35I_JV_BOOL, false},
                 {"False", Q35I_JV_BOOL, false}, {"none", Q35I_JV_NONE, false}, {"None", Q35I_JV_NONE, false}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (q35i_jlex_is(&p->lexer, Q35I_JT_NAME, words[i].word))
            return constant(p, words[i].kind == Q35I_JV_NONE ? q35i_jv_none() : q35i_jv_bool(words[i].truth), out);
    return q35i_jparse_name(p, out);
}

static q35_status primary(q35i_jparser *p, q35i_jnode **out)
{
    q35i_jnode *items = NULL;
    bool taken;
    switch (p->lexer.token.kind) {
    case Q35I_JT_NAME: return name_or_word(p, out);
    case Q35I_JT_NUMBER: return number(p, out);
    case Q35I_JT_STRING: return strings(p, out);
    default: break;
    }
    Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, "(", &taken));
    if (taken)
        return parenthesis(p, out);
    Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, "[", &taken));
    if (taken) {
        Q35_TRY(list(p, "]", element, &items));
        return q35i_jparse_node(p, Q35I_JN_LIST, items, NULL, out);
    }
    Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, "{", &taken));
    if (!taken)
        return q35i_jparse_wrong(p, "a value");
    Q35_TRY(list(p, "}", pair, &items));
    return q35i_jparse_node(p, Q35I_JN_DICT, items, NULL, out);
}

/* Behind "[": an index or a slice. */
static q35_status subscript(q35i_jparser *p, q35i_jnode *object, q35i_jnode **out)
{
    q35i_jnode *parts[3] = {NULL};
    bool colon = false, again = true, closed;
    int n = 0;
    while (again) {
        if (!q35i_jlex_is(&p->lexer, Q35I_JT_SIGN, ":") && !q35i_jlex_is(&p->lexer, Q35I_JT_SIGN, "]"))
            Q35_TRY(q35i_jparse_expression(p, true, &parts[n]));
        Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, ":", &again));
        colon = colon || again;
        if (again && ++n == 3)
            return q35i_jparse_wrong(p, "]");
    }
    Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, "]", &closed));
    if (!closed || (!colon && !parts[0]))
        return q35i_jparse_wrong(p, closed ? "an index" : "]");
    Q35_TRY(q35i_jparse_node(p, colon ? Q35I_JN_SLICE : Q35I_JN_INDEX, object, parts[0], out));
    if (!colon)
        return Q35_OK;
    Q35_TRY(q35i_jparse_more(p, *out, &(*out)->c, parts[1]));
    return q35i_jparse_more(p, *out, &(*out)->d, parts[2]);
}

/* Behind ".". */
static q35_status member(q35i_jparser *p, q35i_jnode *object, q35i_jnode **out)
{
    q35_string name = p->lexer.token.text;
    q35i_jnode *arguments = NULL;
    bool called;
    if (p->lexer.token.kind == Q35I_JT_NUMBER) {
        q35i_jnode *index = NULL;
        Q35_TRY(number(p, &index));
        return q35i_jparse_node(p, Q35I_JN_INDEX, object, index, out);
    }
    if (p->lexer.token.kind != Q35I_JT_NAME)
        return q35i_jparse_wrong(p, "a member's name");
    Q35_TRY(q35i_jlex_next(&p->lexer));
    Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, "(", &called));
    if (!called) {
        Q35_TRY(q35i_jparse_text(p, Q35I_JN_ATTR, name, out));
        return q35i_jparse_more(p, *out, &(*out)->a, object);
    }
    const named *method = look_up(methods, name);
    if (!method)
        return q35i_jparse_unknown(p, "method", name);
    Q35_TRY(list(p, ")", argument, &arguments));
    Q35_TRY(q35i_jparse_node(p, Q35I_JN_METHOD, object, arguments, out));
    (*out)->op = method->id;
    return Q35_OK;
}

static q35_status call(q35i_jparser *p, const q35i_jnode *callee, q35i_jnode **out)
{
    q35i_jnode *arguments = NULL;
    if (callee->kind != Q35I_JN_NAME)
        return q35i_jparse_wrong(p, "an operator: only names are called");
    const named *function = look_up(functions, p->jinja->names[callee->name]);
    Q35_TRY(list(p, ")", argument, &arguments));
    Q35_TRY(q35i_jparse_node(p, Q35I_JN_CALL, arguments, NULL, out));
    (*out)->op = function ? function->id : 0;
    (*out)->name = callee->name;
    if (!function) {
        (*out)->d = p->calls;
        p->calls = *out;
    }
    return Q35_OK;
}

static q35_status postfix(q35i_jparser *p, q35i_jnode **node)
{
    for (;;) {
        bool taken;
        Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, ".", &taken));
        if (taken) {
            Q35_TRY(member(p, *node, node));
            continue;
        }
        Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, "[", &taken));
        if (taken) {
            Q35_TRY(subscript(p, *node, node));
            continue;
        }
        Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, "(", &taken));
        if (!taken)
            return Q35_OK;
        Q35_TRY(call(p, *node, node));
    }
}

/* Behind "is". */
static q35_status test(q35i_jparser *p, q35i_jnode **node)
{
    q35i_jnode *operand = NULL;
    bool negated, parentheses;
    Q35_TRY(q35i_jparse_accept(p, Q35I_JT_NAME, "not", &negated));
    const named *known = look_up(tests, p->lexer.token.text);
    if (p->lexer.token.kind != Q35I_JT_NAME)
        return q35i_jparse_wrong(p, "a test");
    if (!known)
        return q35i_jparse_unknown(p, "test", p->lexer.token.text);
    Q35_TRY(q35i_jlex_next(&p->lexer));
    Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, "(", &parentheses));
    if (parentheses) {
        Q35_TRY(list(p, ")", element, &operand));
    } else if (known->argument) {
        Q35_TRY(primary(p, &operand));
        Q35_TRY(postfix(p, &operand));
    }
    if ((operand != NULL) != (known->argument != 0) || (operand && operand->next))
        return q35i_jparse_wrong(p, known->argument ? "one argument of the test" : "a test without argument");
    Q35_TRY(q35i_jparse_node(p, Q35I_JN_TEST, *node, operand, node));
    (*node)->op = known->id;
    return negated ? q35i_jparse_node(p, Q35I_JN_NOT, *node, NULL, node) : Q35_OK;
}

static q35_status filters_and_tests(q35i_jparser *p, q35i_jnode **node)
{
    for (;;) {
        q35i_jnode *arguments = NULL;
        bool taken;
        Q35_TRY(q35i_jparse_accept(p, Q35I_JT_NAME, "is", &taken));
        if (taken) {
            Q35_TRY(test(p, node));
            continue;
        }
        Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, "|", &taken));
        if (!taken)
            return Q35_OK;
        const named *filter = look_up(filters, p->lexer.token.text);
        if (p->lexer.token.kind != Q35I_JT_NAME)
            return q35i_jparse_wrong(p, "a filter");
        if (!filter)
            return q35i_jparse_unknown(p, "filter", p->lexer.token.text);
        Q35_TRY(q35i_jlex_next(&p->lexer));
        Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, "(", &taken));
        if (taken)
            Q35_TRY(list(p, ")", argument, &arguments));
        Q35_TRY(q35i_jparse_node(p, Q35I_JN_FILTER, *node, arguments, node));
        (*node)->op = filter->id;
    }
}

static q35_status unary(q35i_jparser *p, bool with_filter, q35i_jnode **out)
{
    bool minus, plus = false;
    Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, "-", &minus));
    if (!minus)
        Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, "+", &plus));
    Q35_TRY(q35i_jparse_enter(p));
    Q35_TRY(minus || plus ? unary(p, false, out) : primary(p, out));
    p->depth--;
    if (minus)
        Q35_TRY(q35i_jparse_node(p, Q35I_JN_MINUS, *out, NULL, out));
    Q35_TRY(postfix(p, out));
    return with_filter ? filters_and_tests(p, out) : Q35_OK;
}

typedef struct sign_op {
    const char *sign;
    q35i_jinja_op op;
} sign_op;

/* The binary operator of a level at the place. */
static q35_status accept_operator(q35i_jparser *p, const sign_op *operators, q35i_jinja_op *op, bool *taken)
{
    *taken = false;
    for (; operators->sign && !*taken; operators++) {
        Q35_TRY(q35i_jparse_accept(p, Q35I_JT_SIGN, operators->sign, taken));
        *op = operators->op;
    }
    return Q35_OK;
}

/* Levels of + -, ~ and * / // %. */
static q35_status arithmetic(q35i_jparser *p, int level, q35i_jnode **out)
{
    static const sign_op operators[3][5] = {
        {{"+", Q35I_JO_ADD}, {"-", Q35I_JO_SUB}},
        {{"~", Q35I_JO_JOIN}},
        {{"*", Q35I_JO_MUL}, {"/", Q35I_JO_DIV}, {"//", Q35I_JO_FLOOR}, {"%", Q35I_JO_MOD}}};
    q35i_jinja_op op;
    bool taken;
    if (level == 3)
        return unary(p, true, out);
    Q35_TRY(arithmetic(p, level + 1, out));
    for (;;) {
        q35i_jnode *right = NULL;
        Q35_TRY(accept_operator(p, operators[level], &op, &taken));
        if (!taken)
            return Q35_OK;
        Q35_TRY(arithmetic(p, level + 1, &right));
        Q35_TRY(q35i_jparse_node(p, Q35I_JN_BINARY, *out, right, out));
        (*out)->op = op;
    }
}

/* a < b < c means a < b and b < c. */
static q35_status comparison(q35i_jparser *p, q35i_jnode **out)
{
    static const sign_op operators[] = {{"==", Q35I_JO_EQ}, {"!=", Q35I_JO_NE}, {"<=", Q35I_JO_LE},
                                        {">=", Q35I_JO_GE}, {"<", Q35I_JO_LT},  {">", Q35I_JO_GT},
                                        {NULL, 0}};
    q35i_jnode *left = NULL, *right = NULL, *chain = NULL;
    q35i_jinja_op op;
    bool taken;
    Q35_TRY(arithmetic(p, 0, &left));
    for (;;) {
        Q35_TRY(accept_operator(p, operators, &op, &taken));
        if (!taken) {
            bool negated;
            Q35_TRY(q35i_jparse_accept(p, Q35I_JT_NAME, "not", &negated));
            op = negated ? Q35I_JO_NOT_IN : Q35I_JO_IN;
            Q35_TRY(q35i_jparse_accept(p, Q35I_JT_NAME, "in", &taken));
            if (negated && !taken)
                return q35i_jparse_wrong(p, "in");
        }
        if (!taken)
            break;
        Q35_TRY(arithmetic(p, 0, &right));
        Q35_TRY(q35i_jparse_node(p, Q35I_JN_BINARY, left, right, &left));
        left->op = op;
        if (chain)
            Q35_TRY(q35i_jparse_node(p, Q35I_JN_AND, chain, left, &chain));
        else
            chain = left;
        left = right;
    }
    *out = chain ? chain : left;
    return Q35_OK;
}

static q35_status negation(q35i_jparser *p, q35i_jnode **out)
{
    bool taken;
    Q35_TRY(q35i_jparse_accept(p, Q35I_JT_NAME, "not", &taken));
    if (!taken)
        return comparison(p, out);
    Q35_TRY(q35i_jparse_enter(p));
    Q35_TRY(negation(p, out));
    p->depth--;
    return q35i_jparse_node(p, Q35I_JN_NOT, *out, NULL, out);
}

/* Levels of or and and. */
static q35_status logic(q35i_jparser *p, bool conjunction, q35i_jnode **out)
{
    bool taken;
    Q35_TRY(conjunction ? negation(p, out) : logic(p, true, out));
    for (;;) {
        q35i_jnode *right = NULL;
        Q35_TRY(q35i_jparse_accept(p, Q35I_JT_NAME, conjunction ? "and" : "or", &taken));
        if (!taken)
            return Q35_OK;
        Q35_TRY(conjunction ? negation(p, &right) : logic(p, true, &right));
        Q35_TRY(q35i_jparse_node(p, conjunction ? Q35I_JN_AND : Q35I_JN_OR, *out, right, out));
    }
}

q35_status q35i_jparse_expression(q35i_jparser *p, bool with_if, q35i_jnode **out)
{
    bool taken;
    Q35_TRY(q35i_jparse_enter(p));
    Q35_TRY(logic(p, false, out));
    while (with_if) {
        q35i_jnode *condition = NULL, *other = NULL;
        Q35_TRY(q35i_jparse_accept(p, Q35I_JT_NAME, "if", &taken));
        if (!taken)
            break;
        Q35_TRY(logic(p, false, &condition));
        Q35_TRY(q35i_jparse_accept(p, Q35I_JT_NAME, "else", &taken));
        if (taken)
            Q35_TRY(q35i_jparse_expression(p, true, &other));
        Q35_TRY(q35i_jparse_node(p, Q35I_JN_IF_ELSE, condition, *out, out));
        Q35_TRY(q35i_jparse_more(p, *out, &(*out)->c, other));
    }
    p->depth--;
    return Q35_OK;
}
