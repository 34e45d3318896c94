/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a session's weights and states live: one copy per device and layout, shared by all its plans. Weights on
 * host memory in canonical layout stay in the file's mapping; packed ones come from the pack cache. One thread at
 * a time. */
#ifndef Q35I_RESIDENCE_H
#define Q35I_RESIDENCE_H

#include "graph/place.h"

#include <q35rt/model.h>

/* An async device's queue, and the timeline that counts what was queued on it. */
typedef struct q35i_lane {
    q35_queue *queue;
    q35_timeline *timeline;
    uint64_t queued; /* value that will be reached when everything queued is done */
    uint64_t waited; /* value known to be reached */
} q35i_lane;

typedef struct q35i_residence q35i_residence;

/* Opens a lane per async device. Borrows everything until destroy. */
q35_status q35i_residence_create(const q35_model *model, const q35i_devices *devices, q35_pool *pool,
                                 q35i_residence **out);
void q35i_residence_destroy(q35i_residence *res); /* NULL ok */

/* Finishes what is queued on every lane and closes the queues, so that memory which queued work refers to may go.
 * Before plans are destroyed; destroy does it too. */
void q35i_residence_stop(q35i_residence *res); /* NULL ok */

const q35i_devices *q35i_residence_devices(const q35i_residence *res);

/* NULL for a synchronous device. */
q35i_lane *q35i_residence_lane(q35i_residence *res, uint32_t device);

/* Waits until everything queued on the lane of `device` is done; the device's failure, if it failed. */
q35_status q35i_lane_drain(q35i_residence *res, uint32_t device);

/* Makes every weight and state of a placed graph resident: asks for layouts, packs, uploads. NOFIT names the bytes
 * needed and available. */
q35_status q35i_residence_add(q35i_residence *res, const q35i_graph *graph, const q35i_placement *placement);

/* Sets the home of every state of the graph that is resident, so that a plan finds what others have written. */
void q35i_residence_homes(const q35i_residence *res, q35i_graph *graph);

/* Where input `tensor` of a node with this op lives on a device: descriptor with its layout, and binding. For
 * weights and states made resident before. */
q35_status q35i_residence_find(const q35i_residence *res, const q35i_tensor *tensor, uint32_t op, uint32_t device,
                               q35_tensor_desc *out_desc, q35_binding *out_binding);

/* Copies one page of all KV states. No step is under way. Allocates nothing. */
q35_status q35i_residence_copy_page(q35i_residence *res, uint32_t from, uint32_t to);

/* Copies a state (found by name) to host memory. */
q35_status q35i_residence_read_state(q35i_residence *res, const char *name, void *dst, uint64_t bytes);

uint64_t q35i_residence_weight_bytes(const q35i_residence *res, uint32_t device);
uint64_t q35i_residence_state_bytes(const q35i_residence *res, uint32_t device);
int q35i_residence_from_cache(const q35i_residence *res); /* 1: some packed weights, all of them from the cache */

#endif
