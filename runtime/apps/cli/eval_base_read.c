/* SPDX-License-Identifier: Apache-2.0
 *
 * Base files: reading. Sizes are checked against the file's length before anything is allocated by them. */
#define _GNU_SOURCE
#include "eval_base.h"

#include "eval_base_form.h"
#include "eval_code.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <q35rt/status.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define WINDOWS_MAX UINT32_MAX
#define VOCAB_MAX   (1u << 24)

Q35_PRINTF(2, 3) static int wrong(eval_base *base, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(base->error, sizeof base->error, fmt, args);
    va_end(args);
    return -1;
}

static int read_bytes(eval_base *base, void *data, uint64_t bytes, const char *what)
{
    if (fread(data, 1, (size_t)bytes, base->in) == bytes)
        return 0;
    if (ferror(base->in))
        return wrong(base, "cannot read %s: %s", what, strerror(errno));
    return wrong(base, "ends within %s", what);
}

/* Reads bytes and their checksum. */
static int read_checked(eval_base *base, void *data, uint64_t bytes, uint64_t seed, const char *what,
                        uint64_t *out_checksum)
{
    if (read_bytes(base, data, bytes, what) || read_bytes(base, out_checksum, sizeof *out_checksum, what))
        return -1;
    if (eval_checksum(data, bytes, seed) != *out_checksum)
        return wrong(base, "damaged: the checksum of %s does not match", what);
    return 0;
}

static int check_head(eval_base *base)
{
    const eval_base_head *h = &base->head;
    if (memcmp(h->magic, EVAL_BASE_MAGIC, sizeof h->magic) != 0)
        return wrong(base, "no base file");
    if (h->version != EVAL_BASE_VERSION)
        return wrong(base, "version %" PRIu32 " found, %u needed", h->version, EVAL_BASE_VERSION);
    if (eval_checksum(h, offsetof(eval_base_head, checksum), 0) != h->checksum)
        return wrong(base, "damaged: the checksum of the head does not match");
    if (h->vocab == 0 || h->vocab > VOCAB_MAX)
        return wrong(base, "vocabulary of %" PRIu32 " found, 1 to %u needed", h->vocab, VOCAB_MAX);
    if (h->window < EVAL_WINDOW_MIN || h->window > EVAL_WINDOW_MAX)
        return wrong(base, "windows of %" PRIu32 " tokens found, %u to %u needed", h->window, EVAL_WINDOW_MIN,
                     EVAL_WINDOW_MAX);
    if (h->n_windows == 0 || h->n_windows > WINDOWS_MAX)
        return wrong(base, "%" PRIu64 " windows found, 1 to %u needed", h->n_windows, WINDOWS_MAX);
    if (h->act > 1 || h->kv > 2 || h->name[sizeof h->name - 1] != '\0')
        return wrong(base, "numeric path %" PRIu32 ", %" PRIu32 " found, a known one needed", h->act, h->kv);
    return 0;
}

/* Length of the file as the head has it: no product overflows within the bounds of check_head. */
static int check_length(eval_base *base, uint64_t *out_ids_bytes, uint64_t *out_end)
{
    const eval_base_head *h = &base->head;
    uint64_t ids = h->n_windows * h->window * sizeof *base->ids, rows = h->n_windows * eval_rows(h->window);
    uint64_t fixed = sizeof *h + ids + EVAL_CHECKSUM_BYTES + EVAL_TRAILER_BYTES, row = eval_row_bytes(h->vocab);
    struct stat st;
    if (fstat(fileno(base->in), &st) != 0)
        return wrong(base, "cannot read: %s", strerror(errno));
    uint64_t size = (uint64_t)st.st_size;
    if (size < fixed || rows > (size - fixed) / row || rows * row != size - fixed)
        return wrong(base, "%" PRIu64 " bytes found, %.0f needed: cut short or not written by q35rt", size,
                     (double)fixed + (double)rows * (double)row);
    *out_ids_bytes = ids;
    *out_end = size - EVAL_TRAILER_BYTES;
    return 0;
}

