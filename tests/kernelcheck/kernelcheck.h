/* SPDX-License-Identifier: Apache-2.0
 *
 * kernelcheck holds every row of kernels-cpu/kernels.def against the reference row of its slot. A cases_<op>.c
 * file describes a case: operands, what each item of the split dimension writes, an own double-precision oracle
 * and a derived bound. run_case.c calls the kernel on guarded copies of the operands, in both placements, whole,
 * split and token by token; compare.c judges; isolate.c gives each row a process of its own. Bounds:
 * docs/numerics.md.
 */
#ifndef KERNELCHECK_H
#define KERNELCHECK_H

#include <kernels-cpu/kernels.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KC_MAX_OPERANDS = 9,
    KC_TEXT = 320,        /* bytes of a case's or failure's text */
    KC_MAX_FAILURES = 5,  /* a row is given up after so many */
    KC_CASE_SECONDS = 120 /* of CPU time make a hang; generous, for sanitizers and valgrind */
};

/* Unit roundoff of f32, half its smallest subnormal, unit roundoff of f64. */
#define KC_U   0x1p-24
#define KC_ETA 0x1p-150
#define KC_U64 0x1p-53

/* Bound on the relative error of q35k_exp. */
#define KC_EXP (2 * KC_U)

/* Outputs start as this NaN, so that an element nobody wrote shows; slack around inputs is all ones, another NaN.
 */
#define KC_UNWRITTEN UINT32_C(0x7fedface)

typedef void kc_fn(void); /* any kernel; cast back to the type of its slot before the call */

/* A row of kernels.def, or a kernel of the self-test. */
typedef struct kc_row {
    const char *slot, *symbol, *isa;
    uint32_t features;
    kc_fn *fn;
} kc_row;

typedef enum kc_role { KC_IN, KC_OUT, KC_INOUT, KC_SCRATCH } kc_role;

/* How an output is compared. F32: the reference within its bound of the oracle, the others bit by bit with the
 * reference. F32_ONE_NAN: likewise, and a NaN is 0x7fc00000. What is left: bit by bit with the oracle. Any NaN
 * equals any NaN elsewhere. */
typedef enum kc_elem { KC_F32, KC_F32_ONE_NAN, KC_F32_BITS, KC_F16_BITS, KC_ACT_BITS, KC_Q8_BITS } kc_elem;

/* Where item i of the split dimension writes: for each repetition j, `cell` bytes at
 * base + (i / mod) * div_stride + (i % mod) * mod_stride + j * rep_stride, where place, if not NULL, gives
 * place[i] for i. */
typedef struct kc_map {
    size_t base, cell, div_stride, mod_stride, rep_stride;
    int64_t mod, n_rep;
    const int32_t *place; /* [n_items] */
} kc_map;

typedef struct kc_operand {
    const char *name;
    kc_role role;
    size_t bytes, align; /* whole buffer with row padding; alignment the contract demands */
    const void *init;    /* KC_IN, KC_INOUT: [bytes] */
    kc_elem elem;
    kc_map map;              /* KC_OUT, KC_INOUT */
    const double *oracle;    /* KC_F32, KC_F32_ONE_NAN: value at [offset / 4] */
    const double *bound;     /* as oracle: permitted distance of the reference from it */
    const void *oracle_bits; /* other elems: the expected buffer [bytes] */
    size_t act_bytes;        /* KC_ACT_BITS: of one block, group or row: scale, sum and codes */
    uint8_t *p;              /* where the operand lies during a call */
} kc_operand;

typedef struct kc_case {
    kc_operand operands[KC_MAX_OPERANDS];
    int n_operands;
    int64_t n_items, unit; /* extent of the split dimension; begin is a multiple of unit */
    void (*call)(const struct kc_case *c, kc_fn *fn, int64_t begin, int64_t end);
    /* A differently shaped call that must give the same bits as part of the whole: call number j of n_alone
     * computes items [j * alone_items, (j + 1) * alone_items), or, where alone_items is 0, all items of repetition
     * j. */
    void (*call_alone)(const struct kc_case *c, kc_fn *fn, int64_t j);
    int64_t n_alone, alone_items;
    const void *params; /* of the op */
    char text[KC_TEXT]; /* the case in words */
    double bytes, macs; /* work of one whole call, for --bench */
} kc_case;

typedef struct kc_failure {
    int64_t index;
    char text[4 * KC_TEXT];
} kc_failure;

/* Shared between a row's process and its parent. */
typedef struct kc_progress {
    int64_t index, n_cases, n_calls;
    char text[KC_TEXT], stage[KC_TEXT];
    double worst; /* largest err / bound */
    char worst_at[2 * KC_TEXT];
    int n_failures;
    kc_failure failures[KC_MAX_FAILURES];
} kc_progress;

typedef struct kc_guard kc_guard;

