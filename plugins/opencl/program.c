/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs, built when a plan first needs one of their kernels: from the binary on disk when there is one, else
 * from the embedded source. */
#include "plugins/opencl/opencl.h"

#include <stdio.h>
#include <string.h>

enum { NAMES_CAP = 32, MAX_SOURCES = 4, DEFINES_CAP = 160, OPTIONS_CAP = 512, LOG_CAP = 700 };

struct q35i_cl_program {
    q35i_cl_program *next;
    char names[NAMES_CAP]; /* of its sources but "common": "row+linear" */
    char defines[DEFINES_CAP];
    cl_program cl;
};

static const q35i_cl_source *source_named(const char *name, size_t length)
{
    const q35i_cl_source *s = q35i_cl_sources;
    while (strncmp(s->name, name, length) != 0 || s->name[length] != '\0')
        s++;
    return s;
}

/* In the order in which they are one text; returns how many. */
static cl_uint list_sources(const char *names, const q35i_cl_source *out[MAX_SOURCES])
{
    cl_uint n = 0;
    out[n++] = source_named("common", strlen("common"));
    for (size_t length; *names && n < MAX_SOURCES; names += length + (names[length] == '+')) {
        length = strcspn(names, "+");
        out[n++] = source_named(names, length);
    }
    return n;
}

static void write_options(const q35_device *dev, const char *defines, char *out)
{
    const bool cpu = dev->family == Q35I_CL_CPU;
    snprintf(
        out, OPTIONS_CAP,
        "-cl-std=CL1.2%s -DQ35_CPU=%d -DQ35_LOCAL=%d -DQ35_SPAN=%d -DQ35_FP64=%d -DQ35_DIVIDE=%d -DQ35_FMA=%d %s",
        dev->found->divides ? " -cl-fp32-correctly-rounded-divide-sqrt" : "", cpu, cpu ? 1 : (int)Q35I_CL_LANES,
        cpu ? 128 : 1, dev->found->fp64, dev->found->divides, dev->found->fma, defines);
}

/* Of everything that a binary depends on. */
static void write_key(const q35_device *dev, const char *names, const char *options, uint8_t key[16])
{
    const q35i_cl_source *sources[MAX_SOURCES];
    const cl_uint n = list_sources(names, sources);
    const char *const texts[] = {Q35I_CL_VERSION, options, dev->found->platform_name, dev->found->name,
                                 dev->found->driver};
    memset(key, 0, 16);
    for (cl_uint i = 0; i < n; i++)
        q35i_cl_hash(key, sources[i]->text, sources[i]->bytes);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        q35i_cl_hash(key, texts[i], strlen(texts[i]) + 1);
}

static cl_program from_binary(q35_device *dev, const uint8_t key[16], const char *options)
{
    size_t bytes;
    cl_int error, state;
    unsigned char *binary = dev->keeps_binaries ? q35i_cl_binary_load(key, &bytes) : NULL;
    if (!binary)
        return NULL;
    const unsigned char *list = binary;
    cl_program cl =
        q35i_cl.CreateProgramWithBinary(dev->context, 1, &dev->found->id, &bytes, &list, &state, &error);
    q35p_free(binary);
    if (error != CL_SUCCESS)
        return NULL;
    if (state == CL_SUCCESS && q35i_cl.BuildProgram(cl, 1, &dev->found->id, options, NULL, NULL) == CL_SUCCESS)
        return cl;
    (void)q35i_cl.ReleaseProgram(cl);
    return NULL;
}

static void keep_binary(const q35_device *dev, cl_program cl, const uint8_t key[16])
{
    size_t bytes = 0;
    if (!dev->keeps_binaries ||
        q35i_cl.GetProgramInfo(cl, CL_PROGRAM_BINARY_SIZES, sizeof bytes, &bytes, NULL) != CL_SUCCESS ||
        bytes == 0)
        return;
    unsigned char *binary = q35p_alloc(1, bytes);
    if (binary &&
        q35i_cl.GetProgramInfo(cl, CL_PROGRAM_BINARIES, sizeof(unsigned char *), &binary, NULL) == CL_SUCCESS)
        q35i_cl_binary_store(key, binary, bytes);
    q35p_free(binary);
}

/* The compiler's first words, as one line. */
static q35_status build_failed(const q35_device *dev, const char *names, cl_program cl, cl_int error)
{
    char log[LOG_CAP] = "no log", name[48];
    size_t bytes = 0;
    (void)q35i_cl.GetProgramBuildInfo(cl, dev->found->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &bytes);
    char *whole = bytes > 1 ? q35p_alloc(1, bytes + 1) : NULL;
    if (whole &&
        q35i_cl.GetProgramBuildInfo(cl, dev->found->id, CL_PROGRAM_BUILD_LOG, bytes, whole, NULL) == CL_SUCCESS)
        snprintf(log, sizeof log, "%s", whole);
    q35p_free(whole);
    for (char *p = log; *p; p++)
        if (*p == '\n' || *p == '\r' || *p == '\t')
            *p = ' ';
    q35p_log(0, "opencl: build log of kernels %s: %.400s", names, log);
    return q35p_fail(Q35_E_DEVICE, "opencl: kernels %s do not build for %.60s: %s: %.240s", names,
                     dev->found->name, q35i_cl_error(error, name), log);
}

