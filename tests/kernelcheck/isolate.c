/* SPDX-License-Identifier: Apache-2.0
 *
 * One process per row: a kernel that crashes or hangs is named with its case and the next cases go on in a new
 * process. Progress lives in shared memory, so that the parent knows where the child was.
 */
#define _GNU_SOURCE
#include "kernelcheck.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

kc_progress *kc_progress_open(void)
{
    void *p = mmap(NULL, sizeof(kc_progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void kc_progress_close(kc_progress *progress)
{
    munmap(progress, sizeof *progress);
}

/* A fault must end the process as a signal, whatever a sanitizer's runtime would make of it. */
static void reset_signals(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    struct rlimit none = {0, 0};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        signal(faults[i], SIG_DFL);
    setrlimit(RLIMIT_CORE, &none);
}

static int64_t step_of(const kc_limits *limits)
{
    return limits->step > 0 ? limits->step : 1;
}

/* Runs in the child. Never returns. */
static void run_cases(const kc_row *row, const kc_limits *limits, int64_t first, kc_progress *progress)
{
    const kc_op *op = kc_find_op(row->slot);
    kc_context x = {.seed = limits->seed,
                    .row = row,
                    .ref = limits->as_reference ? row : kc_find_ref(row->slot),
                    .progress = progress,
                    .case_seconds = limits->case_seconds};
    reset_signals();
    x.arena = kc_arena_open(&x.arena_size);
    x.guard = kc_guard_open(KC_MAX_OPERANDS);
    if (!x.arena || !x.guard) {
        kc_fail(&x, "cannot reserve guarded memory: %s", strerror(errno));
        _exit(0);
    }
    int64_t last = limits->last < 0 || limits->last >= op->n_cases ? op->n_cases - 1 : limits->last;
    for (int64_t i = first; i <= last && progress->n_failures < limits->max_failures; i += step_of(limits))
        kc_run_case(&x, op, i);
    kc_guard_close(x.guard);
    munmap(x.arena, x.arena_size);
    _exit(0);
}

static const char *signal_name(int number)
{
    const char *abbreviation = sigabbrev_np(number);
    return abbreviation ? abbreviation : "?";
}

/* The child died at progress->index. */
static void record_death(const kc_row *row, int status, kc_progress *progress)
{
    kc_context x = {.row = row, .progress = progress};
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF)
        kc_fail(&x, "does not end");
    else if (WIFSIGNALED(status))
        kc_fail(&x, "SIG%s", signal_name(WTERMSIG(status)));
    else
        kc_fail(&x, "the process ended with status %d", WEXITSTATUS(status));
}

bool kc_run_row(const kc_row *row, const kc_limits *limits, kc_progress *progress)
{
    memset(progress, 0, sizeof *progress);
    int64_t first = limits->first;
    while (progress->n_failures < limits->max_failures) {
        fflush(NULL);
        pid_t child = fork();
        if (child == 0)
            run_cases(row, limits, first, progress);
        int status = 0;
        if (child < 0 || waitpid(child, &status, 0) < 0) {
            kc_context x = {.row = row, .progress = progress};
            kc_fail(&x, "cannot run a process: %s", strerror(errno));
            return false;
        }
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            break;
        record_death(row, status, progress);
        first = progress->index + step_of(limits);
    }
    return progress->n_failures == 0;
}
