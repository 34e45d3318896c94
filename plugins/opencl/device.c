/* SPDX-License-Identifier: Apache-2.0
 *
 * Describing, opening and closing a device, and its options. */
#include "plugins/opencl/opencl.h"

#include <stdio.h>
#include <string.h>

static uint32_t class_of(const q35i_cl_found *d)
{
    if (d->type & CL_DEVICE_TYPE_CPU)
        return Q35_CLASS_CPU;
    if (d->type & CL_DEVICE_TYPE_GPU)
        return d->unified ? Q35_CLASS_IGPU : Q35_CLASS_GPU;
    return Q35_CLASS_OTHER;
}

q35_status q35i_cl_device_info(uint32_t i, q35_device_info *out)
{
    const q35i_cl_found *d = q35i_cl_device_at(i);
    if (!d)
        return Q35_E_RANGE;
    q35_device_info info = {.h = {sizeof info, Q35_STRUCT_DEVICE_INFO, NULL},
                            .host_numa = -1,
                            .device_class = class_of(d),
                            .n_memories = 1,
                            .n_queues = 2,
                            .flags = d->unified ? Q35_DF_UNIFIED : 0,
                            .launch_ns = d->type == CL_DEVICE_TYPE_CPU ? 3000 : 8000};
    snprintf(info.name, sizeof info.name, "%.63s", d->name);
    snprintf(info.uuid, sizeof info.uuid, "%s", d->uuid);
    snprintf(info.pci, sizeof info.pci, "%s", d->pci);
    q35p_answer(&out->h, &info.h);
    return Q35_OK;
}

q35_status q35i_cl_memory_info(uint32_t i, uint32_t m, q35_memory_info *out)
{
    const q35i_cl_found *d = q35i_cl_device_at(i);
    if (!d)
        return Q35_E_RANGE;
    if (m != 0)
        return q35p_fail(Q35_E_RANGE, "opencl device %u memory %u: need 0", i, m);
    q35_memory_info info = {.h = {sizeof info, Q35_STRUCT_MEMORY_INFO, NULL},
                            .kind = d->unified ? Q35_MEM_UNIFIED : Q35_MEM_DEVICE,
                            .host_coherent = d->coherent,
                            .capacity = d->memory,
                            .available = d->memory,
                            .max_alloc = d->max_alloc,
                            .align = d->base_align_bits / 8};
    q35p_answer(&out->h, &info.h);
    return Q35_OK;
}

/* ---- opening */

static q35_status set_option(q35_device *dev, const char *key, const char *value)
{
    if (strcmp(key, "family") == 0) {
        if (strcmp(value, "auto") != 0 && strcmp(value, "cpu") != 0 && strcmp(value, "gpu") != 0)
            return q35p_fail(Q35_E_INVALID, "opencl option family: value '%s', need auto, cpu or gpu", value);
        if (strcmp(value, "gpu") == 0 && dev->found->max_group < Q35I_CL_LANES)
            return q35p_fail(Q35_E_UNAVAILABLE, "opencl option family: groups of %zu at most, need %d for gpu",
                             dev->found->max_group, (int)Q35I_CL_LANES);
        if (strcmp(value, "auto") != 0)
            dev->family = strcmp(value, "gpu") == 0 ? Q35I_CL_GPU : Q35I_CL_CPU;
        return Q35_OK;
    }
    if (strcmp(key, "cache") == 0) {
        if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
            return q35p_fail(Q35_E_INVALID, "opencl option cache: value '%s', need on or off", value);
        dev->keeps_binaries = strcmp(value, "on") == 0;
        return Q35_OK;
    }
    return q35p_fail(Q35_E_INVALID, "opencl option '%s': unknown, need family or cache", key);
}

static q35_status set_options(q35_device *dev, const q35_open_options *options)
{
    q35_status status = Q35_OK;
    if (options && Q35_HAS_FIELD(options, q35_open_options, memory_cap) && options->memory_cap != 0 &&
        options->memory_cap < dev->capacity)
        dev->capacity = options->memory_cap;
    if (!options || !Q35_HAS_FIELD(options, q35_open_options, values) || options->n_options == 0)
        return Q35_OK;
    if (!options->keys || !options->values)
        return q35p_fail(Q35_E_INVALID, "opencl options: %u without keys or values, need both",
                         options->n_options);
    for (uint32_t i = 0; i < options->n_options && status == Q35_OK; i++) {
        if (!options->keys[i] || !options->values[i])
            return q35p_fail(Q35_E_INVALID, "opencl option %u: key or value is missing, need both", i);
        status = set_option(dev, options->keys[i], options->values[i]);
    }
    return status;
}

static q35_status create_context(q35_device *dev)
{
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)dev->found->platform,
                                                0};
    cl_int error;
    char name[48];
    dev->context = q35i_cl.CreateContext(properties, 1, &dev->found->id, NULL, NULL, &error);
    if (error == CL_SUCCESS)
        dev->maps = q35i_cl.CreateCommandQueue(dev->context, dev->found->id, 0, &error);
    if (error == CL_SUCCESS)
        return Q35_OK;
    return q35p_fail(Q35_E_UNAVAILABLE, "opencl device %s: cannot make a context: %s", dev->found->name,
                     q35i_cl_error(error, name));
}

q35_status q35i_cl_device_open(uint32_t i, const q35_open_options *options, q35_device **out)
{
    const q35i_cl_found *found = q35i_cl_device_at(i);
    if (!found)
        return Q35_E_RANGE;
    q35_device *dev = q35p_alloc(1, sizeof *dev);
    if (!dev)
        return q35p_fail(Q35_E_NOMEM, "opencl device: out of memory for %zu bytes", sizeof *dev);
    dev->found = found;
    dev->family = found->type & CL_DEVICE_TYPE_CPU ? Q35I_CL_CPU : Q35I_CL_GPU;
    dev->keeps_binaries = true;
    dev->capacity = found->memory;
    atomic_init(&dev->used, 0);
    pthread_mutex_init(&dev->lock, NULL);
    q35_status status = set_options(dev, options);
    if (status == Q35_OK)
        status = create_context(dev);
    if (status != Q35_OK) {
        q35i_cl_device_close(dev);
        return status;
    }
    *out = dev;
    return Q35_OK;
}

void q35i_cl_device_close(q35_device *dev)
{
    if (!dev)
        return;
    q35i_cl_free_programs(dev);
    if (dev->maps)
        (void)q35i_cl.ReleaseCommandQueue(dev->maps);
    if (dev->context)
        (void)q35i_cl.ReleaseContext(dev->context);
    pthread_mutex_destroy(&dev->lock);
    q35p_free(dev);
}
