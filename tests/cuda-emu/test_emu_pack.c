/* SPDX-License-Identifier: Apache-2.0
 *
 * Packing on the device against packing on the host, byte for byte: every type that has a layout, rows that do not
 * fill a slice, inputs that do not fill a tile, rows with a gap behind them. The output begins as garbage, so
 * bytes that nobody writes show. */
#include "emu_weights.h"
#include "support/suite.h"

#include <stdio.h>

enum { ROW_TYPES = 3, N_TYPES = ROW_TYPES + EMU_BLOCK_TYPES };

static uint32_t type_of(int i)
{
    static const uint32_t rows[ROW_TYPES] = {Q35_DT_Q35_ROW, Q35_DT_Q40_ROW, Q35_DT_Q60_ROW};
    return i < ROW_TYPES ? rows[i] : emu_block_types[i - ROW_TYPES];
}

static void check(uint32_t dtype, int32_t n, int32_t k, uint32_t gap)
{
    q35t_rng rng = q35t_rng_seed((uint64_t)(n * 100000 + k) + gap);
    const uint64_t row = q35_row_bytes(dtype, (uint64_t)k), rs = row + gap, per_slice = Q35_CUDA_SLICE_ROWS;
    const uint64_t slice = q35_cuda_slice_bytes(dtype, k), slices = ((uint64_t)n + per_slice - 1) / per_slice;
    const uint64_t bytes = (uint64_t)(n - 1) * rs + row; /* what is behind the last row cannot be read */
    uint8_t *rows = emu_memory(bytes, 1), *packed = emu_memory(slices * slice, 8);
    for (uint64_t i = 0; i < bytes; i++)
        rows[i] = (uint8_t)q35t_rng_u64(&rng);
    for (uint64_t s = 0; s < slices; s++) {
        const uint64_t left = (uint64_t)n - s * per_slice;
        q35_cuda_pack(dtype, k, (int64_t)(left < per_slice ? left : per_slice), rows + s * per_slice * rs,
                      (int64_t)rs, packed + s * slice);
    }
    q35_pack_args a = {.rows = emu_address(rows), .rs_rows = (int64_t)rs, .n = n, .k = k, .dtype = dtype};
    emu_case c = {.kernels = {Q35_CUDA_K_pack}, .n_kernels = 1, .n_outputs = 1, .args = &a};
    c.outputs[0] = (emu_output){.field = &a.packed, .expected = packed, .bytes = slices * slice};
    snprintf(c.what, sizeof c.what, "pack: type %u, n %d, k %d, %u bytes between rows", dtype, n, k, gap);
    emu_check(&c);
    emu_release();
}

START_TEST(device_packs_as_host)
{
    static const int32_t shapes[][2] = {{1, 1},   {15, 63},   {16, 128}, {17, 65},  {31, 129},
                                        {32, 32}, {33, 1000}, {40, 192}, {3, 9000}, {64, 576}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        check(type_of(_i), shapes[i][0], shapes[i][1], i % 2 ? 13 : 0);
}
END_TEST

/* More words than the blocks of a slice have threads. */
START_TEST(long_rows)
{
    check(type_of(_i), 2, _i < ROW_TYPES ? Q35_CUDA_MAX_K : 24 * 1024, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("emu_pack");
    TCase *pack = tcase_create("pack");
    tcase_add_loop_test(pack, device_packs_as_host, 0, N_TYPES);
    tcase_add_loop_test(pack, long_rows, 0, N_TYPES);
    tcase_set_timeout(pack, 120);
    suite_add_tcase(suite, pack);
    return q35t_run(suite);
}
