/* SPDX-License-Identifier: Apache-2.0
 *
 * The scheduler of a launch, block after block. */
#include "emu_runtime.h"
#include "emu_fiber.h"
#include "emu_wgmma.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { MAX_THREADS = 1024, WARP = 32, MAX_COPIES = 64, MAX_GRID_YZ = 65535 };
#if defined(__SANITIZE_ADDRESS__)
enum { STACK_BYTES = 256 * 1024 };
#else
enum { STACK_BYTES = 64 * 1024 };
#endif

enum thread_state { READY, AT_BARRIER, IN_WARP, IN_WARPGROUP, ENDED };
enum exchange { SYNC, SHUFFLE, VOTE, MMA };
static const char *const exchange_names[] = {"sync_warp", "shuffle", "vote", "mma"};

struct copy {
    void *to;
    const void *from;
    unsigned bytes, group;
    bool row; /* for wgmma */
};

struct emu_thread {
    emu_fiber fiber;
    thread_state state;
    bool waited;   /* for the kernels before */
    exchange what; /* IN_WARP */
    uint32_t value, result;
    unsigned from; /* SHUFFLE: lane */
    int *c;        /* MMA */
    const uint32_t *a, *b;
    copy copies[MAX_COPIES];
    unsigned n_copies, groups; /* groups committed */
    emu_wgmma wgmma;
};

emu_now q35_emu_now;

static pthread_mutex_t one_launch = PTHREAD_MUTEX_INITIALIZER;
static emu_thread *threads; /* [MAX_THREADS] */
alignas(1024) static char shared_memory[EMU_MAX_SHARED];
static const emu_kernel *kernel_now;
static const void *args_now;
static emu_thread *current; /* NULL: the scheduler */
static char failure[400];
static bool failed;
static uint64_t rng;

static uint32_t next_random()
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)(rng >> 32);
}

