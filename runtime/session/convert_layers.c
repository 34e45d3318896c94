/* SPDX-License-Identifier: Apache-2.0
 *
 * The calibrated conversion. Hidden states of all calibration tokens go through the model layer by layer: the
 * layer's source weights show the inputs of its linears, whose second moments guide the codes; then the layer runs
 * again with the codes, and what comes out enters the next layer. */
#include "runtime/session/convert.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"
#include "runtime/model/model.h"
#include "runtime/quant/format.h"
#include "runtime/quant/gaussian.h"
#include "runtime/session/layer_inputs.h"

#include <q35rt/session.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct layers {
    q35i_conversion *c;
    q35i_device *device;
    q35_model *overlay; /* the source with what is finished */
    float *hidden;      /* [tokens][hidden width] */
    uint8_t **codes;    /* [n_targets] of the current layer's finished tensors */
    uint32_t layer;
} layers;

/* Share of a layer's progress that each step takes. */
#define LOOKED  0.45
#define ENCODED 0.85

static q35_status progress(const layers *l, double part)
{
    const q35i_conversion *c = l->c;
    double layer = (double)c->n_weights / c->config.n_layers;
    return q35i_convert_progress(c->options, Q35_STAGE_QUANTISE, (uint64_t)(layer * (l->layer + part)),
                                 c->n_weights);
}

static q35_status stretch(const layers *l, const q35i_part *part, int linear_inputs, q35i_stretch **out)
{
    const q35i_build_options options = {.n_tokens = Q35I_WINDOW,
                                        .n_ctx = Q35I_WINDOW,
                                        .act = Q35_ACT_INT8,
                                        .kv_dtype = Q35_DT_F32,
                                        .linear_inputs = linear_inputs,
                                        .part = part};
    return q35i_stretch_create(l->overlay, &l->c->config, &options, l->device, l->c->pool, out);
}

static float *window(const layers *l, uint64_t i)
{
    return l->hidden + i * Q35I_WINDOW * l->c->config.hidden;
}

static uint64_t window_bytes(const layers *l)
{
    return (uint64_t)Q35I_WINDOW * l->c->config.hidden * sizeof(float);
}

/* What enters layer 0. */
static q35_status embed(layers *l)
{
    const q35i_part part = {.hidden_out = 1};
    q35i_stretch *s;
    q35_status status = stretch(l, &part, 0, &s);
    for (uint64_t i = 0; i < l->c->n_windows && status == Q35_OK; i++) {
        memcpy(q35i_stretch_input(s), l->c->ids + i * Q35I_WINDOW, Q35I_WINDOW * sizeof *l->c->ids);
        status = q35i_stretch_run(s, Q35I_WINDOW, 0);
        memcpy(window(l, i), q35i_stretch_output(s), window_bytes(l));
    }
    q35i_stretch_destroy(s);
    return status;
}

static q35_status run_window(const layers *l, q35i_stretch *s, uint64_t i)
{
    memcpy(q35i_stretch_input(s), window(l, i), window_bytes(l));
    return q35i_stretch_run(s, Q35I_WINDOW, 0);
}

/* The layer as it will be: its output becomes the next one's input. */
static q35_status advance(layers *l)
{
    const q35i_part part = {.begin = l->layer, .end = l->layer + 1, .hidden_in = 1, .hidden_out = 1};
    q35i_stretch *s;
    q35_status status = stretch(l, &part, 0, &s);
    for (uint64_t i = 0; i < l->c->n_windows && status == Q35_OK; i++) {
        status = run_window(l, s, i);
        if (status == Q35_OK) {
            memcpy(window(l, i), q35i_stretch_output(s), window_bytes(l));
            status = progress(l, ENCODED + (1 - ENCODED) * (double)(i + 1) / (double)l->c->n_windows);
        }
    }
    q35i_stretch_destroy(s);
    return status;
}

/* ---- the linears of a layer ---- */

static q35i_target *target_of(const layers *l, const char *name)
{
    for (uint64_t i = 0; i < l->c->n_targets; i++)
        if (strcmp(l->c->targets[i].info->name, name) == 0)
            return &l->c->targets[i];
    return NULL;
}

/* The overlay shows the finished tensor. bytes is taken. */
static void show(layers *l, const q35i_target *t, uint8_t *bytes)
{
    q35_tensor_info info = *t->info;
    info.dtype = t->dtype;
    info.data = bytes;
    info.bytes = t->done.bytes;
    info.rotation_seed = t->rotation_seed;
    info.rotation_width = t->rotation_width;
    info.activation = t->activation;
    l->codes[t->index] = bytes;
    q35i_overlay_replace(l->overlay, t->index, &info);
}

static q35_status encode(layers *l, const q35i_layer_input *input, q35i_target *t)
{
    q35i_row_error error;
    uint64_t bytes = q35_row_bytes(t->dtype, (uint64_t)t->info->dim[0]) * (uint64_t)t->info->dim[1];
    uint8_t *codes = q35i_calloc(bytes, 1);
    if (!codes)
        return q35i_fail_context(Q35_E_NOMEM, "tensor %s", t->info->name);
    t->rotation_seed = input->seed;
    t->rotation_width = input->width;
    t->activation = input->activation;
    q35_status status = q35i_layer_encode(input, t, l->c->pool, codes, &error);
    if (status == Q35_OK)
        status = q35i_convert_finish_tensor(l->c, t, codes, &error);
    if (status == Q35_OK)
        show(l, t, codes);
    else
        q35i_free(codes);
    return status;
}

