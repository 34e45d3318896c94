/* SPDX-License-Identifier: Apache-2.0
 *
 * The option parser: every row of the table can be given in every spelling, and mistakes say what was found and
 * needed. The program's cli_fail is replaced by one that keeps the message. */
#include "cli/fail_recorder.h"
#include "runtime/apps/cli/cli.h"
#include "support/suite.h"

#include <stdlib.h>
#include <string.h>

const cli_command cli_commands[] = {
    {"run", CLI_RUN, NULL, "", 0, "", ""},
    {"eval", CLI_EVAL, NULL, "", 0, "", ""},
    {"convert", CLI_CONVERT, NULL, "IN OUT", 2, "", ""},
    {"inspect", CLI_INSPECT, NULL, "FILE", 1, "", ""},
    {"verify", CLI_VERIFY, NULL, "FILE", 1, "", ""},
    {"plan", CLI_PLAN, NULL, "", 0, "", ""},
    {"devices", CLI_DEVICES, NULL, "", 0, "", ""},
    {"tokenize", CLI_TOKENIZE, NULL, "[TEXT]", 0, "", ""},
    {"detokenize", CLI_DETOKENIZE, NULL, "[ID]...", 0, "", ""},
    {"chat", CLI_CHAT, NULL, "", 0, "", ""},
    {"bench", CLI_BENCH, NULL, "", 0, "", ""},
};
const uint32_t cli_n_commands = sizeof cli_commands / sizeof *cli_commands;

#define MAX_ARGS 24

/* Splits text at spaces and parses it for a command. */
static int parse(uint32_t command, const char *text, cli_options *out)
{
    static char copy[512];
    static char *argv[MAX_ARGS];
    int argc = 0;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok(copy, " "); word && argc < MAX_ARGS; word = strtok(NULL, " "))
        argv[argc++] = word;
    message[0] = '\0';
    return opts_parse(&cli_commands[command], argc, argv, out);
}

enum { RUN, EVAL, CONVERT, INSPECT, VERIFY, PLAN, DEVICES, TOKENIZE, DETOKENIZE, CHAT, BENCH };

START_TEST(defaults_are_set)
{
    cli_options o;
    ck_assert_int_eq(parse(RUN, "", &o), 0);
    ck_assert_int_eq(o.predict, 512);
    ck_assert_int_eq(o.repeat_last, 64);
    ck_assert(o.top_p == 1.0f && o.repeat_penalty == 1.0f && o.temp == 0.0f);
    ck_assert_uint_eq(o.act, 0);
    ck_assert_ptr_null(o.prompt);
    ck_assert_int_eq(parse(CHAT, "", &o), 0);
    ck_assert_int_eq(o.predict, -1);
    ck_assert_int_eq(parse(EVAL, "", &o), 0);
    ck_assert_uint_eq(o.base_act, CLI_UNSET);
    ck_assert_uint_eq(o.window, 0);
}
END_TEST

START_TEST(lists_of_numbers)
{
    cli_options o;
    ck_assert_int_eq(parse(BENCH, "", &o), 0);
    ck_assert(o.n_prompt.n == 1 && o.n_prompt.item[0] == 512 && o.depth.n == 1 && o.depth.item[0] == 0);
    ck_assert_int_eq(parse(BENCH, "-p 1,2,300 -n0 --n-depth=7,8", &o), 0);
    ck_assert(o.n_prompt.n == 3 && o.n_prompt.item[0] == 1 && o.n_prompt.item[2] == 300);
    ck_assert(o.n_gen.n == 1 && o.n_gen.item[0] == 0 && o.depth.n == 2 && o.depth.item[1] == 8);
    ck_assert_int_eq(parse(BENCH, "-p 1,2 -p 9", &o), 0);
    ck_assert(o.n_prompt.n == 1 && o.n_prompt.item[0] == 9);
    static const char *const wrong[] = {"-p 1,", "-p ,1", "-p 1,x", "-p -1", "-p 9999999", "-b 0"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_int_eq(parse(BENCH, wrong[i], &o), 2);
        ck_assert_ptr_nonnull(strstr(message, "a whole number from"));
    }
    ck_assert_int_eq(parse(BENCH, "-p 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", &o), 2);
    ck_assert_ptr_nonnull(strstr(message, "at most 16"));
}
END_TEST

