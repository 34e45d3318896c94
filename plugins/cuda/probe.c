/* SPDX-License-Identifier: Apache-2.0
 *
 * What GPUs there are. The driver is opened at the first question and kept until shutdown; no context is created
 * here. CUDA_VISIBLE_DEVICES is the driver's business: it hides and reorders devices, so the log says which device
 * each number means. */
#include "cuda.h"

#include <stdio.h>
#include <string.h>

static struct {
    pthread_mutex_t lock;
    bool asked;
    char why[256]; /* there is no device */
    q35i_cuda_driver drv;
    uint32_t n;
    q35i_cuda_gpu gpu[Q35I_CUDA_MAX_DEVICES];
    atomic_bool unshared[Q35I_CUDA_MAX_DEVICES];
} probe = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int attribute(const q35i_cuda_gpu *gpu, q35i_cu_enum which)
{
    int value = 0;
    return probe.drv.cuDeviceGetAttribute(&value, which, gpu->handle) == 0 ? value : 0;
}

/* Digits as NVIDIA's tools print them behind "GPU-". */
static void print_uuid(const q35i_cu_uuid *uuid, char *out, size_t cap)
{
    size_t at = 0;
    for (int i = 0; i < 16 && at + 4 < cap; i++) {
        const char *dash = i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "";
        at += (size_t)snprintf(out + at, cap - at, "%s%02x", dash, (unsigned)(unsigned char)uuid->bytes[i]);
    }
}

static q35i_cuda_sharing_t sharing_of(const q35i_cuda_gpu *gpu)
{
    return !gpu->integrated                                       ? Q35I_CUDA_COPIED
           : attribute(gpu, Q35I_CU_ATTR_CONCURRENT_MANAGED) != 0 ? Q35I_CUDA_MANAGED
           : attribute(gpu, Q35I_CU_ATTR_CAN_MAP_HOST) != 0       ? Q35I_CUDA_MAPPED
                                                                  : Q35I_CUDA_COPIED;
}

static q35i_cu_result describe(int ordinal, q35i_cuda_gpu *gpu)
{
    q35i_cu_uuid uuid;
    size_t bytes = 0;
    q35i_cu_result error = probe.drv.cuDeviceGet(&gpu->handle, ordinal);
    if (error == 0)
        error = probe.drv.cuDeviceGetName(gpu->name, (int)sizeof gpu->name - 1, gpu->handle);
    if (error == 0)
        error = probe.drv.cuDeviceTotalMem_v2(&bytes, gpu->handle);
    if (error == 0)
        error = probe.drv.cuDeviceGetUuid_v2(&uuid, gpu->handle);
    if (error != 0)
        return error;
    print_uuid(&uuid, gpu->uuid, sizeof gpu->uuid);
    if (probe.drv.cuDeviceGetPCIBusId(gpu->pci, (int)sizeof gpu->pci, gpu->handle) != 0)
        gpu->pci[0] = '\0'; /* boards without the bus */
    gpu->memory_bytes = bytes;
    gpu->capability =
        10 * attribute(gpu, Q35I_CU_ATTR_CAPABILITY_MAJOR) + attribute(gpu, Q35I_CU_ATTR_CAPABILITY_MINOR);
    gpu->n_sm = attribute(gpu, Q35I_CU_ATTR_N_SM);
    gpu->clock_khz = attribute(gpu, Q35I_CU_ATTR_CLOCK_KHZ);
    gpu->memory_clock_khz = attribute(gpu, Q35I_CU_ATTR_MEMORY_CLOCK_KHZ);
    gpu->bus_bits = attribute(gpu, Q35I_CU_ATTR_BUS_BITS);
    gpu->max_shared = attribute(gpu, Q35I_CU_ATTR_MAX_SHARED);
    gpu->integrated = attribute(gpu, Q35I_CU_ATTR_INTEGRATED) != 0;
    gpu->sharing = sharing_of(gpu);
    int numa = -1;
    if (probe.drv.cuDeviceGetAttribute(&numa, Q35I_CU_ATTR_HOST_NUMA, gpu->handle) != 0)
        numa = -1; /* drivers before 12.2 do not know */
    gpu->numa = numa;
    return 0;
}

static void ask(void)
{
    int n = 0;
    if (!q35i_cuda_driver_open(&probe.drv, probe.why, sizeof probe.why))
        return;
    q35i_cu_result error = probe.drv.cuDeviceGetCount(&n);
    if (error == 0 && n < 1)
        error = Q35I_CU_NO_DEVICE;
    n = n < Q35I_CUDA_MAX_DEVICES ? n : Q35I_CUDA_MAX_DEVICES;
    for (int i = 0; i < n && error == 0; i++)
        error = describe(i, &probe.gpu[i]);
    if (error == 0) {
        probe.n = (uint32_t)n;
        return;
    }
    q35i_cuda_explain(&probe.drv, error, probe.why, sizeof probe.why);
    q35i_cuda_driver_close(&probe.drv);
}

