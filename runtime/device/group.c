/* SPDX-License-Identifier: Apache-2.0
 *
 * A lane (queue and timeline) per member that has queues. Directly: every member's part is queued, then all are
 * waited for. By the host: everything comes to host memory, is combined there in the order of the ranks, and goes
 * back. */
#define _GNU_SOURCE
#include "group.h"

#include "extension.h"
#include "group_table.h"
#include "runtime/base/alloc.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct member {
    q35i_device *device;
    q35_queue *queue; /* NULL: of host memory without queues */
    q35_timeline *timeline;
    uint64_t value;
    q35_comm *comm; /* NULL: none */
    pthread_t thread;
    int joining;
    q35_status status; /* of creation */
    char text[256];
} member;

struct q35i_group {
    uint32_t n;
    member members[Q35I_GROUP_MAX];
    const q35_collectives *api; /* NULL: by the host */
    uint64_t timeout_ns;
    q35i_group_table *table;
    uint8_t id[16];
    uint8_t *staging; /* grows */
    uint64_t staging_bytes;
};

static q35_status blame(const member *m, q35_status status)
{
    return status == Q35_OK ? Q35_OK : q35i_fail_context(status, "device %s", m->device->name);
}

static q35_status open_lane(member *m)
{
    const q35_plugin *api = m->device->api;
    if (!m->device->async)
        return Q35_OK;
    Q35_TRY(blame(m, api->queue_create(m->device->dev, Q35_QUEUE_COMPUTE, &m->queue)));
    return blame(m, api->timeline_create(m->device->dev, 0, &m->timeline));
}

/* The collectives of the one plugin that all members are of. */
static const q35_collectives *common_collectives(const q35i_group *g)
{
    for (uint32_t r = 0; r < g->n; r++)
        if (g->members[r].device->api != g->members[0].device->api || !g->members[r].queue)
            return NULL;
    return q35i_device_collectives(g->members[0].device);
}

/* Unlike any other group's of this process, and hardly like one of another. */
static void make_id(uint8_t id[16])
{
    static atomic_uint groups;
    const uint64_t now = q35i_now_ns();
    const uint32_t process = (uint32_t)getpid(), count = atomic_fetch_add(&groups, 1);
    memcpy(id, &now, sizeof now);
    memcpy(id + 8, &process, sizeof process);
    memcpy(id + 12, &count, sizeof count);
}

typedef struct join_call {
    q35i_group *group;
    uint32_t rank;
} join_call;

static void *join_main(void *arg)
{
    const join_call *call = arg;
    q35i_group *g = call->group;
    member *m = &g->members[call->rank];
    q35_comm_options options = {.h = {sizeof options, Q35_STRUCT_COMM_OPTIONS, NULL},
                                .rank = call->rank,
                                .size = g->n,
                                .timeout_ns = g->timeout_ns,
                                .user = g->table,
                                .put = q35i_group_table_put,
                                .get = q35i_group_table_get};
    memcpy(options.group, g->id, sizeof options.group);
    m->status = g->api->comm_create(m->device->dev, &options, &m->comm);
    if (m->status != Q35_OK)
        snprintf(m->text, sizeof m->text, "%s", q35_error_message());
    return NULL;
}

static q35_status join_all(q35i_group *g)
{
    join_call calls[Q35I_GROUP_MAX];
    q35_status status = Q35_OK;
    make_id(g->id);
    g->table = q35i_group_table_create();
    if (!g->table)
        return Q35_E_NOMEM;
    for (uint32_t r = 0; r < g->n && status == Q35_OK; r++) {
        calls[r] = (join_call){g, r};
        g->members[r].joining = pthread_create(&g->members[r].thread, NULL, join_main, &calls[r]) == 0;
        if (!g->members[r].joining)
            status = Q35_FAIL(Q35_E_NOMEM, "group: no thread for rank %u", r);
    }
    for (uint32_t r = 0; r < g->n; r++) {
        member *m = &g->members[r];
        if (m->joining)
            pthread_join(m->thread, NULL);
        if (m->joining && status == Q35_OK && m->status != Q35_OK)
            status = Q35_FAIL(m->status, "device %s: group: %s", m->device->name, m->text);
    }
    return status;
}

q35_status q35i_group_create(q35i_device *const *devices, uint32_t n, uint64_t timeout_ns, q35i_group **out)
{
    q35_status status = Q35_OK;
    *out = NULL;
    if (n == 0 || n > Q35I_GROUP_MAX)
        return Q35_FAIL(Q35_E_INVALID, "group of %u devices, need 1 to %d", n, (int)Q35I_GROUP_MAX);
    q35i_group *g = q35i_calloc(1, sizeof *g);
    if (!g)
        return Q35_E_NOMEM;
    g->n = n;
    g->timeout_ns = timeout_ns;
    for (uint32_t r = 0; r < n; r++) {
        g->members[r].device = devices[r];
        Q35_TRY_GOTO(open_lane(&g->members[r]), failed);
    }
    g->api = common_collectives(g);
    if (g->api)
        Q35_TRY_GOTO(join_all(g), failed);
    *out = g;
    return Q35_OK;
failed:
    q35i_group_destroy(g);
    return status;
}

void q35i_group_destroy(q35i_group *g)
{
    if (!g)
        return;
    for (uint32_t r = 0; r < g->n; r++)
        if (g->members[r].queue)
            g->members[r].device->api->queue_destroy(g->members[r].queue);
    for (uint32_t r = 0; r < g->n; r++) {
        if (g->members[r].comm)
            g->api->comm_destroy(g->members[r].comm);
        if (g->members[r].timeline)
            g->members[r].device->api->timeline_destroy(g->members[r].timeline);
    }
    if (g->table)
        q35i_group_table_destroy(g->table);
    q35i_free(g->staging);
    q35i_free(g);
}

