/* SPDX-License-Identifier: Apache-2.0
 *
 * Usable cores, machine summary, control-group limits and the bandwidth probe. */
#define _GNU_SOURCE
#include "runtime/base/affinity.h"
#include "runtime/base/pool.h"
#include "runtime/place/place.h"
#include "runtime/place/quota.h"
#include "support/suite.h"
#include "support/temp_dir.h"
#include "support/whole_file.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

enum { CAP = 4096 };

START_TEST(cores_are_allowed_and_distinct)
{
    static int32_t cores[CAP], allowed[CAP];
    uint32_t n = CAP, n_allowed = q35i_affinity_cpus(allowed, CAP);
    ck_assert_uint_eq(q35i_place_usable_cores(cores, &n), Q35_OK);
    ck_assert_uint_ge(n, 1);
    ck_assert_uint_le(n, n_allowed);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t in_mask = 0;
        for (uint32_t j = 0; j < n_allowed && j < CAP; j++)
            in_mask += cores[i] == allowed[j];
        ck_assert_uint_eq(in_mask, 1);
        for (uint32_t j = 0; j < i; j++)
            ck_assert_int_ne(cores[i], cores[j]);
    }
}
END_TEST

START_TEST(narrow_mask_is_respected)
{
    int32_t allowed[CAP], core;
    uint32_t n = 1, n_allowed = q35i_affinity_cpus(allowed, CAP);
    int32_t last = allowed[n_allowed - 1];
    cpu_set_t one;
    ck_assert_int_lt(last, CPU_SETSIZE);
    CPU_ZERO(&one);
    CPU_SET((size_t)last, &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    ck_assert_uint_eq(q35i_place_usable_cores(&core, &n), Q35_OK);
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(core, last);
}
END_TEST

START_TEST(no_room_is_an_error)
{
    int32_t core;
    uint32_t n = 0;
    ck_assert_uint_eq(q35i_place_usable_cores(&core, &n), Q35_E_INVALID);
}
END_TEST

START_TEST(quota_text)
{
    ck_assert_uint_eq(q35i_quota_parse("max 100000\n"), UINT32_MAX);
    ck_assert_uint_eq(q35i_quota_parse("150000 100000\n"), 2);
    ck_assert_uint_eq(q35i_quota_parse("50000 100000"), 1);
    ck_assert_uint_eq(q35i_quota_parse("400000 100000"), 4);
    ck_assert_uint_eq(q35i_quota_parse("400000 0"), UINT32_MAX);
    ck_assert_uint_eq(q35i_quota_parse("-1"), UINT32_MAX);
    ck_assert_uint_eq(q35i_quota_parse(""), UINT32_MAX);
    ck_assert_uint_ge(q35i_quota_cpus(), 1);
}
END_TEST

/* The limits of a made-up /sys: the smallest from the group to the root counts. */
START_TEST(quota_of_a_group)
{
    static const struct {
        const char *groups; /* as /proc/self/cgroup has them */
        uint32_t cpus;
    } cases[] = {{"0::/\n", 8},
                 {"0::/inner\n", 3},
                 {"0::/inner/most\n", 3},
                 {"0::/inner/small\n", 1},
                 {"0::/wide/no file\n", 8},
                 {"4:memory:/inner/small\n0::/wide\n", 8},
                 {"4:memory:/inner\n0::/inner\n1:cpu:/\n", 3},
                 {"4:memory:/inner\n", UINT32_MAX},
                 {"0::\n", UINT32_MAX},
                 {"", UINT32_MAX}};
    char root[Q35T_PATH_BYTES], groups[100];
    q35t_temp_dir_create();
    q35t_temp_path(root, "sys");
    q35t_put_text(root, "fs/cgroup/cpu.max", "800000 100000\n");
    q35t_put_text(root, "fs/cgroup/inner/cpu.max", "250000 100000\n");
    q35t_put_text(root, "fs/cgroup/inner/most/cpu.max", "max 100000\n");
    q35t_put_text(root, "fs/cgroup/inner/small/cpu.max", "50000 100000\n");
    q35t_put_text(root, "fs/cgroup/wide/cpu.max", "6400000 100000\n");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(groups, sizeof groups, "%s", cases[i].groups);
        uint32_t cpus = q35i_quota_find(root, groups);
        ck_assert_msg(cpus == cases[i].cpus, "%s: %u CPUs, need %u", cases[i].groups, cpus, cases[i].cpus);
    }
    snprintf(groups, sizeof groups, "0::/inner\n");
    ck_assert_uint_eq(q35i_quota_find("/no/such/folder", groups), UINT32_MAX);
    ck_assert_int_eq(q35t_temp_dir_remove(), 0);
}
END_TEST

START_TEST(summary_names_cores)
{
    char buf[128], tiny[4];
    ck_assert_ptr_nonnull(strstr(q35i_place_summary(buf, sizeof buf), "core"));
    ck_assert_uint_le(strlen(q35i_place_summary(tiny, sizeof tiny)), 3);
    ck_assert_uint_ge(strlen(q35i_place_cpu_name(buf, sizeof buf)), 1);
}
END_TEST

START_TEST(bandwidth_is_plausible)
{
    q35_pool *pool;
    ck_assert_uint_eq(q35i_pool_create(2, NULL, &pool), Q35_OK);
    double gbps = q35i_place_read_gbps(pool, 1);
    ck_assert(gbps > 0.01 && gbps < 100000.0);
    q35i_pool_destroy(pool);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("place");
    TCase *tc = tcase_create("place");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, cores_are_allowed_and_distinct);
    tcase_add_test(tc, narrow_mask_is_respected);
    tcase_add_test(tc, no_room_is_an_error);
    tcase_add_test(tc, quota_text);
    tcase_add_test(tc, quota_of_a_group);
    tcase_add_test(tc, summary_names_cores);
    tcase_add_test(tc, bandwidth_is_plausible);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
