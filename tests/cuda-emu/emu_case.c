/* SPDX-License-Identifier: Apache-2.0
 *
 * Launches of a case, and the memory they work on. */
#define _DEFAULT_SOURCE
#include "emu_case.h"

#include <check.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PIECES = 4096 };

/* AddressSanitizer looks at addresses, which do not depend on the order, and takes its time. */
#if defined(__SANITIZE_ADDRESS__)
enum { FIRST_ORDER = Q35_EMU_RANDOM };
#else
enum { FIRST_ORDER = Q35_EMU_FORWARD };
#endif

static struct {
    void *at;
    size_t bytes;
} pieces[PIECES];
static size_t n_pieces;

void emu_fill(void *p, size_t bytes)
{
    const uint32_t unwritten = 0x7fedface; /* a NaN */
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)p)[i] = (uint8_t)(unwritten >> (8 * (i % 4)));
}

void *emu_memory(size_t bytes, size_t align)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), rounded = (bytes + align - 1) / align * align;
    const size_t body = (rounded + page - 1) / page * page;
    ck_assert_uint_lt(n_pieces, PIECES);
    char *p = mmap(NULL, body + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(p != MAP_FAILED);
    ck_assert_int_eq(mprotect(p + body, page, PROT_NONE), 0);
    pieces[n_pieces].at = p;
    pieces[n_pieces++].bytes = body + page;
    emu_fill(p + body - rounded, rounded);
    return p + body - rounded;
}

void emu_release(void)
{
    while (n_pieces > 0) {
        n_pieces--;
        munmap(pieces[n_pieces].at, pieces[n_pieces].bytes);
    }
}

uint64_t emu_address(const void *p)
{
    return (uint64_t)(uintptr_t)p;
}

uint64_t emu_count(int32_t n)
{
    int32_t *p = emu_memory(sizeof n, sizeof n);
    *p = n;
    return emu_address(p);
}

const q35k_table *emu_reference(void)
{
    static q35k_table table;
    q35k_table_init(&table, 0);
    return &table;
}

static int same_element(const emu_output *o, const uint8_t *found, size_t at)
{
    float a, b;
    if (memcmp(found + at, (const uint8_t *)o->expected + at, 4) == 0)
        return 1;
    memcpy(&a, found + at, sizeof a);
    memcpy(&b, (const uint8_t *)o->expected + at, sizeof b);
    return o->floats && isnan(a) && isnan(b);
}

static void compare(const emu_case *c, const char *order, int output, const uint8_t *found)
{
    const emu_output *o = &c->outputs[output];
    uint32_t a = 0, b = 0;
    if (memcmp(found, o->expected, o->bytes) == 0)
        return;
    for (size_t i = 0; i + 4 <= o->bytes; i += 4) {
        if (same_element(o, found, i))
            continue;
        memcpy(&a, found + i, sizeof a);
        memcpy(&b, (const uint8_t *)o->expected + i, sizeof b);
        ck_abort_msg("%s, %s: output %d, word %zu of %zu: %08x, need %08x", c->what, order, output, i / 4,
                     o->bytes / 4, (unsigned)a, (unsigned)b);
    }
    if (o->bytes % 4)
        ck_assert_msg(
            memcmp(found + o->bytes / 4 * 4, (const uint8_t *)o->expected + o->bytes / 4 * 4, o->bytes % 4) == 0,
            "%s, %s: output %d: its last bytes differ", c->what, order, output);
}

void emu_check(const emu_case *c)
{
    static const char *const names[] = {"forward", "reverse", "random"};
    for (uint32_t order = FIRST_ORDER; order <= Q35_EMU_RANDOM; order++) {
        uint8_t *found[EMU_OUTPUTS] = {NULL};
        char error[400] = "";
        const q35_emu_options options = {.order = order, .seed = 11, .error = error, .error_len = sizeof error};
        for (int i = 0; i < c->n_outputs; i++) {
            const emu_output *o = &c->outputs[i];
            found[i] = emu_memory(o->bytes, o->bytes % 8 ? 4 : 8);
            if (o->initial)
                memcpy(found[i], o->initial, o->bytes);
            *o->field = emu_address(found[i]);
            if (o->also)
                *o->also = *o->field;
        }
        for (int i = 0; i < c->n_kernels; i++) {
            const q35_cuda_launch l = q35_cuda_launch_of(c->kernels[i], c->args);
            const uint32_t block[3] = {l.threads, 1, 1};
            const char *kernel = q35_cuda_kernel_name(c->kernels[i]);
            int rc = q35_emu_launch(kernel, c->args, l.grid, block, l.shared, &options);
            ck_assert_msg(rc == 0, "%s, %s: %s", c->what, names[order], error);
        }
        for (int i = 0; i < c->n_outputs; i++)
            compare(c, names[order], i, found[i]);
    }
}
