/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernels' machine code, one file for all architectures, embedded by image.S. Empty in a build without nvcc,
 * which serves only tests with a driver of their own. */
#ifndef Q35I_PLUGIN_CUDA_IMAGE_H
#define Q35I_PLUGIN_CUDA_IMAGE_H

#include <stdint.h>

__attribute__((visibility("hidden"))) extern const unsigned char q35i_cuda_image[];
__attribute__((visibility("hidden"))) extern const uint64_t q35i_cuda_image_bytes;

#endif
