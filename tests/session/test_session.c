/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions on the tiny model: against an independent double forward pass, and the promises on bits, context and
 * state. */
#include "reference.h"
#include "support/alloc_sweep.h"
#include "support/cpu_runtime.h"
#include "support/expect.h"
#include "support/suite.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"
#include "support/whole_file.h"

#include <math.h>
#include <q35rt/session.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N_IDS 37

static char model_path[Q35T_PATH_BYTES];
static q35_model *model;
static int32_t ids[N_IDS];
static uint32_t n_vocab;

static void open_model(const q35t_tiny_options *options)
{
    q35_model_config config;
    q35t_temp_path(model_path, "model.gguf");
    EXPECT_OK(q35t_tiny_model_write(model_path, options));
    EXPECT_OK(q35_model_open(model_path, &model));
    EXPECT_OK(q35_model_read_config(model, &config));
    n_vocab = config.vocab;
    for (uint32_t i = 0; i < N_IDS; i++)
        ids[i] = (int32_t)((i * 97u + 11u) % n_vocab);
}

static void setup(void)
{
    q35t_tiny_options options = q35t_tiny_options_default();
    open_model(&options);
}

static void teardown(void)
{
    q35_model_close(model);
    unlink(model_path);
}

static q35_session *session_with(q35_runtime *runtime, const q35_session_options *options)
{
    q35_session *session;
    EXPECT_OK(q35_session_create(runtime, model, options, &session));
    return session;
}

static q35_session_options exact_options(void)
{
    q35_session_options o = q35_session_options_default();
    o.devices = "cpu";
    o.act = Q35_ACT_F32;
    o.kv_dtype = Q35_DT_F32;
    o.all_logits = 1;
    return o;
}

/* Logits of all ids, fed in chunks of at most `chunk`. */
static float *logits_of(uint32_t threads, q35_session_options o, uint32_t chunk)
{
    q35_runtime *runtime = q35t_three_devices(threads);
    q35_session *session = session_with(runtime, &o);
    float *all = malloc((size_t)N_IDS * n_vocab * sizeof *all);
    ck_assert_ptr_nonnull(all);
    for (uint32_t i = 0; i < N_IDS; i += chunk) {
        const float *logits;
        uint32_t n = N_IDS - i < chunk ? N_IDS - i : chunk;
        EXPECT_OK(q35_session_eval(session, ids + i, n, &logits));
        memcpy(all + (size_t)i * n_vocab, logits, (size_t)n * n_vocab * sizeof *all);
    }
    q35_session_destroy(session);
    q35_runtime_destroy(runtime);
    return all;
}

static double worst(const float *a, const double *b)
{
    double worst_diff = 0;
    for (size_t i = 0; i < (size_t)N_IDS * n_vocab; i++)
        worst_diff = fmax(worst_diff, fabs((double)a[i] - b[i]));
    return worst_diff;
}

/* Exact path against double for every weight type the tiny model can have, tied and untied, with rope divisors. */
START_TEST(matches_reference)
{
    static const uint32_t dtypes[] = {Q35_DT_F32, Q35_DT_F16, Q35_DT_BF16, Q35_DT_Q8_0, Q35_DT_Q4_0, Q35_DT_Q4_1};
    q35t_tiny_options options = q35t_tiny_options_default();
    teardown();
    options.dtype = dtypes[_i];
    options.tied = _i % 2;
    options.rope_freqs = _i % 3 == 0;
    open_model(&options);
    double *want = q35t_reference_logits(model, ids, N_IDS);
    float *got = logits_of(2, exact_options(), 512);
    double scale = 0;
    for (size_t i = 0; i < (size_t)N_IDS * n_vocab; i++)
        scale = fmax(scale, fabs(want[i]));
    ck_assert_double_gt(scale, 0.1);
    ck_assert_double_lt(worst(got, want), 1e-4 * scale); /* some hundred f32 roundings of order 2^-24 */
    free(want);
    free(got);
}
END_TEST

START_TEST(same_bits_for_threads_and_chunks)
{
    static const uint32_t chunks[] = {1, 7, 8, 64};
    for (int act = 0; act < 2; act++) {
        q35_session_options o = exact_options();
        o.act = act ? Q35_ACT_F32 : Q35_ACT_INT8;
        o.kv_dtype = act ? Q35_DT_F32 : Q35_DT_F16;
        float *base = logits_of(1, o, 512);
        for (uint32_t threads = 1; threads <= 3; threads++)
            for (uint32_t c = 0; c < 4; c++) {
                float *other = logits_of(threads, o, chunks[c]);
                ck_assert_msg(memcmp(base, other, (size_t)N_IDS * n_vocab * sizeof *base) == 0,
                              "bits differ: act %d, %u threads, chunk %u", act, threads, chunks[c]);
                free(other);
            }
        free(base);
    }
}
END_TEST

