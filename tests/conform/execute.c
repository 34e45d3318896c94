/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a region on guarded memory. On host memory (L0) each tensor lies between inaccessible pages with garbage
 * beside it; in a device's own memory (L1) it lies in a buffer of its own with garbage on both sides, copied there
 * and back. */
#include "conform.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { PAD = 512, GARBAGE = 0x5a };

#define WAIT_NS UINT64_C(3600000000000) /* the case has a deadline of its own */

/* ---- support */

static void ask(cf_env *e, const q35_region *region, q35_support *out)
{
    memset(out, 0, sizeof *out);
    out->h = (q35_hdr){sizeof *out, Q35_STRUCT_SUPPORT, NULL};
    cf_ok(e->api->op_support(e->dev, region, out), "op_support");
}

typedef struct question {
    cf_env *e;
    const q35_region *region;
    q35_support answer;
} question;

static void *ask_thread(void *arg)
{
    question *q = arg;
    ask(q->e, q->region, &q->answer);
    return NULL;
}

static void check_answer(const q35_support *s)
{
    if (s->ok > 1 || s->determinism > Q35_DET_BITWISE)
        cf_fail("op_support answers ok %u and determinism %u, need 0 or 1 each", s->ok, s->determinism);
    if (!memchr(s->reason, '\0', sizeof s->reason))
        cf_fail("the reason of op_support does not end within its %zu bytes", sizeof s->reason);
    if (!s->ok && s->reason[0] == '\0')
        cf_fail("op_support says no without a reason");
    for (const char *c = s->reason; *c; c++)
        if ((unsigned char)*c < ' ')
            cf_fail("the reason of op_support is no line of text: '%.60s'", s->reason);
}

bool cf_supported(cf_env *e, const q35_region *region, q35_support *out)
{
    pthread_t thread;
    question other = {e, region, {.ok = 0}};
    q35_support again;
    ask(e, region, out);
    check_answer(out);
    ask(e, region, &again);
    if (memcmp(out, &again, sizeof again) != 0)
        cf_fail("op_support gives another answer the second time: ok %u '%s', then %u '%s'", out->ok, out->reason,
                again.ok, again.reason);
    if (pthread_create(&thread, NULL, ask_thread, &other) != 0)
        cf_skip("no threads");
    pthread_join(thread, NULL);
    if (memcmp(out, &other.answer, sizeof *out) != 0)
        cf_fail("op_support gives another answer on another thread: ok %u '%s', then %u '%s'", out->ok,
                out->reason, other.answer.ok, other.answer.reason);
    return out->ok;
}

static void refuse(cf_env *e, const char *reason)
{
    if (e->n_refused++ == 0)
        snprintf(e->refused, sizeof e->refused, "%s", reason);
}

void cf_sum_up(cf_env *e, const char *what)
{
    if (e->n_run == 0)
        cf_skip("%s: %s", what, e->refused[0] ? e->refused : "no case");
    if (e->n_refused > 0)
        cf_note(e, "%d, refused %d: %.500s", e->n_run, e->n_refused, e->refused);
    else
        cf_note(e, "%d", e->n_run);
}

/* ---- compile, place, run */

/* Compiles a copy of the region, which then turns into garbage: what a plan needs of it, the plugin copied. */
static q35_status compile_copy(cf_env *e, const q35_region *from, q35_plan **out)
{
    struct {
        q35_region region;
        q35_tensor_desc tensors[CF_TENSORS];
        uint32_t roles[CF_TENSORS], in[CF_NODES][CF_OPERANDS], out[CF_NODES][2];
        q35_node nodes[CF_NODES];
        const q35_node *list[CF_NODES];
    } *copy = kc_alloc(&e->x, sizeof *copy);
    copy->region = *from;
    memcpy(copy->tensors, from->tensors, from->n_tensors * sizeof *from->tensors);
    memcpy(copy->roles, from->roles, from->n_tensors * sizeof *from->roles);
    for (uint32_t i = 0; i < from->n_nodes; i++) {
        q35_node *n = &copy->nodes[i];
        *n = *from->nodes[i];
        memcpy(copy->in[i], n->in, n->n_in * sizeof *n->in);
        memcpy(copy->out[i], n->out, n->n_out * sizeof *n->out);
        n->in = copy->in[i];
        n->out = copy->out[i];
        copy->list[i] = n;
    }
    copy->region.tensors = copy->tensors;
    copy->region.roles = copy->roles;
    copy->region.nodes = copy->list;
    q35_status status = e->api->plan_compile(e->dev, &copy->region, out);
    memset(copy, GARBAGE, sizeof *copy);
    return status;
}

