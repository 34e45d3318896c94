/* SPDX-License-Identifier: Apache-2.0
 *
 * The loader: one broken plugin or hostile file per row, each refused with its own sentence before its code runs
 * where that is promised; search order, duplicate ids, device names. */
#define _GNU_SOURCE
#include "device_support.h"
#include "support/alloc_sweep.h"

#include "runtime/base/pool.h"
#include "runtime/device/check.h"
#include "runtime/device/device.h"
#include "runtime/device/isa.h"
#include "runtime/device/options.h"

typedef struct refusal {
    const char *name; /* lib/plugins-test/<name>/libq35rt-broken.so */
    q35_status status;
    int runs_code; /* 1: refused only after the file was loaded */
    const char *sentence;
} refusal;

static const refusal refusals[] = {
    {"no_note", Q35_E_FORMAT, 0, "no plugin note (.note.q35rt)"},
    {"note_format", Q35_E_VERSION, 0, "plugin note has version 2, need 1"},
    {"note_id", Q35_E_FORMAT, 0, "malformed id"},
    {"note_major", Q35_E_VERSION, 0, "is built for ABI 2.1, need 1.x"},
    {"note_needs", Q35_E_VERSION, 0, "needs a host with ABI 1.9, this one has 1.1"},
    {"note_machine", Q35_E_UNSUPPORTED, 0, "is for ELF machine 9, need"},
    {"note_sanitizer", Q35_E_UNSUPPORTED, 0, "is built with MemorySanitizer, this program with"},
    {"note_isa", Q35_E_UNSUPPORTED, 0, "needs a processor with bits 0x80000000 unknown here"},
    {"file_name", Q35_E_INVALID, 0, "file name libq35rt-broken.so, need libq35rt-other.so"},
    {"unresolved", Q35_E_INVALID, 0, "undefined symbol: q35rt_test_nowhere_defined"},
    {"no_symbol", Q35_E_INVALID, 1, "no symbol q35_plugin_query"},
    {"query_fails", Q35_E_VERSION, 1, "query failed with status 6: too old a host for me"},
    {"no_table", Q35_E_INVALID, 1, "query returned no table"},
    {"table_id", Q35_E_INVALID, 1, "table has the id other, its note broken"},
    {"table_major", Q35_E_VERSION, 1, "table is for ABI 2.1, need 1.x"},
    {"table_zero", Q35_E_VERSION, 1, "table has 0 bytes, need"},
    {"table_cut", Q35_E_VERSION, 1, "bytes, need"},
    {"table_huge", Q35_E_VERSION, 1, "table has 1000000 bytes, need"},
    {"no_compile", Q35_E_INVALID, 1, "required slot plan_compile is missing"},
    {"no_run", Q35_E_INVALID, 1, "required slot plan_run is missing"},
    {"half_l1", Q35_E_INVALID, 1, "slot buf_free without timeline_signal, need all slots of L1 or none"},
    {"layout_only", Q35_E_INVALID, 1, "slot layout_query without pack"},
    {"enumerate_fails", Q35_E_DEVICE, 1, "enumerate failed with status 9: the driver answered 42"},
    {"too_many_devices", Q35_E_INVALID, 1, "1000 devices, need at most 64"},
    {"info_fails", Q35_E_IO, 1, "device 0: no description: no description today"},
    {"no_memory", Q35_E_INVALID, 1, "device 0: 0 memories, need at least 1"},
    {"device_memory", Q35_E_INVALID, 1, "memory of kind 3 without queues, need host memory"},
};

static void broken_path(const char *name, char out[TEST_PATH])
{
    char from[128], to[128];
    format(from, sizeof from, "plugins-test/%s/libq35rt-broken.so", name);
    format(to, sizeof to, "%s/libq35rt-broken.so", name);
    place_plugin(from, to, out);
}

