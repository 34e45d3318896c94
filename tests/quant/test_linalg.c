/* SPDX-License-Identifier: Apache-2.0
 *
 * Products of several threads at a time have the bits of those made one after another, whichever build of OpenBLAS
 * the machine has. */
#include "support/expect.h"
#include "support/suite.h"

#include "runtime/quant/linalg.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, ROUNDS = 5000, M = 128, N = 128, T = 128 };

typedef struct product {
    float a[T * M], b[T * N], c[M * N], want[M * N];
    int wrong;
} product;

static product *products; /* [THREADS] */

static void multiply(product *p, float *c)
{
    memset(c, 0, sizeof p->c);
    q35i_gemm_tn(M, N, T, p->a, M, p->b, N, c, N);
}

static void *run(void *arg)
{
    product *p = arg;
    for (int i = 0; i < ROUNDS; i++) {
        multiply(p, p->c);
        p->wrong += memcmp(p->c, p->want, sizeof p->c) != 0;
    }
    return NULL;
}

START_TEST(test_threads)
{
    pthread_t threads[THREADS];
    uint32_t state = 1;
    EXPECT_OK(q35i_linalg_open());
    products = calloc(THREADS, sizeof *products);
    ck_assert_ptr_nonnull(products);
    for (int t = 0; t < THREADS; t++) {
        product *p = &products[t];
        for (int i = 0; i < T * M; i++)
            p->a[i] = (float)((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-24f - 0.5f;
        for (int i = 0; i < T * N; i++)
            p->b[i] = (float)((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-24f - 0.5f;
        multiply(p, p->want);
    }
    for (int t = 0; t < THREADS; t++)
        ck_assert_int_eq(pthread_create(&threads[t], NULL, run, &products[t]), 0);
    for (int t = 0; t < THREADS; t++)
        ck_assert_int_eq(pthread_join(threads[t], NULL), 0);
    for (int t = 0; t < THREADS; t++)
        ck_assert_msg(products[t].wrong == 0, "thread %d: %d of %d products are wrong", t, products[t].wrong,
                      ROUNDS);
    free(products);
}
END_TEST

/* OpenBLAS does not know every CPU and would take its oldest kernels there. */
START_TEST(test_core)
{
#if defined(__x86_64__)
    char *(*corename)(void) = NULL;
    EXPECT_OK(q35i_linalg_open());
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    ck_assert_ptr_nonnull(library);
    *(void **)&corename = dlsym(library, "openblas_get_corename");
    ck_assert_ptr_nonnull((void *)(uintptr_t)corename);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        ck_assert_str_ne(corename(), "Prescott");
    dlclose(library);
#endif
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linalg");
    TCase *tc = tcase_create("linalg");
    tcase_add_test(tc, test_threads);
    tcase_add_test(tc, test_core);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
