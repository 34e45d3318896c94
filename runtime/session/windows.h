/* SPDX-License-Identifier: Apache-2.0
 *
 * Windows of hidden states, all of one size, in memory or in a file beside the output that has no name: whatever
 * ends the process, nothing of it stays. One thread at a time. */
#ifndef Q35I_WINDOWS_H
#define Q35I_WINDOWS_H

#include <q35rt/status.h>

typedef struct q35i_windows q35i_windows;

/* n windows of `bytes` bytes each, undefined until written. beside: path of the output whose folder takes the
 * file, NULL: in memory. The file's room is taken now where the file system can do that. NOMEM; IO names the file
 * and the bytes. */
q35_status q35i_windows_open(uint64_t n, uint64_t bytes, const char *beside, q35i_windows **out);
void q35i_windows_close(q35i_windows *windows); /* NULL ok */

/* One whole window, i < n. IO. */
q35_status q35i_windows_read(const q35i_windows *windows, uint64_t i, void *to);
q35_status q35i_windows_write(q35i_windows *windows, uint64_t i, const void *from);

#endif
