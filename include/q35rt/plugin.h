/* SPDX-License-Identifier: MIT-0
 *
 * q35rt device plugin ABI, version 1.1.
 *
 * This header is all a device plugin needs: it includes only <stdint.h> and <stddef.h>, and a plugin links
 * against nothing of q35rt. A plugin is a shared object that
 *   - carries one ELF note (Q35_PLUGIN_NOTE below), which the host reads before any plugin code runs, and
 *   - exports one symbol, q35_plugin_query.
 * Host services (log, errors, memory, threads) arrive as a table in that call.
 *
 * Rules that hold for every declaration here
 *   - Growing structs start with q35_hdr. A reader tests that a field lies inside hdr.size (Q35_HAS_FIELD,
 *     Q35_HAS_SLOT) before it touches it. Fields are only ever appended; nothing is padded or reordered.
 *   - Structs marked "frozen" have no header and never change; only those may stand in arrays.
 *   - A plugin refuses an op whose parameters are larger than it knows unless all bytes past that are zero.
 *   - A slot that is NULL or outside the table is absent, which stays legal: its comment says what the host does.
 *   - Everything fallible returns q35_status. To fail, return host->fail(code, "what, value found, value needed").
 *     A plugin never aborts, exits, prints, changes signal handlers, locale, environment or FPU mode.
 *   - Ids of all kinds are never reused. Those with any of the high 16 bits set are for vendors, who ask nobody.
 *   - Verbs: a callee *borrows* a pointer (during the call, unless said longer), *copies* it, *takes* it (owns it
 *     on success) or *returns* it (the caller releases it with the named slot).
 *
 * Conformance levels, of which the host uses what is there. L0: a synchronous device on host memory (the required
 * slots). L1: own memory, queues, timelines. L2: extensions (energy.h, peer.h, capture.h, collectives.h).
 */
#ifndef Q35RT_PLUGIN_H
#define Q35RT_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define Q35_ABI_MAJOR 1u
#define Q35_ABI_MINOR 1u /* minor the header describes; only ever adds */

#define Q35_NONE    UINT32_MAX /* "no tensor", "no index" */
#define Q35_KV_PAGE 32         /* tokens per page of a KV state */

/* ------------------------------------------------------------------ statuses */

typedef uint32_t q35_status;

/* code, value, meaning. Who acts: the comment of Q35_STATUS_MAP's row says what the receiver should do. */
#define Q35_STATUS_MAP(X)                                                                                         \
    X(OK, 0, "ok")                                                                                                \
    X(INVALID, 1, "invalid argument")     /* caller's bug or user's flag: fix the call */                         \
    X(RANGE, 2, "out of range")           /* index or size past the end */                                        \
    X(NOMEM, 3, "out of memory")          /* nothing was allocated; retry after freeing is legal */               \
    X(IO, 4, "input/output error")        /* environment: file, disk */                                           \
    X(FORMAT, 5, "malformed file")        /* the file is wrong, not the program */                                \
    X(VERSION, 6, "incompatible version") /* ABI or file version */                                               \
    X(UNSUPPORTED, 7, "not supported")    /* the device cannot do this; another may */                            \
    X(UNAVAILABLE, 8, "not available")    /* driver or hardware missing; 0 devices, no error */                   \
    X(DEVICE, 9, "device error")          /* this submission failed, the device goes on */                        \
    X(DEVICE_LOST, 10, "device lost")     /* sticky until the device is closed and opened again */                \
    X(CANCELLED, 11, "cancelled")         /* asked for by the caller */                                           \
    X(TIMEOUT, 12, "deadline exceeded")   /* wait returned before the value was reached */                        \
    X(NOFIT, 13, "does not fit")          /* capacity of a memory or a context */                                 \
    X(INTERNAL, 14, "internal error")     /* a bug; report it */

enum {
#define Q35_STATUS_ENUM(name, value, text) Q35_E_##name = value,
    Q35_STATUS_MAP(Q35_STATUS_ENUM)
#undef Q35_STATUS_ENUM
        Q35_OK = 0
};

/* ------------------------------------------------------------------ element types
 *
 * Values below 0x1000 equal GGUF's tensor type ids. Block types count dim[0] in weights; strides are in bytes of
 * whole blocks. Byte layouts and reference decoders of all types: <q35rt/blocks.h>. */
