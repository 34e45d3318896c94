/* SPDX-License-Identifier: Apache-2.0
 *
 * Random llama-shaped models. Weights are uniform with variance 1/K, so that activations neither grow nor vanish.
 */
#include "tiny_model.h"

#include "quantise.h"
#include "rng.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/model/gguf_write.h"
#include "tiny_tokenizer.h"

#include <q35rt/blocks.h>

#include <math.h>
#include <stdio.h>

#define NAME_BYTES     64
#define MASSIVE_ROW    3u
#define MASSIVE_FACTOR 30000.0f

enum { FILL_NORM, FILL_MATRIX, FILL_ROPE };

/* Called for every tensor, in file order. rows 0: a vector. */
typedef q35_status (*tensor_fn)(void *user, const char *name, uint32_t dtype, int fill, uint32_t cols,
                                uint32_t rows);

q35t_tiny_options q35t_tiny_options_default(void)
{
    return (q35t_tiny_options){.seed = 1,
                               .layers = 2,
                               .hidden = 64,
                               .heads = 4,
                               .kv_heads = 2,
                               .head_dim = 16,
                               .ffn = 160,
                               .context = 1024,
                               .dtype = Q35_DT_F32,
                               .embed_dtype = Q35_DT_F32,
                               .tied = 1,
                               .rope_base = 10000};
}

static q35_status each_layer_tensor(const q35t_tiny_options *o, uint32_t layer, tensor_fn fn, void *user)
{
    const uint32_t q = o->heads * o->head_dim, kv = o->kv_heads * o->head_dim;
    const struct {
        const char *name;
        int fill;
        uint32_t cols, rows;
    } list[] = {
        {"attn_norm", FILL_NORM, o->hidden, 0},       {"attn_q", FILL_MATRIX, o->hidden, q},
        {"attn_k", FILL_MATRIX, o->hidden, kv},       {"attn_v", FILL_MATRIX, o->hidden, kv},
        {"attn_output", FILL_MATRIX, q, o->hidden},   {"ffn_norm", FILL_NORM, o->hidden, 0},
        {"ffn_gate", FILL_MATRIX, o->hidden, o->ffn}, {"ffn_up", FILL_MATRIX, o->hidden, o->ffn},
        {"ffn_down", FILL_MATRIX, o->ffn, o->hidden},
    };
    char name[NAME_BYTES];
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        snprintf(name, sizeof name, "blk.%u.%s.weight", layer, list[i].name);
        Q35_TRY(fn(user, name, list[i].fill == FILL_NORM ? Q35_DT_F32 : o->dtype, list[i].fill, list[i].cols,
                   list[i].rows));
    }
    return Q35_OK;
}

static q35_status each_tensor(const q35t_tiny_options *o, uint32_t vocab, tensor_fn fn, void *user)
{
    Q35_TRY(fn(user, "token_embd.weight", o->embed_dtype, FILL_MATRIX, o->hidden, vocab));
    for (uint32_t layer = 0; layer < o->layers; layer++)
        Q35_TRY(each_layer_tensor(o, layer, fn, user));
    Q35_TRY(fn(user, "output_norm.weight", Q35_DT_F32, FILL_NORM, o->hidden, 0));
    if (o->rope_freqs)
        Q35_TRY(fn(user, "rope_freqs.weight", Q35_DT_F32, FILL_ROPE, o->head_dim / 2, 0));
    return o->tied ? Q35_OK : fn(user, "output.weight", o->embed_dtype, FILL_MATRIX, o->hidden, vocab);
}

static q35_status declare(void *user, const char *name, uint32_t dtype, int fill, uint32_t cols, uint32_t rows)
{
    int64_t dim[2] = {cols, rows};
    (void)fill;
    return q35i_gguf_writer_tensor(user, name, dtype, rows ? 2 : 1, dim,
                                   q35_row_bytes(dtype, cols) * (rows ? rows : 1));
}

typedef struct fill_state {
    q35i_gguf_writer *w;
    q35t_rng rng;
    const char *massive;
    uint32_t found; /* tensors of that name */
} fill_state;

static void fill_row(q35t_rng *rng, int fill, uint32_t cols, float *x)
{
    const float reach = sqrtf(3.0f / (float)cols); /* uniform in +-reach has variance 1/cols */
    for (uint32_t i = 0; i < cols; i++) {
        float u = q35t_rng_signed(rng);
        x[i] = fill == FILL_MATRIX ? reach * u
               : fill == FILL_NORM ? 1.0f + 0.25f * u
                                   : 1.0f + (float)i / (float)cols;
    }
}

