/* SPDX-License-Identifier: Apache-2.0
 *
 * The measuring extension: limits with a name and a rate, and counts of where a plan's time went. Times are asked
 * to be consistent, never to be short. */
#include "fixture.h"
#include "support/suite.h"

#include <q35rt/measure.h>
#include <stdlib.h>

static const q35_measure *measure_of(const fixture *f)
{
    ck_assert(Q35_HAS_SLOT(f->api, q35_plugin, extension));
    ck_assert_ptr_null(f->api->extension(0xffff));
    const q35_hdr *h = f->api->extension(Q35_STRUCT_MEASURE);
    ck_assert_ptr_nonnull(h);
    ck_assert(h->type == Q35_STRUCT_MEASURE && h->size >= sizeof(q35_measure));
    return (const q35_measure *)(const void *)h;
}

/* Every instruction set that the machine has: named limits until RANGE, the references none. */
START_TEST(limits)
{
    static const char *const sets[] = {"ref", "avx2", "avx512", NULL};
    for (int i = 0; i < 4; i++) {
        fixture f;
        q35_limit limit;
        uint32_t n = 0;
        q35_device *dev;
        const q35_open_options probe = {.h = {sizeof probe, Q35_STRUCT_OPEN_OPTIONS, NULL},
                                        .n_options = sets[i] != NULL,
                                        .keys = (const char *const[]){"isa"},
                                        .values = &sets[i]};
        if (fixture_plugin()->device_open(0, &probe, &dev) != Q35_OK)
            continue; /* not on this machine */
        fixture_plugin()->device_close(dev);
        fixture_open(&f, sets[i], 2);
        for (q35_status status = Q35_OK; n < 16; n++) {
            memset(&limit, 0, sizeof limit);
            limit.h = (q35_hdr){sizeof limit, Q35_STRUCT_LIMIT, NULL};
            status = measure_of(&f)->limit(f.dev, n, 5, &limit);
            if (status == Q35_E_RANGE)
                break;
            ck_assert_uint_eq(status, Q35_OK);
            ck_assert(limit.kind == Q35_LIMIT_INT8 && limit.name[0] && limit.per_second > 1000000);
        }
        ck_assert(n < 16 && (i > 0 || n == 0));
        fixture_close(&f);
    }
}
END_TEST

enum { CAPACITY = 8, WIDTH = 640 };

/* y = silu(x) * x + x, of which the second and third node need what came before. */
static void build(fixture *f)
{
    uint32_t x = fixture_matrix(f, Q35_ROLE_INPUT, WIDTH, CAPACITY, Q35_TF_TOKEN_ROWS), t[2];
    uint32_t y = fixture_matrix(f, Q35_ROLE_OUTPUT, WIDTH, CAPACITY, Q35_TF_TOKEN_ROWS);
    for (int i = 0; i < 2; i++)
        t[i] = fixture_matrix(f, Q35_ROLE_TEMP, WIDTH, CAPACITY, Q35_TF_TOKEN_ROWS);
    fixture_node(f, Q35_OP_SILU, NULL, 1, &x, 1, &t[0]);
    fixture_node(f, Q35_OP_MUL, NULL, 2, (uint32_t[]){t[0], x}, 1, &t[1]);
    fixture_node(f, Q35_OP_ADD, NULL, 2, (uint32_t[]){t[1], x}, 1, &y);
    fixture_prepare(f);
    fixture_set_step(f, CAPACITY, 0, 0);
}

static q35_profile read_profile(const fixture *f, uint64_t *node_ns)
{
    q35_profile p = {.h = {sizeof p, Q35_STRUCT_PROFILE, NULL}, .n_nodes = 3, .node_ns = node_ns};
    ck_assert_uint_eq(measure_of(f)->profile_read(f->plan, &p), Q35_OK);
    return p;
}

START_TEST(profiles)
{
    const uint32_t n_workers = (uint32_t)_i;
    fixture f;
    uint64_t node_ns[3] = {7, 7, 7};
    fixture_open(&f, "ref", n_workers);
    build(&f);
    const q35_measure *m = measure_of(&f);
    ck_assert_uint_eq(fixture_run(&f), Q35_OK);
    float expected = *fixture_at(&f, 4, CAPACITY - 1, WIDTH - 1);
    q35_profile off = {.h = {sizeof off, Q35_STRUCT_PROFILE, NULL}, .n_nodes = 3, .node_ns = node_ns};
    ck_assert_uint_eq(m->profile_read(f.plan, &off), Q35_E_INVALID);
    for (uint32_t round = 0; round < 2; round++) { /* from zero each time */
        ck_assert_uint_eq(m->profile(f.plan, 1), Q35_OK);
        ck_assert_uint_eq(read_profile(&f, node_ns).runs, 0);
        ck_assert(node_ns[0] == 0 && node_ns[2] == 0);
        for (int i = 0; i < 5; i++)
            ck_assert_uint_eq(fixture_run(&f), Q35_OK);
        q35_profile p = read_profile(&f, node_ns);
        ck_assert(p.runs == 5 && p.run_ns > 0 && p.barriers == (n_workers > 1 ? 10u : 0u));
        ck_assert(node_ns[0] > 0 && node_ns[1] > 0 && node_ns[2] > 0);
        ck_assert((p.barrier_ns > 0) == (n_workers > 1));
        ck_assert(node_ns[0] + node_ns[1] + node_ns[2] + p.barrier_ns <= p.run_ns);
        ck_assert(*fixture_at(&f, 4, CAPACITY - 1, WIDTH - 1) == expected);
    }
    off.n_nodes = 2;
    ck_assert_uint_eq(m->profile_read(f.plan, &off), Q35_E_INVALID);
    ck_assert_uint_eq(m->profile(f.plan, 0), Q35_OK);
    ck_assert_uint_eq(m->profile(f.plan, 0), Q35_OK);
    ck_assert_uint_eq(m->profile_read(f.plan, &off), Q35_E_INVALID);
    ck_assert_uint_eq(m->profile(f.plan, 1), Q35_OK); /* plan_free takes the counts with it */
    fixture_close(&f);
}
END_TEST

/* Profiling allocates when it is switched on and never again; without memory it stays off. */
START_TEST(memory)
{
    fixture f;
    uint64_t node_ns[3];
    fixture_open(&f, "ref", 2);
    build(&f);
    const q35_measure *m = measure_of(&f);
    for (uint64_t n = 1; n <= 2; n++) {
        q35_profile p = {.h = {sizeof p, Q35_STRUCT_PROFILE, NULL}, .n_nodes = 3, .node_ns = node_ns};
        fixture_fail_alloc(n);
        ck_assert_uint_eq(m->profile(f.plan, 1), Q35_E_NOMEM);
        fixture_fail_alloc(0);
        ck_assert_uint_eq(m->profile_read(f.plan, &p), Q35_E_INVALID);
        ck_assert_uint_eq(fixture_run(&f), Q35_OK);
    }
    ck_assert_uint_eq(m->profile(f.plan, 1), Q35_OK);
    uint64_t before = fixture_allocs();
    ck_assert_uint_eq(fixture_run(&f), Q35_OK);
    ck_assert_uint_eq(fixture_allocs(), before);
    fixture_close(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu measure");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 60);
    tcase_add_test(all, limits);
    tcase_add_loop_test(all, profiles, 0, 4);
    tcase_add_test(all, memory);
    suite_add_tcase(suite, all);
    return q35t_run(suite);
}
