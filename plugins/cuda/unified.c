/* SPDX-License-Identifier: Apache-2.0
 *
 * GPUs whose memory is the host's. What the driver says of them is not enough: there are boards on which a kernel
 * then reads other bytes than the host wrote. So a device that is opened first shows that both see what the other
 * wrote, again and again at the same addresses; where it does not, buffers are device memory and bytes are copied,
 * as on any other GPU.
 *
 * Two kinds of memory have one address for both sides. Managed memory is held in the caches of both, but where the
 * driver does not let the host touch it while kernels run, pinned memory remains, which a GPU may not cache. */
#include "unified.h"

#include <stdio.h>
#include <string.h>

enum { WORDS = 16384, ROUNDS = 3 };

/* ---- memory for both */

static q35i_cu_result take_mapped(const q35i_cuda_driver *drv, uint64_t bytes, q35i_cu_address *out)
{
    void *host = NULL;
    q35i_cu_address address = 0;
    q35i_cu_result error = drv->cuMemHostAlloc(&host, bytes, Q35I_CU_HOST_ALLOC_MAPPED);
    if (error != 0)
        return error;
    error = drv->cuMemHostGetDevicePointer_v2(&address, host, 0);
    if (error == 0 && address != (uintptr_t)host)
        error = Q35I_CU_INVALID_VALUE; /* not where one address space is for both */
    if (error != 0)
        (void)drv->cuMemFreeHost(host);
    else
        *out = address;
    return error;
}

q35i_cu_result q35i_cuda_take(const q35_device *dev, uint64_t bytes, q35i_cu_address *out)
{
    switch (dev->sharing) {
    case Q35I_CUDA_MAPPED: return take_mapped(dev->drv, bytes, out);
    case Q35I_CUDA_MANAGED: return dev->drv->cuMemAllocManaged(out, bytes, Q35I_CU_ATTACH_GLOBAL);
    default: return dev->drv->cuMemAlloc_v2(out, bytes);
    }
}

void q35i_cuda_give(const q35_device *dev, q35i_cu_address address)
{
    if (dev->sharing == Q35I_CUDA_MAPPED)
        (void)dev->drv->cuMemFreeHost(q35i_cuda_host_address(address));
    else
        (void)dev->drv->cuMemFree_v2(address);
}

void *q35i_cuda_host_address(q35i_cu_address address)
{
    return (void *)(uintptr_t)address;
}

/* ---- proof */

static float number(int round, int i)
{
    return (float)(i * (2 * round + 1) + round);
}

/* sum = a + b. */
static q35i_cu_result add(const q35_device *dev, q35i_cu_address a, q35i_cu_address b, q35i_cu_address sum,
                          q35i_cu_stream stream)
{
    q35_elementwise_args args = {.a = a, .b = b, .y = sum, .n_rows = 1, .n = WORDS};
    const q35_cuda_launch g = q35_cuda_launch_of(Q35_CUDA_K_add, &args);
    void *params[] = {&args};
    q35i_cu_result error = dev->drv->cuLaunchKernel(dev->kernel[Q35_CUDA_K_add], g.grid[0], g.grid[1], g.grid[2],
                                                    g.threads, 1, 1, g.shared, stream, params, NULL);
    return error ? error : dev->drv->cuStreamSynchronize(stream);
}

/* The host writes, a kernel reads and writes, the host reads; in every round other numbers. why: "" when it is
 * right. */
static q35i_cu_result exchange(const q35_device *dev, q35i_cu_address at, q35i_cu_stream stream, char *why,
                               size_t cap)
{
    const uint64_t bytes = WORDS * sizeof(float);
    float *a = q35i_cuda_host_address(at), *b = a + WORDS, *sum = b + WORDS;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < WORDS; i++) {
            a[i] = number(round, i);
            b[i] = (float)round;
            sum[i] = -1;
        }
        q35i_cu_result error = add(dev, at, at + bytes, at + 2 * bytes, stream);
        if (error != 0)
            return error;
        for (int i = 0; i < WORDS; i++) {
            const float needed = number(round, i) + (float)round;
            if (((volatile float *)sum)[i] == needed)
                continue;
            snprintf(why, cap, "number %d of round %d is %.0f after a kernel, need %.0f", i, round + 1,
                     (double)sum[i], (double)needed);
            return 0;
        }
    }
    return 0;
}

static q35i_cu_result prove(const q35_device *dev, char *why, size_t cap)
{
    q35i_cu_address at = 0;
    q35i_cu_stream stream = NULL;
    q35i_cu_result error = dev->drv->cuStreamCreate(&stream, Q35I_CU_STREAM_NON_BLOCKING);
    if (error != 0)
        return error;
    error = q35i_cuda_take(dev, 3 * WORDS * sizeof(float), &at);
    if (error == 0) {
        error = exchange(dev, at, stream, why, cap);
        q35i_cuda_give(dev, at);
    }
    (void)dev->drv->cuStreamDestroy_v2(stream);
    return error;
}

q35_status q35i_cuda_share_memory(q35_device *dev)
{
    char why[160] = "";
    dev->sharing = q35i_cuda_sharing(dev->index);
    if (dev->sharing == Q35I_CUDA_COPIED)
        return Q35_OK;
    q35i_cu_result error = prove(dev, why, sizeof why);
    if (q35i_cuda_error_is_sticky(error)) {
        dev->lost = true; /* so that closing it resets the context */
        return q35i_cuda_driver_failed(dev, Q35_E_DEVICE, error, "testing memory that the host shares");
    }
    if (error != 0)
        (void)q35i_cuda_error_text(dev->drv, error, why, sizeof why);
    if (why[0] == '\0') {
        q35p_log(3, "cuda: device %u: buffers are %s memory, which the host shares", dev->index,
                 dev->sharing == Q35I_CUDA_MANAGED ? "managed" : "pinned");
        return Q35_OK;
    }
    q35p_log(1, "cuda: device %u: said to share the host's memory, but %s; so bytes are copied", dev->index, why);
    q35i_cuda_unshare(dev->index);
    dev->sharing = Q35I_CUDA_COPIED;
    return Q35_OK;
}