START_TEST(broken_plugins_are_refused)
{
    const refusal *r = &refusals[_i];
    char path[TEST_PATH], directory[TEST_PATH];
    q35_runtime *runtime;
    broken_path(r->name, path);
    q35_status status = create_with(path, &runtime);
    expect_failure(status, r->status, r->sentence, r->name);
    ck_assert_ptr_null(runtime);
    expect_error(path, r->name);
    ck_assert_msg((getenv("Q35RT_TEST_BROKEN_RAN") != NULL) == r->runs_code, "%s: code ran: %d", r->name,
                  getenv("Q35RT_TEST_BROKEN_RAN") != NULL);

    /* Found by searching, the same file is no error but a report with the reason. */
    format(directory, sizeof directory, "%s/%s", q35t_temp_dir(), r->name);
    setenv("Q35RT_PLUGIN_PATH", directory, 1);
    ck_assert_uint_eq(q35_runtime_create(NULL, &runtime), Q35_OK);
    int found = 0;
    for (uint32_t i = 0; i < q35_runtime_n_plugins(runtime); i++) {
        q35_plugin_report report;
        q35_runtime_plugin(runtime, i, &report);
        if (strcmp(report.path, path) != 0)
            continue;
        found = 1;
        ck_assert_int_eq(report.loaded, 0);
        ck_assert_uint_eq(report.n_devices, 0);
        ck_assert_msg(strstr(report.reason, r->sentence) != NULL, "reason '%s', need '%s'", report.reason,
                      r->sentence);
    }
    ck_assert_int_eq(found, 1);
    q35_runtime_destroy(runtime);
}
END_TEST

static void refuse_file(const char *path, q35_status status, const char *sentence)
{
    q35_runtime *runtime;
    expect_failure(create_with(path, &runtime), status, sentence, path);
    ck_assert_ptr_null(runtime);
    ck_assert_ptr_null(getenv("Q35RT_TEST_BROKEN_RAN"));
}

START_TEST(hostile_files_are_refused)
{
    char path[TEST_PATH], other[TEST_PATH];
    format(path, sizeof path, "%s/libq35rt-text.so", q35t_temp_dir());
    q35t_write_file(path, "hello", 5);
    refuse_file(path, Q35_E_FORMAT, "not an ELF file");
    q35t_write_file(path, "", 0);
    refuse_file(path, Q35_E_FORMAT, "file is empty");
    format(path, sizeof path, "%s/absent/libq35rt-x.so", q35t_temp_dir());
    refuse_file(path, Q35_E_IO, "No such file or directory");
    format(path, sizeof path, "%s/libq35rt-absent.so", q35t_temp_dir());
    refuse_file(path, Q35_E_IO, "No such file or directory");
    format(path, sizeof path, "%s/libq35rt-dir.so", q35t_temp_dir());
    ck_assert_int_eq(mkdir(path, 0755), 0);
    refuse_file(path, Q35_E_INVALID, "is a directory, need a regular file");
    format(path, sizeof path, "%s/libq35rt-pipe.so", q35t_temp_dir());
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    refuse_file(path, Q35_E_INVALID, "need a regular file");
    refuse_file("/", Q35_E_INVALID, "not a file name");
    broken_path("good", other);
    format(path, sizeof path, "%s/libq35rt-broken.so", q35t_temp_dir());
    ck_assert_int_eq(symlink(other, path), 0);
    refuse_file(path, Q35_E_INVALID, "is a symbolic link, need the file itself");
    refuse_file("", Q35_E_INVALID, "plugin path 0 is empty");
}
END_TEST

