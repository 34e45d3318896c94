/* SPDX-License-Identifier: Apache-2.0
 *
 * System V gABI, "Dynamic Section", "Symbol Table". Every offset is checked against the file before it is used. */
#define _GNU_SOURCE
#include "elf_file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool inside(const cf_elf *elf, uint64_t at, uint64_t bytes)
{
    return at <= elf->bytes && bytes <= elf->bytes - at;
}

Elf64_Phdr cf_elf_segment(const cf_elf *elf, uint32_t i)
{
    Elf64_Phdr segment = {0};
    uint64_t at = elf->head.e_phoff + i * sizeof segment;
    if (inside(elf, at, sizeof segment))
        memcpy(&segment, elf->data + at, sizeof segment);
    return segment;
}

Elf64_Sym cf_elf_symbol(const cf_elf *elf, uint64_t i)
{
    Elf64_Sym symbol;
    memcpy(&symbol, elf->data + elf->symbols + i * sizeof symbol, sizeof symbol);
    return symbol;
}

const char *cf_elf_string(const cf_elf *elf, uint64_t at)
{
    const char *strings = (const char *)elf->data + elf->strings;
    if (at >= elf->string_bytes || !memchr(strings + at, '\0', elf->string_bytes - at))
        return "";
    return strings + at;
}

bool cf_elf_dynamic(const cf_elf *elf, int64_t tag, uint32_t i, uint64_t *out)
{
    for (uint64_t n = 0; n < elf->n_dynamic; n++) {
        Elf64_Dyn entry;
        memcpy(&entry, elf->data + elf->dynamic + n * sizeof entry, sizeof entry);
        if (entry.d_tag == DT_NULL)
            return false;
        if (entry.d_tag == tag && i-- == 0) {
            *out = entry.d_un.d_val;
            return true;
        }
    }
    return false;
}

/* The symbols that the dynamic loader sees, and the names of the dynamic section. */
static const char *find_symbols(cf_elf *elf)
{
    for (uint32_t i = 0; i < elf->head.e_shnum; i++) {
        Elf64_Shdr section, names;
        uint64_t at = elf->head.e_shoff + i * sizeof section;
        if (!inside(elf, at, sizeof section))
            return "section headers outside of the file";
        memcpy(&section, elf->data + at, sizeof section);
        if (section.sh_type != SHT_DYNSYM)
            continue;
        at = elf->head.e_shoff + section.sh_link * sizeof names;
        if (!inside(elf, at, sizeof names) || !inside(elf, section.sh_offset, section.sh_size))
            return "dynamic symbols outside of the file";
        memcpy(&names, elf->data + at, sizeof names);
        if (!inside(elf, names.sh_offset, names.sh_size))
            return "names of dynamic symbols outside of the file";
        elf->symbols = section.sh_offset;
        elf->n_symbols = section.sh_size / sizeof(Elf64_Sym);
        elf->strings = names.sh_offset;
        elf->string_bytes = names.sh_size;
        return NULL;
    }
    return "no table of dynamic symbols";
}

const char *cf_elf_open(const char *path, cf_elf *out)
{
    struct stat st;
    *out = (cf_elf){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || (size_t)st.st_size < sizeof out->head)
        return "cannot be read";
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (data == MAP_FAILED)
        return "cannot be mapped";
    out->data = data;
    out->bytes = (uint64_t)st.st_size;
    memcpy(&out->head, data, sizeof out->head);
    for (uint32_t i = 0; i < out->head.e_phnum; i++) {
        Elf64_Phdr segment = cf_elf_segment(out, i);
        if (segment.p_type == PT_DYNAMIC && inside(out, segment.p_offset, segment.p_filesz)) {
            out->dynamic = segment.p_offset;
            out->n_dynamic = segment.p_filesz / sizeof(Elf64_Dyn);
        }
    }
    return out->n_dynamic == 0 ? "no dynamic section" : find_symbols(out);
}
