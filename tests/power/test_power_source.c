/* SPDX-License-Identifier: Apache-2.0
 *
 * Sources of energy in a made-up /sys: which files count, in which order sources are tried, counters that begin
 * anew, and what is said when nothing can be read. */
#include "runtime/power/source.h"
#include "support/expect.h"
#include "support/suite.h"
#include "support/temp_dir.h"
#include "support/whole_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char root[Q35T_PATH_BYTES];

static void setup(void)
{
    q35t_temp_dir_create();
    q35t_temp_path(root, "sys");
}

static void teardown(void)
{
    ck_assert_int_eq(q35t_temp_dir_remove(), 0);
}

static void put(const char *name, const char *text)
{
    q35t_put_text(root, name, text);
}

static void put_zone(const char *zone, const char *name, const char *energy)
{
    char file[128];
    snprintf(file, sizeof file, "class/powercap/%s/name", zone);
    put(file, name);
    snprintf(file, sizeof file, "class/powercap/%s/energy_uj", zone);
    put(file, energy);
    snprintf(file, sizeof file, "class/powercap/%s/max_energy_range_uj", zone);
    put(file, "10000000\n");
}

static double joules_at(q35i_power_source *s, double seconds)
{
    double joules;
    EXPECT_OK(q35i_power_read(s, (uint64_t)(1e9 * (1 + seconds)), &joules));
    return joules;
}

static void near(double found, double wanted)
{
    ck_assert_msg(fabs(found - wanted) < 1e-9 * (1 + fabs(wanted)), "%g J found, %g J needed", found, wanted);
}

/* Two packages and the memory of one; what lies inside them, and the machine around them, do not count again. */
START_TEST(rapl)
{
    q35i_power_source s;
    put_zone("intel-rapl:0", "package-0\n", "1000000\n");
    put_zone("intel-rapl:0:0", "core\n", "900000\n");
    put_zone("intel-rapl:0:1", "dram\n", "500000\n");
    put_zone("intel-rapl:1", "package-1\n", "9000000\n");
    put_zone("intel-rapl:2", "psys\n", "0\n");
    put_zone("intel-rapl-mmio:0", "package-0\n", "0\n");
    put("class/hwmon/hwmon0/name", "ina3221\n");
    put("class/hwmon/hwmon0/power1_input", "5000000\n");
    EXPECT_OK(q35i_power_open(root, &s));
    ck_assert_str_eq(s.name, "RAPL: package-0, dram, package-1");
    near(joules_at(&s, 0), 0);
    put_zone("intel-rapl:0", "package-0\n", "3000000\n");
    put_zone("intel-rapl:0:1", "dram\n", "600000\n");
    put_zone("intel-rapl:1", "package-1\n", "500000\n"); /* from 9 J over 10 J to 0.5 J */
    near(joules_at(&s, 1), 2 + 0.1 + 1.5);
    near(joules_at(&s, 2), 0);
    put_zone("intel-rapl:1", "package-1\n", "rubbish\n");
    double joules;
    EXPECT_FAILURE(q35i_power_read(&s, 0, &joules), Q35_E_IO, "RAPL: package-0, dram, package-1: cannot read");
}
END_TEST

/* A part of the packages would be less than the truth. */
START_TEST(rapl_in_part)
{
    q35i_power_source s;
    put_zone("intel-rapl:0", "package-0\n", "1000000\n");
    put_zone("intel-rapl:1", "package-1\n", "\n");
    EXPECT_FAILURE(q35i_power_open(root, &s), Q35_E_UNAVAILABLE, "intel-rapl:1/energy_uj: Invalid argument");
    if (geteuid() != 0) {
        char path[2 * Q35T_PATH_BYTES];
        snprintf(path, sizeof path, "%s/class/powercap/intel-rapl:1/energy_uj", root);
        ck_assert_int_eq(chmod(path, 0), 0);
        EXPECT_FAILURE(q35i_power_open(root, &s), Q35_E_UNAVAILABLE, "energy_uj: Permission denied");
    }
}
END_TEST

