/* SPDX-License-Identifier: Apache-2.0
 *
 * The header of safetensors files: what is read from a good one, every rule that a bad one can break, every
 * truncation, random mutations, and memory that runs out. Images lie in memory of exactly their size. */
#include "support/alloc_sweep.h"
#include "support/expect.h"
#include "support/hf_dir.h"
#include "support/rng.h"
#include "support/suite.h"

#include "runtime/model/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUTATIONS 200000
#define A_TENSOR  "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"

/* A file with vectors, a matrix, a scalar, an empty tensor and one of a type that nobody knows. */
static q35t_image good_file(void)
{
    static const uint8_t bytes[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    q35t_st st = {{0}, {0}};
    q35t_st_add(&st, "matrix", "BF16", 2, (const uint64_t[]){2, 3}, bytes, 12);
    q35t_st_add(&st, "none", "F32", 2, (const uint64_t[]){0, 7}, NULL, 0);
    q35t_st_add(&st, "scalar", "F32", 0, NULL, bytes, 4);
    q35t_st_add(&st, "new", "F99_X", 1, (const uint64_t[]){3}, NULL, 5);
    q35t_st_add(&st, "nibbles", "F4", 1, (const uint64_t[]){6}, NULL, 3);
    return q35t_st_finish(&st, 1);
}

static q35_status read(q35i_safetensors *list, const void *data, uint64_t bytes)
{
    *list = (q35i_safetensors){0};
    return q35i_safetensors_read(list, data, bytes);
}

START_TEST(test_reads)
{
    q35i_safetensors list;
    q35t_image file = good_file();
    EXPECT_OK(read(&list, file.data, file.len));
    ck_assert_uint_eq(list.n, 5);
    const q35i_safetensor *t = list.tensors;
    const uint64_t data = file.len - 24;
    ck_assert_str_eq(t[0].name, "matrix");
    ck_assert_str_eq(t[0].dtype, "BF16");
    ck_assert_uint_eq(t[0].rank, 2);
    ck_assert_uint_eq(t[0].shape[0], 2);
    ck_assert_uint_eq(t[0].shape[1], 3);
    ck_assert_uint_eq(t[0].begin, data);
    ck_assert_uint_eq(t[0].end, data + 12);
    ck_assert_str_eq(t[1].name, "none");
    ck_assert_uint_eq(t[1].begin, t[1].end);
    ck_assert_str_eq(t[2].name, "scalar");
    ck_assert_uint_eq(t[2].rank, 0);
    ck_assert_str_eq(t[3].dtype, "F99_X");
    ck_assert_uint_eq(t[4].end, file.len);
    q35i_safetensors_free(&list);
    free(file.data);
}
END_TEST

/* Headers that are fine although unusual. data: bytes of zeros behind them. */
static const struct {
    const char *json;
    uint64_t data, n;
} accepted[] = {
    {"{}", 0, 0},
    {"{\"__metadata__\":{\"format\":\"pt\"}}", 0, 0},
    {"{ " A_TENSOR " }      ", 8, 1},
    {"{\"a\\u00e9\\\"\":{\"data_offsets\":[0,8],\"shape\":[1,2.0],\"dtype\":\"F32\"}}", 8, 1},
    {"{\"b\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[8,16]}," A_TENSOR "}", 16, 2},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,8],\"data_offsets\":[0,8]}}", 8, 1},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0,18446744073709551615,3],\"data_offsets\":[0,0]}}", 0, 1},
};

START_TEST(test_accepts)
{
    q35i_safetensors list;
    q35t_image file = q35t_st_raw(accepted[_i].json, accepted[_i].data);
    expect_ok(read(&list, file.data, file.len), accepted[_i].json);
    ck_assert_uint_eq(list.n, accepted[_i].n);
    q35i_safetensors_free(&list);
    free(file.data);
}
END_TEST

