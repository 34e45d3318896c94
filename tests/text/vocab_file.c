/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing vocabulary files for tests. The byte alphabet is worked out here a second time, by counting. */
#define _GNU_SOURCE
#include "text/vocab_file.h"

#include "runtime/model/gguf_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* No Check here: fuzz targets use this too. Inside a test the abort is the test's failure. */
static void ok(q35_status status)
{
    if (status == Q35_OK)
        return;
    fprintf(stderr, "vocabulary file: %s\n", q35_error_message());
    abort();
}

vocab_spec vocab_spec_default(void)
{
    return (vocab_spec){.model = "gpt2",
                        .pre = "gpt-2",
                        .bos = -1,
                        .eos = -1,
                        .eot = -1,
                        .add_bos = -1,
                        .space_prefix = -1,
                        .squeeze = -1,
                        .unknown = -1};
}

vocab_spec vocab_spec_pieces(void)
{
    vocab_spec spec = vocab_spec_default();
    spec.model = "llama";
    spec.pre = NULL;
    spec.no_merges = 1;
    return spec;
}

static int is_pieces(const vocab_spec *spec)
{
    return spec->model && strcmp(spec->model, "llama") == 0;
}

static int keeps_its_place(int byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
}

static void spell_byte(int byte, const char *without, char out[16])
{
    int c = byte;
    if (without && byte != 0 && strchr(without, byte)) {
        snprintf(out, 16, "\xE2\x82\xAC%d", byte);
        return;
    }
    if (!keeps_its_place(byte)) {
        c = 256;
        for (int b = 0; b < byte; b++)
            c += !keeps_its_place(b);
    }
    if (c < 0x80)
        snprintf(out, 16, "%c", c);
    else
        snprintf(out, 16, "%c%c", 0xC0 | c >> 6, 0x80 | (c & 0x3F));
}

static void write_tokens(q35i_gguf_writer *w, const vocab_spec *spec)
{
    static char bytes[VOCAB_BYTES][16];
    const char *tokens[VOCAB_MAX];
    int32_t types[VOCAB_MAX], whole[VOCAB_MAX];
    float scores[VOCAB_MAX] = {0};
    uint32_t n = VOCAB_BYTES;
    for (int b = 0; b < VOCAB_BYTES; b++) {
        if (is_pieces(spec))
            snprintf(bytes[b], 16, spec->without && b && strchr(spec->without, b) ? "<no%02X>" : "<0x%02X>", b);
        else
            spell_byte(b, spec->without, bytes[b]);
        tokens[b] = bytes[b];
        types[b] = bytes[b][0] == '<' && bytes[b][1] == '0' ? 6 : 1;
    }
    if (spec->third) {
        tokens[3] = spec->third;
        types[3] = 3;
    }
    for (; spec->extra[n - VOCAB_BYTES]; n++) {
        tokens[n] = spec->extra[n - VOCAB_BYTES];
        types[n] = spec->extra_type[n - VOCAB_BYTES] ? spec->extra_type[n - VOCAB_BYTES] : 1;
    }
    ok(q35i_gguf_writer_strings(w, "tokenizer.ggml.tokens", tokens, n));
    if (spec->types_missing <= VOCAB_MAX)
        ok(q35i_gguf_writer_array(w, "tokenizer.ggml.token_type", Q35_META_I32, types,
                                  n - (uint32_t)spec->types_missing));
    if (spec->scores)
        memcpy(scores + VOCAB_BYTES, spec->scores, (n - VOCAB_BYTES) * sizeof *scores);
    for (uint32_t i = 0; i < n; i++)
        whole[i] = (int32_t)scores[i];
    if (spec->scores && spec->whole_scores)
        ok(q35i_gguf_writer_array(w, "tokenizer.ggml.scores", Q35_META_I32, whole, n));
    else if (spec->scores || spec->scores_short)
        ok(q35i_gguf_writer_array(w, "tokenizer.ggml.scores", Q35_META_F32, scores,
                                  n - (spec->scores_short != 0)));
}

static void write_id(q35i_gguf_writer *w, const char *key, int64_t id)
{
    if (id >= 0)
        ok(q35i_gguf_writer_u32(w, key, (uint32_t)id));
}

static void write_flag(q35i_gguf_writer *w, const char *key, int value)
{
    uint8_t byte = value > 0;
    q35_meta flag = {{key, strlen(key)}, Q35_META_BOOL, 0, 1, &byte};
    if (value >= 0)
        ok(q35i_gguf_writer_copy(w, &flag));
}

static void write_text(q35i_gguf_writer *w, const char *key, const char *text)
{
    if (text)
        ok(q35i_gguf_writer_string(w, key, text));
}

static void write_keys(q35i_gguf_writer *w, const vocab_spec *spec)
{
    uint64_t n_merges = 0;
    write_text(w, "general.architecture", "llama");
    write_text(w, "tokenizer.ggml.model", spec->model);
    write_text(w, "tokenizer.ggml.pre", spec->pre);
    write_text(w, "tokenizer.chat_template", spec->chat_template);
    if (!spec->no_tokens)
        write_tokens(w, spec);
    while (spec->merges[n_merges])
        n_merges++;
    if (!spec->no_merges)
        ok(q35i_gguf_writer_strings(w, "tokenizer.ggml.merges", spec->merges, n_merges));
    write_id(w, "tokenizer.ggml.bos_token_id", spec->bos);
    write_id(w, "tokenizer.ggml.eos_token_id", spec->eos);
    write_id(w, "tokenizer.ggml.eot_token_id", spec->eot);
    write_id(w, "tokenizer.ggml.unknown_token_id", spec->unknown);
    write_flag(w, "tokenizer.ggml.add_bos_token", spec->add_bos);
    write_flag(w, "tokenizer.ggml.add_space_prefix", spec->space_prefix);
    write_flag(w, "tokenizer.ggml.remove_extra_whitespaces", spec->squeeze);
}

static void write_embedding(q35i_gguf_writer *w, int64_t rows)
{
    const float row = 0;
    const int64_t dim[2] = {1, rows};
    if (rows > 0)
        ok(q35i_gguf_writer_tensor(w, "token_embd.weight", 0, 2, dim, (uint64_t)rows * sizeof row));
    ok(q35i_gguf_writer_begin(w));
    for (int64_t i = 0; i < rows; i++)
        ok(q35i_gguf_writer_data(w, &row, sizeof row));
}

q35_model *vocab_open(const vocab_spec *spec)
{
    char path[] = "vocab-XXXXXX";
    q35i_gguf_writer *w;
    q35_model *model;
    int fd = mkstemp(path);
    if (fd < 0) {
        perror(path);
        abort();
    }
    close(fd);
    ok(q35i_gguf_writer_create(path, true, &w));
    write_keys(w, spec);
    write_embedding(w, spec->n_rows);
    ok(q35i_gguf_writer_commit(w));
    q35_status status = q35_model_open(path, &model);
    unlink(path);
    ok(status);
    return model;
}

q35_status vocab_tokenizer(const vocab_spec *spec, q35_tokenizer **out)
{
    q35_model *model = vocab_open(spec);
    q35_status status = q35_tokenizer_create(model, out);
    q35_model_close(model);
    return status;
}
