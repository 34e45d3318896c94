/* SPDX-License-Identifier: Apache-2.0
 *
 * Prefill of many tokens through ATTENTION of the CPU plugin: each cache type gives the same bits whatever the
 * number of workers, and the best kernels agree with the reference ones. */
#include "fixture.h"
#include "support/suite.h"

#include <math.h>
#include <stdlib.h>

enum { HEADS = 6, KV_HEADS = 2, DIM = 32, TOKENS = 50, POS = 70, CTX = POS + TOKENS, MAX_WORKERS = 4 };
enum { N_OUT = TOKENS * HEADS * DIM };

static const uint32_t types[] = {Q35_DT_F16, Q35_DT_F32, Q35_DT_Q8_0};
enum { N_TYPES = sizeof types / sizeof types[0] };

/* Random positions up to POS, as KV_APPEND leaves them; those of the tokens are appended by the run. */
static void run(uint32_t dtype, const char *isa, uint32_t n_workers, float out[N_OUT])
{
    fixture f;
    fixture_params kv = {.kv = {{sizeof(q35_kv_params), Q35_STRUCT_KV_PARAMS, NULL}, KV_HEADS, DIM}};
    fixture_params attention = {
        .attention = {
            {sizeof(q35_attention_params), Q35_STRUCT_ATTENTION_PARAMS, NULL}, HEADS, KV_HEADS, DIM, 0.5f}};
    int64_t dim[3] = {DIM, CTX, KV_HEADS};
    uint32_t cache[4], q, y;
    fixture_open(&f, isa, n_workers);
    for (int i = 0; i < 2; i++)
        cache[i] = fixture_matrix(&f, Q35_ROLE_INPUT, KV_HEADS * DIM, CTX, Q35_TF_TOKEN_ROWS);
    for (int i = 2; i < 4; i++)
        cache[i] = fixture_tensor(&f, Q35_ROLE_STATE, dtype, 3, dim, 0);
    q = fixture_matrix(&f, Q35_ROLE_INPUT, HEADS * DIM, CTX, Q35_TF_TOKEN_ROWS);
    y = fixture_matrix(&f, Q35_ROLE_OUTPUT, HEADS * DIM, CTX, Q35_TF_TOKEN_ROWS);
    fixture_node(&f, Q35_OP_KV_APPEND, &kv, 4, cache, 0, NULL);
    fixture_node(&f, Q35_OP_ATTENTION, &attention, 3, (uint32_t[]){q, cache[2], cache[3]}, 1, &y);
    fixture_prepare(&f);
    fixture_set_step(&f, POS, 0, 1);
    ck_assert_msg(fixture_run(&f) == Q35_OK, "%s", fixture_error());
    fixture_set_step(&f, TOKENS, POS, 1);
    ck_assert_msg(fixture_run(&f) == Q35_OK, "%s", fixture_error());
    for (int64_t t = 0; t < TOKENS; t++)
        memcpy(out + t * HEADS * DIM, fixture_at(&f, y, t, 0), HEADS * DIM * sizeof(float));
    fixture_close(&f);
}

START_TEST(workers_change_no_bit)
{
    static float first[N_OUT], out[N_OUT], reference[N_OUT];
    run(types[_i], NULL, 0, first);
    for (uint32_t n = 1; n <= MAX_WORKERS; n++) {
        run(types[_i], NULL, n, out);
        ck_assert_msg(memcmp(first, out, sizeof out) == 0, "%u workers change bits", n);
    }
    run(types[_i], "ref", 3, reference);
    for (int i = 0; i < N_OUT; i++)
        ck_assert_msg(fabs((double)out[i] - (double)reference[i]) < 1e-5, "element %d is %.9g, need %.9g", i,
                      (double)out[i], (double)reference[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plugin_cpu_attention");
    TCase *tcase = tcase_create("prefill");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, workers_change_no_bit, 0, N_TYPES);
    suite_add_tcase(suite, tcase);
    return q35t_run(suite);
}