void cf_exec_compile(cf_env *e, cf_exec *x, cf_case *c)
{
    uint8_t *packed = x->packed;
    uint64_t packed_bytes = x->packed_bytes;
    *x = (cf_exec){.c = c, .packed = packed, .packed_bytes = packed_bytes};
    cf_stage("plan_compile: %s", c->text);
    q35_status status = compile_copy(e, cf_region(c), &x->plan);
    if (status != Q35_OK)
        cf_fail("%s: op_support says yes, plan_compile %s: %s", c->text, q35_status_name(status), cf_host_error());
    if (!x->plan)
        cf_fail("%s: plan_compile succeeded without a plan", c->text);
}

void cf_exec_free(cf_env *e, cf_exec *x)
{
    cf_stage("plan_free: %s", x->c->text);
    e->api->plan_free(x->plan);
    for (uint32_t i = 0; i < x->c->n_tensors; i++)
        if (x->buf[i])
            e->api->buf_free(x->buf[i]);
}

/* Weights in canonical layout lie where their file has them. */
static size_t host_align(const cf_tensor *t, bool packed)
{
    if (t->role != Q35_ROLE_WEIGHT || packed)
        return 64;
    return t->desc.dtype == Q35_DT_F32 || t->desc.dtype == Q35_DT_F8_32 ? 4 : 2;
}

static bool is_written(const cf_tensor *t)
{
    return t->role == Q35_ROLE_OUTPUT || t->role == Q35_ROLE_STATE || t->role == Q35_ROLE_TEMP;
}

static const uint8_t *contents(const cf_exec *x, uint32_t i, uint64_t *bytes)
{
    const bool packed = x->packed && i == x->c->weight;
    *bytes = packed ? x->packed_bytes : x->c->t[i].bytes;
    return packed ? x->packed : x->c->t[i].init;
}

static void place_host(cf_env *e, cf_exec *x, bool tail, bool read_only)
{
    if (!e->guard && !(e->guard = kc_guard_open(CF_TENSORS)))
        cf_skip("no guarded memory to be had");
    for (uint32_t i = 0; i < x->c->n_tensors; i++) {
        const cf_tensor *t = &x->c->t[i];
        uint64_t bytes;
        const uint8_t *data = contents(x, i, &bytes);
        size_t align = host_align(t, x->packed && i == x->c->weight);
        x->got[i] = kc_guard_place(e->guard, (int)i, bytes, align, tail, read_only && !is_written(t), data);
        x->bindings[i] = (q35_binding){.host = x->got[i], .bytes = bytes};
    }
}

static uint64_t buffer_bytes(uint64_t bytes)
{
    return (2 * PAD + bytes + 63) / 64 * 64;
}

static void transfer(cf_env *e, q35_buf *buf, uint8_t *host, uint64_t bytes, bool up)
{
    const q35_binding on_host = {.host = host, .bytes = bytes}, on_device = {.buf = buf, .bytes = bytes};
    const q35_point done = {e->timeline, ++e->reached};
    cf_ok(e->api->copy(e->queue, up ? &on_host : &on_device, up ? &on_device : &on_host, bytes, NULL, 0, &done, 1),
          "copy");
    cf_ok(e->api->timeline_wait(e->timeline, e->reached, WAIT_NS), "timeline_wait for a copy");
}

static uint32_t usage_of(uint32_t role)
{
    return role == Q35_ROLE_WEIGHT ? Q35_USE_WEIGHT : role == Q35_ROLE_STATE ? Q35_USE_STATE : Q35_USE_ACT;
}

/* tail: an offset of PAD, else another one. */
static void place_device(cf_env *e, cf_exec *x, bool tail)
{
    for (uint32_t i = 0; i < x->c->n_tensors; i++) {
        uint64_t bytes, offset = tail ? PAD : PAD / 2;
        const uint8_t *data = contents(x, i, &bytes);
        const uint64_t room = buffer_bytes(bytes);
        if (!x->buf[i]) {
            cf_ok(e->api->buf_alloc(e->dev, 0, room, 64, usage_of(x->c->t[i].role), &x->buf[i]), "buf_alloc");
            x->image[i] = kc_alloc(&e->x, room);
        }
        memset(x->image[i], GARBAGE, room);
        memcpy(x->image[i] + offset, data, bytes);
        transfer(e, x->buf[i], x->image[i], room, true);
        x->got[i] = x->image[i] + offset;
        x->bindings[i] = (q35_binding){.buf = x->buf[i], .offset = offset, .bytes = bytes};
    }
}

void cf_exec_place(cf_env *e, cf_exec *x, bool tail, bool read_only)
{
    cf_stage("placing: %s", x->c->text);
    if (e->l1)
        place_device(e, x, tail);
    else
        place_host(e, x, tail, read_only);
    cf_stage("plan_bind: %s", x->c->text);
    q35_binding *array = kc_alloc(&e->x, x->c->n_tensors * sizeof *array); /* to be copied */
    memcpy(array, x->bindings, x->c->n_tensors * sizeof *array);
    cf_ok(e->api->plan_bind(x->plan, array), "plan_bind");
    memset(array, GARBAGE, x->c->n_tensors * sizeof *array);
}

