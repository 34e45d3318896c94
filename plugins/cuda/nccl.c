/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening NCCL. */
#define _GNU_SOURCE
#include "nccl.h"
#include "symbols.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define LIBRARY "libnccl.so.2"

static const q35i_cuda_symbol entry_points[] = {
#define NEED(name, parameters) {#name, offsetof(q35i_nccl, name), false},
#define TEXT(name, parameters) {#name, offsetof(q35i_nccl, name), false},
#include "nccl.def"
};

/* Releases up to 2.8 have numbers of four digits. */
static void print_version(int version, char out[24])
{
    const int unit = version < 10000 ? 1000 : 10000;
    snprintf(out, 24, "%d.%d.%d", version / unit, version % unit / 100, version % 100);
}

static bool start(q35i_nccl *nccl, char *why, size_t cap)
{
    char version[24];
    const char *missing =
        q35i_cuda_find_symbols(nccl->library, entry_points, sizeof entry_points / sizeof *entry_points, nccl);
    if (missing) {
        snprintf(why, cap, LIBRARY " is too old: it has no %s, need version 2.14 or later", missing);
        return false;
    }
    const q35i_nccl_result error = nccl->ncclGetVersion(&nccl->version);
    if (error != 0) {
        snprintf(why, cap, LIBRARY " does not work: %s", nccl->ncclGetErrorString(error));
        return false;
    }
    print_version(nccl->version, version);
    if (nccl->version < Q35I_NCCL_VERSION)
        snprintf(why, cap, LIBRARY " is too old: it is %s, need version 2.14 or later", version);
    return nccl->version >= Q35I_NCCL_VERSION;
}

bool q35i_nccl_open(q35i_nccl *nccl, char *why, size_t cap)
{
    memset(nccl, 0, sizeof *nccl);
    nccl->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE); /* it has threads of its own */
    if (!nccl->library) {
        const char *text = dlerror();
        snprintf(why, cap, "%s", text ? text : LIBRARY " does not load");
        return false;
    }
    if (start(nccl, why, cap))
        return true;
    q35i_nccl_close(nccl);
    return false;
}

void q35i_nccl_close(q35i_nccl *nccl)
{
    if (nccl->library)
        dlclose(nccl->library);
    memset(nccl, 0, sizeof *nccl);
}
