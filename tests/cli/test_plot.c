/* SPDX-License-Identifier: Apache-2.0
 *
 * Plots and plan tables of a small plan against committed ones, and of every kind of odd input. With a folder as
 * argument the pictures are written there, to be looked at or committed. */
#define _GNU_SOURCE
#include "cli/fail_recorder.h"
#include "runtime/apps/cli/cli.h"
#include "runtime/apps/cli/plan_table.h"
#include "runtime/apps/cli/plot.h"
#include "runtime/apps/cli/plot_scale.h"
#include "support/suite.h"
#include "support/temp_dir.h"
#include "support/whole_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

void cli_print_safe(FILE *out, const char *text, uint64_t len)
{
    fwrite(text, 1, (size_t)len, out);
}

static const plan_tensor plan[] = {
    {"token_embd.weight", "Q8_0", 28311552, 30081024, 0.021, 0.0001},
    {"blk.0.attn_q.weight", "pair-row", 331776, 147456, 0.0003, 0.0003},
    {"blk.0.attn_v.weight", "Q6_K", 110592, 90720, 0.0031, 0.00002},
    {"blk.0.ffn_down.weight", "pair8-row", 884736, 456192, 0.004, 0.001},
    {"blk.1.attn_q.weight", "pair-row", 331776, 147456, 0.0002, 0.0002},
    {"blk.1.attn_v.weight", "pair8-row", 110592, 57344, 0.0008, 0.0002},
    {"blk.1.ffn_down.weight", "pair-row", 884736, 388608, 0.0015, 0.0015},
    {"output.weight", "F16", 28311552, 56623104, NAN, NAN},
};

static const plot_point frontier[] = {{3.52, 0.031, NULL}, {3.8, 0.012, NULL}, {4.5, 0.004, NULL},
                                      {6.56, 2e-4, NULL},  {8.5, 9e-6, NULL},  {16, 0, NULL}};
static const plot_point others[] = {{5.14, 0.127, "IQ3_S"}, {5.3, 0.077, "IQ4_XS"}, {6.17, 0.03, "Q4_K_M"}};
static const plot_point ours[] = {{3.6, 0.165, "3.6"}, {4.0, 0.098, "4.0"}, {5.5, 0.028, "5.5"}};
static const plot_point chosen = {4.1, 0.0074, "this file"};

static char *draw_frontier(uint64_t *len)
{
    plot_curve curve = {"allocations of least KL", frontier, COUNT(frontier), 1};
    plot_chart chart = {"tiny: KL against bits", "60032 tokens; target 4.1", &curve, 1, &chosen, NULL};
    return plot_frontier(&chart, plan, COUNT(plan), len);
}

static char *draw_series(uint64_t *len)
{
    plot_curve curves[] = {{"ours", ours, COUNT(ours), 1}, {"others", others, COUNT(others), 0}};
    plot_chart chart = {"Quality against size", "", curves, 2, NULL, NULL};
    return plot_series(&chart, len);
}

/* Speed over threads: linear from 0, whole numbers of threads. */
static char *draw_speed(uint64_t *len)
{
    static const plot_point slow[] = {{1, 14.5, NULL}, {2, 27, NULL}, {4, 31.25, NULL}};
    static const plot_point fast[] = {{1, 61, NULL}, {2, 118, NULL}, {4, 120, NULL}};
    static const plot_style style = {"threads", "tokens per second", "threads", "", " tok/s", 0, 0, 1, 1e7, 1e9,
                                     1};
    plot_curve curves[] = {{"pp512", fast, COUNT(fast), 1}, {"tg64", slow, COUNT(slow), 1}};
    plot_chart chart = {"tiny.gguf", "cpu", curves, 2, NULL, &style};
    return plot_series(&chart, len);
}

