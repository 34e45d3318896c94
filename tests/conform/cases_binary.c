/* SPDX-License-Identifier: Apache-2.0
 *
 * The file itself: none of its code runs here. */
#include "conform.h"
#include "elf_file.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static cf_elf open_elf(cf_env *e)
{
    cf_elf elf;
    cf_read_note(e);
    const char *why = cf_elf_open(e->path, &elf);
    if (why)
        cf_fail("%s: %s", e->path, why);
    return elf;
}

static void check_note(cf_env *e, uint32_t a, uint32_t b)
{
    (void)a, (void)b;
    cf_read_note(e);
    const q35_note *n = &e->note;
    if (n->reserved != 0)
        cf_fail("the note's reserved field is %u, need 0", n->reserved);
    if (n->flags & ~(uint32_t)(Q35_NF_UNLOADABLE | Q35_NF_SPAWNS_THREADS | Q35_NF_SIMULATED | Q35_NF_NEEDS_DRIVER))
        cf_fail("the note has flags 0x%x, need those of ABI %u.%u alone", n->flags, Q35_ABI_MAJOR, Q35_ABI_MINOR);
    if (n->abi_minor_needed > n->abi_minor_built)
        cf_fail("the note needs minor %u, but was built for %u", n->abi_minor_needed, n->abi_minor_built);
    cf_note(e, "%s %s, ABI %u.%u, rank %u", n->id, n->version, n->abi_major, n->abi_minor_built, n->rank);
}

/* The note against the table: what it says before loading is what is found after. */
static void check_truth(cf_env *e, uint32_t a, uint32_t b)
{
    (void)a, (void)b;
    if (e->api->abi_major != e->note.abi_major || e->api->abi_minor != e->note.abi_minor_built)
        cf_fail("the table says ABI %u.%u, the note %u.%u", e->api->abi_major, e->api->abi_minor,
                e->note.abi_major, e->note.abi_minor_built);
    if (strcmp(e->api->version, e->note.version) != 0)
        cf_fail("the table says version %.32s, the note %s", e->api->version, e->note.version);
    if (e->api->h.size > sizeof *e->api && e->api->abi_minor <= Q35_ABI_MINOR)
        cf_fail("the table has %u bytes, ABI %u.%u has %zu", e->api->h.size, e->api->abi_major, e->api->abi_minor,
                sizeof *e->api);
}

static bool is_ours(const char *name)
{
    return strncmp(name, "q35", 3) == 0;
}

