/* SPDX-License-Identifier: Apache-2.0
 *
 * Which files the cache opens: the one it wrote, and no other. Checksums are made good again after a change, so
 * that what refuses the file is the comparison of its content, as with a file of another time or place under this
 * name. */
#define _GNU_SOURCE
#include "pack_support.h"

#include <dirent.h>
#include <stddef.h>

typedef struct file {
    char path[TEST_PATH];
    unsigned char *good, *now; /* as the cache wrote it; as it is to be */
    size_t bytes;
    q35i_pack_index index;
} file;

static file cached(void)
{
    file f = {0};
    uint8_t keys[N_ITEMS][32];
    fill_cache(f.path);
    f.good = q35t_read_file(f.path, &f.bytes);
    f.now = malloc(f.bytes + 1);
    ck_assert_ptr_nonnull(f.now);
    memcpy(f.now, f.good, f.bytes + 1);
    for (int i = 0; i < N_ITEMS; i++)
        EXPECT_OK(fake_key(NULL, items[i].layout.layout, keys[i]));
    EXPECT_OK(q35i_pack_index_make(&device, &model, items, N_ITEMS, (const uint8_t(*)[32])keys, &f.index));
    return f;
}

static void let_go(file *f)
{
    q35i_pack_index_free(&f->index);
    free(f->good);
    free(f->now);
}

static int open_files(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static q35_status open_it(const file *f, bool *missing)
{
    q35i_pack_map map;
    const int before = open_files();
    q35_status status = q35i_pack_map_open_verified(f->path, &f->index, pool, &map, missing);
    ck_assert_int_eq(map.data != NULL, status == Q35_OK);
    if (status == Q35_OK)
        ck_assert_mem_eq(map.data, f->now, f->bytes);
    q35i_pack_map_close(&map);
    ck_assert_int_eq(open_files(), before);
    return status;
}

/* Opens f->now, bytes of it, and puts f->good back. */
static q35_status open_now(file *f, size_t bytes)
{
    bool missing = true;
    q35t_write_file(f->path, f->now, bytes);
    q35_status status = open_it(f, &missing);
    ck_assert(!missing);
    memcpy(f->now, f->good, f->bytes);
    return status;
}

/* The checksum of header and entries is that of what they are now. */
static void make_good(file *f)
{
    q35i_pack_index index = {.entries = (q35i_pack_entry *)(void *)(f->now + Q35I_PACK_HEADER_BYTES)};
    memcpy(&index.header, f->now, sizeof index.header);
    q35i_pack_index_seal(&index);
    memcpy(f->now, &index.header, sizeof index.header);
}

START_TEST(own_file)
{
    file f = cached();
    bool missing = true;
    EXPECT_OK(open_it(&f, &missing));
    ck_assert(!missing);
    ck_assert_int_eq(unlink(f.path), 0);
    EXPECT_FAILURE(open_it(&f, &missing), Q35_E_IO, "No such file");
    ck_assert(missing);
    let_go(&f);
}
END_TEST

START_TEST(truncated_or_longer)
{
    file f = cached();
    const size_t entries = Q35I_PACK_HEADER_BYTES + N_ITEMS * sizeof(q35i_pack_entry);
    const size_t known = offsetof(q35i_pack_header, isa),
                 kept[] = {1,           known - 1, known,       4095,        4096,
                           entries - 1, entries,   f.bytes / 2, f.bytes - 1, f.bytes + 1};
    char text[64];
    EXPECT_FAILURE(open_now(&f, 0), Q35_E_FORMAT, "is empty");
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        if (kept[i] < known)
            format(text, sizeof text, "not a file of packed weights");
        else
            format(text, sizeof text, "the file has %zu bytes, need %zu", kept[i], f.bytes);
        EXPECT_FAILURE(open_now(&f, kept[i]), Q35_E_FORMAT, text);
    }
    EXPECT_OK(open_now(&f, f.bytes));
    let_go(&f);
}
END_TEST

