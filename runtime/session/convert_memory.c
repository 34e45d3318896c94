/* SPDX-License-Identifier: Apache-2.0
 *
 * What a conversion takes at most beside mapped files, and how it is cut down to its bound: the hidden states go
 * to a file. The bytes of the output are the same. Matrices are counted whole: with huge pages they are touched
 * whole. */
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/pool.h"
#include "runtime/base/size.h"
#include "runtime/quant/format.h"
#include "runtime/session/layer_halves.h"
#include "runtime/session/sensitivity.h"

#include <q35rt/session.h>

#include <stdio.h>
#include <unistd.h>

#define PANEL_BYTES  721u             /* of error feedback per column and worker: runtime/quant/ldlq.c */
#define READ_BYTES   256u             /* of rows that are corrected, likewise: runtime/session/layer_inputs.c */
#define SOLVE_BYTES  512u             /* of rows that are solved, likewise: runtime/quant/correction.c */
#define RESULT_BYTES 48u              /* of a row's errors */
#define SAMPLE_PAIRS UINT64_C(400000) /* at most, that train a codebook: runtime/session/convert_fast.c */
#define SAMPLE_BYTES 25u              /* of each: itself, weight, marks */
#define PLAN_BYTES   (UINT64_C(64) << 10) /* of a stretch per layer, beside results and KV cache */
#define HEAP_BYTES   (UINT64_C(256) << 10)
#define HEAP_SHARE   32u /* of all that is taken: small objects, and what the heap keeps of freed ones */

/* OpenBLAS packs operands: products of 512 tokens and 512 columns per worker, and the panels of one Cholesky
 * factorisation up to the size of its buffer. */
#define PRODUCT_BYTES  (UINT64_C(2) * 512 * sizeof(float))
#define PRODUCT_MOST   512u
#define CHOLESKY_BYTES 4096u
#define CHOLESKY_MOST  (UINT64_C(32) << 20)

/* Memory of a layer's distinct input. */
typedef struct input_terms {
    uint64_t moments;    /* H, then U: f32 [k][k] */
    uint64_t correction; /* f32 [k][k], or [outputs][k] */
    uint64_t look;   /* both models' stretches up to it, rotated tokens, differences, weights f32 [outputs][k] */
    uint64_t factor; /* f64 [k][k], order, metric, rows that are solved */
    uint64_t encode; /* most of its weights: rows f32 [n][k], codes, errors, panels */
} input_terms;

typedef struct terms {
    const q35i_conversion *c;
    uint64_t workers;
    uint64_t now;                      /* the process has already */
    uint64_t look, half, logits, fast; /* results and KV cache of a stretch: with inputs given out, through half a
                                        * layer, to the logits; of --fast's whole model */
    uint64_t rotated;                  /* f32 [window][longest k], and signs */
    uint64_t blas;                     /* that OpenBLAS keeps */
    uint64_t sample;                   /* a codebook's training */
    input_terms input[Q35I_MAX_LAYER_INPUTS];
    uint32_t n_inputs;
    uint64_t layer_codes;                 /* of the layer that has most */
    uint64_t outside_codes;               /* of embedding and head, which stay */
    uint64_t largest_codes, largest_kept; /* of a tensor while it is made or written */
    /* Source tensors in another form than the file's, put together: of a layer, of all, of those that are written
     * as they are. */
    uint64_t layer_composed, composed, kept_composed;
} terms;

/* ---- sizes ---- */

/* Saturating, so that absurd shapes are too large and nothing else. */
static uint64_t mul(uint64_t a, uint64_t b)
{
    uint64_t n;
    return q35i_mul(a, b, &n) ? n : UINT64_MAX;
}

static uint64_t add(uint64_t a, uint64_t b)
{
    uint64_t n;
    return q35i_add(a, b, &n) ? n : UINT64_MAX;
}

static uint64_t rows_of(const q35i_target *t)
{
    return (uint64_t)t->info->dim[1];
}

static uint64_t inputs_of(const q35i_target *t)
{
    return (uint64_t)t->info->dim[0];
}

/* Codes of a tensor in the largest type that it may get. */
static uint64_t codes_of(const q35i_target *t)
{
    uint32_t dtype = t->choosable ? Q35_DT_Q40_ROW : t->dtype;
    if (t->choosable && q35_row_bytes(Q35_DT_Q60_ROW, inputs_of(t)) > q35_row_bytes(dtype, inputs_of(t)))
        dtype = Q35_DT_Q60_ROW;
    return q35i_is_coded(dtype) ? mul(q35_row_bytes(dtype, inputs_of(t)), rows_of(t)) : 0;
}