enum {
    Q35_DT_F32 = 0,
    Q35_DT_F16 = 1,
    Q35_DT_Q4_0 = 2,
    Q35_DT_Q4_1 = 3,
    Q35_DT_Q5_0 = 6,
    Q35_DT_Q5_1 = 7,
    Q35_DT_Q8_0 = 8,
    Q35_DT_Q2_K = 10,
    Q35_DT_Q3_K = 11,
    Q35_DT_Q4_K = 12,
    Q35_DT_Q5_K = 13,
    Q35_DT_Q6_K = 14,
    Q35_DT_IQ4_NL = 20,
    Q35_DT_IQ4_XS = 23,
    Q35_DT_I8 = 24,
    Q35_DT_I32 = 26,
    Q35_DT_BF16 = 30,
    /* 3.5-bit weights: w = scale * book[code] (+ offset), 128 weights per block along dim[0], rows padded to whole
     * blocks. Their linear op has the codebook (I8 [128][2]) as a third input. */
    Q35_DT_Q35_PAIR = 0x1000,  /* f16 scale, 56 bytes of codes: 58 bytes per 128 */
    Q35_DT_Q35_SPLIT = 0x1001, /* f16 scale, f16 offset, 56 bytes of codes: 60 bytes per 128 */
    /* FP8 checkpoints: f32 scale, 32 x e4m3fn (bias 7, no infinities, 0x7f and 0xff NaN): 36 bytes per 32 */
    Q35_DT_F8_32 = 0x1002,
    /* Weights with one f32 scale per row, at its head: w = scale * level, levels int8, and no other scale. With
     * A8_ROW or A8_128 activations their linear is exact in int32 (docs/numerics.md). K at most 66,304.
     * Q35_ROW: 7-bit codes of pairs, book i8 [128][2] as third input: 4 + 7 ceil(K/16) bytes per row
     * Q40_ROW: 8-bit codes of pairs, book i8 [256][2] as third input: 4 + ceil(K/2) bytes per row
     *          Both books: the top two bits of a code are the signs of its odd and even weight, the rest names the
     *          magnitudes (q35_book_signed in blocks.h)
     * Q60_ROW: 6-bit codes of single weights, level 2c - 63: 4 + 3 ceil(K/4) bytes per row */
    Q35_DT_Q35_ROW = 0x1003,
    Q35_DT_Q40_ROW = 0x1004,
    Q35_DT_Q60_ROW = 0x1005,
    /* quantised activations: f32 scale, i32 sum of the codes, 32 x i8: 40 bytes per 32; rows padded with zeros */
    Q35_DT_A8_32 = 0x1010,
    Q35_DT_A8_128 = 0x1011, /* the same with 128 x i8: 136 bytes per 128 */
    /* f32 scale, i32 sum, then the row's codes, padded with zeros to a multiple of 64: 8 + 64 ceil(K/64) */
    Q35_DT_A8_ROW = 0x1012
};

/* ------------------------------------------------------------------ ops
 *
 * T: tokens of the step. Dims are written outermost first: "f32 [T][K]" has dim[0] = K, dim[1] = T. Each op has a
 * scalar reference, the specification, in kernels-cpu/ref; docs/numerics.md has the bounds. "act": f32, or codes:
 * A8_32 for weights with scales per block, A8_128 or A8_ROW for those with one scale per row. */
