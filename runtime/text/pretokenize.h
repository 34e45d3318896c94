/* SPDX-License-Identifier: Apache-2.0
 *
 * Cutting text into the pieces inside which tokens may form. The patterns are ours, chosen by the name in the
 * file; a file cannot bring its own. */
#ifndef Q35I_PRETOKENIZE_H
#define Q35I_PRETOKENIZE_H

#include <q35rt/model.h>

#include <stdbool.h>

typedef struct q35i_splitter q35i_splitter; /* immutable after creation */

/* UNSUPPORTED names the unknown name and the known ones. */
q35_status q35i_splitter_create(q35_string name, q35i_splitter **out);
void q35i_splitter_destroy(q35i_splitter *splitter);

bool q35i_splitter_whole_pieces(
    const q35i_splitter *splitter);                         /* a piece that is a token is taken before any merge */
bool q35i_splitter_adds_bos(const q35i_splitter *splitter); /* unless the file says otherwise */

/* Work memory of one caller. */
typedef struct q35i_split_work q35i_split_work;
q35_status q35i_split_work_create(const q35i_splitter *splitter, q35i_split_work **out);
void q35i_split_work_destroy(q35i_split_work *work);

/* Calls fn with each piece of text[0..n), in order, none empty, together all of it. Each byte that is not part of
 * well-formed UTF-8 is a piece of its own. Stops at the first failure and returns it. */
q35_status q35i_split(q35i_split_work *work, const uint8_t *text, uint64_t n,
                      q35_status (*fn)(void *user, const uint8_t *piece, uint64_t n), void *user);

#endif
