/* SPDX-License-Identifier: Apache-2.0
 *
 * Sequences of tokens on some devices: graph, plans, KV cache. A step runs tokens of any mix of sequences; the
 * bits of a sequence's logits depend on its tokens alone, not on its company or on how they were split into steps.
 * One thread at a time. */
#ifndef Q35RT_SESSION_H
#define Q35RT_SESSION_H

#include <q35rt/device.h>
#include <q35rt/model.h>
#include <q35rt/sampler.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct q35_session q35_session;

enum { Q35_ACT_INT8 = 0, Q35_ACT_F32 = 1 };

typedef struct q35_session_options {
    const char *devices;  /* "cpu", "template,cpu": preferred first. NULL: every device, by cost */
    uint32_t n_ctx;       /* most tokens of a sequence; 0: q35_session_default_context */
    uint32_t max_chunk;   /* most tokens per step, 0: 512 */
    uint32_t n_sequences; /* most sequences at a time, 0: 1 */
    uint32_t n_kv_tokens; /* tokens the KV cache holds, all sequences together, in pages of 32; 0: n_ctx */
    uint32_t act;         /* Q35_ACT_*: activations that enter linear ops */
    uint32_t kv_dtype;    /* Q35_DT_F16, Q35_DT_F32, or Q35_DT_Q8_0 for heads of a multiple of 32 */
    int all_logits;       /* 1: logits of every token of a step, else of the last one of each sequence */
    int observe;          /* 1: accumulate the mean square of every linear's input channels */
    int layer_outputs;    /* 1: keep the residual stream behind every layer, for q35_session_layer */
} q35_session_options;

Q35_API q35_session_options q35_session_options_default(void);

/* The model's context, at most 4096 tokens. */
Q35_API uint32_t q35_session_default_context(const q35_model_config *config);

/* Bytes of KV cache that one token of context takes: 2 layers * KV heads * head width, in kv_dtype. */
Q35_API uint64_t q35_session_kv_bytes(const q35_model_config *config, uint32_t kv_dtype);

/* Builds, places and compiles; packs weights or maps them from the pack cache. Borrows runtime and model until
 * destroy. NOFIT names the memory needed and there, and the largest context that fits; UNAVAILABLE an unusable
 * device; UNSUPPORTED an op no device can do. */
Q35_API q35_status q35_session_create(q35_runtime *runtime, const q35_model *model,
                                      const q35_session_options *options, q35_session **out);
Q35_API void q35_session_destroy(q35_session *session);

/* The following four are about sequence 0, which is there from the start.
 * Appends n tokens (any n > 0) to it, in steps of at most max_chunk. *out_logits, if not NULL, is
 * borrowed until the next call: f32 [rows][n_vocab], rows = 1 (last token) or, with all_logits, n (then n <=
 * max_chunk, else INVALID). NOFIT when the context would overflow: nothing is appended. RANGE for an id outside
 * the vocabulary. FORMAT when a logit is NaN or infinite: the file has such weights or scales. From the second
 * single-token call on nothing is allocated. */
Q35_API q35_status q35_session_eval(q35_session *session, const int32_t *ids, uint32_t n,
                                    const float **out_logits);

/* The residual stream behind layer 0 and up, f32 [n][hidden], of the tokens of the last step; borrowed until the
 * next call. NULL without layer_outputs, past the last layer, and before the first eval or after one that failed.
 */
Q35_API const float *q35_session_layer(const q35_session *session, uint32_t layer);

Q35_API uint32_t q35_session_pos(const q35_session *session);
Q35_API uint32_t q35_session_n_ctx(const q35_session *session);
/* Forgets tokens from position pos on; pos <= current. */
Q35_API q35_status q35_session_rewind(q35_session *session, uint32_t pos);

/* A new sequence, empty or with the tokens of another. A fork shares the pages of the KV cache that it has in
 * common with its origin, and costs nothing until either goes on. NOFIT: n_sequences are there; INVALID: no
 * sequence `from`. Frees nothing and allocates nothing. */
Q35_API q35_status q35_session_new(q35_session *session, uint32_t *out_sequence);
Q35_API q35_status q35_session_fork(q35_session *session, uint32_t from, uint32_t *out_sequence);
/* Its pages serve again once no other sequence has them. INVALID for sequence 0 or one that is not there. */
Q35_API q35_status q35_session_free(q35_session *session, uint32_t sequence);
/* As q35_session_rewind and q35_session_pos (0: no such sequence), of any sequence. */
Q35_API q35_status q35_session_truncate(q35_session *session, uint32_t sequence, uint32_t pos);
Q35_API uint32_t q35_session_length(const q35_session *session, uint32_t sequence);

