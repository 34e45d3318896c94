/* SPDX-License-Identifier: Apache-2.0
 *
 * The service table given to plugins. */
#ifndef Q35I_HOST_H
#define Q35I_HOST_H

#include <q35rt/status.h>

const q35_host *q35i_host_table(void); /* static */

/* While text is not NULL, the calling thread's log lines of level 0 to 2 are also copied there (the last one
 * stays): how a plugin without devices says why. cap > 0. */
void q35i_host_capture(char *text, size_t cap);

#endif
