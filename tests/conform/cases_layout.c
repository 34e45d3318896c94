/* SPDX-License-Identifier: Apache-2.0
 *
 * Private layouts: slices do not depend on their order, on what else is packed, or on the bytes around them;
 * unpack gives back what pack got; the key is a constant. */
#define _GNU_SOURCE
#include "conform.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* A weight with a layout, as the linear cases have it. */
typedef struct packing {
    cf_env *e;
    const cf_tensor *w;
    q35_layout layout;
    uint64_t n_slices, bytes;
} packing;

static uint64_t rows_of(const packing *p, uint64_t slice)
{
    const uint64_t left = (uint64_t)p->w->desc.dim[1] - slice * p->layout.slice_rows;
    return left < p->layout.slice_rows ? left : p->layout.slice_rows;
}

static const uint8_t *source(const packing *p, uint64_t slice)
{
    return p->w->init + slice * p->layout.slice_rows * (uint64_t)p->w->desc.stride[1];
}

static void pack_slice(const packing *p, uint64_t slice, const uint8_t *src, uint8_t *dst)
{
    cf_ok(p->e->api->pack(p->e->dev, p->layout.layout, &p->w->desc, slice * p->layout.slice_rows,
                          rows_of(p, slice), src, dst),
          "pack");
}

/* All slices at once from a few threads, each from its own end. */
typedef struct worker {
    const packing *p;
    uint8_t *dst;
    uint64_t first;
    pthread_t thread;
} worker;

static void *pack_all(void *arg)
{
    const worker *w = arg;
    for (uint64_t i = 0; i < w->p->n_slices; i++) {
        const uint64_t slice = (i + w->first) % w->p->n_slices;
        pack_slice(w->p, slice, source(w->p, slice), w->dst + slice * w->p->layout.slice_bytes);
    }
    return NULL;
}

static void check_threads(const packing *p, const uint8_t *want)
{
    enum { N = 3 };
    worker w[N];
    for (uint64_t i = 0; i < N; i++) {
        w[i] = (worker){p, kc_alloc(&p->e->x, p->bytes), i * p->n_slices / N, 0};
        if (pthread_create(&w[i].thread, NULL, pack_all, &w[i]) != 0)
            cf_skip("no threads");
    }
    for (int i = 0; i < N; i++) {
        pthread_join(w[i].thread, NULL);
        if (memcmp(w[i].dst, want, p->bytes) != 0)
            cf_fail("layout %u: packed from several threads, in another order, the bytes differ",
                    p->layout.layout);
    }
}

/* Each slice alone on guarded memory, whose rows cannot be written. */
static void check_slices(const packing *p, const uint8_t *want)
{
    cf_env *e = p->e;
    const uint64_t stride = (uint64_t)p->w->desc.stride[1], bytes = p->layout.slice_bytes;
    uint8_t *zeros =
        kc_alloc(&e->x, bytes > stride * p->layout.slice_rows ? bytes : stride * p->layout.slice_rows);
    for (uint64_t i = p->n_slices; i-- > 0;) {
        const uint64_t rows = rows_of(p, i) * stride;
        uint8_t *src = kc_guard_place(e->guard, 0, rows, 4, i & 1, true, source(p, i)),
                *dst = kc_guard_place(e->guard, 1, bytes, p->layout.align, !(i & 1), false, zeros);
        pack_slice(p, i, src, dst);
        if (!kc_guard_intact(e->guard, 1))
            cf_fail("layout %u: pack wrote outside of slice %llu", p->layout.layout, (unsigned long long)i);
        if (memcmp(dst, want + i * bytes, bytes) != 0)
            cf_fail("layout %u: slice %llu packed alone has other bytes", p->layout.layout, (unsigned long long)i);
        if (!p->layout.reversible || !Q35_HAS_SLOT(e->api, q35_plugin, unpack))
            continue;
        uint8_t *back = kc_guard_place(e->guard, 2, rows, 4, i & 1, false, zeros);
        src = kc_guard_place(e->guard, 1, bytes, p->layout.align, i & 1, true, want + i * bytes);
        cf_stage("unpack of slice %llu", (unsigned long long)i);
        cf_ok(e->api->unpack(e->dev, p->layout.layout, &p->w->desc, i * p->layout.slice_rows, rows_of(p, i), src,
                             back),
              "unpack");
        if (!kc_guard_intact(e->guard, 2))
            cf_fail("layout %u: unpack wrote outside of slice %llu", p->layout.layout, (unsigned long long)i);
        if (memcmp(back, source(p, i), rows) != 0)
            cf_fail("layout %u is reversible, but unpack does not give back slice %llu", p->layout.layout,
                    (unsigned long long)i);
    }
}