/* Text that is not XML and numbers that have no place. */
static char *draw_odd(uint64_t *len)
{
    static const char *const text =
        "<a & \"b\">'\x01\x1b\x7f\xff\xc3(\xed\xa0\x80\xef\xbf\xbf\xf4\x90\x80\x80\xe2\x82\xac]]>";
    plot_point points[] = {{NAN, 1, text},          {1, NAN, text},  {HUGE_VAL, 1, text},  {1, -HUGE_VAL, text},
                           {-3, 0.1, text},         {4, -0.1, text}, {1e300, 1e300, text}, {5, 0, text},
                           {5, 5e-324, "\xe2\x82"}, {4, 0.5, ""}};
    plan_tensor tensors[] = {{text, text, 0, 100, -1, HUGE_VAL},
                             {"blk.999999999.attn_q.weight", "T", UINT64_MAX, 0, 1e300, 1e300},
                             {"blk.99999999999999999999.attn_q", "T", 1, UINT64_MAX, 0, NAN},
                             {"blk..weight", "", 0, 0, 0, 0},
                             {"", "U", 1, 1, 1, 1}};
    plot_curve curves[] = {{text, points, COUNT(points), 0}, {text, points, COUNT(points), 1}, {NULL, NULL, 0, 1}};
    plot_chart chart = {text, text, curves, 3, &points[7], NULL};
    return plot_frontier(&chart, tensors, COUNT(tensors), len);
}

static char *draw_nothing(uint64_t *len)
{
    plot_chart chart = {"", "", NULL, 0, NULL, NULL};
    return plot_frontier(&chart, NULL, 0, len);
}

/* More tensors, types, points and labels than there is room for. */
static char *draw_much(uint64_t *len)
{
    enum { POINTS = 5000, TENSORS = 3000, NAME = 64 };
    plot_point *points = calloc(POINTS, sizeof *points);
    plan_tensor *tensors = calloc(TENSORS, sizeof *tensors);
    char(*names)[NAME] = calloc(TENSORS, sizeof *names);
    if (!points || !tensors || !names)
        exit(EXIT_FAILURE);
    for (int i = 0; i < POINTS; i++)
        points[i] = (plot_point){3 + i * 1e-3, exp(-i * 1e-3), i % 7 ? NULL : "label"};
    for (int i = 0; i < TENSORS; i++) {
        static const char *const types[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"};
        snprintf(names[i], NAME, "blk.%d.a_very_long_kind_of_a_tensor_number_%d", i / 3, i % 3);
        tensors[i] = (plan_tensor){names[i], types[i % 12], 1000, 500 + 10 * (uint64_t)(i % 12), 1, 1};
    }
    plot_curve curves[40];
    for (int i = 0; i < 40; i++)
        curves[i] = (plot_curve){"curve", points, i < 2 ? POINTS : 10, i % 2};
    plot_chart chart = {"much", "", curves, 40, NULL, NULL};
    char *text = plot_frontier(&chart, tensors, TENSORS, len);
    free(names);
    free(tensors);
    free(points);
    return text;
}

static const struct picture {
    const char *name;
    char *(*draw)(uint64_t *len);
    int is_golden;
} pictures[] = {{"plot_frontier.svg", draw_frontier, 1}, {"plot_series.svg", draw_series, 1},
                {"plot_speed.svg", draw_speed, 1},       {"plot_odd.svg", draw_odd, 0},
                {"plot_nothing.svg", draw_nothing, 0},   {"plot_much.svg", draw_much, 0}};

START_TEST(pictures_are_the_committed_ones)
{
    const struct picture *p = &pictures[_i];
    uint64_t len, len_again;
    char *text = p->draw(&len), *again = p->draw(&len_again), path[512];
    ck_assert_ptr_nonnull(text);
    ck_assert_ptr_nonnull(again);
    ck_assert_uint_eq(len, strlen(text));
    ck_assert_str_eq(text, again);
    ck_assert_ptr_null(strstr(text, "nan"));
    ck_assert_ptr_null(strstr(text, "inf"));
    if (p->is_golden) {
        snprintf(path, sizeof path, "%s/%s", Q35T_SOURCE_DIR, p->name);
        size_t size;
        char *want = (char *)q35t_read_file(path, &size);
        ck_assert_msg(size == len && memcmp(want, text, (size_t)len) == 0, "%s: not as committed", p->name);
        free(want);
    }
    free(again);
    free(text);
}
END_TEST

START_TEST(plots_appear_whole)
{
    char path[Q35T_PATH_BYTES];
    uint64_t len;
    struct stat st;
    q35t_temp_path(path, "none/out.svg");
    char *text = draw_series(&len);
    ck_assert_int_eq(plot_write(path, text, len), CLI_EXIT_FAILED);
    ck_assert_ptr_nonnull(strstr(message, "plot "));
    ck_assert_int_eq(plot_write(path, NULL, 0), CLI_EXIT_NOFIT);
    q35t_temp_path(path, "out.svg");
    text = draw_series(&len);
    ck_assert_int_eq(plot_write(path, text, len), 0);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq((uint64_t)st.st_size, len);
    ck_assert_int_eq(q35t_temp_dir_count(), 1);
}
END_TEST

static void make_dir(void)
{
    q35t_temp_dir_create();
}

static void remove_dir(void)
{
    ck_assert_int_eq(q35t_temp_dir_remove(), 0);
}

START_TEST(numbers)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},         {1, "1"},         {0.123456, "0.123"},  {0.0999, "0.0999"},
                 {0.09996, "0.1"}, {9.999, "10"},    {3.75, "3.75"},       {12.34, "12.3"},
                 {1234, "1234"},   {1e-4, "0.0001"}, {9.999e-5, "0.0001"}, {1.25e-7, "1.25e-7"},
                 {-1, "0"},        {NAN, "0"},       {5e-324, "0"}};
    for (size_t i = 0; i < COUNT(cases); i++)
        ck_assert_str_eq(plot_significant(cases[i].value).text, cases[i].text);
    ck_assert_str_eq(plot_fixed(-0.056, 2).text, "-0.06");
    ck_assert_str_eq(plot_fixed(-0.001, 2).text, "0.00");
    ck_assert_str_eq(plot_fixed(41.5, 0).text, "42");
    ck_assert_str_eq(plot_fixed(3.0625, 3).text, "3.063");
}
END_TEST

