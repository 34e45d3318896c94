/* SPDX-License-Identifier: Apache-2.0
 *
 * RMS_NORM and ADD_RMS_NORM: a group per token. Squares are summed in 16 lanes as the contract says, whatever the
 * size of the group. */

kernel __attribute__((reqd_work_group_size(Q35_LOCAL, 1, 1))) void
q35_norm(Q35_IN(a), ulong rs_a, Q35_IN(b), ulong rs_b, Q35_IN(w), Q35_OUT(s), ulong rs_s, Q35_OUT(y), ulong rs_y,
         int k, float eps, int adds, Q35_ROWS)
{
    local wide lanes[16];
    const int row = (int)get_group_id(0), lid = (int)get_local_id(0);
    if (row >= Q35_N_ROWS)
        return;
    global const float *pa = Q35_AT(const float, a, row * rs_a), *pb = Q35_AT(const float, b, row * rs_b);
    global const float *pw = Q35_AT(const float, w, 0);
    global float *ps = Q35_AT(float, s, row * rs_s), *py = Q35_AT(float, y, row * rs_y);
    Q35_EACH(lane, 16) {
        wide sum = 0;
        for (int i = lane; i < k; i += 16) {
            const wide v = adds ? pa[i] + pb[i] : pa[i];
            sum += v * v;
        }
        lanes[lane] = sum;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    wide quarter[4];
    for (int i = 0; i < 4; i++)
        quarter[i] = (lanes[i] + lanes[i + 8]) + (lanes[i + 4] + lanes[i + 12]);
    const wide mean = ((quarter[0] + quarter[1]) + (quarter[2] + quarter[3])) / (wide)k;
    const wide factor = 1 / sqrt(mean + (wide)eps);
    Q35_EACH(i, k) {
        const float v = adds ? pa[i] + pb[i] : pa[i];
        if (adds)
            ps[i] = v;
        py[i] = (float)((wide)v * factor * (wide)pw[i]);
    }
}
