/* SPDX-License-Identifier: Apache-2.0
 *
 * Timelines: a counter under a lock. Queues advance them when OpenCL's events say that the work is done. */
#define _GNU_SOURCE
#include "plugins/opencl/opencl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

q35_status q35i_cl_timeline_create(q35_device *dev, uint64_t initial, q35_timeline **out)
{
    pthread_condattr_t attr;
    (void)dev;
    q35_timeline *t = q35p_alloc(1, sizeof *t);
    if (!t)
        return q35p_fail(Q35_E_NOMEM, "opencl: out of memory for a timeline");
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&t->changed, &attr);
    pthread_condattr_destroy(&attr);
    t->value = initial;
    *out = t;
    return Q35_OK;
}

void q35i_cl_timeline_destroy(q35_timeline *t)
{
    if (!t)
        return;
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    q35p_free(t);
}

q35_status q35i_cl_timeline_query(q35_timeline *t, uint64_t *out_value)
{
    pthread_mutex_lock(&t->lock);
    *out_value = t->value;
    pthread_mutex_unlock(&t->lock);
    return Q35_OK;
}

bool q35i_cl_reached(q35_timeline *t, uint64_t value)
{
    uint64_t now;
    (void)q35i_cl_timeline_query(t, &now);
    return now >= value;
}

q35_status q35i_cl_wait_point(q35_timeline *t, uint64_t value, uint64_t timeout_ns, char *text)
{
    struct timespec end;
    q35_status status = Q35_OK;
    clock_gettime(CLOCK_MONOTONIC, &end);
    const uint64_t nanoseconds = (uint64_t)end.tv_nsec + timeout_ns % 1000000000u;
    const bool forever = timeout_ns / 1000000000u > 1000000000u; /* thirty years */
    if (!forever) {
        end.tv_sec += (time_t)(timeout_ns / 1000000000u + nanoseconds / 1000000000u);
        end.tv_nsec = (long)(nanoseconds % 1000000000u);
    }
    pthread_mutex_lock(&t->lock);
    while (t->value < value && t->failed == Q35_OK && status == Q35_OK) {
        const int rc = forever ? pthread_cond_wait(&t->changed, &t->lock)
                               : pthread_cond_timedwait(&t->changed, &t->lock, &end);
        if (rc == ETIMEDOUT)
            status = Q35_E_TIMEOUT;
    }
    if (t->value >= value) {
        status = Q35_OK;
    } else if (t->failed != Q35_OK) {
        status = t->failed;
        memcpy(text, t->text, Q35I_CL_TEXT);
    } else {
        snprintf(text, Q35I_CL_TEXT, "opencl: timeline at %llu after %llu ns, need %llu",
                 (unsigned long long)t->value, (unsigned long long)timeout_ns, (unsigned long long)value);
    }
    pthread_mutex_unlock(&t->lock);
    return status;
}

q35_status q35i_cl_timeline_wait(q35_timeline *t, uint64_t value, uint64_t timeout_ns)
{
    char text[Q35I_CL_TEXT] = "";
    const q35_status status = q35i_cl_wait_point(t, value, timeout_ns, text);
    return status == Q35_OK ? Q35_OK : q35p_host->fail(status, text);
}

q35_status q35i_cl_timeline_signal(q35_timeline *t, uint64_t value)
{
    pthread_mutex_lock(&t->lock);
    const uint64_t old = t->value;
    if (value > old)
        t->value = value;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
    if (value > old)
        return Q35_OK;
    return q35p_fail(Q35_E_INVALID, "opencl: timeline at %llu signalled with %llu, need more",
                     (unsigned long long)old, (unsigned long long)value);
}

void q35i_cl_fail_timeline(q35_timeline *t, q35_status status, const char *text)
{
    pthread_mutex_lock(&t->lock);
    if (t->failed == Q35_OK) {
        t->failed = status;
        snprintf(t->text, sizeof t->text, "%s", text);
    }
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
}
