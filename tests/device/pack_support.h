/* SPDX-License-Identifier: Apache-2.0
 *
 * A device made of a few functions, weights for it, and the look into its cache. Header only: each test is one
 * file. */
#ifndef PACK_SUPPORT_H
#define PACK_SUPPORT_H

#include "device_support.h"

#include "runtime/base/pool.h"
#include "runtime/device/pack_cache.h"

#include <q35rt/log.h>

#include <stdatomic.h>
#include <sys/resource.h>

enum { N_ITEMS = 3, MAX_ROWS = 50, MAX_COLS = 24, SLICE_ROWS = 8, SLICE_PAD = 5 };

static atomic_int n_packs; /* slices packed */
static unsigned char salt; /* part of the key and of the packed bytes */
static int refuse_row = -1;

/* A slice: every byte plus the salt, rows reversed inside the slice, SLICE_PAD bytes left out at the end. */
static q35_status fake_pack(q35_device *dev, uint32_t layout, const q35_tensor_desc *weight, uint64_t row,
                            uint64_t n_rows, const void *src, void *dst)
{
    const unsigned char *from = src;
    unsigned char *to = dst;
    size_t row_bytes = (size_t)weight->dim[0] * 4;
    (void)dev, (void)layout;
    atomic_fetch_add(&n_packs, 1);
    if (refuse_row >= 0 && (uint64_t)refuse_row >= row && (uint64_t)refuse_row < row + n_rows)
        return Q35_E_DEVICE;
    for (uint64_t r = 0; r < n_rows; r++)
        for (size_t b = 0; b < row_bytes; b++)
            to[(n_rows - 1 - r) * row_bytes + b] =
                (unsigned char)(from[r * (uint64_t)weight->stride[1] + b] + salt);
    return Q35_OK;
}

static q35_status fake_key(q35_device *dev, uint32_t layout, uint8_t out_key[32])
{
    (void)dev;
    memset(out_key, salt, 32);
    out_key[0] = (uint8_t)layout;
    return Q35_OK;
}

static q35_plugin table = {.h = {sizeof table, Q35_STRUCT_PLUGIN, NULL},
                           .id = "fake",
                           .version = "1",
                           .pack = fake_pack,
                           .pack_key = fake_key};
static q35i_device device = {.api = &table, .name = "fake", .keep_packed = 1};
static q35_pool *pool;
static int n_done; /* items reported as not needed any more */
static char last_log[600];

static void count_done(void *user, const q35i_pack_item *item)
{
    (void)user;
    ck_assert_ptr_nonnull(item->data);
    n_done++;
}

static rlim_t file_limit = RLIM_INFINITY; /* bytes of a file while weights are packed */

static q35i_pack_model model = {.id = "model one", .done = count_done};
static unsigned char weights[N_ITEMS][MAX_ROWS * MAX_COLS * 4 + 64 * MAX_ROWS];
static q35i_pack_item items[N_ITEMS];

static void keep_log(void *user, int level, const char *line)
{
    (void)user;
    if (level <= Q35_LOG_WARN)
        snprintf(last_log, sizeof last_log, "%s", line);
}

static void start(void)
{
    test_setup();
    q35_log_set(keep_log, NULL, Q35_LOG_INFO);
    ck_assert_uint_eq(q35i_pool_create(3, NULL, &pool), Q35_OK);
    static const char *const names[N_ITEMS] = {"first.weight", "second.weight", "third.weight"};
    static const int64_t rows[N_ITEMS] = {MAX_ROWS, 1, 16}, cols[N_ITEMS] = {MAX_COLS, 8, 20};
    for (int i = 0; i < N_ITEMS; i++) {
        for (size_t b = 0; b < sizeof weights[i]; b++)
            weights[i][b] = (unsigned char)(b * 7 + (size_t)i);
        int64_t stride = cols[i] * 4 + (i == 2 ? 64 : 0); /* rows with a gap */
        items[i] = (q35i_pack_item){.name = names[i],
                                    .data = weights[i],
                                    .weight = {.dtype = Q35_DT_F32,
                                               .rank = 2,
                                               .dim = {cols[i], rows[i], 1, 1},
                                               .stride = {4, stride, stride * rows[i], stride * rows[i]}},
                                    .layout = {.h = {sizeof items[i].layout, Q35_STRUCT_LAYOUT, NULL},
                                               .layout = 9,
                                               .slice_rows = SLICE_ROWS,
                                               .slice_bytes = SLICE_ROWS * (uint64_t)cols[i] * 4 + SLICE_PAD,
                                               .align = 64}};
    }
}

