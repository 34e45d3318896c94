/* SPDX-License-Identifier: Apache-2.0
 *
 * Mock driver: modules, kernels, graphs. A module has every kernel that the emulation has, those with wgmma
 * where it is told so. */
#include "kernels-cuda/q35_cuda.h"
#include "stream.h"
#include "tests/cuda-emu/q35_emu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WGMMA_WORKS = 1, WGMMA_IS_WRONG = 2, WGMMA_IS_REFUSED = 3 };
enum { FREE_SHARED = 48 * 1024, MAX_FUNCTIONS = 256 };

struct CUfunc_st {
    const struct CUctx_st *context;
    char name[64];
    uint32_t args_bytes, shared_limit;
};

struct CUmod_st {
    const struct CUctx_st *context;
    struct CUfunc_st functions[MAX_FUNCTIONS];
    uint32_t n;
};

/* mock_is_current, without the lock. */
static int comes_in(const struct CUctx_st *context)
{
    pthread_mutex_lock(&mock_lock);
    const int is = mock_is_current(context);
    pthread_mutex_unlock(&mock_lock);
    return is;
}

static void forget_object(void)
{
    pthread_mutex_lock(&mock_lock);
    mock_counts.objects--;
    pthread_mutex_unlock(&mock_lock);
}

static int is_wide(const char *name)
{
    return strncmp(name, "q35_linear_wide_", 16) == 0;
}

q35i_cu_result cuModuleLoadData(q35i_cu_module *module, const void *image)
{
    q35i_cu_result error;
    pthread_mutex_lock(&mock_lock);
    const struct CUctx_st *context = mock_context(&error);
    if (context) {
        error = image ? (q35i_cu_result)mock_fault.no_module : Q35I_CU_INVALID_VALUE;
        *module = error ? NULL : calloc(1, sizeof **module);
        if (*module)
            (*module)->context = context;
        mock_counts.objects += *module != NULL;
    }
    pthread_mutex_unlock(&mock_lock);
    return error;
}

q35i_cu_result cuModuleUnload(q35i_cu_module module)
{
    if (!comes_in(module->context))
        return MOCK_INVALID_CONTEXT;
    forget_object();
    free(module);
    return 0;
}

q35i_cu_result cuModuleGetFunction(q35i_cu_function *function, q35i_cu_module module, const char *name)
{
    const uint32_t bytes = q35_emu_args_bytes(name);
    if (!comes_in(module->context))
        return MOCK_INVALID_CONTEXT;
    if (bytes == 0 || bytes > MAX_ARGS || module->n == MAX_FUNCTIONS || (is_wide(name) && !mock_fault.wgmma))
        return Q35I_CU_NOT_FOUND;
    struct CUfunc_st *f = &module->functions[module->n++];
    snprintf(f->name, sizeof f->name, "%s", name);
    f->context = module->context;
    f->args_bytes = bytes;
    f->shared_limit = FREE_SHARED;
    *function = f;
    return 0;
}

q35i_cu_result cuFuncGetAttribute(int *value, q35i_cu_enum attribute, q35i_cu_function function)
{
    *value = (int)(mock_fault.code ? mock_fault.code : mock_fault.capability);
    return comes_in(function->context) && attribute == Q35I_CU_FUNC_PTX_VERSION ? 0 : Q35I_CU_INVALID_VALUE;
}

q35i_cu_result cuFuncSetAttribute(q35i_cu_function function, q35i_cu_enum attribute, int value)
{
    int most = 0;
    if (!comes_in(function->context))
        return MOCK_INVALID_CONTEXT;
    (void)cuDeviceGetAttribute(&most, Q35I_CU_ATTR_MAX_SHARED, 0);
    if (attribute == Q35I_CU_FUNC_CARVEOUT)
        return value >= 0 && value <= 100 ? 0 : Q35I_CU_INVALID_VALUE;
    if (attribute != Q35I_CU_FUNC_MAX_DYNAMIC_SHARED || value < 0 || value > most)
        return Q35I_CU_INVALID_VALUE;
    function->shared_limit = (uint32_t)value;
    return 0;
}

