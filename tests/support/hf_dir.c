/* SPDX-License-Identifier: Apache-2.0
 *
 * Model directories made on the spot. Weights are functions of GGUF name, row and column, so that each layout
 * holds the same model. */
#define _GNU_SOURCE
#include "hf_dir.h"

#include "runtime/model/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_BYTES 128

static void text(q35t_image *image, const char *s)
{
    q35t_put(image, s, strlen(s));
}

void q35t_st_add(q35t_st *st, const char *name, const char *dtype, uint32_t rank, const uint64_t *shape,
                 const void *data, uint64_t bytes)
{
    char part[NAME_BYTES * 2];
    snprintf(part, sizeof part, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", st->header.len ? "," : "{", name, dtype);
    text(&st->header, part);
    for (uint32_t i = 0; i < rank; i++) {
        snprintf(part, sizeof part, "%s%" PRIu64, i ? "," : "", shape[i]);
        text(&st->header, part);
    }
    snprintf(part, sizeof part, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", st->data.len,
             st->data.len + bytes);
    text(&st->header, part);
    if (data)
        q35t_put(&st->data, data, bytes);
    else
        q35t_put_zeros(&st->data, bytes);
}

q35t_image q35t_st_finish(q35t_st *st, int pad)
{
    q35t_image out = {0};
    text(&st->header, st->header.len ? "}" : "{}");
    while (pad && st->header.len % 8 != 0)
        text(&st->header, " ");
    q35t_put_u64(&out, st->header.len);
    q35t_put(&out, st->header.data, st->header.len);
    q35t_put(&out, st->data.data, st->data.len);
    free(st->header.data);
    free(st->data.data);
    *st = (q35t_st){{0}, {0}};
    return out;
}

q35t_image q35t_st_raw(const char *json, uint64_t data_bytes)
{
    q35t_image out = {0};
    q35t_put_u64(&out, strlen(json));
    text(&out, json);
    q35t_put_zeros(&out, data_bytes);
    return out;
}

q35t_hf_options q35t_hf_options_default(void)
{
    return (q35t_hf_options){.layers = 2,
                             .hidden = 32,
                             .heads = 4,
                             .kv_heads = 2,
                             .head_dim = 16,
                             .ffn = 64,
                             .vocab = 48,
                             .dtype = "BF16",
                             .norm_dtype = "BF16",
                             .prefix = "model.",
                             .head_prefix = "",
                             .shards = 1};
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

void q35t_hf_put_file(const char *dir, const char *name, const void *data, uint64_t bytes)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, bytes, f) != bytes || fclose(f) != 0)
        fail(path);
}

void q35t_hf_remove_file(const char *dir, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (unlink(path) != 0)
        fail(path);
}

/* The files of one model while they grow. */
typedef struct writer {
    const q35t_hf_options *o;
    q35t_st *files; /* [o->shards] */
    uint32_t next;  /* tensors so far: they go to the files in turn */
    q35t_image map; /* members of weight_map */
    int extra;      /* 1: at the added tensor, which may take a dropped one's name */
} writer;

static void shard_name(const q35t_hf_options *o, uint32_t i, char out[NAME_BYTES])
{
    const char *stem = o->mistral ? "consolidated" : "model";
    if (o->shards == 1)
        snprintf(out, NAME_BYTES, "%s.safetensors", stem);
    else
        snprintf(out, NAME_BYTES, "%s-%05" PRIu32 "-of-%05" PRIu32 ".safetensors", stem, i + 1, o->shards);
}

static void put_tensor(writer *w, const char *name, const char *dtype, uint32_t rank, const uint64_t *shape,
                       const void *data, uint64_t bytes)
{
    char file[NAME_BYTES], member[3 * NAME_BYTES];
    uint32_t i = w->next % w->o->shards;
    if (w->o->drop && strcmp(w->o->drop, name) == 0 && !w->extra)
        return;
    w->next++;
    q35t_st_add(&w->files[i], name, dtype, rank, shape, data, bytes);
    shard_name(w->o, i, file);
    snprintf(member, sizeof member, "%s\"%s\":\"%s\"", w->map.len ? "," : "", name, file);
    text(&w->map, member);
}

/* Element of a matrix by its place in GGUF's order of rows. */
static uint32_t bits_of(const char *gguf, uint64_t row, uint64_t col)
{
    uint64_t h = UINT64_C(1469598103934665603) + row * UINT64_C(0x9e3779b97f4a7c15) + col * 0x1000193;
    for (; *gguf; gguf++)
        h = (h ^ (uint8_t)*gguf) * UINT64_C(1099511628211);
    h ^= h >> 31;
    h *= UINT64_C(0xbf58476d1ce4e5b9);
    return (uint32_t)(h >> 32);
}

static void put_float(q35t_image *image, const char *dtype, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits &= 0xffff0000u; /* the same value in BF16 */
    if (strcmp(dtype, "F32") == 0)
        q35t_put(image, &bits, 4);
    else
        q35t_put(image, (const uint8_t *)&bits + 2, 2);
}

