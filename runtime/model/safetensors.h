/* SPDX-License-Identifier: Apache-2.0
 *
 * Header of a safetensors file: which tensors it holds and where. Nothing of it is taken on trust. */
#ifndef Q35I_SAFETENSORS_H
#define Q35I_SAFETENSORS_H

#include <q35rt/status.h>

enum { Q35I_SAFETENSORS_RANK = 8, Q35I_SAFETENSORS_DTYPE = 16 };

typedef struct q35i_safetensor {
    const char *name;                      /* not empty, NUL-terminated, any UTF-8 */
    uint64_t begin, end;                   /* bytes of the file */
    uint64_t shape[Q35I_SAFETENSORS_RANK]; /* the last one is contiguous */
    uint32_t rank;
    char dtype[Q35I_SAFETENSORS_DTYPE]; /* "BF16" ...; may be one that nobody knows */
} q35i_safetensor;

typedef struct q35i_safetensors {
    q35i_safetensor *tensors; /* [n] in the order of their bytes */
    uint64_t n;
    char *names;    /* memory of all names */
} q35i_safetensors; /* zeroed: empty */

/* FORMAT: anything that the format forbids: bytes that belong to no tensor or to two, a size that shape and type
 * do not have, a name that occurs twice ... list: zeroed; to be freed by the caller, also after a failure. */
q35_status q35i_safetensors_read(q35i_safetensors *list, const void *image, uint64_t bytes);
void q35i_safetensors_free(q35i_safetensors *list);

/* Bits of an element, 0: unknown type. */
uint32_t q35i_safetensors_bits(const char *dtype);

#endif