START_TEST(test_names)
{
    q35i_safetensors list;
    q35t_image file =
        q35t_st_raw("{\"\\u00e9\\\"\\n\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1);
    EXPECT_OK(read(&list, file.data, file.len));
    ck_assert_str_eq(list.tensors[0].name, "\xc3\xa9\"\n");
    q35i_safetensors_free(&list);
    free(file.data);
}
END_TEST

#define T(dtype, shape, offsets) "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static const struct {
    const char *json;
    uint64_t data;
    const char *text;
} refused[] = {
    /* the JSON */
    {" " T("\"F32\"", "[2]", "[0,8]"), 8, "need '{'"},
    {"[]", 0, "need '{'"},
    {"{" A_TENSOR, 8, "need a comma or the end of the object"},
    {"{" A_TENSOR ",}", 8, "need the quote of a key"},
    {"{" A_TENSOR "} x", 8, "nothing after the value"},
    {"{" A_TENSOR "}\\u0000", 8, "nothing after the value"},
    {"{\"a\xff\":{}}", 0, "need UTF-8"},
    {"{\"a\\ud800\":{}}", 0, "surrogate"},
    {"{\"\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "name of 0 bytes"},
    {"{\"a\\u0000b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "without NUL"},
    {"{" A_TENSOR "," A_TENSOR "}", 8, "occurs twice"},
    /* metadata */
    {"{\"__metadata__\":{\"a\":1}}", 0, "__metadata__: a number"},
    {"{\"__metadata__\":[]}", 0, "__metadata__: an array"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "__metadata__: occurs twice"},
    /* an entry */
    {"{\"a\":[]}", 0, "an array, need an object"},
    {"{\"a\":{}}", 0, "no dtype"},
    {"{\"a\":{\"dtype\":\"F32\"}}", 0, "no shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}", 0, "no data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"shape\":[],\"data_offsets\":[0,4]}}", 4, "key 'shape'"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4],\"stride\":1}}", 4, "key 'stride'"},
    {T("1", "[2]", "[0,8]"), 8, "dtype is a number"},
    {T("\"\"", "[2]", "[0,8]"), 8, "dtype ''"},
    {T("\"F32\\u0000\"", "[2]", "[0,8]"), 8, "dtype 'F32?'"},
    {T("\"a type with a long name\"", "[2]", "[0,8]"), 8, "dtype 'a type"},
    {T("\"F32\"", "2", "[0,8]"), 8, "shape is a number"},
    {T("\"F32\"", "[-2]", "[0,8]"), 8, "need whole numbers"},
    {T("\"F32\"", "[2.5]", "[0,8]"), 8, "need whole numbers"},
    {T("\"F32\"", "[\"2\"]", "[0,8]"), 8, "shape holds a string"},
    {T("\"F32\"", "[[2]]", "[0,8]"), 8, "shape holds an array"},
    {T("\"F32\"", "[18446744073709551616]", "[0,8]"), 8, "need whole numbers"},
    {T("\"F32\"", "[1,1,1,1,1,1,1,1,2]", "[0,8]"), 8, "of 9, need an array of at most 8"},
    {T("\"F32\"", "[2]", "[0]"), 8, "(1 numbers)"},
    {T("\"F32\"", "[2]", "[]"), 8, "(0 numbers)"},
    {T("\"F32\"", "[2]", "[0,8,8]"), 8, "of 3, need an array of at most 2"},
    {T("\"F32\"", "[2]", "[0,null]"), 8, "data_offsets holds null"},
    {T("\"F32\"", "[2]", "[8,0]"), 8, "data_offsets 8 to 0"},
    {T("\"F32\"", "[2]", "[0,9]"), 8, "data_offsets 0 to 9"},
    {T("\"F32\"", "[2]", "[0,18446744073709551615]"), 8, "data_offsets 0 to 18446744073709551615"},
    /* sizes */
    {T("\"F32\"", "[3]", "[0,8]"), 8, "8 bytes, need 96 bits"},
    {T("\"BF16\"", "[]", "[0,8]"), 8, "8 bytes, need 16 bits"},
    {T("\"F32\"", "[2,0]", "[0,8]"), 8, "8 bytes, need 0 bits"},
    {T("\"F4\"", "[15]", "[0,8]"), 8, "8 bytes, need 60 bits"},
    {T("\"F32\"", "[4294967296,4294967296]", "[0,8]"), 8, "2^64"},
    {T("\"U8\"", "[2305843009213693953,8]", "[0,8]"), 8, "2^64"},
    /* the whole */
    {"{}", 8, "8 bytes, need 0, where the last tensor ends"},
    {T("\"F32\"", "[2]", "[0,8]"), 9, "9 bytes, need 8, where the last tensor ends"},
    {T("\"F32\"", "[2]", "[4,12]"), 12, "data begins at 4, need 0, where the header ends"},
    {"{" A_TENSOR ",\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}", 8, "begins at 4, need 8"},
    {"{" A_TENSOR ",\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[9,13]}}", 13, "begins at 9, need 8"},
    {"{" A_TENSOR ",\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "begins at 0, need 8"},
};

START_TEST(test_refuses)
{
    q35i_safetensors list;
    q35t_image file = q35t_st_raw(refused[_i].json, refused[_i].data);
    expect_failure(read(&list, file.data, file.len), Q35_E_FORMAT, refused[_i].text, refused[_i].json);
    q35i_safetensors_free(&list);
    free(file.data);
}
END_TEST

START_TEST(test_header_length)
{
    static const uint64_t lengths[] = {0, 1, 3, 100000001, UINT64_MAX, UINT64_MAX - 7, (uint64_t)1 << 63};
    q35i_safetensors list;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        q35t_image file = q35t_st_raw("{}", 0);
        memcpy(file.data, &lengths[i], sizeof lengths[i]);
        EXPECT_FAILURE(read(&list, file.data, file.len), Q35_E_FORMAT, "header: ");
        q35i_safetensors_free(&list);
        free(file.data);
    }
}
END_TEST

/* A level of nesting per byte, and far more of them than any header has. */
START_TEST(test_depth)
{
    const size_t n = 1000000;
    q35i_safetensors list;
    char *json = malloc(n + 8);
    ck_assert_ptr_nonnull(json);
    memset(json, '[', n + 7);
    memcpy(json, "{\"a\":", 5);
    json[n + 7] = '\0';
    q35t_image file = q35t_st_raw(json, 0);
    EXPECT_FAILURE(read(&list, file.data, file.len), Q35_E_FORMAT, "levels");
    q35i_safetensors_free(&list);
    free(file.data);
    free(json);
}
END_TEST

/* Many tensors, in an order that is not theirs: time stays that of sorting. */
START_TEST(test_many)
{
    enum { N = 200000 };
    q35i_safetensors list;
    q35t_image json = {0};
    char part[128];
    for (uint32_t i = 0; i < N; i++) {
        uint32_t at = N - 1 - i;
        snprintf(part, sizeof part, "%s\"t%u\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%u,%u]}",
                 i ? "," : "{", i, at, at + 1);
        q35t_put(&json, part, strlen(part));
    }
    q35t_put(&json, "}", 2);
    q35t_image file = q35t_st_raw((const char *)json.data, N);
    EXPECT_OK(read(&list, file.data, file.len));
    ck_assert_uint_eq(list.n, N);
    ck_assert_str_eq(list.tensors[0].name, "t199999");
    q35i_safetensors_free(&list);
    free(json.data);
    free(file.data);
}
END_TEST

START_TEST(test_truncation)
{
    q35i_safetensors list;
    q35t_image file = good_file();
    for (uint64_t n = 0; n < file.len; n++) {
        uint8_t *exact = malloc(n ? n : 1);
        ck_assert_ptr_nonnull(exact);
        memcpy(exact, file.data, n);
        EXPECT_FAILURE(read(&list, exact, n), Q35_E_FORMAT, "need");
        q35i_safetensors_free(&list);
        free(exact);
    }
    free(file.data);
}
END_TEST

/* Bytes of the header changed at random: what is still read lies within the file. */
START_TEST(test_mutations)
{
    static const char alphabet[] = "{}[]\",:0123456789-.eE\\ untrfalsd_";
    q35i_safetensors list;
    q35t_image file = good_file();
    q35t_rng rng = q35t_rng_seed(7);
    uint8_t *copy = malloc(file.len);
    uint64_t fine = 0;
    ck_assert_ptr_nonnull(copy);
    for (uint32_t i = 0; i < MUTATIONS; i++) {
        memcpy(copy, file.data, file.len);
        for (uint64_t n = 1 + q35t_rng_below(&rng, 3); n > 0; n--)
            copy[q35t_rng_below(&rng, file.len - 24)] =
                q35t_rng_below(&rng, 4) ? (uint8_t)alphabet[q35t_rng_below(&rng, sizeof alphabet - 1)]
                                        : (uint8_t)q35t_rng_below(&rng, 256);
        if (read(&list, copy, file.len) == Q35_OK)
            fine++;
        else
            ck_assert_msg(q35t_error_is_sentence(), "\"%s\"", q35_error_message());
        for (uint64_t t = 0; t < list.n; t++) {
            ck_assert_uint_le(list.tensors[t].begin, list.tensors[t].end);
            ck_assert_uint_le(list.tensors[t].end, file.len);
        }
        q35i_safetensors_free(&list);
    }
    ck_assert_uint_gt(fine, 0); /* a letter of a name */
    free(copy);
    free(file.data);
}
END_TEST

START_TEST(test_out_of_memory)
{
    q35t_image file = good_file();
    q35t_alloc_sweep sweep = {.limit = 100};
    while (q35t_alloc_sweep_next(&sweep)) {
        q35i_safetensors list;
        q35t_alloc_sweep_end(&sweep, read(&list, file.data, file.len));
        q35i_safetensors_free(&list);
    }
    free(file.data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("safetensors");
    TCase *tc = tcase_create("header");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_reads);
    tcase_add_loop_test(tc, test_accepts, 0, (int)(sizeof accepted / sizeof *accepted));
    tcase_add_test(tc, test_names);
    tcase_add_loop_test(tc, test_refuses, 0, (int)(sizeof refused / sizeof *refused));
    tcase_add_test(tc, test_header_length);
    tcase_add_test(tc, test_depth);
    tcase_add_test(tc, test_many);
    tcase_add_test(tc, test_truncation);
    tcase_add_test(tc, test_mutations);
    tcase_add_test(tc, test_out_of_memory);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