START_TEST(hwmon_energy)
{
    q35i_power_source s;
    put("class/hwmon/hwmon1/name", "amd_energy\n");
    put("class/hwmon/hwmon1/energy1_input", "100\n");
    put("class/hwmon/hwmon1/energy1_label", "Ecore000\n");
    put("class/hwmon/hwmon1/energy2_input", "2000000\n");
    put("class/hwmon/hwmon1/energy2_label", "Esocket0\n");
    EXPECT_OK(q35i_power_open(root, &s));
    ck_assert_str_eq(s.name, "hwmon: amd_energy Esocket0");
    near(joules_at(&s, 0), 0);
    put("class/hwmon/hwmon1/energy1_input", "900000\n");
    put("class/hwmon/hwmon1/energy2_input", "4500000\n");
    near(joules_at(&s, 1), 2.5);
}
END_TEST

/* Jetson: volts times amperes of the supply, of which the other channels are parts; a GPU's own sensor is not of
 * the machine. */
START_TEST(hwmon_supply)
{
    q35i_power_source s;
    put("class/hwmon/hwmon0/name", "amdgpu\n");
    put("class/hwmon/hwmon0/power1_average", "90000000\n");
    put("class/hwmon/hwmon1/name", "ina3221\n");
    put("class/hwmon/hwmon1/in1_input", "5000\n");
    put("class/hwmon/hwmon1/curr1_input", "1000\n");
    put("class/hwmon/hwmon1/in1_label", "VDD_CPU_CV\n");
    put("class/hwmon/hwmon1/in2_input", "19000\n");
    put("class/hwmon/hwmon1/curr2_input", "1500\n");
    put("class/hwmon/hwmon1/in2_label", "VDD_IN\n");
    EXPECT_OK(q35i_power_open(root, &s));
    ck_assert_str_eq(s.name, "hwmon: ina3221 VDD_IN");
    near(joules_at(&s, 0), 0);
    near(joules_at(&s, 2), 57);
    put("class/hwmon/hwmon1/curr2_input", "500\n");
    near(joules_at(&s, 3), 9.5);
}
END_TEST

/* Without a supply all channels count, of all chips. */
START_TEST(hwmon_power)
{
    q35i_power_source s;
    put("class/hwmon/hwmon0/name", "ina226\n");
    put("class/hwmon/hwmon0/power1_input", "4000000\n");
    put("class/hwmon/hwmon2/name", "power_meter\n");
    put("class/hwmon/hwmon2/power1_average", "6000000\n");
    EXPECT_OK(q35i_power_open(root, &s));
    ck_assert_str_eq(s.name, "hwmon: ina226, power_meter");
    near(joules_at(&s, 0), 0);
    near(joules_at(&s, 0.5), 5);
}
END_TEST

START_TEST(nothing)
{
    q35i_power_source s;
    EXPECT_FAILURE(q35i_power_open(root, &s), Q35_E_UNAVAILABLE,
                   "no source found that can be read, need one: RAPL: ");
    put("class/powercap/intel-rapl:0/name", "psys\n");
    put("class/hwmon/hwmon0/name", "coretemp\n");
    EXPECT_FAILURE(q35i_power_open(root, &s), Q35_E_UNAVAILABLE, "no package zone");
    EXPECT_FAILURE(q35i_power_open(root, &s), Q35_E_UNAVAILABLE, "power sensors: none among 1 chips");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("power source");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, rapl);
    tcase_add_test(all, rapl_in_part);
    tcase_add_test(all, hwmon_energy);
    tcase_add_test(all, hwmon_supply);
    tcase_add_test(all, hwmon_power);
    tcase_add_test(all, nothing);
    suite_add_tcase(suite, all);
    return q35t_run(suite);
}
