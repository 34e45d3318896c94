/* SPDX-License-Identifier: Apache-2.0
 *
 * A device that answers questions and runs nothing: for tests of the passes. */
#ifndef Q35T_FAKE_DEVICE_H
#define Q35T_FAKE_DEVICE_H

#include "runtime/device/device.h"

typedef struct fake_device {
    q35i_device device;
    uint32_t ops; /* bit op: supported */
    uint64_t ns;  /* cost of any supported node */
} fake_device;

/* ops: bits 1 << Q35_OP_*. host: lives on host memory. */
void fake_device_init(fake_device *fake, const char *name, uint32_t ops, uint64_t ns, int host);

#endif
