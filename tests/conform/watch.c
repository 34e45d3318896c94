/* SPDX-License-Identifier: Apache-2.0
 *
 * What a plugin must leave as it found it: floating-point mode, signal handlers and mask, locale, environment,
 * working directory; and counts of threads, open files and bytes of the heap for the leak tests. */
#define _GNU_SOURCE
#include "conform.h"

#include <dirent.h>
#include <fenv.h>
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

enum { SIGNALS = 65 };

static struct {
    uint32_t fpu;
    void (*handler[SIGNALS])(int);
    sigset_t mask;
    char locale[256], directory[1024];
    uint64_t environment;
} before;

uint32_t cf_fpu_mode(void)
{
#if defined(__x86_64__)
    uint32_t csr = __builtin_ia32_stmxcsr() & 0xffc0u; /* masks, rounding, both kinds of flushing */
    return csr | (uint32_t)fegetround() << 16;
#elif defined(__aarch64__)
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return (uint32_t)fpcr;
#else
    return (uint32_t)fegetround();
#endif
}

static uint32_t count_entries(const char *path)
{
    uint32_t n = 0;
    DIR *dir = opendir(path);
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

uint32_t cf_count_threads(void)
{
    return count_entries("/proc/self/task") - 2;
}

uint32_t cf_count_files(void)
{
    return count_entries("/proc/self/fd") - 3;
}

/* Present where AddressSanitizer is. */
extern size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

uint64_t cf_heap_bytes(void)
{
    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static uint64_t hash_environment(void)
{
    uint64_t hash = 0; /* of a set: whatever order a C library keeps */
    for (char **entry = environ; entry && *entry; entry++) {
        uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
        for (const char *c = *entry; *c; c++)
            h = (h ^ (uint8_t)*c) * UINT64_C(1099511628211);
        hash += h;
    }
    return hash;
}

static void (*handler_of(int number))(int)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 ? action.sa_handler : SIG_DFL;
}

void cf_watch_begin(void)
{
    before.fpu = cf_fpu_mode();
    for (int i = 1; i < SIGNALS; i++)
        before.handler[i] = handler_of(i);
    pthread_sigmask(SIG_SETMASK, NULL, &before.mask);
    snprintf(before.locale, sizeof before.locale, "%s", setlocale(LC_ALL, NULL));
    if (!getcwd(before.directory, sizeof before.directory))
        before.directory[0] = '\0';
    before.environment = hash_environment();
}

void cf_watch_check(const char *when)
{
    char directory[sizeof before.directory];
    sigset_t mask;
    if (cf_fpu_mode() != before.fpu)
        cf_fail("the floating-point mode is 0x%x %s, need 0x%x as before", cf_fpu_mode(), when, before.fpu);
    for (int i = 1; i < SIGNALS; i++)
        if (handler_of(i) != before.handler[i])
            cf_fail("the handler of signal %d is another one %s", i, when);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    for (int i = 1; i < SIGNALS; i++)
        if (sigismember(&mask, i) != sigismember(&before.mask, i))
            cf_fail("signal %d is %s %s", i, sigismember(&mask, i) ? "blocked" : "not blocked any more", when);
    if (strcmp(before.locale, setlocale(LC_ALL, NULL)) != 0)
        cf_fail("the locale is '%s' %s, need '%s' as before", setlocale(LC_ALL, NULL), when, before.locale);
    if (before.directory[0] && getcwd(directory, sizeof directory) && strcmp(directory, before.directory) != 0)
        cf_fail("the working directory is %.200s %s, need %.200s as before", directory, when, before.directory);
    if (hash_environment() != before.environment)
        cf_fail("the environment is another one %s", when);
}
