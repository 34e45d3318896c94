/* SPDX-License-Identifier: Apache-2.0
 *
 * The budget on a machine of arithmetic: steps at one power, sleep at another. */
#include "runtime/power/budget.h"
#include "support/suite.h"

#include <math.h>

typedef struct machine {
    double busy, idle; /* watts */
    double step;       /* seconds */
    double oversleep;  /* seconds that a sleep lasts longer */
    double now, joules;
} machine;

static void pass_time(machine *m, double watts, double seconds)
{
    m->now += seconds;
    m->joules += watts * seconds;
}

/* Runs for so long; returns the average power. */
static double run(machine *m, q35i_budget *b, double seconds)
{
    while (m->now < seconds) {
        pass_time(m, m->busy, m->step);
        double s = q35i_budget_pass(b, m->step, m->busy * m->step, false);
        for (int slices = 0; s > 0 && slices < 10000; slices++) {
            double slice = (s < 0.1 ? s : 0.1) + m->oversleep;
            pass_time(m, m->idle, slice);
            s = q35i_budget_pass(b, slice, m->idle * slice, true);
        }
    }
    ck_assert(fabs(b->joules - m->joules) < 1e-6 * m->joules && fabs(b->seconds - m->now) < 1e-6 * m->now);
    return m->joules / m->now;
}

static const machine machines[] = {
    {60, 10, 0.001, 0, 0, 0}, {60, 10, 0.2, 0, 0, 0}, {400, 5, 0.0001, 0.0001, 0, 0},
    {35, 25, 0.05, 0, 0, 0},  {60, 0, 0.01, 0, 0, 0}, {250, 20, 0.003, 0.002, 0, 0},
};

/* Neither above nor, since the machine could use more, much below. */
START_TEST(held)
{
    machine m = machines[_i];
    q35i_budget b = q35i_budget_start(30);
    double watts = run(&m, &b, 20);
    ck_assert_msg(fabs(watts - 30) < 0.05 * 30, "%g W on average", watts);
    ck_assert(q35i_budget_held(&b) && !b.hopeless && b.slept > 0);
    ck_assert(fabs(q35i_budget_idle_watts(&b) - m.idle) < 1e-6);
}
END_TEST

START_TEST(not_needed)
{
    machine m = {.busy = 20, .idle = 10, .step = 0.01};
    q35i_budget b = q35i_budget_start(30);
    ck_assert(fabs(run(&m, &b, 5) - 20) < 1e-6);
    ck_assert(b.slept == 0 && q35i_budget_held(&b) && q35i_budget_idle_watts(&b) == 0);
}
END_TEST

/* Sleeping does not help: it is tried for a while, then work goes on, and the report is honest. */
START_TEST(hopeless)
{
    machine m = {.busy = 60, .idle = 40, .step = 0.01};
    q35i_budget b = q35i_budget_start(30);
    double watts = run(&m, &b, 20);
    ck_assert(b.hopeless && !q35i_budget_held(&b) && watts > 40);
    ck_assert(b.slept >= 1 && b.slept < 2);
}
END_TEST

/* A pause pays for half a second at most. */
START_TEST(credit)
{
    q35i_budget b = q35i_budget_start(30);
    ck_assert(q35i_budget_pass(&b, 100, 0, false) == 0); /* 3000 J unused, 15 of them kept */
    ck_assert(q35i_budget_pass(&b, 0.1, 17, false) == 0);
    double s = q35i_budget_pass(&b, 0.1, 7, false); /* 24 J used, 15 + 6 allowed */
    ck_assert(fabs(s - 3.0 / 30) < 1e-9);
}
END_TEST

/* Counters that stand still for a while, as they do between two updates. */
START_TEST(late_counters)
{
    machine m = {.busy = 200, .idle = 10, .step = 0.002};
    q35i_budget b = q35i_budget_start(30);
    double shown = 0, next = 0;
    while (m.now < 20) {
        double watts = m.busy, seconds = m.step, s = 0;
        for (int slept = 0; slept == 0 || s > 0; slept = 1) {
            if (slept) {
                watts = m.idle;
                seconds = s < 0.1 ? s : 0.1;
            }
            pass_time(&m, watts, seconds);
            double seen = 0;
            if (m.now >= next) {
                seen = m.joules - shown;
                shown = m.joules;
                next = m.now + 0.05;
            }
            s = q35i_budget_pass(&b, seconds, seen, slept != 0);
        }
    }
    ck_assert_msg(fabs(m.joules / m.now - 30) < 0.05 * 30, "%g W on average", m.joules / m.now);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("power budget");
    TCase *all = tcase_create("all");
    tcase_add_loop_test(all, held, 0, sizeof machines / sizeof *machines);
    tcase_add_test(all, not_needed);
    tcase_add_test(all, hopeless);
    tcase_add_test(all, credit);
    tcase_add_test(all, late_counters);
    suite_add_tcase(suite, all);
    return q35t_run(suite);
}
