/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernels of kernels-cuda, unchanged, as host code, and their launch by name. */
#include "kernels-cuda/kernels.cu"

static const emu_kernel kernels[] = {
#define ROW(name, family, threads, variant)                                                                       \
    {"q35_" #name, sizeof(q35_##family##_args), threads,                                                          \
     [](const void *args) { q35_##name(*static_cast<const q35_##family##_args *>(args)); }},
    Q35_CUDA_KERNELS(ROW)
#undef ROW
};

static const emu_kernel *find(const char *name)
{
    for (const emu_kernel &k : kernels)
        if (name && strcmp(k.name, name) == 0)
            return &k;
    return nullptr;
}

uint32_t q35_emu_args_bytes(const char *name)
{
    const emu_kernel *k = find(name);
    return k ? k->args_bytes : 0;
}

int q35_emu_launch(const char *name, const void *args, const uint32_t grid[3], const uint32_t block[3],
                   uint32_t shared_bytes, const q35_emu_options *options)
{
    const emu_kernel *k = find(name);
    if (k)
        return q35_emu_run(*k, args, grid, block, shared_bytes, options);
    if (options && options->error && options->error_len)
        snprintf(options->error, options->error_len, "%s: there is no such kernel", name ? name : "no name");
    return 1;
}