/* A tensor that an earlier run finished. */
static q35_status restore(layers *l, const q35i_target *t)
{
    uint8_t *codes = q35i_calloc(t->done.bytes, 1);
    if (!codes)
        return q35i_fail_context(Q35_E_NOMEM, "tensor %s", t->info->name);
    q35_status status = q35i_convert_read_tensor(l->c, t, codes);
    if (status == Q35_OK)
        show(l, t, codes);
    else
        q35i_free(codes);
    return status;
}

static int in_layer(const q35i_target *t, uint32_t layer)
{
    char *end;
    return strncmp(t->info->name, "blk.", 4) == 0 && strtoul(t->info->name + 4, &end, 10) == layer &&
           *end == '.' && q35i_is_coded(t->dtype);
}

static int all_finished(const layers *l)
{
    for (uint64_t i = 0; i < l->c->n_targets; i++)
        if (in_layer(&l->c->targets[i], l->layer) && !l->c->targets[i].finished)
            return 0;
    return 1;
}

/* Second moments of the layer's inputs. */
static q35_status look(layers *l, q35i_layer_inputs *inputs)
{
    const q35i_part part = {.begin = l->layer, .end = l->layer + 1, .hidden_in = 1, .hidden_out = 1};
    q35i_stretch *s;
    q35_status status = stretch(l, &part, 1, &s);
    if (status == Q35_OK)
        status = q35i_layer_inputs_create(s, l->c->options->seed, l->layer, inputs);
    for (uint64_t i = 0; i < l->c->n_windows && status == Q35_OK; i++) {
        status = run_window(l, s, i);
        if (status == Q35_OK)
            status = q35i_layer_inputs_add(inputs, s, Q35I_WINDOW, l->c->pool);
        if (status == Q35_OK)
            status = progress(l, LOOKED * (double)(i + 1) / (double)l->c->n_windows);
    }
    q35i_stretch_destroy(s);
    return status;
}

static q35_status encode_input(layers *l, q35i_layer_input *input)
{
    Q35_TRY(q35i_layer_input_factor(input));
    for (uint32_t i = 0; i < input->n_weights; i++) {
        q35i_target *t = target_of(l, input->weights[i]);
        if (!t || !q35i_is_coded(t->dtype) || t->finished)
            continue;
        Q35_TRY(encode(l, input, t));
        q35i_model_drop_pages(l->c->in, t->info);
    }
    return Q35_OK;
}

static q35_status encode_layer(layers *l)
{
    q35i_layer_inputs inputs = {0};
    q35_status status = look(l, &inputs);
    for (uint32_t i = 0; i < inputs.n && status == Q35_OK; i++) {
        status = encode_input(l, &inputs.input[i]);
        q35i_layer_input_free(&inputs.input[i]);
        if (status == Q35_OK)
            status = progress(l, LOOKED + (ENCODED - LOOKED) * (double)(i + 1) / inputs.n);
    }
    q35i_layer_inputs_free(&inputs);
    return status;
}

static q35_status convert_layer(layers *l)
{
    q35_status status = Q35_OK;
    if (!all_finished(l))
        Q35_TRY_GOTO(encode_layer(l), out);
    for (uint64_t i = 0; i < l->c->n_targets; i++)
        if (in_layer(&l->c->targets[i], l->layer) && !l->codes[i])
            Q35_TRY_GOTO(restore(l, &l->c->targets[i]), out);
    if (l->layer + 1 < l->c->config.n_layers)
        status = advance(l);
out:
    for (uint64_t i = 0; i < l->c->n_targets; i++) {
        if (l->codes[i])
            q35i_overlay_replace(l->overlay, i, NULL);
        q35i_free(l->codes[i]);
        l->codes[i] = NULL;
    }
    return status;
}

static q35_status open_cpu(layers *l)
{
    uint32_t index[1], n = 1;
    Q35_TRY(q35_runtime_resolve(l->c->runtime, "cpu", index, &n));
    return q35i_device_open(l->c->runtime, index[0], &l->device);
}

static int any_left(const q35i_conversion *c)
{
    for (uint64_t i = 0; i < c->n_targets; i++)
        if (q35i_is_coded(c->targets[i].dtype) && !c->targets[i].finished)
            return 1;
    return 0;
}

q35_status q35i_convert_layers(q35i_conversion *c)
{
    q35_status status = Q35_OK;
    uint64_t tokens = c->n_windows * Q35I_WINDOW;
    layers l = {.c = c};
    if (!any_left(c))
        return Q35_OK;
    l.codes = q35i_calloc(c->n_targets, sizeof(uint8_t *));
    Q35_CHECK_ALLOC_GOTO(l.codes, out);
    l.hidden = q35i_alloc_pages(tokens * c->config.hidden * sizeof *l.hidden);
    Q35_CHECK_ALLOC_GOTO(l.hidden, out);
    Q35_TRY_GOTO(open_cpu(&l), out);
    Q35_TRY_GOTO(q35i_overlay_create(c->in, &l.overlay), out);
    q35i_overlay_books(l.overlay, q35i_gaussian_book(Q35_DT_Q35_ROW), q35i_gaussian_book(Q35_DT_Q40_ROW));
    Q35_TRY_GOTO(embed(&l), out);
    for (l.layer = 0; l.layer < c->config.n_layers; l.layer++)
        Q35_TRY_GOTO(convert_layer(&l), out);
out:
    q35i_overlay_close(l.overlay);
    q35i_device_close(l.device);
    q35i_free_pages(l.hidden, tokens * c->config.hidden * sizeof *l.hidden);
    q35i_free(l.codes);
    return status;
}
