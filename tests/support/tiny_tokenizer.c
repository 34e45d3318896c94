/* SPDX-License-Identifier: Apache-2.0
 *
 * The tokenizer of a tiny model: three control tokens, the 256 bytes spelled in the GPT-2 alphabet (printable
 * bytes stand for themselves, the others for code points from 256 on, in order), and a few merges. */
#include "tiny_tokenizer.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "tiny_model.h"

#include <stdio.h>
#include <string.h>

#define TOKEN_BYTES 24

/* In order of rank; each result is the next token id. G-dot (U+0120) is the space byte. */
static const struct {
    const char *left, *right;
} merges[] = {
    {"t", "h"},          {"h", "e"},
    {"i", "n"},          {"th", "e"},
    {"\xc4\xa0", "the"}, {"\xc4\xa0", "a"},
    {"e", "r"},          {"o", "n"},
    {"l", "l"},          {"he", "ll"},
    {"hell", "o"},       {"r", "e"},
    {"a", "n"},          {"\xc4\xa0", "w"},
    {"o", "r"},          {"\xc4\xa0w", "or"},
    {"l", "d"},          {"\xc4\xa0wor", "ld"},
    {"in", "g"},         {"\xc4\x8a", "\xc4\x8a"},
    {"u", "s"},          {"us", "er"},
};
#define N_MERGES ((uint32_t)(sizeof merges / sizeof merges[0]))

static const char *const control_tokens[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
#define N_CONTROL ((uint32_t)(sizeof control_tokens / sizeof control_tokens[0]))

static const char chat_template[] =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "
    "'\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

_Static_assert(Q35T_TINY_BYTE == sizeof control_tokens / sizeof control_tokens[0],
               "bytes follow the control tokens");

/* Printable bytes of the GPT-2 alphabet: '!'..'~', 0xa1..0xac, 0xae..0xff. */
static int stands_for_itself(unsigned byte)
{
    return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
}

static void spell_byte(unsigned byte, char out[TOKEN_BYTES])
{
    unsigned code = byte;
    if (!stands_for_itself(byte)) {
        code = 256;
        for (unsigned b = 0; b < byte; b++)
            code += !stands_for_itself(b);
    }
    if (code < 0x80)
        snprintf(out, TOKEN_BYTES, "%c", (int)code);
    else
        snprintf(out, TOKEN_BYTES, "%c%c", (int)(0xc0 | code >> 6), (int)(0x80 | (code & 0x3f)));
}

static void spell_token(uint32_t id, char out[TOKEN_BYTES])
{
    const uint32_t n = q35t_tiny_tokenizer_size();
    if (id < N_CONTROL)
        snprintf(out, TOKEN_BYTES, "%s", control_tokens[id]);
    else if (id < N_CONTROL + 256)
        spell_byte(id - N_CONTROL, out);
    else if (id < n)
        snprintf(out, TOKEN_BYTES, "%s%s", merges[id - N_CONTROL - 256].left, merges[id - N_CONTROL - 256].right);
    else
        snprintf(out, TOKEN_BYTES, "<|unused_%u|>", id - n);
}

uint32_t q35t_tiny_tokenizer_size(void)
{
    return N_CONTROL + 256 + N_MERGES;
}

static q35_status write_tokens(q35i_gguf_writer *w, uint32_t vocab)
{
    q35_status status;
    char(*text)[TOKEN_BYTES] = q35i_calloc(vocab, sizeof *text);
    const char **tokens = q35i_calloc(vocab, sizeof *tokens);
    int32_t *types = q35i_calloc(vocab, sizeof *types);
    Q35_CHECK_ALLOC_GOTO(text, out);
    Q35_CHECK_ALLOC_GOTO(tokens, out);
    Q35_CHECK_ALLOC_GOTO(types, out);
    for (uint32_t id = 0; id < vocab; id++) {
        spell_token(id, text[id]);
        tokens[id] = text[id];
        types[id] = id < N_CONTROL ? 3 : id < q35t_tiny_tokenizer_size() ? 1 : 5; /* control, normal, unused */
    }
    Q35_TRY_GOTO(q35i_gguf_writer_strings(w, "tokenizer.ggml.tokens", tokens, vocab), out);
    Q35_TRY_GOTO(q35i_gguf_writer_array(w, "tokenizer.ggml.token_type", Q35_META_I32, types, vocab), out);
out:
    q35i_free(text);
    q35i_free(tokens);
    q35i_free(types);
    return status;
}

static q35_status write_merges(q35i_gguf_writer *w)
{
    char text[N_MERGES][TOKEN_BYTES];
    const char *lines[N_MERGES];
    for (uint32_t i = 0; i < N_MERGES; i++) {
        snprintf(text[i], TOKEN_BYTES, "%s %s", merges[i].left, merges[i].right);
        lines[i] = text[i];
    }
    return q35i_gguf_writer_strings(w, "tokenizer.ggml.merges", lines, N_MERGES);
}

static q35_status write_bool(q35i_gguf_writer *w, const char *key, uint8_t value)
{
    q35_meta m = {{key, strlen(key)}, Q35_META_BOOL, 0, 1, &value};
    return q35i_gguf_writer_copy(w, &m);
}

q35_status q35t_tiny_tokenizer_write(q35i_gguf_writer *w, uint32_t vocab)
{
    Q35_TRY(q35i_gguf_writer_string(w, "tokenizer.ggml.model", "gpt2"));
    Q35_TRY(q35i_gguf_writer_string(w, "tokenizer.ggml.pre", "smollm"));
    Q35_TRY(write_tokens(w, vocab));
    Q35_TRY(write_merges(w));
    Q35_TRY(q35i_gguf_writer_u32(w, "tokenizer.ggml.bos_token_id", Q35T_TINY_IM_START));
    Q35_TRY(q35i_gguf_writer_u32(w, "tokenizer.ggml.eos_token_id", Q35T_TINY_IM_END));
    Q35_TRY(q35i_gguf_writer_u32(w, "tokenizer.ggml.unknown_token_id", Q35T_TINY_ENDOFTEXT));
    Q35_TRY(q35i_gguf_writer_u32(w, "tokenizer.ggml.padding_token_id", Q35T_TINY_IM_END));
    Q35_TRY(write_bool(w, "tokenizer.ggml.add_bos_token", 0));
    Q35_TRY(write_bool(w, "tokenizer.ggml.add_space_prefix", 0));
    return q35i_gguf_writer_string(w, "tokenizer.chat_template", chat_template);
}
