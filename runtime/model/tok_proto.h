/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading protocol buffers (the wire format of proto2), bounded: a message is a span of bytes, its fields come one
 * after the other. Pure. */
#ifndef Q35I_TOK_PROTO_H
#define Q35I_TOK_PROTO_H

#include <q35rt/model.h>

#include <stdbool.h>

typedef struct q35i_proto {
    const uint8_t *p, *end;
} q35i_proto;

/* Wire types that occur; groups are obsolete and not read. */
enum { Q35I_PROTO_VARINT = 0, Q35I_PROTO_8 = 1, Q35I_PROTO_BYTES = 2, Q35I_PROTO_4 = 5 };

typedef struct q35i_proto_field {
    uint32_t number, wire;
    uint64_t value;   /* VARINT; 4 and 8: the bytes, little-endian */
    q35i_proto bytes; /* BYTES */
} q35i_proto_field;

/* The next field; false at the end and where the bytes are no field, which q35i_proto_ended tells apart. */
bool q35i_proto_next(q35i_proto *message, q35i_proto_field *out);

static inline bool q35i_proto_ended(const q35i_proto *message)
{
    return message->p == message->end;
}

static inline q35_string q35i_proto_text(const q35i_proto *bytes)
{
    return (q35_string){(const char *)bytes->p, (uint64_t)(bytes->end - bytes->p)};
}

#endif
