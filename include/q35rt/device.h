/* SPDX-License-Identifier: Apache-2.0
 *
 * Plugins and devices. A runtime is internally synchronised; a device belongs to the sessions opened on it. */
#ifndef Q35RT_DEVICE_H
#define Q35RT_DEVICE_H

#include <q35rt/measure.h>
#include <q35rt/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct q35_runtime q35_runtime;

typedef struct q35_runtime_options {
    uint32_t n_threads;      /* 0: one per usable core */
    uint32_t n_plugin_paths; /* files named by the user; an unusable one is an error */
    const char *const *plugin_paths;
    int no_default_plugins; /* 1: only plugin_paths */
    int no_cache;           /* 1: packed weights are neither kept on disk nor taken from there */
} q35_runtime_options;

/* Finds and loads plugins: plugin_paths, then the installed plugin directory (and its build-tree twin when run
 * from one), then Q35RT_PLUGIN_PATH. options NULL: defaults. */
Q35_API q35_status q35_runtime_create(const q35_runtime_options *options, q35_runtime **out);
Q35_API void q35_runtime_destroy(q35_runtime *runtime); /* NULL ok; all sessions are closed by then */

Q35_API uint32_t q35_runtime_n_threads(const q35_runtime *runtime);

/* Cores that the process may use; *out_quota: CPUs' worth of time that its control group allows, rounded up,
 * UINT32_MAX without a limit. 0 cores: unknown. */
Q35_API uint32_t q35_runtime_cores(const q35_runtime *runtime, uint32_t *out_quota);

/* Every plugin file looked at. Strings are borrowed until destroy. */
typedef struct q35_plugin_report {
    const char *path, *id, *version; /* id, version "" when the note could not be read */
    int loaded;
    uint32_t n_devices;
    const char *reason; /* why not loaded, or why 0 devices; "" otherwise */
} q35_plugin_report;

Q35_API uint32_t q35_runtime_n_plugins(const q35_runtime *runtime);
Q35_API void q35_runtime_plugin(const q35_runtime *runtime, uint32_t i, q35_plugin_report *out);

typedef struct q35_device_report {
    char name[32]; /* what --device takes: "cpu", "cuda:1" */
    q35_device_info info;
    q35_memory_info memory; /* memory 0 */
    uint32_t level;         /* 0: L0, 1: L1 */
    char same_as[32];       /* device of an earlier plugin that is the same physical one; "": none */
} q35_device_report;

Q35_API uint32_t q35_runtime_n_devices(const q35_runtime *runtime);
Q35_API void q35_runtime_device(const q35_runtime *runtime, uint32_t i, q35_device_report *out);

/* Resolves "cpu" or "cuda:0,cpu" to device indices. UNAVAILABLE names the unknown or unusable device, why, and the
 * devices there are; INVALID: a device twice, also by two plugins. *n_inout: in capacity, out count. */
Q35_API q35_status q35_runtime_resolve(const q35_runtime *runtime, const char *list, uint32_t *out_indices,
                                       uint32_t *n_inout);

/* Plugin file whose code runs now and the slot (*out_slot), NULL: none. For a program's handler of crashes: may be
 * called in a signal handler. */
Q35_API const char *q35_runtime_suspect(const char **out_slot);

/* "2 cores, 1 NUMA node, L3 260 MiB" for people. */
Q35_API const char *q35_runtime_machine(const q35_runtime *runtime, char *buf, uint32_t cap);

/* Memory read bandwidth, GB/s (1e9 bytes), measured now with the runtime's threads for about ms milliseconds; 0:
 * unknown (more threads than cores). */
Q35_API double q35_runtime_read_gbps(q35_runtime *runtime, uint32_t ms);

/* Measures the i-th limit of device `device` in about ms milliseconds: int8 rate of each of its units, bandwidth
 * of its memory (of host memory: q35_runtime_read_gbps). RANGE past the last, UNSUPPORTED when its plugin measures
 * nothing. No session of the runtime works meanwhile. */
Q35_API q35_status q35_runtime_limit(q35_runtime *runtime, uint32_t device, uint32_t i, uint32_t ms,
                                     q35_limit *out);

/* Nanoseconds of a barrier among the runtime's threads when all come at the same time; 0: one thread, or more
 * threads than cores. */
Q35_API double q35_runtime_barrier_ns(q35_runtime *runtime);

#ifdef __cplusplus
}
#endif
#endif
