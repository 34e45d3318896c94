/* SPDX-License-Identifier: Apache-2.0
 *
 * The planted kernels by name. */
#include "planted.cu"
#include "planted_wgmma.cu"

static const emu_kernel kernels[] = {
#define KERNEL(name, threads)                                                                                     \
    {#name, sizeof(q35_planted_args), threads,                                                                    \
     [](const void *args) { q35_##name(*static_cast<const q35_planted_args *>(args)); }},
#define ROW(name, found) KERNEL(name, 96)
    PLANTED_KERNELS(ROW)
#undef ROW
#define ROW(name, found) KERNEL(name, 128)
        PLANTED_WGMMA_KERNELS(ROW)
#undef ROW
#undef KERNEL
};

int q35_planted_launch(const char *name, const q35_planted_args *args, uint32_t order, uint64_t seed, char *error,
                       uint64_t error_len)
{
    const uint32_t grid[3] = {1, 1, 1};
    q35_emu_options options = {order, 0, seed, error, error_len};
    for (const emu_kernel &k : kernels)
        if (strcmp(k.name, name) == 0) {
            const uint32_t block[3] = {k.threads, 1, 1};
            return q35_emu_run(k, args, grid, block, k.threads == 128 ? 8192 : 256, &options);
        }
    return 1;
}