enum {
    /* in: ids i32 [T], table any weight type [V][K]; out: f32 [T][K] */
    Q35_OP_GET_ROWS = 1,
    /* in: x f32 [T][K], w f32 [K]; out: y f32 [T][K]; y = x / sqrt(mean(x^2) + eps) * w; q35_norm_params */
    Q35_OP_RMS_NORM = 2,
    /* in: a f32 [T][K], b f32 [T][K], w f32 [K]; out: s = a + b, y = rms_norm(s, w); q35_norm_params */
    Q35_OP_ADD_RMS_NORM = 3,
    /* in: x f32 [T][K], (signs i8 [K]); out: A8_32, A8_128 or A8_ROW [T][K]: per 32 or 128 inputs, or per row,
     * scale = max|x| / 127, code = round-half-even(x / scale). With signs, x is first rotated as by ROTATE.
     * q35_quantize_params; absent: A8_32 without signs */
    Q35_OP_QUANTIZE_ACT = 4,
    /* in: x act [T][K], w weights [N][K], (3.5-bit types: book i8 [128][2]); out: f32 [T][N]; y = w . x */
    Q35_OP_LINEAR = 5,
    /* in: x f32 [T][H * head_dim], inv_freq f32 [n_rot / 2], positions i32 [T]; out: as x. Pairs (2i, 2i+1) of
     * each head turn by the f32 product p * inv_freq[i], p = positions[t]; the rest is copied. All times f32(1 +
     * temperature_beta * ln(1 + floor(p / temperature_length))), if that is not 0; q35_rope_params */
    Q35_OP_ROPE = 6,
    /* in: k, v f32 [T][G * head_dim], states K, V [n_pages][G][Q35_KV_PAGE][head_dim] (f16, f32 or Q8_0), slots
     * i32 [T]; no out. Row t goes to row slots[t] % Q35_KV_PAGE of page slots[t] / Q35_KV_PAGE. q35_kv_params */
    Q35_OP_KV_APPEND = 7,
    /* in: q f32 [T][H * head_dim], states K, V, positions i32 [T], sequence i32 [T], pages i32 [S][P]; out: as q.
     * Token t sees positions 0 .. positions[t], p in row p % Q35_KV_PAGE of page pages[sequence[t]][p /
     * Q35_KV_PAGE]; head h uses kv head h / (H / G). A sequence's tokens are neighbours. q35_attention_params */
    Q35_OP_ATTENTION = 8,
    /* in: gate f32 [T][N], up f32 [T][N]; out: silu(gate) * up */
    Q35_OP_SWIGLU = 9,
    /* elementwise f32 [T][N] */
    Q35_OP_ADD = 10,
    Q35_OP_MUL = 11,
    Q35_OP_SILU = 12,
    /* in: x f32 [T][K], rows i32 [n_out]; out: f32 [n_out][K], row i is row rows[i] of x */
    Q35_OP_TAKE_ROWS = 13,
    /* in: x f32 [T][K], state acc f32 [K]; no out. acc[k] += sum over tokens of x^2 (calibration) */
    Q35_OP_SUM_SQUARES = 14,
    /* in: x f32 [T][K], signs i8 [K], each 1 or -1; out: y f32 [T][K]. K is cut into blocks of `width`, what is
     * left over into blocks of decreasing powers of two. Each block b: y = H (signs * x) / sqrt(b), H the
     * Hadamard matrix of natural order; inverse: y = signs * (H x / sqrt(b)). q35_rotate_params */
    Q35_OP_ROTATE = 15,
    /* since 1.1; in: x f32 [T][K]; out: values f32, columns i32 [T][k], k <= K: of each row the first k elements
     * and their columns. First come those that are not finite, then the larger ones (-0 equals 0), equals by
     * column: so the first value is finite exactly if the whole row is. q35_top_k_params */
    Q35_OP_TOP_K = 16
};

/* ------------------------------------------------------------------ structs that cross the boundary */

/* First member of every growing struct. size: bytes the writer knows; type: Q35_STRUCT_*; next: chain of further
 * input structs, types the reader does not know are skipped. */
typedef struct q35_hdr {
    uint32_t size, type;
    const struct q35_hdr *next;
} q35_hdr;

enum {
    Q35_STRUCT_HOST = 1,
    Q35_STRUCT_PLUGIN = 2,
    Q35_STRUCT_DEVICE_INFO = 3,
    Q35_STRUCT_MEMORY_INFO = 4,
    Q35_STRUCT_OPEN_OPTIONS = 5,
    Q35_STRUCT_NODE = 6,
    Q35_STRUCT_REGION = 7,
    Q35_STRUCT_SUPPORT = 8,
    Q35_STRUCT_COST = 9,
    Q35_STRUCT_LAYOUT = 10,
    Q35_STRUCT_NORM_PARAMS = 16,
    Q35_STRUCT_ROPE_PARAMS = 17,
    Q35_STRUCT_KV_PARAMS = 18,
    Q35_STRUCT_ATTENTION_PARAMS = 19,
    Q35_STRUCT_QUANTIZE_PARAMS = 20,
    Q35_STRUCT_ROTATE_PARAMS = 21,
    Q35_STRUCT_TOP_K_PARAMS = 22
};

