/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt tokenize and detokenize: between text and token ids. Only the tokenizer of the file is read. */
#define _GNU_SOURCE
#include "commands.h"
#include "engine.h"
#include "ids.h"
#include "json_out.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int open_tokenizer(const cli_options *options, cli_engine *engine)
{
    const char *path;
    int rc = cli_model_path(options, &path);
    if (rc)
        return rc;
    q35_status status = q35_model_open_tokenizer(path, &engine->model);
    if (status != Q35_OK)
        return cli_fail_status(status, CLI_WHILE_OPENING_MODEL);
    return cli_open_tokenizer(engine);
}

/* At most one source; without any, standard input unless a person sits there. */
static int check_sources(int given, const char *names)
{
    if (given > 1)
        return cli_fail(CLI_EXIT_USAGE, "%d of %s found, one needed", given, names);
    if (given == 0 && isatty(STDIN_FILENO))
        return cli_fail(CLI_EXIT_USAGE, "0 of %s found, one needed (or standard input)", names);
    return 0;
}

/* ---- tokenize ---- */

/* *out_read: memory to free, NULL when the text is in the arguments. */
static int read_text(const cli_options *options, const char **out_text, uint64_t *out_len, char **out_read)
{
    *out_text = options->prompt ? options->prompt : options->n_args ? options->args[0] : NULL;
    *out_read = NULL;
    if (*out_text) {
        *out_len = strlen(*out_text);
        return 0;
    }
    int rc = cli_read_file(options->file ? options->file : "-", "text file", out_read, out_len);
    *out_text = *out_read;
    return rc;
}

static int is_utf8(const char *text, uint64_t len)
{
    json_t *value = json_stringn(text, (size_t)len);
    int valid = value != NULL;
    json_decref(value);
    return valid;
}

/* One line whatever the token is: \n, \t, \r, \\ and \xNN for other control characters and bytes that are no text.
 */
static void print_piece(const char *piece, uint64_t len)
{
    static const char escaped[] = "\n\t\r\\", letters[] = "ntr\\";
    int text = is_utf8(piece, len);
    for (uint64_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)piece[i];
        const char *special = c ? strchr(escaped, c) : NULL;
        if (special)
            printf("\\%c", letters[special - escaped]);
        else if (c < 32 || c == 127 || (c >= 128 && !text))
            printf("\\x%02x", c);
        else
            putchar(c);
    }
}

static void print_pieces(const q35_tokenizer *tokenizer, const int32_t *ids, uint64_t n)
{
    for (uint64_t i = 0; i < n && !ferror(stdout); i++) {
        uint64_t len;
        const char *piece = q35_tokenizer_piece(tokenizer, ids[i], &len);
        printf("%" PRId32 "\t", ids[i]);
        print_piece(piece, len);
        putchar('\n');
    }
}

static void print_ids(const int32_t *ids, uint64_t n)
{
    for (uint64_t i = 0; i < n && !ferror(stdout); i++)
        printf(i ? " %" PRId32 : "%" PRId32, ids[i]);
    putchar('\n');
}

static int print_json(const q35_tokenizer *tokenizer, const int32_t *ids, uint64_t n)
{
    json_t *list = json_array(), *pieces = json_array();
    for (uint64_t i = 0; i < n; i++) {
        uint64_t len;
        const char *piece = q35_tokenizer_piece(tokenizer, ids[i], &len);
        json_array_append_new(list, json_integer(ids[i]));
        json_array_append_new(pieces, json_text_n(piece, len));
    }
    return json_out(json_pack("{s:o, s:o}", "ids", list, "pieces", pieces));
}

static int tokenize(const cli_options *options, const q35_tokenizer *tokenizer, const char *text, uint64_t len)
{
    uint32_t flags = (options->no_bos ? 0 : Q35_ENCODE_BOS) | (options->special ? Q35_ENCODE_SPECIAL : 0);
    int32_t *ids;
    uint64_t n;
    int rc = 0;
    q35_status status = q35_tokenizer_encode(tokenizer, text, len, flags, &ids, &n);
    if (status != Q35_OK)
        return cli_fail_status(status, CLI_WHILE_RUNNING);
    if (options->json)
        rc = print_json(tokenizer, ids, n);
    else if (options->as_pieces)
        print_pieces(tokenizer, ids, n);
    else
        print_ids(ids, n);
    q35_tokens_free(ids);
    return rc;
}

