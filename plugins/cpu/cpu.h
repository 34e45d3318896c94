/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the CPU plugin: the host's processors as one L0 device on host memory. A region becomes a flat list of
 * steps; one parallel call runs them all, each worker doing its share of every step, with barriers only where a
 * step touches memory that an earlier one wrote or still reads. */
#ifndef Q35I_PLUGIN_CPU_H
#define Q35I_PLUGIN_CPU_H

#include "kernels-cpu/kernels.h"
#include "plugins/common/host.h"
#include "plugins/common/region.h"

#include <q35rt/measure.h>
#include <stdatomic.h>

#define Q35I_CPU_VERSION "0.1.0"

enum {
    Q35I_CPU_LINE = 64, /* bytes of a cache line; alignment of scratch and of packed weights */
    Q35I_CPU_TILE_ROWS = 16,
    Q35I_CPU_FEW_TOKENS = 8,   /* that the kernels of LINEAR take as they are, without packing */
    Q35I_CPU_PANEL_TOKENS = 16 /* quantised and packed at a time */
};

/* Immutable between open and close. */
struct q35_device {
    q35_pool *pool; /* borrowed; NULL: the calling thread alone */
    uint32_t n_workers;
    uint64_t memory_cap; /* 0: none */
    q35k_table kernels;
    bool reads_tile16, reads_row16; /* layouts that its linear kernels read: all but the references do */
};

/* ------------------------------------------------------------------ support (support.c, cost.c) */

extern const q35p_rules q35i_cpu_rules;

/* Bytes of scratch that one worker needs for the region, a multiple of the cache line. */
uint64_t q35i_cpu_worker_scratch(const q35_region *region);

/* Bytes of records of the longest sequence that an ATTENTION of the region may see, for one kv head, a multiple of
 * the cache line; 0: there is no ATTENTION. */
uint64_t q35i_cpu_record_bytes(const q35_region *region);

q35_status q35i_cpu_op_support(q35_device *dev, const q35_region *region, q35_support *out);
q35_status q35i_cpu_op_cost(q35_device *dev, const q35_region *region, q35_cost *out);

/* ------------------------------------------------------------------ plans (plan.c, bind.c, indices.c, run.c,
 * chunks.c, ahead.c, attention.c) */

typedef struct q35i_cpu_tensor {
    q35_tensor_desc desc;
    uint32_t role;
    uint32_t used;  /* 1: a step or the host's step values use it, so it must be bound */
    bool packable;  /* of many tokens it holds a panel (kernels.h): only LINEARs of row types read it */
    uint64_t bytes; /* at capacity */
    char *base;     /* set by bind */
} q35i_cpu_tensor;

typedef struct q35i_cpu_step {
    uint32_t op, n_in, n_out;
    uint32_t in[Q35P_MAX_IN], out[Q35P_MAX_OUT];
    uint32_t row_kind;    /* q35p_row_kind of what it works on */
    int64_t row_capacity; /* rows at most; exactly, when the kind is fixed */
    bool barrier;         /* set by bind: all workers finish the steps before this one first */
    bool indices_known;   /* an earlier step has the same indices and limits */
    float eps, scale;     /* parameters of the op; unused ones 0 */
    float temperature_beta;
    int64_t n_heads, head_dim, n_rot, temperature_length;
    int inverse;            /* ROTATE */
    q35k_rotation rotation; /* ROTATE, QUANTIZE_ACT with signs; its signs are set by bind */
    q35k_weights weights;   /* LINEAR, GET_ROWS: set by bind */
    uint32_t cursor;        /* LINEAR: its column in the plan's cursors */
    uint32_t next_linear;   /* index of the first LINEAR from this step on; n_steps: there is none */
    q35k_kv kv;             /* KV_APPEND, ATTENTION: set by bind */
} q35i_cpu_step;

typedef struct q35i_cpu_profile_counts q35i_cpu_profile_counts;

typedef atomic_ullong q35i_cpu_cursor; /* of a LINEAR's chunks (chunks.c) */

struct q35_plan {
    const q35_device *dev;
    uint32_t n_tensors, n_steps;
    q35i_cpu_tensor *tensors;
    q35i_cpu_step *steps;
    uint32_t step_tensor; /* Q35_NONE: nothing depends on step values */
    bool bound;
    char *scratch; /* n_workers slices of scratch_stride bytes */
    uint64_t scratch_stride;
    char *records; /* n_workers - 1 areas of record_stride bytes, for items of ATTENTION that several share */
    uint64_t record_stride;
    q35i_cpu_cursor *cursors; /* [n_workers][n_cursors] */
    uint32_t n_cursors;
    uint32_t run;                     /* number of the run in progress */
    q35_step now;                     /* its values */
    q35i_cpu_profile_counts *profile; /* NULL: nothing is counted */
};

/* Part [begin, end) of n for a worker: contiguous, in multiples of grain. */
void q35i_cpu_split(int64_t n, int64_t grain, uint32_t worker, uint32_t n_workers, int64_t *begin, int64_t *end);

/* Bytes of a row of weights, on average where rows lie in tiles. */
static inline int64_t q35i_cpu_row_bytes(const q35k_weights *w)
{
    return w->layout == Q35K_LAYOUT_CANONICAL ? w->rs : w->rs / Q35I_CPU_TILE_ROWS;
}

/* Do workers take the rows of a LINEAR step in chunks? Of many tokens each has one share: a kernel packs tokens
 * once per call. */
