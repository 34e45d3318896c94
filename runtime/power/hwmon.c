/* SPDX-License-Identifier: Apache-2.0
 *
 * Hardware monitors. Only chips whose readings are known to be of the whole machine or the whole processor are
 * used: energy of amd_energy's sockets; power of board monitors (ina...), power meters (ACPI) and processors that
 * report themselves (xgene). Of a board monitor with a channel for its supply (VDD_IN, as on Jetson) that one
 * alone counts, else all together. Linux Documentation/hwmon/sysfs-interface.rst. */
#include "source.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { MAX_CHANNEL = 32 };

typedef struct search {
    q35i_power_source *source;
    int (*take)(struct search *s, const char *chip, const char *name);
    uint32_t n_chips;
} search;

/* "<chip>/<what><i><end>" */
static const char *file_of(char *out, const char *chip, const char *what, int i, const char *end)
{
    snprintf(out, Q35I_POWER_PATH, "%.250s/%s%d%s", chip, what, i, end);
    return out;
}

static int has_number(const char *path)
{
    uint64_t value;
    return q35i_power_number(path, &value);
}

static int is_supply(const char *label)
{
    return strcmp(label, "VDD_IN") == 0 || strcmp(label, "POM_5V_IN") == 0 || strcmp(label, "5V_IN") == 0;
}

static void add_name(q35i_power_source *source, const char *chip, const char *label)
{
    char text[64];
    snprintf(text, sizeof text, "%.30s%s%.30s", chip, *label ? " " : "", label);
    q35i_power_name(source, text);
}

static int take_energy(search *s, const char *chip, const char *name)
{
    char file[Q35I_POWER_PATH], label[32];
    if (strcmp(name, "amd_energy") != 0)
        return 0;
    for (int i = 1; i < MAX_CHANNEL * 16; i++) {
        if (!has_number(file_of(file, chip, "energy", i, "_input")))
            break;
        if (q35i_power_text(file_of(file, chip, "energy", i, "_label"), label, sizeof label) &&
            strncmp(label, "Esocket", 7) != 0)
            continue; /* a core, which its socket contains */
        q35i_power_channel *c = q35i_power_add(s->source, Q35I_POWER_ENERGY);
        if (!c)
            return 1;
        file_of(c->path, chip, "energy", i, "_input");
        add_name(s->source, name, label);
    }
    return 0;
}

/* Channel i of a chip as power, or as voltage and current; false when it has neither. */
static int fill_channel(q35i_power_channel *c, const char *chip, int i)
{
    static const char *const ends[] = {"_input", "_average"};
    for (int e = 0; e < 2; e++)
        if (has_number(file_of(c->path, chip, "power", i, ends[e]))) {
            c->kind = Q35I_POWER_WATTS;
            return 1;
        }
    c->kind = Q35I_POWER_PRODUCT;
    return has_number(file_of(c->path, chip, "in", i, "_input")) &&
           has_number(file_of(c->second, chip, "curr", i, "_input"));
}

static void label_of(const char *chip, int i, char *out, size_t cap)
{
    static const char *const whats[] = {"power", "in"};
    char file[Q35I_POWER_PATH];
    for (int w = 0; w < 2; w++)
        if (q35i_power_text(file_of(file, chip, whats[w], i, "_label"), out, cap))
            return;
    out[0] = '\0';
}

static int take_power(search *s, const char *chip, const char *name)
{
    q35i_power_channel found;
    char label[32];
    uint32_t first = s->source->n;
    size_t name_len = strlen(s->source->name);
    if (strncmp(name, "ina", 3) != 0 && strcmp(name, "power_meter") != 0 && strcmp(name, "xgene_hwmon") != 0)
        return 0;
    for (int i = 0; i < MAX_CHANNEL; i++) {
        memset(&found, 0, sizeof found);
        if (!fill_channel(&found, chip, i))
            continue;
        label_of(chip, i, label, sizeof label);
        if (is_supply(label)) {
            s->source->n = first; /* the channels before are parts of it */
            s->source->name[name_len] = '\0';
        }
        q35i_power_channel *c = q35i_power_add(s->source, found.kind);
        if (!c)
            return 1;
        *c = found;
        add_name(s->source, name, label);
        if (is_supply(label))
            return 1;
    }
    return 0;
}

static int look_at_chip(void *user, const char *path, const char *entry)
{
    search *s = user;
    char file[Q35I_POWER_PATH], name[32];
    (void)entry;
    snprintf(file, sizeof file, "%.300s/name", path);
    if (!q35i_power_text(file, name, sizeof name))
        return 0;
    s->n_chips++;
    return s->take(s, path, name);
}

static void find(const char *root, q35i_power_source *source, q35i_power_why *why, const char *what,
                 int (*take)(search *s, const char *chip, const char *name))
{
    char folder[Q35I_POWER_PATH];
    search s = {source, take, 0};
    snprintf(source->name, sizeof source->name, "hwmon");
    snprintf(folder, sizeof folder, "%.250s/class/hwmon", root);
    if (!q35i_power_each(folder, look_at_chip, &s))
        snprintf(why->text, sizeof why->text, "hwmon %s: %.100s: %s", what, folder, strerror(errno));
    else
        snprintf(why->text, sizeof why->text, "hwmon %s: none among %u chips in %.90s", what, s.n_chips, folder);
}

void q35i_power_find_hwmon_energy(const char *root, q35i_power_source *source, q35i_power_why *why)
{
    find(root, source, why, "energy counters", take_energy);
}

void q35i_power_find_hwmon_power(const char *root, q35i_power_source *source, q35i_power_why *why)
{
    find(root, source, why, "power sensors", take_power);
}
