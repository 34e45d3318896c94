/* SPDX-License-Identifier: Apache-2.0
 *
 * Canonical weights of LINEAR. Kernels read packed ones, which is what layout_query offers; a host that binds
 * canonical bytes gets a packed copy of them, made when the plan is bound and kept with it. */
#include "plan.h"

static void pack_rows(const q35i_cuda_tensor *w, const char *rows, char *packed)
{
    const uint32_t slice_rows = q35_cuda_slice_rows(w->desc.dtype);
    const uint64_t slice_bytes = q35_cuda_slice_bytes(w->desc.dtype, w->desc.dim[0]);
    for (int64_t r = 0; r < w->desc.dim[1]; r += slice_rows) {
        const int64_t n = w->desc.dim[1] - r < slice_rows ? w->desc.dim[1] - r : slice_rows;
        q35_cuda_pack(w->desc.dtype, w->desc.dim[0], n, rows + r * w->desc.stride[1], w->desc.stride[1],
                      packed + (uint64_t)(r / slice_rows) * slice_bytes);
    }
}

/* On a stream of its own, so that it meets nothing queued. */
static q35i_cu_result fetch(const q35i_cuda_driver *drv, q35i_cu_stream stream, const q35i_cuda_tensor *w,
                            char *rows)
{
    q35i_cu_result error = drv->cuMemcpyDtoHAsync_v2(rows, w->address, w->bytes, stream);
    return error ? error : drv->cuStreamSynchronize(stream);
}

static q35i_cu_result store(const q35i_cuda_driver *drv, q35i_cu_stream stream, q35i_cuda_tensor *w,
                            const char *packed, uint64_t bytes)
{
    q35i_cu_result error = w->packed ? 0 : drv->cuMemAlloc_v2(&w->packed, bytes);
    if (error == 0)
        error = drv->cuMemcpyHtoDAsync_v2(w->packed, packed, bytes, stream);
    return error ? error : drv->cuStreamSynchronize(stream);
}

static q35_status pack_weight(q35_plan *plan, uint32_t i, q35i_cu_stream stream)
{
    const q35_device *dev = plan->dev;
    q35i_cuda_tensor *w = &plan->tensors[i];
    const uint64_t bytes = q35i_cuda_packed_bytes(&w->desc);
    char *rows = q35p_alloc(w->bytes, 1), *packed = q35p_alloc(bytes, 1);
    q35i_cu_result error = 0;
    if (rows && packed)
        error = fetch(dev->drv, stream, w, rows);
    if (rows && packed && error == 0) {
        pack_rows(w, rows, packed);
        error = store(dev->drv, stream, w, packed, bytes);
    }
    const bool no_memory = !rows || !packed;
    q35p_free(rows);
    q35p_free(packed);
    if (no_memory)
        return q35p_fail(Q35_E_NOMEM, "cuda plan: out of host memory to pack tensor %u of %llu bytes", i,
                         (unsigned long long)w->bytes);
    if (error != 0)
        return q35i_cuda_driver_failed(dev, error == Q35I_CU_OUT_OF_MEMORY ? Q35_E_NOMEM : Q35_E_DEVICE, error,
                                       "packing a weight");
    return Q35_OK;
}

q35_status q35i_cuda_plan_pack(q35_plan *plan)
{
    const q35_device *dev = plan->dev;
    q35i_cu_stream stream = NULL;
    q35i_cu_result error = 0;
    q35_status status = Q35_OK;
    (void)q35i_cuda_enter(dev);
    for (uint32_t i = 0; i < plan->n_tensors && status == Q35_OK && error == 0; i++) {
        if (!plan->tensors[i].packs)
            continue;
        if (!stream)
            error = dev->drv->cuStreamCreate(&stream, Q35I_CU_STREAM_NON_BLOCKING);
        if (error == 0)
            status = pack_weight(plan, i, stream);
    }
    if (stream)
        (void)dev->drv->cuStreamDestroy_v2(stream);
    q35i_cuda_leave(dev);
    return error ? q35i_cuda_driver_failed(dev, Q35_E_DEVICE, error, "creating a stream") : status;
}
