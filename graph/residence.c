/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights and states of a session. An entry is keyed by (data, device, layout) for weights and by (name, memory)
 * for states, so that plans of different sizes share them. */
#include "graph/residence.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/size.h"
#include "runtime/device/extension.h"
#include "runtime/device/pack.h"
#include "runtime/device/suspect.h"
#include "runtime/model/model.h"

#include <stdio.h>
#include <string.h>

/* A step that takes longer is worth a warning. */
#define PATIENCE_NS UINT64_C(20000000000)

typedef struct entry {
    const q35i_device *device;
    const void *data; /* weights: canonical bytes; states: NULL */
    char name[80];
    q35_tensor_desc desc; /* with the layout it has there */
    uint32_t op;          /* weights: the op it was laid out for */
    uint64_t bytes;
    q35_binding binding;
    int owns_pages; /* states: host came from q35i_alloc_pages */
} entry;

struct q35i_residence {
    const q35_model *model;
    q35i_devices devices;
    q35i_device *device[Q35I_MAX_DEVICES];
    q35i_lane lanes[Q35I_MAX_DEVICES];
    q35_pool *pool;
    entry *entries;
    uint64_t n_entries, cap_entries;
    q35i_packed **packed;
    uint32_t n_packed;
};

static q35_status open_lane(q35i_residence *res, uint32_t d)
{
    const q35i_device *device = res->device[d];
    q35i_lane *lane = &res->lanes[d];
    if (!device->async)
        return Q35_OK;
    Q35_TRY(device->api->queue_create(device->dev, Q35_QUEUE_COMPUTE, &lane->queue));
    return device->api->timeline_create(device->dev, 0, &lane->timeline);
}

/* Which devices copy from each other's memory. */
static void find_peers(q35i_residence *res)
{
    for (uint32_t to = 0; to < res->devices.n; to++)
        for (uint32_t from = 0; from < res->devices.n; from++)
            if (q35i_device_peer(res->device[to], res->device[from]).mode != Q35_PEER_NONE)
                res->devices.peers[to] |= 1u << from;
}

q35_status q35i_residence_create(const q35_model *model, const q35i_devices *devices, q35_pool *pool,
                                 q35i_residence **out)
{
    q35_status status = Q35_OK;
    q35i_residence *res = *out = q35i_calloc(1, sizeof *res);
    if (!res)
        return Q35_E_NOMEM;
    res->model = model;
    res->pool = pool;
    for (uint32_t d = 0; d < devices->n; d++)
        res->device[d] = devices->device[d];
    res->devices = *devices;
    res->devices.device = res->device;
    for (uint32_t d = 0; d < devices->n && status == Q35_OK; d++)
        status = open_lane(res, d);
    if (status == Q35_OK)
        find_peers(res);
    if (status != Q35_OK) {
        q35i_residence_destroy(res);
        *out = NULL;
    }
    return status;
}

static void entry_free(entry *e)
{
    if (e->binding.buf)
        e->device->api->buf_free(e->binding.buf);
    if (e->owns_pages)
        q35i_free_pages(e->binding.host, e->bytes);
}

void q35i_residence_stop(q35i_residence *res)
{
    for (uint32_t d = 0; res && d < res->devices.n; d++) {
        if (res->lanes[d].queue)
            res->device[d]->api->queue_destroy(res->lanes[d].queue);
        res->lanes[d].queue = NULL;
    }
}

void q35i_residence_destroy(q35i_residence *res)
{
    if (!res)
        return;
    q35i_residence_stop(res);
    for (uint64_t i = 0; i < res->n_entries; i++)
        entry_free(&res->entries[i]);
    for (uint32_t i = 0; i < res->n_packed; i++)
        q35i_packed_free(res->packed[i]);
    for (uint32_t d = 0; d < res->devices.n; d++)
        if (res->lanes[d].timeline)
            res->device[d]->api->timeline_destroy(res->lanes[d].timeline);
    q35i_free(res->packed);
    q35i_free(res->entries);
    q35i_free(res);
}

const q35i_devices *q35i_residence_devices(const q35i_residence *res)
{
    return &res->devices;
}

q35i_lane *q35i_residence_lane(q35i_residence *res, uint32_t device)
{
    return res->lanes[device].queue ? &res->lanes[device] : NULL;
}

q35_status q35i_lane_drain(q35i_residence *res, uint32_t device)
{
    q35i_lane *lane = &res->lanes[device];
    if (!lane->timeline || lane->waited == lane->queued)
        return Q35_OK;
    const q35i_device *dev = res->device[device];
    q35i_suspect(dev->file, "timeline_wait");
    q35_status status = dev->api->timeline_wait(lane->timeline, lane->queued, PATIENCE_NS);
    if (status == Q35_E_TIMEOUT) {
        q35i_log(Q35_LOG_WARN, "device %s: has been at work for %llu seconds without an end", dev->name,
                 (unsigned long long)(PATIENCE_NS / 1000000000));
        status = dev->api->timeline_wait(lane->timeline, lane->queued, UINT64_MAX);
    }
    q35i_suspect(NULL, NULL);
    if (status != Q35_OK)
        return q35i_fail_context(status, "device %s", res->device[device]->name);
    lane->waited = lane->queued;
    return Q35_OK;
}