START_TEST(writable_by_others_is_refused)
{
    char path[TEST_PATH], directory[TEST_PATH];
    q35_runtime *runtime;
    broken_path("good", path);
    format(directory, sizeof directory, "%s/good", q35t_temp_dir());
    ck_assert_int_eq(chmod(path, 0666), 0);
    refuse_file(path, Q35_E_INVALID, "mode 666 lets others write");
    ck_assert_int_eq(chmod(path, 0664), 0);
    refuse_file(path, Q35_E_INVALID, "mode 664 lets others write");
    ck_assert_int_eq(chmod(path, 0644), 0);
    ck_assert_int_eq(chmod(directory, 0777), 0);
    refuse_file(path, Q35_E_INVALID, "mode 777 lets others write");
    setenv("Q35RT_PLUGIN_PATH", directory, 1);
    ck_assert_uint_eq(q35_runtime_create(NULL, &runtime), Q35_OK);
    q35_plugin_report report;
    q35_runtime_plugin(runtime, q35_runtime_n_plugins(runtime) - 1, &report);
    ck_assert_str_eq(report.path, directory);
    ck_assert_ptr_nonnull(strstr(report.reason, "mode 777 lets others write"));
    q35_runtime_destroy(runtime);
    ck_assert_int_eq(chmod(directory, 0755), 0);
    ck_assert_int_eq(chmod(q35t_temp_dir(), 0770), 0);
    refuse_file(path, Q35_E_INVALID, "mode 770 lets others write");
    ck_assert_int_eq(chmod(q35t_temp_dir(), 0700), 0);
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(path, 65534, 65534), 0);
        refuse_file(path, Q35_E_INVALID, "owned by user 65534, need root or user 0");
        ck_assert_int_eq(chown(path, 0, 0), 0);
        ck_assert_int_eq(chown(directory, 65534, 65534), 0);
        refuse_file(path, Q35_E_INVALID, "owned by user 65534, need root or user 0");
        ck_assert_int_eq(chown(directory, 0, 0), 0);
    }
    ck_assert_uint_eq(create_with(path, &runtime), Q35_OK);
    q35_runtime_destroy(runtime);
}
END_TEST

/* A file cut anywhere is refused or, cut behind all it needs, loads; it never crashes the host. */
START_TEST(cut_files_do_no_harm)
{
    char path[TEST_PATH];
    size_t bytes;
    broken_path("good", path);
    unsigned char *data = q35t_read_file(path, &bytes);
    for (size_t n = 0; n < bytes; n += n < 1200 ? 13 : 997) {
        q35_runtime *runtime;
        unlink(path); /* a new inode, since the old one may be mapped */
        q35t_write_file(path, data, n);
        q35_status status = create_with(path, &runtime);
        if (status != Q35_OK)
            ck_assert_uint_gt(strlen(q35_error_message()), 20);
        q35_runtime_destroy(runtime);
    }
    free(data);
}
END_TEST

START_TEST(good_plugin_loads)
{
    static const char *const names[] = {"good", "resident", "newer_minor", "short_table"};
    char path[TEST_PATH];
    q35_runtime *runtime;
    q35_plugin_report plugin;
    q35_device_report device;
    q35i_device *open;
    broken_path(names[_i], path);
    expect_ok(create_with(path, &runtime), names[_i]);
    ck_assert_uint_eq(q35_runtime_n_threads(runtime), 2);
    ck_assert_uint_eq(q35_runtime_n_plugins(runtime), 1);
    q35_runtime_plugin(runtime, 0, &plugin);
    ck_assert_str_eq(plugin.path, path);
    ck_assert_str_eq(plugin.id, "broken");
    ck_assert_str_eq(plugin.version, "0.1");
    ck_assert_str_eq(plugin.reason, "");
    ck_assert_int_eq(plugin.loaded, 1);
    ck_assert_uint_eq(q35_runtime_n_devices(runtime), 1);
    q35_runtime_device(runtime, 0, &device);
    ck_assert_str_eq(device.name, "broken");
    ck_assert_str_eq(device.info.name, "broken  [31mdevice 0"); /* no control characters reach a terminal */
    ck_assert_uint_eq(device.level, 0);
    ck_assert_uint_eq(q35i_device_open(runtime, 0, &open), Q35_OK);
    ck_assert_int_eq(open->async, 0);
    ck_assert_int_eq(open->host_memory, 1);
    ck_assert_str_eq(open->name, "broken");
    q35i_device_close(open);
    ck_assert_uint_eq(q35i_device_open(runtime, 1, &open), Q35_E_RANGE);
    ck_assert_ptr_null(open);
    ck_assert_uint_eq(q35i_pool_size(q35i_runtime_pool(runtime)), 2);
    q35_runtime_plugin(runtime, 99, &plugin);
    ck_assert_str_eq(plugin.id, "");
    q35_runtime_destroy(runtime);
    ck_assert((getenv("Q35RT_TEST_BROKEN_SHUTDOWN") != NULL) == (strcmp(names[_i], "short_table") != 0));
}
END_TEST

