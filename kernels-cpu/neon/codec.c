/* SPDX-License-Identifier: Apache-2.0
 *
 * The decoder of each weight type and layout (tile4.h). */
#include "kernels-cpu/neon/tile4.h"

static q35i_codec integers(q35i_form form, q35i_decode_fn *decode)
{
    return (q35i_codec){form, decode, NULL};
}

static q35i_codec floats(q35i_decode_float_fn *decode)
{
    return (q35i_codec){Q35I_FORM_FLOAT, NULL, decode};
}

q35i_codec q35i_codec__neon(const q35k_weights *w)
{
    int tile = w->layout == Q35K_LAYOUT_TILE16;
    switch (w->dtype) {
    case Q35_DT_Q8_0: return integers(Q35I_FORM_SIGNED, q35i_decode_q8_0__neon);
    case Q35_DT_Q4_0: return integers(Q35I_FORM_SIGNED, q35i_decode_q4_0__neon);
    case Q35_DT_Q5_0: return integers(Q35I_FORM_SIGNED, q35i_decode_q5_0__neon);
    case Q35_DT_Q4_1: return integers(Q35I_FORM_MIN, q35i_decode_q4_1__neon);
    case Q35_DT_Q5_1: return integers(Q35I_FORM_MIN, q35i_decode_q5_1__neon);
    case Q35_DT_Q2_K: return integers(Q35I_FORM_MIN16, q35i_decode_q2_k__neon);
    case Q35_DT_Q3_K: return integers(Q35I_FORM_SUB16, q35i_decode_q3_k__neon);
    case Q35_DT_Q4_K: return integers(Q35I_FORM_MIN, q35i_decode_q4_k__neon);
    case Q35_DT_Q5_K: return integers(Q35I_FORM_MIN, q35i_decode_q5_k__neon);
    case Q35_DT_Q6_K: return integers(Q35I_FORM_SUB16, q35i_decode_q6_k__neon);
    case Q35_DT_IQ4_NL: return integers(Q35I_FORM_SIGNED, q35i_decode_iq4_nl__neon);
    case Q35_DT_IQ4_XS: return integers(Q35I_FORM_SIGNED, q35i_decode_iq4_xs__neon);
    case Q35_DT_Q35_PAIR:
        return integers(Q35I_FORM_SIGNED, tile ? q35i_decode_pair_tile__neon : q35i_decode_pair_rows__neon);
    case Q35_DT_Q35_SPLIT:
        return integers(Q35I_FORM_MIN, tile ? q35i_decode_split_tile__neon : q35i_decode_split_rows__neon);
    case Q35_DT_F16: return floats(q35i_decode_f16__neon);
    case Q35_DT_F8_32: return floats(q35i_decode_f8_32__neon);
    case Q35_DT_BF16: return floats(q35i_decode_bf16__neon);
    default: return floats(q35i_decode_f32__neon);
    }
}
