/* SPDX-License-Identifier: Apache-2.0
 *
 * Checksum of a whole model file, which stands in the file itself: XXH3-64 of all bytes with the 8 of the value as
 * zeros. The value is the only element of the u64 array q35.file_checksum. */
#ifndef Q35I_FILE_CHECKSUM_H
#define Q35I_FILE_CHECKSUM_H

#include "runtime/base/file_out.h"
#include "runtime/model/model.h"

/* Of what was written so far; the value's 8 bytes at value_offset are zeros there. */
q35_status q35i_file_checksum_written(q35i_file_out *file, uint64_t value_offset, uint64_t *out);

/* FORMAT when the file has no such value, or another than it should have. */
q35_status q35i_file_checksum_verify(const q35_model *model);

#endif
