/* SPDX-License-Identifier: Apache-2.0
 *
 * The energy counter of a board, as NVIDIA's management library (NVML) reads it: millijoules since the driver was
 * loaded, on Volta and newer. Boards of the Jetson family have no NVML that counts. The library is opened at the
 * first reading. Its functions and return codes are those of nvml.h, "NVML API Reference Guide". */
#define _GNU_SOURCE
#include "cuda.h"
#include "symbols.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define LIBRARY "libnvidia-ml.so.1"

typedef struct nvml_device *nvml_device_t;

typedef struct nvml_functions {
    int (*nvmlInit_v2)(void);
    int (*nvmlShutdown)(void);
    const char *(*nvmlErrorString)(int error);
    int (*nvmlDeviceGetHandleByUUID)(const char *uuid, nvml_device_t *out);
    int (*nvmlDeviceGetTotalEnergyConsumption)(nvml_device_t device, unsigned long long *out_mj);
} nvml_functions;

#define ENTRY(name)                                                                                               \
    {                                                                                                             \
#name, offsetof(nvml_functions, name), false                                                              \
    }
static const q35i_cuda_symbol entry_points[] = {ENTRY(nvmlInit_v2), ENTRY(nvmlShutdown), ENTRY(nvmlErrorString),
                                                ENTRY(nvmlDeviceGetHandleByUUID),
                                                ENTRY(nvmlDeviceGetTotalEnergyConsumption)};

static struct {
    pthread_mutex_t lock;
    bool asked;
    char why[128]; /* there is none */
    void *handle;  /* of dlopen; NULL: not opened, or not usable */
    nvml_functions f;
} nvml = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void give_up(const char *what, const char *detail)
{
    snprintf(nvml.why, sizeof nvml.why, "%s%s", what, detail);
    if (nvml.handle)
        (void)dlclose(nvml.handle);
    nvml.handle = NULL;
}

static void open_library(void)
{
    nvml.asked = true;
    nvml.handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!nvml.handle) {
        give_up("there is no " LIBRARY, "");
        return;
    }
    const char *missing =
        q35i_cuda_find_symbols(nvml.handle, entry_points, sizeof entry_points / sizeof *entry_points, &nvml.f);
    if (missing) {
        give_up(LIBRARY " is too old, it has no ", missing);
        return;
    }
    const int error = nvml.f.nvmlInit_v2();
    if (error != 0)
        give_up(LIBRARY " does not start: ", nvml.f.nvmlErrorString(error));
}

static int read_counter(const q35i_cuda_gpu *gpu, unsigned long long *out_mj)
{
    char uuid[sizeof gpu->uuid + 4];
    nvml_device_t device;
    snprintf(uuid, sizeof uuid, "GPU-%s", gpu->uuid);
    const int error = nvml.f.nvmlDeviceGetHandleByUUID(uuid, &device);
    return error ? error : nvml.f.nvmlDeviceGetTotalEnergyConsumption(device, out_mj);
}

static q35_status read_energy(q35_device *dev, q35_energy_reading *out)
{
    q35_energy_reading reading = {
        .h = {sizeof reading, Q35_STRUCT_ENERGY_READING, NULL}, .source = Q35_ENERGY_MEASURED, .covers = "board"};
    unsigned long long mj = 0;
    char why[sizeof nvml.why];
    pthread_mutex_lock(&nvml.lock);
    if (!nvml.asked)
        open_library();
    if (nvml.handle) {
        const int error = read_counter(dev->gpu, &mj);
        snprintf(why, sizeof why, "%s", error ? nvml.f.nvmlErrorString(error) : "");
    } else {
        memcpy(why, nvml.why, sizeof why);
    }
    pthread_mutex_unlock(&nvml.lock);
    if (why[0])
        return q35p_fail(Q35_E_UNAVAILABLE, "cuda device %u: no energy counter: %s", dev->index, why);
    reading.microjoules = mj * 1000;
    q35p_answer(&out->h, &reading.h);
    return Q35_OK;
}

const q35_energy q35i_cuda_energy = {.h = {sizeof q35i_cuda_energy, Q35_STRUCT_ENERGY, NULL}, .read = read_energy};

void q35i_cuda_energy_close(void)
{
    pthread_mutex_lock(&nvml.lock);
    if (nvml.handle) {
        (void)nvml.f.nvmlShutdown();
        (void)dlclose(nvml.handle);
    }
    nvml.handle = NULL;
    nvml.asked = false;
    pthread_mutex_unlock(&nvml.lock);
}
