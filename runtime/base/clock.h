/* SPDX-License-Identifier: Apache-2.0
 *
 * The monotonic clock. Any thread. */
#ifndef Q35I_CLOCK_H
#define Q35I_CLOCK_H

#include <stdint.h>

uint64_t q35i_now_ns(void);

#endif
