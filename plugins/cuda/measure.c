/* SPDX-License-Identifier: Apache-2.0
 *
 * How fast the GPU's memory is: copies inside it, which read and write every byte, for buffers that no cache
 * holds. */
#include "cuda.h"

#include <stdio.h>

enum { COPY_BYTES = 256 << 20 };

static q35i_cu_result copy_for(const q35_device *dev, const q35i_cu_address buf[2], uint64_t bytes,
                               q35i_cu_stream stream, uint32_t ms, double *out_per_second)
{
    const q35i_cuda_driver *drv = dev->drv;
    q35i_cu_result error = drv->cuMemsetD8Async(buf[0], 1, bytes, stream);
    if (error == 0)
        error = drv->cuMemcpyDtoDAsync_v2(buf[1], buf[0], bytes, stream);
    if (error == 0)
        error = drv->cuStreamSynchronize(stream); /* clocks go up, pages are there */
    const uint64_t begin = q35p_host->now_ns();
    uint64_t n = 0, took = 0;
    while (error == 0 && took < (uint64_t)ms * 1000000u) {
        for (int i = 0; i < 4 && error == 0; i++, n++)
            error = drv->cuMemcpyDtoDAsync_v2(buf[1 - n % 2], buf[n % 2], bytes, stream);
        if (error == 0)
            error = drv->cuStreamSynchronize(stream);
        took = q35p_host->now_ns() - begin;
    }
    *out_per_second = took ? 2.0 * (double)bytes * (double)n * 1e9 / (double)took : 0;
    return error;
}

static q35i_cu_result measure_copies(const q35_device *dev, uint32_t ms, double *out_per_second)
{
    const q35i_cuda_driver *drv = dev->drv;
    q35i_cu_address buf[2] = {0, 0};
    q35i_cu_stream stream = NULL;
    uint64_t bytes = COPY_BYTES;
    while (bytes > dev->gpu->memory_bytes / 16)
        bytes /= 2;
    q35i_cu_result error = drv->cuStreamCreate(&stream, Q35I_CU_STREAM_NON_BLOCKING);
    for (int i = 0; i < 2 && error == 0; i++)
        error = drv->cuMemAlloc_v2(&buf[i], bytes);
    if (error == 0)
        error = copy_for(dev, buf, bytes, stream, ms, out_per_second);
    for (int i = 0; i < 2; i++)
        if (buf[i])
            (void)drv->cuMemFree_v2(buf[i]);
    if (stream)
        (void)drv->cuStreamDestroy_v2(stream);
    return error;
}

q35_status q35i_cuda_limit(q35_device *dev, uint32_t i, uint32_t ms, q35_limit *out)
{
    double per_second = 0;
    if (i > 0)
        return q35p_fail(Q35_E_RANGE, "cuda limit %u: need 0", i);
    q35i_cu_result error = q35i_cuda_enter(dev);
    if (error == 0)
        error = measure_copies(dev, ms, &per_second);
    q35i_cuda_leave(dev);
    if (error != 0)
        return q35i_cuda_driver_failed(dev, error == Q35I_CU_OUT_OF_MEMORY ? Q35_E_NOMEM : Q35_E_DEVICE, error,
                                       "measuring copies");
    q35_limit limit = {
        .h = {sizeof limit, Q35_STRUCT_LIMIT, NULL}, .kind = Q35_LIMIT_READ, .per_second = (uint64_t)per_second};
    snprintf(limit.name, sizeof limit.name, "copies");
    q35p_answer(&out->h, &limit.h);
    return Q35_OK;
}