/* The row of the massive tensor that its options name; in a vector, its element. */
static void make_massive(uint32_t cols, uint32_t rows, uint32_t row, float *x)
{
    if (rows == 0)
        x[MASSIVE_ROW] *= MASSIVE_FACTOR;
    for (uint32_t i = 0; rows > 0 && row == MASSIVE_ROW && i < cols; i++)
        x[i] *= MASSIVE_FACTOR;
}

static q35_status write_data(void *user, const char *name, uint32_t dtype, int fill, uint32_t cols, uint32_t rows)
{
    fill_state *s = user;
    q35_status status = Q35_OK;
    int massive = s->massive && strcmp(s->massive, name) == 0;
    uint64_t row_bytes = q35_row_bytes(dtype, cols);
    float *x = q35i_calloc(cols, sizeof *x);
    uint8_t *row = q35i_calloc(row_bytes, 1);
    Q35_CHECK_ALLOC_GOTO(x, out);
    Q35_CHECK_ALLOC_GOTO(row, out);
    for (uint32_t r = 0; r < (rows ? rows : 1); r++) {
        fill_row(&s->rng, fill, cols, x);
        if (massive)
            make_massive(cols, rows, r, x);
        if (!q35t_quantise_row(dtype, x, cols, row)) {
            status = Q35_FAIL(Q35_E_INVALID, "tensor %s: type %s, need F32, F16, BF16, Q8_0, Q4_0 or Q4_1", name,
                              q35_dtype_describe(dtype).name);
            goto out;
        }
        Q35_TRY_GOTO(q35i_gguf_writer_data(s->w, row, row_bytes), out);
    }
    s->found += massive != 0;
out:
    q35i_free(x);
    q35i_free(row);
    return status;
}

static q35_status write_f32(q35i_gguf_writer *w, const char *key, float value)
{
    q35_meta m = {{key, strlen(key)}, Q35_META_F32, 0, 1, &value};
    return q35i_gguf_writer_copy(w, &m);
}

static q35_status write_meta(q35i_gguf_writer *w, const q35t_tiny_options *o, uint32_t vocab)
{
    const struct {
        const char *key;
        uint32_t value;
    } numbers[] = {
        {"llama.block_count", o->layers},
        {"llama.context_length", o->context},
        {"llama.embedding_length", o->hidden},
        {"llama.feed_forward_length", o->ffn},
        {"llama.attention.head_count", o->heads},
        {"llama.attention.head_count_kv", o->kv_heads},
        {"llama.attention.key_length", o->head_dim},
        {"llama.attention.value_length", o->head_dim},
        {"llama.rope.dimension_count", o->head_dim},
        {"llama.vocab_size", vocab},
    };
    Q35_TRY(q35i_gguf_writer_string(w, "general.architecture", "llama"));
    Q35_TRY(q35i_gguf_writer_string(w, "general.name", "tiny random model"));
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        Q35_TRY(q35i_gguf_writer_u32(w, numbers[i].key, numbers[i].value));
    Q35_TRY(write_f32(w, "llama.rope.freq_base", o->rope_base));
    Q35_TRY(write_f32(w, "llama.attention.layer_norm_rms_epsilon", 1e-5f));
    return q35t_tiny_tokenizer_write(w, vocab);
}

q35_status q35t_tiny_model_write(const char *path, const q35t_tiny_options *o)
{
    q35_status status;
    fill_state s = {.rng = q35t_rng_seed(o->seed), .massive = o->massive};
    uint32_t vocab = o->vocab ? o->vocab : q35t_tiny_tokenizer_size();
    if (vocab < q35t_tiny_tokenizer_size())
        return Q35_FAIL(Q35_E_INVALID, "vocabulary: %u tokens, need at least %u", vocab,
                        q35t_tiny_tokenizer_size());
    Q35_TRY(q35i_gguf_writer_create(path, true, &s.w));
    Q35_TRY_GOTO(write_meta(s.w, o, vocab), fail);
    Q35_TRY_GOTO(each_tensor(o, vocab, declare, s.w), fail);
    Q35_TRY_GOTO(q35i_gguf_writer_begin(s.w), fail);
    Q35_TRY_GOTO(each_tensor(o, vocab, write_data, &s), fail);
    if (o->massive && s.found == 0) {
        status =
            Q35_FAIL(Q35_E_INVALID, "massive tensor %s: none of that name, need one of the model's", o->massive);
        goto fail;
    }
    return q35i_gguf_writer_commit(s.w);
fail:
    q35i_gguf_writer_discard(s.w);
    return status;
}
