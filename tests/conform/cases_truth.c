/* SPDX-License-Identifier: Apache-2.0
 *
 * What op_support says of regions that no device should take: unknown ids, parameters with more in them than is
 * known, none, or of another type; and of all others that plan_compile agrees with it. */
#include "conform.h"

#include <stdio.h>
#include <string.h>

/* Yes must compile, no must have a reason and not compile. */
static bool ask(cf_env *e, cf_case *c, const char *what)
{
    q35_support support;
    q35_plan *plan = NULL;
    cf_stage("%s: %s", what, c->text);
    const bool yes = cf_supported(e, cf_region(c), &support);
    cf_host_clear();
    q35_status status = e->api->plan_compile(e->dev, &c->region, &plan);
    if (yes && status != Q35_OK)
        cf_fail("%s, %s: op_support says yes, plan_compile %s: %s", what, c->text, q35_status_name(status),
                cf_host_error());
    if (!yes)
        cf_refused(status, "plan_compile of a region that op_support refuses");
    if (status == Q35_OK)
        e->api->plan_free(plan);
    return yes;
}

static void want_no(cf_env *e, cf_case *c, const char *what)
{
    if (ask(e, c, what))
        cf_fail("%s, %s: op_support says yes, need no", what, c->text);
}

static void truth_unknown(cf_env *e, uint32_t a, uint32_t b)
{
    static const uint32_t ids[] = {0, 17, 999, 0xffff, 0x00010001u, 0x7fff0001u, UINT32_MAX};
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    (void)a, (void)b;
    for (uint32_t i = 0; cf_small_case(e, c, i); i++) {
        const uint32_t op = c->nodes[0].op;
        for (int j = 0; j < 7 && i < 3; j++) {
            c->nodes[0].op = ids[j];
            want_no(e, c, "unknown op");
        }
        c->nodes[0].op = op;
        for (uint32_t t = 1; t < c->n_tensors; t++) {
            const uint32_t dtype = c->t[t].desc.dtype;
            c->t[t].desc.dtype = 0x7fff0001u;
            want_no(e, c, "unknown type");
            c->t[t].desc.dtype = dtype;
            c->t[t].desc.layout = 0x7fff0001u;
            want_no(e, c, "unknown layout");
            c->t[t].desc.layout = 0;
        }
    }
}

static void truth_params(cf_env *e, uint32_t a, uint32_t b)
{
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    uint32_t n = 0;
    (void)a, (void)b;
    for (uint32_t i = 0; cf_small_case(e, c, i); i++) {
        q35_support support;
        const q35_hdr *known = c->nodes[0].params;
        if (!known || !cf_supported(e, cf_region(c), &support))
            continue;
        uint8_t *longer = kc_alloc(&e->x, known->size + 32u);
        memcpy(longer, known, known->size);
        ((q35_hdr *)(void *)longer)->size = known->size + 32;
        c->nodes[0].params = (const q35_hdr *)(const void *)longer;
        if (!ask(e, c, "longer parameters, zero past what is known"))
            cf_fail("%s: refuses longer parameters although all that is not known is zero", c->text);
        longer[known->size + 31u] = 1;
        want_no(e, c, "longer parameters with more in them than is known");
        if (cf_supported(e, cf_region(c), &support))
            cf_fail("%s: another answer after a refusal", c->text);
        q35_hdr head = {sizeof head, known->type, NULL};
        c->nodes[0].params = &head;
        want_no(e, c, "parameters without a body");
        if (c->nodes[0].op != Q35_OP_QUANTIZE_ACT) {
            c->nodes[0].params = NULL;
            want_no(e, c, "no parameters");
        }
        c->nodes[0].params = known;
        if (!ask(e, c, "the parameters as they were"))
            cf_fail("%s: refused after other parameters were", c->text);
        n++;
    }
    if (n == 0)
        cf_skip("the device runs no op with parameters");
}

/* Wrong numbers of operands, and shapes that do not fit each other. */
static void truth_shapes(cf_env *e, uint32_t a, uint32_t b)
{
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    (void)a, (void)b;
    for (uint32_t i = 0; cf_small_case(e, c, i); i++) {
        q35_support support;
        if (!cf_supported(e, cf_region(c), &support))
            continue;
        q35_node *node = &c->nodes[0];
        const uint32_t n_in = node->n_in, n_out = node->n_out;
        node->n_in = 0;
        want_no(e, c, "no inputs");
        node->n_in = n_in;
        if (n_out > 0) {
            node->n_out = 0;
            want_no(e, c, "no outputs");
            node->n_out = n_out;
            cf_tensor *y = &c->t[c->out[0][0]];
            y->desc.dim[0]++;
            y->desc.stride[1] += y->desc.stride[0];
            want_no(e, c, "an output with a column too many");
        }
    }
}

/* Two nodes in one region: yes must compile; the op the device runs beside one that nobody knows must be refused.
 */
static void truth_regions(cf_env *e, uint32_t a, uint32_t b)
{
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    (void)a, (void)b;
    if (!cf_any_case(e, c, 0))
        cf_skip("the device runs none of the kit's small cases");
    c->nodes[1] = c->nodes[0];
    memcpy(c->in[1], c->in[0], sizeof c->in[0]);
    memcpy(c->out[1], c->out[0], sizeof c->out[0]);
    c->nodes[1].in = c->in[1];
    c->nodes[1].out = c->out[1];
    c->n_nodes = 2;
    ask(e, c, "the same node twice");
    c->nodes[1].op = 999;
    want_no(e, c, "a known and an unknown op");
}

void cf_list_truth(cf_list *list)
{
    cf_add_test(list, CF_DEVICE, truth_unknown, 0, 0, "truth/unknown");
    cf_add_test(list, CF_DEVICE, truth_params, 0, 0, "truth/params");
    cf_add_test(list, CF_DEVICE, truth_shapes, 0, 0, "truth/shapes");
    cf_add_test(list, CF_DEVICE, truth_regions, 0, 0, "truth/regions");
}
