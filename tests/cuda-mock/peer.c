/* SPDX-License-Identifier: Apache-2.0
 *
 * Mock driver: memory of other devices. */
#include "stream.h"

static int is_alone(int device)
{
    return mock_fault.alone == (uint64_t)device + 1;
}

static int can_access(int device, int other)
{
    return device != other && !is_alone(device) && !is_alone(other);
}

static int reaches(const struct CUctx_st *context, const struct CUctx_st *other)
{
    return (int)(context->reach >> other->device & 1u);
}

void mock_end_access(struct CUctx_st *context)
{
    context->reach = 0;
    for (int d = 0; d < MOCK_MAX_DEVICES; d++)
        mock_contexts[d].reach &= ~(1u << context->device);
}

q35i_cu_result cuDeviceCanAccessPeer(int *can, q35i_cu_device device, q35i_cu_device peer)
{
    int count = 0;
    const q35i_cu_result error = cuDeviceGetCount(&count);
    if (error != 0 || device < 0 || device >= count || peer < 0 || peer >= count)
        return error ? error : MOCK_INVALID_DEVICE;
    *can = can_access(device, peer);
    return 0;
}

/* In one direction. */
q35i_cu_result cuCtxEnablePeerAccess(q35i_cu_context peer, unsigned int flags)
{
    q35i_cu_result error;
    pthread_mutex_lock(&mock_lock);
    struct CUctx_st *context = mock_context(&error);
    if (context && (!peer || peer->users == 0))
        error = MOCK_INVALID_CONTEXT;
    else if (context && (flags != 0 || peer == context))
        error = flags ? (q35i_cu_result)Q35I_CU_INVALID_VALUE : MOCK_INVALID_DEVICE;
    else if (context && !can_access(context->device, peer->device))
        error = MOCK_NO_PEER_ACCESS;
    else if (context)
        error = reaches(context, peer) ? (q35i_cu_result)Q35I_CU_PEER_ACCESS_ALREADY_ENABLED
                                       : (q35i_cu_result)mock_fault.access_fails;
    if (context && (error == 0 || error == Q35I_CU_PEER_ACCESS_ALREADY_ENABLED))
        context->reach |= 1u << peer->device;
    pthread_mutex_unlock(&mock_lock);
    return error;
}

static q35i_cu_result check_ends(const struct CUctx_st *to, q35i_cu_address dst, const struct CUctx_st *from,
                                 q35i_cu_address src, size_t bytes)
{
    if (!to || to->users == 0 || !from || from->users == 0)
        return MOCK_INVALID_CONTEXT;
    if (from->dead)
        return from->dead;
    return mock_is_device(to, dst, bytes) && mock_is_device(from, src, bytes)
               ? 0
               : (q35i_cu_result)Q35I_CU_INVALID_VALUE;
}

/* On a stream of the destination alone. Without access, too: the driver stages. */
q35i_cu_result cuMemcpyPeerAsync(q35i_cu_address dst, q35i_cu_context dst_context, q35i_cu_address src,
                                 q35i_cu_context src_context, size_t bytes, q35i_cu_stream stream)
{
    q35i_cu_result error;
    pthread_mutex_lock(&mock_lock);
    if (mock_stream(stream, &error))
        error = stream->context == dst_context ? check_ends(dst_context, dst, src_context, src, bytes)
                                               : (q35i_cu_result)Q35I_CU_INVALID_VALUE;
    if (error == 0) {
        mock_counts.peer_copies++;
        mock_counts.staged_copies += !reaches(dst_context, src_context);
        if (mock_counts.peer_copies == mock_fault.peer_fails_at)
            error = MOCK_NO_PEER_ACCESS;
    }
    if (error == 0)
        error = mock_enqueue(stream, &(op){.kind = OP_COPY,
                                           .dst = (char *)(uintptr_t)dst,
                                           .src = (const char *)(uintptr_t)src,
                                           .bytes = bytes,
                                           .damage = mock_fault.peer_damage != 0});
    pthread_mutex_unlock(&mock_lock);
    return error;
}
