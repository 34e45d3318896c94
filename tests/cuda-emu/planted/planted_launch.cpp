/* SPDX-License-Identifier: Apache-2.0
 *
 * The planted kernels by name. */
#include "planted.cu"

static const emu_kernel kernels[] = {
#define ROW(name, found)                                                                                          \
    {#name, sizeof(q35_planted_args), 96,                                                                         \
     [](const void *args) { q35_##name(*static_cast<const q35_planted_args *>(args)); }},
    PLANTED_KERNELS(ROW)
#undef ROW
};

int q35_planted_launch(const char *name, const q35_planted_args *args, uint32_t order, uint64_t seed, char *error,
                       uint64_t error_len)
{
    const uint32_t grid[3] = {1, 1, 1}, block[3] = {96, 1, 1};
    q35_emu_options options = {order, 0, seed, error, error_len};
    for (const emu_kernel &k : kernels)
        if (strcmp(k.name, name) == 0)
            return q35_emu_run(k, args, grid, block, 256, &options);
    return 1;
}