/* Other rows must not show in a slice; other contents must. */
static void check_key(cf_env *e, uint32_t layout)
{
    uint8_t key[3][64];
    if (!Q35_HAS_SLOT(e->api, q35_plugin, pack_key))
        return;
    memset(key, 0x5a, sizeof key);
    for (int i = 0; i < 3; i++) {
        cf_stage("pack_key of layout %u", layout);
        cf_ok(e->api->pack_key(e->dev, layout, key[i]), "pack_key");
        for (int j = 32; j < 64; j++)
            if (key[i][j] != 0x5a)
                cf_fail("pack_key of layout %u wrote more than 32 bytes", layout);
        if (memcmp(key[i], key[0], 32) != 0)
            cf_fail("pack_key of layout %u gives another key the second time", layout);
    }
}

static void check_layout(cf_env *e, const cf_case *c, uint32_t i, const q35_layout *layout)
{
    packing p = {.e = e, .w = &c->t[c->weight], .layout = *layout};
    (void)i;
    p.n_slices = ((uint64_t)p.w->desc.dim[1] + layout->slice_rows - 1) / layout->slice_rows;
    p.bytes = p.n_slices * layout->slice_bytes;
    uint8_t *first = kc_alloc(&e->x, p.bytes);
    cf_stage("pack: %s", c->text);
    worker here = {&p, first, 0, 0};
    pack_all(&here);
    if (!e->guard && !(e->guard = kc_guard_open(CF_TENSORS)))
        cf_skip("no guarded memory to be had");
    check_slices(&p, first);
    check_threads(&p, first);
    check_key(e, layout->layout);
}

static void layout_pack(cf_env *e, uint32_t dtype, uint32_t act)
{
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    const size_t used = e->x.arena_used;
    q35_layout layout, again;
    if (!Q35_HAS_SLOT(e->api, q35_plugin, layout_query))
        cf_skip("no slot layout_query");
    for (int64_t index = 0; cf_build_linear(e, c, index, dtype, act); index++) {
        for (uint32_t i = 0; cf_layout(e, Q35_OP_LINEAR, &c->t[c->weight].desc, i, &layout); i++) {
            if (!cf_layout(e, Q35_OP_LINEAR, &c->t[c->weight].desc, i, &again) ||
                memcmp(&layout, &again, sizeof layout) != 0)
                cf_fail("layout_query gives another answer the second time: %s", c->text);
            if (i > 64)
                cf_fail("layout_query has more than 64 layouts, need RANGE past the last: %s", c->text);
            check_layout(e, c, i, &layout);
            e->n_run++;
        }
        e->x.arena_used = used;
    }
    cf_sum_up(e, "the device likes no layout for it");
}

/* Weights that no layout is meant for. */
static void layout_none(cf_env *e, uint32_t a, uint32_t b)
{
    q35_layout layout;
    q35_tensor_desc d = {.dtype = 0x7fff0001u, .rank = 2, .dim = {64, 64, 1, 1}, .stride = {4, 256, 16384, 16384}};
    (void)a, (void)b;
    if (!Q35_HAS_SLOT(e->api, q35_plugin, layout_query))
        cf_skip("no slot layout_query");
    if (cf_layout(e, Q35_OP_LINEAR, &d, 0, &layout))
        cf_fail("layout_query likes a layout for an unknown type");
    d.dtype = Q35_DT_F32;
    if (cf_layout(e, 999, &d, 0, &layout))
        cf_fail("layout_query likes a layout for an unknown op");
}

void cf_list_layout(cf_list *list)
{
    for (size_t i = 0; i < cf_n_weight_types; i++)
        cf_add_test(list, CF_DEVICE, layout_pack, cf_weight_types[i],
                    q35_is_row_type(cf_weight_types[i]) ? Q35_DT_A8_ROW : Q35_DT_A8_32, "layout/%s",
                    q35_dtype_describe(cf_weight_types[i]).name);
    cf_add_test(list, CF_DEVICE, layout_none, 0, 0, "layout/none");
}
