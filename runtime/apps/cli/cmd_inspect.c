/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt inspect: what a model holds, and its three sizes: bits per code, bits per weight with scales (before
 * and with row padding), bits per parameter of the whole file. */
#include "commands.h"
#include "engine.h"
#include "json_out.h"

#include <q35rt/blocks.h>

#include <inttypes.h>
#include <string.h>

#define ARRAY_SHOWN 4u
#define TEXT_SHOWN  60u

static const char *const type_names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                         "bool", "string", "array", "u64", "i64", "f64"};

static const char *type_name(uint32_t type)
{
    return type < sizeof type_names / sizeof *type_names ? type_names[type] : "?";
}

static const uint8_t type_bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

/* At most TEXT_SHOWN bytes, in quotes. */
static void print_string(q35_string s)
{
    putchar('"');
    cli_print_safe(stdout, s.data, s.len < TEXT_SHOWN ? s.len : TEXT_SHOWN);
    printf(s.len > TEXT_SHOWN ? "\"... (%" PRIu64 " bytes)" : "\"", s.len);
}

static void print_scalar(const q35_meta *meta)
{
    q35_string s;
    int64_t i;
    uint64_t u;
    double f;
    int b;
    if (meta->type == Q35_META_STRING && q35_meta_string(meta, &s))
        print_string(s);
    else if (meta->type == Q35_META_BOOL && q35_meta_bool(meta, &b))
        printf("%s", b ? "true" : "false");
    else if ((meta->type == Q35_META_F32 || meta->type == Q35_META_F64) && q35_meta_f64(meta, &f))
        printf("%.9g", f);
    else if (q35_meta_i64(meta, &i))
        printf("%" PRId64, i);
    else if (q35_meta_u64(meta, &u))
        printf("%" PRIu64, u);
}

static int print_element(void *user, uint64_t i, q35_string s)
{
    (void)user;
    if (i == ARRAY_SHOWN)
        return 1;
    if (i)
        printf(", ");
    print_string(s);
    return 0;
}

static void print_array(const q35_meta *meta)
{
    putchar('[');
    if (meta->elem_type == Q35_META_STRING)
        q35_meta_each_string(meta, print_element, NULL);
    else if (meta->elem_type < sizeof type_bytes && type_bytes[meta->elem_type]) {
        for (uint64_t i = 0; i < meta->count && i < ARRAY_SHOWN; i++) {
            q35_meta element = *meta;
            element.type = meta->elem_type;
            element.count = 1;
            element.data = (const uint8_t *)meta->data + i * type_bytes[meta->elem_type];
            if (i)
                printf(", ");
            print_scalar(&element);
        }
    }
    printf(meta->count > ARRAY_SHOWN ? ", ... %" PRIu64 " %s]" : "]", meta->count, type_name(meta->elem_type));
}

typedef struct file_sizes {
    uint64_t parameters, tensors35, weights35, skipped, skipped_bytes;
    uint64_t linear, kv_bytes; /* weights of the layers' matrices; F16 cache per token; 0: no model that can run */
    double bytes35;            /* codes and scales without padding */
    uint64_t padded35;
    double per_code, per_weight, per_weight_padded, per_parameter; /* bits; 0: no 3.5-bit tensor */
} file_sizes;

static uint64_t elements(const q35_tensor_info *t)
{
    uint64_t n = 1;
    for (uint32_t d = 0; d < t->rank; d++)
        n *= (uint64_t)t->dim[d];
    return n;
}

static int is_35(const q35_tensor_info *t)
{
    return t->dtype == Q35_DT_Q35_PAIR || t->dtype == Q35_DT_Q35_SPLIT || q35_is_row_type(t->dtype);
}

/* Sizes that only a whole model has. */
static void measure_model(const q35_model *model, file_sizes *s)
{
    q35_model_config c;
    if (q35_model_read_config(model, &c) != Q35_OK)
        return;
    for (uint64_t i = 0; i < q35_model_n_tensors(model); i++) {
        const q35_tensor_info *t = q35_model_tensor_at(model, i);
        if (t->rank == 2 && strncmp(t->name, "blk.", 4) == 0)
            s->linear += elements(t);
    }
    s->kv_bytes = q35_session_kv_bytes(&c, Q35_DT_F16);
}

