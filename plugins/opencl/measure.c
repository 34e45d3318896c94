/* SPDX-License-Identifier: Apache-2.0
 *
 * What the device can do at best: passes of a kernel over and over, of which the best counts, since anything else
 * on the machine only slows a pass down. Buffers are those of the device, so its limits of memory hold. */
#include "plugins/opencl/opencl.h"

#include <stdio.h>
#include <string.h>

enum { READ_BYTES = 256 << 20, PASS_NS = 5000000, FIRST_ROUNDS = 1 << 12, GROUPS_PER_UNIT = 16 };

typedef struct measuring {
    q35_device *dev;
    cl_kernel kernel;
    size_t groups, items_per_group;
    q35_buf *from, *to;
} measuring;

static size_t wide_bytes(const q35_device *dev)
{
    return dev->family == Q35I_CL_CPU ? 64 : 16; /* of a work-item's vector, as in measure.cl */
}

/* The kernel, and a buffer for a vector of each work-item. */
static q35_status prepare(measuring *m, q35_device *dev, const char *kernel)
{
    *m = (measuring){.dev = dev,
                     .groups = (size_t)dev->found->units * GROUPS_PER_UNIT,
                     .items_per_group = dev->family == Q35I_CL_CPU ? 1 : Q35I_CL_LANES};
    q35_status status = q35i_cl_kernel(dev, "measure", "", kernel, &m->kernel);
    if (status == Q35_OK)
        status =
            q35i_cl_buf_alloc(dev, 0, m->groups * m->items_per_group * wide_bytes(dev), 64, Q35_USE_ACT, &m->to);
    return status;
}

static void release(measuring *m)
{
    q35i_cl_buf_free(m->from);
    q35i_cl_buf_free(m->to);
    if (m->kernel)
        (void)q35i_cl.ReleaseKernel(m->kernel);
}

static q35_status failed(const measuring *m, cl_int error)
{
    char name[48];
    return error == CL_SUCCESS ? Q35_OK
                               : q35p_fail(Q35_E_DEVICE, "opencl: measuring %s: %s", m->dev->found->name,
                                           q35i_cl_error(error, name));
}

static cl_int pass(const measuring *m, uint64_t *out_ns)
{
    const size_t local = m->items_per_group, items = m->groups * local;
    const uint64_t begin = q35p_host->now_ns();
    cl_int error = q35i_cl.EnqueueNDRangeKernel(m->dev->maps, m->kernel, 1, NULL, &items, &local, 0, NULL, NULL);
    if (error == CL_SUCCESS)
        error = q35i_cl.Finish(m->dev->maps);
    *out_ns = q35p_host->now_ns() - begin;
    return error;
}

/* The best of passes for ms milliseconds. */
static cl_int best_pass(const measuring *m, uint32_t ms, uint64_t *out_ns)
{
    const uint64_t begin = q35p_host->now_ns();
    cl_int error = CL_SUCCESS;
    *out_ns = UINT64_MAX;
    do {
        uint64_t ns;
        error = pass(m, &ns);
        *out_ns = ns < *out_ns ? ns : *out_ns;
    } while (error == CL_SUCCESS && q35p_host->now_ns() - begin < (uint64_t)ms * 1000000u);
    *out_ns += *out_ns == 0;
    return error;
}

/* ---- products */

static cl_int set_multiply(const measuring *m, cl_int rounds)
{
    const cl_float a = 3, b = 5;
    cl_int error = q35i_cl.SetKernelArg(m->kernel, 0, sizeof a, &a);
    if (error == CL_SUCCESS)
        error = q35i_cl.SetKernelArg(m->kernel, 1, sizeof b, &b);
    if (error == CL_SUCCESS)
        error = q35i_cl.SetKernelArg(m->kernel, 2, sizeof rounds, &rounds);
    if (error == CL_SUCCESS)
        error = q35i_cl.SetKernelArg(m->kernel, 3, sizeof(cl_mem), &m->to->mem);
    return error;
}