/* True when `field` of a struct of `type` lies inside what the writer of *ptr knew. */
#define Q35_HAS_FIELD(ptr, type, field) (offsetof(type, field) + sizeof(((type *)0)->field) <= (ptr)->h.size)
/* True when a function slot is present. */
#define Q35_HAS_SLOT(ptr, type, slot) (Q35_HAS_FIELD(ptr, type, slot) && (ptr)->slot != NULL)

typedef struct q35_pool q35_pool;         /* host thread pool */
typedef struct q35_team q35_team;         /* the workers of one q35_host.parallel call */
typedef struct q35_device q35_device;     /* plugin: an open device */
typedef struct q35_plan q35_plan;         /* plugin: a compiled region */
typedef struct q35_buf q35_buf;           /* plugin: device memory (L1) */
typedef struct q35_queue q35_queue;       /* plugin: in-order queue (L1) */
typedef struct q35_timeline q35_timeline; /* plugin: monotonic 64-bit counter (L1) */

/* Frozen. A tensor of a region. dim[0] is contiguous; unused dims are 1. stride[i] is the distance in bytes
 * between neighbours in dim[i]; stride[0] is the bytes of one element or block. layout 0 is canonical (the type's
 * published byte layout); other layouts are private to the plugin that offered them. */
typedef struct q35_tensor_desc {
    uint32_t dtype, rank;
    int64_t dim[4];
    int64_t stride[4];
    uint32_t layout, flags;
} q35_tensor_desc;

enum {
    Q35_TF_TOKEN_ROWS = 1u << 0, /* dim[rank-1] is a capacity; step.n_tokens rows are valid */
    Q35_TF_OUT_ROWS = 1u << 1,   /* likewise; step.n_out rows are valid */
    Q35_TF_SEQUENCES = 1u << 2   /* likewise; step.n_sequences rows are valid */
};

/* Frozen. Contents of the step tensor (i32 [8]): scalars of this run, which a compiled plan never depends on. */
typedef struct q35_step {
    int32_t n_tokens;    /* valid token rows, 0 .. capacity */
    int32_t n_out;       /* rows of output asked for, <= n_tokens */
    int32_t n_sequences; /* valid rows of the page table, <= n_tokens */
    int32_t reserved[5];
} q35_step;

/* Frozen. Where a tensor of a plan lives. host != NULL: host-addressable. Otherwise `buf` + `offset` (L1). */
typedef struct q35_binding {
    void *host;
    q35_buf *buf;
    uint64_t offset, bytes;
} q35_binding;

/* Frozen. A point on a timeline. */
typedef struct q35_point {
    q35_timeline *timeline;
    uint64_t value;
} q35_point;

typedef struct q35_norm_params {
    q35_hdr h;
    float eps;
    uint32_t reserved;
} q35_norm_params;

typedef struct q35_quantize_params {
    q35_hdr h;
    uint32_t dtype; /* of the output: Q35_DT_A8_* */
    uint32_t width; /* of the rotation, a power of two up to 4096; 0 without signs */
} q35_quantize_params;

typedef struct q35_rotate_params {
    q35_hdr h;
    uint32_t width;   /* a power of two, 2 to 4096 */
    uint32_t inverse; /* 1: undoes the rotation with the same signs */
} q35_rotate_params;

typedef struct q35_rope_params {
    q35_hdr h;
    uint32_t head_dim, n_rot; /* n_rot even, <= head_dim */
    float temperature_beta;
    uint32_t temperature_length; /* positions per step of the factor, 0: no factor */
} q35_rope_params;

typedef struct q35_kv_params {
    q35_hdr h;
    uint32_t n_kv_heads, head_dim;
} q35_kv_params;

typedef struct q35_attention_params {
    q35_hdr h;
    uint32_t n_heads, n_kv_heads, head_dim;
    float scale; /* multiplies q.k, usually 1 / sqrt(head_dim) */
} q35_attention_params;

typedef struct q35_top_k_params {
    q35_hdr h;
    uint32_t k, reserved; /* k: columns of the outputs */
} q35_top_k_params;

/* One op. in/out index the region's tensors. */
typedef struct q35_node {
    q35_hdr h;
    uint32_t op, n_in, n_out, reserved;
    const uint32_t *in, *out;
    const q35_hdr *params; /* q35_*_params or NULL, as the op says */
} q35_node;