/* Floats and doubles of a row for each worker, and a result per row. */
static uint64_t row_work(const terms *m, const q35i_target *t)
{
    return add(mul(m->workers, mul(inputs_of(t), 12)), mul(rows_of(t), RESULT_BYTES));
}

/* Bytes that a tensor takes while it is written as it is, or as Q8_0. */
static uint64_t kept_bytes(const terms *m, const q35i_target *t)
{
    if (t->info->rank != 2)
        return 0;
    uint64_t blocks = t->kept == t->info->dtype ? 0 : mul(q35_row_bytes(t->kept, inputs_of(t)), rows_of(t));
    return add(blocks, row_work(m, t));
}

/* Bytes of the process that are not pages of files; 0: unknown. */
static uint64_t present_bytes(void)
{
    unsigned long long size, resident = 0, shared = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    long page = sysconf(_SC_PAGESIZE);
    int n = file ? fscanf(file, "%llu %llu %llu", &size, &resident, &shared) : 0;
    if (file)
        fclose(file);
    return n == 3 && page > 0 && resident > shared ? mul(resident - shared, (uint64_t)page) : 0;
}

/* ---- terms ---- */

static void count_tensors(terms *m)
{
    uint64_t layer_codes = 0, layer_composed = 0, pairs = 0;
    for (uint32_t layer = 0; layer < m->c->config.n_layers; layer++, layer_codes = layer_composed = 0) {
        for (uint64_t i = 0; i < m->c->n_targets; i++) {
            const q35i_target *t = &m->c->targets[i];
            if (!q35i_in_layer(t->info, layer))
                continue;
            layer_codes = add(layer_codes, t->info->rank == 2 ? codes_of(t) : 0);
            bool kept = t->choosable || !q35i_is_coded(t->dtype); /* it stands in both models */
            layer_composed = add(layer_composed, t->info->data ? 0 : mul(t->info->bytes, kept ? 2 : 1));
        }
        m->layer_codes = q35i_max(m->layer_codes, layer_codes);
        m->layer_composed = q35i_max(m->layer_composed, layer_composed);
    }
    for (uint64_t i = 0; i < m->c->n_targets; i++) {
        const q35i_target *t = &m->c->targets[i];
        uint64_t codes = t->info->rank == 2 ? codes_of(t) : 0;
        m->outside_codes = add(m->outside_codes, q35i_is_linear(t->info) ? 0 : codes);
        m->largest_codes = q35i_max(m->largest_codes, codes > 0 ? add(codes, row_work(m, t)) : 0);
        m->largest_kept = q35i_max(m->largest_kept, q35i_is_coded(t->dtype) ? 0 : kept_bytes(m, t));
        pairs = add(pairs, codes > 0 ? mul(rows_of(t), inputs_of(t)) / 2 : 0);
        uint64_t composed = t->info->data ? 0 : t->info->bytes;
        m->composed = add(m->composed, composed);
        m->kept_composed = add(m->kept_composed, t->dtype == t->info->dtype ? composed : 0);
    }
    m->sample = q35i_min(pairs, SAMPLE_PAIRS) * SAMPLE_BYTES;
}

/* Most of what the weights of one input take while they are encoded. */
static uint64_t encode_bytes(const terms *m, const q35i_walk *w, const q35i_layer_input *input)
{
    uint64_t most = 0, panels = mul(m->workers, mul(input->k, PANEL_BYTES + READ_BYTES));
    for (uint32_t i = 0; i < input->n_weights; i++) {
        const q35i_target *t = q35i_walk_target(w, input->weights[i]);
        if (t)
            most = q35i_max(
                most, add(add(mul(mul(rows_of(t), inputs_of(t)), sizeof(float)), codes_of(t)), row_work(m, t)));
    }
    return add(most, panels);
}

static void count_inputs(terms *m, const q35i_walk *w, const q35i_layer_inputs *inputs)
{
    m->n_inputs = inputs->n;
    for (uint32_t i = 0; i < inputs->n; i++) {
        const uint64_t k = inputs->input[i].k + inputs->input[i].k % 2, square = mul(k, k),
                       outputs = q35i_ends_half(i) ? m->c->config.hidden : 0,
                       own = mul(mul(outputs, k), sizeof(float));
        m->input[i] =
            (input_terms){.moments = mul(square, sizeof(float)),
                          .correction = outputs ? own : mul(square, sizeof(float)),
                          .look = add(add(own, q35i_window_bytes(m->c)), q35i_layer_scratch(k, outputs)),
                          .factor = add(mul(square, sizeof(double)), mul(mul(k, SOLVE_BYTES), m->workers)),
                          .encode = encode_bytes(m, w, &inputs->input[i])};
        m->blas = q35i_max(m->blas, add(mul(m->workers, q35i_min(k, PRODUCT_MOST) * PRODUCT_BYTES),
                                        q35i_min(mul(k, CHOLESKY_BYTES), CHOLESKY_MOST)));
        m->rotated = q35i_max(m->rotated, mul(k, Q35I_WINDOW * sizeof(float) + 1));
    }
}

