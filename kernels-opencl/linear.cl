/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR, compiled for how weights are stored and what the activations are:
 *   Q35_CODEC  levels in planes of 16 rows: 7-bit codes of pairs with a book (1) or by arithmetic (2), 8-bit codes
 *              of pairs (3), 6-bit codes (4), int8 levels (5); floats: f32 (6), f16 (7), bf16 (8); 7-bit codes
 *              of pairs with a book in units of 64 weights (9)
 *   Q35_SIGNED 1: the book is magnitudes, a code's top two bits are signs; 0: any book of 128 entries
 *   Q35_MODE   sums: floats (0), int8 with a scale per 32 inputs (1), per 128 (2), per row (3)
 *   Q35_PART   weights that share a scale: 16, 32, 128, or 0: the row
 *   Q35_MIN    1: each part has a minimum, too
 *   Q35_TOKENS that one decoding of the weights serves
 *
 * A tile is 16 rows: the scales of its parts, f32 [parts][16], then the minima, then the planes of a unit of 16
 * weights at a time (codec 9: 64). A work-item has all 16 rows of a tile (Q35_CPU), or 4 of them and every n-th
 * fold of the inputs, n slices being added in a tree. A fold is what is summed before scales are applied. Sums of
 * integers are exact in f32: 1024 products of 127 * 127 stay below 2^24. */

#define UNIT (Q35_CODEC == 9 ? 64 : 16)

#if Q35_CPU
#define ROWS      16
#define SLICES    1
#define CHAINS    (Q35_MODE == 0 || Q35_TOKENS == 1 ? 4 : 1)
#define FOLD_OF   (Q35_MODE == 0 ? 256 : Q35_MODE == 1 ? (Q35_PART == 16 ? 16 : 32) : Q35_MODE == 2 ? 128 : 1024)
typedef float16 floats;
typedef int16 ints;
typedef char16 levels;
typedef uchar16 codes;
#define LOAD_PLANE(p)  vload16(0, p)
#define LOAD_FLOATS(p) vload16(0, p)
#define LOAD_HALVES(p) vload_half16(0, p)
#define LOAD_SHORTS(p) convert_uint16(vload16(0, p))
#define STORE_FLOATS(v, p) vstore16(v, 0, p)
#define AS_FLOATS(v)   as_float16(v)
#define TO_FLOATS(v)   convert_float16(v)
#define TO_INTS(v)     convert_int16(v)
#define AS_LEVELS(v)   as_char16(v)
#else
#define ROWS      4
#define SLICES    (Q35_LOCAL / 4)
#define CHAINS    1
#define FOLD_OF   (Q35_MODE == 2 ? 128 : Q35_MODE == 1 && Q35_PART == 16 ? 16 : 32)
typedef float4 floats;
typedef int4 ints;
typedef char4 levels;
typedef uchar4 codes;
#define LOAD_PLANE(p)  vload4(0, p)
#define LOAD_FLOATS(p) vload4(0, p)
#define LOAD_HALVES(p) vload_half4(0, p)
#define LOAD_SHORTS(p) convert_uint4(vload4(0, p))
#define STORE_FLOATS(v, p) vstore4(v, 0, p)
#define AS_FLOATS(v)   as_float4(v)
#define TO_FLOATS(v)   convert_float4(v)
#define TO_INTS(v)     convert_int4(v)
#define AS_LEVELS(v)   as_char4(v)
#endif

#define FOLD ((FOLD_OF + UNIT - 1) / UNIT) /* units */

#if Q35_FMA
#define ADD_PRODUCT(a, b, c) fma(a, (floats)(b), c)
#else
#define ADD_PRODUCT(a, b, c) ((c) + (a) * (b))
#endif

/* ---- codes to levels */

#define HAS_BOOK (Q35_CODEC == 1 || Q35_CODEC == 3 || Q35_CODEC == 9)
#define MAGNITUDES (Q35_CODEC == 3 ? 64 : 32)
#define FLOATS (Q35_CODEC >= 6 && Q35_CODEC <= 8)

/* Byte shuffles of x86, where the compiler says that the device has them: 16 look-ups at a time. */
#if HAS_BOOK && Q35_CPU && defined(__SSSE3__) && defined(__clang__)
#define SHUFFLES 1
#define ENTRIES  (Q35_SIGNED ? MAGNITUDES : 128)
typedef char bytes16 __attribute__((__vector_size__(16)));
inline codes pick(codes table, codes i)
{
    return __builtin_astype(
        __builtin_ia32_pshufb128(__builtin_astype(table, bytes16), __builtin_astype(i, bytes16)), codes);
}

