/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt: picks the command, parses its options, runs it. */
#include "cli.h"
#include "commands.h"

#include <string.h>

const cli_command cli_commands[] = {
    {"run", CLI_RUN, cmd_run, "", 0, "generate text from a prompt",
     "  q35rt -m model.gguf -p \"Why is the sky blue?\"\n"
     "  q35rt -m model.gguf -f prompt.txt -n 100 --temp 0.8 --top-p 0.95 --seed 7\n"},
    {"chat", CLI_CHAT, cmd_chat, "", 0, "talk with a model",
     "  q35rt chat -m model.gguf\n"
     "  q35rt chat -m model.gguf --system \"Answer in one sentence.\" --load talk.json\n"},
    {"eval", CLI_EVAL, cmd_eval, "", 0, "perplexity of a text, and distance to another model",
     "  q35rt eval -m model-q35.gguf -f text.txt --base model.gguf\n"
     "  q35rt eval -m model.gguf -f text.txt --save-base base\n"
     "  q35rt eval -m model-q35.gguf --base base\n"
     "  q35rt eval -m model-q35.gguf --multiple-choice questions.jsonl\n"},
    {"compare", CLI_COMPARE, cmd_compare, "A [B]", 1, "two models, devices or runs, value by value",
     "  q35rt compare model.gguf model-q35.gguf -p \"Why is the sky blue?\" --layers\n"
     "  q35rt compare model.gguf --device cpu --device-b template,cpu -p \"Hello\"\n"
     "  q35rt compare model.gguf logits.f32 --ids 1,2,3\n"},
    {"convert", CLI_CONVERT, cmd_convert, "IN OUT", 2, "write a 3.5-bit file of a model",
     "  q35rt convert model.gguf model-q35.gguf\n"
     "  q35rt convert model.gguf model-q35.gguf --calibration my-text.txt\n"},
    {"inspect", CLI_INSPECT, cmd_inspect, "FILE", 1, "metadata, tensors and sizes of a file",
     "  q35rt inspect model-q35.gguf\n"},
    {"verify", CLI_VERIFY, cmd_verify, "FILE", 1, "check a 3.5-bit file, alone or against its source",
     "  q35rt verify model-q35.gguf --against model.gguf\n"},
    {"plan", CLI_PLAN, cmd_plan, "", 0, "graph, placement and plan of a step",
     "  q35rt plan -m model.gguf --device template,cpu\n"
     "  q35rt plan -m model.gguf --tokens 128\n"},
    {"generate-model", CLI_GENERATE, cmd_generate_model, "SHAPE OUT", 2, "random weights in the shape of a model",
     "  q35rt generate-model ministral3-8b random-8b.gguf\n"
     "  q35rt generate-model llama3-8b random-8b --layout hf --type f8_e4m3\n"
     "  q35rt generate-model ministral3-14b two-layers.gguf --layers 2 --type q4_k\n"
     "  q35rt generate-model custom tiny.gguf --hidden 64 --layers 2 --heads 4 \\\n"
     "      --kv-heads 2 --ffn 128 --vocab 300\n"},
    {"bench", CLI_BENCH, cmd_bench, "", 0, "speed of a model, and how near the machine's limits",
     "  q35rt bench -m model-q35.gguf\n"
     "  q35rt bench --synthetic ministral3-8b -p 512 -n 64 -t 2\n"
     "  q35rt bench -m model.gguf -p 0 -n 64 -d 0,1024,4096 -t 1,2 -o csv\n"},
    {"cache", CLI_CACHE, cmd_cache, "list|clear", 1, "packed weights on disk: what there is, and removing it",
     "  q35rt cache list\n"
     "  q35rt cache clear --older 30\n"
     "  q35rt cache clear -m model-q35.gguf\n"},
    {"devices", CLI_DEVICES, cmd_devices, "", 0, "devices and plugins of this machine", "  q35rt devices --why\n"},
    {"tokenize", CLI_TOKENIZE, cmd_tokenize, "[TEXT]", 0, "token ids of a text",
     "  q35rt tokenize -m model.gguf \"Hello, world\"\n"
     "  q35rt tokenize -m model.gguf --pieces -f text.txt\n"},
    {"detokenize", CLI_DETOKENIZE, cmd_detokenize, "[ID]...", 0, "text of token ids",
     "  q35rt detokenize -m model.gguf 1 22177 1044\n"
     "  q35rt tokenize -m model.gguf -f text.txt | q35rt detokenize -m model.gguf\n"},
};
const uint32_t cli_n_commands = sizeof cli_commands / sizeof *cli_commands;

static const cli_command *find_command(const char *name)
{
    for (uint32_t i = 0; i < cli_n_commands; i++)
        if (strcmp(cli_commands[i].name, name) == 0)
            return &cli_commands[i];
    return NULL;
}

static const char *command_at(const void *user, uint32_t i)
{
    (void)user;
    return cli_commands[i].name;
}

static int unknown_command(const char *name)
{
    const char *near = opts_nearest(name, cli_n_commands, command_at, NULL);
    if (near)
        return cli_fail(CLI_EXIT_USAGE, "unknown command '%s': did you mean %s?", name, near);
    return cli_fail(CLI_EXIT_USAGE, "unknown command '%s': 'q35rt --help' lists the known ones", name);
}

static void log_line(void *user, int level, const char *line)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    (void)user;
    fprintf(stderr, "q35rt: %s: ", names[level < 0 || level > Q35_LOG_DEBUG ? Q35_LOG_DEBUG : level]);
    cli_print_safe(stderr, line, strlen(line));
    fputc('\n', stderr);
}

static int run_command(const cli_command *command, int argc, char **argv)
{
    cli_options options;
    int rc = opts_parse(command, argc, argv, &options);
    if (rc)
        return rc;
    if (options.help || options.help_all) {
        help_command(command, options.help_all);
        return 0;
    }
    int level = options.quiet ? Q35_LOG_ERROR : Q35_LOG_WARN + options.verbose;
    q35_log_set(log_line, NULL, level > Q35_LOG_DEBUG ? Q35_LOG_DEBUG : level);
    return command->run(&options);
}

static int print_version(void)
{
    printf("q35rt %s (library %s, plugin ABI %u.%u)\n", Q35_VERSION_STRING, q35_version(), Q35_ABI_MAJOR,
           Q35_ABI_MINOR);
    return 0;
}

static int dispatch(int argc, char **argv)
{
    const char *first = argc > 1 ? argv[1] : NULL;
    if (!first) {
        help_program();
        return CLI_EXIT_USAGE;
    }
    if (strcmp(first, "--version") == 0)
        return print_version();
    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0 || strcmp(first, "help") == 0) {
        const cli_command *about = argc > 2 ? find_command(argv[2]) : NULL;
        if (argc > 2 && !about)
            return unknown_command(argv[2]);
        if (about)
            help_command(about, 0);
        else
            help_program();
        return 0;
    }
    const cli_command *command = find_command(first);
    if (command)
        return run_command(command, argc - 2, argv + 2);
    if (first[0] != '-')
        return unknown_command(first);
    return run_command(&cli_commands[0], argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    cli_streams_init();
    cli_signals_init(1);
    cli_crash_init();
    return cli_close_out(dispatch(argc, argv));
}
