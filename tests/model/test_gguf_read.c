/* SPDX-License-Identifier: Apache-2.0
 *
 * Refusals of the GGUF reader: one broken image each, with the sentence it must get; and the forms it must accept.
 */
#include "support/expect.h"
#include "support/image.h"
#include "support/walk_model.h"

#include "runtime/model/gguf.h"
#include "support/suite.h"

#include <math.h>
#include <stdlib.h>

typedef struct refusal {
    const char *name;
    void (*build)(q35t_image *image);
    q35_status code;
    const char *text;
} refusal;

/* ------------------------------------------------------------------ header */

static void empty(q35t_image *i)
{
    (void)i;
}
static void short_magic(q35t_image *i)
{
    q35t_put(i, "GGU", 3);
}
static void wrong_magic(q35t_image *i)
{
    q35t_put(i, "GGML", 4);
    q35t_put_zeros(i, 40);
}
static void version_1(q35t_image *i)
{
    q35t_put_header(i, 1, 0, 0);
}
static void version_4(q35t_image *i)
{
    q35t_put_header(i, 4, 0, 0);
}
static void big_endian(q35t_image *i)
{
    q35t_put_header(i, 0x03000000, 0, 0);
}
static void short_header(q35t_image *i)
{
    q35t_put_header(i, 3, 0, 0);
    i->len = 20;
}
static void many_meta(q35t_image *i)
{
    q35t_put_header(i, 3, 0, UINT64_MAX);
    q35t_put_zeros(i, 100);
}
static void many_tensors(q35t_image *i)
{
    q35t_put_header(i, 3, UINT64_C(1) << 60, 0);
    q35t_put_zeros(i, 100);
}
static void too_many_meta(q35t_image *i)
{
    q35t_put_header(i, 3, 0, 65537);
    q35t_put_zeros(i, 65537 * 14);
}

/* ------------------------------------------------------------------ metadata */

static void key_is(q35t_image *i, const char *key)
{
    q35t_put_header(i, 3, 0, 1);
    q35t_put_key(i, key, Q35_META_U32);
    q35t_put_u32(i, 7);
    q35t_put_zeros(i, 64);
}
static void empty_key(q35t_image *i)
{
    key_is(i, "");
}
static void newline_key(q35t_image *i)
{
    key_is(i, "a\nb");
}
static void long_key(q35t_image *i)
{
    q35t_put_header(i, 3, 0, 1);
    q35t_put_u64(i, 65536);
    q35t_put_zeros(i, 70000);
}
static void cut_key(q35t_image *i)
{
    q35t_put_header(i, 3, 0, 1);
    q35t_put_u64(i, 1000);
    q35t_put_zeros(i, 20);
}
static void twice_key(q35t_image *i)
{
    q35t_put_header(i, 3, 0, 3);
    for (int k = 0; k < 3; k++) {
        q35t_put_key(i, k == 1 ? "other.key" : "same.key", Q35_META_U32);
        q35t_put_u32(i, 7);
    }
}
static void value_type(q35t_image *i)
{
    q35t_put_header(i, 3, 0, 1);
    q35t_put_key(i, "k", 13);
    q35t_put_u64(i, 0);
}
static void array_head(q35t_image *i, uint32_t elem_type, uint64_t count)
{
    q35t_put_header(i, 3, 0, 1);
    q35t_put_key(i, "k", Q35_META_ARRAY);
    q35t_put_u32(i, elem_type);
    q35t_put_u64(i, count);
}
static void nested_array(q35t_image *i)
{
    array_head(i, Q35_META_ARRAY, 1);
    q35t_put_zeros(i, 64);
}
static void element_type(q35t_image *i)
{
    array_head(i, 99, 1);
    q35t_put_zeros(i, 64);
}
static void array_count(q35t_image *i)
{
    array_head(i, Q35_META_U8, UINT64_MAX);
    q35t_put_zeros(i, 64);
}
static void array_cut(q35t_image *i)
{
    array_head(i, Q35_META_F64, 9);
    q35t_put_zeros(i, 71);
}
static void strings_cut(q35t_image *i)
{
    array_head(i, Q35_META_STRING, 9);
    q35t_put_zeros(i, 64);
}
static void string_in_array(q35t_image *i)
{
    array_head(i, Q35_META_STRING, 2);
    q35t_put_string(i, "first");
    q35t_put_u64(i, 100);
    q35t_put_zeros(i, 99);
}
static void string_huge(q35t_image *i)
{
    q35t_put_header(i, 3, 0, 1);
    q35t_put_key(i, "k", Q35_META_STRING);
    q35t_put_u64(i, (UINT64_C(1) << 30) + 1);
}
static void string_wraps(q35t_image *i)
{
    q35t_put_header(i, 3, 0, 1);
    q35t_put_key(i, "k", Q35_META_STRING);
    q35t_put_u64(i, UINT64_MAX - 7);
}
static void bool_two(q35t_image *i)
{
    q35t_put_header(i, 3, 0, 1);
    q35t_put_key(i, "k", Q35_META_BOOL);
    q35t_put(i, "\2", 1);
}
static void bools(q35t_image *i)
{
    array_head(i, Q35_META_BOOL, 3);
    q35t_put(i, "\0\1\377", 3);
}
static void alignment(q35t_image *i, uint32_t type, uint32_t value)
{
    q35t_put_header(i, 3, 0, 1);
    q35t_put_key(i, "general.alignment", type);
    q35t_put_u32(i, value);
}
static void alignment_type(q35t_image *i)
{
    alignment(i, Q35_META_I32, 32);
}
static void alignment_odd(q35t_image *i)
{
    alignment(i, Q35_META_U32, 48);
}
static void alignment_zero(q35t_image *i)
{
    alignment(i, Q35_META_U32, 0);
}
static void split_file(q35t_image *i)
{
    q35t_put_header(i, 3, 0, 1);
    q35t_put_key(i, "split.count", Q35_META_U32);
    q35t_put_u32(i, 3);
}

