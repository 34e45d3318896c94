/* SPDX-License-Identifier: Apache-2.0
 *
 * Windows go through a half one after another, in both models. */
#include "runtime/session/layer_halves.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/pool.h"
#include "runtime/base/size.h"

#include <q35rt/session.h>

q35i_part q35i_half_whole(uint32_t layer, uint32_t half)
{
    return (q35i_part){.begin = layer, .end = layer + 1, .hidden_in = 1, .hidden_out = 1, .half = half};
}

q35i_part q35i_half_part(uint32_t layer, uint32_t number, bool source)
{
    q35i_part part = q35i_half_whole(layer, q35i_half_of(number));
    if (!source || !q35i_ends_half(number))
        part.linear_input = number % Q35I_HALF_INPUTS + 1;
    return part;
}

static q35_status check_list(const q35i_walk *w, const q35i_layer_inputs *inputs)
{
    bool fits = inputs->n == Q35I_LAYER_INPUTS;
    for (uint32_t i = 0; i < inputs->n; i++)
        fits &= !q35i_ends_half(i) || inputs->input[i].n_weights == 1;
    return fits ? Q35_OK
                : Q35_FAIL(Q35_E_UNSUPPORTED,
                           "layer %u: %u inputs of linears, need two halves of two with one linear at the end",
                           w->layer, inputs->n);
}

q35_status q35i_halves_list(q35i_walk *w, q35i_layer_inputs *out)
{
    const q35i_part part = {.begin = w->layer, .end = w->layer + 1, .hidden_in = 1, .hidden_out = 1};
    q35i_stretch *s;
    Q35_TRY(q35i_walk_stretch_of(w, w->source, &part, Q35_ACT_INT8, 1, &s));
    q35_status status = q35i_layer_inputs_list(s, out);
    q35i_stretch_destroy(s);
    q35i_walk_let_go(w);
    return status == Q35_OK ? check_list(w, out) : status;
}

static q35_status tell(q35i_walk *w, q35i_span progress, uint64_t windows)
{
    double share = (double)windows / (double)w->n_windows;
    return q35i_walk_progress(w, progress.from + (progress.to - progress.from) * share);
}

/* ---- an input ---- */

/* Both models up to an input. */
typedef struct looking {
    q35i_walk *w;
    q35i_layer_input *input;
    uint32_t number;
    q35i_stretch *quantised, *source;
    float *weights; /* [outputs][k] of the linear that ends the half */
    float *scratch, *dh;
} looking;

static void subtract(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    const looking *l = arg;
    const float *h = q35i_stretch_input(l->source), *g = q35i_stretch_input(l->quantised);
    uint64_t begin, end, n = q35i_window_bytes(l->w->c) / sizeof(float);
    (void)team;
    q35i_split(n, 64, worker, n_workers, &begin, &end);
    for (uint64_t i = begin; i < end; i++)
        l->dh[i] = h[i] - g[i];
}

static q35_status look_at_window(looking *l, uint64_t i)
{
    const q35i_walk *w = l->w;
    uint64_t k;
    Q35_TRY(q35i_windows_read(w->source_windows, i, q35i_stretch_input(l->source)));
    Q35_TRY(q35i_windows_read(w->windows, i, q35i_stretch_input(l->quantised)));
    q35i_pool_run(w->c->pool, subtract, l);
    Q35_TRY(q35i_stretch_run(l->source, Q35I_WINDOW, 0));
    Q35_TRY(q35i_stretch_run(l->quantised, Q35I_WINDOW, 0));
    const q35i_layer_tokens tokens = {.y = q35i_stretch_output(l->quantised),
                                      .x = q35i_stretch_find(l->source, l->input->name, &k),
                                      .dh = l->dh,
                                      .w = l->weights,
                                      .scratch = l->scratch,
                                      .n = Q35I_WINDOW};
    Q35_TRY(q35i_layer_input_add(l->input, &tokens, w->c->pool));
    return q35i_ends_half(l->number) ? q35i_windows_write(w->source_windows, i, q35i_stretch_output(l->source))
                                     : Q35_OK;
}

static q35_status open_look(looking *l)
{
    q35i_walk *w = l->w;
    const uint64_t hidden = w->c->config.hidden, outputs = q35i_ends_half(l->number) ? hidden : 0;
    const q35i_part quantised = q35i_half_part(w->layer, l->number, false),
                    source = q35i_half_part(w->layer, l->number, true);
    Q35_TRY(q35i_layer_input_open(l->input, w->c->options->seed, w->layer, l->number, outputs));
    l->scratch = q35i_alloc_aligned(q35i_layer_scratch(l->input->k, outputs), 64);
    l->dh = q35i_alloc_aligned(q35i_window_bytes(w->c), 64);
    if (!l->scratch || !l->dh)
        return Q35_E_NOMEM;
    if (outputs) {
        l->weights = q35i_calloc(outputs, l->input->k * sizeof *l->weights);
        if (!l->weights)
            return Q35_E_NOMEM;
        Q35_TRY(
            q35i_layer_read(l->input, q35i_walk_target(w, l->input->weights[0])->info, w->c->pool, l->weights));
    }
    Q35_TRY(q35i_walk_stretch_of(w, w->overlay, &quantised, Q35_ACT_INT8, 1, &l->quantised));
    return q35i_walk_stretch_of(w, w->source, &source, Q35_ACT_INT8, 1, &l->source);
}

q35_status q35i_halves_look(q35i_walk *w, q35i_layer_input *input, uint32_t number, q35i_span progress)
{
    looking l = {.w = w, .input = input, .number = number};
    q35_status status = open_look(&l);
    for (uint64_t i = 0; i < w->n_windows && status == Q35_OK; i++) {
        status = look_at_window(&l, i);
        if (status == Q35_OK)
            status = tell(w, progress, i + 1);
    }
    q35i_stretch_destroy(l.quantised);
    q35i_stretch_destroy(l.source);
    q35i_free(l.weights);
    q35i_free(l.scratch);
    q35i_free(l.dh);
    q35i_walk_let_go(w);
    return status;
}

/* ---- a half ---- */

static q35_status pass_window(q35i_windows *windows, q35i_stretch *s, uint64_t i)
{
    Q35_TRY(q35i_windows_read(windows, i, q35i_stretch_input(s)));
    Q35_TRY(q35i_stretch_run(s, Q35I_WINDOW, 0));
    return q35i_windows_write(windows, i, q35i_stretch_output(s));
}

q35_status q35i_halves_pass(q35i_walk *w, uint32_t half, bool source, q35i_span progress)
{
    const q35i_part part = q35i_half_whole(w->layer, half);
    q35i_stretch *s;
    q35_status status = q35i_walk_stretch_of(w, source ? w->source : w->overlay, &part, Q35_ACT_INT8, 0, &s);
    for (uint64_t i = 0; i < w->n_windows && status == Q35_OK; i++) {
        status = pass_window(source ? w->source_windows : w->windows, s, i);
        if (status == Q35_OK)
            status = tell(w, progress, i + 1);
    }
    q35i_stretch_destroy(s);
    q35i_walk_let_go(w);
    return status;
}
