/* SPDX-License-Identifier: Apache-2.0
 *
 * Parser over the option table: --name VALUE, --name=VALUE, -x VALUE, -xVALUE, bundled flags, -- ends options.
 * Every value is checked against its row; a mistake is one sentence with what was found and what is needed. */
#include "opts.h"

#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPT(commands, letter, name, kind, field, value, lo, hi, placeholder, common, help)                        \
    {commands, letter, name, kind, offsetof(cli_options, field), value, lo, hi, placeholder, common, help},
const opt_row opt_rows[] = {
#include "options.def"
};
#undef OPT
const uint32_t opt_n_rows = sizeof opt_rows / sizeof *opt_rows;

static void *member(cli_options *options, const opt_row *row)
{
    return (char *)options + row->offset;
}

static const char *choice_at(const opt_row *row, const char *text, uint32_t *out_index)
{
    const char *word = row->placeholder;
    size_t len = strlen(text);
    for (uint32_t i = 0; word; i++) {
        const char *end = strchr(word, '|');
        size_t n = end ? (size_t)(end - word) : strlen(word);
        if (n == len && memcmp(word, text, n) == 0) {
            *out_index = i;
            return word;
        }
        word = end ? end + 1 : NULL;
    }
    return NULL;
}

static int wrong_number(const opt_row *row, const char *text)
{
    if (row->kind == OPT_F32)
        return cli_fail(CLI_EXIT_USAGE, "option --%s: '%s' found, a number from %g to %g needed", row->name, text,
                        row->lo, row->hi);
    return cli_fail(CLI_EXIT_USAGE, "option --%s: '%s' found, a whole number from %.0f to %.0f needed", row->name,
                    text, row->lo, row->hi);
}

static int parse_float(const opt_row *row, const char *text, float *out)
{
    char *end;
    errno = 0;
    double v = strtod(text, &end);
    if (end == text || *end || !isfinite(v) || v < row->lo || v > row->hi)
        return wrong_number(row, text);
    *out = (float)v;
    return 0;
}

static int parse_whole(const opt_row *row, const char *text, int64_t *out_signed, uint64_t *out_unsigned)
{
    const char *digits = text[0] == '-' || text[0] == '+' ? text + 1 : text;
    if (digits[0] < '0' || digits[0] > '9')
        return wrong_number(row, text);
    char *end;
    errno = 0;
    unsigned long long v = strtoull(digits, &end, 10);
    double value = text[0] == '-' ? -(double)v : (double)v;
    if (errno || *end || value < row->lo || value > row->hi)
        return wrong_number(row, text);
    *out_unsigned = v;
    *out_signed = text[0] == '-' ? -(int64_t)v : (int64_t)v;
    return 0;
}

/* Bytes, or a number with K, M, G or T behind it (powers of 1024), which "iB" may follow. */
static int parse_size(const opt_row *row, const char *text, uint64_t *out)
{
    static const char letters[] = "KMGT";
    char *end;
    double v = text[0] >= '0' && text[0] <= '9' ? strtod(text, &end) : -1;
    const char *letter = v >= 0 && *end ? strchr(letters, *end) : NULL;
    if (letter) {
        v *= ldexp(1, 10 * (int)(letter - letters + 1));
        end += strcmp(end + 1, "iB") == 0 ? 3 : 1;
    }
    if (v < row->lo || *end || v > row->hi)
        return cli_fail(CLI_EXIT_USAGE, "option --%s: '%s' found, bytes or a size like 512M or 20G needed",
                        row->name, text);
    *out = (uint64_t)v;
    return 0;
}

static int parse_numbers(const opt_row *row, const char *text, cli_numbers *out)
{
    char item[32];
    cli_numbers list = {.n = 0};
    for (const char *p = text, *end; p; p = *end ? end + 1 : NULL) {
        int64_t s;
        uint64_t u;
        end = p + strcspn(p, ",");
        if (list.n == CLI_LIST_MAX)
            return cli_fail(CLI_EXIT_USAGE, "option --%s: more than %d numbers found, at most %d allowed",
                            row->name, CLI_LIST_MAX, CLI_LIST_MAX);
        snprintf(item, sizeof item, "%.*s", (int)(end - p), p);
        int rc = parse_whole(row, item, &s, &u);
        if (rc)
            return rc;
        list.item[list.n++] = (uint32_t)u;
    }
    *out = list;
    return 0;
}

static int set_number(cli_options *options, const opt_row *row, const char *text)
{
    int64_t s = 0;
    uint64_t u = 0;
    if (row->kind == OPT_F32)
        return parse_float(row, text, member(options, row));
    if (row->kind == OPT_SIZE)
        return parse_size(row, text, member(options, row));
    int rc = parse_whole(row, text, &s, &u);
    if (rc)
        return rc;
    if (row->kind == OPT_I32)
        *(int32_t *)member(options, row) = (int32_t)s;
    else if (row->kind == OPT_U32)
        *(uint32_t *)member(options, row) = (uint32_t)u;
    else
        *(uint64_t *)member(options, row) = u;
    return 0;
}

