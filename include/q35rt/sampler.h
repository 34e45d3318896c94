/* SPDX-License-Identifier: Apache-2.0
 *
 * Logits to a token id. One thread at a time. The same options, seed and logits give the same ids everywhere. */
#ifndef Q35RT_SAMPLER_H
#define Q35RT_SAMPLER_H

#include <q35rt/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct q35_sampler q35_sampler;

typedef struct q35_sampler_options {
    float temperature;    /* 0: greedy, lowest id on ties */
    int32_t top_k;        /* 0: off */
    float top_p;          /* 1: off */
    float min_p;          /* 0: off; keeps p >= min_p * p_max */
    float repeat_penalty; /* 1: off; over the last repeat_last tokens */
    int32_t repeat_last;  /* tokens looked back at, 0: none */
    uint64_t seed;
} q35_sampler_options;

/* temperature 0 and everything off: greedy. */
Q35_API q35_sampler_options q35_sampler_options_default(void);

/* INVALID names the option, its value and the range. n_vocab sizes the work buffers: sampling allocates nothing.
 * Order of the stages: repetition penalty, top-k, top-p, min-p, temperature, draw. */
Q35_API q35_status q35_sampler_create(const q35_sampler_options *options, uint32_t n_vocab, q35_sampler **out);
Q35_API void q35_sampler_destroy(q35_sampler *sampler);

/* Tells the sampler of a token in the context (prompt or generated) for the repetition penalty. */
Q35_API void q35_sampler_accept(q35_sampler *sampler, int32_t id);

/* logits [n_vocab], borrowed, not changed. */
Q35_API int32_t q35_sampler_sample(q35_sampler *sampler, const float *logits);

#ifdef __cplusplus
}
#endif
#endif
