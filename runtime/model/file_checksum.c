/* SPDX-License-Identifier: Apache-2.0 */
#define XXH_STATIC_LINKING_ONLY /* for a hash state on the stack */
#include "file_checksum.h"

#include "model_file.h"
#include "q35_keys.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/path_tail.h"
#include "runtime/base/size.h"

#include <string.h>
#include <xxhash.h>

#define PART_BYTES (UINT64_C(1) << 20)

q35_status q35i_file_checksum_written(q35i_file_out *file, uint64_t value_offset, uint64_t *out)
{
    q35_status status = Q35_OK;
    uint64_t bytes = q35i_file_out_offset(file), value;
    XXH3_state_t state;
    uint8_t *part = q35i_calloc(PART_BYTES, 1);
    Q35_CHECK_ALLOC_GOTO(part, done);
    Q35_TRY_GOTO(q35i_file_out_read(file, value_offset, &value, sizeof value), done);
    if (value != 0) {
        status = Q35_FAIL(Q35_E_INVALID, "metadata " Q35I_KEY_FILE_CHECKSUM ": written already, need zeros");
        goto done;
    }
    XXH3_64bits_reset(&state);
    for (uint64_t at = 0; at < bytes; at += PART_BYTES) {
        uint64_t n = q35i_min(PART_BYTES, bytes - at);
        Q35_TRY_GOTO(q35i_file_out_read(file, at, part, n), done);
        XXH3_64bits_update(&state, part, (size_t)n);
    }
    *out = XXH3_64bits_digest(&state);
done:
    q35i_free(part);
    return status;
}

q35_status q35i_file_checksum_verify(const q35_model *model)
{
    static const uint8_t zeros[sizeof(uint64_t)] = {0};
    const q35_meta *m = q35_model_meta(model, Q35I_KEY_FILE_CHECKSUM);
    const char *path = q35i_path_tail(q35_model_path(model));
    XXH3_state_t state;
    uint64_t stored;
    if (!m || m->type != Q35_META_ARRAY || m->elem_type != Q35_META_U64 || m->count != 1)
        return Q35_FAIL(Q35_E_FORMAT, "%s: metadata " Q35I_KEY_FILE_CHECKSUM " is %s, need an array of one u64",
                        path, m ? "something else" : "absent");
    memcpy(&stored, m->data, sizeof stored);
    const uint8_t *value = m->data, *after = value + sizeof stored;
    XXH3_64bits_reset(&state);
    XXH3_64bits_update(&state, model->data, (size_t)(value - model->data));
    XXH3_64bits_update(&state, zeros, sizeof zeros);
    XXH3_64bits_update(&state, after, (size_t)(model->data + model->bytes - after));
    uint64_t found = XXH3_64bits_digest(&state);
    if (found != stored)
        return Q35_FAIL(Q35_E_FORMAT, "%s: checksum of the file %016llx, need %016llx: some byte was changed",
                        path, (unsigned long long)found, (unsigned long long)stored);
    return Q35_OK;
}
