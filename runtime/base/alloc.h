/* SPDX-License-Identifier: Apache-2.0
 *
 * Heap memory of the runtime. All of it goes through here, so that tests can fail the n-th allocation. Functions
 * that allocate return Q35_E_NOMEM with the size asked for. */
#ifndef Q35I_ALLOC_H
#define Q35I_ALLOC_H

#include <q35rt/status.h>

#include <stddef.h>
#include <stdint.h>

/* count objects of size bytes, zeroed; checked product. NULL and an error record when it fails; never NULL for
 * count * size == 0. Release with q35i_free. */
void *q35i_calloc(uint64_t count, uint64_t size);

/* Grows (or shrinks) ptr to count * size bytes; on failure NULL, and ptr stays valid. */
void *q35i_realloc(void *ptr, uint64_t count, uint64_t size);

/* bytes at a multiple of align (a power of two), not zeroed; huge pages are asked for from 2 MiB on. */
void *q35i_alloc_aligned(uint64_t bytes, uint64_t align);

/* Zeroed memory straight from the system, page-aligned, touched by nobody yet; huge pages are asked for. Release
 * with q35i_free_pages and the same size. */
void *q35i_alloc_pages(uint64_t bytes);
void q35i_free_pages(void *ptr, uint64_t bytes); /* NULL ok */

/* NUL-terminated copy of len bytes. */
char *q35i_strndup(const char *text, size_t len);

void q35i_free(void *ptr); /* any of the above, or NULL */

/* q35i_calloc and q35i_free for libraries that are given functions to call; user: unused. */
void *q35i_alloc_hook(size_t bytes, void *user);
void q35i_free_hook(void *ptr, void *user);

/* Tests: the n-th allocation from now (1 = next) and all later ones fail; 0 turns it off. */
void q35i_alloc_fail_at(uint64_t n);

/* In functions with a local `status`: stores NOMEM and jumps when the pointer is NULL. */
#define Q35_CHECK_ALLOC_GOTO(ptr, label)                                                                          \
    do {                                                                                                          \
        if (!(ptr)) {                                                                                             \
            status = Q35_E_NOMEM;                                                                                 \
            goto label;                                                                                           \
        }                                                                                                         \
    } while (0)

#endif
