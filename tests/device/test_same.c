/* SPDX-License-Identifier: Apache-2.0
 *
 * One physical device reached by two plugins: recognised, listed, not used twice. */
#define _GNU_SOURCE
#include "device_support.h"

#include "runtime/device/same.h"

typedef struct pair {
    const char *uuid_a, *pci_a, *uuid_b, *pci_b;
    int same;
} pair;

static const pair pairs[] = {
    {"", "", "", "", 0},
    {"a-0", "", "a-0", "", 1},
    {"a-0", "", "b-0", "", 0},
    {"a-0", "0000:65:00.0", "b-0", "0000:65:00.0", 1},
    {"a-0", "0000:65:00.0", "b-0", "0000:66:00.0", 0},
    {"a-0", "0000:65:00.0", "b-0", "", 0},
    {"00112233-4455-6677-8899-aabbccddeeff", "", "00112233445566778899AABBCCDDEEFF", "", 1},
    /* parts of one card */
    {"00112233-4455-6677-8899-aabbccddeef0", "0000:65:00.0", "00112233-4455-6677-8899-aabbccddeef1",
     "0000:65:00.0", 0},
    /* one of the two is of no known form */
    {"00112233-4455-6677-8899-aabbccddeeff", "0000:65:00.0", "opencl-0", "0000:65:00.0", 1},
    {"00112233445566778899aabbccddeeff0", "", "00112233445566778899aabbccddeeff", "", 0},
};

START_TEST(same_or_not)
{
    const pair *p = &pairs[_i];
    q35_device_info a = {.device_class = Q35_CLASS_GPU}, b = a;
    format(a.uuid, sizeof a.uuid, "%s", p->uuid_a);
    format(b.uuid, sizeof b.uuid, "%s", p->uuid_b);
    format(a.pci, sizeof a.pci, "%s", p->pci_a);
    format(b.pci, sizeof b.pci, "%s", p->pci_b);
    ck_assert_int_eq(q35i_same_device(&a, &b), p->same);
    ck_assert_int_eq(q35i_same_device(&b, &a), p->same);
}
END_TEST

START_TEST(named_once)
{
    char a[TEST_PATH], b[TEST_PATH];
    q35_runtime *runtime;
    q35_device_report report;
    place_plugin("plugins-test/twin_a/libq35rt-broken.so", "a/libq35rt-broken.so", a);
    place_plugin("plugins-test/twin_b/libq35rt-broken.so", "b/libq35rt-twin.so", b);
    const char *paths[] = {a, b};
    const q35_runtime_options options = {
        .n_threads = 1, .n_plugin_paths = 2, .plugin_paths = paths, .no_default_plugins = 1};
    EXPECT_OK(q35_runtime_create(&options, &runtime));
    ck_assert_uint_eq(q35_runtime_n_devices(runtime), 2);
    q35_runtime_device(runtime, 0, &report);
    ck_assert_str_eq(report.same_as, "");
    q35_runtime_device(runtime, 1, &report);
    ck_assert_str_eq(report.name, "twin");
    ck_assert_str_eq(report.same_as, "broken");
    uint32_t index[2], n = 2;
    EXPECT_FAILURE(q35_runtime_resolve(runtime, "broken,twin", index, &n), Q35_E_INVALID,
                   "broken and twin are the same physical device, need one");
    n = 2;
    EXPECT_OK(q35_runtime_resolve(runtime, "twin", index, &n));
    ck_assert_uint_eq(index[0], 1);
    q35_runtime_destroy(runtime);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("same");
    TCase *tc = tcase_create("same");
    tcase_add_checked_fixture(tc, test_setup, test_teardown);
    tcase_add_loop_test(tc, same_or_not, 0, sizeof pairs / sizeof *pairs);
    tcase_add_test(tc, named_once);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
