/* SPDX-License-Identifier: Apache-2.0
 *
 * The windows of a calibration: running text and conversations in turn, every byte of the text once. */
#define _GNU_SOURCE
#include "support/expect.h"
#include "support/suite.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include "runtime/base/alloc.h"
#include "runtime/session/convert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char path[Q35T_PATH_BYTES], text[40000];
static q35_model *model;
static q35_convert_options options;
static q35i_conversion c;

/* The same model without a chat format: its key gets another name. */
static void hide_template(void)
{
    static const char key[] = "tokenizer.chat_template";
    FILE *f = fopen(path, "r+b");
    ck_assert_ptr_nonnull(f);
    char *bytes = malloc(1 << 20);
    ck_assert_ptr_nonnull(bytes);
    size_t n = fread(bytes, 1, 1 << 20, f);
    char *at = memmem(bytes, n, key, strlen(key));
    ck_assert_ptr_nonnull(at);
    ck_assert_int_eq(fseek(f, at - bytes, SEEK_SET), 0);
    ck_assert_int_eq(fputc('T', f), 'T');
    fclose(f);
    free(bytes);
}

static void setup(void)
{
    const q35t_tiny_options shape = q35t_tiny_options_default();
    q35t_temp_dir_create();
    q35t_temp_path(path, "model.gguf");
    EXPECT_OK(q35t_tiny_model_write(path, &shape));
    options = q35_convert_options_default();
    options.calibration_text = text;
    c = (q35i_conversion){.options = &options};
    /* Numbered words in paragraphs, so that a token tells where it was. */
    size_t n = 0;
    for (unsigned i = 0; n + 16 < sizeof text; i++)
        n += (size_t)sprintf(text + n, "w%05u%s", i, i % 40 == 39 ? "\n\n" : " ");
    options.calibration_len = n;
}

static q35_status read_windows(void)
{
    EXPECT_OK(q35_model_open(path, &model));
    c.in = model;
    return q35i_calibration_read(&c);
}

static void teardown(void)
{
    q35i_free(c.ids);
    q35_model_close(model);
    model = NULL;
    ck_assert_int_eq(q35t_temp_dir_remove(), 0);
}

static int is_chat(uint64_t window)
{
    for (uint64_t i = 0; i < Q35I_WINDOW; i++)
        if (c.ids[window * Q35I_WINDOW + i] < Q35T_TINY_BYTE)
            return 1;
    return 0;
}

static uint64_t count_chats(void)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < c.n_windows; i++)
        n += (uint64_t)is_chat(i);
    return n;
}

START_TEST(test_kinds)
{
    EXPECT_OK(read_windows());
    ck_assert_uint_ge(c.n_windows, 20);
    ck_assert_uint_eq(c.result.calibration_tokens, c.n_windows * Q35I_WINDOW);
    uint64_t chats = count_chats(), first = 0;
    ck_assert_uint_gt(chats, 4);
    ck_assert_uint_lt(chats, c.n_windows);
    for (uint64_t i = 0; i < c.n_windows; i++)
        if (is_chat(i)) {
            ck_assert_int_eq(c.ids[i * Q35I_WINDOW], Q35T_TINY_IM_START); /* a conversation begins */
            first += i < c.n_windows / 2;
        }
    ck_assert_uint_ge(first + 1, chats / 2); /* half of them in the first half */
    ck_assert_uint_le(first, chats / 2 + 1);
}
END_TEST

START_TEST(test_no_format)
{
    hide_template();
    EXPECT_OK(read_windows());
    ck_assert_uint_eq(count_chats(), 0);
    ck_assert_uint_gt(c.n_windows, 40);
}
END_TEST

/* Too little behind the first piece for a conversation: it stays running text. */
START_TEST(test_short)
{
    options.calibration_len = 2900;
    EXPECT_OK(read_windows());
    uint64_t with = c.n_windows;
    ck_assert_uint_eq(count_chats(), 0);
    ck_assert_uint_ge(with, 2);
}
END_TEST

START_TEST(test_too_short)
{
    options.calibration_len = 100;
    EXPECT_FAILURE(read_windows(), Q35_E_INVALID, "calibration text: 100 bytes, ");
}
END_TEST

/* No paragraph, no space, characters of several bytes at every cut. */
START_TEST(test_one_word)
{
    for (size_t i = 0; i + 2 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    options.calibration_len = 30000;
    EXPECT_OK(read_windows());
    ck_assert_uint_gt(count_chats(), 0);
    for (uint64_t i = 0, lead = Q35T_TINY_BYTE + 0xc3; i + 1 < c.n_windows * Q35I_WINDOW; i++)
        if ((uint64_t)c.ids[i] == lead && (i + 1) % Q35I_WINDOW != 0)
            ck_assert_int_eq(c.ids[i + 1], Q35T_TINY_BYTE + 0xa9);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("calibrate");
    TCase *tc = tcase_create("calibrate");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_kinds);
    tcase_add_test(tc, test_no_format);
    tcase_add_test(tc, test_short);
    tcase_add_test(tc, test_too_short);
    tcase_add_test(tc, test_one_word);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
