/* SPDX-License-Identifier: Apache-2.0
 *
 * The OpenCL library, opened at run time. Functions are called as q35i_cl.GetPlatformIDs(...). */
#ifndef Q35I_PLUGIN_OPENCL_CL_H
#define Q35I_PLUGIN_OPENCL_CL_H

#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>
#include <stdbool.h>
#include <stddef.h>

/* All of OpenCL 1.2 or older. */
#define Q35I_CL_FUNCTIONS(X)                                                                                      \
    X(GetPlatformIDs)                                                                                             \
    X(GetPlatformInfo)                                                                                            \
    X(GetDeviceIDs)                                                                                               \
    X(GetDeviceInfo)                                                                                              \
    X(CreateContext)                                                                                              \
    X(ReleaseContext)                                                                                             \
    X(CreateCommandQueue)                                                                                         \
    X(ReleaseCommandQueue)                                                                                        \
    X(CreateBuffer)                                                                                               \
    X(ReleaseMemObject)                                                                                           \
    X(EnqueueReadBuffer)                                                                                          \
    X(EnqueueWriteBuffer)                                                                                         \
    X(EnqueueCopyBuffer)                                                                                          \
    X(EnqueueFillBuffer)                                                                                          \
    X(EnqueueNDRangeKernel)                                                                                       \
    X(EnqueueMapBuffer)                                                                                           \
    X(EnqueueUnmapMemObject)                                                                                      \
    X(Flush)                                                                                                      \
    X(Finish)                                                                                                     \
    X(CreateProgramWithSource)                                                                                    \
    X(CreateProgramWithBinary)                                                                                    \
    X(BuildProgram)                                                                                               \
    X(GetProgramInfo)                                                                                             \
    X(GetProgramBuildInfo)                                                                                        \
    X(ReleaseProgram)                                                                                             \
    X(CreateKernel)                                                                                               \
    X(ReleaseKernel)                                                                                              \
    X(SetKernelArg)                                                                                               \
    X(GetEventInfo)                                                                                               \
    X(GetEventProfilingInfo)                                                                                      \
    X(ReleaseEvent)

typedef struct q35i_cl_table {
#define Q35I_CL_SLOT(name) __typeof__(&cl##name) name;
    Q35I_CL_FUNCTIONS(Q35I_CL_SLOT)
#undef Q35I_CL_SLOT
} q35i_cl_table;

extern q35i_cl_table q35i_cl;

/* Opens the library once; false, with the reason in why, when it or one of its functions is missing. */
bool q35i_cl_load(char *why, size_t cap);

/* "CL_OUT_OF_RESOURCES (-5)" */
const char *q35i_cl_error(cl_int code, char out[48]);

#endif
