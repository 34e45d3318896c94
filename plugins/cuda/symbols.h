/* SPDX-License-Identifier: Apache-2.0
 *
 * Entry points of a library that is opened at run time, into a table of function pointers. */
#ifndef Q35I_PLUGIN_CUDA_SYMBOLS_H
#define Q35I_PLUGIN_CUDA_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct q35i_cuda_symbol {
    const char *name;
    size_t slot; /* offset in the table */
    bool wished; /* may be absent, and is NULL then */
} q35i_cuda_symbol;

/* The first that must be there and is not; NULL: all are. handle: of dlopen. */
const char *q35i_cuda_find_symbols(void *handle, const q35i_cuda_symbol *symbols, size_t n, void *table);

#endif