START_TEST(spellings)
{
    cli_options o;
    ck_assert_int_eq(parse(RUN, "-m a --prompt b -n5 --top-k=40 --temp 0.5 -qv -vv --act f32", &o), 0);
    ck_assert_str_eq(o.model, "a");
    ck_assert_str_eq(o.prompt, "b");
    ck_assert_int_eq(o.predict, 5);
    ck_assert_int_eq(o.top_k, 40);
    ck_assert(o.temp == 0.5f);
    ck_assert_int_eq(o.quiet, 1);
    ck_assert_int_eq(o.verbose, 3);
    ck_assert_uint_eq(o.act, 1);
    ck_assert_int_eq(parse(RUN, "-n -1 -s 18446744073709549568", &o), 0);
    ck_assert_int_eq(o.predict, -1);
    ck_assert(o.seed == 18446744073709549568u);
    ck_assert_int_eq(parse(CONVERT, "in -- --out", &o), 0);
    ck_assert_str_eq(o.args[1], "--out");
    ck_assert_int_eq(parse(DETOKENIZE, "1 -m file 2 --special 3", &o), 0);
    ck_assert_uint_eq(o.n_args, 3);
    ck_assert_str_eq(o.args[1], "2");
    ck_assert_str_eq(o.args[2], "3");
    ck_assert_str_eq(o.model, "file");
    ck_assert_int_eq(parse(TOKENIZE, "-m file", &o), 0);
    ck_assert_uint_eq(o.n_args, 0);
    ck_assert_int_eq(parse(CONVERT, "--calibration a in --calibration b out", &o), 0);
    ck_assert_uint_eq(o.calibration.n, 2);
    ck_assert_str_eq(o.calibration.item[1], "b");
}
END_TEST

START_TEST(sizes)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {{"1", 1},
                 {"3000000", 3000000},
                 {"64K", 65536},
                 {"512M", UINT64_C(512) << 20},
                 {"20G", UINT64_C(20) << 30},
                 {"20GiB", UINT64_C(20) << 30},
                 {"1.5G", UINT64_C(3) << 29},
                 {"2T", UINT64_C(2) << 40}};
    char text[64];
    cli_options o;
    ck_assert_int_eq(parse(CONVERT, "a b", &o), 0);
    ck_assert_uint_eq(o.memory, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "a b --memory %s", cases[i].text);
        ck_assert_int_eq(parse(CONVERT, text, &o), 0);
        ck_assert_msg(o.memory == cases[i].bytes, "--memory %s: %llu bytes", cases[i].text,
                      (unsigned long long)o.memory);
    }
}
END_TEST

static const struct {
    uint32_t command;
    const char *text, *expected;
} mistakes[] = {
    {RUN, "--tmep 1", "unknown option --tmep: did you mean --temp?"},
    {RUN, "--promt=x", "unknown option --promt: did you mean --prompt?"},
    {RUN, "--quite", "unknown option --quite: did you mean --quiet?"},
    {RUN, "--zzzzzzzz", "unknown option --zzzzzzzz: 'q35rt run --help-all' lists the known ones"},
    {DEVICES, "-m x", "unknown option -m: 'q35rt devices --help-all' lists the known ones"},
    {RUN, "-n", "option --predict: no value found, N needed"},
    {RUN, "-n 1x", "option --predict: '1x' found, a whole number from -1 to 1000000000 needed"},
    {RUN, "-n -2", "option --predict: '-2' found, a whole number from -1 to 1000000000 needed"},
    {RUN, "-n 99999999999999999999",
     "option --predict: '99999999999999999999' found, a whole number from -1 to 1000000000 needed"},
    {RUN, "--temp nan", "option --temp: 'nan' found, a number from 0 to 100 needed"},
    {RUN, "--temp -0.1", "option --temp: '-0.1' found, a number from 0 to 100 needed"},
    {RUN, "--kv-type q4", "option --kv-type: 'q4' found, f16|f32|q8 needed"},
    {RUN, "--kv-type f", "option --kv-type: 'f' found, f16|f32|q8 needed"},
    {CONVERT, "--memory 0", "option --memory: '0' found, bytes or a size like 512M or 20G needed"},
    {CONVERT, "--memory 12Q", "option --memory: '12Q' found, bytes or a size like 512M or 20G needed"},
    {CONVERT, "--memory G", "option --memory: 'G' found, bytes or a size like 512M or 20G needed"},
    {CONVERT, "--memory -1G", "option --memory: '-1G' found, bytes or a size like 512M or 20G needed"},
    {CONVERT, "--memory 1Gi", "option --memory: '1Gi' found, bytes or a size like 512M or 20G needed"},
    {CONVERT, "--memory 1e300", "option --memory: '1e300' found, bytes or a size like 512M or 20G needed"},
    {CONVERT, "--memory=", "option --memory: '' found, bytes or a size like 512M or 20G needed"},
    {CHAT, "--json", "unknown option --json: 'q35rt chat --help-all' lists the known ones"},
    {RUN, "--raw=yes", "option --raw: value 'yes' found, none needed"},
    {RUN, "word", "argument 'word': one too many for q35rt run, which takes options only"},
    {TOKENIZE, "a b", "argument 'b': one too many for q35rt tokenize, which takes [TEXT]"},
    {CONVERT, "a", "arguments of convert: 1 found, IN OUT needed"},
    {CONVERT, "a b c", "argument 'c': one too many for q35rt convert, which takes IN OUT"},
};

