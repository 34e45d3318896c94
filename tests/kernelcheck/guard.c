/* SPDX-License-Identifier: Apache-2.0
 *
 * Guarded memory. A slot is one memory file mapped twice, once for writing and once for reading only, each mapping
 * between inaccessible pages. The tester fills inputs through the first and hands out the second, so a kernel that
 * writes to an input dies without any call to mprotect per case.
 */
#define _GNU_SOURCE
#include "kernelcheck.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SLOT_BYTES = 16 << 20, SLACK = 512 };

typedef struct slot {
    uint8_t *writable, *readable; /* [SLOT_BYTES] each, the same memory */
    size_t offset, bytes;         /* of the buffer now in it */
} slot;

struct kc_guard {
    size_t page;
    uint8_t *reserved;
    int n_slots;
    uint8_t slack[SLACK]; /* what lies beside a buffer that can be written */
    slot slots[];         /* [n_slots] */
};

void kc_fill_unwritten(uint8_t *p, size_t bytes)
{
    const uint32_t word = KC_UNWRITTEN;
    size_t done = bytes < sizeof word ? bytes : sizeof word;
    memcpy(p, &word, done);
    for (size_t n; done < bytes; done += n) { /* twice as much each time */
        n = bytes - done < done ? bytes - done : done;
        memcpy(p + done, p, n);
    }
}

static size_t view_bytes(const kc_guard *g)
{
    return SLOT_BYTES + 2 * g->page;
}

static bool map_slot(kc_guard *g, slot *s, uint8_t *at)
{
    int fd = memfd_create("kernelcheck", MFD_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = ftruncate(fd, SLOT_BYTES) == 0;
    void *w = MAP_FAILED, *r = MAP_FAILED;
    if (ok) {
        w = mmap(at + g->page, SLOT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
        r = mmap(at + view_bytes(g) + g->page, SLOT_BYTES, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
    }
    close(fd);
    if (w == MAP_FAILED || r == MAP_FAILED)
        return false;
    s->writable = w;
    s->readable = r;
    return true;
}

static size_t reserved_bytes(const kc_guard *g)
{
    return 2 * (size_t)g->n_slots * view_bytes(g);
}

kc_guard *kc_guard_open(int n_slots)
{
    kc_guard *g = calloc(1, sizeof *g + (size_t)n_slots * sizeof(slot));
    if (!g)
        return NULL;
    g->n_slots = n_slots;
    g->page = (size_t)sysconf(_SC_PAGESIZE);
    void *all = mmap(NULL, reserved_bytes(g), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) {
        free(g);
        return NULL;
    }
    g->reserved = all;
    kc_fill_unwritten(g->slack, SLACK);
    for (int i = 0; i < n_slots; i++) {
        if (!map_slot(g, &g->slots[i], g->reserved + 2 * (size_t)i * view_bytes(g))) {
            kc_guard_close(g);
            return NULL;
        }
    }
    return g;
}

void kc_guard_close(kc_guard *g)
{
    munmap(g->reserved, reserved_bytes(g));
    free(g);
}

/* The slack on both sides of the buffer, clipped to the slot. */
static void slack_range(const slot *s, size_t *from, size_t *to)
{
    size_t end = s->offset + s->bytes;
    *from = s->offset > SLACK ? s->offset - SLACK : 0;
    *to = SLOT_BYTES - end > SLACK ? end + SLACK : SLOT_BYTES;
}

uint8_t *kc_guard_place(kc_guard *g, int slot_index, size_t bytes, size_t align, bool tail, bool read_only,
                        const void *init)
{
    slot *s = &g->slots[slot_index];
    if (bytes > SLOT_BYTES)
        abort();
    size_t from, to;
    s->bytes = bytes;
    s->offset = tail ? (SLOT_BYTES - bytes) / align * align : 0;
    slack_range(s, &from, &to);
    if (read_only) {
        memset(s->writable + from, 0xff, s->offset - from);
        memset(s->writable + s->offset + bytes, 0xff, to - s->offset - bytes);
    } else {
        memcpy(s->writable + from, g->slack, s->offset - from);
        memcpy(s->writable + s->offset + bytes, g->slack, to - s->offset - bytes);
    }
    if (init)
        memcpy(s->writable + s->offset, init, bytes);
    else
        kc_fill_unwritten(s->writable + s->offset, bytes);
    return (read_only ? s->readable : s->writable) + s->offset;
}

bool kc_guard_intact(const kc_guard *g, int slot_index)
{
    const slot *s = &g->slots[slot_index];
    size_t from, to;
    slack_range(s, &from, &to);
    return memcmp(s->writable + from, g->slack, s->offset - from) == 0 &&
           memcmp(s->writable + s->offset + s->bytes, g->slack, to - s->offset - s->bytes) == 0;
}