static void put_element(q35t_image *image, const char *dtype, uint32_t bits)
{
    uint8_t code = (bits & 0x7f) == 0x7f ? 0 : (uint8_t)bits; /* no NaN */
    if (strcmp(dtype, "F8_E4M3") == 0)
        q35t_put(image, &code, 1);
    else
        put_float(image, dtype, (float)(int32_t)bits / 2147483648.0f * 0.3f);
}

/* Row of GGUF's order that is row `row` of a Hugging Face file. */
static uint64_t paired_row(uint64_t row, uint64_t head_dim)
{
    uint64_t in_head = row % head_dim, half = head_dim / 2;
    return row - in_head + (in_head < half ? 2 * in_head : 2 * (in_head - half) + 1);
}

static void put_scale(writer *w, const char *module)
{
    char name[NAME_BYTES];
    const float scale = 0.0078125f;
    q35t_image value = {0};
    snprintf(name, sizeof name, "%s.%s", module, w->o->mistral ? "qscale_weight" : "weight_scale_inv");
    put_float(&value, "BF16", scale);
    put_tensor(w, name, "BF16", 0, NULL, value.data, value.len);
    snprintf(name, sizeof name, "%s.%s", module, w->o->mistral ? "qscale_act" : "activation_scale");
    put_tensor(w, name, "BF16", 0, NULL, value.data, value.len);
    free(value.data);
}

static void put_matrix(writer *w, const char *module, const char *gguf, const char *dtype, uint64_t rows,
                       uint64_t cols, int paired)
{
    const uint64_t shape[] = {rows, cols};
    char name[NAME_BYTES];
    q35t_image data = {0};
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t c = 0; c < cols; c++)
            put_element(&data, dtype,
                        bits_of(gguf, paired && !w->o->mistral ? paired_row(r, w->o->head_dim) : r, c));
    snprintf(name, sizeof name, "%s.weight", module);
    put_tensor(w, name, dtype, 2, shape, data.data, data.len);
    free(data.data);
    if (strcmp(dtype, "F8_E4M3") == 0)
        put_scale(w, module);
}

static void put_norm(writer *w, const char *module, const char *gguf)
{
    const uint64_t n = w->o->hidden;
    char name[NAME_BYTES];
    q35t_image data = {0};
    for (uint64_t i = 0; i < n; i++)
        put_float(&data, w->o->norm_dtype, 1 + (float)(bits_of(gguf, 0, i) % 64) / 256.0f);
    snprintf(name, sizeof name, "%s.weight", module);
    put_tensor(w, name, w->o->norm_dtype, 1, &n, data.data, data.len);
    free(data.data);
}

static void put_layer(writer *w, uint32_t layer)
{
    const q35t_hf_options *o = w->o;
    const uint32_t q = o->heads * o->head_dim, kv = o->kv_heads * o->head_dim;
    const struct {
        const char *hf, *mistral, *gguf;
        uint32_t rows, cols; /* rows 0: a norm */
        int paired;
    } list[] = {
        {"input_layernorm", "attention_norm", "attn_norm", 0, 0, 0},
        {"self_attn.q_proj", "attention.wq", "attn_q", q, o->hidden, 1},
        {"self_attn.k_proj", "attention.wk", "attn_k", kv, o->hidden, 1},
        {"self_attn.v_proj", "attention.wv", "attn_v", kv, o->hidden, 0},
        {"self_attn.o_proj", "attention.wo", "attn_output", o->hidden, q, 0},
        {"post_attention_layernorm", "ffn_norm", "ffn_norm", 0, 0, 0},
        {"mlp.gate_proj", "feed_forward.w1", "ffn_gate", o->ffn, o->hidden, 0},
        {"mlp.up_proj", "feed_forward.w3", "ffn_up", o->ffn, o->hidden, 0},
        {"mlp.down_proj", "feed_forward.w2", "ffn_down", o->hidden, o->ffn, 0},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        char module[NAME_BYTES - 32], gguf[NAME_BYTES];
        snprintf(module, sizeof module, "%slayers.%" PRIu32 ".%s", o->mistral ? "" : o->prefix, layer,
                 o->mistral ? list[i].mistral : list[i].hf);
        snprintf(gguf, sizeof gguf, "blk.%" PRIu32 ".%s", layer, list[i].gguf);
        if (list[i].rows == 0)
            put_norm(w, module, gguf);
        else
            put_matrix(w, module, gguf, o->dtype, list[i].rows, list[i].cols, list[i].paired);
    }
}

static void put_vision(writer *w)
{
    const uint64_t kernel[] = {4, 3, 2, 2}, norm[] = {4};
    put_tensor(w, w->o->mistral ? "vision_encoder.patch_conv.weight" : "vision_tower.patch_conv.weight", "BF16", 4,
               kernel, NULL, 96);
    put_tensor(w, w->o->mistral ? "pre_mm_projector_norm.weight" : "multi_modal_projector.norm.weight", "BF16", 1,
               norm, NULL, 8);
}

