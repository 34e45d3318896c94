/* SPDX-License-Identifier: Apache-2.0
 *
 * Time by CLOCK_MONOTONIC. */
#define _GNU_SOURCE
#include "clock.h"

#include <time.h>

uint64_t q35i_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
