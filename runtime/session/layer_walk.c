/* SPDX-License-Identifier: Apache-2.0
 *
 * Windows go through a layer one after another; its weights are read once for each. */
#include "runtime/session/layer_walk.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/model/model.h"
#include "runtime/quant/gaussian.h"

#include <q35rt/session.h>

#include <stdbool.h>
#include <string.h>

q35_status q35i_walk_progress(q35i_walk *w, double part)
{
    const q35i_conversion *c = w->c;
    w->told = part;
    uint64_t total = w->stage == Q35_STAGE_MEASURE ? UINT64_C(1000) * c->config.n_layers : c->n_weights;
    double layer = (double)total / c->config.n_layers;
    return q35i_convert_progress(c->options, w->stage, (uint64_t)(layer * (w->layer + part)), total);
}

q35_status q35i_walk_stretch_of(const q35i_walk *w, const q35_model *model, const q35i_part *part, uint32_t act,
                                int linear_inputs, q35i_stretch **out)
{
    const q35i_build_options options = {.n_tokens = Q35I_WINDOW,
                                        .n_ctx = Q35I_WINDOW,
                                        .act = act,
                                        .kv_dtype = Q35_DT_F32,
                                        .all_logits = 1,
                                        .linear_inputs = linear_inputs,
                                        .part = part};
    return q35i_stretch_create(model, &w->c->config, &options, w->device, w->c->pool, out);
}

q35_status q35i_walk_stretch(const q35i_walk *w, const q35i_part *part, uint32_t act, int linear_inputs,
                             q35i_stretch **out)
{
    return q35i_walk_stretch_of(w, w->overlay, part, act, linear_inputs, out);
}

uint64_t q35i_window_bytes(const q35i_conversion *c)
{
    return (uint64_t)Q35I_WINDOW * c->config.hidden * sizeof(float);
}

static q35_status embed(q35i_walk *w, const q35_model *model, q35i_windows *windows)
{
    const q35i_part part = {.hidden_out = 1};
    q35i_stretch *s;
    q35_status status = q35i_walk_stretch_of(w, model, &part, Q35_ACT_INT8, 0, &s);
    for (uint64_t i = 0; i < w->n_windows && status == Q35_OK; i++) {
        memcpy(q35i_stretch_input(s), w->c->ids + i * Q35I_WINDOW, Q35I_WINDOW * sizeof *w->c->ids);
        status = q35i_stretch_run(s, Q35I_WINDOW, 0);
        if (status == Q35_OK)
            status = q35i_windows_write(windows, i, q35i_stretch_output(s));
    }
    q35i_stretch_destroy(s);
    return status;
}

/* What enters layer 0. */
q35_status q35i_walk_embed(q35i_walk *w)
{
    Q35_TRY(embed(w, w->overlay, w->windows));
    return w->source ? embed(w, w->source, w->source_windows) : Q35_OK;
}

q35_status q35i_walk_run(const q35i_walk *w, q35i_stretch *s, uint64_t i)
{
    Q35_TRY(q35i_windows_read(w->windows, i, q35i_stretch_input(s)));
    return q35i_stretch_run(s, Q35I_WINDOW, 0);
}

static q35_status advance(q35i_walk *w, uint32_t act, uint64_t begin, uint64_t end, double from)
{
    const q35i_part part = {.begin = w->layer, .end = w->layer + 1, .hidden_in = 1, .hidden_out = 1};
    q35i_stretch *s;
    if (begin == end)
        return Q35_OK;
    q35_status status = q35i_walk_stretch(w, &part, act, 0, &s);
    for (uint64_t i = begin; i < end && status == Q35_OK; i++) {
        status = q35i_walk_run(w, s, i);
        if (status == Q35_OK)
            status = q35i_windows_write(w->windows, i, q35i_stretch_output(s));
        if (status == Q35_OK)
            status = q35i_walk_progress(w, from + (1 - from) * (double)(i + 1) / (double)w->n_windows);
    }
    q35i_stretch_destroy(s);
    return status;
}

/* The layer as it will be: its output becomes the next one's input. */
q35_status q35i_walk_advance(q35i_walk *w, double from)
{
    Q35_TRY(advance(w, Q35_ACT_INT8, 0, w->n_int8, from));
    return advance(w, Q35_ACT_F32, w->n_int8, w->n_windows, from);
}

q35i_target *q35i_walk_target(const q35i_walk *w, const char *name)
{
    for (uint64_t i = 0; i < w->c->n_targets; i++)
        if (strcmp(w->c->targets[i].info->name, name) == 0)
            return &w->c->targets[i];
    return NULL;
}

