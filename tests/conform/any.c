/* SPDX-License-Identifier: Apache-2.0
 *
 * Small cases of every op. */
#include "shapes.h"

bool cf_case_of(cf_env *e, cf_case *c, uint32_t i, int64_t index)
{
    static const struct {
        bool (*build)(cf_env *e, cf_case *c, int64_t index, uint32_t a, uint32_t b);
        uint32_t a, b;
    } ops[] = {
        {cf_build_norm, Q35_OP_RMS_NORM, 0},
        {cf_build_linear, Q35_DT_F32, Q35_DT_F32},
        {cf_build_linear, Q35_DT_Q35_ROW, Q35_DT_A8_ROW},
        {cf_build_elementwise, Q35_OP_SWIGLU, 0},
        {cf_build_elementwise, Q35_OP_ADD, 0},
        {cf_build_elementwise, Q35_OP_MUL, 0},
        {cf_build_elementwise, Q35_OP_SILU, 0},
        {cf_build_norm, Q35_OP_ADD_RMS_NORM, 0},
        {cf_build_linear, Q35_DT_Q8_0, Q35_DT_A8_32},
        {cf_build_linear, Q35_DT_Q40_ROW, Q35_DT_A8_128},
        {cf_build_linear, Q35_DT_Q60_ROW, Q35_DT_A8_ROW},
        {cf_build_linear, Q35_DT_Q4_K, Q35_DT_A8_32},
        {cf_build_linear, Q35_DT_Q35_PAIR, Q35_DT_A8_32},
        {cf_build_linear, Q35_DT_F16, Q35_DT_F32},
        {cf_build_quantize, Q35_DT_A8_ROW, 1},
        {cf_build_quantize, Q35_DT_A8_32, 0},
        {cf_build_rotate, 0, 0},
        {cf_build_get_rows, Q35_DT_F32, 0},
        {cf_build_get_rows, Q35_DT_Q60_ROW, 0},
        {cf_build_rope, 0, 0},
        {cf_build_kv_append, Q35_DT_F16, 0},
        {cf_build_attention, Q35_DT_F16, 0},
        {cf_build_take_rows, 0, 0},
        {cf_build_sum_squares, 0, 0},
        {cf_build_top_k, 0, 0},
    };
    if (i >= sizeof ops / sizeof ops[0])
        return false;
    return ops[i].build(e, c, index, ops[i].a, ops[i].b);
}

bool cf_small_case(cf_env *e, cf_case *c, uint32_t i)
{
    return cf_case_of(e, c, i, CF_SMALL);
}

bool cf_any_case(cf_env *e, cf_case *c, uint32_t i)
{
    for (; cf_small_case(e, c, i); i++) {
        q35_support support;
        if (cf_supported(e, cf_region(c), &support))
            return true;
    }
    return false;
}
