/* SPDX-License-Identifier: Apache-2.0
 *
 * Choosing and reading a source. Files are opened for every reading: a few microseconds, and no descriptor that a
 * driver's reload would leave dead. */
#define _GNU_SOURCE
#include "source.h"

#include "runtime/base/error.h"
#include "runtime/base/file_io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool q35i_power_text(const char *path, char *out, size_t cap)
{
    if (!q35i_read_small(path, out, cap))
        return false;
    out[strcspn(out, "\n")] = '\0';
    return true;
}

bool q35i_power_number(const char *path, uint64_t *out)
{
    char text[32], *end;
    if (!q35i_power_text(path, text, sizeof text))
        return false;
    errno = 0;
    *out = strtoull(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && text[0] != '-')
        return true;
    errno = EINVAL;
    return false;
}

void q35i_power_name(q35i_power_source *source, const char *label)
{
    size_t len = strlen(source->name);
    const char *between = strchr(source->name, ':') ? ", " : len ? ": " : "";
    snprintf(source->name + len, sizeof source->name - len, "%s%s", between, label);
}

q35i_power_channel *q35i_power_add(q35i_power_source *source, q35i_power_kind kind)
{
    if (source->n == Q35I_POWER_CHANNELS)
        return NULL;
    q35i_power_channel *c = &source->channels[source->n++];
    memset(c, 0, sizeof *c);
    c->kind = kind;
    return c;
}

bool q35i_power_each(const char *folder, int (*fn)(void *user, const char *path, const char *name), void *user)
{
    struct dirent **entries;
    int n = scandir(folder, &entries, NULL, versionsort), stopped = 0;
    if (n < 0)
        return false;
    for (int i = 0; i < n; i++) {
        char path[Q35I_POWER_PATH];
        int len = snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (!stopped && entries[i]->d_name[0] != '.' && len > 0 && (size_t)len < sizeof path)
            stopped = fn(user, path, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return true;
}

static q35_status cannot_read(const q35i_power_source *source, const char *path)
{
    return Q35_FAIL(Q35_E_IO, "power: %s: cannot read %s: %s", source->name, path, strerror(errno));
}

static q35_status read_channel(q35i_power_source *source, q35i_power_channel *c, double seconds, double *joules)
{
    uint64_t value, second = 0;
    if (!q35i_power_number(c->path, &value))
        return cannot_read(source, c->path);
    if (c->kind == Q35I_POWER_PRODUCT && !q35i_power_number(c->second, &second))
        return cannot_read(source, c->second);
    if (c->kind == Q35I_POWER_WATTS)
        *joules += (double)value * 1e-6 * seconds;
    else if (c->kind == Q35I_POWER_PRODUCT)
        *joules += (double)value * (double)second * 1e-6 * seconds;
    else if (value >= c->last)
        *joules += (double)(value - c->last) * 1e-6;
    else if (c->wraps_at > c->last) /* else it began anew: what was lost is unknown */
        *joules += (double)(c->wraps_at - c->last + value) * 1e-6;
    c->last = value;
    return Q35_OK;
}

q35_status q35i_power_read(q35i_power_source *source, uint64_t now_ns, double *out_joules)
{
    double seconds = source->last_ns ? (double)(now_ns - source->last_ns) / 1e9 : 0;
    *out_joules = 0;
    for (uint32_t i = 0; i < source->n; i++)
        Q35_TRY(read_channel(source, &source->channels[i], seconds, out_joules));
    source->last_ns = now_ns;
    return Q35_OK;
}

q35_status q35i_power_open(const char *root, q35i_power_source *out)
{
    static void (*const finders[])(const char *, q35i_power_source *, q35i_power_why *) = {
        q35i_power_find_rapl, q35i_power_find_hwmon_energy, q35i_power_find_hwmon_power};
    enum { N = sizeof finders / sizeof *finders };
    q35i_power_why why[N];
    for (int i = 0; i < N; i++) {
        double joules;
        memset(out, 0, sizeof *out);
        memset(&why[i], 0, sizeof why[i]);
        finders[i](root, out, &why[i]);
        if (out->n == 0)
            continue;
        if (q35i_power_read(out, 0, &joules) == Q35_OK)
            return Q35_OK;
        snprintf(why[i].text, sizeof why[i].text, "%s", q35_error_message() + strlen("power: "));
    }
    return Q35_FAIL(Q35_E_UNAVAILABLE, "power: no source found that can be read, need one: %s; %s; %s",
                    why[0].text, why[1].text, why[2].text);
}