/* n tokens to append to a sequence; logits 1: its last one's are wanted (with all_logits: all of them). */
typedef struct q35_session_entry {
    uint32_t sequence, n;
    const int32_t *ids; /* [n] */
    int32_t logits;
} q35_session_entry;

/* One step: n tokens of each entry, of different sequences, max_chunk at most in all (else INVALID). *out_logits,
 * if not NULL, is borrowed until the next step: f32 [rows][n_vocab], the rows of the entries that want logits, one
 * after another. Statuses as q35_session_eval; NOFIT also when the pages that are free do not hold what is to be
 * appended. After a failure every sequence is as it was before. No step of a size seen before allocates. */
Q35_API q35_status q35_session_step(q35_session *session, const q35_session_entry *entries, uint32_t n_entries,
                                    const float **out_logits);

/* The next token by row `row` of those that the last step has (as *out_logits has them), the same as by
 * q35_sampler_sample of its logits. Where a device chose the highest logits, and these decide, the others stay in
 * its memory: so leave out_logits NULL if nothing else needs them. INVALID when there is no such row, when the
 * last call failed, or for a sampler of another vocabulary. Allocates nothing. */
Q35_API q35_status q35_session_sample(q35_session *session, uint32_t row, q35_sampler *sampler, int32_t *out_id);

/* Bytes of weights read for one decoded token, and bytes of KV read for one of sequence 0 at its position. */
Q35_API void q35_session_bytes_per_token(const q35_session *session, uint64_t *out_weights, uint64_t *out_kv);

/* 1 when packed weights came from the cache. */
Q35_API int q35_session_pack_cache_hit(const q35_session *session);

/* Observed mean square of each input channel of linear `weight` (tensor name), f64 [k], over the tokens so far;
 * NULL when not observing or unknown. *out_k channels. Borrowed until the next eval. Linears with the same input
 * share it. */
Q35_API const double *q35_session_observed(q35_session *session, const char *weight, uint32_t *out_k);

/* A node of a plan and what it took since counting began. */
typedef struct q35_profile_node {
    const char *name, *op, *device; /* "blk.3.ffn_down", "linear", "cpu"; borrowed during the call */
    uint64_t runs, ns;              /* ns: all runs together, mean over the device's workers */
    uint64_t weights, weight_bytes; /* of the matrix of a linear, else 0 */
    int of_outputs;                 /* 1: works on the rows whose logits are wanted, 0: on all tokens */
} q35_profile_node;

/* Over all regions of devices that count. run_ns: from entering to leaving them; node_ns + barrier_ns: their
 * workers at work and waiting for one another. */
typedef struct q35_profile_sum {
    uint64_t run_ns, node_ns, barriers, barrier_ns;
} q35_profile_sum;

/* Counts from now on, from zero (1), or no longer (0), in the plans that steps have used so far. Counting costs a
 * look at the clock per node and worker. UNSUPPORTED when no device counts. */
Q35_API q35_status q35_session_profile(q35_session *session, int on);
/* Calls each for every node, several plans one after another. INVALID when nothing is counted. */
Q35_API q35_status q35_session_profile_read(const q35_session *session,
                                            void (*each)(void *user, const q35_profile_node *node), void *user,
                                            q35_profile_sum *out);

/* Energy of the session's devices, as far as they tell. */
typedef struct q35_energy_report {
    double joules; /* since some fixed moment: differences count */
    uint32_t n_devices, n_silent;
    char source[160]; /* "cuda:0 (board, measured); silent: cpu" */
} q35_energy_report;

/* UNSUPPORTED when no device tells, UNAVAILABLE or another status of the device that could not this time. */
Q35_API q35_status q35_session_energy(const q35_session *session, q35_energy_report *out);

/* Text of the graph or the plan of a step of n_tokens: write is called with pieces of text. */
enum { Q35_DUMP_GRAPH = 0, Q35_DUMP_PLAN = 1, Q35_DUMP_PLAN_JSON = 2 };
Q35_API q35_status q35_session_dump(q35_session *session, uint32_t what, uint32_t n_tokens,
                                    void (*write)(void *user, const char *text, uint64_t len), void *user);

#ifdef __cplusplus
}
#endif
#endif