START_TEST(last_runtime_shuts_down)
{
    char path[TEST_PATH];
    q35_runtime *a, *b;
    broken_path("good", path);
    ck_assert_uint_eq(create_with(path, &a), Q35_OK);
    ck_assert_uint_eq(create_with(path, &b), Q35_OK);
    q35_runtime_destroy(a);
    ck_assert_ptr_null(getenv("Q35RT_TEST_BROKEN_SHUTDOWN"));
    ck_assert_uint_eq(q35_runtime_n_devices(b), 1);
    q35_runtime_destroy(b);
    ck_assert_ptr_nonnull(getenv("Q35RT_TEST_BROKEN_SHUTDOWN"));
}
END_TEST

START_TEST(open_failure_names_device)
{
    char path[TEST_PATH];
    q35_runtime *runtime;
    q35i_device *device;
    broken_path("open_fails", path);
    ck_assert_uint_eq(create_with(path, &runtime), Q35_OK);
    ck_assert_uint_eq(q35i_device_open(runtime, 0, &device), Q35_E_DEVICE);
    ck_assert_ptr_null(device);
    EXPECT_ERROR("device broken: cannot open: the fan does not turn");
    q35_runtime_destroy(runtime);
}
END_TEST

START_TEST(options_come_from_the_environment)
{
    char path[TEST_PATH];
    q35_runtime *runtime;
    q35i_device *device;
    place_plugin("plugins-extra/libq35rt-template.so", "libq35rt-template.so", path);
    ck_assert_uint_eq(create_with(path, &runtime), Q35_OK);
    setenv("Q35RT_DEVICE_OPTIONS", "cpu.isa=ref,cpu.threads=2", 1); /* of another plugin */
    ck_assert_uint_eq(q35i_device_open(runtime, 0, &device), Q35_OK);
    q35i_device_close(device);
    setenv("Q35RT_DEVICE_OPTIONS", "cpu.isa=ref,template.speed=high", 1);
    EXPECT_FAILURE(q35i_device_open(runtime, 0, &device), Q35_E_INVALID, "options given to a device without any");
    setenv("Q35RT_DEVICE_OPTIONS", "cpu.isa", 1);
    EXPECT_FAILURE(q35i_device_open(runtime, 0, &device), Q35_E_INVALID,
                   "Q35RT_DEVICE_OPTIONS: entry 'cpu.isa', need plugin.option=value");
    ck_assert_ptr_null(device);
    unsetenv("Q35RT_DEVICE_OPTIONS");
    q35_runtime_destroy(runtime);
}
END_TEST