static file_sizes measure(const q35_model *model)
{
    file_sizes s = {0};
    for (uint64_t i = 0; i < q35_model_n_tensors(model); i++) {
        const q35_tensor_info *t = q35_model_tensor_at(model, i);
        uint64_t n = elements(t);
        s.parameters += n;
        if (!is_35(t))
            continue;
        s.tensors35++;
        s.weights35 += n;
        const q35_dtype_info type = q35_dtype_describe(t->dtype);
        s.bytes35 += (double)n / type.block_len * type.block_bytes + (double)type.row_head * (double)t->dim[1];
        s.padded35 += t->bytes;
    }
    if (s.weights35) {
        s.per_code = 8.0 * Q35_CODE_BYTES / Q35_GROUP;
        s.per_weight = 8 * s.bytes35 / (double)s.weights35;
        s.per_weight_padded = 8 * (double)s.padded35 / (double)s.weights35;
    }
    s.skipped = q35_model_n_skipped(model, &s.skipped_bytes);
    measure_model(model, &s);
    if (s.parameters)
        s.per_parameter = 8 * (double)(q35_model_file_bytes(model) - s.skipped_bytes) / (double)s.parameters;
    return s;
}

static void print_metadata(const q35_model *model)
{
    for (uint64_t i = 0; i < q35_model_n_meta(model); i++) {
        const q35_meta *meta = q35_model_meta_at(model, i);
        cli_print_safe(stdout, meta->key.data, meta->key.len);
        printf(" = ");
        if (meta->type == Q35_META_ARRAY)
            print_array(meta);
        else
            print_scalar(meta);
        putchar('\n');
    }
}

static void print_tensors(const q35_model *model)
{
    for (uint64_t i = 0; i < q35_model_n_tensors(model); i++) {
        const q35_tensor_info *t = q35_model_tensor_at(model, i);
        cli_print_safe(stdout, t->name, strlen(t->name));
        printf("  %s ", q35_dtype_describe(t->dtype).name);
        for (uint32_t d = 0; d < t->rank; d++)
            printf("%s%" PRId64, d ? " x " : "", t->dim[d]);
        printf(", %" PRIu64 " bytes", t->bytes);
        if (is_35(t))
            printf(", max error %.3e, relative error %.5f", t->max_error, t->relative_error);
        if (t->rotation_width)
            printf(", input rotated in blocks of %" PRIu32 " and taken as %s", t->rotation_width,
                   q35_dtype_describe(t->activation).name);
        putchar('\n');
    }
}

/* ---- the plan of --target-bpw ---- */

typedef struct plan {
    const q35_meta *target, *tensors, *alone, *expected; /* tensors NULL: none that could be read */
    json_t *rows;                                        /* NULL: print */
} plan;

static int is_array(const q35_meta *m, uint32_t type, const q35_meta *like)
{
    return m && m->type == Q35_META_ARRAY && m->elem_type == type && (!like || m->count == like->count);
}

static plan find_plan(const q35_model *model)
{
    plan p = {q35_model_meta(model, "q35.plan"), q35_model_meta(model, "q35.plan.tensors"),
              q35_model_meta(model, "q35.plan.alone"), q35_model_meta(model, "q35.plan.expected"), NULL};
    if (!p.target || p.target->type != Q35_META_STRING || !is_array(p.tensors, Q35_META_STRING, NULL) ||
        !is_array(p.alone, Q35_META_F32, p.tensors) || !is_array(p.expected, Q35_META_F32, p.tensors))
        p.tensors = NULL;
    return p;
}

static double element_of(const q35_meta *array, uint64_t i)
{
    float f;
    memcpy(&f, (const uint8_t *)array->data + i * sizeof f, sizeof f);
    return (double)f;
}

static int show_planned(void *user, uint64_t i, q35_string name)
{
    plan *p = user;
    double alone = element_of(p->alone, i), expected = element_of(p->expected, i);
    if (p->rows) {
        json_array_append_new(p->rows, json_pack("{s:o, s:o, s:o}", "name", json_text_n(name.data, name.len),
                                                 "alone", json_number(alone), "expected", json_number(expected)));
        return 0;
    }
    printf("  ");
    cli_print_safe(stdout, name.data, name.len);
    printf("  %.6f -> %.6f\n", alone, expected);
    return 0;
}

static void print_plan(const q35_model *model)
{
    plan p = find_plan(model);
    q35_string target;
    if (!p.tensors || !q35_meta_string(p.target, &target))
        return;
    printf("planned for ");
    cli_print_safe(stdout, target.data, target.len);
    printf("; KL with 3.5 bits for that tensor alone -> expected of it in the type it has:\n");
    q35_meta_each_string(p.tensors, show_planned, &p);
    putchar('\n');
}

static json_t *json_plan(const q35_model *model)
{
    plan p = find_plan(model);
    q35_string target;
    if (!p.tensors || !q35_meta_string(p.target, &target))
        return json_null();
    p.rows = json_array();
    q35_meta_each_string(p.tensors, show_planned, &p);
    return json_pack("{s:o, s:o}", "target", json_text_n(target.data, target.len), "tensors", p.rows);
}

