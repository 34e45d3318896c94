/* SPDX-License-Identifier: Apache-2.0
 *
 * Products of warpgroups: what is under way, and which bytes of shared memory they may read. */
#include "emu_wgmma.h"

#include <stdio.h>
#include <string.h>

enum { MAX_GROUPS = 8, MAX_SUMS = 4, MAX_READS = 64, WORDS = EMU_MAX_SHARED / 4, POISON = 0x5ead0bad };
enum : uint32_t { UNSEEN = UINT32_MAX };

/* Registers of a product that not all threads have waited for. */
struct sums_of {
    bool under_way[EMU_WARPGROUP];
    int *at[EMU_WARPGROUP], value[EMU_WARPGROUP][32];
    unsigned last; /* group that they are in */
};

/* A product's rows, until all threads have waited for it: each warp reads them for itself. */
struct reads_of {
    unsigned group, left;
    bool waited[EMU_WARPGROUP];
    emu_operand b;
};

static struct warpgroup {
    unsigned n_sums, n_reads;
    sums_of sums[MAX_SUMS];
    reads_of reads[MAX_READS];
} groups[MAX_GROUPS];

static uint32_t seen_from[WORDS]; /* barriers after which a word of shared memory is seen */
static uint32_t barriers;

void emu_wgmma_begin_block()
{
    barriers = 0;
    memset(seen_from, 0xff, sizeof seen_from);
    for (warpgroup &g : groups)
        g.n_sums = g.n_reads = 0;
}

void emu_wgmma_met()
{
    barriers++;
}

/* ---- operands: the fields of the number, as PTX has them */

static unsigned address_of(const emu_operand &b)
{
    return (unsigned)(b.number & 0x3fff) << 4;
}

static unsigned eight_rows_of(const emu_operand &b)
{
    return (unsigned)(b.number >> 32 & 0x3fff) << 4;
}

/* Byte of shared memory of row n and unit u (0 or 1): bits 4 to 6 of an address are changed by bits 7 to 9. */
static unsigned unit_at(const emu_operand &b, unsigned n, unsigned u)
{
    const unsigned at = address_of(b) + n / 8 * eight_rows_of(b) + n % 8 * 128 + 16 * u;
    return at ^ (at >> 7 & 7) << 4;
}

static bool has_byte(const emu_operand &b, unsigned at)
{
    for (unsigned n = 0; n < 64; n++)
        for (unsigned u = 0; u < 2; u++)
            if (at / 16 == unit_at(b, n, u) / 16)
                return true;
    return false;
}

/* Why b cannot be multiplied with; NULL: it can. */
static const char *objection(const emu_operand &b, char *text, unsigned cap)
{
    if (b.number >> 62 != 1)
        return "wgmma of rows whose units are not in the order of 128 bytes";
    if ((b.number >> 49 & 7) != 0 || address_of(b) % 1024 >= 128)
        return "wgmma of rows that do not begin at a multiple of 1024";
    for (unsigned n = 0; n < 64; n++)
        for (unsigned u = 0; u < 2; u++) {
            const unsigned at = unit_at(b, n, u);
            if (at < b.first || at + 16 > b.last) {
                snprintf(text, cap, "wgmma of bytes %u to %u of shared memory, its rows are %u to %u", at, at + 15,
                         b.first, b.last - 1);
                return text;
            }
            for (unsigned w = at / 4; w < at / 4 + 4; w++) {
                if (barriers >= seen_from[w])
                    continue;
                snprintf(text, cap, "wgmma of byte %u of shared memory, which was not copied, fenced and met for",
                         4 * w);
                return text;
            }
        }
    return nullptr;
}

/* ---- products */

static sums_of *find_sums(warpgroup *g, const int *c)
{
    for (unsigned i = 0; i < g->n_sums; i++)
        if (g->sums[i].at[0] == c)
            return &g->sums[i];
    if (g->n_sums == MAX_SUMS)
        return nullptr;
    sums_of *s = &g->sums[g->n_sums++];
    memset(s, 0, sizeof *s);
    return s;
}

static bool is_poisoned(const int *c)
{
    for (int i = 0; i < 32; i++)
        if (c[i] != POISON)
            return false;
    return true;
}

/* a[64][32] b[64][32] of int8: byte i of a thread's a[r] is row 16 w + g + 8 (r % 2), k = 16 (r / 2) + 4 t + i. */
static void multiply(const emu_operand &b, emu_wgmma *const *part, int (*product)[64])
{
    static int16_t a16[64][32], b16[64][32];
    for (unsigned i = 0; i < EMU_WARPGROUP; i++)
        for (unsigned r = 0; r < 4; r++)
            for (unsigned k = 0; k < 4; k++)
                a16[i / 32 * 16 + i % 32 / 4 + 8 * (r % 2)][16 * (r / 2) + i % 4 * 4 + k] =
                    (int8_t)(part[i]->now.a[r] >> (8 * k));
    for (unsigned n = 0; n < 64; n++)
        for (unsigned k = 0; k < 32; k++)
            b16[n][k] = (int8_t)q35_emu_now.shared[unit_at(b, n, k / 16) + k % 16];
    for (unsigned row = 0; row < 64; row++)
        for (unsigned n = 0; n < 64; n++) {
            int sum = 0;
            for (unsigned k = 0; k < 32; k++)
                sum += a16[row][k] * b16[n][k];
            product[row][n] = sum;
        }
}

