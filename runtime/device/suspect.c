/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "suspect.h"

#include "runtime/base/alloc.h"
#include "runtime/base/log.h"

#include <errno.h>
#include <pthread.h>
#include <q35rt/device.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

enum { PATIENCE_S = 5 };

static _Atomic(const char *) suspect_path, suspect_slot;
static atomic_uint notes;

void q35i_suspect(const char *path, const char *slot)
{
    atomic_store_explicit(&suspect_slot, slot, memory_order_relaxed);
    atomic_store_explicit(&suspect_path, path, memory_order_relaxed);
    atomic_fetch_add_explicit(&notes, 1, memory_order_relaxed);
}

const char *q35_runtime_suspect(const char **out_slot)
{
    *out_slot = atomic_load_explicit(&suspect_slot, memory_order_relaxed);
    return atomic_load_explicit(&suspect_path, memory_order_relaxed);
}

struct q35i_watch {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    int stop;
};

static void *watch_main(void *arg)
{
    q35i_watch *w = arg;
    unsigned before = atomic_load(&notes), told = before - 1;
    pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        struct timespec end;
        clock_gettime(CLOCK_MONOTONIC, &end);
        end.tv_sec += PATIENCE_S;
        int rc = 0;
        while (!w->stop && rc != ETIMEDOUT)
            rc = pthread_cond_timedwait(&w->ended, &w->lock, &end);
        const char *slot, *path = q35_runtime_suspect(&slot);
        unsigned now = atomic_load(&notes);
        if (!w->stop && path && now == before && now != told) {
            q35i_log(Q35_LOG_WARN, "plugin %s: %s has not come back for %d seconds", path, slot, PATIENCE_S);
            told = now;
        }
        before = now;
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

q35i_watch *q35i_watch_begin(void)
{
    sigset_t all, old;
    pthread_condattr_t attr;
    q35i_watch *w = q35i_calloc(1, sizeof *w);
    if (!w)
        return NULL;
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->ended, &attr);
    pthread_condattr_destroy(&attr);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&w->thread, NULL, watch_main, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc == 0)
        return w;
    pthread_cond_destroy(&w->ended);
    pthread_mutex_destroy(&w->lock);
    q35i_free(w);
    return NULL;
}

void q35i_watch_end(q35i_watch *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = 1;
    pthread_cond_signal(&w->ended);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->ended);
    pthread_mutex_destroy(&w->lock);
    q35i_free(w);
}
