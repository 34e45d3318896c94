/* SPDX-License-Identifier: Apache-2.0
 *
 * wgmma reads its second operand through a number that says how it lies in memory. A number that is wrong gives
 * wrong products and no error, so before linear_wide is trusted each of its kernels shows, once per opened device,
 * that it has the bytes of linear_many for the same weights and activations: with as few tokens as one wgmma takes
 * and with more, over more tiles than there are stages, the last of them not full. */
#include "wide.h"
#include "plan.h"

#include <stdio.h>
#include <string.h>

enum { ROWS = 80, INPUTS = 576, MAX_TOKENS = 70, BOOK = 2 * Q35_BOOK_MAX };
static const int32_t token_counts[] = {40, MAX_TOKENS};

static const struct {
    uint32_t weights, acts;
} types[] = {{Q35_DT_Q35_ROW, Q35_DT_A8_ROW}, {Q35_DT_Q35_ROW, Q35_DT_A8_128}, {Q35_DT_Q40_ROW, Q35_DT_A8_ROW},
             {Q35_DT_Q40_ROW, Q35_DT_A8_128}, {Q35_DT_Q60_ROW, Q35_DT_A8_ROW}, {Q35_DT_Q60_ROW, Q35_DT_A8_128}};
enum { N_TYPES = sizeof types / sizeof *types };

/* One allocation of the device, and its copy on the host. */
typedef struct bench {
    q35_device *dev;
    q35i_cu_stream stream;
    q35i_cu_address at;
    uint8_t *host;
    uint64_t x, y[2], bytes; /* offsets; weights begin at 0, the book ends where x begins */
} bench;

static uint64_t padded(uint64_t bytes)
{
    return (bytes + Q35I_CUDA_ALIGN - 1) / Q35I_CUDA_ALIGN * Q35I_CUDA_ALIGN;
}

static uint64_t weight_bytes(uint32_t dtype)
{
    return q35_cuda_slice_bytes(dtype, INPUTS) * q35_cuda_ceil_div(ROWS, Q35_CUDA_SLICE_ROWS);
}

/* ---- known numbers: any byte is a code, and a pair of the book */

static void fill(uint8_t *to, uint64_t n, uint32_t *state)
{
    for (uint64_t i = 0; i < n; i++) {
        *state = *state * 1664525u + 1013904223u;
        to[i] = (uint8_t)(*state >> 24);
    }
}

static void put_float(uint8_t *to, float v)
{
    memcpy(to, &v, sizeof v);
}

static void make_weights(uint8_t *w, uint32_t dtype, uint32_t *state)
{
    const uint64_t slice = q35_cuda_slice_bytes(dtype, INPUTS);
    fill(w, weight_bytes(dtype), state);
    for (uint32_t r = 0; r < ROWS; r++)
        put_float(w + r / Q35_CUDA_SLICE_ROWS * slice + 4 * (r % Q35_CUDA_SLICE_ROWS), (float)(r + 1) / 1024.0F);
}

/* Scale and sum in front of n codes. */
static void make_codes(uint8_t *to, uint32_t n, float scale, uint32_t *state)
{
    int32_t sum = 0;
    fill(to + 8, n, state);
    for (uint32_t i = 0; i < n; i++)
        sum += (int8_t)to[8 + i];
    put_float(to, scale);
    memcpy(to + 4, &sum, sizeof sum);
}

static void make_inputs(uint8_t *x, uint32_t acts, uint32_t *state)
{
    const uint32_t row = (uint32_t)q35_row_bytes(acts, INPUTS);
    const uint32_t part = acts == Q35_DT_A8_ROW ? row : (uint32_t)sizeof(q35_act_group);
    for (uint32_t t = 0; t < MAX_TOKENS; t++)
        for (uint32_t at = 0; at + part <= row; at += part)
            make_codes(x + t * row + at, part - 8, (float)(3 * t + at % 7 + 1) / 512.0F, state);
}

/* ---- products */

static q35i_cu_result launch(const bench *b, uint32_t kernel, const q35_linear_args *args)
{
    q35i_cuda_args a = {.linear = *args};
    const q35_cuda_launch g = q35_cuda_launch_of(kernel, &a);
    void *params[] = {&a};
    if (q35i_cuda_allow_shared(b->dev, kernel, g.shared) != Q35_OK)
        return Q35I_CU_LAUNCH_OUT_OF_RESOURCES;
    return b->dev->drv->cuLaunchKernel(b->dev->kernel[kernel], g.grid[0], g.grid[1], g.grid[2], g.threads, 1, 1,
                                       g.shared, b->stream, params, NULL);
}

