/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels that do not build. The plugin is linked in, so that functions of its table of OpenCL's can be replaced:
 * sources get a wrong line, and objects are counted. The compiler is the driver's. */
#include "plugins/opencl/cl.h"
#include "rig.h"
#include "support/suite.h"

#include <stdio.h>

static q35i_cl_table real;
static int programs, kernels, buffers; /* alive */
static int loaded;                     /* from binaries */
/* Which one from now on goes wrong, from 0; negative: none. */
static int wrong_source = -1, refused_binary = -1, failed_kernel = -1, failed_buffer = -1;

static bool is_due(int *countdown)
{
    const bool due = *countdown == 0;
    *countdown -= *countdown >= 0;
    return due;
}

static cl_program CL_API_CALL create_program(cl_context context, cl_uint n, const char **texts,
                                             const size_t *bytes, cl_int *error)
{
    static const char wrong[] = "kernel void broken(global int *x) { x[0] = not_declared_anywhere; }\n";
    const char *all[3] = {texts[0], texts[1], wrong};
    const size_t lengths[3] = {bytes[0], bytes[1], sizeof wrong - 1};
    ck_assert_uint_eq(n, 2);
    const cl_program program =
        real.CreateProgramWithSource(context, is_due(&wrong_source) ? 3 : 2, all, lengths, error);
    programs += program != NULL;
    return program;
}

static cl_program CL_API_CALL load_program(cl_context context, cl_uint n, const cl_device_id *devices,
                                           const size_t *bytes, const unsigned char **binaries, cl_int *states,
                                           cl_int *error)
{
    *error = CL_INVALID_BINARY;
    if (is_due(&refused_binary))
        return NULL;
    const cl_program program = real.CreateProgramWithBinary(context, n, devices, bytes, binaries, states, error);
    loaded += program != NULL;
    programs += program != NULL;
    return program;
}

static cl_int CL_API_CALL release_program(cl_program program)
{
    programs--;
    return real.ReleaseProgram(program);
}

static cl_kernel CL_API_CALL create_kernel(cl_program program, const char *name, cl_int *error)
{
    *error = CL_OUT_OF_HOST_MEMORY;
    if (is_due(&failed_kernel))
        return NULL;
    const cl_kernel kernel = real.CreateKernel(program, name, error);
    kernels += kernel != NULL;
    return kernel;
}

static cl_int CL_API_CALL release_kernel(cl_kernel kernel)
{
    kernels--;
    return real.ReleaseKernel(kernel);
}

static cl_mem CL_API_CALL create_buffer(cl_context context, cl_mem_flags flags, size_t bytes, void *host,
                                        cl_int *error)
{
    *error = CL_MEM_OBJECT_ALLOCATION_FAILURE;
    if (is_due(&failed_buffer))
        return NULL;
    const cl_mem mem = real.CreateBuffer(context, flags, bytes, host, error);
    buffers += mem != NULL;
    return mem;
}

static cl_int CL_API_CALL release_buffer(cl_mem mem)
{
    buffers--;
    return real.ReleaseMemObject(mem);
}

/* After the plugin has opened the library. */
static void replace(void)
{
    real = q35i_cl;
    q35i_cl.CreateProgramWithSource = create_program;
    q35i_cl.CreateProgramWithBinary = load_program;
    q35i_cl.ReleaseProgram = release_program;
    q35i_cl.CreateKernel = create_kernel;
    q35i_cl.ReleaseKernel = release_kernel;
    q35i_cl.CreateBuffer = create_buffer;
    q35i_cl.ReleaseMemObject = release_buffer;
}

/* y = silu(x @ W): kernels of three programs. */
static void build(rig *r)
{
    rig_init(r, 2, 1, 1);
    const uint32_t x = rig_tensor(r, Q35_ROLE_INPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, 64, 2);
    const uint32_t w = rig_weights(r, Q35_DT_F32, 64, 16);
    const uint32_t t = rig_tensor(r, Q35_ROLE_TEMP, Q35_DT_F32, Q35_TF_TOKEN_ROWS, 16, 2);
    const uint32_t y = rig_tensor(r, Q35_ROLE_OUTPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, 16, 2);
    rig_node(r, Q35_OP_LINEAR, NULL, 2, (uint32_t[]){x, w}, 1, &t);
    rig_node(r, Q35_OP_SILU, NULL, 1, &t, 1, &y);
}