/* The kernel says how many products a work-item has in a round, by a pass of no rounds. */
static cl_int multiply(const measuring *m, uint32_t ms, double *out_per_ns)
{
    cl_int rounds = FIRST_ROUNDS, error = CL_SUCCESS, per_round = 0;
    uint64_t ns = 0;
    error = set_multiply(m, 0);
    if (error == CL_SUCCESS)
        error = pass(m, &ns);
    if (error == CL_SUCCESS)
        error = q35i_cl.EnqueueReadBuffer(m->dev->maps, m->to->mem, CL_TRUE, 0, sizeof per_round, &per_round, 0,
                                          NULL, NULL);
    for (ns = 0; error == CL_SUCCESS && ns < PASS_NS && rounds < 1 << 28; rounds *= 2) {
        error = set_multiply(m, 2 * rounds);
        if (error == CL_SUCCESS)
            error = pass(m, &ns);
    }
    if (error == CL_SUCCESS)
        error = best_pass(m, ms, &ns);
    const double products = (double)per_round * rounds * (double)(m->groups * m->items_per_group);
    *out_per_ns = error == CL_SUCCESS ? products / (double)ns : 0;
    return error;
}

static q35_status limit_multiply(q35_device *dev, uint32_t ms, double *out_per_ns)
{
    measuring m;
    q35_status status = prepare(&m, dev, "q35_multiply");
    if (status == Q35_OK)
        status = failed(&m, multiply(&m, ms, out_per_ns));
    release(&m);
    return status;
}

/* ---- reading */

/* A buffer that no cache holds, or as much as there is room for. */
static q35_status get_memory(measuring *m, uint64_t *out_per_group)
{
    const q35_device *dev = m->dev;
    const uint64_t step = 4 * m->items_per_group * wide_bytes(dev), used = atomic_load(&dev->used);
    uint64_t bytes = READ_BYTES;
    while (bytes > dev->found->max_alloc || (bytes > m->groups * step && bytes > (dev->capacity - used) / 2))
        bytes /= 2;
    const uint64_t steps = bytes / (m->groups * step);
    *out_per_group = (steps ? steps : 1) * step;
    return q35i_cl_buf_alloc(m->dev, 0, *out_per_group * m->groups, 64, Q35_USE_WEIGHT, &m->from);
}

static cl_int read_memory(const measuring *m, uint64_t per_group, uint32_t ms, double *out_per_ns)
{
    const cl_int words = (cl_int)(per_group / wide_bytes(m->dev));
    const cl_uint one = 1; /* untouched memory may be one page, again and again */
    uint64_t ns = 0;
    cl_int error =
        q35i_cl.EnqueueFillBuffer(m->dev->maps, m->from->mem, &one, sizeof one, 0, m->from->bytes, 0, NULL, NULL);
    if (error == CL_SUCCESS)
        error = q35i_cl.SetKernelArg(m->kernel, 0, sizeof(cl_mem), &m->from->mem);
    if (error == CL_SUCCESS)
        error = q35i_cl.SetKernelArg(m->kernel, 1, sizeof words, &words);
    if (error == CL_SUCCESS)
        error = q35i_cl.SetKernelArg(m->kernel, 2, sizeof(cl_mem), &m->to->mem);
    if (error == CL_SUCCESS)
        error = pass(m, &ns);
    if (error == CL_SUCCESS)
        error = best_pass(m, ms, &ns);
    *out_per_ns = error == CL_SUCCESS ? (double)m->from->bytes / (double)ns : 0;
    return error;
}

static q35_status limit_read(q35_device *dev, uint32_t ms, double *out_per_ns)
{
    measuring m;
    uint64_t per_group = 0;
    q35_status status = prepare(&m, dev, "q35_read");
    if (status == Q35_OK)
        status = get_memory(&m, &per_group);
    if (status == Q35_OK)
        status = failed(&m, read_memory(&m, per_group, ms, out_per_ns));
    release(&m);
    return status;
}

q35_status q35i_cl_limit(q35_device *dev, uint32_t i, uint32_t ms, q35_limit *out)
{
    double per_ns = 0;
    if (i > 1)
        return q35p_fail(Q35_E_RANGE, "opencl limit %u: need 0 or 1", i);
    const q35_status status = i == 0 ? limit_multiply(dev, ms, &per_ns) : limit_read(dev, ms, &per_ns);
    if (status != Q35_OK)
        return status;
    q35_limit limit = {.h = {sizeof limit, Q35_STRUCT_LIMIT, NULL},
                       .kind = i == 0 ? Q35_LIMIT_INT8 : Q35_LIMIT_READ,
                       .per_second = (uint64_t)(per_ns * 1e9)};
    snprintf(limit.name, sizeof limit.name, "%s", i == 0 ? "f32" : "reading");
    q35p_answer(&out->h, &limit.h);
    return Q35_OK;
}
