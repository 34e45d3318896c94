/* SPDX-License-Identifier: Apache-2.0
 *
 * The text of a calibration, as whole windows of tokens. */
#include "runtime/session/convert.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"

#include <q35rt/tokenizer.h>

#include <string.h>

static q35_status tokenise(const q35i_conversion *c, int32_t **ids, uint64_t *n)
{
    q35_tokenizer *tokenizer = NULL;
    Q35_TRY(q35_tokenizer_create(c->in, &tokenizer));
    q35_status status =
        q35_tokenizer_encode(tokenizer, c->options->calibration_text, c->options->calibration_len, 0, ids, n);
    q35_tokenizer_destroy(tokenizer);
    return status;
}

q35_status q35i_calibration_read(q35i_conversion *c)
{
    int32_t *ids = NULL;
    uint64_t n = 0;
    q35_status status = Q35_OK;
    Q35_TRY(tokenise(c, &ids, &n));
    c->n_windows = n / Q35I_WINDOW;
    c->result.calibration_tokens = c->n_windows * Q35I_WINDOW;
    if (c->n_windows == 0)
        status = Q35_FAIL(Q35_E_INVALID,
                          "calibration text: %llu bytes, %llu tokens, need at least one window of %u tokens",
                          (unsigned long long)c->options->calibration_len, (unsigned long long)n, Q35I_WINDOW);
    else if (!(c->ids = q35i_calloc(c->result.calibration_tokens, sizeof *c->ids)))
        status = Q35_E_NOMEM;
    else
        memcpy(c->ids, ids, c->result.calibration_tokens * sizeof *c->ids);
    q35_tokens_free(ids);
    return status;
}
