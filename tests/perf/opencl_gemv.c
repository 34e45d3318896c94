/* SPDX-License-Identifier: Apache-2.0
 *
 * How many weights per second LINEAR of Q35_SPLIT takes for one token on the first OpenCL device, beside a naive
 * kernel with a work-item per row, in turns. The kernels of the CPU family are run as they are, on random codes.
 * opencl_gemv [ROWS INPUTS [ROUNDS]] */
#define _GNU_SOURCE
#include "plugins/opencl/cl.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char naive[] =
    "kernel void naive(global const uchar *w, global const float *x, global float *y, int k)\n"
    "{\n"
    "    const int row = (int)get_global_id(0);\n"
    "    global const uchar *b = w + (ulong)row * (k / 128) * 60;\n"
    "    float sum = 0;\n"
    "    for (int g = 0; g < k / 128; g++, b += 60) {\n"
    "        float part = 0, total = 0;\n"
    "        for (int i = 0; i < 64; i++) {\n"
    "            const int bit = 7 * i, s = bit & 7;\n"
    "            const uint two = b[4 + (bit >> 3)] | (s > 1 ? (uint)b[5 + (bit >> 3)] << 8 : 0);\n"
    "            const uint c = two >> s & 127;\n"
    "            const float u = x[128 * g + 2 * i], v = x[128 * g + 2 * i + 1];\n"
    "            part += (float)(7 * (c >> 3)) * u + (float)(15 * (c & 7)) * v;\n"
    "            total += u + v;\n"
    "        }\n"
    "        sum += vload_half(0, (global const half *)b) * part + vload_half(1, (global const half *)b) * "
    "total;\n"
    "    }\n"
    "    y[row] = sum;\n"
    "}\n";

static cl_context context;
static cl_device_id device;

static void check(cl_int error, const char *what)
{
    char name[48];
    if (error == CL_SUCCESS)
        return;
    fprintf(stderr, "opencl_gemv: %s: %s\n", what, q35i_cl_error(error, name));
    exit(1);
}

static cl_mem buffer(size_t bytes)
{
    cl_int error;
    unsigned char *data = malloc(bytes);
    if (!data)
        exit(1);
    for (size_t i = 0; i < bytes; i++)
        data[i] = (unsigned char)(i % 4 == 3 ? 0x3c : rand()); /* small floats, any codes */
    cl_mem mem = q35i_cl.CreateBuffer(context, CL_MEM_COPY_HOST_PTR, bytes, data, &error);
    check(error, "buffer");
    free(data);
    return mem;
}

static cl_kernel kernel(const char *const *texts, cl_uint n, const char *options, const char *name)
{
    cl_int error;
    cl_program program =
        q35i_cl.CreateProgramWithSource(context, n, (const char **)(uintptr_t)texts, NULL, &error);
    check(error, "program");
    check(q35i_cl.BuildProgram(program, 1, &device, options, NULL, NULL), "build");
    cl_kernel k = q35i_cl.CreateKernel(program, name, &error);
    check(error, name);
    return k;
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 1 << 20);
    if (!file || !text || fread(text, 1, (1 << 20) - 1, file) == 0)
        exit(1);
    fclose(file);
    return text;
}

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Of one launch, or of processors busy with it, by the clock. */
static double seconds(cl_command_queue queue, cl_kernel k, size_t items, clockid_t clock)
{
    const size_t local = 1;
    const double begin = now(clock);
    check(q35i_cl.EnqueueNDRangeKernel(queue, k, 1, NULL, &items, &local, 0, NULL, NULL), "launch");
    check(q35i_cl.Finish(queue), "finish");
    return now(clock) - begin;
}

/* Arguments in order: bytes and address of each, up to 0 bytes. */
typedef struct argument {
    size_t bytes;
    const void *value;
} argument;

static void set(cl_kernel k, const argument *list)
{
    for (cl_uint i = 0; list[i].bytes; i++)
        check(q35i_cl.SetKernelArg(k, i, list[i].bytes, list[i].value), "argument");
}

