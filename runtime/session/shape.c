/* SPDX-License-Identifier: Apache-2.0
 *
 * Shapes of released models. Sources: their configurations. */
#include "runtime/session/generate.h"

#include "runtime/base/error.h"

#include <string.h>

static const struct {
    const char *name;
    q35_shape shape;
} shapes[] = {
    /* architecture, hidden, layers, heads, KV heads, head, ffn, vocabulary, context, rope base, tied */
    {"ministral3-3b", {"mistral3", 3072, 26, 32, 8, 128, 9216, 131072, 262144, 1e6f, 1}},
    {"ministral3-8b", {"mistral3", 4096, 34, 32, 8, 128, 14336, 131072, 262144, 1e6f, 0}},
    {"ministral3-14b", {"mistral3", 5120, 40, 32, 8, 128, 16384, 131072, 262144, 1e9f, 0}},
    {"llama3-8b", {"llama", 4096, 32, 32, 8, 128, 14336, 128256, 8192, 5e5f, 0}},
    {"llama3-70b", {"llama", 8192, 80, 64, 8, 128, 28672, 128256, 8192, 5e5f, 0}},
    {"smollm2-135m", {"llama", 576, 30, 9, 3, 64, 1536, 49152, 8192, 1e5f, 1}},
};

const char *q35_shape_at(uint32_t i, q35_shape *out)
{
    if (i >= sizeof shapes / sizeof *shapes)
        return NULL;
    if (out)
        *out = shapes[i].shape;
    return shapes[i].name;
}

uint64_t q35_shape_weights(const q35_shape *s, uint64_t *out_linear)
{
    uint64_t q = (uint64_t)s->heads * s->head_dim, kv = (uint64_t)s->kv_heads * s->head_dim;
    uint64_t layer = 2 * q * s->hidden + 2 * kv * s->hidden + 3 * (uint64_t)s->ffn * s->hidden;
    *out_linear = layer * s->layers;
    return *out_linear + (2 * (uint64_t)s->layers + 1) * s->hidden +
           (s->tied ? 1u : 2u) * (uint64_t)s->vocab * s->hidden;
}

static q35_status in_range(const char *name, uint32_t value, uint32_t low, uint32_t high)
{
    if (value < low || value > high)
        return Q35_FAIL(Q35_E_INVALID, "shape: %s %u, need %u to %u", name, value, low, high);
    return Q35_OK;
}

q35_status q35i_shape_check(const q35_shape *s)
{
    const uint32_t most = 1u << 20;
    if (strcmp(s->architecture, "llama") != 0 && strcmp(s->architecture, "mistral3") != 0)
        return Q35_FAIL(Q35_E_INVALID, "shape: architecture '%.31s', need llama or mistral3", s->architecture);
    Q35_TRY(in_range("hidden width", s->hidden, 1, most));
    Q35_TRY(in_range("layers", s->layers, 1, 1024));
    Q35_TRY(in_range("heads", s->heads, 1, 65536));
    Q35_TRY(in_range("KV heads", s->kv_heads, 1, s->heads));
    Q35_TRY(in_range("head width", s->head_dim, 2, 4096));
    Q35_TRY(in_range("feed-forward width", s->ffn, 1, most));
    Q35_TRY(in_range("vocabulary", s->vocab, 259, 1u << 22)); /* the tokenizer's: 3 control tokens, 256 bytes */
    Q35_TRY(in_range("context", s->context, 1, 1u << 30));
    if (s->heads % s->kv_heads != 0)
        return Q35_FAIL(Q35_E_INVALID, "shape: %u KV heads, need a divisor of the %u heads", s->kv_heads,
                        s->heads);
    if (s->head_dim % 2 != 0)
        return Q35_FAIL(Q35_E_INVALID, "shape: head width %u, need an even number", s->head_dim);
    if (!(s->rope_base > 1.0f) || s->rope_base > 1e12f)
        return Q35_FAIL(Q35_E_INVALID, "shape: rope base %g, need more than 1 and at most 1e12",
                        (double)s->rope_base);
    return Q35_OK;
}
