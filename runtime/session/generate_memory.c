/* SPDX-License-Identifier: Apache-2.0
 *
 * A model of random weights that is in no file: an open model whose tensors own their bytes. */
#include "runtime/session/generate.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"
#include "runtime/device/device.h"
#include "runtime/model/model_file.h"
#include "runtime/quant/gaussian.h"
#include "runtime/quant/random.h"
#include "runtime/quant/rotation.h"

#include <q35rt/blocks.h>

#include <stdio.h>

/* Bytes of host memory that can be had; UINT64_MAX: unknown. */
static uint64_t available_memory(const q35_runtime *runtime)
{
    for (uint32_t i = 0; i < q35_runtime_n_devices(runtime); i++) {
        q35_device_report report;
        q35_runtime_device(runtime, i, &report);
        if (report.memory.kind == Q35_MEM_HOST && report.memory.available > 0)
            return report.memory.available;
    }
    return UINT64_MAX;
}

/* A device takes a copy of the weights in its own layout. */
static q35_status check_memory(const q35i_generation *g, const q35_runtime *runtime)
{
    uint64_t weights = 0, there = available_memory(runtime);
    for (uint64_t i = 0; i < g->n_tensors; i++)
        weights += q35i_gen_bytes(&g->tensors[i]);
    if (2 * weights > there)
        return Q35_FAIL(Q35_E_NOFIT,
                        "random model: %llu MiB of memory are available, need %llu MiB, half of it for a device's "
                        "layout of the weights",
                        (unsigned long long)(there >> 20), (unsigned long long)q35i_div_up(2 * weights, 1 << 20));
    return Q35_OK;
}

/* Inputs of a layer's linears are rotated; linears of the same input share the signs. */
static void describe_input(const q35i_generation *g, const q35i_gen_tensor *t, q35_tensor_info *info)
{
    enum { INPUTS = 4 };
    uint64_t state = g->options->seed + t->layer * INPUTS + t->input;
    if (!q35_is_row_type(t->dtype))
        return;
    info->rotation_seed = q35i_random(&state);
    info->rotation_width = Q35I_ROTATION_WIDTH;
    info->activation = Q35_DT_A8_ROW;
}

static q35_status make_tensor(q35i_generation *g, const q35i_gen_tensor *from, q35i_tensor *t)
{
    uint64_t step = q35i_gen_piece_rows(from), bytes = q35i_gen_bytes(from), end;
    snprintf(t->name, sizeof t->name, "%s", from->name);
    t->owned = q35i_alloc_aligned(bytes, 64);
    if (!t->owned)
        return q35i_fail_context(Q35_E_NOMEM, "tensor %s", t->name);
    t->bytes = t->owned;
    t->info = (q35_tensor_info){.name = t->name,
                                .dtype = from->dtype,
                                .rank = from->norm ? 1 : 2,
                                .dim = {(int64_t)from->cols, (int64_t)from->rows, 1, 1},
                                .data = t->owned,
                                .bytes = bytes};
    describe_input(g, from, &t->info);
    for (uint64_t begin = 0; begin < from->rows; begin = end) {
        end = q35i_min(begin + step, from->rows);
        Q35_TRY(q35i_gen_fill(g, from, begin, end, (uint8_t *)t->owned + begin * (bytes / from->rows)));
    }
    return Q35_OK;
}

static q35_status make_model(q35i_generation *g, q35_model *model)
{
    model->format = "random weights in memory";
    model->book = q35i_gaussian_book(Q35_DT_Q35_ROW);
    Q35_TRY(q35i_gen_metadata(g, &model->made));
    model->meta = model->made.entries;
    model->n_meta = model->made.n;
    Q35_TRY(q35i_model_index_meta(model));
    model->tensors = q35i_calloc(g->n_tensors, sizeof *model->tensors);
    if (!model->tensors)
        return Q35_E_NOMEM;
    model->n_tensors = g->n_tensors;
    for (uint64_t i = 0; i < g->n_tensors; i++) {
        Q35_TRY(make_tensor(g, &g->tensors[i], &model->tensors[i]));
        model->file_bytes += model->tensors[i].info.bytes;
    }
    return q35i_model_index_tensors(model);
}

q35_status q35_generate_in_memory(q35_runtime *runtime, const q35_shape *shape,
                                  const q35_generate_options *options, q35_model **out)
{
    q35_status status;
    q35_model *model = NULL;
    const q35_generate_options defaults = {.dtype = Q35_DT_Q35_ROW, .seed = 1};
    q35i_generation g = {
        .shape = shape, .options = options ? options : &defaults, .pool = q35i_runtime_pool(runtime)};
    *out = NULL;
    Q35_TRY_GOTO(q35i_shape_check(shape), done);
    if (g.options->layout != Q35_LAYOUT_GGUF || g.options->dtype != Q35_DT_Q35_ROW) {
        status = Q35_FAIL(Q35_E_INVALID, "random model in memory: layout %u and type %s, need GGUF and %s",
                          g.options->layout, q35_dtype_describe(g.options->dtype).name,
                          q35_dtype_describe(Q35_DT_Q35_ROW).name);
        goto done;
    }
    Q35_TRY_GOTO(q35i_gen_list(&g), done);
    Q35_TRY_GOTO(check_memory(&g, runtime), done);
    Q35_TRY_GOTO(q35i_model_create("random weights", &model), done);
    Q35_TRY_GOTO(make_model(&g, model), done);
    *out = model;
    model = NULL;
done:
    q35_model_close(model);
    q35i_free(g.tensors);
    return status;
}