/* A synchronous device beside the CPU, and one with memory, queue and timeline of its own (weights uploaded,
 * activations copied both ways). */
START_TEST(other_devices_take_what_they_can)
{
    static const char *const lists[] = {"template,cpu", "async1,cpu", "async1,template,cpu"};
    q35_session_options o = exact_options();
    float *base = logits_of(2, o, 512);
    o.devices = lists[_i];
    float *mixed = logits_of(2, o, 512);
    double diff = 0;
    for (size_t i = 0; i < (size_t)N_IDS * n_vocab; i++)
        diff = fmax(diff, fabs((double)base[i] - (double)mixed[i]));
    ck_assert_double_lt(diff, 1e-4);
    free(base);
    free(mixed);
}
END_TEST

START_TEST(last_logits_and_rewind)
{
    q35_runtime *runtime = q35t_three_devices(2);
    q35_session_options o = exact_options();
    float *all = logits_of(2, o, 512);
    o.all_logits = 0;
    q35_session *session = session_with(runtime, &o);
    const float *logits;
    ck_assert_uint_eq(q35_session_eval(session, ids, N_IDS, &logits), Q35_OK);
    ck_assert_int_eq(memcmp(logits, all + (size_t)(N_IDS - 1) * n_vocab, n_vocab * sizeof *logits), 0);
    ck_assert_uint_eq(q35_session_rewind(session, 10), Q35_OK);
    ck_assert_uint_eq(q35_session_pos(session), 10);
    ck_assert_uint_eq(q35_session_eval(session, ids + 10, 5, NULL), Q35_OK);
    ck_assert_uint_eq(q35_session_eval(session, ids + 15, 3, &logits), Q35_OK);
    ck_assert_int_eq(memcmp(logits, all + (size_t)17 * n_vocab, n_vocab * sizeof *logits), 0);
    ck_assert_uint_eq(q35_session_rewind(session, 19), Q35_E_RANGE);
    ck_assert_str_eq(q35_error_message(), "rewind: to position 19, at 18");
    q35_session_destroy(session);
    q35_runtime_destroy(runtime);
    free(all);
}
END_TEST

START_TEST(context_and_ids_are_bounded)
{
    q35_runtime *runtime = q35t_three_devices(1);
    q35_session_options o = exact_options();
    q35_session *session;
    const float *logits;
    o.all_logits = 0;
    o.n_ctx = 12;
    session = session_with(runtime, &o);
    ck_assert_uint_eq(q35_session_eval(session, ids, 13, &logits), Q35_E_NOFIT);
    ck_assert_str_eq(q35_error_message(), "context: 0 tokens in use and 13 to add, holds 12");
    ck_assert_uint_eq(q35_session_eval(session, ids, 12, &logits), Q35_OK);
    ck_assert_uint_eq(q35_session_eval(session, ids, 1, &logits), Q35_E_NOFIT);
    ck_assert_uint_eq(q35_session_rewind(session, 0), Q35_OK);
    int32_t bad = (int32_t)n_vocab;
    ck_assert_uint_eq(q35_session_eval(session, &bad, 1, &logits), Q35_E_RANGE);
    bad = -1;
    ck_assert_uint_eq(q35_session_eval(session, &bad, 1, &logits), Q35_E_RANGE);
    ck_assert_uint_eq(q35_session_eval(session, ids, 0, &logits), Q35_E_INVALID);
    q35_session_destroy(session);
    o.n_ctx = 1 << 20;
    ck_assert_uint_eq(q35_session_create(runtime, model, &o, &session), Q35_E_INVALID);
    ck_assert_ptr_null(session);
    o = exact_options();
    o.devices = "abacus";
    EXPECT_FAILURE(q35_session_create(runtime, model, &o, &session), Q35_E_UNAVAILABLE, "abacus");
    q35_runtime_destroy(runtime);
}
END_TEST

