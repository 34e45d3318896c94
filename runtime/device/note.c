/* SPDX-License-Identifier: Apache-2.0
 *
 * ELF header, program headers, PT_NOTE segments, notes: System V gABI, "ELF Header", "Program Header", "Note
 * Section". Every offset is checked against the length before it is used, and fields are copied out, so alignment
 * is free. */
#include "note.h"

#include "runtime/base/error.h"
#include "runtime/base/size.h"

#include <elf.h>
#include <string.h>

enum { DESC_BYTES = sizeof(q35_note) - offsetof(q35_note, note_version), MAX_SEGMENTS = 1024 };

/* The segment's bytes [at, end) of the file and the alignment of its notes. */
typedef struct note_span {
    uint64_t at, end, align;
} note_span;

static q35_status read_header(const uint8_t *data, uint64_t bytes, Elf64_Ehdr *out)
{
    uint64_t table_bytes, table_end;
    if (bytes < SELFMAG || memcmp(data, ELFMAG, SELFMAG) != 0)
        return Q35_FAIL(Q35_E_FORMAT, "not an ELF file: need a shared object");
    if (bytes < sizeof *out)
        return Q35_FAIL(Q35_E_FORMAT, "ELF file cut off: %llu bytes, need %zu for its header",
                        (unsigned long long)bytes, sizeof *out);
    memcpy(out, data, sizeof *out);
    if (out->e_ident[EI_CLASS] != ELFCLASS64 || out->e_ident[EI_DATA] != ELFDATA2LSB)
        return Q35_FAIL(Q35_E_FORMAT, "ELF class %u and byte order %u, need 2 (64-bit) and 1 (little-endian)",
                        out->e_ident[EI_CLASS], out->e_ident[EI_DATA]);
    if (out->e_type != ET_DYN)
        return Q35_FAIL(Q35_E_FORMAT, "ELF type %u, need 3 (shared object)", out->e_type);
    if (out->e_phnum == 0 || out->e_phnum > MAX_SEGMENTS || out->e_phentsize != sizeof(Elf64_Phdr))
        return Q35_FAIL(Q35_E_FORMAT, "ELF program headers: %u of %u bytes, need 1 to %d of %zu", out->e_phnum,
                        out->e_phentsize, MAX_SEGMENTS, sizeof(Elf64_Phdr));
    table_bytes = (uint64_t)out->e_phnum * sizeof(Elf64_Phdr);
    if (!q35i_add(out->e_phoff, table_bytes, &table_end) || table_end > bytes)
        return Q35_FAIL(Q35_E_FORMAT, "ELF file cut off: %llu bytes, program headers at %llu need %llu",
                        (unsigned long long)bytes, (unsigned long long)out->e_phoff,
                        (unsigned long long)table_bytes);
    return Q35_OK;
}

/* Copies a checked string field; false when it is not NUL-terminated, empty or not printable. */
static int copy_text(char *dst, const char *src, size_t cap)
{
    size_t n = 0;
    while (n < cap && src[n] > ' ' && src[n] <= '~')
        n++;
    if (n == 0 || n == cap || src[n] != '\0')
        return 0;
    memset(dst, 0, cap);
    memcpy(dst, src, n);
    return 1;
}

static int is_plugin_id(const char *id)
{
    size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return n > 0 && id[n] == '\0';
}

static q35_status check_desc(const uint8_t *desc, uint64_t desc_bytes, q35_note *out)
{
    q35_note note;
    uint32_t version = 0;
    if (desc_bytes >= sizeof version)
        memcpy(&version, desc, sizeof version);
    if (version != Q35_NOTE_VERSION)
        return Q35_FAIL(Q35_E_VERSION, "plugin note has version %u, need %u", version, Q35_NOTE_VERSION);
    if (desc_bytes != DESC_BYTES)
        return Q35_FAIL(Q35_E_FORMAT, "plugin note has %llu bytes, need %d", (unsigned long long)desc_bytes,
                        (int)DESC_BYTES);
    memset(&note, 0, sizeof note);
    memcpy(&note.note_version, desc, DESC_BYTES);
    *out = note;
    if (!copy_text(out->id, note.id, sizeof note.id) || !is_plugin_id(out->id))
        return Q35_FAIL(Q35_E_FORMAT, "plugin note has a malformed id, need 1 to 15 of a-z, 0-9 and _");
    if (!copy_text(out->version, note.version, sizeof note.version))
        return Q35_FAIL(Q35_E_FORMAT, "plugin note has a malformed version, need 1 to 15 printable characters");
    return Q35_OK;
}

/* Looks through one segment; *found tells whether our note was there (and then the status is about it). A
 * malformed foreign note ends the walk: what follows it cannot be located. */
static q35_status walk_notes(const uint8_t *data, note_span span, int *found, q35_note *out)
{
    *found = 0;
    while (span.end - span.at >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr header;
        uint64_t name_at = span.at + sizeof header, desc_at, end;
        memcpy(&header, data + span.at, sizeof header);
        if (!q35i_align(name_at + header.n_namesz, span.align, &desc_at) || desc_at > span.end ||
            header.n_descsz > span.end - desc_at)
            return Q35_OK;
        if (header.n_type == Q35_NOTE_TYPE && header.n_namesz == sizeof Q35_NOTE_OWNER &&
            memcmp(data + name_at, Q35_NOTE_OWNER, sizeof Q35_NOTE_OWNER) == 0) {
            *found = 1;
            return check_desc(data + desc_at, header.n_descsz, out);
        }
        end = desc_at + header.n_descsz;
        if (!q35i_align(end, span.align, &span.at) || span.at > span.end)
            return Q35_OK;
    }
    return Q35_OK;
}

static Elf64_Phdr segment_at(const uint8_t *data, const Elf64_Ehdr *elf, uint32_t i)
{
    Elf64_Phdr segment;
    memcpy(&segment, data + elf->e_phoff + i * sizeof segment, sizeof segment);
    return segment;
}

/* A file cut off inside a segment would fault when the dynamic loader maps it. */
static q35_status check_segments(const uint8_t *data, uint64_t bytes, const Elf64_Ehdr *elf)
{
    for (uint32_t i = 0; i < elf->e_phnum; i++) {
        Elf64_Phdr segment = segment_at(data, elf, i);
        uint64_t end;
        if (!q35i_add(segment.p_offset, segment.p_filesz, &end) || end > bytes)
            return Q35_FAIL(Q35_E_FORMAT, "ELF file cut off: %llu bytes, segment %u at %llu needs %llu",
                            (unsigned long long)bytes, i, (unsigned long long)segment.p_offset,
                            (unsigned long long)segment.p_filesz);
    }
    return Q35_OK;
}

q35_status q35i_note_read(const uint8_t *data, uint64_t bytes, q35_note *out)
{
    Elf64_Ehdr elf;
    memset(out, 0, sizeof *out);
    Q35_TRY(read_header(data, bytes, &elf));
    Q35_TRY(check_segments(data, bytes, &elf));
    for (uint32_t i = 0; i < elf.e_phnum; i++) {
        Elf64_Phdr segment = segment_at(data, &elf, i);
        if (segment.p_type != PT_NOTE)
            continue;
        note_span span = {segment.p_offset, segment.p_offset + segment.p_filesz, segment.p_align == 8 ? 8 : 4};
        int found;
        Q35_TRY(walk_notes(data, span, &found, out));
        if (found)
            return Q35_OK;
    }
    return Q35_FAIL(Q35_E_FORMAT, "no plugin note (%s): not a q35rt plugin", Q35_NOTE_SECTION);
}
