/* SPDX-License-Identifier: Apache-2.0
 *
 * What a device says its work costs. No figure is checked against a clock; but they must be sane, the same when
 * asked again, and not less for more work, for the host places by them. */
#include "conform.h"

#include <string.h>

static q35_cost ask(cf_env *e, const q35_region *region, const char *what)
{
    q35_cost cost = {.h = {sizeof cost, Q35_STRUCT_COST, NULL}};
    cf_ok(e->api->op_cost(e->dev, region, &cost), what);
    return cost;
}

static void need_slot(cf_env *e)
{
    if (!Q35_HAS_SLOT(e->api, q35_plugin, op_cost))
        cf_skip("no slot op_cost");
}

static void sane(cf_env *e, uint32_t a, uint32_t b)
{
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    (void)a, (void)b;
    need_slot(e);
    for (uint32_t i = 0; cf_any_case(e, c, i); i++) {
        const q35_region *region = cf_region(c);
        const q35_cost cost = ask(e, region, c->text), again = ask(e, region, c->text);
        if (memcmp(&cost, &again, sizeof cost) != 0)
            cf_fail("%s: op_cost gives another answer the second time: %llu ns, then %llu", c->text,
                    (unsigned long long)cost.ns, (unsigned long long)again.ns);
        if (cost.ns == 0 || cost.launch_ns > cost.ns)
            cf_fail("%s: op_cost answers %llu ns, %llu of them per submission: need some, and no more than all",
                    c->text, (unsigned long long)cost.ns, (unsigned long long)cost.launch_ns);
        if (cost.source > Q35_COST_MEASURED || cost.confidence_pct > 100)
            cf_fail("%s: op_cost answers source %u and confidence %u, need 0 or 1 and 0 to 100", c->text,
                    cost.source, cost.confidence_pct);
        e->n_run++;
    }
    cf_sum_up(e, "costs");
}

/* Makes a LINEAR without a codebook `times` as wide. Nothing is run, so no memory has to be there. */
static void widen(cf_case *c, int64_t times)
{
    q35_tensor_desc *w = &c->t[c->in[0][1]].desc, *y = &c->t[c->out[0][0]].desc;
    w->dim[1] *= times;
    y->dim[0] *= times;
    y->stride[1] = 4 * y->dim[0];
}

static void grows(cf_env *e, uint32_t dtype, uint32_t act)
{
    enum { TIMES = 64 };
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    q35_support support;
    need_slot(e);
    for (int64_t i = 0; cf_build_linear(e, c, i, dtype, act); i++) {
        if (!cf_supported(e, cf_region(c), &support))
            continue;
        const q35_cost narrow = ask(e, cf_region(c), c->text);
        widen(c, TIMES);
        if (!cf_supported(e, cf_region(c), &support))
            continue;
        const q35_cost wide = ask(e, cf_region(c), c->text);
        if (wide.ns < narrow.ns || wide.flops < narrow.flops || wide.bytes_read < narrow.bytes_read)
            cf_fail("%s: costs %llu ns, %llu operations and %llu bytes read; with %d times the rows %llu, %llu "
                    "and %llu, need no less",
                    c->text, (unsigned long long)narrow.ns, (unsigned long long)narrow.flops,
                    (unsigned long long)narrow.bytes_read, (int)TIMES, (unsigned long long)wide.ns,
                    (unsigned long long)wide.flops, (unsigned long long)wide.bytes_read);
        e->n_run++;
    }
    cf_sum_up(e, "linears");
}

/* The template's devices have no LINEAR, but tokens: more of them cost no less. */
static void grows_with_rows(cf_env *e, uint32_t a, uint32_t b)
{
    enum { TIMES = 64 };
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    q35_support support;
    (void)a, (void)b;
    need_slot(e);
    for (int64_t i = 0; cf_build_elementwise(e, c, i, Q35_OP_ADD, 0); i++) {
        if (!cf_supported(e, cf_region(c), &support))
            continue;
        const q35_cost few = ask(e, cf_region(c), c->text);
        for (uint32_t t = 0; t < c->n_tensors; t++)
            if (t != c->step)
                c->t[t].desc.dim[1] *= TIMES;
        if (!cf_supported(e, cf_region(c), &support))
            continue;
        const q35_cost many = ask(e, cf_region(c), c->text);
        if (many.ns < few.ns)
            cf_fail("%s: costs %llu ns, with %d times the rows %llu, need no less", c->text,
                    (unsigned long long)few.ns, (int)TIMES, (unsigned long long)many.ns);
        e->n_run++;
    }
    cf_sum_up(e, "additions");
}

void cf_list_cost(cf_list *list)
{
    cf_add_test(list, CF_DEVICE, sane, 0, 0, "cost/sane");
    cf_add_test(list, CF_DEVICE, grows_with_rows, 0, 0, "cost/rows");
    cf_add_test(list, CF_DEVICE, grows, Q35_DT_F32, Q35_DT_F32, "cost/linear/F32");
    cf_add_test(list, CF_DEVICE, grows, Q35_DT_Q35_ROW, Q35_DT_A8_ROW, "cost/linear/Q35_ROW");
}
