/* SPDX-License-Identifier: Apache-2.0
 *
 * One process per case, forked from a program that never loads the plugin: whatever a case does to its process is
 * gone with it. The result lies in shared memory. A process that ends without finishing it crashed, one that is
 * still there at the deadline hangs. */
#define _GNU_SOURCE
#include "conform.h"

#include "runtime/base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static cf_result *current; /* of this process's case */
static bool replaying;     /* with a terminal, and no other process that waits */
static int output = -1;    /* memory file behind stdout and stderr */

void *cf_shared(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

const char *cf_outcome_name(cf_outcome outcome)
{
    static const char *const names[CF_OUTCOMES] = {"pass", "fail", "crash", "hang",
                                                   "leak", "skip", "xfail", "xpass"};
    return names[outcome];
}

/* ---- in the case's process */

_Noreturn static void finish(cf_outcome outcome, const char *format, va_list args)
{
    static volatile int ended;
    while (__sync_lock_test_and_set(&ended, 1) != 0) /* another thread is ending the process */
        pause();
    vsnprintf(current->text, CF_TEXT, format, args);
    current->outcome = outcome;
    current->finished = true;
    if (replaying) {
        printf("%s: %s\n", cf_outcome_name(outcome), current->text);
        fflush(stdout);
    }
    _exit(outcome == CF_PASS || outcome == CF_SKIP ? 0 : 1);
}

void cf_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    finish(CF_FAIL, format, args);
}

void cf_skip(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    finish(CF_SKIP, format, args);
}

void cf_leak(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    finish(CF_LEAK, format, args);
}

void cf_stage(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(current->stage, CF_TEXT, format, args);
    va_end(args);
    if (replaying)
        printf("  %s\n", current->stage);
}

void cf_note(cf_env *e, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(e->result->text, CF_TEXT, format, args);
    va_end(args);
}

void cf_ok(q35_status status, const char *what)
{
    if (status != Q35_OK)
        cf_fail("%s failed with %s: %s (%s)", what, q35_status_name(status), cf_host_error(), current->stage);
}

void cf_refused(q35_status status, const char *what)
{
    if (status == Q35_OK)
        cf_fail("%s succeeded, need a failure", what);
    if (strcmp(q35_status_name(status), "?") == 0)
        cf_fail("%s failed with status %u, need one of the documented", what, status);
    if (cf_host_error()[0] == '\0')
        cf_fail("%s failed with %s and no text: need host->fail(code, why)", what, q35_status_name(status));
}

/* A fault must end the process as a signal, whatever a sanitizer's runtime would make of it. */
static void reset_signals(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        signal(faults[i], SIG_DFL);
}

static void set_limits(const cf_options *o)
{
    const struct rlimit none = {0, 0}, cpu = {8 * (rlim_t)o->timeout, 8 * (rlim_t)o->timeout};
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_CPU, &cpu);
}

/* What the plugin would write to a terminal is kept, and counts against it. */
static void capture_output(void)
{
    fflush(NULL);
    output = memfd_create("output", MFD_CLOEXEC);
    if (output < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
        cf_skip("cannot capture the output: %s", strerror(errno));
}

static void check_output(void)
{
    char text[160];
    if (output < 0)
        return;
    fflush(NULL);
    ssize_t n = pread(output, text, sizeof text - 1, 0);
    if (n <= 0)
        return;
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    cf_fail("wrote to stdout or stderr, need host->log: '%s'", text);
}

/* Never returns. */
static void run_here(cf_env *e, const cf_test *test)
{
    e->x = (kc_context){.seed = e->options->seed};
    kc_reseed(&e->x, test->name, 0);
    e->x.arena = kc_arena_open(&e->x.arena_size);
    if (!e->x.arena || !realpath(e->options->plugin, e->path))
        cf_fail("%s: %s", e->options->plugin, strerror(errno));
    if (!replaying)
        capture_output();
    cf_watch_begin();
    if (!(test->needs & CF_FILE))
        cf_load(e);
    if (test->needs & CF_DEVICE)
        cf_open(e, CF_THREADS);
    test->run(e, test->a, test->b);
    cf_stage("closing");
    if (e->dev)
        cf_close(e);
    if (e->api)
        cf_unload(e);
    cf_watch_check("at the end of the case");
    check_output();
    e->result->outcome = CF_PASS;
    e->result->finished = true;
    if (replaying)
        printf("pass%s%s\n", e->result->text[0] ? ": " : "", e->result->text);
    fflush(NULL);
    _exit(0);
}

/* ---- in the program */

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Why the case cannot run at all, or NULL. */
static const char *missing(const cf_test *test, const cf_probe *probe)
{
    static char text[CF_TEXT + 64];
    if (test->needs & CF_FILE)
        return NULL;
    if (!probe->loaded)
        return "the plugin is not loaded";
    if (test->needs & (CF_DEVICE | CF_CLOSED) && probe->n_devices == 0) {
        snprintf(text, sizeof text, "no device: %s", probe->reason);
        return text;
    }
    if (test->needs & CF_L1 && !probe->l1)
        return "the device is of level L0";
    return NULL;
}

static void judge_end(cf_result *r, int status, bool late, const cf_options *o)
{
    if (r->finished && (late || (WIFEXITED(status) && WEXITSTATUS(status) <= 1)))
        return;
    char stage[CF_TEXT];
    snprintf(stage, sizeof stage, "%s", r->stage[0] ? r->stage : "at the start");
    r->outcome = late ? CF_HANG : CF_CRASH;
    if (late) {
        snprintf(r->text, CF_TEXT, "not done after %u seconds: %.900s", o->timeout, stage);
    } else if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));
        snprintf(r->text, CF_TEXT, "SIG%s: %.900s", name ? name : "?", stage);
    } else {
        snprintf(r->text, CF_TEXT, "the process ended with status %d: %.900s", WEXITSTATUS(status), stage);
    }
}

/* The pipe closes when the child is gone. */
static void wait_for(pid_t child, int pipe_end, const cf_options *o, cf_result *result)
{
    const double end = seconds_now() + o->timeout;
    bool late = false;
    int status = 0, rc;
    do {
        double left = end - seconds_now();
        rc = poll(&(struct pollfd){.fd = pipe_end, .events = POLLIN}, 1, left > 0 ? (int)(1000 * left) + 1 : 0);
    } while (rc < 0 && errno == EINTR);
    if (rc == 0) {
        late = true;
        kill(child, SIGKILL);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    judge_end(result, status, late, o);
}

void cf_run_test(const cf_options *options, const cf_test *test, cf_probe *probe, cf_result *result)
{
    int ends[2];
    const char *why = missing(test, probe);
    memset(result, 0, sizeof *result);
    if (why) {
        result->outcome = CF_SKIP;
        snprintf(result->text, CF_TEXT, "%.1000s", why);
        return;
    }
    cf_env e = {.options = options, .result = result, .probe = probe};
    current = result;
    replaying = options->replay != NULL;
    fflush(NULL);
    if (replaying) {
        reset_signals();
        run_here(&e, test);
    }
    double start = seconds_now();
    pid_t child = pipe2(ends, O_CLOEXEC) == 0 ? fork() : -1;
    if (child < 0) {
        result->outcome = CF_FAIL;
        snprintf(result->text, CF_TEXT, "cannot run a process: %s", strerror(errno));
        return;
    }
    if (child == 0) {
        close(ends[0]);
        reset_signals();
        set_limits(options);
        run_here(&e, test);
    }
    close(ends[1]);
    wait_for(child, ends[0], options, result);
    close(ends[0]);
    result->seconds = seconds_now() - start;
}
