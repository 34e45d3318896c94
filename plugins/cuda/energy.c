/* SPDX-License-Identifier: Apache-2.0
 *
 * The energy counter of a board, as NVIDIA's management library (NVML) reads it: millijoules since the driver was
 * loaded, on Volta and newer. Boards of the Jetson family have no NVML that counts. The library is opened at the
 * first reading. Its functions and return codes are those of nvml.h, "NVML API Reference Guide". */
#define _GNU_SOURCE
#include "cuda.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define LIBRARY "libnvidia-ml.so.1"

typedef struct nvml_device *nvml_device_t;

static struct {
    pthread_mutex_t lock;
    bool asked;
    char why[128]; /* there is none */
    void *library; /* NULL: not opened, or not usable */
    int (*nvmlInit_v2)(void);
    int (*nvmlShutdown)(void);
    const char *(*nvmlErrorString)(int error);
    int (*nvmlDeviceGetHandleByUUID)(const char *uuid, nvml_device_t *out);
    int (*nvmlDeviceGetTotalEnergyConsumption)(nvml_device_t device, unsigned long long *out_mj);
} nvml = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* The first function that is missing; NULL: none. */
static const char *find_functions(void)
{
    const struct {
        const char *name;
        void *slot;
    } wanted[] = {{"nvmlInit_v2", &nvml.nvmlInit_v2},
                  {"nvmlShutdown", &nvml.nvmlShutdown},
                  {"nvmlErrorString", &nvml.nvmlErrorString},
                  {"nvmlDeviceGetHandleByUUID", &nvml.nvmlDeviceGetHandleByUUID},
                  {"nvmlDeviceGetTotalEnergyConsumption", &nvml.nvmlDeviceGetTotalEnergyConsumption}};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        void *symbol = dlsym(nvml.library, wanted[i].name);
        if (!symbol)
            return wanted[i].name;
        memcpy(wanted[i].slot, &symbol, sizeof symbol); /* ISO C has no cast to a function pointer */
    }
    return NULL;
}

static void give_up(const char *what, const char *detail)
{
    snprintf(nvml.why, sizeof nvml.why, "%s%s", what, detail);
    if (nvml.library)
        (void)dlclose(nvml.library);
    nvml.library = NULL;
}

static void open_library(void)
{
    nvml.asked = true;
    nvml.library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!nvml.library) {
        give_up("there is no " LIBRARY, "");
        return;
    }
    const char *missing = find_functions();
    if (missing) {
        give_up(LIBRARY " is too old, it has no ", missing);
        return;
    }
    const int error = nvml.nvmlInit_v2();
    if (error != 0)
        give_up(LIBRARY " does not start: ", nvml.nvmlErrorString(error));
}

static int read_counter(const q35i_cuda_gpu *gpu, unsigned long long *out_mj)
{
    char uuid[sizeof gpu->uuid + 4];
    nvml_device_t device;
    snprintf(uuid, sizeof uuid, "GPU-%s", gpu->uuid);
    const int error = nvml.nvmlDeviceGetHandleByUUID(uuid, &device);
    return error ? error : nvml.nvmlDeviceGetTotalEnergyConsumption(device, out_mj);
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
    if (nvml.library) {
        const int error = read_counter(dev->gpu, &mj);
        snprintf(why, sizeof why, "%s", error ? nvml.nvmlErrorString(error) : "");
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
    if (nvml.library) {
        (void)nvml.nvmlShutdown();
        (void)dlclose(nvml.library);
    }
    nvml.library = NULL;
    nvml.asked = false;
    pthread_mutex_unlock(&nvml.lock);
}