/* Entry i of 32; a shuffle gives 0 where the index's top bit is set. */
inline codes pick32(const codes *t, codes i)
{
    return pick(t[0], i + (uchar)0x70) | pick(t[1], i - (uchar)16);
}

/* Entry code % ENTRIES, ENTRIES a multiple of 32 */
inline codes pick_any(const codes *t, codes code)
{
    const codes i = code & (uchar)31;
    codes found = pick32(t, i);
#if ENTRIES > 32
    const codes number = code & (uchar)(ENTRIES - 32);
    found &= as_uchar16(number == (codes)(0));
    for (int n = 1; n < ENTRIES / 32; n++)
        found |= pick32(t + 2 * n, i) & as_uchar16(number == (codes)((uchar)(32 * n)));
#endif
    return found;
}

inline levels signed_by(codes magnitude, codes code, uchar bit)
{
#if Q35_SIGNED
    const levels negative = (code & bit) != (codes)(0);
    return (AS_LEVELS(magnitude) ^ negative) - negative;
#else
    return AS_LEVELS(magnitude);
#endif
}

typedef struct book_t {
    codes even[ENTRIES / 16], odd[ENTRIES / 16];
} book_t;

inline void read_book(global const uchar *book, book_t *out)
{
    for (int i = 0; i < ENTRIES / 16; i++) {
        const codes a = vload16(2 * i, book), b = vload16(2 * i + 1, book);
        out->even[i] = (codes)(a.even, b.even);
        out->odd[i] = (codes)(a.odd, b.odd);
    }
}

#define EVEN(c) signed_by(pick_any(book.even, c), c, MAGNITUDES)
#define ODD(c)  signed_by(pick_any(book.odd, c), c, 2 * MAGNITUDES)

#elif HAS_BOOK
#define SHUFFLES 0
#if Q35_CPU
#define LOOK(c, part)                                                                                             \
    (levels)(book[c.s0].part, book[c.s1].part, book[c.s2].part, book[c.s3].part, book[c.s4].part, book[c.s5].part, \
             book[c.s6].part, book[c.s7].part, book[c.s8].part, book[c.s9].part, book[c.sa].part, book[c.sb].part, \
             book[c.sc].part, book[c.sd].part, book[c.se].part, book[c.sf].part)
#else
#define LOOK(c, part) (levels)(book[c.s0].part, book[c.s1].part, book[c.s2].part, book[c.s3].part)
#endif
#define EVEN(c) LOOK((c), x)
#define ODD(c)  LOOK((c), y)
#else
#define SHUFFLES 0
/* of the split book, in its units of 7 and 15, which are in the activations but for sums of floats */
#define EVEN(c) AS_LEVELS(((c) >> (uchar)3) & (uchar)15)
#define ODD(c)  AS_LEVELS((c) & (uchar)7)
#endif

/* ---- sums */

#if Q35_MODE == 0 && Q35_CODEC == 2
#define UNIT_OF(i) ((i) & 1 ? 15.0f : 7.0f)
#else
#define UNIT_OF(i) 1.0f
#endif

/* A weight as a float from its level. */
#if Q35_MODE == 0 && Q35_MIN
#define WEIGHT(v, i) (scale * (TO_FLOATS(v) * UNIT_OF(i)) + least)
#elif Q35_MODE == 0
#define WEIGHT(v, i) (scale * (TO_FLOATS(v) * UNIT_OF(i)))
#else
#define WEIGHT(v, i) TO_FLOATS(v)
#endif

#define ADD_FLOATS(v, i)                                                                                          \
    {                                                                                                             \
        const floats weight_ = (v);                                                                               \
        _Pragma("unroll") for (int t = 0; t < Q35_TOKENS; t++) sum[t][(i) % CHAINS] =                             \
            ADD_PRODUCT(weight_, x[t * padded + (i)], sum[t][(i) % CHAINS]);                                      \
    }
/* The chains of a token. */
#define WHOLE(t) \
    (CHAINS == 1 ? sum[t][0] : (sum[t][0] + sum[t][1 % CHAINS]) + (sum[t][2 % CHAINS] + sum[t][3 % CHAINS]))
