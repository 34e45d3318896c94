/* SPDX-License-Identifier: Apache-2.0
 *
 * What the device can do at best: reading memory, and the multiply-adds that LINEAR's products of int8 are. */

#if Q35_CPU
typedef uint16 words;
typedef float16 lanes;
#define N_LANES 16
#ifdef __AVX512F__
#define N_SUMS 12
#else
#define N_SUMS 6 /* each is two registers of 16 */
#endif
#else
typedef uint4 words;
typedef float lanes;
#define N_LANES 1
#define N_SUMS 8
#endif

/* Each group reads `per_group` words, a multiple of 4 * Q35_LOCAL. */
kernel __attribute__((reqd_work_group_size(Q35_LOCAL, 1, 1))) void q35_read(global const words *from, int per_group,
                                                                            global words *to)
{
    global const words *p = from + (ulong)get_group_id(0) * per_group + get_local_id(0);
    words sum[4] = {(words)(0), (words)(0), (words)(0), (words)(0)};
    for (int i = 0; i < per_group; i += 4 * Q35_LOCAL, p += 4 * Q35_LOCAL) {
        _Pragma("unroll") for (int j = 0; j < 4; j++)
        {
            FETCH_AHEAD(p + j * Q35_LOCAL);
            sum[j] += p[j * Q35_LOCAL];
        }
    }
    to[get_global_id(0)] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* A round of a work-item has N_SUMS * N_LANES multiply-adds, into sums that do not wait for each other. Without
 * rounds it says how many these are, as an int. */
kernel __attribute__((reqd_work_group_size(Q35_LOCAL, 1, 1))) void q35_multiply(float a, float b, int rounds,
                                                                                global lanes *to)
{
    const lanes x = (lanes)(a), y = (lanes)(b);
    lanes sum[N_SUMS];
    _Pragma("unroll") for (int i = 0; i < N_SUMS; i++) sum[i] = (lanes)((float)(i + (int)get_global_id(0)));
    for (int round = 0; round < rounds; round++) {
        _Pragma("unroll") for (int i = 0; i < N_SUMS; i++)
#if Q35_FMA
            sum[i] = fma(x, y, sum[i]);
#else
            sum[i] += x * y;
#endif
    }
    lanes all = rounds > 0 ? sum[0] : (lanes)(as_float(N_SUMS * N_LANES));
    _Pragma("unroll") for (int i = 1; i < N_SUMS && rounds > 0; i++) all += sum[i];
    to[get_global_id(0)] = all;
}
