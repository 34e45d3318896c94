/* SPDX-License-Identifier: Apache-2.0
 *
 * Hosts of other minors and hosts with bugs: structs cut off, longer than known, without a body; chains of unknown
 * structs; another major. A plugin writes what lies inside hdr.size, and nothing else. */
#define _GNU_SOURCE
#include "conform.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- answers into structs of every length */

enum { ROOM = 1024, GARBAGE = 0x5a };

typedef struct answer {
    const char *name;
    uint32_t type, bytes;
    q35_status (*ask)(cf_env *e, q35_hdr *out);
} answer;

static const q35_region *asked; /* by the next two */

static q35_status ask_info(cf_env *e, q35_hdr *out)
{
    return e->api->device_info(e->options->device, (q35_device_info *)(void *)out);
}

static q35_status ask_memory(cf_env *e, q35_hdr *out)
{
    return e->api->memory_info(e->options->device, 0, (q35_memory_info *)(void *)out);
}

static q35_status ask_support(cf_env *e, q35_hdr *out)
{
    return e->api->op_support(e->dev, asked, (q35_support *)(void *)out);
}

static q35_status ask_cost(cf_env *e, q35_hdr *out)
{
    return e->api->op_cost(e->dev, asked, (q35_cost *)(void *)out);
}

static const answer answers[] = {
    {"device_info", Q35_STRUCT_DEVICE_INFO, sizeof(q35_device_info), ask_info},
    {"memory_info", Q35_STRUCT_MEMORY_INFO, sizeof(q35_memory_info), ask_memory},
    {"op_support", Q35_STRUCT_SUPPORT, sizeof(q35_support), ask_support},
    {"op_cost", Q35_STRUCT_COST, sizeof(q35_cost), ask_cost},
};

/* Asks with a struct of `size` bytes; what follows it must stay. */
static void ask_with(cf_env *e, const answer *a, uint32_t size, uint8_t buffer[ROOM])
{
    q35_hdr head = {size, a->type, NULL}, after;
    memset(buffer, GARBAGE, ROOM);
    memset(buffer, 0, size < ROOM ? size : ROOM);
    memcpy(buffer, &head, sizeof head);
    cf_stage("%s with a struct of %u bytes", a->name, size);
    cf_ok(a->ask(e, (q35_hdr *)(void *)buffer), a->name);
    memcpy(&after, buffer, sizeof after);
    if (after.size != size || after.type != a->type || after.next)
        cf_fail("%s changed the header of a struct of %u bytes", a->name, size);
    for (uint32_t i = size < sizeof head ? (uint32_t)sizeof head : size; i < ROOM; i++)
        if (buffer[i] != GARBAGE)
            cf_fail("%s wrote to byte %u of a struct of %u bytes", a->name, i, size);
}

static void abi_answers(cf_env *e, uint32_t i, uint32_t b)
{
    const answer *a = &answers[i];
    _Alignas(64) uint8_t part[ROOM];
    (void)b;
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    if (a->ask == ask_cost && !Q35_HAS_SLOT(e->api, q35_plugin, op_cost))
        cf_skip("no slot op_cost");
    if (!cf_any_case(e, c, 0))
        cf_small_case(e, c, 0);
    asked = cf_region(c);
    for (uint32_t size = sizeof(q35_hdr); size <= a->bytes; size += 4)
        ask_with(e, a, size, part);
    ask_with(e, a, 0, part);
    /* Of a newer host: what this ABI does not know stays as it was. */
    ask_with(e, a, a->bytes + 64, part);
    for (uint32_t at = a->bytes; at < a->bytes + 64; at++)
        if (part[at] != 0)
            cf_fail("%s wrote to byte %u, past the %u bytes that ABI %u.%u knows", a->name, at, a->bytes,
                    Q35_ABI_MAJOR, Q35_ABI_MINOR);
}

/* ---- longer inputs, unknown chains */

/* A struct of a newer host: `bytes` more, all of `value`, and behind it a chain of a type nobody knows. */
static void *longer(cf_env *e, const void *from, uint32_t size, uint32_t bytes, uint8_t value, bool chain)
{
    uint8_t *copy = kc_alloc(&e->x, size + bytes);
    q35_hdr *head = (q35_hdr *)(void *)copy;
    memcpy(copy, from, size);
    memset(copy + size, value, bytes);
    head->size = size + bytes;
    if (chain) {
        q35_hdr *unknown = kc_alloc(&e->x, 64);
        q35_hdr *vendor = kc_alloc(&e->x, 64);
        *vendor = (q35_hdr){64, 0x7fff0001u, NULL};
        *unknown = (q35_hdr){64, 0xfff0u, vendor};
        head->next = unknown;
    }
    return copy;
}