/* ------------------------------------------------------------------ tensors */

/* One tensor, with enough data behind it for a good one of 128 bytes. */
static void tensor(q35t_image *i, const char *name, uint32_t rank, const uint64_t *dim, uint32_t type,
                   uint64_t offset)
{
    q35t_put_header(i, 3, 1, 0);
    q35t_put_tensor(i, name, rank, dim, type, offset);
    q35t_put_data(i, 32, 128);
}
static void shaped(q35t_image *i, uint64_t a, uint64_t b, uint32_t type)
{
    uint64_t dim[2] = {a, b};
    tensor(i, "w", 2, dim, type, 0);
}
static const uint64_t dim32[5] = {32, 1, 1, 1, 1};
static void name_empty(q35t_image *i)
{
    tensor(i, "", 1, dim32, 0, 0);
}
static void name_long(q35t_image *i)
{
    tensor(i, "0123456789012345678901234567890123456789012345678901234567890123", 1, dim32, 0, 0);
}
static void name_control(q35t_image *i)
{
    tensor(i, "a\x1b[2J", 1, dim32, 0, 0);
}
static void rank_0(q35t_image *i)
{
    tensor(i, "w", 0, dim32, 0, 0);
}
static void rank_5(q35t_image *i)
{
    tensor(i, "w", 5, dim32, 0, 0);
}
static void dim_0(q35t_image *i)
{
    shaped(i, 32, 0, 0);
}
static void dim_negative(q35t_image *i)
{
    shaped(i, UINT64_MAX, 1, 0);
}
static void product(q35t_image *i)
{
    shaped(i, UINT64_C(1) << 40, UINT64_C(1) << 30, 0);
}
static void size_overflow(q35t_image *i)
{
    shaped(i, UINT64_C(1) << 62, 1, 0);
}
static void broken_block(q35t_image *i)
{
    shaped(i, 48, 1, 2);
}
static void type_removed(q35t_image *i)
{
    shaped(i, 32, 1, 31);
}
static void type_unknown(q35t_image *i)
{
    shaped(i, 32, 1, 99);
}
static void type_internal(q35t_image *i)
{
    shaped(i, 128, 1, 0x1000);
}
static void type_iq3_s(q35t_image *i)
{
    shaped(i, 256, 1, 21);
}
static void offset_odd(q35t_image *i)
{
    tensor(i, "w", 1, dim32, 0, 4);
}
static void past_end(q35t_image *i)
{
    shaped(i, 32, 2, 0);
}
static void cut_info(q35t_image *i)
{
    q35t_put_header(i, 3, 1, 0);
    q35t_put_tensor(i, "weight", 1, dim32, 0, 0);
    i->len -= 4;
}
static void two_tensors(q35t_image *i, const char *second, uint64_t offset)
{
    q35t_put_header(i, 3, 2, 0);
    q35t_put_tensor(i, "w", 1, dim32, 0, 0);
    q35t_put_tensor(i, second, 1, dim32, 0, offset);
    q35t_put_data(i, 32, 512);
}
static void overlap(q35t_image *i)
{
    two_tensors(i, "v", 96);
}
static void hole(q35t_image *i)
{
    two_tensors(i, "v", 160);
}
static void twice_name(q35t_image *i)
{
    two_tensors(i, "w", 128);
}

