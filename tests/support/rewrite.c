/* SPDX-License-Identifier: Apache-2.0
 *
 * Copies a model file with one thing changed. */
#include "rewrite.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/model/gguf_write.h"

#include <q35rt/blocks.h>
#include <stdio.h>

static int is(const char *name, q35_string key)
{
    return name && strlen(name) == key.len && memcmp(name, key.data, key.len) == 0;
}

static q35_status write_key(q35i_gguf_writer *w, const q35t_change *c)
{
    const uint32_t u = c->type == Q35_META_U32 ? (uint32_t)c->number : 0, pair[2] = {u, u};
    const int32_t i = c->type == Q35_META_I32 ? (int32_t)c->number : 0;
    const float f = (float)c->number;
    const uint8_t b = c->number != 0;
    q35_meta m = {{c->set_key, strlen(c->set_key)}, c->type, 0, 1, NULL};
    switch (c->type) {
    case Q35_META_U32: m.data = &u; break;
    case Q35_META_I32: m.data = &i; break;
    case Q35_META_F32: m.data = &f; break;
    case Q35_META_BOOL: m.data = &b; break;
    case Q35_META_STRING: return q35i_gguf_writer_string(w, c->set_key, c->text);
    default: return q35i_gguf_writer_array(w, c->set_key, Q35_META_U32, pair, 2);
    }
    return q35i_gguf_writer_copy(w, &m);
}

static q35_status write_meta(q35i_gguf_writer *w, const q35_model *from, const q35t_change *c)
{
    for (uint64_t i = 0; i < q35_model_n_meta(from); i++) {
        const q35_meta *m = q35_model_meta_at(from, i);
        if (!is(c->drop_key, m->key) && !is(c->set_key, m->key))
            Q35_TRY(q35i_gguf_writer_copy(w, m));
    }
    return c->set_key ? write_key(w, c) : Q35_OK;
}

static int kept(const q35_tensor_info *t, const q35t_change *c)
{
    unsigned layer;
    return !(c->layers && sscanf(t->name, "blk.%u.", &layer) == 1 && layer >= c->layers) &&
           !(c->drop_tensor && strcmp(c->drop_tensor, t->name) == 0) &&
           !(c->add_tensor && strcmp(c->add_tensor, t->name) == 0);
}

static uint64_t added_bytes(const q35t_change *c)
{
    return q35_row_bytes(c->dtype, (uint64_t)c->dim[0]) * (c->rank > 1 ? (uint64_t)c->dim[1] : 1);
}

static q35_status write_added(q35i_gguf_writer *w, const q35t_change *c)
{
    const float one = 1;
    uint64_t bytes = added_bytes(c);
    uint8_t *data = q35i_calloc(bytes, 1);
    if (!data)
        return Q35_E_NOMEM;
    for (uint64_t i = 0; c->dtype == Q35_DT_F32 && i < bytes; i += sizeof one)
        memcpy(data + i, &one, sizeof one);
    q35_status status = q35i_gguf_writer_data(w, data, bytes);
    q35i_free(data);
    return status;
}

static q35_status write_tensors(q35i_gguf_writer *w, const q35_model *from, const q35t_change *c)
{
    for (uint64_t i = 0; i < q35_model_n_tensors(from); i++) {
        const q35_tensor_info *t = q35_model_tensor_at(from, i);
        if (kept(t, c))
            Q35_TRY(q35i_gguf_writer_tensor(w, t->name, t->dtype, t->rank, t->dim, t->bytes));
    }
    if (c->add_tensor)
        Q35_TRY(q35i_gguf_writer_tensor(w, c->add_tensor, c->dtype, c->rank, c->dim, added_bytes(c)));
    Q35_TRY(q35i_gguf_writer_begin(w));
    for (uint64_t i = 0; i < q35_model_n_tensors(from); i++) {
        const q35_tensor_info *t = q35_model_tensor_at(from, i);
        if (kept(t, c))
            Q35_TRY(q35i_gguf_writer_data(w, t->data, t->bytes));
    }
    return c->add_tensor ? write_added(w, c) : Q35_OK;
}

q35_status q35t_rewrite(const q35_model *from, const char *path, const q35t_change *change)
{
    q35_status status;
    q35i_gguf_writer *w;
    Q35_TRY(q35i_gguf_writer_create(path, true, &w));
    Q35_TRY_GOTO(write_meta(w, from, change), fail);
    Q35_TRY_GOTO(write_tensors(w, from, change), fail);
    return q35i_gguf_writer_commit(w);
fail:
    q35i_gguf_writer_discard(w);
    return status;
}
