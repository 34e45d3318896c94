/* SPDX-License-Identifier: Apache-2.0
 *
 * Base files: what the two-byte form of logits costs, round trips, and a message for every way in which a file can
 * be wrong. The program's cli_fail is replaced by one that keeps the message. */
#define _GNU_SOURCE
#include "cli/fail_recorder.h"
#include "runtime/apps/cli/cli.h"
#include "runtime/apps/cli/eval_base.h"
#include "runtime/apps/cli/eval_code.h"
#include "runtime/apps/cli/score.h"
#include "support/rng.h"
#include "support/suite.h"
#include "support/temp_dir.h"
#include "support/whole_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

enum { VOCAB = 50, WINDOW = 9, WINDOWS = 3, ROWS = WINDOWS * (WINDOW - WINDOW / 2) };

static char path[Q35T_PATH_BYTES];

/* Logits of one row, different in every row. */
static void make_row(float out[VOCAB], uint64_t row)
{
    q35t_rng rng = q35t_rng_seed(row + 1);
    for (uint32_t i = 0; i < VOCAB; i++)
        out[i] = 12 * q35t_rng_signed(&rng);
}

static eval_base_head make_head(void)
{
    return (eval_base_head){.vocab = VOCAB,
                            .window = WINDOW,
                            .act = 1,
                            .kv = 2,
                            .layers = 2,
                            .hidden = 64,
                            .n_windows = WINDOWS,
                            .model_hash = 11,
                            .vocab_hash = 12,
                            .name = "model.gguf"};
}

static int32_t make_id(uint64_t i)
{
    return (int32_t)(i * 7 % VOCAB);
}

static void write_base(const eval_base_head *head)
{
    eval_base_writer writer;
    int32_t ids[WINDOWS * WINDOW];
    float row[VOCAB];
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < WINDOWS * WINDOW; i++)
        ids[i] = make_id(i);
    ck_assert_int_eq(eval_base_create(&writer, path, head, ids), 0);
    for (uint64_t r = 0; r < ROWS; r++) {
        make_row(row, r);
        double norm = score_log_sum_exp(row, VOCAB);
        ck_assert_int_eq(eval_base_put(&writer, row, norm, norm - (double)row[3]), 0);
    }
    ck_assert_int_eq(eval_base_finish(&writer, &bytes), 0);
    ck_assert_uint_eq(bytes, 256 + 4 * WINDOWS * WINDOW + 8 + ROWS * (12 + 2 * VOCAB + 8) + 24);
    eval_base_discard(&writer);
}

/* Reads all of the file at path. 0, or -1 with the message. */
static int read_base(char error[200])
{
    eval_base base;
    int rc = eval_base_open(&base, path);
    for (uint64_t r = 0; r < base.head.n_windows * eval_rows(base.head.window) && rc == 0; r++)
        rc = eval_base_next(&base);
    memcpy(error, base.error, sizeof base.error);
    eval_base_close(&base);
    return rc;
}

START_TEST(codes_are_close)
{
    enum { N = 4096 };
    static float x[N], y[N];
    static uint16_t codes[N];
    static const float widths[] = {0, 1e-30f, 1, 15, 200, 1e30f, 3e38f};
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        q35t_rng rng = q35t_rng_seed(w);
        for (uint32_t i = 0; i < N; i++)
            x[i] = widths[w] * q35t_rng_signed(&rng);
        float span;
        eval_encode(x, N, codes, &span);
        eval_decode(codes, N, span, y);
        uint32_t top = score_top(x, N);
        ck_assert(isfinite(span) && span >= 0 && codes[top] == 0 && y[top] == 0);
        ck_assert_uint_eq(score_top(y, N), top);
        for (uint32_t i = 0; i < N && widths[w] < 1e30f; i++) {
            /* Half a step at this distance, (2 sqrt(d span) + span / 65535) / 65535 / 2, and float rounding. */
            double d = (double)x[top] - (double)x[i], s = (double)span;
            double most = (sqrt(d * s) + s / 65535) / 65535 + 1e-6 * s;
            ck_assert_msg(fabs(d + (double)y[i]) <= most, "width %g: %g off, %g allowed", (double)widths[w],
                          d + (double)y[i], most);
        }
    }
}
END_TEST

