/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_device.h"

#include <stdio.h>
#include <string.h>

static q35_status op_support(q35_device *dev, const q35_region *region, q35_support *out)
{
    const fake_device *fake = (const fake_device *)dev;
    out->ok = 1;
    for (uint32_t n = 0; n < region->n_nodes; n++)
        if (!(fake->ops >> region->nodes[n]->op & 1)) {
            out->ok = 0;
            snprintf(out->reason, sizeof out->reason, "op %u is not in my list", region->nodes[n]->op);
        }
    return Q35_OK;
}

static q35_status op_cost(q35_device *dev, const q35_region *region, q35_cost *out)
{
    (void)region;
    out->ns = ((const fake_device *)dev)->ns;
    return Q35_OK;
}

static const q35_plugin table = {.h = {sizeof table, Q35_STRUCT_PLUGIN, NULL},
                                 .abi_major = Q35_ABI_MAJOR,
                                 .id = "fake",
                                 .version = "1",
                                 .op_support = op_support,
                                 .op_cost = op_cost};

void fake_device_init(fake_device *fake, const char *name, uint32_t ops, uint64_t ns, int host)
{
    memset(fake, 0, sizeof *fake);
    snprintf(fake->device.name, sizeof fake->device.name, "%s", name);
    fake->device.api = &table;
    fake->device.dev = (q35_device *)fake;
    fake->device.host_memory = host;
    fake->ops = ops;
    fake->ns = ns;
}
