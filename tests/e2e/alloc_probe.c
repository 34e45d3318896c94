/* SPDX-License-Identifier: Apache-2.0
 *
 * alloc_probe MODEL DEVICES: counts heap allocations of the whole process between token 2 and token 64 of a
 * generation, sampling included, and between step 2 and step 64 of sequences side by side, forks included. Its own
 * malloc stands before the C library's, also for the libraries it loads. */
#include <q35rt/q35rt.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

static atomic_int counting;
static atomic_ulong counted;

#ifndef SANITIZED
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *ptr, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);

static void count_one(void)
{
    if (atomic_load(&counting))
        atomic_fetch_add(&counted, 1);
}

void *malloc(size_t bytes)
{
    count_one();
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    count_one();
    return __libc_calloc(count, bytes);
}

void *realloc(void *ptr, size_t bytes)
{
    count_one();
    return __libc_realloc(ptr, bytes);
}

void *aligned_alloc(size_t align, size_t bytes)
{
    count_one();
    return __libc_memalign(align, bytes);
}

int posix_memalign(void **out, size_t align, size_t bytes);
int posix_memalign(void **out, size_t align, size_t bytes)
{
    count_one();
    *out = __libc_memalign(align, bytes);
    return *out ? 0 : ENOMEM;
}
#endif

static unsigned long stop_counting(void)
{
    atomic_store(&counting, 0);
    return atomic_exchange(&counted, 0);
}

/* The counter sees an allocation made here and one made inside the library. */
static int counter_works(void)
{
    q35_sampler_options options = q35_sampler_options_default();
    q35_sampler *sampler = NULL;
    atomic_store(&counting, 1);
    void *volatile one = malloc(1);
    int made = q35_sampler_create(&options, 16, &sampler) == Q35_OK;
    unsigned long n = stop_counting();
    free(one);
    q35_sampler_destroy(sampler);
    return made && n >= 2;
}

static q35_status generate(q35_session *session, q35_sampler *sampler, unsigned long *out)
{
    static const int32_t prompt[] = {3, 14, 15, 92, 65, 35, 89, 79};
    const float *logits;
    q35_status status = q35_session_eval(session, prompt, 8, &logits);
    for (int token = 0; token < 64 && status == Q35_OK; token++) {
        if (token == 2)
            atomic_store(&counting, 1);
        int32_t id = q35_sampler_sample(sampler, logits);
        q35_sampler_accept(sampler, id);
        status = q35_session_eval(session, &id, 1, &logits);
    }
    *out = stop_counting();
    return status;
}

/* Three sequences, of which the last is freed and forked from the first time and again. */
static q35_status side_by_side(q35_session *session, unsigned long *out)
{
    uint32_t sequences[3] = {0};
    const float *logits;
    q35_status status = q35_session_rewind(session, 40);
    for (int i = 1; i < 3 && status == Q35_OK; i++)
        status = q35_session_fork(session, 0, &sequences[i]);
    for (int step = 0; step < 64 && status == Q35_OK; step++) {
        const int32_t ids[3] = {step, step + 1, step + 2};
        q35_session_entry entries[3];
        if (step == 2)
            atomic_store(&counting, 1);
        for (int i = 0; i < 3; i++)
            entries[i] = (q35_session_entry){.sequence = sequences[i], .ids = ids + i, .n = 1, .logits = 1};
        if (step % 20 == 10) {
            status = q35_session_free(session, sequences[2]);
            if (status == Q35_OK)
                status = q35_session_fork(session, sequences[1], &sequences[2]);
        }
        if (status == Q35_OK)
            status = q35_session_step(session, entries, 3, &logits);
    }
    *out += stop_counting();
    return status;
}

static q35_status probe(const char *path, const char *devices, unsigned long *out)
{
    q35_runtime *runtime = NULL;
    q35_model *model = NULL;
    q35_session *session = NULL;
    q35_sampler *sampler = NULL;
    q35_model_config config;
    q35_session_options options = q35_session_options_default();
    q35_sampler_options sampling = q35_sampler_options_default();
    options.devices = devices;
    options.n_ctx = 256;
    options.n_sequences = 3;
    options.n_kv_tokens = 512;
    sampling.temperature = 0.8f;
    sampling.top_k = 40;
    sampling.top_p = 0.95f;
    sampling.min_p = 0.05f;
    sampling.repeat_penalty = 1.1f;
    sampling.repeat_last = 64;
    q35_status status = q35_runtime_create(NULL, &runtime);
    if (status == Q35_OK)
        status = q35_model_open(path, &model);
    if (status == Q35_OK)
        status = q35_model_read_config(model, &config);
    if (status == Q35_OK)
        status = q35_session_create(runtime, model, &options, &session);
    if (status == Q35_OK)
        status = q35_sampler_create(&sampling, config.vocab, &sampler);
    if (status == Q35_OK)
        status = generate(session, sampler, out);
    if (status == Q35_OK)
        status = side_by_side(session, out);
    q35_sampler_destroy(sampler);
    q35_session_destroy(session);
    q35_model_close(model);
    q35_runtime_destroy(runtime);
    return status;
}

int main(int argc, char **argv)
{
#ifdef SANITIZED
    printf("skipped: a sanitizer's allocator cannot be counted\n");
    return 77;
#endif
    unsigned long n = 0;
    if (argc != 3) {
        fprintf(stderr, "usage: alloc_probe MODEL DEVICES\n");
        return 2;
    }
    if (!counter_works()) {
        printf("the counter does not see allocations\n");
        return 1;
    }
    if (probe(argv[1], argv[2], &n) != Q35_OK) {
        printf("%s\n", q35_error_message());
        return 1;
    }
    printf("%s on %s: %lu allocations between token 2 and token 64, one sequence and three\n", argv[1], argv[2],
           n);
    return n != 0;
}