START_TEST(option_lists_are_read)
{
    static const char *const bad[] = {"cpu",      "cpu.isa",     ".isa=ref", "cpu.=ref", "cpu.isa=",
                                      "isa=a.b",  "cpu.isa=a,,", ",",        "=",        "cpu.isa=ref,linear=avx2",
                                      "a.b=c,d.e"};
    char many[Q35I_DEVICE_OPTIONS_TEXT + 8] = "";
    q35i_device_options o;
    ck_assert_uint_eq(q35i_device_options_parse(NULL, "cpu", &o), Q35_OK);
    ck_assert_uint_eq(o.n, 0);
    ck_assert_uint_eq(q35i_device_options_parse("cpu.isa=a.b=c,gpu.x=1,cpu.k=v,", "cpu", &o), Q35_OK);
    ck_assert_uint_eq(o.n, 2);
    ck_assert_str_eq(o.keys[0], "isa");
    ck_assert_str_eq(o.values[0], "a.b=c");
    ck_assert_str_eq(o.keys[1], "k");
    ck_assert_str_eq(o.values[1], "v");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        EXPECT_FAILURE(q35i_device_options_parse(bad[i], "cpu", &o), Q35_E_INVALID, "need plugin.option=value");
    for (int i = 0; i < Q35I_MAX_DEVICE_OPTIONS; i++)
        strcat(many, "cpu.k=v,");
    ck_assert_uint_eq(q35i_device_options_parse(many, "cpu", &o), Q35_OK);
    strcat(many, "cpu.k=v");
    EXPECT_FAILURE(q35i_device_options_parse(many, "cpu", &o), Q35_E_INVALID, "option 17 of cpu, need at most 16");
    ck_assert_uint_eq(q35i_device_options_parse(many, "gpu", &o), Q35_OK);
    memset(many, 'x', sizeof many - 1);
    EXPECT_FAILURE(q35i_device_options_parse(many, "cpu", &o), Q35_E_INVALID, "1031 bytes, need at most 1023");
}
END_TEST

START_TEST(missing_driver_is_explained)
{
    char path[TEST_PATH];
    q35_runtime *runtime;
    q35_plugin_report plugin;
    uint32_t index, n = 1;
    broken_path("no_driver", path);
    ck_assert_uint_eq(create_with(path, &runtime), Q35_OK);
    q35_runtime_plugin(runtime, 0, &plugin);
    ck_assert_int_eq(plugin.loaded, 1);
    ck_assert_str_eq(plugin.reason, "no device: libnothing.so.1 not found, so there is no device");
    EXPECT_FAILURE(q35_runtime_resolve(runtime, "broken", &index, &n), Q35_E_UNAVAILABLE,
                   "device broken: no device: libnothing.so.1 not found");
    EXPECT_ERROR("there is no device");
    q35_runtime_destroy(runtime);
}
END_TEST

START_TEST(names_resolve)
{
    char path[2][TEST_PATH];
    const char *paths[2] = {path[0], path[1]};
    q35_runtime *runtime;
    uint32_t index[4], n = 4;
    broken_path("two_devices", path[0]);
    place_plugin("plugins-extra/libq35rt-template.so", "libq35rt-template.so", path[1]);
    q35_runtime_options options = {.n_plugin_paths = 2, .plugin_paths = paths, .no_default_plugins = 1};
    ck_assert_uint_eq(q35_runtime_create(&options, &runtime), Q35_OK);
    ck_assert_uint_eq(q35_runtime_n_devices(runtime), 3);
    ck_assert_uint_eq(q35_runtime_resolve(runtime, "template,broken:1", index, &n), Q35_OK);
    ck_assert_uint_eq(n, 2);
    ck_assert_uint_eq(index[0], 2);
    ck_assert_uint_eq(index[1], 1);
    n = 4;
    ck_assert_uint_eq(q35_runtime_resolve(runtime, "broken:DEV-5eed-0001,broken:5eed-0010", index, &n), Q35_OK);
    ck_assert_uint_eq(n, 2);
    ck_assert_uint_eq(index[0], 1);
    ck_assert_uint_eq(index[1], 0);
    static const struct {
        const char *list, *sentence;
        q35_status status;
        uint32_t cap;
    } bad[] = {{"cuda", "device cuda: no plugin of this name; there is broken:0, broken:1, template",
                Q35_E_UNAVAILABLE, 4},
               {"broken", "plugin broken has 2 devices, need broken:0 to broken:1", Q35_E_UNAVAILABLE, 4},
               {"broken:2", "device broken:2: plugin broken has 2 devices", Q35_E_UNAVAILABLE, 4},
               {"template:1", "device template:1: plugin template has 1 device", Q35_E_UNAVAILABLE, 4},
               {"", "name of 0 characters", Q35_E_INVALID, 4},
               {"template,", "name of 0 characters", Q35_E_INVALID, 4},
               {",template", "name of 0 characters", Q35_E_INVALID, 4},
               {"template,template:0", "template:0 named twice", Q35_E_INVALID, 4},
               {"template,broken:0", "more than 1 devices", Q35_E_RANGE, 1},
               {"broken:5eed-0000", "device broken:5eed-0000: plugin broken has 2 devices", Q35_E_UNAVAILABLE, 4},
               {"broken:xx5eed-0001", "device broken:xx5eed-0001", Q35_E_UNAVAILABLE, 4},
               {"broken:1,broken:5eed-0001", "broken:5eed-0001 named twice", Q35_E_INVALID, 4},
               {"an_id_that_is_far_too_long_to_be_the_name_of_a_device_or_its_uuid", "name of 65 characters",
                Q35_E_INVALID, 4}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        n = bad[i].cap;
        ck_assert_uint_eq(q35_runtime_resolve(runtime, bad[i].list, index, &n), bad[i].status);
        ck_assert_uint_eq(n, 0);
        EXPECT_ERROR(bad[i].sentence);
    }
    n = 4;
    ck_assert_uint_eq(q35_runtime_resolve(runtime, "template:0", index, &n), Q35_OK);
    q35_runtime_destroy(runtime);
}
END_TEST

