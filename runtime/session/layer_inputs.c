/* SPDX-License-Identifier: Apache-2.0
 *
 * Second moments of rotated inputs, and the error that int8 with one scale per token makes on them. That error is
 * measured block by block of 128 and not over the whole row: a few massive activations would hide that everything
 * beside them was rounded to zero. */
#include "runtime/session/layer_inputs.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/pool.h"
#include "runtime/base/size.h"
#include "runtime/model/model.h"
#include "runtime/quant/gaussian.h"
#include "runtime/quant/ldlq.h"
#include "runtime/quant/random.h"
#include "runtime/quant/rotation.h"
#include "runtime/quant/tensor.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define DAMPING 0.01
#define PANEL   64u /* rows that are read and corrected at a time */
#define MAX_TOKEN_ERROR                                                                                           \
    0.01 /* mean relative squared error of a block of 128, above which a scale per 128 is taken */

/* ---- what there is ---- */

typedef struct listing {
    const q35i_stretch *stretch;
    q35i_layer_inputs *out;
    q35_status status;
} listing;

static void list_linear(void *user, const char *weight, const char *name)
{
    listing *l = user;
    q35i_layer_input *input = NULL;
    for (uint32_t i = 0; i < l->out->n; i++)
        if (strcmp(l->out->input[i].name, name) == 0)
            input = &l->out->input[i];
    if (!input && l->out->n < Q35I_MAX_LAYER_INPUTS) {
        input = &l->out->input[l->out->n++];
        snprintf(input->name, sizeof input->name, "%s", name);
        (void)q35i_stretch_find(l->stretch, name, &input->k);
    }
    if (!input || input->n_weights == sizeof input->weights / sizeof *input->weights)
        l->status =
            Q35_FAIL(Q35_E_UNSUPPORTED, "%s: more linears or inputs in a layer than a conversion holds", weight);
    else
        snprintf(input->weights[input->n_weights++], sizeof input->weights[0], "%s", weight);
}

static uint64_t even(uint64_t k)
{
    return k + k % 2;
}

static q35_status prepare(q35i_layer_input *input, uint64_t seed, uint32_t layer, uint32_t number)
{
    uint64_t state = seed + (uint64_t)layer * Q35I_MAX_LAYER_INPUTS + number;
    input->seed = q35i_random(&state);
    input->width = Q35I_ROTATION_WIDTH;
    input->signs = q35i_calloc(input->k, 1);
    if (!input->signs)
        return Q35_E_NOMEM;
    q35i_rotation_signs(input->seed, input->k, input->signs);
    return q35i_hessian_create(even(input->k), &input->moments);
}

q35_status q35i_layer_input_open(q35i_layer_input *input, uint64_t seed, uint32_t layer, uint32_t number,
                                 uint64_t outputs)
{
    Q35_TRY(prepare(input, seed, layer, number));
    return q35i_correction_create(even(input->k), outputs, &input->correction);
}

q35_status q35i_layer_inputs_list(const q35i_stretch *stretch, q35i_layer_inputs *out)
{
    listing l = {stretch, out, Q35_OK};
    q35i_stretch_linears(stretch, list_linear, &l);
    return l.status;
}

q35_status q35i_layer_inputs_create(const q35i_stretch *stretch, uint64_t seed, uint32_t layer,
                                    q35i_layer_inputs *out)
{
    uint64_t longest = 0;
    Q35_TRY(q35i_layer_inputs_list(stretch, out));
    for (uint32_t i = 0; i < out->n; i++) {
        Q35_TRY(prepare(&out->input[i], seed, layer, i));
        longest = q35i_max(longest, even(out->input[i].k));
    }
    out->rotated = q35i_alloc_aligned(longest * Q35I_WINDOW * sizeof *out->rotated, 64);
    return out->rotated ? Q35_OK : Q35_E_NOMEM;
}

void q35i_layer_input_free(q35i_layer_input *input)
{
    q35i_hessian_free(&input->moments);
    q35i_correction_free(&input->correction);
    q35i_feedback_free(&input->feedback);
    q35i_free(input->signs);
    input->signs = NULL;
}

void q35i_layer_inputs_free(q35i_layer_inputs *inputs)
{
    for (uint32_t i = 0; i < inputs->n; i++)
        q35i_layer_input_free(&inputs->input[i]);
    q35i_free(inputs->rotated);
    *inputs = (q35i_layer_inputs){0};
}

/* ---- tokens ---- */

