/* SPDX-License-Identifier: Apache-2.0
 *
 * GET_ROWS from a table in canonical layout, `type` being its id of plugin.h. Byte layouts: q35rt/blocks.h; one f32
 * rounding of scale * level, and one of that plus the minimum. */

/* Bits [7 i, 7 i + 7) */
inline uint code_at(global const uchar *codes, int i)
{
    const int bit = 7 * i, shift = bit & 7;
    const uint low = codes[bit >> 3], high = shift > 1 ? codes[(bit >> 3) + 1] : 0;
    return ((low | high << 8) >> shift) & 127u;
}

/* Low or high nibble e of 16 bytes, low ones first */
inline int nibble(global const uchar *q, int e)
{
    return e < 16 ? q[e] & 15 : q[e - 16] >> 4;
}

inline float sub_block(global const uchar *b, int e, int five)
{
    const int s = e / 32, l = e % 32;
    global const uchar *packed = b + 4, *q = b + (five ? 48 : 16) + 32 * (s / 2);
    const int scale = s < 4 ? packed[s] & 63 : (packed[s + 4] & 15) | packed[s - 4] >> 6 << 4;
    const int least = s < 4 ? packed[s + 4] & 63 : packed[s + 4] >> 4 | packed[s] >> 6 << 4;
    int level = s & 1 ? q[l] >> 4 : q[l] & 15;
    if (five)
        level |= (b[16 + l] >> s & 1) << 4;
    return load_f16(b) * (float)scale * (float)level + (0 - load_f16(b + 2) * (float)least);
}

inline float weight_of(uint type, global const uchar *row, int i, global const char *book)
{
    switch (type) {
    case 0: {
        return ((global const float *)row)[i];
    }
    case 1: {
        return load_f16(row + 2 * i);
    }
    case 30: {
        return as_float((uint)((global const ushort *)row)[i] << 16);
    }
    case 8: {
        global const uchar *b = row + i / 32 * 34;
        return load_f16(b) * (float)as_char(b[2 + i % 32]);
    }
    case 2: {
        global const uchar *b = row + i / 32 * 18;
        return load_f16(b) * (float)(nibble(b + 2, i % 32) - 8);
    }
    case 3: {
        global const uchar *b = row + i / 32 * 20;
        return load_f16(b) * (float)nibble(b + 4, i % 32) + load_f16(b + 2);
    }
    case 6: {
        global const uchar *b = row + i / 32 * 22;
        const int high = b[2 + i % 32 / 8] >> i % 8 & 1;
        return load_f16(b) * (float)((nibble(b + 6, i % 32) | high << 4) - 16);
    }
    case 7: {
        global const uchar *b = row + i / 32 * 24;
        const int high = b[4 + i % 32 / 8] >> i % 8 & 1;
        return load_f16(b) * (float)(nibble(b + 8, i % 32) | high << 4) + load_f16(b + 2);
    }
    case 12: {
        return sub_block(row + i / 256 * 144, i % 256, 0);
    }
    case 13: {
        return sub_block(row + i / 256 * 176, i % 256, 1);
    }
    case 14: {
        global const uchar *b = row + i / 256 * 210;
        const int e = i % 256, half_ = e >> 7, g = e >> 5 & 3, l = e & 31;
        const int low = b[64 * half_ + l + (g & 1 ? 32 : 0)], high = b[128 + 32 * half_ + l];
        const int level = ((g & 2 ? low >> 4 : low & 15) | (high >> 2 * g & 3) << 4) - 32;
        return load_f16(b + 208) * (float)as_char(b[192 + e / 16]) * (float)level;
    }
    case 0x1000: {
        global const uchar *b = row + i / 128 * 58;
        return load_f16(b) * (float)book[2 * code_at(b + 2, i % 128 / 2) + i % 2];
    }
    case 0x1001: {
        global const uchar *b = row + i / 128 * 60;
        const uint code = code_at(b + 4, i % 128 / 2);
        return load_f16(b) * (float)(i & 1 ? 15 * (code & 7) : 7 * (code >> 3)) + load_f16(b + 2);
    }
    case 0x1003: {
        return load_f32(row) * (float)book[2 * code_at(row + 4 + i / 16 * 7, i % 16 / 2) + i % 2];
    }
    case 0x1004: {
        return load_f32(row) * (float)book[2 * row[4 + i / 2] + i % 2];
    }
    default: {
        global const uchar *b = row + 4 + i / 4 * 3;
        const uint bits = (uint)b[0] | (uint)b[1] << 8 | (uint)b[2] << 16;
        return load_f32(row) * (float)(2 * (int)(bits >> 6 * (i % 4) & 63) - 63);
    }
    }
}

/* Dimension 0: Q35_SPAN neighbours of a row; dimension 1: tokens. */
kernel void q35_get_rows(int type, Q35_IN(ids), Q35_IN(table), ulong rs_table, int n_table, Q35_IN(book), Q35_OUT(y),
                         ulong rs_y, int k, Q35_ROWS, Q35_FAULT)
{
    const int row = (int)get_global_id(1), begin = (int)get_global_id(0) * Q35_SPAN, end = min(begin + Q35_SPAN, k);
    if (row >= Q35_N_ROWS)
        return;
    const int id = Q35_AT(const int, ids, 0)[row];
    if (id < 0 || id >= n_table) {
        q35_fault(fault, Q35_BAD_ID, node, row, id, n_table);
        return;
    }
    global const uchar *from = Q35_AT(const uchar, table, id * rs_table);
    global float *py = Q35_AT(float, y, row * rs_y);
    for (int i = begin; i < end; i++)
        py[i] = weight_of((uint)type, from, i, Q35_AT(const char, book, 0));
}