int emu_wgmma_multiply(unsigned number, emu_wgmma *const *part, char *why, unsigned cap)
{
    static int product[64][64];
    warpgroup *g = &groups[number];
    const emu_operand &b = part[0]->now.b;
    char text[128];
    for (unsigned i = 0; i < EMU_WARPGROUP; i++) {
        const emu_wgmma &p = *part[i];
        const char *bad = !p.fenced                       ? "wgmma without a fence of registers before"
                          : p.now.b.number != b.number    ? "wgmma of other rows than the warpgroup's first thread"
                          : p.commits != part[0]->commits ? "wgmma of another group than the first thread's"
                          : p.now.adds != part[0]->now.adds ? "wgmma that adds, and the first thread's does not"
                          : i == 0                          ? objection(b, text, sizeof text)
                                                            : nullptr;
        if (bad) {
            snprintf(why, cap, "%s", bad);
            return (int)i;
        }
    }
    sums_of *s = find_sums(g, part[0]->now.c);
    if (!s || g->n_reads == MAX_READS) {
        snprintf(why, cap, "too many products of wgmma under way");
        return 0;
    }
    multiply(b, part, product);
    g->reads[g->n_reads++] = {part[0]->commits, EMU_WARPGROUP, {}, b};
    s->last = part[0]->commits;
    for (unsigned i = 0; i < EMU_WARPGROUP; i++) {
        int *c = part[i]->now.c;
        if (s->under_way[i] && !is_poisoned(c)) {
            snprintf(why, cap, "a register of wgmma was written while it was under way");
            return (int)i;
        }
        if (!s->under_way[i])
            memcpy(s->value[i], c, sizeof s->value[i]);
        for (unsigned r = 0; r < 32; r++) {
            const int sum = product[i / 32 * 16 + i % 32 / 4 + r % 4 / 2 * 8][r / 4 * 8 + i % 4 * 2 + r % 2];
            s->value[i][r] = (part[i]->now.adds ? s->value[i][r] : 0) + sum;
            c[r] = POISON;
        }
        s->at[i] = c;
        s->under_way[i] = true;
    }
    return -1;
}

/* Forgets what nobody waits for any more. */
static void forget_sums(warpgroup *g)
{
    unsigned left = 0;
    for (unsigned k = 0; k < g->n_sums; k++) {
        bool any = false;
        for (bool under_way : g->sums[k].under_way)
            any |= under_way;
        if (any && left != k)
            g->sums[left] = g->sums[k];
        left += any;
    }
    g->n_sums = left;
}

void emu_wgmma_wait(emu_wgmma *me, unsigned i, unsigned pending)
{
    warpgroup *g = &groups[i / EMU_WARPGROUP];
    const unsigned lane = i % EMU_WARPGROUP;
    bool ended = false;
    for (unsigned k = 0; k < g->n_sums; k++) {
        sums_of *s = &g->sums[k];
        if (!s->under_way[lane] || s->last + pending >= me->commits)
            continue;
        if (!is_poisoned(s->at[lane]))
            q35_emu_fail("a register of wgmma was written while it was under way");
        memcpy(s->at[lane], s->value[lane], sizeof s->value[lane]);
        s->under_way[lane] = false;
        ended = true;
    }
    if (ended)
        forget_sums(g);
    unsigned left = 0;
    for (unsigned k = 0; k < g->n_reads; k++) {
        reads_of *r = &g->reads[k];
        if (r->group + pending < me->commits && !r->waited[lane]) {
            r->waited[lane] = true;
            r->left--;
        }
        if (r->left > 0 && left != k)
            g->reads[left] = *r;
        left += r->left > 0;
    }
    g->n_reads = left;
}

void emu_wgmma_ends(unsigned i)
{
    const warpgroup *g = &groups[i / EMU_WARPGROUP];
    for (unsigned k = 0; k < g->n_sums; k++)
        if (g->sums[k].under_way[i % EMU_WARPGROUP])
            q35_emu_fail("ends with products of wgmma under way");
}

/* ---- rows */

void emu_wgmma_copy_begins(unsigned at)
{
    for (const warpgroup &g : groups)
        for (unsigned k = 0; k < g.n_reads; k++)
            if (has_byte(g.reads[k].b, at))
                q35_emu_fail("byte %u of shared memory written while wgmma reads it", at);
    seen_from[at / 4] = UNSEEN;
}

void emu_wgmma_copied(emu_wgmma *me, unsigned at)
{
    if (me->n_fresh == EMU_MAX_FRESH)
        q35_emu_fail("%u copies to rows of wgmma without a fence", me->n_fresh);
    me->fresh[me->n_fresh++] = at / 4;
}

void emu_wgmma_fence_rows(emu_wgmma *me)
{
    for (unsigned i = 0; i < me->n_fresh; i++)
        seen_from[me->fresh[i]] = barriers + 1;
    me->n_fresh = 0;
}