void cf_exec_read_back(cf_env *e, cf_exec *x)
{
    for (uint32_t i = 0; i < x->c->n_tensors; i++) {
        const uint64_t room = buffer_bytes(x->bindings[i].bytes), begin = x->bindings[i].offset,
                       end = begin + x->bindings[i].bytes;
        transfer(e, x->buf[i], x->image[i], room, false);
        for (uint64_t at = 0; at < room; at++)
            if ((at < begin || at >= end) && x->image[i][at] != GARBAGE)
                cf_fail("%s: wrote outside of %s, at byte %lld of its %llu", x->c->text, x->c->t[i].name,
                        (long long)at - (long long)begin, (unsigned long long)(end - begin));
    }
}

void cf_exec_run(cf_env *e, cf_exec *x)
{
    const uint32_t mode = cf_fpu_mode();
    if (e->l1) {
        const q35_point done = {e->timeline, ++e->reached};
        cf_stage("plan_submit: %s", x->c->text);
        cf_ok(e->api->plan_submit(e->queue, x->plan, NULL, 0, &done, 1), "plan_submit");
        cf_stage("timeline_wait: %s", x->c->text);
        cf_ok(e->api->timeline_wait(e->timeline, e->reached, WAIT_NS), "timeline_wait for a run");
        cf_stage("reading back: %s", x->c->text);
        cf_exec_read_back(e, x);
    } else {
        const uint64_t allocs = cf_host_allocs();
        cf_stage("plan_run: %s", x->c->text);
        cf_ok(e->api->plan_run(x->plan), "plan_run");
        if (!e->crowded && cf_host_allocs() != allocs)
            cf_fail("%s: plan_run allocates memory, need that done before", x->c->text);
    }
    if (cf_fpu_mode() != mode)
        cf_fail("%s: the floating-point mode is 0x%x after the run, need 0x%x as before", x->c->text,
                cf_fpu_mode(), mode);
    for (uint32_t i = 0; i < x->c->n_tensors && !e->l1; i++)
        if (x->got[i] && is_written(&x->c->t[i]) && !kc_guard_intact(e->guard, (int)i))
            cf_fail("%s: wrote outside of %s", x->c->text, x->c->t[i].name);
}

/* ---- a case in all its variants */

static void check_packed(const cf_exec *x)
{
    if (x->packed && memcmp(x->got[x->c->weight], x->packed, x->packed_bytes) != 0)
        cf_fail("%s: the packed weight changed during the run", x->c->text);
}

/* The kit compares a packed weight by itself. */
static void run_and_compare(cf_env *e, cf_exec *x, int64_t rows, const char *when)
{
    cf_case *c = x->c;
    cf_exec_run(e, x);
    check_packed(x);
    cf_elem elem = CF_BYTES;
    if (x->packed) {
        elem = c->t[c->weight].elem;
        c->t[c->weight].elem = CF_ANY;
    }
    cf_compare(e, c, x->got, rows, when);
    if (x->packed)
        c->t[c->weight].elem = elem;
}

/* BITWISE: what the run left in the outputs is what the next must leave, in valid rows. */
static void keep(cf_env *e, const cf_exec *x, uint8_t **kept)
{
    for (uint32_t i = 0; i < x->c->n_tensors; i++) {
        kept[i] = x->c->t[i].want ? kc_alloc(&e->x, x->c->t[i].bytes) : NULL;
        if (kept[i])
            memcpy(kept[i], x->got[i], x->c->t[i].bytes);
    }
}

static void same_bits(const cf_exec *x, uint8_t *const *kept, int64_t rows, const char *when)
{
    for (uint32_t i = 0; i < x->c->n_tensors; i++) {
        const cf_tensor *t = &x->c->t[i];
        if (!kept[i])
            continue;
        uint64_t bytes = rows < 0 ? t->bytes : (uint64_t)(rows * t->desc.stride[1]);
        bytes = bytes < t->bytes ? bytes : t->bytes;
        if (memcmp(kept[i], x->got[i], bytes) != 0)
            cf_fail("%s: promises Q35_DET_BITWISE, but %s has other bits %s", x->c->text, t->name, when);
    }
}

static bool all_by_rows(const cf_case *c)
{
    for (uint32_t i = 0; i < c->n_tensors; i++)
        if (c->t[i].want && !c->t[i].by_rows)
            return false;
    return true;
}