/* 0 .. n - 1 in the order asked for. */
static void arrange(unsigned *order, unsigned n, uint32_t how)
{
    for (unsigned i = 0; i < n; i++)
        order[i] = how == Q35_EMU_REVERSE ? n - 1 - i : i;
    for (unsigned i = n - 1; how == Q35_EMU_RANDOM && i > 0; i--) {
        const unsigned j = next_random() % (i + 1), swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}

static void note_failure(unsigned thread, const char *text)
{
    const emu_index &b = q35_emu_now.block;
    if (failed)
        return;
    failed = true;
    snprintf(failure, sizeof failure, "%s: block %u,%u,%u thread %u: %s", kernel_now->name, b.x, b.y, b.z, thread,
             text);
}

void q35_emu_fail(const char *format, ...)
{
    char text[256];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    note_failure((unsigned)(current - threads), text);
    for (;;)
        emu_fiber_yield(&current->fiber, false); /* is not resumed */
}

static void stop(thread_state state)
{
    current->state = state;
    emu_fiber_yield(&current->fiber, false);
}

void q35_emu_wait_for_previous()
{
    current->waited = true;
}

void q35_emu_want_waited()
{
    if (!current->waited)
        q35_emu_fail("an address of what other kernels may write, before the wait for them");
}

void q35_emu_barrier()
{
    stop(AT_BARRIER);
}

static uint32_t meet(exchange what)
{
    current->what = what;
    stop(IN_WARP);
    return current->result;
}

void q35_emu_sync_warp()
{
    meet(SYNC);
}

uint32_t q35_emu_shuffle(uint32_t v, unsigned from)
{
    current->value = v;
    current->from = from;
    return meet(SHUFFLE);
}

bool q35_emu_vote_any(bool v)
{
    current->value = v;
    return meet(VOTE) != 0;
}

void q35_emu_mma_s8(int *c, const uint32_t *a, const uint32_t *b)
{
    current->c = c;
    current->a = a;
    current->b = b;
    meet(MMA);
}

static void start_copy(void *to, const void *from, unsigned bytes, bool row)
{
    if (reinterpret_cast<uintptr_t>(from) % bytes)
        q35_emu_fail("cp.async of %u bytes from an address that is not aligned to them", bytes);
    if (current->n_copies == MAX_COPIES)
        q35_emu_fail("more than %d copies under way", (int)MAX_COPIES);
    current->copies[current->n_copies++] = {to, from, bytes, current->groups, row};
}

void q35_emu_copy_async(void *to, const void *from, unsigned bytes)
{
    start_copy(to, from, bytes, false);
}

void q35_emu_copy_row(unsigned at, const void *from)
{
    emu_wgmma_copy_begins(at);
    start_copy(shared_memory + at, from, 4, true);
}

void q35_emu_copy_commit()
{
    current->groups++;
}

void q35_emu_copy_wait(unsigned pending)
{
    unsigned left = 0;
    for (unsigned i = 0; i < current->n_copies; i++) {
        const copy &c = current->copies[i];
        if (c.group + pending >= current->groups) {
            current->copies[left++] = c;
            continue;
        }
        if (c.from)
            memcpy(c.to, c.from, c.bytes);
        else
            memset(c.to, 0, c.bytes);
        if (c.row)
            emu_wgmma_copied(&current->wgmma, (unsigned)(static_cast<char *>(c.to) - shared_memory));
    }
    current->n_copies = left;
}

void q35_emu_fence_rows()
{
    emu_wgmma_fence_rows(&current->wgmma);
}

void q35_emu_wgmma_fence()
{
    current->wgmma.fenced = true;
}

void q35_emu_wgmma(int *c, const uint32_t *a, const emu_operand &b, bool adds)
{
    current->wgmma.now = {c, {a[0], a[1], a[2], a[3]}, b, adds};
    stop(IN_WARPGROUP);
}

void q35_emu_wgmma_commit()
{
    current->wgmma.commits++;
    current->wgmma.fenced = false;
}

void q35_emu_wgmma_wait(unsigned pending)
{
    emu_wgmma_wait(&current->wgmma, (unsigned)(current - threads), pending);
}

/* Operands as PTX lays them out for m16n8k32, g = lane / 4, t = lane % 4: byte i of a[r] is row g + 8 (r % 2),
 * k = 16 (r / 2) + 4 t + i; of b[r] k = 16 r + 4 t + i, column g; c[r] is row g + 8 (r / 2), column 2 t + r % 2.
 */
static void do_mma(emu_thread *lane)
{
    int8_t a8[16][32], b8[8][32];
    for (int l = 0; l < WARP; l++) {
        const int g = l / 4, t = l % 4;
        for (int r = 0; r < 4; r++)
            memcpy(&a8[g + 8 * (r % 2)][16 * (r / 2) + 4 * t], &lane[l].a[r], 4);
        for (int r = 0; r < 2; r++)
            memcpy(&b8[g][16 * r + 4 * t], &lane[l].b[r], 4);
    }
    int16_t a[16][32], b[8][32];
    for (int i = 0; i < 16 * 32; i++)
        a[i / 32][i % 32] = a8[i / 32][i % 32];
    for (int i = 0; i < 8 * 32; i++)
        b[i / 32][i % 32] = b8[i / 32][i % 32];
    int product[16][8];
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 8; j++) {
            int sum = 0;
            for (int k = 0; k < 32; k++)
                sum += a[i][k] * b[j][k];
            product[i][j] = sum;
        }
    for (int l = 0; l < WARP; l++)
        for (int r = 0; r < 4; r++)
            lane[l].c[r] += product[l / 4 + 8 * (r / 2)][l % 4 * 2 + r % 2];
}

static void exchange_now(emu_thread *lane)
{
    uint32_t any = 0;
    switch (lane->what) {
    case SYNC: break;
    case SHUFFLE:
        for (int l = 0; l < WARP; l++)
            lane[l].result = lane[lane[l].from % WARP].value;
        break;
    case VOTE:
        for (int l = 0; l < WARP; l++)
            any |= lane[l].value;
        for (int l = 0; l < WARP; l++)
            lane[l].result = any;
        break;
    case MMA: do_mma(lane); break;
    }
    for (int l = 0; l < WARP; l++)
        lane[l].state = READY;
}

static const char *whereabouts(const emu_thread &t)
{
    return t.state == ENDED          ? "has ended"
           : t.state == AT_BARRIER   ? "is at a barrier"
           : t.state == IN_WARPGROUP ? "is in wgmma"
                                     : exchange_names[t.what];
}