static void abi_longer(cf_env *e, uint32_t a, uint32_t b)
{
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    uint32_t n = 0;
    (void)a, (void)b;
    for (uint32_t i = 0; cf_any_case(e, c, i); i++) {
        const q35_region *plain = cf_region(c);
        q35_support before, after;
        if (!cf_supported(e, plain, &before))
            continue;
        q35_region *region = longer(e, plain, sizeof *plain, 32, 0xff, true);
        const q35_node *node = longer(e, plain->nodes[0], sizeof *node, 32, 0xff, true);
        region->nodes = &node;
        cf_stage("a region and a node of a newer host: %s", c->text);
        if (!cf_supported(e, region, &after))
            cf_fail("%s: refused with a longer region and node and chains of unknown structs: %s", c->text,
                    after.reason);
        q35_plan *plan = NULL;
        cf_ok(e->api->plan_compile(e->dev, region, &plan), "plan_compile of a region of a newer host");
        e->api->plan_free(plan);
        n++;
    }
    if (n == 0)
        cf_skip("the device runs none of the kit's small cases");
}

static void abi_options(cf_env *e, uint32_t a, uint32_t b)
{
    q35_pool *pool = cf_pool(1);
    q35_open_options plain = cf_open_options(e, pool);
    (void)a, (void)b;
    q35_open_options *options = longer(e, &plain, sizeof plain, 64, 0xff, true);
    q35_device *dev = NULL;
    cf_stage("device_open with options of a newer host");
    cf_ok(e->api->device_open(e->options->device, options, &dev), "device_open with options of a newer host");
    e->api->device_close(dev);
}

/* ---- hosts */

static q35_plugin_query_fn query_of(const cf_env *e)
{
    q35_plugin_query_fn query;
    void *symbol = dlsym(e->handle, Q35_PLUGIN_SYMBOL);
    memcpy(&query, &symbol, sizeof query);
    return query;
}

static void abi_major(cf_env *e, uint32_t a, uint32_t b)
{
    /* Nothing but the versions means anything to a plugin of this major. */
    static q35_host other;
    const q35_plugin *api = NULL;
    (void)a, (void)b;
    other = *cf_host();
    other.abi_major = Q35_ABI_MAJOR + 1;
    cf_stage("q35_plugin_query of a host of ABI %u", other.abi_major);
    q35_status status = query_of(e)(&other, &api);
    if (status != Q35_E_VERSION)
        cf_fail("q35_plugin_query answers %s to a host of ABI %u, need VERSION", q35_status_name(status),
                other.abi_major);
}

static void abi_newer_host(cf_env *e, uint32_t a, uint32_t b)
{
    static struct {
        q35_host host;
        uint8_t more[64];
    } newer;
    const q35_plugin *api = NULL;
    (void)a, (void)b;
    memset(&newer, 0xff, sizeof newer);
    newer.host = *cf_host();
    newer.host.h.size = sizeof newer;
    newer.host.abi_minor = Q35_ABI_MINOR + 7;
    cf_stage("q35_plugin_query of a host of a newer minor");
    cf_ok(query_of(e)(&newer.host, &api), "q35_plugin_query of a host of a newer minor");
    if (api != e->api)
        cf_fail("q35_plugin_query gives another table the second time");
    uint32_t n;
    cf_ok(api->enumerate(&n), "enumerate");
}

static void abi_extension(cf_env *e, uint32_t a, uint32_t b)
{
    static const uint32_t unknown[] = {0, 0xffff, 0x7fff0001u, UINT32_MAX};
    (void)a, (void)b;
    if (!Q35_HAS_SLOT(e->api, q35_plugin, extension))
        cf_skip("no slot extension");
    for (int i = 0; i < 4; i++)
        if (e->api->extension(unknown[i]))
            cf_fail("extension of the unknown type 0x%x is not NULL", unknown[i]);
}

void cf_list_abi(cf_list *list)
{
    for (uint32_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
        cf_add_test(list, CF_DEVICE, abi_answers, i, 0, "abi/answers/%s", answers[i].name);
    cf_add_test(list, CF_DEVICE, abi_longer, 0, 0, "abi/longer");
    cf_add_test(list, CF_CLOSED, abi_options, 0, 0, "abi/options");
    cf_add_test(list, 0, abi_major, 0, 0, "abi/major");
    cf_add_test(list, 0, abi_newer_host, 0, 0, "abi/newer_host");
    cf_add_test(list, 0, abi_extension, 0, 0, "abi/extension");
}
