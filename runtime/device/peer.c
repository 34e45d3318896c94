/* SPDX-License-Identifier: Apache-2.0
 *
 * Paths between devices. A driver's word that one device can read another's memory is not enough: there are
 * machines where such copies arrive damaged. So a path carries a pattern first, and is used only if all of it
 * arrives. */
#include "extension.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

#include <string.h>

enum { PATTERN_BYTES = 65536 + 64 };

#define PATIENCE_NS UINT64_C(30000000000)

/* A device's queue and timeline for one test. */
typedef struct lane {
    const q35i_device *device;
    q35_queue *queue;
    q35_timeline *timeline;
    q35_buf *buf;
    uint64_t value;
} lane;

static q35_status open_lane(const q35i_device *device, lane *l)
{
    *l = (lane){.device = device};
    Q35_TRY(device->api->queue_create(device->dev, Q35_QUEUE_COPY, &l->queue));
    Q35_TRY(device->api->timeline_create(device->dev, 0, &l->timeline));
    return device->api->buf_alloc(device->dev, 0, PATTERN_BYTES, 64, Q35_USE_STAGING, &l->buf);
}

static void close_lane(lane *l)
{
    if (l->queue)
        l->device->api->queue_destroy(l->queue);
    if (l->timeline)
        l->device->api->timeline_destroy(l->timeline);
    if (l->buf)
        l->device->api->buf_free(l->buf);
}

static q35_status copy(lane *l, q35_binding src, q35_binding dst)
{
    const q35_point done = {l->timeline, ++l->value};
    Q35_TRY(l->device->api->copy(l->queue, &src, &dst, PATTERN_BYTES, NULL, 0, &done, 1));
    return l->device->api->timeline_wait(l->timeline, done.value, PATIENCE_NS);
}

/* host -> from -> to -> host */
static q35_status carry(lane *from, lane *to, uint8_t *sent, uint8_t *received)
{
    Q35_TRY(copy(from, (q35_binding){.host = sent, .bytes = PATTERN_BYTES},
                 (q35_binding){.buf = from->buf, .bytes = PATTERN_BYTES}));
    Q35_TRY(copy(to, (q35_binding){.buf = from->buf, .bytes = PATTERN_BYTES},
                 (q35_binding){.buf = to->buf, .bytes = PATTERN_BYTES}));
    return copy(to, (q35_binding){.buf = to->buf, .bytes = PATTERN_BYTES},
                (q35_binding){.host = received, .bytes = PATTERN_BYTES});
}

static q35_status compare(const uint8_t *sent, const uint8_t *received)
{
    for (uint32_t i = 0; i < PATTERN_BYTES; i++)
        if (sent[i] != received[i])
            return Q35_FAIL(Q35_E_DEVICE, "byte %u of %d arrived as %u, need %u", i, (int)PATTERN_BYTES,
                            received[i], sent[i]);
    return Q35_OK;
}

static q35_status test_path(const q35i_device *to, const q35i_device *from)
{
    q35_status status;
    lane a = {0}, b = {0};
    uint8_t *sent = q35i_alloc_aligned(PATTERN_BYTES, 64), *received = q35i_alloc_aligned(PATTERN_BYTES, 64);
    Q35_CHECK_ALLOC_GOTO(sent, done);
    Q35_CHECK_ALLOC_GOTO(received, done);
    for (uint32_t i = 0; i < PATTERN_BYTES; i++)
        sent[i] = (uint8_t)(i * 167u + (i >> 8) + 1u);
    memset(received, 0, PATTERN_BYTES);
    Q35_TRY_GOTO(open_lane(from, &a), done);
    Q35_TRY_GOTO(open_lane(to, &b), done);
    Q35_TRY_GOTO(carry(&a, &b, sent, received), done);
    status = compare(sent, received);
done:
    close_lane(&b);
    close_lane(&a);
    q35i_free(sent);
    q35i_free(received);
    return status;
}

q35_peer_info q35i_device_peer(const q35i_device *to, const q35i_device *from)
{
    const q35_peer_info none = {.h = {sizeof none, Q35_STRUCT_PEER_INFO, NULL}};
    q35_peer_info info = none;
    if (to == from || to->api != from->api || !to->async || to->host_memory || from->host_memory)
        return none;
    const q35_peer *peer = q35i_extension(to->api, Q35_STRUCT_PEER);
    if (!peer || !Q35_HAS_SLOT(peer, q35_peer, query) || peer->query(to->dev, from->dev, &info) != Q35_OK ||
        info.mode == Q35_PEER_NONE)
        return none;
    if (test_path(to, from) == Q35_OK)
        return info;
    q35i_log(Q35_LOG_WARN, "device %s: copies from %s do not work, so they go through host memory: %s", to->name,
             from->name, q35_error_message());
    return none;
}