static void put_extra(writer *w)
{
    const q35t_hf_options *o = w->o;
    const int floats = strcmp(o->add_dtype, "F32") == 0 || strcmp(o->add_dtype, "BF16") == 0;
    uint64_t n = 1;
    q35t_image data = {0};
    for (uint32_t i = 0; i < o->add_rank; i++)
        n *= o->add_shape[i];
    for (uint64_t i = 0; i < n && floats; i++)
        put_float(&data, o->add_dtype, o->add_value);
    if (!floats)
        q35t_put_zeros(&data, n * q35i_safetensors_bits(o->add_dtype) / 8);
    put_tensor(w, o->add, o->add_dtype, o->add_rank, o->add_shape, data.data, data.len);
    free(data.data);
}

static void put_all(writer *w)
{
    const q35t_hf_options *o = w->o;
    const char *flat = strcmp(o->dtype, "F8_E4M3") == 0 ? "BF16" : o->dtype;
    char name[NAME_BYTES - 32];
    snprintf(name, sizeof name, "%sembed_tokens", o->prefix);
    put_matrix(w, o->mistral ? "tok_embeddings" : name, "token_embd", flat, o->vocab, o->hidden, 0);
    for (uint32_t layer = 0; layer < o->layers; layer++)
        put_layer(w, layer);
    snprintf(name, sizeof name, "%snorm", o->prefix);
    put_norm(w, o->mistral ? "norm" : name, "output_norm");
    snprintf(name, sizeof name, "%slm_head", o->head_prefix);
    if (!o->tied || o->repeat_head)
        put_matrix(w, o->mistral ? "output" : name, o->repeat_head ? "token_embd" : "output", flat, o->vocab,
                   o->hidden, 0);
    if (o->vision)
        put_vision(w);
    w->extra = 1;
    if (o->add)
        put_extra(w);
}

/* A member of the configuration, unless the options have one of the same name. */
static void member(q35t_image *json, const char *extra, const char *key, const char *value)
{
    char part[NAME_BYTES * 4];
    snprintf(part, sizeof part, "\"%s\":", key);
    if (extra && strstr(extra, part))
        return;
    snprintf(part, sizeof part, "%s\"%s\": %s", json->len > 1 ? ",\n" : "", key, value);
    text(json, part);
}

static void number(q35t_image *json, const char *extra, const char *key, uint32_t value)
{
    char digits[16];
    snprintf(digits, sizeof digits, "%" PRIu32, value);
    member(json, extra, key, digits);
}

q35t_image q35t_hf_config(const q35t_hf_options *o)
{
    const int m = o->mistral;
    q35t_image json = {0};
    text(&json, "{");
    if (!m) {
        member(&json, o->config, "model_type", "\"llama\"");
        member(&json, o->config, "hidden_act", "\"silu\"");
    }
    number(&json, o->config, m ? "n_layers" : "num_hidden_layers", o->layers);
    number(&json, o->config, m ? "dim" : "hidden_size", o->hidden);
    number(&json, o->config, m ? "n_heads" : "num_attention_heads", o->heads);
    number(&json, o->config, m ? "n_kv_heads" : "num_key_value_heads", o->kv_heads);
    number(&json, o->config, "head_dim", o->head_dim);
    number(&json, o->config, m ? "hidden_dim" : "intermediate_size", o->ffn);
    number(&json, o->config, "vocab_size", o->vocab);
    number(&json, o->config, "max_position_embeddings", 1024);
    member(&json, o->config, "rope_theta", "10000.0");
    member(&json, o->config, m ? "norm_eps" : "rms_norm_eps", "1e-05");
    member(&json, o->config, m ? "tied_embeddings" : "tie_word_embeddings", o->tied ? "true" : "false");
    if (o->config) {
        text(&json, ",\n");
        text(&json, o->config);
    }
    text(&json, "\n}\n");
    return json;
}

static void write_index(const char *dir, const q35t_hf_options *o, const q35t_image *map)
{
    q35t_image json = {0};
    text(&json, "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {");
    q35t_put(&json, map->data, map->len);
    text(&json, "}}\n");
    q35t_hf_put_file(dir, o->mistral ? "consolidated.safetensors.index.json" : "model.safetensors.index.json",
                     json.data, json.len);
    free(json.data);
}

void q35t_hf_write(const char *dir, const q35t_hf_options *o)
{
    writer w = {.o = o, .files = calloc(o->shards, sizeof *w.files)};
    (void)mkdir(dir, 0700); /* may be there */
    if (!w.files)
        fail("model directory");
    put_all(&w);
    for (uint32_t i = 0; i < o->shards; i++) {
        char name[NAME_BYTES];
        if (o->odd_header)
            while ((w.files[i].header.len + 1) % 8 != 3)
                text(&w.files[i].header, " ");
        q35t_image file = q35t_st_finish(&w.files[i], !o->odd_header);
        shard_name(o, i, name);
        q35t_hf_put_file(dir, name, file.data, file.len);
        free(file.data);
    }
    if (o->shards > 1)
        write_index(dir, o, &w.map);
    q35t_image config = q35t_hf_config(o);
    q35t_hf_put_file(dir, o->mistral ? "params.json" : "config.json", config.data, config.len);
    free(config.data);
    free(w.map.data);
    free(w.files);
}
