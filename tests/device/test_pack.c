/* SPDX-License-Identifier: Apache-2.0
 *
 * Packed weights and their disk cache, with a device made of a few functions: what is packed, when the cache is
 * used, and that a damaged, foreign or unwritable cache only costs time. */
#define _GNU_SOURCE
#include "device_support.h"
#include "support/alloc_sweep.h"

#include "runtime/base/env.h"
#include "runtime/base/pool.h"
#include "runtime/device/pack.h"

#include <dirent.h>
#include <stdatomic.h>

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

static q35_plugin table = {
    .h = {sizeof table, Q35_STRUCT_PLUGIN, NULL}, .id = "fake", .pack = fake_pack, .pack_key = fake_key};
static q35i_device device = {.api = &table, .name = "fake"};
static q35_pool *pool;
static uint8_t model_id[16] = "model one";
static unsigned char weights[N_ITEMS][MAX_ROWS * MAX_COLS * 4 + 64 * MAX_ROWS];
static q35i_pack_item items[N_ITEMS];

static void start(void)
{
    test_setup();
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
    q35_status status = q35i_pack_weights(&device, pool, model_id, items, N_ITEMS, &packed);
    EXPECT_OK(status);
    check_packed();
    int hit = q35i_packed_from_cache(packed);
    ck_assert_int_eq(hit, atomic_load(&n_packs) == 0);
    q35i_packed_free(packed);
    return hit;
}

/* Path of the only cache file; how many there are. */
static int cache_file(char path[TEST_PATH])
{
    char directory[TEST_PATH];
    int n = 0;
    format(directory, sizeof directory, "%s/q35rt/packed", q35t_temp_dir());
    DIR *d = opendir(directory);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        format(path, TEST_PATH, "%s/%s", directory, e->d_name);
        n++;
    }
    if (d)
        closedir(d);
    return n;
}

START_TEST(second_time_comes_from_the_cache)
{
    char path[TEST_PATH];
    ck_assert_int_eq(pack_and_check(), 0);
    ck_assert_int_eq(cache_file(path), 1);
    ck_assert_int_eq(pack_and_check(), 1);
    ck_assert_int_eq(pack_and_check(), 1);
}
END_TEST

START_TEST(keys_and_models_do_not_mix)
{
    char path[TEST_PATH];
    ck_assert_int_eq(pack_and_check(), 0);
    salt = 3; /* another version of the plugin */
    ck_assert_int_eq(pack_and_check(), 0);
    salt = 0;
    ck_assert_int_eq(pack_and_check(), 1);
    model_id[0] ^= 1;
    ck_assert_int_eq(pack_and_check(), 0);
    model_id[0] ^= 1;
    ck_assert_int_eq(cache_file(path), 3);
    /* the same keys, but another list of weights */
    items[1].name = "renamed.weight";
    ck_assert_int_eq(pack_and_check(), 0);
    ck_assert_int_eq(pack_and_check(), 1);
    items[2].weight.dim[1] = 15;
    ck_assert_int_eq(pack_and_check(), 0);
}
END_TEST

START_TEST(damaged_cache_is_rebuilt)
{
    char path[TEST_PATH];
    size_t bytes, now_bytes;
    ck_assert_int_eq(pack_and_check(), 0);
    ck_assert_int_eq(cache_file(path), 1);
    unsigned char *good = q35t_read_file(path, &bytes);
    size_t used = 40 + N_ITEMS * 96;
    for (size_t i = 0; i < bytes; i += i < used ? 3 : 61) {
        unsigned char *bad = malloc(bytes);
        ck_assert_ptr_nonnull(bad);
        memcpy(bad, good, bytes);
        bad[i] ^= 0x40;
        q35t_write_file(path, bad, bytes);
        ck_assert_msg(pack_and_check() == 0, "byte %zu", i);
        free(bad);
        unsigned char *now = q35t_read_file(path, &now_bytes);
        ck_assert_uint_eq(now_bytes, bytes);
        ck_assert_mem_eq(now, good, bytes); /* rebuilt to the same bytes */
        free(now);
    }
    for (size_t n = 0; n < bytes; n += 307) {
        q35t_write_file(path, good, n);
        ck_assert_int_eq(pack_and_check(), 0);
    }
    ck_assert_int_eq(pack_and_check(), 1);
    free(good);
}
END_TEST

START_TEST(unwritable_cache_costs_only_time)
{
    char path[TEST_PATH];
    format(path, sizeof path, "%s/q35rt", q35t_temp_dir());
    q35t_write_file(path, "in the way", 10); /* a file where the directory should be */
    ck_assert_int_eq(pack_and_check(), 0);
    ck_assert_int_eq(pack_and_check(), 0);
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    ck_assert_int_eq(pack_and_check(), 0);
    setenv("XDG_CACHE_HOME", "relative/path", 1);
    ck_assert_int_eq(pack_and_check(), 0);
}
END_TEST

START_TEST(plugin_without_key_has_no_cache)
{
    char path[TEST_PATH];
    table.pack_key = NULL;
    ck_assert_int_eq(pack_and_check(), 0);
    ck_assert_int_eq(pack_and_check(), 0);
    ck_assert_int_eq(cache_file(path), 0);
}
END_TEST

START_TEST(failures_name_the_weight)
{
    q35i_packed *packed = (q35i_packed *)&packed;
    refuse_row = 20;
    ck_assert_uint_eq(q35i_pack_weights(&device, pool, model_id, items, N_ITEMS, &packed), Q35_E_DEVICE);
    ck_assert_ptr_null(packed);
    EXPECT_ERROR("weight first.weight: device fake cannot pack it");
    refuse_row = -1;
    items[1].layout.align = 128;
    EXPECT_FAILURE(q35i_pack_weights(&device, pool, model_id, items, N_ITEMS, &packed), Q35_E_FORMAT,
                   "weight second.weight: layout 9 aligned to 128");
    items[1].layout.align = 64;
    items[2].layout.slice_rows = 0;
    ck_assert_uint_eq(q35i_pack_weights(&device, pool, model_id, items, N_ITEMS, &packed), Q35_E_FORMAT);
    items[2].layout.slice_rows = 1;
    items[2].layout.slice_bytes = UINT64_MAX / 2;
    ck_assert_uint_eq(q35i_pack_weights(&device, pool, model_id, items, N_ITEMS, &packed), Q35_E_RANGE);
    ck_assert_uint_eq(q35i_pack_weights(&device, pool, model_id, items, 0, &packed), Q35_OK);
    q35i_packed_free(packed);
    q35i_packed_free(NULL);
}
END_TEST

START_TEST(no_memory_is_survived)
{
    q35i_packed *packed;
    q35t_alloc_sweep sweep = {.limit = 50};
    while (q35t_alloc_sweep_next(&sweep))
        q35t_alloc_sweep_end(&sweep, q35i_pack_weights(&device, pool, model_id, items, N_ITEMS, &packed));
    check_packed();
    q35i_packed_free(packed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pack");
    TCase *tc = tcase_create("pack");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, second_time_comes_from_the_cache);
    tcase_add_test(tc, keys_and_models_do_not_mix);
    tcase_add_test(tc, damaged_cache_is_rebuilt);
    tcase_add_test(tc, unwritable_cache_costs_only_time);
    tcase_add_test(tc, plugin_without_key_has_no_cache);
    tcase_add_test(tc, failures_name_the_weight);
    tcase_add_test(tc, no_memory_is_survived);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
