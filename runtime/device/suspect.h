/* SPDX-License-Identifier: Apache-2.0
 *
 * Which plugin's code runs now. A plugin shares our process: when it crashes or hangs, nothing but its name can be
 * saved. Sessions of several threads overwrite each other's note; the last one counts. */
#ifndef Q35I_SUSPECT_H
#define Q35I_SUSPECT_H

#include <q35rt/status.h>

/* Before a call: file and slot, both alive until the next note. After it: NULL, NULL. */
void q35i_suspect(const char *path, const char *slot);

/* While plugins are loaded: a thread that says which one has not come back for some seconds. */
typedef struct q35i_watch q35i_watch;
q35i_watch *q35i_watch_begin(void); /* NULL: no memory or no thread, and nothing is watched */
void q35i_watch_end(q35i_watch *watch);

#endif
