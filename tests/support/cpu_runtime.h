/* SPDX-License-Identifier: Apache-2.0
 *
 * A runtime with the CPU plugin of this build and no other. The test's target defines Q35T_CPU_PLUGIN. */
#ifndef Q35T_CPU_RUNTIME_H
#define Q35T_CPU_RUNTIME_H

#include "support/expect.h"

#include <q35rt/q35rt.h>

/* threads 0: one per core. */
static inline q35_runtime *q35t_cpu_runtime(uint32_t threads)
{
    static const char *const plugins[1] = {Q35T_CPU_PLUGIN};
    const q35_runtime_options options = {
        .n_threads = threads, .plugin_paths = plugins, .n_plugin_paths = 1, .no_default_plugins = 1};
    q35_runtime *runtime;
    EXPECT_OK(q35_runtime_create(&options, &runtime));
    return runtime;
}

#endif