static q35_status copy_and_wait(q35i_residence *res, uint32_t d, const q35_binding *src, const q35_binding *dst,
                                uint64_t bytes)
{
    q35i_lane *lane = &res->lanes[d];
    const q35_point signal = {lane->timeline, lane->queued + 1};
    Q35_TRY(res->device[d]->api->copy(lane->queue, src, dst, bytes, NULL, 0, &signal, 1));
    lane->queued++;
    return q35i_lane_drain(res, d);
}

static uint32_t device_index(const q35i_residence *res, const q35i_device *device)
{
    uint32_t d = 0;
    while (res->device[d] != device)
        d++;
    return d;
}

static const entry *find(const q35i_residence *res, const q35i_tensor *tensor, uint32_t op, uint32_t d)
{
    const q35i_device *device = res->device[d];
    for (uint64_t i = 0; i < res->n_entries; i++) {
        const entry *e = &res->entries[i];
        int same_memory = e->device == device || (e->device->host_memory && device->host_memory);
        if (tensor->data ? e->data == tensor->data && e->device == device && (e->op == op || e->desc.layout == 0)
                         : same_memory && strcmp(e->name, tensor->name) == 0)
            return e;
    }
    return NULL;
}

void q35i_residence_homes(const q35i_residence *res, q35i_graph *graph)
{
    for (uint32_t t = 0; t < graph->n_tensors; t++)
        for (uint32_t d = 0; graph->tensors[t].role == Q35_ROLE_STATE && d < res->devices.n; d++)
            if (find(res, &graph->tensors[t], 0, d))
                graph->tensors[t].home = d + 1;
}

q35_status q35i_residence_find(const q35i_residence *res, const q35i_tensor *tensor, uint32_t op, uint32_t device,
                               q35_tensor_desc *out_desc, q35_binding *out_binding)
{
    const entry *e = find(res, tensor, op, device);
    if (!e)
        return Q35_FAIL(Q35_E_INTERNAL, "tensor %s: not resident on device %s", tensor->name,
                        res->device[device]->name);
    *out_desc = e->desc;
    *out_binding = e->binding;
    return Q35_OK;
}

static q35_status append(q35i_residence *res, const q35i_tensor *tensor, uint32_t op, uint32_t d)
{
    if (res->n_entries == res->cap_entries) {
        uint64_t cap = res->cap_entries ? res->cap_entries * 2 : 64;
        entry *bigger = q35i_realloc(res->entries, cap, sizeof *bigger);
        if (!bigger)
            return Q35_E_NOMEM;
        res->entries = bigger;
        res->cap_entries = cap;
    }
    entry *e = &res->entries[res->n_entries++];
    memset(e, 0, sizeof *e);
    e->device = res->device[d];
    e->data = tensor->data;
    e->desc = tensor->desc;
    e->op = op;
    e->bytes = q35i_desc_bytes(&tensor->desc);
    snprintf(e->name, sizeof e->name, "%s", tensor->name);
    return Q35_OK;
}

/* The device's first choice of layout for a weight of this op; layout 0 when it has none. */
static q35_status choose_layout(const q35i_device *device, const entry *e, q35_layout *out)
{
    *out = (q35_layout){.h = {sizeof *out, Q35_STRUCT_LAYOUT, NULL}};
    if (e->op != Q35_OP_LINEAR || !Q35_HAS_SLOT(device->api, q35_plugin, layout_query) ||
        !Q35_HAS_SLOT(device->api, q35_plugin, pack))
        return Q35_OK;
    q35_status status = device->api->layout_query(device->dev, e->op, &e->desc, 0, out);
    if (status == Q35_E_RANGE) {
        out->layout = 0;
        return Q35_OK;
    }
    return status;
}

/* A weight was packed: its pages of the model's file need not stay in memory. */
static void drop_pages(void *user, const q35i_pack_item *item)
{
    const q35_tensor_info *info = q35_model_tensor(user, item->name);
    if (info)
        q35i_model_drop_pages(user, info);
}