/* Mean over blocks of 128 of |x - x^|^2 / |x|^2, x^ the row in int8 with one scale. */
static double token_error(const float *x, uint64_t k)
{
    float largest = 0;
    double sum = 0;
    uint64_t blocks = 0;
    for (uint64_t i = 0; i < k; i++)
        largest = fmaxf(largest, fabsf(x[i]));
    if (!(largest > 0))
        return 0;
    for (uint64_t at = 0; at < k; at += Q35_ACT_GROUP, blocks++) {
        double error = 0, square = 0;
        for (uint64_t i = at; i < q35i_min(k, at + Q35_ACT_GROUP); i++) {
            double step = (double)largest / 127, e = (double)x[i] - step * rint((double)x[i] / step);
            error += e * e;
            square += (double)x[i] * (double)x[i];
        }
        sum += square > 0 ? error / square : 0;
    }
    return sum / (double)blocks;
}

typedef struct turning {
    const q35i_layer_input *input;
    const float *x, *minus; /* [n][k]; minus: NULL, or what is taken from it */
    float *out;
    uint32_t n;
    double errors[Q35I_WINDOW]; /* of a token; negative: not finite */
} turning;

static void turn(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    turning *t = arg;
    uint64_t begin, end, k = t->input->k, stride = even(k);
    (void)team;
    q35i_split(t->n, 1, worker, n_workers, &begin, &end);
    for (uint64_t i = begin; i < end; i++) {
        float *row = t->out + i * stride;
        int finite = 1;
        for (uint64_t j = 0; j < k; j++)
            finite &= fabsf(t->x[i * k + j]) <= HUGE_VALF && isfinite(t->x[i * k + j]);
        for (uint64_t j = 0; j < k; j++)
            row[j] = t->x[i * k + j] - (t->minus ? t->minus[i * k + j] : 0);
        if (stride > k)
            row[k] = 0;
        q35i_rotate_floats(t->input->signs, t->input->width, row, k);
        t->errors[i] = !finite ? -1 : t->minus ? 0 : token_error(row, k);
    }
}

/* x - minus (NULL: x) rotated, f32 [n][even k]. */
static q35_status rotate(q35i_layer_input *input, const float *x, const float *minus, float *out, uint32_t n,
                         q35_pool *pool)
{
    turning t = {.input = input, .x = x, .minus = minus, .out = out, .n = n};
    q35i_pool_run(pool, turn, &t);
    for (uint32_t i = 0; i < n; i++) {
        if (t.errors[i] < 0)
            return Q35_FAIL(Q35_E_FORMAT, "calibration: %s is not finite, need finite activations", input->name);
        input->error_sum += t.errors[i];
        input->error_worst = fmax(input->error_worst, t.errors[i]);
    }
    return Q35_OK;
}

static q35_status add(q35i_layer_input *input, const float *x, float *rotated, uint32_t n, q35_pool *pool)
{
    Q35_TRY(rotate(input, x, NULL, rotated, n, pool));
    q35i_hessian_add(&input->moments, rotated, n, pool);
    return Q35_OK;
}

uint64_t q35i_layer_scratch(uint64_t k, uint64_t outputs)
{
    return (2 * even(k) + outputs) * Q35I_WINDOW * sizeof(float);
}

q35_status q35i_layer_input_add(q35i_layer_input *input, const q35i_layer_tokens *t, q35_pool *pool)
{
    float *y = t->scratch, *dx = y + t->n * even(input->k), *d = dx + t->n * even(input->k);
    Q35_TRY(add(input, t->y, y, t->n, pool));
    Q35_TRY(rotate(input, t->x, t->y, dx, t->n, pool));
    if (!input->correction.shared)
        q35i_correction_difference(&input->correction, t->w, input->k, dx, t->dh, t->n, d, pool);
    q35i_correction_add(&input->correction, y, input->correction.shared ? dx : d, t->n, pool);
    return Q35_OK;
}

q35_status q35i_layer_inputs_add(q35i_layer_inputs *inputs, const q35i_stretch *stretch, uint32_t n_tokens,
                                 q35_pool *pool)
{
    for (uint32_t i = 0; i < inputs->n; i++) {
        q35i_layer_input *input = &inputs->input[i];
        uint64_t k;
        const float *x = q35i_stretch_find(stretch, input->name, &k);
        Q35_TRY(add(input, x, inputs->rotated, n_tokens, pool));
    }
    return Q35_OK;
}

/* ---- codes ---- */