/* A model's shape of logits: a few likely tokens far above thousands of unlikely ones, and one far below all. */
START_TEST(stored_divergence_is_small)
{
    enum { N = 50000 };
    static float x[N], y[N];
    static uint16_t codes[N];
    static const float outlier[] = {0, -100, -3000};
    for (size_t o = 0; o < 3; o++) {
        q35t_rng rng = q35t_rng_seed(o);
        for (uint32_t i = 0; i < N; i++)
            x[i] = 2 * (q35t_rng_signed(&rng) + q35t_rng_signed(&rng) + q35t_rng_signed(&rng));
        for (uint32_t i = 0; i < 20; i++)
            x[i * 17] = 12 + 4 * q35t_rng_signed(&rng);
        x[N / 2] = outlier[o];
        float span;
        eval_encode(x, N, codes, &span);
        eval_decode(codes, N, span, y);
        double kl = score_divergence(y, score_log_sum_exp(y, N), x, score_log_sum_exp(x, N), N);
        ck_assert_msg(kl <= (o < 2 ? 1e-7 : 1e-6), "outlier %g: divergence %g", (double)outlier[o], kl);
    }
}
END_TEST

START_TEST(round_trip)
{
    eval_base_head head = make_head();
    eval_base base;
    float row[VOCAB];
    double sum = 0;
    write_base(&head);
    ck_assert_int_eq(q35t_temp_dir_count(), 1);
    ck_assert_int_eq(eval_base_is(path), 1);
    ck_assert_msg(eval_base_open(&base, path) == 0, "%s", base.error);
    ck_assert_uint_eq(base.head.window, WINDOW);
    ck_assert_uint_eq(base.head.model_hash, 11);
    ck_assert_uint_eq(base.head.vocab_hash, 12);
    ck_assert_str_eq(base.head.name, "model.gguf");
    for (uint64_t i = 0; i < WINDOWS * WINDOW; i++)
        ck_assert_int_eq(base.ids[i], make_id(i));
    for (uint64_t r = 0; r < ROWS; r++) {
        make_row(row, r);
        double norm = score_log_sum_exp(row, VOCAB);
        ck_assert_msg(eval_base_next(&base) == 0, "%s", base.error);
        ck_assert(base.loss == norm - (double)row[3]);
        double d = score_divergence(base.logits, score_log_sum_exp(base.logits, VOCAB), row, norm, VOCAB);
        sum += d;
        ck_assert(d <= base.max && d < 1e-7);
    }
    ck_assert(fabs(sum / ROWS - base.mean) < 1e-15);
    ck_assert_int_eq(eval_base_next(&base), -1); /* no row more */
    eval_base_close(&base);
}
END_TEST

START_TEST(every_length_is_refused)
{
    eval_base_head head = make_head();
    char error[200];
    size_t bytes;
    write_base(&head);
    char *data = q35t_read_file(path, &bytes);
    for (size_t n = bytes; n-- > 0;) {
        ck_assert_int_eq(truncate(path, (off_t)n), 0);
        ck_assert_int_eq(read_base(error), -1);
        ck_assert_msg(strstr(error, n < 256 ? "ends within the head" : "cut short"), "%zu bytes: %s", n, error);
        ck_assert_int_eq(eval_base_is(path), n >= 8);
    }
    char *more = calloc(1, bytes + 1);
    memcpy(more, data, bytes);
    q35t_write_file(path, more, bytes + 1);
    ck_assert_int_eq(read_base(error), -1);
    ck_assert_ptr_nonnull(strstr(error, "needed"));
    free(more);
    free(data);
}
END_TEST

static void put_byte(FILE *f, size_t at, char byte)
{
    ck_assert_int_eq(fseek(f, (long)at, SEEK_SET), 0);
    ck_assert_int_ne(fputc((unsigned char)byte, f), EOF);
    ck_assert_int_eq(fflush(f), 0);
}

START_TEST(every_byte_is_checked)
{
    eval_base_head head = make_head();
    char error[200];
    size_t bytes;
    write_base(&head);
    char *data = q35t_read_file(path, &bytes);
    FILE *f = fopen(path, "r+b");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(read_base(error), 0);
    for (size_t i = 0; i < bytes; i++) {
        put_byte(f, i, (char)(data[i] ^ 4));
        ck_assert_msg(read_base(error) == -1, "byte %zu changed, not noticed", i);
        ck_assert_msg(*error, "byte %zu: no message", i);
        put_byte(f, i, data[i]);
    }
    ck_assert_int_eq(read_base(error), 0);
    fclose(f);
    free(data);
}
END_TEST

/* Two rows in each other's place: whole, but not where they belong. */
START_TEST(swapped_rows_are_noticed)
{
    eval_base_head head = make_head();
    enum { ROW = 12 + 2 * VOCAB + 8, FIRST = 256 + 4 * WINDOWS * WINDOW + 8 };
    char error[200], row[ROW];
    size_t bytes;
    write_base(&head);
    char *data = q35t_read_file(path, &bytes);
    memcpy(row, data + FIRST, ROW);
    memcpy(data + FIRST, data + FIRST + ROW, ROW);
    memcpy(data + FIRST + ROW, row, ROW);
    q35t_write_file(path, data, bytes);
    ck_assert_int_eq(read_base(error), -1);
    ck_assert_str_eq(error, "damaged: the checksum of row 0 does not match");
    free(data);
}
END_TEST

