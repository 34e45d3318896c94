/* SPDX-License-Identifier: Apache-2.0
 *
 * Conversion and verification of tiny models through the public interface: what the file holds, that it repeats,
 * and that every kind of bad input ends with a sentence and without a file. */
#define _GNU_SOURCE
#include "runtime/quant/certificate.h"
#include "support/alloc_sweep.h"
#include "support/cpu_runtime.h"
#include "support/expect.h"
#include "support/suite.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"
#include "support/whole_file.h"

#include <fcntl.h>
#include <math.h>
#include <q35rt/blocks.h>
#include <q35rt/q35rt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char source_path[Q35T_PATH_BYTES], out_path[Q35T_PATH_BYTES], other_path[Q35T_PATH_BYTES];
static char text[6000];
static q35_runtime *runtime;
static q35_model *source;

static void use_source(const q35t_tiny_options *options)
{
    q35_model_close(source);
    EXPECT_OK(q35t_tiny_model_write(source_path, options));
    EXPECT_OK(q35_model_open(source_path, &source));
}

static void setup(void)
{
    const q35t_tiny_options options = q35t_tiny_options_default();
    q35t_temp_dir_create();
    q35t_temp_path(source_path, "source.gguf");
    q35t_temp_path(out_path, "out.gguf");
    q35t_temp_path(other_path, "other.gguf");
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + (i * i + i / 13) % 26);
    use_source(&options);
    runtime = q35t_cpu_runtime(2);
}

static void teardown(void)
{
    q35_runtime_destroy(runtime);
    q35_model_close(source);
    source = NULL;
    unlink(source_path);
    unlink(out_path);
    unlink(other_path);
    ck_assert_int_eq(q35t_temp_dir_count(), 0); /* no temporary file survives */
    ck_assert_int_eq(q35t_temp_dir_remove(), 0);
}

static q35_convert_options options_for(uint32_t codec, int calibrate)
{
    q35_convert_options options = q35_convert_options_default();
    options.method = calibrate ? Q35_METHOD_FAST : Q35_METHOD_PLAIN;
    options.codec = codec;
    options.overwrite = 1;
    if (calibrate) {
        options.calibration_text = text;
        options.calibration_len = sizeof text;
    }
    return options;
}

static q35_convert_result convert(q35_runtime *r, const char *path, const q35_convert_options *options)
{
    q35_convert_result result;
    EXPECT_OK(q35_convert(r, source, path, options, &result));
    return result;
}

static void assert_same_files(const char *a, const char *b, int same)
{
    size_t na, nb;
    char *da = q35t_read_file(a, &na), *db = q35t_read_file(b, &nb);
    ck_assert_int_eq(na == nb && memcmp(da, db, na) == 0, same);
    free(da);
    free(db);
}

/* Where the tensor's data begin in the file. */
static long offset_in(const char *path, const q35_tensor_info *t)
{
    size_t bytes, at = 0;
    char *data = q35t_read_file(path, &bytes);
    while (at + t->bytes <= bytes && memcmp(data + at, t->data, t->bytes) != 0)
        at++;
    ck_assert_msg(at + t->bytes <= bytes, "%s is not in %s", t->name, path);
    free(data);
    return (long)at;
}

static void no_file(const char *path)
{
    ck_assert_msg(access(path, F_OK) != 0, "%s exists", path);
}

static void count_ok(void *user, const q35_verify_report *report)
{
    int *counts = user; /* ok, failed */
    counts[report->ok ? 0 : 1]++;
    ck_assert(report->output_bound >= report->max_error);
    ck_assert_int_eq(report->ok, report->problem[0] == '\0');
}

static q35_convert_options feedback_options(void)
{
    q35_convert_options options = options_for(Q35_CODEC_PAIR, 1);
    options.method = Q35_METHOD_FEEDBACK;
    return options;
}