/* State of one row's process. */
typedef struct kc_context {
    uint64_t seed, rng;
    const kc_row *row, *ref;
    kc_progress *progress;
    kc_guard *guard;
    uint8_t *arena; /* memory of the current case */
    size_t arena_used, arena_size;
    unsigned case_seconds; /* of CPU time */
} kc_context;

/* One slot's cases. build is deterministic in (seed, slot, index), whatever ran before. */
typedef struct kc_op {
    const char *slot;
    int64_t n_cases;
    void (*build)(kc_context *x, int64_t index, kc_case *c);
    int64_t n_bench;
    void (*build_bench)(kc_context *x, int64_t index, kc_case *c);
} kc_op;

/* rows.c */
extern const kc_row kc_rows[];
extern const size_t kc_n_rows;
extern const size_t kc_n_dispatched; /* the first of them, those of kernels.def */
const kc_op *kc_find_op(const char *slot);
const kc_row *kc_find_ref(const char *slot);
/* The kernel of a slot that works together with fn, a kernel of another: of the same instruction set, else the
 * reference. */
kc_fn *kc_find_partner(const char *slot, kc_fn *fn);
bool kc_check_dispatch(char *text, size_t size); /* does q35k_table_init pick the rows it should? */

/* emulated_amx.c, x86-64 only: the AMX kernels with their instructions in plain C, for machines without AMX. */
q35k_linear_fn q35k_linear__amx_emulated, q35k_linear_row__amx_emulated;
q35k_pack_act_fn q35k_pack_act__amx_emulated;

/* guard.c: slots of memory, each between inaccessible pages. */
kc_guard *kc_guard_open(int n_slots);
void kc_guard_close(kc_guard *g);
/* Puts a buffer into a slot with its last (tail) or first byte next to an inaccessible page, bytes copied from
 * init or left unwritten. read_only: the returned address cannot be written. */
uint8_t *kc_guard_place(kc_guard *g, int slot, size_t bytes, size_t align, bool tail, bool read_only,
                        const void *init);
bool kc_guard_intact(const kc_guard *g, int slot); /* slack next to the buffer unchanged? */
void kc_fill_unwritten(uint8_t *p, size_t bytes);  /* with KC_UNWRITTEN */

/* inputs.c: everything deterministic from x->rng. */
typedef enum kc_dist {
    KC_DIST_INTEGER, /* small integers with power-of-two scales: every partial sum is exact */
    KC_DIST_UNIFORM,
    KC_DIST_NORMAL,
    KC_DIST_CANCEL,    /* large terms, small sum */
    KC_DIST_EXTREME,   /* zeros of both signs, subnormals, tiny, huge */
    KC_DIST_NONFINITE, /* normal with some NaN and infinities */
    KC_DIST_COUNT
} kc_dist;
const char *kc_dist_name(kc_dist dist);
uint8_t *kc_arena_open(size_t *bytes);       /* address space, touched as needed; NULL: none to be had */
void *kc_alloc(kc_context *x, size_t bytes); /* 64-byte aligned, zeroed, lives as long as the case */
void kc_reseed(kc_context *x, const char *slot, int64_t index);
uint64_t kc_random(kc_context *x);
int64_t kc_below(kc_context *x, int64_t n); /* 0 .. n - 1; 0 for n <= 0 */
double kc_uniform(kc_context *x);           /* [-1, 1) */
double kc_normal(kc_context *x);
/* huge: largest magnitude of KC_DIST_EXTREME. */
void kc_fill_f32(kc_context *x, float *v, int64_t n, kc_dist dist, double huge);
/* n_rows rows of k floats, rs bytes apart. */
float *kc_f32_rows(kc_context *x, int64_t n_rows, int64_t k, size_t rs, kc_dist dist, double huge);
double kc_gamma(double n); /* n u / (1 - n u) */

/* weights.c: quantised blocks. */
typedef enum kc_scales {
    KC_SCALES_PLAIN,   /* as a trained model has them */
    KC_SCALES_UNIT,    /* one power of two everywhere */
    KC_SCALES_ALL_MIN, /* all codes lowest */
    KC_SCALES_ALL_MAX, /* all codes highest */
    KC_SCALES_ZERO,
    KC_SCALES_SUBNORMAL, /* f16 subnormals */
    KC_SCALES_NEGATIVE,
    KC_SCALES_ANY, /* any finite bits */
    KC_SCALES_COUNT
} kc_scales;
#define KC_UNIT_SCALE 0x1p-4 /* of KC_SCALES_UNIT */
extern const uint32_t kc_weight_types[];
extern const int kc_n_weight_types;
const char *kc_scales_name(kc_scales scales);
bool kc_is_float_type(uint32_t dtype);
int64_t kc_round_k(uint32_t dtype, int64_t k); /* up to a row length that the type can have */
/* Codebook [128] of a 3.5-bit type, NULL for others. */
const int8_t (*kc_codebook(kc_context *x, uint32_t dtype))[2];
void kc_fill_weights(kc_context *x, uint8_t *rows, uint32_t dtype, int64_t n, int64_t k, size_t rs,
                     kc_scales scales, kc_dist dist);