/* All lanes have stopped. Exchanges if they agree; false: they wait for the block, or have ended. */
static bool warp_meets(unsigned first)
{
    emu_thread *lane = threads + first;
    int in = 0;
    for (int l = 0; l < WARP; l++)
        in += lane[l].state == IN_WARP;
    if (in == 0)
        return false;
    int one = 0;
    while (lane[one].state != IN_WARP)
        one++;
    for (int l = 0; l < WARP; l++) {
        if (lane[l].state == IN_WARP && lane[l].what == lane[one].what)
            continue;
        char text[128];
        snprintf(text, sizeof text, "%s of a warp without thread %u, which %s%s", exchange_names[lane[one].what],
                 first + (unsigned)l, lane[l].state == IN_WARP ? "is in " : "", whereabouts(lane[l]));
        note_failure(first + (unsigned)one, text);
        return false;
    }
    exchange_now(lane);
    return true;
}

static void run_thread(unsigned i)
{
    const emu_index &d = q35_emu_now.block_dim;
    current = threads + i;
    q35_emu_now.thread = {i % d.x, i / d.x % d.y, i / d.x / d.y};
    emu_fiber_resume(&current->fiber);
    current = nullptr;
}

/* Lets every ready lane run until it stops, then the warp meet; until all wait for the block or have ended, or
 * once. */
static void run_warp(unsigned first, uint32_t how, bool once)
{
    unsigned order[WARP];
    do {
        arrange(order, WARP, how);
        for (unsigned l = 0; l < WARP && !failed; l++)
            if (threads[first + order[l]].state == READY)
                run_thread(first + order[l]);
    } while (!failed && warp_meets(first) && !once);
}

/* Lets warpgroups multiply whose threads are all there; n / 128 of them. True: one did, or failed. */
static bool warpgroups_meet(unsigned n)
{
    bool any = false;
    for (unsigned first = 0; first + EMU_WARPGROUP <= n && !failed; first += EMU_WARPGROUP) {
        emu_wgmma *part[EMU_WARPGROUP];
        char why[160];
        unsigned in = 0;
        for (unsigned i = 0; i < EMU_WARPGROUP; i++) {
            in += threads[first + i].state == IN_WARPGROUP;
            part[i] = &threads[first + i].wgmma;
        }
        if (in < EMU_WARPGROUP)
            continue;
        const int bad = emu_wgmma_multiply(first / EMU_WARPGROUP, part, why, sizeof why);
        if (bad >= 0)
            note_failure(first + (unsigned)bad, why);
        for (unsigned i = 0; i < EMU_WARPGROUP; i++)
            threads[first + i].state = READY;
        any = true;
    }
    return any;
}

/* No thread can go on, and thread i waits for its warpgroup. */
static void note_missing(unsigned i, unsigned n)
{
    const unsigned first = i / EMU_WARPGROUP * EMU_WARPGROUP;
    unsigned other = first;
    while (other < n && threads[other].state == IN_WARPGROUP)
        other++;
    char text[96];
    snprintf(text, sizeof text, "wgmma of a warpgroup without thread %u, which %s", other,
             other < n ? whereabouts(threads[other]) : "does not exist");
    note_failure(i, text);
}

/* After all have stopped: lets them go on. False: all have ended. */
static bool block_meets(unsigned n)
{
    if (warpgroups_meet(n))
        return true;
    unsigned ended = 0, ready = 0, first_ended = n, first_waiting = n;
    for (unsigned i = 0; i < n; i++) {
        ready += threads[i].state == READY;
        ended += threads[i].state == ENDED;
        if (threads[i].state == ENDED && first_ended == n)
            first_ended = i;
        if (threads[i].state == AT_BARRIER && first_waiting == n)
            first_waiting = i;
    }
    if (ready > 0)
        return true;
    if (ended == n)
        return false;
    for (unsigned i = 0; i < n; i++)
        if (threads[i].state == IN_WARPGROUP) {
            note_missing(i, n);
            return false;
        }
    if (ended > 0) {
        char text[80];
        snprintf(text, sizeof text, "barrier without thread %u, which has ended", first_ended);
        note_failure(first_waiting, text);
        return false;
    }
    for (unsigned i = 0; i < n; i++)
        threads[i].state = READY;
    emu_wgmma_met();
    return true;
}

