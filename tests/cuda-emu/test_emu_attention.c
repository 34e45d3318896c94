/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention on the emulation, all its kernels, against the reference, bit by bit: groups of 1, 3, 4, 8 and 20
 * query heads, contexts within a span and over several, sequences side by side with pages in disorder. Positions
 * that a token does not see hold NaN. */
#include "emu_case.h"
#include "support/rng.h"
#include "support/suite.h"

#include <stdio.h>
#include <string.h>

enum { SPARE = 2 };

typedef struct shape {
    uint32_t dtype;
    int32_t heads, kv_heads, head_dim, n_tokens, n_sequences, first; /* position of a sequence's first token */
} shape;

/* What a case works on. */
typedef struct work {
    q35k_kv kv;
    float *q;
    int32_t *positions, *sequence, *pages;
    int32_t max_pages, last; /* largest position */
} work;

/* Tokens in turn of each sequence: the first half of the tokens is the first sequence's, and so on. */
static work make(const shape *s)
{
    q35t_rng rng = q35t_rng_seed((uint64_t)(s->heads * 1000 + s->head_dim + s->first));
    work w = {.last = 0};
    const int32_t share = (s->n_tokens + s->n_sequences - 1) / s->n_sequences;
    w.last = s->first + share - 1;
    w.max_pages = w.last / Q35_KV_PAGE + 1;
    const int32_t n_pages = w.max_pages * s->n_sequences;
    const size_t bytes =
        (size_t)(n_pages * Q35_KV_PAGE * s->kv_heads) * q35_row_bytes(s->dtype, (uint64_t)s->head_dim);
    const int64_t row = (int64_t)s->kv_heads * s->head_dim;
    w.kv = (q35k_kv){.k = emu_memory(bytes, 8),
                     .v = emu_memory(bytes, 8),
                     .dtype = s->dtype,
                     .n_pages = n_pages,
                     .n_kv_heads = s->kv_heads,
                     .head_dim = s->head_dim};
    memset(w.kv.k, 0xff, bytes);
    memset(w.kv.v, 0xff, bytes);
    w.q = emu_memory((size_t)(s->n_tokens + SPARE) * (size_t)(s->heads * s->head_dim) * sizeof *w.q, 4);
    w.positions = emu_memory((size_t)(s->n_tokens + SPARE) * sizeof *w.positions, 4);
    w.sequence = emu_memory((size_t)(s->n_tokens + SPARE) * sizeof *w.sequence, 4);
    w.pages = emu_memory((size_t)n_pages * sizeof *w.pages, 4);
    float *k = emu_memory((size_t)row * sizeof *k, 4), *v = emu_memory((size_t)row * sizeof *v, 4);
    for (int32_t p = 0; p < n_pages; p++)
        w.pages[p] = (p * 7 + 3) % n_pages;
    for (int32_t p = 0; n_pages % 7 == 0 && p < n_pages; p++)
        w.pages[p] = n_pages - 1 - p;
    for (int32_t i = 0; i < s->n_tokens * s->heads * s->head_dim; i++)
        w.q[i] = q35t_rng_signed(&rng);
    for (int32_t t = 0; t < s->n_tokens; t++) {
        w.sequence[t] = t / share;
        w.positions[t] = s->first + t % share;
    }
    for (int32_t sequence = 0; sequence < s->n_sequences; sequence++)
        for (int32_t p = 0; p <= w.last; p++) {
            const int32_t page = w.pages[sequence * w.max_pages + p / Q35_KV_PAGE];
            const int32_t slot = page * Q35_KV_PAGE + p % Q35_KV_PAGE;
            for (int64_t i = 0; i < row; i++) {
                k[i] = 3 * q35t_rng_signed(&rng);
                v[i] = q35t_rng_signed(&rng);
            }
            emu_reference()->kv_append(k, 0, v, 0, &w.kv, &slot, 0, 1);
        }
    return w;
}