/* Packs the new entries [from, n) of a device that it wants in a layout of its own. */
static q35_status pack_new(q35i_residence *res, uint32_t d, uint64_t from)
{
    const q35i_device *device = res->device[d];
    q35_status status = Q35_OK;
    uint64_t n = 0, n_new = res->n_entries - from;
    q35i_packed *packed = NULL;
    q35i_pack_model model = {
        .path = q35_model_path(res->model), .done = drop_pages, .user = (void *)(uintptr_t)res->model};
    q35i_pack_item *items = q35i_calloc(n_new, sizeof *items);
    entry **owners = q35i_calloc(n_new, sizeof(entry *));
    Q35_CHECK_ALLOC_GOTO(items, done);
    Q35_CHECK_ALLOC_GOTO(owners, done);
    for (uint64_t i = from; i < res->n_entries; i++) {
        entry *e = &res->entries[i];
        q35_layout layout;
        if (e->device != device || !e->data)
            continue;
        Q35_TRY_GOTO(choose_layout(device, e, &layout), done);
        if (layout.layout == 0)
            continue;
        items[n] = (q35i_pack_item){.name = e->name, .weight = e->desc, .data = e->data, .layout = layout};
        owners[n++] = e;
    }
    if (n == 0)
        goto done;
    q35i_packed **list = q35i_realloc(res->packed, res->n_packed + 1, sizeof *list);
    Q35_CHECK_ALLOC_GOTO(list, done);
    res->packed = list;
    int in_file = q35i_model_fingerprint(res->model, model.id);
    Q35_TRY_GOTO(q35i_pack_weights(res->device[d], res->pool, in_file ? &model : NULL, items, n, &packed), done);
    res->packed[res->n_packed++] = packed;
    for (uint64_t i = 0; i < n; i++) {
        owners[i]->desc.layout = items[i].layout.layout;
        owners[i]->desc.stride[1] = (int64_t)(items[i].layout.slice_bytes);
        owners[i]->bytes = items[i].packed_bytes;
        owners[i]->binding.host = (void *)(uintptr_t)items[i].packed;
    }
done:
    q35i_free(items);
    q35i_free(owners);
    return status;
}

/* Gives an entry its place: the mapping itself, the packed bytes, or a buffer of the device filled from either. */
static q35_status settle_weight(q35i_residence *res, entry *e)
{
    if (!e->binding.host)
        e->binding.host = (void *)(uintptr_t)e->data;
    e->binding.bytes = e->bytes;
    if (e->device->host_memory)
        return Q35_OK;
    q35_binding dst = {.bytes = e->bytes};
    Q35_TRY(e->device->api->buf_alloc(e->device->dev, 0, e->bytes, 64, Q35_USE_WEIGHT, &dst.buf));
    q35_status status = copy_and_wait(res, device_index(res, e->device), &e->binding, &dst, e->bytes);
    if (status != Q35_OK) {
        e->device->api->buf_free(dst.buf);
        return status;
    }
    e->binding = dst;
    return Q35_OK;
}

/* States start as zeros: fresh pages on the host, a copy of them elsewhere. */
static q35_status settle_state(q35i_residence *res, entry *e)
{
    q35_binding pages = {.host = q35i_alloc_pages(e->bytes), .bytes = e->bytes}, dst = {.bytes = e->bytes};
    if (!pages.host)
        return q35i_fail_context(Q35_E_NOMEM, "state %s", e->name);
    if (e->device->host_memory) {
        e->binding = pages;
        e->owns_pages = 1;
        return Q35_OK;
    }
    q35_status status = e->device->api->buf_alloc(e->device->dev, 0, e->bytes, 64, Q35_USE_STATE, &dst.buf);
    if (status == Q35_OK) {
        e->binding = dst;
        status = copy_and_wait(res, device_index(res, e->device), &pages, &dst, e->bytes);
    }
    q35i_free_pages(pages.host, e->bytes);
    return status;
}

/* What new entries of a device take of its memory. Weights on host memory lie in mapped files. */
typedef struct demand {
    uint64_t context, other; /* bytes of KV states, and of everything else */
    uint64_t n_tokens;       /* of the KV states, 0: there are none */
} demand;

/* States of the KV cache are the ones with pages. */
static bool is_kv(const entry *e)
{
    return !e->data && e->desc.rank == 4;
}

static demand demand_of(const q35i_residence *res, const q35i_device *device, uint64_t from)
{
    demand d = {0};
    for (uint64_t i = from; i < res->n_entries; i++) {
        const entry *e = &res->entries[i];
        if (e->device != device)
            continue;
        if (is_kv(e)) {
            d.context += e->bytes;
            d.n_tokens = (uint64_t)(e->desc.dim[1] * e->desc.dim[3]);
        } else if (!e->data || !device->host_memory) {
            d.other += e->bytes;
        }
    }
    return d;
}

/* Bytes that the device has now; UINT64_MAX: unknown. */
static uint64_t available(const q35i_device *device)
{
    uint64_t bytes;
    if (device->async && Q35_HAS_SLOT(device->api, q35_plugin, memory_refresh) &&
        device->api->memory_refresh(device->dev, 0, &bytes) == Q35_OK)
        return bytes;
    return device->memory.available > 0 ? device->memory.available : UINT64_MAX;
}

