/* SPDX-License-Identifier: Apache-2.0
 *
 * Base files of q35rt eval: the predictions of a model on a text, to compare others with. Little-endian, streamed
 * in both directions, every byte under a checksum (XXH3-64):
 *
 *   head                        256 bytes, ends in the checksum of its first 248
 *   ids      u32                [n_windows][window], then their checksum, seeded with the head's
 *   rows     f64 loss, f32 span, u16 codes [vocab], checksum seeded with that of the ids + number of the row
 *   trailer  f64 mean, f64 max  divergence of what the rows store from what they were made of; checksum as of a
 * row
 *
 * Rows are predictions at positions window/2 - 1 .. window - 2 of each window; loss is the exact negative log
 * likelihood of the token that follows. */
#ifndef Q35_CLI_EVAL_BASE_H
#define Q35_CLI_EVAL_BASE_H

#include "out_file.h"

#include <stdio.h>

#define EVAL_BASE_VERSION 1u
#define EVAL_WINDOW_MIN   8u
#define EVAL_WINDOW_MAX   1048576u

typedef struct eval_base_head {
    char magic[8];
    uint32_t version, vocab, window;
    uint32_t act, kv; /* indices of --act and --kv-type */
    uint32_t layers, hidden, ffn, heads, kv_heads, head_dim, zero;
    uint64_t n_windows, model_hash, vocab_hash;
    char name[168]; /* of the model, without folder; NUL-padded */
    uint64_t checksum;
} eval_base_head;

_Static_assert(sizeof(eval_base_head) == 256, "the head has no holes");

/* Rows that are scored in a window. */
static inline uint32_t eval_rows(uint32_t window)
{
    return window - window / 2;
}

/* ---- writing: 0, or an exit code after a message ---- */

typedef struct eval_base_writer {
    out_file *file; /* NULL: not open */
    eval_base_head head;
    uint64_t seed, n_rows;
    uint8_t *bytes;  /* one row */
    float *logits;   /* the row as a reader will see it */
    double sum, max; /* divergence of the stored form */
} eval_base_writer;

/* head: the caller fills all but magic, version and checksum. ids [n_windows * window]. */
int eval_base_create(eval_base_writer *writer, const char *path, const eval_base_head *head, const int32_t *ids);
/* norm: log sum exp of the logits [vocab]. */
int eval_base_put(eval_base_writer *writer, const float *logits, double norm, double loss);
int eval_base_finish(eval_base_writer *writer, uint64_t *out_bytes); /* file in place; writer keeps the numbers */
void eval_base_discard(eval_base_writer *writer);                    /* removes what is unfinished, frees */

/* ---- reading: 0, or -1 with a message in error ---- */

typedef struct eval_base {
    eval_base_head head;
    int32_t *ids;     /* [n_windows * window], below vocab */
    double mean, max; /* of the trailer */
    FILE *in;         /* at the next row */
    uint64_t seed, row;
    uint8_t *bytes;
    float *logits; /* [vocab] of the last row read */
    double loss;   /* of the last row read */
    char error[200];
} eval_base;

/* 1: the file begins as a base file does. */
int eval_base_is(const char *path);
int eval_base_open(eval_base *base, const char *path);
int eval_base_next(eval_base *base);
void eval_base_close(eval_base *base); /* zeroed: nothing happens */

#endif
