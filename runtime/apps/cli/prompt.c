/* SPDX-License-Identifier: Apache-2.0
 *
 * The prompt as token ids. */
#include "prompt.h"

#include "ids.h"
#include "messages_file.h"

#include <stdlib.h>
#include <string.h>

int prompt_check(const cli_options *options)
{
    int given =
        (options->prompt != NULL) + (options->file != NULL) + (options->ids != NULL) + (options->messages != NULL);
    if (given != 1)
        return cli_fail(CLI_EXIT_USAGE, "%d of -p, -f, --ids and --messages found, exactly one prompt needed",
                        given);
    if (options->messages && (options->raw || options->special || options->system))
        return cli_fail(CLI_EXIT_USAGE, "--messages found with --raw, --special or --system, it alone needed");
    return 0;
}

static int ids_of_list(const char *list, uint32_t vocab, int32_t **out_ids, uint64_t *out_n)
{
    int rc = ids_of_option(list, vocab, out_ids, out_n);
    if (rc == 0 && *out_n == 0) {
        free(*out_ids);
        *out_ids = NULL;
        rc = cli_fail(CLI_EXIT_USAGE, "option --ids: 0 ids found, at least 1 needed");
    }
    return rc;
}

/* The ids in memory of free(); takes them over. */
static int keep(q35_status status, int32_t *ids, int32_t **out_ids, const uint64_t *n)
{
    if (status != Q35_OK)
        return cli_fail_status(status, CLI_WHILE_OPENING_MODEL);
    *out_ids = malloc((size_t)(*n + 1) * sizeof **out_ids);
    if (*out_ids && *n)
        memcpy(*out_ids, ids, (size_t)*n * sizeof **out_ids);
    q35_tokens_free(ids);
    return *out_ids ? 0 : cli_fail(CLI_EXIT_NOFIT, "prompt: out of memory");
}

/* The model's chat format, unless --raw or a model without one. */
static int encode(const cli_options *options, const cli_engine *engine, const char *text, uint64_t len,
                  int32_t **out_ids, uint64_t *out_n)
{
    q35_status status;
    int32_t *ids = NULL;
    int chat = !options->raw && *q35_tokenizer_chat_format(engine->tokenizer) != 0;
    if (chat && memchr(text, '\0', (size_t)len))
        return cli_fail(CLI_EXIT_USAGE, "prompt: a NUL byte found, text needed");
    if (chat && options->special)
        return cli_fail(CLI_EXIT_USAGE,
                        "--special found with a chat format, --raw needed: a message is plain text");
    if (!chat && options->system)
        return cli_fail(CLI_EXIT_USAGE,
                        "--system found without a chat format, a model with one needed (and no --raw)");
    if (chat) {
        const q35_part system = {Q35_PART_TEXT, options->system}, user = {Q35_PART_TEXT, text};
        const q35_message messages[] = {{.role = "system", .parts = &system, .n_parts = 1},
                                        {.role = "user", .parts = &user, .n_parts = 1}};
        const q35_conversation conversation = {.messages = options->system ? messages : messages + 1,
                                               .n_messages = options->system ? 2 : 1};
        status = q35_tokenizer_chat(engine->tokenizer, &conversation, &ids, out_n);
    } else {
        uint32_t flags = Q35_ENCODE_BOS | (options->special ? Q35_ENCODE_SPECIAL : 0);
        status = q35_tokenizer_encode(engine->tokenizer, text, len, flags, &ids, out_n);
    }
    return keep(status, ids, out_ids, out_n);
}

static int ids_of_messages(const char *path, const cli_engine *engine, int32_t **out_ids, uint64_t *out_n)
{
    messages_file file = {0};
    char *text;
    uint64_t len;
    int32_t *ids = NULL;
    int rc = cli_read_file(path, "messages file", &text, &len);
    if (rc)
        return rc;
    if (messages_of_text(&file, text, (size_t)len)) {
        rc = cli_fail(CLI_EXIT_MODEL, "messages file %s: %s", path, file.error);
    } else {
        q35_status status = q35_tokenizer_chat(engine->tokenizer, &file.conversation, &ids, out_n);
        rc = keep(status, ids, out_ids, out_n);
    }
    messages_free(&file);
    free(text);
    return rc;
}

int prompt_ids(const cli_options *options, const cli_engine *engine, int32_t **out_ids, uint64_t *out_n)
{
    *out_ids = NULL;
    if (options->ids && options->system)
        return cli_fail(CLI_EXIT_USAGE, "--system found with --ids, -p or -f needed");
    if (options->ids)
        return ids_of_list(options->ids, engine->config.vocab, out_ids, out_n);
    if (options->messages)
        return ids_of_messages(options->messages, engine, out_ids, out_n);
    char *read = NULL;
    const char *text = options->prompt;
    uint64_t len = text ? strlen(text) : 0;
    int rc = 0;
    if (!text) {
        rc = cli_read_file(options->file, "prompt file", &read, &len);
        text = read;
    }
    if (rc == 0 && len == 0)
        rc = cli_fail(CLI_EXIT_USAGE, "prompt: 0 bytes found, text needed");
    if (rc == 0)
        rc = encode(options, engine, text, len, out_ids, out_n);
    free(read);
    if (rc == 0 && *out_n == 0) {
        free(*out_ids);
        *out_ids = NULL;
        rc = cli_fail(CLI_EXIT_USAGE, "prompt: 0 tokens found, at least 1 needed");
    }
    return rc;
}
