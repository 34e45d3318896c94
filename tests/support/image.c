/* SPDX-License-Identifier: Apache-2.0
 *
 * GGUF images byte by byte. */
#include "image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void q35t_put(q35t_image *image, const void *data, uint64_t bytes)
{
    if (image->len + bytes > image->cap) {
        image->cap = 2 * image->cap + bytes;
        image->data = realloc(image->data, image->cap);
        if (!image->data) {
            perror("test image");
            exit(1);
        }
    }
    if (bytes)
        memcpy(image->data + image->len, data, bytes);
    image->len += bytes;
}

void q35t_put_u32(q35t_image *image, uint32_t value)
{
    q35t_put(image, &value, sizeof value);
}

void q35t_put_u64(q35t_image *image, uint64_t value)
{
    q35t_put(image, &value, sizeof value);
}

void q35t_put_string(q35t_image *image, const char *text)
{
    q35t_put_u64(image, strlen(text));
    q35t_put(image, text, strlen(text));
}

void q35t_put_zeros(q35t_image *image, uint64_t bytes)
{
    static const uint8_t zeros[64];
    for (uint64_t n; bytes > 0; bytes -= n) {
        n = bytes < sizeof zeros ? bytes : sizeof zeros;
        q35t_put(image, zeros, n);
    }
}

void q35t_put_header(q35t_image *image, uint32_t version, uint64_t n_tensors, uint64_t n_meta)
{
    q35t_put(image, "GGUF", 4);
    q35t_put_u32(image, version);
    q35t_put_u64(image, n_tensors);
    q35t_put_u64(image, n_meta);
}

void q35t_put_key(q35t_image *image, const char *key, uint32_t type)
{
    q35t_put_string(image, key);
    q35t_put_u32(image, type);
}

void q35t_put_tensor(q35t_image *image, const char *name, uint32_t rank, const uint64_t *dim, uint32_t type,
                     uint64_t offset)
{
    q35t_put_string(image, name);
    q35t_put_u32(image, rank);
    for (uint32_t i = 0; i < rank; i++)
        q35t_put_u64(image, dim[i]);
    q35t_put_u32(image, type);
    q35t_put_u64(image, offset);
}

void q35t_put_data(q35t_image *image, uint64_t align, uint64_t bytes)
{
    q35t_put_zeros(image, (align - image->len % align) % align + bytes);
}
