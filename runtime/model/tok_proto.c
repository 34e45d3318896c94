/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/model/tok_proto.h"

static bool varint(q35i_proto *m, uint64_t *out)
{
    uint64_t value = 0;
    for (uint32_t shift = 0; shift < 64 && m->p < m->end; shift += 7) {
        uint8_t byte = *m->p++;
        if (shift == 63 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *out = value;
            return true;
        }
    }
    return false;
}

static bool fixed(q35i_proto *m, uint32_t bytes, uint64_t *out)
{
    *out = 0;
    if ((uint64_t)(m->end - m->p) < bytes)
        return false;
    for (uint32_t i = 0; i < bytes; i++)
        *out |= (uint64_t)*m->p++ << 8 * i;
    return true;
}

static bool span(q35i_proto *m, q35i_proto *out)
{
    uint64_t len;
    if (!varint(m, &len) || len > (uint64_t)(m->end - m->p))
        return false;
    *out = (q35i_proto){m->p, m->p + len};
    m->p += len;
    return true;
}

bool q35i_proto_next(q35i_proto *message, q35i_proto_field *out)
{
    q35i_proto m = *message;
    uint64_t tag;
    bool read = false;
    *out = (q35i_proto_field){0};
    if (m.p == m.end || !varint(&m, &tag) || tag >> 3 == 0 || tag > UINT32_MAX)
        return false;
    out->number = (uint32_t)(tag >> 3);
    out->wire = (uint32_t)(tag & 7);
    if (out->wire == Q35I_PROTO_VARINT)
        read = varint(&m, &out->value);
    else if (out->wire == Q35I_PROTO_BYTES)
        read = span(&m, &out->bytes);
    else if (out->wire == Q35I_PROTO_8 || out->wire == Q35I_PROTO_4)
        read = fixed(&m, out->wire == Q35I_PROTO_8 ? 8 : 4, &out->value);
    if (read)
        *message = m;
    return read;
}
