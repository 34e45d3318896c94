/* SPDX-License-Identifier: Apache-2.0
 *
 * Bounds-checked reading of little-endian values from a byte image. A read that would pass the end returns false
 * and moves nothing. */
#ifndef Q35I_CURSOR_H
#define Q35I_CURSOR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct q35i_cursor {
    const uint8_t *data; /* borrowed */
    uint64_t pos, bytes; /* pos <= bytes */
} q35i_cursor;

static inline uint64_t q35i_cursor_left(const q35i_cursor *c)
{
    return c->bytes - c->pos;
}

static inline bool q35i_cursor_take(q35i_cursor *c, uint64_t n, const uint8_t **out)
{
    if (n > q35i_cursor_left(c))
        return false;
    *out = c->data + c->pos;
    c->pos += n;
    return true;
}

static inline bool q35i_cursor_u32(q35i_cursor *c, uint32_t *out)
{
    const uint8_t *p;
    if (!q35i_cursor_take(c, sizeof *out, &p))
        return false;
    memcpy(out, p, sizeof *out);
    return true;
}

static inline bool q35i_cursor_u64(q35i_cursor *c, uint64_t *out)
{
    const uint8_t *p;
    if (!q35i_cursor_take(c, sizeof *out, &p))
        return false;
    memcpy(out, p, sizeof *out);
    return true;
}

#endif