static q35_status from_source(q35_device *dev, const char *names, const char *options, cl_program *out)
{
    const q35i_cl_source *sources[MAX_SOURCES];
    const cl_uint n = list_sources(names, sources);
    const char *texts[MAX_SOURCES];
    size_t bytes[MAX_SOURCES];
    cl_int error;
    char name[48];
    for (cl_uint i = 0; i < n; i++) {
        texts[i] = (const char *)sources[i]->text;
        bytes[i] = sources[i]->bytes;
    }
    cl_program cl = q35i_cl.CreateProgramWithSource(dev->context, n, texts, bytes, &error);
    if (error != CL_SUCCESS)
        return q35p_fail(Q35_E_DEVICE, "opencl: kernels %s: %s", names, q35i_cl_error(error, name));
    error = q35i_cl.BuildProgram(cl, 1, &dev->found->id, options, NULL, NULL);
    if (error != CL_SUCCESS) {
        const q35_status status = build_failed(dev, names, cl, error);
        (void)q35i_cl.ReleaseProgram(cl);
        return status;
    }
    *out = cl;
    return Q35_OK;
}

static q35_status build(q35_device *dev, q35i_cl_program *program)
{
    char options[OPTIONS_CAP];
    uint8_t key[16];
    write_options(dev, program->defines, options);
    write_key(dev, program->names, options, key);
    program->cl = from_binary(dev, key, options);
    if (program->cl)
        return Q35_OK;
    const q35_status status = from_source(dev, program->names, options, &program->cl);
    if (status == Q35_OK)
        keep_binary(dev, program->cl, key);
    return status;
}

/* With the device's lock held. */
static q35_status find(q35_device *dev, const char *source, const char *defines, q35i_cl_program **out)
{
    for (q35i_cl_program *p = dev->programs; p; p = p->next)
        if (strcmp(p->names, source) == 0 && strcmp(p->defines, defines) == 0) {
            *out = p;
            return Q35_OK;
        }
    q35i_cl_program *program = q35p_alloc(1, sizeof *program);
    if (!program)
        return q35p_fail(Q35_E_NOMEM, "opencl: out of memory for a program");
    snprintf(program->names, sizeof program->names, "%s", source);
    snprintf(program->defines, sizeof program->defines, "%s", defines);
    const q35_status status = build(dev, program);
    if (status != Q35_OK) {
        q35p_free(program);
        return status;
    }
    program->next = dev->programs;
    dev->programs = program;
    *out = program;
    return Q35_OK;
}

/* *out NULL: the program has no such kernel. */
static q35_status create(q35_device *dev, const char *source, const char *defines, const char *kernel,
                         cl_kernel *out)
{
    q35i_cl_program *program = NULL;
    cl_int error;
    char name[48];
    pthread_mutex_lock(&dev->lock);
    const q35_status status = find(dev, source, defines, &program);
    pthread_mutex_unlock(&dev->lock);
    if (status != Q35_OK || !program)
        return status;
    *out = q35i_cl.CreateKernel(program->cl, kernel, &error);
    if (error == CL_SUCCESS)
        return Q35_OK;
    *out = NULL;
    return error == CL_INVALID_KERNEL_NAME
               ? Q35_OK
               : q35p_fail(Q35_E_DEVICE, "opencl: kernel %s: %s", kernel, q35i_cl_error(error, name));
}

q35_status q35i_cl_kernel(q35_device *dev, const char *source, const char *defines, const char *kernel,
                          cl_kernel *out)
{
    const q35_status status = create(dev, source, defines, kernel, out);
    return status == Q35_OK && !*out ? q35p_fail(Q35_E_INTERNAL, "opencl: kernels %s have no %s", source, kernel)
                                     : status;
}

q35_status q35i_cl_has_kernel(q35_device *dev, const char *source, const char *defines, const char *kernel,
                              bool *out)
{
    cl_kernel found = NULL;
    const q35_status status = create(dev, source, defines, kernel, &found);
    *out = found != NULL;
    if (found)
        (void)q35i_cl.ReleaseKernel(found);
    return status;
}

void q35i_cl_free_programs(q35_device *dev)
{
    for (q35i_cl_program *p = dev->programs, *next; p; p = next) {
        next = p->next;
        (void)q35i_cl.ReleaseProgram(p->cl);
        q35p_free(p);
    }
    dev->programs = NULL;
}