static q35i_cu_result launch(q35i_cu_function function, const q35i_cu_launch *l, int early, void **params)
{
    q35i_cu_result error;
    if (l->grid_x == 0 || l->grid_y == 0 || l->grid_z == 0 || l->grid_y > 65535 || l->grid_z > 65535 ||
        l->block_x == 0 || l->block_x > 1024 || l->block_y != 1 || l->block_z != 1 ||
        l->shared_bytes > function->shared_limit)
        return Q35I_CU_INVALID_VALUE;
    pthread_mutex_lock(&mock_lock);
    if (mock_stream(l->stream, &error) && !mock_is_current(function->context))
        error = MOCK_INVALID_HANDLE;
    if (error == 0) {
        op o = {.kind = OP_KERNEL,
                .kernel = function->name,
                .grid = {l->grid_x, l->grid_y, l->grid_z},
                .threads = l->block_x,
                .shared = l->shared_bytes};
        memcpy(o.args, params[0], function->args_bytes);
        mock_counts.launches++;
        mock_counts.early += early != 0;
        if (mock_counts.launches == mock_fault.launch_fails_at)
            error = Q35I_CU_LAUNCH_OUT_OF_RESOURCES;
        else if (mock_fault.wgmma == WGMMA_IS_REFUSED && is_wide(function->name))
            error = Q35I_CU_LAUNCH_OUT_OF_RESOURCES;
        else if (early && mock_capturing && mock_fault.early_capture)
            error = (q35i_cu_result)mock_fault.early_capture;
        else
            error = mock_enqueue(l->stream, &o);
    }
    pthread_mutex_unlock(&mock_lock);
    return error;
}

q35i_cu_result cuLaunchKernel(q35i_cu_function function, unsigned int grid_x, unsigned int grid_y,
                              unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                              unsigned int block_z, unsigned int shared_bytes, q35i_cu_stream stream,
                              void **params, void **extra)
{
    const q35i_cu_launch l = {.grid_x = grid_x,
                              .grid_y = grid_y,
                              .grid_z = grid_z,
                              .block_x = block_x,
                              .block_y = block_y,
                              .block_z = block_z,
                              .shared_bytes = shared_bytes,
                              .stream = stream};
    return extra ? (q35i_cu_result)Q35I_CU_INVALID_VALUE : launch(function, &l, 0, params);
}

#ifndef MOCK_WITHOUT_GRAPHS /* nor early starts */
/* Kernels that do not wait must not be started early. */
q35i_cu_result cuLaunchKernelEx(const q35i_cu_launch_config *config, q35i_cu_function function, void **params,
                                void **extra)
{
    int made_for = 0;
    (void)cuFuncGetAttribute(&made_for, Q35I_CU_FUNC_PTX_VERSION, function);
    if (extra || config->n_attributes != 1 || config->attributes[0].id != Q35I_CU_ATTRIBUTE_EARLY_START ||
        config->attributes[0].value.on != 1 || made_for < 90)
        return Q35I_CU_INVALID_VALUE;
    return launch(function, config, 1, params);
}
#endif

/* Does an argument point to memory of another device that this one has no access to? Addresses are words of 8
 * bytes. */
static int uses_foreign_memory(const struct CUctx_st *context, const char *args)
{
    int foreign = 0;
    pthread_mutex_lock(&mock_lock);
    for (size_t at = 0; at < MAX_ARGS; at += sizeof(q35i_cu_address)) {
        q35i_cu_address word;
        memcpy(&word, args + at, sizeof word);
        foreign |= !mock_may_use(context, word);
    }
    pthread_mutex_unlock(&mock_lock);
    return foreign;
}

/* The 100th number of a linear's result is one bit off. */
static void spoil(const void *args)
{
    q35_linear_args a;
    memcpy(&a, args, sizeof a);
    *((uint32_t *)(uintptr_t)a.part[0].y + 99) ^= 1;
}

/* On the stream's thread. A kernel that did what it must not ends the context, as a GPU's trap would. */
q35i_cu_result mock_run_kernel(struct CUctx_st *context, const char *name, const void *args,
                               const uint32_t grid[3], uint32_t threads, uint32_t shared)
{
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    char text[256] = "";
    const q35_emu_options options = {
        .order = (uint32_t)mock_fault.order, .seed = 1, .error = text, .error_len = sizeof text};
    const uint32_t block[3] = {threads, 1, 1};
    pthread_mutex_lock(&mock_lock);
    const uint64_t n = ++mock_counts.kernels;
    pthread_mutex_unlock(&mock_lock);
    if (n == mock_fault.sticky_at)
        return Q35I_CU_ILLEGAL_ADDRESS;
    if (n == mock_fault.lost_at)
        return MOCK_UNKNOWN;
    if (uses_foreign_memory(context, args)) {
        fprintf(stderr, "mock libcuda: %s: an address of another device's memory\n", name);
        return Q35I_CU_ILLEGAL_ADDRESS;
    }
    pthread_mutex_lock(&one_at_a_time);
    mock_enter_kernel();
    const int rc = q35_emu_launch(name, args, grid, block, shared, &options);
    if (rc == 0 && mock_fault.wgmma == WGMMA_IS_WRONG && is_wide(name))
        spoil(args);
    mock_leave_kernel();
    pthread_mutex_unlock(&one_at_a_time);
    if (rc == 0)
        return 0;
    fprintf(stderr, "mock libcuda: %s: %s\n", name, text);
    return Q35I_CU_ILLEGAL_ADDRESS;
}