/* Loop over codec and calibration, then error feedback. */
START_TEST(file_is_complete)
{
    int feedback = _i == 4;
    uint32_t codec = _i & 1 ? Q35_CODEC_SPLIT : Q35_CODEC_PAIR, dtype = feedback ? Q35_DT_Q35_ROW
                                                                        : _i & 1 ? Q35_DT_Q35_SPLIT
                                                                                 : Q35_DT_Q35_PAIR;
    q35_convert_options options = feedback ? feedback_options() : options_for(codec, _i >> 1);
    q35_model *file;
    q35_model_config a, b;
    uint64_t n_linear = 0, weights = 0, padded = 0, tokens;
    int counts[2] = {0};
    q35_convert_result result = convert(runtime, out_path, &options);
    EXPECT_OK(q35_model_open(out_path, &file));
    EXPECT_OK(q35_model_read_config(source, &a));
    EXPECT_OK(q35_model_read_config(file, &b));
    ck_assert_mem_eq(&a, &b, sizeof a);
    ck_assert_uint_eq(q35_model_n_tensors(file), q35_model_n_tensors(source));
    for (uint64_t i = 0; i < q35_model_n_tensors(file); i++) {
        const q35_tensor_info *t = q35_model_tensor_at(file, i), *s = q35_model_tensor_at(source, i);
        ck_assert_str_eq(t->name, s->name);
        ck_assert_mem_eq(t->dim, s->dim, sizeof t->dim);
        if (strncmp(t->name, "blk.", 4) == 0 && t->rank == 2) {
            ck_assert_uint_eq(t->dtype, dtype);
            ck_assert(t->relative_error > 0 && t->relative_error < 0.05);
            ck_assert_uint_eq(t->checksum, q35i_checksum(t->data, t->bytes));
            n_linear++;
            weights += (uint64_t)t->dim[0] * (uint64_t)t->dim[1];
            padded += t->bytes;
        } else if (t->rank == 2) {
            ck_assert_uint_eq(t->dtype, Q35_DT_Q8_0); /* F32 in the source */
        } else {
            ck_assert_uint_eq(t->dtype, s->dtype);
            ck_assert_mem_eq(t->data, s->data, t->bytes);
        }
    }
    ck_assert_uint_eq(result.tensors, n_linear);
    ck_assert_uint_eq(result.weights, weights);
    ck_assert_uint_eq(result.padded_bytes, padded);
    if (!feedback)
        ck_assert_uint_eq(result.weight_bytes * 8 * 128 / weights, codec == Q35_CODEC_PAIR ? 464 : 480);
    ck_assert_uint_eq(result.file_bytes, q35_model_file_bytes(file));
    ck_assert(result.relative_error > 0 && result.relative_error < 0.05);
    ck_assert(q35_meta_u64(q35_model_meta(file, "q35.calibration_tokens"), &tokens));
    ck_assert_uint_eq(tokens, result.calibration_tokens);
    ck_assert_uint_eq(tokens % 512, 0);
    ck_assert_int_eq(tokens > 0, _i >= 2);
    ck_assert_ptr_null(q35_model_meta(file, "general.file_type"));
    EXPECT_OK(q35_verify(runtime, file, NULL, count_ok, counts));
    EXPECT_OK(q35_verify(runtime, file, source, count_ok, counts));
    ck_assert_int_eq(counts[0], (int)(2 * n_linear));
    q35_model_close(file);
}
END_TEST

/* Loop over fast and error feedback. */
START_TEST(same_bytes_again_and_for_any_thread_count)
{
    q35_convert_options options = _i ? feedback_options() : options_for(Q35_CODEC_PAIR, 1);
    convert(runtime, out_path, &options);
    convert(runtime, other_path, &options);
    assert_same_files(out_path, other_path, 1);
    for (uint32_t threads = 1; threads <= 5; threads += 2) {
        q35_runtime *r = q35t_cpu_runtime(threads);
        convert(r, other_path, &options);
        q35_runtime_destroy(r);
        assert_same_files(out_path, other_path, 1);
    }
    options.seed = 99;
    convert(runtime, other_path, &options);
    assert_same_files(out_path, other_path, 0);
}
END_TEST