/* What the new entries of a device will take must be there. */
static q35_status check_fit(const q35i_residence *res, uint32_t d, uint64_t from)
{
    const q35i_device *device = res->device[d];
    const demand need = demand_of(res, device, from);
    uint64_t there = available(device);
    if (need.context + need.other <= there)
        return Q35_OK;
    if (need.n_tokens == 0 || need.other >= there)
        return Q35_FAIL(Q35_E_NOFIT, "device %s: need %llu MiB for the model, %llu MiB are available",
                        device->name, (unsigned long long)(need.other >> 20), (unsigned long long)(there >> 20));
    uint64_t fits = (there - need.other) / (need.context / need.n_tokens);
    return Q35_FAIL(
        Q35_E_NOFIT,
        "device %s: need %llu MiB, %llu MiB of it for a context of %llu tokens, %llu MiB are available; "
        "at most %llu tokens fit",
        device->name, (unsigned long long)((need.context + need.other) >> 20),
        (unsigned long long)(need.context >> 20), (unsigned long long)need.n_tokens,
        (unsigned long long)(there >> 20), (unsigned long long)fits);
}

q35_status q35i_residence_add(q35i_residence *res, const q35i_graph *graph, const q35i_placement *placement)
{
    uint64_t from = res->n_entries;
    for (uint32_t n = 0; n < graph->n_nodes; n++) {
        const q35i_node *node = &graph->nodes[n];
        for (uint32_t i = 0; i < node->n_in; i++) {
            const q35i_tensor *t = &graph->tensors[node->in[i]];
            if ((t->role == Q35_ROLE_WEIGHT || t->role == Q35_ROLE_STATE) &&
                !find(res, t, node->op, placement->device[n]))
                Q35_TRY(append(res, t, node->op, placement->device[n]));
        }
    }
    for (uint32_t d = 0; d < res->devices.n; d++) {
        Q35_TRY(check_fit(res, d, from));
        Q35_TRY(pack_new(res, d, from));
    }
    for (uint64_t i = from; i < res->n_entries; i++) {
        entry *e = &res->entries[i];
        Q35_TRY(e->data ? settle_weight(res, e) : settle_state(res, e));
    }
    return Q35_OK;
}

q35_status q35i_residence_copy_page(q35i_residence *res, uint32_t from, uint32_t to)
{
    for (uint64_t i = 0; i < res->n_entries; i++) {
        const entry *e = &res->entries[i];
        if (!is_kv(e))
            continue;
        const uint64_t bytes = (uint64_t)e->desc.stride[3];
        q35_binding src = e->binding, dst = e->binding;
        if (e->binding.host) {
            memcpy((char *)dst.host + to * bytes, (const char *)src.host + from * bytes, bytes);
            continue;
        }
        src.offset += from * bytes;
        dst.offset += to * bytes;
        src.bytes = dst.bytes = bytes;
        Q35_TRY(copy_and_wait(res, device_index(res, e->device), &src, &dst, bytes));
    }
    return Q35_OK;
}

q35_status q35i_residence_read_state(q35i_residence *res, const char *name, void *dst, uint64_t bytes)
{
    for (uint64_t i = 0; i < res->n_entries; i++) {
        const entry *e = &res->entries[i];
        if (e->data || strcmp(e->name, name) != 0)
            continue;
        if (bytes > e->bytes)
            return Q35_FAIL(Q35_E_RANGE, "state %s: %llu bytes asked for, has %llu", name,
                            (unsigned long long)bytes, (unsigned long long)e->bytes);
        if (e->binding.host) {
            memcpy(dst, e->binding.host, bytes);
            return Q35_OK;
        }
        const q35_binding to = {.host = dst, .bytes = bytes};
        return copy_and_wait(res, device_index(res, e->device), &e->binding, &to, bytes);
    }
    return Q35_FAIL(Q35_E_INVALID, "state %s: unknown", name);
}

static uint64_t sum_bytes(const q35i_residence *res, uint32_t device, int weights)
{
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < res->n_entries; i++)
        if (res->entries[i].device == res->device[device] && (res->entries[i].data != NULL) == weights)
            bytes += res->entries[i].bytes;
    return bytes;
}

uint64_t q35i_residence_weight_bytes(const q35i_residence *res, uint32_t device)
{
    return sum_bytes(res, device, 1);
}

uint64_t q35i_residence_state_bytes(const q35i_residence *res, uint32_t device)
{
    return sum_bytes(res, device, 0);
}

int q35i_residence_from_cache(const q35i_residence *res)
{
    for (uint32_t i = 0; i < res->n_packed; i++)
        if (!q35i_packed_from_cache(res->packed[i]))
            return 0;
    return res->n_packed > 0;
}
