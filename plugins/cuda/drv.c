/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening the driver. What can be missing: the library, an entry point (an old driver), a working driver behind it
 * (NVIDIA's stub library, a kernel module of another version), a device. */
#define _GNU_SOURCE
#include "drv.h"
#include "symbols.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define LIBRARY "libcuda.so.1"

enum { MIN_VERSION = 12000 };

static const q35i_cuda_symbol entry_points[] = {
#define NEED(name, parameters) {#name, offsetof(q35i_cuda_driver, name), false},
#define WISH(name, parameters) {#name, offsetof(q35i_cuda_driver, name), true},
#include "drv.def"
};

/* First entry point that must be there and is not; NULL: all are. */
static const char *find_entry_points(q35i_cuda_driver *drv)
{
    const char *missing =
        q35i_cuda_find_symbols(drv->library, entry_points, sizeof entry_points / sizeof *entry_points, drv);
    drv->has_graphs = drv->cuStreamBeginCapture_v2 && drv->cuStreamEndCapture &&
                      drv->cuGraphInstantiateWithFlags && drv->cuGraphLaunch && drv->cuGraphExecDestroy &&
                      drv->cuGraphDestroy;
    return missing;
}

const char *q35i_cuda_error_text(const q35i_cuda_driver *drv, q35i_cu_result error, char *buf, size_t cap)
{
    const char *name = NULL, *text = NULL;
    if (drv->cuGetErrorName(error, &name) != 0 || !name)
        name = "unknown error";
    if (drv->cuGetErrorString(error, &text) != 0 || !text)
        text = "the driver has no text for it";
    snprintf(buf, cap, "%s (%u): %s", name, error, text);
    return buf;
}

/* From the list of cuda.h: those that say "the context can not be used anymore" or "leaves the process in an
 * inconsistent state", and hardware errors. */
bool q35i_cuda_error_is_sticky(q35i_cu_result error)
{
    return error == Q35I_CU_ECC_UNCORRECTABLE || error == Q35I_CU_ILLEGAL_ADDRESS ||
           error == Q35I_CU_LAUNCH_TIMEOUT || error == Q35I_CU_CONTEXT_IS_DESTROYED || error == 710 ||
           (error >= 714 && error <= Q35I_CU_LAUNCH_FAILED) || error == 999;
}

void q35i_cuda_explain(const q35i_cuda_driver *drv, q35i_cu_result error, char *why, size_t cap)
{
    char text[160];
    if (error == Q35I_CU_STUB_LIBRARY)
        snprintf(why, cap, LIBRARY " is the toolkit's stub library (34), need the one of the NVIDIA driver");
    else if (error == Q35I_CU_NO_DEVICE)
        snprintf(why, cap, "the driver sees no device (100); CUDA_VISIBLE_DEVICES may hide them");
    else
        snprintf(why, cap, "the driver does not work: %s", q35i_cuda_error_text(drv, error, text, sizeof text));
}

static bool start(q35i_cuda_driver *drv, char *why, size_t cap)
{
    const char *missing = find_entry_points(drv);
    if (missing) {
        snprintf(why, cap, "the driver is too old: " LIBRARY " has no %s, need a driver for CUDA %d.%d or later",
                 missing, MIN_VERSION / 1000, MIN_VERSION % 1000 / 10);
        return false;
    }
    q35i_cu_result error = drv->cuInit(0);
    if (error == 0)
        error = drv->cuDriverGetVersion(&drv->version);
    if (error != 0) {
        q35i_cuda_explain(drv, error, why, cap);
        return false;
    }
    if (drv->version < MIN_VERSION) {
        snprintf(why, cap, "the driver is too old: it supports CUDA %d.%d, need %d.%d or later",
                 drv->version / 1000, drv->version % 1000 / 10, MIN_VERSION / 1000, MIN_VERSION % 1000 / 10);
        return false;
    }
    return true;
}

bool q35i_cuda_driver_open(q35i_cuda_driver *drv, char *why, size_t cap)
{
    memset(drv, 0, sizeof *drv);
    /* The driver has threads of its own and does not like to be unmapped. */
    drv->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!drv->library) {
        const char *text = dlerror();
        snprintf(why, cap, "no NVIDIA driver: %s", text ? text : LIBRARY " does not load");
        return false;
    }
    if (start(drv, why, cap))
        return true;
    q35i_cuda_driver_close(drv);
    return false;
}

void q35i_cuda_driver_close(q35i_cuda_driver *drv)
{
    if (drv->library)
        dlclose(drv->library);
    memset(drv, 0, sizeof *drv);
}