START_TEST(mistakes_are_explained)
{
    cli_options o;
    ck_assert_int_eq(parse(mistakes[_i].command, mistakes[_i].text, &o), CLI_EXIT_USAGE);
    ck_assert_str_eq(message, mistakes[_i].expected);
}
END_TEST

START_TEST(lists_are_bounded)
{
    char text[512] = "in out";
    cli_options o;
    for (int i = 0; i < CLI_LIST_MAX + 1; i++)
        strcat(text, " --calibration=f");
    ck_assert_int_eq(parse(CONVERT, text, &o), CLI_EXIT_USAGE);
}
END_TEST

/* A value every kind accepts: choices take their first word, numbers their lower end. */
static void sample_value(const opt_row *row, char out[32])
{
    if (row->kind == OPT_CHOICE)
        snprintf(out, 32, "%.*s", (int)strcspn(row->placeholder, "|"), row->placeholder);
    else if (row->kind == OPT_TEXT || row->kind == OPT_LIST)
        snprintf(out, 32, "text");
    else
        snprintf(out, 32, "%.15g", row->lo);
}

START_TEST(every_row_parses)
{
    const opt_row *row = &opt_rows[_i];
    int flag = row->kind == OPT_FLAG || row->kind == OPT_COUNT;
    char value[32], text[128];
    sample_value(row, value);
    for (uint32_t c = 0; c < cli_n_commands; c++) {
        if (!(row->commands & cli_commands[c].bit))
            continue;
        const char *arguments = cli_commands[c].n_args == 2 ? "a b" : cli_commands[c].n_args ? "a" : "";
        cli_options o;
        snprintf(text, sizeof text, flag ? "%s --%s" : "%s --%s %s", arguments, row->name, value);
        ck_assert_msg(parse(c, text, &o) == 0, "%s: %s", text, message);
        if (row->letter) {
            snprintf(text, sizeof text, flag ? "%s -%c" : "%s -%c %s", arguments, row->letter, value);
            ck_assert_msg(parse(c, text, &o) == 0, "%s: %s", text, message);
        }
    }
}
END_TEST

START_TEST(names_are_unique)
{
    for (uint32_t i = 0; i < opt_n_rows; i++)
        for (uint32_t j = i + 1; j < opt_n_rows; j++) {
            if (!(opt_rows[i].commands & opt_rows[j].commands))
                continue;
            ck_assert_str_ne(opt_rows[i].name, opt_rows[j].name);
            ck_assert(!opt_rows[i].letter || opt_rows[i].letter != opt_rows[j].letter);
        }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("opts");
    TCase *all = tcase_create("all");
    tcase_add_test(all, defaults_are_set);
    tcase_add_test(all, spellings);
    tcase_add_test(all, lists_of_numbers);
    tcase_add_test(all, sizes);
    tcase_add_loop_test(all, mistakes_are_explained, 0, sizeof mistakes / sizeof *mistakes);
    tcase_add_test(all, lists_are_bounded);
    tcase_add_loop_test(all, every_row_parses, 0, (int)opt_n_rows);
    tcase_add_test(all, names_are_unique);
    suite_add_tcase(suite, all);
    return q35t_run(suite);
}