q35_status q35i_layer_input_factor(q35i_layer_input *input, q35_pool *pool)
{
    if (input->correction.k)
        Q35_TRY(q35i_correction_solve(&input->correction, &input->moments, pool));
    input->corrects = input->correction.k != 0;
    input->error_mean = input->error_sum / (double)q35i_max(input->moments.tokens, 1);
    input->activation = input->error_mean > MAX_TOKEN_ERROR ? Q35_DT_A8_128 : Q35_DT_A8_ROW;
    Q35_TRY(q35i_feedback_create(&input->moments, DAMPING, &input->feedback));
    if (input->feedback.damping > DAMPING)
        q35i_log(Q35_LOG_WARN, "calibration: second moments of %s are singular: %g of their mean added, not %g",
                 input->name, input->feedback.damping, DAMPING);
    return Q35_OK;
}

void q35i_layer_input_describe(const q35i_layer_input *input, q35i_target *t)
{
    t->rotation_seed = input->seed;
    t->rotation_width = input->width;
    t->activation = input->activation;
}

/* Rows of the matrix in the basis of the input, corrected. */
typedef struct reading {
    const q35i_layer_input *input;
    const q35_tensor_info *info;
    float *out;   /* [n][k] */
    float *panel; /* [workers][PANEL][k] */
    double *row;  /* [workers][k] */
} reading;

static void read_row(const reading *r, uint64_t i, uint64_t k, double *row, float *w)
{
    q35i_read_weights(r->info, i, 0, k, w);
    for (uint64_t j = 0; j < k; j++)
        row[j] = (double)w[j];
    q35i_rotate_row(r->input->signs, r->input->width, row, k);
    for (uint64_t j = 0; j < k; j++)
        w[j] = (float)row[j];
}

static void read_rows(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    const reading *r = arg;
    uint64_t begin, end, k = (uint64_t)r->info->dim[0];
    double *row = r->row + worker * k;
    float *panel = r->panel + worker * PANEL * k;
    (void)team;
    q35i_split((uint64_t)r->info->dim[1], PANEL, worker, n_workers, &begin, &end);
    for (uint64_t first = begin; first < end; first += PANEL) {
        uint64_t n = q35i_min(PANEL, end - first);
        float *w = r->input->corrects ? panel : r->out + first * k;
        for (uint64_t i = 0; i < n; i++)
            read_row(r, first + i, k, row, w + i * k);
        if (r->input->corrects)
            q35i_correction_apply(&r->input->correction, w, first, n, k, r->out + first * k);
    }
}

q35_status q35i_layer_read(const q35i_layer_input *input, const q35_tensor_info *info, q35_pool *pool, float *out)
{
    uint64_t k = (uint64_t)info->dim[0], workers = pool ? q35i_pool_size(pool) : 1;
    reading r = {input, info, out, q35i_calloc(workers, PANEL * k * sizeof *r.panel),
                 q35i_calloc(workers, k * sizeof *r.row)};
    q35_status status = r.panel && r.row ? Q35_OK : Q35_E_NOMEM;
    if (status == Q35_OK)
        q35i_pool_run(pool, read_rows, &r);
    q35i_free(r.panel);
    q35i_free(r.row);
    return status;
}

q35_status q35i_layer_encode(const q35i_layer_input *input, q35i_target *t, q35_pool *pool, uint8_t *codes,
                             q35i_row_error *error)
{
    q35_status status;
    uint64_t k = (uint64_t)t->info->dim[0], n = (uint64_t)t->info->dim[1];
    const int8_t(*book)[2] = q35i_gaussian_book(t->dtype);
    const q35i_linear linear = {.info = t->info};
    const q35i_encoding encoding = {.dtype = t->dtype,
                                    .points = book,
                                    .rotation_seed = input->seed,
                                    .rotation_width = input->width,
                                    .pool = pool};
    const q35i_ldlq how = {.dtype = t->dtype,
                           .book = book,
                           .unit = q35i_gaussian_unit(t->dtype),
                           .feedback = &input->feedback,
                           .pool = pool};
    float *w = q35i_calloc(n * k, sizeof *w);
    Q35_CHECK_ALLOC_GOTO(w, out);
    Q35_TRY_GOTO(q35i_layer_read(input, t->info, pool, w), out);
    Q35_TRY_GOTO(q35i_tensor_measure(&(q35i_encoding){.dtype = Q35_DT_Q8_0, .pool = pool}, &linear, NULL, error),
                 out); /* names a weight that is not finite */
    Q35_TRY_GOTO(q35i_ldlq_encode(&how, w, n, k, codes, &t->done.output_error), out);
    Q35_TRY_GOTO(q35i_tensor_measure(&encoding, &linear, codes, error), out);
    t->done.activation_error = input->error_mean;
out:
    q35i_free(w);
    return status;
}
