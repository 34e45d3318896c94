/* SPDX-License-Identifier: Apache-2.0
 *
 * Look-up of metadata by key and of tensors by name: sorted tables, binary search. */
#include "model_file.h"

#include "quote.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"

#include <stdlib.h>
#include <string.h>

static int compare_strings(q35_string a, q35_string b)
{
    int order = memcmp(a.data, b.data, (size_t)q35i_min(a.len, b.len));
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int by_key(const void *a, const void *b)
{
    const q35_meta *const *x = a, *const *y = b;
    return compare_strings((*x)->key, (*y)->key);
}

/* Sorted index; equal neighbours are duplicates. */
q35_status q35i_model_index_meta(q35_model *model)
{
    model->meta_index = q35i_calloc(model->n_meta, sizeof *model->meta_index);
    if (!model->meta_index)
        return Q35_E_NOMEM;
    for (uint64_t i = 0; i < model->n_meta; i++)
        model->meta_index[i] = &model->meta[i];
    qsort(model->meta_index, model->n_meta, sizeof *model->meta_index, by_key);
    for (uint64_t i = 1; i < model->n_meta; i++)
        if (compare_strings(model->meta_index[i - 1]->key, model->meta_index[i]->key) == 0)
            return Q35_FAIL(Q35_E_FORMAT, "metadata %s: key occurs twice, need unique keys",
                            q35i_quote(model->meta_index[i]->key).text);
    return Q35_OK;
}

const q35_meta *q35i_model_meta(const q35_model *model, q35_string key)
{
    uint64_t low = 0, high = model->meta_index ? model->n_meta : 0;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        int order = compare_strings(model->meta_index[mid]->key, key);
        if (order == 0)
            return model->meta_index[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    const q35i_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

q35_status q35i_model_index_tensors(q35_model *model)
{
    model->tensor_index = q35i_calloc(model->n_tensors, sizeof *model->tensor_index);
    if (!model->tensor_index)
        return Q35_E_NOMEM;
    for (uint64_t i = 0; i < model->n_tensors; i++)
        model->tensor_index[i] = &model->tensors[i];
    qsort(model->tensor_index, model->n_tensors, sizeof *model->tensor_index, by_name);
    for (uint64_t i = 1; i < model->n_tensors; i++)
        if (strcmp(model->tensor_index[i - 1]->name, model->tensor_index[i]->name) == 0)
            return Q35_FAIL(Q35_E_FORMAT, "tensor %s: name occurs twice, need unique names",
                            model->tensor_index[i]->name);
    return Q35_OK;
}

q35i_tensor *q35i_model_tensor(const q35_model *model, q35_string name)
{
    uint64_t low = 0, high = model->tensor_index ? model->n_tensors : 0;
    if (name.len >= Q35I_NAME_BYTES)
        return NULL;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        q35i_tensor *t = model->tensor_index[mid];
        int order = strncmp(t->name, name.data, name.len);
        if (order == 0)
            order = t->name[name.len] != '\0';
        if (order == 0)
            return t;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}