/* Mean squares of the first linear's input: those of rms_norm(embedding), computed here. */
START_TEST(observes_inputs)
{
    q35_runtime *runtime = q35t_three_devices(2);
    q35_session_options o = exact_options();
    q35_model_config c;
    uint32_t k;
    o.observe = 1;
    q35_session *session = session_with(runtime, &o);
    const float *logits;
    ck_assert_uint_eq(q35_model_read_config(model, &c), Q35_OK);
    ck_assert_uint_eq(q35_session_eval(session, ids, N_IDS, &logits), Q35_OK);
    const float *table = q35_model_tensor(model, "token_embd.weight")->data;
    const float *w = q35_model_tensor(model, "blk.0.attn_norm.weight")->data;
    double *want = calloc(c.hidden, sizeof *want);
    for (uint32_t t = 0; t < N_IDS; t++) {
        const float *x = table + (size_t)ids[t] * c.hidden;
        double sum = 0;
        for (uint32_t i = 0; i < c.hidden; i++)
            sum += (double)x[i] * (double)x[i];
        for (uint32_t i = 0; i < c.hidden; i++) {
            double y = (double)x[i] / sqrt(sum / c.hidden + (double)c.norm_eps) * (double)w[i];
            want[i] += y * y / N_IDS;
        }
    }
    const double *got = q35_session_observed(session, "blk.0.attn_v.weight", &k);
    ck_assert_ptr_nonnull(got);
    ck_assert_uint_eq(k, c.hidden);
    for (uint32_t i = 0; i < k; i++)
        ck_assert_double_lt(fabs(got[i] - want[i]), 1e-5 * (want[i] + 1e-6));
    ck_assert_ptr_nonnull(q35_session_observed(session, "blk.1.ffn_down.weight", &k));
    ck_assert_uint_eq(k, c.ffn);
    ck_assert_ptr_null(q35_session_observed(session, "token_embd.weight", &k));
    free(want);
    q35_session_destroy(session);
    q35_runtime_destroy(runtime);
}
END_TEST

/* One NaN in a weight matrix, patched into the file. (Norms are checked when the file is opened.) */
/* Logit of a token from the residual stream behind the last layer: output norm and tied head, in double. */
static double logit_of(const float *h, uint32_t id)
{
    q35_model_config config;
    EXPECT_OK(q35_model_read_config(model, &config));
    const float *norm = q35_model_tensor(model, "output_norm.weight")->data;
    const float *head = (const float *)q35_model_tensor(model, "token_embd.weight")->data + id * config.hidden;
    double squares = 0, sum = 0;
    for (uint32_t i = 0; i < config.hidden; i++)
        squares += (double)h[i] * (double)h[i];
    for (uint32_t i = 0; i < config.hidden; i++)
        sum += (double)h[i] * (double)norm[i] * (double)head[i];
    return sum / sqrt(squares / config.hidden + (double)config.norm_eps);
}

/* The last layer's rows give the logits; the same bits in one step and token by token; NULL where there are none.
 */
START_TEST(layers_are_handed_out)
{
    const uint32_t hidden = 64;
    q35_session_options o = exact_options();
    q35_runtime *runtime = q35t_three_devices(2);
    q35_session *without = session_with(runtime, &o);
    o.layer_outputs = 1;
    q35_session *all = session_with(runtime, &o), *single = session_with(runtime, &o);
    const float *logits, *plain;
    ck_assert_ptr_null(q35_session_layer(all, 0));
    EXPECT_OK(q35_session_eval(all, ids, N_IDS, &logits));
    EXPECT_OK(q35_session_eval(without, ids, N_IDS, &plain));
    ck_assert_mem_eq(logits, plain, (size_t)N_IDS * n_vocab * sizeof *logits);
    ck_assert_ptr_null(q35_session_layer(without, 0));
    ck_assert_ptr_null(q35_session_layer(all, 2));
    const float *first = q35_session_layer(all, 0), *last = q35_session_layer(all, 1);
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_nonnull(last);
    for (uint32_t t = 0; t < N_IDS; t++) {
        EXPECT_OK(q35_session_eval(single, ids + t, 1, NULL));
        ck_assert_mem_eq(q35_session_layer(single, 0), first + t * hidden, hidden * sizeof *first);
        ck_assert_mem_eq(q35_session_layer(single, 1), last + t * hidden, hidden * sizeof *last);
        for (uint32_t i = 0; i < n_vocab; i++)
            ck_assert_double_eq_tol(logit_of(last + t * hidden, i), (double)logits[(size_t)t * n_vocab + i], 1e-4);
    }
    EXPECT_FAILURE(q35_session_eval(all, ids, 0, NULL), Q35_E_INVALID, "0 tokens");
    ck_assert_ptr_null(q35_session_layer(all, 0));
    q35_session_destroy(single);
    q35_session_destroy(all);
    q35_session_destroy(without);
    q35_runtime_destroy(runtime);
}
END_TEST

START_TEST(nan_weights_are_an_error)
{
    const float nan_weight = NAN;
    const q35_tensor_info *down = q35_model_tensor(model, "blk.1.ffn_down.weight");
    long offset = (long)((const char *)down->data - (const char *)q35_model_meta_at(model, 0)->key.data);
    long first_key = 24 + 8; /* header, length of the first key */
    FILE *file = fopen(model_path, "r+b");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, first_key + offset + 4, SEEK_SET), 0);
    ck_assert_uint_eq(fwrite(&nan_weight, sizeof nan_weight, 1, file), 1);
    fclose(file);
    q35_model_close(model);
    ck_assert_uint_eq(q35_model_open(model_path, &model), Q35_OK);
    q35_runtime *runtime = q35t_three_devices(1);
    q35_session_options o = exact_options();
    o.devices = _i ? "async1,cpu" : "cpu"; /* the device sees it among the logits that it chooses, too */
    o.all_logits = !_i;
    q35_session *session = session_with(runtime, &o);
    const float *logits;
    EXPECT_FAILURE(q35_session_eval(session, ids, 3, &logits), Q35_E_FORMAT, "not finite");
    q35_session_destroy(session);
    q35_runtime_destroy(runtime);
}
END_TEST

