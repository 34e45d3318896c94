/* SPDX-License-Identifier: MIT-0
 *
 * An extension of the device plugin ABI since 1.1: what a device can do with the memory of another device of the
 * same plugin. q35_plugin.extension returns its table, q35_peer. The rules of plugin.h hold; like it this header
 * needs nothing else. */
#ifndef Q35RT_PEER_H
#define Q35RT_PEER_H

#include <q35rt/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { Q35_STRUCT_PEER = 48, Q35_STRUCT_PEER_INFO = 49 };

enum {
    Q35_PEER_NONE = 0,   /* nothing: the host copies through its own memory */
    Q35_PEER_STAGED = 1, /* q35_plugin.copy takes the pair, and the driver goes through host memory */
    Q35_PEER_COPY = 2,   /* q35_plugin.copy takes the pair, directly over a link */
    Q35_PEER_ADDRESS = 3 /* as COPY, and plans of the device may be bound to buffers of the other */
};

typedef struct q35_peer_info {
    q35_hdr h;
    uint32_t mode; /* Q35_PEER_* */
    uint32_t reserved;
    uint64_t mbs, latency_ns; /* hints, 0 unknown */
} q35_peer_info;

/* Q35_STRUCT_PEER */
typedef struct q35_peer {
    q35_hdr h;
    /* What `dev` can do with memory of `from`, another open device of this plugin; the other direction is a
     * question of its own. Fills what out->h.size covers. pure, but for access that the driver has to be asked for
     * once.
     *
     * From Q35_PEER_STAGED on, q35_plugin.copy of a queue of dev takes as source a buffer of `from`; the
     * destination is a buffer of dev. What wrote the source is done when the copy is queued, and the source stays
     * as it is until a signalled point is reached; waits and signals are timelines of dev. The host tests a path
     * with data before it trusts it. */
    q35_status (*query)(q35_device *dev, q35_device *from, q35_peer_info *out);
} q35_peer;

#ifdef __cplusplus
}
#endif
#endif