/* The same plan with fewer rows: it must not depend on the step's values. */
static void run_fewer_rows(cf_env *e, cf_exec *x, bool bitwise, uint8_t *const *kept)
{
    q35_step step, fewer;
    uint8_t *at = x->c->t[x->c->step].init;
    memcpy(&step, at, sizeof step);
    if (step.n_tokens < 2 || !all_by_rows(x->c))
        return;
    fewer = step;
    fewer.n_tokens = (int32_t)kc_below(&e->x, step.n_tokens);
    fewer.n_out = fewer.n_out < fewer.n_tokens ? fewer.n_out : fewer.n_tokens;
    fewer.n_sequences = fewer.n_sequences < fewer.n_tokens ? fewer.n_sequences : fewer.n_tokens;
    memcpy(at, &fewer, sizeof fewer);
    cf_exec_place(e, x, true, true);
    run_and_compare(e, x, fewer.n_tokens, "with fewer rows");
    if (bitwise)
        same_bits(x, kept, fewer.n_tokens, "with fewer rows");
    memcpy(at, &step, sizeof step);
}

static void check_variant(cf_env *e, cf_case *c, uint8_t *packed, uint64_t packed_bytes)
{
    q35_support support;
    uint8_t *kept[CF_TENSORS];
    cf_exec x = {.packed = packed, .packed_bytes = packed_bytes};
    cf_stage("op_support: %s", c->text);
    if (!cf_supported(e, cf_region(c), &support)) {
        refuse(e, support.reason);
        return;
    }
    const bool bitwise = support.determinism == Q35_DET_BITWISE;
    cf_exec_compile(e, &x, c);
    cf_exec_place(e, &x, true, false);
    run_and_compare(e, &x, -1, packed ? "with packed weights" : "in the first run");
    keep(e, &x, kept);
    cf_exec_place(e, &x, false, true);
    run_and_compare(e, &x, -1, packed ? "with packed weights, elsewhere in memory" : "elsewhere in memory");
    if (bitwise)
        same_bits(&x, kept, -1, "elsewhere in memory");
    run_fewer_rows(e, &x, bitwise, kept);
    cf_exec_free(e, &x);
    e->n_run++;
}

/* Slice by slice, from the last. */
static uint8_t *pack_weight(cf_env *e, const cf_tensor *w, const q35_layout *layout, uint64_t *bytes)
{
    const uint64_t rows = (uint64_t)w->desc.dim[1], n = (rows + layout->slice_rows - 1) / layout->slice_rows;
    *bytes = n * layout->slice_bytes;
    uint8_t *packed = kc_alloc(&e->x, *bytes);
    for (uint64_t i = n; i-- > 0;) {
        const uint64_t row = i * layout->slice_rows,
                       n_rows = rows - row < layout->slice_rows ? rows - row : layout->slice_rows;
        cf_ok(e->api->pack(e->dev, layout->layout, &w->desc, row, n_rows,
                           w->init + row * (uint64_t)w->desc.stride[1], packed + i * layout->slice_bytes),
              "pack");
    }
    return packed;
}

bool cf_layout(cf_env *e, uint32_t op, const q35_tensor_desc *weight, uint32_t i, q35_layout *out)
{
    if (!Q35_HAS_SLOT(e->api, q35_plugin, layout_query))
        return false;
    *out = (q35_layout){.h = {sizeof *out, Q35_STRUCT_LAYOUT, NULL}};
    q35_status status = e->api->layout_query(e->dev, op, weight, i, out);
    if (status == Q35_E_RANGE)
        return false;
    cf_ok(status, "layout_query");
    if (out->layout == 0 || out->slice_rows == 0 || out->slice_bytes == 0 || out->reversible > 1 ||
        out->align == 0 || (out->align & (out->align - 1)) != 0 || out->align > 64)
        cf_fail(
            "layout_query answers layout %u, %llu rows and %llu bytes per slice, align %llu, reversible %u: need "
            "none 0, a power of two up to 64, 0 or 1",
            out->layout, (unsigned long long)out->slice_rows, (unsigned long long)out->slice_bytes,
            (unsigned long long)out->align, out->reversible);
    return true;
}

void cf_check_case(cf_env *e, cf_case *c)
{
    enum { MOST_LAYOUTS = 2 };
    q35_layout layout;
    check_variant(e, c, NULL, 0);
    for (uint32_t i = 0; c->weight != Q35_NONE && i < MOST_LAYOUTS; i++) {
        cf_tensor *w = &c->t[c->weight];
        const q35_tensor_desc canonical = w->desc;
        uint64_t bytes;
        if (!cf_layout(e, c->nodes[0].op, &canonical, i, &layout))
            break;
        uint8_t *packed = pack_weight(e, w, &layout, &bytes);
        w->desc.layout = layout.layout;
        check_variant(e, c, packed, bytes);
        w->desc = canonical;
    }
}