static void thread_entry()
{
    emu_fiber_entered();
    kernel_now->call(args_now);
    if (!current->waited)
        q35_emu_fail("ends without a wait for the kernels before");
    emu_wgmma_ends((unsigned)(current - threads));
    current->state = ENDED;
    emu_fiber_yield(&current->fiber, true);
}

static void run_block(unsigned n, uint32_t how)
{
    unsigned order[MAX_THREADS / WARP];
    memset(shared_memory, 0xa5, q35_emu_now.shared_bytes);
    for (unsigned i = 0; i < n; i++) {
        emu_fiber_begin(&threads[i].fiber, thread_entry, i);
        threads[i].state = READY;
        threads[i].waited = false;
        threads[i].n_copies = threads[i].groups = 0;
        threads[i].wgmma.fenced = false;
        threads[i].wgmma.commits = threads[i].wgmma.n_fresh = 0;
    }
    emu_wgmma_begin_block();
    do {
        arrange(order, n / WARP, how);
        for (unsigned w = 0; w < n / WARP && !failed; w++)
            run_warp(order[w] * WARP, how, how == Q35_EMU_RANDOM);
    } while (!failed && block_meets(n));
    for (unsigned i = 0; failed && i < n; i++)
        emu_fiber_forget(&threads[i].fiber);
}

static bool make_threads()
{
    if (threads)
        return true;
    const size_t states = sizeof(emu_thread) * MAX_THREADS, stacks = (size_t)STACK_BYTES * MAX_THREADS;
    void *p =
        mmap(nullptr, states + stacks, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return false;
    threads = static_cast<emu_thread *>(p);
    for (size_t i = 0; i < MAX_THREADS; i++) {
        threads[i].fiber.stack = static_cast<char *>(p) + states + i * STACK_BYTES;
        threads[i].fiber.stack_bytes = STACK_BYTES;
    }
    return true;
}

/* Why a device would refuse the launch; NULL: it would not. */
static const char *refusal(const emu_kernel &kernel, const uint32_t grid[3], const uint32_t block[3],
                           uint32_t shared)
{
    const uint64_t n = (uint64_t)block[0] * block[1] * block[2];
    if (n == 0 || n > MAX_THREADS || n % WARP || (kernel.threads && n != kernel.threads))
        return "the block has not the kernel's number of threads";
    if (grid[0] == 0 || grid[1] == 0 || grid[2] == 0 || grid[0] > INT32_MAX || grid[1] > MAX_GRID_YZ ||
        grid[2] > MAX_GRID_YZ)
        return "a dimension of the grid is 0 or too large";
    if (shared > EMU_MAX_SHARED)
        return "more than 99 KiB of shared memory";
    return make_threads() ? nullptr : "no memory for the threads' stacks";
}

int q35_emu_run(const emu_kernel &kernel, const void *args, const uint32_t grid[3], const uint32_t block[3],
                uint32_t shared_bytes, const q35_emu_options *options)
{
    pthread_mutex_lock(&one_launch);
    const uint32_t how = options ? options->order : (uint32_t)Q35_EMU_FORWARD;
    const char *why = refusal(kernel, grid, block, shared_bytes);
    failed = false;
    failure[0] = 0;
    rng = 0x9e3779b97f4a7c15u ^ (options ? options->seed : 0);
    if (why)
        snprintf(failure, sizeof failure, "%s: %s: grid %u,%u,%u block %u,%u,%u shared %u", kernel.name, why,
                 grid[0], grid[1], grid[2], block[0], block[1], block[2], shared_bytes);
    kernel_now = &kernel;
    args_now = args;
    q35_emu_now.block_dim = {block[0], block[1], block[2]};
    q35_emu_now.grid_dim = {grid[0], grid[1], grid[2]};
    q35_emu_now.shared = shared_memory;
    q35_emu_now.shared_bytes = shared_bytes;
    emu_index &b = q35_emu_now.block;
    for (b.z = 0; !why && !failed && b.z < grid[2]; b.z++)
        for (b.y = 0; !failed && b.y < grid[1]; b.y++)
            for (b.x = 0; !failed && b.x < grid[0]; b.x++)
                run_block(block[0] * block[1] * block[2], how);
    const int code = why ? 1 : failed ? 2 : 0;
    if (code && options && options->error && options->error_len)
        snprintf(options->error, options->error_len, "%s", failure);
    pthread_mutex_unlock(&one_launch);
    return code;
}
