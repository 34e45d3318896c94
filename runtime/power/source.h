/* SPDX-License-Identifier: Apache-2.0
 *
 * Energy that the machine says it used. One thread at a time. */
#ifndef Q35I_POWER_SOURCE_H
#define Q35I_POWER_SOURCE_H

#include <q35rt/status.h>

#include <stdbool.h>
#include <stddef.h>

enum { Q35I_POWER_CHANNELS = 64, Q35I_POWER_PATH = 320 };

typedef enum q35i_power_kind {
    Q35I_POWER_ENERGY,  /* counter of microjoules */
    Q35I_POWER_WATTS,   /* microwatts */
    Q35I_POWER_PRODUCT, /* millivolts, and milliamperes in a second file */
} q35i_power_kind;

typedef struct q35i_power_channel {
    q35i_power_kind kind;
    char path[Q35I_POWER_PATH], second[Q35I_POWER_PATH];
    uint64_t last, wraps_at; /* ENERGY: last value; where the counter begins anew, 0: unknown */
} q35i_power_channel;

typedef struct q35i_power_source {
    char name[160]; /* "RAPL: package-0, dram" */
    q35i_power_channel channels[Q35I_POWER_CHANNELS];
    uint32_t n;
    uint64_t last_ns; /* time of the last reading */
} q35i_power_source;

/* The first source below root ("/sys") that can be read. UNAVAILABLE tells of each why not. */
q35_status q35i_power_open(const char *root, q35i_power_source *out);

/* Joules since the last reading; now_ns is the time of this one. */
q35_status q35i_power_read(q35i_power_source *source, uint64_t now_ns, double *out_joules);

/* ---- what the finders share ---- */

/* Each fills source->channels and name, n 0 when there is nothing; why: the reason, for people. */
typedef struct q35i_power_why {
    char text[160];
} q35i_power_why;

void q35i_power_find_rapl(const char *root, q35i_power_source *source, q35i_power_why *why);
void q35i_power_find_hwmon_energy(const char *root, q35i_power_source *source, q35i_power_why *why);
void q35i_power_find_hwmon_power(const char *root, q35i_power_source *source, q35i_power_why *why);

/* Text of a small file without the newline; false with errno set. */
bool q35i_power_text(const char *path, char *out, size_t cap);
bool q35i_power_number(const char *path, uint64_t *out);

/* Appends to the source's name, after ", " or ": ". */
void q35i_power_name(q35i_power_source *source, const char *label);

/* The next channel, NULL when there is no room. */
q35i_power_channel *q35i_power_add(q35i_power_source *source, q35i_power_kind kind);

/* Calls fn for every entry of the folder, in the order of its names; fn's non-zero result ends the walk. False
 * with errno set when the folder cannot be read. */
bool q35i_power_each(const char *folder, int (*fn)(void *user, const char *path, const char *name), void *user);

#endif