/* Reports of the runtime that stand for files of the temporary directory: "<loaded> <reason or ->" per path. */
static void expect_report(const q35_runtime *runtime, const char *path, int loaded, const char *reason)
{
    for (uint32_t i = 0; i < q35_runtime_n_plugins(runtime); i++) {
        q35_plugin_report report;
        q35_runtime_plugin(runtime, i, &report);
        if (strcmp(report.path, path) != 0)
            continue;
        ck_assert_msg(report.loaded == loaded, "%s: loaded %d: %s", path, report.loaded, report.reason);
        ck_assert_msg(strstr(report.reason, reason) != NULL, "%s: reason '%s', need '%s'", path, report.reason,
                      reason);
        return;
    }
    ck_abort_msg("%s: not reported", path);
}

START_TEST(rank_decides_between_files)
{
    char good[TEST_PATH], high[TEST_PATH], failing[TEST_PATH], list[3 * TEST_PATH];
    q35_runtime *runtime;
    broken_path("good", good);
    broken_path("rank7", high);
    broken_path("rank9_fails", failing);
    format(list, sizeof list, "%s/good:%s/rank9_fails:%s/rank7:%s", q35t_temp_dir(), q35t_temp_dir(),
           q35t_temp_dir(), good);
    setenv("Q35RT_PLUGIN_PATH", list, 1);
    ck_assert_uint_eq(q35_runtime_create(NULL, &runtime), Q35_OK);
    expect_report(runtime, failing, 0, "too old a host for me"); /* the best is tried first and fails */
    expect_report(runtime, high, 1, "");
    expect_report(runtime, good, 0, "id broken (rank 0) is taken by ");
    q35_runtime_destroy(runtime);

    /* A file named by the user comes before rank. */
    const char *named = good;
    q35_runtime_options options = {.n_plugin_paths = 1, .plugin_paths = &named};
    ck_assert_uint_eq(q35_runtime_create(&options, &runtime), Q35_OK);
    expect_report(runtime, good, 1, "");
    expect_report(runtime, high, 0, "is taken by ");
    q35_runtime_destroy(runtime);
}
END_TEST