void q35i_walk_show(q35i_walk *w, const q35i_target *t, uint8_t *bytes)
{
    q35_tensor_info info = *t->info;
    info.dtype = t->dtype;
    info.data = bytes;
    info.bytes = q35_row_bytes(t->dtype, (uint64_t)info.dim[0]) * (uint64_t)info.dim[1];
    info.rotation_seed = t->rotation_seed;
    info.rotation_width = t->rotation_width;
    info.activation = t->activation;
    q35i_overlay_replace(w->overlay, t->index, bytes ? &info : NULL);
    q35i_free(w->codes[t->index]);
    w->codes[t->index] = bytes;
}

/* ---- inputs of a layer ---- */

void q35i_walk_let_go(q35i_walk *w)
{
    for (uint64_t i = 0; i < w->c->n_targets; i++) {
        if (!q35i_in_layer(w->c->targets[i].info, w->layer))
            continue;
        if (!w->codes[i])
            q35i_overlay_replace(w->overlay, i, NULL);
        if (w->source)
            q35i_overlay_replace(w->source, i, NULL);
    }
}

static q35_status look(q35i_walk *w, uint64_t n, double looked, q35i_layer_inputs *inputs)
{
    const q35i_part part = {.begin = w->layer, .end = w->layer + 1, .hidden_in = 1, .hidden_out = 1};
    q35i_stretch *s;
    q35_status status = q35i_walk_stretch(w, &part, Q35_ACT_INT8, 1, &s);
    if (status == Q35_OK)
        status = q35i_layer_inputs_create(s, w->c->options->seed, w->layer, inputs);
    for (uint64_t i = 0; i < n && status == Q35_OK; i++) {
        status = q35i_walk_run(w, s, i);
        if (status == Q35_OK)
            status = q35i_layer_inputs_add(inputs, s, Q35I_WINDOW, w->c->pool);
        if (status == Q35_OK)
            status = q35i_walk_progress(w, looked * (double)(i + 1) / (double)n);
    }
    q35i_stretch_destroy(s);
    q35i_walk_let_go(w);
    return status;
}

q35_status q35i_walk_inputs(q35i_walk *w, uint64_t n, double looked, double end,
                            q35_status (*each)(void *user, q35i_layer_input *input), void *user)
{
    q35i_layer_inputs inputs = {0};
    q35_status status = look(w, n, looked, &inputs);
    for (uint32_t i = 0; status == Q35_OK && i < inputs.n; i++) {
        status = each(user, &inputs.input[i]);
        q35i_layer_input_free(&inputs.input[i]);
        if (status == Q35_OK)
            status = q35i_walk_progress(w, looked + (end - looked) * (i + 1) / inputs.n);
    }
    q35i_layer_inputs_free(&inputs);
    return status;
}

/* ---- life ---- */

static q35_status open_cpu(q35i_walk *w)
{
    uint32_t index[1], n = 1;
    Q35_TRY(q35_runtime_resolve(w->c->runtime, "cpu", index, &n));
    return q35i_device_open(w->c->runtime, index[0], &w->device);
}

q35_status q35i_walk_open_bare(q35i_conversion *c, q35i_walk *out)
{
    *out = (q35i_walk){.c = c};
    out->codes = q35i_calloc(c->n_targets, sizeof(uint8_t *));
    if (!out->codes)
        return Q35_E_NOMEM;
    Q35_TRY(open_cpu(out));
    Q35_TRY(q35i_overlay_create(c->in, &out->overlay));
    q35i_overlay_books(out->overlay, q35i_gaussian_book(Q35_DT_Q35_ROW), q35i_gaussian_book(Q35_DT_Q40_ROW));
    return Q35_OK;
}

q35_status q35i_walk_open(q35i_conversion *c, uint32_t stage, uint64_t n_windows, uint64_t n_int8, q35i_walk *out)
{
    Q35_TRY(q35i_walk_open_bare(c, out));
    out->stage = stage;
    out->n_windows = n_windows;
    out->n_int8 = n_int8;
    return q35i_windows_open(n_windows, q35i_window_bytes(c), c->memory.hidden_in_file ? c->path : NULL,
                             &out->windows);
}

q35_status q35i_walk_open_source(q35i_walk *w)
{
    Q35_TRY(q35i_overlay_create(w->c->in, &w->source));
    return q35i_windows_open(w->n_windows, q35i_window_bytes(w->c),
                             w->c->memory.hidden_in_file ? w->c->path : NULL, &w->source_windows);
}

void q35i_walk_close(q35i_walk *w)
{
    q35i_overlay_close(w->source);
    q35i_windows_close(w->source_windows);
    q35i_overlay_close(w->overlay);
    q35i_device_close(w->device);
    q35i_windows_close(w->windows);
    for (uint64_t i = 0; w->codes && i < w->c->n_targets; i++)
        q35i_free(w->codes[i]);
    q35i_free(w->codes);
}
