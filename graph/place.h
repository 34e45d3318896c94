/* SPDX-License-Identifier: Apache-2.0
 *
 * Which device runs which node. Devices answer (supported? why not? what does it cost?), the pass decides, and
 * every decision keeps its reason. */
#ifndef Q35I_GRAPH_PLACE_H
#define Q35I_GRAPH_PLACE_H

#include "graph/graph.h"
#include "runtime/device/device.h"

#define Q35I_MAX_DEVICES 16

typedef struct q35i_devices {
    q35i_device *const *device;
    uint32_t n;
    int by_preference; /* 1: earlier devices first wherever they can; 0: cheapest by the devices' own costs */
    uint32_t peers[Q35I_MAX_DEVICES]; /* bit f of [t]: queues of device t copy from memory of device f */
} q35i_devices;

/* 1: one copy brings a tensor from the memory of one device to that of another. */
static inline int q35i_direct(const q35i_devices *devices, uint32_t from, uint32_t to)
{
    return (devices->peers[to] >> from) & 1u;
}

/* One device's answer about one node. */
typedef struct q35i_answer {
    int ok;
    uint64_t ns; /* expected time, transfers not included */
    char reason[128];
} q35i_answer;

typedef struct q35i_placement {
    uint32_t n_nodes, n_devices;
    uint32_t *device;     /* [n_nodes] index into q35i_devices */
    q35i_answer *answers; /* [n_nodes][n_devices] */
} q35i_placement;

/* A region that holds exactly one node of a graph; pointers into the graph and into itself. */
typedef struct q35i_single {
    q35_tensor_desc tensors[Q35I_MAX_IN + Q35I_MAX_OUT + 1];
    uint32_t roles[Q35I_MAX_IN + Q35I_MAX_OUT + 1];
    uint32_t in[Q35I_MAX_IN], out[Q35I_MAX_OUT];
    q35_node node;
    const q35_node *nodes[1];
    q35_region region;
} q35i_single;

void q35i_single_region(const q35i_graph *graph, const q35i_node *node, q35i_single *out);

/* Asks a device about a node: support, then cost (its own, else a roofline estimate from its description). */
void q35i_ask(const q35i_device *device, const q35i_graph *graph, const q35i_node *node, q35i_answer *out);

/* Notes that the device cannot run nodes like this one (same op, same types of inputs and outputs), whatever it
 * says. */
q35_status q35i_refuse(q35i_device *device, const q35i_graph *graph, const q35i_node *node, const char *reason);
/* What was noted; NULL: nothing. */
const char *q35i_refused(const q35i_device *device, const q35i_graph *graph, const q35i_node *node);

/* Replaces add + rms_norm by add_rms_norm, silu + mul by swiglu and rotate + quantize_act by quantize_act with
 * signs where the first device that can do the parts can also do the whole. */
q35_status q35i_pass_fuse(q35i_graph *graph, const q35i_devices *devices);

/* UNSUPPORTED names a node that no device can run, with each device's reason. Nodes that share a state end up in
 * the same memory. Free with q35i_placement_free. */
q35_status q35i_pass_place(const q35i_graph *graph, const q35i_devices *devices, q35i_placement *out);
void q35i_placement_free(q35i_placement *placement);

/* Appends TOP_K of the logits where that saves a copy of them: on the device that makes them, if its memory is not
 * the host's and it can. Comes after placement, so that it changes no other node's place. */
q35_status q35i_pass_select(q35i_graph *graph, const q35i_devices *devices, q35i_placement *placement);
/* Takes it out of the graph again; without one: nothing. */
void q35i_unselect(q35i_graph *graph);

/* Expected time to move a tensor from one device to another (0 within host memory), ns. */
uint64_t q35i_transfer_ns(const q35i_devices *devices, uint32_t from, uint32_t to, uint64_t bytes);

#endif