static void expect_ticks(plot_axis axis, const char *want)
{
    plot_tick ticks[PLOT_TICKS];
    char text[512] = "";
    int n = plot_ticks(&axis, ticks);
    for (int i = 0; i < n; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s ", ticks[i].text.text);
    ck_assert_str_eq(text, want);
}

START_TEST(ticks)
{
    expect_ticks((plot_axis){3.5, 8.5, 0, 1, 0, 0}, "3.5 4.0 4.5 5.0 5.5 6.0 6.5 7.0 7.5 8.0 8.5 ");
    expect_ticks((plot_axis){3.501, 3.511, 0, 1, 0, 0}, "3.502 3.504 3.506 3.508 3.510 ");
    expect_ticks((plot_axis){0, 16, 0, 1, 0, 0}, "0 2 4 6 8 10 12 14 16 ");
    expect_ticks((plot_axis){0.95, 2.05, 0, 1, 0, 1}, "1 2 ");
    expect_ticks((plot_axis){0.009, 0.3, 0, 1, 1, 0}, "0.01 0.02 0.05 0.1 0.2 ");
    expect_ticks((plot_axis){1e-6, 10, 0, 1, 1, 0}, "1e-6 1e-5 0.0001 0.001 0.01 0.1 1 10 ");
    expect_ticks((plot_axis){0.1, 0.2, 0, 1, 1, 0}, "0.10 0.11 0.12 0.13 0.14 0.15 0.16 0.17 0.18 0.19 0.20 ");
    plot_axis log_axis = {0.01, 1, 100, 0, 1, 0};
    ck_assert_double_eq_tol(plot_pixel(&log_axis, 0.1), 50, 1e-9);
    ck_assert_double_eq(plot_pixel(&log_axis, 0), 100);
    ck_assert_double_eq(plot_pixel(&log_axis, 7), 0);
}
END_TEST

START_TEST(places)
{
    plan_place p = plan_place_of("blk.12.attn_k.weight");
    ck_assert_str_eq(p.kind, "attn_k");
    ck_assert_int_eq(p.layer, 12);
    p = plan_place_of("blk.12");
    ck_assert_str_eq(p.kind, "blk.12");
    ck_assert_int_eq(p.layer, PLAN_NO_LAYER);
    p = plan_place_of(".weight");
    ck_assert_str_eq(p.kind, ".weight");
    p = plan_place_of("blk.1234567890.x.bias\n");
    ck_assert_str_eq(p.kind, "blk.1234567890.x.bias?");
    p = plan_place_of("a_name_of_more_than_forty_characters_is_cut");
    ck_assert_str_eq(p.kind, "a_name_of_more_than_forty_characters_is");
}
END_TEST

static void expect_table(const plan_tensor *tensors, uint64_t n, int detail, const char *want)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(plan_table_print(out, tensors, n, detail), 0);
    fclose(out);
    ck_assert_str_eq(text, want);
    free(text);
}

