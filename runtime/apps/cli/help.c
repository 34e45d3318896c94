/* SPDX-License-Identifier: Apache-2.0
 *
 * Help texts from the option table, and the nearest-word search behind "did you mean". */
#include "opts.h"

#include "cli.h"

#include <stdio.h>
#include <string.h>

#define WORD_MAX    32
#define LEFT_MOST   32 /* longest option with its words that stands on the line of its help */
#define HELP_COLUMN 27
#define COLUMNS     80

/* Optimal string alignment distance (insert, delete, replace, swap of neighbours) of words of at most WORD_MAX. */
static unsigned distance(const char *a, size_t n, const char *b, size_t m)
{
    unsigned d[WORD_MAX + 1][WORD_MAX + 1];
    for (unsigned i = 0; i <= n; i++)
        d[i][0] = i;
    for (unsigned j = 0; j <= m; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        for (size_t j = 1; j <= m; j++) {
            unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[n][m];
}

const char *opts_nearest(const char *text, uint32_t n, const char *(*word_at)(const void *user, uint32_t i),
                         const void *user)
{
    size_t len = strlen(text);
    if (len < 2 || len > WORD_MAX)
        return NULL;
    const char *nearest = NULL;
    unsigned least = len < 6 ? 3 : (unsigned)(len / 3) + 1; /* exclusive */
    for (uint32_t i = 0; i < n; i++) {
        const char *word = word_at(user, i);
        if (!word || strlen(word) > WORD_MAX)
            continue;
        unsigned d = distance(text, len, word, strlen(word));
        if (d < least) {
            least = d;
            nearest = word;
        }
    }
    return nearest;
}

/* Words of a choice in lines below its help, broken behind a '|'. */
static void print_words(const char *words)
{
    while (*words) {
        size_t len = 0;
        for (size_t i = 0; words[i] && i < COLUMNS - HELP_COLUMN; i++)
            if (words[i] == '|' || !words[i + 1])
                len = i + 1;
        if (len == 0)
            len = strlen(words);
        printf("%*s%.*s\n", HELP_COLUMN, "", (int)len, words);
        words += len;
    }
}

static void print_row(const opt_row *row)
{
    char left[64];
    const char *value = row->placeholder;
    int n = row->letter ? snprintf(left, sizeof left, "-%c, ", row->letter) : snprintf(left, sizeof left, "    ");
    int below = row->kind == OPT_CHOICE && strlen(row->name) + strlen(value) > LEFT_MOST;
    if (below)
        value = "WORD";
    snprintf(left + n, sizeof left - (size_t)n, "--%s%s%s", row->name, value ? " " : "", value ? value : "");
    printf("  %-24s %s", left, row->help);
    if (row->value && strcmp(row->value, "0") != 0)
        printf(" [%s]", row->value);
    putchar('\n');
    if (below)
        print_words(row->placeholder);
}

void help_command(const cli_command *command, int all)
{
    printf("%s", command->examples);
    printf("\nusage: q35rt %s%s%s [OPTION]...\n%s\n\n", command->name, *command->arguments ? " " : "",
           command->arguments, command->summary);
    for (uint32_t i = 0; i < opt_n_rows; i++)
        if ((opt_rows[i].commands & command->bit) && (all || opt_rows[i].common))
            print_row(&opt_rows[i]);
}

void help_program(void)
{
    printf("  q35rt -m model.gguf -p \"Why is the sky blue?\"\n"
           "  q35rt convert model.gguf model-q35.gguf\n"
           "  q35rt eval -m model-q35.gguf -f text.txt --base model.gguf\n\n"
           "usage: q35rt [COMMAND] [OPTION]...\n\n");
    for (uint32_t i = 0; i < cli_n_commands; i++)
        printf("  %-14s %s\n", cli_commands[i].name, cli_commands[i].summary);
    printf("\n'run' may be left out. 'q35rt COMMAND --help' lists a command's options, 'q35rt --version' the "
           "version.\n"
           "Exit codes: 0 ok, 1 failed or differs, 2 usage, 3 model file, 4 device or plugin, 5 does not fit,\n"
           "8 power budget not held, 128 + n ended by signal n.\n");
}
