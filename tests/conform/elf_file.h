/* SPDX-License-Identifier: Apache-2.0
 *
 * What the cases of the file itself ask of a shared object. */
#ifndef CONFORM_ELF_FILE_H
#define CONFORM_ELF_FILE_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cf_elf {
    const uint8_t *data; /* the file, mapped */
    uint64_t bytes;
    Elf64_Ehdr head;
    uint64_t dynamic, n_dynamic; /* offset and entries of the dynamic section */
    uint64_t symbols, n_symbols, strings, string_bytes;
} cf_elf;

/* NULL, or why not. A file that q35i_note_read accepted. */
const char *cf_elf_open(const char *path, cf_elf *out);
Elf64_Phdr cf_elf_segment(const cf_elf *elf, uint32_t i);
Elf64_Sym cf_elf_symbol(const cf_elf *elf, uint64_t i);
const char *cf_elf_string(const cf_elf *elf, uint64_t at); /* "" past the end */
/* i-th value of a tag; false: there are not as many. */
bool cf_elf_dynamic(const cf_elf *elf, int64_t tag, uint32_t i, uint64_t *out);

#endif