/* ---- graphs */

#ifndef MOCK_WITHOUT_GRAPHS

q35i_cu_result cuStreamBeginCapture_v2(q35i_cu_stream stream, q35i_cu_enum mode)
{
    q35i_cu_result error;
    pthread_mutex_lock(&mock_lock);
    if (mock_stream(stream, &error)) {
        if (mode != Q35I_CU_CAPTURE_THREAD_LOCAL || stream->capture || mock_capturing) {
            error = Q35I_CU_INVALID_VALUE;
        } else {
            stream->capture = calloc(1, sizeof *stream->capture);
            if (!stream->capture)
                abort();
            stream->capture->context = stream->context;
            mock_counts.objects++;
            mock_counts.captures++;
            mock_capturing = stream;
        }
    }
    pthread_mutex_unlock(&mock_lock);
    return error;
}

q35i_cu_result cuStreamEndCapture(q35i_cu_stream stream, q35i_cu_graph *graph)
{
    q35i_cu_result error;
    pthread_mutex_lock(&mock_lock);
    (void)mock_stream(stream, &error);
    *graph = NULL;
    if (stream == mock_capturing) {
        *graph = stream->capture;
        stream->capture = NULL;
        mock_capturing = NULL;
    } else {
        error = Q35I_CU_INVALID_VALUE;
    }
    pthread_mutex_unlock(&mock_lock);
    return error;
}

static void free_ops(op *o)
{
    while (o) {
        op *next = o->next;
        free(o->owned);
        free(o);
        o = next;
    }
}

q35i_cu_result cuGraphDestroy(q35i_cu_graph graph)
{
    if (!comes_in(graph->context))
        return MOCK_INVALID_CONTEXT;
    forget_object();
    free_ops(graph->first);
    free(graph);
    return 0;
}

q35i_cu_result cuGraphInstantiateWithFlags(q35i_cu_graph_exec *exec, q35i_cu_graph graph, unsigned long long flags)
{
    if (flags != 0)
        return Q35I_CU_INVALID_VALUE;
    if (!comes_in(graph->context))
        return MOCK_INVALID_CONTEXT;
    struct CUgraphExec_st *e = calloc(1, sizeof *e);
    if (!e)
        abort();
    e->context = graph->context;
    op **link = &e->first;
    for (const op *o = graph->first; o; o = o->next, link = &(*link)->next) {
        if (o->kind != OP_KERNEL)
            abort(); /* the plugin captures nothing else */
        *link = malloc(sizeof **link);
        if (!*link)
            abort();
        **link = *o;
        (*link)->next = NULL;
    }
    pthread_mutex_lock(&mock_lock);
    mock_counts.objects++;
    pthread_mutex_unlock(&mock_lock);
    *exec = e;
    return 0;
}

q35i_cu_result cuGraphExecDestroy(q35i_cu_graph_exec exec)
{
    if (!comes_in(exec->context))
        return MOCK_INVALID_CONTEXT;
    forget_object();
    free_ops(exec->first);
    free(exec);
    return 0;
}

q35i_cu_result cuGraphLaunch(q35i_cu_graph_exec exec, q35i_cu_stream stream)
{
    q35i_cu_result error;
    pthread_mutex_lock(&mock_lock);
    if (mock_stream(stream, &error) && !mock_is_current(exec->context))
        error = MOCK_INVALID_HANDLE;
    if (error == 0) {
        mock_counts.graph_launches++;
        for (const op *o = exec->first; o && error == 0; o = o->next)
            error = mock_enqueue(stream, o);
    }
    pthread_mutex_unlock(&mock_lock);
    return error;
}

#endif