/* Role of a tensor in a region. */
enum {
    Q35_ROLE_INPUT = 1,  /* written before the region runs */
    Q35_ROLE_OUTPUT = 2, /* read after it */
    Q35_ROLE_TEMP = 3,   /* lives only inside the region */
    Q35_ROLE_WEIGHT = 4, /* constant for the life of the plan */
    Q35_ROLE_STATE = 5,  /* persists between runs, read and written (KV cache) */
    Q35_ROLE_STEP = 6    /* the q35_step of this run */
};

/* Nodes of one device in an order that respects dependences. Borrowed during the call: a plugin copies what it
 * needs. A plan behaves as if they ran one after another. Tensors whose lives do not overlap in this order may be
 * bound to the same memory: a plugin that runs nodes side by side compares bindings, not only tensor indices. */
typedef struct q35_region {
    q35_hdr h;
    uint32_t n_tensors, n_nodes;
    const q35_tensor_desc *tensors;
    const uint32_t *roles;
    const q35_node *const *nodes;
    uint32_t step, reserved; /* index of the step tensor */
} q35_region;

/* Answer to op_support. The host fills h and zeroes the rest. */
typedef struct q35_support {
    q35_hdr h;
    uint32_t ok;          /* 1: plan_compile of this region will succeed; 0: `reason` says why not */
    uint32_t determinism; /* Q35_DET_* */
    uint64_t scratch_bytes;
    char reason[128]; /* NUL-terminated, lower case, names value found and value needed */
} q35_support;

enum {
    Q35_DET_TOLERANT = 0, /* within the op's bound */
    Q35_DET_BITWISE = 1   /* same bits for same inputs, any thread count and any number of valid rows */
};

/* Answer to op_cost for one run of the region at full capacity. */
typedef struct q35_cost {
    q35_hdr h;
    uint64_t flops, bytes_read, bytes_written;
    uint64_t ns, launch_ns;  /* expected time, of which fixed per submission */
    uint64_t energy_pj;      /* 0: unknown */
    uint32_t source;         /* Q35_COST_* */
    uint32_t confidence_pct; /* 0 .. 100 */
} q35_cost;

enum { Q35_COST_MODEL = 0, Q35_COST_MEASURED = 1 };

/* A private layout for a weight tensor. Packed size = ceil(rows / slice_rows) * slice_bytes. */
typedef struct q35_layout {
    q35_hdr h;
    uint32_t layout;     /* id, private to (plugin, version, device class), not 0 */
    uint32_t reversible; /* 1: unpack restores the canonical bytes */
    uint64_t slice_rows; /* rows packed together; slices are independent */
    uint64_t slice_bytes;
    uint64_t align; /* of the packed tensor's first byte, power of two */
} q35_layout;

typedef struct q35_device_info {
    q35_hdr h;
    char name[64];         /* shown to people: "Intel Xeon, AVX-512 VNNI, 2 threads" */
    char uuid[40];         /* stable id of the physical device */
    char pci[16];          /* "0000:65:00.0" or "" */
    int32_t host_numa;     /* NUMA node it hangs on, -1 unknown */
    uint32_t device_class; /* Q35_CLASS_* */
    uint32_t n_memories;
    uint32_t n_queues;                                    /* queues worth creating; 0: L0 */
    uint64_t flags;                                       /* Q35_DF_* */
    uint64_t peak_gmacs_int8, peak_gflops_f32, launch_ns; /* hints, 0 unknown */
    uint32_t idle_mw, peak_mw;
} q35_device_info;

enum {
    Q35_CLASS_CPU = 1,
    Q35_CLASS_GPU = 2,
    Q35_CLASS_IGPU = 3,
    Q35_CLASS_NPU = 4,
    Q35_CLASS_LPU = 5,
    Q35_CLASS_WAFER = 6,
    Q35_CLASS_OTHER = 15
};
enum { Q35_DF_SIMULATED = 1u << 0, Q35_DF_UNIFIED = 1u << 1 };

typedef struct q35_memory_info {
    q35_hdr h;
    uint32_t kind; /* Q35_MEM_* */
    uint32_t host_coherent;
    uint64_t capacity, available, max_alloc, align;
    uint64_t read_mbs, write_mbs, latency_ns; /* hints, 0 unknown */
} q35_memory_info;

enum {
    Q35_MEM_HOST = 1,
    Q35_MEM_HOST_PINNED = 2,
    Q35_MEM_DEVICE = 3,
    Q35_MEM_UNIFIED = 4,
    Q35_MEM_SRAM_TILED = 5
};

