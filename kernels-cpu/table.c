/* SPDX-License-Identifier: Apache-2.0
 *
 * The dispatch table: for every slot the last row of kernels.def that the given features allow. The rows are
 * ordered from the oldest instruction set to the newest, and the reference rows, which need no feature, come
 * first. */
#include "kernels-cpu/kernels_decl.h"

void q35k_table_init(q35k_table *table, uint32_t features)
{
    *table = (q35k_table){0};
#define KERNEL(slot_, type_, symbol_, features_, isa_)                                                            \
    if (((uint32_t)(features_) & ~features) == 0) {                                                               \
        table->slot_ = symbol_;                                                                                   \
        table->features |= (uint32_t)(features_);                                                                 \
    }
#include "kernels-cpu/kernels.def"
#undef KERNEL
}