/* The driver is opened under the lock, which calls no service of the host. */
const q35i_cuda_driver *q35i_cuda_probe(uint32_t *out_n)
{
    pthread_mutex_lock(&probe.lock);
    if (!probe.asked)
        ask();
    probe.asked = true;
    *out_n = probe.n;
    pthread_mutex_unlock(&probe.lock);
    return *out_n > 0 ? &probe.drv : NULL;
}

const q35i_cuda_gpu *q35i_cuda_gpu_at(uint32_t i)
{
    uint32_t n;
    (void)q35i_cuda_probe(&n);
    return i < n ? &probe.gpu[i] : NULL;
}

q35i_cuda_sharing_t q35i_cuda_sharing(uint32_t i)
{
    return atomic_load(&probe.unshared[i]) ? Q35I_CUDA_COPIED : probe.gpu[i].sharing;
}

void q35i_cuda_unshare(uint32_t i)
{
    atomic_store(&probe.unshared[i], true);
}

void q35i_cuda_shutdown(void)
{
    pthread_mutex_lock(&probe.lock);
    q35i_cuda_driver_close(&probe.drv);
    memset(probe.gpu, 0, sizeof probe.gpu);
    for (uint32_t i = 0; i < Q35I_CUDA_MAX_DEVICES; i++)
        atomic_store(&probe.unshared[i], false);
    probe.n = 0;
    probe.asked = false;
    pthread_mutex_unlock(&probe.lock);
}

q35_status q35i_cuda_enumerate(uint32_t *out_n)
{
    const q35i_cuda_driver *drv = q35i_cuda_probe(out_n);
    if (!drv) {
        q35p_log(2, "cuda: %s", probe.why);
        return Q35_OK;
    }
    for (uint32_t i = 0; i < *out_n; i++) {
        const q35i_cuda_gpu *gpu = &probe.gpu[i];
        q35p_log(2, "cuda: device %u is GPU-%s at %s: %s, compute capability %d.%d, driver for CUDA %d.%d", i,
                 gpu->uuid, gpu->pci[0] ? gpu->pci : "no bus", gpu->name, gpu->capability / 10,
                 gpu->capability % 10, drv->version / 1000, drv->version % 1000 / 10);
    }
    return Q35_OK;
}

/* Products of int8 per clock and multiprocessor of the matrix unit, as the architecture papers have them. */
static uint64_t int8_rate(int capability)
{
    return capability >= 90 && capability < 120 ? 4096 : capability == 80 || capability == 87 ? 2048 : 1024;
}

q35_status q35i_cuda_device_info(uint32_t i, q35_device_info *out)
{
    const q35i_cuda_gpu *gpu = q35i_cuda_gpu_at(i);
    if (!gpu)
        return q35p_fail(Q35_E_RANGE, "cuda device %u: there is none", i);
    const uint64_t cycles_per_us = (uint64_t)gpu->n_sm * (uint64_t)gpu->clock_khz / 1000u; /* of all SMs */
    q35_device_info info = {.h = {sizeof info, Q35_STRUCT_DEVICE_INFO, NULL},
                            .host_numa = gpu->numa,
                            .device_class = gpu->integrated ? Q35_CLASS_IGPU : Q35_CLASS_GPU,
                            .n_memories = 1,
                            .n_queues = 2,
                            .flags = gpu->integrated ? Q35_DF_UNIFIED : 0,
                            .peak_gmacs_int8 = cycles_per_us * int8_rate(gpu->capability) / 1000u,
                            .peak_gflops_f32 = cycles_per_us * 256u / 1000u,
                            .launch_ns = 5000};
    snprintf(info.name, sizeof info.name, "%.36s, sm_%d, %d SMs", gpu->name, gpu->capability, gpu->n_sm);
    memcpy(info.uuid, gpu->uuid, sizeof info.uuid);
    memcpy(info.pci, gpu->pci, sizeof info.pci);
    q35p_answer(&out->h, &info.h);
    return Q35_OK;
}

q35_status q35i_cuda_memory_info(uint32_t i, uint32_t m, q35_memory_info *out)
{
    const q35i_cuda_gpu *gpu = q35i_cuda_gpu_at(i);
    if (!gpu || m != 0)
        return q35p_fail(Q35_E_RANGE, "cuda device %u memory %u: there is none", i, m);
    /* How much is free only a context knows; both edges of a memory clock carry data. */
    q35_memory_info info = {.h = {sizeof info, Q35_STRUCT_MEMORY_INFO, NULL},
                            .kind = gpu->integrated ? Q35_MEM_UNIFIED : Q35_MEM_DEVICE,
                            .host_coherent = q35i_cuda_sharing(i) != Q35I_CUDA_COPIED,
                            .capacity = gpu->memory_bytes,
                            .available = gpu->memory_bytes,
                            .max_alloc = gpu->memory_bytes,
                            .align = Q35I_CUDA_ALIGN,
                            .read_mbs = (uint64_t)gpu->memory_clock_khz * (uint64_t)gpu->bus_bits / 4000u};
    info.write_mbs = info.read_mbs;
    q35p_answer(&out->h, &info.h);
    return Q35_OK;
}
