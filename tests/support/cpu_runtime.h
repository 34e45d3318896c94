/* SPDX-License-Identifier: Apache-2.0
 *
 * Runtimes with plugins of this build and no others. The test's target defines Q35T_CPU_PLUGIN. */
#ifndef Q35T_CPU_RUNTIME_H
#define Q35T_CPU_RUNTIME_H

#include "support/expect.h"

#include <q35rt/q35rt.h>

static inline q35_runtime *q35t_runtime_of(const char *const *plugins, uint32_t n, uint32_t threads)
{
    const q35_runtime_options options = {
        .n_threads = threads, .plugin_paths = plugins, .n_plugin_paths = n, .no_default_plugins = 1};
    q35_runtime *runtime;
    EXPECT_OK(q35_runtime_create(&options, &runtime));
    return runtime;
}

/* threads 0: one per core. */
static inline q35_runtime *q35t_cpu_runtime(uint32_t threads)
{
    static const char *const plugins[1] = {Q35T_CPU_PLUGIN};
    return q35t_runtime_of(plugins, 1, threads);
}

#if defined(Q35T_TEMPLATE_PLUGIN) && defined(Q35T_ASYNC_PLUGIN)
/* With the devices template and async1 beside cpu. */
static inline q35_runtime *q35t_three_devices(uint32_t threads)
{
    static const char *const plugins[3] = {Q35T_CPU_PLUGIN, Q35T_TEMPLATE_PLUGIN, Q35T_ASYNC_PLUGIN};
    return q35t_runtime_of(plugins, 3, threads);
}
#endif

#endif