/* Wrong values under right checksums: what a hostile file can say. */
START_TEST(values_are_checked)
{
    const struct {
        size_t offset;
        uint32_t value;
        const char *message;
    } cases[] = {
        {offsetof(eval_base_head, version), 2, "version 2 found"},
        {offsetof(eval_base_head, vocab), 0, "vocabulary of 0"},
        {offsetof(eval_base_head, vocab), UINT32_MAX, "vocabulary of 4294967295"},
        {offsetof(eval_base_head, vocab), 10, "needed"},
        {offsetof(eval_base_head, window), 7, "windows of 7"},
        {offsetof(eval_base_head, window), UINT32_MAX, "windows of 4294967295"},
        {offsetof(eval_base_head, act), 2, "numeric path"},
        {offsetof(eval_base_head, kv), 3, "numeric path"},
        {offsetof(eval_base_head, n_windows), 0, "0 windows"},
        {offsetof(eval_base_head, n_windows), UINT32_MAX, "cut short"},
        {offsetof(eval_base_head, n_windows) + 4, UINT32_MAX, "windows found"},
        {offsetof(eval_base_head, name) + 164, UINT32_MAX, "numeric path"},
    };
    eval_base_head head = make_head();
    char error[200];
    size_t bytes;
    write_base(&head);
    char *data = q35t_read_file(path, &bytes);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *copy = malloc(bytes);
        memcpy(copy, data, bytes);
        memcpy(copy + cases[i].offset, &cases[i].value, sizeof cases[i].value);
        uint64_t checksum = XXH3_64bits_withSeed(copy, offsetof(eval_base_head, checksum), 0);
        memcpy(copy + offsetof(eval_base_head, checksum), &checksum, sizeof checksum);
        q35t_write_file(path, copy, bytes);
        ck_assert_int_eq(read_base(error), -1);
        ck_assert_msg(strstr(error, cases[i].message), "case %zu: %s", i, error);
        free(copy);
    }
    free(data);
}
END_TEST

START_TEST(ids_are_checked)
{
    eval_base_head head = make_head();
    eval_base_writer writer;
    int32_t ids[WINDOWS * WINDOW] = {0};
    float row[VOCAB] = {0};
    char error[200];
    uint64_t bytes;
    ids[5] = VOCAB;
    ck_assert_int_eq(eval_base_create(&writer, path, &head, ids), 0);
    for (uint64_t r = 0; r < ROWS; r++)
        ck_assert_int_eq(eval_base_put(&writer, row, log(VOCAB), -1e-17), 0);
    ck_assert_int_eq(eval_base_finish(&writer, &bytes), 0);
    eval_base_discard(&writer);
    ck_assert_int_eq(read_base(error), -1);
    ck_assert_str_eq(error, "token id 50 found, one below 50 needed");
}
END_TEST

START_TEST(unfinished_leaves_nothing)
{
    eval_base_head head = make_head();
    eval_base_writer writer;
    int32_t ids[WINDOWS * WINDOW] = {0};
    ck_assert_int_eq(eval_base_create(&writer, path, &head, ids), 0);
    ck_assert_int_eq(q35t_temp_dir_count(), 1);
    eval_base_discard(&writer);
    ck_assert_int_eq(q35t_temp_dir_count(), 0);
    ck_assert_int_eq(eval_base_create(&writer, "/nowhere/base", &head, ids), CLI_EXIT_FAILED);
    ck_assert_str_eq(message, "base file /nowhere/base: cannot create: No such file or directory");
    eval_base_discard(&writer);
}
END_TEST

static void make_dir(void)
{
    q35t_temp_dir_create();
    q35t_temp_path(path, "base");
}

static void remove_dir(void)
{
    ck_assert_int_eq(q35t_temp_dir_remove(), 0);
}

int main(void)
{
    Suite *suite = suite_create("eval_base");
    TCase *codes = tcase_create("codes"), *files = tcase_create("files");
    tcase_add_test(codes, codes_are_close);
    tcase_add_test(codes, stored_divergence_is_small);
    tcase_set_timeout(files, 60);
    tcase_add_checked_fixture(files, make_dir, remove_dir);
    tcase_add_test(files, round_trip);
    tcase_add_test(files, every_length_is_refused);
    tcase_add_test(files, every_byte_is_checked);
    tcase_add_test(files, swapped_rows_are_noticed);
    tcase_add_test(files, values_are_checked);
    tcase_add_test(files, ids_are_checked);
    tcase_add_test(files, unfinished_leaves_nothing);
    suite_add_tcase(suite, codes);
    suite_add_tcase(suite, files);
    return q35t_run(suite);
}
