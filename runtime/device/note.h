/* SPDX-License-Identifier: Apache-2.0
 *
 * The plugin's ELF note, read from the bytes of the file before any of its code runs. */
#ifndef Q35I_NOTE_H
#define Q35I_NOTE_H

#include <q35rt/status.h>

/* Finds and checks the note in the `bytes` bytes of a shared object at data (any alignment, any contents; nothing
 * outside is read). On success out->id and out->version are NUL-terminated printable strings and id is well
 * formed. FORMAT: not a 64-bit little-endian ELF shared object, cut off, or without a well-formed note. VERSION: a
 * note version this host does not know. Pure. */
q35_status q35i_note_read(const uint8_t *data, uint64_t bytes, q35_note *out);

#endif