bool q35i_cpu_takes_chunks(const q35_plan *plan, const q35i_cpu_step *step, uint32_t n_workers);

/* Rows [begin, end) of a LINEAR step for the worker to compute next, its own first; false: all are taken. */
bool q35i_cpu_next_chunk(const q35_plan *plan, const q35i_cpu_step *step, uint32_t worker, uint32_t n_workers,
                         int64_t *begin, int64_t *end);

/* How much of a worker's share of the next LINEAR is on its way into the cache. */
typedef struct q35i_cpu_ahead {
    uint32_t linear; /* index of the step */
    int64_t bytes;
} q35i_cpu_ahead;

/* Before the barrier of step `index`: reads on where the worker's share of the next LINEAR begins, for the memory
 * would do nothing while workers wait for each other or one of them works alone. */
void q35i_cpu_read_ahead(const q35_plan *plan, uint32_t index, uint32_t worker, uint32_t n_workers,
                         q35i_cpu_ahead *ahead);

/* Marks the tensors that may hold panels (panels.c). */
void q35i_cpu_find_panels(q35_plan *plan);

/* Does the tensor hold a panel when it has so many rows? */
bool q35i_cpu_is_panel(const q35i_cpu_tensor *tensor, int64_t rows);

/* Scratch of a QUANTIZE_ACT of k inputs: rows of Q35I_CPU_PANEL_TOKENS tokens, in whole cache lines, behind them
 * the kernel's own. */
uint64_t q35i_cpu_panel_rows_bytes(uint32_t act_type, int64_t k);
uint64_t q35i_cpu_quantize_scratch(uint32_t act_type, int64_t k);

/* Valid rows of a tensor in the run in progress. */
int64_t q35i_cpu_rows(const q35_plan *plan, const q35_tensor_desc *desc);

q35_status q35i_cpu_plan_compile(q35_device *dev, const q35_region *region, q35_plan **out);
q35_status q35i_cpu_plan_bind(q35_plan *plan, const q35_binding *bindings);
q35_status q35i_cpu_plan_run(q35_plan *plan);
void q35i_cpu_plan_free(q35_plan *plan);

/* Checks what of this run's values indexes memory: ids, slots, positions, pages, rows. */
q35_status q35i_cpu_check_indices(const q35_plan *plan, const q35i_cpu_step *step);
/* Steps with the same answer to it, whatever the values. */
bool q35i_cpu_same_indices(const q35_plan *plan, const q35i_cpu_step *a, const q35i_cpu_step *b);

/* Worker's share of one step. Touches only rows, items or columns of that worker. team: NULL for a worker alone.
 */
void q35i_cpu_run_step(const q35_plan *plan, const q35i_cpu_step *step, uint32_t worker, uint32_t n_workers,
                       q35_team *team);
void q35i_cpu_run_attention(const q35_plan *plan, const q35i_cpu_step *step, uint32_t worker, uint32_t n_workers,
                            q35_team *team);

/* ------------------------------------------------------------------ measuring (measure.c, profile.c) */

/* Slots of q35_measure. */
q35_status q35i_cpu_limit(q35_device *dev, uint32_t i, uint32_t ms, q35_limit *out);
q35_status q35i_cpu_profile(q35_plan *plan, uint32_t on);
q35_status q35i_cpu_profile_read(q35_plan *plan, q35_profile *out);

/* One worker's share of all steps, with counting; then, on the calling thread, the run that began at begin_ns. */
void q35i_cpu_profiled_worker(void *plan, uint32_t worker, uint32_t n_workers, q35_team *team);
void q35i_cpu_profile_run(q35_plan *plan, uint64_t begin_ns);
void q35i_cpu_profile_free(q35_plan *plan);

/* ------------------------------------------------------------------ devices and layouts (device.c, memory.c,
 * layout.c) */

q35_status q35i_cpu_device_open(uint32_t i, const q35_open_options *options, q35_device **out);
void q35i_cpu_device_close(q35_device *dev);

/* Of the newest instruction set: "AVX-512 VNNI", "NEON dotprod", "reference". */
const char *q35i_cpu_level_name(uint32_t features);

/* Bytes of host memory that can be had without swapping, file cache included: the kernel's estimate, or what the
 * control group has left where that is less; 0: unknown. */
uint64_t q35i_cpu_available_memory(void);

/* What the control group of a process has left, from its cgroup file and the root of the hierarchy; UINT64_MAX
 * without a limit. Cache of files that were read once counts as free. */
uint64_t q35i_cpu_group_memory(const char *cgroup, const char *root);

/* Do the device's linear kernels read a layout that is not canonical? */
bool q35i_cpu_reads(const q35_device *dev, uint32_t layout);

/* Bytes of one tile of 16 rows in a packed layout; 0: the type has no such layout. */
uint64_t q35i_cpu_tile_bytes(uint32_t layout, uint32_t dtype, int64_t k);

q35_status q35i_cpu_layout_query(q35_device *dev, uint32_t op, const q35_tensor_desc *weight, uint32_t i,
                                 q35_layout *out);
q35_status q35i_cpu_pack(q35_device *dev, uint32_t layout, const q35_tensor_desc *weight, uint64_t row,
                         uint64_t n_rows, const void *src, void *dst);
q35_status q35i_cpu_unpack(q35_device *dev, uint32_t layout, const q35_tensor_desc *weight, uint64_t row,
                           uint64_t n_rows, const void *src, void *dst);
q35_status q35i_cpu_pack_key(q35_device *dev, uint32_t layout, uint8_t out_key[32]);

#endif