/* Each type of source: linears become 3.5-bit, quantised embeddings stay as they are. */
START_TEST(source_types)
{
    static const uint32_t types[] = {Q35_DT_F32, Q35_DT_F16, Q35_DT_BF16, Q35_DT_Q8_0, Q35_DT_Q4_0, Q35_DT_Q4_1};
    q35t_tiny_options tiny = q35t_tiny_options_default();
    q35_convert_options options = options_for(Q35_CODEC_PAIR, 0);
    int counts[2] = {0};
    q35_model *file;
    tiny.dtype = tiny.embed_dtype = types[_i];
    tiny.tied = 0;
    use_source(&tiny);
    convert(runtime, out_path, &options);
    EXPECT_OK(q35_model_open(out_path, &file));
    EXPECT_OK(q35_verify(runtime, file, source, count_ok, counts));
    ck_assert_int_eq(counts[0], 14);
    uint32_t want = _i < 3 ? (uint32_t)Q35_DT_Q8_0 : types[_i];
    const q35_tensor_info *head = q35_model_tensor(file, "output.weight");
    ck_assert_uint_eq(q35_model_tensor(file, "token_embd.weight")->dtype, want);
    ck_assert_uint_eq(head->dtype, want);
    if (_i >= 3)
        ck_assert_mem_eq(head->data, q35_model_tensor(source, "output.weight")->data, head->bytes);
    q35_model_close(file);
}
END_TEST

/* Any one byte of codes or scales changed: exactly that tensor fails. */
START_TEST(flipped_byte_fails)
{
    q35_convert_options options = options_for(_i & 1 ? Q35_CODEC_SPLIT : Q35_CODEC_PAIR, 0);
    q35_model *file;
    convert(runtime, out_path, &options);
    EXPECT_OK(q35_model_open(out_path, &file));
    const q35_tensor_info *t = q35_model_tensor(file, "blk.1.ffn_up.weight");
    long at = offset_in(out_path, t) + (long)t->bytes * _i / 8;
    q35_model_close(file);
    int fd = open(out_path, O_RDWR), counts[2] = {0};
    uint8_t byte;
    ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
    byte ^= (uint8_t)(1 << _i);
    ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
    close(fd);
    EXPECT_OK(q35_model_open(out_path, &file));
    EXPECT_FAILURE(q35_verify(runtime, file, NULL, count_ok, counts), Q35_E_FORMAT, "1 of 14");
    ck_assert_int_eq(counts[1], 1);
    q35_model_close(file);
}
END_TEST

/* Any byte anywhere in the file: it does not open, or does not verify. */
START_TEST(any_flipped_byte_is_seen)
{
    q35_convert_options options = options_for(Q35_CODEC_PAIR, 0);
    q35_model *file;
    convert(runtime, out_path, &options);
    int fd = open(out_path, O_RDWR);
    long end = (long)lseek(fd, 0, SEEK_END);
    ck_assert_int_gt(end, 10000);
    for (long at = 0; at < end; at += at < 2000 ? 7 : 101) {
        uint8_t byte, changed;
        ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
        changed = byte ^ (uint8_t)(1 << at % 8);
        ck_assert_int_eq(pwrite(fd, &changed, 1, at), 1);
        if (q35_model_open(out_path, &file) == Q35_OK) {
            ck_assert_msg(q35_verify(runtime, file, NULL, NULL, NULL) == Q35_E_FORMAT, "byte %ld", at);
            q35_model_close(file);
        }
        ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
    }
    close(fd);
    EXPECT_OK(q35_model_open(out_path, &file));
    EXPECT_OK(q35_verify(runtime, file, NULL, NULL, NULL));
    q35_model_close(file);
}
END_TEST

