/* SPDX-License-Identifier: Apache-2.0
 *
 * The calibrated conversion: the inputs of a layer's linears one after another, each as what was quantised before
 * it makes it and as the source has it. Its second moments guide the codes of weights that are corrected for the
 * difference (docs/decisions/0007). */
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/size.h"
#include "runtime/model/model.h"
#include "runtime/quant/format.h"
#include "runtime/quant/gaussian.h"
#include "runtime/quant/random.h"
#include "runtime/quant/tensor.h"
#include "runtime/session/layer_halves.h"

static uint8_t *codes_of(const q35i_target *t)
{
    uint8_t *codes =
        q35i_calloc(q35_row_bytes(t->dtype, (uint64_t)t->info->dim[0]) * (uint64_t)t->info->dim[1], 1);
    if (!codes)
        (void)q35i_fail_context(Q35_E_NOMEM, "tensor %s", t->info->name);
    return codes;
}

static q35_status encode(q35i_walk *w, const q35i_layer_input *input, q35i_target *t)
{
    q35i_row_error error;
    uint8_t *codes = codes_of(t);
    if (!codes)
        return Q35_E_NOMEM;
    q35i_layer_input_describe(input, t);
    q35_status status = q35i_layer_encode(input, t, w->c->pool, codes, &error);
    if (status == Q35_OK)
        status = q35i_convert_finish_tensor(w->c, t, codes, &error);
    q35i_free(codes);
    return status;
}

/* A finished tensor's codes stand for it. */
static q35_status restore(q35i_walk *w, const q35i_target *t)
{
    uint8_t *codes = codes_of(t);
    if (!codes)
        return Q35_E_NOMEM;
    q35_status status = q35i_convert_read_tensor(w->c, t, codes);
    if (status == Q35_OK)
        q35i_walk_show(w, t, codes);
    else
        q35i_free(codes);
    return status;
}

/* The input's n-th linear, NULL: it is not coded. */
static q35i_target *coded(const q35i_walk *w, const q35i_layer_input *input, uint32_t n)
{
    q35i_target *t = q35i_walk_target(w, input->weights[n]);
    return t && q35i_is_coded(t->dtype) ? t : NULL;
}

static bool any_unfinished(const q35i_walk *w, const q35i_layer_input *input)
{
    bool any = false;
    for (uint32_t i = 0; i < input->n_weights; i++) {
        const q35i_target *t = coded(w, input, i);
        any |= t && !t->finished;
    }
    return any;
}

static q35_status encode_weights(q35i_walk *w, q35i_layer_input *input)
{
    Q35_TRY(q35i_layer_input_factor(input, w->c->pool));
    for (uint32_t i = 0; i < input->n_weights; i++) {
        q35i_target *t = coded(w, input, i);
        if (!t || t->finished)
            continue;
        Q35_TRY(encode(w, input, t));
        q35i_model_drop_pages(w->c->in, t->info);
    }
    return Q35_OK;
}

/* Shares of a layer's progress at which looking at an input, its codes and passing the half are over; for
 * SmolLM2-135M about those of the time. */
typedef struct milestones {
    double begun, looked, encoded, passed;
} milestones;

static const milestones progress[Q35I_LAYER_INPUTS] = {
    {0, 0.05, 0.1, 0.1}, {0.1, 0.2, 0.24, 0.28}, {0.28, 0.35, 0.5, 0.5}, {0.5, 0.75, 0.93, 1}};

/* Codes of the input's linears, and the source's hidden states behind the half that it ends. */
static q35_status encode_input(q35i_walk *w, q35i_layer_input *input, uint32_t number)
{
    const milestones *at = &progress[number];
    if (!any_unfinished(w, input))
        return q35i_ends_half(number)
                   ? q35i_halves_pass(w, q35i_half_of(number), true, (q35i_span){at->begun, at->looked})
                   : Q35_OK;
    q35_status status = q35i_halves_look(w, input, number, (q35i_span){at->begun, at->looked});
    if (status == Q35_OK)
        status = encode_weights(w, input);
    q35i_layer_input_free(input);
    return status;
}

