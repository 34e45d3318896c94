/* SPDX-License-Identifier: Apache-2.0
 *
 * Options of devices from the environment: Q35RT_DEVICE_OPTIONS, a list of plugin.key=value separated by commas.
 */
#ifndef Q35I_DEVICE_OPTIONS_H
#define Q35I_DEVICE_OPTIONS_H

#include <q35rt/plugin.h>

enum { Q35I_MAX_DEVICE_OPTIONS = 16, Q35I_DEVICE_OPTIONS_TEXT = 1024 };

typedef struct q35i_device_options {
    uint32_t n;
    const char *keys[Q35I_MAX_DEVICE_OPTIONS], *values[Q35I_MAX_DEVICE_OPTIONS]; /* into text */
    char text[Q35I_DEVICE_OPTIONS_TEXT];
} q35i_device_options;

/* Options for the devices of plugin `id`; those of other plugins are only checked for form. list NULL: none. Not
 * to be copied. Q35_E_INVALID: an entry is not plugin.key=value, or there are too many. */
q35_status q35i_device_options_parse(const char *list, const char *id, q35i_device_options *out);

#endif