/* A file of one model does not verify against another. */
START_TEST(other_source_fails)
{
    q35t_tiny_options tiny = q35t_tiny_options_default();
    q35_convert_options options = options_for(Q35_CODEC_PAIR, 0);
    int counts[2] = {0};
    q35_model *file;
    convert(runtime, out_path, &options);
    EXPECT_OK(q35_model_open(out_path, &file));
    tiny.seed = 2;
    use_source(&tiny);
    ck_assert_int_eq(q35_verify(runtime, file, source, count_ok, counts), Q35_E_FORMAT);
    ck_assert_int_eq(counts[1], 14);
    ck_assert_int_eq(q35_verify(runtime, file, file, NULL, NULL), Q35_E_FORMAT);
    ck_assert_int_eq(q35_verify(runtime, source, NULL, NULL, NULL), Q35_E_FORMAT);
    q35_model_close(file);
}
END_TEST

static void refuse(const q35_model *in, const q35_convert_options *options, q35_status want, const char *needle)
{
    q35_convert_result result;
    EXPECT_FAILURE(q35_convert(runtime, in, out_path, options, &result), want, needle);
    ck_assert_uint_eq(result.weights, 0);
    no_file(out_path);
}

START_TEST(bad_calibration_texts)
{
    q35_convert_options options = options_for(Q35_CODEC_PAIR, 1);
    options.calibration_len = 0;
    refuse(source, &options, Q35_E_INVALID, "0 tokens");
    options.calibration_len = 100;
    refuse(source, &options, Q35_E_INVALID, "100 bytes");
    options.codec = 7;
    refuse(source, &options, Q35_E_INVALID, "codec: 7");
}
END_TEST

START_TEST(already_converted)
{
    q35_convert_options options = options_for(Q35_CODEC_PAIR, 0);
    q35_model *file;
    convert(runtime, other_path, &options);
    EXPECT_OK(q35_model_open(other_path, &file));
    refuse(file, &options, Q35_E_INVALID, "3.5-bit");
    q35_model_close(file);
}
END_TEST

START_TEST(does_not_overwrite)
{
    q35_convert_options options = options_for(Q35_CODEC_PAIR, 0);
    convert(runtime, out_path, &options);
    convert(runtime, other_path, &options);
    options.overwrite = 0;
    ck_assert_int_eq(q35_convert(runtime, source, out_path, &options, NULL), Q35_E_INVALID);
    assert_same_files(out_path, other_path, 1);
}
END_TEST

/* Sets one weight of a tensor in the source file; with calibration and without the conversion names it. */
START_TEST(weights_that_are_not_finite)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    const q35_tensor_info *t = q35_model_tensor(source, _i < 3 ? "blk.1.attn_k.weight" : "token_embd.weight");
    long at = offset_in(source_path, t) + 4 * (3 * (long)t->dim[0] + 5);
    char name[32];
    snprintf(name, sizeof name, "%s", t->name);
    int fd = open(source_path, O_RDWR);
    ck_assert_int_eq(pwrite(fd, &bad[_i % 3], sizeof bad[0], at), sizeof bad[0]);
    close(fd);
    q35_convert_options options = options_for(Q35_CODEC_PAIR, 0);
    refuse(source, &options, Q35_E_FORMAT, name);
    EXPECT_ERROR("row 3, column 5");
    options = options_for(Q35_CODEC_PAIR, 1);
    refuse(source, &options, Q35_E_FORMAT, name);
    options = feedback_options();
    refuse(source, &options, Q35_E_FORMAT, name);
}
END_TEST

typedef struct cancel_at {
    uint32_t stage, calls, last_stage;
    uint64_t last_done;
} cancel_at;

static int on_progress(void *user, uint32_t stage, uint64_t done, uint64_t total)
{
    cancel_at *c = user;
    ck_assert_uint_le(done, total);
    ck_assert_uint_ge(stage, c->last_stage);
    ck_assert(stage > c->last_stage || done >= c->last_done);
    c->last_stage = stage;
    c->last_done = done;
    c->calls++;
    return stage == c->stage;
}