static q35_status convert_input(q35i_walk *w, q35i_layer_input *input, uint32_t number)
{
    const milestones *at = &progress[number];
    Q35_TRY(encode_input(w, input, number));
    Q35_TRY(q35i_walk_progress(w, at->encoded));
    for (uint32_t i = 0; i < input->n_weights; i++) {
        q35i_target *t = coded(w, input, i);
        if (t)
            Q35_TRY(restore(w, t));
    }
    return q35i_ends_half(number)
               ? q35i_halves_pass(w, q35i_half_of(number), false, (q35i_span){at->encoded, at->passed})
               : Q35_OK;
}

static q35_status convert_layer(q35i_walk *w)
{
    q35i_layer_inputs inputs = {0};
    Q35_TRY(q35i_halves_list(w, &inputs));
    for (uint32_t i = 0; i < inputs.n; i++)
        Q35_TRY(convert_input(w, &inputs.input[i], i));
    for (uint64_t i = 0; i < w->c->n_targets; i++)
        if (q35i_in_layer(w->c->targets[i].info, w->layer))
            q35i_walk_show(w, &w->c->targets[i], NULL);
    return Q35_OK;
}

/* ---- embedding and head ---- */

q35_status q35i_encode_alone(const q35i_conversion *c, q35i_target *t, uint8_t *codes, q35i_row_error *error)
{
    uint64_t state = c->options->seed + UINT64_MAX - t->index;
    const q35i_linear linear = {.info = t->info};
    t->rotation_seed = q35i_random(&state);
    t->rotation_width = Q35I_ROTATION_WIDTH;
    t->activation = Q35_DT_A8_ROW;
    const q35i_encoding encoding = {.dtype = t->dtype,
                                    .points = q35i_gaussian_book(t->dtype),
                                    .rotation_seed = t->rotation_seed,
                                    .rotation_width = t->rotation_width,
                                    .pool = c->pool};
    return q35i_tensor_encode(&encoding, &linear, codes, error);
}

/* Matrices outside the layers have no second moments: they are rotated and rounded, and stand from the start. */
static q35_status encode_outside(q35i_walk *w)
{
    for (uint64_t i = 0; i < w->c->n_targets; i++) {
        q35i_target *t = &w->c->targets[i];
        q35i_row_error error;
        if (!q35i_is_coded(t->dtype) || q35i_is_linear(t->info))
            continue;
        if (!t->finished) {
            uint8_t *codes = codes_of(t);
            q35_status status = codes ? q35i_encode_alone(w->c, t, codes, &error) : Q35_E_NOMEM;
            if (status == Q35_OK)
                status = q35i_convert_finish_tensor(w->c, t, codes, &error);
            q35i_free(codes);
            Q35_TRY(status);
        }
        Q35_TRY(restore(w, t));
    }
    return Q35_OK;
}

static int any_left(const q35i_conversion *c)
{
    for (uint64_t i = 0; i < c->n_targets; i++)
        if (q35i_is_coded(c->targets[i].dtype) && !c->targets[i].finished)
            return 1;
    return 0;
}

/* Directions that no token has shown count by the damping alone. */
static void tell_few_tokens(const q35i_conversion *c)
{
    uint64_t longest = 0, tokens = c->n_windows * Q35I_WINDOW;
    for (uint64_t i = 0; i < c->n_targets; i++)
        if (q35i_is_coded(c->targets[i].dtype) && q35i_is_linear(c->targets[i].info))
            longest = q35i_max(longest, (uint64_t)c->targets[i].info->dim[0]);
    if (tokens < longest)
        q35i_log(
            Q35_LOG_WARN,
            "calibration: %llu tokens for up to %llu inputs of a linear: their second moments are singular and "
            "damped, more text makes a better file",
            (unsigned long long)tokens, (unsigned long long)longest);
}

q35_status q35i_convert_layers(q35i_conversion *c)
{
    q35i_walk w;
    if (!any_left(c))
        return Q35_OK;
    tell_few_tokens(c);
    q35_status status = q35i_walk_open(c, Q35_STAGE_QUANTISE, c->n_windows, c->n_windows, &w);
    if (status == Q35_OK)
        status = q35i_walk_open_source(&w);
    if (status == Q35_OK)
        status = encode_outside(&w);
    if (status == Q35_OK)
        status = q35i_walk_embed(&w);
    for (w.layer = 0; w.layer < c->config.n_layers && status == Q35_OK; w.layer++)
        status = convert_layer(&w);
    q35i_walk_close(&w);
    return status;
}
