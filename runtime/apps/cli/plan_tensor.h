/* SPDX-License-Identifier: Apache-2.0
 *
 * One line of an allocation plan, and where its tensor stands in the model. */
#ifndef Q35_CLI_PLAN_TENSOR_H
#define Q35_CLI_PLAN_TENSOR_H

#include <stdint.h>

typedef struct plan_tensor {
    const char *name, *type; /* "blk.3.attn_v.weight"; name of the chosen type */
    uint64_t weights, bytes; /* stored with the chosen type */
    double sensitivity;      /* KL when it alone has the smallest type; NAN: not measured */
    double expected;         /* KL that the chosen type brings; NAN: not measured */
} plan_tensor;

enum { PLAN_NO_LAYER = -1 };

/* What a name says: "blk.3.attn_v.weight" is an attn_v of layer 3. */
typedef struct plan_place {
    char kind[40]; /* printable ASCII */
    int64_t layer; /* PLAN_NO_LAYER: of the whole model */
} plan_place;

plan_place plan_place_of(const char *name);

/* A tensor in the order of plans: kinds as a layer uses them, the other ones by name, the head last; in a kind the
 * types by bits, then by name; then layers and names. */
typedef struct plan_row {
    const plan_tensor *tensor;
    plan_place place;
    double type_bits; /* per weight, mean over all tensors of its type */
} plan_row;

/* [n] in order, free(); NULL: out of memory. */
plan_row *plan_rows(const plan_tensor *tensors, uint64_t n);

/* Bits per weight; 0 without weights. */
double plan_bits(uint64_t bytes, uint64_t weights);

#endif