int q35i_group_is_direct(const q35i_group *g)
{
    return g->api != NULL;
}

/* ---- by the plugin ---- */

typedef struct operation {
    const q35_binding *in, *out; /* [rank] */
    uint64_t count;              /* numbers of a sum, bytes of a gathering */
    uint32_t dtype;              /* Q35_NONE: gathering */
} operation;

static q35_status queue_member(const q35i_group *g, member *m, const operation *op, uint32_t r)
{
    const q35_point done = {m->timeline, m->value + 1};
    q35_status status =
        op->dtype == Q35_NONE
            ? g->api->all_gather(m->comm, m->queue, &op->in[r], &op->out[r], op->count, NULL, 0, &done, 1)
            : g->api->all_reduce(m->comm, m->queue, &op->in[r], op->count, op->dtype, NULL, 0, &done, 1);
    if (status == Q35_OK)
        m->value++;
    return blame(m, status);
}

/* A member that could not be queued leaves the others waiting, so these are told. */
static q35_status run_direct(q35i_group *g, const operation *op)
{
    q35_status status = Q35_OK;
    char text[256] = "";
    for (uint32_t r = 0; r < g->n && status == Q35_OK; r++)
        status = queue_member(g, &g->members[r], op, r);
    if (status != Q35_OK) {
        snprintf(text, sizeof text, "%s", q35_error_message());
        g->api->cancel(g->members[0].comm);
    }
    for (uint32_t r = 0; r < g->n; r++) {
        member *m = &g->members[r];
        q35_status waited = blame(m, m->device->api->timeline_wait(m->timeline, m->value, UINT64_MAX));
        if (waited != Q35_OK && status == Q35_OK) {
            status = waited;
            snprintf(text, sizeof text, "%s", q35_error_message());
        }
    }
    return status == Q35_OK ? Q35_OK : Q35_FAIL(status, "%s", text);
}

/* ---- by the host ---- */

static q35_status move(member *m, q35_binding src, q35_binding dst, uint64_t bytes)
{
    if (src.host && dst.host) {
        memcpy((char *)dst.host + dst.offset, (const char *)src.host + src.offset, bytes);
        return Q35_OK;
    }
    const q35_point done = {m->timeline, m->value + 1};
    if (!m->queue)
        return Q35_FAIL(Q35_E_INVALID, "device %s: a buffer without queues, need a host address", m->device->name);
    Q35_TRY(blame(m, m->device->api->copy(m->queue, &src, &dst, bytes, NULL, 0, &done, 1)));
    m->value++;
    return blame(m, m->device->api->timeline_wait(m->timeline, m->value, UINT64_MAX));
}

static void add_f32(float *sum, const float *data, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        sum[i] += data[i];
}

/* Wraps around, as two's complement does everywhere. */
static void add_i32(uint32_t *sum, const uint32_t *data, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        sum[i] += data[i];
}

static q35_status run_staged(q35i_group *g, const operation *op)
{
    const int gather = op->dtype == Q35_NONE;
    const uint64_t part = gather ? op->count : op->count * 4, whole = gather ? part * g->n : part;
    if (part == 0)
        return Q35_OK;
    if (part * g->n > g->staging_bytes) {
        q35i_free(g->staging);
        g->staging_bytes = 0;
        g->staging = q35i_alloc_aligned(part * g->n, 64);
        if (!g->staging)
            return Q35_E_NOMEM;
        g->staging_bytes = part * g->n;
    }
    for (uint32_t r = 0; r < g->n; r++)
        Q35_TRY(
            move(&g->members[r], op->in[r], (q35_binding){.host = g->staging + r * part, .bytes = part}, part));
    for (uint32_t r = 1; r < g->n && !gather; r++) {
        void *sum = g->staging, *data = g->staging + r * part;
        if (op->dtype == Q35_DT_F32)
            add_f32(sum, data, op->count);
        else
            add_i32(sum, data, op->count);
    }
    for (uint32_t r = 0; r < g->n; r++)
        Q35_TRY(move(&g->members[r], (q35_binding){.host = g->staging, .bytes = whole}, op->out[r], whole));
    return Q35_OK;
}

/* ---- */

q35_status q35i_group_all_reduce(q35i_group *g, const q35_binding *data, uint64_t count, uint32_t dtype)
{
    const operation op = {.in = data, .out = data, .count = count, .dtype = dtype};
    if (dtype != Q35_DT_F32 && dtype != Q35_DT_I32)
        return Q35_FAIL(Q35_E_INVALID, "group: sum of type %u, need f32 or i32", dtype);
    if (count > UINT64_MAX / 4 / Q35I_GROUP_MAX)
        return Q35_FAIL(Q35_E_RANGE, "group: sum of %llu numbers", (unsigned long long)count);
    return g->api ? run_direct(g, &op) : run_staged(g, &op);
}

q35_status q35i_group_all_gather(q35i_group *g, const q35_binding *parts, const q35_binding *wholes,
                                 uint64_t bytes)
{
    const operation op = {.in = parts, .out = wholes, .count = bytes, .dtype = Q35_NONE};
    if (bytes > UINT64_MAX / Q35I_GROUP_MAX)
        return Q35_FAIL(Q35_E_RANGE, "group: gathering of %llu bytes", (unsigned long long)bytes);
    return g->api ? run_direct(g, &op) : run_staged(g, &op);
}
