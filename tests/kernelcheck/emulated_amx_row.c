/* SPDX-License-Identifier: Apache-2.0
 *
 * The source of the AMX kernels of row types a second time, on emulated tiles. */
#define Q35I_EMULATE_TILES
#define q35k_linear_row__amx q35k_linear_row__amx_emulated
#define q35k_pack_act__amx   q35k_pack_act__amx_emulated

#include <kernels-cpu/amx/linear_row.c>
