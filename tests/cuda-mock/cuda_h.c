/* SPDX-License-Identifier: Apache-2.0
 *
 * Compiled only where NVIDIA's header is installed: the plugin's own declarations of the driver are the header's.
 */
#include <cuda.h>

#include "plugins/cuda/drv.h"

/* With tags in common the types are the same, and an enum of no negative values is an unsigned int. */
#define NEED(name, parameters)                                                                                    \
    _Static_assert(__builtin_types_compatible_p(__typeof__(name), q35i_cu_result parameters), #name);
#include "plugins/cuda/drv.def"

_Static_assert(sizeof(q35i_cu_launch) == sizeof(CUlaunchConfig), "size of a launch");
_Static_assert(offsetof(q35i_cu_launch, shared_bytes) == offsetof(CUlaunchConfig, sharedMemBytes),
               "shared memory");
_Static_assert(offsetof(q35i_cu_launch, stream) == offsetof(CUlaunchConfig, hStream), "stream");
_Static_assert(offsetof(q35i_cu_launch, attributes) == offsetof(CUlaunchConfig, attrs), "attributes");
_Static_assert(offsetof(q35i_cu_launch, n_attributes) == offsetof(CUlaunchConfig, numAttrs), "their number");
_Static_assert(sizeof(q35i_cu_attribute) == sizeof(CUlaunchAttribute), "size of an attribute");
_Static_assert(offsetof(q35i_cu_attribute, value) == offsetof(CUlaunchAttribute, value), "value of an attribute");

#define SAME(ours, theirs) _Static_assert((int)(ours) == (int)(theirs), #theirs)
SAME(Q35I_CU_INVALID_VALUE, CUDA_ERROR_INVALID_VALUE);
SAME(Q35I_CU_OUT_OF_MEMORY, CUDA_ERROR_OUT_OF_MEMORY);
SAME(Q35I_CU_STUB_LIBRARY, CUDA_ERROR_STUB_LIBRARY);
SAME(Q35I_CU_NO_DEVICE, CUDA_ERROR_NO_DEVICE);
SAME(Q35I_CU_NO_BINARY, CUDA_ERROR_NO_BINARY_FOR_GPU);
SAME(Q35I_CU_ECC_UNCORRECTABLE, CUDA_ERROR_ECC_UNCORRECTABLE);
SAME(Q35I_CU_UNSUPPORTED_PTX, CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
SAME(Q35I_CU_NOT_FOUND, CUDA_ERROR_NOT_FOUND);
SAME(Q35I_CU_NOT_READY, CUDA_ERROR_NOT_READY);
SAME(Q35I_CU_ILLEGAL_ADDRESS, CUDA_ERROR_ILLEGAL_ADDRESS);
SAME(Q35I_CU_LAUNCH_OUT_OF_RESOURCES, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
SAME(Q35I_CU_LAUNCH_TIMEOUT, CUDA_ERROR_LAUNCH_TIMEOUT);
SAME(Q35I_CU_CONTEXT_IS_DESTROYED, CUDA_ERROR_CONTEXT_IS_DESTROYED);
SAME(Q35I_CU_LAUNCH_FAILED, CUDA_ERROR_LAUNCH_FAILED);
SAME(710, CUDA_ERROR_ASSERT);
SAME(714, CUDA_ERROR_HARDWARE_STACK_ERROR);
SAME(999, CUDA_ERROR_UNKNOWN);
SAME(Q35I_CU_ATTR_CLOCK_KHZ, CU_DEVICE_ATTRIBUTE_CLOCK_RATE);
SAME(Q35I_CU_ATTR_N_SM, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
SAME(Q35I_CU_ATTR_INTEGRATED, CU_DEVICE_ATTRIBUTE_INTEGRATED);
SAME(Q35I_CU_ATTR_MEMORY_CLOCK_KHZ, CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE);
SAME(Q35I_CU_ATTR_BUS_BITS, CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH);
SAME(Q35I_CU_ATTR_CAPABILITY_MAJOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
SAME(Q35I_CU_ATTR_CAPABILITY_MINOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
SAME(Q35I_CU_ATTR_MAX_SHARED, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
SAME(Q35I_CU_ATTR_HOST_NUMA, CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID);
SAME(Q35I_CU_ATTRIBUTE_EARLY_START, CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION);
SAME(Q35I_CU_FUNC_PTX_VERSION, CU_FUNC_ATTRIBUTE_PTX_VERSION);
SAME(Q35I_CU_FUNC_MAX_DYNAMIC_SHARED, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
SAME(Q35I_CU_FUNC_CARVEOUT, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT);
SAME(Q35I_CU_STREAM_NON_BLOCKING, CU_STREAM_NON_BLOCKING);
SAME(Q35I_CU_EVENT_NO_TIMING, CU_EVENT_DISABLE_TIMING);
SAME(Q35I_CU_CAPTURE_THREAD_LOCAL, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
