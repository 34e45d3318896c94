/* SPDX-License-Identifier: Apache-2.0
 *
 * A small file with two 3.5-bit tensors, and variations of it that break one thing. */
#ifndef Q35T_Q35_SAMPLE_H
#define Q35T_Q35_SAMPLE_H

#include <q35rt/model.h>

enum { Q35T_SAMPLE_INPUTS = 192, Q35T_SAMPLE_ROWS = 3 }; /* of each of a.weight and b.weight */

typedef struct q35t_sample_options {
    uint32_t dtype[2];         /* of a.weight and b.weight: Q35_PAIR */
    const char *drop;          /* key to leave out, NULL: none */
    uint32_t version;          /* 2 */
    const char *codec;         /* of the first tensor; NULL: as dtype says */
    const char *second;        /* second name in q35.tensors, NULL: "b.weight" */
    uint64_t n_arrays;         /* elements of the per-tensor arrays: 2 */
    uint64_t n_codecs;         /* of q35.codecs: 2 */
    uint64_t n_codebook8;      /* points of q35.codebook8: 256, written where a tensor needs it */
    uint64_t stored_inputs;    /* K that both tensors have room for */
    uint64_t inputs;           /* stated K of the first tensor */
    uint64_t rows;             /* stated N of the first tensor */
    uint64_t rotation_seed;    /* of the first tensor: 5 */
    uint32_t rotation_width;   /* of the first tensor: 0 */
    uint32_t activation_block; /* of the first tensor; UINT32_MAX: 32, row types 0 */
    float max_error;           /* of the first tensor */
    float relative_error;      /* of the first tensor */
    int8_t book_delta;         /* added to one codebook entry */
    uint32_t container;        /* type of the byte tensors: I8 */
} q35t_sample_options;

q35t_sample_options q35t_sample_options_default(void);
q35_status q35t_sample_write(const char *path, const q35t_sample_options *options);

#endif