int main(int argc, char **argv)
{
    const int rows = argc > 2 ? atoi(argv[1]) : 4096, inputs = argc > 2 ? atoi(argv[2]) : 4096;
    const int rounds = argc > 3 ? atoi(argv[3]) : 20;
    cl_platform_id platform;
    cl_uint n = 0;
    cl_int error;
    char why[256];
    if (!q35i_cl_load(why, sizeof why) || q35i_cl.GetPlatformIDs(1, &platform, &n) != CL_SUCCESS || n == 0 ||
        q35i_cl.GetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, &n) != CL_SUCCESS || rows % 16 != 0 ||
        inputs % 128 != 0) {
        printf("skipped: no OpenCL device, or not a multiple of 16 rows and 128 inputs\n");
        return 77;
    }
    context = q35i_cl.CreateContext(NULL, 1, &device, NULL, NULL, &error);
    check(error, "context");
    cl_command_queue queue = q35i_cl.CreateCommandQueue(context, device, 0, &error);
    check(error, "queue");

    const char *const texts[2] = {read_file(KERNELS "/common.cl"), read_file(KERNELS "/linear.cl")};
    const char *const naive_text = naive;
    cl_kernel fast =
        kernel(texts, 2,
               "-cl-std=CL1.2 -DQ35_CPU=1 -DQ35_LOCAL=1 -DQ35_SPAN=128 -DQ35_FP64=1 -DQ35_DIVIDE=1 -DQ35_FMA=1 "
               "-DQ35_CODEC=2 -DQ35_MODE=1 -DQ35_PART=128 -DQ35_MIN=1 -DQ35_SIGNED=0 -DQ35_TOKENS=1",
               "q35_linear");
    cl_kernel slow = kernel(&naive_text, 1, "-cl-std=CL1.2", "naive");

    const cl_int n_parts = inputs / 128, n_units = inputs / 16, one = 1, zero = 0, heads_n = inputs / 32;
    const cl_ulong tile = (cl_ulong)n_parts * 128 + (cl_ulong)n_units * 112, at = 0, stride = 4u * (cl_ulong)rows;
    cl_mem w = buffer((size_t)(rows / 16) * tile), x = buffer((size_t)inputs * 4),
           heads = buffer((size_t)heads_n * 8);
    cl_mem canonical = buffer((size_t)rows * (size_t)n_parts * 60), y = buffer((size_t)rows * 4);
    const argument fast_list[] = {{sizeof w, &w}, {8, &at},       {sizeof w, &w},
                                  {8, &at},       {sizeof y, &y}, {8, &at},
                                  {8, &stride},   {4, &rows}, /* of the first of three weights */
                                  {sizeof w, &w}, {8, &at},       {sizeof w, &w},
                                  {8, &at},       {sizeof y, &y}, {8, &at},
                                  {8, &stride},   {4, &zero},     {sizeof w, &w},
                                  {8, &at},       {sizeof w, &w}, {8, &at},
                                  {sizeof y, &y}, {8, &at},       {8, &stride},
                                  {4, &zero},     {8, &tile},     {4, &n_parts},
                                  {sizeof x, &x}, {4, &inputs},   {sizeof heads, &heads},
                                  {4, &heads_n},  {4, &n_units},  {sizeof w, &w},
                                  {8, &at},       {4, &zero},     {4, &one},
                                  {0, NULL}};
    const argument slow_list[] = {
        {sizeof canonical, &canonical}, {sizeof x, &x}, {sizeof y, &y}, {4, &inputs}, {0, NULL}};
    set(fast, fast_list);
    set(slow, slow_list);
    /* Elsewhere busy processors slow down the first clock, not the second. */
    const clockid_t clocks[2] = {CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID};
    const double weights = (double)rows * inputs * 1e-9;
    for (int c = 0; c < 2; c++) {
        double best_fast = 1e9, best_slow = 1e9;
        for (int i = 0; i < rounds; i++) {
            const double f = seconds(queue, fast, (size_t)rows / 16, clocks[c]);
            const double s = seconds(queue, slow, (size_t)rows, clocks[c]);
            best_fast = f < best_fast ? f : best_fast;
            best_slow = s < best_slow ? s : best_slow;
        }
        printf("%d x %d, split, best of %d: %.2f G weights per %s, naive %.2f, ratio %.1f\n", rows, inputs, rounds,
               weights / best_fast, c ? "second of a processor" : "second", weights / best_slow,
               best_slow / best_fast);
    }
    return 0;
}
