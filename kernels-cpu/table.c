/* SPDX-License-Identifier: Apache-2.0
 *
 * The dispatch table, and how far kernels read ahead: for every slot the last row of kernels.def that the given
 * features allow. The rows are ordered from the oldest instruction set to the newest, and the reference rows,
 * which need no feature, come first. */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/simd/stream.h"

enum { ONE_LEVEL_NEAR = 8192, NEAR = 4096, FAR = 16384 };

atomic_int q35i_stream_near = NEAR, q35i_stream_far = FAR;

void q35k_table_init(q35k_table *table, uint32_t features)
{
    *table = (q35k_table){0};
    if (q35k_cpu_is_amd()) {
        atomic_store_explicit(&q35i_stream_near, ONE_LEVEL_NEAR, memory_order_relaxed);
        atomic_store_explicit(&q35i_stream_far, 0, memory_order_relaxed);
    }
#define KERNEL(slot_, type_, symbol_, features_, isa_)                                                            \
    if (((uint32_t)(features_) & ~features) == 0) {                                                               \
        table->slot_ = symbol_;                                                                                   \
        table->features |= (uint32_t)(features_);                                                                 \
    }
#include "kernels-cpu/kernels.def"
#undef KERNEL
}
