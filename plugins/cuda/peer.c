/* SPDX-License-Identifier: Apache-2.0
 *
 * What a GPU can do with another GPU's memory. Where the driver gives access, copies go over the link and kernels
 * may use the other's addresses; where not, the driver carries copies through the host's memory. How fast either
 * is, the driver does not say. */
#include "cuda.h"

bool q35i_cuda_copies_from(const q35_device *dev, const q35_device *from)
{
    return dev->context == from->context ||
           (dev->sharing == Q35I_CUDA_COPIED && from->sharing == Q35I_CUDA_COPIED);
}

/* Asked for each time: access ends with the context of either side, and who shares the context may have it. */
static q35i_cu_result enable_access(const q35_device *dev, const q35_device *from)
{
    q35i_cu_result error = q35i_cuda_enter(dev);
    if (error == 0)
        error = dev->drv->cuCtxEnablePeerAccess(from->context, 0);
    q35i_cuda_leave(dev);
    return error == Q35I_CU_PEER_ACCESS_ALREADY_ENABLED ? 0 : error;
}

q35_status q35i_cuda_reach(const q35_device *dev, const q35_device *from, uint32_t *out_mode)
{
    char text[160];
    int can = 0;
    *out_mode = dev->context == from->context      ? Q35_PEER_ADDRESS /* one GPU, opened twice */
                : q35i_cuda_copies_from(dev, from) ? Q35_PEER_STAGED
                                                   : Q35_PEER_NONE;
    if (*out_mode != Q35_PEER_STAGED ||
        dev->drv->cuDeviceCanAccessPeer(&can, dev->gpu->handle, from->gpu->handle) != 0 || !can)
        return Q35_OK;
    const q35i_cu_result error = enable_access(dev, from);
    if (q35i_cuda_error_is_sticky(error))
        return q35i_cuda_driver_failed(dev, Q35_E_DEVICE_LOST, error, "asking for access to another device");
    if (error == 0)
        *out_mode = Q35_PEER_ADDRESS;
    else
        q35p_log(2, "cuda: device %u has no access to memory of device %u, so copies go through the host's: %s",
                 dev->index, from->index, q35i_cuda_error_text(dev->drv, error, text, sizeof text));
    return Q35_OK;
}

static q35_status query(q35_device *dev, q35_device *from, q35_peer_info *out)
{
    q35_peer_info info = {.h = {sizeof info, Q35_STRUCT_PEER_INFO, NULL}};
    if (dev == from)
        return q35p_fail(Q35_E_INVALID, "cuda device %u: is no peer of itself, need another", dev->index);
    const q35_status status = q35i_cuda_reach(dev, from, &info.mode);
    if (status == Q35_OK)
        q35p_answer(&out->h, &info.h);
    return status;
}

const q35_peer q35i_cuda_peer = {.h = {sizeof q35i_cuda_peer, Q35_STRUCT_PEER, NULL}, .query = query};
