/* SPDX-License-Identifier: Apache-2.0
 *
 * OpenBLAS through its C and LAPACK entry points. Opened at run time: nothing but a conversion needs it, and
 * loading it costs every start. A build of it without threads (libopenblas0-serial) has one work buffer for the
 * whole process: two calls at a time give wrong results, so there they take turns. */
#include "runtime/quant/linalg.h"

#include "runtime/base/env.h"
#include "runtime/base/error.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>

#define LIBRARY "libopenblas.so.0"
#define CORE    "OPENBLAS_CORETYPE"

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112, LOWER = 122, NON_UNIT = 131, RIGHT = 142 }; /* CBLAS's */

typedef void sgemm_fn(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a,
                      int lda, const float *b, int ldb, float beta, float *c, int ldc);
typedef void dtrsm_fn(int order, int side, int uplo, int trans, int diag, int m, int n, double alpha,
                      const double *a, int lda, double *b, int ldb);
typedef void dpotrf_fn(const char *uplo, const int *n, double *a, const int *lda, int *info);
typedef void set_threads_fn(int n);
typedef int get_parallel_fn(void);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static sgemm_fn *sgemm;
static dtrsm_fn *dtrsm;
static dpotrf_fn *dpotrf;
static bool one_at_a_time;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static void *symbol(void *library, const char *name)
{
    return library ? dlsym(library, name) : NULL;
}

/* A CPU that is newer than the library gets kernels of 2004 from it, ten times slower: it is told what there is,
 * unless the user has told it. */
static void name_core(void)
{
#if defined(__x86_64__)
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                  __builtin_cpu_supports("avx512cd");
    if (avx512)
        q35i_env_default(CORE, "SkylakeX");
    else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        q35i_env_default(CORE, "Haswell");
#endif
}

/* The library stays open: its threads and buffers do not like to be unloaded. */
static void open_library(void)
{
    name_core();
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    void *gemm = symbol(library, "cblas_sgemm"), *trsm = symbol(library, "cblas_dtrsm"),
         *potrf = symbol(library, "dpotrf_"), *threads = symbol(library, "openblas_set_num_threads"),
         *parallel = symbol(library, "openblas_get_parallel");
    if (!gemm || !trsm || !potrf || !threads || !parallel)
        return;
    get_parallel_fn *get_parallel;
    *(void **)&get_parallel = parallel;
    one_at_a_time = get_parallel() == 0;
    *(void **)&sgemm = gemm;
    *(void **)&dtrsm = trsm;
    *(void **)&dpotrf = potrf;
    set_threads_fn *set_threads;
    *(void **)&set_threads = threads;
    set_threads(1);
}

q35_status q35i_linalg_open(void)
{
    (void)pthread_once(&once, open_library);
    return sgemm ? Q35_OK
                 : Q35_FAIL(Q35_E_UNAVAILABLE, "%s: not found, need OpenBLAS (package libopenblas0-pthread)",
                            LIBRARY);
}

static void begin(void)
{
    if (one_at_a_time)
        (void)pthread_mutex_lock(&turn);
}

static void end(void)
{
    if (one_at_a_time)
        (void)pthread_mutex_unlock(&turn);
}

static void add_product(int trans_a, int trans_b, uint64_t m, uint64_t n, uint64_t t, const float *a, uint64_t lda,
                        const float *b, uint64_t ldb, float *c, uint64_t ldc)
{
    begin();
    sgemm(ROW_MAJOR, trans_a, trans_b, (int)m, (int)n, (int)t, 1, a, (int)lda, b, (int)ldb, 1, c, (int)ldc);
    end();
}

void q35i_gemm_tn(uint64_t m, uint64_t n, uint64_t t, const float *a, uint64_t lda, const float *b, uint64_t ldb,
                  float *c, uint64_t ldc)
{
    add_product(TRANS, NO_TRANS, m, n, t, a, lda, b, ldb, c, ldc);
}

void q35i_gemm_nn(uint64_t m, uint64_t n, uint64_t t, const float *a, uint64_t lda, const float *b, uint64_t ldb,
                  float *c, uint64_t ldc)
{
    add_product(NO_TRANS, NO_TRANS, m, n, t, a, lda, b, ldb, c, ldc);
}

void q35i_gemm_nt(uint64_t m, uint64_t n, uint64_t t, const float *a, uint64_t lda, const float *b, uint64_t ldb,
                  float *c, uint64_t ldc)
{
    add_product(NO_TRANS, TRANS, m, n, t, a, lda, b, ldb, c, ldc);
}

uint64_t q35i_cholesky(uint64_t n, double *a)
{
    int order = (int)n, info = 0;
    begin();
    dpotrf("U", &order, a, &order, &info); /* column-major "upper" is row-major lower */
    end();
    return info > 0 ? (uint64_t)info : 0;
}

void q35i_cholesky_solve(uint64_t n, const double *l, uint64_t rows, double *x)
{
    begin();
    dtrsm(ROW_MAJOR, RIGHT, LOWER, TRANS, NON_UNIT, (int)rows, (int)n, 1, l, (int)n, x, (int)n);
    dtrsm(ROW_MAJOR, RIGHT, LOWER, NO_TRANS, NON_UNIT, (int)rows, (int)n, 1, l, (int)n, x, (int)n);
    end();
}
