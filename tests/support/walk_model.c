/* SPDX-License-Identifier: Apache-2.0
 *
 * Uses everything that an open model offers. */
#include "walk_model.h"

#include "support/sentence.h"

#include "runtime/model/model.h"

#include <q35rt/blocks.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t sum_bytes(const void *data, uint64_t bytes)
{
    const uint8_t *p = data;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < bytes; i++)
        sum = sum * 31 + p[i];
    return sum;
}

static int add_string(void *user, uint64_t i, q35_string s)
{
    uint64_t *sum = user;
    *sum += i + sum_bytes(s.data, s.len);
    return 0;
}

static uint64_t walk_meta(const q35_meta *m)
{
    uint64_t sum = sum_bytes(m->key.data, m->key.len), u = 0;
    int64_t i = 0;
    double d = 0;
    int b = 0;
    q35_string s = {"", 0};
    sum += q35_meta_u64(m, &u) ? u : 1;
    sum += q35_meta_i64(m, &i) ? (uint64_t)i : 1;
    sum += q35_meta_f64(m, &d) ? d > 0 : 1;
    sum += q35_meta_bool(m, &b) ? (uint64_t)b : 1;
    sum += q35_meta_string(m, &s) ? sum_bytes(s.data, s.len) : 1;
    (void)q35_meta_each_string(m, add_string, &sum);
    return sum;
}

/* First and last byte, or first and last row of a tensor that is stored in another form. */
static uint64_t sum_ends(const q35_model *model, const q35_tensor_info *t)
{
    const uint8_t *p = t->data;
    if (p)
        return (uint64_t)p[0] + p[t->bytes - 1];
    const uint64_t rows = (uint64_t)t->dim[1], row_bytes = t->bytes / rows;
    uint8_t *row = malloc(2 * row_bytes);
    if (!row || q35_model_read_rows(model, t, 0, 1, row) != Q35_OK ||
        q35_model_read_rows(model, t, rows - 1, 1, row + row_bytes) != Q35_OK)
        abort();
    uint64_t sum = sum_bytes(row, 2 * row_bytes);
    free(row);
    return sum;
}

static uint64_t walk_tensor(const q35_model *model, const q35_tensor_info *t)
{
    if (q35_model_tensor(model, t->name) != t) {
        fprintf(stderr, "tensor %s: not found under its own name\n", t->name);
        abort();
    }
    return sum_bytes(t->name, strlen(t->name)) + sum_ends(model, t) + t->checksum + t->rank + t->rotation_seed +
           t->rotation_width + t->activation;
}

uint64_t q35t_walk_model(const q35_model *model)
{
    uint8_t print[16];
    uint64_t sum = q35_model_file_bytes(model);
    q35_model_config config;
    for (uint64_t i = 0; i < q35_model_n_meta(model); i++)
        sum += walk_meta(q35_model_meta_at(model, i));
    for (uint64_t i = 0; i < q35_model_n_tensors(model); i++)
        sum += walk_tensor(model, q35_model_tensor_at(model, i));
    for (uint32_t dtype = Q35_DT_Q35_PAIR; dtype <= Q35_DT_Q60_ROW; dtype++)
        if (q35_model_book(model, dtype))
            sum += sum_bytes(q35_model_book(model, dtype), (size_t)2 * q35_book_entries(dtype));
    q35i_model_fingerprint(model, print);
    sum += sum_bytes(print, sizeof print);
    if (q35_model_read_config(model, &config) == Q35_OK)
        sum += config.vocab;
    else if (!q35t_error_is_sentence())
        abort();
    return sum;
}