START_TEST(environment_entries)
{
    char good[TEST_PATH], list[3 * TEST_PATH];
    q35_runtime *runtime;
    uint32_t index, n = 1;
    broken_path("good", good);
    ck_assert_int_eq(chdir(q35t_temp_dir()), 0);
    format(list, sizeof list, "good::./good:%s/absent", q35t_temp_dir());
    setenv("Q35RT_PLUGIN_PATH", list, 1);
    ck_assert_uint_eq(q35_runtime_create(NULL, &runtime), Q35_OK);
    expect_report(runtime, "good", 0, "relative entry of Q35RT_PLUGIN_PATH, need an absolute path");
    expect_report(runtime, "./good", 0, "relative entry");
    format(list, sizeof list, "%s/absent", q35t_temp_dir());
    expect_report(runtime, list, 0, "No such file or directory");
    EXPECT_FAILURE(q35_runtime_resolve(runtime, "broken", &index, &n), Q35_E_UNAVAILABLE,
                   "; good: relative entry of Q35RT_PLUGIN_PATH");
    ck_assert_ptr_null(getenv("Q35RT_TEST_BROKEN_RAN"));
    q35_runtime_destroy(runtime);

    setenv("Q35RT_PLUGIN_PATH", good, 1); /* a file instead of a directory */
    ck_assert_uint_eq(q35_runtime_create(NULL, &runtime), Q35_OK);
    expect_report(runtime, good, 1, "");
    q35_runtime_destroy(runtime);
    q35_runtime_options options = {.no_default_plugins = 1};
    ck_assert_uint_eq(q35_runtime_create(&options, &runtime), Q35_OK);
    ck_assert_uint_eq(q35_runtime_n_plugins(runtime), 0);
    ck_assert_uint_ge(q35_runtime_n_threads(runtime), 1);
    q35_runtime_destroy(runtime);
}
END_TEST

START_TEST(no_memory_is_survived)
{
    char path[TEST_PATH];
    q35_runtime *runtime;
    q35t_alloc_sweep sweep = {.limit = 200};
    broken_path("good", path);
    while (q35t_alloc_sweep_next(&sweep)) {
        q35t_alloc_sweep_end(&sweep, create_with(path, &runtime));
        ck_assert((sweep.status == Q35_OK) == (runtime != NULL));
    }
    q35_runtime_destroy(runtime);
    q35_runtime_destroy(NULL);
}
END_TEST

START_TEST(host_offers_services)
{
    char buf[200];
    q35_runtime *runtime;
    q35_runtime_options options = {.n_threads = 2, .no_default_plugins = 1};
    ck_assert_uint_eq(q35_runtime_create(&options, &runtime), Q35_OK);
    ck_assert_ptr_nonnull(strstr(q35_runtime_machine(runtime, buf, sizeof buf), "core"));
    ck_assert(q35_runtime_read_gbps(runtime, 1) > 0.01);
    q35_runtime_destroy(runtime);
    options.n_threads = 1000000;
    EXPECT_FAILURE(q35_runtime_create(&options, &runtime), Q35_E_INVALID, "1000000 threads asked for");
    ck_assert_str_eq(q35i_isa_names(Q35_ISA_AVX2 | Q35_ISA_VNNI, buf, sizeof buf), "avx2 avx512vnni");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("load");
    TCase *tc = tcase_create("load");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, test_setup, test_teardown);
    tcase_add_loop_test(tc, broken_plugins_are_refused, 0, (int)(sizeof refusals / sizeof *refusals));
    tcase_add_test(tc, hostile_files_are_refused);
    tcase_add_test(tc, writable_by_others_is_refused);
    tcase_add_test(tc, cut_files_do_no_harm);
    tcase_add_loop_test(tc, good_plugin_loads, 0, 4);
    tcase_add_test(tc, last_runtime_shuts_down);
    tcase_add_test(tc, open_failure_names_device);
    tcase_add_test(tc, options_come_from_the_environment);
    tcase_add_test(tc, option_lists_are_read);
    tcase_add_test(tc, missing_driver_is_explained);
    tcase_add_test(tc, names_resolve);
    tcase_add_test(tc, rank_decides_between_files);
    tcase_add_test(tc, environment_entries);
    tcase_add_test(tc, no_memory_is_survived);
    tcase_add_test(tc, host_offers_services);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