static const refusal refusals[] = {
    {"empty", empty, Q35_E_FORMAT, "file: 0 bytes, need at least 24"},
    {"short magic", short_magic, Q35_E_FORMAT, "file: 3 bytes"},
    {"wrong magic", wrong_magic, Q35_E_FORMAT, "magic: bytes 47 47 4d 4c"},
    {"version 1", version_1, Q35_E_VERSION, "version: GGUF 1, need 2 or 3"},
    {"version 4", version_4, Q35_E_VERSION, "version: GGUF 4"},
    {"big endian", big_endian, Q35_E_FORMAT, "byte-swapped (big-endian)"},
    {"short header", short_header, Q35_E_FORMAT, "header: "},
    {"many metadata entries", many_meta, Q35_E_FORMAT, "metadata count: 18446744073709551615, need at most 7"},
    {"many tensors", many_tensors, Q35_E_FORMAT, "tensor count: 1152921504606846976, need at most 3"},
    {"too many metadata entries", too_many_meta, Q35_E_FORMAT, "metadata count: 65537, need at most 65536"},
    {"empty key", empty_key, Q35_E_FORMAT, "metadata entry 0: key: '' of 0 bytes"},
    {"newline in key", newline_key, Q35_E_FORMAT, "metadata entry 0: key: 'a?b'"},
    {"long key", long_key, Q35_E_FORMAT, "key: length 65536, need at most 65535"},
    {"cut key", cut_key, Q35_E_FORMAT, "key: 20 bytes left at offset 32, need 1000"},
    {"duplicate key", twice_key, Q35_E_FORMAT, "metadata same.key: key occurs twice"},
    {"value type", value_type, Q35_E_FORMAT, "metadata k: value type: 13, need 0 to 12"},
    {"nested array", nested_array, Q35_E_FORMAT, "metadata k: array of arrays"},
    {"element type", element_type, Q35_E_FORMAT, "array element type: 99, need 0 to 12"},
    {"array count", array_count, Q35_E_FORMAT, "array count: 18446744073709551615, need at most 1073741824"},
    {"cut array", array_cut, Q35_E_FORMAT, "9 values of type f64, need at most 8 in the 71 bytes left"},
    {"cut strings", strings_cut, Q35_E_FORMAT, "9 values of type string, need at most 8"},
    {"string in array", string_in_array, Q35_E_FORMAT, "string: 99 bytes left"},
    {"huge string", string_huge, Q35_E_FORMAT, "string: length 1073741825, need at most 1073741824"},
    {"wrapping string", string_wraps, Q35_E_FORMAT,
     "string: length 18446744073709551608, need at most 1073741824"},
    {"bool 2", bool_two, Q35_E_FORMAT, "metadata k: bool 0: 2, need 0 or 1"},
    {"bool array", bools, Q35_E_FORMAT, "metadata k: bool 2: 255, need 0 or 1"},
    {"alignment type", alignment_type, Q35_E_FORMAT, "general.alignment: type i32, need u32"},
    {"alignment 48", alignment_odd, Q35_E_FORMAT, "general.alignment: 48, need a power of two"},
    {"alignment 0", alignment_zero, Q35_E_FORMAT, "general.alignment: 0"},
    {"split file", split_file, Q35_E_UNSUPPORTED, "split.count: one part of a model in 3 files"},
    {"empty name", name_empty, Q35_E_FORMAT, "tensor 0: name: 0 bytes, need 1 to 63"},
    {"long name", name_long, Q35_E_FORMAT, "tensor 0: name: 64 bytes"},
    {"control name", name_control, Q35_E_FORMAT, "tensor 0: name: 'a?[2J', need printable"},
    {"duplicate name", twice_name, Q35_E_FORMAT, "tensor w: name occurs twice"},
    {"rank 0", rank_0, Q35_E_FORMAT, "tensor w: 0 dimensions, need 1 to 4"},
    {"rank 5", rank_5, Q35_E_FORMAT, "tensor w: 5 dimensions"},
    {"dimension 0", dim_0, Q35_E_FORMAT, "tensor w: dimension 1: 0, need at least 1"},
    {"negative dimension", dim_negative, Q35_E_FORMAT, "tensor w: dimension 0: -1"},
    {"product", product, Q35_E_FORMAT, "need a product of all dimensions below 2^63"},
    {"size overflow", size_overflow, Q35_E_FORMAT, "need less than 2^64 bytes"},
    {"broken block", broken_block, Q35_E_FORMAT, "tensor w: dimension 0: 48, need a multiple of 32 for type Q4_0"},
    {"removed type", type_removed, Q35_E_FORMAT, "tensor w: type: 31 (Q4_0_4_4), removed from the format"},
    {"unknown type", type_unknown, Q35_E_FORMAT, "tensor w: type: 99, not a known one"},
    {"internal type", type_internal, Q35_E_FORMAT, "tensor w: type: 4096, not a known one"},
    {"IQ3_S", type_iq3_s, Q35_E_UNSUPPORTED, "tensor w: type: IQ3_S, cannot be decoded here, need F32, F16"},
    {"misaligned", offset_odd, Q35_E_FORMAT, "tensor w: offset: 4, need a multiple of 32"},
    {"overlap", overlap, Q35_E_FORMAT, "tensor v: offset: 96, overlaps the tensor before it, need 128"},
    {"hole", hole, Q35_E_FORMAT, "tensor v: offset: 160, leaves a hole behind"},
    {"past the end", past_end, Q35_E_FORMAT,
     "tensor w: 256 bytes at offset 96, need to end within the file's 224 bytes"},
    {"cut info", cut_info, Q35_E_FORMAT, "tensor weight: offset: the file ends inside it, 4 bytes left"},
};