typedef struct q35_open_options {
    q35_hdr h;
    q35_pool *pool;         /* borrowed until device_close; may be shared with other devices */
    uint64_t memory_cap;    /* bytes, 0: no cap */
    uint32_t deterministic; /* 1: only kernels with Q35_DET_BITWISE */
    uint32_t n_options;     /* key=value pairs from the command line; an unknown key is Q35_E_INVALID */
    const char *const *keys;
    const char *const *values;
} q35_open_options;

/* ------------------------------------------------------------------ host services
 *
 * Callable from any thread unless said otherwise, never under a lock of yours. The table outlives the plugin. */
typedef struct q35_host {
    q35_hdr h;
    uint32_t abi_major, abi_minor;
    /* level: 0 error, 1 warning, 2 info, 3 debug. One line, no newline. Copies msg. */
    void (*log)(int32_t level, const char *msg);
    /* Stores msg as the calling thread's error text and returns code. Copies msg. */
    q35_status (*fail)(q35_status code, const char *msg);
    /* bytes > 0, align a power of two; numa: node or -1. NULL when out of memory. Release with `free`. */
    void *(*alloc)(uint64_t bytes, uint64_t align, int32_t numa);
    void (*free)(void *ptr);
    /* Number of workers a `parallel` call on this pool uses, >= 1. */
    uint32_t (*pool_size)(const q35_pool *pool);
    /* Runs fn(arg, worker, n_workers, team) once on each worker, worker 0 being the calling thread, and returns
     * when all have returned. Not reentrant: never from inside fn. */
    void (*parallel)(q35_pool *pool, void (*fn)(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team),
                     void *arg);
    /* Inside fn only: returns when all workers of the team have called it. */
    void (*barrier)(q35_team *team);
    uint64_t (*now_ns)(void); /* monotonic */
} q35_host;

/* ------------------------------------------------------------------ the plugin's table
 *
 * "pure" slots: any thread, no blocking on queues, same answer for same arguments while the device is open. */