/* Both kernels' results, each over bytes of its own, to the host. */
static q35i_cu_result multiply(const bench *b, uint32_t first, uint32_t acts, uint64_t book, int32_t n_tokens)
{
    const q35i_cuda_driver *drv = b->dev->drv;
    const uint64_t bytes = b->y[1] - b->y[0];
    q35_linear_args a = {.part = {{.w = b->at, .rs_y = ROWS * sizeof(float), .n = ROWS}},
                         .x = b->at + b->x,
                         .book = b->at + book,
                         .rs_x = (int64_t)q35_row_bytes(acts, INPUTS),
                         .n_rows = n_tokens,
                         .k = INPUTS};
    q35i_cu_result error = 0;
    for (uint32_t i = 0; i < 2 && error == 0; i++) {
        a.part[0].y = b->at + b->y[i];
        error = drv->cuMemsetD8Async(a.part[0].y, (unsigned char)(0x11 * (i + 1)), bytes, b->stream);
        if (error == 0)
            error = launch(b, first + 2 + i, &a); /* linear_many, linear_wide */
        if (error == 0)
            error = drv->cuMemcpyDtoHAsync_v2(b->host + b->y[i], a.part[0].y, bytes, b->stream);
    }
    const q35i_cu_result ended = drv->cuStreamSynchronize(b->stream);
    return error ? error : ended;
}

/* why: "" when both have the same bytes. */
static void compare(const bench *b, uint32_t kernel, int32_t n_tokens, char *why, size_t cap)
{
    for (int32_t i = 0; i < n_tokens * ROWS; i++) {
        float mma, wgmma;
        memcpy(&mma, b->host + b->y[0] + 4 * i, sizeof mma);
        memcpy(&wgmma, b->host + b->y[1] + 4 * i, sizeof wgmma);
        if (memcmp(&mma, &wgmma, sizeof mma) == 0)
            continue;
        snprintf(why, cap, "%s gives %g for row %d of token %d of %d, need %g", q35_cuda_kernel_name(kernel),
                 (double)wgmma, i % ROWS, i / ROWS, n_tokens, (double)mma);
        return;
    }
}

static q35i_cu_result prove_type(const bench *b, uint32_t weights, uint32_t acts, char *why, size_t cap)
{
    const uint32_t first = q35_cuda_linear_first(weights, acts);
    const uint64_t book = b->x - BOOK;
    uint32_t state = 7;
    make_weights(b->host, weights, &state);
    fill(b->host + book, BOOK, &state);
    make_inputs(b->host + b->x, acts, &state);
    q35i_cu_result error = b->dev->drv->cuMemcpyHtoDAsync_v2(b->at, b->host, b->y[0], b->stream);
    for (size_t i = 0; i < sizeof token_counts / sizeof *token_counts && error == 0 && why[0] == '\0'; i++) {
        error = multiply(b, first, acts, book, token_counts[i]);
        if (error == 0)
            compare(b, first + 3, token_counts[i], why, cap);
    }
    return error;
}

static q35i_cu_result prove(q35_device *dev, char *why, size_t cap)
{
    bench b = {.dev = dev, .x = padded(weight_bytes(Q35_DT_Q60_ROW)) + BOOK};
    b.y[0] = b.x + padded(MAX_TOKENS * q35_row_bytes(Q35_DT_A8_128, INPUTS));
    b.y[1] = b.y[0] + padded(MAX_TOKENS * ROWS * sizeof(float));
    b.bytes = 2 * b.y[1] - b.y[0];
    b.host = q35p_alloc(b.bytes, 1);
    if (!b.host)
        return Q35I_CU_OUT_OF_MEMORY;
    q35i_cu_result error = dev->drv->cuStreamCreate(&b.stream, Q35I_CU_STREAM_NON_BLOCKING);
    if (error == 0) {
        error = dev->drv->cuMemAlloc_v2(&b.at, b.bytes);
        for (size_t i = 0; i < N_TYPES && error == 0 && why[0] == '\0'; i++)
            error = prove_type(&b, types[i].weights, types[i].acts, why, cap);
        if (b.at)
            (void)dev->drv->cuMemFree_v2(b.at);
        (void)dev->drv->cuStreamDestroy_v2(b.stream);
    }
    q35p_free(b.host);
    return error;
}

static bool are_there(const q35_device *dev)
{
    for (uint32_t k = 0; k < Q35_CUDA_N_KERNELS; k++)
        if (q35_cuda_is_wide(k) && !dev->kernel[k])
            return false;
    return dev->gpu->capability == 90;
}

q35_status q35i_cuda_prove_wide(q35_device *dev)
{
    char why[200] = "";
    dev->wide = dev->wide && are_there(dev);
    if (!dev->wide)
        return Q35_OK;
    q35i_cu_result error = prove(dev, why, sizeof why);
    if (q35i_cuda_error_is_sticky(error)) {
        dev->lost = true; /* so that closing it resets the context */
        return q35i_cuda_driver_failed(dev, Q35_E_DEVICE, error, "testing products by wgmma");
    }
    if (error != 0)
        (void)q35i_cuda_error_text(dev->drv, error, why, sizeof why);
    dev->wide = why[0] == '\0';
    if (!dev->wide)
        q35p_log(1, "cuda: device %u: products by wgmma failed their test, so mma is used: %s", dev->index, why);
    return Q35_OK;
}