/* What tools leave behind in every shared object, and what only sanitizers and coverage export. */
static bool is_of_the_tools(const char *name)
{
    static const char *const names[] = {"_init", "_fini", "_end", "_edata", "_etext", "__bss_start"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return Q35_NOTE_SANITIZER != Q35_SANITIZER_NONE && strncmp(name, "__", 2) == 0;
}

static void check_exports(cf_env *e, uint32_t a, uint32_t b)
{
    (void)a, (void)b;
    cf_elf elf = open_elf(e);
    bool found = false;
    for (uint64_t i = 1; i < elf.n_symbols; i++) {
        Elf64_Sym s = cf_elf_symbol(&elf, i);
        const char *name = cf_elf_string(&elf, s.st_name);
        unsigned binding = ELF64_ST_BIND(s.st_info);
        if (s.st_shndx == SHN_UNDEF || s.st_shndx == SHN_ABS || binding == STB_LOCAL || is_of_the_tools(name))
            continue;
        if (strcmp(name, Q35_PLUGIN_SYMBOL) == 0)
            found = true;
        else
            cf_fail("exports '%.200s', need %s alone: build with -fvisibility=hidden", name, Q35_PLUGIN_SYMBOL);
    }
    if (!found)
        cf_fail("does not export %s", Q35_PLUGIN_SYMBOL);
}

static void check_undefined(cf_env *e, uint32_t a, uint32_t b)
{
    (void)a, (void)b;
    cf_elf elf = open_elf(e);
    for (uint64_t i = 1; i < elf.n_symbols; i++) {
        Elf64_Sym s = cf_elf_symbol(&elf, i);
        const char *name = cf_elf_string(&elf, s.st_name);
        if (s.st_shndx == SHN_UNDEF && is_ours(name))
            cf_fail("needs the symbol '%.200s': host services come from the table alone", name);
    }
    uint64_t value;
    for (uint32_t i = 0; cf_elf_dynamic(&elf, DT_NEEDED, i, &value); i++)
        if (strstr(cf_elf_string(&elf, value), "q35rt"))
            cf_fail("is linked with %.200s: a plugin links with nothing of q35rt", cf_elf_string(&elf, value));
}

static void check_hardening(cf_env *e, uint32_t a, uint32_t b)
{
    (void)a, (void)b;
    cf_elf elf = open_elf(e);
    uint64_t value;
    bool stack = false, relro = false;
    for (uint32_t i = 0; i < elf.head.e_phnum; i++) {
        Elf64_Phdr s = cf_elf_segment(&elf, i);
        if (s.p_type == PT_GNU_STACK && s.p_flags & PF_X)
            cf_fail("asks for an executable stack: link with -Wl,-z,noexecstack");
        if (s.p_type == PT_LOAD && s.p_flags & PF_X && s.p_flags & PF_W)
            cf_fail("has a segment that can be written and executed");
        stack = stack || s.p_type == PT_GNU_STACK;
        relro = relro || s.p_type == PT_GNU_RELRO;
    }
    if (!stack)
        cf_fail("does not say that its stack is not executable: link with -Wl,-z,noexecstack");
    if (!relro)
        cf_fail("has no read-only relocations: link with -Wl,-z,relro");
    if (cf_elf_dynamic(&elf, DT_TEXTREL, 0, &value) ||
        (cf_elf_dynamic(&elf, DT_FLAGS, 0, &value) && value & DF_TEXTREL))
        cf_fail("relocates its code: build with -fPIC");
}

static void check_paths(cf_env *e, uint32_t a, uint32_t b)
{
    static const int64_t tags[] = {DT_RPATH, DT_RUNPATH};
    (void)a, (void)b;
    cf_elf elf = open_elf(e);
    for (int t = 0; t < 2; t++) {
        uint64_t value;
        if (!cf_elf_dynamic(&elf, tags[t], 0, &value))
            continue;
        for (const char *path = cf_elf_string(&elf, value); *path;) {
            size_t n = strcspn(path, ":");
            if (n > 0 && strncmp(path, "$ORIGIN", 7) != 0 && strncmp(path, "${ORIGIN}", 9) != 0)
                cf_fail("looks for libraries in '%.*s', need $ORIGIN or nothing", (int)(n < 200 ? n : 200), path);
            path += n + (path[n] == ':');
        }
    }
}

/* A driver is opened at run time, so that the plugin loads where there is none. */
static void check_libraries(cf_env *e, uint32_t a, uint32_t b)
{
    static const char *const drivers[] = {"libcuda.so",   "libOpenCL.so",   "libnccl.so",      "libnvidia-ml.so",
                                          "libcudart.so", "libamdhip64.so", "libze_loader.so", "libvulkan.so"};
    (void)a, (void)b;
    cf_elf elf = open_elf(e);
    uint64_t value;
    for (uint32_t i = 0; cf_elf_dynamic(&elf, DT_NEEDED, i, &value); i++)
        for (size_t d = 0; d < sizeof drivers / sizeof drivers[0]; d++)
            if (strncmp(cf_elf_string(&elf, value), drivers[d], strlen(drivers[d])) == 0)
                cf_fail("is linked with %.200s: open it with dlopen, and report 0 devices where it is missing",
                        cf_elf_string(&elf, value));
}

/* Where it lies now is not the plugin's doing, but the host would refuse it. */
static void check_place(cf_env *e, uint32_t a, uint32_t b)
{
    q35i_vetted file;
    (void)a, (void)b;
    if (q35i_vet_file(e->path, &file) != Q35_OK)
        cf_skip("q35rt would not load it from here: %s", q35_error_message());
}

void cf_list_binary(cf_list *list)
{
    cf_add_test(list, CF_FILE, check_note, 0, 0, "binary/note");
    cf_add_test(list, CF_FILE, check_exports, 0, 0, "binary/exports");
    cf_add_test(list, CF_FILE, check_undefined, 0, 0, "binary/undefined");
    cf_add_test(list, CF_FILE, check_hardening, 0, 0, "binary/hardening");
    cf_add_test(list, CF_FILE, check_paths, 0, 0, "binary/paths");
    cf_add_test(list, CF_FILE, check_libraries, 0, 0, "binary/libraries");
    cf_add_test(list, CF_FILE, check_place, 0, 0, "binary/place");
    cf_add_test(list, 0, check_truth, 0, 0, "binary/truth");
}
