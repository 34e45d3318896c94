/* SPDX-License-Identifier: Apache-2.0
 *
 * Prototypes of every kernel, made from the rows of kernels.def. Included by the kernels themselves, so that a
 * kernel and its contract cannot drift apart, and by the dispatch table. */
#ifndef Q35K_KERNELS_DECL_H
#define Q35K_KERNELS_DECL_H

#include "kernels-cpu/kernels.h"

#define KERNEL(slot, type, symbol, features, isa) type symbol;
#include "kernels-cpu/kernels.def"
#undef KERNEL

#endif
