/* SPDX-License-Identifier: Apache-2.0
 *
 * The quick conversion: the source model reads the text once, and the mean square of every linear's input channels
 * says what an error in a weight of that channel costs. Then a codebook of the model's own, and every tensor by
 * itself. Without a text all channels are alike. */
#include "runtime/session/convert.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"
#include "runtime/model/model.h"
#include "runtime/quant/format.h"
#include "runtime/quant/tensor.h"

#include <q35rt/session.h>

#include <math.h>

#define SAMPLE_PAIRS 400000
#define MAX_WINDOWS  24u /* importance needs little text: 12k tokens, evenly taken */

/* ---- importance ---- */

static q35_status read_windows(q35i_conversion *c, q35_session *session)
{
    uint64_t n = q35i_min(c->n_windows, MAX_WINDOWS), total = n * Q35I_WINDOW;
    c->result.calibration_tokens = total;
    for (uint64_t i = 0; i < n; i++) {
        Q35_TRY(q35i_convert_progress(c->options, Q35_STAGE_CALIBRATE, i * Q35I_WINDOW, total));
        Q35_TRY(q35_session_rewind(session, 0));
        Q35_TRY(q35_session_eval(session, c->ids + i * c->n_windows / n * Q35I_WINDOW, Q35I_WINDOW, NULL));
    }
    return q35i_convert_progress(c->options, Q35_STAGE_CALIBRATE, total, total);
}

/* Mean squares divided by their mean. A channel that is never used gets 0; all of them: no preference. */
static q35_status take_importance(q35_session *session, q35i_target *t)
{
    uint32_t k = 0;
    double sum = 0;
    const char *name = t->info->name;
    const double *squares = q35_session_observed(session, name, &k);
    if (!squares || k != (uint64_t)t->info->dim[0])
        return Q35_FAIL(Q35_E_INTERNAL, "calibration: %u channels observed at %s, need %lld", k, name,
                        (long long)t->info->dim[0]);
    for (uint32_t i = 0; i < k; i++) {
        if (!isfinite(squares[i]))
            return Q35_FAIL(Q35_E_FORMAT,
                            "calibration: mean square %g at input channel %u of %s, need finite activations",
                            squares[i], i, name);
        sum += squares[i];
    }
    t->importance = q35i_calloc(k, sizeof *t->importance);
    if (!t->importance)
        return Q35_E_NOMEM;
    for (uint32_t i = 0; i < k; i++)
        t->importance[i] = sum > 0 ? (float)(squares[i] / sum * k) : 1;
    return Q35_OK;
}

static q35_status calibrate(q35i_conversion *c)
{
    q35_status status;
    q35_session *session = NULL;
    q35_session_options how = q35_session_options_default();
    how.devices = "cpu"; /* the one device every machine has: same file everywhere */
    how.n_ctx = how.max_chunk = Q35I_WINDOW;
    how.observe = 1;
    Q35_TRY_GOTO(q35_session_create(c->runtime, c->in, &how, &session), out);
    Q35_TRY_GOTO(read_windows(c, session), out);
    for (uint64_t i = 0; i < c->n_targets; i++)
        if (q35i_is_coded(c->targets[i].dtype))
            Q35_TRY_GOTO(take_importance(session, &c->targets[i]), out);
out:
    q35_session_destroy(session);
    return status;
}

/* ---- codebook ---- */

static q35_status sample(const q35i_conversion *c, float **pairs, float **weights, uint64_t *n)
{
    uint64_t n_linears = 0;
    q35i_linear *linears = q35i_calloc(c->n_targets, sizeof *linears);
    if (!linears)
        return Q35_E_NOMEM;
    for (uint64_t i = 0; i < c->n_targets; i++)
        if (q35i_is_coded(c->targets[i].dtype))
            linears[n_linears++] = (q35i_linear){c->targets[i].info, c->targets[i].importance};
    q35_status status = q35i_sample_pairs(linears, n_linears, SAMPLE_PAIRS, c->pool, pairs, weights, n);
    q35i_free(linears);
    return status;
}

static q35_status train_book(q35i_conversion *c)
{
    float *pairs = NULL, *weights = NULL;
    uint64_t n = 0;
    if (c->options->codec == Q35_CODEC_SPLIT) {
        int8_t points[Q35_BOOK_POINTS][2];
        q35_split_book(points);
        q35i_book_set(&c->book, (const int8_t(*)[2])points, 1);
        return Q35_OK;
    }
    Q35_TRY(q35i_convert_progress(c->options, Q35_STAGE_CODEBOOK, 0, c->n_weights));
    Q35_TRY(sample(c, &pairs, &weights, &n));
    q35_status status = q35i_book_train(pairs, weights, n, c->options->seed, c->pool, &c->book);
    q35i_free(pairs);
    q35i_free(weights);
    Q35_TRY(status);
    return q35i_convert_progress(c->options, Q35_STAGE_CODEBOOK, c->n_weights, c->n_weights);
}

/* ---- codes ---- */

typedef struct rows_done {
    q35i_conversion *c;
    uint64_t k; /* weights of a row */
} rows_done;

static q35_status on_rows(void *user, uint64_t rows)
{
    const rows_done *r = user;
    return q35i_convert_progress(r->c->options, Q35_STAGE_QUANTISE, r->c->weights_done + rows * r->k,
                                 r->c->n_weights);
}

static q35_status encode(q35i_conversion *c, q35i_target *t)
{
    q35i_row_error error;
    rows_done progress = {c, (uint64_t)t->info->dim[0]};
    const q35i_linear linear = {t->info, t->importance};
    const q35i_encoding encoding = {
        .dtype = t->dtype, .book = &c->book, .pool = c->pool, .progress = on_rows, .user = &progress};
    uint8_t *blocks = q35i_calloc(q35_row_bytes(t->dtype, progress.k) * (uint64_t)t->info->dim[1], 1);
    if (!blocks)
        return Q35_E_NOMEM;
    q35_status status = q35i_tensor_encode(&encoding, &linear, blocks, &error);
    if (status == Q35_OK)
        status = q35i_convert_finish_tensor(c, t, blocks, &error);
    q35i_free(blocks);
    return status;
}

q35_status q35i_convert_fast(q35i_conversion *c)
{
    if (c->ids)
        Q35_TRY(calibrate(c));
    Q35_TRY(train_book(c));
    for (uint64_t i = 0; i < c->n_targets; i++) {
        q35i_target *t = &c->targets[i];
        if (!q35i_is_coded(t->dtype))
            continue;
        if (!t->finished)
            Q35_TRY(encode(c, t));
        c->weights_done += (uint64_t)t->info->dim[0] * (uint64_t)t->info->dim[1];
        Q35_TRY(q35i_convert_progress(c->options, Q35_STAGE_QUANTISE, c->weights_done, c->n_weights));
        q35i_model_drop_pages(c->in, t->info);
    }
    return Q35_OK;
}
