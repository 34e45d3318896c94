/* SPDX-License-Identifier: Apache-2.0
 *
 * The prompt through both sides, step by step. */
#include "compare.h"

#include "term.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static int read_rows(compare_side *side, uint64_t first, uint64_t n, const float **out)
{
    errno = 0;
    if (fread(side->rows, sizeof *side->rows, (size_t)n, side->dump) != n)
        return cli_fail(CLI_EXIT_MODEL, "logits file %s: cannot read: %s", side->path,
                        errno ? strerror(errno) : "it became shorter");
    for (uint64_t i = 0; i < n; i++)
        if (!isfinite(side->rows[i]))
            return cli_fail(CLI_EXIT_MODEL, "logits file %s: value %llu is not finite, need finite logits",
                            side->path, (unsigned long long)(first + i));
    *out = side->rows;
    return 0;
}

static int step_side(const comparison *c, compare_side *side, uint64_t done, uint32_t n, const float **out)
{
    if (side->dump)
        return read_rows(side, done * c->vocab, (uint64_t)n * c->vocab, out);
    q35_status status = q35_session_eval(side->engine.session, c->ids + done, n, out);
    return status == Q35_OK ? 0 : cli_fail_status(status, CLI_WHILE_RUNNING);
}

static void compare_layers(comparison *c, uint64_t done, uint32_t n)
{
    double tolerance = (double)c->options->tolerance;
    for (uint32_t l = 0; l < c->n_layers; l++) {
        const float *a = q35_session_layer(c->side[0].engine.session, l);
        const float *b = q35_session_layer(c->side[1].engine.session, l);
        for (uint32_t t = 0; t < n; t++)
            compare_values_row(&c->layers[l], a + (size_t)t * c->hidden, b + (size_t)t * c->hidden, c->hidden,
                               done + t, tolerance);
    }
}

int compare_run(comparison *c)
{
    for (uint64_t done = 0; done < c->n_ids;) {
        uint32_t n = c->n_ids - done < c->chunk ? (uint32_t)(c->n_ids - done) : c->chunk;
        const float *row[2];
        if (cli_interrupted())
            return cli_fail(CLI_EXIT_SIGNAL + cli_interrupted(), "compare: interrupted, no result");
        for (int s = 0; s < 2; s++) {
            int rc = step_side(c, &c->side[s], done, n, &row[s]);
            if (rc)
                return rc;
        }
        compare_layers(c, done, n);
        for (uint32_t t = 0; t < n; t++)
            compare_logits_row(&c->logits, row[0] + (size_t)t * c->vocab, row[1] + (size_t)t * c->vocab, c->vocab,
                               done + t, (double)c->options->tolerance);
        done += n;
        if (c->n_ids > c->chunk)
            term_progress(c->options->quiet, "prompt", done, c->n_ids);
    }
    term_progress_clear();
    return 0;
}

int compare_differs(const comparison *c)
{
    int differs = c->logits.values.beyond_at != COMPARE_NONE;
    for (uint32_t l = 0; l < c->n_layers; l++)
        differs |= c->layers[l].beyond_at != COMPARE_NONE;
    return differs;
}
