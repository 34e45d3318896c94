/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening and closing a GPU: its primary context, which other libraries of the process share, the image of
 * kernels, and the options. */
#define _GNU_SOURCE
#include "image.h"
#include "unified.h"
#include "wide.h"

#include <string.h>
#include <time.h>

q35i_cu_result q35i_cuda_enter(const q35_device *dev)
{
    return dev->drv->cuCtxPushCurrent_v2(dev->context);
}

void q35i_cuda_leave(const q35_device *dev)
{
    q35i_cu_context popped = NULL;
    if (dev->drv->cuCtxPopCurrent_v2(&popped) == 0 && popped && popped != dev->context)
        (void)dev->drv->cuCtxPushCurrent_v2(popped); /* entering had failed */
}

q35_status q35i_cuda_driver_failed(const q35_device *dev, q35_status code, q35i_cu_result error, const char *what)
{
    char text[160];
    return q35p_fail(q35i_cuda_error_is_sticky(error) ? Q35_E_DEVICE_LOST : code, "cuda device %u: %s: %s",
                     dev->index, what, q35i_cuda_error_text(dev->drv, error, text, sizeof text));
}

/* ---- options */

static q35_status parse_option(q35_device *dev, const char *key, const char *value)
{
    const bool graphs = strcmp(key, "graphs") == 0;
    if (!graphs && strcmp(key, "wgmma") != 0)
        return q35p_fail(Q35_E_INVALID, "cuda option '%s': unknown, need graphs or wgmma", key);
    if (strcmp(value, "off") == 0)
        *(graphs ? &dev->graphs : &dev->wide) = false;
    else if (strcmp(value, "on") != 0)
        return q35p_fail(Q35_E_INVALID, "cuda option %s: value '%s', need on or off", key, value);
    else if (graphs && !dev->drv->has_graphs)
        return q35p_fail(Q35_E_UNAVAILABLE, "cuda option graphs: this driver has none, need off");
    return Q35_OK;
}

static q35_status parse_options(q35_device *dev, const q35_open_options *options)
{
    if (options && Q35_HAS_FIELD(options, q35_open_options, memory_cap))
        dev->memory_cap = options->memory_cap;
    /* Every kernel gives the same bits each time, so there is nothing to choose for `deterministic`. */
    if (!options || !Q35_HAS_FIELD(options, q35_open_options, values) || options->n_options == 0)
        return Q35_OK;
    if (!options->keys || !options->values)
        return q35p_fail(Q35_E_INVALID, "cuda options: %u without keys or values, need both", options->n_options);
    for (uint32_t i = 0; i < options->n_options; i++) {
        if (!options->keys[i] || !options->values[i])
            return q35p_fail(Q35_E_INVALID, "cuda option %u: key or value is missing, need both", i);
        q35_status status = parse_option(dev, options->keys[i], options->values[i]);
        if (status != Q35_OK)
            return status;
    }
    return Q35_OK;
}

/* ---- kernels */

static q35_status no_kernels(const q35_device *dev, q35i_cu_result error)
{
    char text[160];
    const char *hint = q35i_cuda_image_bytes == 0
                           ? "; this build has none"
                           : (error == Q35I_CU_NO_BINARY || error == Q35I_CU_UNSUPPORTED_PTX
                                  ? "; the driver is older than the toolkit they were built with, or the GPU is "
                                    "older than sm_80"
                                  : "");
    return q35p_fail(Q35_E_UNAVAILABLE, "cuda device %u: kernels do not load for sm_%d: %s%s", dev->index,
                     dev->gpu->capability, q35i_cuda_error_text(dev->drv, error, text, sizeof text), hint);
}

/* Do the kernels wait for those before them, as code for sm_90 and later does, and can the driver start them
 * early? Graphs have it since CUDA 12.3. */
static bool can_overlap(const q35_device *dev)
{
    const q35i_cuda_driver *drv = dev->drv;
    int made_for = 0;
    return drv->cuLaunchKernelEx && drv->version >= 12030 &&
           drv->cuFuncGetAttribute(&made_for, Q35I_CU_FUNC_PTX_VERSION, dev->kernel[0]) == 0 && made_for >= 90;
}

