/* SPDX-License-Identifier: Apache-2.0
 *
 * GGUF images byte by byte, right or wrong, for tests of the reader. Out of memory ends the program. */
#ifndef Q35T_IMAGE_H
#define Q35T_IMAGE_H

#include <stdint.h>

typedef struct q35t_image { /* zero-initialise; release data with free */
    uint8_t *data;
    uint64_t len, cap;
} q35t_image;

void q35t_put(q35t_image *image, const void *data, uint64_t bytes);
void q35t_put_u32(q35t_image *image, uint32_t value);
void q35t_put_u64(q35t_image *image, uint64_t value);
void q35t_put_string(q35t_image *image, const char *text); /* u64 length, bytes */
void q35t_put_zeros(q35t_image *image, uint64_t bytes);

/* Magic, version and counts. */
void q35t_put_header(q35t_image *image, uint32_t version, uint64_t n_tensors, uint64_t n_meta);

/* Key and type; the value follows. */
void q35t_put_key(q35t_image *image, const char *key, uint32_t type);

void q35t_put_tensor(q35t_image *image, const char *name, uint32_t rank, const uint64_t *dim, uint32_t type,
                     uint64_t offset);

/* Zeros up to a multiple of align, then bytes of zeros as the data section. */
void q35t_put_data(q35t_image *image, uint64_t align, uint64_t bytes);

#endif
