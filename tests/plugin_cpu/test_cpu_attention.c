/* SPDX-License-Identifier: Apache-2.0
 *
 * KV_APPEND and ATTENTION of the CPU plugin over many positions: each cache type gives the same bits whatever the
 * number of workers, be it that they share tokens or the positions of one, with the best kernels and with the
 * reference ones.
 */
#include "fixture.h"
#include "support/suite.h"

#include <stdlib.h>

enum { HEADS = 6, KV_HEADS = 2, DIM = 32, CAPACITY = 50, PAGES = 64, MAX_WORKERS = 5 };
enum { N_OUT = CAPACITY * HEADS * DIM };

static const struct {
    uint32_t dtype;
    int32_t pos, tokens; /* the run that is compared: tokens after pos others */
} cases[] = {
    {Q35_DT_F16, 70, 50}, {Q35_DT_F32, 70, 50}, {Q35_DT_Q8_0, 70, 50}, /* workers share tokens */
    {Q35_DT_F16, 780, 1}, {Q35_DT_F32, 256, 1}, {Q35_DT_Q8_0, 766, 2}, /* positions */
    {Q35_DT_F16, 511, 3}, {Q35_DT_F16, 255, 1},
};

/* Inputs and outputs of the two nodes. */
typedef struct work {
    fixture f;
    fixture_sequence at;
    uint32_t cache[5], att[6], y;
} work;

static void build(work *w, uint32_t dtype, const char *isa, uint32_t n_workers)
{
    fixture_params kv = {.kv = {{sizeof(q35_kv_params), Q35_STRUCT_KV_PARAMS, NULL}, KV_HEADS, DIM}};
    fixture_params attention = {
        .attention = {
            {sizeof(q35_attention_params), Q35_STRUCT_ATTENTION_PARAMS, NULL}, HEADS, KV_HEADS, DIM, 0.5f}};
    int64_t dim[4] = {DIM, Q35_KV_PAGE, KV_HEADS, PAGES};
    fixture_open(&w->f, isa, n_workers);
    w->at = fixture_one_sequence(&w->f, CAPACITY, PAGES);
    for (int i = 0; i < 2; i++)
        w->cache[i] = fixture_matrix(&w->f, Q35_ROLE_INPUT, KV_HEADS * DIM, CAPACITY, Q35_TF_TOKEN_ROWS);
    for (int i = 2; i < 4; i++)
        w->cache[i] = fixture_tensor(&w->f, Q35_ROLE_STATE, dtype, 4, dim, 0);
    w->cache[4] = w->at.slots;
    w->att[0] = fixture_matrix(&w->f, Q35_ROLE_INPUT, HEADS * DIM, CAPACITY, Q35_TF_TOKEN_ROWS);
    w->att[1] = w->cache[2];
    w->att[2] = w->cache[3];
    w->att[3] = w->at.positions;
    w->att[4] = w->at.sequence;
    w->att[5] = w->at.pages;
    w->y = fixture_matrix(&w->f, Q35_ROLE_OUTPUT, HEADS * DIM, CAPACITY, Q35_TF_TOKEN_ROWS);
    fixture_node(&w->f, Q35_OP_KV_APPEND, &kv, 5, w->cache, 0, NULL);
    fixture_node(&w->f, Q35_OP_ATTENTION, &attention, 6, w->att, 1, &w->y);
    fixture_prepare(&w->f);
}

/* n tokens with new keys and values at pos and up. */
static void append(work *w, int32_t pos, int32_t n)
{
    for (int i = 0; i < 2; i++)
        for (int64_t t = 0; t < n; t++)
            for (int64_t c = 0; c < KV_HEADS * DIM; c++)
                *fixture_at(&w->f, w->cache[i], t, c) = fixture_random(&w->f);
    fixture_place(&w->f, &w->at, pos);
    fixture_set_step(&w->f, n, 1, 1);
    ck_assert_msg(fixture_run(&w->f) == Q35_OK, "%s", fixture_error());
}

static void run(int index, const char *isa, uint32_t n_workers, float out[N_OUT])
{
    work w;
    build(&w, cases[index].dtype, isa, n_workers);
    for (int32_t pos = 0; pos < cases[index].pos; pos += CAPACITY)
        append(&w, pos, cases[index].pos - pos < CAPACITY ? cases[index].pos - pos : CAPACITY);
    append(&w, cases[index].pos, cases[index].tokens);
    memset(out, 0, N_OUT * sizeof *out);
    for (int64_t t = 0; t < cases[index].tokens; t++)
        memcpy(out + t * HEADS * DIM, fixture_at(&w.f, w.y, t, 0), HEADS * DIM * sizeof(float));
    fixture_close(&w.f);
}

START_TEST(workers_change_no_bit)
{
    static float first[N_OUT], out[N_OUT];
    run(_i, NULL, 0, first);
    for (uint32_t n = 1; n <= MAX_WORKERS; n++) {
        run(_i, NULL, n, out);
        ck_assert_msg(memcmp(first, out, sizeof out) == 0, "%u workers change bits", n);
    }
    for (uint32_t n = 0; n <= 3; n += 3) {
        run(_i, "ref", n, out);
        ck_assert_msg(memcmp(first, out, sizeof out) == 0, "the reference, %u workers: other bits", n);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plugin_cpu_attention");
    TCase *tcase = tcase_create("attention");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, workers_change_no_bit, 0, sizeof cases / sizeof cases[0]);
    suite_add_tcase(suite, tcase);
    return q35t_run(suite);
}
