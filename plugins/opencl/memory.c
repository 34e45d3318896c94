/* SPDX-License-Identifier: Apache-2.0
 *
 * Device memory, counted, so that an allocation that cannot fit fails at once: OpenCL may notice only when a
 * buffer is first used. */
#include "plugins/opencl/opencl.h"

static q35_status no_room(const q35_device *dev, uint64_t bytes, uint64_t used)
{
    const uint64_t left = dev->capacity > used ? dev->capacity - used : 0;
    const uint64_t fits = left < dev->found->max_alloc ? left : dev->found->max_alloc;
    return q35p_fail(Q35_E_NOMEM,
                     "opencl: out of device memory for %llu MiB: %llu of %llu MiB are in use, one buffer of %llu "
                     "MiB would fit",
                     (unsigned long long)((bytes + (1u << 20) - 1) >> 20), (unsigned long long)(used >> 20),
                     (unsigned long long)(dev->capacity >> 20), (unsigned long long)(fits >> 20));
}

enum { MAX_ALIGN = 1 << 20 };

/* The OpenCL buffer. Memory that the host can address costs nothing where the device is the host. What is to be
 * aligned better than OpenCL does lies in memory from the host, if anybody can see the address. */
static cl_int create(q35_buf *buf, uint64_t align)
{
    const q35i_cl_found *found = buf->dev->found;
    cl_int error = CL_SUCCESS;
    cl_mem_flags flags = CL_MEM_READ_WRITE;
    if (found->coherent && align > found->base_align_bits / 8) {
        buf->host = q35p_host->alloc(buf->bytes, align, -1);
        if (!buf->host)
            return CL_OUT_OF_HOST_MEMORY;
        flags |= CL_MEM_USE_HOST_PTR;
    } else if (found->unified) {
        flags |= CL_MEM_ALLOC_HOST_PTR;
    }
    buf->mem = q35i_cl.CreateBuffer(buf->dev->context, flags, buf->bytes, buf->host, &error);
    if (error != CL_SUCCESS && buf->host)
        q35p_host->free(buf->host);
    return error;
}

q35_status q35i_cl_buf_alloc(q35_device *dev, uint32_t memory, uint64_t bytes, uint64_t align, uint32_t usage,
                             q35_buf **out)
{
    cl_int error = CL_SUCCESS;
    char name[48];
    (void)usage;
    if (memory != 0 || align > MAX_ALIGN || (align & (align - 1)) != 0)
        return q35p_fail(Q35_E_INVALID,
                         "opencl: memory %u aligned to %llu, need memory 0 and a power of two up to %d", memory,
                         (unsigned long long)align, (int)MAX_ALIGN);
    const uint64_t size = bytes ? bytes : 1, used = atomic_fetch_add(&dev->used, size);
    if (size > dev->found->max_alloc || size > dev->capacity || used > dev->capacity - size) {
        atomic_fetch_sub(&dev->used, size);
        return no_room(dev, size, used);
    }
    q35_buf *buf = q35p_alloc(1, sizeof *buf);
    if (buf) {
        buf->dev = dev;
        buf->bytes = size;
        error = create(buf, align);
    }
    if (!buf || error != CL_SUCCESS) {
        q35p_free(buf);
        atomic_fetch_sub(&dev->used, size);
        if (!buf || error == CL_MEM_OBJECT_ALLOCATION_FAILURE || error == CL_OUT_OF_RESOURCES ||
            error == CL_OUT_OF_HOST_MEMORY)
            return no_room(dev, size, used);
        return q35p_fail(Q35_E_DEVICE, "opencl: buffer of %llu bytes: %s", (unsigned long long)size,
                         q35i_cl_error(error, name));
    }
    *out = buf;
    return Q35_OK;
}

void q35i_cl_buf_free(q35_buf *buf)
{
    if (!buf)
        return;
    if (buf->mapped)
        (void)q35i_cl.EnqueueUnmapMemObject(buf->dev->maps, buf->mem, buf->mapped, 0, NULL, NULL);
    if (buf->mapped)
        (void)q35i_cl.Finish(buf->dev->maps);
    (void)q35i_cl.ReleaseMemObject(buf->mem);
    if (buf->host)
        q35p_host->free(buf->host);
    atomic_fetch_sub(&buf->dev->used, buf->bytes);
    q35p_free(buf);
}

/* A buffer stays mapped while kernels use it, which only a device whose memory is the host's own stands. */
q35_status q35i_cl_buf_map(q35_buf *buf, void **out)
{
    cl_int error = CL_SUCCESS;
    *out = NULL;
    if (!buf->dev->found->coherent)
        return Q35_OK;
    if (!buf->mapped)
        buf->mapped = q35i_cl.EnqueueMapBuffer(buf->dev->maps, buf->mem, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0,
                                               buf->bytes, 0, NULL, NULL, &error);
    *out = error == CL_SUCCESS ? buf->mapped : NULL;
    return Q35_OK;
}

q35_status q35i_cl_memory_refresh(q35_device *dev, uint32_t memory, uint64_t *out_available)
{
    if (memory != 0)
        return q35p_fail(Q35_E_RANGE, "opencl: memory %u, need 0", memory);
    const uint64_t used = atomic_load(&dev->used);
    *out_available = used < dev->capacity ? dev->capacity - used : 0;
    return Q35_OK;
}