static void stop(void)
{
    q35i_pool_destroy(pool);
    test_teardown();
}

static void check_packed(void)
{
    for (int i = 0; i < N_ITEMS; i++) {
        const q35i_pack_item *item = &items[i];
        const unsigned char *packed = item->packed;
        uint64_t n_rows = (uint64_t)item->weight.dim[1], row_bytes = (uint64_t)item->weight.dim[0] * 4;
        uint64_t n_slices = (n_rows + SLICE_ROWS - 1) / SLICE_ROWS;
        ck_assert_uint_eq(item->packed_bytes, n_slices * item->layout.slice_bytes);
        ck_assert_uint_eq((uintptr_t)packed % 64, 0);
        for (uint64_t r = 0; r < n_rows; r++) {
            uint64_t slice = r / SLICE_ROWS, in_slice = n_rows - slice * SLICE_ROWS;
            in_slice = in_slice < SLICE_ROWS ? in_slice : SLICE_ROWS;
            const unsigned char *row =
                packed + slice * item->layout.slice_bytes + (in_slice - 1 - r % SLICE_ROWS) * row_bytes;
            for (uint64_t b = 0; b < row_bytes; b++)
                ck_assert_uint_eq(row[b],
                                  (unsigned char)(weights[i][r * (uint64_t)item->weight.stride[1] + b] + salt));
        }
        for (uint64_t b = 0; b < SLICE_PAD; b++)
            ck_assert_uint_eq(packed[item->packed_bytes - 1 - b], 0);
    }
}

/* Packs, checks every byte, and tells whether the cache served it. */
static int pack_and_check(void)
{
    q35i_packed *packed;
    atomic_store(&n_packs, 0);
    for (int i = 0; i < N_ITEMS; i++)
        items[i].packed = NULL;
    n_done = 0;
    last_log[0] = '\0';
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    const struct rlimit lower = {file_limit < limit.rlim_max ? file_limit : limit.rlim_max, limit.rlim_max};
    setrlimit(RLIMIT_FSIZE, &lower); /* no assertion in between: it would be written to a file */
    q35_status status = q35i_pack_weights(&device, pool, &model, items, N_ITEMS, &packed);
    setrlimit(RLIMIT_FSIZE, &limit);
    EXPECT_OK(status);
    check_packed();
    int hit = q35i_packed_from_cache(packed);
    ck_assert_int_eq(hit, atomic_load(&n_packs) == 0);
    ck_assert_int_eq(hit, n_done == 0);
    q35i_packed_free(packed);
    return hit;
}

typedef struct found {
    char *path;
    int n, n_unfinished;
} found;

static void note_file(void *user, const char *path, bool unfinished)
{
    found *f = user;
    format(f->path, TEST_PATH, "%s", path);
    f->n += !unfinished;
    f->n_unfinished += unfinished;
}

/* Path of some cache file; how many there are. */
static int cache_file(char path[TEST_PATH])
{
    found f = {.path = path};
    q35i_pack_each(note_file, &f);
    ck_assert_int_eq(f.n_unfinished, 0);
    return f.n;
}

/* Fills the cache and answers where. */
static void fill_cache(char path[TEST_PATH])
{
    ck_assert_int_eq(pack_and_check(), 0);
    ck_assert_int_eq(cache_file(path), 1);
}

#endif
