/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels by wgmma: used only where they were seen to be right. */
#ifndef Q35I_PLUGIN_CUDA_WIDE_H
#define Q35I_PLUGIN_CUDA_WIDE_H

#include "cuda.h"

/* Of the device being opened, whose kernels are loaded and whose context is current: clears dev->wide where there
 * are no such kernels, or where they give other bytes than those by mma, which the log then says. Fails only with
 * a device that is lost. */
q35_status q35i_cuda_prove_wide(q35_device *dev);

#endif
