/* SPDX-License-Identifier: Apache-2.0
 *
 * The calibration pass of a conversion: the source model reads a text, the session adds up the square of every
 * linear's input channels, and their means say what an error in a weight of that channel costs. */
#include "runtime/session/convert.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"

#include <q35rt/session.h>
#include <q35rt/tokenizer.h>

#include <math.h>

typedef struct calibration {
    const q35_model *model;
    const q35_convert_options *options;
    q35_session *session;
    int32_t *ids;
    uint64_t n_ids;
} calibration;

static q35_status tokenise(calibration *c)
{
    q35_tokenizer *tokenizer = NULL;
    Q35_TRY(q35_tokenizer_create(c->model, &tokenizer));
    q35_status status = q35_tokenizer_encode(tokenizer, c->options->calibration_text, c->options->calibration_len,
                                             0, &c->ids, &c->n_ids);
    q35_tokenizer_destroy(tokenizer);
    Q35_TRY(status);
    if (c->n_ids < Q35I_WINDOW)
        return Q35_FAIL(
            Q35_E_INVALID, "calibration text: %llu bytes, %llu tokens, need at least one window of %u tokens",
            (unsigned long long)c->options->calibration_len, (unsigned long long)c->n_ids, Q35I_WINDOW);
    return Q35_OK;
}

static q35_status read_windows(calibration *c, uint64_t n_tokens)
{
    for (uint64_t done = 0; done < n_tokens; done += Q35I_WINDOW) {
        Q35_TRY(q35i_convert_progress(c->options, Q35_STAGE_CALIBRATE, done, n_tokens));
        Q35_TRY(q35_session_rewind(c->session, 0));
        Q35_TRY(q35_session_eval(c->session, c->ids + done, Q35I_WINDOW, NULL));
    }
    return q35i_convert_progress(c->options, Q35_STAGE_CALIBRATE, n_tokens, n_tokens);
}

/* Mean squares divided by their mean. A channel that is never used gets 0; all of them: no preference. */
static q35_status take_importance(calibration *c, q35i_linear *linear)
{
    uint32_t k = 0;
    double sum = 0;
    const char *name = linear->info->name;
    const double *squares = q35_session_observed(c->session, name, &k);
    if (!squares || k != (uint64_t)linear->info->dim[0])
        return Q35_FAIL(Q35_E_INTERNAL, "calibration: %u channels observed at %s, need %lld", k, name,
                        (long long)linear->info->dim[0]);
    for (uint32_t i = 0; i < k; i++) {
        if (!isfinite(squares[i]))
            return Q35_FAIL(Q35_E_FORMAT,
                            "calibration: mean square %g at input channel %u of %s, need finite activations",
                            squares[i], i, name);
        sum += squares[i];
    }
    linear->importance = q35i_calloc(k, sizeof *linear->importance);
    if (!linear->importance)
        return Q35_E_NOMEM;
    for (uint32_t i = 0; i < k; i++)
        linear->importance[i] = sum > 0 ? (float)(squares[i] / sum * k) : 1;
    return Q35_OK;
}

q35_status q35i_calibrate(q35_runtime *runtime, const q35_model *model, const q35_convert_options *options,
                          q35i_linear *linears, uint64_t n_linears, uint64_t *out_tokens)
{
    q35_status status = Q35_OK;
    calibration c = {.model = model, .options = options};
    q35_session_options how = q35_session_options_default();
    how.devices = "cpu"; /* the one device every machine has: same file everywhere */
    how.n_ctx = how.max_chunk = Q35I_WINDOW;
    how.observe = 1;
    *out_tokens = 0;
    Q35_TRY_GOTO(tokenise(&c), out);
    Q35_TRY_GOTO(q35_session_create(runtime, model, &how, &c.session), out);
    uint64_t n_tokens = c.n_ids / Q35I_WINDOW * Q35I_WINDOW;
    Q35_TRY_GOTO(read_windows(&c, n_tokens), out);
    for (uint64_t i = 0; i < n_linears; i++)
        Q35_TRY_GOTO(take_importance(&c, &linears[i]), out);
    *out_tokens = n_tokens;
out:
    q35_session_destroy(c.session);
    q35_tokens_free(c.ids);
    return status;
}
