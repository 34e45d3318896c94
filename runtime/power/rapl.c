/* SPDX-License-Identifier: Apache-2.0
 *
 * Running average power limit counters of Intel and AMD processors: zones "intel-rapl:N" of packages, which
 * contain cores and integrated graphics, and their zones "dram", which they do not contain. Other zones (psys,
 * core, uncore) would count the same energy again. Linux Documentation/power/powercap/powercap.rst. */
#include "source.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef struct search {
    q35i_power_source *source;
    q35i_power_why *why;
} search;

static int add_zone(void *user, const char *path, const char *zone)
{
    search *s = user;
    char file[Q35I_POWER_PATH], name[32];
    uint64_t energy;
    if (strncmp(zone, "intel-rapl:", 11) != 0)
        return 0;
    int len = snprintf(file, sizeof file, "%s/name", path);
    if (len < 0 || (size_t)len >= sizeof file || !q35i_power_text(file, name, sizeof name))
        return 0;
    if (strncmp(name, "package", 7) != 0 && strcmp(name, "dram") != 0)
        return 0;
    snprintf(file, sizeof file, "%.300s/energy_uj", path);
    if (!q35i_power_number(file, &energy)) {
        snprintf(s->why->text, sizeof s->why->text, "RAPL: %.80s: %s", file, strerror(errno));
        s->source->n = 0;
        return 1; /* some of the packages would be less than the truth */
    }
    q35i_power_channel *c = q35i_power_add(s->source, Q35I_POWER_ENERGY);
    if (!c)
        return 1;
    snprintf(c->path, sizeof c->path, "%s", file);
    snprintf(file, sizeof file, "%.290s/max_energy_range_uj", path);
    if (!q35i_power_number(file, &c->wraps_at))
        c->wraps_at = 0;
    q35i_power_name(s->source, name);
    return 0;
}

void q35i_power_find_rapl(const char *root, q35i_power_source *source, q35i_power_why *why)
{
    char folder[Q35I_POWER_PATH];
    search s = {source, why};
    snprintf(source->name, sizeof source->name, "RAPL");
    snprintf(folder, sizeof folder, "%.250s/class/powercap", root);
    snprintf(why->text, sizeof why->text, "RAPL: no package zone in %.100s", folder);
    if (!q35i_power_each(folder, add_zone, &s))
        snprintf(why->text, sizeof why->text, "RAPL: %.100s: %s", folder, strerror(errno));
}