/* Every allocation of creating and using a session fails in turn: NOMEM each time, and nothing left behind (ASan).
 */
START_TEST(survives_failed_allocations)
{
    static const char *const lists[] = {"cpu", "async1,template,cpu"};
    q35_runtime *runtime = q35t_three_devices(2);
    q35_session_options o = exact_options();
    const float *logits;
    o.devices = lists[_i];
    o.max_chunk = 16;
    q35t_alloc_sweep sweep = {.limit = 100000};
    while (q35t_alloc_sweep_next(&sweep)) {
        q35_session *session = NULL;
        q35_status status = q35_session_create(runtime, model, &o, &session);
        if (status == Q35_OK)
            status = q35_session_eval(session, ids, 5, &logits); /* builds another plan */
        q35t_alloc_sweep_end(&sweep, status);
        q35_session_destroy(session);
    }
    ck_assert_uint_gt(sweep.n, 20);
    q35_runtime_destroy(runtime);
}
END_TEST

typedef struct text_buffer {
    char *data;
    size_t len;
} text_buffer;

/* Appends without what depends on the machine: expected times. */
static void append_stable(void *user, const char *text, uint64_t len)
{
    text_buffer *out = user;
    out->data = realloc(out->data, out->len + len + 1);
    ck_assert_ptr_nonnull(out->data);
    memcpy(out->data + out->len, text, len);
    out->len += len;
    out->data[out->len] = '\0';
}

static void drop_times(char *text)
{
    char *to = text;
    for (char *at = text; *at;) {
        size_t n = strspn(at, "+-.0123456789");
        if (n > 0 && strncmp(at + n, " us", 3) == 0) {
            while (to > text && to[-1] == ' ')
                to--;
            at += n + 3;
            continue;
        }
        n = n ? n : 1;
        memmove(to, at, n);
        to += n;
        at += n;
    }
    *to = '\0';
}

/* Dumps of the tiny model against stored text; Q35T_UPDATE=1 in the environment rewrites them. */
static void assert_dump(q35_session *session, uint32_t what, uint32_t n_tokens, const char *golden)
{
    char path[512];
    text_buffer got = {0};
    ck_assert_uint_eq(q35_session_dump(session, what, n_tokens, append_stable, &got), Q35_OK);
    drop_times(got.data);
    snprintf(path, sizeof path, "%s/%s", Q35T_SOURCE_DIR, golden);
    if (getenv("Q35T_UPDATE"))
        q35t_write_file(path, got.data, strlen(got.data));
    char *want = q35t_read_file(path, NULL);
    ck_assert_str_eq(got.data, want);
    free(want);
    free(got.data);
}

START_TEST(dumps_are_as_stored)
{
    q35_runtime *runtime = q35t_three_devices(1);
    q35_session_options o = exact_options();
    o.act = Q35_ACT_INT8;
    o.all_logits = 0;
    q35_session *session = session_with(runtime, &o);
    assert_dump(session, Q35_DUMP_GRAPH, 1, "graph_cpu.golden");
    ck_assert_uint_eq(q35_session_dump(session, Q35_DUMP_PLAN, 513, append_stable, NULL), Q35_E_INVALID);
    q35_session_destroy(session);
    o.devices = "async1,template,cpu";
    session = session_with(runtime, &o);
    assert_dump(session, Q35_DUMP_PLAN, 8, "plan_three_devices.golden");
    q35_session_destroy(session);
    q35_runtime_destroy(runtime);
}
END_TEST

int main(void)
{
    q35t_temp_dir_create();
    Suite *suite = suite_create("session");
    TCase *tc = tcase_create("session");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, matches_reference, 0, 6);
    tcase_add_test(tc, same_bits_for_threads_and_chunks);
    tcase_add_loop_test(tc, other_devices_take_what_they_can, 0, 3);
    tcase_add_test(tc, last_logits_and_rewind);
    tcase_add_test(tc, context_and_ids_are_bounded);
    tcase_add_test(tc, observes_inputs);
    tcase_add_test(tc, layers_are_handed_out);
    tcase_add_loop_test(tc, nan_weights_are_an_error, 0, 2);
    tcase_add_loop_test(tc, survives_failed_allocations, 0, 2);
    tcase_add_test(tc, dumps_are_as_stored);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