void kc_decode_row(uint32_t dtype, const uint8_t *row, int64_t k, const int8_t (*book)[2], double *w);
/* Row of k weights of a type with levels, w = scale * level + min without a rounding, and |scale * level| + |min|.
 */
void kc_exact_row(uint32_t dtype, const uint8_t *row, int64_t k, const int8_t (*book)[2], double *w, double *mag);
/* Most f32 roundings between a product of LINEAR with K float weights and the result (docs/numerics.md). */
double kc_chain_roundings(int64_t k);
double kc_largest_code(uint32_t dtype); /* |weight| / scale of KC_SCALES_UNIT, at most */
/* 16-row tiles of canonical rows; NULL where the type has no such layout. */
uint8_t *kc_tiles(kc_context *x, uint32_t dtype, int64_t n, int64_t k, const uint8_t *rows, size_t rs,
                  size_t *bytes);

/* Is every row the same after packing and unpacking, and are missing rows zero? */
bool kc_check_tiles(kc_context *x, char *text, size_t size);

/* weights_row.c: types with one scale per row. */
extern const uint32_t kc_row_types[];
extern const int kc_n_row_types;
/* Codebook [q35_book_entries(dtype)], NULL where the type has none. */
const int8_t (*kc_row_codebook(kc_context *x, uint32_t dtype))[2];
/* The gaps between rows stay as they are. */
void kc_fill_row_weights(kc_context *x, uint8_t *rows, uint32_t dtype, int64_t n, int64_t k, size_t rs,
                         kc_scales scales, kc_dist dist);
void kc_row_levels(uint32_t dtype, const uint8_t *row, int64_t k, const int8_t (*book)[2], int8_t *level);
/* As kc_tiles: NULL for k == 0. */
uint8_t *kc_row_tiles(kc_context *x, uint32_t dtype, int64_t n, int64_t k, const uint8_t *rows, size_t rs,
                      size_t *bytes);
/* Do tiles hold what the rows hold, by the byte map, and do these return? */
bool kc_check_row_tiles(kc_context *x, char *text, size_t size);

/* series.c: do the elementary functions keep to their errors? */
bool kc_check_series(kc_context *x, char *text, size_t size);

/* run_case.c. Returns false if the case failed; the failure is in x->progress. */
bool kc_run_case(kc_context *x, const kc_op *op, int64_t index);
/* Operand helpers for the case files; each returns the operand's number. */
int kc_input(kc_case *c, const char *name, const void *data, size_t bytes, size_t align);
int kc_scratch(kc_case *c, size_t bytes);
int kc_output(kc_case *c, const char *name, size_t bytes, size_t align, kc_elem elem, kc_map map);
kc_map kc_rows_map(size_t cell, size_t rs);         /* item i is row i */
size_t kc_item_at(const kc_map *map, int64_t item); /* where it writes, but for the repetition */
/* Puts every operand into plain memory of the arena and calls fn for all items. */
void kc_bind_plain(kc_context *x, kc_case *c);

/* compare.c */
bool kc_compare(kc_context *x, const kc_case *c, const kc_operand *o, const uint8_t *got, const uint8_t *ref);
void kc_fail(kc_context *x, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* isolate.c: runs every step-th of the cases [first, last] of a row in child processes; true if all passed. */
typedef struct kc_limits {
    uint64_t seed;
    int64_t first, last; /* last < 0: all */
    int64_t step;        /* 0 is 1 */
    int max_failures;
    unsigned case_seconds; /* of CPU time */
    bool as_reference;     /* the row takes the reference's place */
} kc_limits;
bool kc_run_row(const kc_row *row, const kc_limits *limits, kc_progress *progress);
kc_progress *kc_progress_open(void);
void kc_progress_close(kc_progress *progress);

/* bench.c, selftest.c: exit status. */
int kc_bench(const char *filter, uint64_t seed);
int kc_selftest(uint64_t seed);

/* cases_rotate.c: v [k] in place, and signs for it. */
void kc_rotate(float *v, int64_t k, const int8_t *signs, int64_t width, bool inverse);
int8_t *kc_signs(kc_context *x, int64_t k);

/* cases_<op>.c */
extern const kc_op kc_op_linear, kc_op_linear_row, kc_op_pack_act, kc_op_quantize_act, kc_op_rotate, kc_op_norm,
    kc_op_rope, kc_op_kv_append, kc_op_attention, kc_op_swiglu, kc_op_add, kc_op_mul, kc_op_silu, kc_op_get_rows,
    kc_op_sum_squares, kc_op_top_k;

#endif
