/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening libOpenCL.so.1, and names of its errors. The library stays open until the process ends: drivers keep
 * threads and exit handlers. */
#include "cl.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define LIBRARY "libOpenCL.so.1"

q35i_cl_table q35i_cl;

static bool find_functions(void *library, char *why, size_t cap)
{
    static const struct {
        const char *name;
        size_t offset;
    } functions[] = {
#define ROW(name) {"cl" #name, offsetof(q35i_cl_table, name)},
        Q35I_CL_FUNCTIONS(ROW)
#undef ROW
    };
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        void *symbol = dlsym(library, functions[i].name);
        if (!symbol) {
            snprintf(why, cap, LIBRARY " has no %s, need OpenCL 1.2", functions[i].name);
            return false;
        }
        memcpy((char *)&q35i_cl + functions[i].offset, &symbol, sizeof symbol);
    }
    return true;
}

bool q35i_cl_load(char *why, size_t cap)
{
    static void *library;
    if (library)
        return true;
    void *opened = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!opened) {
        snprintf(why, cap, "no OpenCL library: %s", dlerror());
        return false;
    }
    if (!find_functions(opened, why, cap))
        return false;
    library = opened;
    return true;
}

const char *q35i_cl_error(cl_int code, char out[48])
{
    static const struct {
        cl_int code;
        const char *name;
    } names[] = {
#define ROW(name) {name, #name}
        ROW(CL_DEVICE_NOT_FOUND),
        ROW(CL_DEVICE_NOT_AVAILABLE),
        ROW(CL_COMPILER_NOT_AVAILABLE),
        ROW(CL_MEM_OBJECT_ALLOCATION_FAILURE),
        ROW(CL_OUT_OF_RESOURCES),
        ROW(CL_OUT_OF_HOST_MEMORY),
        ROW(CL_BUILD_PROGRAM_FAILURE),
        ROW(CL_MAP_FAILURE),
        ROW(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST),
        ROW(CL_INVALID_VALUE),
        ROW(CL_INVALID_DEVICE),
        ROW(CL_INVALID_BINARY),
        ROW(CL_INVALID_BUILD_OPTIONS),
        ROW(CL_INVALID_PROGRAM_EXECUTABLE),
        ROW(CL_INVALID_KERNEL_NAME),
        ROW(CL_INVALID_KERNEL_ARGS),
        ROW(CL_INVALID_WORK_GROUP_SIZE),
        ROW(CL_INVALID_BUFFER_SIZE),
#undef ROW
    };
    const char *name = "OpenCL error";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].code == code)
            name = names[i].name;
    snprintf(out, 48, "%.36s (%d)", name, (int)code);
    return out;
}
