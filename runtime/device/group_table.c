/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "group_table.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

typedef struct pair {
    struct pair *next;
    char *key;
    void *value;
    uint64_t bytes;
} pair;

struct q35i_group_table {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pair *pairs;
};

static void free_pair(pair *p)
{
    q35i_free(p->key);
    q35i_free(p->value);
    q35i_free(p);
}

q35i_group_table *q35i_group_table_create(void)
{
    pthread_condattr_t attr;
    q35i_group_table *t = q35i_calloc(1, sizeof *t);
    if (!t)
        return NULL;
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&t->changed, &attr);
    pthread_condattr_destroy(&attr);
    return t;
}

void q35i_group_table_destroy(q35i_group_table *t)
{
    for (pair *p = t->pairs, *next; p; p = next) {
        next = p->next;
        free_pair(p);
    }
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    q35i_free(t);
}

q35_status q35i_group_table_put(void *user, const char *key, const void *value, uint64_t bytes)
{
    q35i_group_table *t = user;
    pair *p = q35i_calloc(1, sizeof *p);
    if (!p)
        return Q35_E_NOMEM;
    p->key = q35i_strndup(key, strlen(key));
    p->value = q35i_calloc(bytes, 1);
    p->bytes = bytes;
    if (!p->key || !p->value) {
        free_pair(p);
        return Q35_E_NOMEM;
    }
    memcpy(p->value, value, bytes);
    pthread_mutex_lock(&t->lock);
    p->next = t->pairs; /* a later value of the same key is found first */
    t->pairs = p;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
    return Q35_OK;
}

static const pair *find(const q35i_group_table *t, const char *key)
{
    const pair *p = t->pairs;
    while (p && strcmp(p->key, key) != 0)
        p = p->next;
    return p;
}

static struct timespec deadline_after(uint64_t ns)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t nanoseconds = (uint64_t)t.tv_nsec + ns % 1000000000u;
    t.tv_sec += (time_t)(ns / 1000000000u + nanoseconds / 1000000000u);
    t.tv_nsec = (long)(nanoseconds % 1000000000u);
    return t;
}

q35_status q35i_group_table_get(void *user, const char *key, void *value, uint64_t *inout_bytes,
                                uint64_t timeout_ns)
{
    q35i_group_table *t = user;
    const int forever = timeout_ns == UINT64_MAX;
    const struct timespec end = deadline_after(forever ? 0 : timeout_ns);
    q35_status status = Q35_OK;
    const pair *p;
    int rc = 0;
    pthread_mutex_lock(&t->lock);
    while (!(p = find(t, key)) && rc == 0)
        rc = forever ? pthread_cond_wait(&t->changed, &t->lock)
                     : pthread_cond_timedwait(&t->changed, &t->lock, &end);
    if (!p)
        status = Q35_FAIL(Q35_E_TIMEOUT, "group: nobody put '%.100s' within %llu ns", key,
                          (unsigned long long)timeout_ns);
    else if (p->bytes > *inout_bytes)
        status = Q35_FAIL(Q35_E_RANGE, "group: '%.100s' has %llu bytes, room is for %llu", key,
                          (unsigned long long)p->bytes, (unsigned long long)*inout_bytes);
    else
        memcpy(value, p->value, *inout_bytes = p->bytes);
    pthread_mutex_unlock(&t->lock);
    return status;
}
