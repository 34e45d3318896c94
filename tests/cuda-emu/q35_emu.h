/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs the kernels of kernels-cuda on the host, in C: what a mock driver and the tests launch. Every thread of a
 * block is a fiber. One launch at a time; any thread may call. */
#ifndef Q35_EMU_H
#define Q35_EMU_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Order in which threads, and warps, run between two points where they meet. A race changes results. */
enum { Q35_EMU_FORWARD = 0, Q35_EMU_REVERSE = 1, Q35_EMU_RANDOM = 2 };

typedef struct q35_emu_options {
    uint32_t order; /* Q35_EMU_* */
    uint32_t reserved;
    uint64_t seed;      /* of Q35_EMU_RANDOM */
    char *error;        /* where the text of an error goes, NULL: nowhere */
    uint64_t error_len; /* bytes there */
} q35_emu_options;

/* Runs kernel `name` ("q35_norm") with its parameter struct at args, and returns when it is done. options: NULL is
 * forward. 0, or 1: an unknown kernel or a launch that the device would refuse; 2: the kernel did what it must not
 * (the text names kernel, block and thread), and what it has written is unspecified. */
int q35_emu_launch(const char *name, const void *args, const uint32_t grid[3], const uint32_t block[3],
                   uint32_t shared_bytes, const q35_emu_options *options);

/* Bytes of the kernel's parameter struct; 0: no such kernel. */
uint32_t q35_emu_args_bytes(const char *name);

#ifdef __cplusplus
}
#endif
#endif