START_TEST(another_version)
{
    file f = cached();
    char text[64];
    for (uint32_t version = 0; version < 5; version++) {
        if (version == Q35I_PACK_VERSION)
            continue;
        memcpy(f.now + offsetof(q35i_pack_header, version), &version, sizeof version);
        make_good(&f);
        format(text, sizeof text, "version %u of the file, need %d", version, Q35I_PACK_VERSION);
        EXPECT_FAILURE(open_now(&f, f.bytes), Q35_E_VERSION, text);
    }
    let_go(&f);
}
END_TEST

#define HEADER(field)   offsetof(q35i_pack_header, field)
#define ENTRY(i, field) (Q35I_PACK_HEADER_BYTES + (i) * sizeof(q35i_pack_entry) + offsetof(q35i_pack_entry, field))

/* One bit of the header or of an entry: of a file for something else. */
START_TEST(another_key)
{
    static const struct {
        size_t at;
        const char *text; /* NULL: it opens, as this is for people alone */
    } cases[] = {{HEADER(model_id), "header differs"},
                 {HEADER(isa), "header differs"},
                 {HEADER(device_class), "header differs"},
                 {HEADER(machine), "header differs"},
                 {HEADER(plugin), "header differs"},
                 {HEADER(plugin_version), "header differs"},
                 {HEADER(device), NULL},
                 {ENTRY(0, name_hash), "entry 0 differs"},
                 {ENTRY(1, dtype), "entry 1 differs"},
                 {ENTRY(2, layout), "entry 2 differs"},
                 {ENTRY(0, dim[0]), "entry 0 differs"},
                 {ENTRY(1, dim[1]), "entry 1 differs"},
                 {ENTRY(2, key[0]), "entry 2 differs"},
                 {ENTRY(2, key[31]), "entry 2 differs"},
                 {ENTRY(2, reserved), "entry 2 differs"},
                 {ENTRY(1, checksum), "entry 1 of 3: checksum differs"}};
    file f = cached();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        f.now[cases[i].at] ^= 1;
        EXPECT_FAILURE(open_now(&f, f.bytes), Q35_E_FORMAT, "header or table: checksum differs");
        f.now[cases[i].at] ^= 1;
        make_good(&f);
        if (cases[i].text)
            EXPECT_FAILURE(open_now(&f, f.bytes), Q35_E_FORMAT, cases[i].text);
        else
            EXPECT_OK(open_now(&f, f.bytes));
    }
    let_go(&f);
}
END_TEST

START_TEST(bytes_behind_the_table)
{
    file f = cached();
    const q35i_pack_entry *e = f.index.entries;
    for (int i = 0; i < N_ITEMS; i++) {
        char text[64];
        f.now[e[i].offset + e[i].bytes - 1] ^= 1;
        format(text, sizeof text, "entry %d of %d: checksum differs", i, N_ITEMS);
        EXPECT_FAILURE(open_now(&f, f.bytes), Q35_E_FORMAT, text);
    }
    ck_assert_uint_lt(e[0].offset + e[0].bytes, e[1].offset);
    f.now[e[0].offset + e[0].bytes] = 1;
    EXPECT_FAILURE(open_now(&f, f.bytes), Q35_E_FORMAT, "bytes between the tensors are not 0");
    uint64_t outside = f.bytes;
    memcpy(f.now + ENTRY(2, offset), &outside, sizeof outside);
    make_good(&f);
    EXPECT_FAILURE(open_now(&f, f.bytes), Q35_E_FORMAT, "entry 2: outside the file");
    let_go(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pack_open");
    TCase *tc = tcase_create("pack_open");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, own_file);
    tcase_add_test(tc, truncated_or_longer);
    tcase_add_test(tc, another_version);
    tcase_add_test(tc, another_key);
    tcase_add_test(tc, bytes_behind_the_table);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