typedef struct q35_plugin {
    q35_hdr h;
    uint32_t abi_major, abi_minor; /* what the plugin was built for */
    const char *id;                /* equals the note's id and the name after --device: [a-z0-9_]{1,15} */
    const char *version;

    /* --- L0, required ------------------------------------------------------------------------------------ */
    /* Number of devices. Driver missing: Q35_OK with 0 and a log line (level 2) that says why. pure */
    q35_status (*enumerate)(uint32_t *out_n);
    /* i < n. Fills what h.size covers. No driver context is created. pure */
    q35_status (*device_info)(uint32_t i, q35_device_info *out);
    /* m < n_memories; memory 0 is where results live. pure */
    q35_status (*memory_info)(uint32_t i, uint32_t m, q35_memory_info *out);
    q35_status (*device_open)(uint32_t i, const q35_open_options *options, q35_device **out);
    /* All plans, buffers, queues and timelines of the device are gone by then. */
    void (*device_close)(q35_device *dev);
    /* Can the device run this region (often of one node)? Answers in out->ok and out->reason. pure */
    q35_status (*op_support)(q35_device *dev, const q35_region *region, q35_support *out);
    /* Heavy work belongs here. The region's weights have the layouts chosen by layout_query. */
    q35_status (*plan_compile)(q35_device *dev, const q35_region *region, q35_plan **out);
    /* bindings[n_tensors]: copies the array, borrows the memory until the next bind or plan_free. While idle. */
    q35_status (*plan_bind)(q35_plan *plan, const q35_binding *bindings);
    /* Returns when results are visible. One thread at a time per device, no allocation. NULL is legal at L1. */
    q35_status (*plan_run)(q35_plan *plan);
    void (*plan_free)(q35_plan *plan);

    /* --- L0, optional ------------------------------------------------------------------------------------ */
    /* Absent: the host estimates from flops, bytes and the device description. pure */
    q35_status (*op_cost)(q35_device *dev, const q35_region *region, q35_cost *out);
    /* i-th wish for an `op`'s weight [N][K], best first; Q35_E_RANGE past the last. Absent: canonical. pure */
    q35_status (*layout_query)(q35_device *dev, uint32_t op, const q35_tensor_desc *weight, uint32_t i,
                               q35_layout *out);
    /* Packs rows [row, row + n_rows) of the canonical weight; src is their first byte, dst the first byte of their
     * slice. row is a multiple of slice_rows; n_rows <= slice_rows. Called from several host threads at once. */
    q35_status (*pack)(q35_device *dev, uint32_t layout, const q35_tensor_desc *weight, uint64_t row,
                       uint64_t n_rows, const void *src, void *dst);
    /* The inverse, for reversible layouts: src is a slice, dst canonical rows. */
    q35_status (*unpack)(q35_device *dev, uint32_t layout, const q35_tensor_desc *weight, uint64_t row,
                         uint64_t n_rows, const void *src, void *dst);
    /* Changes whenever packed bytes would (version, layout, ISA). Absent: the host keeps none on disk. pure */
    q35_status (*pack_key)(q35_device *dev, uint32_t layout, uint8_t out_key[32]);

    /* --- L1, optional as a group: buf_*, queue_*, copy, plan_submit, timeline_* come together --------------- */
    /* usage: Q35_USE_*. May round up. Out of memory: Q35_E_NOMEM, and the device stays usable. */
    q35_status (*buf_alloc)(q35_device *dev, uint32_t memory, uint64_t bytes, uint64_t align, uint32_t usage,
                            q35_buf **out);
    void (*buf_free)(q35_buf *buf); /* legal when no queued work refers to it */
    /* Host address of the buffer, for host-coherent memories; else *out = NULL and Q35_OK. */
    q35_status (*buf_map)(q35_buf *buf, void **out);
    q35_status (*memory_refresh)(q35_device *dev, uint32_t memory, uint64_t *out_available);
    q35_status (*queue_create)(q35_device *dev, uint32_t kind, q35_queue **out); /* kind: Q35_QUEUE_* */
    /* Finishes (or, after a failure, drops) what is queued: afterwards nothing queued touches memory. */
    void (*queue_destroy)(q35_queue *queue);
    /* Queued copy by this device; src or dst is a buffer of it, the other may be host memory, which must stay
     * valid until a signalled point is reached. Waits first, then copies, then signals. */
    q35_status (*copy)(q35_queue *queue, const q35_binding *src, const q35_binding *dst, uint64_t bytes,
                       const q35_point *waits, uint32_t n_waits, const q35_point *signals, uint32_t n_signals);
    /* Queues one run. Returns before it is done; a failure arrives through the signalled timelines. */
    q35_status (*plan_submit)(q35_queue *queue, q35_plan *plan, const q35_point *waits, uint32_t n_waits,
                              const q35_point *signals, uint32_t n_signals);
    q35_status (*timeline_create)(q35_device *dev, uint64_t initial, q35_timeline **out);
    void (*timeline_destroy)(q35_timeline *timeline); /* nobody waits by then */
    q35_status (*timeline_query)(q35_timeline *timeline, uint64_t *out_value);
    /* OK when value is reached; Q35_E_TIMEOUT; or the status that failed the timeline, its text in host->fail. */
    q35_status (*timeline_wait)(q35_timeline *timeline, uint64_t value, uint64_t timeout_ns);
    q35_status (*timeline_signal)(q35_timeline *timeline, uint64_t value); /* from the host */

    /* --- any level, optional ----------------------------------------------------------------------------- */
    /* Static table of an extension (its first member is q35_hdr), NULL when unknown. pure */
    const q35_hdr *(*extension)(uint32_t type);
    /* All devices are closed; afterwards the plugin holds no thread, file or thread-local data. */
    void (*shutdown)(void);
} q35_plugin;

enum { Q35_USE_WEIGHT = 1, Q35_USE_STATE = 2, Q35_USE_ACT = 3, Q35_USE_STAGING = 4 };
enum { Q35_QUEUE_COMPUTE = 1, Q35_QUEUE_COPY = 2 };

/* The one exported symbol. Borrows host for the life of the plugin; *out is static const data of the plugin.
 * Answers Q35_E_VERSION when it cannot work with host->abi_major. */
typedef q35_status (*q35_plugin_query_fn)(const q35_host *host, const q35_plugin **out);
#define Q35_PLUGIN_SYMBOL "q35_plugin_query"

#if defined(__GNUC__)
#define Q35_PLUGIN_EXPORT __attribute__((visibility("default")))
#else
#define Q35_PLUGIN_EXPORT
#endif