/* An equal split of cache and shared memory for all kernels spares its change between any two of them. */
static q35_status load_kernels(q35_device *dev)
{
    const q35i_cuda_driver *drv = dev->drv;
    q35i_cu_result error = drv->cuModuleLoadData(&dev->module, q35i_cuda_image);
    if (error != 0) {
        dev->module = NULL;
        return no_kernels(dev, error);
    }
    for (uint32_t k = 0; k < Q35_CUDA_N_KERNELS; k++) {
        error = drv->cuModuleGetFunction(&dev->kernel[k], dev->module, q35_cuda_kernel_name(k));
        if (error == Q35I_CU_NOT_FOUND && q35_cuda_is_wide(k)) {
            dev->kernel[k] = NULL;
            continue;
        }
        if (error != 0)
            return q35i_cuda_driver_failed(dev, Q35_E_UNAVAILABLE, error, q35_cuda_kernel_name(k));
        (void)drv->cuFuncSetAttribute(dev->kernel[k], Q35I_CU_FUNC_CARVEOUT, 100);
    }
    dev->overlaps = can_overlap(dev);
    return Q35_OK;
}

q35_status q35i_cuda_allow_shared(q35_device *dev, uint32_t kernel, uint32_t bytes)
{
    enum { FREE = 48 * 1024 }; /* that any launch may ask for */
    q35i_cu_result error = 0;
    pthread_mutex_lock(&dev->lock);
    if (bytes > FREE && bytes > dev->shared_limit[kernel]) {
        error = dev->drv->cuFuncSetAttribute(dev->kernel[kernel], Q35I_CU_FUNC_MAX_DYNAMIC_SHARED, (int)bytes);
        if (error == 0)
            dev->shared_limit[kernel] = bytes;
    }
    pthread_mutex_unlock(&dev->lock);
    if (error == 0)
        return Q35_OK;
    return q35p_fail(Q35_E_UNSUPPORTED, "cuda device %u: %s needs %u bytes of shared memory, sm_%d has %d",
                     dev->index, q35_cuda_kernel_name(kernel), bytes, dev->gpu->capability, dev->gpu->max_shared);
}

/* ---- life */

static q35_status open_context(q35_device *dev)
{
    q35i_cu_result error = dev->drv->cuDevicePrimaryCtxRetain(&dev->context, dev->gpu->handle);
    if (error != 0) {
        dev->context = NULL;
        return q35i_cuda_driver_failed(dev, error == Q35I_CU_OUT_OF_MEMORY ? Q35_E_NOMEM : Q35_E_UNAVAILABLE,
                                       error, "creating a context");
    }
    error = q35i_cuda_enter(dev);
    if (error != 0)
        return q35i_cuda_driver_failed(dev, Q35_E_DEVICE, error, "entering the context");
    q35_status status = load_kernels(dev);
    if (status == Q35_OK)
        status = q35i_cuda_share_memory(dev);
    if (status == Q35_OK)
        status = q35i_cuda_prove_wide(dev);
    q35i_cuda_leave(dev);
    return status;
}

static void init_lock(q35_device *dev)
{
    pthread_condattr_t attr;
    pthread_mutex_init(&dev->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&dev->changed, &attr);
    pthread_condattr_destroy(&attr);
}

q35_status q35i_cuda_device_open(uint32_t i, const q35_open_options *options, q35_device **out)
{
    uint32_t n;
    const q35i_cuda_driver *drv = q35i_cuda_probe(&n);
    if (!drv || i >= n)
        return q35p_fail(Q35_E_RANGE, "cuda device %u: need less than %u", i, n);
    q35_device *dev = q35p_alloc(1, sizeof *dev);
    if (!dev)
        return q35p_fail(Q35_E_NOMEM, "cuda device: out of host memory for %zu bytes", sizeof *dev);
    dev->drv = drv;
    dev->gpu = q35i_cuda_gpu_at(i);
    dev->index = i;
    dev->graphs = drv->has_graphs;
    dev->wide = true;
    init_lock(dev);
    q35_status status = parse_options(dev, options);
    if (status == Q35_OK)
        status = open_context(dev);
    if (status == Q35_OK)
        *out = dev;
    else
        q35i_cuda_device_close(dev);
    return status;
}

void q35i_cuda_device_close(q35_device *dev)
{
    if (!dev)
        return;
    if (dev->context) {
        (void)q35i_cuda_enter(dev);
        q35i_cuda_free_works(dev);
        if (dev->module)
            (void)dev->drv->cuModuleUnload(dev->module);
        q35i_cuda_leave(dev);
        if (dev->lost) /* a context that failed stays so for all who share it until it is reset */
            (void)dev->drv->cuDevicePrimaryCtxReset_v2(dev->gpu->handle);
        (void)dev->drv->cuDevicePrimaryCtxRelease_v2(dev->gpu->handle);
    }
    pthread_cond_destroy(&dev->changed);
    pthread_mutex_destroy(&dev->lock);
    q35p_free(dev);
}
