/* SPDX-License-Identifier: Apache-2.0
 *
 * The OpenCL plugin's face: ELF note, table, the extension that measures. Conformance level L1. */
#include "plugins/opencl/opencl.h"

/* Not unloadable: drivers keep threads and exit handlers. */
Q35_PLUGIN_NOTE("opencl", Q35I_CL_VERSION, 0, Q35_NF_SPAWNS_THREADS | Q35_NF_NEEDS_DRIVER, 0);

static const q35_measure measure = {.h = {sizeof measure, Q35_STRUCT_MEASURE, NULL},
                                    .limit = q35i_cl_limit,
                                    .profile = q35i_cl_profile_switch,
                                    .profile_read = q35i_cl_profile_read};

static const q35_hdr *extension(uint32_t type)
{
    return type == Q35_STRUCT_MEASURE && Q35_HAS_SLOT(q35p_host, q35_host, now_ns) ? &measure.h : NULL;
}

static const q35_plugin table = {
    .h = {sizeof table, Q35_STRUCT_PLUGIN, NULL},
    .abi_major = Q35_ABI_MAJOR,
    .abi_minor = Q35_ABI_MINOR,
    .id = "opencl",
    .version = Q35I_CL_VERSION,
    .enumerate = q35i_cl_enumerate,
    .device_info = q35i_cl_device_info,
    .memory_info = q35i_cl_memory_info,
    .device_open = q35i_cl_device_open,
    .device_close = q35i_cl_device_close,
    .op_support = q35i_cl_op_support,
    .plan_compile = q35i_cl_plan_compile,
    .plan_bind = q35i_cl_plan_bind,
    .plan_free = q35i_cl_plan_free,
    .op_cost = q35i_cl_op_cost,
    .layout_query = q35i_cl_layout_query,
    .pack = q35i_cl_pack,
    .unpack = q35i_cl_unpack,
    .pack_key = q35i_cl_pack_key,
    .buf_alloc = q35i_cl_buf_alloc,
    .buf_free = q35i_cl_buf_free,
    .buf_map = q35i_cl_buf_map,
    .memory_refresh = q35i_cl_memory_refresh,
    .queue_create = q35i_cl_queue_create,
    .queue_destroy = q35i_cl_queue_destroy,
    .copy = q35i_cl_copy,
    .plan_submit = q35i_cl_plan_submit,
    .timeline_create = q35i_cl_timeline_create,
    .timeline_destroy = q35i_cl_timeline_destroy,
    .timeline_query = q35i_cl_timeline_query,
    .timeline_wait = q35i_cl_timeline_wait,
    .timeline_signal = q35i_cl_timeline_signal,
    .extension = extension,
    .shutdown = q35i_cl_forget_devices,
};

Q35_PLUGIN_EXPORT q35_status q35_plugin_query(const q35_host *host, const q35_plugin **out);

q35_status q35_plugin_query(const q35_host *host, const q35_plugin **out)
{
    if (!host || !out || !Q35_HAS_SLOT(host, q35_host, fail))
        return Q35_E_INVALID;
    if (host->abi_major != Q35_ABI_MAJOR)
        return host->fail(Q35_E_VERSION, "opencl plugin: host abi is of another major version, need 1");
    if (!Q35_HAS_SLOT(host, q35_host, log) || !Q35_HAS_SLOT(host, q35_host, alloc) ||
        !Q35_HAS_SLOT(host, q35_host, free))
        return host->fail(Q35_E_VERSION, "opencl plugin: host lacks log or memory, need all of abi 1.0");
    q35p_host = host;
    *out = &table;
    return Q35_OK;
}
