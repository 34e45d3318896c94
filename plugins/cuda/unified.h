/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory of buffers: the device's own, or one that the host addresses, too. */
#ifndef Q35I_PLUGIN_CUDA_UNIFIED_H
#define Q35I_PLUGIN_CUDA_UNIFIED_H

#include "cuda.h"

/* Finds out how the device being opened shares memory with the host, and sets dev->sharing. Kernels are loaded,
 * the context is current. Fails only with a device that is lost. */
q35_status q35i_cuda_share_memory(q35_device *dev);

/* Memory of a buffer, of a kind that dev->sharing says; the context is current. */
q35i_cu_result q35i_cuda_take(const q35_device *dev, uint64_t bytes, q35i_cu_address *out);
void q35i_cuda_give(const q35_device *dev, q35i_cu_address address);

/* Where the host finds it, if it is shared. */
void *q35i_cuda_host_address(q35i_cu_address address);

#endif
