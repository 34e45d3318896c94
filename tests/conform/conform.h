/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt-conform holds a device plugin to the contract of <q35rt/plugin.h>. main.c picks cases from the list
 * (list.c), run.c gives each a process of its own, and a case ends in cf_fail, cf_skip or cf_leak (which end its
 * process) or by returning. env.c loads the plugin and opens its device with the host of host.c, which counts
 * and can refuse; watch.c looks whether anything of the process that is not the plugin's changed. Regions with
 * what they must give come from build_*.c; execute.c runs them on guarded memory and compares. */
#ifndef CONFORM_H
#define CONFORM_H

#include "runtime/device/check.h"
#include "runtime/device/note.h"
#include "runtime/device/vet.h"
#include "tests/kernelcheck/kernelcheck.h"

#include <q35rt/plugin.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CF_TEXT = 1024,
    CF_NAME = 64,
    CF_MAX_OPTIONS = 32, /* of a device */
    CF_TENSORS = 64,     /* of a region */
    CF_NODES = 32,
    CF_OPERANDS = 6,
    CF_THREADS = 2 /* workers of the pool that a device gets, unless a case says otherwise */
};

/* ---- command line */

typedef struct cf_options {
    const char *plugin; /* path */
    const char *filter, *replay, *expect, *json, *junit;
    uint64_t seed;
    uint32_t device, max_level;
    unsigned timeout; /* seconds of a case */
    bool list, quiet, provoke;
    uint32_t n_options;
    const char *keys[CF_MAX_OPTIONS], *values[CF_MAX_OPTIONS]; /* of the device */
} cf_options;

/* Exit status, or -1: go on. */
int cf_options_parse(int argc, char **argv, cf_options *out);

/* ---- outcomes */

typedef enum cf_outcome { CF_PASS, CF_FAIL, CF_CRASH, CF_HANG, CF_LEAK, CF_SKIP, CF_XFAIL, CF_XPASS } cf_outcome;
enum { CF_OUTCOMES = CF_XPASS + 1 };
const char *cf_outcome_name(cf_outcome outcome);

/* What a case's process leaves in shared memory. */
typedef struct cf_result {
    cf_outcome outcome;
    bool finished;
    double seconds;
    char text[CF_TEXT];  /* why, or what was covered */
    char stage[CF_TEXT]; /* what was going on last */
} cf_result;

/* What the first look at the plugin found; in shared memory, too. */
typedef struct cf_probe {
    bool loaded, l1;
    uint32_t n_devices;
    char id[16], version[32], device[64];
    char reason[CF_TEXT]; /* not loaded, or no device: why */
} cf_probe;

/* ---- a case's process */

typedef struct cf_env {
    const cf_options *options;
    cf_result *result;
    cf_probe *probe;
    kc_context x; /* random numbers, memory until the end of the case */
    kc_guard *guard;
    char path[Q35I_PATH_CAP];
    q35_note note;
    void *handle; /* of dlopen */
    const q35_plugin *api;
    q35_pool *pool;
    q35_device *dev;
    q35_device_info info;
    q35_memory_info memory;
    bool l1;
    q35_queue *queue; /* L1: */
    q35_timeline *timeline;
    uint64_t reached; /* value that the timeline will have */
    bool crowded;     /* other threads use the plugin, too */
    int n_run, n_refused;
    char refused[CF_TEXT]; /* the first reason */
} cf_env;

enum {
    CF_FILE = 1u << 0,   /* needs the file alone */
    CF_DEVICE = 1u << 1, /* gets an open device */
    CF_L1 = 1u << 2,     /* of level L1 */
    CF_CLOSED = 1u << 3  /* there must be a device, which the case opens itself */
};

typedef struct cf_test {
    char name[CF_NAME];
    unsigned needs;
    void (*run)(cf_env *e, uint32_t a, uint32_t b);
    uint32_t a, b;
} cf_test;

