/* SPDX-License-Identifier: Apache-2.0
 *
 * A random model as a GGUF file, with a byte-level vocabulary: three control tokens, the 256 bytes, and unused
 * tokens behind them. */
#include "runtime/session/generate.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/model/alphabet.h"
#include "runtime/model/gguf_write.h"
#include "runtime/model/text.h"

#include <q35rt/blocks.h>

#include <stdio.h>

enum { N_CONTROL = 3, N_BYTES = 256, TYPE_NORMAL = 1, TYPE_CONTROL = 3, TYPE_UNUSED = 5 };

static q35_status add_number(q35i_meta_list *list, const char *architecture, const char *name, uint32_t value)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", architecture, name);
    return q35i_meta_add_u32(list, key, value);
}

static q35_status add_real(q35i_meta_list *list, const char *architecture, const char *name, float value)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", architecture, name);
    return q35i_meta_add_f32(list, key, value);
}

static q35_status add_shape(q35i_meta_list *m, const q35_shape *s)
{
    const char *a = s->architecture;
    Q35_TRY(q35i_meta_add_string(m, "general.architecture", q35i_string_of(a)));
    Q35_TRY(q35i_meta_add_string(m, "general.name", q35i_string_of("random weights")));
    Q35_TRY(add_number(m, a, "block_count", s->layers));
    Q35_TRY(add_number(m, a, "context_length", s->context));
    Q35_TRY(add_number(m, a, "embedding_length", s->hidden));
    Q35_TRY(add_number(m, a, "feed_forward_length", s->ffn));
    Q35_TRY(add_number(m, a, "vocab_size", s->vocab));
    Q35_TRY(add_number(m, a, "attention.head_count", s->heads));
    Q35_TRY(add_number(m, a, "attention.head_count_kv", s->kv_heads));
    Q35_TRY(add_number(m, a, "attention.key_length", s->head_dim));
    Q35_TRY(add_number(m, a, "attention.value_length", s->head_dim));
    Q35_TRY(add_real(m, a, "attention.layer_norm_rms_epsilon", 1e-5f));
    Q35_TRY(add_number(m, a, "rope.dimension_count", s->head_dim));
    return add_real(m, a, "rope.freq_base", s->rope_base);
}

/* Ministral 3's, the same in all its sizes. */
static q35_status add_yarn(q35i_meta_list *m)
{
    const char *a = "mistral3";
    Q35_TRY(q35i_meta_add_string(m, "mistral3.rope.scaling.type", q35i_string_of("yarn")));
    Q35_TRY(add_real(m, a, "rope.scaling.factor", 16));
    Q35_TRY(add_number(m, a, "rope.scaling.original_context_length", 16384));
    Q35_TRY(add_real(m, a, "rope.scaling.yarn_beta_fast", 32));
    Q35_TRY(add_real(m, a, "rope.scaling.yarn_beta_slow", 1));
    Q35_TRY(add_real(m, a, "rope.scaling.yarn_log_multiplier", 1));
    return add_real(m, a, "attention.temperature_scale", 0.1f);
}

static q35_status list_tokens(q35i_string_array *tokens, int32_t *types, uint32_t n)
{
    static const char *const control[N_CONTROL] = {"<unk>", "<s>", "</s>"};
    q35i_alphabet alphabet;
    q35i_alphabet_init(&alphabet);
    for (uint32_t id = 0; id < n; id++) {
        char text[24];
        q35_string s = {text, 0};
        uint8_t byte = (uint8_t)(id - N_CONTROL);
        if (id < N_CONTROL)
            s = q35i_string_of(control[id]);
        else if (id < N_CONTROL + N_BYTES)
            s.len = q35i_alphabet_encode(&alphabet, &byte, 1, text);
        else
            s.len = (uint64_t)snprintf(text, sizeof text, "[PAD%u]", id);
        types[id] = id < N_CONTROL ? TYPE_CONTROL : id < N_CONTROL + N_BYTES ? TYPE_NORMAL : TYPE_UNUSED;
        Q35_TRY(q35i_string_array_add(tokens, s));
    }
    return Q35_OK;
}

static q35_status add_tokenizer(q35i_meta_list *m, uint32_t n)
{
    q35_status status;
    q35i_string_array tokens = {0}, merges = {0};
    int32_t *types = q35i_calloc(n, sizeof *types);
    Q35_CHECK_ALLOC_GOTO(types, done);
    Q35_TRY_GOTO(list_tokens(&tokens, types, n), done);
    Q35_TRY_GOTO(q35i_meta_add_string(m, "tokenizer.ggml.model", q35i_string_of("gpt2")), done);
    Q35_TRY_GOTO(q35i_meta_add_string(m, "tokenizer.ggml.pre", q35i_string_of("gpt-2")), done);
    Q35_TRY_GOTO(q35i_meta_add_strings(m, "tokenizer.ggml.tokens", &tokens), done);
    Q35_TRY_GOTO(q35i_meta_add_array(m, "tokenizer.ggml.token_type", Q35_META_I32, types, n), done);
    Q35_TRY_GOTO(q35i_meta_add_strings(m, "tokenizer.ggml.merges", &merges), done);
    Q35_TRY_GOTO(q35i_meta_add_u32(m, "tokenizer.ggml.bos_token_id", 1), done);
    Q35_TRY_GOTO(q35i_meta_add_u32(m, "tokenizer.ggml.eos_token_id", 2), done);
    Q35_TRY_GOTO(q35i_meta_add_u32(m, "tokenizer.ggml.unknown_token_id", 0), done);
    status = q35i_meta_add_bool(m, "tokenizer.ggml.add_bos_token", true);
done:
    q35i_string_array_free(&tokens);
    q35i_free(types);
    return status;
}

q35_status q35i_gen_metadata(const q35i_generation *g, q35i_meta_list *m)
{
    Q35_TRY(add_shape(m, g->shape));
    if (strcmp(g->shape->architecture, "mistral3") == 0)
        Q35_TRY(add_yarn(m));
    return g->options->no_tokenizer ? Q35_OK : add_tokenizer(m, g->shape->vocab);
}

static q35_status write_data(void *user, const void *data, uint64_t bytes)
{
    return q35i_gguf_writer_data(user, data, bytes);
}

q35_status q35i_gen_gguf(q35i_generation *g, const char *path)
{
    q35_status status;
    q35i_meta_list meta = {0};
    q35i_gguf_writer *w = NULL;
    Q35_TRY_GOTO(q35i_gguf_writer_create(path, g->options->overwrite != 0, &w), done);
    Q35_TRY_GOTO(q35i_gen_metadata(g, &meta), done);
    for (uint64_t i = 0; i < meta.n; i++)
        Q35_TRY_GOTO(q35i_gguf_writer_copy(w, &meta.entries[i]), done);
    for (uint64_t i = 0; i < g->n_tensors; i++) {
        const q35i_gen_tensor *t = &g->tensors[i];
        const int64_t dim[2] = {(int64_t)t->cols, (int64_t)t->rows};
        Q35_TRY_GOTO(q35i_gguf_writer_tensor(w, t->name, t->dtype, t->norm ? 1 : 2, dim, q35i_gen_bytes(t)), done);
    }
    Q35_TRY_GOTO(q35i_gguf_writer_begin(w), done);
    for (uint64_t i = 0; i < g->n_tensors; i++)
        Q35_TRY_GOTO(q35i_gen_write(g, &g->tensors[i], write_data, w), done);
    status = q35i_gguf_writer_commit(w);
    w = NULL;
done:
    q35i_gguf_writer_discard(w);
    q35i_meta_list_free(&meta);
    return status;
}
