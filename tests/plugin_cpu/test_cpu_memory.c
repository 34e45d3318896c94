/* SPDX-License-Identifier: Apache-2.0
 *
 * What a control group leaves of the memory, read from a hierarchy of the test's own. */
#include "plugins/cpu/cpu.h"
#include "support/suite.h"
#include "support/temp_dir.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char root[Q35T_PATH_BYTES], cgroup[Q35T_PATH_BYTES];

static void put(const char *name, const char *text)
{
    char path[Q35T_PATH_BYTES];
    q35t_temp_path(path, name);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

static void setup(void)
{
    char folder[Q35T_PATH_BYTES];
    q35t_temp_dir_create();
    q35t_temp_path(folder, "job");
    ck_assert_int_eq(mkdir(folder, 0777), 0);
    snprintf(root, sizeof root, "%s", q35t_temp_dir());
    q35t_temp_path(cgroup, "cgroup");
    put("cgroup", "4:memory:/old\n0::/job\n");
    put("job/memory.current", "700\n");
    put("job/memory.stat", "anon 300\nfile 400\ninactive_file 250\nactive_file 150\n");
}

static void teardown(void)
{
    ck_assert_int_eq(q35t_temp_dir_remove(), 0);
}

START_TEST(limit_less_use_plus_cache)
{
    put("job/memory.max", "1000\n");
    ck_assert_uint_eq(q35i_cpu_group_memory(cgroup, root), 1000 - (700 - 250));
}
END_TEST

START_TEST(over_the_limit_leaves_next_to_nothing)
{
    put("job/memory.max", "400\n");
    ck_assert_uint_eq(q35i_cpu_group_memory(cgroup, root), 1);
}
END_TEST

START_TEST(no_limit)
{
    ck_assert_uint_eq(q35i_cpu_group_memory(cgroup, root), UINT64_MAX);
    put("job/memory.max", "max\n");
    ck_assert_uint_eq(q35i_cpu_group_memory(cgroup, root), UINT64_MAX);
    put("cgroup", "4:memory:/old\n");
    put("job/memory.max", "1000\n");
    ck_assert_uint_eq(q35i_cpu_group_memory(cgroup, root), UINT64_MAX);
    ck_assert_uint_eq(q35i_cpu_group_memory("/nowhere", root), UINT64_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu_memory");
    TCase *tc = tcase_create("group");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, limit_less_use_plus_cache);
    tcase_add_test(tc, over_the_limit_leaves_next_to_nothing);
    tcase_add_test(tc, no_limit);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