static void print_sizes(const q35_model *model, const file_sizes *s)
{
    printf("%s: %" PRIu64 " tensors, %" PRIu64 " parameters, %" PRIu64 " bytes\n", q35_model_format(model),
           q35_model_n_tensors(model), s->parameters, q35_model_file_bytes(model));
    if (s->kv_bytes)
        printf("linear layers: %" PRIu64 " parameters; KV cache: %" PRIu64 " bytes per token in f16\n", s->linear,
               s->kv_bytes);
    if (s->skipped)
        printf("skipped: %" PRIu64 " vision tensors of %" PRIu64 " bytes\n", s->skipped, s->skipped_bytes);
    if (s->weights35) {
        printf("3.5-bit tensors: %" PRIu64 " of %" PRIu64 " weights\n", s->tensors35, s->weights35);
        printf("bits per code: %.2f\n", s->per_code);
        printf("bits per weight with scales: %.3f (as stored, rows padded to whole blocks: %.3f)\n", s->per_weight,
               s->per_weight_padded);
    }
    printf("whole file, bits per parameter: %.3f\n", s->per_parameter);
}

static json_t *json_meta(const q35_meta *meta)
{
    q35_string s;
    int64_t i;
    double f;
    int b;
    if (meta->type == Q35_META_ARRAY)
        return json_pack("{s:s, s:I}", "array_of", type_name(meta->elem_type), "count", (json_int_t)meta->count);
    if (meta->type == Q35_META_STRING && q35_meta_string(meta, &s))
        return json_text_n(s.data, s.len);
    if (meta->type == Q35_META_BOOL && q35_meta_bool(meta, &b))
        return json_boolean(b);
    if (meta->type != Q35_META_F32 && meta->type != Q35_META_F64 && q35_meta_i64(meta, &i))
        return json_integer(i);
    return q35_meta_f64(meta, &f) ? json_number(f) : json_null();
}

static json_t *json_tensors(const q35_model *model)
{
    json_t *out = json_array();
    for (uint64_t i = 0; i < q35_model_n_tensors(model); i++) {
        const q35_tensor_info *t = q35_model_tensor_at(model, i);
        json_t *shape = json_array();
        for (uint32_t d = 0; d < t->rank; d++)
            json_array_append_new(shape, json_integer(t->dim[d]));
        json_t *row = json_pack("{s:o, s:s, s:o, s:I}", "name", json_text(t->name), "type",
                                q35_dtype_describe(t->dtype).name, "shape", shape, "bytes", (json_int_t)t->bytes);
        if (is_35(t)) {
            json_object_set_new(row, "max_error", json_number(t->max_error));
            json_object_set_new(row, "relative_error", json_number(t->relative_error));
        }
        json_array_append_new(out, row);
    }
    return out;
}

static int print_json(const q35_model *model, const file_sizes *s)
{
    json_t *metadata = json_object();
    for (uint64_t i = 0; i < q35_model_n_meta(model); i++) {
        const q35_meta *meta = q35_model_meta_at(model, i);
        json_t *key = json_text_n(meta->key.data, meta->key.len);
        json_object_set_new(metadata, key ? json_string_value(key) : NULL, json_meta(meta));
        json_decref(key);
    }
    json_t *sizes =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "file_bytes",
                  (json_int_t)q35_model_file_bytes(model), "parameters", (json_int_t)s->parameters,
                  "linear_parameters", (json_int_t)s->linear, "kv_bytes_per_token", (json_int_t)s->kv_bytes,
                  "skipped_tensors", (json_int_t)s->skipped, "skipped_bytes", (json_int_t)s->skipped_bytes,
                  "weights_3_5_bit", (json_int_t)s->weights35, "bits_per_code", json_number(s->per_code),
                  "bits_per_weight", json_number(s->per_weight), "bits_per_weight_padded",
                  json_number(s->per_weight_padded), "bits_per_parameter", json_number(s->per_parameter));
    return json_out(json_pack("{s:o, s:s, s:o, s:o, s:o, s:o}", "file", json_text(q35_model_path(model)), "format",
                              q35_model_format(model), "metadata", metadata, "tensors", json_tensors(model),
                              "plan", json_plan(model), "sizes", sizes));
}

int cmd_inspect(const cli_options *options)
{
    q35_model *model = NULL;
    cli_signals_default();
    q35_status status = q35_model_open(options->args[0], &model);
    if (status != Q35_OK)
        return cli_fail_status(status, CLI_WHILE_OPENING_MODEL);
    file_sizes sizes = measure(model);
    int rc = 0;
    if (options->json) {
        rc = print_json(model, &sizes);
    } else {
        if (!options->quiet) {
            print_metadata(model);
            putchar('\n');
            print_tensors(model);
            putchar('\n');
            print_plan(model);
        }
        print_sizes(model, &sizes);
    }
    q35_model_close(model);
    return rc;
}
