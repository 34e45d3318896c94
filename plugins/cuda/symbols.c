/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols.h"

#include <dlfcn.h>
#include <string.h>

const char *q35i_cuda_find_symbols(void *handle, const q35i_cuda_symbol *symbols, size_t n, void *table)
{
    for (size_t i = 0; i < n; i++) {
        void *symbol = dlsym(handle, symbols[i].name);
        if (!symbol && !symbols[i].wished)
            return symbols[i].name;
        memcpy((char *)table + symbols[i].slot, &symbol,
               sizeof symbol); /* ISO C has no cast to a function pointer */
    }
    return NULL;
}
