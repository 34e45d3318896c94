/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensors of safetensors files as the model's: matrices stay where they are mapped, vectors become F32, FP8
 * weights get their scale. */
#include "hf.h"

#include "quote.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

#include <q35rt/blocks.h>

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define F8_BLOCK   32u
#define DIVISORS   "rope_freqs.weight"
#define OUTPUT     "output.weight"
#define EMBEDDINGS "token_embd.weight"

typedef struct builder {
    q35_model *model;
    q35i_hf_kind kind;
    const q35i_hf_shards *shards;
    const q35i_hf_facts *facts;
    uint64_t n_scales;
} builder;

/* Calls fn for each tensor of all files with the role of its name and the GGUF name. */
typedef q35_status (*visitor)(builder *b, const q35i_hf_shard *shard, const q35i_safetensor *t, q35i_hf_role role,
                              const char *name);

static q35_status each(builder *b, visitor fn)
{
    char name[Q35I_NAME_BYTES];
    for (uint32_t s = 0; s < b->shards->n; s++)
        for (uint64_t i = 0; i < b->shards->shards[s].list.n; i++) {
            const q35i_safetensor *t = &b->shards->shards[s].list.tensors[i];
            q35i_hf_role role = q35i_hf_map_name(b->kind, t->name, name);
            q35_status status = fn(b, &b->shards->shards[s], t, role, name);
            if (status != Q35_OK)
                return q35i_fail_context(status, "tensor %s",
                                         q35i_quote((q35_string){t->name, strlen(t->name)}).text);
        }
    return Q35_OK;
}

static uint64_t elements(const q35i_safetensor *t)
{
    uint64_t n = 1;
    for (uint32_t i = 0; i < t->rank; i++)
        n *= t->shape[i]; /* fits where the type is a known one */
    return n;
}

/* Converts to F32; 0: another type. */
static int load_floats(const char *dtype, const uint8_t *from, uint64_t n, float *out)
{
    const bool f32 = strcmp(dtype, "F32") == 0, f16 = strcmp(dtype, "F16") == 0;
    if (!f32 && !f16 && strcmp(dtype, "BF16") != 0)
        return 0;
    if (f32)
        memcpy(out, from, n * sizeof *out);
    for (uint64_t i = 0; i < n && !f32; i++)
        out[i] = f16 ? q35_f16_to_f32(q35_load_u16(from + 2 * i)) : q35_bf16_to_f32(q35_load_u16(from + 2 * i));
    return 1;
}

/* A norm's weights, in memory of the tensor's own. */
static q35_status take_vector(q35i_tensor *t, const q35i_safetensor *from)
{
    uint64_t n = from->shape[0];
    if (strcmp(from->dtype, "F32") != 0 && strcmp(from->dtype, "F16") != 0 && strcmp(from->dtype, "BF16") != 0)
        return Q35_FAIL(Q35_E_FORMAT, "vector of type %s, need F32, F16 or BF16", from->dtype);
    t->owned = q35i_alloc_aligned(n * sizeof(float), 64);
    if (!t->owned)
        return Q35_E_NOMEM;
    (void)load_floats(from->dtype, t->bytes, n, t->owned);
    t->info.dtype = Q35_DT_F32;
    t->info.rank = 1;
    t->info.dim[0] = (int64_t)n;
    t->info.bytes = n * sizeof(float);
    t->info.data = t->owned;
    return Q35_OK;
}

static q35_status read_dtype(const q35i_safetensor *from, uint32_t *out)
{
    static const struct {
        const char *name;
        uint32_t dtype;
    } known[] = {{"BF16", Q35_DT_BF16}, {"F16", Q35_DT_F16}, {"F32", Q35_DT_F32}, {"F8_E4M3", Q35_DT_F8_32}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(from->dtype, known[i].name) == 0) {
            *out = known[i].dtype;
            return Q35_OK;
        }
    return Q35_FAIL(Q35_E_FORMAT, "matrix of type %s, need BF16, F16, F32 or F8_E4M3", from->dtype);
}

/* Rows of q and k stand in halves in Hugging Face's files. */
static q35_status set_halves(q35i_tensor *t, uint32_t head_dim)
{
    if (t->info.dim[1] % head_dim != 0)
        return Q35_FAIL(Q35_E_FORMAT, "%" PRId64 " rows, need a multiple of the head's %" PRIu32, t->info.dim[1],
                        head_dim);
    t->stored |= Q35I_STORED_HALVES;
    t->head_dim = head_dim;
    return Q35_OK;
}