/* Whichever of the region's programs fails: the error has the compiler's words on one line, nothing is left
 * behind, and the next attempt on the same device works. */
START_TEST(source_does_not_build)
{
    static const char *const names[] = {"elementwise", "row", "linear"}; /* in the order of their first use */
    for (int n = 0; n < 3; n++) {
        q35_device *dev = rig_open(rig_opencl(), "cache", "off");
        rig_session s;
        rig r;
        char part[64];
        build(&r);
        for (int attempt = 0; attempt < 2; attempt++) {
            wrong_source = attempt == 0 ? n : 0;
            ck_assert_uint_eq(rig_prepare(&s, &r, dev), Q35_E_DEVICE);
            ck_assert_ptr_null(s.plan);
            snprintf(part, sizeof part, "kernels %s do not build for ", names[n]);
            ck_assert_msg(strstr(rig_error(), part) != NULL, "%s", rig_error());
            ck_assert_msg(strstr(rig_error(), "CL_BUILD_PROGRAM_FAILURE (-11): ") != NULL, "%s", rig_error());
            ck_assert_msg(strstr(rig_error(), "not_declared_anywhere") != NULL, "%s", rig_error());
            ck_assert_ptr_null(strchr(rig_error(), '\n'));
            rig_finish(&s);
            ck_assert_int_eq(programs, n); /* those that were built are kept */
            ck_assert(kernels == 0 && buffers == 0);
        }
        rig_compare(&r, dev, "after a failed build");
        rig_free(&r);
        rig_opencl()->device_close(dev);
        ck_assert(programs == 0 && kernels == 0 && buffers == 0);
    }
}
END_TEST

/* A driver may refuse what it once gave: the source is built. */
START_TEST(binary_is_refused)
{
    rig r;
    build(&r);
    for (int round = 0; round < 3; round++) {
        q35_device *dev = rig_open(rig_opencl(), NULL, NULL);
        loaded = 0;
        refused_binary = round == 1 ? 1 : -1;
        rig_compare(&r, dev, "with kernels kept on disk");
        ck_assert(round == 0 || loaded == (round == 1 ? 2 : 3));
        rig_opencl()->device_close(dev);
        ck_assert(programs == 0 && kernels == 0 && buffers == 0);
    }
    rig_free(&r);
}
END_TEST

/* The n-th kernel or buffer of a plan cannot be made, for each n there is. */
START_TEST(objects_run_out)
{
    int *const countdowns[2] = {&failed_kernel, &failed_buffer};
    q35_device *dev = rig_open(rig_opencl(), NULL, NULL);
    rig r;
    build(&r);
    for (int kind = 0; kind < 2; kind++) {
        q35_status status = Q35_E_INTERNAL;
        int n = 0;
        for (; status != Q35_OK; n++) {
            q35_plan *plan = NULL;
            *countdowns[kind] = n;
            status = rig_opencl()->plan_compile(dev, &r.region, &plan);
            ck_assert_uint_eq(status, *countdowns[kind] >= 0 ? Q35_OK : kind == 0 ? Q35_E_DEVICE : Q35_E_NOMEM);
            rig_opencl()->plan_free(plan);
            ck_assert(kernels == 0 && buffers == 0);
        }
        ck_assert_int_gt(n, 4); /* a plan has four kernels, and four buffers of scratch */
        *countdowns[kind] = -1;
    }
    rig_compare(&r, dev, "after failures");
    rig_free(&r);
    rig_opencl()->device_close(dev);
    ck_assert(programs == 0 && kernels == 0 && buffers == 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("opencl_build");
    TCase *c = tcase_create("build");
    if (!rig_has_device()) {
        printf("skipped: no OpenCL device (install pocl-opencl-icd)\n");
        return 77;
    }
    replace();
    tcase_set_timeout(c, 300);
    tcase_add_test(c, source_does_not_build);
    tcase_add_test(c, binary_is_refused);
    tcase_add_test(c, objects_run_out);
    suite_add_tcase(suite, c);
    return q35t_run(suite);
}