/* These end the case. From any thread. */
_Noreturn void cf_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void cf_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void cf_leak(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* What a crash or a hang from here on is blamed on. */
void cf_stage(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Shown with a pass. */
void cf_note(cf_env *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Fails the case unless status is OK, with the plugin's text. */
void cf_ok(q35_status status, const char *what);
/* Fails the case unless status is a failure with a text of one line. */
void cf_refused(q35_status status, const char *what);

/* ---- list.c: all cases, in order. Owned by the program. */
typedef struct cf_list {
    cf_test *tests;
    size_t n, room;
} cf_list;
void cf_add_test(cf_list *list, unsigned needs, void (*run)(cf_env *, uint32_t, uint32_t), uint32_t a, uint32_t b,
                 const char *format, ...) __attribute__((format(printf, 6, 7)));
bool cf_list_all(cf_list *list);
/* One per file of cases. */
void cf_list_binary(cf_list *list);
void cf_list_describe(cf_list *list);
void cf_list_abi(cf_list *list);
void cf_list_truth(cf_list *list);
void cf_list_ops(cf_list *list);
void cf_list_layout(cf_list *list);
void cf_list_bits(cf_list *list);
void cf_list_memory(cf_list *list);
void cf_list_sync(cf_list *list);
void cf_list_threads(cf_list *list);
void cf_list_errors(cf_list *list);
void cf_list_life(cf_list *list);
void cf_list_compose(cf_list *list);
void cf_list_cost(cf_list *list);
void cf_list_extension(cf_list *list);
void cf_list_peer(cf_list *list);

/* ---- run.c */
void cf_run_test(const cf_options *options, const cf_test *test, cf_probe *probe, cf_result *result);
void *cf_shared(size_t bytes); /* zeroed, shared with child processes; NULL: none to be had */

/* ---- env.c: only in a case's process */
void cf_read_note(cf_env *e);
void cf_load(cf_env *e);   /* and query */
void cf_unload(cf_env *e); /* shutdown; dlclose where the note allows it */
q35_pool *cf_pool(uint32_t n_threads);
/* Opens the device with the options of the command line. */
void cf_open(cf_env *e, uint32_t n_threads);
void cf_close(cf_env *e);
q35_open_options cf_open_options(const cf_env *e, q35_pool *pool);
void cf_describe(cf_env *e); /* info, memory, l1 of the device under test */
/* L1: a queue, a timeline. */
void cf_open_queue(cf_env *e);
void cf_close_queue(cf_env *e);

/* ---- host.c: the host that the plugin sees */
const q35_host *cf_host(void);
void cf_host_fail_alloc(int64_t n); /* the n-th allocation from now on fails, counted from 1; 0: none */
uint64_t cf_host_allocs(void);      /* calls so far */
uint64_t cf_host_live(uint64_t *bytes);
const char *cf_host_log(void);   /* last line of level 0 to 2, "" if none */
void cf_host_clear(void);        /* log, error text */
const char *cf_host_error(void); /* of this thread */

/* ---- watch.c: what a plugin must leave alone */
void cf_watch_begin(void);
void cf_watch_check(const char *when); /* fails the case */
uint32_t cf_fpu_mode(void);
uint32_t cf_count_threads(void);
uint32_t cf_count_files(void);
uint64_t cf_heap_bytes(void); /* in use of the C library's heap; 0: unknown */

/* ---- regions */

typedef enum cf_elem {
    CF_BYTES, /* bit by bit */
    CF_F32,   /* within the bound, or bit by bit; any NaN equals any NaN */
    CF_F32_ONE_NAN,
    CF_F16, /* bit by bit, any NaN equals any NaN */
    CF_ACT, /* units of act_bytes, scale first */
    CF_Q8,  /* blocks of 34 bytes, f16 scale first */
    CF_ANY  /* not looked at */
} cf_elem;

typedef struct cf_tensor {
    const char *name;
    q35_tensor_desc desc;
    uint32_t role, align;
    uint64_t bytes;
    uint8_t *init;       /* [bytes] before the run */
    uint8_t *want;       /* [bytes] after it; NULL: as before */
    double *bound;       /* [bytes / 4], CF_F32 alone; NULL: bit by bit */
    cf_elem elem;        /* of want */
    uint64_t unit_bytes; /* CF_ACT */
    bool by_rows;        /* row t of want depends on row t of the inputs alone */
} cf_tensor;

typedef struct cf_case {
    cf_tensor t[CF_TENSORS];
    q35_node nodes[CF_NODES];
    uint32_t in[CF_NODES][CF_OPERANDS], out[CF_NODES][2];
    uint32_t n_tensors, n_nodes, weight; /* weight: tensor that may have a private layout, or Q35_NONE */
    uint32_t step;                       /* tensor */
    char text[256];
    /* built from the above by cf_region */
    q35_region region;
    q35_tensor_desc tensors[CF_TENSORS];
    uint32_t roles[CF_TENSORS];
    const q35_node *node_list[CF_NODES];
} cf_case;

/* case.c */
void cf_begin(cf_env *e, cf_case *c, int64_t n_tokens, int64_t n_out, int64_t n_sequences);
/* Returns the tensor's number. Contents: unwritten. pad: bytes between rows. */
uint32_t cf_matrix(cf_env *e, cf_case *c, const char *name, uint32_t role, uint32_t dtype, int64_t cols,
                   int64_t rows, uint32_t flags, int64_t pad);
uint32_t cf_vector(cf_env *e, cf_case *c, const char *name, uint32_t role, uint32_t dtype, int64_t n,
                   uint32_t flags);
uint32_t cf_add_tensor(cf_env *e, cf_case *c, const char *name, uint32_t role, const q35_tensor_desc *desc);
/* Borrows params. in, out: n_in and n_out numbers of tensors. */
q35_node *cf_node(cf_case *c, uint32_t op, const q35_hdr *params, uint32_t n_in, const uint32_t *in,
                  uint32_t n_out, const uint32_t *out);
const q35_region *cf_region(cf_case *c); /* valid until the case changes */
/* What an output must hold: starts as a copy of what is there before. */
uint8_t *cf_expect(cf_env *e, cf_tensor *t, cf_elem elem, bool with_bound);
float *cf_row_f32(uint8_t *data, const cf_tensor *t, int64_t row);
uint64_t cf_desc_bytes(const q35_tensor_desc *desc); /* canonical layout */

/* build_*.c: case `index` of an op. false: no such case. */
typedef struct cf_op {
    uint32_t op;
    const char *name;
    bool (*build)(cf_env *e, cf_case *c, int64_t index, uint32_t a, uint32_t b); /* a, b: types */
} cf_op;
bool cf_build_norm(cf_env *e, cf_case *c, int64_t index, uint32_t op, uint32_t b);
bool cf_build_elementwise(cf_env *e, cf_case *c, int64_t index, uint32_t op, uint32_t b);
bool cf_build_take_rows(cf_env *e, cf_case *c, int64_t index, uint32_t a, uint32_t b);
bool cf_build_sum_squares(cf_env *e, cf_case *c, int64_t index, uint32_t a, uint32_t b);
bool cf_build_top_k(cf_env *e, cf_case *c, int64_t index, uint32_t a, uint32_t b);
bool cf_build_rope(cf_env *e, cf_case *c, int64_t index, uint32_t a, uint32_t b);
bool cf_build_kv_append(cf_env *e, cf_case *c, int64_t index, uint32_t dtype, uint32_t b);
bool cf_build_attention(cf_env *e, cf_case *c, int64_t index, uint32_t dtype, uint32_t b);
bool cf_build_rotate(cf_env *e, cf_case *c, int64_t index, uint32_t inverse, uint32_t b);
bool cf_build_quantize(cf_env *e, cf_case *c, int64_t index, uint32_t dtype, uint32_t with_signs);
bool cf_build_get_rows(cf_env *e, cf_case *c, int64_t index, uint32_t dtype, uint32_t b);
bool cf_build_linear(cf_env *e, cf_case *c, int64_t index, uint32_t dtype, uint32_t act);
extern const uint32_t cf_weight_types[]; /* with and without one scale per row */
extern const size_t cf_n_weight_types;
extern const int64_t cf_model_k[]; /* row lengths of real models */
extern const size_t cf_n_model_k;

/* reference.c: what node i of a case leaves, computed by the reference kernels on `at` (contents of each tensor).
 */
void cf_reference(cf_env *e, const cf_case *c, uint32_t i, uint8_t *const *at);
/* The only node of a case on its inputs: into the `want` of the tensors that have one. */
void cf_expect_node(cf_env *e, cf_case *c);

/* any.c: small cases of every op, for cases that need just something to run. */
bool cf_case_of(cf_env *e, cf_case *c, uint32_t i, int64_t index); /* the i-th op; false: no i-th */
bool cf_small_case(cf_env *e, cf_case *c, uint32_t i);
/* The first that the device runs, from the i-th on; false: none. */
bool cf_any_case(cf_env *e, cf_case *c, uint32_t i);

/* ---- execute.c */

/* Asks twice and from another thread; fails the case where the answers differ or a no has no reason. */
bool cf_supported(cf_env *e, const q35_region *region, q35_support *out);
/* Support, compile, run on guarded memory, compare; again elsewhere with inputs that cannot be written, with fewer
 * rows, and with each layout that the device likes for the weight. Refused: counts it, and nothing more. */
void cf_check_case(cf_env *e, cf_case *c);
/* i-th layout that the device would like for a weight of op; false: there are not as many. */
bool cf_layout(cf_env *e, uint32_t op, const q35_tensor_desc *weight, uint32_t i, q35_layout *out);
/* Ends the case as a skip where the device refused all there was; says what ran. */
void cf_sum_up(cf_env *e, const char *what);

typedef struct cf_exec {
    cf_case *c;
    q35_plan *plan;
    q35_binding bindings[CF_TENSORS];
    uint8_t *packed; /* of the weight, NULL: canonical */
    uint64_t packed_bytes, packed_align;
    q35_buf *buf[CF_TENSORS];   /* L1 */
    uint8_t *image[CF_TENSORS]; /* L1: what is copied to the buffer and back */
    uint8_t *got[CF_TENSORS];   /* after a run: contents of each tensor */
} cf_exec;

void cf_exec_compile(cf_env *e, cf_exec *x, cf_case *c); /* of a supported region */
void cf_exec_free(cf_env *e, cf_exec *x);
void cf_exec_place(cf_env *e, cf_exec *x, bool tail, bool read_only); /* and bind */
void cf_exec_run(cf_env *e, cf_exec *x);                              /* and read back */
void cf_exec_read_back(cf_env *e, cf_exec *x);                        /* L1 */

/* ---- compare.c: fails the case. rows: valid rows of outputs by rows, -1: as in want. */
void cf_compare(cf_env *e, const cf_case *c, uint8_t *const *got, int64_t rows, const char *when);
bool cf_same_element(const cf_tensor *t, uint64_t at, const uint8_t *got, const uint8_t *want);

#endif
