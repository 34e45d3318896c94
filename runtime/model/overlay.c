/* SPDX-License-Identifier: Apache-2.0
 *
 * A model some of whose tensors are replaced: shares everything else with the model it was made of. */
#include "model_file.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"

#include <string.h>

/* The base's tensor i; what the base composed of it for itself stays the base's. */
static void restore(q35_model *overlay, const q35_model *base, uint64_t i)
{
    q35i_tensor *t = &overlay->tensors[i];
    q35i_free(t->owned);
    *t = base->tensors[i];
    t->owned = NULL;
    t->info.name = t->name;
}

q35_status q35i_overlay_create(const q35_model *base, q35_model **out)
{
    q35_model *m = *out = q35i_calloc(1, sizeof *m);
    if (!m)
        return Q35_E_NOMEM;
    *m = *base;
    (void)pthread_mutex_init(&m->lock, NULL);
    m->base = base;
    m->tensor_index = NULL;
    m->tensors = q35i_calloc(m->n_tensors, sizeof *m->tensors);
    q35_status status = m->tensors ? Q35_OK : Q35_E_NOMEM;
    for (uint64_t i = 0; i < m->n_tensors && status == Q35_OK; i++)
        restore(m, base, i);
    if (status == Q35_OK)
        status = q35i_model_index_tensors(m);
    if (status != Q35_OK) {
        q35i_overlay_close(m);
        *out = NULL;
    }
    return status;
}

void q35i_overlay_close(q35_model *overlay)
{
    if (!overlay)
        return;
    for (uint64_t i = 0; overlay->tensors && i < overlay->n_tensors; i++)
        q35i_free(overlay->tensors[i].owned);
    q35i_free(overlay->tensors);
    q35i_free(overlay->tensor_index);
    (void)pthread_mutex_destroy(&overlay->lock);
    q35i_free(overlay);
}

void q35i_overlay_replace(q35_model *overlay, uint64_t i, const q35_tensor_info *info)
{
    q35i_tensor *t = &overlay->tensors[i];
    restore(overlay, overlay->base, i);
    if (!info)
        return;
    const char *name = t->info.name;
    t->info = *info;
    t->info.name = name;
    t->stored = Q35I_STORED_PLAIN;
    t->bytes = info->data;
}

void q35i_overlay_books(q35_model *overlay, const int8_t (*book)[2], const int8_t (*book8)[2])
{
    overlay->book = book;
    overlay->book8 = book8;
}
