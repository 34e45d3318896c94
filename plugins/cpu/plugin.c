/* SPDX-License-Identifier: Apache-2.0
 *
 * The CPU plugin's face: ELF note, table, description of the one device and its memory. Conformance level L0, with
 * costs and weight layouts. */
#define _GNU_SOURCE
#include "plugins/cpu/cpu.h"

#include <stdio.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

Q35_PLUGIN_NOTE("cpu", Q35I_CPU_VERSION, 0, Q35_NF_UNLOADABLE, 0);

static q35_status enumerate(uint32_t *out_n)
{
    *out_n = 1;
    return Q35_OK;
}

/* Brand string of CPUID leaves 0x80000002 to 0x80000004 (Intel SDM volume 2A), runs of spaces made one. */
static void brand(char out[49])
{
    char raw[49] = "";
#if defined(__x86_64__)
    uint32_t words[12];
    bool known = true;
    for (uint32_t i = 0; i < 3 && known; i++)
        known =
            __get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2], &words[4 * i + 3]);
    if (known)
        memcpy(raw, words, sizeof words);
#endif
    size_t n = 0;
    for (const char *p = raw; *p; p++)
        if (*p != ' ' || (n > 0 && out[n - 1] != ' '))
            out[n++] = *p;
    while (n > 0 && out[n - 1] == ' ')
        n--;
    out[n] = '\0';
}

static q35_status device_info(uint32_t i, q35_device_info *out)
{
    if (i != 0)
        return q35p_fail(Q35_E_RANGE, "cpu device %u: need 0", i);
    q35_device_info info = {.h = {sizeof info, Q35_STRUCT_DEVICE_INFO, NULL},
                            .uuid = "cpu-0",
                            .host_numa = -1,
                            .device_class = Q35_CLASS_CPU,
                            .n_memories = 1};
    char text[49];
    brand(text);
    snprintf(info.name, sizeof info.name, "%s, %s", text[0] ? text : "CPU",
             q35i_cpu_level_name(q35k_cpu_features()));
    q35p_answer(&out->h, &info.h);
    return Q35_OK;
}

static q35_status memory_info(uint32_t i, uint32_t m, q35_memory_info *out)
{
    if (i != 0 || m != 0)
        return q35p_fail(Q35_E_RANGE, "cpu device %u memory %u: need 0 and 0", i, m);
    long page = sysconf(_SC_PAGESIZE), pages = sysconf(_SC_PHYS_PAGES);
    uint64_t capacity = page > 0 && pages > 0 ? (uint64_t)page * (uint64_t)pages : 0;
    q35_memory_info info = {.h = {sizeof info, Q35_STRUCT_MEMORY_INFO, NULL},
                            .kind = Q35_MEM_HOST,
                            .host_coherent = 1,
                            .capacity = capacity,
                            .available = q35i_cpu_available_memory(),
                            .max_alloc = capacity,
                            .align = Q35I_CPU_LINE};
    q35p_answer(&out->h, &info.h);
    return Q35_OK;
}

static const q35_measure measure = {.h = {sizeof measure, Q35_STRUCT_MEASURE, NULL},
                                    .limit = q35i_cpu_limit,
                                    .profile = q35i_cpu_profile,
                                    .profile_read = q35i_cpu_profile_read};

/* Both need the host's clock. */
static const q35_hdr *extension(uint32_t type)
{
    return type == Q35_STRUCT_MEASURE && Q35_HAS_SLOT(q35p_host, q35_host, now_ns) ? &measure.h : NULL;
}

static const q35_plugin table = {
    .h = {sizeof table, Q35_STRUCT_PLUGIN, NULL},
    .abi_major = Q35_ABI_MAJOR,
    .abi_minor = Q35_ABI_MINOR,
    .id = "cpu",
    .version = Q35I_CPU_VERSION,
    .enumerate = enumerate,
    .device_info = device_info,
    .memory_info = memory_info,
    .device_open = q35i_cpu_device_open,
    .device_close = q35i_cpu_device_close,
    .op_support = q35i_cpu_op_support,
    .plan_compile = q35i_cpu_plan_compile,
    .plan_bind = q35i_cpu_plan_bind,
    .plan_run = q35i_cpu_plan_run,
    .plan_free = q35i_cpu_plan_free,
    .op_cost = q35i_cpu_op_cost,
    .layout_query = q35i_cpu_layout_query,
    .pack = q35i_cpu_pack,
    .unpack = q35i_cpu_unpack,
    .pack_key = q35i_cpu_pack_key,
    .extension = extension,
};

/* Before anybody asks what the processor offers. */
static void request_amx(const q35_host *host)
{
    int error = q35k_cpu_request_amx();
    if (error == 0 || !Q35_HAS_SLOT(host, q35_host, log))
        return;
    char text[128];
    snprintf(text, sizeof text,
             "cpu plugin: the system refuses AMX with errno %d, need arch_prctl's permission; AVX-512 is used",
             error);
    host->log(1, text);
}

Q35_PLUGIN_EXPORT q35_status q35_plugin_query(const q35_host *host, const q35_plugin **out);

q35_status q35_plugin_query(const q35_host *host, const q35_plugin **out)
{
    if (!host || !out || !Q35_HAS_SLOT(host, q35_host, fail))
        return Q35_E_INVALID;
    if (host->abi_major != Q35_ABI_MAJOR)
        return host->fail(Q35_E_VERSION, "cpu plugin: host abi is of another major version, need 1");
    if (!Q35_HAS_SLOT(host, q35_host, alloc) || !Q35_HAS_SLOT(host, q35_host, free) ||
        !Q35_HAS_SLOT(host, q35_host, pool_size) || !Q35_HAS_SLOT(host, q35_host, parallel) ||
        !Q35_HAS_SLOT(host, q35_host, barrier))
        return host->fail(Q35_E_VERSION, "cpu plugin: host lacks memory or pool services, need all of abi 1.0");
    q35p_host = host;
    request_amx(host);
    *out = &table;
    return Q35_OK;
}