/* many: attention_rows, else attention_spans with `spare` spans more than are needed. */
static void check(const shape *s, int many, int32_t spare)
{
    const work w = make(s);
    const int64_t rs = (int64_t)s->heads * s->head_dim * 4;
    const size_t bytes = (size_t)(s->n_tokens + SPARE) * (size_t)rs;
    float *out = emu_memory(bytes, 4);
    const q35k_attention ref = {.q = w.q,
                                .out = out,
                                .rs_q = rs,
                                .rs_out = rs,
                                .n_heads = s->heads,
                                .scale = 0.3f,
                                .kv = &w.kv,
                                .positions = w.positions,
                                .sequence = w.sequence,
                                .pages = w.pages,
                                .max_pages = w.max_pages};
    emu_reference()->attention(&ref, 0, (int64_t)s->n_tokens * s->kv_heads, NULL,
                               emu_memory(q35k_attention_scratch_bytes(s->head_dim), 64));
    q35_attention_args a = {.q = emu_address(w.q),
                            .cache_k = emu_address(w.kv.k),
                            .cache_v = emu_address(w.kv.v),
                            .positions = emu_address(w.positions),
                            .sequence = emu_address(w.sequence),
                            .pages = emu_address(w.pages),
                            .rows_at = emu_count(s->n_tokens),
                            .rs_q = rs,
                            .rs_out = rs,
                            .n_rows = s->n_tokens + SPARE,
                            .n_heads = s->heads,
                            .n_kv_heads = s->kv_heads,
                            .head_dim = s->head_dim,
                            .max_pages = w.max_pages,
                            .n_spans = q35_cuda_n_spans(w.last + 1) + spare,
                            .dtype = s->dtype,
                            .scale = 0.3f};
    const uint64_t records = q35_cuda_records_bytes(&a);
    if (records)
        a.records = emu_address(emu_memory(records, 4));
    emu_case c = {
        .kernels = {many ? Q35_CUDA_K_attention_rows : Q35_CUDA_K_attention_spans, Q35_CUDA_K_attention_join},
        .n_kernels = !many && a.n_spans > 1 ? 2 : 1,
        .args = &a,
        .n_outputs = 1};
    c.outputs[0] = (emu_output){.field = &a.out, .expected = out, .bytes = bytes, .floats = 1};
    snprintf(c.what, sizeof c.what, "%s: type %u, %d heads of %d for %d, %d tokens of %d sequences from %d",
             many ? "attention_rows" : "attention_spans", s->dtype, s->heads, s->head_dim, s->kv_heads,
             s->n_tokens, s->n_sequences, s->first);
    emu_check(&c);
    emu_release();
}

static const uint32_t types[] = {Q35_DT_F16, Q35_DT_F32, Q35_DT_Q8_0};

START_TEST(test_groups)
{
    static const int32_t heads[][2] = {{2, 2}, {9, 3}, {8, 2}, {16, 2}, {20, 1}};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        const shape s = {types[_i], heads[i][0], heads[i][1], 64, 5, 2, 30};
        check(&s, 0, 0);
        check(&s, 1, 0);
    }
}
END_TEST

START_TEST(test_head_dims)
{
    static const int32_t dims[] = {32, 64, 96, 128, 160, 256};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        const shape s = {types[_i], 4, 1, dims[i], 3, 1, 1};
        check(&s, 0, 1);
        check(&s, 1, 0);
    }
}
END_TEST

START_TEST(test_contexts)
{
    static const int32_t first[] = {0, 31, 32, 254, 255, 256, 511, 600};
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        const shape few = {types[_i], 3, 1, 32, 2, 1, first[i]}, many = {types[_i], 2, 1, 32, 19, 2, first[i]};
        check(&few, 0, 0);
        check(&many, 1, 0);
    }
}
END_TEST

/* A context longer than the launch was made for gives NaN, not what a part of it would. */
START_TEST(test_too_long)
{
    const shape s = {Q35_DT_F16, 1, 1, 16, 1, 1, 300};
    const work w = make(&s);
    float expected[16];
    memset(expected, 0xff, sizeof expected);
    q35_attention_args a = {.q = emu_address(w.q),
                            .cache_k = emu_address(w.kv.k),
                            .cache_v = emu_address(w.kv.v),
                            .positions = emu_address(w.positions),
                            .sequence = emu_address(w.sequence),
                            .pages = emu_address(w.pages),
                            .rs_q = 64,
                            .rs_out = 64,
                            .n_rows = 1,
                            .n_heads = 1,
                            .n_kv_heads = 1,
                            .head_dim = 16,
                            .max_pages = w.max_pages,
                            .n_spans = 1,
                            .dtype = Q35_DT_F16,
                            .scale = 1};
    emu_case c = {
        .what = "too long", .kernels = {Q35_CUDA_K_attention_spans}, .n_kernels = 1, .args = &a, .n_outputs = 1};
    c.outputs[0] = (emu_output){.field = &a.out, .expected = expected, .bytes = sizeof expected, .floats = 1};
    emu_check(&c);
    emu_release();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("emu_attention");
    TCase *attention = tcase_create("attention");
    tcase_add_loop_test(attention, test_groups, 0, 3);
    tcase_add_loop_test(attention, test_head_dims, 0, 3);
    tcase_add_loop_test(attention, test_contexts, 0, 3);
    tcase_add_test(attention, test_too_long);
    tcase_set_timeout(attention, 120);
    suite_add_tcase(suite, attention);
    return q35t_run(suite);
}