/* The kernels read elements in place: what is not at a multiple of their size is copied. */
static q35_status align(const q35_model *model, q35i_tensor *t)
{
    uint64_t size = q35_dtype_describe(t->info.dtype).block_bytes;
    const void *copy;
    if ((t->stored & Q35I_STORED_F8) || (uintptr_t)t->bytes % size == 0)
        return Q35_OK;
    q35i_log(Q35_LOG_INFO,
             "tensor %s: copied, its %" PRIu64 " bytes begin at %" PRIu64 ", no multiple of %" PRIu64, t->name,
             t->info.bytes, t->offset, size);
    Q35_TRY(q35i_model_bytes(model, &t->info, &copy));
    t->bytes = copy;
    t->stored = Q35I_STORED_PLAIN;
    return Q35_OK;
}

static q35_status take_matrix(builder *b, q35i_tensor *t, const q35i_safetensor *from, bool query_key)
{
    Q35_TRY(read_dtype(from, &t->info.dtype));
    t->info.rank = 2;
    t->info.dim[0] = (int64_t)from->shape[1];
    t->info.dim[1] = (int64_t)from->shape[0];
    if (t->info.dtype == Q35_DT_F8_32) {
        if (from->shape[1] % F8_BLOCK != 0)
            return Q35_FAIL(Q35_E_UNSUPPORTED, "F8_E4M3 rows of %" PRIu64 ", need a multiple of %u",
                            from->shape[1], F8_BLOCK);
        t->stored = Q35I_STORED_F8;
    }
    t->info.bytes = q35_row_bytes(t->info.dtype, from->shape[1]) * from->shape[0];
    if (query_key)
        Q35_TRY(set_halves(t, b->facts->head_dim));
    Q35_TRY(align(b->model, t));
    t->info.data = t->stored == Q35I_STORED_PLAIN ? t->bytes : NULL;
    return Q35_OK;
}

static q35_status take(builder *b, const q35i_hf_shard *shard, const q35i_safetensor *from, bool query_key,
                       const char *name)
{
    q35i_tensor *t = &b->model->tensors[b->model->n_tensors];
    if (from->rank < 1 || from->rank > 2 || elements(from) == 0)
        return Q35_FAIL(Q35_E_FORMAT,
                        "%" PRIu32 " dimensions with %" PRIu64 " elements, need a vector or a matrix", from->rank,
                        elements(from));
    b->model->n_tensors++; /* what it owns is freed with the model from now on */
    memcpy(t->name, name, strlen(name) + 1);
    t->info.name = t->name;
    t->info.dim[1] = t->info.dim[2] = t->info.dim[3] = 1;
    t->offset = from->begin;
    t->bytes = shard->data + from->begin;
    return from->rank == 1 ? take_vector(t, from) : take_matrix(b, t, from, query_key);
}

static q35_status visit_weight(builder *b, const q35i_hf_shard *shard, const q35i_safetensor *t, q35i_hf_role role,
                               const char *name)
{
    switch (role) {
    case Q35I_HF_WEIGHT:
    case Q35I_HF_QUERY_KEY: return take(b, shard, t, role == Q35I_HF_QUERY_KEY, name);
    case Q35I_HF_VISION:
        b->model->n_skipped++;
        b->model->skipped_bytes += t->end - t->begin;
        return Q35_OK;
    case Q35I_HF_SCALE: b->n_scales++; return Q35_OK;
    case Q35I_HF_IGNORED: return Q35_OK;
    case Q35I_HF_UNKNOWN: break;
    }
    return Q35_FAIL(Q35_E_UNSUPPORTED,
                    "not part of a model of the llama family as known here and may change results, need no such "
                    "tensor");
}

static q35_status visit_scale(builder *b, const q35i_hf_shard *shard, const q35i_safetensor *from,
                              q35i_hf_role role, const char *name)
{
    float scale;
    if (role != Q35I_HF_SCALE)
        return Q35_OK;
    q35i_tensor *t = q35i_model_tensor(b->model, (q35_string){name, strlen(name)});
    if (!t || !(t->stored & Q35I_STORED_F8))
        return Q35_FAIL(Q35_E_FORMAT, "scale of a weight that is %s, need one of type F8_E4M3",
                        t ? q35_dtype_describe(t->info.dtype).name : "not there");
    if (t->scale != 0)
        return Q35_FAIL(Q35_E_FORMAT, "second scale of a weight, need one");
    if (from->rank > 1)
        return Q35_FAIL(Q35_E_UNSUPPORTED,
                        "%" PRIu64 " scales in %" PRIu32
                        " dimensions, need one for the whole weight: scales of blocks are not known here",
                        elements(from), from->rank);
    if (elements(from) != 1 || !load_floats(from->dtype, shard->data + from->begin, 1, &scale))
        return Q35_FAIL(Q35_E_FORMAT, "%" PRIu64 " scales of type %s, need one of type BF16, F16 or F32",
                        elements(from), from->dtype);
    if (!isfinite(scale) || scale <= 0)
        return Q35_FAIL(Q35_E_FORMAT, "scale %g, need a finite one above 0", (double)scale);
    t->scale = scale;
    return Q35_OK;
}

