/* SPDX-License-Identifier: Apache-2.0
 *
 * Command-line options of all commands: one struct filled from one table (options.def). Strings are borrowed from
 * argv or the environment. */
#ifndef Q35_CLI_OPTS_H
#define Q35_CLI_OPTS_H

#include <stddef.h>
#include <stdint.h>

enum {
    CLI_RUN = 1u << 0,
    CLI_EVAL = 1u << 1,
    CLI_CONVERT = 1u << 2,
    CLI_INSPECT = 1u << 3,
    CLI_VERIFY = 1u << 4,
    CLI_PLAN = 1u << 5,
    CLI_DEVICES = 1u << 6,
    CLI_TOKENIZE = 1u << 7,
    CLI_DETOKENIZE = 1u << 8,
    CLI_CHAT = 1u << 9,
    CLI_GENERATE = 1u << 10,
    CLI_COMPARE = 1u << 11,
    CLI_BENCH = 1u << 12,
    CLI_CACHE = 1u << 13,
    CLI_ALL = 0x3fff
};

enum opt_kind {
    OPT_FLAG,
    OPT_COUNT,
    OPT_TEXT,
    OPT_LIST,
    OPT_I32,
    OPT_U32,
    OPT_U64,
    OPT_SIZE,
    OPT_F32,
    OPT_NUMBERS,
    OPT_CHOICE
};

#define CLI_LIST_MAX 16
#define CLI_UNSET    UINT32_MAX /* an OPT_CHOICE without default that was not given */

typedef struct cli_list {
    const char *item[CLI_LIST_MAX];
    uint32_t n;
} cli_list;

/* Whole numbers of one option, 1,2,4; given again it replaces them. */
typedef struct cli_numbers {
    uint32_t item[CLI_LIST_MAX];
    uint32_t n;
} cli_numbers;

typedef struct cli_options {
    const char *model, *prompt, *file, *ids, *base, *against, *device, *device_b, *dump, *plot, *system, *load,
        *messages, *save_base, *multiple_choice, *synthetic, *power_budget;
    cli_list calibration, plugins, keep, only;
    cli_numbers n_prompt, n_gen, depth, batch, thread_counts;
    char **args; /* [n_args] positional arguments, in argv's memory */
    uint32_t n_args;
    uint32_t windows, window, base_act, base_kv, codec, ctx, threads, act, kv, chunk, tokens, repetitions, output,
        older;
    uint32_t gen_type, layout, arch, tied, hidden, layers, heads, kv_heads, head_dim, ffn, vocab, context;
    int32_t predict, top_k, repeat_last;
    float tolerance, target_bpw, temp, top_p, min_p, repeat_penalty, rope_base;
    uint64_t seed, memory;
    int no_tokenizer, raw, special, no_bos, as_ids, as_pieces, no_calibration, fast, linears, layer_outputs, force,
        ignore_eos, why, profile, no_cache, verify, json, quiet, verbose, help, help_all;
} cli_options;

typedef struct cli_command {
    const char *name;
    uint32_t bit; /* CLI_* */
    int (*run)(const cli_options *options);
    const char *arguments; /* "IN OUT"; behind n_args needed ones, "[TEXT]" may be left out, "[ID]..." repeated */
    uint32_t n_args;
    const char *summary;
    const char *examples; /* lines */
} cli_command;

extern const cli_command cli_commands[];
extern const uint32_t cli_n_commands;

typedef struct opt_row {
    uint32_t commands;
    char letter; /* 0: none */
    const char *name;
    enum opt_kind kind;
    size_t offset;     /* in cli_options */
    const char *value; /* default */
    double lo, hi;
    const char *placeholder;
    int common;
    const char *help;
} opt_row;

extern const opt_row opt_rows[];
extern const uint32_t opt_n_rows;

/* Fills out from defaults and argv[0..argc-1] (behind the command's name). 0, or CLI_EXIT_USAGE after a message.
 */
int opts_parse(const cli_command *command, int argc, char **argv, cli_options *out);

/* Help of one command, or (command NULL) of the program, on standard output. all: the rare options too. */
void help_command(const cli_command *command, int all);
void help_program(void);

/* Nearest of n words, at most a third of the letters away; NULL when none is near. word_at returns the i-th word,
 * NULL to skip it. */
const char *opts_nearest(const char *text, uint32_t n, const char *(*word_at)(const void *user, uint32_t i),
                         const void *user);

#endif