static int set_value(cli_options *options, const opt_row *row, const char *text)
{
    switch (row->kind) {
    case OPT_FLAG: *(int *)member(options, row) = 1; return 0;
    case OPT_COUNT: *(int *)member(options, row) += 1; return 0;
    case OPT_TEXT: *(const char **)member(options, row) = text; return 0;
    case OPT_LIST: {
        cli_list *list = member(options, row);
        if (list->n == CLI_LIST_MAX)
            return cli_fail(CLI_EXIT_USAGE, "option --%s: given more than %d times, at most %d allowed", row->name,
                            CLI_LIST_MAX, CLI_LIST_MAX);
        list->item[list->n++] = text;
        return 0;
    }
    case OPT_CHOICE:
        if (!choice_at(row, text, member(options, row)))
            return cli_fail(CLI_EXIT_USAGE, "option --%s: '%s' found, %s needed", row->name, text,
                            row->placeholder);
        return 0;
    case OPT_NUMBERS: return parse_numbers(row, text, member(options, row));
    case OPT_I32:
    case OPT_U32:
    case OPT_U64:
    case OPT_SIZE:
    case OPT_F32: return set_number(options, row, text);
    }
    return 0;
}

static int takes_value(const opt_row *row)
{
    return row->kind != OPT_FLAG && row->kind != OPT_COUNT;
}

static const opt_row *find_name(const cli_command *command, const char *name, size_t len)
{
    for (uint32_t i = 0; i < opt_n_rows; i++)
        if ((opt_rows[i].commands & command->bit) && strlen(opt_rows[i].name) == len &&
            memcmp(opt_rows[i].name, name, len) == 0)
            return &opt_rows[i];
    return NULL;
}

static const opt_row *find_letter(const cli_command *command, char letter)
{
    for (uint32_t i = 0; i < opt_n_rows; i++)
        if ((opt_rows[i].commands & command->bit) && opt_rows[i].letter == letter)
            return &opt_rows[i];
    return NULL;
}

static const char *name_at(const void *user, uint32_t i)
{
    const cli_command *command = user;
    return opt_rows[i].commands & command->bit ? opt_rows[i].name : NULL;
}

static int unknown(const cli_command *command, const char *dashes, const char *name, size_t len)
{
    char text[64];
    snprintf(text, sizeof text, "%.*s", len < sizeof text ? (int)len : (int)sizeof text - 1, name);
    const char *near = opts_nearest(text, opt_n_rows, name_at, command);
    if (near && dashes[1])
        return cli_fail(CLI_EXIT_USAGE, "unknown option %s%s: did you mean --%s?", dashes, text, near);
    return cli_fail(CLI_EXIT_USAGE, "unknown option %s%s: 'q35rt %s --help-all' lists the known ones", dashes,
                    text, command->name);
}

static int missing_value(const opt_row *row)
{
    return cli_fail(CLI_EXIT_USAGE, "option --%s: no value found, %s needed", row->name, row->placeholder);
}

static int parse_long(const cli_command *command, int argc, char **argv, int *i, cli_options *out)
{
    const char *name = argv[*i] + 2, *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    const opt_row *row = find_name(command, name, len);
    if (!row)
        return unknown(command, "--", name, len);
    if (!takes_value(row)) {
        if (equals)
            return cli_fail(CLI_EXIT_USAGE, "option --%s: value '%s' found, none needed", row->name, equals + 1);
        return set_value(out, row, NULL);
    }
    if (equals)
        return set_value(out, row, equals + 1);
    if (*i + 1 >= argc)
        return missing_value(row);
    return set_value(out, row, argv[++*i]);
}

static int parse_short(const cli_command *command, int argc, char **argv, int *i, cli_options *out)
{
    for (const char *p = argv[*i] + 1; *p; p++) {
        const opt_row *row = find_letter(command, *p);
        if (!row)
            return unknown(command, "-", p, p == argv[*i] + 1 ? strlen(p) : 1);
        if (takes_value(row)) {
            if (p[1])
                return set_value(out, row, p + 1);
            if (*i + 1 >= argc)
                return missing_value(row);
            return set_value(out, row, argv[++*i]);
        }
        int rc = set_value(out, row, NULL);
        if (rc)
            return rc;
    }
    return 0;
}

static int set_defaults(const cli_command *command, cli_options *out)
{
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < opt_n_rows; i++) {
        const opt_row *row = &opt_rows[i];
        if (!(row->commands & command->bit))
            continue;
        if (row->kind == OPT_CHOICE && !row->value)
            *(uint32_t *)member(out, row) = CLI_UNSET;
        int rc = row->value ? set_value(out, row, row->value) : 0;
        if (rc)
            return rc;
    }
    return 0;
}

static uint32_t most_args(const cli_command *command)
{
    uint32_t n = command->n_args;
    if (strstr(command->arguments, "..."))
        return UINT32_MAX;
    for (const char *p = command->arguments; *p; p++)
        n += *p == '[';
    return n;
}

int opts_parse(const cli_command *command, int argc, char **argv, cli_options *out)
{
    int rc = set_defaults(command, out), only_args = 0;
    out->args = argv;
    for (int i = 0; i < argc && rc == 0; i++) {
        const char *arg = argv[i];
        if (!only_args && strcmp(arg, "--") == 0)
            only_args = 1;
        else if (!only_args && arg[0] == '-' && arg[1] == '-')
            rc = parse_long(command, argc, argv, &i, out);
        else if (!only_args && arg[0] == '-' && arg[1])
            rc = parse_short(command, argc, argv, &i, out);
        else if (out->n_args == most_args(command))
            rc = cli_fail(CLI_EXIT_USAGE, "argument '%s': one too many for q35rt %s, which takes %s", arg,
                          command->name, *command->arguments ? command->arguments : "options only");
        else
            argv[out->n_args++] = argv[i];
    }
    if (rc || out->help || out->help_all)
        return rc;
    if (out->n_args < command->n_args)
        return cli_fail(CLI_EXIT_USAGE, "arguments of %s: %u found, %s needed", command->name, out->n_args,
                        command->arguments);
    return 0;
}