int cmd_tokenize(const cli_options *options)
{
    cli_engine engine = {0};
    const char *text = NULL;
    char *read = NULL;
    uint64_t len = 0;
    cli_signals_default();
    int rc = options->as_ids && options->as_pieces
                 ? cli_fail(CLI_EXIT_USAGE, "--ids and --pieces found, one of them needed")
                 : check_sources((options->prompt != NULL) + (options->file != NULL) + (options->n_args > 0),
                                 "-p, -f and TEXT");
    if (rc == 0)
        rc = open_tokenizer(options, &engine);
    if (rc == 0)
        rc = read_text(options, &text, &len, &read);
    if (rc == 0)
        rc = tokenize(options, engine.tokenizer, text, len);
    free(read);
    cli_engine_close(&engine);
    return rc;
}

/* ---- detokenize ---- */

static int ids_of_arguments(const cli_options *options, uint32_t vocab, int32_t **out_ids, uint64_t *out_n)
{
    uint64_t bytes = 1, at = 0;
    for (uint32_t i = 0; i < options->n_args; i++)
        bytes += strlen(options->args[i]) + 1;
    char *list = malloc((size_t)bytes);
    if (!list)
        return cli_fail(CLI_EXIT_NOFIT, "token ids: out of memory");
    for (uint32_t i = 0; i < options->n_args; i++) {
        size_t len = strlen(options->args[i]);
        memcpy(list + at, options->args[i], len);
        list[at + len] = ' ';
        at += len + 1;
    }
    list[at] = '\0';
    int rc = ids_parse("argument", list, vocab, out_ids, out_n);
    free(list);
    return rc;
}

static int read_ids(const cli_options *options, uint32_t vocab, int32_t **out_ids, uint64_t *out_n)
{
    if (options->ids)
        return ids_of_option(options->ids, vocab, out_ids, out_n);
    if (options->n_args == 1 && options->args[0][0] == '@')
        return ids_of_option(options->args[0], vocab, out_ids, out_n);
    if (options->n_args)
        return ids_of_arguments(options, vocab, out_ids, out_n);
    return ids_read(options->file ? options->file : "-", vocab, out_ids, out_n);
}

/* Writes the text to out: exactly its bytes, or, when to_terminal, whole characters only. */
static int write_text(const cli_options *options, const q35_tokenizer *tokenizer, const int32_t *ids, uint64_t n,
                      int to_terminal, FILE *out)
{
    q35_detokenizer d;
    q35_status status = Q35_OK;
    const char *text;
    uint64_t len;
    q35_detokenizer_init(&d, tokenizer);
    d.flags = (options->special ? Q35_DETOKENIZE_SPECIAL : 0) | (to_terminal ? 0 : Q35_DETOKENIZE_BYTES);
    for (uint64_t i = 0; i <= n && status == Q35_OK && !ferror(out); i++) {
        status = i < n ? q35_detokenizer_push(&d, ids[i], &text, &len) : q35_detokenizer_finish(&d, &text, &len);
        if (status == Q35_OK)
            fwrite(text, 1, (size_t)len, out);
    }
    q35_detokenizer_free(&d);
    return status == Q35_OK ? 0 : cli_fail_status(status, CLI_WHILE_RUNNING);
}

static int detokenize(const cli_options *options, const q35_tokenizer *tokenizer, const int32_t *ids, uint64_t n)
{
    int to_terminal = isatty(STDOUT_FILENO);
    char *text = NULL;
    size_t len = 0;
    if (!options->json) {
        int rc = write_text(options, tokenizer, ids, n, to_terminal, stdout);
        if (to_terminal)
            putchar('\n');
        return rc;
    }
    FILE *memory = open_memstream(&text, &len);
    if (!memory)
        return cli_fail(CLI_EXIT_NOFIT, "json output: out of memory");
    int rc = write_text(options, tokenizer, ids, n, 1, memory);
    if (fclose(memory) != 0)
        rc = cli_fail(CLI_EXIT_NOFIT, "json output: out of memory");
    if (rc == 0)
        rc = json_out(json_pack("{s:o}", "text", json_text_n(text, len)));
    free(text);
    return rc;
}

int cmd_detokenize(const cli_options *options)
{
    cli_engine engine = {0};
    int32_t *ids = NULL;
    uint64_t n = 0;
    cli_signals_default();
    int rc = check_sources((options->ids != NULL) + (options->file != NULL) + (options->n_args > 0),
                           "--ids, -f and ID");
    if (rc == 0)
        rc = open_tokenizer(options, &engine);
    if (rc == 0)
        rc = read_ids(options, q35_tokenizer_n_vocab(engine.tokenizer), &ids, &n);
    if (rc == 0)
        rc = detokenize(options, engine.tokenizer, ids, n);
    free(ids);
    cli_engine_close(&engine);
    return rc;
}