/* Progress runs through the stages in order; cancelling in any of them leaves no file. */
START_TEST(cancelled)
{
    static const uint32_t stages[] = {Q35_STAGE_CALIBRATE, Q35_STAGE_CODEBOOK, Q35_STAGE_QUANTISE,
                                      Q35_STAGE_WRITE};
    cancel_at c = {.stage = stages[_i]};
    q35_convert_options options = options_for(Q35_CODEC_PAIR, 1);
    options.progress = on_progress;
    options.user = &c;
    refuse(source, &options, Q35_E_CANCELLED, "cancelled");
    c = (cancel_at){.stage = UINT32_MAX};
    convert(runtime, out_path, &options);
    ck_assert_uint_eq(c.last_stage, Q35_STAGE_WRITE);
    ck_assert_uint_ge(c.calls, 8);
}
END_TEST

static int on_progress_count(void *user, uint32_t stage, uint64_t done, uint64_t total)
{
    int *left = user;
    (void)stage;
    (void)done;
    (void)total;
    return --*left == 0;
}

/* Cancelled after any number of steps and run again: the bytes of an undisturbed conversion, and no journal left.
 */
START_TEST(goes_on_where_it_stopped)
{
    q35_convert_options options = feedback_options();
    convert(runtime, other_path, &options);
    q35_status status = Q35_E_CANCELLED;
    for (int after = 2 + _i; status != Q35_OK; after += 19) {
        int left = after;
        q35_convert_result result;
        options.progress = on_progress_count;
        options.user = &left;
        status = q35_convert(runtime, source, out_path, &options, &result);
        if (status != Q35_OK)
            ck_assert_uint_eq(status, Q35_E_CANCELLED);
        options.progress = NULL;
        convert(runtime, out_path, &options);
        assert_same_files(out_path, other_path, 1);
        unlink(out_path);
    }
}
END_TEST

/* Each allocation fails in turn: NOMEM, no file, nothing leaked (under ASan), until the conversion gets through.
 */
START_TEST(out_of_memory)
{
    q35_convert_options options = options_for(Q35_CODEC_PAIR, 0);
    q35t_alloc_sweep sweep = {.limit = 100000};
    while (q35t_alloc_sweep_next(&sweep)) {
        q35t_alloc_sweep_end(&sweep, q35_convert(runtime, source, out_path, &options, NULL));
        if (sweep.status != Q35_OK)
            no_file(out_path);
    }
    ck_assert_uint_gt(sweep.n, 20);
}
END_TEST

START_TEST(unwritable_output)
{
    q35_convert_options options = options_for(Q35_CODEC_PAIR, 0);
    EXPECT_FAILURE(q35_convert(runtime, source, "/nonexistent/folder/x.gguf", &options, NULL), Q35_E_IO,
                   "/nonexistent/folder");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("convert");
    TCase *t = tcase_create("convert");
    tcase_set_timeout(t, 900);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, file_is_complete, 0, 5);
    tcase_add_loop_test(t, same_bytes_again_and_for_any_thread_count, 0, 2);
    tcase_add_loop_test(t, source_types, 0, 6);
    tcase_add_loop_test(t, flipped_byte_fails, 0, 8);
    tcase_add_test(t, any_flipped_byte_is_seen);
    tcase_add_test(t, other_source_fails);
    tcase_add_test(t, bad_calibration_texts);
    tcase_add_test(t, already_converted);
    tcase_add_test(t, does_not_overwrite);
    tcase_add_loop_test(t, weights_that_are_not_finite, 0, 6);
    tcase_add_loop_test(t, cancelled, 0, 4);
    tcase_add_loop_test(t, goes_on_where_it_stopped, 0, 3);
    tcase_add_test(t, out_of_memory);
    tcase_add_test(t, unwritable_output);
    suite_add_tcase(s, t);
    return q35t_run(s);
}