#define ADD_LEVELS(v, i) ADD_FLOATS(WEIGHT(v, i), i)
#define ADD_PAIR(c, i)                                                                                            \
    {                                                                                                             \
        const codes code_ = (c);                                                                                  \
        ADD_LEVELS(EVEN(code_), 2 * (i))                                                                          \
        ADD_LEVELS(ODD(code_), 2 * (i) + 1)                                                                       \
    }

#define PLANE(i) LOAD_PLANE(unit + 16 * (i))

/* The weights of each row at `unit`, times as many inputs at x. */
#if Q35_CODEC == 1 || Q35_CODEC == 2
#define UNIT_BYTES 112
/* The eighth code lies in the top bits of the seven planes, which only a look-up in a table must not see. */
#define CODE(plane) (HAS_BOOK && !SHUFFLES ? (plane) & (uchar)127 : (plane))
#define ADD_UNIT                                                                                                  \
    {                                                                                                             \
        codes eighth = (codes)(0);                                                                                \
        _Pragma("unroll") for (int i = 0; i < 7; i++)                                                             \
        {                                                                                                         \
            const codes plane = PLANE(i);                                                                         \
            eighth |= (plane & (uchar)128) >> (uchar)(7 - i);                                                     \
            ADD_PAIR(CODE(plane), i)                                                                              \
        }                                                                                                         \
        ADD_PAIR(eighth, 7)                                                                                       \
    }
#elif Q35_CODEC == 9
#define UNIT_BYTES 448
#define CODE(plane) (SHUFFLES ? (plane) : (plane) & (uchar)127)
/* The last four codes lie in the top bits of every fourth plane. */
#define ADD_UNIT                                                                                                  \
    {                                                                                                             \
        codes last[4] = {(codes)(0), (codes)(0), (codes)(0), (codes)(0)};                                         \
        _Pragma("unroll") for (int i = 0; i < 28; i++)                                                            \
        {                                                                                                         \
            const codes plane = PLANE(i);                                                                         \
            last[i % 4] |= (plane & (uchar)128) >> (uchar)(7 - i / 4);                                            \
            ADD_PAIR(CODE(plane), i)                                                                              \
        }                                                                                                         \
        _Pragma("unroll") for (int i = 0; i < 4; i++) ADD_PAIR(last[i], 28 + i)                                   \
    }
#elif Q35_CODEC == 3
#define UNIT_BYTES 128
#define ADD_UNIT                                                                                                  \
    {                                                                                                             \
        _Pragma("unroll") for (int i = 0; i < 8; i++) ADD_PAIR(PLANE(i), i)                                       \
    }
#elif Q35_CODEC == 4
#define UNIT_BYTES 192
#define LEVEL6(c)  AS_LEVELS(((c) + (c)) - (uchar)63)
/* Of each four codes the last lies in the top two bits of the others' planes. */
#define ADD_UNIT                                                                                                  \
    {                                                                                                             \
        _Pragma("unroll") for (int i = 0; i < 4; i++)                                                             \
        {                                                                                                         \
            const codes a = PLANE(3 * i), b = PLANE(3 * i + 1), c = PLANE(3 * i + 2);                             \
            const codes d = (a >> (uchar)6) | ((b >> (uchar)6) << (uchar)2) | ((c >> (uchar)6) << (uchar)4);      \
            ADD_LEVELS(LEVEL6(a & (uchar)63), 4 * i)                                                              \
            ADD_LEVELS(LEVEL6(b & (uchar)63), 4 * i + 1)                                                          \
            ADD_LEVELS(LEVEL6(c & (uchar)63), 4 * i + 2)                                                          \
            ADD_LEVELS(LEVEL6(d), 4 * i + 3)                                                                      \
        }                                                                                                         \
    }
#elif Q35_CODEC == 5
#define UNIT_BYTES 256
#define ADD_UNIT                                                                                                  \
    {                                                                                                             \
        _Pragma("unroll") for (int i = 0; i < 16; i++) ADD_LEVELS(AS_LEVELS(PLANE(i)), i)                         \
    }
#else
#if Q35_CODEC == 6
#define UNIT_BYTES  1024
#define FLOAT_AT(i) LOAD_FLOATS((global const float *)unit_floats + 16 * (i))
#elif Q35_CODEC == 7
#define UNIT_BYTES  512
#define FLOAT_AT(i) LOAD_HALVES((global const half *)unit_floats + 16 * (i))
#else
#define UNIT_BYTES  512
#define FLOAT_AT(i) AS_FLOATS(LOAD_SHORTS((global const ushort *)unit_floats + 16 * (i)) << 16)
#endif
#define ADD_UNIT                                                                                                  \
    {                                                                                                             \
        global const uchar *unit_floats = unit + quad * (UNIT_BYTES / 64 - 4);                                    \
        _Pragma("unroll") for (int i = 0; i < 16; i++) ADD_FLOATS(FLOAT_AT(i), i)                                 \
    }
