/* SPDX-License-Identifier: Apache-2.0
 *
 * What a conversion has finished, beside its output as <output>.partial, so that a run that was killed goes on
 * where it stopped. Append-only: a kill at any instant leaves whole records and at most one torn one, which the
 * next run cuts off. One thread at a time, one process at a time. */
#ifndef Q35I_JOURNAL_H
#define Q35I_JOURNAL_H

#include <q35rt/status.h>

typedef struct q35i_journal q35i_journal;

/* What is kept of a finished tensor besides its bytes. Stands in the file as it stands in memory. */
typedef struct q35i_finished {
    uint32_t tensor; /* index in the source, or whatever number the pass gives its records */
    uint32_t dtype, activation, rotation_width;
    uint64_t rotation_seed;
    double largest, squares, weight_squares; /* q35i_row_error */
    double output_error, activation_error;   /* measured at conversion */
    uint64_t bytes;                          /* of the encoded tensor; 0 for a record of numbers alone */
    uint64_t checksum;                       /* XXH3-64 of those bytes; set by q35i_journal_append */
} q35i_finished;

/* Opens or creates <output>.partial, locks it against other processes and reads it, data included; what follows
 * the last whole record is cut off, with a log line. fingerprint names the conversion (source, options, text,
 * program): a journal of another one is started anew, with a log line. INVALID: another conversion has it open;
 * the name belongs to something that is no journal, or to a journal of another user. IO: cannot be created, read
 * or written. */
q35_status q35i_journal_open(const char *output, const uint8_t fingerprint[16], q35i_journal **out);

/* Records found when it was opened, and those appended since. */
uint64_t q35i_journal_count(const q35i_journal *journal);

/* The newest record of this tensor and pass, NULL: none. Valid until the journal is closed. */
const q35i_finished *q35i_journal_find(const q35i_journal *journal, uint32_t tensor, uint32_t pass);

/* finished: from q35i_journal_find of this journal. buf: finished->bytes, undefined after a failure. FORMAT when
 * the bytes are not those that were appended. */
q35_status q35i_journal_read(q35i_journal *journal, const q35i_finished *finished, void *buf);

/* data: finished->bytes (NULL for 0). The checksum of *finished is not read. A failure (disk full: IO with the
 * number of bytes needed) leaves the journal as it was. */
q35_status q35i_journal_append(q35i_journal *journal, const q35i_finished *finished, uint32_t pass,
                               const void *data);

void q35i_journal_close(q35i_journal *journal);  /* the file stays for the next run; NULL ok */
void q35i_journal_remove(q35i_journal *journal); /* once the output stands: closes and deletes; NULL ok */

#endif
