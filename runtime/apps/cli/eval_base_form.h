/* SPDX-License-Identifier: Apache-2.0
 *
 * What the writer and the reader of base files share. */
#ifndef Q35_CLI_EVAL_BASE_FORM_H
#define Q35_CLI_EVAL_BASE_FORM_H

#include <stdint.h>
#include <xxhash.h>

#define EVAL_BASE_MAGIC "q35base\n"
#define EVAL_ROW_SPAN   8u /* offsets in a row, behind the loss */
#define EVAL_ROW_CODES  12u

enum { EVAL_TRAILER_BYTES = 24, EVAL_CHECKSUM_BYTES = 8 };

static inline uint64_t eval_checksum(const void *data, uint64_t bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, (size_t)bytes, seed);
}

static inline uint64_t eval_row_bytes(uint32_t vocab)
{
    return EVAL_ROW_CODES + 2 * (uint64_t)vocab + EVAL_CHECKSUM_BYTES;
}

#endif
