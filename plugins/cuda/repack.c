/* SPDX-License-Identifier: Apache-2.0
 *
 * Canonical weights of LINEAR. Kernels read packed ones, which is what layout_query offers; a host that binds
 * canonical bytes gets a packed copy of them, which the device makes when the plan is bound and which goes with
 * it. */
#include "plan.h"

static q35i_cu_result start_packing(const q35_plan *plan, q35i_cuda_tensor *w, q35i_cu_stream stream)
{
    const q35_device *dev = plan->dev;
    q35i_cu_result error = w->packed ? 0 : dev->drv->cuMemAlloc_v2(&w->packed, q35i_cuda_packed_bytes(&w->desc));
    if (error != 0) {
        w->packed = 0;
        return error;
    }
    q35_pack_args args = {.rows = w->address,
                          .packed = w->packed,
                          .rs_rows = w->desc.stride[1],
                          .n = (int32_t)w->desc.dim[1],
                          .k = (int32_t)w->desc.dim[0],
                          .dtype = w->desc.dtype};
    const q35_cuda_launch g = q35_cuda_launch_of(Q35_CUDA_K_pack, &args);
    void *params[] = {&args};
    return dev->drv->cuLaunchKernel(dev->kernel[Q35_CUDA_K_pack], g.grid[0], g.grid[1], g.grid[2], g.threads, 1, 1,
                                    g.shared, stream, params, NULL);
}

/* On a stream of its own, so that it meets nothing queued. */
static q35i_cu_result pack_all(const q35_plan *plan, q35i_cu_stream stream)
{
    q35i_cu_result error = 0;
    for (uint32_t i = 0; i < plan->n_tensors && error == 0; i++)
        if (plan->tensors[i].packs)
            error = start_packing(plan, &plan->tensors[i], stream);
    const q35i_cu_result ended = plan->dev->drv->cuStreamSynchronize(stream);
    return error ? error : ended;
}

static bool packs_any(const q35_plan *plan)
{
    for (uint32_t i = 0; i < plan->n_tensors; i++)
        if (plan->tensors[i].packs)
            return true;
    return false;
}

q35_status q35i_cuda_plan_pack(q35_plan *plan)
{
    q35_device *dev = plan->dev;
    q35i_cu_stream stream = NULL;
    if (!packs_any(plan))
        return Q35_OK;
    (void)q35i_cuda_enter(dev);
    q35i_cu_result error = dev->drv->cuStreamCreate(&stream, Q35I_CU_STREAM_NON_BLOCKING);
    if (error == 0) {
        error = pack_all(plan, stream);
        (void)dev->drv->cuStreamDestroy_v2(stream);
    }
    q35i_cuda_leave(dev);
    if (error == 0)
        return Q35_OK;
    if (q35i_cuda_error_is_sticky(error)) {
        pthread_mutex_lock(&dev->lock);
        q35i_cuda_set_lost(dev, error);
        pthread_mutex_unlock(&dev->lock);
    }
    return q35i_cuda_driver_failed(dev, error == Q35I_CU_OUT_OF_MEMORY ? Q35_E_NOMEM : Q35_E_DEVICE, error,
                                   "packing a weight");
}
