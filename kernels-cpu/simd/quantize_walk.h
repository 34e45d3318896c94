/* SPDX-License-Identifier: Apache-2.0
 *
 * The walk of QUANTIZE_ACT that the instruction sets share: per row, after its rotation, the units that share a
 * scale, each with a pass for the largest magnitude and one for the codes. Scale and quotient are those of the
 * reference. Static only; the including file brings first INLINE, largest_bits, codes_of and rotate   with the
 * signatures used below.
 */
#ifndef Q35I_SIMD_QUANTIZE_WALK_H
#define Q35I_SIMD_QUANTIZE_WALK_H

/* n inputs that share a scale; codes n .. padded - 1 are 0. */
INLINE void quantize(const float *x, int64_t n, int64_t padded, char *out)
{
    int8_t *q = (int8_t *)out + sizeof(q35_act_row);
    q35_act_row head = {0};
    int32_t bits = largest_bits(x, n);
    float amax, inverse;
    memcpy(&amax, &bits, sizeof amax);
    inverse = 127.0f / amax;
    if (bits <= 0x7f7fffff && amax > 0 && inverse <= 3.402823466e38f) {
        head.scale = amax / 127.0f;
        head.sum = codes_of(x, n, inverse, q);
        if (n < padded)
            memset(q + n, 0, (size_t)(padded - n));
    } else { /* amax below 127 / FLT_MAX counts as 0 */
        head.scale = bits > 0x7f7fffff ? NAN : 0;
        memset(q, 0, (size_t)padded);
    }
    memcpy(out, &head, sizeof head);
}

/* Units of a constant length, so that whole ones become straight code. */
INLINE void quantize_units(const float *x, int64_t k, int64_t unit, char *out)
{
    int64_t i = 0;
    for (; i + unit <= k; i += unit, out += (int64_t)sizeof(q35_act_row) + unit)
        quantize(x + i, unit, unit, out);
    if (i < k)
        quantize(x + i, k - i, unit, out);
}

static void quantize_row(const float *x, int64_t k, uint32_t act_type, char *out)
{
    switch (act_type) {
    case Q35_DT_A8_32: quantize_units(x, k, Q35_ACT_BLOCK, out); break;
    case Q35_DT_A8_128: quantize_units(x, k, Q35_ACT_GROUP, out); break;
    default: quantize(x, k, (k + 63) / 64 * 64, out); break;
    }
}

/* Token rows [begin, end), as QUANTIZE_ACT. */
static inline void quantize_rows(const float *x, int64_t rs_x, int64_t k, const q35k_rotation *rotation,
                                 uint32_t act_type, void *out, int64_t rs_out, int64_t begin, int64_t end,
                                 float *scratch)
{
    for (int64_t t = begin; t < end; t++) {
        const float *row = (const float *)(const void *)((const char *)x + t * rs_x);
        if (rotation) {
            rotate(row, 0, k, rotation, 0, scratch, 0, 0, 1);
            row = scratch;
        }
        quantize_row(row, k, act_type, (char *)out + t * rs_out);
    }
}

#endif