#endif

/* ---- slices */

#if !Q35_CPU
#if Q35_MODE == 3
#define SHARE ints
#else
#define SHARE floats
#endif
/* Sum over the slices of this quad of rows, to slice 0. */
inline SHARE add_slices(SHARE own, local SHARE *shared, int quad, int slice)
{
    shared[slice * 4 + quad] = own;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int half_ = SLICES / 2; half_ > 0; half_ /= 2) {
        if (slice < half_)
            shared[slice * 4 + quad] += shared[(slice + half_) * 4 + quad];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    const SHARE all = shared[quad];
    barrier(CLK_LOCAL_MEM_FENCE);
    return all;
}
#endif

/* One of the weights that share an input; 0 rows: there is none. */
#define WEIGHT_OF(n) Q35_IN(w##n), Q35_IN(book##n), Q35_OUT(y##n), ulong rs_y##n, int n_rows##n
#define TAKE(n)                                                                                                   \
    tiles = Q35_AT(const uchar, w##n, 0);                                                                         \
    book_in = Q35_AT(const uchar, book##n, 0);                                                                    \
    y = Q35_AT(uchar, y##n, 0);                                                                                   \
    rs_y = rs_y##n;                                                                                               \
    n_rows = n_rows##n;

/* The tile of that number among those of all weights. */
#define TAKE_TILE(number)                                                                                         \
    const int first = (n_rows0 + 15) / 16, second = (n_rows1 + 15) / 16;                                          \
    int tile = (number), n_rows;                                                                                  \
    global const uchar *tiles, *book_in;                                                                          \
    global uchar *y;                                                                                              \
    ulong rs_y;                                                                                                   \
    TAKE(0)                                                                                                       \
    if (tile >= first + second) {                                                                                 \
        tile -= first + second;                                                                                   \
        TAKE(2)                                                                                                   \
    } else if (tile >= first) {                                                                                   \
        tile -= first;                                                                                            \
        TAKE(1)                                                                                                   \
    }                                                                                                             \
    global const uchar *base = tiles + tile * tile_bytes;

/* The first n of them, with the one NaN. */
inline void store_rows(floats v, global float *to, int n)
{
    float part[ROWS];
    v = select(v, (floats)(as_float(0x7fc00000)), isnan(v));
    if (n >= ROWS) {
        STORE_FLOATS(v, to);
        return;
    }
    STORE_FLOATS(v, part);
    for (int i = 0; i < n; i++)
        to[i] = part[i];
}

/* x: rows of q35_widen; heads: their (scale, sum) pairs. Dimension 0: tiles of all weights. */
kernel __attribute__((reqd_work_group_size(Q35_LOCAL, 1, 1))) void
q35_linear(WEIGHT_OF(0), WEIGHT_OF(1), WEIGHT_OF(2), ulong tile_bytes, int n_parts, global const float *wide_x,
           int padded, global const float2 *heads, int n_heads, int n_units, Q35_ROWS)
{
    const int n_tokens = Q35_N_ROWS;
    TAKE_TILE((int)get_group_id(0))
#if !Q35_CPU || (HAS_BOOK && !SHUFFLES)
    const int lid = (int)get_local_id(0);
#endif
#if Q35_CPU
    const int quad = 0, slice = 0;
#else
    const int quad = lid % 4, slice = lid / 4;
    local SHARE shared[Q35_LOCAL];
#endif
#if !FLOATS
    global const float *scales = (global const float *)base + quad * ROWS;
#endif
    global const uchar *planes = base + (ulong)n_parts * (Q35_MIN ? 128 : 64) + quad * ROWS;
#if SHUFFLES
    book_t book;
    read_book(book_in, &book);
#elif HAS_BOOK
    local char2 book[4 * MAGNITUDES];
    Q35_EACH(i, 4 * MAGNITUDES)
        book[i] = vload2(i, (global const char *)book_in);
    barrier(CLK_LOCAL_MEM_FENCE);
#endif
    const int n_folds = (n_units + FOLD - 1) / FOLD;
    for (int token = 0; token < n_tokens; token += Q35_TOKENS) {
        floats acc[Q35_TOKENS];
        ints whole[Q35_TOKENS];
        for (int t = 0; t < Q35_TOKENS; t++) {
            acc[t] = (floats)(0.0f);
            whole[t] = (ints)(0);
        }
#if !Q35_CPU && Q35_MODE == 2
        for (int round = 0; round < n_folds; round += SLICES) {
            const int fold = round + slice;
#else
        for (int fold = slice; fold < n_folds; fold += SLICES) {
#endif
            floats sum[Q35_TOKENS][CHAINS];
            for (int t = 0; t < Q35_TOKENS; t++)
                for (int c = 0; c < CHAINS; c++)
                    sum[t][c] = (floats)(0.0f);
            for (int u = fold * FOLD; u < min(fold * FOLD + FOLD, n_units); u++) {
                global const uchar *unit = planes + (ulong)u * UNIT_BYTES;
                global const float *x = wide_x + (ulong)token * padded + UNIT * u;
                for (int line = 0; line < UNIT_BYTES; line += 64)
                    FETCH_AHEAD(unit + line);
#if Q35_MODE == 0 && !FLOATS
                const int own = Q35_PART ? UNIT * u / max(Q35_PART, 1) : 0;
                const floats scale = LOAD_FLOATS(scales + 16 * own);
#if Q35_MIN
                const floats least = LOAD_FLOATS(scales + 16 * (n_parts + own));
#endif
#endif
                ADD_UNIT
            }
#if Q35_MODE == 0
            for (int t = 0; t < Q35_TOKENS; t++)
#if Q35_CPU
                acc[t] += WHOLE(t);
#else
                acc[t] += sum[t][0];
#endif
#elif Q35_MODE == 1
            const int part = fold * FOLD_OF / Q35_PART, block = fold * FOLD_OF / 32;
            const floats scale = LOAD_FLOATS(scales + 16 * part);
            for (int t = 0; t < Q35_TOKENS; t++) {
                const float2 head = heads[(token + t) * n_heads + block];
                acc[t] = fma(WHOLE(t) * head.x, scale, acc[t]);
#if Q35_MIN
                float total = head.y;
#if Q35_PART == 16
                total = 0;
                for (int i = 0; i < 16; i++)
                    total += wide_x[(ulong)(token + t) * padded + 16 * fold + i];
#endif
                acc[t] = fma((floats)(total * head.x), LOAD_FLOATS(scales + 16 * (n_parts + part)), acc[t]);
#endif
            }
#elif Q35_MODE == 2 && Q35_CPU
            for (int t = 0; t < Q35_TOKENS; t++)
                acc[t] = fma(WHOLE(t),
                             (floats)(heads[(token + t) * n_heads + fold].x), acc[t]);
#elif Q35_MODE == 2
            /* groups in ascending order: slice 0 adds what the others summed */
            for (int t = 0; t < Q35_TOKENS; t++) {
                shared[slice * 4 + quad] = sum[t][0];
                barrier(CLK_LOCAL_MEM_FENCE);
                for (int i = 0; i < min(SLICES, n_folds - round); i++)
                    acc[t] = fma(shared[i * 4 + quad], (floats)(heads[(token + t) * n_heads + round + i].x), acc[t]);
                barrier(CLK_LOCAL_MEM_FENCE);
            }
#else
            for (int t = 0; t < Q35_TOKENS; t++)
                whole[t] += TO_INTS(WHOLE(t));
#endif
        }
        for (int t = 0; t < Q35_TOKENS; t++) {
#if !Q35_CPU && Q35_MODE == 3
            whole[t] = add_slices(whole[t], shared, quad, slice);
#elif !Q35_CPU && Q35_MODE != 2
            acc[t] = add_slices(acc[t], shared, quad, slice);
#endif
            if (token + t >= n_tokens)
                continue;
#if !Q35_CPU
            if (slice != 0)
                continue;
#endif
            floats out = acc[t];
#if Q35_MODE == 3
            out = (LOAD_FLOATS(scales) * heads[(token + t) * n_heads].x) * TO_FLOATS(whole[t]);
#elif Q35_MODE == 2
            out = LOAD_FLOATS(scales) * out;
#endif
            const int row = 16 * tile + quad * ROWS;
            store_rows(out, (global float *)(y + (token + t) * rs_y) + row, n_rows - row);
        }
    }
}


#if Q35_CODEC == 9 && Q35_MODE == 3 && Q35_TOKENS == 1 && SHUFFLES && defined(__AVX512BW__)
/* ---- one token by products of bytes, where the compiler says that the device has them: 64 at a time, after 32
 * look-ups of pairs at a time. A vector has 4 bytes of each row. */
typedef char bytes64 __attribute__((__vector_size__(64)));
typedef short shorts32 __attribute__((__vector_size__(64)));
typedef int ints16 __attribute__((__vector_size__(64)));
#define AS_BYTES(v)  __builtin_astype(v, bytes64)
#define AS_SHORTS(v) __builtin_astype(v, shorts32)
#define AS_INTS(v)   __builtin_astype(v, ints16)

/* sum += the pairs named by codes, each there twice, times the inputs x[0 .. 3]. Products of two inputs stay below
 * 2^15. */
inline int16 add_products(int16 sum, bytes64 code, shorts32 magnitudes, int x)
{
    const bytes64 zero = AS_BYTES((int16)(0)), signs = AS_BYTES((int16)(0x40204020)), input = AS_BYTES((int16)(x));
    const bytes64 weight = AS_BYTES(__builtin_ia32_permvarhi512(magnitudes, AS_SHORTS(code)));
    const ulong negative = __builtin_ia32_cmpb512_mask(code & signs, zero, 4, ~0UL);
    const bytes64 signed_input = __builtin_ia32_selectb_512(negative, zero - input, input);
    const shorts32 pairs = __builtin_ia32_pmaddubsw512(weight, signed_input);
    return sum + __builtin_astype(__builtin_ia32_pmaddwd512(pairs, AS_SHORTS((int16)(0x00010001))), int16);
}

/* Four planes of 16 rows, times the inputs x[0 .. 7] */
inline int16 add_planes(int16 sum, int16 planes, shorts32 magnitudes, global const int *x)
{
    /* four rows of each plane to 16 bytes, and there codes 0 and 1 of each row, then 2 and 3, twice */
    const int16 to_rows = (int16)(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const int4 low = (int4)(0x04040000, 0x05050101, 0x06060202, 0x07070303), high = low + 0x08080808;
    const bytes64 rows = AS_BYTES(__builtin_ia32_permvarsi512(AS_INTS(planes), AS_INTS(to_rows)));
    const bytes64 first = __builtin_ia32_pshufb512(rows, AS_BYTES((int16)(low, low, low, low)));
    const bytes64 last = __builtin_ia32_pshufb512(rows, AS_BYTES((int16)(high, high, high, high)));
    sum = add_products(sum, first, magnitudes, x[0]);
    return add_products(sum, last, magnitudes, x[1]);
}

/* codes: a row of A8_ROW. A group has `span` tiles. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
q35_linear_codes(WEIGHT_OF(0), WEIGHT_OF(1), WEIGHT_OF(2), ulong tile_bytes, Q35_IN(codes), int span,
                 int n_units, Q35_ROWS WITH_TAIL)
{
    const int n_tiles = (n_rows0 + 15) / 16 + (n_rows1 + 15) / 16 + (n_rows2 + 15) / 16;
    const int begin = (int)get_group_id(0) * span, end = Q35_N_ROWS > 0 ? min(begin + span, n_tiles) : 0;
    const float scale = *Q35_AT(const float, codes, 0);
    TAIL_LOCALS
    for (int number = begin; number < end; number++) {
        TAKE_TILE(number)
        const shorts32 magnitudes = AS_SHORTS(vload16(0, (global const int *)book_in));
        global const int *planes = (global const int *)(base + 64), *px = Q35_AT(const int, codes, 8);
        int16 sum = (int16)(0);
        for (int u = 0; u < n_units; u++, planes += 112, px += 16) {
            int16 last = (int16)(0);
            _Pragma("unroll") for (int i = 0; i < 7; i++)
            {
                const int16 four = vload16(i, planes);
                FETCH_AHEAD(planes + 16 * i);
                last |= (four >> (7 - i)) & 0x01010101 << i;
                sum = add_planes(sum, four, magnitudes, px + 2 * i);
            }
            sum = add_planes(sum, last, magnitudes, px + 14);
        }
        const float16 scales = LOAD_FLOATS((global const float *)base) * scale;
        store_rows(scales * TO_FLOATS(sum), (global float *)y + 16 * tile, n_rows - 16 * tile);
    }
    DO_TAIL((int)get_num_groups(0))
}
#endif