/* ------------------------------------------------------------------ the ELF note */

#define Q35_NOTE_SECTION ".note.q35rt"
#define Q35_NOTE_OWNER   "q35rt"
#define Q35_NOTE_TYPE    1u
#define Q35_NOTE_VERSION 1u

/* Instruction-set bits a plugin needs to be *loaded* (kernels chosen at run time do not count). */
enum {
    Q35_ISA_AVX2 = 1u << 0,   /* with FMA and F16C */
    Q35_ISA_AVX512 = 1u << 1, /* F, BW, VL, DQ */
    Q35_ISA_VNNI = 1u << 2,   /* AVX512_VNNI */
    Q35_ISA_VBMI = 1u << 3,
    Q35_ISA_NEON = 1u << 8,
    Q35_ISA_DOTPROD = 1u << 9,
    Q35_ISA_I8MM = 1u << 10
};
enum { Q35_MACHINE_X86_64 = 62, Q35_MACHINE_AARCH64 = 183 }; /* ELF e_machine */
enum { Q35_SANITIZER_NONE = 0, Q35_SANITIZER_ADDRESS = 1, Q35_SANITIZER_THREAD = 2, Q35_SANITIZER_MEMORY = 3 };
enum {
    Q35_NF_UNLOADABLE = 1u << 0,     /* dlclose after shutdown is safe */
    Q35_NF_SPAWNS_THREADS = 1u << 1, /* has threads of its own */
    Q35_NF_SIMULATED = 1u << 2,
    Q35_NF_NEEDS_DRIVER = 1u << 3
};

/* Frozen per note_version. All little-endian u32/u64 and NUL-padded strings. */
typedef struct q35_note {
    uint32_t name_bytes, desc_bytes, type; /* ELF note header: 6, sizeof from note_version on, Q35_NOTE_TYPE */
    char owner[8];                         /* "q35rt", padded */
    uint32_t note_version;
    uint32_t abi_major, abi_minor_built, abi_minor_needed;
    uint32_t machine, sanitizer, flags, rank; /* rank: highest wins among files with the same id */
    uint32_t isa, reserved;
    char id[16], version[16];
} q35_note;

#if defined(__x86_64__)
#define Q35_NOTE_MACHINE Q35_MACHINE_X86_64
#elif defined(__aarch64__)
#define Q35_NOTE_MACHINE Q35_MACHINE_AARCH64
#else
#define Q35_NOTE_MACHINE 0
#endif

#if defined(__has_feature)
#define Q35_SANITIZES_(with) __has_feature(with)
#else
#define Q35_SANITIZES_(with) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || Q35_SANITIZES_(address_sanitizer)
#define Q35_NOTE_SANITIZER Q35_SANITIZER_ADDRESS
#elif defined(__SANITIZE_THREAD__) || Q35_SANITIZES_(thread_sanitizer)
#define Q35_NOTE_SANITIZER Q35_SANITIZER_THREAD
#elif Q35_SANITIZES_(memory_sanitizer)
#define Q35_NOTE_SANITIZER Q35_SANITIZER_MEMORY
#else
#define Q35_NOTE_SANITIZER Q35_SANITIZER_NONE
#endif

/* Emits the note. Once per plugin, at file scope. */
#define Q35_PLUGIN_NOTE(ID, VERSION, ISA, FLAGS, RANK)                                                            \
    __attribute__((section(Q35_NOTE_SECTION), used, aligned(4))) static const q35_note q35_plugin_note_ = {       \
        sizeof(Q35_NOTE_OWNER),                                                                                   \
        (uint32_t)(sizeof(q35_note) - offsetof(q35_note, note_version)),                                          \
        Q35_NOTE_TYPE,                                                                                            \
        Q35_NOTE_OWNER,                                                                                           \
        Q35_NOTE_VERSION,                                                                                         \
        Q35_ABI_MAJOR,                                                                                            \
        Q35_ABI_MINOR,                                                                                            \
        0,                                                                                                        \
        Q35_NOTE_MACHINE,                                                                                         \
        Q35_NOTE_SANITIZER,                                                                                       \
        (FLAGS),                                                                                                  \
        (RANK),                                                                                                   \
        (ISA),                                                                                                    \
        0,                                                                                                        \
        ID,                                                                                                       \
        VERSION}

#ifdef __cplusplus
}
#endif
#endif
