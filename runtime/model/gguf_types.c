/* SPDX-License-Identifier: Apache-2.0
 *
 * The registry of GGUF tensor types, for refusals that name what was found. */
#include "gguf.h"

#include <q35rt/blocks.h>

static const q35i_gguf_type types[] = {
#define TYPE(id, text)    [id] = {text, false, false}
#define REMOVED(id, text) [id] = {text, true, false}
    TYPE(0, "F32"),
    TYPE(1, "F16"),
    TYPE(2, "Q4_0"),
    TYPE(3, "Q4_1"),
    REMOVED(4, "Q4_2"),
    REMOVED(5, "Q4_3"),
    TYPE(6, "Q5_0"),
    TYPE(7, "Q5_1"),
    TYPE(8, "Q8_0"),
    TYPE(9, "Q8_1"),
    TYPE(10, "Q2_K"),
    TYPE(11, "Q3_K"),
    TYPE(12, "Q4_K"),
    TYPE(13, "Q5_K"),
    TYPE(14, "Q6_K"),
    TYPE(15, "Q8_K"),
    TYPE(16, "IQ2_XXS"),
    TYPE(17, "IQ2_XS"),
    TYPE(18, "IQ3_XXS"),
    TYPE(19, "IQ1_S"),
    TYPE(20, "IQ4_NL"),
    TYPE(21, "IQ3_S"),
    TYPE(22, "IQ2_S"),
    TYPE(23, "IQ4_XS"),
    TYPE(24, "I8"),
    TYPE(25, "I16"),
    TYPE(26, "I32"),
    TYPE(27, "I64"),
    TYPE(28, "F64"),
    TYPE(29, "IQ1_M"),
    TYPE(30, "BF16"),
    REMOVED(31, "Q4_0_4_4"),
    REMOVED(32, "Q4_0_4_8"),
    REMOVED(33, "Q4_0_8_8"),
    TYPE(34, "TQ1_0"),
    TYPE(35, "TQ2_0"),
    REMOVED(36, "IQ4_NL_4_4"),
    REMOVED(37, "IQ4_NL_4_8"),
    REMOVED(38, "IQ4_NL_8_8"),
    TYPE(39, "MXFP4"),
    TYPE(40, "NVFP4"),
    TYPE(41, "Q1_0"),
    TYPE(42, "Q2_0"),
#undef TYPE
#undef REMOVED
};

q35i_gguf_type q35i_gguf_type_describe(uint32_t type)
{
    q35i_gguf_type t = {0};
    if (type < sizeof types / sizeof types[0])
        t = types[type];
    t.supported = t.name && !t.removed && q35_dtype_describe(type).block_len != 0;
    return t;
}
