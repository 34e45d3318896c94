/* SPDX-License-Identifier: Apache-2.0
 *
 * The CUDA plugin's face: ELF note and table. Conformance level L1 with costs and weight layouts, copies between
 * devices, and where NCCL is there collectives. */
#include "comm.h"
#include "plan.h"

Q35_PLUGIN_NOTE("cuda", Q35I_CUDA_VERSION, 0, Q35_NF_NEEDS_DRIVER | Q35_NF_SPAWNS_THREADS, 0);

static const q35_measure measure = {.h = {sizeof measure, Q35_STRUCT_MEASURE, NULL},
                                    .limit = q35i_cuda_limit,
                                    .profile = q35i_cuda_profile_switch,
                                    .profile_read = q35i_cuda_profile_read};

static const q35_hdr *extension(uint32_t type)
{
    switch (type) {
    case Q35_STRUCT_MEASURE: return &measure.h;
    case Q35_STRUCT_COLLECTIVES: return q35i_cuda_collectives();
    case Q35_STRUCT_ENERGY: return &q35i_cuda_energy.h;
    case Q35_STRUCT_PEER: return &q35i_cuda_peer.h;
    default: return NULL;
    }
}

static void shut_down(void)
{
    q35i_cuda_collectives_close();
    q35i_cuda_energy_close();
    q35i_cuda_shutdown();
}

static const q35_plugin table = {
    .h = {sizeof table, Q35_STRUCT_PLUGIN, NULL},
    .abi_major = Q35_ABI_MAJOR,
    .abi_minor = Q35_ABI_MINOR,
    .id = "cuda",
    .version = Q35I_CUDA_VERSION,
    .enumerate = q35i_cuda_enumerate,
    .device_info = q35i_cuda_device_info,
    .memory_info = q35i_cuda_memory_info,
    .device_open = q35i_cuda_device_open,
    .device_close = q35i_cuda_device_close,
    .op_support = q35i_cuda_op_support,
    .plan_compile = q35i_cuda_plan_compile,
    .plan_bind = q35i_cuda_plan_bind,
    .plan_free = q35i_cuda_plan_free,
    .op_cost = q35i_cuda_op_cost,
    .layout_query = q35i_cuda_layout_query,
    .pack = q35i_cuda_pack,
    .unpack = q35i_cuda_unpack,
    .pack_key = q35i_cuda_pack_key,
    .buf_alloc = q35i_cuda_buf_alloc,
    .buf_free = q35i_cuda_buf_free,
    .buf_map = q35i_cuda_buf_map,
    .memory_refresh = q35i_cuda_memory_refresh,
    .queue_create = q35i_cuda_queue_create,
    .queue_destroy = q35i_cuda_queue_destroy,
    .copy = q35i_cuda_copy_submit,
    .plan_submit = q35i_cuda_plan_submit,
    .timeline_create = q35i_cuda_timeline_create,
    .timeline_destroy = q35i_cuda_timeline_destroy,
    .timeline_query = q35i_cuda_timeline_query,
    .timeline_wait = q35i_cuda_timeline_wait,
    .timeline_signal = q35i_cuda_timeline_signal,
    .extension = extension,
    .shutdown = shut_down,
};

Q35_PLUGIN_EXPORT q35_status q35_plugin_query(const q35_host *host, const q35_plugin **out);

q35_status q35_plugin_query(const q35_host *host, const q35_plugin **out)
{
    if (!host || !out || !Q35_HAS_SLOT(host, q35_host, fail))
        return Q35_E_INVALID;
    if (host->abi_major != Q35_ABI_MAJOR)
        return host->fail(Q35_E_VERSION, "cuda plugin: host abi is of another major version, need 1");
    if (!Q35_HAS_SLOT(host, q35_host, alloc) || !Q35_HAS_SLOT(host, q35_host, free) ||
        !Q35_HAS_SLOT(host, q35_host, log) || !Q35_HAS_SLOT(host, q35_host, now_ns))
        return host->fail(Q35_E_VERSION, "cuda plugin: host lacks memory, log or clock, need all of abi 1.0");
    q35p_host = host;
    *out = &table;
    return Q35_OK;
}
