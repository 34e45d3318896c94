/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening and closing the device, and its options. */
#include "plugins/cpu/cpu.h"

const char *q35i_cpu_level_name(uint32_t features)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } levels[] = {
        {Q35K_CPU_AMX, "AMX-INT8"}, {Q35K_CPU_AVX512, "AVX-512 VNNI"}, {Q35K_CPU_AVXVNNI, "AVX-VNNI"},
        {Q35K_CPU_AVX2, "AVX2"},    {Q35K_CPU_NEON_I8MM, "NEON i8mm"}, {Q35K_CPU_NEON_DOT, "NEON dotprod"},
        {Q35K_CPU_NEON, "NEON"}};
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
        if (features & levels[i].bit)
            return levels[i].name;
    return "reference";
}

/* Features of the newest instruction set that kernels may use, by the value of option "isa". */
static q35_status parse_isa(const char *value, uint32_t *features)
{
    static const struct {
        const char *name;
        uint32_t features;
    } levels[] = {{"ref", 0},
                  {"avx2", Q35K_CPU_AVX2},
                  {"avxvnni", Q35K_CPU_AVX2 | Q35K_CPU_AVXVNNI},
                  {"avx512", Q35K_CPU_AVX2 | Q35K_CPU_AVX512},
                  {"amx", Q35K_CPU_AVX2 | Q35K_CPU_AVX512 | Q35K_CPU_AMX},
                  {"neon", Q35K_CPU_NEON},
                  {"neon_dot", Q35K_CPU_NEON | Q35K_CPU_NEON_DOT},
                  {"neon_i8mm", Q35K_CPU_NEON | Q35K_CPU_NEON_DOT | Q35K_CPU_NEON_I8MM}};
    uint32_t offered = q35k_cpu_features();
    *features = offered;
    if (strcmp(value, "auto") == 0)
        return Q35_OK;
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (strcmp(value, levels[i].name) != 0)
            continue;
        if (levels[i].features & ~offered)
            return q35p_fail(Q35_E_UNAVAILABLE, "cpu option isa: this machine has %s, need %s",
                             q35i_cpu_level_name(offered), q35i_cpu_level_name(levels[i].features));
        *features = levels[i].features;
        return Q35_OK;
    }
    return q35p_fail(Q35_E_INVALID,
                     "cpu option isa: value '%s', need auto, ref, avx2, avxvnni, avx512, amx, neon, neon_dot "
                     "or neon_i8mm",
                     value);
}

static q35_status parse_options(const q35_open_options *options, uint32_t *features)
{
    *features = q35k_cpu_features();
    if (!options || !Q35_HAS_FIELD(options, q35_open_options, values) || options->n_options == 0)
        return Q35_OK;
    if (!options->keys || !options->values)
        return q35p_fail(Q35_E_INVALID, "cpu options: %u without keys or values, need both", options->n_options);
    for (uint32_t i = 0; i < options->n_options; i++) {
        const char *key = options->keys[i], *value = options->values[i];
        if (!key || !value)
            return q35p_fail(Q35_E_INVALID, "cpu option %u: key or value is missing, need both", i);
        if (strcmp(key, "isa") != 0)
            return q35p_fail(Q35_E_INVALID, "cpu option '%s': unknown, need isa", key);
        q35_status status = parse_isa(value, features);
        if (status)
            return status;
    }
    return Q35_OK;
}

static void choose_kernels(q35_device *dev, uint32_t features)
{
    q35k_table reference;
    q35k_table_init(&dev->kernels, features);
    q35k_table_init(&reference, 0);
    dev->reads_tile16 = dev->kernels.linear != reference.linear;
    dev->reads_row16 = dev->kernels.linear_row != reference.linear_row;
}

q35_status q35i_cpu_device_open(uint32_t i, const q35_open_options *options, q35_device **out)
{
    const q35_host *host = q35p_host;
    uint32_t features;
    if (i != 0)
        return q35p_fail(Q35_E_RANGE, "cpu device %u: need 0", i);
    q35_status status = parse_options(options, &features);
    if (status)
        return status;
    q35_device *dev = host->alloc(sizeof *dev, Q35I_CPU_LINE, -1);
    if (!dev)
        return q35p_fail(Q35_E_NOMEM, "cpu device: out of memory for %zu bytes", sizeof *dev);
    *dev = (q35_device){.n_workers = 1};
    if (options && Q35_HAS_FIELD(options, q35_open_options, pool) && options->pool) {
        dev->pool = options->pool;
        dev->n_workers = host->pool_size(options->pool);
    }
    if (options && Q35_HAS_FIELD(options, q35_open_options, memory_cap))
        dev->memory_cap = options->memory_cap;
    choose_kernels(dev, features);
    *out = dev;
    return Q35_OK;
}

void q35i_cpu_device_close(q35_device *dev)
{
    if (dev)
        q35p_host->free(dev);
}