START_TEST(test_refusal)
{
    const refusal *r = &refusals[_i];
    q35t_image image = {0};
    q35_model *model = NULL;
    r->build(&image);
    uint8_t *exact = malloc(image.len ? image.len : 1); /* sanitizers see reads past the end */
    ck_assert_ptr_nonnull(exact);
    if (image.len)
        memcpy(exact, image.data, image.len);
    expect_failure(q35i_model_open_image("image.gguf", exact, image.len, &model), r->code, r->text, r->name);
    ck_assert_ptr_null(model);
    ck_assert_msg(strncmp(q35_error_message(), "image.gguf: ", 12) == 0, "%s: the file is not named", r->name);
    free(exact);
    free(image.data);
}
END_TEST

/* Version 2, another alignment, all value types, four dimensions, padding missing after the last tensor. */
START_TEST(test_accepts)
{
    q35t_image i = {0};
    q35_model *model;
    const uint64_t dim[4] = {3, 2, 1, 2}, one[1] = {1};
    q35t_put_header(&i, 2, 2, 4);
    q35t_put_key(&i, "general.alignment", Q35_META_U32);
    q35t_put_u32(&i, 64);
    q35t_put_key(&i, "empty", Q35_META_ARRAY);
    q35t_put_u32(&i, Q35_META_STRING);
    q35t_put_u64(&i, 0);
    q35t_put_key(&i, "words", Q35_META_ARRAY);
    q35t_put_u32(&i, Q35_META_STRING);
    q35t_put_u64(&i, 2);
    q35t_put_string(&i, "");
    q35t_put_string(&i, "zwei");
    q35t_put_key(&i, "flag", Q35_META_BOOL);
    q35t_put(&i, "\1", 1);
    q35t_put_tensor(&i, "four", 4, dim, 0, 0);
    q35t_put_tensor(&i, "a", 1, one, 26, 64);
    uint64_t head = i.len;
    q35t_put_data(&i, 64, 64 + 4);
    expect_ok(q35i_model_open_image("v2", i.data, i.len, &model), "version 2");
    const q35_tensor_info *t = q35_model_tensor(model, "four");
    ck_assert_ptr_eq(t, q35_model_tensor_at(model, 0));
    ck_assert_uint_eq(t->rank, 4);
    ck_assert_int_eq(t->dim[3], 2);
    ck_assert_uint_eq(t->bytes, 48);
    ck_assert_uint_eq((uint64_t)((const uint8_t *)t->data - i.data), (head + 63) / 64 * 64);
    ck_assert_ptr_null(q35_model_tensor(model, "fou"));
    ck_assert_ptr_null(q35_model_tensor(model, "four1"));
    ck_assert_uint_eq(q35_model_meta(model, "words")->count, 2);
    ck_assert_ptr_null(q35_model_meta(model, "word"));
    ck_assert_ptr_null(q35_model_meta_at(model, 4));
    ck_assert_ptr_null(q35_model_book(model, Q35_DT_Q35_PAIR));
    ck_assert_ptr_null(q35_model_book(model, Q35_DT_Q40_ROW));
    q35t_walk_model(model);
    q35_model_close(model);
    free(i.data);
}
END_TEST

