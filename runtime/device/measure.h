/* SPDX-License-Identifier: Apache-2.0
 *
 * The measuring extension of plugins. */
#ifndef Q35I_MEASURE_H
#define Q35I_MEASURE_H

#include <q35rt/measure.h>

/* The plugin's table; NULL: it has none. */
const q35_measure *q35i_device_measure(const q35_plugin *api);

#endif
