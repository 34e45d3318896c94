/* SPDX-License-Identifier: Apache-2.0
 *
 * All kernels in one translation unit: one module for the host to load. */
#include "kernels-cuda/attention.cu"
#include "kernels-cuda/collect.cu"
#include "kernels-cuda/elementwise.cu"
#include "kernels-cuda/linear.cu"
#include "kernels-cuda/linear_blocks.cu"
#include "kernels-cuda/linear_many.cu"
#include "kernels-cuda/linear_plain.cu"
#include "kernels-cuda/linear_wide.cu"
#include "kernels-cuda/pack.cu"
#include "kernels-cuda/quantize.cu"
#include "kernels-cuda/rows.cu"
#include "kernels-cuda/topk.cu"
