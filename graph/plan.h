/* SPDX-License-Identifier: Apache-2.0
 *
 * A plan: the immutable list of what happens in one step. Runs on devices, copies between memories, in an order
 * that is right by construction: a queue is in order, and the executor waits when the device changes.
 *
 * Memories are numbered 0 = host, d + 1 = own memory of device d. A tensor has a replica in every memory where a
 * step reads or writes it; replicas whose lives do not overlap share bytes of that memory's arena. */
#ifndef Q35I_PLAN_H
#define Q35I_PLAN_H

#include "graph/build.h"
#include "graph/residence.h"
#include "runtime/device/extension.h"

enum { Q35I_STEP_RUN = 0, Q35I_STEP_COPY = 1 };

typedef struct q35i_step {
    uint32_t kind;   /* Q35I_STEP_* */
    uint32_t device; /* that runs or copies */
    /* RUN: nodes [first, first + n_nodes) of the graph, compiled as one region */
    uint32_t first, n_nodes;
    q35_plan *compiled;
    /* COPY: one of from, to is the host, or the device copies from a peer */
    uint32_t tensor, from, to;
} q35i_step;

typedef struct q35i_replica {
    uint32_t tensor, memory;
    uint32_t first, last; /* life, in positions: every node and every copy has one */
    uint64_t offset, bytes;
} q35i_replica;

/* A step list with lives and places, before anything is allocated. */
typedef struct q35i_schedule {
    q35i_step *steps;
    uint32_t n_steps, cap_steps;
    q35i_replica *replicas;
    uint32_t n_replicas, cap_replicas;
    uint64_t arena_bytes[Q35I_MAX_DEVICES + 1];
    uint64_t bound_bytes[Q35I_MAX_DEVICES + 1]; /* largest sum of bytes alive at once: no arena can be smaller */
} q35i_schedule;

/* Memory in which a device's results live. */
static inline uint32_t q35i_memory_of(const q35i_devices *devices, uint32_t device)
{
    return devices->device[device]->host_memory ? 0 : device + 1;
}

/* Regions and the copies between them. */
q35_status q35i_pass_schedule(const q35i_graph *graph, const q35i_devices *devices,
                              const q35i_placement *placement, q35i_schedule *out);
/* Life of every replica. */
q35_status q35i_pass_liveness(const q35i_graph *graph, const q35i_devices *devices, q35i_schedule *schedule);
/* Offsets in the arenas: best fit, larger replicas first. */
q35_status q35i_pass_memory(q35i_schedule *schedule);
void q35i_schedule_free(q35i_schedule *schedule);

q35i_replica *q35i_schedule_replica(const q35i_schedule *schedule, uint32_t tensor,
                                    uint32_t memory); /* NULL: none */

typedef struct q35i_plan q35i_plan;

/* Takes the graph (emptied, also on failure), fuses, places, schedules, makes weights and states resident,
 * compiles and binds. */
q35_status q35i_plan_create(q35i_residence *res, q35i_graph *graph, q35i_plan **out);
void q35i_plan_destroy(q35i_plan *plan); /* NULL ok */

const q35i_graph *q35i_plan_graph(const q35i_plan *plan);

/* Host memory of an input, to be written before a run, or of an output, valid until the next run; of one on
 * demand, from q35i_plan_fetch to the next run. */
void *q35i_plan_host(const q35i_plan *plan, uint32_t tensor);

/* Host memory of a step's inputs, to be written before each run; NULL: the graph has none. */
typedef struct q35i_step_inputs {
    int32_t *ids;       /* [T] */
    int32_t *positions; /* [T] of each token in its sequence */
    int32_t *slots;     /* [T] where its keys and values go: page * Q35_KV_PAGE + row */
    int32_t *sequence;  /* [T] its sequence's row of pages; tokens of a sequence are neighbours */
    int32_t *pages;     /* [n_sequences][max_pages]: page of each Q35_KV_PAGE positions */
    int32_t *out_rows;  /* [n_out] tokens whose logits are wanted */
    uint32_t max_pages;
} q35i_step_inputs;

q35i_step_inputs q35i_plan_inputs(const q35i_plan *plan);

/* Runs one step on what the inputs hold. Allocates nothing. */
q35_status q35i_plan_run(q35i_plan *plan, const q35_step *step);

/* Brings an output to the host that is there on demand only; `step`: of the run before. Allocates nothing. */
q35_status q35i_plan_fetch(q35i_plan *plan, uint32_t tensor, const q35_step *step);

/* Bytes of distinct weights that the linear nodes read in a step. */
uint64_t q35i_plan_linear_bytes(const q35i_plan *plan);

void q35i_plan_print(const q35i_plan *plan, q35i_write_fn *write, void *user);
q35_status q35i_plan_print_json(const q35i_plan *plan, q35i_write_fn *write, void *user);

/* Steps [first, first + n_steps) that their device records and replays (replay.c). */
typedef struct q35i_capture {
    uint32_t first, n_steps;
    const q35_capture *api;
    q35_recording *recording; /* NULL: none */
    q35_step recorded, last;  /* of the recording, of the run before */
    int seen, off;            /* ran before; does not record */
} q35i_capture;

/* What plan.c, exec.c, replay.c and the printers share. */
struct q35i_plan {
    q35i_residence *res;
    const q35i_devices *devices;
    q35i_graph graph;
    q35i_placement placement;
    q35i_schedule schedule;
    q35_binding arena[Q35I_MAX_DEVICES + 1]; /* host: aligned memory; else a buffer */
    q35i_capture *captures;                  /* [n_captures] in order */
    uint32_t n_captures;
};

/* Binding of a tensor's replica in a memory. */
q35_binding q35i_plan_binding(const q35i_plan *plan, uint32_t tensor, uint32_t memory);

#endif
