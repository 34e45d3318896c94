/* SPDX-License-Identifier: Apache-2.0
 *
 * Buffers. The host allocates a few large ones, so each is an allocation of the driver. */
#include "unified.h"

/* Bytes free now: what the driver says, within the cap. */
static q35i_cu_result bytes_free(const q35_device *dev, uint64_t *out)
{
    size_t available = 0, total = 0;
    q35i_cu_result error = dev->drv->cuMemGetInfo_v2(&available, &total);
    uint64_t used = atomic_load(&dev->used);
    *out = available;
    if (dev->memory_cap != 0) {
        uint64_t left = used < dev->memory_cap ? dev->memory_cap - used : 0;
        *out = left < available ? left : available;
    }
    return error;
}

static q35_status out_of_memory(const q35_device *dev, uint64_t bytes)
{
    uint64_t available = 0;
    if (bytes_free(dev, &available) != 0)
        available = 0;
    q35i_cuda_leave(dev);
    return q35p_fail(Q35_E_NOMEM, "cuda memory: %llu bytes (%llu MiB) asked for, %llu MiB are free",
                     (unsigned long long)bytes, (unsigned long long)(bytes >> 20),
                     (unsigned long long)(available >> 20));
}

static q35_status check_request(const q35_device *dev, uint32_t memory, uint64_t bytes, uint64_t align)
{
    if (memory != 0)
        return q35p_fail(Q35_E_RANGE, "cuda memory: memory %u, need 0", memory);
    if (align == 0 || (align & (align - 1)) != 0 || align > (UINT64_C(1) << 20))
        return q35p_fail(Q35_E_INVALID, "cuda memory: alignment %llu, need a power of two up to 1048576",
                         (unsigned long long)align);
    if (bytes > UINT64_MAX / 2)
        return q35p_fail(Q35_E_NOMEM, "cuda memory: %llu bytes asked for, the device has %llu MiB",
                         (unsigned long long)bytes, (unsigned long long)(dev->gpu->memory_bytes >> 20));
    return Q35_OK;
}

q35_status q35i_cuda_buf_alloc(q35_device *dev, uint32_t memory, uint64_t bytes, uint64_t align, uint32_t usage,
                               q35_buf **out)
{
    (void)usage; /* all of a GPU's memory is equal */
    q35_status status = check_request(dev, memory, bytes, align);
    if (status != Q35_OK)
        return status;
    q35_buf *buf = q35p_alloc(1, sizeof *buf);
    if (!buf)
        return q35p_fail(Q35_E_NOMEM, "cuda memory: out of host memory for a buffer");
    buf->dev = dev;
    buf->bytes = bytes;
    buf->taken = (bytes ? bytes : 1) + (align > Q35I_CUDA_ALIGN ? align : 0);
    const uint64_t used = atomic_fetch_add(&dev->used, buf->taken);
    const bool over =
        dev->memory_cap != 0 && (buf->taken > dev->memory_cap || used > dev->memory_cap - buf->taken);
    q35i_cu_result error = q35i_cuda_enter(dev);
    if (error == 0)
        error = over ? (q35i_cu_result)Q35I_CU_OUT_OF_MEMORY : q35i_cuda_take(dev, buf->taken, &buf->allocated);
    if (error != 0) {
        atomic_fetch_sub(&dev->used, buf->taken);
        q35p_free(buf);
        if (error == Q35I_CU_OUT_OF_MEMORY)
            return out_of_memory(dev, bytes);
        q35i_cuda_leave(dev);
        return q35i_cuda_driver_failed(dev, Q35_E_DEVICE, error, "allocating memory");
    }
    q35i_cuda_leave(dev);
    buf->address = (buf->allocated + align - 1) & ~(q35i_cu_address)(align - 1);
    *out = buf;
    return Q35_OK;
}

void q35i_cuda_buf_free(q35_buf *buf)
{
    if (!buf)
        return;
    q35_device *dev = buf->dev;
    if (q35i_cuda_enter(dev) == 0)
        q35i_cuda_give(dev, buf->allocated);
    q35i_cuda_leave(dev);
    atomic_fetch_sub(&dev->used, buf->taken);
    q35p_free(buf);
}

q35_status q35i_cuda_buf_map(q35_buf *buf, void **out)
{
    *out = buf->dev->sharing == Q35I_CUDA_COPIED ? NULL : q35i_cuda_host_address(buf->address);
    return Q35_OK;
}

q35_status q35i_cuda_memory_refresh(q35_device *dev, uint32_t memory, uint64_t *out_available)
{
    if (memory != 0)
        return q35p_fail(Q35_E_RANGE, "cuda memory: memory %u, need 0", memory);
    q35i_cu_result error = q35i_cuda_enter(dev);
    if (error == 0)
        error = bytes_free(dev, out_available);
    q35i_cuda_leave(dev);
    return error == 0 ? Q35_OK : q35i_cuda_driver_failed(dev, Q35_E_DEVICE, error, "asking for free memory");
}

q35i_cu_address q35i_cuda_address(const q35_device *dev, const q35_binding *binding, uint64_t bytes)
{
    const q35_buf *buf = binding->buf;
    if (binding->host || !buf || buf->dev != dev || binding->offset > buf->bytes ||
        bytes > buf->bytes - binding->offset)
        return 0;
    return buf->address + binding->offset;
}