START_TEST(table)
{
    expect_table(plan, COUNT(plan), 0,
                 "kind        type       tensors  M weights   share    bits        MB  KL alone     per M        "
                 "KL   share\n"
                 "token_embd  Q8_0             1      28.31  47.8 %   8.500     30.08   0.02100   0.00074   "
                 "0.00010   3.0 %\n"
                 "attn_q      pair-row         2       0.66   1.1 %   3.556      0.29   0.00050   0.00075   "
                 "0.00050  15.1 %\n"
                 "attn_v      pair8-row        1       0.11   0.2 %   4.148      0.06   0.00080   0.00723   "
                 "0.00020   6.0 %\n"
                 "attn_v      Q6_K             1       0.11   0.2 %   6.562      0.09   0.00310   0.02803   "
                 "0.00002   0.6 %\n"
                 "ffn_down    pair-row         1       0.88   1.5 %   3.514      0.39   0.00150   0.00170   "
                 "0.00150  45.2 %\n"
                 "ffn_down    pair8-row        1       0.88   1.5 %   4.125      0.46   0.00400   0.00452   "
                 "0.00100  30.1 %\n"
                 "output      F16              1      28.31  47.8 %  16.000     56.62         -         -         "
                 "-       -\n"
                 "total                        8      59.28 100.0 %  11.875     87.99   0.03090   0.00100   "
                 "0.00332 100.0 %\n");
    expect_table(
        plan + 3, 3, 1,
        "type       M weights    bits  KL alone     per M        KL   share  tensor\n"
        "pair-row       0.332   3.556  0.000200  0.000603  0.000200  14.3 %  blk.1.attn_q.weight\n"
        "pair8-row      0.111   4.148  0.000800  0.007234  0.000200  14.3 %  blk.1.attn_v.weight\n"
        "pair8-row      0.885   4.125  0.004000  0.004521  0.001000  71.4 %  blk.0.ffn_down.weight\n"
        "\n"
        "kind      type       tensors  M weights   share    bits        MB  KL alone     per M        KL   share\n"
        "attn_q    pair-row         1       0.33  25.0 %   3.556      0.15   0.00020   0.00060   0.00020  14.3 %\n"
        "attn_v    pair8-row        1       0.11   8.3 %   4.148      0.06   0.00080   0.00723   0.00020  14.3 %\n"
        "ffn_down  pair8-row        1       0.88  66.7 %   4.125      0.46   0.00400   0.00452   0.00100  71.4 %\n"
        "total                      3       1.33 100.0 %   3.985      0.66   0.00500   0.00377   0.00140 100.0 "
        "%\n");
    expect_table(
        plan + 7, 1, 1,
        "type  M weights    bits  KL alone     per M        KL   share  tensor\n"
        "F16      28.312  16.000         -         -         -       -  output.weight\n"
        "\n"
        "kind    type  tensors  M weights   share    bits        MB  KL alone     per M        KL   share\n"
        "output  F16         1      28.31 100.0 %  16.000     56.62         -         -         -       -\n"
        "total               1      28.31 100.0 %  16.000     56.62         -         -         -       -\n");
    expect_table(
        NULL, 0, 0,
        "kind  type  tensors  M weights   share    bits        MB  KL alone     per M        KL   share\n"
        "total              0       0.00   0.0 %   0.000      0.00         -         -         -       -\n");
}
END_TEST

static int write_pictures(const char *folder)
{
    for (size_t i = 0; i < COUNT(pictures); i++) {
        char path[512];
        uint64_t len;
        char *text = pictures[i].draw(&len);
        snprintf(path, sizeof path, "%s/%s", folder, pictures[i].name);
        if (plot_write(path, text, len) != 0) {
            fprintf(stderr, "%s\n", message);
            return EXIT_FAILURE;
        }
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return write_pictures(argv[1]);
    Suite *suite = suite_create("plot");
    TCase *tcase = tcase_create("plot");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, pictures_are_the_committed_ones, 0, (int)COUNT(pictures));
    tcase_add_test(tcase, numbers);
    tcase_add_test(tcase, ticks);
    tcase_add_test(tcase, places);
    tcase_add_test(tcase, table);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("files");
    tcase_add_checked_fixture(tcase, make_dir, remove_dir);
    tcase_add_test(tcase, plots_appear_whole);
    suite_add_tcase(suite, tcase);
    return q35t_run(suite);
}