static q35_status check_scales(const q35_model *model)
{
    for (uint64_t i = 0; i < model->n_tensors; i++)
        if ((model->tensors[i].stored & Q35I_STORED_F8) && model->tensors[i].scale == 0)
            return Q35_FAIL(Q35_E_FORMAT,
                            "tensor %s: F8_E4M3 without a scale, need weight_scale_inv or qscale_weight beside it",
                            model->tensors[i].name);
    return Q35_OK;
}

/* The divisors of rope frequencies become a tensor, as in a GGUF file. */
static q35_status add_divisors(builder *b)
{
    const uint64_t n = b->facts->n_divisors;
    q35i_tensor *t = &b->model->tensors[b->model->n_tensors];
    if (n == 0)
        return Q35_OK;
    t->owned = q35i_alloc_aligned(n * sizeof(float), 64);
    if (!t->owned)
        return Q35_E_NOMEM;
    memcpy(t->owned, b->facts->divisors, n * sizeof(float));
    memcpy(t->name, DIVISORS, sizeof DIVISORS);
    t->info = (q35_tensor_info){.name = t->name,
                                .dtype = Q35_DT_F32,
                                .rank = 1,
                                .dim = {(int64_t)n, 1, 1, 1},
                                .data = t->owned,
                                .bytes = n * sizeof(float)};
    t->bytes = t->owned;
    b->model->n_tensors++;
    return Q35_OK;
}

static bool same_bytes(const q35i_tensor *a, const q35i_tensor *b)
{
    return a->info.dtype == b->info.dtype && a->info.dim[0] == b->info.dim[0] &&
           a->info.dim[1] == b->info.dim[1] && a->info.data && b->info.data &&
           memcmp(a->info.data, b->info.data, a->info.bytes) == 0;
}

/* A tied model has no output matrix, or one that repeats the embedding. One that differs is taken, with a word. */
static q35_status check_tied(q35_model *model, const q35i_hf_facts *facts)
{
    q35i_tensor *output = q35i_model_tensor(model, (q35_string){OUTPUT, strlen(OUTPUT)});
    const q35i_tensor *embedding = q35i_model_tensor(model, (q35_string){EMBEDDINGS, strlen(EMBEDDINGS)});
    if (!output && facts->tied_given && !facts->tied)
        return Q35_FAIL(Q35_E_FORMAT, "output matrix: not there, need it when embeddings are not tied");
    if (!output || !embedding || !facts->tied)
        return Q35_OK;
    if (!same_bytes(output, embedding)) {
        q35i_log(Q35_LOG_WARN,
                 "the configuration ties output matrix and embedding, but they differ: both are used");
        return Q35_OK;
    }
    q35i_log(Q35_LOG_INFO, "output matrix: equal to the embedding it is tied to, left out");
    q35i_free(output->owned);
    *output = model->tensors[--model->n_tensors];
    q35i_free(model->tensor_index);
    model->tensor_index = NULL;
    for (uint64_t i = 0; i < model->n_tensors; i++)
        model->tensors[i].info.name = model->tensors[i].name;
    return q35i_model_index_tensors(model);
}

q35_status q35i_hf_build_tensors(q35_model *model, q35i_hf_kind kind, const q35i_hf_shards *shards,
                                 const q35i_hf_facts *facts)
{
    builder b = {.model = model, .kind = kind, .shards = shards, .facts = facts};
    uint64_t n = 1; /* the divisors */
    for (uint32_t s = 0; s < shards->n; s++)
        n += shards->shards[s].list.n;
    model->tensors = q35i_calloc(n, sizeof *model->tensors);
    if (!model->tensors)
        return Q35_E_NOMEM;
    Q35_TRY(each(&b, visit_weight));
    Q35_TRY(add_divisors(&b));
    Q35_TRY(q35i_model_index_tensors(model));
    if (b.n_scales > 0)
        Q35_TRY(each(&b, visit_scale));
    Q35_TRY(check_scales(model));
    return check_tied(model, facts);
}