static int read_ids(eval_base *base, uint64_t bytes)
{
    base->ids = malloc((size_t)bytes);
    base->bytes = malloc((size_t)eval_row_bytes(base->head.vocab));
    base->logits = malloc((size_t)base->head.vocab * sizeof *base->logits);
    if (!base->ids || !base->bytes || !base->logits)
        return wrong(base, "out of memory");
    if (read_checked(base, base->ids, bytes, base->head.checksum, "the token ids", &base->seed))
        return -1;
    for (uint64_t i = 0; i < bytes / sizeof *base->ids; i++)
        if (base->ids[i] < 0 || (uint32_t)base->ids[i] >= base->head.vocab)
            return wrong(base, "token id %" PRId32 " found, one below %" PRIu32 " needed", base->ids[i],
                         base->head.vocab);
    return 0;
}

static int read_trailer(eval_base *base, uint64_t at)
{
    const eval_base_head *h = &base->head;
    double trailer[2];
    uint64_t checksum;
    off_t rows = ftello(base->in);
    if (rows < 0 || fseeko(base->in, (off_t)at, SEEK_SET) != 0)
        return wrong(base, "cannot seek: %s", strerror(errno));
    if (read_checked(base, trailer, sizeof trailer, base->seed + h->n_windows * eval_rows(h->window), "the end",
                     &checksum))
        return -1;
    if (!isfinite(trailer[0]) || !isfinite(trailer[1]))
        return wrong(base, "numbers at the end: not finite");
    base->mean = trailer[0];
    base->max = trailer[1];
    return fseeko(base->in, rows, SEEK_SET) == 0 ? 0 : wrong(base, "cannot seek: %s", strerror(errno));
}

int eval_base_is(const char *path)
{
    char magic[sizeof EVAL_BASE_MAGIC - 1];
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return 0;
    FILE *in = fopen(path, "rb");
    if (!in)
        return 0;
    size_t n = fread(magic, 1, sizeof magic, in);
    fclose(in);
    return n == sizeof magic && memcmp(magic, EVAL_BASE_MAGIC, sizeof magic) == 0;
}

int eval_base_open(eval_base *base, const char *path)
{
    uint64_t ids_bytes = 0, end = 0;
    *base = (eval_base){.in = fopen(path, "rb")};
    if (!base->in)
        return wrong(base, "cannot open: %s", strerror(errno));
    if (read_bytes(base, &base->head, sizeof base->head, "the head") || check_head(base) ||
        check_length(base, &ids_bytes, &end) || read_ids(base, ids_bytes))
        return -1;
    return read_trailer(base, end);
}

int eval_base_next(eval_base *base)
{
    uint32_t vocab = base->head.vocab;
    uint64_t checksum, bytes = eval_row_bytes(vocab) - sizeof checksum;
    double loss;
    float span;
    char what[40];
    snprintf(what, sizeof what, "row %" PRIu64, base->row);
    if (read_checked(base, base->bytes, bytes, base->seed + base->row, what, &checksum))
        return -1;
    memcpy(&loss, base->bytes, sizeof loss);
    memcpy(&span, base->bytes + EVAL_ROW_SPAN, sizeof span);
    if (!isfinite(span) || span < 0 || !isfinite(loss) || loss < 0)
        return wrong(base, "row %" PRIu64 ": span %g and loss %g found, finite ones from 0 needed", base->row,
                     (double)span, loss);
    eval_decode((const uint16_t *)(const void *)(base->bytes + EVAL_ROW_CODES), vocab, span, base->logits);
    base->loss = loss;
    base->row++;
    return 0;
}

void eval_base_close(eval_base *base)
{
    if (base->in)
        fclose(base->in);
    free(base->ids);
    free(base->bytes);
    free(base->logits);
    *base = (eval_base){0};
}
