/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt devices: what there is to run on, and with --why every plugin file looked at. */
#include "commands.h"
#include "engine.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "json_out.h"

static void print_text(q35_runtime *runtime, int why)
{
    char machine[128];
    printf("machine: %s\n", q35_runtime_machine(runtime, machine, sizeof machine));
    for (uint32_t i = 0; i < q35_runtime_n_devices(runtime); i++) {
        q35_device_report d;
        q35_runtime_device(runtime, i, &d);
        printf("%-14s %s, ", d.name, d.info.name);
        if (d.memory.capacity) /* 0: the plugin does not say */
            printf("%.1f GiB free of %.1f, ", (double)d.memory.available / 0x1p30,
                   (double)d.memory.capacity / 0x1p30);
        printf("level L%u%s%s", d.level, *d.same_as ? ", same device as " : "", d.same_as);
        if (*d.info.pci) /* which of several of a kind it is */
            printf(", at %s, uuid %s", d.info.pci, d.info.uuid);
        printf("\n");
    }
    if (!why)
        return;
    for (uint32_t i = 0; i < q35_runtime_n_plugins(runtime); i++) {
        q35_plugin_report p;
        q35_runtime_plugin(runtime, i, &p);
        printf("plugin %s: ", p.path);
        if (*p.id)
            printf("%s %s, ", p.id, p.version);
        printf("%s, %" PRIu32 " device%s%s%s\n", p.loaded ? "loaded" : "not loaded", p.n_devices,
               p.n_devices == 1 ? "" : "s", *p.reason ? ": " : "", p.reason);
    }
}

static int print_json(q35_runtime *runtime)
{
    char machine[128];
    json_t *devices = json_array(), *plugins = json_array();
    for (uint32_t i = 0; i < q35_runtime_n_devices(runtime); i++) {
        q35_device_report d;
        q35_runtime_device(runtime, i, &d);
        json_array_append_new(devices,
                              json_pack("{s:s, s:o, s:I, s:I, s:i, s:o}", "name", d.name, "description",
                                        json_text(d.info.name), "bytes_total", (json_int_t)d.memory.capacity,
                                        "bytes_free", (json_int_t)d.memory.available, "level", (int)d.level,
                                        "same_as", *d.same_as ? json_text(d.same_as) : json_null()));
    }
    for (uint32_t i = 0; i < q35_runtime_n_plugins(runtime); i++) {
        q35_plugin_report p;
        q35_runtime_plugin(runtime, i, &p);
        json_array_append_new(plugins,
                              json_pack("{s:o, s:o, s:o, s:b, s:i, s:o}", "path", json_text(p.path), "id",
                                        json_text(p.id), "version", json_text(p.version), "loaded", p.loaded,
                                        "devices", (int)p.n_devices, "reason", json_text(p.reason)));
    }
    const char *text = q35_runtime_machine(runtime, machine, sizeof machine);
    return json_out(
        json_pack("{s:o, s:o, s:o}", "machine", json_text(text), "devices", devices, "plugins", plugins));
}

int cmd_devices(const cli_options *options)
{
    q35_runtime *runtime = NULL;
    int rc = cli_open_runtime(options, &runtime);
    if (rc)
        return rc;
    if (options->json)
        rc = print_json(runtime);
    else
        print_text(runtime, options->why);
    if (rc == 0 && q35_runtime_n_devices(runtime) == 0)
        rc = cli_fail(CLI_EXIT_DEVICE, "0 devices found, 1 needed: 'q35rt devices --why' says why");
    q35_runtime_destroy(runtime);
    return rc;
}