/* A stretch that is made and not run takes next to nothing: its memory is not touched. */
static q35_status measure_stretch(q35i_walk *w, const q35i_part *part, const q35i_build_options *options,
                                  uint64_t layers, uint64_t *bytes, q35i_layer_inputs *inputs)
{
    q35i_stretch *s;
    q35i_build_options all = *options;
    all.n_tokens = all.n_ctx = Q35I_WINDOW;
    all.part = part;
    Q35_TRY(q35i_stretch_create(w->overlay, &w->c->config, &all, w->device, w->c->pool, &s));
    *bytes = add(q35i_stretch_arena_bytes(s), mul(add(q35i_stretch_state_bytes(s), PLAN_BYTES), layers));
    q35_status status = inputs ? q35i_layer_inputs_list(s, inputs) : Q35_OK;
    q35i_stretch_destroy(s);
    return status;
}

/* What a look at each input and a pass through each half take. */
static q35_status measure_halves(terms *m, q35i_walk *w)
{
    const q35i_build_options look = {.act = Q35_ACT_INT8, .kv_dtype = Q35_DT_F32, .linear_inputs = 1},
                             pass = {.act = Q35_ACT_INT8, .kv_dtype = Q35_DT_F32};
    for (uint32_t i = 0; i < m->n_inputs; i++) {
        for (int source = 0; source < 2; source++) {
            const q35i_part part = q35i_half_part(0, i, source);
            uint64_t bytes;
            Q35_TRY(measure_stretch(w, &part, &look, 1, &bytes, NULL));
            m->input[i].look = add(m->input[i].look, bytes);
        }
        const q35i_part half = q35i_half_whole(0, q35i_half_of(i));
        uint64_t bytes;
        Q35_TRY(measure_stretch(w, &half, &pass, 1, &bytes, NULL));
        m->half = q35i_max(m->half, bytes);
    }
    return Q35_OK;
}

static q35_status measure_stretches(terms *m, q35i_walk *w)
{
    const uint32_t n = w->c->config.n_layers;
    const q35i_part first = {.end = 1, .hidden_in = 1, .hidden_out = 1},
                    last = {.begin = n - 1, .end = n, .hidden_in = 1};
    const q35i_build_options look = {.act = Q35_ACT_INT8, .kv_dtype = Q35_DT_F32, .linear_inputs = 1},
                             logits = {.act = Q35_ACT_F32, .kv_dtype = Q35_DT_F32, .all_logits = 1},
                             fast = {.act = Q35_ACT_INT8, .kv_dtype = Q35_DT_F16, .observe = 1};
    q35i_layer_inputs inputs = {0};
    if (w->c->options->method == Q35_METHOD_FAST)
        return measure_stretch(w, &last, &fast, n, &m->fast, NULL);
    Q35_TRY(measure_stretch(w, &first, &look, 1, &m->look, &inputs));
    count_inputs(m, w, &inputs);
    Q35_TRY(measure_halves(m, w));
    return w->c->options->target_bpw > 0 ? measure_stretch(w, &last, &logits, n, &m->logits, NULL) : Q35_OK;
}

static q35_status take_terms(q35i_conversion *c, terms *m)
{
    q35i_walk w = {.c = c};
    *m = (terms){.c = c, .workers = c->pool ? q35i_pool_size(c->pool) : 1, .now = present_bytes()};
    count_tensors(m);
    q35_status status = Q35_OK;
    if (c->options->method != Q35_METHOD_PLAIN) {
        status = q35i_walk_open_bare(c, &w);
        if (status == Q35_OK)
            status = measure_stretches(m, &w);
        q35i_walk_close(&w);
    }
    return status;
}

/* ---- peaks ---- */

static uint64_t hidden_bytes(const terms *m, const q35i_memory *how, uint64_t windows)
{
    return how->hidden_in_file ? 0 : mul(windows, q35i_window_bytes(m->c));
}

/* Most while a layer's inputs are looked at, factored and used for measuring, on top of `base`. scoring: what else
 * an input's U outlives. */
