/* SPDX-License-Identifier: Apache-2.0
 *
 * Base files: writing. */
#include "eval_base.h"

#include "cli.h"
#include "eval_base_form.h"
#include "eval_code.h"
#include "score.h"

#include <stdlib.h>
#include <string.h>

static int no_memory(void)
{
    return cli_fail(CLI_EXIT_NOFIT, "base file: out of memory");
}

static int write_checked(eval_base_writer *writer, const void *data, uint64_t bytes, uint64_t seed,
                         uint64_t *out_checksum)
{
    *out_checksum = eval_checksum(data, bytes, seed);
    int rc = out_file_write(writer->file, data, bytes);
    return rc ? rc : out_file_write(writer->file, out_checksum, sizeof *out_checksum);
}

int eval_base_create(eval_base_writer *writer, const char *path, const eval_base_head *head, const int32_t *ids)
{
    eval_base_head *h = &writer->head;
    *writer = (eval_base_writer){.head = *head};
    memcpy(h->magic, EVAL_BASE_MAGIC, sizeof h->magic);
    h->version = EVAL_BASE_VERSION;
    writer->bytes = malloc((size_t)eval_row_bytes(h->vocab));
    writer->logits = malloc((size_t)h->vocab * sizeof *writer->logits);
    if (!writer->bytes || !writer->logits)
        return no_memory();
    int rc = out_file_create("base file", path, &writer->file);
    if (rc == 0)
        rc = write_checked(writer, h, offsetof(eval_base_head, checksum), 0, &h->checksum);
    if (rc == 0)
        rc = write_checked(writer, ids, h->n_windows * h->window * sizeof *ids, h->checksum, &writer->seed);
    return rc;
}

int eval_base_put(eval_base_writer *writer, const float *logits, double norm, double loss)
{
    uint32_t vocab = writer->head.vocab;
    uint16_t *codes = (uint16_t *)(void *)(writer->bytes + EVAL_ROW_CODES);
    float span;
    uint64_t checksum;
    eval_encode(logits, vocab, codes, &span);
    eval_decode(codes, vocab, span, writer->logits);
    double d = score_divergence(writer->logits, score_log_sum_exp(writer->logits, vocab), logits, norm, vocab);
    writer->sum += d;
    writer->max = d > writer->max ? d : writer->max;
    loss = loss > 0 ? loss : 0; /* below 0 only by rounding */
    memcpy(writer->bytes, &loss, sizeof loss);
    memcpy(writer->bytes + EVAL_ROW_SPAN, &span, sizeof span);
    return write_checked(writer, writer->bytes, eval_row_bytes(vocab) - sizeof checksum,
                         writer->seed + writer->n_rows++, &checksum);
}

int eval_base_finish(eval_base_writer *writer, uint64_t *out_bytes)
{
    double trailer[2] = {writer->n_rows ? writer->sum / (double)writer->n_rows : 0, writer->max};
    uint64_t checksum;
    int rc = write_checked(writer, trailer, sizeof trailer, writer->seed + writer->n_rows, &checksum);
    *out_bytes = out_file_bytes(writer->file);
    if (rc)
        return rc;
    rc = out_file_commit(writer->file);
    writer->file = NULL;
    return rc;
}

void eval_base_discard(eval_base_writer *writer)
{
    out_file_discard(writer->file);
    free(writer->bytes);
    free(writer->logits);
    *writer = (eval_base_writer){0};
}
