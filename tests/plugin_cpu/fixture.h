/* SPDX-License-Identifier: Apache-2.0
 *
 * A minimal host for the CPU plugin: its services (fixture_host.c) and regions with their memory (fixture.c). Not
 * the runtime's own loader and pool, so that a failure here points at the plugin. */
#ifndef Q35T_PLUGIN_CPU_FIXTURE_H
#define Q35T_PLUGIN_CPU_FIXTURE_H

#include <q35rt/blocks.h>
#include <stdbool.h>

enum { MAX_TENSORS = 24, MAX_NODES = 16 };

/* ------------------------------------------------------------------ host services */

struct q35_pool {
    uint32_t n_workers;
};

extern const q35_host fixture_host;

/* Text of the last failure reported on this thread. */
const char *fixture_error(void);

/* Calls of q35_host.alloc so far, and those not yet freed. */
uint64_t fixture_allocs(void);
uint64_t fixture_live_allocs(void);

/* The n-th call of q35_host.alloc from now on fails, once; 0: none does. */
void fixture_fail_alloc(uint64_t n);

/* The plugin's entry and its table, loaded on first use; they fail the test when that does not work. */
q35_plugin_query_fn fixture_query(void);
const q35_plugin *fixture_plugin(void);
bool fixture_offers(const char *isa); /* does option isa take this value on this machine? */

/* ------------------------------------------------------------------ regions */

typedef union fixture_params {
    q35_hdr h;
    q35_norm_params norm;
    q35_rope_params rope;
    q35_kv_params kv;
    q35_attention_params attention;
    q35_quantize_params quantize;
    q35_rotate_params rotate;
} fixture_params;

/* A device with one region. Every tensor has memory of its own, followed by guard bytes. */
typedef struct fixture {
    const q35_plugin *api;
    q35_pool pool;
    q35_device *dev;
    q35_plan *plan;
    q35_region region;
    q35_tensor_desc tensors[MAX_TENSORS];
    uint32_t roles[MAX_TENSORS];
    q35_binding bindings[MAX_TENSORS];
    void *memory[MAX_TENSORS]; /* owned */
    q35_node nodes[MAX_NODES];
    const q35_node *node_list[MAX_NODES];
    uint32_t in[MAX_NODES][6], out[MAX_NODES][2];
    fixture_params params[MAX_NODES];
    uint32_t random;
} fixture;

/* isa: value of the option, NULL: none given. n_workers 0: no pool. Tensor 0 is the step tensor. */
void fixture_open(fixture *f, const char *isa, uint32_t n_workers);
/* Checks the guards and that the plugin gave everything back. */
void fixture_close(fixture *f);

/* f32 matrix [rows][cols] with 12 bytes between rows, filled with random values in [-1, 1). */
uint32_t fixture_matrix(fixture *f, uint32_t role, int64_t cols, int64_t rows, uint32_t flags);
/* Any contiguous tensor, bytes 0xa5. */
uint32_t fixture_tensor(fixture *f, uint32_t role, uint32_t dtype, uint32_t rank, const int64_t *dim,
                        uint32_t flags);
uint32_t fixture_vector(fixture *f, uint32_t role, int64_t length); /* f32, random */

uint32_t fixture_node(fixture *f, uint32_t op, const fixture_params *params, uint32_t n_in, const uint32_t *in,
                      uint32_t n_out, const uint32_t *out);

/* i32 [n], from values. */
uint32_t fixture_indices(fixture *f, int64_t n, uint32_t flags, const int32_t *values);

/* Inputs of a step of one sequence: i32 [capacity] each, and its page table of n_pages pages, the last of the
 * cache first. */
typedef struct fixture_sequence {
    uint32_t positions, slots, sequence, pages;
} fixture_sequence;
fixture_sequence fixture_one_sequence(fixture *f, int64_t capacity, int64_t n_pages);
/* The tokens of the next run are at positions pos and up. */
void fixture_place(const fixture *f, const fixture_sequence *s, int32_t pos);

void fixture_set_step(fixture *f, int32_t n_tokens, int32_t n_out, int32_t n_sequences);
float fixture_random(fixture *f); /* [-1, 1) */

/* Element (r, c) of an f32 tensor of rank 1 or 2. */
float *fixture_at(const fixture *f, uint32_t t, int64_t r, int64_t c);

/* Compiles and binds; both must work. */
void fixture_prepare(fixture *f);
q35_status fixture_run(fixture *f);

/* Row r still holds what fixture_blank wrote. */
void fixture_blank(fixture *f, uint32_t t);
bool fixture_row_blank(const fixture *f, uint32_t t, int64_t r);

#endif