static void value(q35t_image *i, const char *key, uint32_t type, const void *data, uint64_t bytes)
{
    q35t_put_key(i, key, type);
    q35t_put(i, data, bytes);
}

/* Integers convert between widths and from whole floats, nothing else does. */
START_TEST(test_typed_access)
{
    q35t_image i = {0};
    q35_model *model;
    uint64_t u;
    int64_t s;
    double d;
    int b;
    const int8_t minus = -5;
    const int64_t lowest = INT64_MIN;
    const uint64_t highest = UINT64_MAX;
    const float whole = 42.0f, part = 0.5f, large = 0x1p63f;
    const double not_a_number = (double)NAN;
    q35t_put_header(&i, 3, 0, 7);
    value(&i, "minus", Q35_META_I8, &minus, 1);
    value(&i, "lowest", Q35_META_I64, &lowest, 8);
    value(&i, "highest", Q35_META_U64, &highest, 8);
    value(&i, "whole", Q35_META_F32, &whole, 4);
    value(&i, "part", Q35_META_F32, &part, 4);
    value(&i, "large", Q35_META_F32, &large, 4);
    value(&i, "nan", Q35_META_F64, &not_a_number, 8);
    expect_ok(q35i_model_open_image("values", i.data, i.len, &model), "values");
    ck_assert(!q35_meta_u64(q35_model_meta(model, "minus"), &u));
    ck_assert(q35_meta_i64(q35_model_meta(model, "minus"), &s) && s == -5);
    ck_assert(q35_meta_f64(q35_model_meta(model, "minus"), &d) && d == -5);
    ck_assert(q35_meta_i64(q35_model_meta(model, "lowest"), &s) && s == INT64_MIN);
    ck_assert(q35_meta_u64(q35_model_meta(model, "highest"), &u) && u == UINT64_MAX);
    ck_assert(!q35_meta_i64(q35_model_meta(model, "highest"), &s));
    ck_assert(q35_meta_u64(q35_model_meta(model, "whole"), &u) && u == 42);
    ck_assert(!q35_meta_u64(q35_model_meta(model, "part"), &u));
    ck_assert(q35_meta_f64(q35_model_meta(model, "part"), &d) && d == 0.5);
    ck_assert(!q35_meta_bool(q35_model_meta(model, "whole"), &b));
    ck_assert(!q35_meta_i64(q35_model_meta(model, "large"), &s));
    ck_assert(!q35_meta_u64(q35_model_meta(model, "nan"), &u));
    q35_model_close(model);
    free(i.data);
}
END_TEST

START_TEST(test_not_a_file)
{
    q35_model *model;
    expect_failure(q35_model_open("/", &model), Q35_E_FORMAT, "/: ", "directory");
    expect_failure(q35_model_open("/nonexistent/model.gguf", &model), Q35_E_IO, "No such file", "absent file");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gguf_read");
    TCase *tc = tcase_create("read");
    tcase_add_loop_test(tc, test_refusal, 0, (int)(sizeof refusals / sizeof refusals[0]));
    tcase_add_test(tc, test_accepts);
    tcase_add_test(tc, test_typed_access);
    tcase_add_test(tc, test_not_a_file);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
