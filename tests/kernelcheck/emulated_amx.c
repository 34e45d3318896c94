/* SPDX-License-Identifier: Apache-2.0
 *
 * The source of the AMX kernel of LINEAR a second time, on emulated tiles. */
#define Q35I_EMULATE_TILES
#define q35k_linear__amx q35k_linear__amx_emulated

#include <kernels-cpu/amx/linear.c>