static uint64_t inputs_peak(const terms *m, uint64_t base, uint64_t scoring)
{
    uint64_t all = 0, peak;
    base = add(base, m->rotated);
    for (uint32_t i = 0; i < m->n_inputs; i++)
        all = add(all, m->input[i].moments);
    peak = add(add(base, all), add(m->look, m->layer_composed));
    for (uint32_t i = 0; i < m->n_inputs; i++) {
        const input_terms *x = &m->input[i];
        peak = q35i_max(peak, add(add(base, all), q35i_max(q35i_max(x->factor, x->encode), scoring)));
        all -= all == UINT64_MAX ? 0 : x->moments; /* those that come later are held */
    }
    return peak;
}

/* Most while layers are quantised half by half, on top of `base`. The layer's codes are there twice while they are
 * shown: packed, too. */
static uint64_t halves_peak(const terms *m, uint64_t base)
{
    const uint64_t shown = add(mul(m->layer_codes, 2), m->layer_composed);
    uint64_t peak = add(m->half, shown);
    for (uint32_t i = 0; i < m->n_inputs; i++) {
        const input_terms *x = &m->input[i];
        uint64_t held = add(x->moments, x->correction);
        peak = q35i_max(peak, add(held, add(x->look, shown)));
        peak = q35i_max(peak, add(held, add(m->layer_codes, q35i_max(x->factor, x->encode))));
    }
    return add(base, peak);
}

static uint64_t feedback_peak(const terms *m, const q35i_memory *how)
{
    uint64_t base = add(mul(hidden_bytes(m, how, m->c->n_windows), 2), m->outside_codes);
    uint64_t peak = q35i_max(halves_peak(m, base), add(base, m->largest_codes));
    if (m->c->options->target_bpw > 0) {
        base = add(hidden_bytes(m, how, q35i_measure_windows(m->c)), q35i_measure_base_bytes(m->c));
        uint64_t scoring = add(add(m->logits, m->composed), mul(m->largest_codes, 2));
        peak = q35i_max(peak, q35i_max(add(base, scoring), inputs_peak(m, base, scoring)));
    }
    return add(peak, m->blas);
}

/* Most memory that the conversion takes, done that way. */
static uint64_t peak_bytes(const terms *m, const q35i_memory *how)
{
    const uint32_t method = m->c->options->method;
    const uint64_t composed = method == Q35_METHOD_FAST ? m->composed : m->kept_composed;
    uint64_t peak = add(q35i_max(m->largest_codes, m->largest_kept), composed); /* writing; encoding alone */
    if (method == Q35_METHOD_FEEDBACK)
        peak = q35i_max(peak, feedback_peak(m, how));
    else
        peak = q35i_max(peak, add(composed, q35i_max(m->fast, m->sample)));
    return add(add(peak, peak / HEAP_SHARE), add(m->now, HEAP_BYTES));
}

/* ---- the bound ---- */

/* Of what there is an eighth is left to others. */
static uint64_t default_bound(const terms *m)
{
    uint32_t index[1], n = 1;
    q35_device_report report;
    if (q35_runtime_resolve(m->c->runtime, "cpu", index, &n) != Q35_OK)
        return UINT64_MAX;
    q35_runtime_device(m->c->runtime, index[0], &report);
    uint64_t there = report.memory.available;
    return there == 0 ? UINT64_MAX : add(there - there / 8, m->now);
}

static void tell(const q35i_conversion *c, const q35_convert_needs *needs)
{
    if (c->options->needs)
        c->options->needs(c->options->user, needs);
}

q35_status q35i_convert_memory(q35i_conversion *c)
{
    static const q35i_memory ways[] = {{false}, {true}}; /* the quickest first */
    terms m;
    uint64_t least = UINT64_MAX, need = 0;
    Q35_TRY(take_terms(c, &m));
    const bool layers = c->options->method == Q35_METHOD_FEEDBACK;
    const uint64_t bound = c->options->memory > 0 ? c->options->memory : default_bound(&m);
    for (uint32_t i = 0; i < (layers ? 2u : 1u); i++) {
        need = peak_bytes(&m, &ways[i]);
        least = q35i_min(least, need);
        if (need > bound)
            continue;
        c->memory = ways[i];
        tell(c, &(q35_convert_needs){.windows = c->n_windows,
                                     .memory = need,
                                     .bound = bound,
                                     .hidden = layers ? mul(mul(c->n_windows, 2), q35i_window_bytes(c)) : 0,
                                     .hidden_in_file = ways[i].hidden_in_file});
        return Q35_OK;
    }
    return Q35_FAIL(Q35_E_NOFIT, "conversion: %llu MiB of memory %s, need at least %llu MiB",
                    (unsigned long long)(bound >> 20), c->options->memory > 0 ? "allowed" : "available",
                    (unsigned long long)(q35i_div_up(least, UINT64_C(1) << 20)));
}
