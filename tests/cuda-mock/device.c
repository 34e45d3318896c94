/* SPDX-License-Identifier: Apache-2.0
 *
 * Mock driver: the library itself, devices, contexts. */
#include "mock.h"

#include <stdio.h>
#include <string.h>

enum { STACK = 8 };

struct CUctx_st mock_contexts[MOCK_MAX_DEVICES];
static int initialised;
static _Thread_local struct CUctx_st *stack[STACK];
static _Thread_local int depth;

q35i_cu_result cuInit(unsigned int flags)
{
    if (flags != 0)
        return Q35I_CU_INVALID_VALUE;
    if (mock_fault.init)
        return (q35i_cu_result)mock_fault.init;
    initialised = 1;
    return 0;
}

q35i_cu_result cuDriverGetVersion(int *version)
{
    *version = (int)mock_fault.version;
    return 0;
}

static const struct {
    q35i_cu_result error;
    const char *name, *text;
} errors[] = {
    {0, "CUDA_SUCCESS", "no error"},
    {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {217, "CUDA_ERROR_PEER_ACCESS_UNSUPPORTED", "peer access is not supported between these two devices"},
    {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the PTX was compiled with an unsupported toolchain"},
    {600, "CUDA_ERROR_NOT_READY", "device not ready"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {704, "CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED", "peer access is already enabled"},
    {711, "CUDA_ERROR_TOO_MANY_PEERS", "peer mapping resources exhausted"},
    {999, "CUDA_ERROR_UNKNOWN", "unknown error"}};

q35i_cu_result cuGetErrorName(q35i_cu_result error, const char **text)
{
    *text = NULL;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].error == error)
            *text = errors[i].name;
    return *text ? 0 : Q35I_CU_INVALID_VALUE;
}

q35i_cu_result cuGetErrorString(q35i_cu_result error, const char **text)
{
    *text = NULL;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].error == error)
            *text = errors[i].text;
    return *text ? 0 : Q35I_CU_INVALID_VALUE;
}

/* ---- devices */

static q35i_cu_result check_device(q35i_cu_device device)
{
    if (!initialised)
        return 3;
    return device >= 0 && (uint64_t)device < mock_fault.devices ? 0 : MOCK_INVALID_DEVICE;
}

q35i_cu_result cuDeviceGetCount(int *count)
{
    *count = (int)mock_fault.devices;
    return initialised ? 0 : 3;
}

q35i_cu_result cuDeviceGet(q35i_cu_device *device, int ordinal)
{
    *device = ordinal;
    return check_device(ordinal);
}

q35i_cu_result cuDeviceGetName(char *name, int cap, q35i_cu_device device)
{
    snprintf(name, (size_t)cap, "Mock GPU");
    return check_device(device);
}

#ifndef MOCK_WITHOUT_UUID /* drivers before CUDA 11.4 */
q35i_cu_result cuDeviceGetUuid_v2(q35i_cu_uuid *uuid, q35i_cu_device device)
{
    for (int i = 0; i < 16; i++)
        uuid->bytes[i] = (char)(16 * device + i);
    return check_device(device);
}

#endif

q35i_cu_result cuDeviceGetPCIBusId(char *id, int cap, q35i_cu_device device)
{
    snprintf(id, (size_t)cap, "0000:%02x:00.0", 0x65 + device);
    return check_device(device);
}

q35i_cu_result cuDeviceGetAttribute(int *value, q35i_cu_enum attribute, q35i_cu_device device)
{
    switch (attribute) {
    case Q35I_CU_ATTR_CLOCK_KHZ: *value = 1500000; break;
    case Q35I_CU_ATTR_N_SM: *value = 16; break;
    case Q35I_CU_ATTR_INTEGRATED: *value = mock_fault.integrated != 0; break;
    case Q35I_CU_ATTR_CAN_MAP_HOST: *value = mock_fault.integrated != 3; break;
    case Q35I_CU_ATTR_CONCURRENT_MANAGED: *value = mock_fault.integrated == 0 || mock_fault.integrated == 2; break;
    case Q35I_CU_ATTR_MEMORY_CLOCK_KHZ: *value = 3200000; break;
    case Q35I_CU_ATTR_BUS_BITS: *value = 256; break;
    case Q35I_CU_ATTR_CAPABILITY_MAJOR: *value = (int)mock_fault.capability / 10; break;
    case Q35I_CU_ATTR_CAPABILITY_MINOR: *value = (int)mock_fault.capability % 10; break;
    case Q35I_CU_ATTR_MAX_SHARED: *value = 163 * 1024; break;
    default: return Q35I_CU_INVALID_VALUE;
    }
    return check_device(device);
}

q35i_cu_result cuDeviceTotalMem_v2(size_t *bytes, q35i_cu_device device)
{
    *bytes = (size_t)mock_fault.memory_mib << 20;
    return check_device(device);
}

/* ---- contexts */

struct CUctx_st *mock_context(q35i_cu_result *error)
{
    struct CUctx_st *context = depth > 0 ? stack[depth - 1] : NULL;
    const int none = !context || context->users == 0;
    mock_counts.wrong_contexts += (uint64_t)none;
    *error = none ? MOCK_INVALID_CONTEXT : context->dead;
    return *error ? NULL : context;
}

int mock_is_current(const struct CUctx_st *context)
{
    const int is = depth > 0 && stack[depth - 1] == context && context->users > 0;
    mock_counts.wrong_contexts += !is;
    return is;
}

q35i_cu_result cuDevicePrimaryCtxRetain(q35i_cu_context *context, q35i_cu_device device)
{
    q35i_cu_result error = check_device(device);
    if (error != 0)
        return error;
    pthread_mutex_lock(&mock_lock);
    *context = &mock_contexts[device];
    (*context)->device = device;
    (*context)->users++;
    error = (*context)->dead;
    if (error != 0)
        (*context)->users--;
    pthread_mutex_unlock(&mock_lock);
    return error;
}

q35i_cu_result cuDevicePrimaryCtxRelease_v2(q35i_cu_device device)
{
    q35i_cu_result error = check_device(device);
    pthread_mutex_lock(&mock_lock);
    if (error == 0 && mock_contexts[device].users == 0)
        error = MOCK_INVALID_CONTEXT;
    else if (error == 0 && --mock_contexts[device].users == 0)
        mock_end_access(&mock_contexts[device]);
    pthread_mutex_unlock(&mock_lock);
    return error;
}

q35i_cu_result cuDevicePrimaryCtxReset_v2(q35i_cu_device device)
{
    q35i_cu_result error = check_device(device);
    if (error != 0)
        return error;
    pthread_mutex_lock(&mock_lock);
    mock_contexts[device].dead = 0;
    mock_end_access(&mock_contexts[device]);
    pthread_mutex_unlock(&mock_lock);
    return 0;
}

q35i_cu_result cuCtxPushCurrent_v2(q35i_cu_context context)
{
    q35i_cu_result error = 0;
    pthread_mutex_lock(&mock_lock);
    if (!context || context->users == 0 || depth == STACK)
        error = MOCK_INVALID_CONTEXT;
    else
        stack[depth++] = context;
    pthread_mutex_unlock(&mock_lock);
    return error;
}

q35i_cu_result cuCtxPopCurrent_v2(q35i_cu_context *context)
{
    if (depth == 0)
        return MOCK_INVALID_CONTEXT;
    *context = stack[--depth];
    return 0;
}
