/* SPDX-License-Identifier: Apache-2.0
 *
 * Timelines: counters of the host. Work that ends advances them when somebody looks (q35i_cuda_pump), and whoever
 * waits looks. */
#include "cuda.h"

#include <stdio.h>
#include <string.h>

q35_status q35i_cuda_timeline_create(q35_device *dev, uint64_t initial, q35_timeline **out)
{
    q35_timeline *t = q35p_alloc(1, sizeof *t);
    if (!t)
        return q35p_fail(Q35_E_NOMEM, "cuda timeline: out of host memory");
    t->dev = dev;
    t->value = initial;
    *out = t;
    return Q35_OK;
}

void q35i_cuda_timeline_destroy(q35_timeline *timeline)
{
    q35p_free(timeline);
}

static void lock_and_pump(q35_device *dev)
{
    (void)q35i_cuda_enter(dev);
    pthread_mutex_lock(&dev->lock);
    q35i_cuda_pump(dev);
}

static void unlock(q35_device *dev)
{
    pthread_mutex_unlock(&dev->lock);
    q35i_cuda_leave(dev);
}

q35_status q35i_cuda_timeline_query(q35_timeline *t, uint64_t *out_value)
{
    lock_and_pump(t->dev);
    *out_value = t->value;
    unlock(t->dev);
    return Q35_OK;
}

static uint64_t deadline_of(uint64_t timeout_ns)
{
    uint64_t deadline;
    if (timeout_ns == UINT64_MAX || __builtin_add_overflow(q35p_host->now_ns(), timeout_ns, &deadline))
        return UINT64_MAX;
    return deadline;
}

q35_status q35i_cuda_timeline_wait(q35_timeline *t, uint64_t value, uint64_t timeout_ns)
{
    const uint64_t deadline = deadline_of(timeout_ns);
    char text[Q35I_CUDA_TEXT];
    q35_status status = Q35_OK;
    lock_and_pump(t->dev);
    while (t->value < value && t->failed == Q35_OK && status == Q35_OK) {
        if (!q35i_cuda_wait_change(t->dev, q35i_cuda_find_work(t->dev, t, value), deadline))
            status = Q35_E_TIMEOUT;
        q35i_cuda_pump(t->dev);
    }
    if (t->value >= value) {
        status = Q35_OK;
    } else if (t->failed != Q35_OK) {
        status = t->failed;
        memcpy(text, t->text, sizeof text);
    } else {
        snprintf(text, sizeof text, "cuda timeline: at %llu after %llu ns, need %llu",
                 (unsigned long long)t->value, (unsigned long long)timeout_ns, (unsigned long long)value);
    }
    unlock(t->dev);
    return status == Q35_OK ? Q35_OK : q35p_host->fail(status, text);
}

q35_status q35i_cuda_timeline_signal(q35_timeline *t, uint64_t value)
{
    lock_and_pump(t->dev);
    const uint64_t old = t->value;
    if (value > old) {
        t->value = value;
        pthread_cond_broadcast(&t->dev->changed);
        q35i_cuda_pump(t->dev);
    }
    unlock(t->dev);
    if (value <= old)
        return q35p_fail(Q35_E_INVALID, "cuda timeline: at %llu signalled with %llu, need more",
                         (unsigned long long)old, (unsigned long long)value);
    return Q35_OK;
}
